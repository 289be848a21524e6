"""`prices`: what securities cost, as people see it."""

from datetime import date
from decimal import Decimal

import pytest

from tests import factories as make
from tests.integration.cli.commands import lines, run


@pytest.fixture
def pine(session):
    """A security with a split and a dividend."""
    security_id = make.security(session, "PINE")
    for day, price, version in ((9, "99.00", 1), (9, "100.00", 2), (10, "33.50", 1), (11, "34", 1)):
        make.price(
            session, security_id, date(2026, 3, day), price, version=version, source=f"pine\x1b[31m.csv, line {day}"
        )
    make.corporate_action(session, security_id, "split", date(2026, 3, 10), new_units=3, old_units=1)
    make.corporate_action(session, security_id, "dividend", date(2026, 3, 11), amount=Decimal("0.25"), currency="USD")
    session.commit()
    return security_id


def test_prices_are_shown_newest_first_as_they_were_paid(pine):
    done = run("prices", "show", "PINE")
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout) == [
        "date close version currency source",
        "2026-03-11 34 1 USD pine\\x1b[31m.csv, line 11",
        "2026-03-10 33.50 1 USD pine\\x1b[31m.csv, line 10",
        "2026-03-09 100.00 2 USD pine\\x1b[31m.csv, line 9",
    ]


@pytest.mark.parametrize(
    ("adjusted", "prices"),
    [
        ("splits", ["34 34", "33.50 33.50", "100.00 33.33333333"]),
        ("all", ["34 34", "33.50 33.25547445", "100.00 33.09002433"]),
    ],
)
def test_adjusted_prices_stand_beside_what_was_paid(pine, adjusted, prices):
    done = run("prices", "show", "PINE", "--adjusted", adjusted)
    assert (done.returncode, done.stderr) == (0, "")
    heading, *rows = lines(done.stdout)
    assert heading == "date close adjusted version currency source"
    assert [" ".join(row.split()[1:3]) for row in rows] == prices


def test_days_and_rows_can_be_chosen(pine):
    done = run("prices", "show", "PINE", "--from", "2026-03-09", "--to", "2026-03-10", "--adjusted", "all")
    assert [row.split()[2] for row in lines(done.stdout)[1:]] == ["33.50", "33.33333333"]
    assert lines(run("prices", "show", "PINE", "--limit", "1").stdout)[1:] == [
        "2026-03-11 34 1 USD pine\\x1b[31m.csv, line 11",
        "… and 2 more: --limit says how many are printed.",
    ]
    assert run("prices", "show", "PINE", "--from", "2027-01-01").stdout == "There is no price.\n"


def test_what_can_not_be_shown_is_said(session, pine):
    refused = run("prices", "show", "OAK")
    assert (refused.returncode, refused.stderr) == (2, "Error: security OAK: there is no such security\n")
    make.corporate_action(session, pine, "dividend", date(2026, 3, 11), amount=Decimal(1), currency="EUR")
    session.commit()
    refused = run("prices", "show", "PINE", "--adjusted", "all")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "its dividend of 2026-03-11 is in EUR and its price in USD" in refused.stderr
