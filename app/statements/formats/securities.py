"""How SWIFT and ISO 20022 name securities: the codes of identifier schemes, and what they are here."""

import re

from app.statements.rows import Identifier

#: ISO 4217's code for what is in no currency: a custody statement need not value what it lists.
NO_CURRENCY = "XXX"

# Codes of ISO 20022 (ExternalFinancialInstrumentIdentificationType1Code), and the plain names that some write.
_SCHEMES = {
    **dict.fromkeys(("CUSP", "CUSIP"), "CUSIP"),
    **dict.fromkeys(("SEDL", "SEDOL"), "SEDOL"),
    **dict.fromkeys(("FIGI", "FIGC", "FIGG"), "FIGI"),
    **dict.fromkeys(("TIKR", "TICKER"), "SYMBOL"),
    "ISIN": "ISIN",
}
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")


def is_isin(value: str) -> bool:
    """Whether a value has the form of an ISIN."""
    return _ISIN.fullmatch(value) is not None


def identifier(code: str, value: str, *, market: str = "") -> Identifier:
    """A security's identifier under a scheme that has a code.

    A scheme that this program does not know, as that of Swiss or German numbers, is the custodian's own here; its
    code stays in the value, for one number may name different securities in two of them.

    Args:
        code: of the scheme, in any case; empty for the custodian's own numbers.
        value: as written.
        market: the MIC of the exchange that a ticker is one of, if it is told.
    """
    code, value = code.strip().upper(), " ".join(value.split()).upper()
    scheme = _SCHEMES.get(code)
    if scheme is None:
        return Identifier("CUSTODIAN", f"{code}/{value}" if code else value)
    return Identifier(scheme, value, namespace=market if scheme == "SYMBOL" else "")
