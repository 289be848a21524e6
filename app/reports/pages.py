"""Pages: templates with what they show, written so that a reader sees the whole page or none."""

from contextlib import suppress
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.errors import BadInputError
from app.reports.figures import figure, money, signed


def write_page(template: str, report: Any, path: Path) -> Path:
    """Write a page to a file, whose folder is made if it is missing, and return the file.

    Args:
        template: the file among the templates.
        report: what it shows.
        path: where to.

    Raises:
        BadInputError: the file can't be written.
    """
    unfinished = path.with_suffix(".html.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w", encoding="utf-8") as file:
            file.writelines(_templates().get_template(template).generate(report=report))
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise BadInputError(f"the report can't be written ({error.strerror})", where=str(path)) from error
    return path


@cache
def _templates() -> Environment:
    # Names and numbers in statements are a stranger's words: everything is escaped.
    environment = Environment(
        loader=PackageLoader("app.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": figure,
        "money": money,
        "signed": signed,
        "day": _day,
        "moment": _moment,
        "count": _count,
        "share": _share,
    }
    return environment


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _share(share: float | None, decimals: int = 2) -> str:
    return "not defined" if share is None else f"{share:.{decimals}%}"
