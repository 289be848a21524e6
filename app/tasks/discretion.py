"""What Celery is told of errors and arguments: enough to find them, and nothing that may name a customer.

Celery writes an error's text and traceback into logs, results and events, and arguments into results and events. Texts
of errors that nobody foresaw hold whatever was at hand. They stay in the database, with the job.
"""

import re
from typing import Any

import kombu
from celery import Celery
from celery.app.amqp import AMQP
from celery.exceptions import Retry

from app.errors import AppError
from app.settings import masked_url

#: Not the user in a URL, after its slashes, whose password is masked already.
_E_MAIL = re.compile(r"(?<![\w./+%'-])[\w.+%'-]+@[\w-]+(\.[\w-]+)+")


class UnexpectedError(Exception):
    """An error of another kind, without its text."""


class Connection(kombu.Connection):
    """kombu's connection, whose address may be shown."""

    def info(self) -> dict[str, Any]:
        """Return what Flower and `inspect stats` show; kombu's has the password of a socket's or Sentinel's address."""
        return {name: _masked(value) for name, value in super().info().items()}


class Amqp(AMQP):
    """Celery's way to make connections."""

    Connection = Connection


class DiscreetCelery(Celery):
    """Celery, which tells Flower and results that a task has arguments, and not which."""

    amqp_cls = f"{__name__}:Amqp"

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Send a message; who is told of it is not told its arguments."""
        options.setdefault("argsrepr", "(…)" if args else "()")
        options.setdefault("kwargsrepr", "{…}" if kwargs else "{}")
        return super().send_task(name, args, kwargs, *more, **options)


def discreet(error: Exception, expected: tuple[type[BaseException], ...], kept: str) -> Exception:
    """Return what Celery may tell of an error: our own without e-mail addresses, of any other the type and place.

    Args:
        error: what a task raised.
        expected: what the task says that it raises; its text is for the caller.
        kept: where its text is.
    """
    if isinstance(error, AppError):
        masked = type(error)(*(_E_MAIL.sub("***@***", part) for part in (error.what, error.where, error.hint)))
        return masked.with_traceback(error.__traceback__)
    # The worker itself must hear of a lack of memory.
    if isinstance(error, (MemoryError, *expected)):
        return error
    return UnexpectedError(f"{type(error).__name__}; {kept}").with_traceback(error.__traceback__)


def discreet_retry(retry: Retry, expected: tuple[type[BaseException], ...], kept: str) -> Retry:
    """Return a retry that tells of its reason no more than `discreet` does."""
    reason = discreet(retry.exc, expected, kept) if isinstance(retry.exc, Exception) else None
    return Retry(exc=reason, when=retry.when, is_eager=retry.is_eager, sig=retry.sig)


def _masked(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_masked(each) for each in value]
    return masked_url(value) if isinstance(value, str) and "://" in value else value
