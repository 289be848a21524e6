"""`make bench-notifications`: what telling people costs, beside the least that it could cost.

Drain: letters that wait as jobs are sent by a real worker of four processes, beside four processes that do nothing but
`smtplib`'s `sendmail` of messages made beforehand, as large, over one connection each. Both talk to the same server, in
turns, in one run. Three servers are tried: aiosmtpd, which takes its time as servers do and says PIPELINING as most do,
the same that does not say so, and a sink that takes next to none. Rules: 100,000 of them are looked at after a price
sync, see `benchmarks.alerts`.
"""

import argparse
import json
import multiprocessing
import os
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final

from app.errors import UnavailableError
from benchmarks import alerts, processes

_RESULTS = Path(__file__).with_name("results") / "notifications.json"
_STACK = "bench-notifications"
#: As many as `CELERY_WORKER_CONCURRENCY` is by default.
_PROCESSES = 4
_MAILS = 10_000
_RULES = 100_000
_ROUNDS = 2
#: Asked for in one transaction.
_TRANSACTION = 5_000
_TIMEOUT_S = 900
#: What is drained into, see `benchmarks.mail_server`, and what its figures end with.
_SERVERS: Final = {"aiosmtpd": "", "plain": "_plain", "sink": "_sink"}
_MAIL: Final = {
    "EMAIL_HOST": "127.0.0.1",
    "EMAIL_USE_TLS": "false",
    "SERVER_EMAIL": "Value Partner <engine@example.com>",
    "ADMIN_EMAIL": "ops@example.com",
}


class _Server:
    """A mail server that counts."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line())

    def mails(self) -> int:
        """Return how many it took so far."""
        assert self._process.stdin is not None  # noqa: S101 (it was asked for)
        print(file=self._process.stdin, flush=True)
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 (it was asked for)
        return self._process.stdout.readline()


@contextmanager
def _server(kind: str) -> Iterator[_Server]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.mail_server", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield _Server(process)
        finally:
            process.kill()


def _drain(share: float) -> dict[str, Any]:
    """Return what sending comes to, as `results/notifications.json` holds it."""
    figures: dict[str, Any] = {}
    with processes.stack(_STACK, environment=_MAIL) as stack:
        for kind, suffix in _SERVERS.items():
            with _server(kind) as server:
                os.environ["EMAIL_PORT"] = str(server.port)
                drain = _Drain(stack, server, max(100, int(_MAILS * share)))
                rates = drain.measure(kind)
            ours, bare = rates["ours"], rates["bare"]
            figures |= {
                f"drain_vs_smtplib{suffix}": round(ours / bare, 2),
                f"drain_per_s{suffix}": round(ours),
                f"smtplib_per_s{suffix}": round(bare),
                "mail_bytes": drain.size,
            }
    return figures


class _Drain:
    """Mails through one server, in turns."""

    def __init__(self, stack: processes.Stack, server: _Server, mails: int) -> None:
        self._stack = stack
        self._server = server
        self._mails = mails
        self._numbers = iter(range(sys.maxsize))
        self.size = 0

    def measure(self, kind: str) -> dict[str, float]:
        """Return mails per second of either side."""
        seconds: dict[str, list[float]] = {"ours": [], "bare": []}
        with processes.worker(self._stack.folder, concurrency=_PROCESSES) as worker:
            self._wait_for(self._enqueue(_PROCESSES * 10))
            for number in range(_ROUNDS):
                for side, times in seconds.items():
                    processes.say(f"{kind} {number + 1}, {side}")
                    before = self._server.mails()
                    times.append(self._ours(worker) if side == "ours" else self._bare())
                    taken = self._server.mails() - before
                    if taken != self._mails:
                        raise UnavailableError(f"{taken} of {self._mails} mails came", where=side)
        return {side: self._mails * len(each) / sum(each) for side, each in seconds.items()}

    def _ours(self, worker: subprocess.Popen[bytes]) -> float:
        with processes.stopped(worker):
            name = self._enqueue(self._mails)
            began = time.time()
        self._wait_for(name)
        ended = self._stack.scalar("SELECT extract(epoch FROM max(finished_at)) FROM jobs")
        # Messages whose jobs are done cost their worker a look each, and nobody waits for that.
        self._stack.messages.delete("celery")
        return float(ended) - began

    def _bare(self) -> float:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            content = pool.apply(_message)
        self.size = len(content)
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(_PROCESSES + 1)
        senders = [
            context.Process(target=_send, args=(self._server.port, content, self._mails // _PROCESSES, barrier))
            for _ in range(_PROCESSES)
        ]
        for sender in senders:
            sender.start()
        barrier.wait(_TIMEOUT_S)
        began = time.monotonic()
        barrier.wait(_TIMEOUT_S)
        took = time.monotonic() - began
        for sender in senders:
            sender.join()
        return took

    def _enqueue(self, mails: int) -> str:
        from app.database import session_scope  # noqa: PLC0415 (the settings name the servers only now)
        from app.jobs import enqueue_many  # noqa: PLC0415
        from app.notifications import MAIL_TASK, mail_args  # noqa: PLC0415

        name = f"{self._server.port}, round {next(self._numbers)}"
        for start in range(0, mails, _TRANSACTION):
            numbers = range(start, min(mails, start + _TRANSACTION))
            with session_scope() as session:
                jobs = {f"{name}:{number}": mail_args(*_told(number)) for number in numbers}
                enqueue_many(session, MAIL_TASK, jobs)
        return name

    def _wait_for(self, name: str) -> None:
        # Looking costs, too.
        processes.wait_until(
            lambda: not self._stack.scalar("SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'waiting')"),
            f"{name} was not sent",
            where=str(self._stack.folder / "worker.log"),
            timeout_s=_TIMEOUT_S,
            every_s=0.5,
        )


def _told(number: int) -> tuple[str, Any, Any]:
    """Return whom a mail is for, what it tells, each another, and what it comes of."""
    from app.notifications import Column, Letter, MailingList, Section, Severity, Table  # noqa: PLC0415

    rows = tuple(
        (f"ACCOUNT-{number}-{place}", what, kind, str(number % 90 + place))
        for place, (what, kind) in enumerate(
            [("GOOG", "quantity"), ("CREF-BOND-MARKET-R2", "missing at custodian"), ("cash USD", "cash")]
        )
    )
    letter = Letter(
        subject=f"{len(rows)} breaks are older than five days ({number})",
        lead="Nobody has touched them, and they are escalated to you.",
        sections=(
            Section(
                "Breaks",
                (f"The oldest is open for {number % 90 + 2} days.",),
                Table((Column("account"), Column("what"), Column("kind"), Column("age", is_number=True)), rows),
            ),
        ),
        commands=(("Look at them", "python -m app breaks list"),),
        severity=Severity.WARNING,
    )
    return f"reader-{number}@example.com", letter, MailingList("escalations", f"unsubscribe {number}")


def _message() -> bytes:
    """Return one of those mails as it goes to the server."""
    from app.notifications.mail import message  # noqa: PLC0415
    from app.settings import get_settings  # noqa: PLC0415

    to, letter, subscription = _told(_MAILS // 2)
    return message(
        get_settings(),
        to=to,
        subject="",
        text="",
        message_id="<20261128.123456.789@example.com>",
        letter=letter,
        mailing_list=subscription,
    )


def _send(port: int, content: bytes, mails: int, barrier: Barrier) -> None:
    """Send a message again and again, as fast as `smtplib` does it."""
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        barrier.wait(_TIMEOUT_S)
        for _ in range(mails):
            smtp.sendmail("engine@example.com", ["reader@example.com"], content)
        barrier.wait(_TIMEOUT_S)


def _rules(share: float) -> dict[str, Any]:
    """Return what looking at 100,000 alert rules takes after a price sync; see `benchmarks.alerts`."""
    return alerts.measure(round(share * _RULES))


#: Each by its name; what one measures is kept when another is measured alone.
_PARTS: Final[Mapping[str, Callable[[float], dict[str, Any]]]] = {"drain": _drain, "rules": _rules}


def _print(figures: dict[str, Any]) -> None:
    if "rules_100k_s" in figures:
        print(
            f"{figures['rules']:,} rules after a price sync: {figures['rules_100k_s']} s,"
            f" {figures['rules_100k_tenth_fires_s']} s if every tenth fires"
        )
    if "drain_per_s" not in figures:
        return
    for server, suffix in _SERVERS.items():
        print(
            f"{server:10} {figures[f'drain_per_s{suffix}']:>7} mails/s, smtplib alone"
            f" {figures[f'smtplib_per_s{suffix}']:>7}: {figures[f'drain_vs_smtplib{suffix}']}"
        )


def main() -> int:
    """Measure, print and write; 1 if it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.notifications", description=__doc__.partition("\n")[0])
    parser.add_argument("--part", choices=_PARTS, action="append", help="measure this alone")
    parser.add_argument("--share", type=float, default=1.0, metavar="F", help="of each measure's size, to try it out")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="FILE")
    given = parser.parse_args()

    def measure() -> dict[str, Any]:
        figures = json.loads(given.output.read_text()) if given.output.exists() else {}
        for part in given.part or _PARTS:
            figures |= _PARTS[part](given.share)
        return {**figures, "cores": os.cpu_count(), "share": given.share}

    return processes.report(measure, given.output, _print)


if __name__ == "__main__":
    sys.exit(main())
