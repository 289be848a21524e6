"""Signing a run, and seeing later whether what it compared and found is still the same."""

from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.people import Person
from app.reconciliation import list_sign_offs, sign_off, sign_off_run, signed_runs, verify_run
from tests import factories as make
from tests.integration.reports import morning

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
    assert changes(session, signed) == ["results: what happened to breaks"]


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
        "UPDATE breaks SET state = 'resolved'",
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
