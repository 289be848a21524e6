"""What a worker loads once, before it forks: each of its children would otherwise spend seconds on it."""

from celery.signals import worker_init
from celery.utils.log import get_logger
from sqlalchemy import select

from app.book import Account
from app.calendars import preload
from app.database import get_engine, session_scope

logger = get_logger(__name__)


@worker_init.connect
def load_calendars(**_: object) -> None:
    """Build the calendars of the accounts; without a database, the most common one."""
    calendars: list[str] = []
    try:
        with session_scope() as session:
            calendars = list(session.scalars(select(Account.calendar).distinct()))
        get_engine().dispose()
    except Exception as error:
        logger.warning("The accounts' calendars are loaded when they are needed (%s)", error)
    preload(calendars)
