-- Loading a table file: every statement works on all statements of the file at once.

-- name: keys
-- What each batch of the file calls its statements, in the order of their first rows.
CREATE TEMPORARY TABLE incoming_keys (
    number bigint NOT NULL,
    batch bigint NOT NULL,
    line bigint NOT NULL,
    account text NOT NULL,
    as_of date NOT NULL,
    currency text NOT NULL,
    period_from date
) ON COMMIT DROP;

-- name: incoming
-- The statements in the order of the file. One without an id is not loaded: its account is unknown, or it was loaded
-- when the same file came before.
CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS
SELECT
    place,
    CASE WHEN wanted THEN nextval((SELECT pg_get_serial_sequence('statements', 'id')::regclass)) END AS statement_id,
    custodian_account_id,
    account,
    as_of,
    currency,
    line,
    period_from,
    turn_of_account AS turn
FROM (
    SELECT
        k.*,
        c.id AS custodian_account_id,
        c.id IS NOT NULL AND s.custodian_account_id IS NULL AS wanted,
        -- A statement is held against those before it, which may be in the same file.
        CASE WHEN c.id IS NOT NULL AND s.custodian_account_id IS NULL THEN k.turn END AS turn_of_account
    FROM (
        SELECT *, row_number() OVER (PARTITION BY account, currency ORDER BY as_of, place) AS turn
        FROM (
            SELECT
                row_number() OVER (ORDER BY min(number)) - 1 AS place,
                account, as_of, currency, min(line) AS line, min(period_from) AS period_from
            FROM incoming_keys
            GROUP BY account, as_of, currency
        ) AS numbered
    ) AS k
    LEFT JOIN custodian_accounts AS c ON c.custodian = %(custodian)s AND c.number = k.account
    LEFT JOIN (
        SELECT custodian_account_id, as_of, currency
        FROM statements
        WHERE file_id = %(file_id)s
    ) AS s ON (s.custodian_account_id, s.as_of, s.currency) = (c.id, k.as_of, k.currency)
    ORDER BY k.place
) AS known;

-- name: index_incoming
ALTER TABLE incoming ADD PRIMARY KEY (place);

-- name: analyze_incoming
ANALYZE incoming;

-- name: ids
-- The ids of all statements, eight bytes each; 0 for those that are not loaded.
SELECT string_agg(int8send(coalesce(statement_id, 0)), '' ORDER BY place) FROM incoming;

-- name: places
-- For each batch the places of its statements, four bytes each.
SELECT string_agg(int4send(i.place::integer), '' ORDER BY k.number)
FROM incoming_keys AS k
JOIN incoming AS i USING (account, as_of, currency)
GROUP BY k.batch
ORDER BY k.batch;

-- name: unknown
SELECT
    count(*) FILTER (WHERE custodian_account_id IS NULL),
    count(*),
    count(turn),
    max(turn)
FROM incoming;

-- name: first_unknown
SELECT
    i.account,
    i.line,
    (SELECT string_agg(DISTINCT quote_literal(c.custodian), ', ') FROM custodian_accounts AS c
        WHERE c.number = i.account)
FROM incoming AS i
WHERE i.custodian_account_id IS NULL
ORDER BY i.place
LIMIT %(most)s;

-- name: look_back
-- The statement that each is held against, as `app.statements.store.look_back` chooses it, and the one it replaces.
CREATE TEMPORARY TABLE looked_back ON COMMIT DROP AS
SELECT i.place, i.statement_id, before.id AS before_id, replaced.id AS replaced_id
FROM incoming AS i
LEFT JOIN LATERAL (
    SELECT s.id
    FROM statements AS s
    WHERE s.custodian_account_id = i.custodian_account_id AND s.currency = i.currency AND s.state = 'accepted'
        AND s.states_positions AND s.as_of <= i.as_of AND %(states_positions)s
    ORDER BY s.as_of DESC, s.id DESC
    LIMIT 1
) AS before ON TRUE
LEFT JOIN LATERAL (
    SELECT s.id
    FROM statements AS s
    WHERE s.custodian_account_id = i.custodian_account_id AND s.as_of = i.as_of AND s.currency = i.currency
        AND s.states_positions = %(states_positions)s AND s.states_cash = %(states_cash)s
    ORDER BY s.id DESC
    LIMIT 1
) AS replaced ON TRUE
WHERE i.turn = %(turn)s AND (before.id IS NOT NULL OR replaced.id IS NOT NULL);

-- name: index_looked_back
CREATE INDEX ON looked_back (place);

-- name: judged
-- The places of statements that have one before them, eight bytes each.
SELECT string_agg(int8send(place), '' ORDER BY place) FROM looked_back WHERE before_id IS NOT NULL;

-- name: sides
-- Every row of some statements and of those before them, for `app.statements.tables.alike`. OFFSET 0: each statement
-- is looked up, whatever the planner believes of a table that so much was just written to.
SELECT string_agg(int8send(place << 4 | side), ''), string_agg(int8send(instrument_id), '')
FROM (
    SELECT l.place, p.instrument_id, CASE WHEN p.quantity > 0 THEN 1 WHEN p.quantity < 0 THEN 2 ELSE 0 END AS side
    FROM looked_back AS l
    CROSS JOIN LATERAL (SELECT * FROM statement_positions WHERE statement_id = l.before_id OFFSET 0) AS p
    WHERE l.place BETWEEN %(first)s AND %(last)s
    UNION ALL
    SELECT l.place, p.instrument_id, CASE WHEN p.quantity > 0 THEN 4 WHEN p.quantity < 0 THEN 8 ELSE 0 END
    FROM looked_back AS l
    CROSS JOIN LATERAL (SELECT * FROM statement_positions WHERE statement_id = l.statement_id OFFSET 0) AS p
    WHERE l.before_id IS NOT NULL AND l.place BETWEEN %(first)s AND %(last)s
) AS rows;

-- name: same_names
-- Instruments that are the same scheme and identifier as an earlier one of them, and that one.
SELECT id, first
FROM (
    SELECT id, min(id) OVER (PARTITION BY scheme, identifier) AS first FROM instruments WHERE id = ANY (%(ids)s)
) AS named
WHERE id <> first;

-- name: gate
-- Statements most of whose positions are gone, or have the other sign; see `app.statements.gate`.
SELECT
    place,
    count(*) FILTER (WHERE gone),
    count(*) FILTER (WHERE was <> 0),
    count(*) FILTER (WHERE is_now = -was),
    count(*) FILTER (WHERE is_now <> 0)
FROM (
    SELECT place, was, is_now, coalesce(is_now, 0) = 0 AS gone
    FROM (
        SELECT
            place,
            sum(quantity) FILTER (WHERE before) AS was,
            sum(quantity) FILTER (WHERE NOT before) AS is_now
        FROM (
            SELECT l.place, TRUE AS before, p.instrument_id, p.quantity
            FROM looked_back AS l
            CROSS JOIN LATERAL (SELECT * FROM statement_positions WHERE statement_id = l.before_id OFFSET 0) AS p
            WHERE l.place = ANY (%(places)s)
            UNION ALL
            SELECT l.place, FALSE, p.instrument_id, p.quantity
            FROM looked_back AS l
            CROSS JOIN LATERAL (SELECT * FROM statement_positions WHERE statement_id = l.statement_id OFFSET 0) AS p
            WHERE l.place = ANY (%(places)s)
        ) AS rows
        JOIN instruments AS i ON i.id = rows.instrument_id
        GROUP BY place, i.scheme, i.identifier
    ) AS summed
    WHERE was <> 0
) AS holdings
GROUP BY place
HAVING 2 * count(*) FILTER (WHERE gone) > count(*)
    OR 2 * count(*) FILTER (WHERE is_now = -was) > count(*) FILTER (WHERE is_now <> 0)
ORDER BY place;

-- name: firsts
-- The places of statements that have none before them, eight bytes each.
SELECT string_agg(int8send(i.place), '')
FROM incoming AS i
WHERE i.turn = %(turn)s
    AND NOT EXISTS (SELECT FROM looked_back AS l WHERE l.place = i.place AND l.before_id IS NOT NULL);

-- name: gate_by_book
-- First statements whose positions have the other sign in the newest version of the book up to their day; see
-- `app.statements.gate`.
WITH judged AS MATERIALIZED (
    SELECT place, statement_id, custodian_account_id, as_of FROM incoming WHERE place = ANY (%(places)s)
),
stated AS (
    SELECT j.place, r.security_id, sum(p.quantity) AS quantity
    FROM judged AS j
    CROSS JOIN LATERAL (SELECT * FROM statement_positions WHERE statement_id = j.statement_id OFFSET 0) AS p
    JOIN instrument_securities AS r
        ON r.instrument_id = p.instrument_id AND j.as_of BETWEEN r.valid_from AND r.valid_to
    GROUP BY j.place, r.security_id
),
booked AS (
    SELECT j.place, b.security_id, sum(b.quantity_traded) AS quantity
    FROM judged AS j
    CROSS JOIN LATERAL (
        SELECT account_id FROM account_mappings
        WHERE custodian_account_id = j.custodian_account_id AND j.as_of BETWEEN valid_from AND valid_to
        OFFSET 0
    ) AS m
    CROSS JOIN LATERAL (
        SELECT max(as_of) AS as_of FROM book_snapshots WHERE account_id = m.account_id AND as_of <= j.as_of
    ) AS version
    CROSS JOIN LATERAL (
        SELECT security_id, quantity_traded FROM book_positions
        WHERE account_id = m.account_id AND as_of = version.as_of
        OFFSET 0
    ) AS b
    GROUP BY j.place, b.security_id
)
SELECT place, count(*) FILTER (WHERE stated.quantity = -booked.quantity), count(*)
FROM stated
JOIN booked USING (place, security_id)
WHERE stated.quantity <> 0 AND booked.quantity <> 0
GROUP BY place
HAVING count(*) FILTER (WHERE stated.quantity = -booked.quantity) >= 2
    AND 10 * count(*) FILTER (WHERE stated.quantity = -booked.quantity) >= 9 * count(*)
ORDER BY place;

-- name: findings
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_findings (
    place bigint PRIMARY KEY,
    findings jsonb NOT NULL
) ON COMMIT DROP;

-- name: write_statements
INSERT INTO statements (
    id, file_id, custodian_account_id, as_of, currency, states_positions, states_cash, states_transactions,
    period_from, period_to, state, findings
)
SELECT
    i.statement_id,
    %(file_id)s,
    i.custodian_account_id,
    i.as_of,
    i.currency,
    %(states_positions)s,
    %(states_cash)s,
    %(states_transactions)s,
    i.period_from,
    CASE WHEN i.period_from IS NOT NULL THEN i.as_of END,
    CASE WHEN f.place IS NULL THEN 'accepted' ELSE 'held' END,
    coalesce(f.findings, '[]')
FROM incoming AS i
LEFT JOIN incoming_findings AS f USING (place)
WHERE i.turn = %(turn)s
ORDER BY i.place;

-- name: older
SELECT i.account, i.as_of, c.reconciled_to, count(*) OVER ()
FROM incoming AS i
JOIN custodian_accounts AS c ON c.id = i.custodian_account_id
WHERE i.turn IS NOT NULL AND i.as_of < c.reconciled_to
ORDER BY i.place
LIMIT %(most)s;

-- name: replaced
SELECT i.account, i.as_of, l.replaced_id, count(*) OVER ()
FROM looked_back AS l
JOIN incoming AS i USING (place)
WHERE l.replaced_id IS NOT NULL
ORDER BY i.place
LIMIT %(most)s;

-- name: same_positions
SELECT (array_agg(line ORDER BY row))[1:2], count(*) OVER ()
FROM statement_positions
WHERE statement_id = ANY (%(ids)s)
GROUP BY statement_id, instrument_id, quantity, price, market_value, currency, sub_account
HAVING count(*) > 1
ORDER BY 1
LIMIT %(most)s;

-- name: same_cash
-- Of nothing there may be any number: each part of an account may have none.
SELECT (array_agg(line ORDER BY row))[1:2], count(*) OVER ()
FROM statement_cash
WHERE statement_id = ANY (%(ids)s) AND amount <> 0
GROUP BY statement_id, currency, amount
HAVING count(*) > 1
ORDER BY 1
LIMIT %(most)s;

-- name: same_transactions
-- An account has one transaction of a reference, whatever its statements.
SELECT (array_agg(t.line ORDER BY t.line))[1:2], count(*) OVER ()
FROM statement_transactions AS t
JOIN incoming AS i USING (statement_id)
GROUP BY i.custodian_account_id, t.reference
HAVING count(*) > 1
ORDER BY 1
LIMIT %(most)s;

