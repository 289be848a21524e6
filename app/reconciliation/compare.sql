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
-- Nearly all rows agree one by one, which is found without adding up. Only groups in which a row does not, or that have
-- another number of rows on each side (a custodian may list one security several times, by lot or sub-account), are added
-- up; and groups of several accounts, which may hold one security several times themselves. OFFSET 0 has each statement
-- and each book looked up by its index, whatever the statistics say of tables that were just loaded.
INSERT INTO differences (
    group_id, account_id, custodian_account_id, calendar, as_of, book_as_of, statement_ids, subject, kind, security_id,
    currency, ours, theirs, difference, allowed
)
WITH stating AS (
    SELECT group_id FROM compared WHERE position_statements <> '{}'
),
their_rows AS NOT MATERIALIZED (
    SELECT
        c.group_id,
        r.security_id,
        CASE WHEN r.security_id IS NULL THEN p.instrument_id END AS instrument_id,
        r.instrument_id IS NOT NULL AND r.security_id IS NULL AS is_ambiguous,
        p.quantity
    FROM compared AS c
    CROSS JOIN unnest(c.position_statements) AS stated (statement_id)
    CROSS JOIN LATERAL (
        SELECT instrument_id, quantity FROM statement_positions WHERE statement_id = stated.statement_id OFFSET 0
    ) AS p
    LEFT JOIN instrument_securities AS r
        ON r.instrument_id = p.instrument_id AND c.as_of BETWEEN r.valid_from AND r.valid_to
),
our_rows AS NOT MATERIALIZED (
    SELECT c.group_id, b.security_id, b.quantity_traded AS quantity
    FROM compared AS c
    JOIN stating USING (group_id)
    CROSS JOIN LATERAL (
        SELECT security_id, quantity_traded FROM book_positions
        WHERE account_id = c.account_id AND as_of = c.book_as_of
        OFFSET 0
    ) AS b
),
suspects AS MATERIALIZED (
    SELECT group_id
    FROM (SELECT group_id, security_id, quantity AS theirs FROM their_rows) AS t
    FULL JOIN (SELECT group_id, security_id, quantity AS ours FROM our_rows) AS o USING (group_id, security_id)
    WHERE theirs IS DISTINCT FROM ours
    UNION
    SELECT group_id
    FROM (
        SELECT c.group_id, sum(p.rows) AS rows
        FROM compared AS c
        CROSS JOIN unnest(c.position_statements) AS stated (statement_id)
        CROSS JOIN LATERAL (
            SELECT count(*) AS rows FROM statement_positions WHERE statement_id = stated.statement_id
        ) AS p
        GROUP BY c.group_id
    ) AS t
    JOIN (
        SELECT c.group_id, sum(b.rows) AS rows
        FROM compared AS c
        CROSS JOIN LATERAL (
            SELECT count(*) AS rows FROM book_positions WHERE account_id = c.account_id AND as_of = c.book_as_of
        ) AS b
        GROUP BY c.group_id
    ) AS o USING (group_id)
    WHERE t.rows <> o.rows
    UNION
    SELECT group_id FROM compared WHERE account_id <> group_id
),
theirs AS (
    SELECT
        group_id,
        security_id,
        CASE WHEN security_id IS NULL THEN i.scheme || ':' || i.identifier END AS named,
        bool_or(is_ambiguous) AS is_ambiguous,
        sum(quantity) AS quantity
    FROM their_rows
    JOIN suspects USING (group_id)
    LEFT JOIN instruments AS i ON i.id = instrument_id
    GROUP BY 1, 2, 3
),
ours AS (
    SELECT group_id, security_id, sum(quantity) AS quantity
    FROM our_rows
    JOIN suspects USING (group_id)
    GROUP BY 1, 2
),
sides AS (
    SELECT
        group_id,
        coalesce('security:' || security_id, t.named) AS subject,
        security_id,
        coalesce(t.is_ambiguous, FALSE) AS is_ambiguous,
        nullif(o.quantity, 0) AS ours,
        nullif(t.quantity, 0) AS theirs,
        coalesce(t.quantity, 0) - coalesce(o.quantity, 0) AS difference
    FROM ours AS o
    FULL JOIN theirs AS t USING (group_id, security_id)
    WHERE coalesce(t.quantity, 0) <> coalesce(o.quantity, 0)
)
SELECT
    c.group_id,
    c.account_id,
    c.custodian_account_id,
    c.calendar,
    c.as_of,
    c.book_as_of,
    c.position_statements,
    sides.subject,
    CASE
        WHEN sides.is_ambiguous THEN 'ambiguous_security'
        WHEN sides.security_id IS NULL THEN 'unknown_security'
        WHEN sides.theirs IS NULL THEN 'missing_at_custodian'
        WHEN sides.ours IS NULL THEN 'missing_in_book'
        ELSE 'quantity'
    END,
    sides.security_id,
    s.currency,
    sides.ours,
    sides.theirs,
    sides.difference,
    coalesce(tolerance.allowed, 0)
FROM sides
JOIN compared AS c ON c.group_id = sides.group_id AND c.account_id = c.group_id
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
    group_id, account_id, custodian_account_id, calendar, as_of, book_as_of, statement_ids, subject, kind, currency,
    ours, theirs, difference, allowed
)
WITH theirs AS (
    SELECT c.group_id, s.currency, sum(s.amount) AS amount
    FROM compared AS c
    CROSS JOIN unnest(c.cash_statements) AS stated (statement_id)
    JOIN statement_cash AS s USING (statement_id)
    GROUP BY 1, 2
),
ours AS (
    SELECT c.group_id, b.currency, sum(b.amount_traded) AS amount
    FROM compared AS c
    JOIN book_cash AS b ON (b.account_id, b.as_of) = (c.account_id, c.book_as_of)
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
    theirs.amount - coalesce(ours.amount, 0),
    coalesce(tolerance.allowed, 0)
FROM theirs
JOIN compared AS c ON c.group_id = theirs.group_id AND c.account_id = c.group_id
LEFT JOIN ours ON (ours.group_id, ours.currency) = (theirs.group_id, theirs.currency)
LEFT JOIN LATERAL (
    SELECT greatest(absolute, relative * greatest(abs(ours.amount), abs(theirs.amount))) AS allowed
    FROM tolerances
    WHERE figure = 'cash' AND coalesce(currency, theirs.currency) = theirs.currency
    ORDER BY currency IS NULL
    LIMIT 1
) AS tolerance ON TRUE
WHERE abs(theirs.amount - coalesce(ours.amount, 0)) > coalesce(tolerance.allowed, 0);

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
