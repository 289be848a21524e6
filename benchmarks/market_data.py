"""`make bench-market-data`: a sync beside what its token bucket allows, a backfill beside a bare COPY, as-of lookups.

Servers, worker and files are made for it under .run/ and removed at the end.
"""

import argparse
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from pyarrow import parquet

from app.errors import UnavailableError
from benchmarks import processes
from benchmarks.market_provider import BATCH, TOKENS_A_MINUTE

_RESULTS = Path(__file__).with_name("results") / "market_data.json"
_STACK = "bench-market-data"
_FOLDER = processes.folder_of(_STACK)
#: A quarter of the host's memory, as the role gives it; what autovacuum would do comes when it is asked for.
_SETTINGS = {"shared_buffers": f"{psutil.virtual_memory().total // 4 // 2**20}MB", "autovacuum": "off"}
_SECURITIES = 5_000
_ANSWER_S = 0.05
_LAST_DAY = date(2025, 12, 31)
_PAIRS = 100_000
_ROUNDS = 5
_BLOCK = 1 << 20


def measure(securities: int, prices: int) -> dict[str, Any]:
    """Measure all there is.

    Args:
        securities: how many are synced, and how many the backfill is of.
        prices: how many daily prices are backfilled.

    Returns:
        What `results/market_data.json` holds; times in seconds.

    Raises:
        UnavailableError: something does not run here, or came to another result than it must.
    """
    with _prices_server() as url:
        environment = {
            "PRICE_PROVIDERS": "benchmarks.market_provider:make",
            "BENCH_PRICES_URL": url,
            "PRICES_DIR": str(_FOLDER),
        }
        with processes.stack(_STACK, durable=True, settings=_SETTINGS, environment=environment) as stack:
            _make_securities(stack, securities)
            figures = _sync(stack, securities)
            with stack.engine.begin() as connection:
                connection.exec_driver_sql("TRUNCATE prices")
            figures |= _backfill(stack, securities, prices)
            figures |= _as_of(stack)
    return {"securities": securities, "cores": os.cpu_count(), **figures}


@contextmanager
def _prices_server() -> Iterator[str]:
    """A provider that answers after a while: for each symbol a close on the day that is asked for."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            days = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(_ANSWER_S)  # what is measured against
            body = json.dumps([{"symbol": name, "day": day, "close": "12.34"} for name, day in days.items()]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _make_securities(stack: processes.Stack, number: int) -> None:
    with stack.engine.begin() as connection:
        connection.exec_driver_sql(
            f"""
            INSERT INTO securities (code, name, asset_class, currency)
            SELECT 'S' || n, 'Security ' || n, 'equity', 'USD' FROM generate_series(1, {number:d}) AS n
            """  # noqa: S608 (a number)
        )
        connection.exec_driver_sql(
            "INSERT INTO security_identifiers (scheme, value, namespace, security_id)"
            " SELECT 'SYMBOL', code, 'XNYS', id FROM securities"
        )
        connection.exec_driver_sql("ANALYZE")


def _sync(stack: processes.Stack, securities: int) -> dict[str, Any]:
    """Sync through a real worker and beat; the bucket begins empty."""
    from app.tasks import sync_market_data  # noqa: PLC0415 (the settings name the servers only now)

    # Elsewhere than the application's schedule, of which an entry could come due meanwhile.
    beat = ["beat", "--pidfile=", f"--schedule={stack.folder / 'schedule'}"]
    with (
        processes.worker(stack.folder, concurrency=2),
        processes.celery(stack.folder / "beat.log", "benchmarks.tasks", *beat),
    ):
        processes.say(f"a sync of {securities:,} securities")
        sync_market_data.delay().get(timeout=600)
        newest = "SELECT max(id) FROM price_syncs"
        processes.wait_until(
            lambda: stack.scalar(f"SELECT finished_at IS NOT NULL FROM price_syncs WHERE id = ({newest})")  # noqa: S608
        )
    seconds = float(
        stack.scalar(f"SELECT extract(epoch FROM finished_at - started_at) FROM price_syncs WHERE id = ({newest})")  # noqa: S608
    )
    priced = stack.scalar("SELECT count(*) FROM prices")
    if priced != securities:
        raise UnavailableError(f"{priced:,} of {securities:,} were priced", where="the sync")
    allowed_s = securities / TOKENS_A_MINUTE * 60
    return {
        "sync_s": round(seconds, 2),
        "sync_allowed_s": round(allowed_s, 2),
        "sync_vs_bucket": round(allowed_s / seconds, 3),
        "sync_requests": -(-securities // BATCH),
    }


def _backfill(stack: processes.Stack, securities: int, prices: int) -> dict[str, Any]:
    """Backfill a Parquet file of all securities' histories, one after the other, and COPY the same rows as text."""
    from app.database import session_scope  # noqa: PLC0415 (as above)
    from app.market_data import backfill_prices  # noqa: PLC0415

    days = prices // securities
    processes.say(f"making {securities * days:,} prices")
    path = stack.folder / "history.parquet"
    _write_history(path, securities, days)
    seconds: list[float] = []
    floors: list[float] = []
    for _ in range(2):
        processes.say("backfilling")
        began = time.monotonic()
        with session_scope() as session:
            done = backfill_prices(
                session, path, provider="files", order=["files"], now=datetime.now(UTC), jump_limit=Decimal("0.25")
            )
        seconds.append(time.monotonic() - began)
        if (done.new_prices, done.doubted, done.refused_count) != (securities * days, 0, 0):
            raise UnavailableError(f"it came to {done}", where="the backfill")
        if not floors:
            rows = stack.folder / "rows.copy"
            _write_rows(stack, path, rows)
        floors.append(_floor_s(stack, rows))
        if len(floors) == 1:
            with stack.engine.begin() as connection:
                connection.exec_driver_sql("TRUNCATE prices")
    return {
        "prices": securities * days,
        "months": stack.scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'prices'::regclass"),
        "backfill_s": round(min(seconds), 1),
        "copy_s": round(min(floors), 1),
        "backfill_vs_copy": round(min(seconds) / min(floors), 2),
    }


def _write_history(path: Path, securities: int, days: int) -> None:
    """Write random walks, security by security; no step is one that a check doubts."""
    dates = np.busday_offset(np.datetime64(_LAST_DAY), np.arange(-days + 1, 1), roll="backward")
    random_numbers = np.random.default_rng(20_260_101)
    at_once = 100
    schema = pa.schema(
        [
            ("date", pa.date32()),
            ("scheme", pa.string()),
            ("identifier", pa.string()),
            ("namespace", pa.string()),
            ("price", pa.decimal128(12, 2)),
            ("currency", pa.string()),
        ]
    )
    with parquet.ParquetWriter(path, schema) as writer:
        for first in range(1, securities + 1, at_once):
            numbers = np.arange(first, min(first + at_once, securities + 1))
            walks = 100 * np.exp(np.cumsum(random_numbers.normal(0, 0.01, (len(numbers), days)), axis=1))
            cents = np.maximum(walks.ravel() * 100, 500).round().astype(np.int64)
            count = len(cents)
            writer.write_table(
                pa.table(
                    [
                        pa.array(np.tile(dates, len(numbers))),
                        pa.repeat("SYMBOL", count),
                        pa.array(np.repeat([f"S{number}" for number in numbers], days)),
                        pa.repeat("XNYS", count),
                        pa.array(cents).cast(pa.decimal128(21, 2)).cast(pa.decimal128(12, 2), safe=False),
                        pa.repeat("USD", count),
                    ],
                    schema=schema,
                )
            )


def _write_rows(stack: processes.Stack, history: Path, path: Path) -> None:
    """Write the rows that the backfill stored, in the file's order, as COPY's text."""
    from app.database import copy_lines  # noqa: PLC0415 (as above)

    with stack.engine.connect() as connection:
        ids: dict[str, int] = dict(connection.exec_driver_sql("SELECT code, id FROM securities").all())
        batch_id, fetched_at = connection.exec_driver_sql("SELECT batch_id, fetched_at::text FROM prices LIMIT 1").one()
    with parquet.ParquetFile(history) as file, path.open("wb") as out:
        for batch in file.iter_batches(200_000):
            encoded = batch["identifier"].dictionary_encode()
            numbers = pa.array([ids[code] for code in encoded.dictionary.to_pylist()])
            columns = [
                numbers.take(encoded.indices),
                batch["date"],
                pa.scalar("1"),
                batch["price"],
                batch["currency"],
                pa.scalar(history.name),
                pa.scalar(fetched_at),
                pa.array(np.full(len(batch), batch_id)),
            ]
            out.write(copy_lines(columns))


def _floor_s(stack: processes.Stack, rows: Path) -> float:
    """COPY rows that are text already into another table with the same months and indexes; return the seconds."""
    from app.market_data.store import COPIED  # noqa: PLC0415 (as above)

    processes.say("COPY")
    with stack.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS floor_prices")
        connection.exec_driver_sql(
            "CREATE TABLE floor_prices (LIKE prices INCLUDING ALL) PARTITION BY RANGE (price_date)"
        )
        bounds = connection.exec_driver_sql(
            "SELECT relname, pg_get_expr(relpartbound, oid) FROM pg_class"
            " WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'prices'::regclass)"
        ).all()
        for name, bound in bounds:
            connection.exec_driver_sql(f"CREATE TABLE floor_{name} PARTITION OF floor_prices {bound}")
    began = time.monotonic()
    with stack.engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101 (it is connected)
        with rows.open("rb") as file, driver.cursor().copy(f"COPY floor_prices ({COPIED}) FROM STDIN") as into:
            while block := file.read(_BLOCK):
                into.write(block)
    seconds = time.monotonic() - began
    with stack.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE floor_prices")
    return seconds


def _as_of(stack: processes.Stack) -> dict[str, Any]:
    """Look up prices of random securities on random days of their history, weekends included."""
    from app.database import session_scope  # noqa: PLC0415 (as above)
    from app.market_data import prices_as_of  # noqa: PLC0415

    processes.say(f"{_PAIRS:,} as-of prices")
    with stack.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # As autovacuum does it soon after a backfill; what is left to be written then is no part of a lookup.
        connection.exec_driver_sql("VACUUM (ANALYZE) prices")
        connection.exec_driver_sql("CHECKPOINT")
    with stack.engine.begin() as connection:
        ids = list(connection.exec_driver_sql("SELECT id FROM securities").scalars())
    first_day = stack.scalar("SELECT min(price_date) FROM prices")
    luck = random.Random(1)  # noqa: S311 (keeps no secret)
    seconds, plain = [], []
    for _ in range(_ROUNDS):
        pairs = {
            (luck.choice(ids), first_day + timedelta(days=luck.randrange((_LAST_DAY - first_day).days)))
            for _ in range(_PAIRS * 2)
        }
        wanted = list(pairs)[:_PAIRS]
        security_ids = np.array([security_id for security_id, _ in wanted])
        days = np.array([day for _, day in wanted], "datetime64[D]")
        began = time.monotonic()
        with session_scope() as session:
            found = prices_as_of(session, security_ids, days)
        seconds.append(time.monotonic() - began)
        if missing := int((found.versions == 0).sum()):
            raise UnavailableError(f"{missing:,} of {len(wanted):,} have no price", where="the lookup")
        plain.append(_plain_as_of_s(stack, security_ids, days, int(found.versions.sum())))
    return {
        "asof_100k_s": round(median(seconds), 2),
        "asof_first_s": round(seconds[0], 2),
        "asof_plain_sql_s": round(median(plain), 2),
        "asof_vs_plain_sql": round(median(seconds) / median(plain), 2),
    }


def _plain_as_of_s(stack: processes.Stack, security_ids: Any, days: Any, versions: int) -> float:
    """Look the same pairs up as SQL has it without further thought, and count what is found; return the seconds."""
    asked = {"securities": security_ids, "days": days}
    with stack.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL jit = off")
        began = time.monotonic()
        found = connection.exec_driver_sql(_PLAIN_AS_OF, asked).scalar_one()
        seconds = time.monotonic() - began
    if found != versions:
        raise UnavailableError(f"plain SQL finds {found:,} instead of {versions:,}", where="the lookup")
    return seconds


_PLAIN_AS_OF = """
    SELECT sum(p.version)
    FROM unnest(%(securities)s, %(days)s) AS a (security_id, day)
    CROSS JOIN LATERAL (
        SELECT price_date, price, currency, version
        FROM prices
        WHERE security_id = a.security_id AND price_date <= a.day
        ORDER BY price_date DESC, version DESC
        LIMIT 1
    ) AS p
"""


def _print(figures: dict[str, Any]) -> None:
    print(
        f"sync of {figures['securities']:,}: {figures['sync_s']} s, {figures['sync_vs_bucket']} of what the bucket"
        f" allows ({figures['sync_allowed_s']} s)"
    )
    print(
        f"backfill of {figures['prices']:,}: {figures['backfill_s']} s, {figures['backfill_vs_copy']} times a COPY"
        f" ({figures['copy_s']} s) into {figures['months']} months"
    )
    print(
        f"{_PAIRS:,} as-of prices: {figures['asof_100k_s']} s (the first time {figures['asof_first_s']} s),"
        f" {figures['asof_vs_plain_sql']} times plain SQL ({figures['asof_plain_sql_s']} s)"
    )


def main() -> int:
    """Measure, print and write; 1 if it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.market_data", description=__doc__.partition("\n")[0])
    parser.add_argument("--securities", type=int, default=_SECURITIES, metavar="N")
    parser.add_argument("--prices", type=int, default=20_000_000, metavar="N")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="FILE")
    given = parser.parse_args()
    return processes.report(lambda: measure(given.securities, given.prices), given.output, _print)


if __name__ == "__main__":
    sys.exit(main())
