"""`performance`: figures, lots, groups and benchmarks, as people see and change them."""

import json
import os
import signal
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from tests import factories as make
from tests.integration.cli.commands import line, lines, run
from tests.integration.performance.valuing import valued
from tests.processes import start

FIRST, SECOND = date(2026, 3, 2), date(2026, 3, 3)
NOW = datetime(2026, 3, 4, 1, tzinfo=UTC)


@pytest.fixture
def north(session):
    """An account that bought PINE at 10 and sold some at 12; EAST bought OAK of which no price is known."""
    north, east = make.account(session, "NORTH"), make.account(session, "EAST", name="A\x1b[2J")
    pine, oak = make.security(session, "PINE"), make.security(session, "OAK")
    for day, amount in ((FIRST, "10"), (SECOND, "12.5")):
        make.price(session, pine, day, amount)
    for account, security, day, kind, quantity, amount in (
        (north, pine, FIRST, "buy", "1000", "-10000.25"),
        (north, pine, SECOND, "buy", "500", "-6000"),
        (north, pine, SECOND, "sell", "-300", "3600"),
        (east, oak, FIRST, "buy", "7", "-70"),
    ):
        make.trade(
            session, account, security_id=security, kind=kind, trade_date=day, settle_date=day,
            quantity=Decimal(quantity), amount=Decimal(amount),
        )  # fmt: skip
    make.book(session, north, as_of=FIRST, positions={pine: "1000"}, cash={"USD": "2400"})
    make.book(session, north, as_of=SECOND, positions={pine: "1200"}, cash={"USD": "0"})
    make.book(session, east, as_of=SECOND, positions={oak: "7"})
    session.commit()
    return north


def test_figures_are_shown_for_each_span_with_why_they_may_be_wrong(session, north):
    refused = run("performance", "show", "NORTH")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "NORTH: there is no account and no group of this code" in refused.stderr
    valued(session, NOW)
    session.commit()

    done = run("performance", "show", "NORTH")
    assert (done.returncode, done.stderr) == (0, "")
    told = lines(done.stdout)
    assert told[0] == "NORTH, NORTH: 15,000.00 USD on 2026-03-03"
    assert line(done.stdout, "net return").split()[-1] == "20.97%"
    assert json.loads(run("performance", "show", "NORTH", "--json").stdout)["spans"][-1]["figures"]["beta"] is None

    doubted = run("performance", "show", "EAST")
    assert doubted.returncode == 0
    assert lines(doubted.stdout) == [
        "EAST, A\\x1b[2J: of unknown value on 2026-03-03",
        "It has no day with a return yet.",
    ]


def test_lots_are_shown_with_what_was_won(north):
    done = run("performance", "lots", "NORTH", COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert lines(done.stdout) == [
        "NORTH, NORTH: lots on 2026-03-03, first in, first out, in USD",
        "",
        "What is held",
        "security account acquired quantity cost value price gain fx gain",
        "PINE NORTH 2 lots 1,200 13,000.18 15,000.00 1,999.82 0.00",
        "2026-03-02 700 7,000.18",
        "2026-03-03 500 6,000.00",
        "all 13,000.18 15,000.00 1,999.82 0.00",
        "",
        "What was sold",
        "security account last sold price gain fx gain whole gain",
        "PINE NORTH 2026-03-03 599.92 0.00 599.92",
        "all 599.92 0.00 599.92",
    ]


def test_lots_at_average_cost_and_of_an_earlier_day(north):
    average = run("performance", "lots", "NORTH", "--method", "average").stdout
    assert line(average, "PINE", "1,200").split()[2:5] == ["1,200", "12,800.20", "15,000.00"]
    earlier = run("performance", "lots", "NORTH", "--as-of", "2026-03-02").stdout
    assert line(earlier, "PINE").split()[2:] == ["2026-03-02", "1,000", "10,000.25", "10,000.00", "-0.25", "0.00"]
    assert "What was sold" not in earlier


def test_lots_that_are_not_known_say_why(north):
    done = run("performance", "lots", "EAST")
    assert done.returncode == 1
    assert line(done.stdout, "OAK EAST") == "OAK EAST 2026-03-02 7 70.00 not known not known not known"
    assert "Not known, for" in done.stdout
    assert "7 OAK in EAST can't be valued: there is no price of it of the year up to 2026-03-03" in done.stdout
    assert "\x1b" not in done.stdout

    told = run("performance", "lots", "EAST", "--json")
    assert told.returncode == 1
    found = json.loads(told.stdout)
    assert found["sums"] == {"cost": "70", "value": None, "unrealised": None, "realised": {"price": "0", "fx": "0"}}
    (position,) = found["positions"]
    assert position["lots"] == [{"acquired": "2026-03-02", "quantity": "7", "cost": "70", "base_cost": "70"}]


def jobs(session):
    session.rollback()
    return [row[0] for row in make.rows(session, "SELECT task FROM jobs WHERE state = 'waiting' ORDER BY id")]


def test_a_valuation_is_asked_for(session, broker):
    assert run("performance", "update").returncode == 0
    assert jobs(session) == ["app.tasks.analytics.value_portfolios"]


def test_a_valuation_that_is_waited_for_ends_when_all_is_valued(session, north, worker):
    worker()
    done = run("performance", "update", "--wait")
    assert (done.returncode, done.stdout, done.stderr) == (0, "All is valued.\n", "")
    assert jobs(session) == []
    assert "explain_portfolios" in "".join(ended for ended, *_ in make.rows(session, "SELECT task FROM jobs"))
    assert run("performance", "show", "NORTH").stdout.startswith("NORTH, NORTH: 15,000.00 USD on ")


def test_a_valuation_of_which_a_job_is_parked_is_told(session, north, worker):
    session.execute(
        text(
            "INSERT INTO jobs (task, key, queue, state, finished_at)"
            " VALUES ('app.tasks.analytics.value_groups', 'old', 'celery', 'parked', now())"
        )
    )
    session.commit()
    worker()
    done = run("performance", "update", "--wait")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "Not all is valued, for jobs are parked (1): python -m app jobs list --state parked\n"


def test_waiting_for_a_valuation_without_a_worker_says_so_and_can_be_interrupted(session, celery_app, tmp_path):
    with start(["-m", "app", "performance", "update", "--wait"], tmp_path / "log") as waiting:
        waiting.wait_for("No worker answers; the valuation waits for one. To start one: python run_celery.py worker")
        os.kill(waiting.pid, signal.SIGINT)
        assert waiting.process.wait(timeout=60) == 130
    assert "The valuation goes on without this command." in waiting.said()
    assert jobs(session) == ["app.tasks.analytics.value_portfolios"]


def test_a_group_is_kept_and_each_change_has_its_figures_computed_anew(session, north, broker):
    assert run("performance", "groups", "list").stdout == "There is no group.\n"
    family = ("performance", "groups", "add", "FAMILY", "--name", "The family", "--calendar", "XNYS", "--currency")
    refused = run(*family, "DOLLARS")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "group FAMILY: 'DOLLARS' is no active ISO 4217 code" in refused.stderr
    assert run(*family, "USD").stdout == "Group FAMILY is there, in USD and on the business days of XNYS.\n"
    assert jobs(session) == []

    joined = run("performance", "groups", "join", "FAMILY", "NORTH", "--from", "2026-03-02")
    assert lines(joined.stdout)[0] == "Account NORTH is in group FAMILY from 2026-03-02 on."
    assert lines(joined.stdout)[1].endswith("has its figures computed anew.")
    again = run("performance", "groups", "join", "FAMILY", "NORTH")
    assert (again.returncode, again.stdout) == (2, "")
    assert "which shares days with always" in again.stderr
    left = run("performance", "groups", "leave", "FAMILY", "NORTH", "--on", "2026-03-03")
    assert lines(left.stdout)[0] == (
        "Account NORTH is in group FAMILY from 2026-03-02 to 2026-03-03; it was from 2026-03-02 on."
    )
    assert run("performance", "benchmark", "FAMILY", "PINE").stdout.startswith("FAMILY is compared with PINE.\n")
    assert lines(run("performance", "groups", "list").stdout) == [
        "group name currency calendar benchmark account in it",
        "FAMILY The family USD XNYS PINE NORTH from 2026-03-02 to 2026-03-03",
    ]
    assert len(jobs(session)) == 3
    assert line(run("performance", "lots", "FAMILY").stdout, "PINE", "1,200").startswith("PINE NORTH 2 lots")

    removed = run("performance", "groups", "remove", "FAMILY", "NORTH")
    assert lines(removed.stdout)[0].startswith("Account NORTH is not in group FAMILY any more;")
    assert run("performance", "benchmark", "FAMILY", "--none").stdout.startswith("FAMILY is compared with nothing.\n")
    assert run("performance", "benchmark", "FAMILY", "--none").stdout == "FAMILY is compared with nothing, as before.\n"
    assert run("performance", "benchmark", "FAMILY").returncode == 2
    assert len(jobs(session)) == 5


def test_an_account_is_explained_against_its_model(session, north, broker):
    valued(session, NOW)
    session.commit()
    assert run("performance", "attribution", "NORTH").returncode == 2
    refused = run("performance", "model", "NORTH")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "say what it is to be explained against" in refused.stderr
    told = lines(run("performance", "model", "NORTH", "EAST").stdout)
    assert told[0] == "NORTH is explained against EAST."
    assert told[1].endswith("has its figures computed anew.")
    assert run("performance", "model", "NORTH", "EAST").stdout == "NORTH is explained against EAST, as before.\n"
    assert run("performance", "model", "NORTH", "--none").stdout.startswith("NORTH is explained against nothing.\n")
    assert len(jobs(session)) == 2


def test_parts_are_shown_with_their_sums_once_they_are_computed(session, north):
    valued(session, NOW)
    session.commit()
    shown = run("performance", "parts", "NORTH").stdout
    assert line(shown, "PINE", "15,000.00").split()[1:3] == ["15,000.00", "100.00%"]
    assert lines(shown)[6] == "own returns net gross money-weighted Modified Dietz"
    assert lines(shown)[7] == "PINE 20.97% 20.97% 20.97% 20.97%"
    told = json.loads(run("performance", "parts", "NORTH", "--json").stdout)
    assert (told["value"], told["parts"][0]["label"]) == (15000, "PINE")
    session.execute(text("INSERT INTO unexplained_portfolios SELECT id FROM portfolios"))
    session.commit()
    refused = run("performance", "parts", "NORTH")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is not computed yet" in refused.stderr
