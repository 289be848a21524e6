"""What is doubtful about an identifier: its form, or its check digit, by `python-stdnum`.

It is said and not refused. A name is there to be met in a statement, and custodians do write numbers of their own where
an ISIN or a CUSIP should stand: for funds that have none, for accounts, for what they settle by themselves.
"""

from types import ModuleType

from stdnum import cusip, figi, isin
from stdnum.exceptions import InvalidChecksum, InvalidComponent, ValidationError
from stdnum.gb import sedol

#: The numbers that have a check digit, and the characters that each has.
_NUMBERS: dict[str, tuple[ModuleType, int]] = {
    "ISIN": (isin, 12),
    "CUSIP": (cusip, 9),
    "SEDOL": (sedol, 7),
    "FIGI": (figi, 12),
}


def doubt(scheme: str, value: str) -> str | None:
    """Return what is wrong with a value, as the end of a sentence that starts with it; None if nothing is.

    Schemes without a check digit are never doubtful.
    """
    if scheme not in _NUMBERS:
        return None
    module, length = _NUMBERS[scheme]
    if len(value) != length:
        return f"has {len(value)} characters, not the {length} of {_a(scheme)}"
    try:
        module.validate(value)
    except InvalidChecksum:
        return f"ends in {value[-1]}, and its check digit is {module.calc_check_digit(value[:-1])}"
    except InvalidComponent:
        return f"begins with {value[:2] if scheme == 'ISIN' else value[:3]}, as no {scheme} does"
    except ValidationError:
        return f"has characters that {_a(scheme)} does not have there"
    return None


def _a(scheme: str) -> str:
    return f"an {scheme}" if scheme == "ISIN" else f"a {scheme}"
