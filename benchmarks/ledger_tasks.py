"""The application with the tasks that `benchmarks.ledger` measures: each both as a job of the ledger and plain."""

import celery
from celery import shared_task
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.database import session_scope
from app.tasks import celery_app, job_task

app = celery_app
# Beat is there for the sweep.
app.conf.beat_schedule = {}

#: No key and no constraint, so that a task that runs twice is seen. Whoever listens is told of each commit.
TABLES = """
    CREATE TABLE effects (name text NOT NULL, n bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_notify('effects', NEW.n::text); RETURN NULL; END $$;
    CREATE TRIGGER tell AFTER INSERT ON effects FOR EACH ROW
        WHEN (starts_with(NEW.name, 'told')) EXECUTE FUNCTION tell();
"""
_INSERT = text("INSERT INTO effects (name, n) VALUES (:name, :n)")


@job_task()
def as_job(session: Session, name: str, n: int) -> None:
    """Insert a row, in the transaction of the job."""
    session.execute(_INSERT, {"name": name, "n": n})


@shared_task  # type: ignore[untyped-decorator]
def plain(name: str, n: int) -> None:
    """Insert a row, in a transaction of its own."""
    with session_scope() as session:
        session.execute(_INSERT, {"name": name, "n": n})


@shared_task  # type: ignore[untyped-decorator]
def nothing() -> None:
    """Do nothing, as a plain task of this application."""


@shared_task(base=celery.Task)  # type: ignore[untyped-decorator]
def stock_nothing() -> None:
    """Do nothing, as a task without this application's base."""
