"""Sending a mail: what arrives, over what, and what a person reads when the server does not take it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Thread

import pytest
import trustme

from app.errors import BadInputError, UnavailableError
from app.notifications import MailRefusedError, check_mail_server, send_mail
from tests.integration.notifications.conftest import server_context
from tests.mail_server import running_mail_server

MESSAGE_ID = "<job-1@example.com>"


def send(settings, **values):
    mail = {"to": "admin@example.com", "subject": "A task failed", "text": "It failed.", "message_id": MESSAGE_ID}
    send_mail(settings, **{**mail, **values})


def refusal(settings, action=send) -> UnavailableError:
    with pytest.raises(UnavailableError) as caught:
        action(settings)
    error = caught.value
    assert error.where == f"{settings.email_host}:{settings.email_port}"
    return error


# What arrives


def test_a_mail_arrives_as_it_was_written(server, plain):
    text = "Dear reader,\n.\n..and dots\n" + "long " * 400 + "\nŽluťoučký kůň 🐎\n\tFrom here\n"
    subject = "Příliš žluťoučký kůň " * 8 + "úpěl ďábelské ódy"
    before = datetime.now(UTC)
    send(plain(server.port), subject=subject, text=text)
    (mail,) = server.taken
    assert (mail.sender, mail.recipients) == ("engine@example.com", ["admin@example.com"])
    assert mail.message["From"] == "Value Partner <engine@example.com>"
    assert mail.message["To"] == "admin@example.com"
    assert mail.message["Subject"] == subject
    assert mail.message["Message-ID"] == MESSAGE_ID
    assert mail.message.get_content_type() == "text/plain"
    assert mail.message.get_content() == text
    assert before.replace(microsecond=0) <= parsedate_to_datetime(mail.message["Date"]) <= datetime.now(UTC)


def test_a_mail_goes_encrypted_and_logged_in_to_a_server_whose_certificate_holds(secure_server, secure, trusted):
    send(secure(secure_server.port))
    (mail,) = secure_server.taken
    assert mail.encrypted
    assert secure_server.logins == [("engine", "opens it")]


@pytest.mark.parametrize("field", ["to", "subject", "message_id"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_a_line_break_makes_no_further_header_and_no_mail(server, plain, field, line_break):
    with pytest.raises(BadInputError):
        send(plain(server.port), **{field: f"admin@example.com{line_break}Bcc: thief@example.com"})
    assert server.given == []


def test_a_body_that_looks_like_headers_stays_a_body(server, plain):
    text = "\r\n.\r\nMAIL FROM:<thief@example.com>\r\nBcc: thief@example.com\n"
    send(plain(server.port), text=text)
    (mail,) = server.given
    assert mail.recipients == ["admin@example.com"]
    assert mail.message["Bcc"] is None
    assert mail.message.get_content().splitlines() == text.splitlines()


# A server that does not take it


@pytest.mark.parametrize(
    ("answers", "words", "is_final"),
    [
        ({"MAIL": "550 5.7.1 Not from you"}, "(550 5.7.1 Not from you)", False),
        ({"MAIL": "552 5.3.4 Too large"}, "(552 5.3.4 Too large)", True),
        ({"RCPT": "550 5.1.1 No such user here"}, "(550 5.1.1 No such user here)", True),
        ({"RCPT": "530 5.7.0 Who are you?"}, "(530 5.7.0 Who are you?)", False),
        ({"RCPT": "450 4.2.1 Greylisted"}, "(450 4.2.1 Greylisted)", False),
        ({"RCPT": "421 4.7.0 Too many"}, "(421 4.7.0 Too many)", False),
        ({"DATA": "554 5.7.1 This looks like spam"}, "(554 5.7.1 This looks like spam)", True),
        ({"DATA": "451-4.3.0 Come again\r\n451 4.3.0 later"}, "(451 4.3.0 Come again 4.3.0 later)", False),
        ({"DATA": "421 4.3.2 Shutting down"}, "(421 4.3.2 Shutting down)", False),
    ],
    ids=str,
)
def test_a_refusal_is_told_in_the_servers_words_and_whether_it_is_for_good(server, plain, answers, words, is_final):
    server.answers |= answers
    error = refusal(plain(server.port))
    assert words in error.what
    assert isinstance(error, MailRefusedError) is is_final
    assert ("for good" in error.what, "may take it later" in error.hint) == (is_final, not is_final)
    assert server.taken == []
    server.answers.clear()
    send(plain(server.port))
    assert len(server.taken) == 1


def test_a_server_that_hangs_up_in_the_middle_is_told(server, plain):
    server.hangs_up = True
    assert "Connection unexpectedly closed" in refusal(plain(server.port)).what


def test_a_server_that_is_down_is_told(plain):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening: nobody else can
        settings = plain(taken.getsockname()[1])
        assert "Connection refused" in refusal(settings).what
        assert "Connection refused" in refusal(settings, check_mail_server).what


@contextmanager
def greeting(words: bytes) -> Iterator[int]:
    """A server that says its words to the first who comes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(words)

        thread = Thread(target=greet)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("words", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"554 go away\r\n", b"\xff\xfe\x00" * 5000])
def test_what_is_no_mail_server_is_told(plain, words):
    with greeting(words) as port:
        assert "the mail server did not take it" in refusal(plain(port)).what


def test_a_mail_that_was_taken_is_not_sent_again_for_a_rude_farewell(server, plain):
    server.answers["QUIT"] = "421 Shutting down"
    send(plain(server.port))
    assert len(server.taken) == 1


# Encryption and login


def test_a_certificate_of_an_unknown_authority_is_refused_before_anything_is_said(secure_server, secure, trusted):
    with running_mail_server(server_context(trustme.CA()), needs_login=True) as stranger:
        error = refusal(secure(stranger.port))
    assert "CERTIFICATE_VERIFY_FAILED" in error.what
    assert (stranger.logins, stranger.given) == ([], [])


def test_a_certificate_of_another_host_is_refused_before_anything_is_said(secure, trusted):
    with running_mail_server(server_context(trusted, "mail.example"), needs_login=True) as other:
        error = refusal(secure(other.port))
    assert "CERTIFICATE_VERIFY_FAILED" in error.what
    assert (other.logins, other.given) == ([], [])


def test_a_password_is_not_said_to_a_server_without_encryption(secure, trusted):
    with running_mail_server() as open_server:
        error = refusal(secure(open_server.port))
        assert "STARTTLS" in error.what
        assert open_server.logins == []
        check_mail_server(secure(open_server.port, email_use_tls=False))  # it would have taken the login
    assert open_server.logins == [("engine", "opens it")]


def test_a_wrong_password_is_told_without_naming_it(secure_server, secure, trusted):
    error = refusal(secure(secure_server.port, login=("engine", "wrong-one")))
    assert "(535 5.7.8 Authentication credentials invalid)" in error.what
    assert "wrong-one" not in str(error)
    assert secure_server.given == []


def test_a_password_that_the_protocol_can_not_say_is_told_without_naming_it(secure_server, secure, trusted):
    error = refusal(secure(secure_server.port, login=("engine", "kůň-password")))
    assert "EMAIL_HOST_PASSWORD" in error.what
    assert "password" not in str(error).lower().replace("email_host_password", "")
    assert error.__cause__ is None
    assert error.__suppress_context__


# Asking how it is


def test_a_check_logs_in_and_sends_nothing(secure_server, secure, trusted):
    assert check_mail_server(secure(secure_server.port)) == "mail.example"
    assert secure_server.logins == [("engine", "opens it")]
    assert secure_server.given == []


def test_a_check_fails_where_a_mail_would(secure_server, secure, trusted):
    settings = secure(secure_server.port, login=("engine", "wrong"))
    assert "535" in refusal(settings, check_mail_server).what


def test_a_check_takes_a_greeting_without_a_name(server, plain):
    server.answers["EHLO"] = "250 "
    assert check_mail_server(plain(server.port)) == "127.0.0.1"


def test_a_check_takes_a_server_of_the_old_kind(server, plain):
    server.answers["EHLO"] = "502 What is that?"
    assert check_mail_server(plain(server.port)) == "mail.example"
