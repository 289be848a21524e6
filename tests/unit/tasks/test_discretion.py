"""What Celery may tell of an error."""

import pytest

from app.errors import BadInputError, UnavailableError
from app.tasks.discretion import UnexpectedError, discreet

KEPT = "its text is with job 7, in last_error"


@pytest.mark.parametrize(
    "address", ["adele@customer.example", "adele.o'brien+x@mail.customer.example", "ža@příklad.example"]
)
@pytest.mark.parametrize("text", ["550 5.1.1 <{}>: who?", "{}", "to={}, again", "nobody:{}"])
def test_an_error_of_ours_is_told_without_e_mail_addresses(text, address):
    told = discreet(UnavailableError(text.format(address), address, "Ask them."), (), KEPT)
    assert type(told) is UnavailableError
    assert "***@***" in str(told)
    assert address not in str(told)
    assert "Ask them." in str(told)


@pytest.mark.parametrize(
    "address", ["postgresql+psycopg://ada:***@127.0.0.1:1/book", "redis://ada@redis.example.com:6379/0", "celery@host"]
)
def test_an_address_of_a_server_is_told(address):
    assert address in str(discreet(UnavailableError("it does not answer", address), (), KEPT))


def test_of_another_error_the_type_is_told_and_where_the_text_is():
    told = discreet(ValueError("Adele"), (KeyError,), KEPT)
    assert (type(told), str(told)) == (UnexpectedError, f"ValueError; {KEPT}")


def test_an_error_that_the_task_names_is_told_as_it_is():
    error = KeyError("Adele")
    assert discreet(error, (KeyError,), KEPT) is error


def test_an_error_keeps_its_kind():
    class NoSuchThingError(BadInputError):
        """There is none."""

    assert type(discreet(NoSuchThingError("none"), (), KEPT)) is NoSuchThingError
