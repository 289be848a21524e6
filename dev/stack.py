"""The whole product on embedded servers: what `make demo` and `make run` stand on."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.env_file import quote
from dev import embedded

PROJECT = Path(__file__).resolve().parent.parent
RUN_DIR = PROJECT / ".run"
#: The settings of the running stack, for `ENV_FILE=.run/env .venv/bin/python -m app …` in another terminal.
ENV_FILE = RUN_DIR / "env"

_STOP_SECONDS = 60


@contextmanager
def servers() -> Iterator[None]:
    """Run PostgreSQL and Redis while the block runs, with the settings of this process and its children on them.

    Must be entered before the settings are first read. A `.env` of the project is left out: nothing that it
    names is touched.
    """
    with embedded.postgres(RUN_DIR) as postgres, embedded.redis(RUN_DIR) as redis:
        settings = {
            "DATABASE_URL": postgres.url,
            "CELERY_BROKER_URL": redis.broker_url,
            "CELERY_RESULT_BACKEND": redis.result_backend_url,
            "CELERY_WORKER_CONCURRENCY": "2",
            "LOG_DIR": str(RUN_DIR / "logs"),
            "STATEMENTS_DIR": str(RUN_DIR / "inbox"),
            "STATEMENT_MAPPINGS_DIR": str(RUN_DIR / "mappings"),
            "PRICES_DIR": str(RUN_DIR / "prices"),
            # What a demo shows is the same with and without a network.
            "ECB_URL": "off",
        }
        for name in ("STATEMENTS_DIR", "STATEMENT_MAPPINGS_DIR", "PRICES_DIR"):
            Path(settings[name]).mkdir(exist_ok=True)
        ENV_FILE.write_text("".join(f"{name}={quote(value)}\n" for name, value in settings.items()))
        os.environ.update(settings)
        os.environ["ENV_FILE"] = str(ENV_FILE)
        try:
            yield
        finally:
            ENV_FILE.unlink()


@contextmanager
def celery(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `run_celery.py` with arguments while the block runs; at its end running tasks are waited for."""
    # Should this process be killed outright, the kernel asks the child to end.
    setpriv = shutil.which("setpriv")
    guard = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
    with (RUN_DIR / "celery.log").open("ab") as log:
        process = subprocess.Popen(
            # Warnings off: as root, Celery warns at length of a danger that a private socket does not have.
            [*guard, sys.executable, "-W", "ignore", str(PROJECT / "run_celery.py"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A terminal's Ctrl-C must not reach it: this process stops things in their order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
