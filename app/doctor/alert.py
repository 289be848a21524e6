"""Telling `ADMIN_EMAIL` of what a look found, by SMTP itself: what else carries mail may be what fails."""

import logging
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta

from app.doctor import memory as memories
from app.doctor.findings import Look
from app.doctor.memory import Kind, Step, Trouble
from app.errors import AppError, BadInputError
from app.notifications import send_mail
from app.settings import Settings

logger = logging.getLogger(__name__)

_SUBJECTS = {Kind.NEW: "Failing on", Kind.REMINDER: "Still failing on", Kind.WELL: "All is well again on"}


def alert(settings: Settings, looks: Sequence[Look], *, now: datetime) -> str:
    """Mail what fails, unless it was told already, and that all is well again.

    Args:
        settings: the mail server, who is told, and where it is written down what was told.
        looks: what was found.
        now: the time (aware).

    Returns:
        What was done, for the log.

    Raises:
        BadInputError: mail is off.
        UnavailableError: the mail server does not take it; the next look tries again.
    """
    if settings.mail_off_reason:
        raise BadInputError(
            f"nobody can be told, for no mail is sent: {settings.mail_off_reason}",
            where="doctor --alert",
            hint="It needs EMAIL_HOST, ADMIN_EMAIL and SERVER_EMAIL.",
        )
    path = settings.doctor_state_path
    memory = memories.read(path)
    troubles = {
        Trouble(look.check.name, look.finding.about, look.finding.state): look.finding.is_lasting
        for look in looks
        if look.is_trouble
    }
    unknown = frozenset(look.check.name for look in looks if not look.was_possible)
    repeat = timedelta(seconds=settings.doctor_repeat_s)

    def decide(*, at_once: bool) -> Step:
        return memories.next_step(
            memory or memories.Memory(), troubles, unknown, now=now, repeat=repeat, at_once=at_once
        )

    if memory is None:
        logger.warning("%s can't be read, so nothing is known of what was told before", path)
    step = decide(at_once=memory is None)
    if step.kind is None:
        try:
            memories.write(path, step.after)
        except OSError as error:
            logger.warning("%s can't be written (%s), so nothing is held back", path, error)
            step = decide(at_once=True)
        if step.kind is None:
            return _why_not(step)
    try:
        _send(settings, step, looks, now)
    except AppError:
        _remember(settings, step.after_failure)
        raise
    # After the mail: should this process end in between, the mail comes again, as the same one.
    _remember(settings, step.after)
    return f"Mailed to {settings.admin_email}: {_subject(step)}"


def _remember(settings: Settings, memory: memories.Memory) -> None:
    try:
        memories.write(settings.doctor_state_path, memory)
    except OSError as error:
        logger.warning("%s can't be written (%s), so this is told again", settings.doctor_state_path, error)


def _why_not(step: Step) -> str:
    if not step.troubles:
        return "All is well."
    if not step.after.seen:
        return "All is well again; it is told if the next look finds so, too."
    if step.after.seen <= step.after.told.keys():
        last = max(step.after.told.values())
        return f"No mail: it was told at {last:%Y-%m-%d %H:%M} UTC."
    return "No mail: it is told if the next look finds it, too."


def _send(settings: Settings, step: Step, looks: Sequence[Look], now: datetime) -> None:
    send_mail(
        settings,
        to=settings.admin_email,
        subject=_subject(step),
        text=_text(step, looks, now, settings),
        message_id=f"<doctor.{step.name}.{socket.gethostname()}@{settings.mail_domain}>",
    )


def _subject(step: Step) -> str:
    names = dict.fromkeys(trouble.check for trouble in step.troubles)
    kind = step.kind or Kind.NEW
    return f"{_SUBJECTS[kind]} {socket.gethostname()}: {', '.join(names)}"


def _text(step: Step, looks: Sequence[Look], now: datetime, settings: Settings) -> str:
    host = socket.gethostname()
    if step.kind is Kind.WELL:
        since = f" since {step.since:%Y-%m-%d %H:%M} UTC" if step.since else ""
        lines = [f"All that was told of {host} is well again at {now:%Y-%m-%d %H:%M} UTC. This had failed{since}:", ""]
        return "\n".join([*lines, *(f"    {trouble.check} {trouble.about}".rstrip() for trouble in step.troubles)])
    lines = [f"This is what the doctor found on {host} at {now:%Y-%m-%d %H:%M} UTC.", ""]
    for look in looks:
        if look.is_trouble or not look.was_possible:
            lines.append(f"{look.finding.state:6}  {look.check.name}")
            lines += [f"        {line}" for line in look.lines]
            lines.append("")
    lines += [
        "To look again, on that host: sudo value-partner doctor, or python -m app doctor.",
        f"The next mail comes when something else fails, after {settings.doctor_repeat_s / 3600:g} h if nothing has"
        " changed (a day for disks and certificates), and when all is well again.",
    ]
    return "\n".join(lines)
