"""What the fields of an MT940 message mean: balances, the account, and the lines of a statement.

`mt-940` knows the grammar of a line, :61:, with the liberties that banks take. The rest of the library is not used:
it drops what stands in no place that it knows, reads :62F:C020315105000,00, which has no currency, as 0.00 of "105",
and counts a reversed credit as a credit unless told.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from mt940.tags import StatementGLS

from app.currencies import is_currency
from app.statements.formats.mt940_document import ASK_TO_CORRECT, Field, Message

#: The custodian of an account of which a file says the number and nothing about the bank.
UNNAMED_BANK = "mt940"

# The library's own grammar of :61:, in the variant that takes a reference of the account owner of any length.
_LINE = StatementGLS().re
_AMOUNT = re.compile(r"[0-9]{1,15}(?:,[0-9]*)?|,[0-9]+")
_BALANCE = re.compile(r"([CD])([0-9]{6})([A-Z]{3})?(0*[0-9]{1,15}(?:,[0-9]{0,14})?|,[0-9]{1,14})")
_COUNT = re.compile(r"([0-9]{1,5})[A-Z]{3}[0-9]{1,15}(?:,[0-9]*)?")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_NO_REFERENCE = frozenset({"", "NONREF", "NOTPROVIDED", "KREF", "KREF+", "EREF", "EREF+", "MREF", "MREF+", "PREF"})
_STRUCTURED = re.compile(r"[0-9]{3}(?=\?)")
_SUBFIELD = re.compile(r"\?([0-9]{2})([^?]*)")
_MAX_SHOWN = 60
# SWIFT's rule for years of two digits.
_FIRST_YEAR_OF_1900S = 80


@dataclass(frozen=True, slots=True)
class Balance:
    """An opening or closing balance."""

    field: Field
    day: date
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a statement, :61: with the words that follow it."""

    field: Field
    value_day: date
    #: The day it was booked, if the line says so.
    booked: date | None
    amount: Decimal
    #: The bank's reference, and the account owner's; empty where they say that there is none.
    bank_reference: str
    owner_reference: str
    description: str

    @property
    def day(self) -> date:
        """The day it was posted, as far as the line tells."""
        return self.booked or self.value_day


def balance(message: Message, found: Field, currency: str = "") -> Balance:
    """The balance that a field states.

    Args:
        message: the message.
        found: its field.
        currency: taken where the field has none, as the closing balance of some banks.
    """
    value = "".join(found.value)
    read = _BALANCE.fullmatch(value)
    if read is None:
        what = f":{found.tag}: is {_shown(value)}, not C or D, a date (YYMMDD), a currency and an amount"
        raise message.error(what, ASK_TO_CORRECT, at=found)
    mark, day, code, amount = read.groups()
    code = code or currency
    if not is_currency(code):
        what = f"the currency of :{found.tag}: is {code!r}, which ISO 4217 does not have"
        raise message.error(what, ASK_TO_CORRECT, at=found)
    known = _day(day)
    if known is None:
        raise message.error(f"the date of :{found.tag}: is {day!r}, which does not exist", ASK_TO_CORRECT, at=found)
    return Balance(found, known, code, _signed(amount, is_debit=mark == "D"))


def account(message: Message, currency: str) -> tuple[str, str]:
    """Custodian and account number by :25:, as the documentation of the format says."""
    found = message.required("account", "25", "25P")
    lines = [re.sub(r"\s+", "", line).upper() for line in found.value]
    bank = ""
    if found.tag == "25P" and len(lines) > 1:
        bank = lines.pop()
    number = "".join(lines)
    if number.endswith(currency) and number[: -len(currency)][-1:].isdigit():
        number = number[: -len(currency)]
    number = number.strip("/")
    if not bank and "/" in number:
        bank, _, number = number.partition("/")
    if not number:
        raise message.error("the account number, :25:, is blank", ASK_TO_CORRECT, at=found)
    if not bank:
        bank = number[:2] + number[4:8] if _IBAN.fullmatch(number) else message.sender or UNNAMED_BANK
    return bank.lower(), number


def entries(message: Message) -> list[Entry]:
    """The lines of a message, each with its words; one entry for each :61:."""
    lines: list[tuple[Field, list[Field]]] = []
    for current in message.fields:
        if current.tag == "61":
            lines.append((current, []))
        elif current.tag == "86" and lines:
            lines[-1][1].append(current)
        elif current.tag.startswith("62"):
            break  # the words after the closing balance are about the statement
    found = [_entry(message, line, words) for line, words in lines]
    _check_counts(message, len(found))
    return found


def _entry(message: Message, line: Field, words: list[Field]) -> Entry:
    first = line.value[0]
    read = _LINE.match(first)
    if read is None or not read["id"] or not _AMOUNT.fullmatch(read["amount"]):
        what = f":61: is {_shown(first)}, not a value date, C or D, an amount and a type, as 2401310131D12,50NTRF"
        raise message.error(what, ASK_TO_CORRECT, at=line)
    value_day = _day(f"{read['year']}{read['month']}{read['day']}", has_february_30=True)
    if value_day is None:
        raise message.error(f"the value date of :61: is {first[:6]!r}, which does not exist", ASK_TO_CORRECT, at=line)
    booked = None
    if (month := (read["entry_month"] or "").strip()) and (day := (read["entry_day"] or "").strip()):
        booked = _nearest(month + day, value_day)
        if booked is None:
            what = f"the entry date of :61: is {month + day!r}, which does not exist"
            raise message.error(what, ASK_TO_CORRECT, at=line)
    owner, bank = ((read[name] or "").strip() for name in ("customer_reference", "bank_reference"))
    return Entry(
        field=line,
        value_day=value_day,
        booked=booked,
        amount=_signed(read["amount"], is_debit=read["status"].upper() in ("D", "RC")),
        bank_reference="" if bank.upper() in _NO_REFERENCE else bank,
        owner_reference="" if owner.upper() in _NO_REFERENCE else owner,
        description="; ".join(filter(None, map(_words, words))) or " ".join(line.value[1:]),
    )


def _check_counts(message: Message, count: int) -> None:
    """Compare with the numbers of entries that the bank states, where it does: with fewer, some are missing."""
    stated, fields = 0, [found for found in message.fields if found.tag in ("90C", "90D")]
    for found in fields:
        read = _COUNT.fullmatch("".join(found.value))
        if read is None:
            what = f":{found.tag}: is {_shown(''.join(found.value))}, not a number of entries, a currency and a sum"
            raise message.error(what, ASK_TO_CORRECT, at=found)
        stated += int(read[1])
    if stated > count or (len(fields) > 1 and stated < count):
        what = f"the bank counts {stated} entries, and there are {count} in the message"
        raise message.error(what, f"It is a balance report (MT941), or damaged. {ASK_TO_CORRECT}", at=fields[0])


def _words(found: Field) -> str:
    """The words of :86:; in the German structure those of the entry, the other party and the purpose."""
    text = "".join(found.value)
    if not _STRUCTURED.match(text):
        return " ".join(line.strip() for line in found.value).strip()
    parts: dict[str, str] = {}
    for code, words in _SUBFIELD.findall(text):
        group = "purpose" if "20" <= code <= "29" or "60" <= code <= "63" else code
        parts[group] = parts.get(group, "") + words
    party = parts.get("32", "") + parts.get("33", "")
    return "; ".join(words.strip() for words in (parts.get("00", ""), party, parts.get("purpose", "")) if words.strip())


def _day(digits: str, *, has_february_30: bool = False) -> date | None:
    """The date of YYMMDD; banks that count thirty days a month date values on February 30, its last day."""
    year, month, day = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    year += 1900 if year >= _FIRST_YEAR_OF_1900S else 2000
    with suppress(ValueError):
        return date(year, month, day)
    if has_february_30 and month == 2 and day in (29, 30):  # noqa: PLR2004
        return date(year, 2, 28) if year % 4 else date(year, 2, 29)
    return None


def _nearest(digits: str, near: date) -> date | None:
    """The date of MMDD that is nearest to another, for it may be of the year before or after."""
    days = []
    for year in (near.year - 1, near.year, near.year + 1):
        with suppress(ValueError):
            days.append(date(year, int(digits[:2]), int(digits[2:])))
    return min(days, key=lambda day: abs(day - near), default=None)


def _signed(amount: str, *, is_debit: bool) -> Decimal:
    number = Decimal(amount.replace(",", "."))
    return number.copy_negate() if is_debit and number else number


def _shown(value: str) -> str:
    return repr(value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…")
