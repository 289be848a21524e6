"""Names that point out of a folder: nothing outside is read, written or moved.

Links and odd names of statements' files: tests/integration/statements/test_inbox.py.
"""

import zipfile
from datetime import timedelta

import pytest

from app.market_data import sync_reference_rates
from app.settings import get_settings
from app.statements.sources.inbox import collect_inbox, incoming_folder
from app.statements.tables.mapping import load_mappings
from tests import factories as make
from tests.integration.statements.conftest import NOW
from tests.integration.statements.test_tables import HEADER, POSITIONS

ROW = "A-1,2024-01-31,US0378331005,,Apple,1,2,2,USD,\n"


@pytest.fixture
def inbox(tmp_path, session):
    make.custodian_account(session, make.account(session), custodian="custodian.example", number="A-1")
    session.commit()
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def collect(inbox):
    return list(collect_inbox(inbox, settling=timedelta(0), now=NOW, max_bytes=1_000_000))


def outside(tmp_path):
    return {
        str(path.relative_to(tmp_path)): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and "inbox" not in path.relative_to(tmp_path).parts
    }


@pytest.mark.parametrize(
    "name", ["..x.csv", "..\\..\\victim", "%2e%2e%2fvictim", "....csv", "~root", "-rf", "$(id)", "a;b"]
)
def test_a_name_that_looks_like_a_way_out_stays_in_the_inbox(inbox, tmp_path, name):
    (tmp_path / "victim").write_text("mine")
    (incoming_folder(inbox) / name).write_text("no statement")
    results = collect(inbox)
    assert all(result.path.parent == inbox / "rejected" for result in results)
    assert outside(tmp_path) == {"victim": b"mine"}


def test_a_link_to_a_folder_is_refused_and_its_files_are_left(inbox, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.csv").write_text("mine")
    (incoming_folder(inbox) / "folder").symlink_to(tmp_path / "elsewhere")
    (incoming_folder(inbox) / "up").symlink_to("../..")
    assert {result.state for result in collect(inbox)} == {"refused"}
    assert outside(tmp_path) == {"elsewhere/a.csv": b"mine"}


@pytest.mark.parametrize("pattern", ["../*.csv", "../outside.csv", "{folder}/outside.csv", "*/outside.csv"])
def test_a_mappings_pattern_reaches_no_file_outside_of_the_inbox(inbox, tmp_path, monkeypatch, pattern):
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    pattern = pattern.replace("{folder}", str(tmp_path))
    (mappings / "m.toml").write_text(POSITIONS.replace('["positions*.csv", "positions*.parquet"]', f'["{pattern}"]'))
    monkeypatch.setenv("STATEMENT_MAPPINGS_DIR", str(mappings))
    get_settings.cache_clear()
    assert len(load_mappings(mappings).usable) + len(load_mappings(mappings).broken) == 1
    (tmp_path / "outside.csv").write_text(HEADER + ROW)
    (incoming_folder(inbox) / "outside.csv").write_text(HEADER + ROW)
    (result,) = collect(inbox)
    # It is matched with names alone, and none has a slash in it.
    assert result.state == "refused"
    assert (tmp_path / "outside.csv").read_text() == HEADER + ROW


def test_an_archive_of_rates_is_read_and_not_unpacked(session, tmp_path):
    with zipfile.ZipFile(tmp_path / "rates.zip", "w") as archive:
        archive.writestr("../../escaped.csv", "Date,USD\n2024-01-31,1.1\n")
    assert sync_reference_rates(session, tmp_path / "rates.zip", now=NOW).new_rates == 1
    assert [path.name for path in tmp_path.iterdir()] == ["rates.zip"]
