"""What the process that commands are forked from has done beforehand; it must read no settings."""

from datetime import date

import app.cli
import app.jobs
import app.notifications
import app.reconciliation
import app.reports
import app.statements  # noqa: F401 (imported for those who are forked)
from app.calendars import add_business_days

# Making a calendar takes a second.
add_business_days("XNYS", date(2026, 1, 2), 1)
