"""`python -m app breaks assign | comment | resolve | write-off`: what people do with breaks, each in its own name."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from typing import Annotated

import typer
from rich.text import Text

from app.cli.numbers import positive
from app.cli.terminal import cell, output

_Ids = Annotated[
    list[int],
    typer.Argument(
        metavar="ID…", parser=positive, help="The breaks, by the ids that `breaks list` shows; all of them or none."
    ),
]
_Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with your login.")]


def assign(
    break_ids: _Ids,
    to: Annotated[str, typer.Option("--to", metavar="LOGIN", help="Who is to look after them.")],
) -> None:
    """Give breaks to a person. One that is explained stays so, and is theirs when its explanation fails."""
    from app.database import session_scope
    from app.people import current_person
    from app.reconciliation import assign as act

    person = current_person()
    with session_scope() as session:
        act(session, break_ids, to, by=person)
    output().print(Text(f"{_breaks(break_ids)} given to {cell(to)} by {person.login}."))


def comment(
    break_ids: _Ids,
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="What there is to say; kept with your login.")],
) -> None:
    """Say something of breaks, for whoever looks at them next."""
    from app.database import session_scope
    from app.people import current_person
    from app.reconciliation import comment as act

    person = current_person()
    with session_scope() as session:
        act(session, break_ids, text, by=person)
    output().print(f"{_breaks(break_ids)} commented by {person.login}.")


def resolve(break_ids: _Ids, reason: _Reason) -> None:
    """Say that what breaks are about has been put right. A run opens them again when a later date still disagrees."""
    from app.database import session_scope
    from app.people import current_person
    from app.reconciliation import resolve as act

    person = current_person()
    with session_scope() as session:
        act(session, break_ids, reason, by=person)
    output().print(f"{_breaks(break_ids)} resolved by {person.login}.")


def write_off(break_ids: _Ids, reason: _Reason) -> None:
    """Accept differences for good. A run opens them again when the difference changes.

    What is worth more than WRITE_OFF_LIMIT, or whose value is not known, takes two people: the first write-off is a
    proposal, and a second person's of the same figures is what writes it off.
    """
    from app.database import session_scope
    from app.people import current_person
    from app.reconciliation import write_off as act
    from app.reports import money
    from app.settings import get_settings

    settings = get_settings()
    person = current_person()
    with session_scope() as session:
        results = act(session, break_ids, reason, by=person, limit=settings.write_off_limit)
    for result in results:
        worth = "of unknown value" if result.value is None else f"of {money(result.value)} {settings.base_currency}"
        if not result.is_done:
            told = f"proposed to be written off by {person.login}; a second person's write-off does it."
        elif result.proposed_by is None:
            told = f"written off by {person.login}."
        else:
            told = f"written off by {result.proposed_by} and {person.login}."
        output().print(f"Break {result.break_id}, {worth}, is {told}")


def _breaks(break_ids: list[int]) -> str:
    ids = sorted(set(break_ids))
    return f"Break {ids[0]} is" if len(ids) == 1 else f"Breaks {', '.join(map(str, ids))} are"
