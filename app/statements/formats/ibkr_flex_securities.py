"""Which names a row of an IBKR Flex file gives its security, and which of them comes first."""

import re

from app.statements.formats.ibkr_flex_document import Element
from app.statements.rows import Identifier

# What a value must look like to be taken for an identifier of the scheme; IBKR fills these fields for users, too.
# In this order: the first that a row has is its primary identifier.
_SCHEMES = {
    "ISIN": re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]"),
    "CUSIP": re.compile(r"[A-Z0-9*@#]{8}[0-9]"),
    "FIGI": re.compile(r"[A-Z]{2}G[A-Z0-9]{8}[0-9]"),
    "SEDOL": re.compile(r"[0-9B-DF-HJ-NP-TV-Z]{6}[0-9]"),
}
#: The symbol of an option by the OCC's rule is the same on every exchange.
_OCC_SYMBOL = re.compile(r"[A-Z0-9.]{1,6} *[0-9]{6}[CP][0-9]{8}")

#: MICs of IBKR's exchange codes, where a code is one market for certain.
_MICS = {
    "AEB": "XAMS",
    "AMEX": "XASE",
    "ARCA": "ARCX",
    "ASX": "XASX",
    "BATS": "BATS",
    "EBS": "XSWX",
    "FWB": "XFRA",
    "IBIS": "XETR",
    "IBIS2": "XETR",
    "LSE": "XLON",
    "LSEETF": "XLON",
    "NASDAQ": "XNAS",
    "NYSE": "XNYS",
    "SBF": "XPAR",
    "SEHK": "XHKG",
    "SGX": "XSES",
    "SWB": "XSTU",
    "TSE": "XTSE",
    "TSEJ": "XTKS",
    "VSE": "XWBO",
}


def security(row: Element) -> tuple[Identifier, tuple[Identifier, ...]] | None:
    """The primary identifier of a row's security and the others; None if it names none.

    ISIN comes before CUSIP, FIGI, SEDOL and conid, which is IBKR's own number and given whenever there is one.
    """
    names = [name for scheme in _SCHEMES if (name := _standard(row, scheme))]
    if conid := row.text("conid"):
        names.append(Identifier("CUSTODIAN", conid.upper()))
    symbol = row.text("symbol").upper()
    if _OCC_SYMBOL.fullmatch(symbol):
        names.append(Identifier("SYMBOL", symbol))
    elif symbol and row.text("assetCategory") == "STK" and (mic := _MICS.get(row.text("listingExchange"))):
        names.append(Identifier("SYMBOL", symbol, mic))
    if symbol and not names:  # nothing but a symbol, whose market is not known: only IBKR knows what it means
        names.append(Identifier("CUSTODIAN", symbol))
    return (names[0], tuple(names[1:])) if names else None


def _standard(row: Element, scheme: str) -> Identifier | None:
    own = row.text("securityID") if row.text("securityIDType").upper() == scheme else ""
    for value in (row.text(scheme.lower()).upper(), own.upper()):
        if _SCHEMES[scheme].fullmatch(value):
            return Identifier(scheme, value)
    return None
