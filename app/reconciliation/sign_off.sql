-- What a run compared and what it found, as digests: rows in the order of accounts or breaks, so that a million of them
-- stream. Every row of a table is written as a JSON array, whose text says where each value ends; figures have the digits
-- that are stored, for 1.0 and 1.00 are not the same evidence. What a version of signatures covers stays as it is, or none
-- of them could be verified: what is to be covered besides is a new statement.

-- name: accounts_in_parts
SELECT min(account_id), max(account_id)
FROM (
    SELECT account_id, (row_number() OVER (ORDER BY account_id) - 1) / :size AS part
    FROM run_accounts
    WHERE run_id = :run_id
) AS numbered
GROUP BY part
ORDER BY part;

-- name: breaks_in_parts
SELECT min(break_id), max(break_id)
FROM (
    SELECT break_id, (row_number() OVER (ORDER BY break_id) - 1) / :size AS part
    FROM run_breaks
    WHERE run_id = :run_id
) AS numbered
GROUP BY part
ORDER BY part;

-- name: digest_statements
-- Each statement with its file and all of its rows. Which security an instrument is taken for is in `lines_identifiers`.
SELECT
    r.account_id,
    encode(sha256(convert_to(string_agg(x.line, E'\n' ORDER BY s.statement_id, x.part, x.row), 'UTF8')), 'hex')
FROM run_accounts AS r
CROSS JOIN LATERAL unnest(r.statement_ids) AS s (statement_id)
CROSS JOIN LATERAL (
    SELECT 0 AS part, 0 AS row, json_build_array(
        f.sha256, c.custodian, c.number, t.as_of, t.currency, t.states_positions, t.states_cash, t.states_transactions,
        t.stated_value, t.period_from, t.period_to, t.opening_cash
    )::text AS line
    FROM statements AS t
    JOIN statement_files AS f ON f.id = t.file_id
    JOIN custodian_accounts AS c ON c.id = t.custodian_account_id
    WHERE t.id = s.statement_id
    UNION ALL
    SELECT 1, p.row, json_build_array(
        p.line, i.scheme, i.identifier, i.namespace, i.also, i.name, i.ticker, p.quantity, p.price, p.market_value,
        p.currency, p.sub_account
    )::text
    FROM statement_positions AS p
    LEFT JOIN instruments AS i ON i.id = p.instrument_id
    WHERE p.statement_id = s.statement_id
    UNION ALL
    SELECT 2, c.row, json_build_array(c.line, c.currency, c.amount)::text
    FROM statement_cash AS c
    WHERE c.statement_id = s.statement_id
    UNION ALL
    SELECT 3, t.row, json_build_array(
        t.line, t.reference, t.kind, i.scheme, i.identifier, i.namespace, i.also, i.name, i.ticker, t.trade_date,
        t.settle_date, t.quantity, t.price, t.amount, t.currency, t.description, t.group_reference, t.fx_rate
    )::text
    FROM statement_transactions AS t
    LEFT JOIN instruments AS i ON i.id = t.instrument_id
    WHERE t.statement_id = s.statement_id
) AS x
WHERE r.run_id = :run_id AND r.account_id BETWEEN :first_account_id AND :last_account_id
GROUP BY r.account_id
ORDER BY r.account_id;

-- name: digest_book
-- The version that was compared, as it is in the tables now, and the transactions until then that matching and
-- explaining look at: of the last days, and those not settled.
SELECT
    r.account_id,
    encode(sha256(convert_to(string_agg(x.line, E'\n' ORDER BY x.part, x.number, x.name COLLATE "C"), 'UTF8')), 'hex')
FROM run_accounts AS r
CROSS JOIN LATERAL (
    SELECT 1 AS part, p.security_id AS number, '' AS name,
        json_build_array(s.code, p.quantity_traded, p.quantity_settled)::text AS line
    FROM book_positions AS p
    LEFT JOIN securities AS s ON s.id = p.security_id
    WHERE (p.account_id, p.as_of) = (r.account_id, r.book_as_of)
    UNION ALL
    SELECT 2, 0, c.currency, json_build_array(c.currency, c.amount_traded, c.amount_settled)::text
    FROM book_cash AS c
    WHERE (c.account_id, c.as_of) = (r.account_id, r.book_as_of)
    UNION ALL
    SELECT 3, t.id, '', json_build_array(
        t.reference, t.kind, s.code, t.trade_date, t.settle_date, t.quantity, t.amount, t.currency, t.description,
        t.custodian_reference, t.fx_rate
    )::text
    FROM book_transactions AS t
    LEFT JOIN securities AS s ON s.id = t.security_id
    WHERE t.account_id = r.account_id AND t.trade_date <= r.as_of
        AND (t.trade_date >= r.as_of - CAST(:look_back_days AS integer) OR t.settle_date > r.as_of)
) AS x
WHERE r.run_id = :run_id AND r.account_id BETWEEN :first_account_id AND :last_account_id AND r.book_as_of IS NOT NULL
GROUP BY r.account_id
ORDER BY r.account_id;

-- name: digest_mappings
-- Whose account at which custodian it was on the day of the run.
SELECT
    r.account_id,
    encode(sha256(convert_to(
        string_agg(json_build_array(a.code, c.custodian, c.number)::text, E'\n' ORDER BY c.id), 'UTF8'
    )), 'hex')
FROM run_accounts AS r
JOIN runs ON runs.id = r.run_id
JOIN accounts AS a ON a.id = r.account_id
JOIN account_mappings AS m ON m.account_id = r.account_id AND runs.as_of BETWEEN m.valid_from AND m.valid_to
JOIN custodian_accounts AS c ON c.id = m.custodian_account_id
WHERE r.run_id = :run_id AND r.account_id BETWEEN :first_account_id AND :last_account_id
GROUP BY r.account_id
ORDER BY r.account_id;

-- name: digest_shared
-- Other accounts in the same custodian accounts on that day, by the account's calendar.
SELECT json_build_array(a.code, o.code, c.custodian, c.number)::text
FROM run_accounts AS r
JOIN runs ON runs.id = r.run_id
JOIN accounts AS a ON a.id = r.account_id
CROSS JOIN LATERAL (SELECT coalesce(CAST(runs.days ->> a.calendar AS date), runs.as_of) AS day) AS last
JOIN account_mappings AS m ON m.account_id = r.account_id AND last.day BETWEEN m.valid_from AND m.valid_to
JOIN account_mappings AS n ON n.custodian_account_id = m.custodian_account_id AND n.account_id <> m.account_id
    AND last.day BETWEEN n.valid_from AND n.valid_to
JOIN accounts AS o ON o.id = n.account_id
JOIN custodian_accounts AS c ON c.id = m.custodian_account_id
WHERE r.run_id = :run_id AND r.account_id BETWEEN :first_account_id AND :last_account_id
ORDER BY a.id, c.id, o.id;

-- name: digest_accounts
-- What the run did with each account.
SELECT
    r.account_id,
    encode(sha256(convert_to(json_build_array(
        r.group_id, r.custodian_account_id, r.outcome, r.statement_ids, r.as_of, r.book_as_of, r.states_positions,
        r.states_cash, r.held_statement_id, r.due_as_of,
        (
            SELECT json_agg(json_build_array(l.custodian_account_id, l.group_id, l.valid_from) ORDER BY l.custodian_account_id)
            FROM run_links AS l
            WHERE (l.run_id, l.account_id) = (r.run_id, r.account_id)
        )
    )::text, 'UTF8')), 'hex')
FROM run_accounts AS r
WHERE r.run_id = :run_id AND r.account_id BETWEEN :first_account_id AND :last_account_id
ORDER BY r.account_id;

-- name: lines_tolerances
SELECT json_build_array(figure, asset_class, currency, absolute, relative)::text
FROM tolerances
ORDER BY figure, asset_class COLLATE "C", currency COLLATE "C";

-- name: lines_corporate_actions
-- Those that may have explained something: with an ex-date in the last days, or paid after them.
SELECT json_build_array(
    a.reference, a.kind, s.code, a.ex_date, a.pay_date, a.new_units, a.old_units, a.amount, a.currency
)::text
FROM corporate_actions AS a
JOIN runs AS r ON r.id = :run_id
LEFT JOIN securities AS s ON s.id = a.security_id
WHERE a.ex_date <= r.as_of AND a.pay_date >= r.as_of - CAST(:look_back_days AS integer)
ORDER BY a.id;

-- name: digest_lacks
-- By which day explanations had to come true, and what was compared in part.
SELECT json_build_array(r.account_id, r.lapse_as_of, g.lacks, g.stated_as_of)::text
FROM run_accounts AS r
LEFT JOIN run_gaps AS g ON g.run_id = r.run_id AND g.account_id = r.account_id
WHERE r.run_id = :run_id AND r.account_id BETWEEN :first_account_id AND :last_account_id
ORDER BY r.account_id;

-- name: lines_identifiers
-- Each name that the statements use, and on the day of its row the securities that it was resolved to and those whose
-- identifiers it has: a name that means the same by one more identifier is no change. They are few, and so not looked up
-- for each account: a thousand accounts at a time are brought down to the names that are in them, out of the index.
WITH used AS MATERIALIZED (
    SELECT DISTINCT u.instrument_id, u.day
    FROM (SELECT DISTINCT account_id / 1000 AS thousand FROM run_accounts WHERE run_id = :run_id) AS t
    CROSS JOIN LATERAL (
        SELECT DISTINCT x.instrument_id, x.day
        FROM run_accounts AS r
        CROSS JOIN LATERAL unnest(r.statement_ids) AS s (statement_id)
        CROSS JOIN LATERAL (
            SELECT instrument_id, r.as_of AS day FROM statement_positions WHERE statement_id = s.statement_id
            UNION ALL
            SELECT instrument_id, trade_date FROM statement_transactions
            WHERE statement_id = s.statement_id AND instrument_id IS NOT NULL
            OFFSET 0
        ) AS x
        WHERE r.run_id = :run_id AND r.account_id BETWEEN t.thousand * 1000 AND t.thousand * 1000 + 999
        OFFSET 0
    ) AS u
)
SELECT json_build_array(i.scheme, i.identifier, i.namespace, i.also, u.day, resolved.securities, named.securities)::text
FROM used AS u
CROSS JOIN LATERAL (SELECT * FROM instruments WHERE id = u.instrument_id OFFSET 0) AS i
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_array(x.code, x.asset_class, x.currency) ORDER BY x.code COLLATE "C") AS securities
    FROM (
        SELECT unnest(candidates || security_id) AS id FROM instrument_securities
        WHERE instrument_id = u.instrument_id AND u.day BETWEEN valid_from AND valid_to
        OFFSET 0
    ) AS r
    CROSS JOIN LATERAL (SELECT * FROM securities WHERE id = r.id OFFSET 0) AS x
) AS resolved
CROSS JOIN LATERAL (
    SELECT json_agg(DISTINCT x.code COLLATE "C") AS securities
    FROM (
        SELECT i.scheme, i.identifier AS value, i.namespace
        UNION
        SELECT also.scheme, also.value, also.namespace
        FROM jsonb_to_recordset(i.also) AS also (scheme text, value text, namespace text)
    ) AS name
    CROSS JOIN LATERAL (
        SELECT security_id FROM security_identifiers
        WHERE (scheme, value, namespace) = (name.scheme, name.value, name.namespace)
            AND u.day BETWEEN valid_from AND valid_to
        OFFSET 0
    ) AS d
    CROSS JOIN LATERAL (SELECT * FROM securities WHERE id = d.security_id OFFSET 0) AS x
) AS named
ORDER BY u.instrument_id, u.day;

-- name: lines_fixed_rates
SELECT json_build_array(f.currency, f.rate_date, f.rate)::text
FROM fx_rates AS f
JOIN runs AS r ON r.id = :run_id
WHERE f.is_fixed AND f.rate_date <= r.as_of
ORDER BY f.currency COLLATE "C", f.rate_date;

-- name: lines_securities
-- By which tolerances and prices go.
SELECT json_build_array(s.code, s.asset_class, s.currency)::text
FROM (
    SELECT DISTINCT security_id
    FROM run_breaks
    WHERE run_id = :run_id AND break_id BETWEEN :first_break_id AND :last_break_id AND security_id IS NOT NULL
) AS used
LEFT JOIN securities AS s ON s.id = used.security_id
ORDER BY used.security_id;

-- name: lines_prices
-- Those that breaks were valued at, as they are kept; a later version is another one. What a statement gives is in that.
WITH used AS MATERIALIZED (
    SELECT DISTINCT
        security_id, CAST(valuation ->> 'price_date' AS date) AS price_date,
        CAST(valuation ->> 'price_version' AS bigint) AS version
    FROM run_breaks
    WHERE run_id = :run_id AND break_id BETWEEN :first_break_id AND :last_break_id
        AND valuation ->> 'price_version' IS NOT NULL
)
SELECT json_build_array(s.code, u.price_date, u.version, p.price, p.currency, p.source)::text
FROM used AS u
LEFT JOIN securities AS s ON s.id = u.security_id
LEFT JOIN LATERAL (
    SELECT * FROM prices
    WHERE security_id = u.security_id AND price_date = u.price_date AND version = u.version
    OFFSET 0
) AS p ON TRUE
ORDER BY u.security_id, u.price_date, u.version;

-- name: lines_rates
-- Those that breaks were valued at; one that comes for a later day is another one.
SELECT json_build_array(u.currency, u.day, f.rate)::text
FROM (
    SELECT DISTINCT d.currency, CAST(d.day AS date) AS day
    FROM run_breaks AS b
    CROSS JOIN LATERAL jsonb_each_text(b.valuation -> 'rate_dates') AS d (currency, day)
    WHERE b.run_id = :run_id AND b.break_id BETWEEN :first_break_id AND :last_break_id
) AS u
LEFT JOIN fx_rates AS f ON f.currency = u.currency AND f.rate_date = u.day
ORDER BY u.currency COLLATE "C", u.day;

-- name: lines_breaks
-- What the run found of each break, changed or not.
SELECT json_build_array(
    f.break_id, b.custodian_account_id, b.subject, f.event_id, f.last_event_id, f.kind, f.state, f.security_id, f.ours,
    f.theirs, f.difference, f.remainder, f.explanations, f.value, f.valuation, f.as_of
)::text
FROM run_breaks AS f
LEFT JOIN breaks AS b ON b.id = f.break_id
WHERE f.run_id = :run_id AND f.break_id BETWEEN :first_break_id AND :last_break_id
ORDER BY f.break_id;

-- name: later_events
-- Up to where the history of breaks goes that has gone on since the run.
SELECT f.break_id, max(e.id)
FROM run_breaks AS f
CROSS JOIN LATERAL (SELECT id FROM break_events WHERE break_id = f.break_id OFFSET 0) AS e
WHERE f.run_id = :run_id AND f.break_id BETWEEN :first_break_id AND :last_break_id AND e.id > f.last_event_id
GROUP BY f.break_id
ORDER BY f.break_id;

-- name: lines_history
-- All that ever happened to each of the breaks, until the run was signed.
SELECT json_build_array(
    e.id, e.break_id, e.run_id, e.happened_at, e.actor, e.db_user, e.event, e.reason, e.kind, e.ours, e.theirs,
    e.difference, e.remainder, e.explanations, e.value, e.assignee, e.as_of
)::text
FROM run_breaks AS f
CROSS JOIN LATERAL (SELECT * FROM break_events WHERE break_id = f.break_id OFFSET 0) AS e
LEFT JOIN jsonb_each_text(CAST(:history_to AS jsonb)) AS later (break_id, event_id)
    ON CAST(later.break_id AS bigint) = f.break_id
WHERE f.run_id = :run_id AND f.break_id BETWEEN :first_break_id AND :last_break_id
    AND e.id <= coalesce(CAST(later.event_id AS bigint), f.last_event_id)
ORDER BY f.break_id, e.id;

-- name: altered_breaks
-- Breaks of the run that say something else now than the last run that saw them left, with what happened since: what
-- another account explains, and what people did. A release before `run_breaks` has left no row of what it saw.
SELECT f.break_id, altered.figures
FROM run_breaks AS f
LEFT JOIN breaks AS b ON b.id = f.break_id
LEFT JOIN run_breaks AS n ON n.run_id = b.last_run_id AND n.break_id = b.id
CROSS JOIN LATERAL (
    SELECT
        (array_agg(e.assignee ORDER BY e.id DESC) FILTER (WHERE e.event = 'assigned'))[1] AS assignee,
        (array_agg(e.event ORDER BY e.id DESC) FILTER (
            WHERE e.id > n.last_event_id AND e.event IN ('changed', 'resolved', 'written_off')
        ))[1] AS event,
        (array_agg(e.remainder ORDER BY e.id DESC) FILTER (
            WHERE e.id > n.last_event_id AND e.event = 'changed'
        ))[1] AS remainder,
        (array_agg(e.explanations ORDER BY e.id DESC) FILTER (
            WHERE e.id > n.last_event_id AND e.event = 'changed'
        ))[1] AS explanations
    FROM (SELECT * FROM break_events WHERE break_id = f.break_id OFFSET 0) AS e
) AS since
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN since.event IS NULL THEN n.state
        WHEN since.event <> 'changed' THEN since.event
        WHEN since.explanations -> -1 ->> 'kind' = 'other_account' THEN 'explained'
        ELSE 'open'
    END AS state
) AS left_as
CROSS JOIN LATERAL (
    SELECT array_remove(
        CASE
            WHEN b.id IS NULL THEN ARRAY['deleted']
            WHEN n.run_id IS NULL THEN ARRAY[
                CASE
                    WHEN b.last_run_id < f.run_id OR NOT EXISTS (SELECT FROM runs WHERE id = b.last_run_id)
                        OR EXISTS (SELECT FROM run_breaks WHERE run_id = b.last_run_id)
                        THEN 'last run'
                END
            ]
            ELSE ARRAY[
                CASE
                    WHEN b.state <> CASE
                        WHEN left_as.state IN ('open', 'assigned')
                            THEN CASE WHEN b.assignee IS NULL THEN 'open' ELSE 'assigned' END
                        ELSE left_as.state
                    END THEN 'state'
                END,
                CASE WHEN b.assignee IS DISTINCT FROM since.assignee THEN 'assignee' END,
                CASE WHEN b.kind <> n.kind THEN 'kind' END,
                CASE WHEN b.as_of <> n.as_of THEN 'as of' END
            ] || CASE WHEN n.state <> 'closed' THEN ARRAY[
                CASE WHEN b.security_id IS DISTINCT FROM n.security_id THEN 'security' END,
                CASE WHEN b.ours IS DISTINCT FROM n.ours THEN 'ours' END,
                CASE WHEN b.theirs IS DISTINCT FROM n.theirs THEN 'theirs' END,
                CASE WHEN b.difference IS DISTINCT FROM n.difference THEN 'difference' END,
                CASE
                    WHEN b.remainder IS DISTINCT FROM
                        CASE WHEN since.explanations IS NULL THEN n.remainder ELSE since.remainder END
                        THEN 'remainder'
                END,
                CASE WHEN b.explanations <> coalesce(since.explanations, n.explanations) THEN 'explanations' END,
                CASE WHEN b.value IS DISTINCT FROM n.value THEN 'value' END,
                CASE WHEN b.valuation <> n.valuation THEN 'valuation' END
            ] END
        END,
        NULL
    ) AS figures
) AS altered
WHERE f.run_id = :run_id AND f.break_id BETWEEN :first_break_id AND :last_break_id AND altered.figures <> '{}'
ORDER BY f.break_id
LIMIT :most;

-- name: lines_run
SELECT json_build_array(key, account_id, as_of, days, state, shard_count, shards_done, started_at, finished_at)::text
FROM runs
WHERE id = :run_id
UNION ALL
SELECT line
FROM (
    SELECT json_build_array(number, first_account_id, last_account_id, state, counts, error, finished_at)::text AS line
    FROM run_shards
    WHERE run_id = :run_id
    ORDER BY number
) AS shards;

-- name: lines_events
SELECT json_build_array(
    e.id, e.break_id, b.subject, e.happened_at, e.actor, e.db_user, e.event, e.reason, e.kind, e.ours, e.theirs,
    e.difference, e.remainder, e.explanations, e.value, e.assignee, e.as_of
)::text
FROM break_events AS e
JOIN breaks AS b ON b.id = e.break_id
WHERE e.run_id = :run_id
ORDER BY e.id;

-- name: lines_their_matches
-- With the figures of the rows: other rows of the same place are another match.
SELECT json_build_array(
    m.match_id, m.rule, m.custodian_account_id, m.reference, t.kind, t.trade_date, t.quantity, t.amount, t.currency
)::text
FROM matched_statement_transactions AS m
LEFT JOIN statement_transactions AS t USING (statement_id, row)
WHERE m.run_id = :run_id
ORDER BY m.match_id, m.custodian_account_id, m.reference COLLATE "C";

-- name: lines_our_matches
SELECT json_build_array(
    m.match_id, m.rule, t.account_id, t.reference, t.kind, t.trade_date, t.quantity, t.amount, t.currency
)::text
FROM matched_book_transactions AS m
LEFT JOIN book_transactions AS t ON t.id = m.book_transaction_id
WHERE m.run_id = :run_id
ORDER BY m.match_id, m.book_transaction_id;
