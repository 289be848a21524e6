"""The servers that the program talks to: Redis, PostgreSQL, the mail server."""

import time

from sqlalchemy import text

from app.database import current_revision, get_engine, head_revision, is_newer
from app.doctor.findings import Finding, State
from app.errors import BadInputError
from app.notifications import channel_schemes, check_channel, check_mail_server
from app.settings import Settings, get_settings
from app.tasks.health import RedisHealth, check_broker, check_result_backend

_OLDEST_POSTGRESQL = 15
_OLDEST_REDIS = 7


def look_at_broker() -> Finding:
    """Ask the broker how it is."""
    health = check_broker()
    if health.evicts_by:
        return Finding(
            State.NOTE,
            f"{_answer(health)}; when its memory is full it throws messages away ({health.evicts_by})",
            "Set its maxmemory-policy to noeviction.",
        )
    return _redis_finding(health)


def look_at_result_backend() -> Finding:
    """Ask the result backend how it is."""
    health = check_result_backend()
    settings = get_settings()
    if settings.celery_result_backend.get_secret_value() == settings.celery_broker_url.get_secret_value():
        return Finding(
            State.NOTE,
            f"{_answer(health)}; it is the broker's own database",
            "Give results another one in CELERY_RESULT_BACKEND: emptying it must not cost messages.",
        )
    return _redis_finding(health)


def look_at_database() -> Finding:
    """Ask the database how it is."""
    with get_engine().connect() as connection:
        number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        begin = time.perf_counter()
        version = connection.execute(text("SHOW server_version")).scalar_one()
        took = time.perf_counter() - begin
    answer = f"PostgreSQL {version} answers in {1000 * took:.1f} ms"
    if number // 10_000 < _OLDEST_POSTGRESQL:
        return Finding(State.FAILED, answer, f"PostgreSQL {_OLDEST_POSTGRESQL} or newer is needed.")
    return Finding(State.OK, answer)


def look_at_migrations() -> Finding:
    """Look whether the tables are those of this version."""
    current, head = current_revision(get_engine()), head_revision()
    if current == head:
        return Finding(State.OK, f"the tables are at {head}, which this version works with")
    if is_newer(current):
        return Finding(
            State.NOTE,
            f"the tables are at {current}, which a later version made; this one was made for {head}",
            "A version works on the tables of the next one: roll back no further than to that one's predecessor.",
        )
    return Finding(
        State.FAILED,
        f"the tables are {f'at {current}' if current else 'not there'}; this version works with {head}",
        "`python -m app migrate` brings them there.",
    )


def look_at_mail(settings: Settings) -> Finding:
    """Log in to the mail server."""
    if settings.mail_off_reason:
        return Finding(
            State.NOTE,
            f"no mail is sent: {settings.mail_off_reason}",
            "With EMAIL_HOST, ADMIN_EMAIL and SERVER_EMAIL, ADMIN_EMAIL is told of tasks that fail for good.",
        )
    greeting = check_mail_server(settings)
    return Finding(State.OK, f"{greeting} lets us in; mail goes to {settings.admin_email}")


def look_at_channels(settings: Settings) -> Finding:
    """Look at the channels beside mail, without a message."""
    schemes = channel_schemes(settings)
    if not schemes:
        return Finding(State.OK, "there is none beside mail")
    problems = []
    for name in schemes:
        try:
            check_channel(settings, name)
        except BadInputError as error:
            problems.append(f"{name}: {error.what}. {error.hint}")
    if problems:
        return Finding(
            State.FAILED,
            "\n".join(problems),
            "Correct NOTIFICATION_CHANNELS: no worker starts with an address that apprise can't use.",
        )
    there_are = ", ".join(f"{name} ({scheme}://)" for name, scheme in schemes.items())
    return Finding(State.OK, f"{there_are} can be used; `python -m app notifications test NAME` sends a message")


def _redis_finding(health: RedisHealth) -> Finding:
    if health.version and int(health.version.partition(".")[0]) < _OLDEST_REDIS:
        return Finding(State.NOTE, _answer(health), f"Tested from Redis {_OLDEST_REDIS} on; upgrade it.")
    return Finding(State.OK, _answer(health))


def _answer(health: RedisHealth) -> str:
    return f"Redis{f' {health.version}' if health.version else ''} answers in {1000 * health.latency_s:.1f} ms"
