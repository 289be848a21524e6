"""Where the embedded servers live: who has a run folder now, and where the server's user may enter."""

import fcntl
import hashlib
import os
import pwd
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import UnavailableError

#: Where root keeps what the server's user can't reach in the run folder. Only root can write to its parent,
#: so nobody can plant anything there; and it is not swept by age like /tmp, which tears holes into databases.
ELSEWHERE = Path("/var/cache/value-partner")

#: The link in a run folder that says where a part of it is instead.
_NOTE = "elsewhere"

#: For sockets whose own folder's path is too long: short, and every user may enter it.
_SHORT = Path("/tmp")  # noqa: S108 - mkdtemp makes a name that nobody can plant

_LONGEST_SOCKET_PATH = 107
_PLAIN_PATH = re.compile(r"[\w./-]+", re.ASCII)

_AS_ORDINARY_USER = "Run this as an ordinary user"


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that a server runs as and that its files belong to."""

    uid: int
    gid: int

    @property
    def is_me(self) -> bool:
        """Whether this is the user that runs this process."""
        return self.uid == os.geteuid()


def myself() -> Owner:
    """The user that runs this process."""
    return Owner(os.geteuid(), os.getegid())


def unprivileged(data: Path) -> Owner:
    """Who runs a server that refuses root: this user; if that is root, the owner of `data`, or `nobody`."""
    if os.geteuid() != 0:
        return myself()
    if data.exists() and (found := data.stat()).st_uid != 0:
        return Owner(found.st_uid, found.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise UnavailableError("there is no user `nobody` to run a server as", hint=_AS_ORDINARY_USER) from None
    return Owner(nobody.pw_uid, nobody.pw_gid)


@contextmanager
def claimed(run_dir: Path, name: str) -> Iterator[None]:
    """Keep `name` in `run_dir` to this process; the kernel gives it back however the process ends.

    Raises:
        UnavailableError: another process has it, or the folder can't be written.
    """
    lock = run_dir / f"{name}.lock"
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UnavailableError(
            f"can't be written ({error.strerror})",
            where=str(lock),
            hint="What another user has made, that user, or root, can remove with `make clean`",
        ) from error
    with os.fdopen(descriptor, "r+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnavailableError(
                f"{run_dir} is in use by process {held.read().strip() or 'unknown'}",
                where=str(lock),
                hint="Only one `make demo` or `make run` at a time in a clone: wait for it or stop it",
            ) from None
        held.truncate()
        held.write(f"{os.getpid()}\n")
        held.flush()
        yield


def may_enter(owner: Owner, *paths: Path) -> bool:
    """Whether `owner` may enter each of these folders, or run each of these programs."""
    if owner.is_me:
        return True
    # Tried rather than worked out from modes: every parent counts, and so do access lists.
    probe = ["/bin/sh", "-c", 'for path; do test -x "$path" || exit 1; done', "sh", *map(str, paths)]
    try:
        tried = subprocess.run(probe, user=owner.uid, group=owner.gid, extra_groups=[], cwd="/", check=False)
    except OSError as error:
        raise UnavailableError(
            f"root can't run a server as user {owner.uid} here ({error.strerror})", hint=_AS_ORDINARY_USER
        ) from error
    return tried.returncode == 0


def home(run_dir: Path, owner: Owner) -> Path:
    """`run_dir` if `owner` may enter it, else a folder of its own under `ELSEWHERE`, noted in `run_dir`."""
    if may_enter(owner, run_dir):
        return run_dir
    folder = ELSEWHERE / hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:16]
    for path in (ELSEWHERE, folder):
        _make(path, Owner(0, 0), mode=0o711)
    if not may_enter(owner, folder):
        raise UnavailableError(
            f"user {owner.uid}, who is to run the server, can't enter {run_dir} or {folder}",
            hint=_AS_ORDINARY_USER,
        )
    _link(run_dir / _NOTE, folder)
    return folder


def elsewhere(run_dir: Path) -> list[Path]:
    """The folders outside of `run_dir` that hold parts of it."""
    notes = [run_dir / _NOTE, *run_dir.glob(f"*.{_NOTE}")]
    folders = [note.readlink() for note in notes if note.is_symlink()]
    return [folder for folder in folders if folder.parent in (ELSEWHERE, _SHORT)]


def make_private(folder: Path, owner: Owner) -> Path:
    """`folder`, which only `owner` may enter, made if it is missing.

    Raises:
        UnavailableError: it exists and is another's, a link, or open to others. It is left as it is.
    """
    _make(folder, owner, mode=0o700)
    return folder


@contextmanager
def socket_folder(preferred: Path, owner: Owner, *, filename: str) -> Iterator[Path]:
    """A private folder for a socket called `filename`: `preferred`, or a short one that is noted beside it.

    The kernel takes 107 bytes at most; and commas, spaces and `%` in a path mean something in one client's
    address or another's. A short folder goes when the block ends; one that a crash left is used again.
    """
    if _fits(preferred / filename):
        yield make_private(preferred, owner)
        return
    note = preferred.with_name(f"{preferred.name}.{_NOTE}")
    if not (note.is_symlink() and _is_private(note.readlink(), owner)):
        made = Path(tempfile.mkdtemp(prefix="value-partner-", dir=_SHORT))
        os.chown(made, owner.uid, owner.gid)
        _link(note, made)
    short = note.readlink()
    try:
        yield short
    finally:
        for left in short.iterdir():  # the socket of a server that was killed
            left.unlink()
        short.rmdir()
        note.unlink()


def _fits(socket: Path) -> bool:
    return len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH and _PLAIN_PATH.fullmatch(str(socket)) is not None


def _make(folder: Path, owner: Owner, *, mode: int) -> None:
    try:
        folder.mkdir(mode=0o700)
        folder.chmod(mode)  # it is new and empty: this undoes the umask only
        if not owner.is_me:
            os.chown(folder, owner.uid, owner.gid)
    except FileExistsError:
        if not _is_private(folder, owner, mode=mode):
            raise UnavailableError(
                f"is not a folder that only user {owner.uid} can write to",
                where=str(folder),
                hint="If another user ran this here before, go on as that user, or start anew after `make clean`",
            ) from None
    except OSError as error:
        raise UnavailableError(f"can't be made ({error.strerror})", where=str(folder)) from error


def _is_private(folder: Path, owner: Owner, *, mode: int = 0o700) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner.uid and not found.st_mode & 0o777 & ~mode


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target)
