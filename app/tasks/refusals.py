"""Messages that nobody can do: each is refused with one line in the log and counted, and the worker goes on.

By themselves kombu and Celery end a worker at some of them, give the message back to the queue, where it ends the next
worker, and write whole bodies of others into the log.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import kombu.transport
from celery import current_app, signals
from celery.exceptions import NotRegistered
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.request import Context
from kombu.exceptions import InconsistencyError, OperationalError
from kombu.transport import redis as kombu_redis
from kombu.transport.virtual import Empty
from redis.exceptions import RedisError

#: A few numbers in the result backend's Redis, however many messages are refused.
_KEY = "value-partner-refused-messages"
#: After so long without another one they are forgotten.
_KEPT = timedelta(days=7)
_LONGEST_NAME = 200

UNKNOWN = "for a task that no worker knows"
UNREADABLE = "that can't be read"

#: Not kombu's own list, on which KeyError is as well: a worker that reconnects gives up what it is doing.
_CONNECTION_ERRORS = (OSError, RedisError, OperationalError, InconsistencyError)

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many messages were refused, and the last of them."""

    counts: dict[str, int]
    last: str
    last_at: str


def refusals() -> Refusals:
    """Return what was refused, until seven days passed without.

    Raises:
        redis.exceptions.RedisError: the result backend does not answer.
    """
    found = {name.decode(): value.decode() for name, value in current_app.backend.client.hgetall(_KEY).items()}
    counts = {kind: int(found[kind]) for kind in (UNKNOWN, UNREADABLE) if kind in found}
    return Refusals(counts, found.get("last", ""), found.get("last_at", ""))


def refuse(kind: str, what: str) -> None:
    """Log and count a message that is thrown away; `what` has nothing of its body."""
    what = what[:_LONGEST_NAME]
    logger.error("Refused a message %s: %s", kind, what)
    try:
        with current_app.backend.client.pipeline() as pipe:
            pipe.hincrby(_KEY, kind, 1)
            pipe.hset(_KEY, mapping={"last": what, "last_at": datetime.now(UTC).isoformat(timespec="seconds")})
            pipe.expire(_KEY, _KEPT)
            pipe.execute()
    except (RedisError, OSError) as error:
        logger.warning("That could not be counted: %s", error)


class Consumer(CeleryConsumer):
    """Celery's consumer, which refuses what it can't give to a task, and tells nothing of its contents."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Return what takes a message; one that it stumbles over is thrown away, or it would end every worker."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                handle(message)
            except _CONNECTION_ERRORS:
                raise
            except Exception as error:
                self._refuse(message, UNREADABLE, f"it is no task's ({type(error).__name__})")

        return on_task_received

    def on_unknown_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """Refuse a message for a task that is not registered here; who waits for its result is told."""
        about = message.headers if "task" in message.headers else message.payload
        task_id, name = str(about.get("id")), str(about["task"])
        self._refuse(message, UNKNOWN, repr(name))
        self.app.backend.mark_as_failure(task_id, NotRegistered(name), request=Context(id=task_id, task=name))
        if self.event_dispatcher:
            self.event_dispatcher.send("task-failed", uuid=task_id, exception=f"NotRegistered({name!r})")
        signals.task_unknown.send(sender=self, message=message, exc=exc, name=name, id=task_id)

    def on_unknown_message(self, _body: Any, message: Any) -> None:
        """Refuse a message that asks for no task."""
        self._refuse(message, UNREADABLE, f"it asks for no task (content type {message.content_type!r})")
        signals.task_rejected.send(sender=self, message=message, exc=None)

    def on_invalid_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """Refuse a message that is not as a task's must be."""
        self._refuse(message, UNREADABLE, f"{type(exc).__name__} (content type {message.content_type!r})")
        signals.task_rejected.send(sender=self, message=message, exc=exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse a message whose body is not what its content type says, or of one that is not accepted."""
        self._refuse(message, UNREADABLE, f"{type(exc).__name__} (content type {message.content_type!r})")

    def _refuse(self, message: Any, kind: str, what: str) -> None:
        if not message.acknowledged:
            message.reject_log_error(logger, self.connection_errors)
        refuse(kind, what)


class _Lenient:
    """What goes on after an entry of a queue's list that is no message of kombu's."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (Empty, *_CONNECTION_ERRORS):
            raise
        except Exception as error:
            # Redis has given it away, so it will not come again.
            refuse(UNREADABLE, f"it is no message at all ({type(error).__name__})")
            return True


class Channel(_Lenient, kombu_redis.Channel):
    """kombu's, for one Redis."""


class SentinelChannel(_Lenient, kombu_redis.SentinelChannel):
    """kombu's, for a Redis that Sentinel names."""


class Transport(kombu_redis.Transport):
    """kombu's, for one Redis."""

    Channel = Channel


class SentinelTransport(kombu_redis.SentinelTransport):
    """kombu's, for a Redis that Sentinel names."""

    Channel = SentinelChannel


def survive_bad_messages() -> None:
    """From now on let kombu read the lists of this process's queues by the transports of this module."""
    for scheme, name in kombu.transport.TRANSPORT_ALIASES.items():
        module, _, transport = name.partition(":")
        if module == "kombu.transport.redis":
            kombu.transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:{transport}"
