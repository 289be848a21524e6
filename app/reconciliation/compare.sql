-- What does not agree: positions, cash, and statements that are past their time. Figures of the book are on trade-date
-- basis; what is not yet settled is then found as an explanation.

-- name: create_differences
-- What the shard found, for the statements that follow.
CREATE TEMPORARY TABLE IF NOT EXISTS differences (
    group_id bigint NOT NULL,
    account_id bigint NOT NULL,
    custodian_account_id bigint NOT NULL,
    calendar text NOT NULL,
    as_of date NOT NULL,
    book_as_of date,
    statement_ids bigint[] NOT NULL DEFAULT '{}',
    subject text NOT NULL,
    kind text NOT NULL,
    security_id bigint,
    currency text,
    ours numeric,
    theirs numeric,
    difference numeric,
    -- How much of a difference is tolerated.
    allowed numeric NOT NULL DEFAULT 0,
    -- What explanations leave of the difference.
    remainder numeric,
    explanations jsonb NOT NULL DEFAULT '[]',
    expected_by date,
    value numeric,
    valuation jsonb NOT NULL DEFAULT '{}',
    evidence jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (custodian_account_id, subject)
) ON COMMIT DELETE ROWS;

-- name: compare_positions
-- Nearly all groups agree, which is found without joining their rows: both sides of a group that agrees have the same
-- number of rows, and the hashes of their quantities, each seeded with its security, have the same sum. (That of a group
-- that does not agree is the same once in 10^19. PostgreSQL's hash of a numeric leaves out its sign and mixes its magnitude
-- in badly; two quintillions on top, and all quantities that the tables take have one sign and one magnitude.)
-- Only groups in which they do not are added up: those in which a row disagrees, those in which a custodian lists one
-- security several times, by lot or sub-account; and groups of several accounts, which may hold one several times
-- themselves. OFFSET 0 has each statement and each book looked up by its index, whatever the statistics say of tables
-- that were just loaded.
INSERT INTO differences (
    group_id, account_id, custodian_account_id, calendar, as_of, book_as_of, statement_ids, subject, kind, security_id,
    currency, ours, theirs, difference, remainder, allowed, evidence
)
WITH their_sums AS (
    SELECT c.group_id, count(*) AS rows, sum(hash_numeric_extended(p.quantity + 2e18, r.security_id)) AS hashes
    FROM compared AS c
    CROSS JOIN unnest(c.position_statements) AS stated (statement_id)
    CROSS JOIN LATERAL (
        SELECT instrument_id, quantity FROM statement_positions WHERE statement_id = stated.statement_id OFFSET 0
    ) AS p
    LEFT JOIN instrument_securities AS r
        ON r.instrument_id = p.instrument_id AND c.as_of BETWEEN r.valid_from AND r.valid_to
    GROUP BY c.group_id
),
suspects AS MATERIALIZED (
    SELECT c.group_id
    FROM compared AS c
    LEFT JOIN their_sums AS t USING (group_id)
    CROSS JOIN LATERAL (
        SELECT count(*) AS rows, sum(hash_numeric_extended(quantity_traded + 2e18, security_id)) AS hashes
        FROM book_positions
        WHERE account_id = c.account_id AND as_of = c.book_as_of
    ) AS o
    WHERE c.position_statements <> '{}' AND (t.rows, t.hashes) IS DISTINCT FROM (o.rows, o.hashes)
    UNION
    SELECT group_id FROM compared WHERE NOT is_first
),
looked_at AS MATERIALIZED (
    SELECT c.*, bool_or(c.position_statements <> '{}') OVER (PARTITION BY c.group_id) AS states_positions
    FROM compared AS c
    JOIN suspects USING (group_id)
),
both_sides AS (
    SELECT
        c.group_id, r.security_id,
        CASE
            WHEN r.security_id IS NULL
                THEN (SELECT scheme || ':' || identifier FROM instruments WHERE id = p.instrument_id)
        END AS named,
        r.instrument_id IS NOT NULL AND r.security_id IS NULL AS is_ambiguous,
        0 AS ours, p.quantity AS theirs, p.statement_id, p.row
    FROM looked_at AS c
    CROSS JOIN unnest(c.position_statements) AS stated (statement_id)
    CROSS JOIN LATERAL (
        SELECT statement_id, row, instrument_id, quantity FROM statement_positions
        WHERE statement_id = stated.statement_id
        OFFSET 0
    ) AS p
    LEFT JOIN instrument_securities AS r
        ON r.instrument_id = p.instrument_id AND c.as_of BETWEEN r.valid_from AND r.valid_to
    UNION ALL
    SELECT c.group_id, b.security_id, NULL, FALSE, b.quantity_traded, 0, NULL, NULL
    FROM looked_at AS c
    CROSS JOIN LATERAL (
        SELECT security_id, quantity_traded FROM book_positions
        WHERE account_id = c.account_id AND as_of = c.book_as_of
        OFFSET 0
    ) AS b
    WHERE c.states_positions
),
sides AS (
    SELECT
        group_id,
        coalesce('security:' || security_id, named) AS subject,
        security_id,
        bool_or(is_ambiguous) AS is_ambiguous,
        nullif(sum(ours), 0) AS ours,
        nullif(sum(theirs), 0) AS theirs,
        sum(theirs) - sum(ours) AS difference,
        array_agg(statement_id) AS their_statements,
        array_agg(row) AS their_rows
    FROM both_sides
    GROUP BY group_id, security_id, named
    HAVING sum(theirs) <> sum(ours)
),
-- Where theirs stands in the files, and what of ours has settled. Figures as text: JSON's readers make floats of numbers.
found AS MATERIALIZED (
    SELECT sides.*, s.currency, coalesce(tolerance.allowed, 0) AS allowed
    FROM sides
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
    WHERE abs(sides.difference) > coalesce(tolerance.allowed, 0)
),
settled AS (
    SELECT f.group_id, f.security_id, sum(b.quantity) AS quantity
    FROM found AS f
    JOIN looked_at AS c USING (group_id)
    CROSS JOIN LATERAL (
        SELECT quantity_settled AS quantity FROM book_positions
        WHERE account_id = c.account_id AND as_of = c.book_as_of AND security_id = f.security_id
        OFFSET 0
    ) AS b
    GROUP BY f.group_id, f.security_id
)
SELECT
    c.group_id,
    c.account_id,
    c.custodian_account_id,
    c.calendar,
    c.as_of,
    c.book_as_of,
    c.position_statements,
    f.subject,
    CASE
        WHEN f.is_ambiguous THEN 'ambiguous_security'
        WHEN f.security_id IS NULL THEN 'unknown_security'
        WHEN f.theirs IS NULL THEN 'missing_at_custodian'
        WHEN f.ours IS NULL THEN 'missing_in_book'
        ELSE 'quantity'
    END,
    f.security_id,
    coalesce(f.currency, stated.currency),
    f.ours,
    f.theirs,
    f.difference,
    f.difference,
    f.allowed,
    jsonb_strip_nulls(jsonb_build_object(
        'ours_settled', settled.quantity::text,
        'statement_ids', to_jsonb(c.position_statements),
        'statement_rows', stated.rows
    ))
FROM found AS f
JOIN looked_at AS c ON c.group_id = f.group_id AND c.is_first
CROSS JOIN LATERAL (
    SELECT
        min(p.currency) AS currency,
        jsonb_agg(
            jsonb_build_object(
                'statement_id', p.statement_id, 'line', p.line, 'quantity', p.quantity::text,
                'scheme', i.scheme, 'identifier', i.identifier, 'name', i.name, 'price', p.price::text,
                'market_value', p.market_value::text, 'currency', p.currency,
                'candidates', CASE
                    WHEN f.is_ambiguous THEN (
                        SELECT jsonb_agg(s.code ORDER BY s.code)
                        FROM instrument_securities AS r
                        JOIN securities AS s ON s.id = ANY (r.candidates)
                        WHERE r.instrument_id = p.instrument_id AND c.as_of BETWEEN r.valid_from AND r.valid_to
                    )
                END
            )
            ORDER BY p.statement_id, p.row
        ) AS rows
    FROM unnest(f.their_statements, f.their_rows) AS place (statement_id, row)
    CROSS JOIN LATERAL (
        SELECT * FROM statement_positions WHERE statement_id = place.statement_id AND row = place.row OFFSET 0
    ) AS p
    CROSS JOIN LATERAL (SELECT * FROM instruments WHERE id = p.instrument_id OFFSET 0) AS i
) AS stated
LEFT JOIN settled ON (settled.group_id, settled.security_id) = (f.group_id, f.security_id);

-- name: compare_cash
-- Only currencies that the statement speaks of: its silence about another one is not zero.
INSERT INTO differences (
    group_id, account_id, custodian_account_id, calendar, as_of, book_as_of, statement_ids, subject, kind, currency,
    ours, theirs, difference, remainder, allowed
)
WITH theirs AS (
    SELECT c.group_id, s.currency, sum(s.amount) AS amount
    FROM compared AS c
    CROSS JOIN unnest(c.cash_statements) AS stated (statement_id)
    CROSS JOIN LATERAL (
        SELECT currency, amount FROM statement_cash WHERE statement_id = stated.statement_id OFFSET 0
    ) AS s
    GROUP BY 1, 2
),
ours AS (
    SELECT c.group_id, b.currency, sum(b.amount_traded) AS amount
    FROM (SELECT DISTINCT group_id FROM theirs) AS stated
    JOIN compared AS c USING (group_id)
    CROSS JOIN LATERAL (
        SELECT currency, amount_traded FROM book_cash WHERE account_id = c.account_id AND as_of = c.book_as_of OFFSET 0
    ) AS b
    GROUP BY 1, 2
)
SELECT
    c.group_id,
    c.account_id,
    c.custodian_account_id,
    c.calendar,
    c.as_of,
    c.book_as_of,
    c.cash_statements,
    'currency:' || theirs.currency,
    'cash',
    theirs.currency,
    ours.amount,
    theirs.amount,
    difference.amount,
    difference.amount,
    coalesce(tolerance.allowed, 0)
FROM theirs
JOIN compared AS c ON c.group_id = theirs.group_id AND c.is_first
LEFT JOIN ours ON (ours.group_id, ours.currency) = (theirs.group_id, theirs.currency)
CROSS JOIN LATERAL (SELECT theirs.amount - coalesce(ours.amount, 0) AS amount) AS difference
LEFT JOIN LATERAL (
    SELECT greatest(absolute, relative * greatest(abs(ours.amount), abs(theirs.amount))) AS allowed
    FROM tolerances
    WHERE figure = 'cash' AND coalesce(currency, theirs.currency) = theirs.currency
    ORDER BY currency IS NULL
    LIMIT 1
) AS tolerance ON TRUE
WHERE abs(difference.amount) > coalesce(tolerance.allowed, 0);

-- name: check_statements
-- A regular statement that is past its time.
INSERT INTO differences (group_id, account_id, custodian_account_id, calendar, as_of, subject, kind, evidence)
SELECT
    r.group_id,
    r.account_id,
    r.custodian_account_id,
    a.calendar,
    r.due_as_of,
    'statement',
    CASE WHEN r.statement_ids = '{}' THEN 'missing_statement' ELSE 'stale_statement' END,
    jsonb_build_object(
        'expected', r.due_as_of,
        'newest', CASE WHEN r.statement_ids <> '{}' THEN r.as_of END,
        'held_statement_id', r.held_statement_id
    )
FROM run_accounts AS r
JOIN accounts AS a ON a.id = r.account_id
WHERE r.run_id = :run_id AND r.account_id BETWEEN :first_account_id AND :last_account_id
    AND r.account_id = r.group_id
    AND r.due_as_of IS NOT NULL
    AND r.outcome <> 'already_newer'
    AND (r.statement_ids = '{}' OR r.as_of < r.due_as_of);
