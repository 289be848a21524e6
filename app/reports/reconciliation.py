"""The report of a reconciliation: one HTML file that needs nothing else, for the screen and for paper."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.reconciliation import BUCKETS, KINDS, AgeBucket, BreakFilter, BreakView, list_breaks
from app.reports.digest import RunDigest, digest_run
from app.reports.evidence import Fact, describe_evidence, statement_files
from app.reports.pages import write_page

#: Breaks of each state that a report shows; a browser shows so many without a pause.
MOST_SHOWN = 5_000
_MOST_LACKS = 1_000
#: Where a break stands in the report, by its state.
_GROUPS = {
    "open": "open",
    "assigned": "open",
    "explained": "explained",
    "resolved": "settled",
    "written_off": "settled",
}


def write_report(session: Session, run_id: int, folder: Path, *, now: datetime | None = None) -> Path:
    """Write the report of a run to `folder`, which is made if it is missing, and return the file.

    Breaks are shown as they stand now, which for the newest run is as it left them; the report of an older run
    says so. Ages count in business days, to the last one that has ended.

    Args:
        session: the transaction to read in.
        run_id: the run.
        folder: where to.
        now: the time; by the database's clock if left out.

    Raises:
        BadInputError: there is no such run, or the file can't be written.
    """
    run = digest_run(session, run_id, most_lacks=_MOST_LACKS)
    content = _gather(session, run, now or session.execute(select(func.now())).scalar_one())
    return write_page("reconciliation.html", content, folder / f"reconciliation-{run.progress.as_of}-run-{run_id}.html")


@dataclass(frozen=True, slots=True)
class _Row:
    """A break as the report shows it."""

    view: BreakView
    evidence: list[Fact]


@dataclass(slots=True)
class _Breaks:
    """The breaks of one state: all of them counted, the first of them kept."""

    count: int = 0
    kept: list[BreakView] = field(default_factory=list)

    def add(self, view: BreakView) -> None:
        self.count += 1
        if len(self.kept) < MOST_SHOWN:
            self.kept.append(view)


@dataclass(slots=True)
class _Kind:
    """How many breaks of a kind there are."""

    name: str
    open: int = 0
    explained: int = 0


@dataclass(slots=True)
class _Age:
    """How many breaks have been open for so many business days."""

    bucket: AgeBucket
    open: int = 0


@dataclass(frozen=True, slots=True)
class _Content:
    """All that the report says."""

    run: RunDigest
    written_at: datetime
    kinds: list[_Kind]
    ages: list[_Age]
    #: Business days that the oldest open break is open.
    oldest: int
    #: Accounts with open breaks.
    accounts_open: int
    open: list[_Row]
    open_count: int
    explained: list[_Row]
    explained_count: int
    #: Resolved or written off by people, and not seen to agree since.
    settled: list[_Row]
    settled_count: int

    @property
    def most_of_a_kind(self) -> int:
        """How many breaks the longest bar of a kind stands for."""
        return max((kind.open + kind.explained for kind in self.kinds), default=0)

    @property
    def most_of_an_age(self) -> int:
        """How many breaks the longest bar of an age stands for."""
        return max(age.open for age in self.ages)


def _gather(session: Session, run: RunDigest, now: datetime) -> _Content:
    breaks = {"open": _Breaks(), "explained": _Breaks(), "settled": _Breaks()}
    kinds = {name: _Kind(name) for name in KINDS.values()}
    ages = [_Age(bucket) for bucket in BUCKETS]
    oldest = 0
    accounts_open = set()
    for view in list_breaks(session, BreakFilter(run.account), now=now):
        group = _GROUPS[view.state]
        breaks[group].add(view)
        kind = kinds[view.kind]
        if group == "open":
            days = view.age or 0
            oldest = max(oldest, days)
            kind.open += 1
            next(age for age in ages if age.bucket.holds(days)).open += 1
            accounts_open.add(view.account)
        elif group == "explained":
            kind.explained += 1
    return _Content(
        run=run,
        written_at=now,
        kinds=[kind for kind in kinds.values() if kind.open or kind.explained],
        ages=ages,
        oldest=oldest,
        accounts_open=len(accounts_open),
        open=_rows(session, breaks["open"].kept),
        open_count=breaks["open"].count,
        explained=_rows(session, breaks["explained"].kept),
        explained_count=breaks["explained"].count,
        settled=_rows(session, breaks["settled"].kept),
        settled_count=breaks["settled"].count,
    )


def _rows(session: Session, views: Sequence[BreakView]) -> list[_Row]:
    files = statement_files(session, (view.evidence for view in views))
    return [
        _Row(
            view,
            describe_evidence(view.evidence, files, explanations=view.explanations, valuation=view.valuation),
        )
        for view in views
    ]
