-- Keeping what was found: its value, the break that it is, and what happened to that.

-- name: value
-- What a break is worth in the base currency: the remainder, or where explanations leave none the whole difference, at
-- the price that the statement gives, else the newest that is kept, and the day's reference rates.
UPDATE differences AS d
SET
    value = round(abs(v.figure) * v.price * v.rate, 2),
    valuation = jsonb_strip_nulls(jsonb_build_object(
        'currency', CAST(:base_currency AS text), 'figure', v.figure::text,
        'price', CASE WHEN v.is_quantity THEN trim_scale(round(v.price, 12))::text END,
        'price_currency', CASE WHEN v.is_quantity THEN v.currency END,
        'price_date', v.price_date, 'price_source', v.price_source, 'price_version', v.price_version,
        'rate', trim_scale(round(v.rate, 12))::text,
        'rate_date', v.rate_date,
        'rate_dates', CASE
            WHEN v.rate_date IS NOT NULL
                THEN jsonb_build_object(v.currency, v.from_date, CAST(:base_currency AS text), v.to_date)
        END,
        'lacks', CASE
            WHEN v.price IS NULL THEN 'price'
            WHEN v.rate IS NULL THEN 'rate of ' || coalesce(v.currency, 'an unknown currency')
        END
    ))
FROM (
    SELECT
        x.custodian_account_id, x.subject, basis.figure, basis.is_quantity,
        CASE WHEN basis.is_quantity THEN coalesce(stated.price, kept.price) ELSE 1 END AS price,
        priced.currency,
        CASE WHEN basis.is_quantity AND stated.price IS NULL THEN kept.price_date WHEN basis.is_quantity THEN x.as_of END
            AS price_date,
        CASE
            WHEN NOT basis.is_quantity THEN NULL
            WHEN stated.price IS NOT NULL THEN 'statement'
            ELSE kept.source
        END AS price_source,
        kept.version AS price_version,
        fx.rate, fx.from_date, fx.to_date, least(fx.from_date, fx.to_date) AS rate_date
    FROM differences AS x
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN abs(x.remainder) > x.allowed THEN x.remainder ELSE x.difference END AS figure,
            x.kind IN (
                'quantity', 'missing_at_custodian', 'missing_in_book', 'unknown_security', 'ambiguous_security'
            ) OR x.kind LIKE 'transaction%'
                AND coalesce(CAST(x.evidence #>> '{transaction,amount}' AS numeric), 0) = 0 AS is_quantity
    ) AS basis
    LEFT JOIN securities AS s ON s.id = x.security_id
    -- The market value a unit says what a bond's price in percent does not.
    LEFT JOIN LATERAL (
        SELECT
            coalesce(
                CAST(r ->> 'market_value' AS numeric) / nullif(CAST(r ->> 'quantity' AS numeric), 0),
                CAST(r ->> 'price' AS numeric) / CASE WHEN s.asset_class = 'bond' THEN 100 ELSE 1 END
            ) AS price,
            r ->> 'currency' AS currency
        FROM jsonb_array_elements(x.evidence -> 'statement_rows') AS r
        WHERE basis.is_quantity AND coalesce(r ->> 'market_value', r ->> 'price') IS NOT NULL
            AND (r ->> 'price' IS NOT NULL OR CAST(r ->> 'quantity' AS numeric) <> 0)
        LIMIT 1
    ) AS stated ON stated.price > 0
    LEFT JOIN LATERAL (
        SELECT
            price / CASE WHEN s.asset_class = 'bond' THEN 100 ELSE 1 END AS price, currency, price_date, version, source
        FROM prices
        WHERE basis.is_quantity AND security_id = x.security_id AND price_date <= x.as_of
        ORDER BY price_date DESC, version DESC
        LIMIT 1
    ) AS kept ON stated.price IS NULL
    -- OFFSET 0 has a currency's rate looked up once, and not once for each evidence that it comes from.
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN NOT basis.is_quantity THEN x.currency
            WHEN stated.price IS NOT NULL THEN stated.currency
            ELSE kept.currency
        END AS currency
        OFFSET 0
    ) AS priced
    LEFT JOIN LATERAL fx_rate(priced.currency, :base_currency, x.as_of) AS fx ON TRUE
    WHERE x.difference IS NOT NULL
) AS v
WHERE (d.custodian_account_id, d.subject) = (v.custodian_account_id, v.subject);

-- name: record
-- A break that was there stays the same break, whatever its kind becomes; what changed is told as an event. One that a
-- person has resolved stays so until a later date still disagrees, and one that was written off until its figure changes;
-- neither outlasts another remainder than people saw, for by that the value and the limit of a write-off went. What the
-- run found of each is kept, changed or not.
WITH before AS (
    SELECT
        d.*,
        b.id AS break_id,
        b.state AS old_state,
        CASE WHEN whole.stays THEN b.remainder ELSE d.remainder END AS new_remainder,
        CASE
            WHEN kept.is_explained_elsewhere THEN d.explanations || (b.explanations -> -1)
            WHEN whole.stays THEN b.explanations
            ELSE d.explanations
        END AS new_explanations,
        CASE
            WHEN kept.is_explained_elsewhere THEN greatest(d.expected_by, elsewhere.until)
            WHEN whole.stays THEN b.expected_by
            ELSE d.expected_by
        END AS new_expected_by,
        CASE
            WHEN kept.is_settled THEN b.state
            WHEN kept.is_explained_elsewhere OR d.explanations <> '[]' AND abs(d.remainder) <= d.allowed
                THEN 'explained'
            WHEN b.assignee IS NOT NULL THEN 'assigned'
            ELSE 'open'
        END AS new_state,
        CASE
            WHEN b.id IS NULL THEN 'opened'
            WHEN b.state = 'closed' OR b.state IN ('resolved', 'written_off') AND NOT kept.is_settled THEN 'reopened'
            WHEN NOT kept.is_same OR b.remainder IS DISTINCT FROM d.remainder AND NOT whole.stays
                OR NOT whole.stays AND kinds.old IS DISTINCT FROM kinds.new THEN 'changed'
        END AS event,
        CASE
            WHEN b.state = 'explained' AND kept.is_same AND NOT kept.is_explained_elsewhere
                THEN 'its explanation did not come true by ' || to_char(lapsed.day, 'YYYY-MM-DD')
            WHEN (b.kind, b.difference) IS NOT DISTINCT FROM (d.kind, d.difference) AND seen.remainder <> d.remainder
                THEN format(
                    'explanations left %s of it when it was %s, and leave %s now',
                    seen.remainder, replace(b.state, '_', ' '), d.remainder
                )
        END AS reason
    FROM differences AS d
    -- By index, however many there are.
    LEFT JOIN LATERAL (
        SELECT * FROM breaks WHERE custodian_account_id = d.custodian_account_id AND subject = d.subject OFFSET 0
    ) AS b ON TRUE
    LEFT JOIN compared AS c ON (c.group_id, c.account_id) = (d.group_id, d.account_id)
    -- The explanation by another account's break, if there is one.
    LEFT JOIN LATERAL (
        SELECT
            CAST(b.explanations -> -1 ->> 'until' AS date) AS until,
            CAST(b.explanations -> -1 ->> 'amount' AS numeric) AS amount
        WHERE b.explanations -> -1 ->> 'kind' = 'other_account'
    ) AS elsewhere ON TRUE
    CROSS JOIN LATERAL (
        SELECT min(e.day) AS day
        FROM (
            SELECT CAST(coalesce(e ->> 'first_until', e ->> 'until') AS date) AS day
            FROM jsonb_array_elements(b.explanations) AS e
        ) AS e
        WHERE e.day <= c.lapse_as_of
    ) AS lapsed
    -- The remainder that people saw when they settled it, without what another account explained of it.
    LEFT JOIN LATERAL (
        SELECT
            settled.remainder + CASE
                WHEN settled.explanations -> -1 ->> 'kind' = 'other_account'
                    THEN CAST(settled.explanations -> -1 ->> 'amount' AS numeric)
                ELSE 0
            END AS remainder
        FROM (
            SELECT b.remainder, b.explanations
            WHERE b.state = 'resolved'
            UNION ALL
            (
                SELECT e.remainder, e.explanations
                FROM (SELECT * FROM break_events WHERE break_id = b.id AND b.state = 'written_off' OFFSET 0) AS e
                WHERE e.event = 'written_off'
                ORDER BY e.id DESC
                LIMIT 1
            )
        ) AS settled
    ) AS seen ON TRUE
    CROSS JOIN LATERAL (
        SELECT
            (SELECT array_agg(e ->> 'kind') FROM jsonb_array_elements(b.explanations) AS e) AS old,
            (SELECT array_agg(e ->> 'kind') FROM jsonb_array_elements(d.explanations) AS e) AS new
    ) AS kinds
    CROSS JOIN LATERAL (
        SELECT
            b.id IS NOT NULL
                AND (b.kind, b.ours, b.theirs, b.difference) IS NOT DISTINCT FROM (d.kind, d.ours, d.theirs, d.difference)
                AS is_same
    ) AS same
    CROSS JOIN LATERAL (
        SELECT
            same.is_same,
            CASE b.state
                WHEN 'resolved' THEN same.is_same AND d.as_of <= b.as_of
                WHEN 'written_off' THEN (b.kind, b.difference) IS NOT DISTINCT FROM (d.kind, d.difference)
                ELSE FALSE
            END AND seen.remainder IS NOT DISTINCT FROM d.remainder AS is_settled,
            -- The other account is looked at again when the run ends.
            b.state = 'explained' AND same.is_same AND coalesce(elsewhere.until > c.lapse_as_of, FALSE)
                AND kinds.old[1:cardinality(kinds.old) - 1] IS NOT DISTINCT FROM coalesce(kinds.new, '{}')
                AND d.remainder = b.remainder + elsewhere.amount
                AS is_explained_elsewhere
    ) AS kept
    -- What it rests on stays as well.
    CROSS JOIN LATERAL (
        SELECT
            kept.is_explained_elsewhere
                OR (kept.is_settled AND kinds.old[cardinality(kinds.old)] = 'other_account') IS TRUE
                AS stays
    ) AS whole
),
written AS (
    INSERT INTO breaks AS b (
        custodian_account_id, account_id, subject, kind, state, security_id, currency, ours, theirs, difference,
        remainder, explanations, expected_by, value, valuation, evidence, as_of, opened_as_of, first_run_id, last_run_id
    )
    SELECT
        custodian_account_id, account_id, subject, kind, new_state, security_id, currency, ours, theirs, difference,
        new_remainder, new_explanations, new_expected_by, value, valuation, evidence, as_of, as_of, :run_id, :run_id
    FROM before
    ON CONFLICT (custodian_account_id, subject) DO UPDATE SET
        account_id = excluded.account_id,
        kind = excluded.kind,
        state = excluded.state,
        security_id = excluded.security_id,
        currency = excluded.currency,
        ours = excluded.ours,
        theirs = excluded.theirs,
        difference = excluded.difference,
        remainder = excluded.remainder,
        explanations = excluded.explanations,
        expected_by = excluded.expected_by,
        value = excluded.value,
        valuation = excluded.valuation,
        evidence = excluded.evidence,
        as_of = excluded.as_of,
        last_run_id = excluded.last_run_id,
        opened_as_of = CASE WHEN b.state = 'closed' THEN excluded.as_of ELSE b.opened_as_of END,
        opened_at = CASE WHEN b.state = 'closed' THEN now() ELSE b.opened_at END,
        closed_at = NULL
    RETURNING
        b.id, b.custodian_account_id, b.subject, b.kind, b.state, b.security_id, b.ours, b.theirs, b.difference,
        b.remainder, b.explanations, b.value, b.valuation, b.as_of
),
told AS (
    INSERT INTO break_events (
        break_id, run_id, event, reason, kind, ours, theirs, difference, remainder, explanations, value, as_of
    )
    SELECT
        w.id, :run_id, x.event, coalesce(x.reason, ''), x.kind, x.ours, x.theirs, x.difference, x.new_remainder,
        x.new_explanations, x.value, x.as_of
    FROM before AS x
    JOIN written AS w USING (custodian_account_id, subject)
    WHERE x.event IS NOT NULL
    RETURNING id, break_id, event
),
found AS (
    INSERT INTO run_breaks (
        run_id, break_id, event_id, last_event_id, kind, state, security_id, ours, theirs, difference, remainder,
        explanations, value, valuation, as_of
    )
    SELECT
        :run_id, w.id, t.id,
        -- The row is locked, so nobody else writes an event of it until this is done: the next gets a higher number
        -- than was given to any event so far.
        coalesce(t.id, pg_sequence_last_value('break_events_id_seq'), 0),
        w.kind, w.state, w.security_id, w.ours, w.theirs, w.difference, w.remainder, w.explanations, w.value,
        w.valuation, w.as_of
    FROM written AS w
    LEFT JOIN told AS t ON t.break_id = w.id
    -- An account of another shard may have had it before, and its explanation have lapsed there.
    ON CONFLICT (run_id, break_id) DO NOTHING
)
SELECT
    (SELECT count(*) FROM before) AS found,
    (SELECT count(*) FROM before WHERE new_state = 'explained') AS explained,
    (SELECT count(*) FROM told WHERE event IN ('opened', 'reopened')) AS opened,
    (SELECT count(*) FROM told WHERE event = 'changed') AS changed;

-- name: close
-- A break closes when what it is about was compared again and agrees; silence closes nothing.
WITH looked_at AS (
    SELECT
        r.custodian_account_id, r.outcome, r.as_of, r.states_positions, r.statement_ids,
        r.group_id
    FROM run_accounts AS r
    WHERE r.run_id = :run_id AND r.account_id BETWEEN :first_account_id AND :last_account_id
        AND r.account_id = r.group_id AND r.custodian_account_id IS NOT NULL
),
linked AS MATERIALIZED (
    SELECT DISTINCT group_id, custodian_account_id
    FROM run_links
    WHERE run_id = :run_id AND group_id BETWEEN :first_account_id AND :last_account_id
),
custodians AS (
    SELECT custodian_account_id, outcome, as_of, states_positions, statement_ids FROM looked_at
    UNION ALL
    SELECT l.custodian_account_id, o.outcome, o.as_of, o.states_positions, o.statement_ids
    FROM looked_at AS o
    JOIN linked AS l ON l.group_id = o.group_id AND l.custodian_account_id <> o.custodian_account_id
),
gone AS (
    UPDATE breaks AS b
    SET state = 'closed', closed_at = now(), last_run_id = :run_id, as_of = coalesce(r.as_of, b.as_of)
    FROM custodians AS r
    -- By index, however many there are.
    CROSS JOIN LATERAL (
        SELECT id
        FROM breaks
        -- One that was found again has this run's number by now.
        WHERE custodian_account_id = r.custodian_account_id AND state <> 'closed' AND last_run_id <> :run_id
        OFFSET 0
    ) AS known
    WHERE b.id = known.id
        AND CASE
            -- No run looks for it: a valuation finds it, and finds that it is gone.
            WHEN b.kind = 'identity' THEN FALSE
            WHEN b.subject = 'statement' THEN r.outcome <> 'already_newer'
            WHEN b.kind = 'cash' THEN r.outcome = 'compared' AND EXISTS (
                SELECT FROM statement_cash AS c
                WHERE c.statement_id = ANY (r.statement_ids) AND c.currency = b.currency
            )
            WHEN b.kind LIKE 'transaction%' THEN r.outcome = 'compared'
            ELSE r.outcome = 'compared' AND r.states_positions
        END
    RETURNING b.id, b.kind, b.as_of
),
told AS (
    INSERT INTO break_events (break_id, run_id, event, kind, as_of)
    SELECT id, :run_id, 'closed', kind, as_of
    FROM gone
    RETURNING id, break_id, kind, as_of
),
found AS (
    INSERT INTO run_breaks (run_id, break_id, event_id, last_event_id, kind, state, as_of)
    SELECT :run_id, break_id, id, id, kind, 'closed', as_of
    FROM told
)
SELECT count(*) AS closed FROM told;

-- name: lapse
-- What this run did not find again, for it compared nothing or not that, stays explained no longer than what it did: an
-- explanation whose day has passed is taken back, and what it explained remains.
WITH left_out AS (
    SELECT id, account_id
    FROM breaks
    WHERE account_id BETWEEN :first_account_id AND :last_account_id AND state = 'explained' AND last_run_id <> :run_id
    UNION
    SELECT b.id, b.account_id
    FROM run_links AS l
    CROSS JOIN LATERAL (
        SELECT id, account_id FROM breaks
        WHERE account_id = l.account_id AND state = 'explained' AND last_run_id <> :run_id
        OFFSET 0
    ) AS b
    WHERE l.run_id = :run_id AND l.group_id BETWEEN :first_account_id AND :last_account_id
),
overdue AS (
    SELECT b.*, e.day, e.standing, e.standing_until, b.remainder + e.amount AS new_remainder
    FROM left_out AS o
    CROSS JOIN LATERAL (
        SELECT lapse_as_of FROM run_accounts
        WHERE run_id = :run_id AND account_id = o.account_id AND group_id BETWEEN :first_account_id AND :last_account_id
        OFFSET 0
    ) AS r
    CROSS JOIN LATERAL (SELECT * FROM breaks WHERE id = o.id OFFSET 0) AS b
    CROSS JOIN LATERAL (
        SELECT
            min(x.day) FILTER (WHERE x.has_passed) AS day,
            sum(x.amount) FILTER (WHERE x.has_passed) AS amount,
            coalesce(jsonb_agg(x.explanation ORDER BY x.place) FILTER (WHERE NOT x.has_passed), '[]') AS standing,
            max(x.until) FILTER (WHERE NOT x.has_passed) AS standing_until
        FROM (
            SELECT *, coalesce(day <= r.lapse_as_of, FALSE) AS has_passed
            FROM (
                SELECT
                    explanation, place, CAST(explanation ->> 'amount' AS numeric) AS amount,
                    CAST(explanation ->> 'until' AS date) AS until,
                    CAST(coalesce(explanation ->> 'first_until', explanation ->> 'until') AS date) AS day
                FROM jsonb_array_elements(b.explanations) WITH ORDINALITY AS e (explanation, place)
            ) AS named
        ) AS x
    ) AS e
    WHERE e.day IS NOT NULL
),
lapsed AS (
    UPDATE breaks AS b
    SET
        state = CASE WHEN b.assignee IS NULL THEN 'open' ELSE 'assigned' END,
        remainder = o.new_remainder,
        explanations = o.standing,
        expected_by = o.standing_until,
        -- At the price and the rate of the day that was compared.
        value = CASE
            WHEN b.value IS NOT NULL THEN round(
                abs(o.new_remainder) * coalesce(CAST(b.valuation ->> 'price' AS numeric), 1)
                    * CAST(b.valuation ->> 'rate' AS numeric), 2
            )
        END,
        valuation = b.valuation || jsonb_build_object('figure', o.new_remainder::text),
        last_run_id = :run_id
    FROM overdue AS o
    WHERE b.id = o.id
    RETURNING b.*, o.day
),
told AS (
    INSERT INTO break_events (
        break_id, run_id, event, reason, kind, ours, theirs, difference, remainder, explanations, value, as_of
    )
    SELECT
        id, :run_id, 'changed', 'its explanation did not come true by ' || to_char(day, 'YYYY-MM-DD'), kind, ours,
        theirs, difference, remainder, explanations, value, as_of
    FROM lapsed
    RETURNING id, break_id
),
found AS (
    INSERT INTO run_breaks (
        run_id, break_id, event_id, last_event_id, kind, state, security_id, ours, theirs, difference, remainder,
        explanations, value, valuation, as_of
    )
    SELECT
        :run_id, l.id, t.id, t.id, l.kind, l.state, l.security_id, l.ours, l.theirs, l.difference, l.remainder,
        l.explanations, l.value, l.valuation, l.as_of
    FROM lapsed AS l
    JOIN told AS t ON t.break_id = l.id
)
SELECT count(*) AS lapsed FROM told;

-- name: advance
-- The array has them looked up by index, however many there are.
UPDATE custodian_accounts AS c
SET reconciled_to = k.as_of, reconciled_on = d.last_day
FROM compared_custodians AS k
JOIN unnest(CAST(:calendars AS text[]), CAST(:last_days AS date[])) AS d (calendar, last_day) USING (calendar)
WHERE c.id = ANY (ARRAY(SELECT custodian_account_id FROM compared_custodians))
    AND c.id = k.custodian_account_id AND c.reconciled_to IS DISTINCT FROM k.as_of;

-- name: pair_accounts
-- What one account of an owner has too much and another too little of: the same security or currency, the same figure,
-- dates that are near. Each break is one of at most one pair.
WITH owners AS (
    SELECT DISTINCT a.user_id
    FROM breaks AS b
    JOIN accounts AS a ON a.id = b.account_id
    WHERE b.last_run_id = :run_id AND b.state IN ('open', 'assigned')
        AND b.kind IN ('missing_at_custodian', 'missing_in_book', 'quantity', 'cash')
),
offered AS (
    SELECT
        b.id, a.user_id, b.subject, b.remainder,
        row_number() OVER (
            PARTITION BY a.user_id, b.subject, b.remainder ORDER BY b.opened_as_of, b.account_id, b.id
        ) AS place
    FROM owners AS o
    JOIN accounts AS a USING (user_id)
    JOIN breaks AS b ON b.account_id = a.id
    WHERE b.state IN ('open', 'assigned') AND b.remainder <> 0
        AND b.kind IN ('missing_at_custodian', 'missing_in_book', 'quantity', 'cash')
),
-- The first that has too much goes with the first that has too little; found by grouping, for a join with itself would
-- look at every pair.
pairs AS (
    SELECT
        max(id) FILTER (WHERE remainder > 0) AS more_id,
        max(id) FILTER (WHERE remainder < 0) AS less_id
    FROM offered
    GROUP BY user_id, subject, abs(remainder), place
    HAVING count(*) = 2
)
SELECT
    more.id, more_account.code, more_account.calendar, more.remainder, more_day.lapse_as_of, more.opened_as_of,
    less.id, less_account.code, less_account.calendar, less.remainder, less_day.lapse_as_of, less.opened_as_of
FROM pairs AS p
JOIN breaks AS more ON more.id = p.more_id
JOIN accounts AS more_account ON more_account.id = more.account_id
JOIN breaks AS less ON less.id = p.less_id
JOIN accounts AS less_account ON less_account.id = less.account_id
-- What should have come true by then explains nothing: by this run, or by the one that looked at it last.
CROSS JOIN LATERAL (
    SELECT greatest(more.as_of, max(lapse_as_of)) AS lapse_as_of
    FROM run_accounts
    WHERE run_id IN (:run_id, more.last_run_id) AND account_id = more.account_id
    OFFSET 0
) AS more_day
CROSS JOIN LATERAL (
    SELECT greatest(less.as_of, max(lapse_as_of)) AS lapse_as_of
    FROM run_accounts
    WHERE run_id IN (:run_id, less.last_run_id) AND account_id = less.account_id
    OFFSET 0
) AS less_day
WHERE less.account_id <> more.account_id AND abs(less.as_of - more.as_of) <= 7
ORDER BY more.id;

-- name: unpair_accounts
-- An explanation by another account's break holds as long as that one is what it was.
WITH held AS (
    SELECT b.id, b.assignee, e.explanation, CAST(e.explanation #>> '{rows,0,break_id}' AS bigint) AS other_id
    FROM breaks AS b
    CROSS JOIN LATERAL (SELECT b.explanations -> -1 AS explanation) AS e
    WHERE b.state = 'explained' AND e.explanation ->> 'kind' = 'other_account'
        AND b.account_id IN (
            SELECT other.id
            FROM breaks AS touched
            JOIN accounts AS mine ON mine.id = touched.account_id
            JOIN accounts AS other ON other.user_id = mine.user_id
            WHERE touched.last_run_id = :run_id
        )
),
lapsed AS (
    UPDATE breaks AS b
    SET
        state = CASE WHEN h.assignee IS NULL THEN 'open' ELSE 'assigned' END,
        explanations = b.explanations - (-1),
        remainder = b.remainder + CAST(h.explanation ->> 'amount' AS numeric),
        expected_by = NULL
    FROM held AS h
    WHERE b.id = h.id AND NOT EXISTS (
        SELECT FROM breaks AS o
        WHERE o.id = h.other_id AND o.state = 'explained'
            AND o.explanations -> -1 ->> 'kind' = 'other_account'
            AND CAST(o.explanations -> -1 #>> '{rows,0,break_id}' AS bigint) = b.id
            AND CAST(o.explanations -> -1 ->> 'amount' AS numeric) = -CAST(h.explanation ->> 'amount' AS numeric)
    )
    RETURNING b.id, h.other_id
)
INSERT INTO break_events (
    break_id, run_id, event, reason, kind, ours, theirs, difference, remainder, explanations, value, as_of
)
SELECT b.id, :run_id, 'changed', 'break ' || lapsed.other_id || ' does not explain it any more', b.kind, b.ours, b.theirs,
    b.difference,
    b.remainder + CAST(b.explanations -> -1 ->> 'amount' AS numeric), b.explanations - (-1), b.value, b.as_of
FROM breaks AS b
JOIN lapsed USING (id);

-- name: explain_by_account
-- `breaks` is read as it was before this statement.
WITH found AS (
    SELECT *
    FROM jsonb_to_recordset(CAST(:pairs AS jsonb)) AS p (break_id bigint, explanation jsonb, until date)
),
explained AS (
    UPDATE breaks AS b
    SET
        state = 'explained',
        explanations = b.explanations || jsonb_build_array(f.explanation),
        remainder = b.remainder - CAST(f.explanation ->> 'amount' AS numeric),
        expected_by = greatest(b.expected_by, f.until)
    FROM found AS f
    WHERE b.id = f.break_id
    RETURNING b.id, b.kind, b.ours, b.theirs, b.difference, b.remainder, b.explanations, b.value, b.as_of
)
INSERT INTO break_events (break_id, run_id, event, kind, ours, theirs, difference, remainder, explanations, value, as_of)
SELECT id, :run_id, 'changed', kind, ours, theirs, difference, remainder, explanations, value, as_of
FROM explained;
