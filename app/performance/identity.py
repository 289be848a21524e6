"""What the identity of accounts comes to, as breaks: start + flows + gains is the end, or people have to look."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.reconciliation import IdentityFailure, identity_breaks, settle_identity_breaks

#: Days of a break that are named one by one.
_MOST_NAMED: Final = 20


def settle_identity(session: Session, portfolio_ids: Sequence[int]) -> None:
    """Raise breaks of accounts whose days are marked by the identity, and close those whose days add up again.

    A break whose days can't be told any more, for a price or a rate is missing, stays as it is.

    Args:
        session: a transaction, which has the portfolios locked.
        portfolio_ids: accounts' portfolios, which are valued.
    """
    asked = {"portfolio_ids": list(portfolio_ids)}
    breaks = identity_breaks(session, session.scalars(_ACCOUNTS, asked).all())
    failures = [
        IdentityFailure(
            account_id=row.account_id,
            as_of=row.as_of,
            first_day=row.first_day,
            last_day=row.last_day,
            days=row.days,
            amount=row.amount,
            residuals=list(zip(row.named_days, row.named_amounts, strict=True)),
        )
        for row in session.execute(_FAILING, asked | {"most": _MOST_NAMED})
    ]
    failing = {failure.account_id for failure in failures}
    gone = {account_id: days for account_id, days in breaks.items() if account_id not in failing}
    asked_of = {
        "account_ids": list(gone),
        "firsts": [first for first, _ in gone.values()],
        "lasts": [last for _, last in gone.values()],
    }
    holding = {row.account_id: row.day for row in session.execute(_HOLDING, asked_of)} if gone else {}
    settle_identity_breaks(session, failures, holding)


_ACCOUNTS = text("SELECT account_id FROM portfolios WHERE id = ANY (:portfolio_ids)")

#: Amounts are to the cent, as the identity is, so that those that are named come to the sum. OFFSET 0 has days looked
#: up by index, however many there are.
_FAILING = text(
    """
    WITH failing AS (
        SELECT
            p.id, p.account_id, d.day, round(CAST(d.residual AS numeric), 2) AS amount,
            row_number() OVER (PARTITION BY p.id ORDER BY d.day) AS place
        FROM portfolios AS p
        CROSS JOIN LATERAL (
            SELECT first_day, last_day FROM portfolio_doubts WHERE portfolio_id = p.id AND cause = 'identity' OFFSET 0
        ) AS o
        CROSS JOIN LATERAL (
            SELECT day, residual
            FROM portfolio_days
            WHERE portfolio_id = p.id AND day BETWEEN o.first_day AND o.last_day
            OFFSET 0
        ) AS d
        WHERE p.id = ANY (:portfolio_ids)
    )
    SELECT
        account_id, (SELECT max(day) FROM portfolio_days WHERE portfolio_id = failing.id) AS as_of,
        min(day) AS first_day, max(day) AS last_day, count(*) AS days, sum(amount) AS amount,
        array_agg(day ORDER BY day) FILTER (WHERE place <= :most) AS named_days,
        array_agg(amount ORDER BY day) FILTER (WHERE place <= :most) AS named_amounts
    FROM failing
    GROUP BY id, account_id
    ORDER BY account_id
    """
)

_HOLDING = text(
    """
    SELECT b.account_id, last.day
    FROM unnest(CAST(:account_ids AS bigint[]), CAST(:firsts AS date[]), CAST(:lasts AS date[]))
        AS b (account_id, first_day, last_day)
    JOIN portfolios AS p ON p.account_id = b.account_id
    CROSS JOIN LATERAL (SELECT max(day) AS day FROM portfolio_days WHERE portfolio_id = p.id) AS last
    WHERE last.day IS NOT NULL AND NOT EXISTS (
        SELECT FROM portfolio_days
        WHERE portfolio_id = p.id AND day BETWEEN b.first_day AND b.last_day AND residual IS NULL
    )
    """
)
