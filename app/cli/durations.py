"""Days, moments and lengths of time that people give to commands."""

import re
from datetime import UTC, date, datetime, timedelta

import typer

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def duration(given: str | timedelta) -> timedelta:
    """Read a length of time: 90m, 8h, 3d or 2w.

    Raises:
        typer.BadParameter: it is none.
    """
    if isinstance(given, timedelta):
        return given
    if found := re.fullmatch(r"([0-9]{1,6})([mhdw])", given.strip(), re.ASCII):
        return int(found[1]) * _UNITS[found[2]]
    raise typer.BadParameter(f"{given[:50]!r} is no length of time such as 90m, 8h, 3d or 2w.")


def day(given: str | date) -> date:
    """Read a day: 2026-03-10.

    Raises:
        typer.BadParameter: it is none.
    """
    if isinstance(given, date):
        return given
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise typer.BadParameter(f"{given[:50]!r} is no day such as 2026-03-10.") from None


def moment(given: str | datetime) -> datetime:
    """Read a moment: 2026-03-10T17:00, in UTC unless it says else; of a day alone its begin.

    Raises:
        typer.BadParameter: it is none.
    """
    if isinstance(given, datetime):
        return given
    try:
        found = datetime.fromisoformat(given)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{given[:50]!r} is no time such as 2026-03-10T17:00.") from None
