-- Which statements and which version of the book a shard compares, in the order in which it runs. Every statement works on
-- all groups of the shard at once. A group is an account, or all accounts that mappings link with each other; its id is
-- that of its first account.

-- name: lock_book
-- The book may not change between two statements of a shard; its import takes this lock for itself.
SELECT pg_advisory_xact_lock_shared(hashtext('value-partner book'));

-- name: work_memory
-- A shard's rows must fit, or each hash goes over the disk; compiling costs more than it saves; workers of its own would
-- take the cores from the other shards; a merge join reads an index from its start, so the last shard reads it all; no
-- statement is looked at twice, so there is nothing to remember; and a small sample says enough of a shard's tables.
SELECT
    set_config('work_mem', '64MB', TRUE),
    set_config('jit', 'off', TRUE),
    set_config('max_parallel_workers_per_gather', '0', TRUE),
    set_config('enable_mergejoin', 'off', TRUE),
    set_config('enable_memoize', 'off', TRUE),
    set_config('default_statistics_target', '10', TRUE);

-- name: create_chosen
CREATE TEMPORARY TABLE IF NOT EXISTS chosen (
    account_id bigint NOT NULL,
    group_id bigint NOT NULL,
    -- Of a group that is linked the first one, and only in the row of its first account: what follows too.
    custodian_account_id bigint,
    calendar text NOT NULL,
    as_of date,
    -- The statements whose positions and whose cash count.
    position_statements bigint[] NOT NULL DEFAULT '{}',
    cash_statements bigint[] NOT NULL DEFAULT '{}',
    -- Why there is none, where that is known.
    outcome text,
    held_statement_id bigint,
    due_as_of date,
    -- For explanations: a statement of this day, or of a later one, should be here by now. An irregular one is never
    -- due, but not waited for longer than a side may take to book: from its day on, and from the run on that first
    -- compared the newest one.
    awaited_as_of date,
    -- Whether an irregular account has a newer date than any run compared.
    is_first_look boolean NOT NULL DEFAULT FALSE
) ON COMMIT DELETE ROWS;

-- name: create_compared
CREATE TEMPORARY TABLE IF NOT EXISTS compared (
    group_id bigint NOT NULL,
    account_id bigint NOT NULL,
    -- Whether it is the group's first account, which the rest is of; a column of its own has statistics.
    is_first boolean NOT NULL GENERATED ALWAYS AS (account_id = group_id) STORED,
    custodian_account_id bigint NOT NULL,
    calendar text NOT NULL,
    as_of date NOT NULL,
    book_as_of date NOT NULL,
    -- The one rule by which explanations lapse: what should have come true by this day explains nothing more. It is
    -- the statement's date, or a later one whose statement should be here by now.
    lapse_as_of date NOT NULL,
    position_statements bigint[] NOT NULL,
    cash_statements bigint[] NOT NULL,
    PRIMARY KEY (group_id, account_id)
) ON COMMIT DELETE ROWS;

-- name: lock
-- Two runs that meet at an account take it one after the other; statements may be loaded meanwhile. Told is how often
-- those send statements.
SELECT DISTINCT statement_frequency, statement_lag_days, statement_cutoff
FROM (
    SELECT statement_frequency, statement_lag_days, statement_cutoff
    FROM custodian_accounts
    WHERE id IN (
        SELECT custodian_account_id FROM account_mappings
        WHERE account_id BETWEEN :first_account_id AND :last_account_id
        UNION ALL
        SELECT custodian_account_id FROM run_links
        WHERE run_id = :run_id AND group_id BETWEEN :first_account_id AND :last_account_id
    )
    ORDER BY id
    FOR NO KEY UPDATE
) AS locked;

-- name: choose
-- For each account that is not linked with others the newest statements that the gate let through. A custodian may
-- send a statement a currency, or positions and cash apart: of those of one kind and currency the last that came counts,
-- and of a day in parts the last part's.
INSERT INTO chosen (
    account_id, group_id, custodian_account_id, calendar, as_of, position_statements, cash_statements, outcome,
    held_statement_id, due_as_of, awaited_as_of, is_first_look
)
SELECT
    a.id,
    a.id,
    c.id,
    a.calendar,
    coalesce(newest.as_of, silent.as_of),
    CASE
        WHEN newest.is_one_of_several THEN coalesce(s.positions, '{}')
        WHEN newest.states_positions THEN ARRAY[newest.id]
        ELSE '{}'
    END,
    CASE
        WHEN newest.is_one_of_several THEN coalesce(s.cash, '{}')
        WHEN newest.states_cash THEN ARRAY[newest.id]
        ELSE '{}'
    END,
    CASE
        WHEN c.id IS NULL THEN 'no_custodian'
        WHEN newest.as_of IS NULL AND silent.as_of IS NOT NULL THEN 'nothing_stated'
        WHEN newest.as_of IS NULL THEN 'no_statement'
        WHEN newest.as_of < c.reconciled_to THEN 'already_newer'
    END,
    CASE WHEN h.as_of >= newest.as_of OR newest.as_of IS NULL THEN h.id END,
    CASE WHEN due.as_of >= m.valid_from THEN due.as_of END,
    CASE
        WHEN c.statement_frequency IS NOT NULL THEN due.as_of
        WHEN coalesce(c.reconciled_on <= d.patient_day, TRUE) THEN d.patient_day
    END,
    c.statement_frequency IS NULL AND coalesce(newest.as_of > c.reconciled_to, TRUE)
FROM accounts AS a
JOIN unnest(CAST(:calendars AS text[]), CAST(:last_days AS date[]), CAST(:patient_days AS date[]))
    AS d (calendar, last_day, patient_day) USING (calendar)
LEFT JOIN LATERAL (
    SELECT * FROM account_mappings WHERE account_id = a.id AND d.last_day BETWEEN valid_from AND valid_to OFFSET 0
) AS m ON TRUE
LEFT JOIN LATERAL (SELECT * FROM custodian_accounts WHERE id = m.custodian_account_id OFFSET 0) AS c ON TRUE
LEFT JOIN unnest(
    CAST(:due_calendars AS text[]), CAST(:due_frequencies AS text[]), CAST(:due_lags AS bigint[]),
    CAST(:due_cutoffs AS time[]), CAST(:due_days AS date[])
) AS due (calendar, frequency, lag_days, cutoff, as_of)
    ON (due.calendar, due.frequency, due.lag_days) = (a.calendar, c.statement_frequency, c.statement_lag_days)
        AND due.cutoff IS NOT DISTINCT FROM c.statement_cutoff
LEFT JOIN LATERAL (
    SELECT
        id, as_of, states_positions, states_cash,
        EXISTS (
            SELECT FROM statements AS other
            WHERE other.custodian_account_id = c.id AND other.as_of = n.as_of AND other.id < n.id
        ) AS is_one_of_several
    FROM statements AS n
    WHERE custodian_account_id = c.id AND state = 'accepted' AND (states_positions OR states_cash)
        AND as_of BETWEEN m.valid_from AND d.last_day
    ORDER BY as_of DESC, id DESC
    LIMIT 1
) AS newest ON TRUE
LEFT JOIN LATERAL (
    SELECT
        array_agg(id) FILTER (WHERE states_positions AND NOT EXISTS (
            SELECT FROM statements AS later
            WHERE later.custodian_account_id = c.id AND later.as_of = newest.as_of AND later.id > s.id
                AND later.currency = s.currency AND later.state = 'accepted' AND later.states_positions
        )) AS positions,
        array_agg(id) FILTER (WHERE states_cash AND NOT EXISTS (
            SELECT FROM statements AS later
            WHERE later.custodian_account_id = c.id AND later.as_of = newest.as_of
                AND (later.part, later.id) > (s.part, s.id)
                AND later.currency = s.currency AND later.state = 'accepted' AND later.states_cash
        )) AS cash
    FROM statements AS s
    WHERE newest.is_one_of_several AND custodian_account_id = c.id AND as_of = newest.as_of AND state = 'accepted'
) AS s ON TRUE
LEFT JOIN LATERAL (
    SELECT as_of
    FROM statements
    WHERE newest.as_of IS NULL AND custodian_account_id = c.id AND state = 'accepted'
        AND as_of BETWEEN m.valid_from AND d.last_day
    ORDER BY as_of DESC, id DESC
    LIMIT 1
) AS silent ON TRUE
LEFT JOIN LATERAL (
    SELECT id, as_of
    FROM statements
    WHERE custodian_account_id = c.id AND state = 'held' AND as_of <= d.last_day
        AND (newest.as_of IS NULL OR (as_of, id) > (newest.as_of, newest.id))
    ORDER BY as_of DESC, id DESC
    LIMIT 1
) AS h ON TRUE
WHERE a.id BETWEEN :first_account_id AND :last_account_id
    AND (a.active OR :even_inactive)
    AND a.id NOT IN (
        SELECT account_id FROM run_links
        WHERE run_id = :run_id AND account_id BETWEEN :first_account_id AND :last_account_id
    );

-- name: choose_linked
-- Of what is linked the newest date on which each custodian account states all that it states of late: positions, cash
-- or both.
INSERT INTO chosen (
    account_id, group_id, custodian_account_id, calendar, as_of, position_statements, cash_statements, outcome,
    held_statement_id, due_as_of, awaited_as_of, is_first_look
)
WITH links AS (
    SELECT l.group_id, l.account_id, l.custodian_account_id, l.valid_from, a.calendar, d.last_day
    FROM run_links AS l
    JOIN accounts AS a ON a.id = l.account_id
    JOIN unnest(CAST(:calendars AS text[]), CAST(:last_days AS date[])) AS d (calendar, last_day) USING (calendar)
    WHERE l.run_id = :run_id AND l.group_id BETWEEN :first_account_id AND :last_account_id
),
groups AS (
    SELECT
        group_id,
        min(last_day) AS last_day,
        max(valid_from) AS valid_from,
        min(custodian_account_id) AS custodian_account_id,
        count(DISTINCT custodian_account_id) AS custodian_accounts
    FROM links
    GROUP BY group_id
),
members AS (SELECT DISTINCT group_id, custodian_account_id FROM links),
-- The last statement of each kind, currency and day, of cash that of the last part; one of neither kind is silent.
stated AS (
    SELECT
        m.group_id, m.custodian_account_id, s.id, s.as_of, s.currency, s.states_positions, s.states_cash,
        s.id = max(s.id) FILTER (WHERE s.states_positions)
            OVER (PARTITION BY s.custodian_account_id, s.as_of, s.currency) AS is_last_of_positions,
        ARRAY[s.part, s.id] = max(ARRAY[s.part, s.id]) FILTER (WHERE s.states_cash)
            OVER (PARTITION BY s.custodian_account_id, s.as_of, s.currency) AS is_last_of_cash
    FROM members AS m
    JOIN groups AS g USING (group_id)
    JOIN statements AS s ON s.custodian_account_id = m.custodian_account_id
    WHERE s.state = 'accepted' AND s.as_of BETWEEN greatest(g.valid_from, g.last_day - 62) AND g.last_day
        AND (s.states_positions OR s.states_cash)
),
usual AS (
    SELECT group_id, custodian_account_id, bool_or(states_positions) AS positions, bool_or(states_cash) AS cash
    FROM stated
    GROUP BY group_id, custodian_account_id
),
whole_days AS (
    SELECT group_id, custodian_account_id, as_of
    FROM stated
    JOIN usual AS u USING (group_id, custodian_account_id)
    GROUP BY group_id, custodian_account_id, as_of, u.positions, u.cash
    HAVING bool_or(states_positions) = u.positions AND bool_or(states_cash) = u.cash
),
common AS (
    SELECT group_id, max(as_of) AS as_of
    FROM (
        SELECT group_id, as_of
        FROM whole_days
        JOIN groups AS g USING (group_id)
        GROUP BY group_id, as_of, g.custodian_accounts
        HAVING count(*) = g.custodian_accounts
    ) AS days
    GROUP BY group_id
),
figures AS (
    SELECT
        group_id,
        array_agg(id ORDER BY id) FILTER (WHERE states_positions AND is_last_of_positions) AS positions,
        array_agg(id ORDER BY id) FILTER (WHERE states_cash AND is_last_of_cash) AS cash
    FROM stated
    JOIN common USING (group_id, as_of)
    GROUP BY group_id
),
watched AS (
    SELECT
        m.group_id,
        max(c.reconciled_to) AS reconciled_to,
        -- What is due of one is due of all.
        max(due.as_of) FILTER (WHERE due.as_of >= g.valid_from) AS due_as_of,
        CASE
            WHEN count(c.statement_frequency) > 0 THEN max(due.as_of)
            WHEN coalesce(max(c.reconciled_on) <= max(d.patient_day), TRUE) THEN max(d.patient_day)
        END AS awaited_as_of,
        count(c.statement_frequency) = 0 AS is_irregular,
        (
            SELECT max(h.id)
            FROM statements AS h
            JOIN members AS o ON o.custodian_account_id = h.custodian_account_id AND o.group_id = m.group_id
            WHERE h.state = 'held' AND h.as_of <= min(g.last_day) AND h.as_of >= coalesce(min(common.as_of), h.as_of)
        ) AS held_statement_id
    FROM members AS m
    JOIN groups AS g USING (group_id)
    LEFT JOIN common USING (group_id)
    JOIN custodian_accounts AS c ON c.id = m.custodian_account_id
    JOIN accounts AS a ON a.id = m.group_id
    LEFT JOIN unnest(CAST(:calendars AS text[]), CAST(:patient_days AS date[])) AS d (calendar, patient_day)
        USING (calendar)
    LEFT JOIN unnest(
        CAST(:due_calendars AS text[]), CAST(:due_frequencies AS text[]), CAST(:due_lags AS bigint[]),
        CAST(:due_cutoffs AS time[]), CAST(:due_days AS date[])
    ) AS due (calendar, frequency, lag_days, cutoff, as_of)
        ON (due.calendar, due.frequency, due.lag_days) = (a.calendar, c.statement_frequency, c.statement_lag_days)
            AND due.cutoff IS NOT DISTINCT FROM c.statement_cutoff
    GROUP BY m.group_id
)
SELECT DISTINCT
    l.account_id,
    l.group_id,
    g.custodian_account_id,
    a.calendar,
    common.as_of,
    CASE WHEN l.account_id = l.group_id THEN coalesce(f.positions, '{}') ELSE '{}' END,
    CASE WHEN l.account_id = l.group_id THEN coalesce(f.cash, '{}') ELSE '{}' END,
    CASE
        WHEN common.as_of IS NULL AND EXISTS (SELECT FROM stated WHERE stated.group_id = l.group_id)
            THEN 'no_common_date'
        WHEN common.as_of IS NULL THEN 'no_statement'
        WHEN common.as_of < w.reconciled_to THEN 'already_newer'
    END,
    w.held_statement_id,
    w.due_as_of,
    w.awaited_as_of,
    w.is_irregular AND coalesce(common.as_of > w.reconciled_to, TRUE)
FROM links AS l
JOIN accounts AS a ON a.id = l.group_id
JOIN groups AS g USING (group_id)
JOIN watched AS w USING (group_id)
LEFT JOIN common USING (group_id)
LEFT JOIN figures AS f USING (group_id);

-- name: dates
-- The dates that will be compared, for the calendars to look at.
SELECT DISTINCT calendar, as_of FROM chosen WHERE as_of IS NOT NULL AND outcome IS NULL;

-- name: settle
-- The version of the book for the statement's date. On a day without business the last business day's version still
-- holds; an older one does not. Of what is linked all or nothing is compared.
WITH found AS (
    SELECT
        c.*,
        b.as_of AS book_as_of,
        bool_or(b.as_of IS NULL) OVER (PARTITION BY c.group_id) AS lacks_book,
        cardinality(c.position_statements) > 0 AS states_positions,
        cardinality(c.cash_statements) > 0 AS states_cash
    FROM chosen AS c
    LEFT JOIN unnest(
        CAST(:date_calendars AS text[]), CAST(:dates AS date[]), CAST(:business_days AS date[])
    ) AS o (calendar, as_of, business_day)
        ON (o.calendar, o.as_of) = (c.calendar, c.as_of)
    LEFT JOIN LATERAL (
        SELECT as_of
        FROM book_snapshots
        WHERE account_id = c.account_id AND as_of BETWEEN o.business_day AND c.as_of
        ORDER BY as_of DESC
        LIMIT 1
    ) AS b ON c.outcome IS NULL
),
versions AS (
    SELECT
        *,
        CASE
            WHEN outcome IS NOT NULL OR lacks_book THEN awaited_as_of
            WHEN is_first_look THEN as_of
            ELSE greatest(as_of, awaited_as_of)
        END AS lapse_as_of
    FROM found
),
written AS (
    INSERT INTO run_accounts (
        run_id, account_id, group_id, custodian_account_id, outcome, statement_ids, as_of, book_as_of,
        states_positions, states_cash, held_statement_id, due_as_of, lapse_as_of
    )
    SELECT
        :run_id, account_id, group_id, custodian_account_id,
        CASE WHEN outcome IS NULL AND lacks_book THEN 'no_book' ELSE coalesce(outcome, 'compared') END,
        CASE
            WHEN cash_statements IN ('{}', position_statements) THEN position_statements
            WHEN position_statements = '{}' THEN cash_statements
            ELSE ARRAY(SELECT unnest(position_statements) UNION SELECT unnest(cash_statements) ORDER BY 1)
        END,
        as_of, book_as_of, states_positions, states_cash, held_statement_id, due_as_of, lapse_as_of
    FROM versions
    RETURNING outcome
),
kept AS (
    INSERT INTO compared (
        group_id, account_id, custodian_account_id, calendar, as_of, book_as_of, lapse_as_of, position_statements,
        cash_statements
    )
    SELECT
        group_id, account_id, custodian_account_id, calendar, as_of, book_as_of, lapse_as_of, position_statements,
        cash_statements
    FROM versions
    WHERE outcome IS NULL AND NOT lacks_book
)
SELECT count(*) AS accounts, count(*) FILTER (WHERE outcome = 'compared') AS compared FROM written;
