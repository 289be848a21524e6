"""What a run could not say: accounts that it did not compare, or in part, and why; shards that failed."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, func, or_, select, union
from sqlalchemy.orm import Session

from app.book import Account, CustodianAccount
from app.reconciliation.models import RunAccount, RunGap, RunShard

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
    lacking = union(
        select(RunAccount.account_id).where(in_run, is_lacking),
        select(RunGap.account_id).where(RunGap.run_id == run_id),
    ).subquery()
    accounts, compared = session.execute(
        select(func.count(), func.count().filter(RunAccount.outcome == "compared")).where(in_run)
    ).one()
    lacking_count = session.execute(select(func.count()).select_from(lacking)).scalar_one()
    rows = session.execute(
        select(
            Account.code,
            CustodianAccount.custodian,
            CustodianAccount.number,
            RunAccount.as_of,
            RunAccount.outcome,
            RunAccount.held_statement_id,
            RunGap.lacks,
            RunGap.stated_as_of,
        )
        .join(lacking, lacking.c.account_id == RunAccount.account_id)
        .join(Account, Account.id == RunAccount.account_id)
        .outerjoin(CustodianAccount, CustodianAccount.id == RunAccount.custodian_account_id)
        .outerjoin(RunGap, and_(RunGap.run_id == RunAccount.run_id, RunGap.account_id == RunAccount.account_id))
        .where(in_run)
        .order_by(Account.code)
        .limit(limit)
    )
    lacks = [
        Lack(code, custodian or "", number or "", as_of, _why(outcome, held, lacks, stated_as_of))
        for code, custodian, number, as_of, outcome, held, lacks, stated_as_of in rows
    ]
    failed = session.execute(
        select(RunShard.number, RunShard.error)
        .where(RunShard.run_id == run_id, RunShard.state == "failed")
        .order_by(RunShard.number)
    )
    return Coverage(accounts, compared, lacking_count, lacks, [(number, error or "") for number, error in failed])


def _why(outcome: str, held_statement_id: int | None, lacks: str | None, stated_as_of: date | None) -> str:
    reasons = [OUTCOMES[outcome]]
    if lacks is not None:
        reasons.append(f"no statement of this date states {lacks}; the last that did was of {stated_as_of}")
    if held_statement_id is not None:
        reasons.append(f"statement {held_statement_id}, which is newer, is held back by the completeness gate")
    return "; ".join(reason for reason in reasons if reason)
