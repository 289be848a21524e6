"""A program that runs collectors for tests: for each line it reads one, a process that may be told to stop dead."""

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.database import forget_parent_connections
from app.statements.sources.inbox import collect_inbox

_STEPS = {"os.rename", "os.mkdir", "os.rmdir", "os.link", "os.remove", "open"}


def collect(inbox: str, die_at: int, day: str) -> None:
    """Collect an inbox, and die by SIGKILL just before the step `die_at` that changes it; 0: do not."""
    left = die_at

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _STEPS and isinstance(arguments[0], str | os.PathLike) and str(arguments[0]).startswith(inbox):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    forget_parent_connections()
    sys.addaudithook(count)
    now = datetime.fromisoformat(day).replace(tzinfo=UTC)
    for result in collect_inbox(Path(inbox), settling=timedelta(0), now=now, max_bytes=1_000_000):
        print(result.state, os.fsencode(result.path.name), flush=True)


def main(inbox: str) -> None:
    """Run a collector for each line of the standard input, and say how it ended."""
    for line in sys.stdin:
        die_at, day = line.split()
        child = os.fork()
        if child == 0:
            collect(inbox, int(die_at), day)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("ended", os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
