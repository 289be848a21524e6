"""What people decide of doubtful prices: once, with a reason, in their own name."""

from datetime import date, timedelta
from decimal import Decimal
from threading import Thread

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.market_data import count_quarantined, drop_prices, list_quarantined, show_quarantined
from app.people import Person
from tests import factories as make
from tests.integration.market_data.quotes import MONDAY, NOW, TUESDAY, accept, quote, store
from tests.waiting import wait_until

ANN = Person("ann", is_one=True)
BOB = Person("bob", is_one=True)
LATER = NOW + timedelta(hours=8)
WEDNESDAY = date(2026, 3, 11)


@pytest.fixture
def acme(session: Session) -> int:
    """A share in USD that cost 100 on Monday."""
    security = make.security(session, "ACME")
    store(session, [quote(security, "100", MONDAY)], now=NOW - timedelta(days=1))
    return security


@pytest.fixture
def crash(session: Session, acme: int) -> int:
    """A price of Tuesday that is doubted."""
    (found,) = store(session, [quote(acme, "50", source="q.csv, line 2")]).quarantined
    session.commit()
    return found


def decided(session: Session) -> list[tuple]:
    query = "SELECT state, decided_by, decided_at, reason FROM quarantined_prices ORDER BY id"
    return [tuple(row) for row in make.rows(session, query)]


def counting(session: Session) -> list[tuple]:
    query = "SELECT price_date::text, version, price::text FROM prices ORDER BY 1, 2"
    return [tuple(row) for row in make.rows(session, query)]


def test_an_accepted_price_counts_with_where_it_came_from_and_who_said_so(session, crash):
    accept(session, [crash], "  it crashed ", by=ANN, now=LATER)
    query = """
        SELECT p.version, p.price::text, p.currency, p.source, p.fetched_at, b.provider, q.state, q.decided_by,
            q.decided_at, q.reason, q.db_user = session_user AS by_database
        FROM prices AS p
        JOIN price_batches AS b ON b.id = p.batch_id
        JOIN quarantined_prices AS q ON q.id = p.quarantine_id
    """
    assert make.rows(session, query) == [
        (1, "50", "USD", "q.csv, line 2", NOW, "first", "accepted", "ann", LATER, "it crashed", True)
    ]
    assert count_quarantined(session) == 0


def test_after_it_is_accepted_the_next_price_is_compared_with_it(session, acme, crash):
    wednesday = [quote(acme, "51", WEDNESDAY)]
    tomorrow = NOW + timedelta(days=1)
    assert store(session, wednesday, now=tomorrow).priced == {}
    session.rollback()
    accept(session, [crash], "it crashed", by=ANN, now=LATER)
    assert store(session, wednesday, now=tomorrow).priced == {acme: WEDNESDAY}
    assert store(session, [quote(acme, "50.0")], now=tomorrow).priced == {acme: TUESDAY}
    assert list(store(session, [quote(acme, "100", date(2026, 3, 12))], now=NOW + timedelta(days=2)).doubted) == [acme]


def test_a_dropped_price_counts_for_nothing(session, crash):
    drop_prices(session, [crash], "half of it is missing", by=BOB, now=LATER)
    assert counting(session) == [("2026-03-09", 1, "100")]
    assert decided(session) == [("dropped", "bob", LATER, "half of it is missing")]


def test_an_accepted_correction_is_the_newest_version_of_its_day(session, acme):
    store(session, [quote(acme, "101")])
    (found,) = store(session, [quote(acme, "170")]).quarantined
    accept(session, [found], "it did", by=ANN, now=LATER)
    assert counting(session)[1:] == [("2026-03-10", 1, "101"), ("2026-03-10", 2, "170")]


@pytest.mark.parametrize("act", [accept, drop_prices])
@pytest.mark.parametrize("reason", ["", " \n\t"])
def test_a_reason_in_words_is_needed(session, crash, act, reason):
    with pytest.raises(BadInputError, match=r"--reason: a reason in words is needed"):
        act(session, [crash], reason, by=ANN, now=LATER)
    assert decided(session) == [("waiting", None, None, None)]


@pytest.mark.parametrize("act", [accept, drop_prices])
def test_all_are_decided_or_none(session, acme, crash, act):
    (other,) = store(session, [quote(acme, "1", WEDNESDAY)], now=LATER).quarantined
    with pytest.raises(BadInputError, match=r"quarantined price 999: there is no such price in quarantine"):
        act(session, [crash, other, 999], "all", by=ANN, now=NOW + timedelta(days=1))
    assert {state for state, *_ in decided(session)} == {"waiting"}
    assert len(counting(session)) == 1
    act(session, [other, crash, other], "all", by=ANN, now=NOW + timedelta(days=1))
    assert "waiting" not in {state for state, *_ in decided(session)}


@pytest.mark.parametrize("first", [accept, drop_prices])
@pytest.mark.parametrize("second", [accept, drop_prices])
def test_what_is_decided_stays_so(session, crash, first, second):
    first(session, [crash], "sure", by=ANN, now=LATER)
    before = (decided(session), counting(session))
    with pytest.raises(BadInputError, match=rf"quarantined price {crash}: it was (accepted|dropped) by ann \(sure\)"):
        second(session, [crash], "no", by=BOB, now=LATER)
    assert (decided(session), counting(session)) == before


def test_two_people_at_once_decide_once(session, engine, crash):
    answers: list[str] = []

    def drop_beside() -> None:
        with Session(engine) as other:
            try:
                drop_prices(other, [crash], "no", by=BOB, now=LATER)
                other.commit()
                answers.append("done")
            except BadInputError as error:
                answers.append(str(error))

    accept(session, [crash], "yes", by=ANN, now=LATER)
    beside = Thread(target=drop_beside)
    beside.start()
    wait_until(lambda: make.rows(session, "SELECT 1 FROM pg_locks WHERE NOT granted"))
    session.commit()
    beside.join()
    assert answers == [f"quarantined price {crash}: it was accepted by ann (yes)"]


NO_PRICES = {
    "0": "0 is no price, which is above 0. Drop it",
    "-1": "-1 is no price, which is above 0. Drop it",
    "NaN": "what came is no number. Drop it",
    "Infinity": "what came is no number. Drop it",
    "1E+18": "1000000000000000000 is no price, which is below 10^18. Drop it",
}


@pytest.mark.parametrize(("price", "says"), NO_PRICES.items())
def test_what_can_be_no_price_is_accepted_by_nobody(session, acme, crash, price, says):
    (found,) = store(session, [quote(acme, price, date(2026, 3, 6))]).quarantined
    with pytest.raises(BadInputError, match=says.replace("10^18", r"10\^18")):
        accept(session, [crash, found], "it must", by=ANN, now=LATER)
    assert len(counting(session)) == 1
    drop_prices(session, [found], "it is none", by=ANN, now=LATER)


def test_a_price_in_a_minor_unit_is_not_accepted_as_one_in_the_major_unit(session):
    security = make.security(session, "LON", currency="GBP")
    (found,) = store(session, [quote(security, "5436.5", currency="GBX")]).quarantined
    with pytest.raises(BadInputError, match="it is in GBX, and prices are kept in GBP"):
        accept(session, [found], "it is", by=ANN, now=LATER)


def test_a_price_in_another_currency_is_accepted_in_that(session, acme):
    (found,) = store(session, [quote(acme, "92", currency="EUR")]).quarantined
    accept(session, [found], "it moved to Frankfurt", by=ANN, now=LATER)
    assert make.rows(session, "SELECT currency FROM prices WHERE price_date = :day", day=TUESDAY) == [("EUR",)]
    # It is no figure that a price in dollars could be compared with.
    assert store(session, [quote(acme, "101", WEDNESDAY)], now=NOW + timedelta(days=1)).priced == {acme: WEDNESDAY}
    assert store(session, [quote(acme, "92.00", currency="EUR")]).doubted == {}


def test_of_two_prices_of_one_day_one_can_be_accepted(session, acme, crash):
    (other,) = store(session, [quote(acme, "49")], provider="second").quarantined
    with pytest.raises(BadInputError, match=f"{crash} and {other} are two prices of one day, 2026-03-10, and one of"):
        accept(session, [crash, other], "both", by=ANN, now=LATER)
    assert len(counting(session)) == 1
    accept(session, [other], "the exchange says so", by=ANN, now=LATER)
    assert [state for state, *_ in decided(session)] == ["waiting", "accepted"]


def test_the_same_price_of_two_providers_counts_once_and_both_leave_the_quarantine(session, acme, crash):
    (twin,) = store(session, [quote(acme, "50.0")], provider="second").quarantined
    accept(session, [crash], "it crashed", by=ANN, now=LATER)
    assert [state for state, *_ in decided(session)] == ["accepted", "cleared"]
    assert counting(session)[1:] == [("2026-03-10", 1, "50")]
    session.rollback()
    (twin,) = store(session, [quote(acme, "50.0")], provider="second").quarantined
    accept(session, [twin, crash], "it crashed", by=ANN, now=LATER)
    assert [state for state, *_ in decided(session)] == ["accepted", "accepted"]
    assert counting(session)[1:] == [("2026-03-10", 1, "50")]


CHANGES = [
    "state = 'waiting', decided_by = NULL, decided_at = NULL, reason = NULL, db_user = NULL",
    "state = 'dropped', db_user = session_user",
    "reason = 'another', db_user = session_user",
    "decided_by = 'somebody else', db_user = session_user",
    "price = 51, db_user = session_user",
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_database_refuses_to_change_what_is_decided(session, crash, change):
    accept(session, [crash], "sure", by=ANN, now=LATER)
    session.commit()
    with pytest.raises(DatabaseError, match="a quarantined price is decided once"):
        session.execute(text(f"UPDATE quarantined_prices SET {change}"))  # noqa: S608


EVIDENCE = [
    "price = 100", "currency = 'EUR'", "price_date = DATE '2026-03-09'", "security_id = security_id + 1", "low = 1",
    "high = 1", "provider = 'x'", "source = 'x'", "fetched_at = now()", "batch_id = 99", "doubts = '[]'", "id = 99",
]  # fmt: skip


@pytest.mark.parametrize("change", EVIDENCE)
def test_the_database_refuses_to_change_what_a_decision_rests_on(session, crash, change):
    decision = "state = 'accepted', decided_by = 'ann', decided_at = now(), reason = 'sure', db_user = session_user"
    with pytest.raises(DatabaseError, match="and nothing else of it changes"):
        session.execute(text(f"UPDATE quarantined_prices SET {change}, {decision}"))  # noqa: S608
    session.rollback()
    session.execute(text(f"UPDATE quarantined_prices SET {decision}"))  # noqa: S608


def test_the_database_says_by_which_login_it_was_decided(session, crash):
    decision = "state = 'accepted', decided_by = 'ann', decided_at = now(), reason = 'sure', db_user = 'somebody'"
    with pytest.raises(DatabaseError, match="a quarantined price is decided once"):
        session.execute(text(f"UPDATE quarantined_prices SET {decision}"))  # noqa: S608


@pytest.mark.parametrize("missing", ["decided_by", "decided_at", "reason"])
def test_the_database_refuses_a_decision_without_who_when_and_why(session, crash, missing):
    given = {"decided_by": "'ann'", "decided_at": "now()", "reason": "'sure'", "db_user": "session_user"}
    given[missing] = "NULL"
    values = ", ".join(f"{name} = {value}" for name, value in given.items())
    with pytest.raises(DatabaseError, match="quarantined_prices_decided_check"):
        session.execute(text(f"UPDATE quarantined_prices SET state = 'dropped', {values}"))  # noqa: S608


def test_they_are_listed_by_security_and_day_and_what_is_decided_by_when(session, acme, crash):
    zinc = make.security(session, "ZINC")
    store(session, [quote(zinc, "0"), quote(zinc, "0", MONDAY), quote(acme, "1", date(2026, 3, 6))])
    store(session, [quote(acme, "-1", WEDNESDAY)], now=NOW + timedelta(days=1))

    def listed(**chosen) -> list[tuple[str, int, str]]:
        return [(each.security, each.price_date.day, f"{each.price:f}") for each in list_quarantined(session, **chosen)]

    everything = [("ACME", 6, "1"), ("ACME", 10, "50"), ("ACME", 11, "-1"), ("ZINC", 9, "0"), ("ZINC", 10, "0")]
    assert listed() == everything
    assert listed(limit=2) == everything[:2]
    assert listed(code="ZINC") == everything[3:]
    assert (count_quarantined(session), count_quarantined(session, code="ZINC")) == (5, 2)
    ids = [each.id for each in list_quarantined(session)]
    drop_prices(session, ids[3:4], "none", by=ANN, now=LATER)
    drop_prices(session, ids[1:2], "none", by=ANN, now=LATER + timedelta(hours=1))
    assert listed(states=["dropped"]) == [everything[1], everything[3]]
    assert listed(states=["dropped", "waiting"]) == [
        everything[0],
        everything[2],
        everything[4],
        everything[1],
        everything[3],
    ]
    assert count_quarantined(session, states=["dropped"]) == 2
    with pytest.raises(BadInputError, match="there is no security 'NONE'"):
        list_quarantined(session, code="NONE")


def test_one_is_shown_with_what_counts_around_it(session, acme, crash):
    for days in range(2, 6):
        make.price(session, acme, MONDAY - timedelta(days=days), str(100 - days))
    make.price(session, acme, TUESDAY, "101")
    make.price(session, acme, TUESDAY, "102", version=2)
    for days in range(1, 5):
        make.price(session, acme, TUESDAY + timedelta(days=days), str(102 + days))
    price, around = show_quarantined(session, crash)
    assert (price.id, price.price, price.state) == (crash, Decimal(50), "waiting")
    assert [(each.price_date.day, f"{each.price:f}", each.version) for each in around] == [
        (6, "97", 1), (7, "98", 1), (9, "100", 1), (10, "102", 2), (11, "103", 1), (12, "104", 1), (13, "105", 1),
    ]  # fmt: skip
    assert [(each.provider, each.source) for each in around[1:3]] == [("", "test"), ("first", "line 1")]
    with pytest.raises(BadInputError, match="quarantined price 999: there is no such price in quarantine"):
        show_quarantined(session, 999)
