"""`python -m app jobs`: the work that the ledger keeps; what failed, and what people do about it."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from app.cli.numbers import positive
from app.cli.terminal import cell, facts, output, plain_table
from app.errors import BadInputError

if TYPE_CHECKING:
    from datetime import datetime

    from app.jobs import JobEventView, JobView

app = typer.Typer(
    name="jobs", help="Work that must happen once: what failed, and what to do about it.", no_args_is_help=True
)


class State(StrEnum):
    """The states of a job."""

    WAITING = "waiting"
    PARKED = "parked"
    REFUSED = "refused"
    EXPIRED = "expired"
    DONE = "done"
    DROPPED = "dropped"


_Task = Annotated[
    str | None,
    typer.Option("--task", metavar="NAME", help="Only those of this task, by its whole name.", show_default=False),
]
_IDS = typer.Argument(
    metavar="ID…",
    parser=positive,
    help="The jobs, by the ids that `jobs list` shows; all of them or none.",
    show_default=False,
)
_Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with your login.")]

#: Of more jobs than this only the number is told.
_MOST_NAMED = 20
#: Of an error in a list, so many characters: in a line with the rest, or below it in what the other columns leave.
_FIRST_WORDS = 100
_FEWEST_WORDS = 20
_BESIDE = 41
_SHORT = 80
#: From this width on a job is one line; below, its names and its error stand under each other.
_WIDE = 200
_STYLES = {"parked": "bold red", "waiting": "bold", "refused": "yellow"}


@app.command("list")
def list_(
    states: Annotated[
        list[State] | None,
        typer.Option("--state", help="Those in this state; give it again for another one.", show_default=False),
    ] = None,
    task: _Task = None,
    queue: Annotated[
        str | None,
        typer.Option("--queue", metavar="NAME", help="Only those of this queue.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(parser=positive, metavar="N", help="At most so many.")] = 50,
) -> None:
    """List the jobs that need a person (parked) or are under way (waiting), the parked ones first, the newest first.

    The last line says how many there are in each state. `jobs show` has all of one.
    """
    from app.database import session_scope
    from app.jobs import count_jobs, list_jobs

    wanted = [state.value for state in states or (State.PARKED, State.WAITING)]
    with session_scope() as session:
        jobs = list_jobs(session, states=wanted, task=task, queue=queue, limit=limit)
        counts = count_jobs(session, task=task, queue=queue)
    console = output()
    if jobs:
        console.print(_lines(jobs) if console.width >= _WIDE else _stacks(jobs, console.width))
    else:
        console.print(f"No job here is {' or '.join(dict.fromkeys(wanted))}.")
    more = sum(counts[state] for state in set(wanted)) - len(jobs)
    if jobs and more > 0:
        console.print(f"… and {more:,} more: `--limit` shows them.")
    console.print(Text(f"\nIn all: {', '.join(f'{count:,} {state}' for state, count in counts.items())}"))


@app.command("show")
def show(
    job_id: Annotated[
        int, typer.Argument(metavar="ID", parser=positive, help="The job, by the id that `jobs list` shows.")
    ],
) -> None:
    """Show all that is known of a job: what it was given, what came of it, and what people did to it."""
    from app.database import session_scope
    from app.jobs import show_job

    with session_scope() as session:
        job, events = show_job(session, job_id)
    console = output()
    console.print(Text.assemble((f"Job {job.id}: ", "bold"), (job.state, _STYLES.get(job.state, ""))))
    sent = _times(job.publishes) + (f", last {_moment(job.published_at)}" if job.published_at else "")
    console.print(
        facts(
            [
                ("task", cell(job.task)),
                ("key", cell(job.key)),
                ("queue", cell(job.queue)),
                ("arguments", _json(job.args)),
                ("asked for", _moment(job.created_at)),
                ("due", _moment(job.due_at)),
                ("worth it until", _moment(job.expires_at) if job.expires_at else "always"),
                ("sent", sent),
                ("failed", _times(job.attempts)),
                ("last error", (job.last_error or "none").rstrip()),
                ("finished", _moment(job.finished_at) if job.finished_at else "no"),
                ("result", "none" if job.result is None else _json(job.result)),
            ]
        )
    )
    console.print(Text("\nWhat people did to it", style="bold"))
    console.print(facts([_event(event) for event in events]) if events else "nothing")
    if job.state in {State.PARKED, State.REFUSED, State.DROPPED}:
        console.print(f"\nTo put it back: python -m app jobs retry {job.id} --reason TEXT")


@app.command("retry")
def retry(
    reason: _Reason,
    job_ids: Annotated[list[int] | None, _IDS] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that are parked.")] = False,
    task: _Task = None,
) -> None:
    """Put jobs back that are parked, refused or dropped: they are due now, with all their attempts again."""
    import app.tasks  # noqa: F401 (connects the broker that they are sent to)
    from app.database import session_scope
    from app.jobs import retry_jobs, retry_parked
    from app.people import current_person

    if bool(job_ids) == all_:
        raise BadInputError("name the jobs, or give --all for those that are parked", where="jobs retry")
    if task is not None and not all_:
        raise BadInputError("it goes with --all: a job that is named is of the task that it is of", where="--task")
    person = current_person()
    with session_scope() as session:
        if job_ids:
            retry_jobs(session, job_ids, reason, by=person)
        else:
            job_ids = retry_parked(session, reason, by=person, task=task)
    if job_ids:
        output().print(Text(f"{_jobs(job_ids)} put back by {person.login}, and due now."))
    else:
        output().print("No job is parked." if task is None else Text(f"No job of {cell(task)} is parked."))


@app.command("drop")
def drop(job_ids: Annotated[list[int], _IDS], reason: _Reason) -> None:
    """Give jobs up that are parked, refused or waiting: they are not done, unless `jobs retry` puts them back."""
    from app.database import session_scope
    from app.jobs import drop_jobs
    from app.people import current_person
    from app.tasks import transport

    person = current_person()
    with session_scope() as session:
        drop_jobs(session, job_ids, reason, by=person, end_undone=transport.end_undone)
    output().print(Text(f"{_jobs(job_ids)} dropped by {person.login}."))


def _lines(jobs: "Sequence[JobView]") -> Table:
    table = plain_table("id>", "state", "task", "key", "attempts>", "due or finished", "last error")
    for job in jobs:
        table.add_row(
            str(job.id),
            Text(job.state, style=_STYLES.get(job.state, "")),
            cell(job.task),
            cell(job.key),
            f"{job.attempts:,}",
            _moment(job.finished_at or job.due_at),
            _first_words(job.last_error, _FIRST_WORDS),
        )
    return table


def _stacks(jobs: "Sequence[JobView]", width: int) -> Table:
    room = max(_FEWEST_WORDS, width - _BESIDE - len(str(max(job.id for job in jobs))))
    table = plain_table("id>", "state", "due or finished", "attempts>", "task, key and last error")
    for column in table.columns[:3]:
        column.no_wrap = True
    for job in jobs:
        what = Text.assemble(cell(job.task), ("\n" + cell(job.key), "dim"))
        if job.last_error:
            what.append("\n" + _first_words(job.last_error, room), style="italic")
        table.add_row(
            str(job.id),
            Text(job.state, style=_STYLES.get(job.state, "")),
            _moment(job.finished_at or job.due_at),
            f"{job.attempts:,}",
            what,
        )
    return table


def _event(event: "JobEventView") -> tuple[str, str]:
    by = cell(event.actor)
    if event.db_user != event.actor:
        by += f" (database login {cell(event.db_user)})"
    told = f"{event.event} by {by}: {cell(event.reason)}"
    if event.attempts or event.last_error:
        told += f"\nuntil then it had failed {_times(event.attempts)}: {(event.last_error or '').rstrip()}"
    return _moment(event.happened_at), told


def _first_words(error: str | None, room: int) -> str:
    words = cell(error or "")
    return words if len(words) <= room else f"{words[: room - 1].rstrip()}…"


def _moment(when: "datetime") -> str:
    return f"{when:%Y-%m-%d %H:%M}"


def _times(number: int) -> str:
    return {0: "never", 1: "once"}.get(number, f"{number:,} times")


def _json(value: Any) -> str:
    """Return JSON on one line if it is short."""
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= _SHORT else json.dumps(value, indent=2, ensure_ascii=False)


def _jobs(job_ids: Sequence[int]) -> str:
    ids = sorted(set(job_ids))
    if len(ids) > _MOST_NAMED:
        return f"{len(ids):,} jobs are"
    return f"Job {ids[0]} is" if len(ids) == 1 else f"Jobs {', '.join(map(str, ids))} are"
