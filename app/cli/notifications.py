"""`python -m app notifications`: who is told of what, when, and by which channel."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

import re
from datetime import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from app.cli.severities import Severity
from app.cli.terminal import cell, output, plain_table
from app.errors import BadInputError

if TYPE_CHECKING:
    from app.notifications import SubscriberView

app = typer.Typer(name="notifications", help="Who is told of what, when, and by which channel.", no_args_is_help=True)


class About(StrEnum):
    """What people subscribe to."""

    RECONCILIATION = "reconciliation"
    PRICES = "prices"
    ALERTS = "alerts"
    OPERATIONS = "operations"


_Name = Annotated[str, typer.Argument(metavar="NAME", help="Somebody, by the name that `notifications list` shows.")]
_Category = Annotated[About, typer.Argument(metavar="CATEGORY", help="reconciliation, prices, alerts or operations.")]
_Timezone = Annotated[
    str | None, typer.Option(metavar="ZONE", help="Their time zone, such as Europe/Prague.", show_default=False)
]
_Quiet = Annotated[
    str | None,
    typer.Option(
        metavar="FROM-TO", help="When only what is critical comes, such as 22:00-07:00; or none.", show_default=False
    ),
]
_DigestAt = Annotated[
    str | None, typer.Option(metavar="TIME", help="When digests come, such as 07:30.", show_default=False)
]


@app.command("list")
def list_() -> None:
    """List all people with what they subscribed to; `ADMIN_EMAIL` is told of operations, and of what nobody else is."""
    from app.database import session_scope
    from app.notifications import list_subscribers
    from app.settings import get_settings

    with session_scope() as session:
        subscribers = list_subscribers(session)
    console = output()
    if not subscribers:
        console.print(f"Nobody: all goes to {get_settings().admin_email or 'ADMIN_EMAIL, which is empty'}.")
        return
    table = plain_table("name", "mail", "time zone", "quiet", "digest", "told of")
    for each in subscribers:
        table.add_row(
            cell(each.name),
            cell(each.address),
            each.timezone,
            f"{each.quiet_from:%H:%M}-{each.quiet_to:%H:%M}" if each.quiet_from and each.quiet_to else "",
            f"{each.digest_at:%H:%M}",
            _wishes(each),
        )
    console.print(table)


def _wishes(each: "SubscriberView") -> Text:
    if not each.active:
        return Text("nothing, for they are not active", style="dim")
    lines = [
        f"{wish.category} by {cell(wish.channel)}"
        + (f" from {wish.least_severity}" if wish.least_severity != Severity.INFO else "")
        + (", as a digest" if wish.delivery == "digest" else "")
        for wish in each.subscriptions
    ]
    return Text("\n".join(lines) or "nothing")


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What commands call them.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Where mail goes.")],
    *,
    timezone: _Timezone = None,
    quiet: _Quiet = None,
    digest_at: _DigestAt = None,
) -> None:
    """Add a person, or a team with one address; `notifications subscribe` says what they are told of."""
    from app.database import session_scope
    from app.notifications import add_subscriber

    with session_scope() as session:
        add_subscriber(session, name, address, **_given(timezone, quiet, digest_at))
    output().print(Text(f"{name} is added. What to tell them: python -m app notifications subscribe {name} CATEGORY"))


@app.command("change")
def change(
    name: _Name,
    *,
    address: Annotated[str | None, typer.Option(help="Where mail goes.", show_default=False)] = None,
    timezone: _Timezone = None,
    quiet: _Quiet = None,
    digest_at: _DigestAt = None,
    active: Annotated[
        bool | None, typer.Option("--on/--off", help="Whether they are told anything.", show_default=False)
    ] = None,
) -> None:
    """Change where mail of somebody goes, and when."""
    from app.database import session_scope
    from app.notifications import change_subscriber

    given = _given(timezone, quiet, digest_at) | ({} if active is None else {"active": active})
    if not given and address is None:
        raise BadInputError(
            "nothing is to be changed", where="notifications change", hint="Such as --quiet 22:00-07:00"
        )
    with session_scope() as session:
        change_subscriber(session, name, address=address, **given)
    output().print(Text(f"{name} is changed."))


@app.command("subscribe")
def subscribe(
    name: _Name,
    category: _Category,
    *,
    channel: Annotated[str, typer.Option(help="mail, or a name in NOTIFICATION_CHANNELS.")] = "mail",
    least: Annotated[Severity, typer.Option("--from", help="What matters less is not told.")] = Severity.INFO,
    digest: Annotated[
        bool, typer.Option("--digest", help="Once a day, all in one; what is critical comes at once.")
    ] = False,
) -> None:
    """Have somebody told of a category; the same again replaces what was wished."""
    from app.database import session_scope
    from app.notifications import Category
    from app.notifications import Severity as Matters
    from app.notifications import subscribe as add_subscription

    with session_scope() as session:
        add_subscription(
            session, name, Category(category), channel=channel, least_severity=Matters(least.value), digest=digest
        )
    output().print(Text(f"{name} is told of {category} by {channel}."))


@app.command("unsubscribe")
def unsubscribe(
    name: _Name,
    category: _Category,
    channel: Annotated[
        str | None, typer.Option(help="By this channel; by all, if left out.", show_default=False)
    ] = None,
) -> None:
    """Have somebody told of a category no more."""
    from app.database import session_scope
    from app.notifications import Category
    from app.notifications import unsubscribe as end_subscription

    with session_scope() as session:
        ended = end_subscription(session, name, Category(category), channel=channel)
    if not ended:
        raise BadInputError(f"{name} is not told of {category}", where="notifications unsubscribe")
    output().print(Text(f"{name} is told of {category} no more."))


@app.command("channels")
def channels() -> None:
    """List the channels of NOTIFICATION_CHANNELS, without their addresses, and whether they can be used.

    No message is sent. Exit code 1 when one can't be used.
    """
    from app.notifications import channel_schemes, check_channel
    from app.settings import get_settings

    settings = get_settings()
    schemes = channel_schemes(settings)
    if not schemes:
        output().print("There is no channel: NOTIFICATION_CHANNELS is empty.")
        return
    table = plain_table("channel", "address", "can be used")
    failed = False
    for name, scheme in schemes.items():
        try:
            check_channel(settings, name)
            told = "yes"
        except BadInputError as error:
            failed = True
            told = f"no: {error.what}. {error.hint}"
        table.add_row(name, f"{cell(scheme)}://…", cell(told))
    output().print(table)
    if failed:
        raise typer.Exit(1)


@app.command("test")
def test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The channel, by its name in NOTIFICATION_CHANNELS.")],
) -> None:
    """Send a letter to a channel now, and tell what its service says.

    Exit code 2 when it refuses the letter, 3 when it does not take it.
    """
    import socket
    from uuid import uuid4

    from app.notifications import Letter, Section, check_channel, send_to_channel
    from app.people import current_person
    from app.settings import get_settings

    settings = get_settings()
    check_channel(settings, name)
    letter = Letter(
        subject=f"A test of the channel {name}",
        lead="If you read this, it works.",
        sections=(Section(paragraphs=(f"Asked for by {current_person().login} on {socket.gethostname()}.",)),),
    )
    said = send_to_channel(settings, name, letter, notice_id=f"test-{uuid4()}")
    output().print(Text.assemble(("taken", "green"), " ", cell(f"{name}: {said}")))


def _given(timezone: str | None, quiet: str | None, digest_at: str | None) -> dict[str, object]:
    given: dict[str, object] = {}
    if timezone is not None:
        given["timezone"] = timezone
    if quiet is not None:
        given["quiet"] = _hours(quiet)
    if digest_at is not None:
        given["digest_at"] = _time(digest_at, "--digest-at")
    return given


def _hours(text: str) -> tuple[time, time] | None:
    if text == "none":
        return None
    since, dash, until = text.partition("-")
    if not dash:
        raise BadInputError(f"{text!r} is no span of time", where="--quiet", hint="Such as 22:00-07:00, or none.")
    return _time(since, "--quiet"), _time(until, "--quiet")


def _time(text: str, where: str) -> time:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text.strip(), re.ASCII):
        raise BadInputError(f"{text!r} is no time of a day", where=where, hint="Such as 07:30.")
    return time.fromisoformat(text.strip())
