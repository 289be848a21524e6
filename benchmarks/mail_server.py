"""A mail server in a process of its own, which takes all mails and keeps none: `python -m benchmarks.mail_server KIND`.

It prints its port, and on each line that it is sent how many mails it has taken so far. Of the kinds, `aiosmtpd` is a
whole server, which says that it takes commands at once (PIPELINING), as Postfix, Exim and Exchange do; `plain` is the
same and does not say so, as aiosmtpd comes; and `sink` reads no more of SMTP than it must, so that it costs next to
nothing.
"""

import asyncio
import socket
import sys

from aiosmtpd.smtp import SMTP, Envelope, Session

_END = b"\r\n.\r\n"
_ANSWERS = {
    b"EHLO": b"250-sink\r\n250-PIPELINING\r\n250 SIZE 33554432\r\n",
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 Bye\r\n",
}


class _Counter:
    """What has come."""

    def __init__(self, *, says_pipelining: bool) -> None:
        self.mails = 0
        self._says_pipelining = says_pipelining

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's)
        self.mails += 1
        return "250 OK"

    async def handle_EHLO(  # noqa: N802 (aiosmtpd's)
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, answers: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*answers[:-1], "250-PIPELINING", answers[-1]] if self._says_pipelining else answers


class _Sink(asyncio.Protocol):
    """A session that knows commands by their first letters, and where a message ends."""

    def __init__(self, counter: _Counter) -> None:
        self._counter = counter
        self._is_message = False
        self._read = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (what a stream has)
        self._transport = transport
        transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._read += data
        # What is asked at once is answered at once.
        answers = b""
        at = 0
        while True:
            end = _END if self._is_message else b"\r\n"
            ends = self._read.find(end, at)
            if ends < 0:
                break
            command = b"" if self._is_message else bytes(self._read[at : at + 4]).upper()
            at = ends + len(end)
            if self._is_message:
                self._counter.mails += 1
            self._is_message = command == b"DATA"
            answers += _ANSWERS.get(command, b"250 OK\r\n")
        del self._read[:at]
        self._transport.write(answers)


async def _serve(kind: str) -> None:
    counter = _Counter(says_pipelining=kind != "plain")
    loop = asyncio.get_running_loop()

    def session() -> asyncio.Protocol:
        return _Sink(counter) if kind == "sink" else SMTP(counter, hostname="localhost", loop=loop)

    # Of a socket that does not say that it is TCP's, asyncio would hold answers back until the one before is received.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        await loop.create_server(session, sock=listener)
        print(listener.getsockname()[1], flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(counter.mails, flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
