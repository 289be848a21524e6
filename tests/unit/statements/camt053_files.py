"""camt.053 statements for tests, written from the message definition (Bank to Customer Statement) by builders.

Nothing in them is from a bank's file.
"""

from tests.unit.statements.iso20022_files import Tree, amount, document

KIND = "camt.053.001.08"


def file_of(*statements: Tree, kind: str = KIND, header: list[Tree] | None = None) -> Tree:
    """A whole message; `header` is what its group header has besides its id."""
    group: Tree = ("GrpHdr", [("MsgId", "M-1"), ("CreDtTm", "2024-02-01T06:00:00+01:00"), *(header or [])])
    return document(kind, ("BkToCstmrStmt", [group, *statements]))


def statement(
    *,
    id: str = "S-1",
    iban: str = "DE02120300000000202051",
    bic: str = "BANKDEFFXXX",
    currency: str | None = "EUR",
    period: tuple[str, str] | None = ("2024-01-31", "2024-01-31"),
    pagination: tuple[int, bool] | None = None,
    number: str = "",
    opening: str | None = "100.00",
    closing: str | None = "100.00",
    day: str = "2024-01-31",
    balances: list[Tree] | None = None,
    summary: list[Tree] | None = None,
    entries: list[Tree] | None = None,
) -> Tree:
    """A statement in the order of the schema; a balance or part that is None is left out."""
    account: list[Tree] = [("Id", [("IBAN", iban)])]
    if currency:
        account.append(("Ccy", currency))
    if bic:
        account.append(("Svcr", [("FinInstnId", [("BICFI", bic)])]))
    parts: list[Tree] = [("Id", id)]
    if pagination:
        parts.append(pages("StmtPgntn", *pagination))
    if number:
        parts.append(("ElctrncSeqNb", number))
    parts.append(("CreDtTm", "2024-02-01T06:00:00+01:00"))
    if period:
        begin, end = (day if "T" in day else f"{day}T12:00:00" for day in period)
        parts.append(("FrToDt", [("FrDtTm", begin), ("ToDtTm", end)]))
    parts.append(("Acct", account))
    if opening is not None:
        parts.append(balance("OPBD", opening, day=day, currency=currency or "EUR"))
    if closing is not None:
        parts.append(balance("CLBD", closing, day=day, currency=currency or "EUR"))
    parts += balances or []
    if summary:
        parts.append(("TxsSummry", summary))
    return ("Stmt", [*parts, *(entries or [])])


def pages(name: str, number: int, is_last: bool) -> Tree:
    return (name, [("PgNb", str(number)), ("LastPgInd", "true" if is_last else "false")])


def balance(kind: str, number: str, *, day: str = "2024-01-31", currency: str = "EUR", sub: str = "") -> Tree:
    """A balance, negative for a debit."""
    tp: list[Tree] = [("CdOrPrtry", [("Cd", kind)])]
    if sub:
        tp.append(("SubTp", [("Cd", sub)]))
    return ("Bal", [("Tp", tp), *signed(number, currency), ("Dt", [("Dt", day)])])


def signed(number: str, currency: str = "EUR") -> list[Tree]:
    """An amount and its side: a debit for a negative number."""
    side = "DBIT" if number.startswith("-") else "CRDT"
    return [amount(number.removeprefix("-"), currency), ("CdtDbtInd", side)]


def entry(
    number: str = "12.34",
    *,
    currency: str = "EUR",
    status: str | Tree = "BOOK",
    day: str | None = "2024-01-31",
    value_day: str | None = "2024-02-01",
    reference: str = "",
    entry_reference: str = "",
    code: tuple[str, str, str] | None = None,
    details: list[Tree] | None = None,
    batch: Tree | None = None,
    extra: list[Tree] | None = None,
    text: str = "",
) -> Tree:
    """An entry, negative for a debit; `details` are its transactions."""
    parts: list[Tree] = [("NtryRef", entry_reference)] if entry_reference else []
    parts += signed(number, currency)
    parts.append(("Sts", [("Cd", status)]) if isinstance(status, str) else status)
    if day:
        parts.append(("BookgDt", [("Dt", day)]))
    if value_day:
        parts.append(("ValDt", [("Dt", value_day)]))
    if reference:
        parts.append(("AcctSvcrRef", reference))
    parts.append(bank_code(*code) if code else ("BkTxCd", [("Prtry", [("Cd", "NTRF")])]))
    parts += extra or []
    if details or batch:
        parts.append(("NtryDtls", [*([batch] if batch else []), *(details or [])]))
    if text:
        parts.append(("AddtlNtryInf", text))
    return ("Ntry", parts)


def bank_code(domain: str, family: str, sub_family: str) -> Tree:
    inner: Tree = ("Fmly", [("Cd", family), ("SubFmlyCd", sub_family)])
    return ("BkTxCd", [("Domn", [("Cd", domain), inner])])


def detail(
    number: str | None = None,
    *,
    currency: str = "EUR",
    reference: str = "",
    end_to_end: str = "",
    extra: list[Tree] | None = None,
    text: str = "",
) -> Tree:
    """A transaction in an entry."""
    references: list[Tree] = [("AcctSvcrRef", reference)] if reference else []
    references += [("EndToEndId", end_to_end)] if end_to_end else []
    parts: list[Tree] = [("Refs", references)] if references else []
    parts += signed(number, currency) if number is not None else []
    parts += extra or []
    parts += [("RmtInf", [("Ustrd", text)])] if text else []
    return ("TxDtls", parts)


def conversion(
    rate: str, source: str, target: str | None = None, unit: str | None = None, *, of: str = "TxAmt", number: str = "1"
) -> Tree:
    """The details of an amount that was converted."""
    parts: list[Tree] = [("SrcCcy", source)]
    parts += [("TrgtCcy", target)] if target else []
    parts += [("UnitCcy", unit)] if unit else []
    return ("AmtDtls", [(of, [amount(number), ("CcyXchg", [*parts, ("XchgRate", rate)])])])
