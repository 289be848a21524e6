"""Statements that the gate holds back: what they are compared with, who lets them through, and what follows."""

from datetime import UTC, date, datetime

import pytest

from app.errors import BadInputError
from app.people import Person
from app.reconciliation import list_breaks, reconcile_account
from app.statements import accept_statement, list_held
from tests import factories as make
from tests.unit.statements.ofx_files import balance, buy, file_of, investment, position, sgml

#: The last business day that ended is the statements' own.
MORNING = datetime(2024, 2, 1, 6, tzinfo=UTC)

ANN = Person("ann", is_one=True)


def holding(*identifiers: str, **options):
    return investment(positions=[position(identifier) for identifier in identifiers], **options)


@pytest.fixture
def bring(inbox, load, accounts):
    """Import statements as one file and give what of it is held back."""

    def bring(*statements, name="statement.ofx"):
        (inbox / name).write_bytes(sgml(file_of(*statements)))
        (result,) = load(inbox / name)
        assert (result.state, result.error) == ("loaded", "")
        return result.held

    return bring


def test_a_statement_that_lost_most_positions_is_held_with_the_reason_where_people_look(bring, session):
    assert bring(holding("A", "B", "C", day="20240130")) == []
    held = bring(holding("A"), name="short.ofx")
    why = "2 of the 3 positions held before are gone, and no transaction tells why"
    assert held == [f"custodian.example A-1 of 2024-01-31: {why}"]
    (found,) = list_held(session)
    assert (found.file, found.custodian, found.account_number, str(found.as_of), found.why) == (
        "short.ofx",
        "custodian.example",
        "A-1",
        "2024-01-31",
        why,
    )


def test_all_reasons_are_told_and_all_rows_are_kept(bring, session):
    bring(holding("A", "B", "C", day="20240130"))
    bring(holding("A", cash="1.00", balances=[balance("Networth", "1000.00")]))
    (found,) = list_held(session)
    assert found.why == (
        "positions and cash add up to 251.00 USD, the custodian states 1,000.00;"
        " 2 of the 3 positions held before are gone, and no transaction tells why"
    )
    assert make.rows(
        session,
        "SELECT identifier FROM statement_positions JOIN instruments AS i ON i.id = instrument_id"
        " WHERE statement_id = :id",
        id=found.id,
    ) == [("A",)]


def test_a_transaction_in_the_statement_explains_what_is_gone(bring):
    bring(holding("037833100", day="20240130"))
    assert bring(investment(positions=[], transactions=[buy()])) == []


def test_positions_of_zero_are_not_missed(bring):
    zero = investment(day="20240130", positions=[position("A"), position("B", "0"), position("C", "0.00")])
    assert bring(zero) == []
    assert bring(holding("A")) == []


def test_a_held_statement_is_not_what_the_next_one_is_measured_by(bring):
    bring(holding("A", "B", "C", day="20240129"))
    assert bring(holding("A", day="20240130")) != []
    assert bring(holding("A", day="20240131")) != []
    assert bring(holding("A", "B", "D", day="20240131"), name="whole.ofx") == []


def test_a_statement_is_measured_by_the_newest_before_it_and_by_a_correction_of_its_own_day(bring):
    assert bring(holding("A", "B", "C", day="20240131")) == []
    assert bring(holding("X", "Y", "Z", day="20240102")) == []  # older than all
    assert bring(holding("X", "Y", day="20240103")) == []
    assert bring(holding("A", day="20240131")) != []


def test_statements_of_other_accounts_and_currencies_are_not_mixed_up(bring):
    assert bring(holding("A", "B", "C"), holding("D", currency="EUR")) == []
    assert bring(holding("X", account="A-2")) == []
    next_day = {"day": "20240201"}
    assert bring(holding("A", "B", "C", **next_day), holding("D", currency="EUR", **next_day)) == []
    assert bring(holding("A", day="20240201"), name="short.ofx") != []


@pytest.fixture
def held_in_book(accounts, session):
    """Write a version of the book of account A-1, whose securities have their codes for CUSIPs."""
    ((account_id,),) = make.rows(
        session,
        "SELECT account_id FROM account_mappings WHERE custodian_account_id = :id",
        id=accounts["A-1"],
    )
    securities = {code: make.security(session, code, cusip=code) for code in "ABCD"}

    def held_in_book(day=31, **quantities):
        positions = {securities[code]: quantity for code, quantity in quantities.items()}
        make.book(session, account_id, as_of=date(2024, 1, day), positions=positions)
        session.commit()

    return held_in_book


def turned(**quantities):
    return investment(positions=[position(code, quantity) for code, quantity in quantities.items()])


def test_a_first_statement_with_the_signs_of_the_book_turned_round_is_held(bring, held_in_book, session):
    held_in_book(A="10", B="-2.5", C="7", D="0")
    held = bring(turned(A="-10", B="2.50", C="-7", D="5", X="-1"))
    assert held == [
        "custodian.example A-1 of 2024-01-31: the quantities of 3 of 3 positions are those of the book with the other"
        " sign: are the sides swapped?"
    ]
    assert bring(turned(A="-10", B="2.5", C="-7"), name="again.ofx") != []
    assert bring(turned(A="10", B="-2.5", C="7"), name="right.ofx") == []


@pytest.mark.parametrize(
    ("book", "stated"),
    [
        ({"A": "-10", "B": "-2"}, {"A": "-10", "B": "-2"}),
        ({"A": "10"}, {"A": "-10"}),
        ({"A": "10"}, {"A": "-10", "X": "-10"}),
        ({"A": "10", "B": "2"}, {"A": "-10", "B": "-3"}),
        ({"A": "10", "B": "2", "C": "3"}, {"A": "-10", "B": "-2", "C": "3"}),
        ({}, {"A": "-10", "B": "-2"}),
    ],
    ids=["short on both sides", "one", "one that both have", "another quantity", "one is the right way", "no book"],
)
def test_a_first_statement_that_is_short_is_not_held_where_the_book_may_be_what_is_wrong(
    bring, held_in_book, book, stated
):
    held_in_book(**book)
    assert bring(turned(**stated)) == []


def test_the_newest_version_of_the_book_up_to_the_statements_day_is_what_a_first_one_is_held_against(
    bring, held_in_book
):
    held_in_book(day=15, A="-10", B="-2")
    held_in_book(day=30, A="10", B="2")
    assert bring(turned(A="-10", B="-2")) != []
    held_in_book(day=31, A="-10", B="-2")
    assert bring(turned(A="-10", B="-2.0"), name="again.ofx") == []


def test_a_statement_that_has_one_before_it_is_held_against_that_alone(bring, held_in_book):
    bring(investment(day="20240130", positions=[position("A", "-10"), position("B", "-2")]))
    held_in_book(A="10", B="2")
    assert bring(turned(A="-10", B="-2")) == []


def test_a_bank_statement_between_two_of_positions_hides_nothing(bring):
    bring(holding("A", "B", "C", day="20240129"))
    bring(investment(day="20240130", cash="5"))
    assert bring(holding("A")) != []


def test_who_accepted_a_statement_when_and_why_is_kept_and_the_next_run_compares_it(bring, session):
    (account_id,) = make.rows(
        session,
        "SELECT account_id FROM account_mappings JOIN custodian_accounts AS c ON c.id = custodian_account_id"
        " WHERE number = 'A-1'",
    )[0]
    securities = [make.security(session, code, cusip=code) for code in "ABC"]
    for day in (30, 31):
        make.book(session, account_id, as_of=date(2024, 1, day), positions=dict.fromkeys(securities, "10"))
    session.commit()
    bring(holding("A", "B", "C", day="20240130"))
    bring(holding("A"), name="short.ofx")

    reconcile_account(session, account_id, "before", now=MORNING)
    assert list(list_breaks(session)) == []

    (held,) = list_held(session)
    accept_statement(session, held.id, "Both were transferred out; Ms Price asked the bank.", by=ANN)
    session.commit()
    assert list_held(session) == []
    ((state, user, findings),) = make.rows(
        session, "SELECT state, session_user, findings FROM statements WHERE id = :id", id=held.id
    )
    assert (state, findings[0]["check"]) == ("accepted", "short")
    accepted = findings[-1]
    assert datetime.fromisoformat(accepted.pop("at")).tzinfo is not None
    assert accepted == {
        "check": "accepted",
        "by": "ann",
        "db_user": user,
        "text": "Both were transferred out; Ms Price asked the bank.",
    }

    reconcile_account(session, account_id, "after", now=MORNING)
    assert sorted((found.kind, found.what) for found in list_breaks(session)) == [
        ("missing at custodian", "B"),
        ("missing at custodian", "C"),
    ]


def test_an_accepted_statement_is_what_the_next_one_is_measured_by(bring, session):
    bring(holding("A", "B", "C", day="20240130"))
    bring(holding("A"))
    (held,) = list_held(session)
    accept_statement(session, held.id, "right", by=ANN)
    session.commit()
    assert bring(holding("A", day="20240201")) == []


@pytest.mark.parametrize("which", ["accepted", "unknown"])
def test_only_a_held_statement_can_be_accepted(bring, session, which):
    bring(holding("A"))
    ((statement_id,),) = make.rows(session, "SELECT id FROM statements")
    with pytest.raises(BadInputError, match="no such statement is held back"):
        accept_statement(session, statement_id + (which == "unknown"), "why", by=ANN)
    assert make.rows(session, "SELECT findings FROM statements") == [([],)]


def test_held_statements_are_listed_newest_first(bring, session):
    bring(holding("A", "B", "C", day="20240101"))
    bring(holding("A", day="20240103"))
    bring(holding("B", day="20240102"))
    assert [str(held.as_of) for held in list_held(session)] == ["2024-01-03", "2024-01-02"]
