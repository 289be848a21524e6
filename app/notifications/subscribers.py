"""Who is told of what: adding people, and what they subscribe to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.notifications.letters import Severity
from app.notifications.mail import checked_address
from app.notifications.models import Subscriber, Subscription
from app.notifications.outbox import MAIL, Category
from app.settings import get_settings


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What somebody subscribed to."""

    category: str
    channel: str
    least_severity: str
    delivery: str


@dataclass(frozen=True, slots=True)
class SubscriberView:
    """Somebody, with all that they subscribed to."""

    id: int
    name: str
    address: str
    timezone: str
    quiet_from: time | None
    quiet_to: time | None
    digest_at: time
    active: bool
    subscriptions: list[Subscribed]


def add_subscriber(session: Session, name: str, address: str, **wishes: Any) -> int:
    """Add somebody, and return the id.

    Args:
        session: the transaction.
        name: what commands call them.
        address: where mail goes.
        **wishes: `timezone`, `quiet` (from, to) and `digest_at`, as in `change_subscriber`.

    Raises:
        BadInputError: the name is taken, or something can't be used.
    """
    if not re.fullmatch(r"[\w.@-]{1,100}", name):
        raise BadInputError("a name has letters, digits, dots, dashes and underscores", where=repr(name))
    values = {"name": name, "address": _address(address), **_values(wishes)}
    new = session.execute(
        insert(Subscriber).values(values).on_conflict_do_nothing().returning(Subscriber.id)
    ).scalar_one_or_none()
    if new is None:
        raise BadInputError(
            f"there is somebody called {name}", where="name", hint="`python -m app notifications change` changes them."
        )
    return new


def change_subscriber(session: Session, name: str, *, address: str | None = None, **wishes: Any) -> None:
    """Change where mail of somebody goes, or when.

    Args:
        session: the transaction.
        name: who.
        address: where mail goes.
        **wishes: `timezone`, the name of an IANA time zone; `quiet`, from when to when of its clock only what is
            critical comes, or None; `digest_at`, when digests come; `active`, whether anything does.

    Raises:
        BadInputError: there is nobody of that name, or something can't be used.
    """
    subscriber = find_subscriber(session, name)
    values = _values(wishes) | ({} if address is None else {"address": _address(address)})
    for field, value in values.items():
        setattr(subscriber, field, value)
    session.flush()


def find_subscriber(session: Session, name: str) -> Subscriber:
    """Return somebody by name.

    Raises:
        BadInputError: there is nobody of that name.
    """
    found = session.scalars(select(Subscriber).where(Subscriber.name == name)).one_or_none()
    if found is None:
        raise BadInputError(
            f"there is nobody called {name}", where="name", hint="`python -m app notifications list` has all of them."
        )
    return found


def subscribe(
    session: Session,
    name: str,
    category: Category,
    *,
    channel: str = MAIL,
    least_severity: Severity = Severity.INFO,
    digest: bool = False,
) -> None:
    """Have somebody told of a category by a channel; what was wished of that before is replaced.

    Raises:
        BadInputError: there is nobody of that name, or no such channel.
    """
    subscriber = find_subscriber(session, name)
    channels = get_settings().channels
    if channel != MAIL and channel not in channels:
        there_are = f"There are {', '.join((MAIL, *channels))}." if channels else "There is only mail."
        raise BadInputError(f"NOTIFICATION_CHANNELS names no channel {channel!r}", where="channel", hint=there_are)
    wish = {"least_severity": least_severity, "delivery": "digest" if digest else "now"}
    key = {"subscriber_id": subscriber.id, "category": category, "channel": channel}
    session.execute(
        insert(Subscription).values(**key, **wish).on_conflict_do_update(index_elements=list(key), set_=wish)
    )


def unsubscribe(session: Session, name: str, category: Category, *, channel: str | None = None) -> int:
    """Have somebody told of a category no more; return how many subscriptions that ended.

    Raises:
        BadInputError: there is nobody of that name.
    """
    subscriber = find_subscriber(session, name)
    ended = delete(Subscription).where(Subscription.subscriber_id == subscriber.id, Subscription.category == category)
    if channel is not None:
        ended = ended.where(Subscription.channel == channel)
    return len(session.scalars(ended.returning(Subscription.channel)).all())


def list_subscribers(session: Session) -> Sequence[SubscriberView]:
    """Return all, by name."""
    wishes: dict[int, list[Subscribed]] = {}
    for wish in session.scalars(select(Subscription).order_by(Subscription.category, Subscription.channel)):
        subscribed = Subscribed(wish.category, wish.channel, wish.least_severity, wish.delivery)
        wishes.setdefault(wish.subscriber_id, []).append(subscribed)
    return [
        SubscriberView(
            each.id,
            each.name,
            each.address,
            each.timezone,
            each.quiet_from,
            each.quiet_to,
            each.digest_at,
            each.active,
            wishes.get(each.id, []),
        )
        for each in session.scalars(select(Subscriber).order_by(Subscriber.name))
    ]


def _values(wishes: dict[str, Any]) -> dict[str, Any]:
    values = dict(wishes)
    if "quiet" in values:
        quiet = values.pop("quiet")
        values["quiet_from"], values["quiet_to"] = quiet or (None, None)
        if quiet and quiet[0] == quiet[1]:
            raise BadInputError("quiet hours end when they begin", where="quiet", hint="22:00-07:00, or none.")
    if "timezone" in values:
        try:
            ZoneInfo(values["timezone"])
        except (KeyError, ValueError, OSError):
            raise BadInputError(
                f"there is no time zone {values['timezone']}", where="timezone", hint="Such as Europe/Prague."
            ) from None
    return values


def _address(address: str) -> str:
    checked_address(address, "address")
    return address
