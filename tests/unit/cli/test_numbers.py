"""Ids and numbers of rows as people type them."""

import pytest
import typer
from typer.testing import CliRunner

from app.cli import app
from app.cli.numbers import positive


@pytest.mark.parametrize(("given", "number"), [("1", 1), ("007", 7), ("9223372036854775807", 2**63 - 1), (50, 50)])
def test_a_whole_number_that_the_database_can_hold_is_read(given, number):
    assert positive(given) == number


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.0", "1e3", " 1", "1\n", "x", "٣", "9223372036854775808", "9" * 5000, "1_000"]
)
def test_anything_else_is_told_with_what_would_do(text):
    with pytest.raises(typer.BadParameter, match=r"no whole number from 1 to 9223372036854775807"):
        positive(text)


@pytest.mark.parametrize(
    "command",
    [
        "jobs show 9223372036854775808",
        "jobs drop 1 9223372036854775808 --reason r",
        "jobs list --limit 9223372036854775808",
        "breaks show 9223372036854775808",
        "breaks resolve 9223372036854775808 --reason r",
        "runs show 9223372036854775808",
        "statements accept 9223372036854775808 --reason r",
        "accounts list --limit 0",
        "securities list --limit 0",
    ],
)
def test_commands_refuse_a_number_that_no_row_can_have(command):
    done = CliRunner().invoke(app, command.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no whole number from 1 to" in " ".join(done.stderr.replace("│", " ").split())
