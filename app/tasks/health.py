"""What a person wants to know of the servers behind the Celery application, and of its schedule, asked through it."""

import time
from dataclasses import dataclass
from datetime import datetime

from celery.beat import NODENAME_DEFAULT
from redis import Redis
from redis.exceptions import NoPermissionError

from app.errors import UnavailableError
from app.settings import get_settings
from app.tasks.celery_app import app
from app.tasks.publisher import SILENT, broker_connection
from app.tasks.scheduler import newest_dues


@dataclass(frozen=True, slots=True)
class RedisHealth:
    """A Redis that answered."""

    #: None where its access rules keep INFO from us.
    version: str | None
    #: How long a question and its answer took.
    latency_s: float
    #: The policy by which it throws data away when its memory is full, if it does that at all.
    evicts_by: str | None


def check_broker() -> RedisHealth:
    """Ask the broker how it is.

    Raises:
        UnavailableError: it does not answer; the message names its address without the password.
    """
    try:
        with broker_connection() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
            return _ask(connection.default_channel.client)
    except SILENT as error:
        raise UnavailableError(
            f"the broker does not answer ({error})",
            where=str(get_settings().celery_broker_url),
            hint="Check that Redis runs there and that CELERY_BROKER_URL names it with the right password.",
        ) from error


def check_result_backend() -> RedisHealth:
    """Ask the result backend how it is.

    Raises:
        UnavailableError: it does not answer; the message names its address without the password.
    """
    try:
        return _ask(app.backend.client)
    except SILENT as error:
        raise UnavailableError(
            f"the result backend does not answer ({error})",
            where=str(get_settings().celery_result_backend),
            hint="Check that Redis runs there and that CELERY_RESULT_BACKEND names it with the right password.",
        ) from error


def has_worker(*, timeout_s: float = 1) -> bool:
    """Say whether any worker answers within the time.

    Raises:
        UnavailableError: the broker does not answer.
    """
    return bool(answering_workers(timeout_s=timeout_s))


def answering_workers(*, timeout_s: float = 1) -> list[str]:
    """Return the names of the workers that answer; takes the whole time, for there may always be one more.

    Raises:
        UnavailableError: the broker does not answer.
    """
    try:
        replies = app.control.ping(timeout=timeout_s)
    except SILENT as error:
        raise UnavailableError(
            f"the broker does not answer ({error})", where=str(get_settings().celery_broker_url)
        ) from error
    # Beat answers too, by this name.
    return sorted(name for reply in replies for name in reply if not name.startswith(f"{NODENAME_DEFAULT}@"))


def due_times(at: datetime) -> dict[str, datetime]:
    """Return what was due last on the schedule at a time (aware), by each entry's name."""
    return newest_dues(app, at)


def _ask(client: Redis) -> RedisHealth:
    client.ping()  # connects, which is not to be timed
    begin = time.perf_counter()
    client.ping()
    latency_s = time.perf_counter() - begin
    try:
        info = client.info()
    except NoPermissionError:
        return RedisHealth(None, latency_s, None)
    policy = str(info.get("maxmemory_policy", "noeviction"))
    evicts = bool(info.get("maxmemory")) and policy != "noeviction"
    return RedisHealth(str(info["redis_version"]), latency_s, policy if evicts else None)
