"""`prices quarantine`: prices that are doubted, and what people decide of them."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests import factories as make
from tests.integration.cli.commands import NOWHERE_DATABASE, line, lines, run
from tests.integration.market_data.quotes import MONDAY, NOW, TUESDAY, quote, store
from tests.people import ALICE, BOB, needs_root, run_as, run_by_sudo

pytestmark = pytest.mark.usefixtures("celery_app")

HOSTILE = "\x1b[31mred\x07"
QUARANTINE = ("prices", "quarantine")


@pytest.fixture
def doubtful(session) -> dict[str, int]:
    """A price of ACME that halved, one of LON in another unit, and ACME's day after."""
    acme, lon = make.security(session, "ACME"), make.security(session, "LON", currency="GBP")
    first = [quote(acme, "100", MONDAY), quote(lon, "5436.5", MONDAY, "GBP")]
    store(session, first, now=NOW - timedelta(days=1), minor_units={"GBX": ("GBP", 100)})
    (halved,) = store(session, [quote(acme, "50", source="q.csv, line 2")]).quarantined
    (pence,) = store(
        session, [quote(lon, "69.982", currency="GBP", low=Decimal(69), high=Decimal("70.5"))], provider="second"
    ).quarantined
    (after,) = store(session, [quote(acme, "51", date(2026, 3, 11))], now=NOW + timedelta(days=1)).quarantined
    session.commit()
    return {"halved": halved, "pence": pence, "after": after}


def states(session) -> list[tuple[str, str | None, str | None]]:
    session.rollback()
    query = "SELECT state, decided_by, reason FROM quarantined_prices ORDER BY id"
    return [tuple(row) for row in make.rows(session, query)]


def test_without_a_command_what_waits_is_listed_by_security_and_of_each_cause_the_first_day(doubtful):
    done = run(*QUARANTINE)
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout) == [
        "id security day price provider why",
        f"{doubtful['halved']} ACME 2026-03-10 50 USD first 50 is 0.5 times the close of 2026-03-09 (100): it may be a"
        " split 2:1, of which nothing is known (and 1 more like it, to 2026-03-11)",
        f"{doubtful['pence']} LON 2026-03-10 69.982 GBP second 69.982 is 0.0128726 times the close of 2026-03-09"
        " (5436.5): it may be in another unit, hundredths for wholes or wholes for hundredths",
        "Each by itself: python -m app prices quarantine list --security CODE",
        "",
        f"What counts around one: python -m app prices quarantine show {doubtful['halved']}",
    ]
    assert run(*QUARANTINE, "list").stdout == done.stdout


def test_a_list_is_of_a_state_of_a_security_and_of_so_many(doubtful):
    of_lon = lines(run(*QUARANTINE, "list", "--security", "LON").stdout)
    assert [text.split()[0] for text in of_lon[:2]] == ["id", str(doubtful["pence"])]
    assert of_lon[2] == ""
    of_acme = lines(run(*QUARANTINE, "list", "--security", "ACME").stdout)
    assert [text.split()[:3] for text in of_acme[1:3]] == [
        [str(doubtful["halved"]), "ACME", "2026-03-10"],
        [str(doubtful["after"]), "ACME", "2026-03-11"],
    ]
    assert not any("like it" in text or "Each by itself" in text for text in of_acme)
    limited = lines(run(*QUARANTINE, "list", "--limit", "1").stdout)
    assert limited[1].startswith(f"{doubtful['halved']} ACME")
    assert limited[2] == "… and 1 more: `--limit` shows them."
    assert run(*QUARANTINE, "list", "--state", "dropped", "--state", "accepted").stdout == (
        "No price in quarantine is dropped or accepted.\n"
    )
    run(*QUARANTINE, "drop", str(doubtful["pence"]), "--reason", "it is in pounds")
    told = run(*QUARANTINE, "list", "--state", "dropped").stdout
    assert lines(told)[0] == "id security day price provider why state decided"
    assert line(told, "LON").endswith(": it is in pounds")
    assert "What counts around one" not in told


def test_there_may_be_nothing_to_decide(session):
    done = run(*QUARANTINE)
    assert (done.returncode, done.stdout) == (0, "No price in quarantine is waiting.\n")
    make.security(session, "ACME")
    session.commit()
    assert run(*QUARANTINE, "list", "--security", "ACME").stdout == "No price of ACME in quarantine is waiting.\n"


def test_on_a_terminal_of_usual_width_no_figure_is_cut_and_what_came_from_outside_does_no_harm(session):
    odd = make.security(session, f"VERY-LONG-CODE-OF-A-SECURITY {HOSTILE}")
    price = "123456789012345678.123456789012"
    store(session, [quote(odd, price, currency="EUR")], provider=f"provider {HOSTILE}")
    session.commit()
    for width in ("80", "200"):
        told = run(*QUARANTINE, COLUMNS=width).stdout
        assert max(len(text) for text in told.splitlines()) <= int(width)
        assert price in told
        assert str(TUESDAY) in told
        assert HOSTILE not in told
        assert "\x1b[31m" not in told


def test_sixty_are_listed_as_fifty_and_ten_more(session):
    for number in range(60):
        store(session, [quote(make.security(session, f"S-{number:02}"), "0")])
    session.commit()
    told = run(*QUARANTINE, COLUMNS="80").stdout
    assert "… and 10 more: `--limit` shows them." in lines(told)
    assert lines(run(*QUARANTINE, "list", "--limit", "60").stdout)[60].split()[1] == "S-59"


def test_one_is_shown_with_all_that_is_known_of_it_and_what_counts_around_it(doubtful):
    halved = str(doubtful["halved"])
    done = run(*QUARANTINE, "show", halved)
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout) == [
        f"Price {halved}: ACME 2026-03-10, waiting",
        "price 50 USD",
        "from first, q.csv, line 2",
        "came 2026-03-10 22:00 UTC",
        "doubted 50 is 0.5 times the close of 2026-03-09 (100): it may be a split 2:1, of which nothing is known",
        "",
        "What counts",
        "day price what from",
        "2026-03-09 100 USD version 1 first, line 1",
        f"2026-03-10 50 USD price {halved}, waiting first, q.csv, line 2",
        "",
        f"It is right: python -m app prices quarantine accept {halved} --reason TEXT",
        f"It is wrong: python -m app prices quarantine drop {halved} --reason TEXT",
    ]
    pence = lines(run(*QUARANTINE, "show", str(doubtful["pence"])).stdout)
    assert pence[2:4] == ["its day's high 70.5", "its day's low 69"]
    run(*QUARANTINE, "accept", halved, "--reason", "it crashed")
    told = lines(run(*QUARANTINE, "show", halved).stdout)
    assert told[0].endswith(", accepted")
    assert line("\n".join(told), "decided").endswith(": it crashed")
    assert told[-2:] == [
        "2026-03-10 50 USD version 1 first, q.csv, line 2",
        "2026-03-11 51 USD version 1 first, line 1",
    ]


def test_a_security_without_any_price_is_shown_as_that(session):
    (found,) = store(session, [quote(make.security(session, "NEW"), "0")]).quarantined
    session.commit()
    assert "There is no other price of it." in run(*QUARANTINE, "show", str(found)).stdout


def test_several_are_decided_at_once_or_none_of_them(session, doubtful):
    halved, pence = doubtful["halved"], doubtful["pence"]
    done = run(*QUARANTINE, "accept", str(halved), "999", "--reason", "sure")
    assert (done.returncode, done.stdout) == (2, "")
    assert "quarantined price 999: there is no such price in quarantine" in done.stderr
    assert {state for state, *_ in states(session)} == {"waiting"}
    done = run(*QUARANTINE, "drop", str(pence), str(halved), "--reason", "sure")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Prices {halved}, {pence} are dropped by ")
    assert [state for state, *_ in states(session)] == ["dropped", "dropped", "waiting"]
    done = run(*QUARANTINE, "accept", str(doubtful["after"]), "--reason", "sure")
    assert done.stdout.startswith(f"Price {doubtful['after']} is accepted by ")
    assert done.stdout.endswith(", and counts now.\n")
    again = run(*QUARANTINE, "drop", str(halved), "--reason", "no")
    assert again.returncode == 2
    assert f"quarantined price {halved}: it was dropped by " in again.stderr


def test_all_of_a_provider_are_dropped_at_once(session, doubtful):
    told = lines(run(*QUARANTINE, "list", "--provider", "first").stdout)
    assert [text.split()[1] for text in told[1:2]] == ["ACME"]
    done = run(*QUARANTINE, "drop", "--all", "--provider", "first", "--reason", "its feed slipped by a day")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Prices {doubtful['halved']}, {doubtful['after']} are dropped by ")
    assert [state for state, *_ in states(session)] == ["dropped", "waiting", "dropped"]
    again = run(*QUARANTINE, "drop", "--all", "--provider", "first", "--reason", "r")
    assert (again.returncode, again.stdout) == (0, "No price by first in quarantine is waiting.\n")


def test_all_of_one_security_and_provider_are_dropped_at_once(session, doubtful):
    beta = make.security(session, "BETA")
    store(session, [quote(beta, "0")])
    session.commit()
    done = run(*QUARANTINE, "drop", "--all", "--provider", "first", "--security", "ACME", "--reason", "another's")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Prices {doubtful['halved']}, {doubtful['after']} are dropped by ")
    assert [state for state, *_ in states(session)] == ["dropped", "waiting", "dropped", "waiting"]
    again = run(*QUARANTINE, "drop", "--all", "--provider", "first", "--security", "ACME", "--reason", "r")
    assert (again.returncode, again.stdout) == (0, "No price of ACME by first in quarantine is waiting.\n")


def test_of_one_security_what_another_provider_brought_or_for_another_reason_is_listed_as_well(session, doubtful):
    acme = make.rows(session, "SELECT id FROM securities WHERE code = 'ACME'")[0][0]
    days = [date(2026, 3, day) for day in (12, 13, 16)]
    later = NOW + timedelta(days=7)
    store(session, [quote(acme, "52", day) for day in days], now=later)
    store(session, [quote(acme, "53", day) for day in days], provider="second", now=later)
    store(session, [quote(acme, "0", days[0])], now=later)
    session.commit()
    told = lines(run(*QUARANTINE).stdout)
    assert [(text.split()[1:4], text.partition(" (and ")[2]) for text in told[1:5]] == [
        (["ACME", "2026-03-10", "50"], "4 more like it, to 2026-03-16)"),
        (["ACME", "2026-03-12", "53"], "2 more like it, to 2026-03-16)"),
        (["ACME", "2026-03-12", "0"], ""),
        (["LON", "2026-03-10", "69.982"], ""),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("accept",), "Missing argument 'ID…'"),
        (("accept", "1"), "Missing option '--reason'"),
        (("drop", "one", "--reason", "r"), "'one' is no whole number"),
        (("drop", "--reason", "r"), "prices quarantine drop: name the prices, or give --all for those of one provider"),
        (
            ("drop", "1", "--all", "--provider", "p", "--reason", "r"),
            "prices quarantine drop: name the prices, or give",
        ),
        (("drop", "--all", "--reason", "r"), "--all and --provider: they go together"),
        (("drop", "1", "--provider", "p", "--reason", "r"), "--all and --provider: they go together"),
        (("drop", "1", "--security", "ACME", "--reason", "r"), "--security: it goes with --all"),
        (("drop", "0", "--reason", "r"), "'0' is no whole number"),
        (("accept", "1", "--reason", "  "), "--reason: a reason in words is needed"),
        (("show", "1"), "quarantined price 1: there is no such price in quarantine"),
        (("list", "--security", "NONE"), "there is no security 'NONE'. `python -m app securities list` lists them."),
        (("list", "--state", "gone"), "Invalid value for '--state'"),
    ],
)
def test_what_can_not_be_is_told(arguments, says):
    done = run(*QUARANTINE, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in " ".join(done.stderr.split())


def test_a_database_that_does_not_answer_is_told():
    done = run(*QUARANTINE, DATABASE_URL=NOWHERE_DATABASE)
    assert done.returncode == 3
    assert "the database does not answer" in done.stderr


@needs_root
def test_who_decides_is_the_login_whatever_the_environment_says(session, doubtful):
    halved, pence = str(doubtful["halved"]), str(doubtful["pence"])
    as_bob = {"SUDO_UID": str(BOB), "SUDO_USER": "bob", "USER": "bob", "LOGNAME": "bob"}
    assert run_as(ALICE, *QUARANTINE, "accept", halved, "--reason", "sure", **as_bob).returncode == 0
    assert run_by_sudo(BOB, *QUARANTINE, "drop", pence, "--reason", "pounds").returncode == 0
    assert states(session)[:2] == [("accepted", f"uid:{ALICE}", "sure"), ("dropped", f"uid:{BOB}", "pounds")]
