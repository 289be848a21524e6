"""`make clean`: removes what make made, but nothing in use. Needs no package, as .venv may be broken."""

import shutil
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from app.errors import AppError, UnavailableError
from dev import run_folder, server

_CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache")

_CODE = ("app", "benchmarks", "dev", "tests")


def remove_run_folder(run_dir: Path) -> None:
    """Remove `run_dir` and what it keeps elsewhere, after stopping servers that a crash left running.

    Raises:
        UnavailableError: a process uses it, a host of `dev.hosts` is there, or a part belongs to another user.
    """
    run_dir = run_dir.resolve()
    if not run_dir.exists():
        return
    if hosts := sorted(path.stem for path in (run_dir / "hosts").glob("*.ssh")):
        remove = "make lab-down" if hosts == ["lab"] else f"python -m dev.hosts down {' '.join(hosts)}"
        raise UnavailableError(
            f"what it takes to reach {' and '.join(hosts)} is in it", where=str(run_dir), hint=f"As root: {remove}"
        )
    with ExitStack() as claims:
        for name in ("postgres", "redis"):
            claims.enter_context(run_folder.claimed(run_dir, name))
        folders = [*run_folder.elsewhere(run_dir), run_dir]
        for folder in folders:
            for pid_file in (*folder.glob("postgres/*/postmaster.pid"), *folder.glob("redis/*/redis.pid")):
                if pid := server.stop_leftover(pid_file, signal.SIGINT):
                    print(f"stopped a server that an earlier run had left: process {pid}")
        for folder in folders:
            _remove(folder)


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnavailableError(
            f"can't be removed ({error.strerror or error})",
            where=str(error.filename or path),
            hint="Its owner can, or root: `sudo make clean`",
        ) from error
    print(f"removed {path}")


def main() -> int:
    """Clean the clone in the current folder; 1 if something had to stay."""
    here = Path.cwd()
    try:
        remove_run_folder(here / ".run")
        compiled = (path for code in _CODE for path in (here / code).rglob("__pycache__"))
        for path in (here / ".venv", *(here / name for name in _CACHES), here / "__pycache__", *compiled):
            _remove(path)
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
