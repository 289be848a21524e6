"""What the fields of an MT535 statement mean as rows; SWIFT's message reference guide, category 5."""

import re
from dataclasses import dataclass
from decimal import Decimal

from app.currencies import is_currency
from app.statements.formats.mt535_text import Field, Sequence
from app.statements.formats.ofx_document import ASK_TO_CORRECT, shown
from app.statements.formats.securities import identifier, is_isin
from app.statements.rows import Identifier, PositionRow

# Digits with a decimal comma; the standard allows 15 characters, this is what the database holds.
_DIGITS = r"(?=[0-9])0*[0-9]{0,18}(?:,[0-9]{0,12})?"
_MAX_NUMBER_LENGTH = 31
_AMOUNT = re.compile(rf"/(N?)([A-Z]{{3}})({_DIGITS})")
_BALANCE = re.compile(rf"(?:[A-Z0-9]{{0,8}})/([A-Z0-9]{{4}})/(N?)({_DIGITS})")
_PERCENTAGE = re.compile(rf"/([A-Z]{{4}})/(N?)({_DIGITS})")
_PRICE = re.compile(rf"/([A-Z]{{4}})/([A-Z]{{3}})({_DIGITS})")
_CODED = re.compile(r"/([A-Z0-9]{2}|[A-Z0-9]{4})/(.*)")
# Codes of 35B before numbers that have no blanks; behind one, the name of the security may follow.
_NATIONAL = {"US": "CUSIP", "GB": "SEDOL", "TS": "TICKER"}


@dataclass(frozen=True, slots=True)
class Total:
    """An amount that a statement says of itself or of a position."""

    kind: str
    number: Decimal
    currency: str
    field: Field


@dataclass(frozen=True, slots=True)
class Holding:
    """A sequence FIN, and what it says of one security."""

    sequence: Sequence
    #: What the custodian calls the part of the account that it is in; empty if it does not say.
    sub_account: str

    def value(self, currency: str) -> Total | None:
        """What it is worth: in a currency, if it is told in that; else in the one that is told first."""
        values = [total(self.sequence, field) for field in self.sequence.all("19A", "HOLD")]
        return next((value for value in values if value.currency == currency), values[0] if values else None)


def total(sequence: Sequence, field: Field) -> Total:
    """An amount, negative where its sign says so."""
    matched = _AMOUNT.fullmatch(field.content)
    if matched is None or len(matched[3]) > _MAX_NUMBER_LENGTH:
        what = f"19A {field.qualifier} is {shown(field.content)}, not a currency and an amount with a decimal comma"
        raise sequence.error(what, field)
    return Total(field.qualifier, _number(matched[3], matched[1]), _currency(sequence, field, matched[2]), field)


def position(holding: Holding, default: str) -> PositionRow:
    """A holding as a row; `default` is the currency of the statement."""
    sequence = holding.sequence
    names, name = _security(sequence)
    attributes = next((part for part in sequence.sequences if part.name == "FIA"), None)
    value = holding.value(default)
    price, price_currency = _price(sequence)
    denomination = attributes.one("11A", "DENO") if attributes else None
    currency = value.currency if value else price_currency
    if not currency and attributes and denomination:
        currency = _currency(attributes, denomination, denomination.content.lstrip("/"))
    currency = currency or default
    place = sequence.one("94", "SAFE")
    parts = (holding.sub_account, place.content.lstrip("/").upper() if place else "")
    return PositionRow(
        line=sequence.line,
        scheme=names[0].scheme,
        identifier=names[0].value,
        name=name or None,
        ticker=next((known.value for known in names if known.scheme == "SYMBOL"), None),
        quantity=_quantity(sequence),
        price=price if price_currency in ("", currency) else None,
        market_value=value.number if value else None,
        currency=currency,
        sub_account="/".join(part for part in parts if part),
        also=tuple(names[1:]),
    )


def _security(sequence: Sequence) -> tuple[list[Identifier], str]:
    """What 35B calls a security, the ISIN first, and the description in it."""
    field = sequence.required("35B")
    names: list[Identifier] = []
    words: list[str] = []
    for line in (part.strip() for part in field.value.split("\n")):
        coded = _CODED.fullmatch(line)
        if line.startswith("ISIN ") and not names and not words:
            number = line.removeprefix("ISIN ").strip()
            if not is_isin(number):
                raise sequence.error(f"35B names {shown(number)}, which is no ISIN", field)
            names.append(Identifier("ISIN", number))
        elif coded and coded[2].strip() and not words:
            code, number, rest = coded[1], coded[2].strip(), ""
            if code in _NATIONAL:
                number, _, rest = number.partition(" ")
            names.append(identifier("" if code == "XX" else _NATIONAL.get(code, code), number))
            words += [rest.strip()] if rest else []
        elif line:
            words.append(line)
    name = " ".join(words)
    if not names and name:
        names.append(Identifier("CUSTODIAN", " ".join(name.split()).upper()))  # the one name that it has
    if not names:
        raise sequence.error("35B names no security", field)
    return list(dict.fromkeys(names)), name


def _quantity(sequence: Sequence) -> Decimal:
    """The aggregate balance; what is available of it, and what is not, are parts of that."""
    found: dict[str, Decimal] = {}
    for field in sequence.all("93", "AGGR"):
        matched = _BALANCE.fullmatch(field.content)
        if matched is None or len(matched[3]) > _MAX_NUMBER_LENGTH:
            what = f"93 AGGR is {shown(field.content)}, not a type and a quantity with a decimal comma"
            raise sequence.error(what, field)
        number = _number(matched[3], matched[2])
        if found.setdefault(matched[1], number) != number:
            raise sequence.error("93 AGGR stands twice in one FIN", field)
    if len(found) == 1:
        return next(iter(found.values()))
    if found.keys() == {"FAMT", "AMOR"}:
        return found["FAMT"]
    what = "has no aggregate balance" if not found else "has several aggregate balances"
    raise sequence.error(f"a position {what} (93B AGGR)")


def _price(sequence: Sequence) -> tuple[Decimal | None, str]:
    """The market's price, else an indicative one, and its currency; none for a percentage of the face value."""
    for qualifier in ("MRKT", "INDC"):
        field = sequence.one("90", qualifier)
        if field is None or field.tag == "90E":
            continue
        amount, percentage = _PRICE.fullmatch(field.content), _PERCENTAGE.fullmatch(field.content)
        if field.tag == "90B" and amount:
            currency = _currency(sequence, field, amount[2])
            return (_number(amount[3]), currency) if amount[1] == "ACTU" else (None, "")
        if field.tag == "90A" and percentage:
            # A yield, or points above or below the face value, is no price of a unit.
            return (_number(percentage[3], percentage[2]) if percentage[1] == "PRCT" else None), ""
        raise sequence.error(f"90 {qualifier} is {shown(field.content)}, not a price with a decimal comma", field)
    return None, ""


def _number(digits: str, sign: str = "") -> Decimal:
    number = Decimal(digits.replace(",", "."))
    return number.copy_negate() if sign and number else number


def _currency(sequence: Sequence, field: Field, code: str) -> str:
    if is_currency(code):
        return code
    hint = "Amounts in hundredths, as GBX for pence, must come in the currency itself. " + ASK_TO_CORRECT
    raise sequence.error(f"{field.tag} {field.qualifier} names {shown(code)}, not a currency of ISO 4217", field, hint)
