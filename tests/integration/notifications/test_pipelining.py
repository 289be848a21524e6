"""A server that takes commands at once gets them at once."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from app.notifications import MailRefusedError, close_connections, send_mail


class Scripted:
    """A server that answers with what it is told to, and keeps what came before each answer."""

    def __init__(self, listener: socket.socket, answers: list[tuple[bytes, bytes]]) -> None:
        self.port = listener.getsockname()[1]
        self.heard: list[bytes] = []
        self._listener = listener
        self._answers = answers

    def serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.sendall(b"220 here\r\n")
            for end, answer in self._answers:
                heard = b""
                while not heard.endswith(end):
                    read = connection.recv(65536)
                    assert read, f"it hung up after {heard!r}"
                    heard += read
                self.heard.append(heard)
                connection.sendall(answer)


@contextmanager
def scripted(*answers: tuple[bytes, bytes]) -> Iterator[Scripted]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(listener, list(answers))
        thread = Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            close_connections()
            thread.join()


GREETING = (b"\r\n", b"250-here\r\n250 PIPELINING\r\n")
FAREWELL = (b"quit\r\n", b"221 bye\r\n")


def send(settings) -> None:
    send_mail(settings, to="admin@example.com", subject="A", text="B", message_id="<1@example.com>")


def test_commands_go_at_once_and_the_message_when_the_server_waits_for_it(plain):
    begun = (b"DATA\r\n", b"250 a\r\n250 b\r\n354 go on\r\n")
    with scripted(GREETING, begun, (b"\r\n.\r\n", b"250 taken\r\n"), FAREWELL) as server:
        send(plain(server.port))
    assert server.heard[1] == b"MAIL FROM:<engine@example.com>\r\nRCPT TO:<admin@example.com>\r\nDATA\r\n"
    assert server.heard[2].endswith(b"\r\n\r\nB\r\n.\r\n")


@pytest.mark.parametrize(
    ("answers", "more"),
    [
        (b"250 a\r\n550 no such user\r\n503 no reader\r\n", []),
        # One that asks for a message all the same gets an empty one.
        (b"250 a\r\n550 no such user\r\n354 go on\r\n", [(b".\r\n", b"554 no reader\r\n")]),
    ],
)
def test_a_reader_that_is_declined_gets_no_message_and_the_next_mail_fares_well(plain, answers, more):
    with scripted(
        GREETING, (b"DATA\r\n", answers), *more, (b"rset\r\n", b"250 forgotten\r\n"),
        (b"DATA\r\n", b"250 a\r\n250 b\r\n354 go on\r\n"), (b"\r\n.\r\n", b"250 taken\r\n"), FAREWELL,
    ) as server:  # fmt: skip
        with pytest.raises(MailRefusedError, match="550 no such user"):
            send(plain(server.port))
        send(plain(server.port))
    assert all(heard == b".\r\n" for heard in server.heard[2 : 2 + len(more)])
