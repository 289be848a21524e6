"""The record of a reconciliation, for keeping: what FCA CASS 6.6.8R asks a firm to write down of each.

That is its date, the actions taken, the discrepancies found and how they were resolved; and besides, so that it stands
by itself, which statements it rests on, which of them were replaced since, and what was not compared. It is a list of
sections whose rows stream, for a run may have a million accounts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from app.reconciliation import KINDS, OUTCOMES, run_progress
from app.statements import UNLOADED_FILES


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a record: a table, whose rows are read once."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def run_record(session: Session, run_id: int) -> Iterator[Section]:
    """Give the sections of a run's record; each is to be read before the next.

    Raises:
        BadInputError: there is no such run.
    """
    run_progress(session, run_id)
    for name, title, columns, statement, words in _SECTIONS:
        rows = session.execute(statement, {"run_id": run_id}, execution_options={"yield_per": 1000})
        yield Section(name, title, columns, (_told(tuple(row), columns, words) for row in rows))


def _told(row: tuple[Any, ...], columns: tuple[str, ...], words: Mapping[str, Callable[[str], str]]) -> tuple[Any, ...]:
    return tuple(words[column](value) if column in words else value for column, value in zip(columns, row, strict=True))


def _kind(kind: str) -> str:
    return KINDS[kind]


def _why(outcome: str) -> str:
    return OUTCOMES[outcome]


_RUN = text(
    """
    SELECT
        r.id, r.as_of, a.code, r.state, r.started_at, r.finished_at, r.shard_count,
        (SELECT count(*) FROM run_shards WHERE run_id = r.id AND state = 'failed'),
        c.accounts, c.compared, (SELECT count(*) FROM run_gaps WHERE run_id = r.id)
    FROM runs AS r
    LEFT JOIN accounts AS a ON a.id = r.account_id
    CROSS JOIN (
        SELECT count(*) AS accounts, count(*) FILTER (WHERE outcome = 'compared') AS compared
        FROM run_accounts
        WHERE run_id = :run_id
    ) AS c
    WHERE r.id = :run_id
    """
)

#: The run's own, so that what a later run changed does not count as found by this one: each break that it saw, changed
#: or not; then what its end changed by another account's break. A run before `run_breaks` has but what it told.
_FOUND = text(
    """
    SELECT
        f.break_id, a.code, c.custodian, c.number, b.subject, f.kind, f.event, f.state, f.ours, f.theirs, f.difference,
        f.remainder, f.value, f.price, f.rate, f.as_of
    FROM (
        SELECT
            r.break_id, r.kind, CASE WHEN r.event_id IS NULL THEN 'unchanged' ELSE e.event END AS event, r.state,
            r.ours, r.theirs, r.difference, r.remainder, r.value, r.valuation ->> 'price' AS price,
            r.valuation ->> 'rate' AS rate, r.as_of, r.last_event_id AS place
        FROM run_breaks AS r
        LEFT JOIN break_events AS e ON e.id = r.event_id
        WHERE r.run_id = :run_id
        UNION ALL
        SELECT
            e.break_id, e.kind, e.event, NULL, e.ours, e.theirs, e.difference, e.remainder, e.value, NULL, NULL,
            e.as_of, e.id
        FROM break_events AS e
        LEFT JOIN run_breaks AS r ON r.run_id = :run_id AND r.break_id = e.break_id
        WHERE e.run_id = :run_id AND r.event_id IS DISTINCT FROM e.id
    ) AS f
    JOIN breaks AS b ON b.id = f.break_id
    JOIN accounts AS a ON a.id = b.account_id
    JOIN custodian_accounts AS c ON c.id = b.custodian_account_id
    ORDER BY f.break_id, f.place
    """
)

#: Each break that the run saw or told of, with its last event until then.
_SEEN = """
    SELECT break_id, last_event_id
    FROM run_breaks
    WHERE run_id = :run_id
    UNION ALL
    SELECT e.break_id, max(e.id)
    FROM break_events AS e
    WHERE e.run_id = :run_id
        AND NOT EXISTS (SELECT FROM run_breaks AS r WHERE r.run_id = :run_id AND r.break_id = e.break_id)
    GROUP BY e.break_id
"""

#: What happened since to the breaks that the run saw, up to now.
_DONE = text(
    f"""
    SELECT e.break_id, e.happened_at, e.event, e.actor, e.db_user, e.run_id, e.reason, e.assignee, e.difference, e.value
    FROM ({_SEEN}) AS seen
    JOIN break_events AS e ON e.break_id = seen.break_id AND e.id > seen.last_event_id
    WHERE e.run_id IS DISTINCT FROM :run_id
    ORDER BY e.break_id, e.id
    """  # noqa: S608 (of texts that stand here)
)

#: How the breaks that the run saw stand now.
_NOW = text(
    f"""
    SELECT b.id, b.state, b.assignee, b.as_of, b.closed_at, b.last_run_id
    FROM ({_SEEN}) AS seen
    JOIN breaks AS b ON b.id = seen.break_id
    ORDER BY b.id
    """  # noqa: S608 (of texts that stand here)
)

#: A later version: of the same account, date, part of it and currency, that came later and was let through.
_STATEMENTS = text(
    """
    SELECT
        a.code, c.custodian, c.number, s.id, s.as_of, s.currency, f.name, f.sha256, f.received_at, newer.id, newer.name
    FROM run_accounts AS r
    JOIN accounts AS a ON a.id = r.account_id
    CROSS JOIN LATERAL unnest(r.statement_ids) AS used (statement_id)
    JOIN statements AS s ON s.id = used.statement_id
    JOIN statement_files AS f ON f.id = s.file_id
    JOIN custodian_accounts AS c ON c.id = s.custodian_account_id
    LEFT JOIN LATERAL (
        SELECT n.id, nf.name
        FROM statements AS n
        JOIN statement_files AS nf ON nf.id = n.file_id
        WHERE n.custodian_account_id = s.custodian_account_id AND n.as_of = s.as_of AND n.currency = s.currency
            AND n.part = s.part AND n.id > s.id AND n.state = 'accepted' AND n.id <> ALL (r.statement_ids)
        ORDER BY n.id DESC
        LIMIT 1
    ) AS newer ON TRUE
    WHERE r.run_id = :run_id
    ORDER BY r.account_id, s.id
    """
)

_LACKS = text(
    """
    SELECT a.code, c.custodian, c.number, r.as_of, r.outcome, r.held_statement_id, g.lacks, g.stated_as_of
    FROM run_accounts AS r
    JOIN accounts AS a ON a.id = r.account_id
    LEFT JOIN custodian_accounts AS c ON c.id = r.custodian_account_id
    LEFT JOIN run_gaps AS g ON g.run_id = r.run_id AND g.account_id = r.account_id
    WHERE r.run_id = :run_id
        AND (r.outcome <> 'compared' OR r.held_statement_id IS NOT NULL OR g.account_id IS NOT NULL)
    ORDER BY r.account_id
    """
)

_FAILED = text(
    """
    SELECT number, first_account_id, last_account_id, error
    FROM run_shards
    WHERE run_id = :run_id AND state <> 'done'
    ORDER BY number
    """
)

_SIGNED = text(
    """
    SELECT signed_at, actor, db_user, comment, inputs_sha256, results_sha256
    FROM run_sign_offs
    WHERE run_id = :run_id
    ORDER BY id
    """
)

_SECTIONS: tuple[
    tuple[str, str, tuple[str, ...], TextClause, Mapping[str, Callable[[str], str]]],
    ...,
] = (
    (
        "run",
        "Reconciliation",
        (
            "run", "as_of", "account", "state", "started_at", "finished_at", "shards", "failed_shards", "accounts",
            "compared", "compared_in_part",
        ),
        _RUN,
        {},
    ),
    (
        "found",
        "Discrepancies found, and what became of earlier ones",
        (
            "break", "account", "custodian", "custodian_account", "subject", "kind", "event", "state", "ours", "theirs",
            "difference", "remainder", "value", "price", "rate", "as_of",
        ),
        _FOUND,
        {"kind": _kind},
    ),
    (
        "actions",
        "Actions taken since",
        (
            "break", "when", "event", "actor", "db_user", "by_run", "reason", "assignee", "difference", "value",
        ),
        _DONE,
        {},
    ),
    (
        "standing",
        "How they stand now",
        ("break", "state", "assignee", "as_of", "closed_at", "last_run"),
        _NOW,
        {},
    ),
    (
        "statements",
        "Statements used",
        (
            "account", "custodian", "custodian_account", "statement", "as_of", "currency", "file", "sha256",
            "received_at", "replaced_by", "replaced_by_file",
        ),
        _STATEMENTS,
        {},
    ),
    (
        "not_compared",
        "Accounts not compared, or in part, or with a newer statement that is held back",
        (
            "account", "custodian", "custodian_account", "as_of", "why", "held_statement", "not_stated",
            "last_stated",
        ),
        _LACKS,
        {"why": _why},
    ),
    (
        "files",
        "Files refused or loaded in part since the run before",
        ("file", "state", "received_at", "why"),
        UNLOADED_FILES,
        {},
    ),
    (
        "failed_shards",
        "Ranges of accounts that were not looked at",
        ("shard", "first_account", "last_account", "error"),
        _FAILED,
        {},
    ),
    (
        "sign_offs",
        "Signed",
        ("when", "actor", "db_user", "comment", "inputs_sha256", "results_sha256"),
        _SIGNED,
        {},
    ),
)  # fmt: skip
