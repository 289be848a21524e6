"""Forgetting jobs that ended long ago, so that the ledger stays as large as what happens in some weeks."""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session


def prune_jobs(session: Session, *, older_than: timedelta) -> int:
    """Delete the jobs that ended so long ago, with what people did to them; return how many.

    Parked ones stay until a person decides. The key of a job that is deleted is free: asked for once more, it is a new
    job. Due times of schedules are not, for `schedule_ticks` remembers the last one.
    """
    return int(session.execute(_PRUNE, {"older_than": older_than}).scalar_one())


_PRUNE = text(
    """
    WITH deleted AS (
        DELETE FROM jobs
        WHERE state IN ('done', 'refused', 'expired', 'dropped') AND finished_at < now() - CAST(:older_than AS interval)
        RETURNING 1
    )
    SELECT count(*) FROM deleted
    """
)
