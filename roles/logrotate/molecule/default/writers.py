"""Processes that share one log, as a worker and its children do: numbered lines until SIGTERM, then how many.

Celery's handler for `--logfile` is this one.
"""

import logging.handlers
import multiprocessing
import signal
import sys
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
PROCESSES = 4


def write(name: int) -> None:
    asked_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
    handler = logging.handlers.WatchedFileHandler(FOLDER / "writers.log")
    number = 0
    while not asked_to_stop:
        handler.handle(logging.makeLogRecord({"msg": f"{name} {number}"}))
        number += 1
        time.sleep(0.001)  # the pace of a busy worker, not a wait
    (FOLDER / f"writer-{name}.count").write_text(str(number))


if __name__ == "__main__":
    children = [multiprocessing.Process(target=write, args=(name,)) for name in range(PROCESSES)]
    signal.signal(signal.SIGTERM, lambda *_: None)
    for child in children:
        child.start()
    signal.sigwait([signal.SIGTERM])
    for child in children:
        child.terminate()
        child.join()
