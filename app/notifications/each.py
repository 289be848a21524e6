"""Telling many people something of their own at once: as `notify` does for one, in few statements."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from app.jobs import enqueue_many
from app.notifications.letters import Letter, Severity
from app.notifications.models import DigestEntry, Subscriber, Subscription
from app.notifications.outbox import MAIL, Category, message_of, next_digest, quiet_until


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
    entries = []
    jobs: dict[tuple[str, datetime | None], dict[str, dict[str, Any]]] = {}
    for person in sorted(people, key=lambda person: person.id):
        letter, notice_id = letters[person.id].letter, notices[person.id]
        is_critical = letter.severity is Severity.CRITICAL
        quiet = None if is_critical else quiet_until(person, now)
        for how in channels.get(person.id, [Subscription(channel=MAIL, delivery="now", least_severity="info")]):
            if letter.severity.rank < Severity(how.least_severity).rank:
                continue
            if how.delivery == "digest" and not is_critical:
                entry = {"notice_id": notice_id, "subscriber_id": person.id, "channel": how.channel}
                entries.append({**entry, "due_at": next_digest(person, now)})
                continue
            key = f"notice:{notice_id}:{person.id}"
            message = message_of(
                key,
                letter,
                channel=how.channel,
                subscriber=person,
                category=category,
                written=written[person.id],
            )
            if message is not None:
                jobs.setdefault((message.task, quiet), {})[message.key] = message.args
    if entries:
        session.execute(insert(DigestEntry), entries)
    for (task, due_at), of_task in jobs.items():
        enqueue_many(session, task, of_task, due_at=due_at)
    return notices


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
