"""What somebody who can write to Redis can put there: nothing of it is run, nothing of it stops a worker."""

import base64
import json
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import NotRegistered
from kombu import Connection, Queue
from sqlalchemy import text

from app.database import session_scope
from app.jobs import enqueue, sweep
from app.settings import get_settings
from tests import factories as make
from tests.integration.cli.commands import run
from tests.waiting import wait_until

CANARY = "app.tasks.canary.canary"
HEADERS = {"lang": "py", "task": CANARY, "id": "from-outside"}
PICKLE = "application/x-python-serialize"
YAML = "application/x-yaml"
JSON = "application/json"
NAME = "Adele Quested"


class Plant:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def entry(body: bytes, content_type: str, headers: Any) -> str:
    """What kombu puts into a queue's list."""
    properties = {
        "correlation_id": "from-outside",
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "delivery_tag": f"tag-{hash((body, content_type, str(headers)))}",
        "body_encoding": "base64",
        "priority": 0,
    }
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "binary" if content_type == PICKLE else "utf-8",
            "content-type": content_type,
            "headers": headers,
            "properties": properties,
        }
    )


@pytest.fixture
def plant(tmp_path):
    return tmp_path / "planted"


def goes_on(program, celery_app):
    """The worker does the next job, and is the process that it was."""
    answer = celery_app.send_task(CANARY).get(timeout=120)
    assert program.process.poll() is None
    return answer


def refused(program):
    return re.findall(r"ERROR/MainProcess\] Refused a message (.*)", program.said())


def test_pickle_and_yaml_are_refused_whichever_way_they_come_and_nothing_of_them_is_run(
    worker, celery_app, broker, plant
):
    program = worker(concurrency=1)
    yaml = f"!!python/object/apply:os.mkdir ['{plant}']"
    call = {"task": CANARY, "id": "from-outside", "args": [Plant(plant)], "kwargs": {}}
    with Connection(get_settings().celery_broker_url.get_secret_value()) as connection:
        publish = connection.Producer().publish
        for body, headers in [(([Plant(plant)], {}, {}), HEADERS), (call, {})]:
            publish(body, serializer="pickle", headers=headers, routing_key="celery", declare=[Queue("celery")])
        for headers in (HEADERS, {}):
            publish(yaml, content_type=YAML, content_encoding="utf-8", headers=headers, routing_key="celery")
    for headers in (HEADERS, {}):
        broker.lpush("celery", entry(pickle.dumps(([Plant(plant)], {}, {})), PICKLE, headers))
        broker.lpush("celery", entry(yaml.encode(), YAML, headers))
    goes_on(program, celery_app)
    assert not plant.exists()
    lines = refused(program)
    assert len([line for line in lines if PICKLE in line]) == 4
    assert len([line for line in lines if YAML in line]) == 4
    assert str(plant) not in program.said()
    assert "Traceback" not in program.said()


#: Each is one entry of the queue's list.
NONSENSE = {
    "text": f"{NAME}, no JSON at all",
    "bytes": b"\xff\xfe\x00",
    "a number": "5",
    "a list": "[1, 2]",
    "an object without anything": "{}",
    "half an entry": entry(b"[[], {}, {}]", JSON, HEADERS)[:100],
    "headers that are a list": entry(b"[[], {}, {}]", JSON, [1]),
    "a body that is no base64": re.sub('"body": ".*?"', '"body": "!"', entry(b"a body", JSON, HEADERS)),
    "a body that is no JSON": entry(NAME.encode(), JSON, HEADERS),
    "half a body": entry(f'[["{NAME}"], {{}}, {{"callb'.encode(), JSON, HEADERS),
    "a body that is a number": entry(b"5", JSON, HEADERS),
    "an old body that is no JSON": entry(NAME.encode(), JSON, {}),
    "an old body without a task": entry(json.dumps({"id": "x", "args": [NAME]}).encode(), JSON, {}),
    "an unknown content type": entry(NAME.encode(), "text/x-nobody-knows", HEADERS),
}


def test_what_is_no_message_is_refused_and_does_not_end_the_worker_or_come_again(worker, celery_app, broker):
    program = worker(concurrency=1)
    for nonsense in NONSENSE.values():
        broker.lpush("celery", nonsense)
    goes_on(program, celery_app)
    assert len(refused(program)) == len(NONSENSE)
    assert NAME not in program.said()
    assert "Connection to broker lost" not in program.said()
    wait_until(lambda: not broker.hlen("unacked"))
    assert broker.llen("celery") == 0
    said = re.sub(r"\s+", " ", run("doctor").stdout)
    assert f"workers refused some: {len(NONSENSE)} that can't be read" in said


@pytest.mark.parametrize("body", [[1], [[], {}, {}, {}], [NAME, {}, {}]], ids=str)
def test_arguments_that_no_task_could_take_fail_and_do_not_end_the_worker(worker, celery_app, broker, body):
    program = worker(concurrency=1)
    broker.lpush("celery", entry(json.dumps(body).encode(), JSON, HEADERS))
    goes_on(program, celery_app)
    wait_until(lambda: not broker.hlen("unacked"))


def test_messages_for_an_unknown_task_are_refused_once_each_named_and_counted(worker, celery_app, broker):
    program = worker(concurrency=1)
    answers = [celery_app.send_task("app.tasks.no.such", args=[NAME]) for _ in range(3)]
    broker.lpush("celery", entry(json.dumps({"task": "old.one", "id": "o", "args": [NAME]}).encode(), JSON, {}))
    with pytest.raises(NotRegistered):
        answers[-1].get(timeout=60)
    goes_on(program, celery_app)
    unknown = "for a task that no worker knows: "
    assert sorted(refused(program)) == [f"{unknown}'app.tasks.no.such'"] * 3 + [f"{unknown}'old.one'"]
    assert NAME not in program.said()
    assert broker.llen("celery") == 0
    said = re.sub(r"\s+", " ", run("doctor").stdout)
    assert "workers refused some: 4 for a task that no worker knows" in said
    # However many come, what is kept of them is a handful of numbers.
    with celery_app.backend.client as results:
        assert results.hlen("value-partner-refused-messages") == 3
        assert 0 < results.ttl("value-partner-refused-messages") <= 7 * 24 * 3600


def test_a_job_of_an_unknown_task_is_sent_twenty_times_and_then_parked(worker, celery_app, broker):
    from app.tasks import transport  # reads the settings when it is imported

    program = worker(concurrency=1)
    with session_scope() as session:
        job_id = enqueue(session, "app.tasks.no.such", "a", {"name": NAME})
    for sent in range(1, 25):
        wait_until(lambda sent=sent: len(refused(program)) >= min(sent, 20), timeout=120)
        # The pauses grow to a minute, which nobody waits for here.
        with session_scope() as session:
            session.execute(text("UPDATE jobs SET published_at = published_at - interval '1 hour'"))
        sweep(transport)
    with session_scope() as session:
        job = make.rows(session, "SELECT id, state, publishes, attempts, last_error FROM jobs")
    ((known, state, publishes, attempts, error),) = job
    assert (known, state, publishes, attempts) == (job_id, "parked", 20, 0)
    assert "do the workers know this task" in error
    assert len(refused(program)) == 20
    assert NAME not in program.said()
