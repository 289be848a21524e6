"""Accounts compared in part: a custodian sends positions and cash in two files, and one of them is late.

Such an account is compared by the file that is here, so that nobody waits for the other one; that the other is not here
is told. Which figures an account usually has is read off the runs before, not off its statements: those are too many.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.reconciliation.models import Run

#: Days after which it is not usual any more.
_LOOK_BACK_DAYS = 62


def find_gaps(session: Session, run: Run, first_account_id: int, last_account_id: int) -> None:
    """Write down the accounts of a range that the run compared by their positions alone or by their cash alone.

    Only those whose statements stated the other figure, too, when the runs of the two business dates before were made;
    and from then on every day until they do again, or have not done so for 62 days. Two, because what comes at the end
    of each month is not missed on all other days.

    Args:
        session: the transaction in which the accounts were compared.
        run: the run.
        first_account_id: the range, both ends included.
        last_account_id: its end.
    """
    parameters = {"as_of": run.as_of, "look_back_days": _LOOK_BACK_DAYS}
    before = session.scalars(_RUNS_BEFORE, parameters).all()
    if len(before) < 2:  # noqa: PLR2004 (the two dates)
        return
    parameters |= {
        "run_id": run.id,
        "last_run_id": before[0],
        "run_before_id": before[1],
        "first_account_id": first_account_id,
        "last_account_id": last_account_id,
    }
    session.execute(_FIND, parameters)


#: The last runs of all accounts of the two dates before.
_RUNS_BEFORE = text(
    """
    SELECT DISTINCT ON (as_of) id
    FROM runs
    WHERE account_id IS NULL AND state <> 'running' AND as_of BETWEEN :as_of - :look_back_days AND :as_of - 1
    ORDER BY as_of DESC, id DESC
    LIMIT 2
    """
)

#: The range is named for each table: planned without, it could read the whole of a run for every shard.
_FIND = text(
    """
    INSERT INTO run_gaps (run_id, account_id, lacks, stated_as_of)
    SELECT run_id, account_id, lacks, stated_as_of
    FROM (
        SELECT
            r.run_id, r.account_id, f.lacks, r.as_of, coalesce(gap.stated_as_of, last.as_of) AS stated_as_of,
            CASE f.lacks
                WHEN 'cash' THEN last.states_cash AND earlier.states_cash
                ELSE last.states_positions AND earlier.states_positions
            END AS is_usual,
            gap.run_id IS NOT NULL AS was_lacking
        FROM run_accounts AS r
        CROSS JOIN LATERAL (SELECT CASE WHEN r.states_cash THEN 'positions' ELSE 'cash' END AS lacks) AS f
        JOIN run_accounts AS last
            ON last.run_id = :last_run_id AND last.account_id = r.account_id
                AND last.account_id BETWEEN :first_account_id AND :last_account_id
        LEFT JOIN run_accounts AS earlier
            ON earlier.run_id = :run_before_id AND earlier.account_id = r.account_id
                AND earlier.account_id BETWEEN :first_account_id AND :last_account_id
        LEFT JOIN run_gaps AS gap
            ON gap.run_id = :last_run_id AND gap.account_id = r.account_id AND gap.lacks = f.lacks
                AND gap.account_id BETWEEN :first_account_id AND :last_account_id
        WHERE r.run_id = :run_id AND r.account_id BETWEEN :first_account_id AND :last_account_id
            AND r.outcome = 'compared' AND r.states_positions <> r.states_cash
    ) AS compared_in_part
    WHERE (is_usual OR was_lacking) AND stated_as_of >= as_of - :look_back_days
    """
)
