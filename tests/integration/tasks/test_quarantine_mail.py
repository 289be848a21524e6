"""The mail that tells of doubtful prices, through a real worker and mail server: what an operator needs, and once."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from app.database import session_scope
from tests import factories as make
from tests.waiting import wait_until

SYNC = "app.tasks.reconciliation.sync_market_data"
MAIL = "app.tasks.notifications.send_mail"
HEADER = "date,scheme,identifier,namespace,price,currency\n"


@pytest.fixture
def day() -> date:
    """A day that is over at any exchange."""
    return datetime.now(UTC).date() - timedelta(days=5)


@pytest.fixture
def sync(mail_server, celery_app, worker, tmp_path: Path, monkeypatch):
    """Sync from a file, in a worker."""
    monkeypatch.setenv("ADMIN_EMAIL", "ops@example.com")
    monkeypatch.setenv("PRICES_DIR", str(tmp_path))
    worker()

    def sync(content: str) -> dict[str, int]:
        (tmp_path / "p.csv").write_text(HEADER + content)
        return celery_app.send_task(SYNC).get(timeout=60)

    return sync


def priced(day: date, *codes: str) -> None:
    """Write securities that cost 100 on the day before."""
    with session_scope() as session:
        for code in codes:
            make.price(session, make.security(session, code), day - timedelta(days=1), "100")


def test_it_says_what_is_doubted_why_and_what_to_do(sync, mail_server, day):
    priced(day, "ACME", "LON", "FINE")
    after = day + timedelta(days=1)
    come = sync(
        f"{day},CUSIP,C-LON,,1.01,USD\n{day},CUSIP,C-FINE,,101,USD\n{after},CUSIP,C-ACME,,51,USD\n"
        f"{day},CUSIP,C-ACME,,50,USD\n"
    )
    assert come["doubted"] == 3
    wait_until(lambda: mail_server.taken)
    (mail,) = mail_server.taken
    assert mail.recipients == ["ops@example.com"]
    assert mail.message["Subject"] == "Prices in quarantine: 3 new"
    text = mail.message.get_content()
    with session_scope() as session:
        ids = dict(make.rows(session, "SELECT price::text, id FROM quarantined_prices"))
        started = make.rows(session, "SELECT started_at FROM price_syncs")[0][0]
    split = "it may be a split 2:1, of which nothing is known"
    unit = "it may be in another unit, hundredths for wholes or wholes for hundredths"
    begin = f"Sync 1 of {started:%Y-%m-%d %H:%M} UTC"
    assert text.splitlines() == [
        f"{begin} brought 3 prices to doubt, of 2 securities. In all 3 wait in quarantine.",
        "They count for nothing until somebody accepts them; until then the last price that counts is used.",
        "",
        "ACME",
        f"  {ids['50']}  {day}  50 USD  (files, p.csv, line 5)",
        f"      50 is 0.5 times the close of {day - timedelta(days=1)} (100): {split}",
        f"  {ids['51']}  {after}  51 USD  (files, p.csv, line 4)",
        f"      51 is 0.51 times the close of {day - timedelta(days=1)} (100): {split}",
        "",
        "LON",
        f"  {ids['1.01']}  {day}  1.01 USD  (files, p.csv, line 2)",
        f"      1.01 is 0.0101 times the close of {day - timedelta(days=1)} (100): {unit}",
        "",
        "What counts around one:  python -m app prices quarantine show ID",
        f"It is right:  python -m app prices quarantine accept {ids['50']} --reason TEXT",
        f"It is wrong:  python -m app prices quarantine drop {ids['50']} --reason TEXT",
        "All of them:  python -m app prices quarantine",
        "",
        "Decide the earliest of a security first: later ones that agree with what is accepted count with it.",
    ]


def test_the_same_doubts_again_are_not_mailed_again_and_new_ones_are(sync, mail_server, day):
    priced(day, "ACME", "LON")
    first = f"{day},CUSIP,C-ACME,,50,USD\n"
    assert [sync(first)["doubted"], sync(first)["doubted"]] == [1, 0]
    assert sync(f"{first}{day},CUSIP,C-LON,,50,USD\n")["doubted"] == 1
    wait_until(lambda: len(mail_server.taken) == 2)
    again = mail_server.taken[1].message
    assert again["Subject"] == "Prices in quarantine: 1 new"
    assert "brought 1 price to doubt, of 1 security. In all 2 wait in quarantine." in again.get_content()
    assert "ACME" not in again.get_content()
    with session_scope() as session:
        assert make.rows(session, "SELECT count(*) FROM jobs WHERE task = :task", task=MAIL) == [(2,)]


def test_of_very_many_the_first_of_each_security_are_shown(sync, mail_server, day):
    codes = [f"S-{number:02}" for number in range(25)]
    priced(day - timedelta(days=10), *codes)
    days = [day - timedelta(days=each) for each in range(5)]
    come = sync("".join(f"{each},CUSIP,C-{code},,50,USD\n" for code in codes for each in days))
    assert come["doubted"] == 125
    wait_until(lambda: mail_server.taken)
    text = mail_server.taken[0].message.get_content()
    assert [text.count(f"\n{code}\n") for code in codes] == [1] * 20 + [0] * 5
    assert text.count("… and 2 more of later days") == 20
    assert "\n… and 25 more prices of 5 other securities\n" in text
    assert len(text.splitlines()) < 200
    assert "\n  S-" not in text


def test_a_sync_without_doubts_mails_nothing(sync, mail_server, day):
    priced(day, "FINE")
    assert sync(f"{day},CUSIP,C-FINE,,101,USD\n")["doubted"] == 0
    with session_scope() as session:
        assert make.rows(session, "SELECT 1 FROM jobs WHERE task = :task", task=MAIL) == []
