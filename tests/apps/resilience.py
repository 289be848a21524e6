"""The application with tasks that die, wait and sleep, as a test of what a worker survives wants them."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import shared_task
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.tasks import celery_app, job_task
from tests.waiting import wait_until

app = celery_app
app.conf.beat_schedule = {}

_FOR_EVER_S = 600


def _write(session: Session, what: str) -> dict[str, Any]:
    """Leave an effect, and say which process it is of."""
    session.execute(text("INSERT INTO users (login) VALUES (:login)"), {"login": what})
    return {"pid": os.getpid(), "parent": os.getppid()}


def _note(folder: str, name: str) -> Path:
    """Leave a line with this process's number in a file, which no rollback takes away."""
    path = Path(folder) / name
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return path


@job_task()
def work(session: Session, name: str) -> dict[str, Any]:
    """Leave an effect."""
    return _write(session, name)


@job_task()
def meet(session: Session, name: str, folder: str, number: int) -> dict[str, Any]:
    """Leave an effect once so many are here at the same time, each in a child of its own."""
    _note(folder, name)
    wait_until(lambda: len(list(Path(folder).iterdir())) >= number, timeout=_FOR_EVER_S)
    return _write(session, name)


@job_task()
def die(session: Session, folder: str) -> dict[str, Any]:
    """Kill the process, until the cure is there."""
    _note(folder, "begun")
    done = _write(session, "died")
    if not (Path(folder) / "cured").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return done


@shared_task
def die_plainly(folder: str) -> dict[str, str]:
    """Kill the process, until the cure is there; a task that knows nothing of the ledger."""
    _note(folder, "begun")
    if not (Path(folder) / "cured").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    _note(folder, "done")
    return {}


@shared_task
def die_once_of_anything(folder: str, /, *rest: Any, **named: Any) -> None:
    """Kill the process the first time, and note the second with which arguments."""
    if len(_note(folder, "begun").read_text().split()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    (Path(folder) / "given").write_text(repr((rest, sorted(named.items()))))


@shared_task
def fail_plainly(folder: str) -> None:
    """Kill the process the first time, and fail the second."""
    if len(_note(folder, "begun").read_text().split()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError("no second chance")


@job_task(soft_time_limit=1)
def wait_in_database(session: Session, folder: str) -> None:
    """Leave an effect, and wait in a query for longer than it may."""
    _note(folder, "begun")
    _write(session, "waited")
    session.execute(text(f"SELECT pg_sleep({_FOR_EVER_S})"))


@job_task(soft_time_limit=1)
def wait_in_copy(session: Session, folder: str) -> None:
    """Leave an effect, and wait in a COPY, which goes by SQLAlchemy, for longer than it may."""
    _note(folder, "begun")
    _write(session, "waited")
    connection = session.connection().connection.driver_connection
    with connection.cursor() as cursor, cursor.copy(f"COPY (SELECT pg_sleep({_FOR_EVER_S})) TO STDOUT") as copy:
        copy.read()


@job_task(soft_time_limit=1)
def wait_in_python(session: Session, folder: str) -> None:
    """Leave an effect, and wait outside of the database for longer than it may."""
    _note(folder, "begun")
    _write(session, "waited")
    time.sleep(_FOR_EVER_S)


@job_task(time_limit=1)
def run_on(session: Session, folder: str) -> dict[str, Any]:
    """Leave an effect, and wait in a query for longer than anything may, until the cure is there."""
    _note(folder, "begun")
    done = _write(session, "ran on")
    if not (Path(folder) / "cured").exists():
        session.execute(text(f"SELECT pg_sleep({_FOR_EVER_S})"))
    return done


@job_task()
def hold(session: Session, folder: str) -> dict[str, Any]:
    """Leave an effect, and wait outside of the database until it is let go."""
    _note(folder, "begun")
    done = _write(session, f"held by {os.getpid()}")
    wait_until((Path(folder) / "let_go").exists, timeout=_FOR_EVER_S)
    return done
