"""`python -m app migrate`: the tables."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from typing import Annotated

import typer

from app.cli.terminal import cell, output


def migrate(
    grant_to: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            help="Give this PostgreSQL role the rights that the app needs at run time, and take all others from it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Bring the database's tables to what this version needs; does nothing when they are, or are a later version's."""
    from app.database import current_revision, get_engine, grant, head_revision, is_newer, upgrade

    engine = get_engine()
    before = current_revision(engine)
    if is_newer(before):
        output().print(
            f"The database is at {before} already, which a later version made; it and its rights are left so."
        )
        return
    upgrade(engine)
    head = head_revision()
    if before == head:
        output().print(f"The database is at {head} already.")
    else:
        output().print(f"The database is at {head}; it was {f'at {before}' if before else 'empty'}.")
    if grant_to is not None:
        grant(engine, grant_to)
        output().print(f"The role {cell(grant_to)} may do what the app does, and no more.")
