"""Reads the custody statements of ISO 20022, semt.002: the positions of safekeeping accounts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from app.statements.formats.doubles import different_positions, different_statements
from app.statements.formats.iso20022 import Message, head, messages
from app.statements.formats.iso20022_node import Amount, Node
from app.statements.formats.ofx_document import shown
from app.statements.formats.pages import Page, whole_statements
from app.statements.formats.securities import NO_CURRENCY, identifier, is_isin
from app.statements.rows import Identifier, ParsedStatement, PositionRow

_KIND = re.compile(r"semt\.002\.00[12]\.(?!01)[0-9]{2}")
_SIGNATURE = re.compile(rb"[:.]semt\.002\.|<(?:[A-Za-z0-9_.-]+:)?(?:SctiesBalCtdyRpt|CtdyStmtOfHldgs)")
_BODIES = re.compile(r"SctiesBalCtdyRpt|CtdyStmtOfHldgsV?[0-9]*")

# Version 2 names a security by an element a scheme.
_CHOICES = {"ISIN": "ISIN", "CUSIP": "CUSIP", "SEDOL": "SEDOL", "TckrSymb": "TIKR"}
# The face value, where a bond's amortised value stands beside it, comes first.
_QUANTITIES = ("FaceAmt", "Unit", "AmtsdVal", "DgtlTknUnit", "Bal")


def recognises(data: bytes) -> bool:
    """Whether a file looks like semt.002 by its head; it may be damaged all the same."""
    return _SIGNATURE.search(head(data)) is not None


def read(data: bytes, name: str) -> tuple[ParsedStatement, ...]:
    """Read every statement of a file, in the order of the file; it is read whole or not at all.

    Args:
        data: the file.
        name: what errors call the file.

    Raises:
        StatementError: it is not a sound semt.002 message, a page of a statement is missing, it lists only changes,
            or two of its rows say the same thing.
    """
    found = messages(data, name, ("BalForAcct", "BalForSubAcct"), _position)
    statements = whole_statements(_page(message) for message in found)
    return different_statements((_statement(pages), pages[0].node.error) for pages in statements)


@dataclass(frozen=True, slots=True)
class _Page:
    """A statement, or what one message has of it."""

    node: Node
    custodian: str
    account_number: str
    as_of: date
    #: Whether it says that anything is held at all.
    activity: bool | None
    holdings: list["_Holding"]


@dataclass(frozen=True, slots=True)
class _Holding:
    """A position, read for itself: `row` has no currency where nothing in the position tells one."""

    node: Node
    row: PositionRow
    #: The currency that it is valued in; empty if it is not.
    valued_in: str


def _value(node: Node) -> Amount | None:
    """What a position is worth: in the account's currency, else in the security's own."""
    for place in ("AcctBaseCcyAmts/HldgVal", "InstrmCcyAmts/HldgVal"):
        if stated := node.part(place):
            return _directed(stated)
    values = list(node.all("HldgVal"))  # in version 2, which has no sign for it
    return values[0].amount if values else None


def _directed(node: Node) -> Amount:
    """An amount, negative where Sgn says that it is."""
    holder = node.part("Amt")
    if holder is None:
        return node.amount
    amount, sign = holder.amount, node.part("Sgn")
    return amount if sign is None or sign.is_true else Amount(_negative(amount.number), amount.currency)


def _negative(number: Decimal) -> Decimal:
    """Minus the absolute value, without the rounding of arithmetic."""
    return number.copy_abs().copy_negate() if number else number


def _page(message: Message[_Holding]) -> Page[_Page]:
    body = message.body
    if not _KIND.fullmatch(message.kind) or not _BODIES.fullmatch(body.name):
        raise body.error(
            f"the message is {shown(body.name)} of {shown(message.kind)}; positions are read from semt.002.001.02 on",
            "Ask the custodian for semt.002, the custody statement of holdings.",
        )
    general = body.required_part("StmtGnlDtls")
    update = general.part("UpdTp")
    kind = update.first("Cd", "StmtUpdTpAsCd") if update else None
    if update and kind and kind.value == "DELT":
        raise update.error(
            "it lists only what has changed (DELT), and what it leaves out is held all the same",
            "Ask the custodian for complete statements (COMP).",
        )
    account = body.part("SfkpgAcct") or body.part("AcctDtls") or body.required_part("BlckChainAdrOrWllt")
    custodian = body.bic("AcctSvcr") or account.bic("AcctSvcr") or message.sender
    if not custodian:
        raise body.error(
            "it does not say which custodian the account is with: no BIC in AcctSvcr, nor in a header",
            "Ask the custodian to fill in AcctSvcr, or for files with their business application header (AppHdr).",
        )
    account_number = _account_number(account)
    as_of = general.required_part("StmtDtTm").dated
    activity = general.part("ActvtyInd")
    content = _Page(
        node=body,
        custodian=custodian,
        account_number=account_number,
        as_of=as_of,
        activity=activity.is_true if activity else None,
        holdings=list(_holdings(message)),
    )
    pagination = body.part("Pgntn") or body.required_part("MsgPgntn")
    number, is_last = pagination.page
    return Page(
        key=(custodian, account_number, as_of, general.text("StmtId") or _leaf(general.part("RptNb"))),
        statement=f"the statement of {as_of} of account {shown(account_number)}",
        number=number,
        is_last=is_last,
        line=body.line,
        where=lambda: body.where,
        content=content,
    )


def _leaf(node: Node | None) -> str:
    """A value, or the one value of a choice."""
    return next(node.leaves()).value if node else ""


def _account_number(account: Node) -> str:
    """Its Id, or in version 2 the one in that."""
    number = account.required_part("Id")
    value = _leaf(number)
    if not value:
        raise number.error(f"Id of {account.name} is blank")
    return value


def _holdings(message: Message[_Holding]) -> Iterator[_Holding]:
    yield from message.records_in(message.body)
    for part in message.body.all("SubAcctDtls"):
        held = message.records_in(part)
        if held and message.records_in(message.body):
            raise part.error(
                "it lists positions of the account and of its sub-accounts, and does not tell whether they are the same"
            )
        account = part.part("SfkpgAcct") or part.part("BlckChainAdrOrWllt") or part
        name = _account_number(account) if account.part("Id") else ""
        for holding in held:
            sub_account = "/".join(text for text in (name, holding.row.sub_account) if text)
            yield replace(holding, row=replace(holding.row, sub_account=sub_account))


def _statement(pages: list[_Page]) -> ParsedStatement:
    first = pages[0]
    holdings = [holding for page in pages for holding in page.holdings]
    stated = {page.activity for page in pages}
    if stated == {False} and holdings:
        raise holdings[0].node.error("it lists a position, and says (ActvtyInd) that there are none")
    if not holdings and stated != {False}:
        raise first.node.error("it lists no position, and does not say (ActvtyInd) that there are none")
    totals = [total for page in pages if (total := _total(page, is_only=len(pages) == 1))]
    if len(set(totals)) > 1:
        raise pages[-1].node.error(f"its total value is {totals[-1].number}, and {totals[0].number} before")
    currencies = {holding.valued_in for holding in holdings if holding.valued_in}
    currency = totals[0].currency if totals else currencies.pop() if len(currencies) == 1 else NO_CURRENCY
    rows = (
        (holding.row if holding.row.currency else replace(holding.row, currency=currency), holding.node.error)
        for holding in holdings
    )
    return ParsedStatement(
        line=first.node.line,
        custodian=first.custodian,
        account_number=first.account_number,
        as_of=first.as_of,
        currency=currency,
        positions=different_positions(rows),
        cash=None,
        transactions=(),
        stated_value=None,
        stated_positions_value=totals[0].number if totals else None,
    )


def _total(page: _Page, *, is_only: bool) -> Amount | None:
    """The value of all positions; a page's own total is that where there is no other page."""
    totals = page.node.part("AcctBaseCcyTtlAmts") or page.node.part("TtlVals")
    if totals is None:
        return None
    total = totals.part("TtlHldgsValOfStmt") or (totals.part("TtlHldgsValOfPg") if is_only else None)
    return _directed(total) if total else None


def _position(node: Node) -> _Holding:
    """A BalForAcct or BalForSubAcct, for which it must not matter what else is in the file."""
    names, name = _security(node)
    quantity, is_short = _quantity(node)
    value, price = _value(node), _price(node)
    currency = value.currency if value else price.currency if price else ""
    if not currency and (denomination := node.part("FinInstrmAttrbts/DnmtnCcy")):
        currency = denomination.currency
    worth = value.number if value else None
    row = PositionRow(
        line=node.line,
        scheme=names[0].scheme,
        identifier=names[0].value,
        name=name or None,
        ticker=next((known.value for known in names if known.scheme == "SYMBOL"), None),
        quantity=quantity,
        price=price.number if price and price.currency in ("", currency) else None,
        market_value=_negative(worth) if worth is not None and is_short else worth,
        currency=currency,
        sub_account=_place(node),
        also=tuple(names[1:]),
    )
    return _Holding(node, row, value.currency if value else "")


def _security(node: Node) -> tuple[list[Identifier], str]:
    """What a security is called, the ISIN first, and its description."""
    if details := node.part("FinInstrmDtls"):
        chosen = next(details.required_part("Id").parts(), None)
        if chosen is None:
            raise details.error("FinInstrmDtls has a blank Id")
        code = _CHOICES.get(chosen.name, chosen.name)
        value = chosen.required("Id") if chosen.name == "OthrPrtryId" else chosen.value
        if chosen.name == "OthrPrtryId":
            code = chosen.text("DmstIdSrc")
        return [_named(chosen, code, value)], details.text("Nm")
    security = node.required_part("FinInstrmId")
    market = node.text("FinInstrmAttrbts/PlcOfListg/MktIdrCd")
    names = []
    if isin := security.part("ISIN"):
        names.append(_named(isin, "ISIN", isin.value))
    for other in security.all("OthrId"):
        names.append(_named(other, _scheme_code(other), other.required("Id"), market))
    description = security.text("Desc")
    if not names and description:
        names.append(Identifier("CUSTODIAN", description.upper()))  # the one name that it has
    if not names:
        raise security.error("a position has no ISIN, no other identifier and no description of its security")
    return list(dict.fromkeys(names)), description


def _scheme_code(other: Node) -> str:
    """The code of a scheme; a proprietary one counts only if it is a known scheme's plain name."""
    own = other.text("Tp/Prtry").upper()
    return other.text("Tp/Cd") or (own if own in ("CUSIP", "SEDOL", "FIGI", "TICKER") else "")


def _named(node: Node, code: str, value: str, market: str = "") -> Identifier:
    named = identifier(code, value, market=market)
    if not value or (named.scheme == "ISIN" and not is_isin(named.value)):
        raise node.error(f"{code or node.name} is {shown(value)}, not an identifier of a security")
    return named


def _quantity(node: Node) -> tuple[Decimal, bool]:
    """How much is held, negative for a short position, and whether it is one."""
    balance = node.part("AggtBal") or node.required_part("AggtQty")
    for name in _QUANTITIES:
        if stated := balance.first(name):
            number = stated.number
            side = balance.first("ShrtLngInd", "ShrtLngPos")
            if side and side.value not in ("SHOR", "LONG"):
                raise side.error(f"{side.name} is {shown(side.value)}, neither LONG nor SHOR")
            is_short = side is not None and side.value == "SHOR"
            return (_negative(number) if is_short else number), is_short
    raise balance.error(f"{balance.name} has no quantity that is read: {', '.join(_QUANTITIES)}")


def _price(node: Node) -> Amount | None:
    """The market's price, else another one; in no currency where it is a percentage of the face value."""
    prices = sorted(node.all("PricDtls"), key=lambda price: price.text("Tp/Cd") != "MRKT")
    for price in prices:
        yielded = price.part("ValTp/Yldd") or price.part("Yldd")
        kind = price.part("ValTp/ValTp") or price.part("ValTp")
        if (yielded and yielded.is_true) or (kind and _leaf(kind) in ("DISC", "PREM")):
            continue  # a yield, or points off the face value
        if rate := price.part("Val/Rate"):
            return Amount(rate.number, "")
        if stated := price.part("Val/Amt"):
            return stated.amount
    return None


def _place(node: Node) -> str:
    """Where it is kept, for one security may be held at several places: a country, or a code and a BIC."""
    place = node.part("SfkpgPlc/SfkpgPlcFrmt") or node.part("SfkpgPlc")
    return "/".join(leaf.value for leaf in place.leaves() if leaf.value).upper() if place else ""
