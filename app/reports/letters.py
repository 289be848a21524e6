"""What people are written of the work: the morning's reconciliation, prices in doubt, prices that did not come."""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from io import StringIO
from itertools import islice

from sqlalchemy.orm import Session

from app.market_data import Coverage, DoubtfulPrice, count_quarantined, lagging, list_quarantined
from app.notifications import Attachment, Bars, Column, Letter, Section, Severity, Table
from app.reconciliation import BreakFilter, BreakView, count_breaks_by_age, list_breaks
from app.reports.digest import RunDigest, digest_run
from app.reports.exports import write_breaks_csv
from app.reports.figures import NOTHING, money, signed
from app.settings import get_settings

_OPEN = ("open", "assigned")
#: Business days from which on a break is aged.
_AGED = 8
#: Breaks that the letter shows, and those in the file that comes with it.
_MOST_SHOWN = 10
_MOST_ATTACHED = 10_000
_MOST_LACKS = 10
#: What a letter shows of prices in doubt: so many securities, and so many prices of each, out of at most so many.
_MOST_SECURITIES = 20
_MOST_OF_ONE = 3
_MOST_READ = 100_000


def morning_letter(session: Session, run_id: int, *, now: datetime) -> Letter:
    """Return what there is to know of a run: how far it got, what is new, aged, largest and explained, what it lacks.

    The breaks are those of now, with ages in business days to the last one that has ended. Those that are open or
    explained come with it as a file, up to 10,000 of them.

    Raises:
        BadInputError: there is no such run.
    """
    run = digest_run(session, run_id, most_lacks=_MOST_LACKS)
    progress, currency = run.progress, get_settings().base_currency
    ages = count_breaks_by_age(session, BreakFilter(run.account, _OPEN), now=now)
    explained = sum(
        bucket.count for bucket in count_breaks_by_age(session, BreakFilter(run.account, ("explained",)), now=now)
    )
    count = sum(bucket.count for bucket in ages)
    aged = sum(bucket.count for bucket in ages if (bucket.bucket.first or 0) >= _AGED)
    with closing(list_breaks(session, BreakFilter(run.account, _OPEN), now=now)) as breaks:
        largest = list(islice(breaks, _MOST_SHOWN))
    is_whole = progress.state == "complete"
    summary = (
        ("Open breaks", f"{count:,}"),
        ("New in this run", f"{run.opened:,}"),
        ("Closed by this run", f"{run.closed:,}"),
        (f"Open for {_AGED} business days or more", f"{aged:,}"),
        ("Explained", f"{explained:,}"),
        ("Accounts compared", f"{run.coverage.compared:,} of {run.coverage.accounts:,}"),
    )
    sections = [Section(table=Table((Column(""), Column("", is_number=True)), summary))]
    if count:
        bars = tuple((f"{bucket.bucket.name} days", float(bucket.count)) for bucket in ages)
        sections.append(Section(bars=Bars("Open breaks by business days", "breaks", bars)))
        sections.append(Section("The largest", table=_breaks_table(largest, count, currency)))
    total = count + explained
    sections += _lacks(run)
    if total > _MOST_ATTACHED:
        left = f"The file has the first {_MOST_ATTACHED:,} of {total:,}. All: python -m app breaks export"
        sections.append(Section(paragraphs=(left,)))
    what = "the reconciliation" if run.account is None else "the reconciliation of one account"
    verdict = "" if is_whole else " It did not get through all accounts."
    return Letter(
        subject=(
            f"Reconciliation of {progress.as_of}: {count:,} open, {run.opened:,} new"
            f"{'' if is_whole else ', incomplete'}"
        ),
        lead=(
            f"Run {run_id}, {what} as of {progress.as_of}, is {progress.state}: {count:,} breaks are open, of which"
            f" {run.opened:,} {'is' if run.opened == 1 else 'are'} new.{verdict}"
        ),
        sections=tuple(sections),
        commands=(
            ("All of them", "python -m app breaks list"),
            ("The whole page", f"python -m app report --run {run_id}"),
            ("Sign it off", f"python -m app runs sign-off {run_id} --comment TEXT"),
        ),
        attachments=_breaks_file(session, run, now) if total else (),
        severity=Severity.INFO if is_whole and run.lacks_nothing else Severity.WARNING,
    )


def _breaks_table(views: Sequence[BreakView], count: int, currency: str) -> Table:
    columns = (
        Column("Break"),
        Column("Account"),
        Column("What"),
        Column("Difference", is_number=True),
        Column(f"Value, {currency}", is_number=True),
        Column("Age", is_number=True),
    )
    rows = tuple(
        (
            str(view.id),
            view.account,
            f"{view.what}, {view.kind}",
            signed(view.difference),
            "unknown" if view.value is None else money(view.value),
            NOTHING if view.age is None else f"{view.age:,}",
        )
        for view in views
    )
    return Table(columns, rows, count - len(rows))


def _breaks_file(session: Session, run: RunDigest, now: datetime) -> tuple[Attachment, ...]:
    file = StringIO()
    wanted = BreakFilter(run.account, (*_OPEN, "explained"))
    with closing(list_breaks(session, wanted, now=now)) as breaks:
        write_breaks_csv(islice(breaks, _MOST_ATTACHED), file)
    return (Attachment(f"breaks-{run.progress.as_of}-run-{run.progress.run_id}.csv", "text/csv", file.getvalue()),)


def _lacks(run: RunDigest) -> list[Section]:
    """Say what the run could not look at."""
    coverage = run.coverage
    lines = [f"Shard {number} failed: {error}" for number, error in coverage.failed_shards[:_MOST_LACKS]]
    lines += [f"{lack.account}, {lack.custodian}: {lack.why}" for lack in coverage.lacks]
    if coverage.lacking > len(coverage.lacks):
        lines.append(f"and {coverage.lacking - len(coverage.lacks):,} more accounts")
    files = [(f"{file.name} was refused", file.error) for file in run.refused]
    files += [(f"{file.name} was loaded in part", file.error) for file in run.loaded_in_part]
    lines += [f"{what}: {why}" for what, why in files[:_MOST_LACKS]]
    if len(files) > _MOST_LACKS:
        lines.append(f"and {len(files) - _MOST_LACKS:,} more files")
    if run.held:
        lines.append(
            f"{_count(len(run.held), 'statement is', 'statements are')} held back: python -m app statements held"
        )
    return [Section("What the run lacks", paragraphs=tuple(lines))] if lines else []


def quarantine_letter(session: Session, coverage: Coverage) -> Letter | None:
    """Return what a sync brought to doubt, the earliest price of a security first; None if all is decided by now."""
    prices = list_quarantined(session, sync_id=coverage.sync_id, limit=_MOST_READ)
    if not prices:
        return None
    new = count_quarantined(session, sync_id=coverage.sync_id)
    waiting = count_quarantined(session)
    by_security: dict[str, list[DoubtfulPrice]] = {}
    for price in prices:
        by_security.setdefault(price.security, []).append(price)
    first = prices[0].id
    return Letter(
        subject=f"Prices in quarantine: {new:,} new",
        lead=(
            f"Sync {coverage.sync_id} of {_moment(coverage)} UTC brought {_count(new, 'price', 'prices')} to doubt, of"
            f" {_count(len(by_security), 'security', 'securities')}. In all"
            f" {_count(waiting, 'waits', 'wait')} in quarantine."
            " They count for nothing until somebody accepts them; until then the last price that counts is used."
        ),
        sections=(Section(table=_doubts_table(by_security, new)), Section(paragraphs=(_EARLIEST_FIRST,))),
        commands=(
            ("What counts around one", "python -m app prices quarantine show ID"),
            ("It is right", f"python -m app prices quarantine accept {first} --reason TEXT"),
            ("It is wrong", f"python -m app prices quarantine drop {first} --reason TEXT"),
            ("All of them", "python -m app prices quarantine"),
        ),
        severity=Severity.WARNING,
    )


_EARLIEST_FIRST = "Decide the earliest of a security first: later ones that agree with what is accepted count with it."


def _doubts_table(by_security: dict[str, list[DoubtfulPrice]], new: int) -> Table:
    columns = (Column("Price"), Column("Security"), Column("Day"), Column("Figure", is_number=True), Column("Doubt"))
    rows = tuple(
        (
            str(price.id),
            security,
            str(price.price_date),
            f"{price.price:f} {price.currency}",
            "; ".join(words for _, words in price.doubts) + f" ({price.provider}, {price.source})",
        )
        for security, of_security in list(by_security.items())[:_MOST_SECURITIES]
        for price in of_security[:_MOST_OF_ONE]
    )
    return Table(columns, rows, new - len(rows))


def coverage_letter(session: Session, coverage: Coverage, *, now: datetime) -> Letter | None:
    """Return which securities stay unpriced, if fewer than `PRICE_COVERAGE_LIMIT` of the tracked ones have their close.

    Theirs is that of the last but one session of their exchange: what closed today may still be on its way.
    """
    limit = get_settings().price_coverage_limit
    behind = lagging(session, now=now, most=_MOST_SECURITIES)
    if behind.tracked - behind.count >= limit * behind.tracked:
        return None
    named = tuple((code, str(day or "never")) for code, day in behind.securities)
    sections = [Section(table=Table((Column("Security"), Column("Newest close")), named, behind.count - len(named)))]
    columns = (Column("Why"), Column("From"), Column("Securities", is_number=True), Column("Such as"))
    reasons = tuple(
        (reason.reason, reason.provider, f"{reason.securities:,}", ", ".join(reason.codes[:5]))
        for reason in coverage.reasons
    )
    if reasons:
        sections.append(Section("What the last sync met with", table=Table(columns, reasons)))
    return Letter(
        subject=f"Prices missing: {behind.count:,} of {behind.tracked:,} securities",
        lead=(
            f"{behind.count:,} of {behind.tracked:,} tracked securities lack the close of the session before the last,"
            f" or an older one. Fewer than {limit:.2%} have it (PRICE_COVERAGE_LIMIT)."
        ),
        sections=tuple(sections),
        commands=(("All of it", f"python -m app prices coverage {coverage.sync_id}"),),
        severity=Severity.WARNING,
    )


def _moment(coverage: Coverage) -> str:
    return f"{datetime.fromisoformat(coverage.started_at):%Y-%m-%d %H:%M}"


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"
