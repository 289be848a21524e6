"""One connection for many mails: kept, tried anew once, and forgotten where it is of no use."""

import os
from threading import Barrier, Thread

import pytest
import trustme

from app.errors import UnavailableError
from app.notifications import Hooks, MailRefusedError, check_mail_server, close_connections, send_mail, smtp
from tests.integration.notifications.conftest import server_context
from tests.mail_server import running_mail_server
from tests.waiting import wait_until


def send(settings, number: int = 1, **values):
    mail = {
        "to": "admin@example.com",
        "subject": f"Mail {number}",
        "text": "Text.",
        "message_id": f"<{number}@example.com>",
    }
    send_mail(settings, **{**mail, **values})


def subjects(mails) -> list[str]:
    return [mail.message["Subject"] for mail in mails]


def test_mails_go_over_one_connection_whose_login_is_said_once(secure_server, secure, trusted):
    for number in range(3):
        send(secure(secure_server.port), number)
    assert subjects(secure_server.taken) == ["Mail 0", "Mail 1", "Mail 2"]
    assert len(secure_server.connections) == 1
    assert secure_server.logins == [("engine", "opens it")]


def test_a_mail_that_is_refused_leaves_the_connection_for_the_next(server, plain):
    server.answers["RCPT"] = ["550 No such user", "450 Come again"]
    server.answers["DATA"] = ["554 Spam"]
    for number in range(2):
        with pytest.raises(UnavailableError):
            send(plain(server.port), number)
    with pytest.raises(MailRefusedError):
        send(plain(server.port), 2)
    send(plain(server.port), 3)
    assert subjects(server.taken) == ["Mail 3"]
    assert server.taken[0].recipients == ["admin@example.com"]
    assert len(server.connections) == 1


def test_a_server_that_hung_up_between_two_mails_is_called_again(server, plain):
    send(plain(server.port), 1)
    server.hang_up()
    send(plain(server.port), 2)
    assert subjects(server.taken) == ["Mail 1", "Mail 2"]
    assert len(server.connections) == 2


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
def test_a_server_that_wants_no_more_mails_on_a_connection_is_called_again(server, plain, command):
    send(plain(server.port), 1)
    server.answers[command] = ["421 4.7.0 That was enough"]
    send(plain(server.port), 2)
    assert subjects(server.taken) == ["Mail 1", "Mail 2"]
    assert len(server.connections) == 2


def test_a_server_that_hangs_up_always_is_called_again_once(server, plain):
    send(plain(server.port), 1)
    server.answers["MAIL"] = "421 4.7.0 Go away"
    with pytest.raises(UnavailableError, match="Go away"):
        send(plain(server.port), 2)
    assert len(server.connections) == 2


def test_a_mail_whose_answer_is_lost_is_not_sent_again_by_itself(server, plain):
    send(plain(server.port), 1)
    server.hides_that_it_took = True
    with pytest.raises(UnavailableError, match="Connection unexpectedly closed"):
        send(plain(server.port), 2)
    assert subjects(server.given) == ["Mail 1", "Mail 2"]


def test_a_connection_is_used_for_so_many_mails(server, plain, monkeypatch):
    monkeypatch.setattr(smtp, "_MOST_MAILS", 2)
    for number in range(5):
        send(plain(server.port), number)
    assert len(server.taken) == 5
    assert len(server.connections) == 3


def test_a_connection_that_nobody_uses_is_closed(server, plain, monkeypatch):
    monkeypatch.setattr(smtp, "_IDLE_S", 0.05)
    send(plain(server.port))
    wait_until(lambda: server.open_connections == 0)
    send(plain(server.port), 2)
    assert len(server.connections) == 2


def test_other_settings_have_a_connection_of_their_own(secure_server, secure, trusted):
    send(secure(secure_server.port))
    with pytest.raises(UnavailableError, match="535"):
        send(secure(secure_server.port, login=("engine", "wrong")), 2)
    assert len(secure_server.taken) == 1


def test_threads_do_not_talk_into_each_other(server, plain):
    start = Barrier(4)

    def send_some(first: int) -> None:
        start.wait()
        for number in range(first, first + 10):
            send(plain(server.port), number, text=f"Text {number}.")

    threads = [Thread(target=send_some, args=[first]) for first in range(0, 40, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = {(mail.message["Subject"], mail.message.get_content()) for mail in server.taken}
    assert told == {(f"Mail {number}", f"Text {number}.\n") for number in range(40)}
    assert len(server.taken) == 40
    assert len(server.connections) <= 4


def test_a_forked_process_leaves_its_parent_s_connection_alone(server, plain):
    send(plain(server.port), 1)
    child = os.fork()
    if child == 0:
        try:
            send(plain(server.port), 2)
            close_connections()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    send(plain(server.port), 3)
    assert subjects(server.taken) == ["Mail 1", "Mail 2", "Mail 3"]
    assert len(server.connections) == 2


# What is called on the way


def test_what_is_called_on_the_way_comes_in_order(server, plain):
    called = []
    server.on_mail = lambda _: called.append("server")
    hooks = Hooks(
        before_message=lambda: called.append("before"),
        when_taken=lambda: called.append("taken"),
        when_refused=lambda: called.append("refused"),
    )
    send(plain(server.port), hooks=hooks)
    server.answers["DATA"] = ["554 Spam"]
    with pytest.raises(UnavailableError):
        send(plain(server.port), 2, hooks=hooks)
    server.answers["RCPT"] = ["550 No such user"]
    with pytest.raises(UnavailableError):
        send(plain(server.port), 3, hooks=hooks)
    told = ["before", "server"]
    assert called == [*told, "taken", *told, "refused"]


def test_a_mail_that_is_stopped_at_the_last_moment_reaches_nobody(server, plain):
    def stop() -> None:
        raise RuntimeError("no longer ours")

    with pytest.raises(RuntimeError, match="no longer ours"):
        send(plain(server.port), 1, hooks=Hooks(before_message=stop))
    send(plain(server.port), 2)
    assert subjects(server.given) == ["Mail 2"]


# Encryption from the first byte


@pytest.fixture
def implicit(secure):
    def implicit(port: int, **values):
        return secure(port, email_use_tls=False, email_use_ssl=True, **values)

    return implicit


def test_a_mail_goes_encrypted_from_the_first_byte(authority, trusted, implicit):
    with running_mail_server(server_context(authority), needs_login=True, implicit_tls=True) as server:
        for number in range(2):
            send(implicit(server.port), number)
        assert check_mail_server(implicit(server.port)) == "mail.example"
    assert [mail.encrypted for mail in server.taken] == [True, True]
    assert len(server.connections) == 2
    assert server.logins == [("engine", "opens it")] * 2


@pytest.mark.parametrize("stranger", [True, False], ids=["an unknown authority", "another host"])
def test_a_certificate_that_does_not_hold_is_refused_before_anything_is_said(trusted, implicit, stranger):
    context = server_context(trustme.CA()) if stranger else server_context(trusted, "mail.example")
    with (
        running_mail_server(context, needs_login=True, implicit_tls=True) as server,
        pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        send(implicit(server.port))
    assert (server.logins, server.given) == ([], [])


def test_a_server_without_encryption_is_told_apart(server, implicit):
    with pytest.raises(UnavailableError, match="SSL"):
        send(implicit(server.port))
