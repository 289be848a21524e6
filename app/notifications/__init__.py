"""Telling people: letters, written as jobs with the fact that they tell of, and sent when a server takes them.

`notify(session, key=…, category=…, letter=…)` tells whoever subscribed to the category; the letter is data, and is
rendered when it is sent. `send_mail` sends one over SMTP.
"""

from app.notifications.ahead import write_ahead, write_mail
from app.notifications.channels import channel_schemes, check_channel, send_to_channel
from app.notifications.digests import send_digests
from app.notifications.each import Own, notify_each
from app.notifications.failures import tell_failure, tell_parked, tell_repeated_failures
from app.notifications.letters import Attachment, Bars, Column, Letter, Section, Severity, Table
from app.notifications.mail import MailingList, WrittenMail, check_mail_server, send_mail, send_written
from app.notifications.models import Subscriber
from app.notifications.outbox import (
    MAIL,
    MAIL_TASK,
    Category,
    count_unsure_mails,
    look_once,
    mail_args,
    notify,
    prune_notices,
)
from app.notifications.rendering import html, plain_text
from app.notifications.smtp import Hooks, MailRefusedError, close_connections
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
from app.notifications.webhook import RefusedError

__all__ = [
    "MAIL",
    "MAIL_TASK",
    "Attachment",
    "Bars",
    "Category",
    "Column",
    "Hooks",
    "Letter",
    "MailRefusedError",
    "MailingList",
    "Own",
    "RefusedError",
    "Section",
    "Severity",
    "Subscribed",
    "Subscriber",
    "SubscriberView",
    "Table",
    "WrittenMail",
    "add_subscriber",
    "change_subscriber",
    "channel_schemes",
    "check_channel",
    "check_mail_server",
    "close_connections",
    "count_unsure_mails",
    "find_subscriber",
    "html",
    "list_subscribers",
    "look_once",
    "mail_args",
    "notify",
    "notify_each",
    "plain_text",
    "prune_notices",
    "send_digests",
    "send_mail",
    "send_to_channel",
    "send_written",
    "subscribe",
    "tell_failure",
    "tell_parked",
    "tell_repeated_failures",
    "unsubscribe",
    "write_ahead",
    "write_mail",
]
