"""The four steps by which a developer adds a task, to the letter, in a copy of the application."""

import shutil

import pytest

from app.database import session_scope
from tests import factories as make
from tests.processes import PROJECT, start_beat, start_worker
from tests.waiting import wait_until

#: Steps 1 and 2: a function in a module under app/tasks/, with the decorator.
_MODULE = '''
from celery import shared_task


@shared_task
def process_data(data):
    """Example background task"""
    return {"status": "success", "processed": len(data)}
'''


@pytest.fixture
def copy(tmp_path):
    """A copy of the application with the new task, and its path as the environment that finds it first."""
    shutil.copytree(PROJECT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    tasks = tmp_path / "app" / "tasks"
    (tasks / "example.py").write_text(_MODULE)
    # Step 3: import it in app/tasks/__init__.py.
    with (tasks / "__init__.py").open("a") as package:
        package.write("from app.tasks.example import process_data\n")
    return tmp_path


def schedule(copy):
    """Step 4, for a scheduled task: add it to celery_app.py."""
    celery_app = copy / "app" / "tasks" / "celery_app.py"
    text = celery_app.read_text()
    assert "app.conf.beat_schedule = {\n" in text
    entry = """
    "process-data": {
        "task": "app.tasks.example.process_data",
        "schedule": timedelta(seconds=1),
        "kwargs": {"data": [1, 2, 3]},
        "options": {"expires": 60},
    },
"""
    celery_app.write_text(text.replace("app.conf.beat_schedule = {\n", f"app.conf.beat_schedule = {{{entry}", 1))


def test_a_plain_task_answers(copy, celery_app, tmp_path):
    with start_worker(tmp_path, cwd=copy):
        answer = celery_app.send_task("app.tasks.example.process_data", args=[[1, 2]])
        assert answer.get(timeout=30) == {"status": "success", "processed": 2}


def test_a_plain_task_on_the_schedule_runs_and_its_tick_is_marked_done(copy, celery_app, tmp_path):
    schedule(copy)
    with start_worker(tmp_path, cwd=copy), start_beat(tmp_path, cwd=copy):
        wait_until(done)
    assert done()[0] == ({"status": "success", "processed": 3},)


def done():
    with session_scope() as session:
        return make.rows(session, "SELECT result FROM jobs WHERE key LIKE 'process-data@%' AND state = 'done'")
