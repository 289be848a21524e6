"""A server that takes commands at once gets them at once."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from app.errors import UnavailableError
from app.notifications import Hooks, MailRefusedError, WrittenMail, close_connections, send_mail, send_written, smtp
from tests.waiting import wait_until


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


def written(number: int) -> WrittenMail:
    to = f"reader-{number}@example.com"
    return WrittenMail(to, f"To: {to}\r\nSubject: Mail {number}\r\n\r\nText.\r\n".encode())


def readers(mails) -> list[list[str]]:
    return [mail.recipients for mail in mails]


@pytest.fixture
def at_once(server):
    server.takes_commands_at_once = True
    return server


@pytest.fixture
def send_one(at_once, plain):
    """Sends a mail, and tells the server of the one after it if that is given."""
    settings = plain(at_once.port)

    def send_one(number: int, following: int | None = None, hooks: Hooks | None = None) -> None:
        after = None if following is None else written(following)
        send_written(settings, written(number), hooks=hooks or Hooks(), following=after)

    return send_one


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


def test_the_server_hears_of_the_next_mail_with_the_end_of_a_message_and_its_message_waits_for_the_answers(plain):
    begun = (b"DATA\r\n", b"250 a\r\n250 b\r\n354 go on\r\n")
    first, second = written(1), written(2)
    with scripted(
        GREETING, begun, (b"DATA\r\n", b"250 taken\r\n" + begun[1]), (b"\r\n.\r\n", b"250 taken\r\n"), FAREWELL
    ) as server:
        send_written(plain(server.port), first, hooks=Hooks(), following=second)
        send_written(plain(server.port), second, hooks=Hooks())
    told = b"MAIL FROM:<engine@example.com>\r\nRCPT TO:<reader-%d@example.com>\r\nDATA\r\n"
    assert server.heard[1:4] == [told % 1, first.content + b".\r\n" + told % 2, second.content + b".\r\n"]


def test_mails_of_which_each_is_told_before_come_in_their_order_over_one_connection(at_once, send_one):
    for number in range(20):
        send_one(number, number + 1 if number < 19 else None)
    assert readers(at_once.taken) == [[f"reader-{number}@example.com"] for number in range(20)]
    assert len(at_once.connections) == 1


def test_a_server_that_does_not_say_so_hears_of_no_mail_before(server, plain):
    told = []
    server.on_recipient = lambda: told.append(len(server.taken))
    for number in range(3):
        send_written(plain(server.port), written(number), hooks=Hooks(), following=written(number + 1))
    assert told == [0, 1, 2]


def test_where_another_mail_comes_than_was_told_the_server_is_left_without_a_message(at_once, send_one):
    send_one(1, 2)
    send_one(3)
    send_one(2)
    assert readers(at_once.given) == [["reader-1@example.com"], ["reader-3@example.com"], ["reader-2@example.com"]]
    assert len(at_once.connections) == 2


def test_a_server_that_waits_for_a_message_that_does_not_come_is_hung_up_on(at_once, send_one):
    send_one(1, 2)
    close_connections()
    wait_until(lambda: at_once.open_connections == 0)
    assert readers(at_once.given) == [["reader-1@example.com"]]


@pytest.mark.parametrize(
    ("command", "answer", "error"),
    [
        ("RCPT", "550 No such user", MailRefusedError),
        ("RCPT", "450 Come again", UnavailableError),
        ("MAIL", "552 Too large", MailRefusedError),
    ],
)
def test_what_the_server_says_to_a_mail_that_it_was_told_of_is_that_mail_s(at_once, send_one, command, answer, error):
    at_once.answers[command] = ["", answer]
    send_one(1, 2)
    with pytest.raises(error, match=answer):
        send_one(2, 3)
    send_one(3)
    assert readers(at_once.taken) == [["reader-1@example.com"], ["reader-3@example.com"]]


def test_a_message_that_is_refused_leaves_the_mail_that_the_server_was_told_of(at_once, send_one):
    at_once.answers["DATA"] = ["554 Spam"]
    with pytest.raises(MailRefusedError, match="554 Spam"):
        send_one(1, 2)
    send_one(2)
    assert readers(at_once.taken) == [["reader-2@example.com"]]
    assert len(at_once.connections) == 1


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
def test_a_server_that_wants_no_more_mails_when_it_is_told_of_one_is_called_again(at_once, send_one, command):
    at_once.answers[command] = ["", "421 4.7.0 That was enough"]
    send_one(1, 2)
    send_one(2)
    assert readers(at_once.taken) == [["reader-1@example.com"], ["reader-2@example.com"]]
    assert len(at_once.connections) == 2


def test_a_mail_that_is_stopped_when_the_server_waits_for_it_comes_to_nobody(at_once, send_one):
    send_one(1, 2)

    def stop() -> None:
        raise LookupError("it is another's now")

    with pytest.raises(LookupError):
        send_one(2, hooks=Hooks(before_message=stop))
    send_one(3)
    assert readers(at_once.given) == [["reader-1@example.com"], ["reader-3@example.com"]]


def test_a_mail_whose_answer_is_lost_says_so_and_the_one_that_was_told_is_sent_anew(at_once, send_one):
    at_once.hides_that_it_took = True
    with pytest.raises(UnavailableError, match="Connection unexpectedly closed"):
        send_one(1, 2)
    at_once.hides_that_it_took = False
    send_one(2)
    assert readers(at_once.given) == [["reader-1@example.com"], ["reader-2@example.com"]]


def test_no_mail_is_told_of_on_a_connection_that_has_had_enough(at_once, send_one, monkeypatch):
    monkeypatch.setattr(smtp, "_MOST_MAILS", 2)
    for number in range(5):
        send_one(number, number + 1 if number < 4 else None)
    assert readers(at_once.given) == [[f"reader-{number}@example.com"] for number in range(5)]
    assert len(at_once.connections) == 3
