"""The mail that tells of doubtful prices, through a real worker and mail server: what an operator needs, and once."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from app.database import session_scope
from tests import factories as make
from tests.letters import words
from tests.waiting import wait_until

SYNC = "app.tasks.reconciliation.sync_market_data"
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
    # The newest price is five days old.
    monkeypatch.setenv("PRICE_COVERAGE_LIMIT", "0")
    worker()

    def sync(content: str) -> dict[str, int]:
        (tmp_path / "p.csv").write_text(HEADER + content)
        return celery_app.send_task(SYNC).get(timeout=60)

    return sync


def letters():
    with session_scope() as session:
        return [
            letter
            for (letter,) in make.rows(session, "SELECT letter FROM notices WHERE key LIKE 'quarantine:%' ORDER BY id")
        ]


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
    with session_scope() as session:
        ids = dict(make.rows(session, "SELECT price::text, id FROM quarantined_prices"))
        started = make.rows(session, "SELECT started_at FROM price_syncs")[0][0]
    (letter,) = letters()
    split = "it may be a split 2:1, of which nothing is known"
    unit = "it may be in another unit, hundredths for wholes or wholes for hundredths"
    assert letter["lead"] == (
        f"Sync 1 of {started:%Y-%m-%d %H:%M} UTC brought 3 prices to doubt, of 2 securities. In all 3 wait in"
        " quarantine. They count for nothing until somebody accepts them; until then the last price that counts is"
        " used."
    )
    before = day - timedelta(days=1)
    assert letter["sections"][0]["table"]["rows"] == [
        [
            str(ids["50"]), "ACME", str(day), "50 USD",
            f"50 is 0.5 times the close of {before} (100): {split} (files, p.csv, line 5)",
        ],
        [
            str(ids["51"]), "ACME", str(after), "51 USD",
            f"51 is 0.51 times the close of {before} (100): {split} (files, p.csv, line 4)",
        ],
        [
            str(ids["1.01"]), "LON", str(day), "1.01 USD",
            f"1.01 is 0.0101 times the close of {before} (100): {unit} (files, p.csv, line 2)",
        ],
    ]  # fmt: skip
    assert letter["commands"] == [
        ["What counts around one", "python -m app prices quarantine show ID"],
        ["It is right", f"python -m app prices quarantine accept {ids['50']} --reason TEXT"],
        ["It is wrong", f"python -m app prices quarantine drop {ids['50']} --reason TEXT"],
        ["All of them", "python -m app prices quarantine"],
    ]


def test_the_same_doubts_again_are_not_mailed_again_and_new_ones_are(sync, mail_server, day):
    priced(day, "ACME", "LON")
    first = f"{day},CUSIP,C-ACME,,50,USD\n"
    assert [sync(first)["doubted"], sync(first)["doubted"]] == [1, 0]
    assert sync(f"{first}{day},CUSIP,C-LON,,50,USD\n")["doubted"] == 1
    wait_until(lambda: len(mail_server.taken) == 2)
    assert mail_server.taken[1].message["Subject"] == "Prices in quarantine: 1 new"
    first_letter, letter = letters()
    assert "ACME" in words(first_letter)
    assert "brought 1 price to doubt, of 1 security. In all 2 wait in quarantine." in letter["lead"]
    assert "ACME" not in words(letter)


def test_of_very_many_the_first_of_each_security_are_shown(sync, mail_server, day):
    codes = [f"S-{number:02}" for number in range(25)]
    priced(day - timedelta(days=10), *codes)
    days = [day - timedelta(days=each) for each in range(5)]
    come = sync("".join(f"{each},CUSIP,C-{code},,50,USD\n" for code in codes for each in days))
    assert come["doubted"] == 125
    (letter,) = letters()
    table = letter["sections"][0]["table"]
    assert [row[1] for row in table["rows"]] == [code for code in codes[:20] for _ in range(3)]
    assert table["more"] == 125 - 60


def test_a_sync_without_doubts_mails_nothing(sync, mail_server, day):
    priced(day, "FINE")
    assert sync(f"{day},CUSIP,C-FINE,,101,USD\n")["doubted"] == 0
    assert letters() == []
