"""How much something matters, as people say it to commands."""

from enum import StrEnum


class Severity(StrEnum):
    """That of `app.notifications`, which commands do not import before they run."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
