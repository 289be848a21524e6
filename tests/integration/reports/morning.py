"""A morning as an analyst finds it: a run with breaks of several kinds, and with things that it lacks."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.reconciliation import reconcile_shard, start_run
from tests import factories as make
from tests.factories import DAY

#: After the close of DAY, before the close of the next day.
NOW = datetime(2026, 3, 11, 1, 0, tzinfo=UTC)

#: What strangers may write into a statement: markup, and what a terminal obeys.
HOSTILE = "<script>alert(1)</script>\x1b[31m"
#: An account's code that a spreadsheet would run.
FORMULA = "=HYPERLINK(1)"


def reconcile_morning(session: Session, *, account_id: int | None = None) -> int:
    """Write the morning's book and statements, run the reconciliation here, commit, and return the run."""
    alpha = make.account(session, "ALPHA")
    custody = make.custodian_account(session, alpha, custodian="fidelity.example", number="F-1")
    aaa, bbb, ccc = (make.security(session, code) for code in ("AAA", "BBB", "CCC"))
    make.book(
        session,
        alpha,
        positions={aaa: "10.0", bbb: "1234567.891", ccc: ("30", "20")},
        cash={"USD": "1000.00"},
    )
    make.trade(
        session,
        alpha,
        security_id=ccc,
        reference="T-77",
        quantity=10,
        amount="-99.50",
        settle_date=datetime(2026, 3, 12, tzinfo=UTC).date(),
    )
    stated = make.statement(session, custody, positions={"C-AAA": "12.00", "C-CCC": "20"}, cash={"USD": "-250.50"})
    held = make.statement(session, custody, positions={}, state="held")
    session.execute(
        text(
            """
            UPDATE statements SET findings = '[{"check": "short", "text": "all positions are gone"}]' WHERE id = :id
            """
        ),
        {"id": held},
    )
    session.execute(
        text(
            "UPDATE statement_files SET name = 'alpha.ofx' FROM statements AS s WHERE file_id = statement_files.id"
            " AND s.id = :id"
        ),
        {"id": stated},
    )
    session.execute(
        text(
            "INSERT INTO statement_files (sha256, name, size, state, error)"
            " VALUES ('-', 'torn.ofx', 1, 'refused', 'torn.ofx, line 7: the file ends here')"
        )
    )
    bravo = make.account(session, FORMULA)
    make.book(session, bravo, positions={})
    make.statement(session, make.custodian_account(session, bravo), positions={HOSTILE: "5"})
    make.account(session, "CHARLIE")
    make.custodian_account(session, make.account(session, "DELTA"), statement_frequency="daily")
    return run(session, account_id=account_id)


def run(session: Session, **options: Any) -> int:
    """Reconcile here and now, without a worker; commit."""
    run_id = start_run(session, f"run-{next(make._numbers)}", now=NOW, shard_size=1000, **options)
    reconcile_shard(session, run_id, 1)
    # What is done needs no worker.
    session.execute(text("DELETE FROM jobs"))
    session.commit()
    return run_id


__all__ = ["DAY", "FORMULA", "HOSTILE", "NOW", "reconcile_morning", "run"]
