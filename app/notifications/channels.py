"""Channels beside mail: our own webhook, and whatever `apprise` knows.

Apprise takes two seconds to load its plugins (and 31 MiB; measured with 2.3), so it is imported where it is needed.
"""

# ruff: noqa: PLC0415 (see above)

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.errors import BadInputError, UnavailableError
from app.notifications.letters import Letter, Severity
from app.notifications.redaction import parts_of, redacted
from app.notifications.rendering import plain_text
from app.notifications.webhook import post_webhook
from app.settings import Settings

if TYPE_CHECKING:
    from apprise import Apprise, AppriseAsset

#: The schemes of our own webhook.
_WEBHOOK = ("https", "http")
#: Seconds for one letter; a job's transaction waits with it (see `JOBS_IDLE_TIMEOUT_S`).
_TIMEOUT_S = 45

# It logs addresses, topics and payloads; what it says of a failure is in the error. With a level of its own it says
# that whatever the worker's is.
_log = logging.getLogger("apprise")
_log.propagate = False
_log.setLevel(logging.WARNING)
# It logs each path, in which services have their tokens.
logging.getLogger("urllib3").setLevel(logging.WARNING)


def _nothing() -> None:
    pass


def channel_schemes(settings: Settings) -> dict[str, str]:
    """Return what of each channel's address may be shown, by its name: `slack`, or `https` for our own webhook."""
    return {name: _scheme(url) for name, url in settings.channels.items()}


def check_channel(settings: Settings, name: str) -> None:
    """Make sure that a channel can be used, without a message.

    Raises:
        BadInputError: it can't; the error does not show its address.
    """
    url = _url(settings, name)
    where = f"NOTIFICATION_CHANNELS, {name}"
    if _scheme(url) not in _WEBHOOK:
        _apprise(url, name)
    elif (service := _service_with_address(url)) is not None:
        raise BadInputError(
            f"this is an address of {service[0]}, which takes no webhook of ours",
            where=where,
            hint=f"Write it as apprise does, with {service[1]}://.",
        )


def send_to_channel(
    settings: Settings,
    name: str,
    letter: Letter,
    *,
    notice_id: str,
    before_message: Callable[[], object] = _nothing,
    when_taken: Callable[[], object] = _nothing,
) -> str:
    """Send a letter to a channel once.

    A channel of apprise gets the subject as its title and the letter as plain text, cut to what the service takes in
    one message: a letter in parts, of which one fails, would come again from its first. `?overflow=split` in its
    address asks for that. Attachments are not sent.

    Args:
        settings: which channels there are.
        name: of the channel.
        letter: what is told.
        notice_id: the same for every attempt; a webhook's receiver knows by it what it has.
        before_message: called before anything is sent; what it raises stops it.
        when_taken: called as soon as the service has said that it took it.

    Returns:
        What the service answered, for a person.

    Raises:
        BadInputError: there is no such channel, or it can't be used.
        RefusedError: the webhook refuses it, and will again.
        UnavailableError: the service does not take it; what it says is in the error, without secrets.
    """
    url = _url(settings, name)
    if _scheme(url) in _WEBHOOK:
        return post_webhook(
            settings, name, letter, notice_id=notice_id, before_message=before_message, when_taken=when_taken
        )
    service = _apprise(url, name)
    before_message()
    _notify(service, letter, url, name)
    when_taken()
    return f"{_scheme(url)} took it"


def _scheme(url: str) -> str:
    return urlsplit(url).scheme


def _url(settings: Settings, name: str) -> str:
    channels = settings.channels
    if name not in channels:
        there_are = f"There are {', '.join(channels)}." if channels else "There is none."
        raise BadInputError(f"there is no channel {name!r}", where="NOTIFICATION_CHANNELS", hint=there_are)
    return channels[name]


def _asset() -> "AppriseAsset":
    import apprise

    return apprise.AppriseAsset(
        app_id="Value Partner",
        app_desc="Value Partner",
        app_url="",
        # No pictures from an address of somebody else.
        image_url_mask="",
        image_url_logo="",
        # In this thread but for the time limit; the ledger tries again.
        async_mode=False,
        service_timeout=_TIMEOUT_S,
        # A redirected POST becomes a GET, which any page answers with 200.
        http_redirects=False,
        # Text from statements is text.
        interpret_escapes=False,
        interpret_emojis=False,
        # Nothing is written to disk.
        storage_mode=apprise.PersistentStoreMode.MEMORY.value,
        pgp_autogen=False,
        pem_autogen=False,
    )


def _apprise(url: str, name: str) -> "Apprise":
    """Return the service that an address names, in apprise.

    Raises:
        BadInputError: apprise can't use it.
    """
    import apprise

    where = f"NOTIFICATION_CHANNELS, {name}"
    if _scheme(url) not in apprise.NotificationManager():
        raise BadInputError(
            f"apprise knows no {_scheme(url)}://",
            where=where,
            hint="https://appriseit.com/services/ lists what it knows.",
        )
    parsed = apprise.plugins.url_to_dict(url) or {}
    parsed.setdefault("overflow", "truncate")
    # With `?optional=yes` apprise calls what failed a success.
    parsed["optional"] = False
    plugin = apprise.Apprise.instantiate(parsed, asset=_asset()) if "schema" in parsed else None
    if plugin is None:
        raise BadInputError(
            f"apprise can't use its address, which starts with {_scheme(url)}://",
            where=where,
            hint="https://appriseit.com/services/ says how it is written; a library that the service needs may be"
            " missing.",
        )
    service = apprise.Apprise(asset=plugin.asset)
    service.add(plugin)
    return service


def _service_with_address(url: str) -> tuple[str, str] | None:
    """Return the service, by name and scheme, whose own way to write an address this is; None if it is nobody's."""
    import apprise

    parsed = apprise.plugins.url_to_dict(url)
    if not parsed:
        return None
    plugin = apprise.NotificationManager()[parsed["schema"]]
    return str(plugin.service_name), str(parsed["schema"])


def _notify(service: "Apprise", letter: Letter, url: str, name: str) -> None:
    from apprise import NotifyFormat, NotifyType

    kinds = {
        Severity.INFO: NotifyType.INFO,
        Severity.WARNING: NotifyType.WARNING,
        Severity.CRITICAL: NotifyType.FAILURE,
    }
    result = service.notify(
        # Without a text apprise sends nothing.
        body=plain_text(letter, is_mail=False).strip() or letter.subject,
        title=letter.subject,
        notify_type=kinds[letter.severity],
        body_format=NotifyFormat.TEXT,
    )
    if not result:
        said = redacted(" ".join(entry.message for entry in result.logs()), parts_of(url)).rstrip(". ")
        raise UnavailableError(
            f"{_scheme(url)} did not take it ({said or 'it does not say why'})",
            where=f"channel {name}",
            hint="Check its address in NOTIFICATION_CHANNELS.",
        )
