"""`make demo`: from custodians' statements to the breaks, with a real worker, on embedded servers."""

import shlex
import sys
import time
from pathlib import Path

from app.cli.terminal import show_what_it_can
from app.errors import AppError
from app.settings import get_settings
from dev import own_account, real_prices, samples, stack

_BOOK = Path(__file__).with_name("demo_book")
#: Where the custodians' own statements can't be had: a few of the same shape.
_OWN_STATEMENTS = Path(__file__).with_name("demo_statements")
_WAIT_SECONDS = 60


def main() -> int:
    """Run the demo.

    Returns:
        The exit code: 0 when the run is complete.
    """
    show_what_it_can()
    try:
        _say("Starting PostgreSQL and Redis under .run/ …")
        with stack.servers():
            return _demo()
    except AppError as error:
        print(f"The demo can't go on. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; all that the demo started is stopped.", file=sys.stderr)
        return 130


def _demo() -> int:
    # The settings name the servers only now.
    from app.cli import app as commands  # noqa: PLC0415

    def command(*arguments: str) -> int:
        _say(f"$ python -m app {shlex.join(arguments)}")
        return int(commands(list(arguments), standalone_mode=False) or 0)

    statements = samples.ofx_samples(stack.RUN_DIR)
    if statements is None:
        statements = _OWN_STATEMENTS
        _say(f"The demo goes on with small statements of its own, in {_relative(statements)}/")
    _say("Taking real closing prices out of bokeh_sampledata and skfolio (14 MB, kept in .run/samples/) …")
    prices = real_prices.price_files(stack.RUN_DIR, get_settings().prices_dir)
    if not prices:
        _say(f"The demo goes on without prices; what {own_account.CODE} was worth is then not known.")
    command("migrate")
    with stack.celery("worker"):
        command("book", "import", _relative(_BOOK))
        command("book", "import", _relative(own_account.BOOK))
        command("import", _relative(statements), _relative(own_account.STATEMENTS))
        if prices:
            histories = [_relative(each.history) for each in prices]
            command("prices", "backfill", *histories)
            command("prices", "quarantine", "list", "--limit=2")
            if (fall := own_account.quarantined_fall()) is not None:
                _say("\nThat fall is real. Once it is accepted, what came after it counts as well:")
                reason = "Apple had warned of its profits the evening before"
                command("prices", "quarantine", "accept", str(fall), "--reason", reason)
            _say("\nApple's close halves on 2005-02-28, too; that one counts, for the book has the split:")
            command("prices", "show", "AAPL", "--from=2005-02-25", "--to=2005-02-28", "--adjusted=splits")
        _say("\nHaving the worker take the European Central Bank's rates, and the newest closes …")
        command("prices", "sync", "--wait")
        _say("\nSending reconcile_all_accounts through Redis to a worker with two processes …")
        code = command("reconcile", "--watch", str(_send_nightly_task()))
        command("performance", "update", "--wait")
        _say("")
        own_account.show_holdings()
        command("report", "--output", _relative(stack.RUN_DIR / "reports"))
        _say("Stopping the worker, Redis and PostgreSQL …")
    _say("Done. `make demo` again opens no break twice; `make run` brings all of it up, with beat and Flower.")
    return code


def _send_nightly_task() -> int:
    """Send the task that beat sends every night; return the run that it starts, once a worker took it."""
    from sqlalchemy import text  # noqa: PLC0415

    from app.database import session_scope  # noqa: PLC0415
    from app.tasks import reconcile_all_accounts  # noqa: PLC0415

    key = f"task:{reconcile_all_accounts.delay().id}"
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        with session_scope() as session:
            run_id = session.execute(text("SELECT id FROM runs WHERE key = :key"), {"key": key}).scalar_one_or_none()
        if run_id is not None:
            return int(run_id)
        time.sleep(0.05)  # between two looks at the database
    raise AppError(
        f"no worker took the task within {_WAIT_SECONDS} s",
        where=_relative(stack.RUN_DIR / "logs" / "celery-worker.log"),
        hint="The log says why.",
    )


def _relative(path: Path) -> str:
    return str(path.relative_to(stack.PROJECT))


def _say(text: str) -> None:
    print(f"\n{text}" if text.startswith("$") else text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
