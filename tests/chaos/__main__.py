"""`make chaos` and `make test-chaos`: one fault after another in runs of 50,000 accounts with mails.

Each fault has a night of its own: a database as before the run, an empty Redis, a worker with two children and a beat.
All that fails says so; logs and servers' files are then left in .run/chaos/.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from app.errors import AppError
from tests.processes import PROJECT

_FOLDER = PROJECT / ".run" / "chaos"
_RESULTS = PROJECT / "benchmarks" / "results" / "chaos.json"
_SHOWN = 5


def main() -> int:
    """Inject, report and write; 1 if anything was lost, doubled or hung."""
    given = _arguments()
    print(f"Seed {given.seed}: SEED={given.seed} draws the same times again", flush=True)
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    _FOLDER.chmod(0o711)
    nights: list[dict[str, Any]] = []
    try:
        for night in _inject_all(given.rounds, given.seed, given.only):
            nights.append(night)
            if given.output:  # after each, for many rounds take hours
                _write(given.output, given.seed, nights)
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    _print(_summed(nights))
    if any(night["failed"] for night in nights):
        print(f"Not all came out as it must: {_FOLDER.relative_to(PROJECT)}/ has the logs of those nights.")
        return 1
    shutil.rmtree(_FOLDER, ignore_errors=True)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="how often each fault is injected")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="what the times are drawn from")
    parser.add_argument("--only", default="", metavar="WORDS", help="only faults whose name has these words")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"figures as JSON, such as {_RESULTS.name}")
    return parser.parse_args()


def _inject_all(rounds: int, seed: int, only: str) -> Iterator[dict[str, Any]]:
    # What is imported from here on reads the settings, which name the servers only now.
    os.environ["ENV_FILE"] = os.devnull
    from tests.chaos.night import Night, servers
    from tests.chaos.world import make_template, outcome

    number = 0
    with servers(_FOLDER) as running:
        os.environ["CELERY_BROKER_URL"] = running.redis.server.broker_url
        os.environ["CELERY_RESULT_BACKEND"] = running.redis.server.result_backend_url
        make_template(running.postgres.server, _FOLDER)
        from tests.chaos.faults import FAULTS

        with Night(running, 0, random.Random(seed), length_s=0.0) as night:  # noqa: S311 (draws times)
            night.begin()
            began = time.monotonic()
            night.fault_ends()
            undisturbed = night.wait_for(lambda: night.scalar("SELECT state = 'complete' FROM runs"))
            if not undisturbed:
                raise AppError("an undisturbed run did not end")
            length_s = time.monotonic() - began
            expected = outcome(night.url, night.run_id)
        print(f"Undisturbed: {length_s:.1f} s, {expected.breaks.total():,} breaks", flush=True)
        for round_ in range(1, rounds + 1):
            for fault in FAULTS:
                if only not in fault.name:
                    continue
                if reason := fault.lacks():
                    print(f"NOT RUN: {fault.name} ({reason})", flush=True)
                    continue
                draw = random.Random(f"{seed} {round_} {fault.name}")  # noqa: S311
                number += 1
                told = {"round": round_} | _night(
                    lambda n=number, d=draw: Night(running, n, d, length_s=length_s), fault, expected
                )
                _tell(told)
                yield told


def _night(make: Any, fault: Any, expected: Any) -> dict[str, Any]:
    with make() as night:
        try:
            fault.inject(night)
            if not night.fault_ended:
                night.fault_ends()
            result = night.result(expected)
        except AssertionError as error:
            return {"fault": fault.name, "lost": [], "doubled": [], "hung": [str(error)], "repeated": 0, "failed": True}
    problems = [*result.lost, *result.doubled, *result.hung]
    if not problems:
        shutil.rmtree(night.folder)
    return {
        "fault": fault.name,
        "lost": result.lost,
        "doubled": result.doubled,
        "hung": result.hung,
        "repeated": result.repeated,
        "recovered_s": result.recovered_s,
        "failed": bool(problems),
    }


def _tell(night: dict[str, Any]) -> None:
    recovered = f"{night['recovered_s']:5.1f} s" if "recovered_s" in night else "      -"
    print(
        f"round {night['round']}  {'FAILED' if night['failed'] else 'ok':6}  {recovered}  {night['fault']}", flush=True
    )
    for what in ("lost", "doubled", "hung"):
        for row in night[what][:_SHOWN]:
            print(f"    {what}: {row}", flush=True)
        if len(night[what]) > _SHOWN:
            print(f"    … and {len(night[what]) - _SHOWN} more {what}", flush=True)


def _write(path: Path, seed: int, nights: Sequence[dict[str, Any]]) -> None:
    figures = {"seed": seed, "rounds": nights[-1]["round"], "faults": _summed(nights)}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")


def _summed(nights: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    by_fault: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for night in nights:
        by_fault[night["fault"]].append(night)
    return [
        {
            "fault": name,
            "injected": len(of_one),
            "lost": sum(len(night["lost"]) for night in of_one),
            "doubled": sum(len(night["doubled"]) for night in of_one),
            "hung": sum(len(night["hung"]) for night in of_one),
            # Mails that the server had taken without an answer, and was given again under the same Message-ID.
            "mails_repeated": sum(night["repeated"] for night in of_one),
            # From the fault's end until all was done: the longest, and the median.
            "recovered_s": round(max(times), 1) if times else None,
            "recovered_median_s": round(median(times), 1) if times else None,
        }
        for name, of_one in by_fault.items()
        for times in [[night["recovered_s"] for night in of_one if "recovered_s" in night]]
    ]


def _print(faults: list[dict[str, Any]]) -> None:
    width = max((len(fault["fault"]) for fault in faults), default=0)
    print(f"\n{'fault':{width}}  injected  lost  doubled  mails again  seconds to recover, median and most")
    for fault in faults:
        seconds = f"{fault['recovered_median_s']} {fault['recovered_s']}" if fault["recovered_s"] is not None else "-"
        print(
            f"{fault['fault']:{width}}  {fault['injected']:8}  {fault['lost']:4}  {fault['doubled']:7}"
            f"  {fault['mails_repeated']:11}  {seconds}"
        )


if __name__ == "__main__":
    sys.exit(main())
