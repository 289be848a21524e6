"""`prices coverage` and `prices sync`: what a sync came to, and one that is asked for now."""

import os
import signal
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from app.market_data.models import PriceBatch, PriceSync, PriceSyncItem
from app.market_data.providers.price_folder import PriceFolder
from tests import factories as make
from tests.integration.cli.commands import NOWHERE_REDIS, line, lines, run
from tests.integration.market_data.syncs import sync_files
from tests.processes import start

NOW = datetime(2026, 3, 10, 22, tzinfo=UTC)
HEADER = "date,scheme,identifier,namespace,price,currency\n"
HOSTILE = "\x1b[31mred\x07"


def a_sync(session, outcomes: Mapping[str, tuple[str, str, str]], **values) -> int:
    """Write a sync in which securities, by code, came to a state by a provider for a reason."""
    values = {"key": f"sync {values}", "started_at": NOW, "deadline": NOW + timedelta(minutes=55), **values}
    sync_id = session.execute(insert(PriceSync).values(**values).returning(PriceSync.id)).scalar_one()
    for code, (state, provider, reason) in outcomes.items():
        session.execute(
            insert(PriceSyncItem).values(
                sync_id=sync_id,
                security_id=make.security(session, code),
                session_day=NOW.date(),
                state=state,
                provider=provider,
                reason=reason,
            )
        )
    return sync_id


@pytest.fixture
def read(session, tmp_path):
    """Sync from a file, and nothing else."""

    def read(content: str):
        (tmp_path / "prices.csv").write_text(HEADER + content)
        return sync_files(session, PriceFolder(tmp_path), now=NOW)

    return read


def test_all_that_is_due_and_priced_needs_nobody(session):
    sync_id = a_sync(session, {"A": ("priced", "alpaca", ""), "B": ("priced", "alpaca", "")}, finished_at=NOW)
    make.price(session, 1, NOW.date(), "1")
    make.price(session, 2, NOW.date(), "1")
    session.execute(insert(PriceBatch).values(sync_id=sync_id, provider="alpaca", state="done", new_prices=1234))
    session.commit()
    done = run("prices", "coverage")
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout) == [
        f"Sync {sync_id} of 2026-03-10 22:00 UTC is over: 2 of 2 securities that were due are priced.",
        "2 are tracked. New prices: 1,234; put into quarantine: 0.",
        "",
        "Due securities by provider",
        "provider priced stale quarantined refused failed unasked",
        "alpaca 2 0 0 0 0 0",
        "",
        "What came",
        "provider batches failures new prices untracked can't be used",
        "alpaca 1 0 1,234 0 0",
    ]


def test_what_was_not_priced_is_told_by_provider_and_reason_with_its_securities(session):
    outcomes = {f"S-{number:02}": ("failed", "alpaca", "no answer in 20 s") for number in range(30)}
    outcomes |= {"GONE": ("refused", "alpaca", f"delisted {HOSTILE}"), "LATE": ("stale", "yahoo", "of Monday")}
    outcomes |= {"WAITS": ("due", "yahoo", "")}
    a_sync(session, outcomes)
    session.commit()
    done = run("prices", "coverage")
    assert done.returncode == 1
    told = lines(done.stdout)
    assert told[0].endswith(
        "goes on: 0 of 33 securities that were due are priced; 1 stale, 1 refused, 30 failed, 1 not over yet."
    )
    first_twenty = ", ".join(f"S-{number:02}" for number in range(20))
    assert f"failed 30 alpaca no answer in 20 s {first_twenty} and 10 more" in told
    assert r"refused 1 alpaca delisted \x1b[31mred\x07 GONE" in told
    assert "stale 1 yahoo of Monday LATE" in told
    assert HOSTILE not in done.stdout
    assert f"GONE, LATE, {', '.join(f'S-{number:02}' for number in range(18))} and 13 more" in told
    for width in ("80", "200"):
        narrow = run("prices", "coverage", COLUMNS=width).stdout
        assert max(len(text) for text in narrow.splitlines()) <= int(width)
        assert "S-19 and 10 more" in " ".join(narrow.split())


def test_many_words_of_one_kind_are_one_reason_with_an_example(session):
    outcomes = {f"S-{number:02}": ("stale", "alpaca", f"no trade of S-{number:02}") for number in range(60)}
    sync_id = a_sync(session, outcomes)
    session.execute(update(PriceSyncItem).values(reason_code="no_close"))
    session.commit()
    told = lines(run("prices", "coverage", str(sync_id)).stdout)
    assert "alpaca 0 60 0 0 0 0" in told
    (reason,) = [text for text in told if text.startswith("stale")]
    assert reason.startswith("stale no_close 60 alpaca for example: no trade of S-00 S-00, S-01, ")
    assert reason.endswith("S-19 and 40 more")
    assert max(len(text) for text in run("prices", "coverage", COLUMNS="80").stdout.splitlines()) <= 80


def test_of_very_many_reasons_the_rest_is_counted(session):
    a_sync(session, {f"S-{number:02}": ("quarantined", "files", f"reason {number}") for number in range(25)})
    session.commit()
    told = lines(run("prices", "coverage").stdout)
    assert "… and 5 more, for other reasons." in told
    assert told[-1] == "What is doubted, and to decide it: python -m app prices quarantine"


def test_what_is_not_there_yet_needs_nobody(session):
    a_sync(session, {"LATE": ("stale", "yahoo", "its newest close is of 2026-03-09")})
    session.commit()
    assert run("prices", "coverage").returncode == 0


@pytest.mark.parametrize("state", ["quarantined", "refused", "failed", "unasked"])
def test_what_does_not_pass_by_itself_needs_somebody(session, state):
    a_sync(session, {"A": (state, "alpaca", "why")})
    session.commit()
    assert run("prices", "coverage").returncode == 1


def test_lines_of_files_that_could_not_be_used_are_told_and_need_somebody(session, read):
    security = make.security(session, "A")
    make.price(session, security, NOW.date(), "1")
    read("nonsense\n" * 25)
    done = run("prices", "coverage")
    assert done.returncode == 1
    assert "prices.csv, line 2: it has 1 values, and the header 6" in lines(done.stdout)
    assert "… and 5 more." in lines(done.stdout)
    assert line(done.stdout, "files", "25").split()[-1] == "25"


def test_a_doubtful_close_from_a_file_is_told_as_that(session, read):
    security = make.security(session, "A")
    make.price(session, security, NOW.date() - timedelta(days=4), "100")
    session.commit()
    read("2026-03-09,CUSIP,C-A,,50,USD\n")
    told = run("prices", "coverage")
    assert told.returncode == 1
    assert line(told.stdout, "quarantined", "jump").startswith("quarantined jump 1 files 50 is 0.5 times the close of")
    run("prices", "quarantine", "drop", "1", "--reason", "half of it")
    read("2026-03-09,CUSIP,C-A,,50,USD\n")
    told = run("prices", "coverage")
    assert told.returncode == 0
    assert line(told.stdout, "stale", "dropped").endswith(": half of it A")


def test_an_older_sync_is_shown_by_its_number(session):
    first = a_sync(session, {"A": ("stale", "alpaca", "older")}, key="1", started_at=NOW - timedelta(hours=1))
    a_sync(session, {"B": ("stale", "alpaca", "newer")}, key="2")
    session.commit()
    assert "stale 1 alpaca older A" in lines(run("prices", "coverage", str(first)).stdout)
    assert "stale 1 alpaca newer B" in lines(run("prices", "coverage").stdout)
    missing = run("prices", "coverage", "99")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "there is no sync 99. Syncs are kept for 30 days" in missing.stderr


def test_before_the_first_sync_there_is_nothing_to_show(database):
    done = run("prices", "coverage")
    assert done.returncode == 2
    assert "prices were never synced here" in done.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "prices"
    folder.mkdir()
    monkeypatch.setenv("PRICES_DIR", str(folder))
    return folder


def jobs(session) -> list[tuple[str, str]]:
    session.rollback()
    return [tuple(row) for row in make.rows(session, "SELECT task, state FROM jobs ORDER BY id")]


SYNC = "app.tasks.reconciliation.sync_market_data"


def test_a_sync_is_a_job_whether_or_not_the_broker_answers(session, celery_app):
    done = run("prices", "sync")
    assert done.returncode == 0
    assert done.stdout.startswith("A sync is asked for, as job 1: python -m app jobs show 1\n")
    done = run("prices", "sync", CELERY_BROKER_URL=NOWHERE_REDIS)
    assert done.returncode == 0
    assert jobs(session) == [(SYNC, "waiting")] * 2
    waits = run("prices", "sync", "--wait", CELERY_BROKER_URL=NOWHERE_REDIS)
    assert waits.returncode == 3
    assert "the broker does not answer" in waits.stderr
    assert len(jobs(session)) == 2


def test_a_sync_that_is_waited_for_ends_with_what_it_came_to(session, folder, worker):
    make.security(session, "A")
    session.commit()
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    (folder / "p.csv").write_text(f"{HEADER}{yesterday},CUSIP,C-A,,12.34,USD\n")
    worker()
    done = run("prices", "sync", "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    told = lines(done.stdout)
    assert told[0].endswith("is over: 1 of 1 securities that were due are priced.")
    assert [text for text in told if text.startswith("files")] == ["files 1 0 0 0 0 0", "files 1 0 1 0 0"]
    (folder / "p.csv").write_text("nonsense")
    again = run("prices", "sync", "--wait")
    assert again.returncode == 1
    assert "p.csv, line 1: the column date is missing" in lines(again.stdout)


def test_a_sync_that_can_not_be_is_told_with_its_job(session, celery_app, worker, monkeypatch):
    monkeypatch.setenv("PRICE_PROVIDERS", "nobody")
    monkeypatch.setenv("JOBS_MAX_ATTEMPTS", "1")
    worker()
    done = run("prices", "sync", "--wait")
    assert (done.returncode, done.stderr) == (1, "")
    told = lines(done.stdout)
    assert told[0].startswith("The sync is parked: ")
    assert "PRICE_PROVIDERS: there is no provider 'nobody'." in told[0]
    assert told[1] == "All of it: python -m app jobs show 1"


def test_without_a_worker_it_says_so_and_when_interrupted_that_the_sync_goes_on(session, celery_app, tmp_path):
    with start(["-m", "app", "prices", "sync", "--wait"], tmp_path / "log") as waiting:
        waiting.wait_for("No worker answers; the sync waits for one. To start one: python run_celery.py worker")
        os.kill(waiting.pid, signal.SIGINT)
        waiting.process.wait(timeout=60)
    assert waiting.process.returncode == 130
    assert "The sync goes on without this command. `python -m app prices coverage`" in waiting.said()
    assert "Traceback" not in waiting.said()
    assert jobs(session) == [(SYNC, "waiting")]


def test_a_sync_whose_message_was_lost_is_sent_again_without_a_beat(session, folder, worker, broker, tmp_path):
    with start(["-m", "app", "prices", "sync", "--wait"], tmp_path / "log") as waiting:
        waiting.wait_for("No worker answers")
        broker.flushall()
        worker()
        assert waiting.process.wait(timeout=120) == 0
    assert "is over" in waiting.said()
