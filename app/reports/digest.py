"""What a run came to, breaks apart: how far it got, what it changed, and what it lacks."""

from dataclasses import dataclass, replace

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.reconciliation import Coverage, RunProgress, run_coverage, run_progress
from app.statements import HeldStatement, UnloadedFile, list_held, list_unloaded


@dataclass(frozen=True, slots=True)
class RunDigest:
    """A run in short."""

    progress: RunProgress
    #: The account that it was about; None is all.
    account: str | None
    #: The newest run about the same that is over.
    newest: int | None
    #: Breaks that it opened, changed and closed.
    opened: int
    changed: int
    closed: int
    coverage: Coverage
    #: Files that were refused or loaded in part since the run before, and statements that are held back now; none where
    #: the run was about one account, for such a file is nobody's.
    refused: list[UnloadedFile]
    loaded_in_part: list[UnloadedFile]
    held: list[HeldStatement]

    @property
    def lacks_nothing(self) -> bool:
        """Whether every account was compared, every file read, and every statement let through."""
        return not (
            self.coverage.lacking or self.coverage.failed_shards or self.refused or self.loaded_in_part or self.held
        )


def newest_run(session: Session) -> int:
    """Return the id of the newest run of all accounts that is over; where there is none, of one account.

    Raises:
        BadInputError: no run is over yet.
    """
    run_id = session.execute(
        text("SELECT id FROM runs WHERE state <> 'running' ORDER BY account_id IS NOT NULL, id DESC LIMIT 1")
    ).scalar_one_or_none()
    if run_id is None:
        raise BadInputError("no run is over yet", hint="`python -m app reconcile` starts one.")
    return int(run_id)


def digest_run(session: Session, run_id: int, *, most_lacks: int) -> RunDigest:
    """Return a run in short, with at most so many of the accounts that it lacks.

    Raises:
        BadInputError: there is no such run.
    """
    progress = run_progress(session, run_id)
    row = session.execute(_RUN, {"run_id": run_id}).one()
    unloaded = [_without_name(file) for file in list_unloaded(session, run_id=run_id)]
    return RunDigest(
        progress,
        **row._mapping,
        coverage=run_coverage(session, run_id, limit=most_lacks),
        refused=[file for file in unloaded if file.state == "refused"],
        loaded_in_part=[file for file in unloaded if file.state != "refused"],
        held=list_held(session) if row.account is None else [],
    )


def _without_name(file: UnloadedFile) -> UnloadedFile:
    """Return the file with an error that does not begin with its name, which stands beside it."""
    return replace(file, error=file.error.removeprefix(file.name).lstrip(",: "))


_RUN = text(
    """
    SELECT
        a.code AS account,
        (
            SELECT max(id) FROM runs
            WHERE state <> 'running' AND account_id IS NOT DISTINCT FROM r.account_id
        ) AS newest,
        coalesce(sum((s.counts ->> 'opened')::bigint), 0)::bigint AS opened,
        coalesce(sum((s.counts ->> 'changed')::bigint), 0)::bigint AS changed,
        coalesce(sum((s.counts ->> 'closed')::bigint), 0)::bigint AS closed
    FROM runs AS r
    LEFT JOIN accounts AS a ON a.id = r.account_id
    LEFT JOIN run_shards AS s ON s.run_id = r.id
    WHERE r.id = :run_id
    GROUP BY r.id, a.id
    """
)
