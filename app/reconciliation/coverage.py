"""What a run could not say: accounts that it did not compare, and why; shards that failed."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.book import Account, CustodianAccount
from app.reconciliation.models import RunAccount, RunShard

#: What a run did with an account, in words; nothing where it was compared.
OUTCOMES = {
    "compared": "",
    "no_custodian": "no custodian account is known for it",
    "no_statement": "no statement ever came",
    "nothing_stated": "its statements state neither positions nor a balance",
    "no_common_date": "its custodian accounts have no statements of one date",
    "no_book": "the book has no version for the statement's date",
    "already_newer": "a newer date was reconciled before",
}


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that a run lacks."""

    account: str
    custodian: str
    custodian_account: str
    #: The date of the statement that was chosen, if any.
    as_of: date | None
    why: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many accounts a run looked at, how many it compared, and what it lacks."""

    accounts: int
    compared: int
    #: How many accounts lack something; the list may be shorter.
    lacking: int
    lacks: list[Lack]
    #: Shards that failed for good, with the error.
    failed_shards: list[tuple[int, str]]


def run_coverage(session: Session, run_id: int, *, limit: int = 1000) -> Coverage:
    """Return what a run covered; at most `limit` lacks, in the order of the accounts' names."""
    in_run = RunAccount.run_id == run_id
    is_lacking = or_(RunAccount.outcome != "compared", RunAccount.held_statement_id.is_not(None))
    counts = session.execute(
        select(
            func.count(),
            func.count().filter(RunAccount.outcome == "compared"),
            func.count().filter(is_lacking),
        ).where(in_run)
    ).one()
    rows = session.execute(
        select(
            Account.code,
            CustodianAccount.custodian,
            CustodianAccount.number,
            RunAccount.as_of,
            RunAccount.outcome,
            RunAccount.held_statement_id,
        )
        .join(Account, Account.id == RunAccount.account_id)
        .outerjoin(CustodianAccount, CustodianAccount.id == RunAccount.custodian_account_id)
        .where(in_run, is_lacking)
        .order_by(Account.code)
        .limit(limit)
    )
    lacks = [
        Lack(code, custodian or "", number or "", as_of, _why(outcome, held))
        for code, custodian, number, as_of, outcome, held in rows
    ]
    failed = session.execute(
        select(RunShard.number, RunShard.error)
        .where(RunShard.run_id == run_id, RunShard.state == "failed")
        .order_by(RunShard.number)
    )
    return Coverage(*counts, lacks, [(number, error or "") for number, error in failed])


def _why(outcome: str, held_statement_id: int | None) -> str:
    reasons = [OUTCOMES[outcome]]
    if held_statement_id is not None:
        reasons.append(f"statement {held_statement_id}, which is newer, is held back by the completeness gate")
    return "; ".join(reason for reason in reasons if reason)
