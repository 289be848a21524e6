"""Numbers as custodians write them: checked as text, whole columns at once, and never anything but text."""

import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

#: At most 18 digits before the point and 12 after it: what PostgreSQL and Decimal hold without loss.
_NUMBER = r"^[-+]?([0-9]{1,18}(\.[0-9]{0,12})?|\.[0-9]{1,12})$"
#: So wide that the numbers of a hundred million rows add up in it.
_TOTAL = pa.decimal128(38, 12)


def plain(cells: pa.Array, decimal: str) -> tuple[pa.Array, pa.Array]:
    """Return numbers with a decimal point, and whether each is one; blanks around them are no matter."""
    comma = decimal == ","
    # A point in a file of decimal commas stands between thousands, so it is wrong there.
    pattern = _NUMBER.replace(r"\.", ",") if comma else _NUMBER
    good = pc.match_substring_regex(cells, pattern)
    if pc.all(good).as_py() is False:
        cells = pc.utf8_trim_whitespace(cells)
        cells = pc.if_else(pc.equal(pc.binary_length(cells), 0), None, cells)
        good = pc.match_substring_regex(cells, pattern)
    return pc.replace_substring(cells, ",", ".") if comma else cells, good


def total(numbers: pa.Array) -> Decimal | None:
    """Return the sum of numbers with a decimal point; None when there are none."""
    found: Decimal | None = pc.sum(numbers.cast(pa.decimal128(30, 12)).cast(_TOTAL)).as_py()
    return found


def negated(numbers: pa.Array) -> pa.Array:
    """Return numbers with the other sign."""
    unsigned = pc.utf8_ltrim(numbers, "+-")
    return pc.if_else(pc.starts_with(numbers, "-"), unsigned, pc.binary_join_element_wise("-", unsigned, ""))


def what_is_wrong(cell: str, decimal: str) -> str:
    """Return why a cell is no number."""
    if not cell:
        return "is empty"
    if re.fullmatch(r"[-+]?[0-9.,]+[eE][-+]?[0-9]+", cell):
        return "has an exponent; it must be written out"
    before, _, after = cell.lstrip("+-").partition(decimal)
    if f"{before}{after}".isdecimal():
        return "has more than 18 digits before the decimals, or more than 12 decimals"
    return f"is no number (digits, a {decimal!r} before the decimals, nothing between thousands)"
