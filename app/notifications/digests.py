"""Digests: what somebody wants to hear of a category once a day, in one letter."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from app.notifications.letters import Letter, Section
from app.notifications.models import DigestEntry, Notice, Subscriber
from app.notifications.outbox import Category, send

#: Letters whose whole text a digest has; of others the subject.
_MOST_WHOLE = 50
_MOST_NAMED = 500


def send_digests(session: Session, *, now: datetime) -> int:
    """Ask for the digests that are due: one a person, channel and category; return how many.

    Two that look at once find each entry once: the other waits for the first one's transaction.
    """
    due = session.execute(
        select(DigestEntry, Notice.category, Notice.letter, Notice.created_at, Subscriber)
        .join(Notice, Notice.id == DigestEntry.notice_id)
        .join(Subscriber, Subscriber.id == DigestEntry.subscriber_id)
        .where(DigestEntry.asked_at.is_(None), DigestEntry.due_at <= now)
        .order_by(DigestEntry.subscriber_id, DigestEntry.channel, Notice.category, Notice.id)
        .with_for_update(of=DigestEntry)
    ).all()
    number = 0
    for (_, channel, category), group in groupby(
        due, key=lambda row: (row.Subscriber.id, row[0].channel, row.category)
    ):
        entries = list(group)
        subscriber: Subscriber = entries[0].Subscriber
        if subscriber.active:
            newest = entries[-1][0].notice_id
            letter = _digest(Category(category), entries)
            key = f"digest:{subscriber.id}:{category}:{newest}"
            send(session, key, letter, channel=channel, subscriber=subscriber, category=Category(category))
            number += 1
        asked = [entry[0].notice_id for entry in entries]
        session.execute(
            update(DigestEntry)
            .where(
                DigestEntry.subscriber_id == subscriber.id,
                DigestEntry.channel == channel,
                DigestEntry.notice_id.in_(asked),
            )
            .values(asked_at=now)
        )
    return number


def _whose(row: Row[Any]) -> tuple[int, str, str]:
    return row.Subscriber.id, row[0].channel, row.category


def _digest(category: Category, entries: Sequence[Row[Any]]) -> Letter:
    letters = [(Letter.from_json(entry.letter), entry.created_at) for entry in entries]
    if len(letters) == 1:
        return letters[0][0]
    sections: list[Section] = []
    for letter, at in letters[:_MOST_WHOLE]:
        sections.append(Section(heading=letter.subject, paragraphs=(f"{at:%Y-%m-%d %H:%M} UTC", letter.lead)))
        sections += letter.sections
    rest = letters[_MOST_WHOLE:]
    if rest:
        named = tuple(f"{at:%Y-%m-%d %H:%M} UTC: {letter.subject}" for letter, at in rest[:_MOST_NAMED])
        left = (f"and {len(rest) - _MOST_NAMED:,} more",) if len(rest) > _MOST_NAMED else ()
        sections.append(Section(heading=f"{len(rest):,} more", paragraphs=named + left))
    return Letter(
        subject=f"{len(letters):,} notices: {category}",
        lead=f"{len(letters):,} notices about {category} since the last digest.",
        sections=tuple(sections),
        commands=tuple(dict.fromkeys(command for letter, _ in letters[:_MOST_WHOLE] for command in letter.commands)),
        attachments=tuple(file for letter, _ in letters[:_MOST_WHOLE] for file in letter.attachments),
        severity=max((letter.severity for letter, _ in letters), key=lambda severity: severity.rank),
    )
