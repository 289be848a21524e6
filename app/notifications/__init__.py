"""Telling people: letters, written as jobs with the fact that they tell of, and sent when a server takes them.

`notify(session, key=…, category=…, letter=…)` tells whoever subscribed to the category; the letter is data, and is
rendered when it is sent. `send_mail` sends one over SMTP.
"""

from app.notifications.each import Own, notify_each
from app.notifications.failures import enqueue_failure_mail, enqueue_parked_mail
from app.notifications.letters import Attachment, Bars, Column, Letter, Section, Severity, Table
from app.notifications.mail import check_mail_server, send_mail
from app.notifications.models import Subscriber
from app.notifications.notices import enqueue_notice
from app.notifications.outbox import Category, notify, prune_notices

__all__ = [
    "Attachment",
    "Bars",
    "Category",
    "Column",
    "Letter",
    "Own",
    "Section",
    "Severity",
    "Subscriber",
    "Table",
    "check_mail_server",
    "enqueue_failure_mail",
    "enqueue_notice",
    "enqueue_parked_mail",
    "notify",
    "notify_each",
    "prune_notices",
    "send_mail",
]
