"""How much room is left on the disks that the program writes to."""

import os
from collections.abc import Iterator
from pathlib import Path

from app.doctor.findings import Finding, State
from app.settings import PROJECT_DIR, Settings

_ADVICE = "Make room, or make it larger; DISK_FREE_LIMIT is the share that must be free."


def look_at_disks(settings: Settings) -> list[Finding]:
    """Look at each file system of the logs, the inbox, the release and `DISK_PATHS`, once."""
    findings = []
    folders: dict[int, list[Path]] = {}
    for path, may_be_missing in _paths(settings):
        try:
            there = _existing(path) if may_be_missing else path
            device = there.stat().st_dev
        except OSError as error:
            findings.append(
                Finding(State.ALARM, f"can't be looked at ({error.strerror})", "DISK_PATHS names it.", about=str(path))
            )
            continue
        folders.setdefault(device, []).append(there)
    limit = float(settings.disk_free_limit)
    return [_look_at(list(dict.fromkeys(paths)), limit) for paths in folders.values()] + findings


def _paths(settings: Settings) -> Iterator[tuple[Path, bool]]:
    """Give the folders, and of each whether it may still have to be made."""
    for path in (settings.log_dir, settings.statements_dir, PROJECT_DIR):
        yield path, True
    for path in settings.further_disk_paths:
        yield path, False


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _look_at(paths: list[Path], limit: float) -> Finding:
    about = ", ".join(map(str, paths))
    disk = os.statvfs(paths[0])
    # As df counts: what is kept for root is neither used nor free.
    free, usable = disk.f_bavail, disk.f_blocks - disk.f_bfree + disk.f_bavail
    share = free / usable if usable else 1.0
    # Some file systems make inodes as they need them, and tell none.
    inodes = disk.f_favail / disk.f_files if disk.f_files else 1.0
    text = f"free: {_size(free * disk.f_frsize)} of {_size(usable * disk.f_frsize)}, {100 * share:.1f} %"
    if inodes < min(share, limit):
        text += f"; of its inodes {100 * inodes:.1f} %"
    least = min(share, inodes)
    if least >= limit:
        return Finding(State.OK, text, about=about)
    # Almost nothing left stops a release, and is told once more.
    state = State.FAILED if least < limit / 10 else State.ALARM
    return Finding(state, text, _ADVICE, about=about, is_lasting=True)


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 (the next unit)
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
