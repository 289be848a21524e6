"""What a cell of a book's tables may say, and what is wrong with one that says something else."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from difflib import get_close_matches

from app.calendars import business_day_on_or_before
from app.currencies import is_currency
from app.errors import BadInputError

_LONGEST_NUMBER = 40
#: Of a quantity or an amount.
MOST_DECIMALS = 12
_LONGEST_CODE = 200
_LONGEST_LAG = 60


@dataclass(frozen=True, slots=True)
class Kind:
    """What the cells of a column may say."""

    #: Says what is wrong with a cell as of a day, as the end of a sentence that starts with it, or None.
    judge: Callable[[str, date], str | None]
    #: What Parquet may store it as: text, integer, decimal, date, boolean.
    stored_as: frozenset[str] = frozenset({"text"})
    #: SQL over `cell` that is true for all that `judge` refuses and for few others, so that a million good
    #: cells never leave the database. By default each distinct cell is judged.
    suspect: str = "true"


def _any_text(_cell: str, _today: date) -> None:
    return None


def _code(cell: str, _today: date) -> str | None:
    if cell != cell.strip():
        return "has blanks around it"
    if not cell.isprintable():
        return "has a line break or another control character in it"
    return f"is longer than {_LONGEST_CODE} characters" if len(cell) > _LONGEST_CODE else None


def _lower_case(cell: str, today: date) -> str | None:
    return _code(cell, today) or (None if cell == cell.lower() else f"is not in lower case: {cell.lower()}")


def _currency(cell: str, _today: date) -> str | None:
    if is_currency(cell):
        return None
    meant = cell.strip().upper()
    return "is no active ISO 4217 code" + (f" (did you mean {meant}?)" if is_currency(meant) else "")


def _calendar(cell: str, today: date) -> str | None:
    if verdict := _code(cell, today):
        return verdict
    try:
        business_day_on_or_before(cell, today)
    except BadInputError as error:
        return f"can't be used: {error}"
    return None


def _number(cell: str, _today: date) -> str | None:
    if len(cell) > _LONGEST_NUMBER:
        return f"has more than {_LONGEST_NUMBER} characters"
    if not re.fullmatch(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", cell):
        if re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", cell):
            return "has an exponent; write out the number"
        if cell.lower().lstrip("-+") in {"nan", "inf", "infinity"}:
            return "is not a finite number"
        return "is no number (digits, a point before the decimals, nothing between thousands)"
    if len(cell.partition(".")[2]) > MOST_DECIMALS:
        return f"has more than {MOST_DECIMALS} decimals"
    return "is not below 10^18" if abs(Decimal(cell)) >= 10**18 else None


def _tolerance(cell: str, today: date) -> str | None:
    return _number(cell, today) or ("is negative" if Decimal(cell) < 0 else None)


def _share(cell: str, today: date) -> str | None:
    return _tolerance(cell, today) or ("is not below 1 (1 % is 0.01)" if Decimal(cell) >= 1 else None)


def _positive(cell: str, today: date) -> str | None:
    return _number(cell, today) or (None if Decimal(cell) > 0 else "is not above 0")


def _time(cell: str, _today: date) -> str | None:
    if re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", cell):
        return None
    return "is no time of the day of the form HH:MM, from 00:00 to 23:59"


def _date(cell: str, _today: date) -> str | None:
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", cell):
        return "is no date of the form YYYY-MM-DD"
    try:
        date.fromisoformat(cell)
    except ValueError:
        return "is no day that exists"
    return None


def _past_date(cell: str, today: date) -> str | None:
    return _date(cell, today) or (f"is in the future (today is {today})" if date.fromisoformat(cell) > today else None)


def _lag(cell: str, _today: date) -> str | None:
    whole = re.fullmatch("[0-9]{1,2}", cell)
    return None if whole and int(cell) <= _LONGEST_LAG else f"is no whole number from 0 to {_LONGEST_LAG}"


def one_of(*choices: str, stored_as: frozenset[str] = frozenset({"text"})) -> Kind:
    """Return the kind of cells that say one of these words."""

    def judge(cell: str, _today: date) -> str | None:
        if cell in choices:
            return None
        by_lower_case = {choice.lower(): choice for choice in choices}
        near = get_close_matches(cell.strip().lower(), by_lower_case, 1)
        return f"is none of {', '.join(choices)}" + (f" (did you mean {by_lower_case[near[0]]}?)" if near else "")

    return Kind(judge, stored_as)


_CODES = frozenset({"text", "integer"})
_NUMBERS = frozenset({"text", "integer", "decimal"})
_DATES = frozenset({"text", "date"})

TEXT = Kind(_any_text, suspect="false")
CODE = Kind(_code, _CODES, rf"length(cell) > {_LONGEST_CODE} OR cell !~ '^[!-~]([ -~]*[!-~])?$'")
WORD = Kind(_lower_case)
CURRENCY = Kind(_currency)
#: Those that accounts have already were judged when they came; building one takes time.
CALENDAR = Kind(_calendar, suspect="NOT EXISTS (SELECT FROM accounts WHERE calendar = cell)")
NUMBER = Kind(
    _number,
    _NUMBERS,
    # Nearly all numbers are plain and too short to be out of range, which is quickly seen.
    rf"CASE WHEN cell !~ '^-?[0-9]+\.?[0-9]*$' OR length(cell) > {_LONGEST_NUMBER} THEN true"
    rf" WHEN length(cell) <= {MOST_DECIMALS + 1} THEN false"
    rf" ELSE abs(cell::numeric) >= 1e18 OR scale(cell::numeric) > {MOST_DECIMALS} END",
)
TOLERANCE = Kind(_tolerance, _NUMBERS)
SHARE = Kind(_share, _NUMBERS)
POSITIVE = Kind(_positive, _NUMBERS)
TIME = Kind(_time)
DATE = Kind(_date, _DATES)
PAST_DATE = Kind(_past_date, _DATES)
LAG = Kind(_lag, _CODES)
FLAG = one_of("true", "false", stored_as=frozenset({"text", "boolean"}))
ACCOUNT = Kind(
    lambda _cell, _today: "is no account of the book or of the imported accounts",
    _CODES,
    "NOT EXISTS (SELECT FROM accounts WHERE code = cell)"
    " AND NOT EXISTS (SELECT FROM staged_accounts WHERE account = cell)",
)
SECURITY = Kind(
    lambda _cell, _today: "is no security of the book or of the imported securities",
    _CODES,
    "NOT EXISTS (SELECT FROM securities WHERE code = cell)"
    " AND NOT EXISTS (SELECT FROM staged_securities WHERE security = cell)",
)
