"""Telling many people at once is as telling each by itself: channels, digests, quiet hours, once a key."""

from datetime import UTC, datetime, time

import pytest
from sqlalchemy import insert

from app.jobs.models import Job
from app.notifications import Category, Letter, Own, Severity, notify_each
from app.notifications.models import DigestEntry, Subscription
from app.settings import get_settings
from tests import factories as make
from tests.integration.alerts.rules import person

#: In the quiet hours of who has some.
NOW = datetime(2026, 3, 10, 23, 0, tzinfo=UTC)


@pytest.fixture
def people(session, monkeypatch):
    monkeypatch.setenv("EMAIL_HOST", "mail.example")
    monkeypatch.setenv("ADMIN_EMAIL", "ops@example.com")
    monkeypatch.setenv("SERVER_EMAIL", "engine@example.com")
    get_settings.cache_clear()
    quiet = {"quiet_from": time(22), "quiet_to": time(7)}
    ids = {
        "plain": person(session, "plain"),
        "quiet": person(session, "quiet", **quiet),
        "digest": person(session, "digest", digest_at=time(6)),
        "both": person(session, "both", **quiet),
        "choosy": person(session, "choosy"),
        "gone": person(session, "gone", active=False),
    }
    for name, channel, delivery, least in (
        ("digest", "mail", "digest", "info"),
        ("both", "mail", "now", "info"),
        ("both", "team", "now", "warning"),
        ("choosy", "mail", "now", "critical"),
    ):
        session.execute(
            insert(Subscription).values(
                subscriber_id=ids[name], category="alerts", channel=channel, delivery=delivery, least_severity=least
            )
        )
    return ids


def asked(session):
    """Return what was asked for, but for what is a new number each time."""
    jobs = make.rows(session, "SELECT task, args, due_at FROM jobs")
    messages = sorted(
        (job.task, job.args.get("to") or job.args["channel"], job.args["letter"]["subject"], job.due_at) for job in jobs
    )
    digests = make.rows(session, "SELECT subscriber_id, channel, due_at FROM digest_entries ORDER BY subscriber_id")
    return [(*message[:3], message[3] if message[3] > NOW else "now") for message in messages], digests


@pytest.mark.parametrize("severity", Severity)
def test_it_is_as_telling_each_by_itself(session, people, severity):
    letters = {
        person_id: Own(f"key:{name}", Letter(f"For {name}", "lead", severity=severity))
        for name, person_id in people.items()
    }
    told = notify_each(session, category=Category.ALERTS, letters=letters, now=NOW)
    assert set(told) == set(people.values())
    at_once = asked(session)
    for model in (DigestEntry, Job):
        session.execute(model.__table__.delete())
    for person_id, own in letters.items():
        again = {person_id: Own(f"again:{own.key}", own.letter)}
        notify_each(session, category=Category.ALERTS, letters=again, now=NOW)
    assert asked(session) == at_once
    assert at_once[0] or at_once[1]


def test_what_was_told_before_is_not_told_again(session, people):
    letters = {people["plain"]: Own("key", Letter("One", "lead"))}
    assert len(notify_each(session, category=Category.ALERTS, letters=letters, now=NOW)) == 1
    letters[people["quiet"]] = Own("other", Letter("Two", "lead"))
    assert list(notify_each(session, category=Category.ALERTS, letters=letters, now=NOW)) == [people["quiet"]]
    assert len(asked(session)[0]) == 2
