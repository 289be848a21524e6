"""A job's arguments stay in the database; its message says which job, and a worker reads the rest in its row."""

import base64
import json

import pytest

from app.database import session_scope
from app.jobs import connect, enqueue
from tests import factories as make
from tests.waiting import wait_until

NAMED = {"name": "Adele Quested"}
TASKS = ["tests.apps.arguments.plain", "tests.apps.arguments.ledger"]


def ask_for(task):
    with session_scope() as session:
        return enqueue(session, task, "a", NAMED)


def results():
    with session_scope() as session:
        return [result for (result,) in make.rows(session, "SELECT result FROM jobs WHERE state = 'done'")]


def test_a_jobs_message_has_none_of_its_arguments(celery_app, broker):
    job_id = ask_for(TASKS[1])
    (message,) = broker.lrange("celery", 0, -1)
    envelope = json.loads(message)
    assert json.loads(base64.b64decode(envelope["body"]))[:2] == [[], {}]
    assert envelope["headers"]["ledger_job"] == job_id
    assert b"Adele" not in message


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_called_with_its_jobs_arguments_and_finds_them_in_its_request(worker, task, broker):
    worker(app="tests.apps.arguments")
    ask_for(task)
    (result,) = wait_until(results)
    assert result == {**NAMED, "number": 1, "request": NAMED}


@pytest.mark.parametrize("task", TASKS)
def test_a_message_of_the_last_release_with_arguments_in_it_is_understood(worker, celery_app, task):
    connect(None)  # only the message below is sent
    job_id = ask_for(task)
    celery_app.send_task(
        task, kwargs=NAMED, task_id=f"job-{job_id}", headers={"ledger_job": job_id, "ledger_number": 1}
    )
    worker(app="tests.apps.arguments")
    (result,) = wait_until(results)
    assert result == {**NAMED, "number": 1, "request": NAMED}


@pytest.mark.parametrize("task", TASKS)
def test_a_message_that_is_sent_by_delay_carries_its_arguments_itself(worker, celery_app, task):
    worker(app="tests.apps.arguments")
    answer = celery_app.send_task(task, args=["Adele Quested"], kwargs={"number": 2}).get(timeout=60)
    assert (answer["name"], answer["number"]) == ("Adele Quested", 2)
