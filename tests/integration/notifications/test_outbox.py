"""Who is told: whoever subscribed, by the channel and at the time that they chose, once."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.errors import BadInputError
from app.notifications import (
    Category,
    Letter,
    Own,
    Section,
    Severity,
    add_subscriber,
    change_subscriber,
    list_subscribers,
    notify,
    notify_each,
    prune_notices,
    send_digests,
    subscribe,
    unsubscribe,
)
from app.notifications.models import Subscriber
from app.notifications.outbox import next_digest, quiet_until
from app.settings import get_settings
from tests import factories as make

#: Noon in Prague, in summer.
NOON = datetime(2026, 7, 1, 10, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _mail(database, monkeypatch):
    for name, value in {
        "EMAIL_HOST": "127.0.0.1",
        "ADMIN_EMAIL": "admin@example.com",
        "NOTIFICATION_CHANNELS": "desk=json://127.0.0.1/letters",
        "SERVER_EMAIL": "Value Partner <engine@example.com>",
    }.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()


def letter(severity: Severity = Severity.INFO, subject: str = "Something happened") -> Letter:
    return Letter(subject=subject, lead=f"{subject}, indeed.", severity=severity)


def tell(session, key: str = "it", *, category: Category = Category.PRICES, now=NOON, **values):
    return notify(session, key=key, category=category, letter=letter(**values), now=now)


def mails(session):
    return make.rows(
        session,
        "SELECT coalesce(args ->> 'to', args ->> 'channel'), due_at FROM jobs ORDER BY id",
    )


def told(session):
    return [to for to, _ in mails(session)]


def test_what_nobody_subscribed_to_goes_to_the_administrator(session):
    assert tell(session) is not None
    assert told(session) == ["admin@example.com"]


def test_the_same_key_again_tells_nobody_again(session):
    add_subscriber(session, "ann", "ann@example.com")
    subscribe(session, "ann", Category.PRICES)
    assert tell(session) is not None
    assert tell(session) is None
    assert told(session) == ["ann@example.com"]


def test_what_is_rolled_back_is_told_to_nobody(session):
    tell(session)
    session.rollback()
    assert mails(session) == []
    assert tell(session) is not None


def test_subscribers_are_told_of_what_they_subscribed_to_and_that_matters_enough(session):
    for name in ("ann", "bob", "cyd"):
        add_subscriber(session, name, f"{name}@example.com")
    subscribe(session, "ann", Category.PRICES)
    subscribe(session, "bob", Category.PRICES, least_severity=Severity.CRITICAL)
    subscribe(session, "cyd", Category.RECONCILIATION)
    tell(session, severity=Severity.WARNING)
    assert told(session) == ["ann@example.com"]
    tell(session, "worse", severity=Severity.CRITICAL)
    assert told(session)[1:] == ["ann@example.com", "bob@example.com"]


def test_one_person_may_be_told_by_several_channels_each_from_another_severity_on(session):
    add_subscriber(session, "ann", "ann@example.com")
    subscribe(session, "ann", Category.PRICES)
    subscribe(session, "ann", Category.PRICES, channel="desk", least_severity=Severity.CRITICAL)
    tell(session)
    tell(session, "worse", severity=Severity.CRITICAL)
    assert told(session) == ["ann@example.com", "desk", "ann@example.com"]


def test_the_administrator_is_told_of_operations_whoever_else_is(session):
    add_subscriber(session, "ann", "ann@example.com")
    subscribe(session, "ann", Category.OPERATIONS)
    tell(session, category=Category.OPERATIONS)
    assert sorted(told(session)) == ["admin@example.com", "ann@example.com"]
    add_subscriber(session, "root", "admin@example.com")
    subscribe(session, "root", Category.OPERATIONS)
    tell(session, "again", category=Category.OPERATIONS)
    assert sorted(told(session)[2:]) == ["admin@example.com", "ann@example.com"]


def test_whom_it_concerns_is_told_without_a_subscription_and_nobody_else(session):
    ann = add_subscriber(session, "ann", "ann@example.com")
    bob = add_subscriber(session, "bob", "bob@example.com")
    add_subscriber(session, "cyd", "cyd@example.com")
    subscribe(session, "bob", Category.ALERTS, channel="desk")
    subscribe(session, "cyd", Category.ALERTS)
    own = {person: Own(f"it:{person}", letter()) for person in (ann, bob)}
    notify_each(session, category=Category.ALERTS, letters=own, now=NOON)
    assert sorted(told(session)) == ["ann@example.com", "desk"]


def test_who_is_not_active_is_told_nothing(session):
    ann = add_subscriber(session, "ann", "ann@example.com")
    subscribe(session, "ann", Category.PRICES)
    change_subscriber(session, "ann", active=False)
    notify_each(session, category=Category.PRICES, letters={ann: Own("own", letter())}, now=NOON)
    assert told(session) == []
    tell(session, "for all")
    assert told(session) == ["admin@example.com"]


def test_in_quiet_hours_a_mail_waits_for_their_end_unless_it_is_critical(session):
    add_subscriber(session, "ann", "ann@example.com", timezone="Europe/Prague", quiet=(time(22), time(7)))
    subscribe(session, "ann", Category.PRICES)
    late = datetime(2026, 7, 1, 21, 30, tzinfo=UTC)
    tell(session, now=late)
    tell(session, "critical", now=late, severity=Severity.CRITICAL)
    ((_, waits), (_, goes)) = mails(session)
    assert waits == datetime(2026, 7, 2, 5, 0, tzinfo=UTC)
    assert goes == session.execute(select(func.now())).scalar_one()


def test_a_mail_says_how_to_get_no_more_of_them_and_one_to_the_administrator_does_not(session):
    add_subscriber(session, "ann", "ann@example.com")
    subscribe(session, "ann", Category.PRICES)
    tell(session)
    tell(session, "other", category=Category.ALERTS)
    wishes = make.rows(session, "SELECT args -> 'unsubscribe' FROM jobs ORDER BY id")
    assert wishes == [({"list": "prices", "subject": "unsubscribe ann prices"},), (None,)]


def test_each_message_has_an_id_of_its_own_in_our_domain(session):
    tell(session)
    tell(session, "other")
    ids = [each for (each,) in make.rows(session, "SELECT args ->> 'message_id' FROM jobs")]
    assert len(set(ids)) == 2
    assert all(each.endswith("@example.com>") for each in ids)


# Digests


def digests(session, now):
    number = send_digests(session, now=now)
    session.commit()
    return number


def test_a_digest_is_one_mail_a_person_and_category_at_the_time_that_they_chose(session):
    add_subscriber(session, "ann", "ann@example.com", timezone="Europe/Prague", digest_at=time(7, 30))
    add_subscriber(session, "bob", "bob@example.com")
    for name in ("ann", "bob"):
        for category in (Category.PRICES, Category.ALERTS):
            subscribe(session, name, category, digest=True)
    for number in range(3):
        tell(session, f"price {number}", subject=f"Price {number}")
    tell(session, "alert", category=Category.ALERTS, subject="Alert")
    assert mails(session) == []

    morning = datetime(2026, 7, 2, 5, 30, tzinfo=UTC)
    assert digests(session, morning - timedelta(seconds=1)) == 0
    assert digests(session, morning) == 2
    assert digests(session, morning) == 0
    assert told(session) == ["ann@example.com"] * 2
    letters = [each for (each,) in make.rows(session, "SELECT args -> 'letter' FROM jobs ORDER BY id")]
    assert [each["subject"] for each in letters] == ["Alert", "3 notices: prices"]
    assert [section["heading"] for section in letters[1]["sections"]] == ["Price 0", "Price 1", "Price 2"]
    assert digests(session, datetime(2026, 7, 2, 7, 0, tzinfo=UTC)) == 2
    assert told(session)[2:] == ["bob@example.com"] * 2


def test_what_is_critical_waits_for_no_digest(session):
    add_subscriber(session, "ann", "ann@example.com")
    subscribe(session, "ann", Category.PRICES, digest=True)
    tell(session, severity=Severity.CRITICAL)
    assert told(session) == ["ann@example.com"]
    assert digests(session, NOON + timedelta(days=2)) == 0


def test_a_digest_of_very_many_has_the_first_ones_whole_and_names_the_others(session):
    add_subscriber(session, "ann", "ann@example.com")
    subscribe(session, "ann", Category.PRICES, digest=True)
    for number in range(60):
        tell(session, f"price {number}", subject=f"Price {number}")
    digests(session, NOON + timedelta(days=1))
    ((sections,),) = make.rows(session, "SELECT args -> 'letter' -> 'sections' FROM jobs")
    assert len(sections) == 51
    assert sections[50]["heading"] == "10 more"
    assert [line.split(": ")[1] for line in sections[50]["paragraphs"]] == [
        f"Price {number}" for number in range(50, 60)
    ]


def test_a_digest_keeps_what_its_letters_have(session):
    add_subscriber(session, "ann", "ann@example.com")
    subscribe(session, "ann", Category.PRICES, digest=True)
    for number in range(2):
        whole = Letter(
            f"Price {number}", "It is odd.", (Section("Why", ("It jumped.",)),), (("Look", "python -m app prices"),),
            severity=(Severity.INFO, Severity.WARNING)[number],
        )  # fmt: skip
        notify(session, key=str(number), category=Category.PRICES, letter=whole, now=NOON)
    digests(session, NOON + timedelta(days=1))
    ((found,),) = make.rows(session, "SELECT args -> 'letter' FROM jobs")
    assert [section["heading"] for section in found["sections"]] == ["Price 0", "Why", "Price 1", "Why"]
    assert found["commands"] == [["Look", "python -m app prices"]]
    assert found["severity"] == "warning"


def test_who_left_gets_no_digest(session):
    add_subscriber(session, "ann", "ann@example.com")
    subscribe(session, "ann", Category.PRICES, digest=True)
    tell(session)
    change_subscriber(session, "ann", active=False)
    assert digests(session, NOON + timedelta(days=1)) == 0
    change_subscriber(session, "ann", active=True)
    assert digests(session, NOON + timedelta(days=1)) == 0


def test_old_notices_go_and_new_ones_stay(session):
    tell(session, "old")
    tell(session, "new")
    make.rows(session, "UPDATE notices SET created_at = now() - interval '31 days' WHERE key = 'old' RETURNING 1")
    assert prune_notices(session, older_than=timedelta(days=30)) == 1
    assert make.rows(session, "SELECT key FROM notices") == [("new",)]


# Times


ZONES = st.sampled_from(["UTC", "Europe/Prague", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
CLOCKS = st.times().map(lambda clock: clock.replace(second=0, microsecond=0))
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@given(ZONES, CLOCKS, MOMENTS)
def test_the_next_digest_is_within_a_day_or_the_hour_that_a_clock_is_moved_by(zone, clock, now):
    due = next_digest(Subscriber(timezone=zone, digest_at=clock), now)
    assert timedelta(0) < due - now <= timedelta(hours=25)


@given(ZONES, CLOCKS, CLOCKS, MOMENTS)
def test_quiet_hours_end_when_they_are_over_and_it_is_quiet_until_then(zone, since, until, now):
    if since == until:
        return
    someone = Subscriber(timezone=zone, quiet_from=since, quiet_to=until)
    end = quiet_until(someone, now)
    if end is not None:
        assert timedelta(0) < end - now <= timedelta(hours=25)
        assert quiet_until(someone, end) is None


def test_a_clock_that_is_moved_moves_the_digest_with_it():
    someone = Subscriber(timezone="Europe/Prague", digest_at=time(7))
    assert next_digest(someone, datetime(2026, 3, 28, 12, tzinfo=UTC)) == datetime(2026, 3, 29, 5, tzinfo=UTC)
    assert next_digest(someone, datetime(2026, 10, 24, 12, tzinfo=UTC)) == datetime(2026, 10, 25, 6, tzinfo=UTC)


# People


def test_what_can_not_be_used_is_refused(session):
    add_subscriber(session, "ann", "ann@example.com")
    for values, words in [
        ({"name": "ann"}, "there is somebody called ann"),
        ({"name": "bob smith"}, "a name has letters"),
        ({"address": "nowhere"}, "is not one e-mail address"),
        ({"address": "a@example.com\nBcc: thief@example.com"}, "is not one e-mail address"),
        ({"timezone": "Mars/Olympus"}, "no time zone Mars/Olympus"),
        ({"quiet": (time(7), time(7))}, "end when they begin"),
    ]:
        with pytest.raises(BadInputError, match=words):
            add_subscriber(session, **{"name": "bob", "address": "bob@example.com", **values})
    with pytest.raises(BadInputError, match="nobody called bob"):
        subscribe(session, "bob", Category.PRICES)
    with pytest.raises(BadInputError, match="names no channel 'dsek'"):
        subscribe(session, "ann", Category.PRICES, channel="dsek")
    assert [each.name for each in list_subscribers(session)] == ["ann"]


def test_a_subscription_is_replaced_and_ended(session):
    add_subscriber(session, "ann", "ann@example.com")
    subscribe(session, "ann", Category.PRICES)
    subscribe(session, "ann", Category.PRICES, least_severity=Severity.WARNING, digest=True)
    subscribe(session, "ann", Category.PRICES, channel="desk")
    (ann,) = list_subscribers(session)
    assert [(each.channel, each.least_severity, each.delivery) for each in ann.subscriptions] == [
        ("desk", "info", "now"),
        ("mail", "warning", "digest"),
    ]
    assert unsubscribe(session, "ann", Category.PRICES, channel="desk") == 1
    assert unsubscribe(session, "ann", Category.PRICES) == 1
    assert unsubscribe(session, "ann", Category.PRICES) == 0
