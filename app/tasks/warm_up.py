"""What a worker loads once, before it forks: each of its children would otherwise spend seconds on it."""

import os
import sys

from celery.signals import worker_init
from celery.utils.log import get_logger
from sqlalchemy import select

from app.book import Account
from app.calendars import preload
from app.database import get_engine, session_scope
from app.errors import BadInputError
from app.notifications import channel_schemes, check_channel
from app.settings import get_settings

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


@worker_init.connect
def load_channels(**_: object) -> None:
    """Load what the channels need that are no webhooks of ours; end the start where one can't be used."""
    settings = get_settings()
    problems = []
    for name, scheme in channel_schemes(settings).items():
        if scheme in {"https", "http"}:
            continue
        try:
            check_channel(settings, name)
        except BadInputError as error:
            problems.append(str(error))
    if problems:
        # There is no log yet.
        print(*problems, sep="\n", file=sys.stderr)
        sys.exit(os.EX_CONFIG)
