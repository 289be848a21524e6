"""`python -m app doctor`: whether what this program needs is there, and what to do if not."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from app.cli.failures import explain
from app.cli.terminal import cell, output

if TYPE_CHECKING:
    from pathlib import Path

    from app.settings import Settings
    from app.tasks.health import RedisHealth

_OLDEST_POSTGRESQL = 15
_OLDEST_REDIS = 7
_LONGEST_NAME = len("result backend")


class State(StrEnum):
    """What a check came to."""

    OK = "ok"
    #: It works, and there is something that a person should know.
    NOTE = "note"
    FAILED = "FAILED"


_STYLES = {State.OK: "green", State.NOTE: "yellow", State.FAILED: "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    state: State
    #: What answered, or what is wrong.
    text: str
    #: What to do about it.
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at."""

    name: str
    #: The address or file that is looked at.
    tried: str
    look: Callable[[], Finding]
    #: The checks without which this one can't be made.
    needs: tuple[str, ...] = ()


def doctor() -> None:
    """Look at the settings, broker, results, database, migrations, mappings, prices, mail, channels and workers.

    Says of each what was tried, what answered, and what to do. Nothing is changed and no message is sent. Exit code
    1 when something that is needed fails.
    """
    from app.settings import get_settings

    console = output()
    failed: set[str] = set()
    for check in _checks(get_settings()):
        finding = _look(check, failed)
        if finding.state is State.FAILED:
            failed.add(check.name)
        console.print(_told(check, finding))
    if failed:
        raise typer.Exit(1)


def _checks(settings: "Settings") -> list[Check]:
    broker, backend = str(settings.celery_broker_url), str(settings.celery_result_backend)
    database = str(settings.database_url)
    mail = f"{settings.email_host}:{settings.email_port}" if settings.email_host else ""
    return [
        Check("settings", str(_env_file() or "the environment, no file"), _look_at_settings),
        Check("broker", broker, _look_at_broker),
        Check("result backend", backend, _look_at_result_backend),
        Check("database", database, _look_at_database),
        Check("migrations", "", _look_at_migrations, needs=("database",)),
        Check("mappings", str(settings.statement_mappings_dir), lambda: _look_at_mappings(settings)),
        Check("prices", "", _look_at_prices, needs=("database", "migrations")),
        Check("mail", mail, lambda: _look_at_mail(settings)),
        Check("mails", "", _look_at_mails, needs=("database", "migrations")),
        Check("channels", "", lambda: _look_at_channels(settings)),
        Check("workers", "", _look_at_workers, needs=("broker",)),
        Check("messages", "", _look_at_refused_messages, needs=("result backend",)),
    ]


def _look(check: Check, failed: set[str]) -> Finding:
    for needed in check.needs:
        if needed in failed:
            return Finding(State.NOTE, f"not looked at, for that needs the {needed}")
    try:
        return check.look()
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        return Finding(State.FAILED, failure.what, failure.hint)


def _told(check: Check, finding: Finding) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=_LONGEST_NAME, style="bold")
    table.add_column(width=len(State.FAILED), style=_STYLES[finding.state])
    table.add_column(overflow="fold")
    lines = [line for line in (check.tried, *finding.text.splitlines(), finding.advice) if line]
    table.add_row(check.name, finding.state, "\n".join(cell(line) for line in lines))
    return table


def _env_file() -> "Path | None":
    from app.settings import env_file_path

    return env_file_path(os.environ)


def _look_at_settings() -> Finding:
    from app.settings import env_file_warnings

    warnings = env_file_warnings(_env_file())
    return Finding(State.NOTE, "; ".join(warnings)) if warnings else Finding(State.OK, "all of them can be used")


def _look_at_broker() -> Finding:
    from app.tasks.health import check_broker

    health = check_broker()
    if health.evicts_by:
        return Finding(
            State.NOTE,
            f"{_answer(health)}; when its memory is full it throws messages away ({health.evicts_by})",
            "Set its maxmemory-policy to noeviction.",
        )
    return _redis_finding(health)


def _look_at_result_backend() -> Finding:
    from app.settings import get_settings
    from app.tasks.health import check_result_backend

    health = check_result_backend()
    settings = get_settings()
    if settings.celery_result_backend.get_secret_value() == settings.celery_broker_url.get_secret_value():
        return Finding(
            State.NOTE,
            f"{_answer(health)}; it is the broker's own database",
            "Give results another one in CELERY_RESULT_BACKEND: emptying it must not cost messages.",
        )
    return _redis_finding(health)


def _redis_finding(health: "RedisHealth") -> Finding:
    if health.version and int(health.version.partition(".")[0]) < _OLDEST_REDIS:
        return Finding(State.NOTE, _answer(health), f"Tested from Redis {_OLDEST_REDIS} on; upgrade it.")
    return Finding(State.OK, _answer(health))


def _answer(health: "RedisHealth") -> str:
    return f"Redis{f' {health.version}' if health.version else ''} answers in {1000 * health.latency_s:.1f} ms"


def _look_at_database() -> Finding:
    from sqlalchemy import text

    from app.database import get_engine

    with get_engine().connect() as connection:
        number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        begin = time.perf_counter()
        version = connection.execute(text("SHOW server_version")).scalar_one()
        took = time.perf_counter() - begin
    answer = f"PostgreSQL {version} answers in {1000 * took:.1f} ms"
    if number // 10_000 < _OLDEST_POSTGRESQL:
        return Finding(State.FAILED, answer, f"PostgreSQL {_OLDEST_POSTGRESQL} or newer is needed.")
    return Finding(State.OK, answer)


def _look_at_migrations() -> Finding:
    from app.database import current_revision, get_engine, head_revision, is_newer

    current, head = current_revision(get_engine()), head_revision()
    if current == head:
        return Finding(State.OK, f"the tables are at {head}, which this version works with")
    if is_newer(current):
        return Finding(
            State.NOTE,
            f"the tables are at {current}, which a later version made; this one was made for {head}",
            "A version works on the tables of the next one: roll back no further than to that one's predecessor.",
        )
    return Finding(
        State.FAILED,
        f"the tables are {f'at {current}' if current else 'not there'}; this version works with {head}",
        "`python -m app migrate` brings them there.",
    )


def _look_at_mappings(settings: "Settings") -> Finding:
    from app.statements import load_mappings

    mappings = load_mappings(settings.statement_mappings_dir)
    if mappings.broken:
        return Finding(
            State.NOTE,
            "\n".join(mapping.error for mapping in mappings.broken),
            "Files that such a mapping may be for are refused until it is put right; all others are read.",
        )
    return Finding(State.OK, f"all {len(mappings.usable)} can be used" if mappings.usable else "there is none")


def _look_at_prices() -> Finding:
    from app.database import session_scope
    from app.market_data import count_quarantined

    with session_scope() as session:
        waiting = count_quarantined(session)
    if not waiting:
        return Finding(State.OK, "none waits in quarantine")
    return Finding(
        State.NOTE,
        f"in quarantine, where they count for nothing: {waiting:,}",
        "`python -m app prices quarantine` lists them; somebody must accept or drop them.",
    )


def _look_at_mail(settings: "Settings") -> Finding:
    from app.notifications import check_mail_server

    if settings.mail_off_reason:
        return Finding(
            State.NOTE,
            f"no mail is sent: {settings.mail_off_reason}",
            "With EMAIL_HOST, ADMIN_EMAIL and SERVER_EMAIL, ADMIN_EMAIL is told of tasks that fail for good.",
        )
    greeting = check_mail_server(settings)
    return Finding(State.OK, f"{greeting} lets us in; mail goes to {settings.admin_email}")


def _look_at_mails() -> Finding:
    from app.database import session_scope
    from app.notifications import count_unsure_mails

    with session_scope() as session:
        unsure = count_unsure_mails(session)
    if not unsure:
        return Finding(State.OK, "none may have come twice")
    return Finding(
        State.NOTE,
        f"may have come twice, under one Message-ID: {unsure:,}",
        "The mail server had them and gave no answer, so they were sent again; docs/notifications.md says more.",
    )


def _look_at_channels(settings: "Settings") -> Finding:
    from app.errors import BadInputError
    from app.notifications import channel_schemes, check_channel

    schemes = channel_schemes(settings)
    if not schemes:
        return Finding(State.OK, "there is none beside mail")
    problems = []
    for name in schemes:
        try:
            check_channel(settings, name)
        except BadInputError as error:
            problems.append(f"{name}: {error.what}. {error.hint}")
    if problems:
        return Finding(
            State.FAILED,
            "\n".join(problems),
            "Correct NOTIFICATION_CHANNELS: no worker starts with an address that apprise can't use.",
        )
    there_are = ", ".join(f"{name} ({scheme}://)" for name, scheme in schemes.items())
    return Finding(State.OK, f"{there_are} can be used; `python -m app notifications test NAME` sends a message")


def _look_at_refused_messages() -> Finding:
    from app.tasks.refusals import refusals

    refused = refusals()
    if not refused.counts:
        return Finding(State.OK, "none was refused in the last days")
    counts = ", ".join(f"{count} {kind}" for kind, count in refused.counts.items())
    return Finding(
        State.NOTE,
        f"workers refused some: {counts}; the last at {refused.last_at}: {refused.last}",
        "The workers' logs name each. Who sends them? Is a worker's release older than what asks it?",
    )


def _look_at_workers() -> Finding:
    from app.tasks.health import answering_workers

    workers = answering_workers()
    if not workers:
        return Finding(State.NOTE, "none answers, so nothing is worked on", "To start one: python run_celery.py worker")
    return Finding(State.OK, f"{', '.join(workers)} answer{'s' if len(workers) == 1 else ''}")
