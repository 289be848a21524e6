"""Runs: a reconciliation as rows and jobs. Its shards are jobs of the ledger, and the last of them closes it."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.book import Account, AccountMapping, resolve_instruments
from app.calendars import last_cut_off_day, last_ended_business_day
from app.database import plan_for_many_rows
from app.errors import BadInputError
from app.jobs import enqueue_many
from app.reconciliation.compare import ShardCounts, compare_shard, cutoff_key
from app.reconciliation.gaps import find_gaps
from app.reconciliation.links import link_accounts
from app.reconciliation.models import Run, RunShard
from app.reconciliation.owners import explain_by_other_accounts

#: The task that compares a shard.
SHARD_TASK = "app.tasks.reconciliation.reconcile_shard"
#: Few accounts are cut smaller, so that several workers have work; smaller than this and the cutting costs more.
_FEWEST_SHARDS = 4
_SMALLEST_SHARD = 1_000


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is."""

    run_id: int
    state: str
    as_of: date
    shards: int
    shards_done: int
    started_at: datetime
    finished_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state != "running"


def start_run(
    session: Session,
    key: str,
    *,
    now: datetime,
    shard_size: int,
    as_of: date | None = None,
    account_id: int | None = None,
) -> int:
    """Start a reconciliation of all active accounts, or of one; its shards run as jobs after the commit.

    Args:
        session: the transaction that the run and its jobs are written in.
        key: says which request it answers; the same key again gives the same run.
        now: the time (aware); decides which business day ended last on each calendar.
        shard_size: at most so many accounts a shard.
        as_of: look at nothing newer than this date; the last ended business day if left out.
        account_id: the one account, active or not.

    Returns:
        The id of the run.

    Raises:
        BadInputError: `as_of` is not over yet, or there is no such account.
    """
    if account_id is None:
        # What came since autovacuum last looked would else be planned for as if it were not there.
        session.execute(text("SELECT refresh_statistics()"))
        # The mappings of all accounts are grouped twice, before there is work for others.
        plan_for_many_rows(session)
    shards = [(account_id, account_id)] if account_id is not None else _ranges(session, shard_size)
    run_id, group_id = _add_run(session, key, len(shards), now=now, as_of=as_of, account_id=account_id)
    if run_id is None:
        return session.execute(select(Run.id).where(Run.key == key)).scalar_one()
    if group_id is not None:
        shards = [(group_id, group_id)]
    if shards:
        session.execute(
            insert(RunShard),
            [
                {"run_id": run_id, "number": number, "first_account_id": first, "last_account_id": last}
                for number, (first, last) in enumerate(shards, start=1)
            ],
        )
    enqueue_many(
        session,
        SHARD_TASK,
        {f"run:{run_id}:shard:{number}": {"run_id": run_id, "shard": number} for number in range(1, len(shards) + 1)},
    )
    return run_id


def reconcile_shard(session: Session, run_id: int, shard: int) -> ShardCounts:
    """Compare a shard of a run, and close the run if it was the last one open.

    The whole work is in the session's transaction, so a shard that is interrupted has not begun. One that had failed,
    and whose job was put back, closes a run that was over once more: as complete, if no other has failed.
    """
    run = session.execute(select(Run).where(Run.id == run_id)).scalar_one()
    row = session.execute(
        select(RunShard).where(RunShard.run_id == run_id, RunShard.number == shard).with_for_update()
    ).scalar_one()
    days = {calendar: date.fromisoformat(day) for calendar, day in run.days.items()}
    shard_accounts = {"run_id": run_id, "first": row.first_account_id, "last": row.last_account_id}
    for calendar in session.scalars(_SHARD_CALENDARS, {**shard_accounts, "even_inactive": run.account_id is not None}):
        if calendar not in days:  # a calendar that came into use after the run began
            days |= _last_days([calendar], run.started_at, None)
    counts = compare_shard(
        session,
        run_id,
        row.first_account_id,
        row.last_account_id,
        days,
        even_inactive=run.account_id is not None,
    )
    find_gaps(session, run, row.first_account_id, row.last_account_id)
    had_failed = row.state == "failed"
    row.state, row.counts, row.finished_at = "done", dict(counts.as_json()), func.clock_timestamp()
    row.error = None
    session.flush()
    _close_if_last(session, run_id, newly_over=0 if had_failed else 1)
    return counts


def fail_shard(session: Session, run_id: int, shard: int, error: str) -> None:
    """Write down that a shard failed for good; the run goes on, and ends as incomplete."""
    row = session.execute(
        select(RunShard)
        .where(RunShard.run_id == run_id, RunShard.number == shard, RunShard.state != "done")
        .with_for_update()
    ).scalar_one_or_none()
    if row is None:
        return
    had_failed = row.state == "failed"
    row.state, row.error, row.finished_at = "failed", error, func.clock_timestamp()
    session.flush()
    if not had_failed:
        _close_if_last(session, run_id, newly_over=1)


def reconcile_account(session: Session, account_id: int, key: str, *, now: datetime) -> ShardCounts:
    """Reconcile one account here and now, as a run of its own with one shard.

    The same key again gives the counts of that run, and compares nothing twice.
    """
    run_id, group_id = _add_run(session, key, 1, now=now, as_of=None, account_id=account_id)
    if run_id is None:
        counts = session.execute(
            select(RunShard.counts).join(Run, Run.id == RunShard.run_id).where(Run.key == key)
        ).scalar_one()
        return ShardCounts(**(counts or {}))
    session.execute(
        insert(RunShard).values(run_id=run_id, number=1, first_account_id=group_id, last_account_id=group_id)
    )
    return reconcile_shard(session, run_id, 1)


def run_progress(session: Session, run_id: int) -> RunProgress:
    """Return how far a run is.

    Raises:
        BadInputError: there is no such run.
    """
    run = session.execute(select(Run.__table__).where(Run.id == run_id)).one_or_none()
    if run is None:
        raise BadInputError("there is no such run", where=f"run {run_id}")
    return RunProgress(run.id, run.state, run.as_of, run.shard_count, run.shards_done, run.started_at, run.finished_at)


def last_run_of_all_ended_at(session: Session) -> datetime | None:
    """Return when a run of all accounts last ended, complete or not; None if none has."""
    return session.execute(select(func.max(Run.finished_at)).where(Run.account_id.is_(None))).scalar_one()


def _add_run(
    session: Session, key: str, shard_count: int, *, now: datetime, as_of: date | None, account_id: int | None
) -> tuple[int | None, int | None]:
    """Write down a run and what it links; return its id, unless there is one of that key, and the account's group."""
    days = _last_days(_calendars(session, account_id), now, as_of)
    cutoffs = {
        cutoff_key(calendar, cutoff): days[calendar] if as_of else last_cut_off_day(calendar, cutoff, now)
        for calendar, cutoff in session.execute(_CUTOFFS)
        if calendar in days
    }
    run_id = session.execute(
        insert(Run)
        .values(
            key=key,
            account_id=account_id,
            as_of=as_of or max(days.values(), default=now.date()),
            days={name: day.isoformat() for name, day in {**days, **cutoffs}.items()},
            shard_count=shard_count,
            state="running" if shard_count else "complete",
            finished_at=None if shard_count else func.now(),
        )
        .on_conflict_do_nothing()
        .returning(Run.id)
    ).scalar_one_or_none()
    if run_id is None:
        return None, None
    resolve_instruments(session)
    return run_id, link_accounts(session, run_id, days, account_id=account_id)


#: Those of a shard's own accounts, and of what is linked with them: a shard must not read all accounts.
_SHARD_CALENDARS = text(
    """
    SELECT calendar FROM accounts WHERE id BETWEEN :first AND :last AND (active OR :even_inactive)
    UNION
    SELECT a.calendar
    FROM run_links AS l
    CROSS JOIN LATERAL (SELECT calendar FROM accounts WHERE id = l.account_id OFFSET 0) AS a
    WHERE l.run_id = :run_id AND l.group_id BETWEEN :first AND :last
    """
)

#: The calendars and times at which statements must be here.
_CUTOFFS = text(
    """
    SELECT DISTINCT a.calendar, c.statement_cutoff
    FROM custodian_accounts AS c
    JOIN account_mappings AS m ON m.custodian_account_id = c.id
    JOIN accounts AS a ON a.id = m.account_id
    WHERE c.statement_cutoff IS NOT NULL
    """
)


def _close_if_last(session: Session, run_id: int, *, newly_over: int) -> None:
    """Count a shard that is over, 0 for one that was counted when it failed, and close the run if all are."""
    # Every shard ends with this update of one row: exactly one of them sees itself as the last, and of two that had
    # failed the second waits here for the first, and sees that it is done.
    done, count = session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(shards_done=Run.shards_done + newly_over)
        .returning(Run.shards_done, Run.shard_count)
        .execution_options(synchronize_session=False)
    ).one()
    if done == count:
        explain_by_other_accounts(session, run_id)
        failed = select(RunShard).where(RunShard.run_id == run_id, RunShard.state == "failed").exists()
        has_failed = session.execute(select(failed)).scalar_one()
        session.execute(
            update(Run)
            .where(Run.id == run_id)
            .values(state="incomplete" if has_failed else "complete", finished_at=func.clock_timestamp())
            .execution_options(synchronize_session=False)
        )


def _calendars(session: Session, account_id: int | None) -> list[str]:
    chosen: ColumnElement[bool] = Account.active.is_(True)
    if account_id is not None:
        # It may be linked with others, of other calendars.
        mine = select(AccountMapping.custodian_account_id).where(AccountMapping.account_id == account_id)
        linked = select(AccountMapping.account_id).where(AccountMapping.custodian_account_id.in_(mine))
        chosen = or_(Account.id == account_id, Account.id.in_(linked))
    calendars = list(session.scalars(select(Account.calendar).where(chosen).distinct().order_by(Account.calendar)))
    if account_id is not None and not calendars:
        raise BadInputError("there is no such account", where=f"account {account_id}")
    return calendars


def _last_days(calendars: list[str], now: datetime, as_of: date | None) -> dict[str, date]:
    ended = {calendar: last_ended_business_day(calendar, now) for calendar in calendars}
    if as_of is None:
        return ended
    if ended and as_of > max(ended.values()):
        raise BadInputError(
            f"no business day of {as_of} has ended yet",
            where="as-of date",
            hint=f"The last ended one is {max(ended.values())}.",
        )
    return {calendar: min(day, as_of) for calendar, day in ended.items()}


def _ranges(session: Session, shard_size: int) -> list[tuple[int, int]]:
    most = {"largest": shard_size, "smallest": _SMALLEST_SHARD, "fewest": _FEWEST_SHARDS}
    size = session.execute(_SIZE, most).scalar_one()
    return [(first, last) for first, last in session.execute(_RANGES, {"size": size})]


#: Few accounts are cut into shards for several workers; to know that they are few not all are counted.
_SIZE = text(
    """
    SELECT least(:largest, greatest(:smallest, (count(*) + :fewest - 1) / :fewest))
    FROM (SELECT FROM accounts WHERE active LIMIT CAST(:largest AS bigint) * :fewest) AS those
    """
)

#: From each first account of a shard to that of the next by the index, which no sort of all accounts can keep up with.
_RANGES = text(
    """
    WITH RECURSIVE firsts AS (
        SELECT min(id) AS id
        FROM accounts
        WHERE active
        UNION ALL
        SELECT (
            SELECT id
            FROM accounts
            WHERE active AND id >= firsts.id
            ORDER BY id
            OFFSET :size
            LIMIT 1
        )
        FROM firsts
        WHERE id IS NOT NULL
    )
    SELECT id, coalesce(lead(id) OVER (ORDER BY id) - 1, (SELECT max(id) FROM accounts WHERE active))
    FROM firsts
    WHERE id IS NOT NULL
    ORDER BY id
    """
)
