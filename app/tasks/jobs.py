"""Tasks that keep the ledger of jobs itself."""

from datetime import timedelta

from sqlalchemy.orm import Session

from app import jobs
from app.notifications import prune_notices
from app.settings import get_settings
from app.tasks.base import job_task


@job_task(name="app.tasks.jobs.prune_jobs")
def prune_jobs(session: Session) -> dict[str, int]:
    """Delete the jobs that ended more than `JOBS_HISTORY_DAYS` ago, and the notices of before that.

    Returns:
        How many jobs were `deleted`, and how many `notices`.
    """
    older_than = timedelta(days=get_settings().jobs_history_days)
    deleted = jobs.prune_jobs(session, older_than=older_than)
    return {"deleted": deleted, "notices": prune_notices(session, older_than=older_than)}
