"""Who is at the keyboard, as the kernel knows it: the name that stands behind what people do by hand.

It is never an argument or a variable that anyone can set. Three things bear witness:

- The real uid of this process. Nobody changes theirs without root's help.
- The uid that logged in (/proc/self/loginuid), which PAM sets when a session begins and which outlives `su` and `sudo`.
  Once set, only root changes it. Where no PAM set it (in a container, in a service), any process may set its own, once.
- SUDO_UID, which sudo sets to the real uid of who called it. It is a variable, so it counts only where the process runs
  as root or as a service account, which a person became by way of sudo. `sudo value-partner` is such a process.

A uid from UID_MIN (/etc/login.defs) on is a person's. All the persons that the witnesses name must be one; where they
are two, nothing is done: so neither a login uid that somebody chose, nor `su` to a colleague's account, nor sudo from
there makes a second person of anybody. Where they name none, it is the account itself, which may be anybody: all that
it can't be is one of the two people that a write-off needs.

What this can't tell apart: who is root can be everybody, and so can who has a shell of the service account, for that
reads the database's password. Give people `sudo value-partner`, not a shell. And a person who has a database login of
their own can write whatever that login may; `db_user`, which the database fills in and checks, then says whose it was.
"""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.errors import BadInputError

_LOGIN_UID = Path("/proc/self/loginuid")
_LOGIN_DEFS = Path("/etc/login.defs")
#: Debian's, where the file does not say.
_FIRST_PERSON = 1000
#: nobody, and what stands for "not set".
_NO_PERSONS = (65534, 2**32 - 1)


@dataclass(frozen=True, slots=True)
class Person:
    """Who does something."""

    #: The login of the operating system; `uid:N` where it has no name.
    login: str
    #: Whether it is one person's. Root and service accounts may be anybody.
    is_one: bool


def current_person() -> Person:
    """Return who started this process.

    Raises:
        BadInputError: two different people may have.
    """
    return person_of(os.getuid(), _login_uid(), os.environ, first_person=_first_person())


def person_of(uid: int, login_uid: int | None, environ: Mapping[str, str], *, first_person: int) -> Person:
    """Return whom the witnesses name.

    Args:
        uid: the real uid.
        login_uid: the uid that logged in; None where that is not known.
        environ: the environment, which counts only where `uid` is no person's.
        first_person: persons' uids begin here.

    Raises:
        BadInputError: they name two people.
    """

    def is_person(number: int) -> bool:
        return number >= first_person and number not in _NO_PERSONS

    witnesses = {"it runs as": uid}
    if login_uid is not None:
        witnesses["the login was of"] = login_uid
    if not is_person(uid) and re.fullmatch(r"\d{1,10}", environ.get("SUDO_UID", ""), re.ASCII):
        witnesses["sudo was called by"] = int(environ["SUDO_UID"])
    people = {number for number in witnesses.values() if is_person(number)}
    if len(people) > 1:
        named = ", ".join(f"{what} {_name(number)}" for what, number in witnesses.items() if is_person(number))
        raise BadInputError(
            f"it is not clear who you are: {named}",
            where="login",
            hint="Do it from a session that you opened with your own login.",
        )
    return Person(_name(next(iter(people), uid)), bool(people))


def _login_uid() -> int | None:
    try:
        number = int(_LOGIN_UID.read_text())
    except (OSError, ValueError):  # a kernel without it
        return None
    return None if number in _NO_PERSONS else number


def _first_person() -> int:
    try:
        found = re.search(r"^UID_MIN\s+(\d+)", _LOGIN_DEFS.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) if found else _FIRST_PERSON


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid:{uid}"
