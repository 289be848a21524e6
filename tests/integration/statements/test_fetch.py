"""What is fetched comes into the inbox and is loaded from there: by the command line, and by the tasks."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.errors import BadInputError, UnavailableError
from app.settings import load_settings
from app.statements.models import Statement
from app.statements.sources import Patience, fetch_statements
from app.tasks.statements import collect_statements
from app.tasks.statements import fetch_statements as fetch_task
from tests import factories as make
from tests.api_server import Provider, Reply, provider
from tests.integration.cli.commands import lines, run
from tests.integration.statements import test_fetch_alpaca, test_fetch_plaid

NOW = datetime(2026, 1, 30, 23, 30, tzinfo=UTC)
ONCE = Patience(attempts=1)
SECRETS = ("plaid-token", "plaid-secret", "alpaca-key", "alpaca-secret")


@pytest.fixture
def providers() -> Iterator[tuple[Provider, Provider]]:
    with ExitStack() as running:
        plaid, alpaca = (running.enter_context(provider()) for _ in range(2))
        plaid.answer, alpaca.answer = test_fetch_plaid.pages(2), test_fetch_alpaca.whole_account(2)
        yield plaid, alpaca


@pytest.fixture
def environment(providers, session, inbox, monkeypatch) -> dict[str, str]:
    """Settings that name an item and an account, which are in the book."""
    for custodian, number in (("plaid.com", "Acc1"), ("alpaca.markets", "AL1")):
        make.custodian_account(session, make.account(session), custodian=custodian, number=number)
    session.commit()
    plaid, alpaca = providers
    variables = {
        "STATEMENTS_DIR": str(inbox),
        "PLAID_BASE_URL": plaid.url,
        "PLAID_CLIENT_ID": "client",
        "PLAID_SECRET": "plaid-secret",
        "PLAID_ACCESS_TOKENS": "lakebank:plaid-token",
        "ALPACA_BASE_URL": alpaca.url,
        "ALPACA_KEYS": "main:alpaca-key:alpaca-secret",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    from app.settings import get_settings

    get_settings.cache_clear()
    return variables


@pytest.fixture
def collect(monkeypatch):
    """The task, which does not wait for files to settle here."""
    monkeypatch.setattr("app.tasks.statements._SETTLING", timedelta(0))
    return collect_statements


def files(inbox: Path) -> list[str]:
    return sorted(path.name for path in inbox.rglob("*") if path.is_file())


def test_the_same_answers_of_a_day_are_one_file_and_one_statement(environment, inbox, session, collect):
    settings = load_settings(environment, None)
    first = list(fetch_statements(settings, now=NOW))
    assert collect() == {"loaded": 2, "known": 0, "refused": 0, "held_back": 0}

    again = list(fetch_statements(settings, now=NOW.replace(hour=20)))
    assert again == first
    assert collect() == {"loaded": 0, "known": 2, "refused": 0, "held_back": 0}
    assert session.execute(select(func.count()).select_from(Statement)).scalar_one() == 2
    assert {one.path.parent for one in first} == {inbox / "incoming"}
    assert all(f"-{NOW.date()}-" in one.path.name for one in first)


def test_the_log_says_what_is_noted_of_a_file_that_is_loaded(environment, inbox, collect, caplog):
    list(fetch_statements(load_settings(environment, None), "alpaca", now=NOW))
    collect()
    (loaded,) = (inbox / "processed").rglob("*.json")
    (inbox / "incoming" / "again.json").write_bytes(loaded.read_bytes() + b"\n")

    assert collect()["loaded"] == 1
    assert re.search(r"loaded: again\.json: alpaca\.markets .*: it replaces statement ", caplog.text)


def test_a_provider_that_fails_keeps_no_other_out_and_leaves_no_file(environment, providers, inbox):
    providers[0].answer = lambda _: Reply(json.dumps({"error_code": "ITEM_LOGIN_REQUIRED"}), 400)
    plaid, alpaca = fetch_statements(load_settings(environment, None), now=NOW, patience=ONCE)

    assert (plaid.path, plaid.error.startswith("Plaid item lakebank: ")) == (None, True)
    assert alpaca.error == ""
    assert files(inbox) == [alpaca.path.name]


def test_one_provider_may_be_asked_alone(environment):
    settings = load_settings(environment, None)

    assert [one.provider for one in fetch_statements(settings, "alpaca", now=NOW)] == ["alpaca"]
    with pytest.raises(BadInputError, match="none of plaid, alpaca"):
        list(fetch_statements(settings, "bank", now=NOW))


def test_a_document_that_can_not_be_written_leaves_nothing_and_is_told(environment, inbox):
    (inbox / "incoming").symlink_to("/proc/self/fdinfo")
    with pytest.raises(UnavailableError, match="can't be written") as caught:
        list(fetch_statements(load_settings(environment, None), now=NOW))

    assert "STATEMENTS_DIR" in str(caught.value)


def test_what_is_fetched_while_the_database_is_down_is_loaded_later(environment, inbox, providers):
    down = {**environment, "DATABASE_URL": "postgresql://127.0.0.1:1/book"}
    fetched = run("statements", "fetch", **down)
    assert fetched.returncode == 0, fetched.stderr
    assert run("import", **down).returncode == 3
    assert len(files(inbox / "incoming")) == 2

    loaded = run("import")
    assert lines(loaded.stdout)[-1] == "2 files: 2 loaded, 0 known, 0 refused"
    assert files(inbox / "incoming") == []


def test_the_command_says_what_it_fetched_and_no_secret(environment, providers):
    done = run("statements", "fetch", "plaid")
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout)[0].startswith("fetched plaid lakebank: ")

    providers[0].answer = lambda _: Reply(json.dumps({"message": f"no {' '.join(SECRETS)}"}), 401)
    providers[1].answer = lambda _: Reply(json.dumps({"message": f"no {' '.join(SECRETS[2:])}"}), 401)
    refused = run("statements", "fetch")
    assert refused.returncode == 3
    assert [line.split(":")[0] for line in lines(refused.stdout)] == [
        "failed Plaid item lakebank",
        "failed Alpaca account main",
    ]
    assert not [secret for secret in SECRETS if secret in refused.stdout + refused.stderr]


def test_without_accounts_there_is_nothing_to_fetch(database, inbox):
    done = run("statements", "fetch", STATEMENTS_DIR=str(inbox))

    assert (done.returncode, lines(done.stdout)) == (
        0,
        ["There is nothing to fetch: PLAID_ACCESS_TOKENS and ALPACA_KEYS name no account."],
    )


def test_the_tasks_fetch_and_collect(environment, inbox):
    assert fetch_task() == {"fetched": 2}
    for path in (inbox / "incoming").iterdir():
        path.rename(path.with_name(path.name + ".part"))  # as if still being written
    assert collect_statements() == {"loaded": 0, "known": 0, "refused": 0, "held_back": 0}


def test_a_fetch_that_fails_fails_its_task_so_that_somebody_is_told(environment, providers, inbox):
    providers[1].answer = lambda _: Reply("{}", 401)
    with pytest.raises(UnavailableError, match="Alpaca account main: Alpaca refuses with status 401"):
        fetch_task()

    assert [name[:14] for name in files(inbox)] == ["plaid-lakebank"]


def test_a_worker_knows_both_tasks(environment, inbox, celery_app, worker):
    worker()
    fetched = celery_app.send_task("app.tasks.statements.fetch_statements", ["alpaca"]).get(timeout=60)
    collected = celery_app.send_task("app.tasks.statements.collect_statements").get(timeout=60)

    assert fetched == {"fetched": 1}
    assert collected["refused"] == 0
    assert len(files(inbox)) == 1


def test_both_tasks_are_on_the_schedule(celery_app):
    entries = {entry["task"] for entry in celery_app.conf.beat_schedule.values()}

    assert {"app.tasks.statements.fetch_statements", "app.tasks.statements.collect_statements"} <= entries
    assert entries <= set(celery_app.tasks)
