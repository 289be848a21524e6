"""`python -m app migrate`: the tables."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from app.cli.terminal import output


def migrate() -> None:
    """Bring the database's tables to what this version needs; does nothing when they are."""
    from app.database import current_revision, get_engine, head_revision, upgrade

    engine = get_engine()
    before = current_revision(engine)
    upgrade(engine)
    head = head_revision()
    if before == head:
        output().print(f"The database is at {head} already.")
    else:
        output().print(f"The database is at {head}; it was {f'at {before}' if before else 'empty'}.")
