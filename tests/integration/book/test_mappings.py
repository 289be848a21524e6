"""Mappings made and ended by hand: what they come to, and what is never guessed."""

from datetime import date
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app import book
from app.book import EVER, FOREVER, Span, list_accounts
from app.errors import BadInputError
from app.people import Person
from tests import factories as make

map_account, unmap_account = (
    partial(change, by=Person("ann", is_one=True), reason="as agreed")
    for change in (book.map_account, book.unmap_account)
)
MARCH, APRIL = date(2026, 3, 31), date(2026, 4, 1)


def held(session: Session) -> list[tuple[Any, ...]]:
    return [
        (view.account, view.custodian, view.custodian_account, str(view.held))
        for view in list_accounts(session)
        if view.held
    ]


def test_a_mapping_is_always_unless_it_has_dates(session: Session) -> None:
    first, second = make.account(session, "A1"), make.account(session, "A2")
    change = map_account(session, first, "bank", "1")
    assert (change.before, change.after, change.is_new_custodian_account) == (None, Span(EVER, FOREVER), True)
    map_account(session, second, "bank", "2", first=APRIL)
    assert held(session) == [("A1", "bank", "1", "always"), ("A2", "bank", "2", "from 2026-04-01 on")]


def test_the_same_mapping_again_changes_nothing(session: Session) -> None:
    account = make.account(session, "A1")
    map_account(session, account, "bank", "1")
    change = map_account(session, account, "bank", "1")
    assert (change.before, change.after, change.is_new_custodian_account) == (Span(), Span(), False)
    assert len(held(session)) == 1


def test_an_account_moves_once_the_old_mapping_has_ended(session: Session) -> None:
    account = make.account(session, "A1")
    map_account(session, account, "bank", "1")
    with pytest.raises(BadInputError) as caught:
        map_account(session, account, "trust", "9", first=APRIL)
    assert str(caught.value) == (
        "mapping: two custodians claim account 'A1': '1' of 'bank' always, and now '9' of 'trust' from 2026-04-01 on."
        " End the other one (accounts map A1 bank 1 --to DATE --reason TEXT), or say --shared if both are so on"
        " the same days."
    )
    map_account(session, account, "bank", "1", last=MARCH)
    map_account(session, account, "trust", "9", first=APRIL)
    assert held(session) == [("A1", "bank", "1", "until 2026-03-31"), ("A1", "trust", "9", "from 2026-04-01 on")]


def test_nothing_is_left_of_a_mapping_that_was_refused(session: Session) -> None:
    account = make.account(session, "A1")
    map_account(session, account, "bank", "1")
    with pytest.raises(BadInputError, match="two custodian accounts of 'bank' claim account 'A1'"):
        map_account(session, account, "bank", "2")
    assert make.rows(session, "SELECT number FROM custodian_accounts") == [("1",)]


def test_a_custodian_account_holds_two_accounts_only_where_that_is_said(session: Session) -> None:
    first, second = make.account(session, "A1"), make.account(session, "A2")
    map_account(session, first, "bank", "1", last=APRIL)
    with pytest.raises(BadInputError, match="account '1' of 'bank' holds account 'A1' already, until 2026-04-01"):
        map_account(session, second, "bank", "1", first=APRIL)
    map_account(session, second, "bank", "1", first=APRIL, is_shared=True)
    assert [row[0] for row in held(session)] == ["A1", "A2"]


def test_a_mapping_that_opens_again_is_a_claim_and_one_that_ends_earlier_is_none(session: Session) -> None:
    account = make.account(session, "A1")
    map_account(session, account, "bank", "1", last=MARCH)
    map_account(session, account, "trust", "9", first=APRIL)
    with pytest.raises(BadInputError, match="two custodians claim account 'A1'"):
        map_account(session, account, "bank", "1", first=EVER)
    map_account(session, account, "bank", "1", first=EVER, is_shared=True)
    map_account(session, account, "bank", "1", last=APRIL)
    assert held(session)[0] == ("A1", "bank", "1", "until 2026-04-01")


@pytest.mark.parametrize(
    ("custodian", "number", "says"),
    [("Bank", "1", "not in lower case"), ("", "1", "is empty"), ("bank", " 1", "blanks"), ("bank", "", "is empty")],
)
def test_what_can_be_no_custodian_account_is_refused(session: Session, custodian: str, number: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        map_account(session, make.account(session), custodian, number)


def test_a_mapping_that_never_was_right_is_taken_back(session: Session) -> None:
    account = make.account(session, "A1")
    map_account(session, account, "bank", "1", last=MARCH)
    map_account(session, account, "bank", "1", first=date(2026, 6, 1))
    with pytest.raises(BadInputError, match="several mappings to it: until 2026-03-31, from 2026-06-01 on"):
        unmap_account(session, account, "bank", "1")
    assert unmap_account(session, account, "bank", "1", first=EVER) == Span(last=MARCH)
    assert unmap_account(session, account, "bank", "1") == Span(first=date(2026, 6, 1))
    with pytest.raises(BadInputError, match="has no such mapping"):
        unmap_account(session, account, "bank", "1")
    assert held(session) == []


def test_unmapped_are_the_active_accounts_that_are_held_nowhere_on_the_day(session: Session) -> None:
    make.account(session, "NEVER")
    make.account(session, "INACTIVE", active=False)
    map_account(session, make.account(session, "ENDED"), "bank", "1", last=MARCH)
    map_account(session, make.account(session, "LATER"), "bank", "2", first=APRIL)
    map_account(session, make.account(session, "ALWAYS"), "bank", "3")

    def unmapped(day: date) -> list[str]:
        return [view.account for view in list_accounts(session, unmapped_on=day)]

    assert unmapped(MARCH) == ["LATER", "NEVER"]
    assert unmapped(APRIL) == ["ENDED", "NEVER"]
    assert len(list(list_accounts(session))) == 5


def test_a_mapping_waits_for_a_compare(engine: Engine, session: Session) -> None:
    account = make.account(session, "A1")
    session.commit()
    with Session(engine) as comparing:
        comparing.execute(text("SELECT pg_advisory_xact_lock_shared(hashtext('value-partner book'))"))
        session.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            map_account(session, account, "bank", "1")
