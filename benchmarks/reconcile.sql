-- What the engine is measured against: the same compare and the same matching, written down as plain SQL. They pick the
-- newest statement and the book's version of its date, resolve names, add up, and keep what differs; no evidence, no
-- explanations, no values.

-- name: tables
CREATE TABLE plain_accounts (LIKE run_accounts INCLUDING ALL);
CREATE TABLE plain_breaks (LIKE breaks INCLUDING ALL);
CREATE TABLE plain_events (LIKE break_events INCLUDING ALL);
CREATE TABLE bare_breaks (account_id bigint, security_id bigint, ours numeric, theirs numeric);
CREATE TABLE plain_ours (book_transaction_id bigint PRIMARY KEY, match_id bigint NOT NULL);
CREATE TABLE plain_theirs (
    custodian_account_id bigint, reference text, match_id bigint NOT NULL, PRIMARY KEY (custodian_account_id, reference)
);
CREATE TABLE floor_statements (LIKE statements INCLUDING ALL);
CREATE TABLE floor_positions (LIKE statement_positions INCLUDING ALL);

-- name: sides
-- What both of the next two compare.
chosen AS (
    SELECT a.id AS account_id, m.custodian_account_id, s.id AS statement_id, s.as_of, b.as_of AS book_as_of
    FROM accounts AS a
    JOIN account_mappings AS m ON m.account_id = a.id
    CROSS JOIN LATERAL (
        SELECT id, as_of FROM statements
        WHERE custodian_account_id = m.custodian_account_id AND state = 'accepted' AND states_positions
            AND as_of <= DATE '{day}'
        ORDER BY as_of DESC, id DESC LIMIT 1
    ) AS s
    CROSS JOIN LATERAL (
        SELECT as_of FROM book_snapshots WHERE account_id = a.id AND as_of <= s.as_of ORDER BY as_of DESC LIMIT 1
    ) AS b
    WHERE a.id BETWEEN {first} AND {last} AND a.active
),
theirs AS (
    SELECT c.account_id, r.security_id, sum(p.quantity) AS quantity
    FROM chosen AS c
    JOIN statement_positions AS p USING (statement_id)
    JOIN instrument_securities AS r
        ON r.instrument_id = p.instrument_id AND c.as_of BETWEEN r.valid_from AND r.valid_to
    GROUP BY 1, 2
),
ours AS (
    SELECT c.account_id, b.security_id, b.quantity_traded AS quantity
    FROM chosen AS c
    JOIN book_positions AS b ON (b.account_id, b.as_of) = (c.account_id, c.book_as_of)
)

-- name: compare
-- Keeps what a compare is for: what each account was compared with, each break with its figures, and its first event.
WITH {sides},
kept AS (
    INSERT INTO plain_accounts (
        run_id, account_id, group_id, custodian_account_id, outcome, statement_ids, as_of, book_as_of, states_positions
    )
    SELECT 1, account_id, account_id, custodian_account_id, 'compared', ARRAY[statement_id], as_of, book_as_of, TRUE
    FROM chosen
),
found AS (
    INSERT INTO plain_breaks (
        custodian_account_id, account_id, subject, kind, state, security_id, ours, theirs, difference, remainder, as_of,
        opened_as_of, first_run_id, last_run_id
    )
    SELECT
        c.custodian_account_id, account_id, 'security:' || security_id,
        CASE
            WHEN t.quantity IS NULL THEN 'missing_at_custodian'
            WHEN o.quantity IS NULL THEN 'missing_in_book'
            ELSE 'quantity'
        END,
        'open', security_id, o.quantity, t.quantity, coalesce(t.quantity, 0) - coalesce(o.quantity, 0),
        coalesce(t.quantity, 0) - coalesce(o.quantity, 0), c.as_of, c.as_of, 1, 1
    FROM ours AS o
    FULL JOIN theirs AS t USING (account_id, security_id)
    JOIN chosen AS c USING (account_id)
    WHERE coalesce(o.quantity, 0) <> coalesce(t.quantity, 0)
    RETURNING id, kind, ours, theirs, difference, remainder, as_of
)
INSERT INTO plain_events (break_id, run_id, event, kind, ours, theirs, difference, remainder, as_of)
SELECT id, 1, 'opened', kind, ours, theirs, difference, remainder, as_of FROM found;

-- name: find
-- Only finds the differences.
INSERT INTO bare_breaks
WITH {sides}
SELECT account_id, security_id, o.quantity, t.quantity
FROM ours AS o
FULL JOIN theirs AS t USING (account_id, security_id)
WHERE coalesce(o.quantity, 0) <> coalesce(t.quantity, 0);

-- name: match
WITH theirs AS (
    SELECT
        m.account_id, s.custodian_account_id, x.reference, x.trade_date, x.quantity, x.amount, x.currency, r.security_id
    FROM account_mappings AS m
    JOIN statements AS s USING (custodian_account_id)
    JOIN statement_transactions AS x ON x.statement_id = s.id
    JOIN instrument_securities AS r
        ON r.instrument_id = x.instrument_id AND x.trade_date BETWEEN r.valid_from AND r.valid_to
    WHERE m.account_id BETWEEN {first} AND {last} AND s.states_transactions AND s.state = 'accepted'
),
ours AS (
    SELECT * FROM book_transactions
    WHERE account_id BETWEEN {first} AND {last} AND trade_date BETWEEN DATE '{day}' - 62 AND DATE '{day}' + 14
),
by_id AS (
    SELECT nextval('transaction_match_number') AS match_id, t.custodian_account_id, t.reference, o.id
    FROM theirs AS t
    JOIN ours AS o ON (o.account_id, o.custodian_reference) = (t.account_id, t.reference)
),
by_figures AS (
    SELECT nextval('transaction_match_number') AS match_id, t.custodian_account_id, t.reference, o.id
    FROM (
        SELECT *, row_number() OVER (
            PARTITION BY account_id, security_id, trade_date, quantity, amount, currency ORDER BY reference
        ) AS place
        FROM theirs AS t
        WHERE NOT EXISTS (
            SELECT FROM by_id AS b
            WHERE (b.custodian_account_id, b.reference) = (t.custodian_account_id, t.reference)
        )
    ) AS t
    JOIN (
        SELECT *, row_number() OVER (
            PARTITION BY account_id, security_id, trade_date, quantity, amount, currency ORDER BY reference
        ) AS place
        FROM ours AS o
        WHERE NOT EXISTS (SELECT FROM by_id AS b WHERE b.id = o.id)
    ) AS o USING (account_id, security_id, trade_date, quantity, amount, currency, place)
),
matched AS (SELECT * FROM by_id UNION ALL SELECT * FROM by_figures),
kept AS (INSERT INTO plain_theirs SELECT custodian_account_id, reference, match_id FROM matched)
INSERT INTO plain_ours SELECT id, match_id FROM matched;
