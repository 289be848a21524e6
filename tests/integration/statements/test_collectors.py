"""Collectors that are killed, and several at once: each file is loaded once and ends in one place."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.statements.models import Statement, StatementFile
from tests.integration.statements.test_inbox import statement, tree
from tests.processes import PROJECT


@contextmanager
def collectors(inbox: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that starts a collector for each line it reads: the step to die at, and the day."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.statements.collector", str(inbox)],
        cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    ) as program:  # fmt: skip
        yield program
        program.communicate(timeout=60)
    assert program.returncode == 0


def run_collector(program: subprocess.Popen[str], die_at: int = 0) -> tuple[list[str], int]:
    """What a collector said, and its exit status."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{die_at} 2024-02-01\n")
    said = []
    while not (line := program.stdout.readline()).startswith("ended "):
        assert line
        said.append(line.strip())
    return said, int(line.split()[1])


def test_a_collector_killed_at_any_step_loses_nothing_and_loads_nothing_twice(
    inbox, incoming, collect, session: Session
):
    with collectors(inbox) as program:
        for step in count(1):
            day = f"202311{step:02}"
            good, bad = statement(day=day), statement(account="stranger", day=day)
            (incoming / "good.ofx").write_bytes(good)
            (incoming / "bad.ofx").write_bytes(bad)
            _, status = run_collector(program, step)
            assert status in (0, -signal.SIGKILL)
            collect()

            # Each file is in one place, and loaded or refused once.
            found = [path for path in inbox.rglob("*.ofx") if path.is_file()]
            assert [path.read_bytes() for path in found].count(good) == 1, (step, tree(inbox))
            assert [path.read_bytes() for path in found].count(bad) == 1, (step, tree(inbox))
            assert {path.relative_to(inbox).parts[0] for path in found} == {"processed", "rejected"}
            for path in (inbox / "rejected").glob("*.ofx"):
                assert path.with_name(path.name + ".reason.txt").exists()
            assert list((inbox / "working").iterdir()) == []
            session.rollback()
            assert session.execute(select(func.count()).select_from(Statement)).scalar_one() == step
            if status == 0:
                break

    assert step > 10
    states = session.execute(select(StatementFile.state, func.count()).group_by(StatementFile.state)).all()
    assert dict(map(tuple, states)) == {"loaded": step, "refused": step}


def test_two_collectors_at_once_load_each_file_once(inbox, incoming, session: Session):
    for number in range(1, 29):
        (incoming / f"{number:02}.ofx").write_bytes(statement(day=f"202401{number:02}"))
    with collectors(inbox) as one, collectors(inbox) as another, ThreadPoolExecutor() as threads:
        results = list(threads.map(run_collector, (one, another)))
    said = [line for lines, _ in results for line in lines]

    assert [status for _, status in results] == [0, 0]
    assert sorted(said) == [f"loaded {f'{number:02}.ofx'.encode()}" for number in range(1, 29)]
    assert len(tree(inbox)) == 28
    assert session.execute(select(func.count()).select_from(Statement)).scalar_one() == 28
    assert list((inbox / "working").iterdir()) == []
