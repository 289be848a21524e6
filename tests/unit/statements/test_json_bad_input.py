"""What bad JSON documents of fetches get, whatever provider they are of: a refusal with the place and what to do."""

import json
from decimal import Decimal
from types import ModuleType
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.statements.exact_json import Number
from app.statements.formats import alpaca_json, plaid_json
from app.statements.rows import ParsedStatement, StatementError
from tests.unit.statements import alpaca_files, plaid_files
from tests.unit.statements.alpaca_files import activity, fill, position
from tests.unit.statements.json_files import NAME, line_of, refusal
from tests.unit.statements.plaid_files import PINE, holding, transaction


class Format(NamedTuple):
    """What reads the documents of a provider, and what writes them for tests."""

    reader: ModuleType
    files: ModuleType

    def whole(self) -> bytes:
        """A document with a row in each list."""
        return self.files.written(**{name: [row] for name, row in self.files.ROWS.items()})

    def read_or_refused(self, data: bytes) -> tuple[ParsedStatement, ...]:
        """What a document gives, empty if it is refused; any other error is the test's failure."""
        try:
            return self.reader.read(data, NAME)
        except StatementError:
            return ()


PLAID = Format(plaid_json, plaid_files)
ALPACA = Format(alpaca_json, alpaca_files)
FORMATS = [pytest.param(PLAID, id="plaid"), pytest.param(ALPACA, id="alpaca")]


@pytest.mark.parametrize(
    ("provider", "lists", "words"),
    [
        (PLAID, {"holdings": [holding(iso_currency_code=None, unofficial_currency_code="BTC")]}, "'BTC', which is no"),
        (PLAID, {"holdings": [holding(iso_currency_code="GBX")]}, "'GBX', not a currency"),
        (PLAID, {"holdings": [holding(iso_currency_code=None)]}, "iso_currency_code is missing"),
        (PLAID, {"holdings": [holding("unknown")]}, "'unknown' is not in the list of securities"),
        (PLAID, {"holdings": [holding(account_id="other")]}, "'other', which is not in the list"),
        (PLAID, {"holdings": [holding(), holding()]}, "stands twice, first in line"),
        (PLAID, {"holdings": [holding(quantity="1" * 19)]}, "not a number"),
        (PLAID, {"holdings": [{**holding(), "quantity": "many"}]}, "not a number"),
        (PLAID, {"holdings": [{**holding(), "quantity": None}]}, "quantity is missing"),
        (PLAID, {"holdings": [{**holding(), "quantity": True}]}, "not a number"),
        (PLAID, {"transactions": [transaction(), transaction()]}, "stands twice, first in line"),
        (PLAID, {"transactions": [transaction(type="gift")]}, "'gift' is no type"),
        (PLAID, {"transactions": [transaction(date="2026-02-30")]}, "not a date that exists"),
        (PLAID, {"transactions": [transaction(date="20260130")]}, "not a date that exists"),
        (PLAID, {"transactions": [transaction(amount=None)]}, "amount is missing"),
        (PLAID, {"transactions": [transaction(name="a\0b")]}, "some that no text has"),
        (PLAID, {"transactions": [transaction(name="\ud800")]}, "some that no text has"),
        (PLAID, {"securities": [PINE, PINE]}, "stands twice"),
        (PLAID, {"accounts": [plaid_files.ACCOUNT, plaid_files.ACCOUNT]}, "stands twice"),
        (PLAID, {"accounts": [{**plaid_files.ACCOUNT, "balances": [1]}]}, "not an object"),
        (PLAID, {"accounts": [7]}, "no object"),
        (ALPACA, {"positions": [position(side="both")]}, "neither long nor short"),
        (ALPACA, {"positions": [position(qty="")]}, "qty is missing"),
        (ALPACA, {"positions": [position(), position()]}, "stands twice, first in line"),
        (ALPACA, {"positions": [position(symbol=" ")]}, "symbol is missing"),
        (ALPACA, {"activities": [fill(), fill()]}, "stands twice"),
        (ALPACA, {"activities": [activity("GIFT")]}, "'GIFT' is no type"),
        (ALPACA, {"activities": [fill(side="hold")]}, "neither buy nor sell"),
        (ALPACA, {"activities": [activity("DIV", date="2026-13-01")]}, "not a date"),
        (ALPACA, {"account": [{**alpaca_files.ACCOUNT, "cash": None}]}, "cash is missing"),
        (ALPACA, {"account": [{**alpaca_files.ACCOUNT, "currency": "DOLLARS"}]}, "not a currency"),
        (ALPACA, {"account": []}, "0 accounts instead of one"),
    ],
)
def test_what_can_not_be_kept_is_refused_with_its_line(provider, lists, words):
    data = provider.files.written(**lists)
    error = refusal(provider.reader, data)

    ((name, rows),) = lists.items()
    assert words in error.what
    assert error.where == f"{NAME}, line {line_of(data, name, len(rows)) if rows else 1}"


@pytest.mark.parametrize("provider", FORMATS)
@pytest.mark.parametrize(
    "head", [{"as_of": None}, {"as_of": "30.01.2026"}, {"period": None}, {"period": ["2026-01-30", "2026-01-01"]}]
)
def test_a_head_that_does_not_say_when_is_refused(provider, head):
    refusal(provider.reader, provider.files.written(head))


@pytest.mark.parametrize("provider", FORMATS)
def test_a_document_cut_anywhere_gives_no_statement(provider):
    data = provider.whole().rstrip()
    assert len(provider.reader.read(data, NAME)) == 1

    for end in range(len(data)):
        with pytest.raises(StatementError):
            provider.reader.read(data[:end], NAME)


@pytest.mark.parametrize("provider", FORMATS)
@settings(max_examples=300)
@given(tail=st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(provider: Format, tail: bytes):
    whole = provider.whole()
    for data in (tail, whole[: whole.index(b",") + 1] + tail, whole[: len(tail) * 3] + tail + whole[len(tail) * 4 :]):
        provider.read_or_refused(data)


_NAMES = st.text(max_size=3) | st.sampled_from([*plaid_files.PINE, *plaid_files.USD])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("provider", FORMATS)
@settings(max_examples=300)
@given(data=st.data())
def test_any_value_in_any_place_is_read_or_refused(provider: Format, data: st.DataObject):
    rows = dict(provider.files.ROWS)
    name = data.draw(st.sampled_from(sorted(rows)))
    key = data.draw(st.sampled_from(sorted(rows[name])))
    rows[name] = {**rows[name], key: data.draw(_JSON)}
    text = json.dumps({**provider.files.HEAD, **{list_name: [row] for list_name, row in rows.items()}})
    provider.read_or_refused(text.encode())


# What one reader does for all of them


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**17), max_value=10**17, places=15), st.booleans()
)
def test_every_digit_of_a_number_is_kept(number: Decimal, is_text: bool):
    digits = f"{number:f}"
    account = {**alpaca_files.ACCOUNT, "cash": digits if is_text else Number(digits)}
    (statement,) = alpaca_json.read(alpaca_files.written(account=[account]), NAME)

    assert str(statement.cash[0].amount) == str(Decimal(digits))


@pytest.mark.parametrize(("digits", "value"), [("1e-9", "0.000000001"), ("1.5E+3", "1500"), ("-0.0", "0")])
def test_numbers_may_have_an_exponent(digits, value):
    (statement,) = plaid_json.read(plaid_files.written(holdings=[holding(quantity=digits)]), NAME)

    assert statement.positions[0].quantity == Decimal(value)


@pytest.mark.parametrize("digits", ["1e18", "1e99", "1e-41", "9" * 5000, "1e999999999999999999999"])
def test_numbers_without_measure_are_refused(digits):
    data = plaid_files.written(holdings=[holding(quantity=digits)])
    assert "not a number" in refusal(plaid_json, data).what


@pytest.mark.parametrize("more", [b"x", b"{}", b"\x00"])
def test_nothing_may_follow_a_document(more):
    assert "follows its end" in refusal(plaid_json, plaid_files.written() + more).what


def test_a_name_given_twice_is_refused():
    data = plaid_files.written(holdings=[holding()])
    refusal(plaid_json, data.replace(b'"quantity": 1', b'"quantity": 1, "quantity": 2'))
    refusal(plaid_json, data.replace(b'"item": ', b'"as_of": "2026-01-29",\n"item": '))


def test_nesting_without_end_is_refused():
    data = plaid_files.written().replace(b'"lakebank"', b"[" * 100_000)
    assert "nested too deeply" in refusal(plaid_json, data).what


def test_lines_are_true_however_the_document_is_laid_out():
    content = json.loads(plaid_files.written(holdings=[holding(), holding(iso_currency_code="XXX")]))
    pretty = json.dumps(content, indent=2)
    # The second holding begins in the line before its first value.
    line = pretty[: pretty.rindex('"account_id"')].count("\n")

    assert refusal(plaid_json, pretty.encode()).where == f"{NAME}, line {line}"
    assert refusal(plaid_json, json.dumps(content).encode()).where == f"{NAME}, line 1"
