"""The inbox folder: files that custodians bring are loaded, and put where what became of them can be seen.

`incoming/` takes files, `processed/` and `rejected/` keep them, and `working/` has the ones at hand, each in a claim.
A collector may be killed at any line: the claim then falls to the next one, which loads the file again or finds its
bytes known, and puts it where it belongs.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath
from uuid import uuid4

from sqlalchemy import select

from app.database import session_scope
from app.errors import BadInputError, UnavailableError
from app.statements.load import FileResult, import_files
from app.statements.sources.claims import claimed, in_turn, left_claims, taken_over

#: What says in words why the file beside it was rejected.
_REASON_SUFFIX = ".reason.txt"

_NOT_TAKEN = (".part", ".tmp", _REASON_SUFFIX)
_LONGEST_NAME = 255
_LONGEST_SUFFIX = 40


def reason_file(path: Path) -> Path:
    """Return where it says why a file in `rejected/` was refused."""
    return path.with_name(path.name + _REASON_SUFFIX)


def incoming_folder(inbox: Path) -> Path:
    """Return the folder in an inbox that files are put into, and make it if need be.

    Raises:
        BadInputError: there is no inbox, or nothing can be made in it.
    """
    return _folders(inbox).incoming


def collect_inbox(inbox: Path, *, settling: timedelta, now: datetime, max_bytes: int) -> Iterator[FileResult]:
    """Load what is in an inbox, put each file where it belongs, and give what became of each as it is done.

    Files are taken from `incoming/` and from the inbox itself, in the order of their names, each by one of any
    number of collectors. A loaded or known file goes to `processed/<day>/`, a refused one to `rejected/` with its
    reason beside it; a result's path is where the file is now. What a killed collector had at hand is taken up
    first.

    Left where they are: names that begin with a dot or end in `.part`, `.tmp` or `.reason.txt`; files that changed
    less than `settling` ago; and folders in `incoming/`, which are told of as refused.

    Args:
        inbox: the folder.
        settling: how long a file must not have changed before it is taken.
        now: the time (aware), whose date is the day of `processed/<day>/`.
        max_bytes: as in `import_files`.

    Raises:
        BadInputError: there is no inbox, or nothing can be made in it.
        UnavailableError: the database does not answer; what is not loaded is where it was.
        Exception: a file met a bug. It is back where it was, and all others are done.
    """
    collector = _Collector(_folders(inbox), now, max_bytes)
    # Before anything is moved.
    with session_scope() as session:
        session.execute(select(1))
    for claim in left_claims(collector.folders.working):
        yield from collector.take_over(claim)
    # The inbox has its own folders, which may be links, and perhaps others.
    files = [path for path in _names(inbox) if not path.is_dir()]
    for path in (*files, *_names(collector.folders.incoming)):
        result = collector.take(path, settling)
        if result:
            yield result
    if collector.bugs:
        raise collector.bugs[0]


@dataclass(frozen=True, slots=True)
class _Folders:
    inbox: Path
    incoming: Path
    working: Path
    processed: Path
    rejected: Path


@dataclass(frozen=True, slots=True)
class _Look:
    """What a file is at one moment; another one means that somebody writes to it."""

    mode: int
    inode: int
    size: int
    written_ns: int
    #: When anything of it changed, its name included; a program that copies a file with its dates can not set this.
    changed: float


class _Collector:
    """One round over an inbox."""

    def __init__(self, folders: _Folders, now: datetime, max_bytes: int) -> None:
        self.folders = folders
        self.bugs: list[Exception] = []
        self._now = now
        self._max_bytes = max_bytes

    def take(self, path: Path, settling: timedelta) -> FileResult | None:
        """Deal with a file unless it is still being written or another collector has it."""
        try:
            look = _look(path)
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(look.mode):
            return FileResult(path, "refused", error=_told(path, "this is a folder. Put its files into incoming/."))
        # A clock may have been set back since: far in the future is long ago.
        if abs(self._now.timestamp() - look.changed) < settling.total_seconds():
            return None
        try:
            with claimed(self.folders.working, path) as held:
                return self.deal_with(held, look, path.parent) if held else None
        except OSError as error:
            what = f"it can't be taken into working/ ({error.strerror}), and stays where it is"
            return FileResult(path, "refused", error=_told(path, what))

    def take_over(self, claim: Path) -> list[FileResult]:
        """Deal with what a collector that died had at hand."""
        try:
            with taken_over(claim) as files:
                results = [self.deal_with(held, _look(held), self.folders.incoming) for held in files]
        except OSError as error:
            what = f"what a collector that died had at hand can't be taken up ({error.strerror})"
            return [FileResult(claim, "refused", error=_told(claim, what))]
        return [result for result in results if result]

    def deal_with(self, held: Path, look: _Look, origin: Path) -> FileResult | None:
        """Load a file that this collector holds, and put it where it belongs; None when it met a bug."""
        try:
            result = self._load(held, look)
        except BaseException as error:
            _put_back(held, origin)
            if isinstance(error, UnavailableError) or not isinstance(error, Exception):
                raise
            # It must not keep the others out for ever.
            self.bugs.append(error)
            return None
        after = _look(held)
        if (after.inode, after.size, after.written_ns) != (look.inode, look.size, look.written_ns):
            # What was loaded, if anything, is not what it is now.
            error_text = result.error and _told(held, "it changes while it is read, and is read again when it does not")
            return replace(result, path=_put_back(held, origin), error=error_text)
        try:
            return replace(result, path=self._keep(held, result))
        except OSError as error:
            what = f"it could not be moved out of working/ ({error.strerror}); the next collector tries again"
            return replace(result, path=held, error="; ".join(filter(None, (result.error, _told(held, what)))))

    def _load(self, held: Path, look: _Look) -> FileResult:
        if not stat.S_ISREG(look.mode):
            kind = "a symbolic link" if stat.S_ISLNK(look.mode) else "no regular file"
            return FileResult(held, "refused", error=_told(held, f"this is {kind}. Put the file itself here."))
        (result,) = import_files([held], now=self._now, max_bytes=self._max_bytes)
        # Where it is only now helps nobody.
        return replace(result, error=result.error.replace(f"{held.parent}/", ""))

    def _keep(self, held: Path, result: FileResult) -> Path:
        if result.state != "refused":
            folder = self.folders.processed / self._now.astimezone(UTC).date().isoformat()
            folder.mkdir(exist_ok=True)
            with in_turn(folder):
                return held.rename(_free(folder, held.name, _LONGEST_NAME))
        with in_turn(self.folders.rejected):
            path = _free(self.folders.rejected, held.name, _LONGEST_NAME - len(_REASON_SUFFIX))
            # First, so that no rejected file is without one.
            _write(reason_file(path), self._reason(path, result.error))
            return held.rename(path)

    def _reason(self, path: Path, error: str) -> str:
        return (
            f"{_printable(path.name)} was refused on {self._now.astimezone(UTC):%Y-%m-%d at %H:%M} UTC, and nothing of"
            f" it was loaded:\n\n{error}\n\n"
            f"When that is put right, move the file back to {_printable(str(self.folders.incoming))}. Of a file with"
            " other content, put that one there instead.\n"
        )


def _folders(inbox: Path) -> _Folders:
    if not inbox.is_dir():
        raise BadInputError(
            "there is no such folder",
            where=f"STATEMENTS_DIR {inbox}",
            hint="Make it, or name the files: python -m app import PATH…",
        )
    folders = _Folders(inbox, *(inbox / name for name in ("incoming", "working", "processed", "rejected")))
    for folder in (folders.incoming, folders.working, folders.processed, folders.rejected):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise BadInputError(
                f"{folder.name}/ can't be made in it ({error.strerror})",
                where=f"STATEMENTS_DIR {inbox}",
                hint="Let the user that this runs as write to it.",
            ) from error
    return folders


def _names(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and not path.name.lower().endswith(_NOT_TAKEN)
    )


def _look(path: Path) -> _Look:
    found = path.lstat()
    return _Look(found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime)


def _put_back(held: Path, origin: Path) -> Path:
    """Return a file to where it came from; where that fails it stays with the claim, for the next collector."""
    with suppress(OSError), in_turn(origin):
        path = _free(origin, held.name, _LONGEST_NAME)
        # Not a rename: whoever brings another file of this name just now must not lose it.
        os.link(held, path, follow_symlinks=False)
        held.unlink()
        return path
    return held


def _free(folder: Path, name: str, longest: int) -> Path:
    """Return a path for a name in a folder where nothing is, with a number after the name if need be."""
    number = 1
    while os.path.lexists(path := folder / _numbered(name, number, longest)):
        number += 1
    return path


def _numbered(name: str, number: int, longest: int) -> str:
    if number == 1 and len(os.fsencode(name)) <= longest:
        return name
    suffix = os.fsencode(PurePath(name).suffix)[:_LONGEST_SUFFIX]
    stem = os.fsencode(PurePath(name).stem)
    end = (b"" if number == 1 else b"-%d" % number) + suffix
    return os.fsdecode(stem[: longest - len(end)] + end)


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{uuid4().hex}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _told(path: Path, what: str) -> str:
    return f"{_printable(path.name)}: {what}"


def _printable(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")
