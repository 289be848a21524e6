"""The history of links and names: who changed what, when and why, by hand and by imports."""

from collections.abc import Iterable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.book import (
    LinkEventView,
    SecurityName,
    account_history,
    import_book,
    map_account,
    map_security,
    security_history,
    unmap_account,
    unmap_security,
)
from app.errors import BadInputError
from app.people import Person
from tests import factories as make
from tests.integration.book.folders import ACCOUNTS, SECURITIES, TODAY, bring, write

ANN, BOB = Person("ann", is_one=True), Person("bob", is_one=True)
MARCH, APRIL = date(2026, 3, 31), date(2026, 4, 1)
CUSIP = SecurityName("CUSIP", "X0")
HELD = "account,user,name,currency,custodian,custodian_account\n"
MAPPINGS = "account,custodian,custodian_account,valid_from,valid_to\n"
NAMES = "security,scheme,value,namespace,valid_from,valid_to\n"


def told(events: Iterable[LinkEventView]) -> list[tuple[str, ...]]:
    """Events, oldest first: what happened, to what, and what was and is."""
    return [(e.event, e.code, e.subject, e.before, e.after) for e in reversed(list(events))]


def why(events: Iterable[LinkEventView]) -> list[tuple[str, ...]]:
    return [(e.actor, e.reason) for e in reversed(list(events))]


def test_what_is_done_to_a_mapping_by_hand_is_told_with_who_when_and_why(session: Session) -> None:
    account = make.account(session, "A1")
    map_account(session, account, "bank", "1", by=ANN, reason=" the contract of 2019 ")
    map_account(session, account, "bank", "1", last=MARCH, by=BOB, reason="it moves")
    map_account(session, account, "trust", "9", first=APRIL, by=BOB, reason="it moved")
    unmap_account(session, account, "trust", "9", by=ANN, reason="it did not")
    assert told(account_history(session)) == [
        ("mapped", "A1", "1 of bank", "", "always"),
        ("changed", "A1", "1 of bank", "always", "until 2026-03-31"),
        ("mapped", "A1", "9 of trust", "", "from 2026-04-01 on"),
        ("unmapped", "A1", "9 of trust", "from 2026-04-01 on", ""),
    ]
    assert why(account_history(session)) == [
        ("ann", "the contract of 2019"),
        ("bob", "it moves"),
        ("bob", "it moved"),
        ("ann", "it did not"),
    ]
    assert make.rows(
        session, "SELECT DISTINCT happened_at = now(), db_user = session_user, import_id FROM link_events"
    ) == [(True, True, None)]


def test_what_is_done_to_a_name_by_hand_is_told_too(session: Session) -> None:
    make.security(session, "PINE")
    make.security(session, "LAKE")
    map_security(session, "PINE", CUSIP, by=ANN, reason="its prospectus")
    map_security(session, "PINE", CUSIP, last=MARCH, by=ANN, reason="given away")
    map_security(session, "LAKE", CUSIP, first=APRIL, by=BOB, reason="taken over")
    map_security(session, "PINE", SecurityName("CUSTODIAN", "7", "bank"), by=BOB, reason="asked them")
    unmap_security(session, "LAKE", CUSIP, by=BOB, reason="misread")
    assert told(security_history(session)) == [
        ("mapped", "PINE", "CUSIP 'X0'", "", "always"),
        ("changed", "PINE", "CUSIP 'X0'", "always", "until 2026-03-31"),
        ("mapped", "LAKE", "CUSIP 'X0'", "", "from 2026-04-01 on"),
        ("mapped", "PINE", "CUSTODIAN '7' of bank", "", "always"),
        ("unmapped", "LAKE", "CUSIP 'X0'", "from 2026-04-01 on", ""),
    ]
    assert why(security_history(session, "LAKE")) == [("bob", "taken over"), ("bob", "misread")]
    assert [event.code for event in security_history(session, name=CUSIP)] == ["LAKE", "LAKE", "PINE", "PINE"]
    assert told(security_history(session, "PINE", name=SecurityName("CUSTODIAN", "7", "trust"))) == []
    with pytest.raises(BadInputError, match="security OAK: there is no such security"):
        security_history(session, "OAK")


def test_what_changes_nothing_or_is_refused_is_no_event(session: Session) -> None:
    account = make.account(session, "A1")
    make.security(session, "PINE")
    for _ in range(2):
        map_account(session, account, "bank", "1", by=ANN, reason="why")
        map_security(session, "PINE", CUSIP, by=ANN, reason="why")
    with pytest.raises(BadInputError, match="two custodians claim"):
        map_account(session, account, "trust", "1", by=ANN, reason="why")
    assert make.rows(session, "SELECT count(*) FROM link_events") == [(2,)]


def test_nothing_is_changed_without_a_reason_in_words(session: Session) -> None:
    account = make.account(session, "A1")
    make.custodian_account(session, account, custodian="bank", number="1")
    make.security(session, "PINE", cusip="X0")
    for change in (
        partial(map_account, session, account, "bank", "1", last=MARCH),
        partial(unmap_account, session, account, "bank", "1"),
        partial(map_security, session, "PINE", CUSIP, last=MARCH),
        partial(unmap_security, session, "PINE", CUSIP),
    ):
        with pytest.raises(BadInputError, match="--reason: a reason is needed, in words"):
            change(by=ANN, reason=" \n")
    assert make.rows(session, "SELECT valid_to FROM account_mappings") == [(date.max,)]
    assert make.rows(session, "SELECT valid_to FROM security_identifiers") == [(date.max,)]
    assert make.rows(session, "SELECT 1 FROM link_events") == []


def test_an_import_tells_what_it_did_to_mappings_and_names_and_nothing_when_it_is_repeated(
    session: Session, tmp_path: Path
) -> None:
    tables = {
        "accounts": ACCOUNTS,
        "mappings": MAPPINGS + "A2,bank,2,,2026-03-31\nA2,trust,9,2026-04-01,\n",
        "securities": SECURITIES,
        "identifiers": NAMES + "PINE,CUSIP,X0,,,\nPINE,CUSTODIAN,7,bank,,\nLAKE,SYMBOL,LK,XLON,2026-04-01,\n",
    }
    first = import_book(session, write(tmp_path, **tables), TODAY, by=ANN)
    import_book(session, tmp_path, TODAY, by=ANN)
    assert sorted(told(account_history(session))) == [
        ("mapped", "A1", "1 of bank", "", "always"),
        ("mapped", "A2", "2 of bank", "", "until 2026-03-31"),
        ("mapped", "A2", "9 of trust", "", "from 2026-04-01 on"),
    ]
    assert sorted(told(security_history(session))) == [
        ("mapped", "LAKE", "SYMBOL 'LK' of XLON", "", "from 2026-04-01 on"),
        ("mapped", "PINE", "CUSIP 'X0'", "", "always"),
        ("mapped", "PINE", "CUSTODIAN '7' of bank", "", "always"),
    ]
    because = ("ann", f"import {first.import_id} of {tmp_path}")
    assert set(why(account_history(session))) == set(why(security_history(session))) == {because}


def test_an_import_tells_which_days_it_changed(session: Session, tmp_path: Path) -> None:
    bring(session, tmp_path, accounts=ACCOUNTS, securities=SECURITIES, identifiers=NAMES + "PINE,CUSIP,X0,,,\n")
    bring(
        session,
        tmp_path,
        mappings=MAPPINGS + "A1,bank,1,,2026-03-31\nA1,trust,9,2026-04-01,\n",
        identifiers=NAMES + "PINE,CUSIP,X0,,,2026-03-31\nLAKE,CUSIP,X0,,2026-04-01,\n",
    )
    assert told(account_history(session))[1:] == [
        ("changed", "A1", "1 of bank", "always", "until 2026-03-31"),
        ("mapped", "A1", "9 of trust", "", "from 2026-04-01 on"),
    ]
    assert told(security_history(session, name=CUSIP))[1:] == [
        ("changed", "PINE", "CUSIP 'X0'", "always", "until 2026-03-31"),
        ("mapped", "LAKE", "CUSIP 'X0'", "", "from 2026-04-01 on"),
    ]
    assert make.rows(session, "SELECT DISTINCT actor = session_user FROM link_events") == [(True,)]


def test_an_import_tells_of_new_numbers_also_where_they_change_hands(session: Session, tmp_path: Path) -> None:
    bring(session, tmp_path, accounts=HELD + "A1,ann,First,USD,bank,1\nA2,bob,Second,EUR,bank,2\n")
    bring(session, tmp_path, accounts=HELD + "A1,ann,First,USD,bank,2\nA2,bob,Second,EUR,bank,1\n")
    assert sorted(told(account_history(session)))[2:] == [
        ("renumbered", "A1", "2 of bank", "1 of bank", "2 of bank"),
        ("renumbered", "A2", "1 of bank", "2 of bank", "1 of bank"),
    ]
    # Who looks for a number finds where it came from and where it went.
    assert [event.event for event in account_history(session, held_in=("bank", "1"))] == [
        "renumbered", "renumbered", "mapped",
    ]  # fmt: skip


def test_the_history_can_be_had_without_what_imports_did_and_of_one_account(session: Session, tmp_path: Path) -> None:
    bring(session, tmp_path, accounts=HELD + "A1,ann,First,USD,bank,1\nA2,bob,Second,EUR,bank,2\n")
    (account,) = make.rows(session, "SELECT id FROM accounts WHERE code = 'A2'")[0]
    map_account(session, account, "bank", "2", last=MARCH, by=ANN, reason="it moves")
    assert [event.event for event in account_history(session, account)] == ["changed", "mapped"]
    assert [event.event for event in account_history(session, only_by_hand=True)] == ["changed"]
    assert told(account_history(session, account, held_in=("bank", "1"))) == []


@pytest.fixture
def event(session: Session) -> None:
    """Something that was done by hand."""
    map_account(session, make.account(session, "A1"), "bank", "1", by=ANN, reason="why")
    session.commit()


@pytest.mark.usefixtures("event")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE link_events SET actor = 'bob'",
        "UPDATE link_events SET reason = '' WHERE FALSE",
        "DELETE FROM link_events",
        "TRUNCATE link_events",
    ],
)
def test_the_history_is_only_ever_added_to_even_by_the_owner_of_its_table(session: Session, change: str) -> None:
    owns = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE relname = 'link_events'"
    assert make.rows(session, owns) == [(True,)]
    with pytest.raises(DBAPIError, match="rows of link_events are only ever added"):
        session.execute(text(change))
    session.rollback()
    assert why(account_history(session)) == [("ann", "why")]


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"db_user": "somebody"}, "db_user is postgres and can not be written as somebody"),
        ({"reason": ""}, "link_events_reason_check"),
        ({"security_id": 1}, "link_events_account_or_security_check"),
        ({"event": "guessed"}, "link_events_event_check"),
    ],
)
def test_the_database_refuses_events_that_can_not_be(session: Session, values: dict[str, Any], refusal: str) -> None:
    row = {"event": "mapped", "account_id": 1, "subject": "1 of bank", "reason": "why", **values}
    names = ", ".join(row)
    places = ", ".join(f":{name}" for name in row)
    with pytest.raises(DBAPIError, match=refusal):
        session.execute(text(f"INSERT INTO link_events ({names}) VALUES ({places})"), row)  # noqa: S608
