"""The application as it runs at night, with a tick a second whose effects can be counted; its clock may be wrong."""

import os
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Self

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.tasks import celery_app, job_task, scheduler

app = celery_app
nightly = app.conf.beat_schedule["reconcile-accounts-daily"]
app.conf.beat_schedule = {
    # Worth making up for a day, so that it is at any hour.
    "reconcile-accounts-daily": {**nightly, "options": {"expires": 24 * 3600}},
    "tick": {"task": "tests.apps.night.tick", "schedule": timedelta(seconds=1), "options": {"expires": 300}},
}

_WRONG_BY = timedelta(seconds=float(os.environ.get("CLOCK_WRONG_BY_S", "0")))


class _Clock(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp((datetime.now(UTC) + _WRONG_BY).timestamp(), tz)


if _WRONG_BY:
    scheduler.datetime = _Clock  # all that beat knows of the time


@job_task(bind=True, name="tests.apps.night.tick")
def tick(self: Any, session: Session) -> dict[str, str]:
    """Write an effect that tells which job it was; a job that has two shows."""
    session.execute(text("INSERT INTO ticks (job) VALUES (:job)"), {"job": self.request.id})
    return {"job": self.request.id}
