-- The compare of one shard, in the order in which it runs. Every statement works on all accounts of the shard at once.
-- Figures of the book are on trade-date basis; what is not yet settled is then found as an explanation.

-- name: lock_book
-- The book may not change between two statements of a shard; its import takes this lock for itself.
SELECT pg_advisory_xact_lock_shared(hashtext('value-partner book'));

-- name: lock
-- Two runs that meet at an account take it one after the other; statements may be loaded meanwhile.
SELECT count(*)
FROM (
    SELECT 1
    FROM custodian_accounts
    WHERE account_id BETWEEN :first_account_id AND :last_account_id
    ORDER BY id
    FOR NO KEY UPDATE
) AS locked;

-- name: statement_dates
-- The dates that will be compared, for the calendars to look at.
SELECT DISTINCT a.calendar, s.as_of
FROM accounts AS a
JOIN custodian_accounts AS c ON c.account_id = a.id
JOIN unnest(CAST(:calendars AS text[]), CAST(:last_days AS date[])) AS d (calendar, last_day) USING (calendar)
CROSS JOIN LATERAL (
    SELECT as_of
    FROM statements
    WHERE custodian_account_id = c.id AND state = 'accepted' AND as_of <= d.last_day
        AND (states_positions OR states_cash)
    ORDER BY as_of DESC, id DESC
    LIMIT 1
) AS s
WHERE a.id BETWEEN :first_account_id AND :last_account_id;

-- name: choose
-- For each account the newest statements that the gate let through, and the version of the book for their date.
INSERT INTO run_accounts (
    run_id, account_id, custodian_account_id, outcome, statement_ids, as_of, book_as_of,
    states_positions, states_cash, held_statement_id, due_as_of
)
SELECT
    :run_id,
    a.id,
    c.id,
    CASE
        WHEN c.id IS NULL THEN 'no_custodian'
        WHEN s.as_of IS NULL AND silent.as_of IS NOT NULL THEN 'nothing_stated'
        WHEN s.as_of IS NULL THEN 'no_statement'
        WHEN s.as_of < c.reconciled_to THEN 'already_newer'
        WHEN b.as_of IS NULL THEN 'no_book'
        ELSE 'compared'
    END,
    coalesce(s.ids, '{}'),
    coalesce(s.as_of, silent.as_of),
    b.as_of,
    coalesce(s.states_positions, FALSE),
    coalesce(s.states_cash, FALSE),
    h.id,
    due.as_of
FROM accounts AS a
JOIN unnest(CAST(:calendars AS text[]), CAST(:last_days AS date[])) AS d (calendar, last_day) USING (calendar)
LEFT JOIN custodian_accounts AS c ON c.account_id = a.id
LEFT JOIN unnest(
    CAST(:due_calendars AS text[]), CAST(:due_frequencies AS text[]), CAST(:due_lags AS bigint[]),
    CAST(:due_days AS date[])
) AS due (calendar, frequency, lag_days, as_of)
    ON (due.calendar, due.frequency, due.lag_days) = (a.calendar, c.statement_frequency, c.statement_lag_days)
-- A custodian may send a statement a currency; of those of one currency the last that came counts.
LEFT JOIN LATERAL (
    SELECT
        array_agg(id ORDER BY id) AS ids,
        min(as_of) AS as_of,
        bool_or(states_positions) AS states_positions,
        bool_or(states_cash) AS states_cash
    FROM (
        SELECT DISTINCT ON (currency) id, as_of, states_positions, states_cash
        FROM statements
        WHERE custodian_account_id = c.id AND state = 'accepted' AND (states_positions OR states_cash)
            AND as_of = (
                SELECT max(as_of)
                FROM statements
                WHERE custodian_account_id = c.id AND state = 'accepted' AND as_of <= d.last_day
                    AND (states_positions OR states_cash)
            )
        ORDER BY currency, id DESC
    ) AS of_a_currency
) AS s ON TRUE
LEFT JOIN LATERAL (
    SELECT max(as_of) AS as_of
    FROM statements
    WHERE custodian_account_id = c.id AND state = 'accepted' AND as_of <= d.last_day
) AS silent ON TRUE
LEFT JOIN LATERAL (
    SELECT id
    FROM statements
    WHERE custodian_account_id = c.id AND state = 'held' AND as_of <= d.last_day
        AND (s.as_of IS NULL OR as_of > s.as_of OR (as_of = s.as_of AND id > ALL (s.ids)))
    ORDER BY as_of DESC, id DESC
    LIMIT 1
) AS h ON TRUE
LEFT JOIN unnest(
    CAST(:date_calendars AS text[]), CAST(:dates AS date[]), CAST(:business_days AS date[])
) AS o (calendar, as_of, business_day)
    ON (o.calendar, o.as_of) = (a.calendar, s.as_of)
-- On a day without business the last business day's version still holds; an older one does not.
LEFT JOIN LATERAL (
    SELECT as_of
    FROM book_snapshots
    WHERE account_id = a.id AND as_of BETWEEN o.business_day AND s.as_of
    ORDER BY as_of DESC
    LIMIT 1
) AS b ON TRUE
WHERE a.id BETWEEN :first_account_id AND :last_account_id AND (a.active OR :even_inactive);

-- name: differences
-- What the shard found, for the statements that follow.
CREATE TEMPORARY TABLE IF NOT EXISTS differences (
    account_id bigint NOT NULL,
    custodian_account_id bigint NOT NULL,
    statement_ids bigint[] NOT NULL DEFAULT '{}',
    as_of date NOT NULL,
    book_as_of date,
    subject text NOT NULL,
    kind text NOT NULL,
    security_id bigint,
    currency text,
    ours numeric,
    ours_settled numeric,
    theirs numeric,
    difference numeric,
    -- How much of a difference is tolerated.
    allowed numeric NOT NULL DEFAULT 0,
    explanation text,
    evidence jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (custodian_account_id, subject)
) ON COMMIT DELETE ROWS;

-- name: compare_positions
INSERT INTO differences (
    account_id, custodian_account_id, statement_ids, as_of, book_as_of, subject, kind, security_id, currency,
    ours, ours_settled, theirs, difference, allowed
)
WITH compared AS (
    SELECT account_id, custodian_account_id, statement_ids, as_of, book_as_of
    FROM run_accounts
    WHERE run_id = :run_id AND account_id BETWEEN :first_account_id AND :last_account_id
        AND outcome = 'compared' AND states_positions
),
theirs AS (
    -- A custodian may list one security several times, by lot or sub-account.
    SELECT
        c.account_id,
        coalesce('security:' || i.security_id, p.scheme || ':' || p.identifier) AS subject,
        i.security_id,
        min(p.currency) AS currency,
        sum(p.quantity) AS quantity
    FROM compared AS c
    CROSS JOIN unnest(c.statement_ids) AS chosen (statement_id)
    JOIN statement_positions AS p USING (statement_id)
    LEFT JOIN security_identifiers AS i
        ON (i.scheme, i.value, i.namespace) = (p.scheme, p.identifier, p.namespace)
    GROUP BY 1, 2, 3
),
ours AS (
    SELECT
        c.account_id,
        'security:' || b.security_id AS subject,
        b.security_id,
        b.quantity_traded AS quantity,
        b.quantity_settled
    FROM compared AS c
    JOIN book_positions AS b ON (b.account_id, b.as_of) = (c.account_id, c.book_as_of)
),
sides AS (
    SELECT
        account_id,
        subject,
        coalesce(o.security_id, t.security_id) AS security_id,
        t.currency,
        nullif(o.quantity, 0) AS ours,
        o.quantity_settled AS ours_settled,
        nullif(t.quantity, 0) AS theirs,
        coalesce(t.quantity, 0) - coalesce(o.quantity, 0) AS difference
    FROM ours AS o
    FULL JOIN theirs AS t USING (account_id, subject)
    WHERE coalesce(t.quantity, 0) <> coalesce(o.quantity, 0)
)
SELECT
    c.account_id,
    c.custodian_account_id,
    c.statement_ids,
    c.as_of,
    c.book_as_of,
    sides.subject,
    CASE
        WHEN sides.security_id IS NULL THEN 'unknown_security'
        WHEN sides.theirs IS NULL THEN 'missing_at_custodian'
        WHEN sides.ours IS NULL THEN 'missing_in_book'
        ELSE 'quantity'
    END,
    sides.security_id,
    coalesce(s.currency, sides.currency),
    sides.ours,
    sides.ours_settled,
    sides.theirs,
    sides.difference,
    coalesce(tolerance.allowed, 0)
FROM sides
JOIN compared AS c USING (account_id)
LEFT JOIN securities AS s ON s.id = sides.security_id
LEFT JOIN LATERAL (
    SELECT greatest(absolute, relative * greatest(abs(sides.ours), abs(sides.theirs))) AS allowed
    FROM tolerances
    WHERE figure = 'quantity'
        AND coalesce(asset_class, s.asset_class) = s.asset_class
        AND coalesce(currency, s.currency) = s.currency
    ORDER BY asset_class IS NULL, currency IS NULL
    LIMIT 1
) AS tolerance ON TRUE
WHERE abs(sides.difference) > coalesce(tolerance.allowed, 0);

-- name: compare_cash
-- Only currencies that the statement speaks of: its silence about another one is not zero.
INSERT INTO differences (
    account_id, custodian_account_id, statement_ids, as_of, book_as_of, subject, kind, currency,
    ours, ours_settled, theirs, difference, allowed
)
SELECT
    c.account_id,
    c.custodian_account_id,
    c.statement_ids,
    c.as_of,
    c.book_as_of,
    'currency:' || theirs.currency,
    'cash',
    theirs.currency,
    ours.amount_traded,
    ours.amount_settled,
    theirs.amount,
    theirs.amount - coalesce(ours.amount_traded, 0),
    coalesce(tolerance.allowed, 0)
FROM run_accounts AS c
CROSS JOIN LATERAL (
    SELECT currency, sum(amount) AS amount
    FROM statement_cash
    WHERE statement_id = ANY (c.statement_ids)
    GROUP BY currency
) AS theirs
LEFT JOIN book_cash AS ours
    ON (ours.account_id, ours.as_of, ours.currency) = (c.account_id, c.book_as_of, theirs.currency)
LEFT JOIN LATERAL (
    SELECT greatest(absolute, relative * greatest(abs(ours.amount_traded), abs(theirs.amount))) AS allowed
    FROM tolerances
    WHERE figure = 'cash' AND coalesce(currency, theirs.currency) = theirs.currency
    ORDER BY currency IS NULL
    LIMIT 1
) AS tolerance ON TRUE
WHERE c.run_id = :run_id AND c.account_id BETWEEN :first_account_id AND :last_account_id
    AND c.outcome = 'compared' AND c.states_cash
    AND abs(theirs.amount - coalesce(ours.amount_traded, 0)) > coalesce(tolerance.allowed, 0);

-- name: check_statements
-- A regular statement that is past its time.
INSERT INTO differences (account_id, custodian_account_id, as_of, subject, kind, evidence)
SELECT
    account_id,
    custodian_account_id,
    due_as_of,
    'statement',
    CASE WHEN statement_ids = '{}' THEN 'missing_statement' ELSE 'stale_statement' END,
    jsonb_build_object(
        'expected', due_as_of,
        'newest', CASE WHEN statement_ids <> '{}' THEN as_of END,
        'held_statement_id', held_statement_id
    )
FROM run_accounts
WHERE run_id = :run_id AND account_id BETWEEN :first_account_id AND :last_account_id
    AND due_as_of IS NOT NULL
    AND outcome <> 'already_newer'
    AND (statement_ids = '{}' OR as_of < due_as_of);

-- name: explain
-- Unsettled trades: the custodian books on the settle date what the book has had since the trade date.
-- Rounding: both sides are written with different numbers of decimals, and agree to half a unit of the coarser one.
-- What trades leave open is an open break; they stay with it as evidence.
UPDATE differences AS d
SET explanation = found.explanation, evidence = jsonb_strip_nulls(found.evidence)
FROM (
    SELECT
        x.custodian_account_id,
        x.subject,
        CASE
            WHEN unsettled.trades IS NOT NULL AND abs(rest.amount) <= x.allowed THEN 'unsettled_trades'
            WHEN rounding.may_be AND abs(x.difference) <= rounding.half_unit THEN 'rounding'
            WHEN unsettled.trades IS NOT NULL AND rounding.may_be AND abs(rest.amount) <= rounding.half_unit
                THEN 'unsettled_trades+rounding'
        END AS explanation,
        -- Figures as text: JSON's readers make floats of numbers.
        jsonb_build_object(
            'ours_settled', x.ours_settled::text,
            'unsettled_trades', unsettled.trades,
            'unsettled_total', unsettled.total::text,
            'coarser', CASE
                WHEN rounding.may_be THEN CASE WHEN scale(x.ours) < scale(x.theirs) THEN 'ours' ELSE 'theirs' END
            END,
            'decimals', CASE WHEN rounding.may_be THEN rounding.decimals END,
            'statement_ids', to_jsonb(x.statement_ids),
            'statement_rows', stated.rows
        ) AS evidence
    FROM differences AS x
    CROSS JOIN LATERAL (
        SELECT
            sum(CASE WHEN x.kind = 'cash' THEN t.amount ELSE t.quantity END) AS total,
            jsonb_agg(
                jsonb_build_object(
                    'reference', t.reference, 'kind', t.kind, 'trade_date', t.trade_date,
                    'settle_date', t.settle_date, 'quantity', t.quantity::text, 'amount', t.amount::text
                )
                ORDER BY t.trade_date, t.reference
            ) AS trades
        FROM book_transactions AS t
        -- A trade that the version of the book does not hold yet explains nothing of it.
        WHERE t.account_id = x.account_id
            AND t.trade_date <= x.book_as_of
            AND t.settle_date > x.as_of
            AND CASE
                WHEN x.kind = 'cash' THEN t.currency = x.currency AND t.amount <> 0
                ELSE t.security_id = x.security_id AND t.quantity <> 0
            END
    ) AS unsettled
    CROSS JOIN LATERAL (SELECT x.difference + coalesce(unsettled.total, 0) AS amount) AS rest
    CROSS JOIN LATERAL (
        SELECT least(scale(x.ours), scale(x.theirs)) AS decimals
    ) AS coarser
    CROSS JOIN LATERAL (
        SELECT
            coarser.decimals,
            0.5 * 10::numeric ^ (-coarser.decimals) AS half_unit,
            coalesce(
                x.ours IS NOT NULL AND x.theirs IS NOT NULL
                AND scale(x.ours) <> scale(x.theirs)
                AND coarser.decimals >= CASE
                    WHEN x.kind = 'cash' AND x.currency = ANY (CAST(:whole_currencies AS text[])) THEN 0
                    ELSE 2
                END,
                FALSE
            ) AS may_be
    ) AS rounding
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN x.kind = 'cash' THEN (
                SELECT jsonb_agg(
                    jsonb_build_object('statement_id', c.statement_id, 'line', c.line, 'amount', c.amount::text)
                    ORDER BY c.statement_id, c.row
                )
                FROM statement_cash AS c
                WHERE c.statement_id = ANY (x.statement_ids) AND c.currency = x.currency
            )
            ELSE (
                SELECT jsonb_agg(
                    jsonb_build_object(
                        'statement_id', p.statement_id, 'line', p.line, 'quantity', p.quantity::text,
                        'scheme', p.scheme, 'identifier', p.identifier, 'name', p.name
                    )
                    ORDER BY p.statement_id, p.row
                )
                FROM statement_positions AS p
                LEFT JOIN security_identifiers AS i
                    ON (i.scheme, i.value, i.namespace) = (p.scheme, p.identifier, p.namespace)
                WHERE p.statement_id = ANY (x.statement_ids)
                    AND coalesce('security:' || i.security_id, p.scheme || ':' || p.identifier) = x.subject
            )
        END AS rows
    ) AS stated
    WHERE x.subject <> 'statement'
) AS found
WHERE (d.custodian_account_id, d.subject) = (found.custodian_account_id, found.subject);

-- name: record
-- A break that was there stays the same break, whatever its kind becomes; what changed is told as an event.
WITH before AS (
    SELECT
        d.*,
        CASE
            WHEN b.id IS NULL THEN 'opened'
            WHEN b.state = 'closed' THEN 'reopened'
            WHEN (b.kind, b.ours, b.theirs, b.difference, b.explanation)
                IS DISTINCT FROM (d.kind, d.ours, d.theirs, d.difference, d.explanation) THEN 'changed'
        END AS event
    FROM differences AS d
    LEFT JOIN breaks AS b USING (custodian_account_id, subject)
),
written AS (
    INSERT INTO breaks AS b (
        custodian_account_id, account_id, subject, kind, state, security_id, currency,
        ours, theirs, difference, explanation, evidence, as_of, first_run_id, last_run_id
    )
    SELECT
        custodian_account_id, account_id, subject, kind,
        CASE WHEN explanation IS NULL THEN 'open' ELSE 'explained' END,
        security_id, currency, ours, theirs, difference, explanation, evidence, as_of, :run_id, :run_id
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
        explanation = excluded.explanation,
        evidence = excluded.evidence,
        as_of = excluded.as_of,
        last_run_id = excluded.last_run_id,
        opened_at = CASE WHEN b.state = 'closed' THEN now() ELSE b.opened_at END,
        closed_at = NULL
    RETURNING b.id, b.custodian_account_id, b.subject
),
told AS (
    INSERT INTO break_events (
        break_id, run_id, event, kind, ours, theirs, difference, explanation, as_of
    )
    SELECT w.id, :run_id, before.event, before.kind, ours, theirs, difference, explanation, before.as_of
    FROM before
    JOIN written AS w USING (custodian_account_id, subject)
    WHERE before.event IS NOT NULL
    RETURNING event
)
SELECT
    (SELECT count(*) FROM before) AS found,
    (SELECT count(*) FROM before WHERE explanation IS NOT NULL) AS explained,
    (SELECT count(*) FROM told WHERE event IN ('opened', 'reopened')) AS opened,
    (SELECT count(*) FROM told WHERE event = 'changed') AS changed;

-- name: close
-- A break closes when what it is about was compared again and agrees; silence closes nothing.
WITH gone AS (
    UPDATE breaks AS b
    SET state = 'closed', closed_at = now(), last_run_id = :run_id, as_of = coalesce(r.as_of, b.as_of)
    FROM run_accounts AS r
    WHERE r.run_id = :run_id
        AND r.account_id BETWEEN :first_account_id AND :last_account_id
        AND b.custodian_account_id = r.custodian_account_id
        AND b.state <> 'closed'
        AND NOT EXISTS (
            SELECT FROM differences AS d
            WHERE (d.custodian_account_id, d.subject) = (b.custodian_account_id, b.subject)
        )
        AND CASE
            WHEN b.subject = 'statement' THEN r.outcome <> 'already_newer'
            WHEN b.subject LIKE 'currency:%' THEN r.outcome = 'compared' AND EXISTS (
                SELECT FROM statement_cash AS c
                WHERE c.statement_id = ANY (r.statement_ids) AND c.currency = b.currency
            )
            ELSE r.outcome = 'compared' AND r.states_positions
        END
    RETURNING b.id, b.kind, b.as_of
),
told AS (
    INSERT INTO break_events (break_id, run_id, event, kind, as_of)
    SELECT id, :run_id, 'closed', kind, as_of
    FROM gone
    RETURNING 1
)
SELECT count(*) AS closed FROM told;

-- name: advance
UPDATE custodian_accounts AS c
SET reconciled_to = r.as_of
FROM run_accounts AS r
WHERE r.run_id = :run_id
    AND r.account_id BETWEEN :first_account_id AND :last_account_id
    AND r.outcome = 'compared'
    AND c.id = r.custodian_account_id
    AND c.reconciled_to IS DISTINCT FROM r.as_of;
