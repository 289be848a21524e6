"""What people do with breaks: what may follow what, who it was, and that a large write-off takes two of them."""

from decimal import Decimal

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.people import Person
from app.reconciliation import assign, comment, resolve, write_off
from dev import embedded
from tests import factories as make

ALICE, BOB, CAROL = (Person(name, is_one=True) for name in ("alice", "bob", "carol"))
ROOT = Person("root", is_one=False)
LIMIT = Decimal(100)


@pytest.fixture
def large(session):
    """A break that is worth more than the limit."""
    return make.a_break(session, make.account(session))


@pytest.fixture
def small(session):
    return make.a_break(session, make.account(session), value=Decimal("100.00"))


def state(session: Session, break_id: int) -> str:
    return str(session.execute(text("SELECT state FROM breaks WHERE id = :id"), {"id": break_id}).scalar_one())


def last(session: Session, break_id: int, columns: str = "event, actor, reason") -> tuple[object, ...]:
    query = f"SELECT {columns} FROM break_events WHERE break_id = :id ORDER BY id DESC LIMIT 1"  # noqa: S608
    (row,) = make.rows(session, query, id=break_id)
    return tuple(row)


def test_an_assigned_break_is_somebodys_and_the_event_says_whose(session, small):
    assign(session, [small], "bob", by=ALICE)
    assert make.rows(session, "SELECT state, assignee FROM breaks") == [("assigned", "bob")]
    assert last(session, small, "event, actor, assignee, difference, value") == (
        "assigned", "alice", "bob", Decimal("-250.00"), Decimal("100.00"),
    )  # fmt: skip


def test_an_explained_break_keeps_its_explanation_when_it_is_given_to_somebody(session):
    found = make.a_break(session, make.account(session), state="explained")
    assign(session, [found], "bob", by=ALICE)
    assert make.rows(session, "SELECT state, assignee FROM breaks") == [("explained", "bob")]


def test_the_event_says_who_when_and_why_and_by_which_database_login(session, small):
    resolve(session, [small], " the fee was booked ", by=ALICE)
    assert state(session, small) == "resolved"
    assert last(session, small, "event, actor, reason, db_user = session_user, happened_at = now(), run_id") == (
        "resolved", "alice", "the fee was booked", True, True, None,
    )  # fmt: skip


@pytest.mark.parametrize("before", ["resolved", "closed", "written_off"])
def test_what_is_settled_can_only_be_commented(session, before):
    found = make.a_break(session, make.account(session), state=before)
    comment(session, [found], "seen", by=ALICE)
    for act in (
        lambda: assign(session, [found], "bob", by=ALICE),
        lambda: resolve(session, [found], "why", by=ALICE),
        lambda: write_off(session, [found], "why", by=ALICE, limit=LIMIT),
    ):
        with pytest.raises(BadInputError, match=f"break {found}: it is {before.replace('_', ' ')}, so it can't be"):
            act()
    assert state(session, found) == before


def test_of_several_breaks_all_are_done_or_none(session, small, large):
    closed = make.a_break(session, make.account(session), state="closed")
    for wrong in (closed, 404):
        with pytest.raises(BadInputError, match=f"break {wrong}: "), session.begin_nested():
            resolve(session, [small, wrong, large], "why", by=ALICE)
    assert {state(session, found) for found in (small, large)} == {"open"}
    assert make.rows(session, "SELECT DISTINCT event FROM break_events") == [("opened",)]
    resolve(session, [small, large, small], "why", by=ALICE)
    assert make.rows(session, "SELECT count(*) FROM break_events WHERE event = 'resolved'") == [(2,)]


@pytest.mark.parametrize("words", ["", "  \n"])
def test_nothing_is_said_or_settled_without_words(session, small, words):
    with pytest.raises(BadInputError, match="a comment is needed"):
        comment(session, [small], words, by=ALICE)
    with pytest.raises(BadInputError, match="a reason is needed"):
        resolve(session, [small], words, by=ALICE)
    with pytest.raises(BadInputError, match="a reason is needed"):
        write_off(session, [small], words, by=ALICE, limit=LIMIT)


@pytest.mark.parametrize("login", ["", "two words", "line\nbreak", "\x1b[31m", "x" * 65])
def test_what_can_be_no_login_is_given_nothing(session, small, login):
    with pytest.raises(BadInputError, match="a login is one word"):
        assign(session, [small], login, by=ALICE)


def test_one_person_writes_off_what_is_worth_no_more_than_the_limit(session, small):
    (result,) = write_off(session, [small], "rounding of 2019", by=ROOT, limit=LIMIT)
    assert result.is_done
    assert state(session, small) == "written_off"
    assert last(session, small) == ("written_off", "root", "rounding of 2019")


@pytest.mark.parametrize("value", [Decimal("100.01"), None])
def test_what_is_worth_more_or_who_knows_what_takes_two(session, value):
    found = make.a_break(session, make.account(session), value=value)
    (proposed,) = write_off(session, [found], "too old", by=ALICE, limit=LIMIT)
    assert (proposed.is_done, proposed.proposed_by) == (False, None)
    assert state(session, found) == "open"
    assert last(session, found) == ("write_off_proposed", "alice", "too old")

    comment(session, [found], "I would", by=ALICE)
    assign(session, [found], "carol", by=ALICE)
    with pytest.raises(BadInputError, match="you, alice, have proposed to write it off; a second person must agree"):
        write_off(session, [found], "too old", by=ALICE, limit=LIMIT)
    assert state(session, found) == "assigned"

    (done,) = write_off(session, [found], "agreed", by=BOB, limit=LIMIT)
    assert (done.is_done, done.proposed_by) == (True, "alice")
    assert state(session, found) == "written_off"
    assert last(session, found) == ("written_off", "bob", "agreed")


def test_who_may_be_anybody_is_neither_the_first_nor_the_second(session, large):
    with pytest.raises(BadInputError, match="can't be done as root, who may be anybody"):
        write_off(session, [large], "why", by=ROOT, limit=LIMIT)
    write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    with pytest.raises(BadInputError, match="can't be done as root, who may be anybody"):
        write_off(session, [large], "why", by=ROOT, limit=LIMIT)
    assert state(session, large) == "open"


def change(session: Session, break_id: int, theirs: str, event: str = "changed") -> None:
    """Write what a run does when the figures are others."""
    make.rows(
        session,
        "UPDATE breaks SET theirs = CAST(:theirs AS numeric), difference = CAST(:theirs AS numeric) - ours"
        " WHERE id = :id RETURNING id",
        theirs=theirs,
        id=break_id,
    )
    make.tell(session, break_id, event, run_id=make.run(session))


def test_a_proposal_of_other_figures_does_not_count(session, large):
    write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    change(session, large, "700.00")
    (again,) = write_off(session, [large], "why", by=BOB, limit=LIMIT)
    assert not again.is_done
    # Now it is Bob's proposal that stands, and Alice may be the second.
    (done,) = write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    assert (done.is_done, done.proposed_by) == (True, "bob")


def explain(session: Session, break_id: int, remainder: str, event: str = "changed") -> None:
    """Write what a run does when explanations leave so much of the same figures."""
    statement = "UPDATE breaks SET remainder = CAST(:left AS numeric) WHERE id = :id RETURNING id"
    make.rows(session, statement, left=remainder, id=break_id)
    make.tell(session, break_id, event, run_id=make.run(session))


def test_a_proposal_of_another_remainder_does_not_count(session, large):
    explain(session, large, "-240.00")
    write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    make.rows(session, "UPDATE breaks SET remainder = difference RETURNING id")
    (again,) = write_off(session, [large], "why", by=BOB, limit=LIMIT)
    assert not again.is_done
    (done,) = write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    assert (done.is_done, done.proposed_by) == (True, "bob")


@pytest.mark.parametrize("value", ["350.01", None])
def test_a_proposal_does_not_count_when_one_alone_would_accept_more_than_the_limit_by_it(session, large, value):
    write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    make.rows(session, "UPDATE breaks SET value = CAST(:value AS numeric) RETURNING id", value=value)
    (again,) = write_off(session, [large], "why", by=BOB, limit=LIMIT)
    assert not again.is_done
    with pytest.raises(BadInputError, match="a second person must agree"):
        write_off(session, [large], "why", by=BOB, limit=LIMIT)
    (done,) = write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    assert (done.is_done, done.proposed_by) == (True, "bob")


def test_a_proposal_counts_when_the_price_rises_by_what_one_alone_may_accept(session, large):
    write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    make.rows(session, "UPDATE breaks SET value = 350.00 RETURNING id")
    (done,) = write_off(session, [large], "why", by=BOB, limit=LIMIT)
    assert (done.is_done, done.proposed_by) == (True, "alice")


def test_a_proposal_does_not_outlive_a_closing(session, large):
    write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    make.tell(session, large, "closed", run_id=make.run(session))
    make.tell(session, large, "reopened", run_id=make.run(session))
    (result,) = write_off(session, [large], "why", by=BOB, limit=LIMIT)
    assert not result.is_done


def test_a_proposal_needs_its_second_person_also_when_the_price_falls(session, large):
    write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    make.rows(session, "UPDATE breaks SET value = 1 RETURNING id")
    with pytest.raises(BadInputError, match="a second person must agree"):
        write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    (result,) = write_off(session, [large], "why", by=BOB, limit=LIMIT)
    assert result.is_done


def test_what_has_no_figure_can_not_be_written_off(session):
    found = make.a_break(
        session, make.account(session), subject="statement", kind="missing_statement", difference=None, value=None
    )
    with pytest.raises(BadInputError, match="no figure in it that could be written off"):
        write_off(session, [found], "why", by=ALICE, limit=LIMIT)


def test_two_who_write_off_at_once_come_one_after_the_other(session, engine, large):
    session.commit()
    with Session(engine) as first, Session(engine) as second:
        write_off(first, [large], "why", by=ALICE, limit=LIMIT)
        second.execute(text("SET lock_timeout = '100ms'"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            write_off(second, [large], "why", by=ALICE, limit=LIMIT)
        second.rollback()
        first.commit()
        with pytest.raises(BadInputError, match="a second person must agree"):
            write_off(second, [large], "why", by=ALICE, limit=LIMIT)


#: What somebody would write who has the rights of the app and goes by the rules of nobody.
WRITE_OFF = """
    INSERT INTO break_events (break_id, event, actor, reason, kind, ours, theirs, difference, remainder, value, as_of)
    SELECT id, 'written_off', :actor, 'because', kind, ours, theirs, difference, remainder, value, as_of
    FROM breaks WHERE id = :id
"""


def test_the_database_refuses_the_first_persons_own_agreement(session, large):
    write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    refusal = f"alice has proposed to write off break {large}: a second person must agree"
    with pytest.raises(DBAPIError, match=refusal), session.begin_nested():
        session.execute(text(WRITE_OFF), {"id": large, "actor": "alice"})
    session.execute(text(WRITE_OFF), {"id": large, "actor": "bob"})
    session.execute(text("UPDATE breaks SET state = 'written_off'"))


def test_the_database_refuses_a_write_off_without_its_event(session, large):
    write_off(session, [large], "why", by=ALICE, limit=LIMIT)
    with pytest.raises(DBAPIError, match="has no event that writes it off"):
        session.execute(text("UPDATE breaks SET state = 'written_off'"))


def test_the_database_refuses_to_write_off_an_unknown_value_at_once(session):
    found = make.a_break(session, make.account(session), value=None)
    with pytest.raises(DBAPIError, match="a first person must propose"):
        session.execute(text(WRITE_OFF), {"id": found, "actor": "alice"})


@pytest.mark.parametrize(
    "wrong",
    [
        "difference + 1, remainder, value",
        "difference, -10, value",
        "difference, NULL, value",
        "difference, remainder, 1",
    ],
)
def test_the_database_refuses_other_figures_than_the_break_has(session, large, wrong):
    with pytest.raises(DBAPIError, match="has other figures than these"):
        session.execute(
            text(WRITE_OFF.replace("difference, remainder, value, as_of\n", f"{wrong}, as_of\n")),
            {"id": large, "actor": "alice"},
        )


def test_the_database_counts_no_proposal_of_another_remainder(session):
    found = make.a_break(session, make.account(session), value=None)
    explain(session, found, "-10.00")
    write_off(session, [found], "why", by=ALICE, limit=LIMIT)
    with pytest.raises(DBAPIError, match="alice has proposed"), session.begin_nested():
        session.execute(text(WRITE_OFF), {"id": found, "actor": "alice"})
    # The same difference, of which nothing is explained any more.
    make.rows(session, "UPDATE breaks SET remainder = difference WHERE id = :id RETURNING id", id=found)
    with pytest.raises(DBAPIError, match="a first person must propose"):
        session.execute(text(WRITE_OFF), {"id": found, "actor": "bob"})


@pytest.mark.parametrize("figure", ["remainder = -1000", "remainder = NULL", "difference = -1000", "kind = 'quantity'"])
def test_the_database_keeps_what_is_written_off_as_people_saw_it(session, small, figure):
    write_off(session, [small], "why", by=ALICE, limit=LIMIT)
    refusal = f"break {small} was written off with other figures than these"
    with pytest.raises(DBAPIError, match=refusal), session.begin_nested():
        session.execute(text(f"UPDATE breaks SET {figure}"))  # noqa: S608
    # What no limit goes by may change, and another figure opens it, from where there is no way back.
    session.execute(text("UPDATE breaks SET value = 1, as_of = as_of + 1, remainder = -250.0"))
    session.execute(text(f"UPDATE breaks SET state = 'open', {figure}"))  # noqa: S608
    with pytest.raises(DBAPIError, match=refusal), session.begin_nested():
        session.execute(text("UPDATE breaks SET state = 'written_off'"))
    assert state(session, small) == "open"


def test_the_database_refuses_a_break_that_begins_as_written_off(session, small):
    with pytest.raises(DBAPIError, match="has no event that writes it off"):
        session.execute(
            text(
                """
                INSERT INTO breaks (
                    custodian_account_id, account_id, subject, kind, state, as_of, opened_as_of, first_run_id,
                    last_run_id
                )
                SELECT
                    custodian_account_id, account_id, 'currency:EUR', kind, 'written_off', as_of, as_of, 1, 1
                FROM breaks
                """
            )
        )


def test_nobody_writes_in_anothers_database_login(session, small):
    with pytest.raises(DBAPIError, match="db_user is postgres and can not be written as somebody"):
        make.tell(session, small, "commented", actor="alice", db_user="somebody")


def test_two_database_logins_of_one_person_are_one_person(
    session: Session, engine: Engine, large: int, postgres_server: embedded.Postgres
):
    session.commit()
    address = {"host": str(postgres_server.socket_folder), "dbname": engine.url.database, "autocommit": True}
    logins = ("alice-reads", "alice-writes")
    with psycopg.connect(**address, user="postgres") as admin:
        for login in logins:
            admin.execute(f'CREATE ROLE "{login}" LOGIN')
            admin.execute(f'GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO "{login}"')
            admin.execute(f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "{login}"')
        try:
            propose = WRITE_OFF.replace("'written_off'", "'write_off_proposed'")
            for event, login in zip((propose, WRITE_OFF), logins, strict=True):
                query = event.replace(":actor", "'alice'").replace(":id", str(large))
                with psycopg.connect(**address, user=login) as connection:
                    if event is propose:
                        connection.execute(query)
                        continue
                    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="a second person must agree"):
                        connection.execute(query)
        finally:
            for login in logins:
                admin.execute(f'DROP OWNED BY "{login}"')
                admin.execute(f'DROP ROLE "{login}"')
    assert last(session, large, "event, actor, db_user") == ("write_off_proposed", "alice", "alice-reads")


class Life(RuleBasedStateMachine):
    """A break in the hands of people and runs, beside a model of what may become of it."""

    session: Session
    people = st.sampled_from([ALICE, BOB, CAROL])

    @initialize(value=st.sampled_from(["100", "100.01", None]), explained=st.booleans())
    def open(self, value: str | None, explained: bool) -> None:
        self.state = "explained" if explained else "open"
        self.value = None if value is None else Decimal(value)
        self.id = make.a_break(self.session, make.account(self.session), state=self.state, value=self.value)
        self.proposer: str | None = None
        self.theirs = Decimal("750.00")
        self.explained = 0
        self.events = 1

    def attempt(self, allowed: bool, act: object) -> bool:
        assert callable(act)
        if allowed:
            act()
            self.events += 1
            return True
        with pytest.raises(BadInputError):
            act()
        return False

    @property
    def pending(self) -> bool:
        return self.state in {"open", "assigned", "explained"}

    @rule(by=people, to=people)
    def give(self, by: Person, to: Person) -> None:
        act = lambda: assign(self.session, [self.id], to.login, by=by)  # noqa: E731
        if self.attempt(self.pending, act) and self.state == "open":
            self.state = "assigned"

    @rule(by=people)
    def say(self, by: Person) -> None:
        self.attempt(True, lambda: comment(self.session, [self.id], "so", by=by))

    @rule(by=people)
    def settle(self, by: Person) -> None:
        if self.attempt(self.pending, lambda: resolve(self.session, [self.id], "done", by=by)):
            self.state, self.proposer = "resolved", None

    @rule(by=people)
    def give_up(self, by: Person) -> None:
        allowed = self.pending and self.proposer != by.login
        act = lambda: write_off(self.session, [self.id], "old", by=by, limit=LIMIT)  # noqa: E731
        if not self.attempt(allowed, act):
            return
        if self.proposer is None and (self.value is None or self.value > LIMIT):
            self.proposer = by.login
        else:
            self.state, self.proposer = "written_off", None

    @precondition(lambda self: self.state != "closed")
    @rule()
    def a_run_finds_other_figures(self) -> None:
        self.theirs += 1
        reopened = self.state in {"resolved", "written_off"}
        self._to("open" if reopened else self.state)
        change(self.session, self.id, str(self.theirs), "reopened" if reopened else "changed")
        self.events += 1
        self.proposer = None

    @precondition(lambda self: self.state != "closed")
    @rule()
    def a_run_explains_another_part(self) -> None:
        self.explained += 1
        reopened = self.state in {"resolved", "written_off"}
        self._to("open" if reopened else self.state)
        explain(self.session, self.id, f"-{self.explained}", "reopened" if reopened else "changed")
        self.events += 1
        self.proposer = None

    @precondition(lambda self: self.state != "closed")
    @rule()
    def a_run_finds_that_it_agrees(self) -> None:
        self._to("closed")
        make.tell(self.session, self.id, "closed", run_id=make.run(self.session))
        self.events += 1
        self.proposer = None

    def _to(self, state: str) -> None:
        self.state = state
        make.rows(self.session, "UPDATE breaks SET state = :state WHERE id = :id RETURNING id", state=state, id=self.id)

    @invariant()
    def it_is_what_the_model_says(self) -> None:
        if hasattr(self, "id"):
            assert state(self.session, self.id) == self.state
            (count,) = make.rows(self.session, "SELECT count(*) FROM break_events WHERE break_id = :id", id=self.id)
            assert count == (self.events,)

    @invariant()
    def nobody_writes_off_much_alone(self) -> None:
        if hasattr(self, "id") and self.state == "written_off" and (self.value is None or self.value > LIMIT):
            rows = make.rows(
                self.session,
                "SELECT event, actor FROM break_events WHERE break_id = :id AND event LIKE 'writ%' ORDER BY id DESC",
                id=self.id,
            )
            assert [row.event for row in rows[:2]] == ["written_off", "write_off_proposed"]
            assert rows[0].actor != rows[1].actor


def test_whatever_people_and_runs_do_a_break_is_in_a_state_that_the_rules_allow(session):
    Life.session = session
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=40,
            stateful_step_count=12,
        ),
    )
