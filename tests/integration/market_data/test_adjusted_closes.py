"""Adjusted closing prices of securities in the database: which prices and actions count, and what can't be adjusted."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event, insert
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.market_data import Adjustment, adjusted_closes, exchange_rate
from app.market_data.models import FxRate
from tests import factories as make

MONDAY = date(2026, 3, 9)


def day(number: int) -> date:
    return MONDAY + timedelta(days=number)


@pytest.fixture
def price(session: Session):
    def price(security_id: int, *prices: str, first: date = MONDAY, version: int = 1, currency: str = "USD") -> None:
        """Write closes of days in a row."""
        for number, text in enumerate(prices):
            make.price(
                session,
                security_id,
                first + timedelta(days=number),
                text,
                version=version,
                currency=currency,
                source=f"file.csv, line {number + 2}",
            )

    return price


@pytest.fixture
def pine(session: Session, price) -> int:
    """A security with five closes."""
    security_id = make.security(session, "PINE")
    price(security_id, "40", "44", "22", "21", "24")
    return security_id


def split(session: Session, security_id: int, ex_date: date, new: int, old: int = 1) -> None:
    make.corporate_action(session, security_id, "split", ex_date, new_units=new, old_units=old)


def dividend(session: Session, security_id: int, ex_date: date, amount: str, currency: str = "USD") -> None:
    make.corporate_action(session, security_id, "dividend", ex_date, amount=Decimal(amount), currency=currency)


def adjusted(session: Session, adjustment: Adjustment | None, **options) -> list[Decimal]:
    return [close.adjusted for close in adjusted_closes(session, ["PINE"], adjustment, **options)["PINE"]]


def test_splits_alone_or_dividends_too(session: Session, pine) -> None:
    split(session, pine, day(2), 2)
    dividend(session, pine, day(3), "3")
    assert adjusted(session, None) == [40, 44, 22, 21, 24]
    assert adjusted(session, Adjustment.SPLITS) == [20, 22, 22, 21, 24]
    assert adjusted(session, Adjustment.ALL) == [Decimal("17.5"), Decimal("19.25"), Decimal("19.25"), 21, 24]


def test_a_late_split_corrects_the_past_and_rewrites_nothing(session: Session, pine) -> None:
    query = "SELECT * FROM prices ORDER BY security_id, price_date, version"
    stored = make.rows(session, query)
    assert adjusted(session, Adjustment.SPLITS) == [40, 44, 22, 21, 24]

    split(session, pine, day(2), 2)

    assert adjusted(session, Adjustment.SPLITS) == [20, 22, 22, 21, 24]
    assert make.rows(session, query) == stored


def test_the_newest_version_of_a_price_counts_with_where_it_came_from(session: Session, pine, price) -> None:
    price(pine, "46", first=day(1), version=2)
    price(pine, "48", first=day(1), version=10)
    split(session, pine, day(2), 2)

    closes = adjusted_closes(session, ["PINE"], Adjustment.SPLITS)["PINE"]

    assert [close.price for close in closes] == [40, 48, 22, 21, 24]
    assert (closes[1].adjusted, closes[1].version, closes[1].source) == (24, 10, "file.csv, line 2")


def test_a_series_is_in_units_of_its_own_last_day(session: Session, pine) -> None:
    split(session, pine, day(2), 2)
    dividend(session, pine, day(3), "3")
    split(session, pine, day(4), 4)
    assert adjusted(session, Adjustment.ALL, last=day(1)) == [40, 44]
    assert adjusted(session, Adjustment.ALL, first=day(1), last=day(2)) == [22, 22]
    assert adjusted(session, Adjustment.SPLITS, first=day(2)) == [Decimal("5.5"), Decimal("5.25"), 24]
    assert adjusted(session, Adjustment.ALL, first=day(9)) == []


def test_several_securities_are_read_at_once_each_with_its_own_actions(session: Session, pine, price) -> None:
    oak = make.security(session, "OAK")
    price(oak, "10", "11")
    make.security(session, "unpriced")
    split(session, pine, day(2), 2)
    split(session, oak, day(1), 1, 10)
    statements = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    closes = adjusted_closes(session, ["OAK", "unpriced", "PINE"], Adjustment.ALL, last=day(2))

    assert len(statements) == 1
    assert {code: [close.adjusted for close in series] for code, series in closes.items()} == {
        "OAK": [100, 11], "PINE": [20, 22, 22], "unpriced": [],
    }  # fmt: skip


def test_a_dividend_in_another_currency_needs_a_rate_of_its_ex_date(session: Session, pine) -> None:
    dividend(session, pine, day(3), "2", currency="EUR")
    asked = []

    def rate(currency: str, other: str, on: date) -> Decimal:
        asked.append((currency, other, on))
        return Decimal("1.5")

    assert adjusted(session, Adjustment.SPLITS) == [40, 44, 22, 21, 24]
    assert adjusted(session, Adjustment.ALL, rate=rate)[2] == Decimal("19.25")
    assert asked == [("EUR", "USD", day(3))]
    with pytest.raises(BadInputError) as refused:
        adjusted(session, Adjustment.ALL)
    assert str(refused.value) == (
        "security PINE: its dividend of 2026-03-12 is in EUR and its price in USD, and there is no rate to convert it:"
        f" {exchange_rate(session, 'EUR', 'USD', day(3)).why}."
        " Adjust it for splits alone, or for days without such a dividend."
    )
    session.execute(insert(FxRate).values(currency="USD", rate_date=day(2), rate=Decimal("1.5"), source="test"))
    assert adjusted(session, Adjustment.ALL)[2] == Decimal("19.25")
    # Of other days nothing has to be converted.
    assert adjusted(session, Adjustment.ALL, last=day(2)) == [40, 44, 22]
    assert adjusted(session, Adjustment.ALL, first=day(3)) == [21, 24]


def test_prices_in_two_currencies_are_no_series(session: Session, pine, price) -> None:
    price(pine, "9", first=day(5), currency="EUR")
    with pytest.raises(BadInputError) as refused:
        adjusted(session, Adjustment.SPLITS)
    assert str(refused.value) == (
        "security PINE: its close of 2026-03-09 is in USD, and that of 2026-03-14 in EUR."
        " Ask for days with prices in one currency."
    )
    assert adjusted(session, None) == [40, 44, 22, 21, 24, 9]
    assert adjusted(session, Adjustment.SPLITS, last=day(4)) == [40, 44, 22, 21, 24]


def test_what_pays_interest_has_no_total_return_of_its_prices_alone(session: Session, pine) -> None:
    make.corporate_action(session, pine, "interest", day(2), amount=Decimal("0.02"), currency="USD")
    assert adjusted(session, Adjustment.SPLITS) == [40, 44, 22, 21, 24]
    with pytest.raises(BadInputError, match=r"security PINE: it pays interest \(ex-date 2026-03-11\)"):
        adjusted(session, Adjustment.ALL)


def test_an_action_that_can_not_be_names_the_security(session: Session, pine) -> None:
    dividend(session, pine, day(3), "2200")
    with pytest.raises(BadInputError, match=r"^security PINE, after 2026-03-11: dividends of 2200 are not less than"):
        adjusted(session, Adjustment.ALL)


def test_a_security_that_is_not_there_is_refused(session: Session, pine) -> None:
    with pytest.raises(BadInputError, match=r"^security ELM: there is no such security$"):
        adjusted_closes(session, ["PINE", "ELM"], None)
