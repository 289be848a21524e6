"""semt.002 statements for tests, written from the message definition (Securities Balance Custody Report) by builders.

Nothing in them is from a custodian's file.
"""

from tests.unit.statements.iso20022_files import Tree, amount, document

KIND = "semt.002.001.11"


def file_of(
    *,
    kind: str = KIND,
    bic: str = "CUSTUS33XXX",
    account: str = "A-1",
    id: str = "S-1",
    day: Tree = ("Dt", "2024-01-31"),
    page: tuple[int, bool] = (1, True),
    update: str = "COMP",
    activity: str | None = "true",
    positions: list[Tree] | None = None,
    sub_accounts: list[Tree] | None = None,
    total: Tree | None = None,
) -> Tree:
    """A whole message, in the order of the schema; what is None is left out."""
    general: list[Tree] = [
        ("StmtId", id),
        ("StmtDtTm", [day]),
        ("Frqcy", [("Cd", "DAIL")]),
        ("UpdTp", [("Cd", update)]),
        ("StmtBsis", [("Cd", "SETT")]),
    ]
    if activity:
        general.append(("ActvtyInd", activity))
    number, is_last = page
    parts: list[Tree] = [
        ("Pgntn", [("PgNb", str(number)), ("LastPgInd", "true" if is_last else "false")]),
        ("StmtGnlDtls", [*general, ("SubAcctInd", "true" if sub_accounts else "false")]),
    ]
    if bic:
        parts.append(("AcctSvcr", [("Id", [("AnyBIC", bic)])]))
    parts.append(("SfkpgAcct", [("Id", account)]))
    parts += positions or []
    parts += sub_accounts or []
    if total:
        parts.append(("AcctBaseCcyTtlAmts", [total]))
    return document(kind, ("SctiesBalCtdyRpt", parts))


def position(
    isin: str = "US0378331005",
    number: str = "10",
    *,
    quantity: str = "Unit",
    side: str = "LONG",
    name: str = "BalForAcct",
    others: list[Tree] | None = None,
    description: str = "",
    attributes: list[Tree] | None = None,
    place: Tree | None = None,
    prices: list[Tree] | None = None,
    value: Tree | None = None,
    own_value: Tree | None = None,
    extra: list[Tree] | None = None,
) -> Tree:
    """A position; the quantity stands three elements deep, as in later versions."""
    security: list[Tree] = [("ISIN", isin)] if isin else []
    security += others or []
    security += [("Desc", description)] if description else []
    parts: list[Tree] = [("FinInstrmId", security)]
    parts += [("FinInstrmAttrbts", attributes)] if attributes else []
    inner: Tree = ("Qty", [("Qty", [("Qty", [(quantity, number)])])])
    parts.append(("AggtBal", [("ShrtLngInd", side), inner]))
    parts += [("SfkpgPlc", [("SfkpgPlcFrmt", [place])])] if place else []
    parts += prices or []
    parts += [("AcctBaseCcyAmts", [value])] if value else []
    parts += [("InstrmCcyAmts", [own_value])] if own_value else []
    return (name, [*parts, *(extra or [])])


def holding_value(number: str, currency: str = "USD", name: str = "HldgVal") -> Tree:
    """What something is worth, negative where its sign is false."""
    sign: Tree = ("Sgn", "false" if number.startswith("-") else "true")
    return (name, [amount(number.removeprefix("-"), currency), sign])


def price(value: Tree, *, tp: str = "MRKT", value_type: Tree = ("ValTp", "PARV")) -> Tree:
    return ("PricDtls", [("Tp", [("Cd", tp)]), ("Val", [value]), ("ValTp", [value_type])])


def other_id(number: str, tp: Tree) -> Tree:
    return ("OthrId", [("Id", number), ("Tp", [tp])])


def sub_account(number: str, *positions: Tree, activity: str = "true") -> Tree:
    return ("SubAcctDtls", [("SfkpgAcct", [("Id", number)]), ("ActvtyInd", activity), *positions])
