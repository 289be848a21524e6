"""Signing a run, and seeing later whether what it compared and found is still the same."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.people import Person
from app.reconciliation import (
    assign,
    comment,
    list_sign_offs,
    reconcile_account,
    resolve,
    sign_off,
    sign_off_run,
    signed_runs,
    verify_run,
    write_off,
)
from tests import factories as make
from tests.factories import DAY, NOW
from tests.integration.reconciliation.signatures import sign_as_before
from tests.integration.reports import morning

NEXT_DAY = DAY + timedelta(days=1)
ALICE, BOB = Person("alice", is_one=True), Person("bob", is_one=True)


@pytest.fixture
def signed(session):
    """A run with a statement, a book, a trade, a tolerance and a corporate action, which Alice has signed."""
    make.tolerance(session, "cash", absolute=Decimal("0.01"))
    run_id = morning.reconcile_morning(session)
    make.rows(
        session,
        """
        INSERT INTO corporate_actions (reference, kind, security_id, ex_date, pay_date, amount, currency)
        SELECT 'D-1', 'dividend', id, '2026-03-05', '2026-03-20', 0.5, 'USD' FROM securities WHERE code = 'CCC'
        RETURNING id
        """,
    )
    make.rows(
        session,
        """
        INSERT INTO matched_book_transactions (book_transaction_id, match_id, run_id, rule)
        SELECT id, nextval('transaction_match_number'), :run_id, 'figures' FROM book_transactions
        RETURNING match_id
        """,
        run_id=run_id,
    )
    sign_off_run(session, run_id, "seen", by=ALICE)
    session.commit()
    return run_id


def changes(session: Session, run_id: int) -> list[str]:
    (result,) = verify_run(session, run_id)
    return result.changed


def test_what_nobody_changed_is_unchanged(session, signed):
    assert changes(session, signed) == []
    (signature,) = list_sign_offs(session, signed)
    assert (signature.actor, signature.comment, signature.run_id) == ("alice", "seen", signed)
    assert len(signature.inputs_sha256) == len(signature.results_sha256) == 64
    assert signature.inputs_sha256 != signature.results_sha256


#: What may be changed, and what is told of it.
CHANGES = {
    "UPDATE statement_positions SET quantity = quantity + 0.01 WHERE row = 1": "inputs: the statements of",
    "UPDATE statement_cash SET amount = -amount": "inputs: the statements of",
    "UPDATE statement_positions SET quantity = 12.0 WHERE quantity = 12.00": "inputs: the statements of",
    "DELETE FROM statement_cash": "inputs: the statements of",
    "UPDATE instruments SET identifier = 'C-DDD' WHERE identifier = 'C-AAA'": "inputs: the statements of",
    "UPDATE statement_files SET sha256 = 'another' WHERE name = 'alpha.ofx'": "inputs: the statements of",
    "UPDATE statements SET as_of = as_of - 1 WHERE state = 'accepted'": "inputs: the statements of",
    "UPDATE book_positions SET quantity_traded = quantity_traded + 1": "inputs: the book of",
    "UPDATE book_positions SET quantity_traded = 10.00 WHERE quantity_traded = 10.0": "inputs: the book of",
    "UPDATE book_cash SET amount_settled = 0": "inputs: the book of",
    "DELETE FROM book_positions": "inputs: the book of",
    "UPDATE book_transactions SET settle_date = settle_date + 1": "inputs: the book of",
    "UPDATE account_mappings SET valid_from = '2026-03-11'": "inputs: the mappings to custodian accounts of",
    "UPDATE custodian_accounts SET number = 'F-2' WHERE number = 'F-1'": "inputs: the mappings to custodian accounts",
    "UPDATE tolerances SET absolute = 5": "inputs: the tolerances",
    "INSERT INTO tolerances (figure, relative) VALUES ('quantity', 0.1)": "inputs: the tolerances",
    "UPDATE corporate_actions SET amount = 1": "inputs: the corporate actions",
    "UPDATE run_accounts SET outcome = 'compared'": "results: what the run did of",
    "DELETE FROM run_accounts WHERE outcome <> 'compared'": "results: the accounts of the run",
    "UPDATE run_accounts SET lapse_as_of = lapse_as_of + 1": "results: what the run waited for or lacked of",
    "INSERT INTO run_gaps SELECT run_id, account_id, 'cash', '2026-03-09' FROM run_accounts": "results: what the run "
    "waited for or lacked of",
    "UPDATE run_shards SET counts = counts || '{\"opened\": 0}'": "results: the run itself",
    "UPDATE runs SET as_of = as_of + 1": "results: the run itself",
    "DELETE FROM matched_book_transactions": "results: the book's matched transactions",
}


@pytest.mark.parametrize(("statement", "told"), CHANGES.items())
def test_a_change_of_either_side_is_seen_and_told(session, signed, statement, told):
    assert session.execute(text(statement)).rowcount
    found = changes(session, signed)
    assert [change for change in found if change.startswith(told)], found


def test_history_that_was_forged_past_the_trigger_is_seen(session, signed):
    with pytest.raises(DBAPIError, match="rows of break_events are only ever added"), session.begin_nested():
        session.execute(text("UPDATE break_events SET difference = 0"))
    session.execute(text("ALTER TABLE break_events DISABLE TRIGGER break_events_append_only"))
    session.execute(text("UPDATE break_events SET difference = difference + 1"))
    first, last = session.execute(text("SELECT min(id), max(id) FROM breaks")).one()
    assert changes(session, signed) == [
        "results: what happened to breaks",
        f"results: the history of the breaks from {first} to {last}",
    ]


def test_a_forged_signature_does_not_fit_its_own_parts(session, signed):
    with pytest.raises(DBAPIError, match="rows of run_sign_offs are only ever added"), session.begin_nested():
        session.execute(text("DELETE FROM run_sign_offs"))
    session.execute(text("ALTER TABLE run_sign_offs DISABLE TRIGGER run_sign_offs_append_only"))
    session.execute(text("UPDATE run_sign_offs SET parts = jsonb_set(parts, '{inputs,all,tolerances}', '\"-\"')"))
    assert changes(session, signed) == ["inputs: the signature's own hashes do not fit each other"]


@pytest.mark.parametrize(
    "statement",
    [
        # What other mornings bring.
        "UPDATE custodian_accounts SET reconciled_to = '2026-03-11'",
        "UPDATE statements SET matched_run_id = NULL",
        "UPDATE account_mappings SET valid_to = '2026-12-31'",
        "INSERT INTO book_snapshots SELECT account_id, '2026-03-11', import_id FROM book_snapshots",
        "INSERT INTO book_cash SELECT account_id, '2026-03-11', 'USD', 1, 1 FROM book_snapshots",
        "INSERT INTO book_transactions (account_id, reference, kind, trade_date, settle_date, currency)"
        " SELECT id, 'T-78', 'buy', '2026-03-11', '2026-03-13', 'USD' FROM accounts",
        "INSERT INTO break_events (break_id, event, actor, kind, as_of)"
        " SELECT id, 'commented', 'bob', kind, as_of FROM breaks",
    ],
)
def test_what_happens_after_a_run_is_no_change_of_it(session, signed, statement):
    assert session.execute(text(statement)).rowcount
    assert changes(session, signed) == []


def test_a_later_run_is_no_change_of_an_earlier_one(session, signed):
    morning.run(session)
    assert changes(session, signed) == []


# --- Breaks that stand from one morning to the next ---


@pytest.fixture
def on(session, account, custody, reconcile):
    """Reconcile a day: a position that is valued at a price that is kept, pounds, and a name that nobody here knows."""
    abc = make.security(session, "ABC")
    make.price(session, abc, DAY, "99")
    for currency, units in (("USD", "1.10"), ("GBP", "0.88")):
        rate(session, currency, units, DAY)

    def on(day, theirs="12"):
        make.book(session, account, as_of=day, positions={abc: "10"}, cash={"GBP": "100"})
        make.statement(session, custody, as_of=day, positions={"C-ABC": theirs, "WHO": "5"}, cash={"GBP": "80"})
        reconcile(NOW + (day - DAY))
        return newest_run(session)

    return on


@pytest.fixture
def standing(session, on):
    """The second run that finds the same breaks, signed by Alice after Bob had looked at one of them."""
    on(DAY)
    run_id = on(NEXT_DAY)
    comment(session, [of_kind(session, "cash")], "asked the custodian", by=BOB)
    sign_off_run(session, run_id, "seen", by=ALICE)
    session.commit()
    return run_id


def rate(session, currency, units, day):
    session.execute(
        text("INSERT INTO fx_rates (currency, rate_date, rate, source) VALUES (:currency, :day, :units, 'test')"),
        {"currency": currency, "day": day, "units": Decimal(units)},
    )


def newest_run(session):
    return session.execute(text("SELECT max(id) FROM runs")).scalar_one()


def of_kind(session, kind):
    return session.execute(text("SELECT id FROM breaks WHERE kind = :kind"), {"kind": kind}).scalar_one()


def untriggered(session, statement):
    """Do what only the owner of the tables can."""
    for table in ("break_events", "run_breaks", "breaks"):
        session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    assert session.execute(text(statement)).rowcount


def test_a_run_keeps_what_it_found_of_breaks_that_did_not_change(session, standing):
    found = make.rows(
        session,
        """
        SELECT kind, state, event_id, difference, remainder, value, valuation ->> 'price', valuation ->> 'rate'
        FROM run_breaks
        WHERE run_id = :id
        ORDER BY kind
        """,
        id=standing,
    )
    assert [tuple(row) for row in found] == [
        ("cash", "open", None, -20, -20, 25, None, "1.25"),
        ("quantity", "open", None, 2, 2, 198, "99", "1"),
        ("unknown_security", "open", None, 5, 5, None, None, None),
    ]


@pytest.mark.parametrize(
    ("statement", "told"),
    {
        "UPDATE breaks SET difference = 1": "was changed past its history: difference",
        "UPDATE breaks SET ours = 11, theirs = 11": "was changed past its history: ours, theirs",
        "UPDATE breaks SET remainder = 0": "was changed past its history: remainder",
        "UPDATE breaks SET value = 1": "was changed past its history: value",
        'UPDATE breaks SET valuation = valuation || \'{"price": "1"}\'': "was changed past its history: valuation",
        'UPDATE breaks SET explanations = \'[{"kind": "fee"}]\'': "was changed past its history: explanations",
        "UPDATE breaks SET state = 'closed'": "was changed past its history: state",
        "UPDATE breaks SET state = 'written_off'": "was changed past its history: state",
        "UPDATE breaks SET assignee = 'eve', state = 'assigned'": "was changed past its history: assignee",
        "UPDATE breaks SET kind = 'missing_in_book'": "was changed past its history: kind",
        "UPDATE breaks SET last_run_id = 0": "was changed past its history: last run",
        "UPDATE breaks SET last_run_id = first_run_id - 1": "was changed past its history: last run",
        "UPDATE breaks SET subject = subject || '!'": "results: what the run found of the breaks",
        "UPDATE break_events SET reason = 'never mind' WHERE event = 'commented'": "results: the history of the breaks",
        "UPDATE break_events SET actor = 'eve' WHERE event = 'opened'": "results: the history of the breaks",
        "DELETE FROM break_events": "results: the history of the breaks",
        "DELETE FROM break_events WHERE event = 'commented'": "results: the history of the breaks",
        "UPDATE run_breaks SET value = 1": "results: what the run found of the breaks",
        "UPDATE run_breaks SET valuation = valuation - 'rate'": "results: what the run found of the breaks",
        "DELETE FROM run_breaks WHERE break_id = (SELECT max(id) FROM breaks)": "results: the breaks of the run",
        "UPDATE prices SET price = 98": "inputs: the prices used of the breaks",
        "DELETE FROM prices": "inputs: the prices used of the breaks",
        "UPDATE fx_rates SET rate = 0.87 WHERE currency = 'GBP'": "inputs: the reference rates used of the breaks",
        "UPDATE fx_rates SET rate = 1.11 WHERE currency = 'USD'": "inputs: the reference rates used of the breaks",
        "UPDATE fx_rates SET rate = 2 WHERE currency = 'EUR'": "inputs: the fixed rates of currencies",
        "UPDATE securities SET asset_class = 'bond'": "inputs: the securities of the breaks",
        # Past what names are resolved to, and only that.
        "DELETE FROM security_identifiers": "inputs: the securities that identifiers stand for",
        "DELETE FROM instrument_securities": "inputs: the securities that identifiers stand for",
    }.items(),
)
def test_a_change_of_what_stood_is_seen_and_told(session, standing, statement, told):
    untriggered(session, statement)
    found = changes(session, standing)
    assert [change for change in found if told in change], found


def test_a_break_that_was_deleted_with_its_history_is_seen(session, standing):
    gone = of_kind(session, "quantity")
    for statement in ("DELETE FROM break_events WHERE break_id = {}", "DELETE FROM breaks WHERE id = {}"):
        untriggered(session, statement.format(gone))
    assert f"results: break {gone} was changed past its history: deleted" in changes(session, standing)


def test_of_many_changed_breaks_the_first_are_named(session, standing, monkeypatch):
    monkeypatch.setattr(sign_off, "_MOST_NAMED", 1)
    untriggered(session, "UPDATE breaks SET state = 'closed'")
    first = session.execute(text("SELECT min(id) FROM breaks")).scalar_one()
    assert changes(session, standing) == [
        f"results: break {first} was changed past its history: state",
        "results: more breaks were changed past their histories",
    ]


def test_a_back_dated_identifier_is_seen(session, standing):
    make.identifier(session, session.execute(text("SELECT id FROM securities")).scalar_one(), "WHO")
    assert changes(session, standing) == ["inputs: the securities that identifiers stand for"]


def test_a_back_dated_mapping_of_another_account_is_seen(session, standing, custody):
    make.mapping(session, custody, make.account(session, "A2"))
    assert changes(session, standing) == ["inputs: the accounts that share custodian accounts of account A1"]


def test_what_is_named_or_mapped_from_the_next_day_on_is_no_change(session, standing, custody):
    abc = session.execute(text("SELECT id FROM securities")).scalar_one()
    make.identifier(session, abc, "WHO", valid_from=NEXT_DAY + timedelta(days=1))
    make.identifier(session, abc, "ABC-TOO")
    make.mapping(session, custody, make.account(session, "A2"), valid_from=NEXT_DAY + timedelta(days=1))
    assert changes(session, standing) == []


def test_prices_and_rates_that_come_later_are_no_change(session, standing):
    abc = session.execute(text("SELECT id FROM securities")).scalar_one()
    make.price(session, abc, DAY, "98", version=2)
    make.price(session, abc, NEXT_DAY, "97")
    rate(session, "GBP", "0.90", NEXT_DAY)
    assert changes(session, standing) == []


def test_what_people_do_and_later_runs_find_is_no_change(session, on, standing):
    quantity, cash = of_kind(session, "quantity"), of_kind(session, "cash")
    assign(session, [quantity, cash], "bob", by=ALICE)
    assert changes(session, standing) == []
    write_off(session, [quantity], "old", by=ALICE, limit=Decimal(1000))
    resolve(session, [cash], "booked", by=BOB)
    assert changes(session, standing) == []
    # Reopened and changed; closed; opened again; and unchanged once more.
    signed = [standing]
    for later, theirs in ((1, "13"), (2, "10"), (5, "12"), (6, "12")):
        signed.append(on(NEXT_DAY + timedelta(days=later), theirs))
        assert [changes(session, run_id) for run_id in signed[:-1]] == [[]] * (len(signed) - 1)
        sign_off_run(session, signed[-1], "seen", by=ALICE)
    kinds = make.rows(session, "SELECT event FROM break_events WHERE break_id = :id ORDER BY id", id=quantity)
    assert [kind for (kind,) in kinds] == ["opened", "assigned", "written_off", "reopened", "closed", "reopened"]
    assert [changes(session, run_id) for run_id in signed] == [[]] * 5


def test_the_closing_of_a_break_is_covered_by_the_run_that_saw_it_agree(session, on, standing):
    quantity = of_kind(session, "quantity")
    resolve(session, [quantity], "booked", by=BOB)
    closing = on(NEXT_DAY + timedelta(days=1), "10")
    sign_off_run(session, closing, "seen", by=ALICE)
    assert changes(session, closing) == []
    untriggered(session, "UPDATE break_events SET reason = 'never mind' WHERE event = 'resolved'")
    assert [change for change in changes(session, closing) if "the history" in change]
    # It came after the other signature, which does not speak of it.
    assert changes(session, standing) == []


def test_an_action_that_somebody_is_writing_when_a_run_is_signed_is_no_change_of_it(session, engine, on):
    on(DAY)
    run_id = on(NEXT_DAY)
    quantity, cash = of_kind(session, "quantity"), of_kind(session, "cash")
    session.commit()
    with Session(engine) as slow, Session(engine) as quick:
        # It has the lower number of the two, and is there later.
        comment(slow, [quantity], "asked the custodian", by=BOB)
        comment(quick, [cash], "asked the custodian", by=BOB)
        quick.commit()
        sign_off_run(session, run_id, "seen", by=ALICE)
        session.commit()
        slow.commit()
    assert changes(session, run_id) == []


def test_a_signature_of_an_earlier_release_is_verified_by_what_that_covered(session, on):
    on(DAY)
    run_id = on(NEXT_DAY)
    sign_as_before(session, run_id)
    (verified,) = verify_run(session, run_id)
    assert (verified.sign_off.version, verified.changed) == (1, [])
    assert "the prices used" in verified.not_covered
    untriggered(session, "UPDATE prices SET price = 98")
    assert changes(session, run_id) == []
    sign_off_run(session, run_id, "seen again", by=BOB)
    make.tolerance(session, "cash", absolute=Decimal(1))
    old, new = verify_run(session, run_id)
    assert old.changed == new.changed == ["inputs: the tolerances"]
    assert new.not_covered == []


@pytest.mark.parametrize(
    ("version", "told"),
    [(1, "results: the run itself"), (3, "signatures of version 3 are not known to this release")],
)
def test_a_signature_that_is_passed_off_as_anothers_is_no_proof(session, standing, version, told):
    session.execute(text("ALTER TABLE run_sign_offs DISABLE TRIGGER run_sign_offs_append_only"))
    session.execute(text("UPDATE run_sign_offs SET version = :version"), {"version": version})
    untriggered(session, "UPDATE runs SET as_of = as_of + 1")
    assert told in changes(session, standing)


#: What an account of two of one owner is stated to have, a day each; the book says 100 always.
days = st.lists(st.tuples(*[st.sampled_from(["90", "100", "110", "110.00"])] * 2), min_size=2, max_size=4)
acts = st.sampled_from(["assign", "comment", "resolve", "write_off"])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=days, done=st.lists(st.tuples(st.integers(0, 3), acts, st.integers(0, 1)), max_size=6))
def test_whatever_people_and_later_runs_do_a_signed_run_is_unchanged(session, days, done):
    with session.begin_nested() as savepoint:
        owner = make.user(session)
        places = {
            account: make.custodian_account(session, account)
            for account in (make.account(session, user_id=owner) for _ in range(2))
        }
        runs = []
        for number, stated in enumerate(days):
            day = DAY + timedelta(days=number)
            for (account, custody), theirs in zip(places.items(), stated, strict=True):
                make.book(session, account, as_of=day, cash={"USD": "100"})
                make.statement(session, custody, as_of=day, cash={"USD": theirs})
            for account in places:
                reconcile_account(session, account, f"{number}:{account}", now=NOW + (day - DAY))
                runs.append(newest_run(session))
                sign_off_run(session, runs[-1], "seen", by=ALICE)
            for _, act, which in (some for some in done if some[0] == number):
                with suppress(BadInputError):
                    do(session, act, list(places)[which])
            assert [changes(session, run_id) for run_id in runs] == [[]] * len(runs)
        savepoint.rollback()


def do(session, act, account):
    found = session.scalars(text("SELECT id FROM breaks WHERE account_id = :id"), {"id": account}).all()
    match act:
        case "assign":
            assign(session, found, "bob", by=ALICE)
        case "comment":
            comment(session, found, "so", by=BOB)
        case "resolve":
            resolve(session, found, "booked", by=BOB)
        case "write_off":
            write_off(session, found, "old", by=BOB, limit=Decimal(100))


def test_a_version_of_the_book_that_came_since_names_the_account(session, signed):
    account = session.execute(text("SELECT id FROM accounts WHERE code = 'ALPHA'")).scalar_one()
    session.execute(text("DELETE FROM book_snapshots WHERE account_id = :id"), {"id": account})
    make.book(session, account)
    session.execute(text("UPDATE book_cash SET amount_traded = 1"))
    session.execute(text("UPDATE book_imports SET imported_at = now() + interval '1 second'"
                         " WHERE id = (SELECT max(id) FROM book_imports)"))  # fmt: skip
    (change,) = changes(session, signed)
    assert change.endswith("(imported since: ALPHA)")


def test_the_part_that_has_changed_is_told_by_its_accounts(session, monkeypatch):
    monkeypatch.setattr(sign_off, "_PART_SIZE", 1)
    run_id = morning.reconcile_morning(session)
    sign_off_run(session, run_id, "seen", by=ALICE)
    session.execute(text("UPDATE statement_cash SET amount = 0"))
    assert changes(session, run_id) == ["inputs: the statements of account ALPHA"]


def test_several_people_may_sign_and_each_is_verified(session, signed):
    session.execute(text("UPDATE tolerances SET absolute = 5"))
    sign_off_run(session, signed, "with the new tolerance", by=BOB)
    first, second = verify_run(session, signed)
    assert (first.sign_off.actor, first.changed) == ("alice", ["inputs: the tolerances"])
    assert (second.sign_off.actor, second.changed) == ("bob", [])
    assert signed_runs(session) == [signed]


def test_only_a_run_that_is_over_is_signed_and_not_without_a_word(session):
    running = make.run(session, state="running", shard_count=1)
    with pytest.raises(BadInputError, match=f"run {running}: it is not over yet"):
        sign_off_run(session, running, "seen", by=ALICE)
    with pytest.raises(BadInputError, match="a comment is needed"):
        sign_off_run(session, make.run(session), " ", by=ALICE)
    with pytest.raises(BadInputError, match="run 404: there is no such run"):
        sign_off_run(session, 404, "seen", by=ALICE)
    unsigned = make.run(session)
    with pytest.raises(BadInputError, match=f"run {unsigned}: nobody has signed it"):
        verify_run(session, unsigned)
