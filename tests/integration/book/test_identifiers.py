"""Names of securities given and taken by hand, and what that makes of the instruments of statements."""

from datetime import date
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from app import book
from app.book import (
    EVER,
    FOREVER,
    InstrumentName,
    SecurityName,
    Span,
    instrument_ids,
    list_securities,
)
from app.errors import BadInputError
from app.people import Person
from app.reconciliation.models import Break, Run
from app.reports import unknown_instruments
from tests import factories as make

map_security, unmap_security = (
    partial(change, by=Person("ann", is_one=True), reason="as agreed")
    for change in (book.map_security, book.unmap_security)
)
MARCH, APRIL = date(2026, 3, 31), date(2026, 4, 1)
ISIN = SecurityName("ISIN", "X0")


def resolved(session: Session, instrument: int) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in make.rows(
            session,
            "SELECT x.code, i.valid_from, i.valid_to FROM instrument_securities i"
            " LEFT JOIN securities x ON x.id = i.security_id WHERE i.instrument_id = :id ORDER BY 2",
            id=instrument,
        )
    ]


def instrument(session: Session, scheme: str, value: str, namespace: str = "", **more: Any) -> int:
    name = InstrumentName(scheme, value, namespace, **more)
    return instrument_ids(session, [name])[name]


def test_a_name_cures_an_unknown_instrument_at_once(session: Session) -> None:
    make.security(session, "PINE")
    stranger = instrument(session, "CUSTODIAN", "100417", "bank")
    assert resolved(session, stranger) == []
    assert map_security(session, "PINE", SecurityName("CUSTODIAN", "100417", "bank")) == Span()
    assert resolved(session, stranger) == [("PINE", EVER, FOREVER)]


def test_a_name_moves_once_it_has_ended(session: Session) -> None:
    make.security(session, "PINE")
    make.security(session, "LAKE")
    traded = instrument(session, "ISIN", "X0")
    map_security(session, "PINE", ISIN)
    with pytest.raises(BadInputError, match="ISIN 'X0' belongs to security 'PINE' always, so it can't be that of"):
        map_security(session, "LAKE", ISIN, first=APRIL)
    assert map_security(session, "PINE", ISIN, last=MARCH) == Span(last=MARCH)
    assert map_security(session, "LAKE", ISIN, first=APRIL) == Span(first=APRIL)
    assert resolved(session, traded) == [("PINE", EVER, MARCH), ("LAKE", APRIL, FOREVER)]


def test_a_name_that_never_was_right_is_taken_back(session: Session) -> None:
    make.security(session, "PINE")
    traded = instrument(session, "ISIN", "X0")
    map_security(session, "PINE", ISIN, last=MARCH)
    map_security(session, "PINE", ISIN, first=date(2026, 6, 1))
    with pytest.raises(BadInputError, match="several times: until 2026-03-31, from 2026-06-01 on"):
        unmap_security(session, "PINE", ISIN)
    assert unmap_security(session, "PINE", ISIN, first=EVER) == Span(last=MARCH)
    assert resolved(session, traded) == [("PINE", date(2026, 6, 1), FOREVER)]
    unmap_security(session, "PINE", ISIN)
    assert resolved(session, traded) == []
    with pytest.raises(BadInputError, match="ISIN 'X0': security 'PINE' has no such name"):
        unmap_security(session, "PINE", ISIN)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (SecurityName("WKN", "X"), "scheme: 'WKN' is none of ISIN"),
        (SecurityName("ISIN", "x"), "value: 'x' is not in capitals"),
        (SecurityName("ISIN", ""), "value: '' is empty"),
        (SecurityName("ISIN", "X "), "blanks"),
        (SecurityName("ISIN", "X", "XNYS"), "there is one in all the world"),
        (SecurityName("SYMBOL", "X"), "namespace: a SYMBOL needs its exchange's MIC"),
        (SecurityName("SYMBOL", "X", "NYSE1"), "namespace: a SYMBOL needs its exchange's MIC"),
        (SecurityName("CUSTODIAN", "X"), "a CUSTODIAN id needs its custodian"),
        (SecurityName("CUSTODIAN", "X", "Bank"), "a CUSTODIAN id needs its custodian, in lower case"),
    ],
)
def test_what_can_be_no_name_is_refused(session: Session, name: SecurityName, says: str) -> None:
    make.security(session, "PINE")
    with pytest.raises(BadInputError, match=says):
        map_security(session, "PINE", name)


def test_a_security_that_is_not_there_gets_no_name(session: Session) -> None:
    with pytest.raises(BadInputError, match="security OAK: there is no such security"):
        map_security(session, "OAK", ISIN)


def test_securities_are_listed_with_all_their_names(session: Session) -> None:
    make.security(session, "PINE")
    make.security(session, "LAKE")
    map_security(session, "PINE", SecurityName("SYMBOL", "PIN", "XNYS"), first=APRIL)
    unmap_security(session, "LAKE", SecurityName("CUSIP", "C-LAKE"))
    assert [(view.security, str(view.name), str(view.known)) for view in list_securities(session)] == [
        ("LAKE", "None", "None"),
        ("PINE", "CUSIP 'C-PINE'", "always"),
        ("PINE", "SYMBOL 'PIN' of XNYS", "from 2026-04-01 on"),
    ]
    assert [view.security for view in list_securities(session, "LAKE")] == ["LAKE"]


def test_unknown_are_names_of_nobody_and_of_several_with_the_breaks_that_hang_on_them(session: Session) -> None:
    make.security(session, "PINE")
    make.security(session, "LAKE")
    account = make.account(session)
    custody = [make.custodian_account(session, account, custodian=name) for name in ("bank", "trust")]
    instrument(session, "CUSIP", "C-PINE")
    instrument(session, "CUSIP", "QUIET")
    instrument(session, "CUSIP", "LOUD", name="Loud Inc.")
    instrument(session, "CUSIP", "LOUD", name="LOUD INC COM")
    instrument(session, "CUSTODIAN", "7", "bank")
    instrument(session, "CUSTODIAN", "7", "trust")
    instrument(session, "CUSIP", "C-PINE", also=(("CUSIP", "C-LAKE", ""),))
    run_id = session.execute(
        insert(Run).values(key="r", as_of=make.DAY, days={}, shard_count=0).returning(Run.id)
    ).scalar_one()
    for custodian_account_id, subject, state in (
        (custody[0], "CUSIP:LOUD", "open"),
        (custody[1], "CUSIP:LOUD", "assigned"),
        (custody[1], "CUSTODIAN:7", "open"),
        (custody[0], "CUSIP:QUIET", "closed"),
    ):
        session.execute(
            insert(Break).values(
                custodian_account_id=custodian_account_id,
                account_id=account,
                subject=subject,
                kind="unknown_security",
                state=state,
                as_of=make.DAY,
                opened_as_of=make.DAY,
                first_run_id=run_id,
                last_run_id=run_id,
            )
        )
    assert [
        (row.open_breaks, row.scheme, row.identifier, row.namespace, row.name, row.custodians, row.candidates)
        for row in unknown_instruments(session)
    ] == [
        (2, "CUSIP", "LOUD", "", "LOUD INC COM", ["bank", "trust"], []),
        (1, "CUSTODIAN", "7", "trust", "", ["trust"], []),
        (0, "CUSIP", "C-PINE", "", "", [], ["LAKE", "PINE"]),
        (0, "CUSIP", "QUIET", "", "", [], []),
        (0, "CUSTODIAN", "7", "bank", "", [], []),
    ]
