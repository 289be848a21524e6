"""Whether what this program needs is there and does its work: checks, what they find, and a mail of what fails.

It stands above the Celery layer, for it asks brokers and workers, and is asked by people and by a timer of systemd: it
needs neither the broker, nor the database, nor a worker. `checks` says what there is to look at, `look_at` looks,
`alert` tells `ADMIN_EMAIL` of what fails, once.
"""

from app.doctor.alert import alert
from app.doctor.checks import checks
from app.doctor.findings import Check, Finding, Look, State, look_at

__all__ = ["Check", "Finding", "Look", "State", "alert", "checks", "look_at"]
