"""`notifications`: who is told of what, as people set it."""

import pytest

from tests.integration.cli.commands import lines, run

pytestmark = pytest.mark.usefixtures("session")


def ok(*arguments: str) -> str:
    done = run("notifications", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_somebody_is_added_told_changed_and_listed():
    assert "goes to ADMIN_EMAIL, which is empty" in ok("list")
    zone = ("--timezone", "Europe/Prague", "--quiet", "22:00-07:00", "--digest-at", "07:30")
    assert "notifications subscribe ann CATEGORY" in ok("add", "ann", "ann@example.com", *zone)
    ok("subscribe", "ann", "reconciliation")
    ok("subscribe", "ann", "prices", "--from", "warning", "--digest")
    told = lines(ok("list"))
    assert told == [
        "name mail time zone quiet digest told of",
        "ann ann@example.com Europe/Prague 22:00-07:00 07:30 prices by mail from warning, as a digest",
        "reconciliation by mail",
    ]
    ok("change", "ann", "--address", "ann@example.org", "--quiet", "none")
    ok("unsubscribe", "ann", "prices")
    assert lines(ok("list"))[1] == "ann ann@example.org Europe/Prague 07:30 reconciliation by mail"
    ok("change", "ann", "--off")
    assert lines(ok("list"))[1].endswith("nothing, for they are not active")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "ann", "ann@example.com"), "there is somebody called ann"),
        (("add", "bob", "nowhere"), "'nowhere' is not one e-mail address"),
        (("add", "bob", "b@example.com", "--quiet", "late"), "--quiet: 'late' is no span of time"),
        (("add", "bob", "b@example.com", "--digest-at", "25:00"), "--digest-at: '25:00' is no time of a day"),
        (("add", "bob", "b@example.com", "--timezone", "Mars"), "there is no time zone Mars"),
        (("change", "bob", "--off"), "there is nobody called bob"),
        (("change", "ann"), "nothing is to be changed"),
        (("unsubscribe", "ann", "prices"), "ann is not told of prices"),
    ],
)
def test_what_can_not_be_is_said_with_what_to_do(arguments, words):
    ok("add", "ann", "ann@example.com")
    done = run("notifications", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
