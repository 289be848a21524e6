"""What there is to look at, in the order in which it is told."""

from functools import partial
from pathlib import Path

from app.doctor import certificates, disks, inputs, servers, work
from app.doctor.findings import Check
from app.settings import Settings

_TABLES = ("database", "migrations")


def checks(settings: Settings, env_file: Path | None) -> list[Check]:
    """Return all checks; a look changes nothing, and sends no mail.

    Args:
        settings: where all of it is.
        env_file: what the settings were read from beside the environment.
    """
    broker, backend = str(settings.celery_broker_url), str(settings.celery_result_backend)
    mail = f"{settings.email_host}:{settings.email_port}" if settings.email_host else ""
    return [
        Check("settings", str(env_file or "the environment, no file"), partial(inputs.look_at_settings, env_file)),
        Check("broker", broker, servers.look_at_broker),
        Check("result backend", backend, servers.look_at_result_backend),
        Check("database", str(settings.database_url), servers.look_at_database),
        Check("migrations", "", servers.look_at_migrations, needs=("database",)),
        Check("mappings", str(settings.statement_mappings_dir), partial(inputs.look_at_mappings, settings)),
        Check("prices", "", inputs.look_at_prices, needs=_TABLES),
        Check("mail", mail, partial(servers.look_at_mail, settings)),
        Check("mails", "", work.look_at_mails, needs=_TABLES),
        Check("channels", "", partial(servers.look_at_channels, settings)),
        Check("workers", "", work.look_at_workers, needs=("broker",)),
        Check("beat", "", work.look_at_beat, needs=_TABLES),
        Check("jobs", "", partial(work.look_at_jobs, settings), needs=_TABLES),
        Check("nightly run", "", partial(work.look_at_nightly_run, settings), needs=_TABLES),
        Check("messages", "", work.look_at_refused_messages, needs=("result backend",)),
        Check("disks", "", partial(disks.look_at_disks, settings)),
        Check("certificates", "", partial(certificates.look_at_certificates, settings)),
    ]
