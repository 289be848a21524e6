"""Who holds a file: a claim is a folder of its own with the file in it and a lock on it.

Of all who move a file into a claim one succeeds. The claim stands while its holder lives: the kernel takes the lock
from a process that dies, however it dies, and whoever finds the folder without a lock holds what is in it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def claimed(working: Path, path: Path) -> Iterator[Path | None]:
    """Hold a file while the block runs: gives where it is meanwhile, or None when another has it.

    What is still there when the block ends waits for whoever looks into `left_claims` next.

    Raises:
        OSError: the file can't be moved into `working`; it is where it was.
    """
    folder = working / uuid4().hex
    folder.mkdir()
    try:
        with _lock(folder) as is_mine:
            yield _moved(path, folder / path.name) if is_mine else None
    finally:
        _remove_if_empty(folder)


def left_claims(working: Path) -> list[Path]:
    """Return the claims that are there: held ones, and those of holders that died."""
    return sorted(path for path in working.iterdir() if path.is_dir())


@contextmanager
def taken_over(claim: Path) -> Iterator[list[Path]]:
    """Hold what a holder that died left in a claim, while the block runs; nothing if the holder lives."""
    with _lock(claim) as is_mine:
        try:
            files = sorted(claim.iterdir()) if is_mine else []
        except FileNotFoundError:
            files = []
        try:
            yield files
        finally:
            if is_mine:
                _remove_if_empty(claim)


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Wait for all others who are in this block with the same folder, and hold them off while it runs."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _moved(path: Path, held: Path) -> Path | None:
    try:
        return path.rename(held)
    except FileNotFoundError:
        return None


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_mine = True
        except BlockingIOError:
            is_mine = False
        yield is_mine
    finally:
        os.close(descriptor)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
