-- Matching the transactions of a shard, in the order in which it runs: by the custodian's own id; by equal figures; by
-- figures and dates that are near; whole groups by reference and sum. Every row is matched once: rows that were matched
-- are rows of `matched_book_transactions` and `matched_statement_transactions`, whose keys they are.

-- name: create_custodians
CREATE TEMPORARY TABLE IF NOT EXISTS compared_custodians (
    group_id bigint NOT NULL,
    custodian_account_id bigint NOT NULL,
    calendar text NOT NULL,
    as_of date NOT NULL,
    PRIMARY KEY (group_id, custodian_account_id)
) ON COMMIT DELETE ROWS;

-- name: create_business_days
-- Each day's number among the business days of its calendar; a day without business has that of the last one.
CREATE TEMPORARY TABLE IF NOT EXISTS business_days (
    calendar text NOT NULL,
    day date NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (calendar, day)
) ON COMMIT DELETE ROWS;

-- name: create_taken
CREATE TEMPORARY TABLE IF NOT EXISTS taken (
    statement_id bigint NOT NULL,
    group_id bigint NOT NULL,
    custodian_account_id bigint NOT NULL,
    as_of date NOT NULL,
    currency text NOT NULL,
    part smallint NOT NULL,
    -- Whether a later statement lists the transactions of this day anew.
    is_replaced boolean NOT NULL
) ON COMMIT DELETE ROWS;

-- name: create_theirs
CREATE TEMPORARY TABLE IF NOT EXISTS their_transactions (
    group_id bigint NOT NULL,
    custodian_account_id bigint NOT NULL,
    reference text NOT NULL,
    group_reference text NOT NULL,
    statement_id bigint NOT NULL,
    row bigint NOT NULL,
    as_of date NOT NULL,
    class text NOT NULL,
    security_id bigint,
    is_of_a_security boolean NOT NULL,
    -- Whether it says no more than that cash moved, as a bank's entry does: that may be of any class.
    is_of_any_class boolean NOT NULL,
    trade_date date NOT NULL,
    settle_date date,
    quantity numeric,
    amount numeric,
    currency text NOT NULL,
    -- The match that it has from before.
    match_id bigint
) ON COMMIT DELETE ROWS;

-- name: create_ours
CREATE TEMPORARY TABLE IF NOT EXISTS our_transactions (
    group_id bigint NOT NULL,
    book_transaction_id bigint NOT NULL,
    reference text NOT NULL,
    custodian_reference text,
    class text NOT NULL,
    security_id bigint,
    trade_date date NOT NULL,
    settle_date date NOT NULL,
    quantity numeric NOT NULL,
    amount numeric NOT NULL,
    currency text NOT NULL
) ON COMMIT DELETE ROWS;

-- name: create_their_rest
-- What no match has so far.
CREATE TEMPORARY TABLE IF NOT EXISTS their_rest (LIKE their_transactions) ON COMMIT DELETE ROWS;

-- name: create_our_rest
CREATE TEMPORARY TABLE IF NOT EXISTS our_rest (LIKE our_transactions) ON COMMIT DELETE ROWS;

-- name: create_matched
CREATE TEMPORARY TABLE IF NOT EXISTS newly_matched (
    match_id bigint NOT NULL,
    rule text NOT NULL,
    -- One of the two sides, or both.
    custodian_account_id bigint,
    reference text,
    statement_id bigint,
    row bigint,
    book_transaction_id bigint,
    -- Whether both say the same; always so where they were found by it.
    agrees boolean NOT NULL DEFAULT TRUE
) ON COMMIT DELETE ROWS;

-- name: create_candidates
CREATE TEMPORARY TABLE IF NOT EXISTS candidates (
    statement_id bigint NOT NULL,
    row bigint NOT NULL,
    book_transaction_id bigint NOT NULL,
    -- Less is better. It says the same whichever side is ours.
    place bigint NOT NULL
) ON COMMIT DELETE ROWS;

-- name: custodians
INSERT INTO compared_custodians (group_id, custodian_account_id, calendar, as_of)
SELECT c.group_id, coalesce(l.custodian_account_id, c.custodian_account_id), c.calendar, c.as_of
FROM compared AS c
LEFT JOIN (
    SELECT DISTINCT group_id, custodian_account_id
    FROM run_links
    WHERE run_id = :run_id AND group_id BETWEEN :first_account_id AND :last_account_id
) AS l USING (group_id)
WHERE c.is_first;

-- name: forget_business_days
DELETE FROM business_days;

-- name: business_days
INSERT INTO business_days (calendar, day, number)
SELECT calendar, day, number
FROM unnest(CAST(:calendars AS text[]), CAST(:days AS date[]), CAST(:numbers AS bigint[])) AS d (calendar, day, number);

-- name: take_up
-- Statements whose transactions were not looked at before. Several of a day that go on from each other are parts of it;
-- one replaces another of the same part.
INSERT INTO taken (statement_id, group_id, custodian_account_id, as_of, currency, part, is_replaced)
SELECT
    s.id, c.group_id, c.custodian_account_id, s.as_of, s.currency, s.part,
    EXISTS (
        SELECT FROM statements AS newer
        WHERE newer.custodian_account_id = c.custodian_account_id AND newer.as_of = s.as_of AND newer.id > s.id
            AND newer.currency = s.currency AND newer.part = s.part AND newer.state = 'accepted'
            AND newer.states_transactions
        OFFSET 0
    )
FROM compared_custodians AS c
CROSS JOIN LATERAL (
    SELECT id, as_of, currency, part FROM statements
    WHERE custodian_account_id = c.custodian_account_id AND states_transactions AND matched_run_id IS NULL
        AND state = 'accepted' AND as_of <= c.as_of
    OFFSET 0
) AS s;

-- name: has_work
SELECT EXISTS (SELECT FROM taken) OR EXISTS (
    SELECT FROM breaks
    WHERE account_id BETWEEN :first_account_id AND :last_account_id AND state <> 'closed' AND kind LIKE 'transaction%'
);

-- name: withdraw
-- A statement that replaces another one of the same part of a day takes back what it does not repeat.
WITH withdrawn AS (
    SELECT m.match_id
    FROM taken AS t
    CROSS JOIN LATERAL (
        SELECT id FROM statements
        WHERE custodian_account_id = t.custodian_account_id AND as_of = t.as_of AND currency = t.currency
            AND part = t.part AND id < t.statement_id AND matched_run_id IS NOT NULL
        OFFSET 0
    ) AS old
    CROSS JOIN LATERAL (
        SELECT reference FROM statement_transactions WHERE statement_id = old.id
        EXCEPT
        SELECT reference FROM statement_transactions WHERE statement_id = t.statement_id
    ) AS gone
    CROSS JOIN LATERAL (
        SELECT match_id FROM matched_statement_transactions
        WHERE custodian_account_id = t.custodian_account_id AND reference = gone.reference
        OFFSET 0
    ) AS m
),
ours AS (DELETE FROM matched_book_transactions WHERE match_id IN (SELECT match_id FROM withdrawn))
DELETE FROM matched_statement_transactions WHERE match_id IN (SELECT match_id FROM withdrawn);

-- name: theirs
-- New rows, and those that are breaks still unless a later statement of their day does not list them any more. OFFSET 0
-- has them, and what they were matched with, looked up by index: how many there are in all does not matter.
INSERT INTO their_transactions (
    group_id, custodian_account_id, reference, group_reference, statement_id, row, as_of, class, security_id,
    is_of_a_security, is_of_any_class, trade_date, settle_date, quantity, amount, currency, match_id
)
WITH looked_at AS (
    SELECT t.group_id, t.custodian_account_id, t.as_of, x.*
    FROM taken AS t
    CROSS JOIN LATERAL (SELECT * FROM statement_transactions WHERE statement_id = t.statement_id OFFSET 0) AS x
    WHERE NOT t.is_replaced
    UNION ALL
    SELECT c.group_id, c.custodian_account_id, s.as_of, x.*
    FROM breaks AS b
    JOIN compared_custodians AS c USING (custodian_account_id)
    CROSS JOIN LATERAL (
        SELECT * FROM statement_transactions
        WHERE statement_id = CAST(b.evidence #>> '{transaction,statement_id}' AS bigint)
            AND row = CAST(b.evidence #>> '{transaction,row}' AS bigint)
        OFFSET 0
    ) AS x
    CROSS JOIN LATERAL (SELECT * FROM statements WHERE id = x.statement_id OFFSET 0) AS s
    WHERE b.account_id BETWEEN :first_account_id AND :last_account_id AND b.state <> 'closed'
        AND b.kind = 'transaction_missing_in_book'
        AND NOT EXISTS (
            SELECT FROM statements AS newer
            WHERE newer.custodian_account_id = s.custodian_account_id AND newer.as_of = s.as_of AND newer.id > s.id
                AND newer.currency = s.currency AND newer.part = s.part AND newer.state = 'accepted'
                AND newer.states_transactions
            OFFSET 0
        )
)
SELECT
    x.group_id,
    x.custodian_account_id,
    x.reference,
    x.group_reference,
    x.statement_id,
    x.row,
    x.as_of,
    CASE
        WHEN x.kind IN ('buy', 'reinvest') THEN 'buy'
        WHEN x.kind IN ('income', 'interest', 'return_of_capital') THEN 'income'
        WHEN x.kind = 'expense' THEN 'fee'
        WHEN x.kind IN ('transfer', 'journal') THEN CASE WHEN x.instrument_id IS NULL THEN 'cash' ELSE 'transfer' END
        WHEN x.kind IN ('sell', 'split', 'cash') THEN x.kind
        ELSE 'other'
    END,
    r.security_id,
    x.instrument_id IS NOT NULL,
    x.kind = 'cash' AND x.instrument_id IS NULL,
    x.trade_date,
    x.settle_date,
    x.quantity,
    x.amount,
    x.currency,
    (
        SELECT m.match_id FROM matched_statement_transactions AS m
        WHERE m.custodian_account_id = x.custodian_account_id AND m.reference = x.reference
    )
FROM looked_at AS x
LEFT JOIN instrument_securities AS r
    ON r.instrument_id = x.instrument_id AND x.trade_date BETWEEN r.valid_from AND r.valid_to;

-- name: forget_repeated
-- Of a transaction that several statements list the last one counts.
DELETE FROM their_transactions AS t
USING (
    SELECT
        statement_id, row,
        row_number() OVER (
            PARTITION BY custodian_account_id, reference ORDER BY as_of DESC, statement_id DESC, row
        ) AS place
    FROM their_transactions
    JOIN (
        SELECT custodian_account_id, reference FROM their_transactions
        GROUP BY custodian_account_id, reference HAVING count(*) > 1
    ) AS repeated USING (custodian_account_id, reference)
) AS r
WHERE (t.statement_id, t.row) = (r.statement_id, r.row) AND r.place > 1;

-- name: unmatch
-- A transaction that was matched with other figures is matched anew.
WITH corrected AS (
    SELECT t.match_id
    FROM their_transactions AS t
    CROSS JOIN LATERAL (
        SELECT statement_id, row FROM matched_statement_transactions
        WHERE custodian_account_id = t.custodian_account_id AND reference = t.reference
        OFFSET 0
    ) AS m
    CROSS JOIN LATERAL (
        SELECT * FROM statement_transactions WHERE statement_id = m.statement_id AND row = m.row OFFSET 0
    ) AS old
    CROSS JOIN LATERAL (
        SELECT * FROM statement_transactions WHERE statement_id = t.statement_id AND row = t.row OFFSET 0
    ) AS new
    WHERE t.match_id IS NOT NULL
        AND (
            (old.kind, old.trade_date, old.quantity, old.amount, old.currency)
                IS DISTINCT FROM (new.kind, new.trade_date, new.quantity, new.amount, new.currency)
            OR old.instrument_id IS DISTINCT FROM new.instrument_id
        )
),
ours AS (DELETE FROM matched_book_transactions WHERE match_id IN (SELECT match_id FROM corrected)),
theirs AS (DELETE FROM matched_statement_transactions WHERE match_id IN (SELECT match_id FROM corrected))
UPDATE their_transactions SET match_id = NULL WHERE match_id IN (SELECT match_id FROM corrected);

-- name: forget_matched
DELETE FROM their_transactions WHERE match_id IS NOT NULL;

-- name: older_days
-- Of each calendar the first day of their rows, where that is before the business days that are known.
SELECT calendar, day
FROM (
    SELECT c.calendar, min(greatest(t.trade_date, c.as_of - CAST(:most_days AS integer))) AS day
    FROM their_transactions AS t
    JOIN compared AS c ON c.group_id = t.group_id AND c.is_first
    GROUP BY c.calendar
) AS oldest
WHERE day - 14 < (SELECT min(b.day) FROM business_days AS b WHERE b.calendar = oldest.calendar);

-- name: ours
-- Rows of the accounts that are looked at which are near in time: to the compared date, or to a row of theirs that is
-- older than that; and those that are breaks still, however old.
INSERT INTO our_transactions (
    group_id, book_transaction_id, reference, custodian_reference, class, security_id, trade_date, settle_date,
    quantity, amount, currency
)
WITH still_breaks AS (
    SELECT c.group_id, b.kind, CAST(b.evidence #>> '{transaction,book_transaction_id}' AS bigint) AS book_transaction_id
    FROM breaks AS b
    JOIN compared_custodians AS c USING (custodian_account_id)
    WHERE b.account_id BETWEEN :first_account_id AND :last_account_id AND b.state <> 'closed'
        AND b.kind LIKE 'transaction%'
),
near AS (
    SELECT
        group_id, c.account_id,
        c.as_of - CAST(:look_back_days AS integer) AS first_day,
        c.as_of + 14 AS last_day
    FROM compared AS c
    JOIN (SELECT group_id FROM taken UNION SELECT group_id FROM still_breaks) AS asked USING (group_id)
),
older AS (
    SELECT group_id, book_transaction_id FROM still_breaks WHERE kind = 'transaction_missing_at_custodian'
    UNION
    SELECT o.group_id, b.id
    FROM (
        SELECT DISTINCT n.group_id, n.account_id, t.trade_date
        FROM their_transactions AS t
        JOIN near AS n ON n.group_id = t.group_id AND t.trade_date - 14 < n.first_day
    ) AS o
    CROSS JOIN LATERAL (
        SELECT id FROM book_transactions
        WHERE account_id = o.account_id AND trade_date BETWEEN o.trade_date - 14 AND o.trade_date + 14
        OFFSET 0
    ) AS b
),
looked_at AS (
    SELECT n.group_id, b.*
    FROM near AS n
    CROSS JOIN LATERAL (
        SELECT * FROM book_transactions
        WHERE account_id = n.account_id AND trade_date BETWEEN n.first_day AND n.last_day
        OFFSET 0
    ) AS b
    UNION ALL
    SELECT o.group_id, b.*
    FROM older AS o
    CROSS JOIN LATERAL (SELECT * FROM book_transactions WHERE id = o.book_transaction_id OFFSET 0) AS b
    WHERE NOT EXISTS (
            SELECT FROM near AS n
            WHERE n.account_id = b.account_id AND b.trade_date BETWEEN n.first_day AND n.last_day
        )
)
SELECT
    b.group_id,
    b.id,
    b.reference,
    b.custodian_reference,
    CASE
        WHEN b.kind IN ('deposit', 'withdrawal') THEN 'cash'
        WHEN b.kind = 'transfer' AND b.security_id IS NULL THEN 'cash'
        ELSE b.kind
    END,
    b.security_id,
    b.trade_date,
    b.settle_date,
    b.quantity,
    b.amount,
    b.currency
FROM looked_at AS b
WHERE NOT EXISTS (SELECT FROM matched_book_transactions AS m WHERE m.book_transaction_id = b.id OFFSET 0);

-- name: match_by_id
-- An id that stands for several rows of a group stands for none.
INSERT INTO newly_matched (
    match_id, rule, custodian_account_id, reference, statement_id, row, book_transaction_id, agrees
)
SELECT
    nextval('transaction_match_number'), 'id', t.custodian_account_id, t.reference, t.statement_id, t.row,
    o.book_transaction_id,
    (t.quantity, t.amount, t.currency, t.security_id)
        IS NOT DISTINCT FROM (o.quantity, o.amount, o.currency, o.security_id)
FROM their_transactions AS t
JOIN our_transactions AS o ON (o.group_id, o.custodian_reference) = (t.group_id, t.reference)
WHERE (t.group_id, t.reference) NOT IN (
        SELECT group_id, reference FROM their_transactions GROUP BY group_id, reference HAVING count(*) > 1
    )
    AND (t.group_id, t.reference) NOT IN (
        SELECT group_id, custodian_reference FROM our_transactions
        WHERE custodian_reference IS NOT NULL
        GROUP BY group_id, custodian_reference HAVING count(*) > 1
    );

-- name: keep_their_rest
INSERT INTO their_rest
SELECT t.*
FROM their_transactions AS t
WHERE NOT EXISTS (SELECT FROM newly_matched AS m WHERE (m.statement_id, m.row) = (t.statement_id, t.row));

-- name: keep_our_rest
INSERT INTO our_rest
SELECT o.*
FROM our_transactions AS o
WHERE NOT EXISTS (SELECT FROM newly_matched AS m WHERE m.book_transaction_id = o.book_transaction_id);

-- name: match_by_figures
-- Rows that say the same are as good as each other: the first goes with the first.
WITH pairs AS (
    SELECT
        nextval('transaction_match_number') AS match_id, t.custodian_account_id, t.reference, t.statement_id, t.row,
        o.book_transaction_id
    FROM (
        SELECT
            *,
            row_number() OVER (
                PARTITION BY
                    group_id, class, security_id, trade_date, coalesce(quantity, 0), coalesce(amount, 0), currency
                ORDER BY reference, custodian_account_id
            ) AS place
        FROM their_rest
        WHERE security_id IS NOT NULL OR NOT is_of_a_security
    ) AS t
    JOIN (
        SELECT
            *,
            row_number() OVER (
                PARTITION BY group_id, class, security_id, trade_date, quantity, amount, currency
                ORDER BY reference, book_transaction_id
            ) AS place
        FROM our_rest
    ) AS o
        ON (o.group_id, o.class, coalesce(o.security_id, 0), o.trade_date, o.quantity, o.amount, o.currency, o.place)
            = (
                t.group_id, t.class, coalesce(t.security_id, 0), t.trade_date, coalesce(t.quantity, 0),
                coalesce(t.amount, 0), t.currency, t.place
            )
),
theirs AS (DELETE FROM their_rest AS t USING pairs AS p WHERE (t.statement_id, t.row) = (p.statement_id, p.row)),
ours AS (DELETE FROM our_rest AS o USING pairs AS p WHERE o.book_transaction_id = p.book_transaction_id)
INSERT INTO newly_matched (match_id, rule, custodian_account_id, reference, statement_id, row, book_transaction_id)
SELECT match_id, 'figures', custodian_account_id, reference, statement_id, row, book_transaction_id FROM pairs;

-- name: find_candidates
-- Pairs that may be the same: class, security and currency agree as far as both sides say, quantity and amount to the
-- tolerance, a date to the given number of business days. Those whose class and security both sides say come first.
INSERT INTO candidates (statement_id, row, book_transaction_id, place)
SELECT
    t.statement_id,
    t.row,
    o.book_transaction_id,
    row_number() OVER (
        ORDER BY
            CASE
                WHEN t.is_of_any_class THEN 3
                WHEN t.class <> o.class THEN 2
                WHEN t.security_id IS DISTINCT FROM o.security_id OR t.security_id IS NULL AND t.is_of_a_security THEN 1
                ELSE 0
            END,
            near.days,
            abs(coalesce(t.amount, o.amount) - o.amount) + abs(coalesce(t.quantity, o.quantity) - o.quantity),
            least(t.trade_date, o.trade_date),
            greatest(t.trade_date, o.trade_date),
            least(t.reference, o.reference),
            greatest(t.reference, o.reference),
            t.custodian_account_id,
            o.book_transaction_id
    )
FROM their_rest AS t
JOIN our_rest AS o
    ON (o.group_id, o.currency) = (t.group_id, t.currency)
    AND (t.class = o.class OR t.is_of_any_class OR o.class = 'other')
    AND (t.security_id = o.security_id OR NOT t.is_of_a_security OR o.security_id IS NULL)
    AND num_nonnulls(t.quantity, t.amount) > 0
JOIN compared AS c ON c.group_id = t.group_id AND c.is_first
LEFT JOIN securities AS s ON s.id = t.security_id
CROSS JOIN LATERAL (
    SELECT
        coalesce((
            SELECT greatest(absolute, relative * greatest(abs(t.quantity), abs(o.quantity)))
            FROM tolerances
            WHERE figure = 'quantity'
                AND coalesce(asset_class, s.asset_class) = s.asset_class
                AND coalesce(currency, s.currency) = s.currency
            ORDER BY asset_class IS NULL, currency IS NULL
            LIMIT 1
        ), 0) AS quantity,
        coalesce((
            SELECT greatest(absolute, relative * greatest(abs(t.amount), abs(o.amount)))
            FROM tolerances
            WHERE figure = 'cash' AND coalesce(currency, t.currency) = t.currency
            ORDER BY currency IS NULL
            LIMIT 1
        ), 0) AS amount
) AS allowed
CROSS JOIN LATERAL (
    SELECT min(abs(theirs.number - ours.number)) AS days
    FROM (VALUES (t.trade_date, o.trade_date), (t.trade_date, o.settle_date), (t.settle_date, o.settle_date))
        AS dates (their_date, our_date)
    JOIN business_days AS theirs ON (theirs.calendar, theirs.day) = (c.calendar, dates.their_date)
    JOIN business_days AS ours ON (ours.calendar, ours.day) = (c.calendar, dates.our_date)
) AS near
WHERE near.days <= :match_days
    AND (t.quantity IS NULL OR abs(t.quantity - o.quantity) <= allowed.quantity)
    AND (t.amount IS NULL OR abs(t.amount - o.amount) <= allowed.amount);

-- name: match_best
-- Pairs of which neither side has a better one; again until none is left.
WITH best AS (
    SELECT statement_id, row, book_transaction_id
    FROM (
        SELECT
            *,
            min(place) OVER (PARTITION BY statement_id, row) AS best_of_theirs,
            min(place) OVER (PARTITION BY book_transaction_id) AS best_of_ours
        FROM candidates
    ) AS ranked
    WHERE place = best_of_theirs AND place = best_of_ours
),
matched AS (
    INSERT INTO newly_matched (
        match_id, rule, custodian_account_id, reference, statement_id, row, book_transaction_id
    )
    SELECT
        nextval('transaction_match_number'), 'figures', t.custodian_account_id, t.reference, t.statement_id, t.row,
        b.book_transaction_id
    FROM best AS b
    JOIN their_rest AS t USING (statement_id, row)
),
theirs AS (DELETE FROM their_rest AS t USING best AS b WHERE (t.statement_id, t.row) = (b.statement_id, b.row)),
ours AS (DELETE FROM our_rest AS o USING best AS b WHERE o.book_transaction_id = b.book_transaction_id)
DELETE FROM candidates AS c
USING best AS b
WHERE (c.statement_id, c.row) = (b.statement_id, b.row) OR c.book_transaction_id = b.book_transaction_id;

-- name: match_groups
-- Several of ours that are one of theirs, or the other way round: they share a reference, and sum to the same. A fee may
-- be among them, but not all may be of another class.
WITH theirs AS (
    SELECT
        group_id, currency, security_id, shared,
        count(*) AS rows,
        coalesce(sum(quantity), 0) AS quantity,
        coalesce(sum(amount), 0) AS amount,
        array_agg(class) AS classes,
        bool_or(is_of_any_class) AS is_of_any_class,
        array_agg(statement_id) AS statement_ids,
        array_agg(row) AS row_numbers
    FROM (
        SELECT *, CASE WHEN :by_group THEN group_reference ELSE reference END AS shared FROM their_rest
    ) AS named
    WHERE shared <> '' AND (security_id IS NOT NULL OR NOT is_of_a_security)
    GROUP BY group_id, currency, security_id, shared
),
ours AS (
    SELECT
        group_id, currency, security_id, custodian_reference AS shared,
        count(*) AS rows,
        sum(quantity) AS quantity,
        sum(amount) AS amount,
        array_agg(class) AS classes,
        array_agg(book_transaction_id) AS book_transaction_ids
    FROM our_rest
    WHERE custodian_reference IS NOT NULL
    GROUP BY group_id, currency, security_id, custodian_reference
),
agreed AS (
    SELECT nextval('transaction_match_number') AS match_id, t.statement_ids, t.row_numbers, o.book_transaction_ids
    FROM theirs AS t
    JOIN ours AS o
        ON (o.group_id, o.currency, o.shared) = (t.group_id, t.currency, t.shared)
        AND o.security_id IS NOT DISTINCT FROM t.security_id
    WHERE (t.rows = 1 OR o.rows = 1)
        AND (t.classes && o.classes OR t.is_of_any_class OR 'other' = ANY (o.classes))
        AND t.quantity = o.quantity
        AND abs(t.amount - o.amount) <= coalesce((
            SELECT greatest(absolute, relative * greatest(abs(t.amount), abs(o.amount)))
            FROM tolerances
            WHERE figure = 'cash' AND coalesce(currency, t.currency) = t.currency
            ORDER BY currency IS NULL
            LIMIT 1
        ), 0)
),
their_places AS (
    SELECT a.match_id, place.statement_id, place.row
    FROM agreed AS a
    CROSS JOIN unnest(a.statement_ids, a.row_numbers) AS place (statement_id, row)
),
our_places AS (
    SELECT a.match_id, ours.book_transaction_id
    FROM agreed AS a
    CROSS JOIN unnest(a.book_transaction_ids) AS ours (book_transaction_id)
),
their_share AS (
    DELETE FROM their_rest AS t USING their_places AS p WHERE (t.statement_id, t.row) = (p.statement_id, p.row)
    RETURNING p.match_id, t.custodian_account_id, t.reference, t.statement_id, t.row
),
our_share AS (
    DELETE FROM our_rest AS o USING our_places AS p WHERE o.book_transaction_id = p.book_transaction_id
    RETURNING p.match_id, o.book_transaction_id
)
INSERT INTO newly_matched (match_id, rule, custodian_account_id, reference, statement_id, row, book_transaction_id)
SELECT match_id, 'group', custodian_account_id, reference, statement_id, row, NULL FROM their_share
UNION ALL
SELECT match_id, 'group', NULL, NULL, NULL, NULL, book_transaction_id FROM our_share;

-- name: keep_theirs
INSERT INTO matched_statement_transactions (
    custodian_account_id, reference, match_id, run_id, rule, statement_id, row
)
SELECT custodian_account_id, reference, match_id, :run_id, rule, statement_id, row
FROM newly_matched
WHERE statement_id IS NOT NULL;

-- name: keep_ours
INSERT INTO matched_book_transactions (book_transaction_id, match_id, run_id, rule)
SELECT book_transaction_id, match_id, :run_id, rule
FROM newly_matched
WHERE book_transaction_id IS NOT NULL;

-- name: done
UPDATE statements SET matched_run_id = :run_id WHERE id = ANY (ARRAY(SELECT statement_id FROM taken));
