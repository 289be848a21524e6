"""Several statements of one day, from the file on: those that go on from each other, and those that correct another."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.database import session_scope
from app.people import Person
from app.reconciliation import list_breaks, reconcile_shard, start_run
from app.reports import run_record
from app.statements import accept_statement, import_files, list_held
from app.statements.days import lock_days
from tests import factories as make
from tests.unit.statements import camt053_files, iso20022_files, mt940_files
from tests.waiting import wait_until

DAY = date(2024, 1, 31)
#: The day has ended.
MORNING = datetime(2024, 2, 1, 6, tzinfo=UTC)
ANN = Person("ann", is_one=True)


def mt940(*statements):
    def message(opening, closing, *entries, day=31, number="", first=31):
        amounts = [(name, f"{amount}".replace("-", "")) for name, amount in entries]
        signs = ["D" if amount < 0 else "C" for _, amount in entries]
        return mt940_files.message(
            *(
                mt940_files.line(f"{sign}{amount},", value=f"2401{day}", booked=f"01{day}", rest=f"NTRFNONREF//{name}")
                for sign, (name, amount) in zip(signs, amounts, strict=True)
            ),
            number=number or "0",
            opening=f"C2401{first}EUR{opening},",
            closing=f"C2401{day}EUR{closing},",
        )

    return mt940_files.file(*(message(*given, **more) for given, more in statements))


def camt053(*statements):
    def tree(opening, closing, *entries, day=31, number="", first=31):
        return camt053_files.statement(
            id=f"S-{next(make._numbers)}",
            opening=f"{opening}",
            closing=f"{closing}",
            day=f"2024-01-{day}",
            period=None,
            number=number,
            entries=[camt053_files.entry(f"{amount}", reference=name, value_day=None) for name, amount in entries],
        )

    return iso20022_files.xml(camt053_files.file_of(*(tree(*given, **more) for given, more in statements)))


FORMATS = {
    "mt940": (mt940, {"custodian": "50880050", "number": "0194774600888"}),
    "camt053": (camt053, {"custodian": "bankdeff", "number": "DE02120300000000202051"}),
}


def stated(opening, closing, *entries, **more):
    """A statement: its balances and its entries, each the bank's reference and an amount."""
    return (opening, closing, *entries), more


#: The day before, and the day in two.
BEFORE = stated(90, 100, ("R0", 10), day=30, first=30)
FIRST, SECOND = stated(100, 150, ("R1", 50)), stated(150, 170, ("R2", 20))


@pytest.fixture(params=FORMATS)
def format_of(request):
    return FORMATS[request.param]


@pytest.fixture
def custody(session, account, format_of):
    return make.custodian_account(session, account, **format_of[1])


@pytest.fixture
def imported(session, custody, format_of, tmp_path):
    """Import statements as a file each, in one or in several, and give what was held back and what was noted."""
    numbers = count(1)

    def imported(*files):
        session.commit()
        paths = []
        for statements in files:
            path = tmp_path / f"{next(numbers)}"
            path.write_bytes(format_of[0](*statements))
            paths.append(path)
        results = list(import_files(paths, now=MORNING, max_bytes=1_000_000))
        assert [(result.state, result.error) for result in results] == [("loaded", "")] * len(files)
        session.expire_all()
        return [text for result in results for text in result.held], [t for result in results for t in result.notes]

    return imported


@pytest.fixture
def booked(session, account):
    """Book the day: these transactions, and the cash that it ended with."""

    def booked(*transactions, cash="170"):
        make.book(session, account, as_of=date(2024, 1, 29))
        make.book(session, account, as_of=date(2024, 1, 30), cash={"EUR": "100"})
        make.book(session, account, as_of=DAY, cash={"EUR": cash})
        for reference, amount in transactions:
            make.trade(
                session, account, reference=reference, kind="deposit", amount=Decimal(amount), quantity=0,
                currency="EUR", trade_date=DAY, settle_date=DAY,
            )  # fmt: skip

    return booked


@pytest.fixture
def run(reconcile):
    return lambda: reconcile(MORNING)


def matched(session):
    return make.rows(
        session,
        "SELECT t.reference, b.reference FROM matched_book_transactions AS o"
        " JOIN matched_statement_transactions AS t USING (match_id)"
        " JOIN book_transactions AS b ON b.id = o.book_transaction_id ORDER BY 1",
    )


def found(session):
    return sorted(
        (view.kind, view.what, view.difference)
        for view in list_breaks(session)
        if view.what != "transaction R0" and view.state != "closed"
    )


def counting(session):
    """What counts of each statement of the day, in their order: its part, and the references of its entries."""
    return make.rows(
        session,
        "SELECT part, (SELECT string_agg(reference, ',' ORDER BY row) FROM statement_transactions"
        " WHERE statement_id = s.id) FROM statements AS s WHERE as_of = :day AND state = 'accepted' ORDER BY part, id",
        day=DAY,
    )


def in_files(statements, one_file):
    return [statements] if one_file else [[statement] for statement in statements]


@pytest.mark.parametrize("one_file", [True, False])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
def test_two_statements_that_go_on_from_each_other_both_count_and_the_last_balance_is_compared(
    session, booked, imported, run, one_file, is_first, backwards
):
    booked(("T1", 50), ("T2", 20))
    if not is_first:
        imported([BEFORE])
    held, notes = imported(*in_files([SECOND, FIRST] if backwards else [FIRST, SECOND], one_file))
    assert not any("replaces" in note for note in notes)
    # The second alone does not go on from the day before, and when the first is here it counts.
    is_early = backwards and not is_first and not one_file
    assert len(held) == is_early
    assert any("held back no longer" in note for note in notes) == is_early
    assert any("it goes on from statement" in note for note in notes) == (not backwards)
    assert list_held(session) == []
    run()
    assert matched(session) == [("R1", "T1"), ("R2", "T2")]
    assert found(session) == []


def test_a_part_that_comes_after_the_run_is_compared_by_the_next(session, booked, imported, run):
    booked(("T1", 50), ("T2", 20))
    imported([BEFORE], [FIRST])
    run()
    assert ("cash", "cash EUR", Decimal(-20)) in found(session)
    imported([SECOND])
    run()
    assert (matched(session), found(session)) == ([("R1", "T1"), ("R2", "T2")], [])


def test_the_next_day_starts_from_the_last_part(session, custody, imported, account):
    imported([BEFORE], [SECOND], [FIRST])
    held, _ = imported([stated(170, 180, ("R3", 10), day=31, first=31)])
    assert held == []
    make.rows(session, "UPDATE statements SET as_of = as_of - 1 RETURNING 1")
    assert imported([stated(180, 190, ("R4", 10))])[0] == []
    assert imported([stated(150, 190, ("R5", 40))])[0] != []


@pytest.mark.parametrize("one_file", [True, False])
@pytest.mark.parametrize("number", ["", "7"])
def test_one_that_is_sent_again_replaces_the_one_that_starts_as_it_does(
    session, booked, imported, run, one_file, number, format_of
):
    booked(("T1", 60), cash="160")
    wrong, right = stated(100, 150, ("R1", 50), number=number), stated(100, 160, ("R8", 60), number=number)
    # A file of camt.053 in which both stand is refused, see below.
    _, notes = imported([BEFORE], *in_files([wrong, right], one_file and format_of[0] is mt940))
    assert sum("it replaces statement" in note for note in notes) == 1
    run()
    assert (matched(session), found(session)) == ([("R8", "T1")], [])


def test_camt_refuses_a_file_with_a_statement_and_its_correction(session, custody, tmp_path, format_of):
    session.commit()
    (tmp_path / "a").write_bytes(camt053(FIRST, stated(100, 160, ("R1", 60))))
    (result,) = import_files([tmp_path / "a"], now=MORNING, max_bytes=1_000_000)
    assert "stands twice, first in line" in result.error


@pytest.mark.parametrize("after_a_run", [True, False])
@pytest.mark.parametrize("which", [0, 1])
def test_a_part_that_is_sent_again_replaces_that_part_and_no_other(
    session, booked, imported, run, which, after_a_run, custody
):
    booked(("T1", 50), ("T2", 20))
    imported([BEFORE], [FIRST], [SECOND])
    if after_a_run:
        run()
    again = [stated(100, 150, ("R8", 50)), stated(150, 170, ("R8", 20))][which]
    held, notes = imported([again])
    assert (held, len([note for note in notes if "it replaces statement" in note])) == ([], 1)
    run()
    kept = [[("R2", "T2"), ("R8", "T1")], [("R1", "T1"), ("R8", "T2")]][which]
    assert (matched(session), found(session)) == (kept, [])


def test_a_last_part_that_is_sent_again_with_another_balance_is_compared_by_that(session, booked, imported, run):
    booked(("T1", 50), ("T2", 25), cash="175")
    imported([BEFORE], [FIRST, SECOND])
    run()
    assert found(session) != []
    imported([stated(150, 175, ("R2", 25))])
    run()
    assert (matched(session), found(session)) == ([("R1", "T1"), ("R2", "T2")], [])


def test_a_first_part_that_ends_with_another_balance_waits_for_a_person_and_the_rest_follows_it(
    session, booked, imported, run
):
    booked(("T1", 60), ("T2", 20), cash="180")
    imported([BEFORE], [FIRST, SECOND])
    (why,), _ = imported([stated(100, 160, ("R1", 60))])
    assert "it ends with 160 EUR, and statement" in why
    assert "which comes after it, starts from 150 EUR" in why
    (why,), _ = imported([stated(160, 180, ("R2", 20))])
    assert "it starts from 160 EUR, and so neither goes on from a statement of the same day" in why
    assert counting(session) == [(1, "R1"), (2, "R2")]
    second, first = list_held(session)
    accept_statement(session, first.id, "the bank says so", by=ANN)
    session.commit()
    assert list_held(session) == []
    assert counting(session) == [(1, "R1"), (1, "R1"), (2, "R2"), (2, "R2")]
    run()
    assert (matched(session), found(session)) == ([("R1", "T1"), ("R2", "T2")], [])
    assert second.id != first.id


def test_a_statement_of_the_whole_day_replaces_its_parts(session, booked, imported, run):
    booked(("T1", 50), ("T2", 20))
    imported([BEFORE], [FIRST, SECOND])
    run()
    held, _ = imported([stated(100, 170, ("R1", 50), ("R2", 20))])
    assert held == []
    run()
    assert (matched(session), found(session)) == ([("R1", "T1"), ("R2", "T2")], [])


def test_one_that_ends_as_the_day_does_and_lists_other_entries_is_for_a_person_to_look_at(session, imported):
    (why,), _ = imported([BEFORE], [FIRST, SECOND], [stated(100, 170, ("R7", 70))])
    assert "it ends with 170 EUR, and statement" in why
    assert counting(session) == [(1, "R1"), (2, "R2")]


def test_a_part_that_is_missing_between_two_is_told_and_lets_the_later_one_through_when_it_comes(
    session, booked, imported, run
):
    booked(("T1", 50), ("T2", 20), ("T3", 5), cash="175")
    imported([BEFORE], [FIRST])
    (why,), _ = imported([stated(170, 175, ("R3", 5))])
    assert "one between them may be missing" in why
    run()
    assert ("transaction missing in book", "transaction R3", Decimal(5)) not in found(session)
    _, notes = imported([SECOND])
    assert "held back no longer" in notes[-1]
    run()
    assert (matched(session), found(session)) == ([("R1", "T1"), ("R2", "T2"), ("R3", "T3")], [])


def test_a_missing_part_takes_its_place_before_one_that_a_person_let_through(session, booked, imported, run):
    booked(("T1", 50), ("T2", 20), ("T3", 5), cash="175")
    imported([BEFORE], [FIRST], [stated(170, 175, ("R3", 5))])
    (held,) = list_held(session)
    accept_statement(session, held.id, "there was none between", by=ANN)
    session.commit()
    assert imported([SECOND])[0] == []
    assert counting(session) == [(1, "R1"), (2, "R2"), (3, "R3")]
    run()
    assert (matched(session), found(session)) == ([("R1", "T1"), ("R2", "T2"), ("R3", "T3")], [])


@pytest.mark.parametrize(
    ("numbers", "entries", "parts"),
    [
        # In and out by the same: balances tell nothing, the bank's numbers do.
        (("7", "8"), ("R8", "R9"), [(1, "R1,R2"), (2, "R8,R9")]),
        (("7", "7"), ("R8", "R9"), [(1, "R1,R2"), (1, "R8,R9")]),
        (("8", "7"), ("R8", "R9"), [(0, "R8,R9"), (1, "R1,R2")]),
        # Nor do they without numbers, and the entries do.
        (("", ""), ("R1", "R9"), [(1, "R1,R2"), (1, "R1,R9")]),
        (("", ""), ("R8", "R9"), [(1, "R1,R2")]),
    ],
)
def test_what_balances_do_not_tell_numbers_or_entries_do_and_else_a_person(session, imported, numbers, entries, parts):
    one = stated(100, 100, ("R1", 5), ("R2", -5), number=numbers[0])
    other = stated(100, 100, (entries[0], 6), (entries[1], -6), number=numbers[1])
    held, _ = imported([BEFORE], [one], [other])
    assert counting(session) == parts
    assert len(held) == (len(parts) == 1)
    if held:
        assert "nothing tells whether it corrects statement" in held[0]


def test_numbers_that_contradict_the_balances_are_for_a_person_to_look_at(session, imported):
    (why,), _ = imported(
        [BEFORE], [stated(100, 150, ("R1", 50), number="8")], [stated(150, 170, ("R2", 20), number="7")]
    )
    assert "it starts from 150 EUR" in why
    # A bank may give all its statements one number.
    held, _ = imported([stated(150, 171, ("R3", 21), number="8")])
    assert (held, counting(session)) == ([], [(1, "R1"), (2, "R3")])


def test_a_run_names_what_replaced_a_statement_since_and_not_what_goes_on_from_it(session, booked, imported, reconcile):
    booked(("T1", 50), ("T2", 20))
    imported([BEFORE], [FIRST])
    reconcile(MORNING)
    ((run_id,),) = make.rows(session, "SELECT max(id) FROM runs")

    def replaced_by():
        return [
            row[-1] for section in run_record(session, run_id) for row in section.rows if section.name == "statements"
        ]

    imported([SECOND])
    assert replaced_by() == [None]
    imported([stated(100, 150, ("R8", 50))])
    assert replaced_by() != [None]


@pytest.mark.parametrize("linked", [True, False])
def test_of_linked_accounts_the_last_part_counts_as_well(session, account, custody, booked, imported, linked):
    other = make.account(session, "A2")
    if linked:
        make.mapping(session, custody, other)
    booked(("T1", 50), ("T2", 20))
    make.book(session, other, as_of=DAY)
    imported([SECOND], [FIRST])
    run_id = start_run(session, "linked", now=MORNING, shard_size=100)
    for (number,) in make.rows(session, "SELECT number FROM run_shards"):
        reconcile_shard(session, run_id, number)
    session.expire_all()
    assert (matched(session), found(session)) == ([("R1", "T1"), ("R2", "T2")], [])


def test_a_day_in_any_parts_that_come_in_any_order_is_the_whole_day(session, custody, imported):
    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def check(data):
        session.execute(text("TRUNCATE statements, statement_cash, statement_transactions, statement_files CASCADE"))
        steps = data.draw(st.lists(st.sampled_from([1, 2, 40]), min_size=1, max_size=5))
        parts, balance = [], 100
        for number, step in enumerate(steps):
            parts.append(stated(balance, balance + step, (f"R{number + 1}", step)))
            balance += step
        cuts = data.draw(st.permutations(parts))
        if data.draw(st.booleans()):
            imported([BEFORE])
            imported(*[[part] for part in cuts])
        else:
            imported([BEFORE], cuts)
        assert list_held(session) == []
        assert counting(session) == [(number, f"R{number}") for number in range(1, len(steps) + 1)]

    check()


def test_one_that_comes_while_the_one_before_it_is_written_down_waits_for_it(session, imported, tmp_path):
    imported([FIRST])
    session.execute(text("UPDATE statements SET state = 'held'"))
    session.commit()
    with session_scope() as other, ThreadPoolExecutor(1) as pool:
        lock_days(other)
        other.execute(text("UPDATE statements SET state = 'accepted'"))
        arriving = pool.submit(imported, [SECOND])
        wait_until(lambda: arriving.done() or make.rows(other, "SELECT 1 FROM pg_locks WHERE NOT granted"))
        other.commit()
        held, notes = arriving.result()
    assert not held
    assert "goes on from" in "".join(notes)
