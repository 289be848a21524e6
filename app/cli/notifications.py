"""`python -m app notifications`: the channels that letters go to."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from typing import Annotated

import typer
from rich.text import Text

from app.cli.terminal import cell, output, plain_table

app = typer.Typer(
    name="notifications", help="Notifications: the channels beside mail, and whether they work.", no_args_is_help=True
)


@app.command("channels")
def channels() -> None:
    """List the channels of NOTIFICATION_CHANNELS, without their addresses, and whether they can be used.

    No message is sent. Exit code 1 when one can't be used.
    """
    from app.errors import BadInputError
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
