"""Who is at the keyboard: what each witness is worth, and who could make whom believe what."""

import os
import pwd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadInputError
from app.people import Person, person_of

ALICE, BOB = 20001, 20002
SERVICE = 998
NOBODY = 65534
#: uids that may be seen: people's, service accounts', root, and none.
UIDS = st.sampled_from([0, SERVICE, ALICE, BOB, NOBODY])


def who(uid: int, login_uid: int | None = None, **environ: str) -> Person:
    return person_of(uid, login_uid, environ, first_person=1000)


def test_a_person_is_who_the_process_runs_as() -> None:
    assert who(ALICE) == who(ALICE, ALICE) == Person("uid:20001", is_one=True)


def test_a_variable_makes_nobody_another_person() -> None:
    assert who(ALICE, SUDO_UID=str(BOB), USER="bob", LOGNAME="bob", SUDO_USER="bob").login == "uid:20001"
    assert who(0, ALICE, USER="bob", LOGNAME="bob", SUDO_USER="bob").login == "uid:20001"


@pytest.mark.parametrize("uid", [0, SERVICE])
def test_behind_sudo_stands_who_called_it(uid: int) -> None:
    assert who(uid, SUDO_UID=str(ALICE)) == Person("uid:20001", is_one=True)
    assert who(uid, ALICE, SUDO_UID="0") == Person("uid:20001", is_one=True)
    assert who(uid, ALICE, SUDO_UID=str(ALICE)) == Person("uid:20001", is_one=True)


def test_root_and_service_accounts_by_themselves_may_be_anybody() -> None:
    assert who(0) == Person("root", is_one=False)
    assert who(0, 0, SUDO_UID="0") == Person("root", is_one=False)
    assert not who(SERVICE, None).is_one
    assert not who(NOBODY, None).is_one


@pytest.mark.parametrize(
    "text", ["", "alice", "-1", "20001 ", "\u0662\u0660\u0660\u0660\u0661", "9" * 40, "4294967295"]
)
def test_what_is_no_uid_is_no_witness(text: str) -> None:
    assert who(0, SUDO_UID=text) == Person("root", is_one=False)


@pytest.mark.parametrize(
    ("uid", "login_uid", "sudo_uid"),
    [
        (BOB, ALICE, ""),  # `su bob`; or a login uid that was never set, and that bob chose
        (0, ALICE, str(BOB)),  # `su bob`, then `sudo value-partner`
        (SERVICE, ALICE, str(BOB)),
    ],
)
def test_two_people_are_nobody(uid: int, login_uid: int, sudo_uid: str) -> None:
    with pytest.raises(BadInputError, match=r"not clear who you are: .*uid:20001.*") as refused:
        who(uid, login_uid, SUDO_UID=sudo_uid)
    assert "uid:20002" in str(refused.value)


@given(UIDS, st.none() | UIDS, st.none() | UIDS)
def test_an_ordinary_process_is_its_own_uid_or_refused(uid: int, login_uid: int | None, sudo_uid: int | None) -> None:
    environ = {} if sudo_uid is None else {"SUDO_UID": str(sudo_uid)}
    named = {number for number in (uid, login_uid, sudo_uid) if number in {ALICE, BOB}}
    try:
        found = who(uid, login_uid, **environ)
    except BadInputError:
        assert len(named) == 2
        return
    if uid in {ALICE, BOB}:
        assert found.login == f"uid:{uid}"
    assert found.is_one == bool(named)


def test_a_login_has_its_name() -> None:
    own = pwd.getpwuid(os.getuid()).pw_name
    assert person_of(os.getuid(), None, {}, first_person=os.getuid()) == Person(own, is_one=True)
