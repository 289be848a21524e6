"""Telling many people something of their own at once: as `notify` tells all the same, in few statements."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.notifications.letters import Letter
from app.notifications.models import Subscriber, Subscription
from app.notifications.outbox import MAIL, Category, Telling, is_wanted, tell


@dataclass(frozen=True, slots=True)
class Own:
    """What one person is told."""

    #: Of the notice: what it tells of.
    key: str
    letter: Letter


def notify_each(session: Session, *, category: Category, letters: Mapping[int, Own], now: datetime) -> dict[int, int]:
    """Tell people what concerns each of them, whether or not they subscribed; one notice a key.

    Args:
        session: the transaction of what it tells of.
        category: by which their subscriptions say how they are told; by mail, where they name no channel.
        letters: by the id of the subscriber.
        now: the time (aware).

    Returns:
        The ids of the notices by that of the subscriber; there is none where there was one of that key.
    """
    written = {person: own.letter.as_json() for person, own in letters.items()}
    rows = [{"key": own.key, "letter": written[person]} for person, own in letters.items()]
    asked = {"category": category, "notices": json.dumps(rows)}
    of_key: dict[str, int] = {row.key: row.id for row in session.execute(_NOTICES, asked)}
    notices = {person: of_key[own.key] for person, own in letters.items() if own.key in of_key}
    people = session.scalars(select(Subscriber).where(Subscriber.active, Subscriber.id.in_(notices))).all()
    channels: dict[int, list[Subscription]] = {}
    for subscription in session.scalars(
        select(Subscription)
        .where(Subscription.category == category, Subscription.subscriber_id.in_(notices))
        .order_by(Subscription.channel)
    ):
        channels.setdefault(subscription.subscriber_id, []).append(subscription)
    tellings = (
        Telling(notices[person.id], person, how, letters[person.id].letter, written[person.id])
        for person in sorted(people, key=lambda person: person.id)
        for how in channels.get(person.id, [_BY_MAIL])
        if is_wanted(how, letters[person.id].letter)
    )
    tell(session, category, tellings, now=now)
    return notices


#: How people are told who did not say.
_BY_MAIL: Final = Subscription(channel=MAIL, delivery="now", least_severity="info")

_NOTICES: Final = text(
    """
    INSERT INTO notices (key, category, letter)
    SELECT n.key, :category, n.letter
    FROM ROWS FROM (json_to_recordset(CAST(:notices AS json)) AS (key text, letter jsonb)) WITH ORDINALITY
        AS n (key, letter, place)
    ORDER BY n.place
    ON CONFLICT DO NOTHING
    RETURNING key, id
    """
)
