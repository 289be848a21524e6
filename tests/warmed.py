"""What the process that programs are forked from has done beforehand; it must read no settings."""

from datetime import date
from importlib import import_module

from app.calendars import add_business_days

for _name in (
    "app.cli",
    "app.jobs",
    "app.market_data",
    "app.notifications",
    "app.reconciliation",
    "app.reports",
    "app.statements",
    "app.statements.sources",
    "celery.__main__",
    "celery.backends.redis",
    "celery.bin.beat",
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.fixups.django",
    "celery.worker.consumer",
    "celery.worker.strategy",
    "kombu.transport.redis",
):
    import_module(_name)

# Making a calendar takes a second.
add_business_days("XNYS", date(2026, 1, 2), 1)
