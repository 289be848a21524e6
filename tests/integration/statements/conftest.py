"""An inbox for statement files, and the accounts that the files of these tests are about."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.statements import FileResult, import_files
from app.statements.sources.inbox import collect_inbox, incoming_folder
from tests import factories as make

#: The day after that of the statements which `ofx_files` writes.
NOW = datetime(2024, 2, 1, 12, tzinfo=UTC)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def accounts(session: Session) -> dict[str, int]:
    """Ids, by number, of the custodian accounts that the files name when a test does not say otherwise."""
    numbers = {"A-1": "custodian.example", "A-2": "custodian.example", "B-1": "021000021"}
    ids = {
        number: make.custodian_account(session, make.account(session), custodian=custodian, number=number)
        for number, custodian in numbers.items()
    }
    session.commit()
    return ids


@pytest.fixture
def load(database: str) -> Callable[..., list[FileResult]]:
    """Import paths and give what became of each file."""

    def load(*paths: Path, now: datetime = NOW, max_bytes: int = 1_000_000) -> list[FileResult]:
        return list(import_files(paths, now=now, max_bytes=max_bytes))

    return load


@pytest.fixture
def incoming(inbox: Path, accounts: dict[str, int]) -> Path:
    return incoming_folder(inbox)


@pytest.fixture
def collect(inbox: Path) -> Callable[..., list[FileResult]]:
    def collect(*, settling: timedelta = timedelta(0), now: datetime = NOW) -> list[FileResult]:
        return list(collect_inbox(inbox, settling=settling, now=now, max_bytes=1_000_000))

    return collect
