"""What is read of MT535 statements, of files written for the case from the standard's rules."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.statements.formats import mt535, mt535_text, read_statements
from app.statements.rows import Identifier, ParsedStatement, PositionRow, StatementError
from tests.unit.statements.mt535_files import bare, position, received, sent, statement, sub_account

NAME = "holdings.fin"
ISINS = ("US0378331005", "US5949181045", "DE0007164600", "CH0038863350")
ACSV = ":95P::ACSV//CUSTUS33XXX"


def only(text: str) -> ParsedStatement:
    """The one statement of a file that holds this text alone."""
    (parsed,) = mt535.read(received(text), NAME)
    return parsed


def only_position(text: str) -> PositionRow:
    positions = only(statement(text)).positions
    assert positions is not None
    (row,) = positions
    return row


def refusal(data: bytes) -> StatementError:
    """The error that a file gets."""
    with pytest.raises(StatementError) as caught:
        mt535.read(data, NAME)
    error = caught.value
    assert error.where.startswith(NAME)
    assert error.hint.endswith(".")
    return error


def refused(text: str) -> StatementError:
    return refusal(received(text))


def read_or_refused(data: bytes) -> tuple[ParsedStatement, ...]:
    """What a file gives, empty if it is refused; any other error is the test's failure."""
    mt535.recognises(data)
    try:
        return mt535.read(data, NAME)
    except StatementError:
        return ()


WHOLE = position(
    "ISIN US0378331005\n/US/037833100\n/TS/AAPL\nAPPLE INC\nREGISTERED SHARES",
    ":93B::AGGR//UNIT/1000,5\n:93B::AVAI//UNIT/600,5\n:93B::NAVL//UNIT/400,",
    fields=(
        ":90B::MRKT//ACTU/USD185,04\n:98A::PRIC//20240131\n:19A::HOLD//USD185132,52\n:19A::BOOK//USD1,\n"
        ":92B::EXCH//USD/EUR/0,92\n:16R:SUBBAL\n:93C::TAVI//UNIT/AVAI/600,5\n:16S:SUBBAL"
    ),
)


def test_a_statement_is_read_as_it_stands_in_the_file() -> None:
    data = received(statement(WHOLE, totals=":19A::HOLP//USD185132,52\n:19A::HOLS//USD185132,52"))

    assert mt535.recognises(data)
    assert read_statements(data, NAME)[0] == "mt535"
    (parsed,) = mt535.read(data, NAME)

    lines = data.decode().split("\r\n")
    assert parsed == ParsedStatement(
        line=lines.index(":16R:GENL") + 1,
        custodian="custus33",
        account_number="A-1",
        as_of=date(2024, 1, 31),
        currency="USD",
        positions=(
            PositionRow(
                line=lines.index(":16R:FIN") + 1,
                scheme="ISIN",
                identifier="US0378331005",
                name="APPLE INC REGISTERED SHARES",
                ticker="AAPL",
                quantity=Decimal("1000.5"),
                price=Decimal("185.04"),
                market_value=Decimal("185132.52"),
                currency="USD",
                sub_account="",
                also=(Identifier("CUSIP", "037833100"), Identifier("SYMBOL", "AAPL")),
            ),
        ),
        cash=None,
        transactions=(),
        stated_value=None,
        stated_positions_value=Decimal("185132.52"),
    )


@pytest.mark.parametrize(
    "data",
    [
        sent(statement(WHOLE)),
        bare(statement(WHOLE, extra=ACSV)),
        bare(statement(WHOLE, extra=ACSV), end="-}"),
        received(statement(WHOLE)).replace(b"\r\n", b"\n"),
        received(statement(WHOLE)).replace(b"\r\n", b"\r"),
        b"\xef\xbb\xbf\r\n" + received(statement(WHOLE)) + b"$",
        received(statement(WHOLE, sub_accounts=False)),
    ],
)
def test_a_statement_is_read_the_same_however_it_is_handed_over(data: bytes) -> None:
    assert mt535.recognises(data)
    (parsed,) = mt535.read(data, NAME)

    assert (parsed.custodian, parsed.account_number) == ("custus33", "A-1")
    assert [(row.identifier, row.quantity) for row in parsed.positions or ()] == [(ISINS[0], Decimal("1000.5"))]


def test_several_messages_are_as_many_statements() -> None:
    texts = [statement(WHOLE, account=f":97A::SAFE//A-{number}") for number in range(3)]

    for data in (received(*texts), sent(*texts), received(*texts).replace(b"\r\n{1:", b"\r\n${1:")):
        assert [parsed.account_number for parsed in mt535.read(data, NAME)] == ["A-0", "A-1", "A-2"]


# Custodians and accounts


def test_the_account_is_read_behind_its_scheme_and_type() -> None:
    assert only(statement(WHOLE, account=":97B::SAFE/CUST/ABRD/A/7")).account_number == "A/7"


def test_a_bare_text_takes_the_bank_of_a_german_account() -> None:
    (parsed,) = mt535.read(bare(statement(WHOLE, account=":97A::SAFE//10020030/1234567")), NAME)

    assert (parsed.custodian, parsed.account_number) == ("10020030", "1234567")


def test_in_a_message_with_headers_the_account_is_taken_as_it_is() -> None:
    parsed = only(statement(WHOLE, account=":97A::SAFE//10020030/1234567"))

    assert (parsed.custodian, parsed.account_number) == ("custus33", "10020030/1234567")


def test_a_bare_text_that_names_no_custodian_is_refused() -> None:
    assert "neither the headers of a SWIFT message" in refusal(bare(statement(WHOLE))).what


def test_sub_accounts_and_places_are_told_apart() -> None:
    first = sub_account(position(), fields=":97A::SAFE//SUB1\n:94F::SAFE//ICSD/CEDELULL")
    second = sub_account(position(fields=":94C::SAFE//US"), fields=":97A::SAFE//A-1")

    parsed = only(statement(f"{first}\n{second}", sub_accounts=False))

    assert [row.sub_account for row in parsed.positions or ()] == ["SUB1/ICSD/CEDELULL", "US"]


# Dates


@pytest.mark.parametrize(
    ("written", "day"),
    [
        (":98A::STAT//20240131", 31),
        (":98C::STAT//20240131235959", 31),
        (":98E::STAT//20240131235959/N11", 31),
        (":98A::PREP//20240201\n:98A::STAT//20240131", 31),
        (":98A::PREP//20240130", 30),
    ],
)
def test_the_date_is_that_of_the_statement_else_of_its_preparation(written: str, day: int) -> None:
    assert only(statement(WHOLE, date=written)).as_of == date(2024, 1, day)


@pytest.mark.parametrize("written", ["20240230", "2024013", "240131", "2024-01-31", ""])
def test_a_date_that_does_not_exist_is_refused(written: str) -> None:
    assert "not a date" in refused(statement(WHOLE, date=f":98A::STAT//{written}")).what


# Nothing held, and nothing said


def test_no_activity_says_that_nothing_is_held() -> None:
    assert only(statement(activity="N")).positions == ()


@pytest.mark.parametrize("activity", ["Y", ""])
def test_no_position_without_a_word_that_there_are_none_is_refused(activity: str) -> None:
    assert "does not say (17B ACTI//N) that there are none" in refused(statement(activity=activity)).what


def test_a_position_where_none_should_be_is_refused() -> None:
    assert "says (17B ACTI//N) that there are none" in refused(statement(WHOLE, activity="N")).what


def test_changes_and_cancellations_are_refused() -> None:
    assert "only what has changed" in refused(statement(WHOLE, indicator=":22F::CODE//DELT")).what
    assert "takes one back" in refused(statement(WHOLE, function="CANC")).what
    assert only(statement(WHOLE, function="NEWM/COPY")).positions


# Quantities, values and prices


@pytest.mark.parametrize("kind", ["UNIT", "FAMT", "AMOR", "DITU"])
@pytest.mark.parametrize(
    ("written", "number"),
    [("10,", "10"), ("N10,25", "-10.25"), ("0,", "0"), ("0000,5", "0.5"), ("100", "100"), (",5", "0.5")],
)
def test_a_balance_is_read_with_its_sign_and_decimal_comma(kind: str, written: str, number: str) -> None:
    if written == ",5":
        assert "93 AGGR is" in refused(statement(position(balance=f":93B::AGGR//{kind}/{written}"))).what
    else:
        assert only_position(position(balance=f":93B::AGGR//{kind}/{written}")).quantity == Decimal(number)


def test_the_face_value_goes_before_the_amortised_one() -> None:
    both = ":93B::AGGR//AMOR/400,\n:93B::AGGR//FAMT/1000,"

    assert only_position(position(balance=both)).quantity == Decimal(1000)


@pytest.mark.parametrize(
    ("fields", "price", "value", "currency"),
    [
        (":90A::MRKT//PRCT/99,5\n:19A::HOLD//EUR995,", "99.5", "995", "EUR"),
        (":90B::MRKT//ACTU/USD5,\n:19A::HOLD//NUSD50,", "5", "-50", "USD"),
        (":90B::MRKT//ACTU/USD5,\n:19A::HOLD//EUR45,", None, "45", "EUR"),  # a price in another currency
        (":90B::MRKT//ACTU/USD5,", "5", None, "USD"),
        (":90B::INDC//ACTU/USD4,\n:90B::MRKT//ACTU/USD5,", "5", None, "USD"),
        (":90B::INDC//ACTU/USD4,", "4", None, "USD"),
        (":90A::MRKT//YIEL/N1,5\n:19A::HOLD//EUR1,", None, "1", "EUR"),
        (":90A::MRKT//DISC/2,\n:19A::HOLD//EUR1,", None, "1", "EUR"),
        (":90E::MRKT//UKWN\n:19A::HOLD//EUR1,", None, "1", "EUR"),
        ("", None, None, "XXX"),
    ],
)
def test_price_and_value_are_in_the_currency_of_the_row(
    fields: str, price: str | None, value: str | None, currency: str
) -> None:
    row = only_position(position(fields=fields))

    assert row.price == (None if price is None else Decimal(price))
    assert row.market_value == (None if value is None else Decimal(value))
    assert row.currency == currency


def test_of_two_values_that_in_the_statements_currency_is_taken() -> None:
    both = position(fields=":19A::HOLD//USD100,\n:19A::HOLD//EUR90,")

    parsed = only(statement(both, totals=":19A::HOLS//EUR90,"))

    assert [(row.market_value, row.currency) for row in parsed.positions or ()] == [(Decimal(90), "EUR")]


def test_a_row_without_value_and_price_is_in_the_securitys_currency() -> None:
    assert only_position(position(attributes=":11A::DENO//CHF")).currency == "CHF"


def test_a_pages_total_is_the_statements_only_where_there_is_no_other_page() -> None:
    one, two = (
        statement(position(f"ISIN {isin}"), page=page, totals=":19A::HOLP//EUR5,")
        for isin, page in ((ISINS[0], "1/MORE"), (ISINS[1], "2/LAST"))
    )

    (paged,) = mt535.read(received(one, two), NAME)

    assert paged.stated_positions_value is None
    assert only(statement(WHOLE, totals=":19A::HOLP//NEUR5,")).stated_positions_value == Decimal(-5)


def test_totals_that_contradict_each_other_are_refused() -> None:
    one, two = (
        statement(position(f"ISIN {isin}"), page=page, totals=f":19A::HOLS//EUR{total},")
        for isin, page, total in ((ISINS[0], "1/MORE", 5), (ISINS[1], "2/LAST", 6))
    )

    assert "the total value is 6, and 5 before" in refusal(received(one, two)).what


# Securities


@pytest.mark.parametrize(
    ("written", "names", "name"),
    [
        ("ISIN US0378331005", [Identifier("ISIN", "US0378331005")], None),
        ("/US/037833100 APPLE INC", [Identifier("CUSIP", "037833100")], "APPLE INC"),
        ("/GB/0263494\nBAE SYSTEMS", [Identifier("SEDOL", "0263494")], "BAE SYSTEMS"),
        ("/TS/AAPL", [Identifier("SYMBOL", "AAPL")], None),
        ("/CH/908440\nLOGITECH", [Identifier("CUSTODIAN", "CH/908440")], "LOGITECH"),
        ("/XX/OWN 0123", [Identifier("CUSTODIAN", "OWN 0123")], None),
        ("/FIGI/BBG000B9XRY4", [Identifier("FIGI", "BBG000B9XRY4")], None),
        (
            "ISIN DE0005557508\n/DE/555750\nDT.TELEKOM AG NA",
            [Identifier("ISIN", "DE0005557508"), Identifier("CUSTODIAN", "DE/555750")],
            "DT.TELEKOM AG NA",
        ),
        ("Claim on  Example plc", [Identifier("CUSTODIAN", "CLAIM ON EXAMPLE PLC")], "Claim on  Example plc"),
    ],
)
def test_a_security_goes_by_its_isin_else_by_what_it_has(
    written: str, names: list[Identifier], name: str | None
) -> None:
    row = only_position(position(written))

    assert [Identifier(row.scheme, row.identifier), *row.also] == names
    assert row.name == name


# Pages


@given(st.permutations(range(3)), st.booleans())
def test_pages_are_put_together_whatever_their_order(order: list[int], numbered: bool) -> None:
    texts = [
        statement(
            position(f"ISIN {ISINS[index]}"),
            page=f"{index + 1:05}/{'LAST' if index == 2 else 'MORE'}",
            reference=f"REF{index}",
            number="031" if numbered else "",
        )
        for index in range(3)
    ]

    (parsed,) = mt535.read(received(*(texts[index] for index in order)), NAME)

    assert [row.identifier for row in parsed.positions or ()] == list(ISINS[:3])


@pytest.mark.parametrize(
    "pages",
    [["1/MORE"], ["2/LAST"], ["1/MORE", "3/LAST"], ["1/MORE", "2/MORE"], ["1/MORE", "1/LAST"], ["0/LAST"]],
)
def test_a_statement_without_all_its_pages_is_refused(pages: list[str]) -> None:
    texts = [statement(position(f"ISIN {isin}"), page=page) for isin, page in zip(ISINS, pages, strict=False)]

    assert "is not whole: of its pages the file has" in refusal(received(*texts)).what


def test_pages_of_another_statement_do_not_complete_one() -> None:
    texts = [statement(WHOLE, page="1/MORE", number="030"), statement(WHOLE, page="2/LAST", number="031")]

    assert "is not whole" in refusal(received(*texts)).what


def test_a_statement_that_stands_twice_is_refused_with_both_lines() -> None:
    data = received(statement(WHOLE), statement(position()))

    error = refusal(data)

    assert "of account 'A-1' stands twice, first in line 2" in error.what
    second = data.decode().split("\r\n").index(":16R:GENL", 3) + 1
    assert error.where == f"{NAME}, line {second}"


def test_two_numbers_of_one_statement_are_refused() -> None:
    assert "stands twice" in refusal(received(statement(WHOLE, number="1"), statement(WHOLE, number="2"))).what


def test_a_position_that_stands_twice_is_refused() -> None:
    assert "position in ISIN 'US0378331005' stands twice, first in line" in refused(statement(WHOLE, WHOLE)).what


# Bad files


@pytest.mark.parametrize(
    "data", [received(statement(WHOLE)), sent(statement(WHOLE)), bare(statement(WHOLE, extra=ACSV))]
)
def test_a_file_cut_anywhere_gives_no_statement(data: bytes) -> None:
    assert len(mt535.read(data, NAME)) == 1
    # Behind its text a message may end: the trailer in block 5 is the network's.
    ends = {len(data.rstrip()), data.find(b"-}") + 2 if b"-}" in data else -1}

    for end in set(range(len(data.rstrip()))) - ends:
        assert read_or_refused(data[:end]) == (), data[:end][-20:]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (statement(WHOLE).replace(":16S:FIN\n", ""), "'SUBSAFE' is closed here, and was not opened last"),
        (statement(WHOLE) + "\n:16R:ADDINFO", "the sequence ADDINFO is not closed"),
        (statement(WHOLE) + "\n:70E::STAT//x", "70E stands outside of any sequence"),
        (statement(WHOLE) + "\n:16S:GENL", "'GENL' is closed here"),
        ("words\n" + statement(WHOLE), "text stands outside of any field"),
        (statement(WHOLE) + "\n:16R:TRAN\n:16S:TRAN", "'TRAN' is none of MT535"),
        (":16R:ADDINFO\n:16S:ADDINFO", "does not begin with the sequence GENL"),
        (statement(WHOLE).replace(":28E:1/ONLY\n", ""), "GENL has no field 28E"),
        (statement(WHOLE, page="1/NEXT"), "28E is '1/NEXT', not a page number"),
        (statement(WHOLE, account=""), "GENL has no field 97 SAFE"),
        (statement(WHOLE, account=":97A::SAFE//"), "97 SAFE names no account"),
        (statement(WHOLE, account=":97A::SAFE//1\n:97A::SAFE//2"), "97 SAFE stands twice in one GENL"),
        (statement(WHOLE, date=":98A::PRIC//20240131"), "no date of the statement"),
        (statement(WHOLE, activity="?"), "neither Y nor N"),
        (statement(position("")), "35B names no security"),
        (statement(position("ISIN US037833100")), "'US037833100', which is no ISIN"),
        (statement(position(balance="")), "a position has no aggregate balance"),
        (statement(position(balance=":93B::AGGR//UNIT/1,\n:93B::AGGR//UNIT/2,")), "93 AGGR stands twice"),
        (statement(position(balance=":93B::AGGR//UNIT/1,\n:93B::AGGR//FAMT/2,")), "several aggregate balances"),
        (statement(position(fields=":19A::HOLD//GBX1,")), "19A HOLD names 'GBX', not a currency"),
        (statement(position(fields=":19A::HOLD//EUR1.5")), "19A HOLD is '/EUR1.5'"),
        (statement(position(fields=":90B::MRKT//ACTU/5,")), "90 MRKT is '/ACTU/5,', not a price"),
        (statement(position(fields=":90A::MRKT//PRCT/x")), "90 MRKT is '/PRCT/x', not a price"),
    ],
)
def test_a_text_that_is_not_sound_is_refused(text: str, what: str) -> None:
    assert what in refused(text).what


@pytest.mark.parametrize(
    "written", ["1" * 19 + ",", "0," + "1" * 13, "1.5", "1,5,0", "1e5", "NN1,", "-1,", "٣,", "1 0,"]
)
def test_what_is_no_quantity_is_refused_at_its_place(written: str) -> None:
    data = received(statement(position(balance=f":93B::AGGR//UNIT/{written}")))

    error = refusal(data)

    assert "93 AGGR is" in error.what
    assert error.where == f"{NAME}, line {data[: data.index(b':93B:')].count(10) + 1}"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "it is empty"),
        (b" \r\n", "it is empty"),
        (received(statement(WHOLE), kind="536"), "it is an MT536"),
        (received(statement(WHOLE)).replace(b"{2:O535", b"{2:X535"), "neither the message's type nor its way"),
        (sent(statement(WHOLE)).replace(b"{1:F01CUSTUS33", b"{1:F01CUST"), "names no sender"),
        (received(statement(WHOLE)).replace(b"{4:\r\n", b"{4:"), "does not begin with a line of its own"),
        (received(statement(WHOLE)).replace(b"{3:", b"{2:", 1), "block 2 stands twice"),
        (received(statement(WHOLE)).replace(b"{3:", b"{9:", 1), "text stands outside of any block"),
        (b"{1:F01INVEGB2LAXXX0000000000}{2:", "block is not closed"),
        (b"{1:F01INVEGB2LAXXX0000000000}", "has no block 4"),
        (received(statement(WHOLE)) + b"more", "text stands outside of any block"),
        (received(statement(WHOLE)).replace(b"APPLE", b"\xc4PPLE"), "not the ASCII or UTF-8 text"),
        (received(statement(WHOLE)).replace(b"APPLE", b"\x00PPLE"), "control character U+0000"),
    ],
)
def test_a_file_that_is_no_sound_mt535_is_refused(data: bytes, what: str) -> None:
    assert what in refusal(data).what


def test_other_statements_are_not_recognised() -> None:
    assert not mt535.recognises(received(statement(), kind="536"))
    assert not mt535.recognises(bare(statement(extra=":69A::STAT//20240101/20240131")))
    assert not mt535.recognises(b"{1:F01INVEGB2LAXXX0000000000}{2:I940INVEGB2LXXXXN}{4:")
    assert not mt535.recognises(b":20:REF")
    assert not mt535.recognises(b"")


def test_too_deep_too_many_and_too_long_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = "\n".join([":16R:A"] * 20)
    assert "no sequence 'A' can begin here" in refused(deep).what
    assert "has 2,001 characters" in refused(statement(position("x" * 2_001))).what
    monkeypatch.setattr(mt535_text, "MAX_FIELDS", 5)
    assert "more than 5 fields" in refused(statement(WHOLE)).what


@pytest.mark.parametrize("repeated", [":", ":16R:A\n", "{", "{1:}", "-\n", "x\n", ":35B:x\n", "/", "\n"])
def test_what_a_hostile_file_repeats_takes_no_time_beyond_its_size(repeated: str) -> None:
    # A quadratic reader would not come back from the 1 MB.
    for begin in ("", ":16R:GENL\n", "{1:F01INVEGB2LAXXX0000000000}{4:\n:16R:GENL\n"):
        refusal((begin + repeated * (1_000_000 // len(repeated))).encode())


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    read_or_refused(data)
    read_or_refused(b":16R:GENL\n" + data + b"\n-")
    read_or_refused(b"{1:" + data + b"}{4:\n:16R:GENL\n-}")


@settings(max_examples=300)
@given(st.data())
def test_a_mangled_file_is_read_or_refused(data: st.DataObject) -> None:
    lines = received(statement(WHOLE, totals=":19A::HOLS//USD1,")).decode().split("\r\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        cut = data.draw(st.integers(0, len(lines[at])))
        change = data.draw(st.sampled_from(["drop", "double", "cut", "shorten", "move"]))
        if change == "drop":
            del lines[at]
        elif change == "double":
            lines.insert(at, lines[at])
        elif change == "move":
            lines.insert(data.draw(st.integers(0, len(lines))), lines[at])
        else:
            lines[at] = lines[at][:cut] if change == "cut" else lines[at][cut:]
        lines = lines or [""]
    read_or_refused("\r\n".join(lines).encode())


# All that can be said, written and read back

_NUMBERS = st.decimals(-(10**13), 10**13, allow_nan=False, places=4)


def _written(number: Decimal) -> tuple[str, str]:
    """The sign and the digits of a number."""
    return "N" if number < 0 else "", f"{abs(number):f}".replace(".", ",")


@given(st.dictionaries(st.sampled_from(ISINS), st.tuples(_NUMBERS, _NUMBERS), min_size=1))
def test_what_is_written_is_read_back_and_read_again(held: dict[str, tuple[Decimal, Decimal]]) -> None:
    texts = []
    for isin, (quantity, value) in held.items():
        (sign, digits), (value_sign, value_digits) = _written(quantity), _written(value)
        balance, worth = f":93B::AGGR//UNIT/{sign}{digits}", f":19A::HOLD//{value_sign}EUR{value_digits}"
        texts.append(position(f"ISIN {isin}", balance, fields=worth))
    data = received(statement(*texts))

    (parsed,) = mt535.read(data, NAME)

    assert {row.identifier: (row.quantity, row.market_value) for row in parsed.positions or ()} == held
    assert mt535.read(data, NAME) == (parsed,)
