"""What is stored of what providers say: versions, each with where it came from, and the doubtful ones apart."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Thread

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from app.market_data import drop_prices, list_quarantined
from app.people import Person
from app.statements.models import StatementPosition
from tests import factories as make
from tests.integration.market_data.quotes import MONDAY, NOW, TUESDAY, accept, quote, store
from tests.waiting import wait_until

ANN = Person("ann", is_one=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def acme(session: Session) -> int:
    """A share in USD that cost 100 on Monday."""
    security = make.security(session, "ACME")
    store(session, [quote(security, "100", MONDAY)], now=NOW - timedelta(days=1))
    return security


def versions(session: Session, day: date = TUESDAY) -> list[tuple[int, str]]:
    query = "SELECT version, price::text FROM prices WHERE price_date = :day ORDER BY 1"
    return [tuple(row) for row in make.rows(session, query, day=day)]


def waiting(session: Session) -> list[tuple[str, str, str]]:
    return [(str(each.price_date), f"{each.price:f}", each.provider) for each in list_quarantined(session)]


def test_every_price_keeps_its_source_its_time_and_its_batch(session, acme):
    stored = store(session, [quote(acme, "101.50", source="q.csv, line 7")])
    assert (stored.new_prices, stored.priced, stored.doubted, stored.quarantined) == (1, {acme: TUESDAY}, {}, [])
    query = """
        SELECT p.version, p.price::text, p.currency, p.source, p.fetched_at, b.provider, p.quarantine_id
        FROM prices AS p JOIN price_batches AS b ON b.id = p.batch_id WHERE p.price_date = :day
    """
    assert make.rows(session, query, day=TUESDAY) == [(1, "101.50", "USD", "q.csv, line 7", NOW, "first", None)]


def test_the_same_figure_again_is_no_version_and_another_one_is(session, acme):
    for price, new in (("101", 1), ("101.00", 0), ("102", 1), ("101", 1)):
        stored = store(session, [quote(acme, price)])
        assert (stored.new_prices, stored.priced) == (new, {acme: TUESDAY})
    assert versions(session) == [(1, "101"), (2, "102"), (3, "101")]


def test_a_price_of_another_provider_is_replaced_only_by_one_that_counts_more(session, acme):
    store(session, [quote(acme, "101")], provider="second")
    assert store(session, [quote(acme, "102")], provider="first").new_prices == 1
    lesser = store(session, [quote(acme, "103")], provider="second")
    assert (lesser.new_prices, lesser.priced) == (0, {acme: TUESDAY})
    assert store(session, [quote(acme, "104")], provider="unheard of").new_prices == 0
    assert versions(session) == [(1, "101"), (2, "102")]
    # Its provider is in the order no more.
    assert store(session, [quote(acme, "105")], provider="second", order=("second",)).new_prices == 1
    assert versions(session)[-1] == (3, "105")


def test_what_would_not_count_anyway_is_not_doubted_either(session, acme):
    store(session, [quote(acme, "101")], provider="first")
    lesser = store(
        session, [quote(acme, "1.01"), quote(acme, "1", date(2026, 3, 11))], provider="second", now=NOW + 24 * HOUR
    )
    assert (lesser.priced, list(lesser.doubted)) == ({acme: TUESDAY}, [acme])
    assert waiting(session) == [("2026-03-11", "1", "second")]


def test_a_price_from_before_there_were_batches_is_replaced_by_any(session):
    security = make.security(session, "OLD")
    make.price(session, security, TUESDAY, "100")
    store(session, [quote(security, "101")], provider="second")
    assert versions(session) == [(1, "100"), (2, "101")]


def test_minor_units_that_are_declared_become_major_ones_to_the_last_digit(session):
    security = make.security(session, "LON", currency="GBP")
    pence = quote(
        security, "123456789012345678.123456789012", currency="GBX", low=Decimal(1), high=Decimal("123456789012345679")
    )
    stored = store(session, [pence], minor_units={"GBX": ("GBP", 100)})
    assert stored.priced == {security: TUESDAY}
    query = "SELECT price::text, currency FROM prices"
    assert make.rows(session, query) == [("1234567890123456.78123456789012", "GBP")]
    assert store(session, [pence], minor_units={"GBX": ("GBP", 100)}).new_prices == 0


def test_minor_units_that_are_not_declared_are_doubted(session):
    security = make.security(session, "LON", currency="GBP")
    assert store(session, [quote(security, "5436.5", currency="GBX")]).new_prices == 0
    ((price),) = list_quarantined(session)
    assert [code for code, _ in price.doubts] == ["minor_unit"]


def test_a_doubtful_price_waits_once_however_often_it_comes_and_counts_for_nothing(session, acme):
    first = store(session, [quote(acme, "1.01", source="line 1", low=Decimal(1), high=Decimal("1.02"))], sync_id=7)
    again = store(session, [quote(acme, "1.010", source="line 2")], now=NOW + HOUR)
    other = store(session, [quote(acme, "1.01")], provider="second")
    assert [len(each.quarantined) for each in (first, again, other)] == [1, 0, 1]
    assert [each.priced for each in (first, again, other)] == [{}] * 3
    assert again.doubted == {
        acme: (
            TUESDAY,
            "1.010 is 0.0101 times the close of 2026-03-09 (100): it may be in another unit, hundredths for wholes or"
            " wholes for hundredths",
        )
    }
    assert versions(session) == []
    (price, _) = list_quarantined(session)
    assert (price.price, price.low, price.high, price.source) == (Decimal("1.01"), 1, Decimal("1.02"), "line 1")
    assert (price.security, price.fetched_at, price.state, price.decided_by) == ("ACME", NOW, "waiting", None)
    assert [each.id for each in list_quarantined(session, sync_id=7)] == [price.id]


def test_what_was_dropped_never_comes_back_and_another_figure_does(session, acme):
    store(session, [quote(acme, "1.01")])
    drop_prices(session, [each.id for each in list_quarantined(session)], "pence", by=ANN, now=NOW)
    again = store(session, [quote(acme, "1.01")])
    assert (again.quarantined, again.doubted, again.priced) == ([], {}, {})
    assert again.dropped == {acme: (TUESDAY, "its price of that day, 1.01 USD, was dropped by ann: pence")}
    assert waiting(session) == []
    assert store(session, [quote(acme, "1.02")]).dropped == {}
    assert waiting(session) == [("2026-03-10", "1.02", "first")]


def test_what_no_column_holds_is_kept_as_no_number_with_its_words(session, acme):
    for number, price in enumerate(["NaN", "sNaN", "Infinity", "1E+400000", "-1E+400000", "1E-400000"]):
        odd = quote(acme, price, TUESDAY - timedelta(days=number), low=Decimal("sNaN"), source="a\0b \udcff")
        assert len(store(session, [odd], minor_units={"GBX": ("GBP", 100)}).quarantined) == 1
    prices = list_quarantined(session)
    assert [str(each.price) for each in prices] == ["NaN"] * 6
    assert {each.source for each in prices} == {"a\\x00b \\udcff"}
    assert [each.doubts[0][1].split()[0] for each in reversed(prices)] == [
        "NaN", "NaN", "Infinity", "1E+400000", "-1E+400000", "1E-400000",
    ]  # fmt: skip
    odd = quote(acme, "sNaN", date(2026, 2, 27), "GBX")
    assert len(store(session, [odd], minor_units={"GBX": ("USD", 100)}).quarantined) == 1


def test_a_split_that_the_book_knows_explains_the_step(session, acme):
    split = {"new_units": Decimal(3), "old_units": Decimal(2)}
    make.corporate_action(session, acme, "split", TUESDAY, **split)
    assert store(session, [quote(acme, "66.67")]).priced == {acme: TUESDAY}
    other = make.security(session, "OTHER")
    store(session, [quote(other, "100", MONDAY)])
    assert list(store(session, [quote(other, "66.67")]).doubted) == [other]


def test_the_first_price_of_a_share_is_compared_with_what_was_paid_for_it_last(session):
    security = make.security(session, "LON", currency="GBP")
    account = make.account(session)
    trades = [
        {"quantity": Decimal(100), "amount": Decimal("-5440.00"), "trade_date": date(2025, 3, 10)},
        {"quantity": Decimal(-10), "amount": Decimal("54400.00"), "trade_date": date(2024, 3, 11), "kind": "sell"},
        # Neither another currency nor what is no trade says what one costs.
        {"quantity": Decimal(1), "amount": Decimal("-5440.00"), "trade_date": MONDAY, "currency": "EUR"},
        {"quantity": Decimal(1), "amount": Decimal("-5440.00"), "trade_date": MONDAY, "kind": "transfer"},
        {"quantity": Decimal(0), "amount": Decimal("-5440.00"), "trade_date": MONDAY},
    ]
    for trade in trades:
        given = {"currency": "GBP", **trade}
        make.trade(session, account, security_id=security, settle_date=given["trade_date"], **given)
    (reason,) = store(session, [quote(security, "5436.5", currency="GBP")]).doubted.values()
    assert reason[1].startswith("5436.5 is 99.9357 times what one was bought or sold for on 2025-03-10 (54.4): it may")
    assert store(session, [quote(security, "54.365", currency="GBP")]).priced == {security: TUESDAY}


def test_a_price_that_is_not_doubted_any_more_leaves_the_quarantine_by_itself(session, acme):
    week = [quote(acme, price, TUESDAY + timedelta(days=each)) for each, price in enumerate(["50", "51", "52", "12"])]
    later = NOW + timedelta(days=4)
    store(session, week, now=later)
    first, *others = list_quarantined(session)
    assert len(others) == 3
    accept(session, [first.id], "it crashed", by=ANN, now=later + HOUR)
    assert waiting(session) == [("2026-03-13", "12", "first")]
    cleared = list_quarantined(session, states=["cleared"])
    assert [(each.price_date.day, each.reason, each.decided_at) for each in cleared] == [
        (11, "it counts by now", later + HOUR),
        (12, "it counts by now", later + HOUR),
    ]
    assert {each.decided_by for each in cleared} == {make.rows(session, "SELECT session_user::text")[0][0]}
    # With where it came from, and when.
    query = "SELECT price::text, source, fetched_at, quarantine_id FROM prices WHERE price_date = '2026-03-12'"
    assert make.rows(session, query) == [("52", "line 1", later, None)]
    again = store(session, week, now=later + 2 * HOUR)
    assert (again.new_prices, again.priced[acme], list(again.doubted)) == (0, date(2026, 3, 12), [acme])


def test_a_price_that_its_provider_corrects_leaves_the_quarantine_by_itself(session, acme):
    store(session, [quote(acme, "1.01")])
    store(session, [quote(acme, "1.01")], provider="second")
    store(session, [quote(acme, "101")], now=NOW + HOUR)
    assert waiting(session) == [("2026-03-10", "1.01", "second")]
    (cleared,) = list_quarantined(session, states=["cleared"])
    assert (cleared.provider, cleared.reason) == ("first", "its provider has corrected it")


def test_a_doubtful_correction_waits_and_what_counted_counts(session, acme):
    store(session, [quote(acme, "101")])
    assert store(session, [quote(acme, "10100")], now=NOW + HOUR).priced == {}
    assert versions(session) == [(1, "101")]
    assert waiting(session) == [("2026-03-10", "10100", "first")]


def test_a_day_is_priced_by_what_is_believed_of_it_however_many_are_not(session, acme):
    stored = store(session, [quote(acme, "101", source="a.csv"), quote(acme, "0", source="b.csv")])
    assert (stored.priced, len(stored.quarantined)) == ({acme: TUESDAY}, 1)
    assert versions(session) == [(1, "101")]


def test_the_day_is_the_exchanges_own(session):
    tokyo, new_york = make.security(session, "TYO"), make.security(session, "NYC")
    make.identifier(session, tokyo, "7203", scheme="SYMBOL", namespace="XTKS")
    make.identifier(session, new_york, "IBM", scheme="SYMBOL", namespace="XNYS")
    evening = datetime(2026, 3, 9, 22, tzinfo=UTC)  # of Monday in New York, and Tuesday morning in Tokyo
    stored = store(session, [quote(tokyo, "100"), quote(new_york, "100")], now=evening)
    assert (list(stored.priced), list(stored.doubted)) == ([tokyo], [new_york])
    ids = [each.id for each in list_quarantined(session)]
    with pytest.raises(Exception, match="its day 2026-03-10 has not come"):
        accept(session, ids, "sure", by=ANN, now=evening)
    accept(session, ids, "sure", by=ANN, now=evening + 12 * HOUR)


def test_months_are_made_when_they_are_needed_and_no_sooner(session):
    security = make.security(session, "OLD", asset_class="bond")

    def months() -> list[str]:
        query = "SELECT relname FROM pg_class WHERE relname ~ '^prices_[0-9]{4}_' AND relkind = 'r' ORDER BY 1"
        return [name for (name,) in make.rows(session, query)]

    assert months() == []
    days = [date(1900, 1, 1), date(1999, 12, 31), date(2000, 1, 1), date(2026, 3, 10)]
    doubtful = quote(security, "0", date(2020, 5, 5))
    stored = store(session, [doubtful, *(quote(security, "100", day) for day in days)])
    assert stored.new_prices == 4
    assert months() == ["prices_1900_01", "prices_1999_12", "prices_2000_01", "prices_2026_03"]
    accept = [each.id for each in list_quarantined(session)]
    drop_prices(session, accept, "no price", by=ANN, now=NOW)
    assert len(months()) == 4


def test_two_at_once_store_a_new_price_once_and_two_corrections_one_after_the_other(session, engine, acme):
    session.commit()
    done: list[int] = []

    def store_beside(price: str) -> None:
        with Session(engine) as other:
            done.append(store(other, [quote(acme, price)]).new_prices)
            other.commit()

    for price, expected in (("101", 0), ("102", 1)):
        first = store(session, [quote(acme, "101" if price == "101" else "103")])
        beside = Thread(target=store_beside, args=[price])
        beside.start()
        wait_until(lambda: make.rows(session, "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"))
        session.commit()
        beside.join()
        assert (first.new_prices, done.pop()) == (1, expected)
    assert versions(session) == [(1, "101"), (2, "103"), (3, "102")]


def test_nothing_is_kept_of_a_batch_that_fails(session, acme):
    session.commit()
    store(session, [quote(acme, "101"), quote(acme, "0", date(2026, 3, 11))], now=NOW + 24 * HOUR)
    session.rollback()
    assert (versions(session), waiting(session)) == ([], [])
    assert make.rows(session, "SELECT count(*) FROM price_batches") == [(1,)]
    assert session.execute(text("SELECT 1")).scalar_one() == 1


def test_a_batch_without_prices_is_no_error(session):
    stored = store(session, [])
    assert (stored.new_prices, stored.priced, stored.doubted, stored.quarantined) == (0, {}, {}, [])


DAYS = [TUESDAY + timedelta(days=each) for each in range(25)]
AFTER = NOW + timedelta(days=60)


def day_by_day(session: Session, prices: dict[date, str], security: int, **values) -> list[int]:
    """Store prices as they come, a batch a day; return how many rows of the quarantine each made."""
    return [
        len(store(session, [quote(security, price, day)], now=AFTER, **values).quarantined)
        for day, price in prices.items()
    ]


@pytest.mark.parametrize("price", ["137", "50", "190"])
@pytest.mark.parametrize("is_dropped", [False, True])
def test_a_level_that_is_doubted_never_counts_however_long_it_comes(session, acme, price, is_dropped):
    for day in DAYS:
        ((_, why),) = store(session, [quote(acme, price, day)], now=AFTER).doubted.values()
        assert why.startswith(f"{price} is ")
        if is_dropped:
            drop_prices(
                session, [each.id for each in list_quarantined(session)], "another listing's", by=ANN, now=AFTER
            )
    assert make.rows(session, "SELECT price_date, price FROM prices") == [(MONDAY, 100)]
    assert store(session, [quote(acme, "104", DAYS[-1] + timedelta(days=1))], now=AFTER).doubted == {}


@pytest.mark.parametrize("accepted", [0, 4, 8])
def test_what_waits_of_a_level_follows_the_one_that_is_accepted(session, acme, accepted):
    day_by_day(session, {day: f"5{place % 3}" for place, day in enumerate(DAYS[:9])}, acme)
    store(session, [quote(acme, "9", DAYS[9])], now=AFTER)
    ids = [each.id for each in list_quarantined(session)]
    accept(session, [ids[accepted]], "it halved", by=ANN, now=AFTER)
    assert waiting(session) == [(str(DAYS[9]), "9", "first")]
    assert make.rows(session, "SELECT count(*) FROM prices WHERE version = 1") == [(10,)]
    assert store(session, [quote(acme, "51", DAYS[10])], now=AFTER).doubted == {}


def test_what_waits_of_a_split_counts_with_the_next_price_once_the_split_is_known(session, acme):
    # In one answer, too: its tenth day is not believed for the nine before it.
    stored = store(session, [quote(acme, f"5{place % 3}", day) for place, day in enumerate(DAYS[:12])], now=AFTER)
    assert (stored.new_prices, len(stored.quarantined)) == (0, 12)
    make.corporate_action(session, acme, "split", TUESDAY, new_units=Decimal(2), old_units=Decimal(1))
    stored = store(session, [quote(acme, "51.5", DAYS[12])], now=AFTER)
    assert (stored.new_prices, stored.priced, waiting(session)) == (1, {acme: DAYS[12]}, [])
    assert make.rows(session, "SELECT count(*) FROM prices") == [(14,)]
    assert len(list_quarantined(session, states=["cleared"])) == 12


def test_what_waits_of_another_provider_or_is_dated_too_early_does_not_count_by_itself(session, acme):
    store(session, [quote(acme, "101", DAYS[1])], now=NOW)  # of tomorrow
    store(session, [quote(acme, "50", DAYS[2])], provider="second", now=AFTER)
    store(session, [quote(acme, "102", DAYS[2])], now=AFTER)
    store(session, [quote(acme, "102", DAYS[3])], now=AFTER)
    assert waiting(session) == [(str(DAYS[1]), "101", "first"), (str(DAYS[2]), "50", "second")]
    store(session, [quote(acme, "101", DAYS[1])], now=AFTER)
    assert waiting(session) == [(str(DAYS[2]), "50", "second")]


def test_of_what_waits_of_several_providers_that_of_the_best_one_counts(session, acme):
    store(session, [quote(acme, "50"), quote(acme, "51", DAYS[1])], now=AFTER)
    store(session, [quote(acme, "50"), quote(acme, "52", DAYS[1])], provider="second", now=AFTER)
    make.corporate_action(session, acme, "split", TUESDAY, new_units=Decimal(2), old_units=Decimal(1))
    store(session, [quote(acme, "52.5", DAYS[2])], provider="second", now=AFTER)
    found = make.rows(session, "SELECT price::text FROM prices ORDER BY price_date")
    assert [price for (price,) in found] == ["100", "50", "51", "52.5"]


def test_a_price_that_was_cleared_and_comes_again_waits_again(session, acme):
    (first,) = store(session, [quote(acme, "200")]).quarantined
    store(session, [quote(acme, "101")], now=NOW + HOUR)
    again = store(session, [quote(acme, "200")], now=NOW + 2 * HOUR)
    assert (len(again.quarantined), list(again.doubted), waiting(session)) == (
        1,
        [acme],
        [("2026-03-10", "200", "first")],
    )
    assert store(session, [quote(acme, "200")], now=NOW + 3 * HOUR).quarantined == []
    accept(session, again.quarantined, "it doubled", by=ANN, now=NOW + 3 * HOUR)
    assert versions(session) == [(1, "101"), (2, "200")]
    # Nor does what was accepted count once more, after its provider has corrected it.
    store(session, [quote(acme, "102")], now=NOW + 4 * HOUR)
    assert len(store(session, [quote(acme, "200")], now=NOW + 5 * HOUR).quarantined) == 1
    # Dropped, it stays so without a word, whatever came between.
    drop_prices(session, [each.id for each in list_quarantined(session)], "no", by=ANN, now=NOW + 5 * HOUR)
    store(session, [quote(acme, "103")], now=NOW + 6 * HOUR)
    last = store(session, [quote(acme, "200")], now=NOW + 7 * HOUR)
    assert (last.quarantined, last.doubted, list(last.dropped), waiting(session)) == ([], {}, [acme], [])
    assert first not in again.quarantined


def test_a_price_that_stands_still_waits_once_until_it_moves(session, acme):
    assert day_by_day(session, dict.fromkeys(DAYS[:20], "100"), acme) == [*[0] * 4, 1, *[0] * 15]
    assert waiting(session) == [(str(DAYS[4]), "100", "first")]
    still = store(session, [quote(acme, "100", DAYS[20])], now=AFTER)
    assert still.doubted[acme] == (
        DAYS[20],
        f"100 is the close of the 5 days from 2026-03-09 to {DAYS[3]}, too, and no other came since: it may be stale",
    )
    # What is asked for since the newest price comes whole.
    moved = store(session, [quote(acme, "100" if day < DAYS[22] else "101", day) for day in DAYS[5:23]], now=AFTER)
    assert (moved.doubted, moved.new_prices, waiting(session)) == ({}, 18, [])
    assert make.rows(session, "SELECT count(*) FROM prices") == [(24,)]
    ((cleared),) = list_quarantined(session, states=["cleared"])
    assert (cleared.price_date, cleared.reason) == (DAYS[4], "it counts by now")
    # The next time that it stands still is another one.
    assert day_by_day(session, {DAYS[22] + timedelta(days=each): "101" for each in range(8)}, acme)[4:] == [0, 1, 0, 0]


def test_a_price_that_moved_in_the_answer_that_brings_it_is_not_doubted_for_having_stood_still(session, acme):
    stored = store(session, [quote(acme, "100" if day < DAYS[20] else "101", day) for day in DAYS], now=AFTER)
    assert (stored.new_prices, stored.quarantined) == (25, [])


def test_who_accepts_a_price_that_stands_still_is_asked_again_a_week_after(session, acme):
    day_by_day(session, dict.fromkeys(DAYS[:10], "100"), acme)
    (wait,) = list_quarantined(session)
    decided = datetime(2026, 3, 19, 22, tzinfo=UTC)
    assert decided.date() == DAYS[9]
    accept(session, [wait.id], "trading is halted", by=ANN, now=decided)
    later = day_by_day(session, dict.fromkeys(DAYS[5:20], "100"), acme)
    assert [day for day, rows in zip(DAYS[5:20], later, strict=True) if rows] == [DAYS[15]]


def test_who_drops_a_price_that_stands_still_is_not_asked_again_until_it_moves(session, acme):
    day_by_day(session, dict.fromkeys(DAYS[:8], "100"), acme)
    drop_prices(session, [each.id for each in list_quarantined(session)], "their feed is stuck", by=ANN, now=AFTER)
    stored = store(session, [quote(acme, "100", DAYS[8])], now=AFTER)
    assert (stored.quarantined, stored.doubted) == ([], {})
    assert stored.dropped == {
        acme: (DAYS[8], f"its price is that of {DAYS[4]}, 100 USD, dropped by ann: their feed is stuck")
    }
    assert sum(day_by_day(session, dict.fromkeys(DAYS[8:12], "101") | dict.fromkeys(DAYS[12:20], "100"), acme)) == 1


def test_a_first_price_that_may_be_in_pence_waits_once_until_something_vouches_for_it(session):
    security = make.security(session, "LON", currency="GBP")
    five = [quote(security, f"75{place}2", day, "GBP") for place, day in enumerate(DAYS[:5])]
    stored = store(session, five, now=AFTER)
    assert (stored.new_prices, len(stored.quarantined), waiting(session)) == (0, 1, [(str(TUESDAY), "7502", "first")])
    assert store(session, [quote(security, "7549", DAYS[5], "GBP")], now=AFTER).quarantined == []
    # In another unit it is another question.
    assert len(store(session, [quote(security, "75.49", DAYS[5], "GBP")], now=AFTER).quarantined) == 1
    session.commit()
    accept(session, [each.id for each in list_quarantined(session)][:1], "a whole one costs so much", by=ANN, now=AFTER)
    assert store(session, five, now=AFTER).new_prices == 4
    session.rollback()
    drop_prices(session, [each.id for each in list_quarantined(session)], "in pence", by=ANN, now=AFTER)
    stored = store(session, [quote(security, "7550", DAYS[6], "GBP")], now=AFTER)
    assert (stored.quarantined, list(stored.dropped)) == ([], [security])
    session.rollback()
    # Of another provider, which states its units.
    store(
        session,
        [quote(security, "7551", DAYS[6], "GBX")],
        provider="second",
        minor_units={"GBX": ("GBP", 100)},
        now=AFTER,
    )
    assert store(session, [quote(security, "75.52", DAYS[7], "GBP")], now=AFTER).doubted == {}
    assert waiting(session) == [(str(TUESDAY), "7502", "first")]
    assert list(store(session, [quote(security, "7552", DAYS[7], "GBP")], now=AFTER).doubted) == [security]


@pytest.mark.parametrize(
    ("stated", "price", "counts"),
    [
        ({"price": Decimal("74.9"), "currency": "GBP"}, "75.12", True),
        ({"price": Decimal("74.9"), "currency": "GBP"}, "7512", False),
        ({"price": Decimal(7490), "currency": "GBX"}, "75.12", True),
        # Its price may be in pence, and its value is not.
        ({"price": Decimal(7490), "market_value": Decimal(749), "currency": "GBP"}, "7512", False),
        ({"price": Decimal(7490), "market_value": Decimal(749), "currency": "GBP"}, "75.12", True),
        # What tells nothing of it vouches for nothing.
        ({"price": None, "currency": "GBP"}, "75.12", False),
        ({"price": Decimal("74.9"), "currency": "USD"}, "75.12", False),
    ],
)
def test_a_custodians_statement_vouches_for_a_first_price(session, stated, price, counts):
    security = make.security(session, "LON", currency="GBP")
    make.statement(session, make.custodian_account(session), positions={"C-LON": "10", "C-OTHER": "10"})
    session.execute(update(StatementPosition).where(StatementPosition.row == 1).values(**stated))
    assert (list(store(session, [quote(security, price, currency="GBP")]).priced) == [security]) == counts


def test_a_statement_that_is_held_back_vouches_for_nothing(session):
    security = make.security(session, "LON", currency="GBP")
    make.statement(session, make.custodian_account(session), positions={"C-LON": "10"}, state="held")
    session.execute(update(StatementPosition).values(price=Decimal(75), currency="GBP"))
    assert list(store(session, [quote(security, "75.12", currency="GBP")]).doubted) == [security]


def test_a_trade_that_comes_later_vouches_for_what_waits(session):
    security = make.security(session, "LON", currency="GBP")
    store(session, [quote(security, "75.12", currency="GBP")])
    make.trade(
        session, make.account(session), security_id=security, quantity=Decimal(10), amount=Decimal(-750), currency="GBP"
    )
    stored = store(session, [quote(security, "75.5", DAYS[1], "GBP")], now=AFTER)
    assert (stored.new_prices, waiting(session)) == (1, [])
    assert make.rows(session, "SELECT count(*) FROM prices") == [(2,)]
