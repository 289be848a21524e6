"""The end of `NOTIFY_SOCKET` that systemd listens on."""

import socket
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from uuid import uuid4

from tests.waiting import wait_until


@dataclass
class Listener:
    """What processes told systemd, each with its time and its sender's number."""

    address: str
    heard: list[tuple[float, int, str]] = field(default_factory=list)

    def messages(self) -> list[str]:
        return [message for _, _, message in self.heard]

    def senders(self) -> set[int]:
        return {pid for _, pid, _ in self.heard}

    def wait_for(self, message: str) -> None:
        wait_until(lambda: any(message in each for each in self.messages()))

    def status(self) -> str:
        lines = [line for message in self.messages() for line in message.splitlines()]
        return next((line for line in reversed(lines) if line.startswith("STATUS=")), "")

    def wait_for_feeds(self, number: int) -> None:
        """Wait until the watchdog was fed so often from now on."""
        before = self.messages().count("WATCHDOG=1")
        wait_until(lambda: self.messages().count("WATCHDOG=1") >= before + number, timeout=60)

    def wait_for_hunger(self, seconds: float) -> None:
        """Wait until systemd would kill: the watchdog was not fed for so long, or since it was said to be ready."""

        def fed_at() -> float:
            return max(at for at, _, text in self.heard if text.startswith(("READY=1", "WATCHDOG=1")))

        wait_until(lambda: time.monotonic() - fed_at() > seconds)


@contextmanager
def listener(*, abstract: bool = False) -> Iterator[Listener]:
    """Listen while the block runs."""
    with (
        tempfile.TemporaryDirectory(prefix="systemd-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end,
    ):
        name = f"value-partner-{uuid4().hex}" if abstract else str(Path(folder) / "notify")
        end.bind(f"\0{name}" if abstract else name)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listening = Listener(f"@{name}" if abstract else name)
        reader = Thread(target=_read, args=(end, listening))
        reader.start()
        try:
            yield listening
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
                own.sendto(_END, end.getsockname())
            reader.join()


_END = uuid4().bytes
_CREDENTIALS = struct.Struct("3i")


def _read(end: socket.socket, listening: Listener) -> None:
    while True:
        message, ancillary, _, _ = end.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
        if message == _END:
            return
        ((_, _, credentials),) = ancillary
        pid, _, _ = _CREDENTIALS.unpack(credentials)
        listening.heard.append((time.monotonic(), pid, message.decode()))


def environment(listening: Listener, *, watchdog_s: float | None = None) -> dict[str, str]:
    """What systemd gives a process of a unit, but for WATCHDOG_PID, which is not known before it runs."""
    watchdog = {} if watchdog_s is None else {"WATCHDOG_USEC": str(round(watchdog_s * 1_000_000))}
    return {"NOTIFY_SOCKET": listening.address, **watchdog}
