"""A job that kills its process each time: given up, told once, and no other job's business."""

from datetime import date
from decimal import Decimal

import pytest

from app.database import session_scope
from app.jobs import enqueue, retry_jobs
from app.people import current_person
from tests import factories as make
from tests.processes import start_beat
from tests.waiting import wait_until

APP = "tests.apps.resilience"
ATTEMPTS = 2


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def ask(task, key, **args):
    with session_scope() as session:
        return enqueue(session, f"{APP}.{task}", key, args)


@pytest.fixture
def mail(mail_server, monkeypatch):
    monkeypatch.setenv("ADMIN_EMAIL", "admin@example.com")
    monkeypatch.setenv("JOBS_MAX_ATTEMPTS", str(ATTEMPTS))
    return mail_server


def put_back(job_id):
    with session_scope() as session:
        retry_jobs(session, [job_id], "it is cured", by=current_person())


def test_a_job_that_kills_its_process_is_given_up_told_once_and_can_be_put_back(worker, mail, tmp_path):
    worker(app=APP, concurrency=1)
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    poison = ask("die", "poison", folder=str(deaths))

    def state():
        # Its messages are looked for after pauses, which nobody waits for here. But one that is still on its way is not
        # sent again: a worker that finds its row locked, by this or by the sweep, has counted a death that never was.
        begun = (deaths / "begun").read_text().split() if (deaths / "begun").exists() else []
        query(
            "UPDATE jobs SET published_at = now() - interval '1 hour'"
            " WHERE id = :id AND publishes <= :begun RETURNING 1",
            id=poison,
            begun=len(begun),
        )
        return query("SELECT state FROM jobs WHERE id = :id", id=poison)[0][0]

    with start_beat(tmp_path, app=APP):
        others = 0
        while state() == "waiting":
            others += 1
            name = f"other {others}"
            other = ask("work", name, name=name)
            wait_until(lambda job=other: query("SELECT 1 FROM jobs WHERE id = :id AND state = 'done'", id=job))
        wait_until(lambda: mail.taken)

        ((args, error),) = query("SELECT args, last_error FROM jobs WHERE id = :id AND state = 'parked'", id=poison)
        assert args == {"folder": str(deaths)}
        assert error == "its workers died without a word"
        # The first delivery is counted only when a second comes: until then it may be under way.
        killed = (deaths / "begun").read_text().split()
        assert len(set(killed)) == len(killed) == ATTEMPTS + 1
        assert query("SELECT count(*) FROM users WHERE login LIKE 'other %'") == [(others,)]

        (deaths / "cured").touch()
        put_back(poison)
        wait_until(lambda: query("SELECT 1 FROM jobs WHERE id = :id AND state = 'done'", id=poison))

    assert query("SELECT count(*) FROM users WHERE login = 'died'") == [(1,)]
    (told,) = mail.taken
    assert told.message["To"] == "admin@example.com"
    assert f"job:{poison}" in told.message.get_body(("plain",)).get_content()
    assert "died without a word" in told.message.get_body(("plain",)).get_content()


def test_a_plain_task_that_kills_its_process_is_given_up_told_once_and_can_be_put_back(
    worker, mail, tmp_path, celery_app
):
    worker(app=APP, concurrency=1)
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    celery_app.send_task(f"{APP}.die_plainly", [str(deaths)])
    with start_beat(tmp_path, app=APP):
        wait_until(lambda: query("SELECT 1 FROM jobs WHERE state = 'parked'"), timeout=60)
        wait_until(lambda: mail.taken)
        ((poison, args),) = query("SELECT id, args FROM jobs WHERE state = 'parked'")
        assert args == {"folder": str(deaths)}
        # The first delivery was Celery's own.
        assert len((deaths / "begun").read_text().split()) == ATTEMPTS + 1

        (deaths / "cured").touch()
        put_back(poison)
        wait_until(lambda: query("SELECT 1 FROM jobs WHERE id = :id AND state = 'done'", id=poison))
    assert len((deaths / "done").read_text().split()) == 1
    assert len(mail.taken) == 1


def test_a_plain_task_that_comes_again_gets_arguments_of_all_kinds_again(worker, tmp_path, celery_app):
    worker(app=APP, concurrency=1)
    rest, named = (date(2026, 11, 27), [1]), {"amount": Decimal("1.10"), "args": None}
    celery_app.send_task(f"{APP}.die_once_of_anything", [str(tmp_path), *rest], named)
    wait_until(lambda: query("SELECT 1 FROM jobs WHERE state = 'done'"), timeout=60)
    assert (tmp_path / "given").read_text() == repr((rest, sorted(named.items())))


def test_a_plain_task_that_comes_again_and_fails_has_failed_and_is_told_once(worker, mail, tmp_path, celery_app):
    worker(app=APP, concurrency=1)
    celery_app.send_task(f"{APP}.fail_plainly", [str(tmp_path)])
    wait_until(lambda: query("SELECT 1 FROM jobs WHERE state = 'parked'"), timeout=60)
    wait_until(lambda: mail.taken)
    assert query("SELECT last_error FROM jobs WHERE state = 'parked'") == [("RuntimeError: no second chance",)]
    assert query("SELECT count(*) FROM jobs WHERE task LIKE '%.send_mail'") == [(1,)]
