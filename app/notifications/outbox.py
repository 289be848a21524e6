"""Telling those who are to be told: each mail and each message is a job, in the transaction of what it tells of."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from email.utils import make_msgid
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.orm import Session

from app.jobs import enqueue, enqueue_many
from app.notifications.letters import Letter, Severity
from app.notifications.mail import MailingList, checked_address
from app.notifications.models import DigestEntry, Look, Notice, Subscriber, Subscription, TaskFailure
from app.settings import get_settings

logger = logging.getLogger(__name__)

MAIL_TASK = "app.tasks.notifications.send_mail"
CHANNEL_TASK = "app.tasks.notifications.send_to_channel"
MAIL = "mail"


class Category(StrEnum):
    """What a notice is about, which people subscribe to."""

    RECONCILIATION = "reconciliation"
    PRICES = "prices"
    ALERTS = "alerts"
    OPERATIONS = "operations"


def notify(
    session: Session, *, key: str, category: Category, letter: Letter, now: datetime | None = None
) -> int | None:
    """Tell whoever subscribed to it; one notice a key.

    What is told now waits for the end of a reader's quiet hours, unless it is critical. `ADMIN_EMAIL` is told of
    operations, and of what nobody subscribed to. What concerns some alone is told by `notify_each`.

    Args:
        session: the transaction of what it tells of.
        key: what it tells of.
        category: who is told.
        letter: what there is to tell.
        now: the time; the clock's if left out.

    Returns:
        The id of the notice; None if there is one of that key.
    """
    written = letter.as_json()
    notice_id = session.execute(
        insert_or_not(Notice)
        .values(key=key, category=category, letter=written)
        .on_conflict_do_nothing()
        .returning(Notice.id)
    ).scalar_one_or_none()
    if notice_id is None:
        return None
    subscribed = (
        select(Subscriber, Subscription)
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .where(Subscriber.active, Subscription.category == category)
        .order_by(Subscriber.id, Subscription.channel)
    )
    told = [
        Telling(notice_id, person, how, letter, written)
        for person, how in session.execute(subscribed)
        if is_wanted(how, letter)
    ]
    tell(session, category, told, now=now or datetime.now(UTC))
    is_for_admin = category is Category.OPERATIONS or not told
    if is_for_admin and get_settings().admin_email not in {each.person.address for each in told}:
        send(session, f"notice:{notice_id}", letter, channel=MAIL, subscriber=None, category=category)
    return notice_id


@dataclass(frozen=True, slots=True)
class Telling:
    """A notice that somebody gets by one of the ways that they chose."""

    notice_id: int
    person: Subscriber
    how: Subscription
    letter: Letter
    #: The letter as JSON.
    written: dict[str, Any]


def is_wanted(how: Subscription, letter: Letter) -> bool:
    """Whether a letter matters enough to who subscribed so."""
    return letter.severity.rank >= Severity(how.least_severity).rank


def tell(session: Session, category: Category, tellings: Iterable[Telling], *, now: datetime) -> None:
    """Ask for the messages of people and for the entries of their digests, in few statements."""
    entries: list[dict[str, Any]] = []
    jobs: dict[tuple[str, datetime | None], dict[str, dict[str, Any]]] = {}
    for each in tellings:
        is_critical = each.letter.severity is Severity.CRITICAL
        if each.how.delivery == "digest" and not is_critical:
            entry = {"notice_id": each.notice_id, "subscriber_id": each.person.id, "channel": each.how.channel}
            entries.append({**entry, "due_at": next_digest(each.person, now)})
            continue
        message = message_of(
            f"notice:{each.notice_id}:{each.person.id}",
            each.letter,
            channel=each.how.channel,
            subscriber=each.person,
            category=category,
            written=each.written,
        )
        if message is not None:
            due_at = None if is_critical else quiet_until(each.person, now)
            jobs.setdefault((message.task, due_at), {})[message.key] = message.args
    if entries:
        session.execute(insert(DigestEntry), entries)
    for (task, due_at), of_task in jobs.items():
        enqueue_many(session, task, of_task, due_at=due_at)


def send(
    session: Session,
    key: str,
    letter: Letter,
    *,
    channel: str,
    subscriber: Subscriber | None,
    category: Category,
) -> None:
    """Ask for the job of one message; to `ADMIN_EMAIL`, where no subscriber is named.

    Without a mail server no mail is asked for, and the log says so.
    """
    message = message_of(key, letter, channel=channel, subscriber=subscriber, category=category)
    if message is not None:
        enqueue(session, message.task, message.key, message.args)


@dataclass(frozen=True, slots=True)
class Message:
    """The job of one message."""

    task: str
    key: str
    args: dict[str, Any]


def message_of(
    key: str,
    letter: Letter,
    *,
    channel: str,
    subscriber: Subscriber | None,
    category: Category,
    written: dict[str, Any] | None = None,
) -> Message | None:
    """Return the job of one message, see `send`; None of a mail without a mail server, and the log says so.

    `written` is the letter as JSON, where the caller has it.
    """
    settings = get_settings()
    if channel != MAIL:
        args = {"channel": channel, "letter": written or letter.as_json(), "notice_id": key}
        return Message(CHANNEL_TASK, f"{channel}:{key}", args)
    if settings.mail_off_reason is not None:
        # Not the letter, which may name a customer.
        logger.warning("No mail tells of %s: %s", key, settings.mail_off_reason)
        return None
    mailing_list = None
    if subscriber:
        mailing_list = MailingList(category.value, f"unsubscribe {subscriber.name} {category}")
    to = subscriber.address if subscriber else settings.admin_email
    return Message(MAIL_TASK, f"{MAIL}:{key}", mail_args(to, letter, mailing_list, written=written))


def mail_args(
    to: str, letter: Letter, mailing_list: MailingList | None = None, *, written: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the arguments of a job of `MAIL_TASK`; `written` is the letter as JSON, where the caller has it.

    Raises:
        BadInputError: the address can't be used.
    """
    checked_address(to, "to")
    args = {
        "to": to,
        "subject": letter.subject,
        "text": "",
        "message_id": make_msgid(domain=get_settings().mail_domain),
        "letter": written or letter.as_json(),
    }
    return args if mailing_list is None else {**args, "unsubscribe": mailing_list.as_json()}


def count_unsure_mails(session: Session) -> int:
    """Return how many mails, of those whose jobs are kept, a server may have taken twice."""
    return session.scalar(_COUNT_UNSURE, {"task": MAIL_TASK}) or 0


# As `app.tasks.notifications.send_mail` returns it.
_COUNT_UNSURE = text(
    "SELECT count(*) FROM jobs WHERE state = 'done' AND task = :task AND result ->> 'sent_again_unsure' = 'true'"
)


def quiet_until(subscriber: Subscriber, now: datetime) -> datetime | None:
    """Return when a reader's quiet hours end, if `now` is within them."""
    if subscriber.quiet_from is None or subscriber.quiet_to is None:
        return None
    here = now.astimezone(ZoneInfo(subscriber.timezone))
    since, until = subscriber.quiet_from, subscriber.quiet_to
    clock = here.time()
    is_quiet = since <= clock < until if since < until else clock >= since or clock < until
    return _next(until, subscriber.timezone, now) if is_quiet else None


def next_digest(subscriber: Subscriber, now: datetime) -> datetime:
    """Return when a reader's next digest is due, after `now`."""
    return _next(subscriber.digest_at, subscriber.timezone, now)


def _next(clock: time, timezone: str, now: datetime) -> datetime:
    """Return the next moment after `now` at which a clock in a time zone shows a time.

    A time that the clock leaves out is over when it has gone on; of one that it shows twice the first counts.
    """
    zone = ZoneInfo(timezone)
    day = now.astimezone(zone).date()
    moments = (datetime.combine(day + timedelta(days=n), clock, zone).astimezone(UTC) for n in range(3))
    return next(moment for moment in moments if moment > now)


def look_once(session: Session, key: str) -> bool:
    """Return whether something is looked at for the first time; it is not, from then on, if the transaction commits."""
    new = session.execute(insert_or_not(Look).values(key=key).on_conflict_do_nothing().returning(Look.key))
    return new.scalar_one_or_none() is not None


def prune_notices(session: Session, *, older_than: timedelta) -> int:
    """Delete notices, looks, and failures that were counted, of longer ago; return how many notices."""
    limit = func.now() - older_than
    session.execute(delete(Look).where(Look.looked_at < limit))
    session.execute(delete(TaskFailure).where(TaskFailure.happened_at < limit))
    return len(session.scalars(delete(Notice).where(Notice.created_at < limit).returning(Notice.id)).all())
