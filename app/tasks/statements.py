"""Statement tasks: what comes into the inbox is loaded, and what providers hold is fetched into it.

Both are plain tasks, done at least once: a file is loaded once however often it is met, and the same answers of a day
are the same file. A job's transaction must not wait for files and providers.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import shared_task
from celery.utils.log import get_logger

from app.errors import UnavailableError
from app.settings import get_settings
from app.statements import sources

#: A file that did not change for this long is taken to be complete.
_SETTLING = timedelta(seconds=60)

logger = get_logger(__name__)


@shared_task(name="app.tasks.statements.collect_statements")
def collect_statements() -> dict[str, int]:
    """Load the files in the inbox, `STATEMENTS_DIR`.

    Returns:
        How many were loaded, known and refused, and how many of the loaded have statements that are held back.
    """
    settings = get_settings()
    counts: Counter[str] = Counter(loaded=0, known=0, refused=0, held_back=0)
    for result in sources.collect_inbox(
        settings.statements_dir, settling=_SETTLING, now=datetime.now(UTC), max_bytes=settings.max_statement_bytes
    ):
        counts[result.state] += 1
        counts["held_back"] += bool(result.held)
        reason = sources.reason_file(result.path)
        if result.state == "refused" and reason.exists():
            # Not the reason itself, which may quote the file.
            logger.warning("refused: %s: why is in %s", result.path.name, reason)
        elif result.error:
            logger.warning("%s: %s", result.state, result.error)
        for note in result.notes:
            logger.warning("%s: %s: %s", result.state, result.path.name, note)
    return dict(counts)


@shared_task(name="app.tasks.statements.fetch_statements")
def fetch_statements(provider: str | None = None) -> dict[str, Any]:
    """Fetch the statements of all accounts that the settings name at `plaid`, at `alpaca`, or at both.

    Returns:
        How many were fetched.

    Raises:
        UnavailableError: some could not be fetched; the others are in the inbox. Trying again is what helps most, and
            a person is told when it does not.
    """
    fetched = list(sources.fetch_statements(get_settings(), provider, now=datetime.now(UTC)))
    errors = [one.error for one in fetched if one.error]
    if errors:
        raise UnavailableError("; ".join(errors))
    return {"fetched": len(fetched)}
