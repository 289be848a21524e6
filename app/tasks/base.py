"""The base of all tasks: how a message finds its job in the ledger, and what happens when a task fails for good."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from inspect import Parameter, signature
from traceback import format_tb
from typing import Any

import celery
from celery import shared_task
from celery.exceptions import Ignore, Retry, TaskPredicate
from celery.utils.log import get_logger
from kombu.utils import json as kombu_json
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.database import session_scope
from app.errors import UnavailableError
from app.jobs import Delivery, Effect, Fate, TakenError, adopt, perform, perform_waiting, postpone
from app.notifications import tell_failure, tell_parked
from app.settings import get_settings
from app.tasks.discretion import discreet, discreet_retry

#: Message headers that name the job and the publish.
JOB_HEADER = "ledger_job"
NUMBER_HEADER = "ledger_number"
#: Before the job's number in the id of its message.
JOB_ID_PREFIX = "job-"

_DATABASE_PAUSE_S = 5
#: Says of a request that its message had no job until it came.
_ADOPTED = "ledger_adopted"
#: Where a plain task's job keeps the arguments that have no name: `*args`. No parameter is called so.
_UNNAMED = "*"

logger = get_logger(__name__)


class Task(celery.Task):
    """What a plain `@shared_task` is here.

    Sent the ordinary way, it runs as Celery runs it. As a schedule's entry it is a job of the ledger, which is
    marked done when the task returns: at least once. So it is when its message comes again, as after a crash: what
    kills its worker each time is counted, and parked in the end.
    """

    #: Errors that park the task's job at once, for trying again can't help. (BadInputError refuses it, as always.)
    dont_retry: tuple[type[Exception], ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task, as the job that its message names if it names one; Celery is told little of an error."""
        if self.request.called_directly:
            return self._call_directly(*args, **kwargs)
        try:
            return self._call(*args, **kwargs)
        except Retry as retry:
            logger.debug("In full:", exc_info=True)
            raise discreet_retry(retry, self.throws, self._text_is()) from None
        except TaskPredicate:
            raise
        except Exception as error:
            logger.debug("In full:", exc_info=True)
            if not self._is_of_the_ledger():
                self._tell_failure_outside(error, args, kwargs)
            raise discreet(error, self.throws, self._text_is()) from None

    def _call_directly(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        delivery, dont_retry = self._delivery(), self.dont_retry
        if delivery is None:
            delivery = self._adopt_again(args, kwargs)
            if delivery is None:
                return self.run(*args, **kwargs)
            # One that fails has failed, as Celery has it; its job can be put back.
            dont_retry = (Exception,)

        def effect(_session: Session, args: dict[str, Any]) -> Any:
            named = kombu_json.loads(json.dumps(args))
            unnamed = named.pop(_UNNAMED, [])
            self._take_arguments(named, unnamed)
            return self.run(*unnamed, **named)

        return self._perform(delivery, effect, idle_timeout=None, dont_retry=dont_retry)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send a message, as Celery does; what the message of a job lacks is not missing."""
        if JOB_HEADER in (options.get("headers") or {}):
            return self.app.send_task(self.name, args, kwargs, task_type=self, **options)
        return super().apply_async(args, kwargs, **options)

    def signature_from_request(self, request: Any = None, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Return what `retry()` sends: of a job its name alone, as its first message had it."""
        if self._delivery() is not None:
            args, kwargs = (), {}
        return super().signature_from_request(request, args, kwargs, **options)

    def _tell_failure_outside(self, error: Exception, args: Any, kwargs: Any) -> None:
        """Mail `ADMIN_EMAIL` that a task outside the ledger failed for good; the ledger sees to its own."""
        if isinstance(error, self.throws):
            return
        try:
            with session_scope() as session:
                tell_failure(
                    session,
                    key=f"task:{self.request.id}",
                    task=self.name,
                    args=_kept_arguments(self, args, kwargs),
                    error=f"{type(error).__name__}: {error}",
                    trace="".join(format_tb(error.__traceback__)),
                )
        except UnavailableError as unavailable:
            logger.error("Nobody can be told that %s failed for good: %s", self.name, unavailable)

    def _text_is(self) -> str:
        """Say where the text of an error is that logs and results don't show."""
        delivery = self._delivery()
        if delivery is not None:
            return f"its text is with job {delivery.job_id}, in last_error"
        return "its text may name customers: it is in the mail to ADMIN_EMAIL, and in a log of level debug"

    def on_parked(self, session: Session, args: dict[str, Any], error: str) -> None:
        """Do what else must happen when a job of this task ends undone, in the transaction that says so."""

    def _delivery(self) -> Delivery | None:
        headers = self.request.headers or {}
        if JOB_HEADER not in headers:
            return None
        redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
        return Delivery(headers[JOB_HEADER], headers[NUMBER_HEADER], redelivered)

    def _is_of_the_ledger(self) -> bool:
        return self._delivery() is not None or self.request.get(_ADOPTED, False)

    def _adopt(self, args: dict[str, Any]) -> Delivery:
        """Make the job of a message that was sent without one (`delay()`, `celery call`)."""
        try:
            with session_scope() as session:
                delivery = adopt(session, self.name, f"task:{self.request.id}", args, queue=self._queue())
        except UnavailableError as error:
            # Until the database answers, this message is all there is of the job.
            raise self.retry(exc=error, countdown=_DATABASE_PAUSE_S, max_retries=None) from error
        self.request.update({_ADOPTED: True})
        return delivery

    def _adopt_again(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Delivery | None:
        """Make the job of a plain task's message that comes again; None if it does not."""
        if self.request.called_directly or not (self.request.delivery_info or {}).get("redelivered"):
            return None
        # As a message has what JSON lacks, a date or a Decimal, so has the job.
        kept = json.loads(kombu_json.dumps(_kept_arguments(self, args, kwargs)))
        return replace(self._adopt(kept), redelivered=True)

    def _queue(self) -> str:
        return str((self.request.delivery_info or {}).get("routing_key") or self.app.conf.task_default_queue)

    def _take_arguments(self, named: dict[str, Any], unnamed: Sequence[Any] = ()) -> None:
        """Make `self.request` say what a job is done with: its row has the arguments, its message does not."""
        self.request.args, self.request.kwargs = list(unnamed), named

    def _perform(
        self,
        delivery: Delivery,
        effect: Effect,
        *,
        idle_timeout: timedelta | None,
        dont_retry: tuple[type[Exception], ...],
    ) -> Any:
        try:
            return perform(
                delivery,
                effect,
                max_attempts=get_settings().jobs_max_attempts,
                idle_timeout=idle_timeout,
                on_failure=self._tell_failure,
                not_failures=(TaskPredicate,),
                dont_retry=dont_retry,
            )
        except TakenError:
            raise Ignore from None
        except Retry as retry:
            # Celery sends the message again by itself.
            pause = retry.when or 0
            postpone(delivery, pause if isinstance(pause, datetime) else datetime.now(UTC) + timedelta(seconds=pause))
            raise

    def _tell_failure(self, session: Session, job: Row[Any], fate: Fate, error: str, trace: str) -> None:
        if fate is Fate.PARKED:
            self.tell_parked(session, job, error, trace)
        elif fate is Fate.REFUSED:
            self.end_undone(session, job, error)

    def end_undone(self, session: Session, job: Row[Any], error: str) -> None:
        """Do what the task asks for when a job of it ends undone; what fails in that is logged."""
        try:
            with session.begin_nested():
                self.on_parked(session, job.args, error)
        except Exception as failure:
            # The job may have ended because its arguments are nonsense; it must end all the same.
            logger.error("What %s does when job %d ends undone failed: %s", self.name, job.id, type(failure).__name__)
            logger.debug("In full:", exc_info=True)

    def tell_parked(self, session: Session, job: Row[Any], error: str, trace: str = "") -> None:
        """Do what must happen when a job of this task is parked: what the task asks for, and the mail."""
        self.end_undone(session, job, error)
        tell_parked(session, job, error, trace)


class JobTask(Task):
    """A task whose effect and mark are one transaction: done once, whatever becomes of its messages."""

    abstract = True
    # The session is an argument that callers do not give.
    typing = False
    # What a killed worker leaves undone comes again by the sweep. A message that is still to be acknowledged would
    # have Celery kill a running job whenever the broker's connection breaks.
    acks_late = False
    reject_on_worker_lost = False
    #: For so many seconds after its own job a message goes on with others that wait; 0 for one job a message.
    with_others_s: float = 0

    def around_others(self, _args: Sequence[dict[str, Any]]) -> AbstractContextManager[None]:
        """Do at once what each of those others would do by itself, given their arguments; they are done within it."""
        return nullcontext()

    def _call_directly(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task in a transaction of its own."""
        with session_scope() as session:
            return self.run(session, *args, **kwargs)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task in the transaction of its job."""

        def effect(session: Session, args: dict[str, Any]) -> Any:
            self._take_arguments(args)
            # Arguments that do not fit are a failure of the job.
            return self.run(session, **args)

        delivery = self._delivery() or self._adopt(named_arguments(self, args, kwargs))
        idle_timeout = timedelta(seconds=get_settings().jobs_idle_timeout_s)
        try:
            result = self._perform(delivery, effect, idle_timeout=idle_timeout, dont_retry=self.dont_retry)
        except Ignore:
            self._do_others(idle_timeout)
            raise
        self._do_others(idle_timeout)
        return result

    def _do_others(self, idle_timeout: timedelta) -> None:
        """Do other jobs of this task, if they are such of which a message costs more than the job.

        What fails here is known to those jobs, and not to the message that led here.
        """
        if not self.with_others_s:
            return

        def effect(session: Session, job_id: int, args: dict[str, Any]) -> Any:
            # As its own message would have it.
            request.update(id=f"{JOB_ID_PREFIX}{job_id}", kwargs=args)
            return self.run(session, **args)

        queue = self._queue()
        self.push_request(args=[])
        request = self.request
        try:
            perform_waiting(
                self.name,
                queue,
                effect,
                seconds=self.with_others_s,
                idle_timeout=idle_timeout,
                max_attempts=get_settings().jobs_max_attempts,
                on_failure=self._tell_failure,
                dont_retry=self.dont_retry,
                stop_at=(UnavailableError,),
                around=self.around_others,
            )
        except Exception as error:
            # They are as they were, and have their messages.
            logger.warning("Other jobs of %s are left to their messages: %s", self.name, type(error).__name__)
            logger.debug("In full:", exc_info=True)
        finally:
            self.pop_request()

    def _tell_failure_outside(self, error: Exception, args: Any, kwargs: Any) -> None:
        """Do nothing: the ledger retries, parks and mails."""

    def _text_is(self) -> str:
        delivery = self._delivery()
        name = f"job {delivery.job_id}" if delivery else f"the job whose key is task:{self.request.id}"
        return f"its text is with {name}, in last_error"


def named_arguments(task: celery.Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a call gives a task by the names of its parameters; a job's session is not among them.

    Raises:
        TypeError: the task takes other arguments, or such that have no name (`*args`).
    """
    parameters = signature(task.run)
    session = [None] if isinstance(task, JobTask) else []
    named: dict[str, Any] = {}
    for name, value in list(parameters.bind(*session, *args, **kwargs).arguments.items())[len(session) :]:
        match parameters.parameters[name].kind:
            case Parameter.VAR_KEYWORD:
                named |= value
            case Parameter.VAR_POSITIONAL | Parameter.POSITIONAL_ONLY:
                raise TypeError(f"{name} has no name that a job could keep it by")
            case _:
                named[name] = value
    return named


def _kept_arguments(task: celery.Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by their names, by which secrets are known, and those that have none as a list beside them."""
    try:
        return named_arguments(task, args, kwargs)
    except TypeError:
        return {**({_UNNAMED: list(args)} if args else {}), **kwargs}


def job_task(**options: Any) -> Callable[[Callable[..., Any]], JobTask]:
    """Declare a task of the ledger: a function whose first parameter is the transaction's session.

    Whatever the function writes through the session is committed with the mark that its job is done, or not at
    all. It must return a small JSON object (or None), and must not commit. Parameters after the session are what
    callers give; they must fit JSON and may only grow, with defaults, for messages of the last release are still
    on their way when the next one starts.

    Args:
        **options: options of `celery.shared_task`; `dont_retry`, a tuple of errors that park a job at once;
            `on_parked(task, session, args, error)`, called in the transaction in which a job ends undone: parked,
            refused, or dropped before it was tried; and `with_others_s`, for jobs so small that a message costs more:
            seconds for which a message goes on with others that wait, a few dozen in a transaction. Such a task writes
            nothing before it knows that it will not fail.
    """
    return shared_task(base=JobTask, **options)  # type: ignore[no-any-return]
