-- Transactions that are breaks: what is left over on either side, and what was matched by id and has other figures.

-- name: their_leftovers
-- Only of days after the book's first version: what happened before is in that, and the book says nothing more of it.
INSERT INTO differences (
    group_id, account_id, custodian_account_id, calendar, as_of, book_as_of, statement_ids, subject, kind, security_id,
    currency, theirs, difference, remainder, evidence
)
SELECT
    t.group_id, c.account_id, t.custodian_account_id, c.calendar, c.as_of, c.book_as_of, ARRAY[t.statement_id],
    'custodian:' || t.reference, 'transaction_missing_in_book', t.security_id, t.currency,
    figure.theirs, figure.theirs, figure.theirs,
    jsonb_build_object('transaction', jsonb_strip_nulls(jsonb_build_object(
        'statement_id', x.statement_id, 'row', x.row, 'line', x.line, 'reference', x.reference, 'kind', x.kind,
        'trade_date', x.trade_date, 'settle_date', x.settle_date, 'quantity', x.quantity::text,
        'amount', x.amount::text, 'name', coalesce(i.name, i.scheme || ' ' || i.identifier),
        'description', nullif(x.description, '')
    )))
FROM their_rest AS t
JOIN compared AS c ON c.group_id = t.group_id AND c.is_first
CROSS JOIN LATERAL (
    SELECT * FROM statement_transactions WHERE statement_id = t.statement_id AND row = t.row OFFSET 0
) AS x
LEFT JOIN instruments AS i ON i.id = x.instrument_id
CROSS JOIN LATERAL (SELECT coalesce(nullif(t.amount, 0), t.quantity, 0) AS theirs) AS figure
WHERE EXISTS (
    SELECT
    FROM compared AS m
    JOIN book_snapshots AS b ON b.account_id = m.account_id AND b.as_of < t.trade_date
    WHERE m.group_id = t.group_id
    OFFSET 0
);

-- name: our_leftovers
-- Only on days whose transactions a statement lists, all of them: about others the custodian says nothing.
INSERT INTO differences (
    group_id, account_id, custodian_account_id, calendar, as_of, book_as_of, subject, kind, security_id, currency,
    ours, difference, remainder, evidence
)
SELECT
    o.group_id, c.account_id, c.custodian_account_id, c.calendar, c.as_of, c.book_as_of,
    'book:' || o.reference || CASE WHEN b.account_id = c.account_id THEN '' ELSE '@' || b.account_id END,
    'transaction_missing_at_custodian', o.security_id, o.currency,
    figure.ours, -figure.ours, -figure.ours,
    jsonb_build_object('transaction', jsonb_strip_nulls(jsonb_build_object(
        'book_transaction_id', b.id, 'reference', b.reference, 'kind', b.kind, 'trade_date', b.trade_date,
        'settle_date', b.settle_date, 'quantity', b.quantity::text, 'amount', b.amount::text,
        'description', nullif(b.description, '')
    )))
FROM our_rest AS o
JOIN compared AS c ON c.group_id = o.group_id AND c.is_first
CROSS JOIN LATERAL (SELECT * FROM book_transactions WHERE id = o.book_transaction_id OFFSET 0) AS b
CROSS JOIN LATERAL (SELECT coalesce(nullif(o.amount, 0), o.quantity) AS ours) AS figure
WHERE EXISTS (
    SELECT
    FROM compared_custodians AS k
    JOIN statements AS s USING (custodian_account_id)
    WHERE k.group_id = o.group_id AND s.state = 'accepted' AND s.as_of <= k.as_of
        AND s.as_of >= o.trade_date AND o.trade_date BETWEEN s.period_from AND s.period_to
    OFFSET 0
);

-- name: disagreements
-- Matched by id, and yet not the same; looked at again as long as the break stands.
INSERT INTO differences (
    group_id, account_id, custodian_account_id, calendar, as_of, book_as_of, statement_ids, subject, kind, security_id,
    currency, ours, theirs, difference, remainder, evidence
)
WITH asked AS (
    SELECT custodian_account_id, reference FROM newly_matched WHERE rule = 'id' AND NOT agrees
    UNION
    SELECT custodian_account_id, substr(subject, length('custodian:') + 1)
    FROM breaks
    WHERE account_id BETWEEN :first_account_id AND :last_account_id AND state <> 'closed' AND kind = 'transaction'
)
SELECT
    k.group_id, c.account_id, k.custodian_account_id, c.calendar, c.as_of, c.book_as_of, ARRAY[x.statement_id],
    'custodian:' || x.reference, 'transaction', b.security_id, x.currency,
    figure.ours, figure.theirs, figure.theirs - figure.ours, figure.theirs - figure.ours,
    jsonb_build_object('transaction', jsonb_strip_nulls(jsonb_build_object(
        'statement_id', x.statement_id, 'row', x.row, 'line', x.line, 'reference', x.reference, 'kind', x.kind,
        'trade_date', x.trade_date, 'settle_date', x.settle_date, 'quantity', x.quantity::text,
        'amount', x.amount::text, 'name', coalesce(i.name, i.scheme || ' ' || i.identifier)
    )), 'ours', jsonb_strip_nulls(jsonb_build_object(
        'book_transaction_id', b.id, 'reference', b.reference, 'kind', b.kind, 'trade_date', b.trade_date,
        'settle_date', b.settle_date, 'quantity', b.quantity::text, 'amount', b.amount::text, 'currency', b.currency
    )), 'differs', to_jsonb(array_remove(ARRAY[
        CASE WHEN differs.amount THEN 'amount' END, CASE WHEN differs.quantity THEN 'quantity' END,
        CASE WHEN differs.currency THEN 'currency' END, CASE WHEN differs.security THEN 'security' END
    ], NULL)))
FROM asked AS a
JOIN compared_custodians AS k USING (custodian_account_id)
JOIN compared AS c ON c.group_id = k.group_id AND c.is_first
CROSS JOIN LATERAL (
    SELECT match_id, statement_id, row FROM matched_statement_transactions
    WHERE custodian_account_id = a.custodian_account_id AND reference = a.reference AND rule = 'id'
    OFFSET 0
) AS m
CROSS JOIN LATERAL (
    SELECT book_transaction_id FROM matched_book_transactions WHERE match_id = m.match_id OFFSET 0
) AS n
CROSS JOIN LATERAL (
    SELECT * FROM statement_transactions WHERE statement_id = m.statement_id AND row = m.row OFFSET 0
) AS x
CROSS JOIN LATERAL (SELECT * FROM book_transactions WHERE id = n.book_transaction_id OFFSET 0) AS b
LEFT JOIN instruments AS i ON i.id = x.instrument_id
LEFT JOIN instrument_securities AS r
    ON r.instrument_id = x.instrument_id AND x.trade_date BETWEEN r.valid_from AND r.valid_to
CROSS JOIN LATERAL (
    SELECT
        x.amount IS NOT NULL AND abs(x.amount - b.amount) > coalesce((
            SELECT greatest(absolute, relative * greatest(abs(x.amount), abs(b.amount)))
            FROM tolerances
            WHERE figure = 'cash' AND coalesce(currency, x.currency) = x.currency
            ORDER BY currency IS NULL
            LIMIT 1
        ), 0) AS amount,
        x.quantity IS NOT NULL AND x.quantity <> b.quantity AS quantity,
        x.currency <> b.currency AS currency,
        r.security_id <> b.security_id AS security
) AS differs
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN differs.amount OR NOT differs.quantity THEN b.amount ELSE b.quantity END AS ours,
        CASE WHEN differs.amount OR NOT differs.quantity THEN coalesce(x.amount, b.amount) ELSE x.quantity END AS theirs
) AS figure
WHERE differs.amount OR differs.quantity OR differs.currency OR differs.security;
