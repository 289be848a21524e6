"""A night: a run of all accounts and its mails, on real servers and processes, each of which a fault can get at."""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil
import redis
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from app.errors import UnavailableError
from app.jobs import Message, enqueue, enqueue_many
from app.reconciliation import start_run
from dev import embedded
from tests.chaos import world
from tests.mail_server import MailServer, running_mail_server
from tests.processes import PROJECT, Program, start_beat, start_worker
from tests.relay import Relay, relay

APP = "tests.apps.night"
MAIL_TASK = "app.tasks.notifications.send_mail"
_TICK_TASK = "tests.apps.night.tick"
_MAILS = 40
_SHARD = 1_000
#: Of portfolios, which no worker of these nights values: what is tried is the reconciliation.
_NOT_WATCHED = "analytics"
#: What all must be done within, once the fault is over.
PATIENCE_S = 60.0
_LOOK_S = 0.05
#: As `RestartSec=` of the units.
_RESTART_S = 1.0
#: From a message until the note that the server took it.
_INSTANT_S = 0.05

Answer = TypeVar("Answer")


class Postgres:
    """The database server; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self.start()

    def start(self) -> None:
        """Start it on the data that are there."""
        self.server = self._running.enter_context(embedded.postgres(self._folder))

    def kill(self) -> None:
        """End it as a lost machine would."""
        _kill_all(self.server.pid)
        self._close()

    def restart(self) -> None:
        """Stop it in order, whoever uses it, and start it again."""
        self._close()
        self.start()

    def stop(self) -> None:
        """Stop it for good."""
        self._close()

    def _close(self) -> None:
        with suppress(UnavailableError):  # it was killed
            self._running.close()


class Redis:
    """The broker; it can be killed, and started again with or without what it knew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self.start()

    def start(self) -> None:
        """Start it on the data that are there."""
        self.server = self._running.enter_context(embedded.redis(self._folder))

    def kill(self) -> None:
        """End it as a lost machine would."""
        _kill_all(self.server.pid)
        self.stop()

    def forget(self) -> None:
        """Remove what it knew; it must not run."""
        shutil.rmtree(self._folder / "redis")

    def stop(self) -> None:
        """Stop it."""
        with suppress(UnavailableError):  # it was killed
            self._running.close()

    def client(self) -> redis.Redis:
        """Connect to it past the relay."""
        return redis.Redis.from_url(self.server.url)


class Service:
    """A process that is started again when it ends by itself, as systemd would."""

    def __init__(self, start: Callable[[], AbstractContextManager[Program]]) -> None:
        self._start = start
        self._running = ExitStack()
        self._ended_at: float | None = None
        self.program: Program | None = None

    @property
    def pid(self) -> int:
        """The process id of the one that runs."""
        assert self.program is not None
        return self.program.pid

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.program = self._running.enter_context(self._start())
        self._ended_at = None

    def become(self, start: Callable[[], AbstractContextManager[Program]]) -> None:
        """Stop it in order, and start another in its place."""
        self.stop()
        self._start = start
        self.start()

    def stop(self) -> None:
        """Ask it to end, and wait until it did."""
        if self.program is not None and self.program.process.poll() is None:
            self.program.process.send_signal(signal.SIGCONT)
            with suppress(Exception):
                self.program.stop()
        self.kill()

    def kill(self) -> None:
        """End it at once, with its children."""
        self.program = None
        self._running.close()

    def look_after(self) -> None:
        """Start it again if it ended; call this every now and then."""
        if self.program is None or self.program.process.poll() is None:
            return
        self._ended_at = self._ended_at or time.monotonic()
        if time.monotonic() - self._ended_at >= _RESTART_S:
            self._running.close()
            self.start()

    def processes(self) -> list[psutil.Process]:
        """Return it and its children."""
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]


@dataclass
class Servers:
    """What outlives a night."""

    folder: Path
    postgres: Postgres
    redis: Redis
    mail: MailServer
    database_relay: Relay
    broker_relay: Relay
    mail_relay: Relay


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Run the servers while the block runs; `folder` is theirs."""
    with ExitStack() as stack:
        postgres = Postgres(folder)
        stack.callback(postgres.stop)
        broker = Redis(folder)
        stack.callback(broker.stop)
        mail = stack.enter_context(running_mail_server())
        mail.takes_commands_at_once = True
        yield Servers(
            folder,
            postgres,
            broker,
            mail,
            stack.enter_context(relay(postgres.server.socket_folder / ".s.PGSQL.5432")),
            stack.enter_context(relay(broker.server.socket)),
            stack.enter_context(relay(mail.port)),
        )


@dataclass(frozen=True)
class Result:
    """What a night with a fault came to."""

    lost: list[str]
    doubled: list[str]
    #: Mails that came again because the server never said that it had them.
    repeated: int
    #: Seconds from the end of the fault until all was done.
    recovered_s: float
    #: What went on too long, or answered nobody.
    hung: list[str] = field(default_factory=list)


class Night:
    """A run and its mails under way."""

    def __init__(self, servers: Servers, number: int, draw: random.Random, *, length_s: float) -> None:
        self.servers = servers
        self.draw = draw
        #: What the run takes when nothing happens.
        self.length_s = length_s
        self.folder = servers.folder / f"night-{number}"
        self.folder.mkdir()
        self.logs = self.folder / "logs"
        self.logs.mkdir()
        self.database = f"night_{number}"
        world.make_database(servers.postgres.server, self.database)
        with servers.redis.client() as client:
            client.flushall()
        servers.mail.taken.clear()
        servers.mail.given.clear()
        servers.mail.unanswered.clear()
        self.url = servers.postgres.server.url.replace("/value_partner?", f"/{self.database}?")
        self.engine: Engine = create_engine(self.url, pool_pre_ping=True)
        self.run_id = 0
        self.fault_ended = 0.0
        self.worker = Service(self.new_worker)
        self.beat = Service(self.new_beat)
        self._strikes: list[float] = []
        self._services = [self.worker, self.beat]

    # --- The processes ---

    def environment(self) -> dict[str, str]:
        """Return the settings of the processes, which reach all servers through relays."""
        servers = self.servers
        broker = f"redis://127.0.0.1:{servers.broker_relay.port}"
        return {
            "ENV_FILE": os.devnull,
            "ECB_URL": "off",
            "DATABASE_URL": f"postgresql+psycopg://postgres@127.0.0.1:{servers.database_relay.port}/{self.database}",
            "CELERY_BROKER_URL": f"{broker}/0",
            "CELERY_RESULT_BACKEND": f"{broker}/1",
            "CELERY_VISIBILITY_TIMEOUT_S": "60",
            "JOBS_IDLE_TIMEOUT_S": "10",
            "ANALYTICS_QUEUE": _NOT_WATCHED,
            "RECONCILIATION_SHARD_SIZE": str(_SHARD),
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(servers.mail_relay.port),
            "EMAIL_USE_TLS": "false",
            "ADMIN_EMAIL": "admin@example.com",
            "SERVER_EMAIL": "engine@example.com",
            "LOG_DIR": str(self.logs),
            "STATEMENTS_DIR": str(servers.folder / "inbox"),
        }

    def new_worker(
        self, name: str = "worker", *, cwd: Path = PROJECT, logs: Path | None = None
    ) -> AbstractContextManager[Program]:
        """Return a worker with two children, to be started."""
        return start_worker(
            self.folder, name=name, app=APP, environment=self.environment(), cwd=cwd,
            logfile=(logs or self.logs) / f"{name}.log",
        )  # fmt: skip

    def new_beat(
        self, name: str = "beat", *, cwd: Path = PROJECT, clock_wrong_by_s: float = 0
    ) -> AbstractContextManager[Program]:
        """Return a beat, to be started; its clock may be wrong."""
        environment = {**self.environment(), "CLOCK_WRONG_BY_S": str(clock_wrong_by_s)}
        return start_beat(self.folder, name=name, app=APP, environment=environment, cwd=cwd)

    def add(self, start: Callable[[], AbstractContextManager[Program]]) -> Service:
        """Run one more process until the night ends."""
        service = Service(start)
        self._services.append(service)
        service.start()
        return service

    # --- What goes on ---

    def begin(self) -> None:
        """Ask for the run and its mails, in one transaction."""
        with Session(self.engine) as session, session.begin():
            enqueue_many(session, MAIL_TASK, {f"mail:{n}": _mail(n) for n in range(_MAILS)})
            self.run_id = start_run(session, "night", now=datetime.now(UTC), shard_size=_SHARD)

    def begin_and_wait(self) -> None:
        """Ask for the run, and wait into it for a time that is drawn."""
        self.begin()
        self.wait(self.draw.uniform(0.05, 0.7) * self.length_s)

    def begin_and_wait_for_a_commit(self) -> None:
        """Ask for the run, and wait until a number of its shards that is drawn is done."""
        self.begin()
        wanted = self.draw.randrange(1, 40)
        self.wait_for(lambda: self.shards_done() >= wanted)

    def wait(self, seconds: float) -> None:
        """Let it go on for so long: the time in which a fault lasts, or before it."""
        latest = time.monotonic() + seconds
        while time.monotonic() < latest:
            self._look_after()
            time.sleep(min(_LOOK_S, max(0.0, latest - time.monotonic())))

    def wait_for(self, condition: Callable[[], Answer], seconds: float = PATIENCE_S) -> Answer | None:
        """Wait until something is so, and return it; None if it is not in time."""
        latest = time.monotonic() + seconds
        while time.monotonic() < latest:
            self._look_after()
            with suppress(Exception):  # a server is away
                if answer := condition():
                    return answer
            time.sleep(_LOOK_S)
        return None

    def shards_done(self) -> int:
        """Return how many shards are done."""
        return int(self.scalar("SELECT shards_done FROM runs WHERE id = :run", run=self.run_id))

    def scalar(self, query: str, **parameters: Any) -> Any:
        """Ask the database, past the relay."""
        with self.engine.connect() as connection:
            return connection.execute(text(query), parameters).scalar_one()

    def execute(self, statement: str) -> None:
        """Change something in the database, past the relay."""
        with self.engine.begin() as connection:
            connection.execute(text(statement))

    def end_sessions(self) -> None:
        """Cut the workers' and beat's sessions off, from the database's side."""
        with world.administration(self.servers.postgres.server) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND pid <> pg_backend_pid() AND client_addr IS NULL AND application_name = %s",
                [self.database, "value-partner"],
            )

    def messages(self) -> list[Message]:
        """Return the newest message of each job, done or not."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                text("SELECT id, publish_number, task, queue FROM jobs WHERE publish_number IS NOT NULL ORDER BY 2")
            )
            return [Message(*row) for row in rows]

    def strike(self) -> None:
        """Say that processes are killed or stopped now, in the middle of whatever they do."""
        self._strikes.append(time.monotonic())

    def fault_ends(self) -> None:
        """Say that nothing is in the way any more."""
        self.fault_ended = time.monotonic()

    # --- What came of it ---

    def result(self, expected: world.Outcome) -> Result:
        """Wait until all is done, and say what is missing and what is there twice."""
        hung = []
        if not self.wait_for(self._is_all_done, PATIENCE_S - (time.monotonic() - self.fault_ended)):
            hung.append(self._what_is_left())
        recovered_s = time.monotonic() - self.fault_ended
        if not self._is_answered():
            hung.append("a job that was asked for afterwards was not done")
        found = world.outcome(self.url, self.run_id)
        lost = [f"break {row}" for row in (expected.breaks - found.breaks).elements()]
        lost += [f"account {row}" for row in (expected.accounts - found.accounts).elements()]
        doubled = [f"break {row}" for row in (found.breaks - expected.breaks).elements()]
        doubled += [f"account {row}" for row in (found.accounts - expected.accounts).elements()]
        self._count_ticks(lost, doubled)
        repeated = self._count_mails(lost, doubled)
        return Result(lost, doubled, repeated, recovered_s, hung)

    def _is_all_done(self) -> bool:
        return self.scalar("SELECT state FROM runs WHERE id = :run", run=self.run_id) == "complete" and not self.scalar(
            "SELECT count(*) FROM jobs WHERE state <> 'done' AND task <> :tick AND queue <> :other",
            tick=_TICK_TASK,
            other=_NOT_WATCHED,
        )

    def _what_is_left(self) -> str:
        with suppress(Exception), self.engine.connect() as connection:
            left = connection.execute(
                text(
                    "SELECT task, state, count(*), max(attempts), max(last_error) FROM jobs WHERE state <> 'done'"
                    " AND queue <> :other GROUP BY 1, 2 ORDER BY 1, 2"
                ),
                {"other": _NOT_WATCHED},
            ).all()
            return f"after {PATIENCE_S:.0f} s these are not done: {[tuple(row) for row in left]}"
        return "the database does not answer"

    def _is_answered(self) -> bool:
        """Ask both children of the worker for a job more each."""
        with Session(self.engine) as session, session.begin():
            jobs = [enqueue(session, _TICK_TASK, f"afterwards:{n}") for n in range(4)]
        done = "SELECT count(*) FROM jobs WHERE id = ANY (:jobs) AND state = 'done'"
        return bool(self.wait_for(lambda: self.scalar(done, jobs=jobs) == len(jobs)))

    def _count_ticks(self, lost: list[str], doubled: list[str]) -> None:
        # At one instant, for ticks go on meanwhile.
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            effects = Counter(connection.execute(text("SELECT job FROM ticks")).scalars())
            done = set(
                connection.execute(
                    text("SELECT 'job-' || id FROM jobs WHERE task = :tick AND state = 'done'"), {"tick": _TICK_TASK}
                ).scalars()
            )
        lost += [f"effect of tick {job}" for job in done - effects.keys()]
        doubled += [f"effect of tick {job}" for job, times in effects.items() if times > 1 or job not in done]

    def _morning_reports(self) -> dict[str, str]:
        """Return the Message-IDs of the mails about runs, each by what its notice is of."""
        with self.engine.connect() as connection:
            found = connection.execute(
                text(
                    "SELECT n.key, j.args ->> 'message_id' AS message_id FROM jobs AS j"
                    " JOIN notices AS n ON j.key = 'mail:notice:' || n.id WHERE n.key LIKE 'run:%'"
                )
            )
            return {row.key: row.message_id for row in found}

    def _count_mails(self, lost: list[str], doubled: list[str]) -> int:
        mail = self.servers.mail
        taken = Counter(str(one.message["Message-ID"]) for one in mail.taken)
        # Of a process that was killed or stopped between the message and the note that it was taken the answer is lost
        # as well.
        unheard = {
            str(one.message["Message-ID"])
            for one in mail.taken
            if any(abs(one.at - strike) < _INSTANT_S for strike in self._strikes)
        }
        reports = self._morning_reports()
        wanted = {_mail(n)["message_id"] for n in range(_MAILS)}
        wanted.add(reports.get(f"run:{self.run_id}", "of the morning report, for which nobody asked"))
        # A run that was made up may end with the night, before its report is sent or after it.
        known = wanted | set(reports.values())
        lost += [f"mail {message}" for message in wanted - taken.keys()]
        repeated = 0
        for message, times in taken.items():
            unanswered = mail.unanswered[message] + (message in unheard)
            repeated += min(times - 1, unanswered)
            if message not in known or times - 1 > unanswered:
                doubled.append(f"mail {message}")
        return repeated

    def _look_after(self) -> None:
        for service in self._services:
            service.look_after()

    def __enter__(self) -> "Night":
        # Each needs seconds of its own until it is ready.
        with ThreadPoolExecutor() as pool:
            list(pool.map(Service.start, self._services))
        return self

    def __exit__(self, *_: object) -> None:
        for service in self._services:
            service.kill()
        self.engine.dispose()
        with suppress(Exception):
            world.drop_database(self.servers.postgres.server, self.database)


def _mail(number: int) -> dict[str, str]:
    return {
        "to": f"reader-{number}@example.com",
        "subject": f"Mail {number}",
        "text": "What came of the night.",
        "message_id": f"<night-{number}@example.com>",
    }


def _kill_all(pid: int) -> None:
    """Kill a server and its children, all before any of them can do more."""
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family[1:], timeout=10)
