"""Mail to people: written as a job with the fact that it tells of, sent when the mail server takes it."""

from app.notifications.failures import enqueue_failure_mail, enqueue_parked_mail
from app.notifications.letters import Letter, Section, Severity, plain_text
from app.notifications.mail import check_mail_server, send_mail
from app.notifications.notices import enqueue_notice

__all__ = [
    "Letter",
    "Section",
    "Severity",
    "check_mail_server",
    "enqueue_failure_mail",
    "enqueue_notice",
    "enqueue_parked_mail",
    "plain_text",
    "send_mail",
]
