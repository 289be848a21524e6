"""What an entry of a camt.053 statement means as rows, and the counts and sums that the statement gives of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal

from app.statements.formats.iso20022_node import Amount, Node
from app.statements.formats.ofx_document import shown
from app.statements.rows import TransactionRow

# Of ExternalEntryStatus1Code: BOOK counts, the others announce or inform.
_STATUSES = {"BOOK": True, "PDNG": False, "INFO": False, "FUTR": False}

# Sub-families of ExternalBankTransactionSubFamily1Code that say plainly what an entry is.
_KINDS = {"INTR": "interest", "CHRG": "expense", "FEES": "expense", "COMM": "expense"}

# What stands where there is no reference; to leave the element out came later.
_NO_REFERENCE = frozenset({"NONREF", "NOTPROVIDED"})

# Where an amount and its conversion stand, the one in the account's currency first.
_AMOUNTS = ("TxAmt", "CntrValAmt", "InstdAmt", "AnncdPstngAmt")

# The default context would round sums of the widest amounts to 28 digits.
EXACT = Context(prec=64)
# A rate is turned round to twelve decimals: the widest number that is read has as many.
_TWELVE_DECIMALS = Decimal("1e-12")


def signed(node: Node) -> Amount:
    """The amount in an element that says by CdtDbtInd whether it is a credit or, then negative, a debit."""
    amount = node.required_part("Amt").amount
    return Amount(_signed(amount.number, node.required_part("CdtDbtInd")), amount.currency)


def _signed(number: Decimal, side: Node) -> Decimal:
    if side.value not in ("CRDT", "DBIT"):
        raise side.error(f"{side.name} is {shown(side.value)}, neither CRDT nor DBIT")
    return number if side.value == "CRDT" or not number else number.copy_negate()


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a statement."""

    node: Node
    amount: Amount
    is_credit: bool
    is_booked: bool
    #: As the bank calls it, in all its statements; empty if it does not say.
    reference: str
    #: Of this statement; empty if it has none.
    number: str
    #: Of the batch that was booked as this entry, if it is one.
    batch: str
    #: What it is as rows, which come to its amount; several if its transactions say what each of them moved.
    parts: tuple[TransactionRow, ...]

    def rows(self, statement_id: str, position: int) -> list[TransactionRow]:
        """Its rows, under references that no other entry of its statement has, unless the bank gave it the same.

        Args:
            statement_id: the id of the statement that it stands in.
            position: its place among the entries of that, from 1.
        """
        reference = self.reference or f"{statement_id}/{self.number or f'entry {position}'}"
        if len(self.parts) == 1:
            return [replace(self.parts[0], reference=reference)]
        group = self.batch or reference
        return [
            replace(part, reference=part.reference or f"{reference}/{number}", group_reference=group)
            for number, part in enumerate(self.parts, start=1)
        ]


def read_entry(node: Node) -> Entry:
    """An Ntry, for which it must not matter what else is in the file."""
    # The side is the one that the account sees, also where RvslInd says that a former entry is taken back.
    amount = signed(node)
    status = node.required_part("Sts")
    status = status.part("Cd") or status.part("Prtry") or status
    if status.value not in _STATUSES:
        raise status.error(
            f"the status of an entry is {shown(status.value)}, which does not tell whether it is booked",
            "Ask the bank what it is, and for a file without it.",
        )
    is_booked = _STATUSES[status.value]
    details = [detail for group in node.all("NtryDtls") for detail in group.all("TxDtls")]
    single = details[0] if len(details) == 1 else None
    batches = [group.part("Btch") for group in node.all("NtryDtls")]
    named = {batch.text("MsgId") or batch.text("PmtInfId") for batch in batches if batch}
    batch = named.pop() if len(named) == 1 else ""
    parts: list[TransactionRow] = []
    if is_booked and (amounts := _split(node, details, amount)):
        for detail, number in zip(details, amounts, strict=True):
            part = _row(node, detail, Amount(number, amount.currency))
            parts.append(replace(part, line=detail.line, reference=_reference_at(detail, "Refs/AcctSvcrRef")))
    elif is_booked:
        group = _reference_at(single, "Refs/EndToEndId") or batch
        parts.append(replace(_row(node, single, amount), group_reference=group))
    return Entry(
        node=node,
        amount=amount,
        is_credit=node.text("CdtDbtInd") == "CRDT",
        is_booked=is_booked,
        reference=_reference_at(node, "AcctSvcrRef") or _reference_at(single, "Refs/AcctSvcrRef"),
        number=_reference_at(node, "NtryRef"),
        batch=batch,
        parts=tuple(parts),
    )


def _split(node: Node, details: list[Node], whole: Amount) -> list[Decimal]:
    """What each of several transactions moved, where all say so in the entry's currency and come to it exactly."""
    amounts = [_amount_of(detail, node) for detail in details] if len(details) > 1 else []
    parts = [amount.number for amount in amounts if amount and amount.currency == whole.currency]
    total = Decimal(0)
    for part in parts:
        total = EXACT.add(total, part)
    return parts if len(parts) == len(details) and total == whole.number else []


def _row(node: Node, detail: Node | None, amount: Amount) -> TransactionRow:
    """An entry, or a transaction in it, as a row without references."""
    value_date = node.part("ValDt")
    booked = node.part("BookgDt") or value_date
    if booked is None:
        raise node.error("an entry has neither BookgDt nor ValDt")
    return TransactionRow(
        line=node.line,
        reference="",
        kind=_kind(detail) or _kind(node) or "cash",
        scheme=None,
        identifier=None,
        trade_date=booked.dated,
        settle_date=value_date.dated if value_date else None,
        quantity=None,
        price=None,
        amount=amount.number,
        currency=amount.currency,
        description=_description(node, detail),
        fx_rate=(_rate(detail, amount.currency) if detail else None) or _rate(node, amount.currency),
    )


def check_summary(summary: Node, page: Sequence[Entry], statement: Sequence[Entry]) -> None:
    """Refuse a statement whose own counts and sums are not those of its entries.

    ISO 20022 does not say whether they cover entries that are only announced, nor, with several pages, whether they
    are of the page: they must be right in one of the four ways, all of them in the same.

    Raises:
        StatementError: they are right in none.
    """
    stated = _stated(summary)
    ways = [_counted([entry for entry in entries if entry.is_booked]) for entries in (page, statement)]
    ways += [_counted(page), _counted(statement)]
    if any(all(way[name] == number for name, number in stated.items()) for way in ways):
        return
    wrong = next(name for name, number in stated.items() if ways[0][name] != number)
    raise summary.error(
        f"{wrong} is {stated[wrong]}, and what is listed comes to {ways[0][wrong]}: entries are missing or too many",
        "The statement is not whole. Ask the bank for it again.",
    )


def _stated(summary: Node) -> dict[str, Decimal]:
    result = {}
    for group in ("TtlNtries", "TtlCdtNtries", "TtlDbtNtries"):
        for name in ("NbOfNtries", "Sum"):
            if stated := summary.part(f"{group}/{name}"):
                result[f"{group}/{name}"] = stated.number
    total = summary.part("TtlNtries")
    # Version 2 has the net amount and its side beside each other, later ones in an element of their own.
    net = total and (total.part("TtlNetNtry") or total)
    amount = net and (net.part("Amt") or net.part("TtlNetNtryAmt"))
    side = net and net.part("CdtDbtInd")
    if amount and side:
        result["TtlNtries/TtlNetNtry"] = _signed(amount.number, side)
    return result


def _counted(entries: Sequence[Entry]) -> dict[str, Decimal]:
    result = {"TtlNtries/TtlNetNtry": Decimal(0)}
    for group in ("TtlNtries", "TtlCdtNtries", "TtlDbtNtries"):
        result[f"{group}/NbOfNtries"] = result[f"{group}/Sum"] = Decimal(0)
    for entry in entries:
        number = entry.amount.number
        side = "TtlCdtNtries" if entry.is_credit else "TtlDbtNtries"
        for group in ("TtlNtries", side):
            result[f"{group}/NbOfNtries"] += 1
            result[f"{group}/Sum"] = EXACT.add(result[f"{group}/Sum"], number.copy_abs())
        result["TtlNtries/TtlNetNtry"] = EXACT.add(result["TtlNtries/TtlNetNtry"], number)
    return result


def _amount_of(detail: Node, entry: Node) -> Amount | None:
    """What a transaction moved on the account, if it says so; its side is the entry's where it has none."""
    stated = detail.part("Amt") or detail.part("AmtDtls/TxAmt/Amt")
    if stated is None:
        return None
    amount = stated.amount
    side = detail.part("CdtDbtInd") or entry.required_part("CdtDbtInd")
    return Amount(_signed(amount.number, side), amount.currency)


def _kind(node: Node | None) -> str | None:
    code = node.part("BkTxCd/Domn") if node else None
    if code is None:
        return None
    sub_family = code.text("Fmly/SubFmlyCd")
    # In the domain of securities interest is a coupon, and not the account's.
    return None if (sub_family, code.text("Cd")) == ("INTR", "SECU") else _KINDS.get(sub_family)


def _reference_at(node: Node | None, path: str) -> str:
    reference = node.text(path) if node else ""
    return "" if reference.upper() in _NO_REFERENCE else reference


def _description(node: Node, detail: Node | None) -> str:
    said = []
    if detail:
        said += [line.value for part in detail.all("RmtInf") for line in part.all("Ustrd")]
        said.append(detail.text("AddtlTxInf"))
    said.append(node.text("AddtlNtryInf"))
    return "; ".join(dict.fromkeys(part for part in said if part))


def _rate(node: Node, currency: str) -> Decimal | None:
    """Units of a currency for one of that which an amount was converted from; None where it was not."""
    for name in _AMOUNTS:
        if conversion := node.part(f"AmtDtls/{name}/CcyXchg"):
            rate = _rate_of(conversion, currency)
            if rate is not None:
                return rate
    return None


def _rate_of(conversion: Node, currency: str) -> Decimal | None:
    """The rate of a conversion that touches a currency, whatever its direction.

    One of UnitCcy costs XchgRate of the other currency, as in 1 GBP = xxx CUR. Where UnitCcy is not told, the rate is
    the factor from SrcCcy to TrgtCcy.
    """
    source = conversion.required_part("SrcCcy").currency
    target_part, unit_part = conversion.part("TrgtCcy"), conversion.part("UnitCcy")
    target = target_part.currency if target_part else currency
    unit = unit_part.currency if unit_part else source
    stated = conversion.required_part("XchgRate")
    if stated.number <= 0:
        raise stated.error(f"the exchange rate is {stated.value}, and must be above zero")
    if source == target or currency not in (source, target) or unit not in (source, target):
        return None
    if unit != currency:
        return stated.number
    turned = EXACT.divide(Decimal(1), stated.number)
    return turned.quantize(_TWELVE_DECIMALS, ROUND_HALF_EVEN, EXACT) or None
