"""Telling people: letters, written as jobs with the fact that they tell of, and sent when a server takes them.

`notify(session, key=…, category=…, letter=…)` tells whoever subscribed to the category; the letter is data, and is
rendered when it is sent. `send_mail` sends one over SMTP.
"""

from app.notifications.digests import send_digests
from app.notifications.failures import tell_failure, tell_parked, tell_repeated_failures
from app.notifications.letters import Attachment, Bars, Column, Letter, Section, Severity, Table
from app.notifications.mail import check_mail_server, send_mail
from app.notifications.models import Subscriber
from app.notifications.outbox import MAIL, Category, look_once, notify, prune_notices
from app.notifications.subscribers import (
    Subscribed,
    SubscriberView,
    add_subscriber,
    change_subscriber,
    find_subscriber,
    list_subscribers,
    subscribe,
    unsubscribe,
)

__all__ = [
    "MAIL",
    "Attachment",
    "Bars",
    "Category",
    "Column",
    "Letter",
    "Section",
    "Severity",
    "Subscribed",
    "Subscriber",
    "SubscriberView",
    "Table",
    "add_subscriber",
    "change_subscriber",
    "check_mail_server",
    "find_subscriber",
    "list_subscribers",
    "look_once",
    "notify",
    "prune_notices",
    "send_digests",
    "send_mail",
    "subscribe",
    "tell_failure",
    "tell_parked",
    "tell_repeated_failures",
    "unsubscribe",
]
