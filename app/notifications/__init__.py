"""Mail to people: written as a job with the fact that it tells of, sent when the mail server takes it."""

from app.notifications.failures import enqueue_failure_mail, enqueue_parked_mail
from app.notifications.letters import Attachment, Bars, Column, Letter, Section, Severity, Table
from app.notifications.mail import Subscription, check_mail_server, send_mail
from app.notifications.notices import MAIL_TASK, count_unsure_mails, enqueue_letter, enqueue_notice, mail_args
from app.notifications.rendering import html, plain_text
from app.notifications.smtp import Hooks, MailRefusedError, close_connections

__all__ = [
    "MAIL_TASK",
    "Attachment",
    "Bars",
    "Column",
    "Hooks",
    "Letter",
    "MailRefusedError",
    "Section",
    "Severity",
    "Subscription",
    "Table",
    "check_mail_server",
    "close_connections",
    "count_unsure_mails",
    "enqueue_failure_mail",
    "enqueue_letter",
    "enqueue_notice",
    "enqueue_parked_mail",
    "html",
    "mail_args",
    "plain_text",
    "send_mail",
]
