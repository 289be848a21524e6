-- What a run compared and what it found, as digests: a row an account, in their order, so that a million of them stream.
-- Every row of a table is written as a JSON array, whose text says where each value ends; figures have the digits that
-- are stored, for 1.0 and 1.00 are not the same evidence.

-- name: accounts_in_parts
SELECT min(account_id), max(account_id)
FROM (
    SELECT account_id, (row_number() OVER (ORDER BY account_id) - 1) / :size AS part
    FROM run_accounts
    WHERE run_id = :run_id
) AS numbered
GROUP BY part
ORDER BY part;

-- name: digest_statements
-- Each statement with its file and all of its rows. Which security an instrument is taken for is no part of it.
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
