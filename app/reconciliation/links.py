"""Which accounts a run compares as one: those that mappings link, directly or by way of others."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from app.reconciliation.models import RunLink


def link_accounts(
    session: Session, run_id: int, last_days: Mapping[str, date], *, account_id: int | None
) -> int | None:
    """Write down the links of a run: all of them, or those of one account.

    Mappings count that hold on the last day of their account's calendar. One account in one custodian account, and
    no other in either, is no link.

    Args:
        session: the transaction to write in.
        run_id: the run.
        last_days: for each calendar in use, the newest date that the run may look at.
        account_id: the one account that the run is about; None for all active ones.

    Returns:
        The group of the one account, which is the first account that it is linked with or itself.
    """
    if account_id is None:
        links = [tuple(row) for row in session.execute(_SHARED, _days(last_days))]
    else:
        links = _around(session, account_id, last_days)
    groups = _groups((account, custodian) for custodian, account, _ in links)
    if len(links) > 1:
        session.execute(
            insert(RunLink),
            [
                {
                    "run_id": run_id,
                    "custodian_account_id": custodian,
                    "account_id": account,
                    "group_id": groups[account],
                    "valid_from": valid_from,
                }
                for custodian, account, valid_from in links
            ],
        )
    return None if account_id is None else groups.get(account_id, account_id)


_MAPPED = """
    SELECT m.custodian_account_id, m.account_id, m.valid_from
    FROM {mappings} AS m
    JOIN accounts AS a ON a.id = m.account_id
    JOIN unnest(CAST(:calendars AS text[]), CAST(:last_days AS date[])) AS d (calendar, last_day) USING (calendar)
    WHERE d.last_day BETWEEN m.valid_from AND m.valid_to
"""

#: First what has several mappings on any days, which two indexes say; of those, what has several on this one.
_SEVERAL = """(
    SELECT m.*
    FROM (SELECT account_id FROM account_mappings GROUP BY account_id HAVING count(*) > 1) AS s
    JOIN account_mappings AS m USING (account_id)
    UNION
    SELECT m.*
    FROM (
        SELECT custodian_account_id FROM account_mappings GROUP BY custodian_account_id HAVING count(*) > 1
    ) AS s
    JOIN account_mappings AS m USING (custodian_account_id)
)"""
_SHARED = text(
    f"""
    SELECT custodian_account_id, account_id, valid_from
    FROM (
        SELECT
            *,
            count(*) OVER (PARTITION BY account_id) AS of_the_account,
            count(*) OVER (PARTITION BY custodian_account_id) AS of_the_custodian_account
        FROM ({_MAPPED.format(mappings=_SEVERAL)} AND a.active) AS mapped
    ) AS counted
    WHERE of_the_account > 1 OR of_the_custodian_account > 1
    ORDER BY account_id, custodian_account_id
    """  # noqa: S608 (of texts that stand here)
)

_AROUND = text(
    f"""
    {_MAPPED.format(mappings="account_mappings")} AND (a.active OR a.id = :account_id)
        AND (m.account_id = ANY(:accounts) OR m.custodian_account_id = ANY(:custodians))
    """
)


def _around(session: Session, account_id: int, last_days: Mapping[str, date]) -> list[tuple[int, int, date]]:
    """Follow links from an account until no new one turns up."""
    links: dict[tuple[int, int], date] = {}
    accounts = {account_id}
    while True:
        custodians = {custodian for custodian, _ in links}
        rows = session.execute(
            _AROUND,
            {**_days(last_days), "account_id": account_id, "accounts": list(accounts), "custodians": list(custodians)},
        )
        found = {(custodian, account): valid_from for custodian, account, valid_from in rows}
        if found == links:
            return [(*link, valid_from) for link, valid_from in sorted(links.items())]
        links = found
        accounts |= {account for _, account in links}


def _groups(links: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return for each account the lowest one of all that hang together."""
    accounts_of: defaultdict[int, list[int]] = defaultdict(list)
    custodians_of: defaultdict[int, list[int]] = defaultdict(list)
    for account, custodian in links:
        accounts_of[custodian].append(account)
        custodians_of[account].append(custodian)
    groups: dict[int, int] = {}
    for first in sorted(custodians_of):
        if first in groups:
            continue
        waiting = [first]
        groups[first] = first
        while waiting:
            for custodian in custodians_of[waiting.pop()]:
                for account in accounts_of.pop(custodian, ()):
                    if account not in groups:
                        groups[account] = first
                        waiting.append(account)
    return groups


def _days(last_days: Mapping[str, date]) -> dict[str, Any]:
    return {"calendars": list(last_days), "last_days": list(last_days.values())}
