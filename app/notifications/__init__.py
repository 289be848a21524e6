"""Mail to people, and messages to channels: a job, written with the fact that it tells of, done when it is taken."""

from app.notifications.channels import channel_schemes, check_channel, send_to_channel
from app.notifications.failures import enqueue_failure_mail, enqueue_parked_mail
from app.notifications.letters import Letter, Section, Severity, plain_text
from app.notifications.mail import check_mail_server, send_mail
from app.notifications.notices import enqueue_notice
from app.notifications.webhook import RefusedError

__all__ = [
    "Letter",
    "RefusedError",
    "Section",
    "Severity",
    "channel_schemes",
    "check_channel",
    "check_mail_server",
    "enqueue_failure_mail",
    "enqueue_notice",
    "enqueue_parked_mail",
    "plain_text",
    "send_mail",
    "send_to_channel",
]
