"""`python -m app import` and `statements`: what custodians say."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from app.cli.numbers import positive
from app.cli.terminal import cell, output, plain_table
from app.errors import BadInputError

if TYPE_CHECKING:
    from app.statements import FileResult

app = typer.Typer(
    name="statements", help="Statements: what waits for a person, and what providers hold.", no_args_is_help=True
)

_UNAVAILABLE = 3
_STYLES = {"loaded": "green", "known": "dim", "refused": "bold red", "held back": "yellow"}


def import_statements(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH", help="Files, and folders of files. Without any: STATEMENTS_DIR.", show_default=False
        ),
    ] = None,
) -> None:
    """Load statements, each file wholly or not at all, and say what became of it.

    A file that is refused keeps no other file out. Exit code 1 when any was refused. Files of STATEMENTS_DIR are then
    moved to its processed/ or rejected/; files that were named stay where they are.
    """
    from app.settings import get_settings
    from app.statements import import_files
    from app.statements.sources import collect_inbox

    settings = get_settings()
    now, max_bytes = datetime.now(UTC), settings.max_statement_bytes
    if paths:
        results = import_files(paths, now=now, max_bytes=max_bytes)
    else:
        paths = [settings.statements_dir]
        # Who types this knows that the files are complete.
        results = collect_inbox(settings.statements_dir, settling=timedelta(0), now=now, max_bytes=max_bytes)
    console = output()
    counts = {"loaded": 0, "known": 0, "refused": 0, "held back": 0}
    for result in results:
        state, text = _told(result)
        counts[result.state] += 1
        counts["held back"] += bool(result.held)
        console.print(Text.assemble((f"{state:<9}", _STYLES[state]), " ", cell(text)))
        for note in result.notes:
            console.print(f"{'':<9} {cell(note)}")
    if not any(counts.values()):
        console.print(f"There is no file in {', '.join(map(str, paths))}.")
        return
    console.print(_summary(counts))
    if counts["refused"]:
        raise typer.Exit(1)


@app.command("held")
def held() -> None:
    """List the statements that the completeness gate holds back: they open no break until they are accepted."""
    from app.database import session_scope
    from app.statements import list_held

    with session_scope() as session:
        statements = list_held(session)
    if not statements:
        output().print("No statement is held back.")
        return
    table = plain_table("id>", "as of", "custodian", "account", "file", "why")
    for statement in statements:
        table.add_row(
            str(statement.id),
            str(statement.as_of),
            cell(statement.custodian),
            cell(statement.account_number),
            cell(statement.file),
            cell(statement.why),
        )
    output().print(table)


@app.command("mappings")
def mappings() -> None:
    """List the mapping files of STATEMENT_MAPPINGS_DIR, and say of each mistake in them where it is."""
    from app.settings import get_settings
    from app.statements import load_mappings

    folder = get_settings().statement_mappings_dir
    found = load_mappings(folder)
    if not found.usable and not found.broken:
        output().print(f"There is no mapping in {folder}.")
        return
    table = plain_table("mapping", "custodian", "holds", "files")
    for file in found.usable:
        mapping = file.mapping
        table.add_row(cell(file.path.name), cell(mapping.custodian), mapping.holds, cell(", ".join(mapping.patterns)))
    if found.usable:
        output().print(table)
    if found.broken:
        raise BadInputError("\n".join(broken.error for broken in found.broken))


@app.command("accept")
def accept(
    statement_id: Annotated[
        int,
        typer.Argument(metavar="ID", parser=positive, help="The statement, by the id that `statements held` shows."),
    ],
    reason: Annotated[str, typer.Option(help="Why it is whole after all; kept with your login.")],
) -> None:
    """Let a statement through that the completeness gate holds back; the next run compares it."""
    from app.database import session_scope
    from app.people import current_person
    from app.statements import accept_statement

    if not reason.strip():
        raise BadInputError("a reason is needed, in words", where="--reason")
    person = current_person()
    with session_scope() as session:
        accept_statement(session, statement_id, reason.strip(), by=person)
    output().print(f"Statement {statement_id} is accepted by {person.login}.")


@app.command("fetch")
def fetch(
    provider: Annotated[
        str | None, typer.Argument(metavar="[plaid|alpaca]", help="Only from this one.", show_default=False)
    ] = None,
) -> None:
    """Fetch the statements of all accounts that the settings name, into STATEMENTS_DIR; `import` then loads them.

    Exit code 3 when any could not be fetched.
    """
    from app.settings import get_settings
    from app.statements.sources import fetch_statements

    console = output()
    failed = fetched = 0
    for one in fetch_statements(get_settings(), provider, now=datetime.now(UTC)):
        fetched += 1
        failed += bool(one.error)
        word, style = ("failed", "bold red") if one.error else ("fetched", "green")
        text = one.error or f"{one.provider} {one.name}: {one.path}"
        console.print(Text.assemble((f"{word:<9}", style), " ", cell(text)))
    if not fetched:
        console.print("There is nothing to fetch: PLAID_ACCESS_TOKENS and ALPACA_KEYS name no account.")
    if failed:
        raise typer.Exit(_UNAVAILABLE)


def _told(result: "FileResult") -> tuple[str, str]:
    """Return the word and the sentence for what became of a file."""
    name = result.path.name
    if result.state == "refused":
        return "refused", result.error if name in result.error else f"{name}: {result.error}"
    if result.state == "known":
        return "known", f"{name}: loaded before" + (f"; {result.error}" if result.error else "")
    contents = (
        f"{_count(result.statements, 'statement')}, {_count(result.positions, 'position')},"
        f" {_count(result.transactions, 'transaction')}" + (f"; {result.error}" if result.error else "")
    )
    if result.held:
        return "held back", f"{name}: {contents}; {'; '.join(result.held)}"
    return "loaded", f"{name}: {contents}"


def _summary(counts: dict[str, int]) -> str:
    text = (
        f"{_count(sum(counts.values()) - counts['held back'], 'file')}: {counts['loaded']:,} loaded,"
        f" {counts['known']:,} known, {counts['refused']:,} refused"
    )
    if counts["held back"]:
        text += (
            f"\n{_count(counts['held back'], 'file')} with statements that are held back:"
            " `python -m app statements held` lists them, `… accept` lets one through."
        )
    return text


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
