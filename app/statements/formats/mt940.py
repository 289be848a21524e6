"""Reads the statements of an MT940 file: the cash of bank accounts, by SWIFT's message of that name."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Context, Decimal

from app.statements.formats.mt940_document import ASK_AGAIN, ASK_TO_CORRECT, Message, looks_like_mt940, messages
from app.statements.formats.mt940_rows import Balance, Entry, account, balance, entries
from app.statements.rows import CashRow, ParsedStatement, TransactionRow

# The default context would round a sum of the widest amounts to 28 digits.
_EXACT = Context(prec=64)


def recognises(data: bytes) -> bool:
    """Whether a file looks like MT940 by its first field or SWIFT header; it may be damaged all the same."""
    return looks_like_mt940(data)


def read(data: bytes, name: str) -> tuple[ParsedStatement, ...]:
    """Read every statement of a file, in the order of the file; it is read whole or not at all.

    Time is linear in the size of the file. Memory is the text and the rows.

    Args:
        data: the file.
        name: what errors call the file.

    Raises:
        StatementError: it is not a whole and sound MT940 file, a page of a statement is missing, or a statement
            stands in it twice.
    """
    drafts = list(_drafts(messages(data, name)))
    _check_doubles(drafts)
    counts: Counter[tuple[str, str, str]] = Counter()
    for draft in drafts:
        for entry in draft.entries:
            counts[(*draft.account, entry.bank_reference)] += 1
    return tuple(_statement(draft, counts) for draft in drafts)


@dataclass(slots=True)
class _Draft:
    """A statement, whose pages are put together."""

    #: Custodian and account number.
    account: tuple[str, str]
    pages: list[Message]
    opening: Balance
    closing: Balance
    entries: list[Entry]

    @property
    def number(self) -> str:
        return _number(self.pages[0])[0]


def _drafts(found: list[Message]) -> Iterator[_Draft]:
    draft: _Draft | None = None
    for message in found:
        page = _page(message)
        if page.opening.field.tag == "60M":
            if draft is None:
                what = "it is a later page of a statement (:60M:), and the page before it is missing"
                raise message.error(what, ASK_AGAIN, at=page.opening.field)
            draft = _joined(draft, page)
        elif draft is not None:
            raise _not_continued(draft)
        else:
            draft = page
        if draft.closing.field.tag != "62M":
            yield draft
            draft = None
    if draft is not None:
        raise _not_continued(draft)


def _page(message: Message) -> _Draft:
    opening = balance(message, message.required("opening balance", "60F", "60M", "60"))
    closing = balance(message, message.required("closing balance", "62F", "62M", "62"), opening.currency)
    message.required("statement number", "28C", "28")
    if closing.currency != opening.currency:
        what = f"it opens in {opening.currency} and closes in {closing.currency}"
        raise message.error(what, ASK_TO_CORRECT, at=closing.field)
    if closing.day < opening.day:
        what = f"it closes on {closing.day}, before it opens on {opening.day}"
        raise message.error(what, ASK_TO_CORRECT, at=closing.field)
    page = _Draft(account(message, opening.currency), [message], opening, closing, entries(message))
    if not closing.field.is_whole and _total(page) != closing.amount:
        what = "the file ends in the midst of the closing balance, for the entries do not come to it"
        raise message.error(what, f"It is cut short. {ASK_AGAIN}", at=closing.field)
    return page


def _joined(draft: _Draft, page: _Draft) -> _Draft:
    """A statement with its next page, which must go on where it stopped."""
    (number, sequence), (next_number, next_sequence) = _number(draft.pages[-1]), _number(page.pages[0])
    is_next = not sequence or not next_sequence or int(next_sequence) - int(sequence) in (0, 1)
    before, after = draft.closing, page.opening
    if (draft.account, number, before.currency, before.amount) != (
        page.account, next_number, after.currency, after.amount
    ) or not is_next:  # fmt: skip
        what = f"this page does not go on where the page before it stopped, in line {before.field.line}"
        raise page.pages[0].error(what, f"A page is missing. {ASK_AGAIN}", at=after.field)
    return _Draft(draft.account, draft.pages + page.pages, draft.opening, page.closing, draft.entries + page.entries)


def _not_continued(draft: _Draft) -> Exception:
    what = "more pages must follow this one (:62M:), and the next is missing"
    return draft.pages[-1].error(what, ASK_AGAIN, at=draft.closing.field)


def _number(message: Message) -> tuple[str, str]:
    """Statement number and number of the page, as far as they are numbers."""
    number, _, sequence = "".join(message.required("statement number", "28C", "28").value).partition("/")
    is_number = sequence.isascii() and sequence.isdigit() and len(sequence) <= 10  # noqa: PLR2004 (five by the standard)
    return number, sequence if is_number else ""


def _numbers(draft: _Draft) -> tuple[int, ...]:
    """The statement's number and that of its first page; none where the bank does not count, and says 0."""
    number, sequence = _number(draft.pages[0])
    if not (number.isascii() and number.isdigit() and len(number) <= 10 and int(number)):  # noqa: PLR2004 (as above)
        return ()
    return int(number), int(sequence or 0)


def _total(draft: _Draft) -> Decimal:
    total = draft.opening.amount
    for entry in draft.entries:
        total = _EXACT.add(total, entry.amount)
    return total


def _check_doubles(drafts: list[_Draft]) -> None:
    """Refuse a statement that stands twice, naming both places; several a day are none if they differ."""
    seen: dict[object, _Draft] = {}
    for draft in drafts:
        said = [(found.tag, found.value) for page in draft.pages for found in page.fields if found.tag != "20"]
        first = seen.setdefault((draft.account, tuple(said)), draft)
        if first is not draft:
            what = f"the statement of {draft.closing.day} of account {draft.account[1]!r} stands twice"
            raise draft.pages[0].error(f"{what}, first in line {first.pages[0].line}", ASK_TO_CORRECT)


def _statement(draft: _Draft, counts: Counter[tuple[str, str, str]]) -> ParsedStatement:
    custodian, number = draft.account
    opening, closing = draft.opening, draft.closing
    return ParsedStatement(
        line=draft.pages[0].line,
        custodian=custodian,
        account_number=number,
        as_of=closing.day,
        currency=closing.currency,
        positions=None,
        cash=(CashRow(closing.field.line, closing.currency, closing.amount),),
        transactions=tuple(
            TransactionRow(
                line=entry.field.line,
                reference=_reference(draft, place, counts),
                kind="cash",
                scheme=None,
                identifier=None,
                trade_date=entry.day,
                settle_date=entry.value_day,
                quantity=None,
                price=None,
                amount=entry.amount,
                currency=closing.currency,
                description=entry.description,
                group_reference=entry.owner_reference,
            )
            for place, entry in enumerate(draft.entries)
        ),
        stated_value=None,
        period=_period(draft),
        opening_cash=(CashRow(opening.field.line, opening.currency, opening.amount),),
        numbers=_numbers(draft),
    )


def _reference(draft: _Draft, place: int, counts: Counter[tuple[str, str, str]]) -> str:
    """The bank's reference of an entry, if no other entry of the account has it; else one made for its place.

    What makes it one is what the statement says of itself and of the entry, not the file around it. The account owner's
    reference is none: an owner uses it again, for the next payment of the same kind.
    """
    entry = draft.entries[place]
    if entry.bank_reference and counts[(*draft.account, entry.bank_reference)] == 1:
        return entry.bank_reference
    said = (
        draft.account, draft.number, place, entry.field.value,
        *(
            (part.day.isoformat(), part.currency, format(part.amount.normalize(_EXACT), "f"))
            for part in (draft.opening, draft.closing)
        ),
    )  # fmt: skip
    digest = hashlib.sha256(repr(said).encode()).hexdigest()[:16]
    return f"{draft.closing.day:%Y%m%d} {place + 1} {digest}"


def _period(draft: _Draft) -> tuple[date, date] | None:
    """The days of which all entries are there: those after the opening balance, up to the closing one.

    None where the balances are of one day, or an entry is of a day outside: then the bank may cut its statements within
    a day, and the rest of that day stands in another.
    """
    first, last = draft.opening.day + timedelta(days=1), draft.closing.day
    if last < first or any(not first <= entry.day <= last for entry in draft.entries):
        return None
    return first, last
