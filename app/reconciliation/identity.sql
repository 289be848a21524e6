-- Breaks of accounts whose start, flows and gains are not their end. A valuation finds them: their events are of no run.

-- name: lock_identity_breaks
SELECT
    account_id, state, CAST(evidence #>> '{identity,first_day}' AS date) AS first_day,
    CAST(evidence #>> '{identity,last_day}' AS date) AS last_day
FROM breaks
WHERE account_id = ANY (CAST(:account_ids AS bigint[])) AND kind = 'identity'
ORDER BY id
FOR UPDATE;

-- name: record_identity
-- One that a person has resolved stays so until a later day is valued, and one that was written off until its figure
-- or its days change: of other days the same sum may be left.
WITH found AS (
    SELECT f.*, a.currency, r.run_id, r.custodian_account_id
    FROM jsonb_to_recordset(CAST(:found AS jsonb)) AS f (account_id bigint, as_of date, amount numeric, evidence jsonb)
    JOIN accounts AS a ON a.id = f.account_id
    -- From the newest run back until one has it, each by index.
    CROSS JOIN LATERAL (
        SELECT n.id AS run_id, o.custodian_account_id
        FROM runs AS n
        CROSS JOIN LATERAL (
            SELECT custodian_account_id
            FROM run_accounts
            WHERE run_id = n.id AND account_id = f.account_id AND custodian_account_id IS NOT NULL
            OFFSET 0
        ) AS o
        ORDER BY n.id DESC
        LIMIT 1
    ) AS r
),
valued AS (
    SELECT
        f.*,
        round(abs(f.amount) * fx.rate, 2) AS value,
        jsonb_strip_nulls(jsonb_build_object(
            'currency', CAST(:base_currency AS text), 'figure', f.amount::text,
            'rate', trim_scale(round(fx.rate, 12))::text,
            'rate_date', least(fx.from_date, fx.to_date),
            'rate_dates', CASE
                WHEN coalesce(fx.from_date, fx.to_date) IS NOT NULL
                    THEN jsonb_build_object(f.currency, fx.from_date, CAST(:base_currency AS text), fx.to_date)
            END,
            'lacks', CASE WHEN fx.rate IS NULL THEN 'rate of ' || f.currency END
        )) AS valuation
    FROM found AS f
    LEFT JOIN LATERAL fx_rate(f.currency, :base_currency, f.as_of) AS fx ON TRUE
),
before AS (
    SELECT
        v.*,
        b.id AS break_id,
        CASE
            WHEN kept.is_settled THEN b.state
            WHEN b.assignee IS NOT NULL THEN 'assigned'
            ELSE 'open'
        END AS new_state,
        CASE
            WHEN b.id IS NULL THEN 'opened'
            WHEN b.state = 'closed' OR b.state IN ('resolved', 'written_off') AND NOT kept.is_settled THEN 'reopened'
            WHEN NOT kept.is_same THEN 'changed'
        END AS event,
        CASE
            WHEN b.state <> 'closed' AND NOT kept.is_same AND (b.currency, b.difference) = (v.currency, v.amount)
                THEN 'on other days than before'
        END AS reason
    FROM valued AS v
    -- By index, however many there are.
    LEFT JOIN LATERAL (
        SELECT * FROM breaks WHERE account_id = v.account_id AND kind = 'identity' OFFSET 0
    ) AS b ON TRUE
    CROSS JOIN LATERAL (
        SELECT
            b.id IS NOT NULL
                AND (b.currency, b.difference, b.evidence) IS NOT DISTINCT FROM (v.currency, v.amount, v.evidence)
                AS is_same
    ) AS same
    CROSS JOIN LATERAL (
        SELECT
            same.is_same,
            same.is_same AND CASE b.state
                WHEN 'resolved' THEN v.as_of <= b.as_of
                WHEN 'written_off' THEN TRUE
                ELSE FALSE
            END AS is_settled
    ) AS kept
),
-- The account may have come to another custodian since.
again AS (
    UPDATE breaks AS b
    SET
        custodian_account_id = x.custodian_account_id,
        state = x.new_state,
        currency = x.currency,
        difference = x.amount,
        remainder = x.amount,
        value = x.value,
        valuation = x.valuation,
        evidence = x.evidence,
        as_of = x.as_of,
        last_run_id = x.run_id,
        opened_as_of = CASE WHEN b.state = 'closed' THEN x.as_of ELSE b.opened_as_of END,
        opened_at = CASE WHEN b.state = 'closed' THEN now() ELSE b.opened_at END,
        closed_at = NULL
    FROM before AS x
    WHERE b.id = x.break_id
    RETURNING b.id, b.account_id
),
new AS (
    INSERT INTO breaks (
        custodian_account_id, account_id, subject, kind, state, currency, difference, remainder, value, valuation,
        evidence, as_of, opened_as_of, first_run_id, last_run_id
    )
    SELECT
        custodian_account_id, account_id, 'valuation:' || account_id, 'identity', new_state, currency, amount, amount,
        value, valuation, evidence, as_of, as_of, run_id, run_id
    FROM before
    WHERE break_id IS NULL
    RETURNING id, account_id
)
INSERT INTO break_events (break_id, event, reason, kind, difference, remainder, value, as_of)
SELECT w.id, x.event, coalesce(x.reason, ''), 'identity', x.amount, x.amount, x.value, x.as_of
FROM before AS x
JOIN (SELECT * FROM again UNION ALL SELECT * FROM new) AS w USING (account_id)
WHERE x.event IS NOT NULL;

-- name: close_identity
WITH gone AS (
    UPDATE breaks AS b
    SET state = 'closed', closed_at = now(), as_of = h.as_of
    FROM unnest(CAST(:account_ids AS bigint[]), CAST(:days AS date[])) AS h (account_id, as_of)
    WHERE b.account_id = h.account_id AND b.kind = 'identity' AND b.state <> 'closed'
    RETURNING b.id, b.as_of
)
INSERT INTO break_events (break_id, event, kind, as_of)
SELECT id, 'closed', 'identity', as_of
FROM gone;
