"""What goes wrong, one fault a function: it asks for the run, does its harm at a time that is drawn, and mends it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from app.tasks.publisher import transport
from tests.chaos.night import Night
from tests.processes import PROJECT

Inject = Callable[[Night], None]

#: Above `CELERY_VISIBILITY_TIMEOUT_S`, whose least value is 60.
_LONG_STOP_S = 62.0
_SHORT_S = 3.0
_LONG_S = 6.0
_STATEMENT_TIMEOUT_MS = 5
_CLOCK_WRONG_BY_S = 40.0


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong."""

    name: str
    inject: Inject
    #: What must be so for it, and why it is not run where it is not.
    lacks: Callable[[], str | None]


FAULTS: list[Fault] = []


def fault(name: str, *, lacks: Callable[[], str | None] = lambda: None) -> Callable[[Inject], Inject]:
    """Declare a fault; it is injected in the order of declaration."""

    def declare(inject: Inject) -> Inject:
        FAULTS.append(Fault(name, inject, lacks))
        return inject

    return declare


# --- Workers ---


@fault("worker child killed, in the middle of a shard")
def kill_child_in_a_shard(night: Night) -> None:
    night.begin_and_wait()
    _kill(night, night.draw.choice(night.worker.processes()[1:]))


@fault("worker child killed, right after a commit")
def kill_child_after_a_commit(night: Night) -> None:
    night.begin_and_wait_for_a_commit()
    _kill(night, night.draw.choice(night.worker.processes()[1:]))


@fault("worker's parent killed, its children left")
def kill_parent(night: Night) -> None:
    night.begin_and_wait()
    _kill(night, night.worker.processes()[0])


@fault("worker killed, parent and children")
def kill_worker(night: Night) -> None:
    night.begin_and_wait()
    night.strike()
    os.killpg(night.worker.pid, signal.SIGKILL)


@fault("worker killed, between a commit and its acknowledgement")
def kill_worker_after_a_commit(night: Night) -> None:
    night.begin_and_wait_for_a_commit()
    night.strike()
    os.killpg(night.worker.pid, signal.SIGKILL)


@fault("worker stopped for longer than the visibility timeout, then continued")
def stop_worker(night: Night) -> None:
    night.add(lambda: night.new_worker("another"))
    night.begin_and_wait()
    stopped = night.worker.processes()
    night.strike()
    for process in stopped:
        process.suspend()
    night.wait(_LONG_STOP_S)
    for process in stopped:
        process.resume()


@fault("deployment in the middle of a run")
def deploy(night: Night) -> None:
    release = night.folder / "release"
    for part in ("app", "tests"):
        shutil.copytree(PROJECT / part, release / part, ignore=shutil.ignore_patterns("__pycache__"))
    night.begin_and_wait()
    night.beat.become(lambda: night.new_beat("beat-2", cwd=release))
    night.worker.become(lambda: night.new_worker("worker-2", cwd=release))


# --- Redis ---


@fault("Redis killed and started again")
def kill_redis(night: Night) -> None:
    night.begin_and_wait()
    night.servers.redis.kill()
    night.wait(_SHORT_S)
    night.servers.redis.start()


@fault("Redis killed and started again empty")
def lose_redis(night: Night) -> None:
    night.begin_and_wait()
    night.servers.redis.kill()
    night.servers.redis.forget()
    night.wait(1.0)
    night.servers.redis.start()


@fault("Redis flushed")
def flush_redis(night: Night) -> None:
    night.begin_and_wait()
    with night.servers.redis.client() as client:
        client.flushall()


@fault("Redis out of memory")
def fill_redis(night: Night) -> None:
    night.begin_and_wait()
    with night.servers.redis.client() as client:
        client.config_set("maxmemory", "1")
        night.wait(_LONG_S)
        client.config_set("maxmemory", "0")


@fault("Redis read-only")
def make_redis_read_only(night: Night) -> None:
    night.begin_and_wait()
    with night.servers.redis.client() as client:
        # Of a server that nobody runs: port 1.
        client.replicaof("127.0.0.1", 1)
        night.wait(_LONG_S)
        client.replicaof("NO", "ONE")


@fault("Redis answers nobody for a while")
def pause_redis(night: Night) -> None:
    night.begin_and_wait()
    with night.servers.redis.client() as client:
        client.client_pause(int(_LONG_S * 1000), all=True)
        night.wait(_LONG_S)


@fault("connections to Redis half-open")
def lose_the_way_to_redis(night: Night) -> None:
    night.begin_and_wait()
    night.servers.broker_relay.go_deaf()
    night.wait(_LONG_S)
    night.servers.broker_relay.hear_new_connections()


@fault("every message delivered twice")
def send_everything_again(night: Night) -> None:
    night.begin_and_wait()
    for _ in range(3):
        transport.publish(night.messages())
        night.wait(night.draw.uniform(0.2, 0.8))


# --- PostgreSQL ---


@fault("PostgreSQL killed and started again")
def kill_postgres(night: Night) -> None:
    night.begin_and_wait()
    night.servers.postgres.kill()
    night.wait(1.0)
    night.servers.postgres.start()


@fault("PostgreSQL restarted")
def restart_postgres(night: Night) -> None:
    night.begin_and_wait()
    night.servers.postgres.restart()


@fault("all sessions ended by PostgreSQL")
def end_sessions(night: Night) -> None:
    night.begin_and_wait()
    night.end_sessions()


@fault("PostgreSQL out of connections")
def use_up_connections(night: Night) -> None:
    night.begin_and_wait()
    with ExitStack() as taken, suppress(psycopg.OperationalError):
        night.end_sessions()
        socket = str(night.servers.postgres.server.socket_folder)
        try:
            while True:
                connection = psycopg.connect(host=socket, user="postgres", dbname="postgres", connect_timeout=5)
                taken.callback(connection.close)
        finally:
            night.wait(_SHORT_S)


@fault("statements of PostgreSQL timed out")
def time_statements_out(night: Night) -> None:
    night.begin_and_wait()
    night.execute(f"ALTER DATABASE {night.database} SET statement_timeout = {_STATEMENT_TIMEOUT_MS}")
    night.end_sessions()
    night.wait(_SHORT_S)
    night.execute(f"ALTER DATABASE {night.database} RESET statement_timeout")
    night.end_sessions()


# --- The clock ---


@fault("two beats at once, one of them killed")
def run_two_beats(night: Night) -> None:
    other = night.add(lambda: night.new_beat("another-beat"))
    night.begin_and_wait()
    night.wait(_SHORT_S)
    _kill(night, psutil.Process(other.pid))
    night.wait(_SHORT_S)


@fault("beat down over a due time")
def stop_beat_over_a_due_time(night: Night) -> None:
    night.begin_and_wait()
    night.wait_for(lambda: night.scalar("SELECT count(*) = 2 FROM schedule_ticks"))
    night.beat.stop()
    # As if it had been down since before the last due time.
    night.execute("UPDATE schedule_ticks SET last_due = last_due - interval '1 day' WHERE schedule LIKE 'reconcile%'")
    night.beat.start()
    night.add(lambda: night.new_beat("another-beat"))
    made_up = "SELECT count(*) FROM jobs WHERE key LIKE 'reconcile-accounts-daily@%'"
    night.wait_for(lambda: night.scalar(made_up))
    night.wait(_SHORT_S)
    assert night.scalar(made_up) == 1, "the missed daily run was not made up once"
    assert night.wait_for(lambda: night.scalar("SELECT count(*) FROM runs WHERE state = 'complete'") == 2)


@fault("the clock of a beat wrong, ahead and then behind")
def move_the_clock(night: Night) -> None:
    night.begin_and_wait()
    for wrong_by_s in (_CLOCK_WRONG_BY_S, -_CLOCK_WRONG_BY_S):
        night.beat.become(lambda by=wrong_by_s: night.new_beat(f"beat{by:+.0f}", clock_wrong_by_s=by))
        night.wait(_SHORT_S)
    night.beat.become(lambda: night.new_beat("beat-right"))


# --- Disks ---


@fault("disk full at log and report writing", lacks=lambda: None if os.geteuid() == 0 else "it takes root to mount one")
def fill_the_disk(night: Night) -> None:
    with _small_disk(night.folder / "disk") as disk:
        logs = disk / "logs"
        logs.mkdir()
        night.worker.become(lambda: night.new_worker("on-a-small-disk", logs=logs))
        _fill(disk)
        night.begin_and_wait()
        assert night.wait_for(lambda: night.scalar("SELECT state = 'complete' FROM runs")), "no run on a full disk"
        refused = _report(night, disk)
        assert refused.returncode, "a report was written to a full disk"
        assert "No space left" in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr, refused.stderr
        assert not list(disk.glob("reports/*")), "half a report is left"
        (disk / "full").unlink()
        night.worker.become(night.new_worker)
    written = _report(night, night.folder)
    assert written.returncode == 0, written.stderr


def _report(night: Night, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "app", "report", "--output", str(folder / "reports")]
    environment = os.environ | night.environment()
    return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)


def _fill(disk: Path) -> None:
    with (disk / "full").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["/usr/bin/umount", "--lazy", str(folder)], check=True)


# --- Mail ---


@fault("mail server down")
def stop_the_mail_server(night: Night) -> None:
    night.servers.mail_relay.close()
    night.begin()
    night.wait(_SHORT_S)
    night.servers.mail_relay.reopen()


@fault("mail server slow")
def slow_the_mail_server_down(night: Night) -> None:
    night.servers.mail.thinks_s = 0.5
    night.begin()
    night.wait(_LONG_S)
    night.servers.mail.thinks_s = 0.0


@fault("mail server refuses half")
def have_half_refused(night: Night) -> None:
    answers = [answer for _ in range(200) for answer in ("450 Try again", "")]
    night.draw.shuffle(answers)
    night.servers.mail.answers["RCPT"] = answers
    night.begin()
    night.wait(_SHORT_S)
    night.servers.mail.answers.clear()


@fault("mail server takes a mail and hangs up before it says so")
def have_answers_lost(night: Night) -> None:
    night.servers.mail.hides_that_it_took = True
    night.begin()
    night.wait(night.draw.uniform(0.5, 1.5))
    night.servers.mail.hides_that_it_took = False


def _kill(night: Night, process: psutil.Process) -> None:
    night.strike()
    with suppress(psutil.NoSuchProcess):
        process.kill()
