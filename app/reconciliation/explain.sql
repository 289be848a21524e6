-- Why differences are as they are. A reason is a row that accounts for an amount of a difference; the reasons of one kind
-- are applied together, or one of them that accounts for all that is left. What they leave is an open break. A reason whose day has
-- passed is none: its day is after `lapse_as_of`, whatever its kind.

-- name: create_reasons
CREATE TEMPORARY TABLE IF NOT EXISTS reasons (
    custodian_account_id bigint NOT NULL,
    subject text NOT NULL,
    kind text NOT NULL,
    place bigint NOT NULL,
    -- Of theirs - ours.
    amount numeric NOT NULL,
    -- The day by which it comes true, if there is one.
    until date,
    -- Whether it is only believed when it accounts for all that is left.
    must_suffice boolean NOT NULL DEFAULT FALSE,
    row jsonb NOT NULL
) ON COMMIT DELETE ROWS;

-- name: evidence_of_cash
WITH stated AS (
    SELECT
        d.custodian_account_id, d.subject,
        jsonb_agg(
            jsonb_build_object('statement_id', c.statement_id, 'line', c.line, 'amount', c.amount::text)
            ORDER BY c.statement_id, c.row
        ) AS rows
    FROM differences AS d
    CROSS JOIN unnest(d.statement_ids) AS chosen (statement_id)
    JOIN statement_cash AS c ON (c.statement_id, c.currency) = (chosen.statement_id, d.currency)
    WHERE d.kind = 'cash'
    GROUP BY d.custodian_account_id, d.subject
),
settled AS (
    SELECT d.custodian_account_id, d.subject, sum(b.amount_settled) AS figure
    FROM differences AS d
    JOIN compared AS c USING (group_id)
    JOIN book_cash AS b ON (b.account_id, b.as_of, b.currency) = (c.account_id, c.book_as_of, d.currency)
    WHERE d.kind = 'cash'
    GROUP BY d.custodian_account_id, d.subject
)
UPDATE differences AS d
SET evidence = d.evidence || jsonb_strip_nulls(jsonb_build_object(
    'ours_settled', settled.figure::text, 'statement_ids', to_jsonb(d.statement_ids), 'statement_rows', stated.rows
))
FROM stated
LEFT JOIN settled USING (custodian_account_id, subject)
WHERE (d.custodian_account_id, d.subject) = (stated.custodian_account_id, stated.subject);

-- name: reason_unsettled
-- The custodian books on the settle date what the book has had since the trade date: trades, and income since its ex-date.
-- A trade that the version of the book does not hold yet explains nothing of it.
INSERT INTO reasons (custodian_account_id, subject, kind, place, amount, until, row)
SELECT
    d.custodian_account_id, d.subject,
    CASE WHEN t.kind = 'income' THEN 'accrued_income' ELSE 'unsettled_trades' END,
    row_number() OVER (PARTITION BY d.custodian_account_id, d.subject ORDER BY t.trade_date, t.reference, t.id),
    -moved.figure, t.settle_date,
    jsonb_build_object(
        'reference', t.reference, 'kind', t.kind, 'trade_date', t.trade_date, 'settle_date', t.settle_date,
        'quantity', t.quantity::text, 'amount', t.amount::text
    )
FROM differences AS d
JOIN compared AS c USING (group_id)
JOIN book_transactions AS t ON t.account_id = c.account_id
    AND t.settle_date > c.lapse_as_of AND t.trade_date <= c.book_as_of
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN d.kind = 'cash' THEN CASE WHEN t.currency = d.currency THEN t.amount END
        WHEN d.kind = 'transaction_missing_at_custodian' THEN CASE
            WHEN t.id = CAST(d.evidence #>> '{transaction,book_transaction_id}' AS bigint) THEN d.ours
        END
        WHEN t.security_id = d.security_id THEN t.quantity
    END AS figure
) AS moved
WHERE d.kind IN ('cash', 'quantity', 'missing_at_custodian', 'missing_in_book', 'transaction_missing_at_custodian')
    AND moved.figure <> 0;

-- name: reason_split
-- One side has booked a split that the other has not; fractions of a unit may have been paid in cash. Of ours may be what
-- it is, or what unsettled trades leave of it: all of them, or one.
INSERT INTO reasons (custodian_account_id, subject, kind, place, amount, until, must_suffice, row)
SELECT
    d.custodian_account_id, d.subject, 'split', s.id, d.theirs - settled.ours, late.day, TRUE,
    jsonb_build_object(
        'reference', s.reference, 'ex_date', s.ex_date, 'new_units', s.new_units::text, 'old_units', s.old_units::text,
        'booked_by', ratio.booked_by, 'amount', (d.theirs - settled.ours)::text
    )
FROM differences AS d
JOIN compared AS c ON (c.group_id, c.account_id) = (d.group_id, d.account_id)
JOIN corporate_actions AS s ON s.security_id = d.security_id AND s.kind = 'split'
JOIN business_days AS ex ON (ex.calendar, ex.day) = (d.calendar, s.ex_date)
JOIN LATERAL (
    SELECT min(day) AS day FROM business_days WHERE calendar = d.calendar AND number = ex.number + :patience_days
) AS late ON TRUE
CROSS JOIN LATERAL (
    SELECT coalesce(d.ours, 0) AS ours
    UNION
    SELECT coalesce(d.ours, 0) + sum(amount)
    FROM reasons
    WHERE (custodian_account_id, subject, kind) = (d.custodian_account_id, d.subject, 'unsettled_trades')
    UNION
    SELECT coalesce(d.ours, 0) + amount
    FROM reasons
    WHERE (custodian_account_id, subject, kind) = (d.custodian_account_id, d.subject, 'unsettled_trades')
) AS settled
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN d.theirs * s.old_units = settled.ours * s.new_units THEN 'custodian'
        WHEN d.theirs = trunc(settled.ours * s.new_units / s.old_units) THEN 'custodian'
        WHEN settled.ours * s.old_units = d.theirs * s.new_units THEN 'book'
        WHEN settled.ours = trunc(d.theirs * s.new_units / s.old_units) THEN 'book'
    END AS booked_by
) AS ratio
WHERE d.kind IN ('quantity', 'missing_in_book') AND settled.ours <> 0 AND ratio.booked_by IS NOT NULL
    AND s.ex_date <= d.as_of AND late.day > c.lapse_as_of;

-- name: reason_accrued
-- The custodian counts a dividend or interest from its ex-date on as cash; the book knows nothing of it yet. Who had the
-- security before the ex-date gets it: what the book has, less what it has traded since, each in units of the ex-date.
-- A split is told by the book's own row of it, or where there is none by its announcement. (PostgreSQL has no product:
-- logarithms are added, with more decimals than a quantity has.)
INSERT INTO reasons (custodian_account_id, subject, kind, place, amount, until, must_suffice, row)
WITH asked AS MATERIALIZED (
    SELECT d.custodian_account_id, d.subject, d.currency, d.as_of, c.account_id, c.book_as_of, c.lapse_as_of
    FROM differences AS d
    JOIN compared AS c USING (group_id)
    WHERE d.kind = 'cash'
),
unpaid AS MATERIALIZED (
    SELECT id, security_id, currency, ex_date, pay_date
    FROM corporate_actions
    WHERE kind <> 'split'
        AND ex_date <= (SELECT max(as_of) FROM asked) AND pay_date > (SELECT min(lapse_as_of) FROM asked)
),
moved AS (
    SELECT a.*, p.security_id, NULL::date AS trade_date, a.book_as_of AS day, FALSE AS is_split, p.quantity
    FROM asked AS a
    CROSS JOIN LATERAL (
        SELECT security_id, quantity_traded AS quantity FROM book_positions
        WHERE account_id = a.account_id AND as_of = a.book_as_of
        OFFSET 0
    ) AS p
    UNION ALL
    SELECT a.*, t.security_id, t.trade_date, t.trade_date, t.kind = 'split', -t.quantity
    FROM asked AS a
    CROSS JOIN LATERAL (
        SELECT security_id, trade_date, kind, quantity FROM book_transactions
        WHERE account_id = a.account_id AND trade_date BETWEEN (SELECT min(ex_date) FROM unpaid) AND a.book_as_of
            AND quantity <> 0
        OFFSET 0
    ) AS t
),
entitled AS (
    SELECT
        m.custodian_account_id, m.subject, s.id,
        trim_scale(round(sum(m.quantity * coalesce(split.old_for_new, 1)), 12)) AS quantity
    FROM moved AS m
    JOIN unpaid AS s ON (s.security_id, s.currency) = (m.security_id, m.currency)
        AND s.ex_date <= m.as_of AND s.pay_date > m.lapse_as_of
    CROSS JOIN LATERAL (
        SELECT exp(sum(ln(round(x.old_units, 40)) - ln(round(x.new_units, 40)))) AS old_for_new
        FROM corporate_actions AS x
        WHERE x.security_id = s.security_id AND x.kind = 'split' AND x.ex_date > s.ex_date AND x.ex_date <= m.day
            AND NOT EXISTS (
                SELECT FROM book_transactions AS t
                WHERE t.account_id = m.account_id AND t.security_id = s.security_id AND t.kind = 'split'
                    AND t.trade_date BETWEEN x.ex_date AND m.book_as_of
                OFFSET 0
            )
    ) AS split
    WHERE (m.trade_date IS NULL OR m.trade_date >= s.ex_date + CASE WHEN m.is_split THEN 1 ELSE 0 END)
        AND NOT EXISTS (
            SELECT FROM book_transactions AS t
            WHERE t.account_id = m.account_id AND t.kind = 'income' AND t.security_id = s.security_id
                AND t.trade_date BETWEEN s.ex_date AND m.book_as_of
            OFFSET 0
        )
    GROUP BY m.custodian_account_id, m.subject, s.id
)
SELECT
    e.custodian_account_id, e.subject, 'accrued_income', 1000000 + s.id, e.quantity * s.amount, s.pay_date, TRUE,
    jsonb_build_object(
        'reference', s.reference, 'kind', s.kind, 'ex_date', s.ex_date, 'pay_date', s.pay_date,
        'quantity', e.quantity::text, 'a_unit', s.amount::text, 'amount', (e.quantity * s.amount)::text
    )
FROM entitled AS e
JOIN corporate_actions AS s USING (id)
WHERE e.quantity <> 0;

-- name: reason_fee
-- A fee that the custodian has taken and the book does not know yet.
INSERT INTO reasons (custodian_account_id, subject, kind, place, amount, until, row)
SELECT
    d.custodian_account_id, d.subject, 'fee',
    row_number() OVER (PARTITION BY d.custodian_account_id, d.subject ORDER BY x.trade_date, x.reference),
    x.amount, late.day,
    jsonb_build_object(
        'statement_id', x.statement_id, 'line', x.line, 'reference', x.reference, 'kind', x.kind,
        'trade_date', x.trade_date, 'amount', x.amount::text, 'description', x.description
    )
FROM differences AS d
JOIN compared AS c ON (c.group_id, c.account_id) = (d.group_id, d.account_id)
JOIN differences AS f ON f.group_id = d.group_id AND f.kind = 'transaction_missing_in_book' AND f.currency = d.currency
CROSS JOIN LATERAL (
    SELECT * FROM statement_transactions
    WHERE statement_id = CAST(f.evidence #>> '{transaction,statement_id}' AS bigint)
        AND row = CAST(f.evidence #>> '{transaction,row}' AS bigint)
    OFFSET 0
) AS x
JOIN business_days AS taken ON (taken.calendar, taken.day) = (d.calendar, x.trade_date)
JOIN LATERAL (
    SELECT min(day) AS day FROM business_days WHERE calendar = d.calendar AND number = taken.number + :patience_days
) AS late ON TRUE
WHERE d.kind = 'cash' AND x.kind IN ('expense', 'interest') AND x.amount < 0
    AND x.trade_date <= d.as_of AND late.day > c.lapse_as_of;

-- name: reason_fx_rounding
-- Amounts that were converted, matched with each other, and rounded by each side in its own way: of cash all of them, and
-- the transaction itself, if nothing else of it differs.
INSERT INTO reasons (custodian_account_id, subject, kind, place, amount, row)
SELECT
    d.custodian_account_id, d.subject, 'fx_rounding',
    row_number() OVER (PARTITION BY d.custodian_account_id, d.subject ORDER BY x.trade_date, x.reference),
    x.amount - b.amount,
    jsonb_build_object(
        'statement_id', x.statement_id, 'line', x.line, 'reference', x.reference, 'trade_date', x.trade_date,
        'ours', b.amount::text, 'theirs', x.amount::text, 'amount', (x.amount - b.amount)::text,
        'rate', coalesce(x.fx_rate, b.fx_rate)::text
    )
FROM differences AS d
CROSS JOIN LATERAL (
    SELECT m.statement_id, m.row, n.book_transaction_id
    FROM compared_custodians AS k
    CROSS JOIN LATERAL (
        SELECT match_id, statement_id, row FROM matched_statement_transactions
        WHERE custodian_account_id = k.custodian_account_id AND rule IN ('id', 'figures')
        OFFSET 0
    ) AS m
    CROSS JOIN LATERAL (
        SELECT book_transaction_id FROM matched_book_transactions WHERE match_id = m.match_id OFFSET 0
    ) AS n
    WHERE d.kind = 'cash' AND k.group_id = d.group_id
    UNION ALL
    SELECT
        CAST(d.evidence #>> '{transaction,statement_id}' AS bigint), CAST(d.evidence #>> '{transaction,row}' AS bigint),
        CAST(d.evidence #>> '{ours,book_transaction_id}' AS bigint)
    WHERE d.kind = 'transaction' AND d.evidence -> 'differs' = '["amount"]'
) AS m
CROSS JOIN LATERAL (
    SELECT * FROM statement_transactions WHERE statement_id = m.statement_id AND row = m.row OFFSET 0
) AS x
CROSS JOIN LATERAL (SELECT * FROM book_transactions WHERE id = m.book_transaction_id OFFSET 0) AS b
WHERE d.kind IN ('cash', 'transaction') AND x.currency = d.currency AND b.currency = d.currency
    AND coalesce(x.fx_rate, b.fx_rate) IS NOT NULL
    AND (d.kind = 'transaction' OR x.trade_date <= d.as_of AND b.trade_date <= d.book_as_of)
    AND x.amount <> b.amount
    AND abs(x.amount - b.amount) <= CASE WHEN d.currency = ANY (CAST(:whole_currencies AS text[])) THEN 1 ELSE 0.01 END;

-- name: apply
-- Of splits one at a time: each accounts for what it leaves of ours, or of what unsettled trades leave. Trades that leave
-- exactly a split's amount suffice with it, even if they make the difference larger.
WITH short AS (
    SELECT custodian_account_id, subject, remainder, allowed
    FROM differences
    WHERE abs(remainder) > allowed
),
offers AS (
    SELECT
        custodian_account_id, subject, 0 AS single, sum(amount) AS amount, max(until) AS until, min(until) AS first_until,
        jsonb_agg(row ORDER BY place) AS rows, bool_or(must_suffice) AS must_suffice
    FROM reasons
    WHERE kind = :kind AND kind <> 'split'
    GROUP BY custodian_account_id, subject
    UNION ALL
    SELECT custodian_account_id, subject, place, amount, until, until, jsonb_build_array(row), TRUE
    FROM reasons
    WHERE kind = :kind
),
chosen_offers AS (
    SELECT DISTINCT ON (custodian_account_id, subject) *
    FROM offers AS o
    JOIN short AS s USING (custodian_account_id, subject)
    CROSS JOIN LATERAL (
        SELECT
            abs(s.remainder - o.amount) <= s.allowed AS alone,
            :kind = 'unsettled_trades' AND EXISTS (
                SELECT FROM reasons AS r
                WHERE (r.custodian_account_id, r.subject, r.kind) = (o.custodian_account_id, o.subject, 'split')
                    AND r.amount = s.remainder - o.amount
            ) AS with_split
    ) AS suffices
    WHERE suffices.alone OR suffices.with_split OR NOT o.must_suffice AND abs(s.remainder - o.amount) < abs(s.remainder)
    ORDER BY custodian_account_id, subject, NOT suffices.alone, NOT suffices.with_split, o.single
)
UPDATE differences AS d
SET
    remainder = d.remainder - o.amount,
    explanations = d.explanations || jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
        'kind', CAST(:kind AS text), 'amount', o.amount::text, 'until', o.until,
        'first_until', nullif(o.first_until, o.until), 'rows', o.rows
    ))),
    expected_by = greatest(d.expected_by, o.until)
FROM chosen_offers AS o
WHERE (d.custodian_account_id, d.subject) = (o.custodian_account_id, o.subject);

-- name: round
-- Both sides are written with different numbers of decimals, and agree to half a unit of the coarser one.
UPDATE differences AS d
SET
    remainder = 0,
    explanations = d.explanations || jsonb_build_array(jsonb_build_object(
        'kind', 'rounding', 'amount', d.remainder::text,
        'rows', jsonb_build_array(jsonb_build_object(
            'coarser', CASE WHEN scale(d.ours) < scale(d.theirs) THEN 'ours' ELSE 'theirs' END,
            'decimals', coarser.decimals, 'amount', d.remainder::text
        ))
    ))
FROM differences AS x
CROSS JOIN LATERAL (SELECT least(scale(x.ours), scale(x.theirs)) AS decimals) AS coarser
WHERE (d.custodian_account_id, d.subject) = (x.custodian_account_id, x.subject)
    AND x.kind IN ('quantity', 'cash')
    AND abs(x.remainder) > x.allowed
    AND scale(x.ours) <> scale(x.theirs)
    AND coarser.decimals >= CASE
        WHEN x.kind = 'cash' AND x.currency = ANY (CAST(:whole_currencies AS text[])) THEN 0
        ELSE 2
    END
    AND abs(x.remainder) <= 0.5 * 10::numeric ^ (-coarser.decimals);
