"""A signature as releases made it that covered less."""

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.reconciliation import sign_off
from app.reconciliation.models import RunSignOff


def sign_as_before(session: Session, run_id: int) -> None:
    """Sign a run in Alice's name with what the first version covered, as a release wrote it that knew no versions."""
    parts = sign_off._parts(session, run_id, 1)
    assert set(parts["inputs"]) == set(parts["results"]) == {"all", "accounts"}
    session.execute(
        insert(RunSignOff).values(
            run_id=run_id,
            actor="alice",
            comment="seen",
            inputs_sha256=sign_off._hash(parts["inputs"]),
            results_sha256=sign_off._hash(parts["results"]),
            parts=parts,
        )
    )
