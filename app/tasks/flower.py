"""What Flower does when nothing else is said: by its stock command as by `run_celery.py`."""

import os
import sys

from app.settings import get_settings


def default_flower_options() -> None:
    """Set the defaults of a Flower in this process; its command line and `flowerconfig.py` beat them.

    Call this while the application is loaded: Celery's command has then loaded Flower's, which is about to read
    `FLOWER_*` variables. In any other process there is nothing to do, and its environment stays as it is.
    """
    if "flower.command" not in sys.modules:
        return
    # By default Flower listens on all interfaces and shows tasks' arguments to all who ask. Assigned, for
    # the settings let the environment win, and an empty FLOWER_ADDRESS would mean all interfaces again.
    os.environ["FLOWER_ADDRESS"] = get_settings().flower_address
    # Flower keeps 100,000 tasks in memory by default; the history is in the ledger.
    os.environ.setdefault("FLOWER_MAX_TASKS", "10000")
    # Else a worker that a deploy replaced stays on the list, offline, until Flower restarts.
    os.environ.setdefault("FLOWER_PURGE_OFFLINE_WORKERS", "86400")
