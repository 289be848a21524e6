"""The real parts that tests talk to: PostgreSQL and Redis of their own, worker processes, custodians' files."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psycopg
import pytest
import redis
from celery import Celery
from hypothesis import HealthCheck, settings
from psycopg import sql
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from app import database as app_database
from app.jobs import connect
from app.settings import get_settings
from dev import embedded, samples
from tests.processes import Program, start_worker

_TEMPLATE = "template_migrated"
_numbers = count(1)
#: Where a database is made in a tenth of the time that it takes on a disk.
_MEMORY = Path("/dev/shm")  # noqa: S108 (its folder has a name of its own there)
_ROOM = 4 * 1024**3
#: Modules whose tests are few and take long: begun first, or one worker is left with them when all others are done.
_LONG = (
    "tests/demo/test_commands.py",
    "tests/integration/test_run_celery.py",
    "tests/integration/tasks/test_systemd.py",
    "tests/integration/security/test_secrets.py",
    "tests/integration/reconciliation/test_sign_off.py",
    "tests/integration/performance/test_incremental.py",
    "tests/benchmarks/test_soak.py",
    "tests/dev/test_embedded.py",
    "test_reconciliation.py",
)


# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """End in order, servers and all, by the signals that ask for it, wherever they find the tests."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    # Ignored where a script started make in the background; programs that tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # What programs print into a pipe is as wide as its lines, unless this says else.
    os.environ.pop("COLUMNS", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the long modules run first."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    pytest.exit(f"ended by {signal.Signals(number).name}", returncode=128 + number)


@pytest.fixture(autouse=True)
def _publish_nowhere() -> None:
    """Importing the tasks connects the configured broker, which may be a developer's own: no test may write to it."""
    connect(None)


@pytest.fixture(scope="session")
def run_dir() -> Iterator[Path]:
    """A folder for the servers of this session; everybody may enter it, for PostgreSQL does not run as root."""
    with tempfile.TemporaryDirectory(
        prefix="value-partner-tests-", dir=_MEMORY if _fits_in_memory() else None
    ) as folder:
        path = Path(folder)
        path.chmod(0o711)
        yield path


@pytest.fixture(scope="session")
def postgres_server(run_dir: Path) -> Iterator[embedded.Postgres]:
    with embedded.postgres(run_dir, durable=False, settings={"max_wal_size": "256MB"}) as server:
        engine = create_engine(server.url)
        app_database.upgrade(engine)
        engine.dispose()
        with _superuser(server) as connection:
            connection.execute(sql.SQL("ALTER DATABASE value_partner RENAME TO {}").format(sql.Identifier(_TEMPLATE)))
        yield server


@pytest.fixture
def empty_database(postgres_server: embedded.Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a database without tables, which the settings name."""
    with _scratch_database(postgres_server, monkeypatch, template="template0") as url:
        yield url


@pytest.fixture
def database(postgres_server: embedded.Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a migrated, empty database, which the settings name."""
    with _scratch_database(postgres_server, monkeypatch, template=_TEMPLATE) as url:
        yield url


@pytest.fixture
def engine(database: str) -> Engine:
    return app_database.get_engine()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on the scratch database; commit what other connections are to see."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


@pytest.fixture(scope="session")
def redis_server(run_dir: Path) -> Iterator[embedded.Redis]:
    with embedded.redis(run_dir) as server:
        yield server


@pytest.fixture
def broker(redis_server: embedded.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """An empty Redis, which the settings name as broker and result backend."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_server.broker_url)
    monkeypatch.setenv("CELERY_RESULT_BACKEND", redis_server.result_backend_url)
    get_settings.cache_clear()
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client
        client.flushall()
    get_settings.cache_clear()


@pytest.fixture
def celery_app(database: str, broker: redis.Redis) -> Celery:
    """The application in this process, on this test's broker and database."""
    from app.tasks import celery_app, transport  # reads the settings when it is imported

    settings = get_settings()
    celery_app.conf.update(
        broker_url=settings.celery_broker_url.get_secret_value(),
        result_backend=settings.celery_result_backend.get_secret_value(),
        redis_socket_keepalive=False,  # the application may have been made for a Redis on TCP
    )
    connect(transport.publish)  # a test of the ledger alone may have connected something else
    return celery_app


@pytest.fixture
def worker(
    celery_app: Celery,
    tmp_path: Path,
) -> Iterator[Callable[..., Program]]:
    """Start real worker processes, `worker(concurrency=2)`; all are gone when the test ends."""
    with ExitStack() as started:
        yield lambda **options: started.enter_context(start_worker(tmp_path, **options))


@pytest.fixture(scope="session")
def ofx_samples(run_dir: Path) -> Path:
    """A folder of OFX files that custodians produced."""
    folder = samples.ofx_samples(run_dir)
    assert folder is not None, "the sample files could not be had from the package index"
    return folder


@pytest.fixture(scope="session")
def bokeh_samples(run_dir: Path) -> Path:
    """A folder with `stocks.csv.gz`, closing prices of five stocks as they were paid, and adjusted."""
    folder = samples.bokeh_samples(run_dir)
    assert folder is not None, "the sample prices could not be had from the package index"
    return folder


@pytest.fixture(scope="session")
def skfolio_samples(run_dir: Path) -> Path:
    """A folder with `sp500_dataset.csv.gz`, adjusted closing prices of 20 stocks."""
    folder = samples.skfolio_samples(run_dir)
    assert folder is not None, "the sample prices could not be had from the package index"
    return folder


def _fits_in_memory() -> bool:
    """Whether there is a folder in memory with room for servers, and for programs that may run there."""
    try:
        about = os.statvfs(_MEMORY)
    except OSError:
        return False
    return os.access(_MEMORY, os.W_OK) and about.f_bavail * about.f_frsize >= _ROOM and not about.f_flag & os.ST_NOEXEC


class _scratch_database:  # noqa: N801 (reads as the context manager that it is)
    def __init__(self, server: embedded.Postgres, monkeypatch: pytest.MonkeyPatch, *, template: str) -> None:
        self._server = server
        self._monkeypatch = monkeypatch
        self._template = template
        self._name = f"test_{next(_numbers)}"

    def __enter__(self) -> str:
        with _superuser(self._server) as connection:
            # Copied as files: by way of the log takes more than twice as long.
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(self._name), sql.Identifier(self._template)
                )
            )
        url = self._server.url.replace("/value_partner?", f"/{self._name}?")
        # A developer's own .env must not reach into the tests.
        self._monkeypatch.setenv("ENV_FILE", os.devnull)
        self._monkeypatch.setenv("DATABASE_URL", url)
        # What is on the network is not what a test is about.
        self._monkeypatch.setenv("ECB_URL", "off")
        _forget_settings()
        return url

    def __exit__(self, *_: object) -> None:
        app_database.get_engine().dispose()
        _forget_settings()
        with _superuser(self._server) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self._name)))


def _superuser(server: embedded.Postgres) -> psycopg.Connection:
    return psycopg.connect(
        host=str(server.socket_folder), port=5432, user="postgres", dbname="postgres", autocommit=True
    )


def _forget_settings() -> None:
    get_settings.cache_clear()
    app_database.get_engine.cache_clear()
