"""`python -m app`: the commands that people type, a file a domain.

A command imports what it works with when it runs, not before: `--help` must not wait for Celery or SQLAlchemy.
"""

import os
import sys

import typer

from app.cli.accounts import app as accounts_commands
from app.cli.alerts import app as alerts_commands
from app.cli.book import app as book_commands
from app.cli.breaks import app as breaks_commands
from app.cli.canary import canary
from app.cli.database import migrate
from app.cli.doctor import doctor
from app.cli.failures import exit_code, explain
from app.cli.jobs import app as jobs_commands
from app.cli.notifications import app as notifications_commands
from app.cli.performance import app as performance_commands
from app.cli.prices import app as prices_commands
from app.cli.reconcile import reconcile
from app.cli.report import report
from app.cli.runs import app as runs_commands
from app.cli.securities import app as securities_commands
from app.cli.statements import app as statements_commands
from app.cli.statements import import_statements
from app.cli.terminal import complain, show_what_it_can

__all__ = ["app", "main"]

app = typer.Typer(
    help=(
        "The background engine of Value Partner, from the command line.\n\n"
        "Results go to standard output, all else to standard error. Exit codes: 0 done; 1 done, but something needs"
        " you, and the output says what; 2 what was given can't be used; 3 the database, the broker or another"
        " server does not answer; 130 interrupted."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(book_commands)
app.add_typer(accounts_commands)
app.add_typer(securities_commands)
app.add_typer(prices_commands)
app.command("import")(import_statements)
app.add_typer(statements_commands)
app.command()(reconcile)
app.add_typer(breaks_commands)
app.add_typer(runs_commands)
app.add_typer(performance_commands)
app.command()(report)
app.add_typer(alerts_commands)
app.add_typer(jobs_commands)
app.add_typer(notifications_commands)
app.command()(doctor)
app.command()(canary)
app.command()(migrate)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    show_what_it_can()
    try:
        app(prog_name="python -m app")
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        complain(str(failure))
        sys.exit(exit_code(failure))
    finally:
        _flush()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (`| head`); Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
