"""What is due: the close of a session that is over and that nobody has given yet."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import redis
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from app.book import Security
from app.market_data.providers.terms import Answer, Asked, Limit
from tests import factories as make
from tests.integration.market_data.syncs import Clock, FundHouse, done, no_prices, quote, sources, sync, work


def at(day: str, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}:00+00:00")


def asked_at(engine: Engine, client: redis.Redis, now: datetime, **terms: Any) -> list[Asked]:
    """Sync at a time with a provider that has nothing, and return what it is asked."""
    house = FundHouse(answer=no_prices, **terms)
    done(engine, sources(providers=[house], client=client), Clock(client, now))
    return [each for request in house.asked for each in request]


def listed(session: Session, code: str, exchange: str, *, priced_to: date | None = None) -> int:
    """Write a security that trades on an exchange."""
    security_id = make.security(session, code)
    make.identifier(session, security_id, code, scheme="SYMBOL", namespace=exchange)
    if priced_to is not None:
        make.price(session, security_id, priced_to, "10")
    session.commit()
    return security_id


@pytest.mark.parametrize(
    ("exchange", "priced_to", "now", "due"),
    [
        pytest.param("XNYS", "2026-03-10", at("2026-03-11", "20:19"), None, id="before the close and the delay"),
        pytest.param("XNYS", "2026-03-10", at("2026-03-11", "20:20"), "2026-03-11", id="when both are over"),
        pytest.param("XNYS", "2026-03-13", at("2026-03-15", "22:00"), None, id="on a weekend"),
        pytest.param("XNYS", "2026-07-02", at("2026-07-03", "22:00"), None, id="on a holiday"),
        pytest.param("XLON", "2026-07-02", at("2026-07-03", "22:00"), "2026-07-03", id="on another's holiday"),
        pytest.param("XNYS", "2026-11-25", at("2026-11-27", "18:19"), None, id="before an early close"),
        pytest.param("XNYS", "2026-11-25", at("2026-11-27", "18:20"), "2026-11-27", id="after an early close"),
        pytest.param("XNYS", "2026-12-01", at("2026-12-02", "20:20"), None, id="in winter, by summer's close"),
        pytest.param("XNYS", "2026-12-01", at("2026-12-02", "21:20"), "2026-12-02", id="in winter"),
        pytest.param("XTKS", "2026-03-10", at("2026-03-11", "06:50"), "2026-03-11", id="where the day begins before"),
        pytest.param(
            "XNGS", "2026-07-02", at("2026-07-03", "22:00"), None, id="on a holiday of the segment's exchange"
        ),
        pytest.param("XXXX", "2026-07-02", at("2026-07-04", "00:20"), "2026-07-03", id="nobody knows its holidays"),
        pytest.param("XXXX", "2026-07-03", at("2026-07-05", "12:00"), None, id="nor trades on a weekend"),
    ],
)
def test_a_closed_market_is_not_asked_and_one_that_closed_is(
    session: Session,
    engine: Engine,
    broker: redis.Redis,
    exchange: str,
    priced_to: str,
    now: datetime,
    due: str | None,
) -> None:
    listed(session, "A", exchange, priced_to=date.fromisoformat(priced_to))
    expected = [] if due is None else [(date.fromisoformat(priced_to) + timedelta(days=1), date.fromisoformat(due))]
    assert [(each.first, each.last) for each in asked_at(engine, broker, now)] == expected


def test_a_provider_that_has_closes_late_is_asked_late(session: Session, engine: Engine, broker: redis.Redis) -> None:
    listed(session, "A", "XNYS", priced_to=date(2026, 3, 10))
    late = timedelta(hours=15)
    assert asked_at(engine, broker, at("2026-03-12", "10:59"), delay=late) == []
    assert [each.last for each in asked_at(engine, broker, at("2026-03-12", "11:00"), delay=late)] == [
        date(2026, 3, 11)
    ]


@pytest.mark.parametrize(
    ("zone", "midnight"), [("America/New_York", at("2026-03-12", "04:20")), ("Asia/Tokyo", at("2026-03-11", "15:20"))]
)
def test_the_day_of_a_security_on_no_exchange_is_over_at_the_provider_s_midnight(
    session: Session, engine: Engine, broker: redis.Redis, zone: str, midnight: datetime
) -> None:
    make.price(session, make.security(session, "A"), date(2026, 3, 10), "10")
    session.commit()
    assert asked_at(engine, broker, midnight - timedelta(minutes=1), time_zone=zone) == []
    assert [each.last for each in asked_at(engine, broker, midnight, time_zone=zone)] == [date(2026, 3, 11)]


def test_the_day_of_a_security_on_an_exchange_is_the_exchange_s(
    session: Session, engine: Engine, broker: redis.Redis
) -> None:
    listed(session, "A", "XNYS", priced_to=date(2026, 3, 10))
    (asked,) = asked_at(engine, broker, at("2026-03-11", "20:20"), time_zone="Asia/Tokyo")
    assert asked.last == date(2026, 3, 11)


def dual(session: Session, *exchanges: str, currency: str = "USD", priced_to: date = date(2026, 3, 10)) -> int:
    """Write a security that is listed on several exchanges."""
    security_id = make.security(session, "DUA", currency=currency)
    for exchange in exchanges:
        make.identifier(session, security_id, f"DUA-{exchange}", scheme="SYMBOL", namespace=exchange)
    make.price(session, security_id, priced_to, "10", currency=currency)
    session.commit()
    return security_id


@pytest.mark.parametrize("other", ["XLON", "XHKG", "XASX", "XTKS"])
def test_the_sessions_are_those_of_the_exchange_whose_symbol_the_provider_asks_for(
    session: Session, engine: Engine, broker: redis.Redis, other: str
) -> None:
    dual(session, other, "XNYS")

    def so_far(asked: Sequence[Asked]) -> Iterator[Answer]:
        return (quote(each, "9", price_date=date(2026, 3, 11)) for each in asked)

    house = FundHouse(exchanges=["XNYS"], answer=so_far)
    of = sources(providers=[house], client=broker)
    # The other exchange has closed; New York, where it is one in the afternoon, has not.
    assert done(engine, of, Clock(broker, at("2026-03-11", "17:00"))).due == 0
    assert house.asked == []

    house.answer = lambda asked: (quote(each, "10.5") for each in asked)
    assert done(engine, of, Clock(broker, at("2026-03-11", "22:00"))).priced == 1
    assert [(each.symbol, each.exchange, each.last) for each in house.asked[0]] == [
        ("DUA-XNYS", "XNYS", date(2026, 3, 11))
    ]
    query = "SELECT price::text FROM prices WHERE price_date = '2026-03-11'"
    assert make.rows(session, query) == [("10.5",)]


@pytest.mark.parametrize("other", ["XLON", "XASX"])
def test_a_price_of_the_exchange_s_open_session_is_no_close_though_another_has_closed(
    session: Session, engine: Engine, broker: redis.Redis, other: str
) -> None:
    dual(session, other, "XNYS", priced_to=date(2026, 3, 9))

    def talkative(asked: Sequence[Asked]) -> Iterator[Answer]:
        yield quote(asked[0], "10.2")
        yield quote(asked[0], "10.4", price_date=date(2026, 3, 11))

    house = FundHouse(exchanges=["XNYS"], answer=talkative)
    coverage = done(engine, sources(providers=[house], client=broker), Clock(broker, at("2026-03-11", "17:00")))
    assert (coverage.priced, coverage.new_prices, coverage.doubted) == (1, 1, 0)
    query = "SELECT price_date::text FROM prices ORDER BY price_date"
    assert make.rows(session, query) == [("2026-03-09",), ("2026-03-10",)]


def test_each_provider_has_the_sessions_of_its_own_symbol_s_exchange(
    session: Session, engine: Engine, broker: redis.Redis
) -> None:
    """New York keeps a holiday; London does not."""
    dual(session, "XLON", "XNYS", priced_to=date(2026, 7, 1))
    new_york = FundHouse("new-york", exchanges=["XNYS"], answer=no_prices)
    london = FundHouse("london", exchanges=["XLON"], answer=no_prices)
    done(engine, sources(providers=[new_york, london], client=broker), Clock(broker, at("2026-07-03", "22:00")))
    assert [house.asked[0][0].last for house in (new_york, london)] == [date(2026, 7, 2), date(2026, 7, 3)]


@pytest.mark.parametrize(("currency", "last"), [("USD", date(2026, 7, 2)), ("GBP", date(2026, 7, 3))])
def test_where_no_exchange_is_asked_the_security_s_is_one_that_quotes_in_its_currency(
    session: Session, engine: Engine, broker: redis.Redis, currency: str, last: date
) -> None:
    dual(session, "XLON", "XNYS", currency=currency, priced_to=date(2026, 7, 1))
    (asked,) = asked_at(engine, broker, at("2026-07-03", "22:00"))
    assert (asked.exchange, asked.last) == ("", last)


@pytest.mark.parametrize(
    ("priced_to", "first"),
    [
        ("2026-03-10", "2026-03-04"),
        # A day that is no session counts as the one before it.
        ("2026-03-08", "2026-03-02"),
        # Not before a year ago, nor in years that no calendar has.
        ("2025-03-12", "2025-03-10"),
        ("2020-01-06", "2025-03-10"),
        ("1900-01-01", "2025-03-10"),
    ],
)
def test_a_provider_that_may_be_asked_for_more_days_is_asked_again_for_the_last_sessions(
    session: Session, engine: Engine, broker: redis.Redis, priced_to: str, first: str
) -> None:
    listed(session, "A", "XNYS", priced_to=date.fromisoformat(priced_to))
    (asked,) = asked_at(engine, broker, at("2026-03-11", "22:00"), exchanges=["XNYS"], again=5)
    assert (asked.first, asked.last) == (date.fromisoformat(first), date(2026, 3, 11))


def test_what_was_never_priced_is_asked_for_with_the_last_month_and_what_was_for_all_it_lacks_of_a_year(
    session: Session, engine: Engine, broker: redis.Redis
) -> None:
    listed(session, "NEW", "XNYS")
    listed(session, "OLD", "XNYS", priced_to=date(2019, 1, 2))
    listed(session, "SOME", "XNYS", priced_to=date(2026, 2, 27))
    assert [(each.symbol, each.first, each.last) for each in asked_at(engine, broker, at("2026-03-11", "21:00"))] == [
        ("C-NEW", date(2026, 2, 8), date(2026, 3, 11)),
        ("C-OLD", date(2025, 3, 10), date(2026, 3, 11)),
        ("C-SOME", date(2026, 2, 28), date(2026, 3, 11)),
    ]


def test_the_longest_unpriced_are_asked_for_first_where_tokens_do_not_suffice(
    session: Session, engine: Engine, broker: redis.Redis
) -> None:
    listed(session, "FRESH", "XNYS", priced_to=date(2026, 3, 10))
    listed(session, "OLD", "XNYS", priced_to=date(2026, 1, 5))
    listed(session, "NEVER", "XNYS")
    # Two an hour, and the deadline is in less.
    house = FundHouse(batch_size=1, limits=(Limit(5, timedelta(hours=2), burst=2),))
    coverage = done(engine, sources(providers=[house], client=broker), Clock(broker))
    assert house.symbols() == [["C-NEVER"], ["C-OLD"]]
    assert (coverage.priced, coverage.unasked) == (2, 1)
    (reason,) = coverage.reasons
    assert (reason.codes, reason.reason) == (["FRESH"], "it may not be asked so much before the deadline")


def test_what_is_not_tracked_is_not_due(session: Session, engine: Engine, broker: redis.Redis) -> None:
    make.security(session, "A", tracked=False)
    session.commit()
    assert asked_at(engine, broker, at("2026-03-11", "21:00")) == []


def test_a_security_that_is_not_tracked_any_more_while_its_batch_waits_is_priced_and_holds_nothing_up(
    session: Session, engine: Engine, broker: redis.Redis
) -> None:
    listed(session, "A", "XNYS")
    house, clock = FundHouse(), Clock(broker)
    of = sources(providers=[house], client=broker)
    sync(session, of, now=clock())
    session.execute(update(Security).values(tracked=False))
    session.commit()
    work(engine, of, clock)
    assert make.rows(session, "SELECT coverage ->> 'due', coverage ->> 'priced' FROM price_syncs") == [("1", "1")]


def test_a_name_counts_from_its_first_day_to_its_last(session: Session, engine: Engine, broker: redis.Redis) -> None:
    security_id = make.security(session, "A", cusip="C-OLD")
    session.execute(
        update(make.SecurityIdentifier)
        .where(make.SecurityIdentifier.value == "C-OLD")
        .values(valid_to=date(2026, 3, 10))
    )
    make.identifier(session, security_id, "C-NEW", valid_from=date(2026, 3, 11))
    session.commit()
    by_day = {
        day: [each.symbol for each in asked_at(engine, broker, at(day, "22:00"))]
        for day in ("2026-03-10", "2026-03-11", "2026-03-12")
    }
    assert by_day == {"2026-03-10": ["C-OLD"], "2026-03-11": ["C-NEW"], "2026-03-12": ["C-NEW"]}


def test_the_exchange_of_a_symbol_counts_as_long_as_the_symbol(
    session: Session, engine: Engine, broker: redis.Redis
) -> None:
    """It moved from New York to London, which is open on that holiday of New York."""
    security_id = make.security(session, "A")
    make.identifier(session, security_id, "A", scheme="SYMBOL", namespace="XNYS", valid_to=date(2026, 7, 2))
    make.identifier(session, security_id, "A", scheme="SYMBOL", namespace="XLON", valid_from=date(2026, 7, 3))
    make.price(session, security_id, date(2026, 7, 2), "10")
    session.commit()
    assert [each.last for each in asked_at(engine, broker, at("2026-07-03", "22:00"))] == [date(2026, 7, 3)]


def test_what_a_provider_refuses_for_good_is_asked_for_again_after_a_week(
    session: Session, engine: Engine, broker: redis.Redis
) -> None:
    listed(session, "A", "XNYS")
    now = at("2026-03-11", "21:00")
    house = FundHouse(answer=lambda asked: no_prices(asked, why="delisted", is_permanent=True))
    for days, requests in ((0, 1), (1, 1), (6.9, 1), (7, 2), (8, 2)):
        coverage = done(engine, sources(providers=[house], client=broker), Clock(broker, now + timedelta(days=days)))
        assert len(house.asked) == requests
        assert (coverage.due, coverage.refused) == (1, 1)
        (reason,) = coverage.reasons
        assert (reason.provider, reason.reason, reason.codes) == ("fund-house", "delisted", ["A"])


def test_what_was_refused_is_asked_for_at_once_under_a_new_symbol_and_known_from_then_on(
    session: Session, engine: Engine, broker: redis.Redis
) -> None:
    listed(session, "A", "XNYS")
    house = FundHouse(answer=lambda asked: no_prices(asked, why="delisted", is_permanent=True))
    of = sources(providers=[house], client=broker)
    done(engine, of, Clock(broker))
    session.execute(
        update(make.SecurityIdentifier).where(make.SecurityIdentifier.value == "C-A").values(value="C-RENAMED")
    )
    session.commit()
    house.answer = lambda asked: (quote(each) for each in asked)
    assert done(engine, of, Clock(broker)).priced == 1
    assert house.symbols() == [["C-A"], ["C-RENAMED"]]
    assert make.rows(session, "SELECT * FROM price_refusals") == []


def test_one_refusal_of_two_providers_leaves_the_other_and_its_own_delay(
    session: Session, engine: Engine, broker: redis.Redis
) -> None:
    """Nothing is due before the one that still may have it has it."""
    listed(session, "A", "XNYS", priced_to=date(2026, 3, 10))
    refuses = FundHouse("refuses", answer=lambda asked: no_prices(asked, is_permanent=True))
    late = FundHouse("late", delay=timedelta(hours=5))
    of = sources(providers=[refuses, late], client=broker)
    assert done(engine, of, Clock(broker, at("2026-03-11", "21:00"))).refused == 1
    assert done(engine, of, Clock(broker, at("2026-03-11", "22:00"))).due == 0
    assert done(engine, of, Clock(broker, at("2026-03-12", "01:00"))).priced == 1
    assert (len(refuses.asked), len(late.asked)) == (1, 1)


def test_what_a_running_sync_asks_for_the_next_leaves_to_it_until_its_deadline(
    session: Session, engine: Engine, broker: redis.Redis
) -> None:
    listed(session, "A", "XNYS")
    house, clock = FundHouse(), Clock(broker)
    of = sources(providers=[house], client=broker)
    sync(session, of, now=clock())
    second = sync(session, of, now=clock())
    assert second.coverage is not None
    assert (second.coverage.tracked, second.coverage.due) == (1, 0)
    clock.go_on(55 * 60)
    third = sync(session, of, now=clock())
    assert third.coverage is None
    work(engine, of, clock)
    assert make.rows(session, "SELECT coverage ->> 'priced', coverage ->> 'unasked' FROM price_syncs ORDER BY id") == [
        ("0", "1"),
        ("0", "0"),
        ("1", "0"),
    ]
    assert len(house.asked) == 1


def test_what_nobody_can_ask_for_is_due_and_said_to_be(session: Session, engine: Engine, broker: redis.Redis) -> None:
    listed(session, "A", "XNYS")
    house = FundHouse(scheme="ISIN")
    coverage = done(engine, sources(providers=[house], client=broker), Clock(broker))
    assert (coverage.due, coverage.unasked, house.asked) == (1, 1, [])
    assert [reason.reason for reason in coverage.reasons] == [
        "no provider that can be asked knows it by any of its names"
    ]
