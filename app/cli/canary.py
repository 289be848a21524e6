"""`python -m app canary`: whether workers take what is sent, from end to end, and of which release they are."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from typing import Annotated

import typer

from app.cli.terminal import cell, messages, output, plain_table
from app.errors import BadInputError

_LONGEST_S = 3600


def canary(
    queue: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A queue to ask; CELERY_QUEUE if left out.", show_default=False),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="Go on until a worker answers whose code is in a folder of this name.",
            show_default=False,
        ),
    ] = None,
    here: Annotated[bool, typer.Option("--here", help="Go on until a worker of this host answers.")] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait for answers.")] = 30,
) -> None:
    """Send a task through each queue, and show which worker answered, of which release, and how fast.

    A worker answers when its database does. Exit code 1 when a queue gave no answer in time, or none of that release
    or of this host.
    """
    import socket

    from app.settings import get_settings
    from app.tasks.canary import Answer, ask
    from app.tasks.health import check_broker, check_result_backend

    if not 1 <= timeout <= _LONGEST_S:
        raise BadInputError(f"{timeout:g} is not a time from 1 to {_LONGEST_S} seconds", where="--timeout")
    check_broker()
    check_result_backend()
    answers = ask(
        dict.fromkeys(queue or [get_settings().celery_queue]),
        release=release,
        host=socket.gethostname() if here else None,
        timeout_s=timeout,
    )
    table = plain_table("queue", "worker", "release", "ms>")
    for name, answer in answers.items():
        if isinstance(answer, Answer):
            worker = cell(f"{answer.host} process {answer.pid}")
            table.add_row(cell(name), worker, cell(answer.release), f"{1000 * answer.took_s:,.0f}")
    if table.row_count:
        output().print(table)
    troubles = {name: answer for name, answer in answers.items() if isinstance(answer, str)}
    for name, trouble in troubles.items():
        messages().print(f"Queue {cell(name)}: {cell(trouble)} within {timeout:g} s.")
    if troubles:
        messages().print(
            "Look at `celery -A app.tasks.celery_app inspect active_queues`, which says what workers listen to, at"
            " logs/celery-worker.log and at `python -m app doctor`."
        )
        raise typer.Exit(1)
