"""The inbox: each file loaded and put where it belongs, and what is left alone or told of instead."""

import os
import pwd
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.errors import BadInputError, UnavailableError
from app.statements import FileResult
from app.statements.sources import inbox as inbox_module
from app.statements.sources.claims import claimed
from app.statements.sources.inbox import collect_inbox, incoming_folder
from tests import factories as make
from tests.unit.statements.ofx_files import file_of, investment, position, sgml

NOW = datetime(2024, 2, 1, 12, tzinfo=UTC)


def statement(identifier: str = "AAA", **options) -> bytes:
    return sgml(file_of(investment(positions=[position(identifier)], **options)))


def tree(inbox: Path) -> list[str]:
    """All files of an inbox, by their paths in it."""
    return sorted(str(path.relative_to(inbox)) for path in inbox.rglob("*") if not path.is_dir() or path.is_symlink())


@pytest.fixture
def other_disk(inbox) -> Iterator[Path]:
    """A folder that nothing of the inbox can be moved into, as into one on a full disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert Path(folder).stat().st_dev != inbox.stat().st_dev
        yield Path(folder)


def test_a_loaded_file_is_kept_by_its_day(inbox, incoming, collect):
    (incoming / "a.ofx").write_bytes(statement())
    (result,) = collect()

    assert (result.state, result.positions, result.error) == ("loaded", 1, "")
    assert result.path == inbox / "processed" / "2024-02-01" / "a.ofx"
    assert result.path.read_bytes() == statement()
    assert tree(inbox) == ["processed/2024-02-01/a.ofx"]
    assert collect() == []


def test_a_file_in_the_inbox_itself_is_taken_too(inbox, incoming, collect):
    (inbox / "a.ofx").write_bytes(statement())

    assert [result.state for result in collect()] == ["loaded"]
    assert tree(inbox) == ["processed/2024-02-01/a.ofx"]


def test_other_folders_of_the_inbox_are_none_of_its_business(inbox, incoming, collect, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (inbox / "old").mkdir()
    (inbox / "link").symlink_to(tmp_path / "elsewhere")

    assert collect() == []
    assert (inbox / "link").is_dir()


def test_a_refused_file_has_its_reason_beside_it_and_can_be_brought_again(inbox, incoming, collect, session):
    (incoming / "a.ofx").write_bytes(statement(account="stranger"))
    (result,) = collect()

    assert result.state == "refused"
    assert tree(inbox) == ["rejected/a.ofx", "rejected/a.ofx.reason.txt"]
    reason = (inbox / "rejected" / "a.ofx.reason.txt").read_text()
    assert reason.startswith("a.ofx was refused on 2024-02-01 at 12:00 UTC")
    assert "a.ofx, line " in reason
    assert "no account here has the number 'stranger'" in reason
    assert "import this file again" in reason
    assert f"move the file back to {incoming}" in reason

    make.custodian_account(session, make.account(session), custodian="custodian.example", number="stranger")
    session.commit()
    result.path.rename(incoming / "a.ofx")
    assert [again.state for again in collect()] == ["loaded"]


def test_a_name_that_comes_again_overwrites_nothing(inbox, incoming, collect):
    contents = [statement("AAA"), statement("AAA", day="20240130"), b"", b"x", statement("AAA")]
    for content in contents:
        (incoming / "a.ofx").write_bytes(content)
        collect()

    assert tree(inbox) == [
        "processed/2024-02-01/a-2.ofx", "processed/2024-02-01/a-3.ofx", "processed/2024-02-01/a.ofx",
        "rejected/a-2.ofx", "rejected/a-2.ofx.reason.txt", "rejected/a.ofx", "rejected/a.ofx.reason.txt",
    ]  # fmt: skip
    assert (inbox / "processed/2024-02-01/a-3.ofx").read_bytes() == statement("AAA")
    assert "'a-2.ofx'" not in (inbox / "rejected/a.ofx.reason.txt").read_text()


def test_a_file_that_changed_just_now_is_left_until_it_settled(inbox, incoming, collect):
    path = incoming / "a.ofx"
    path.write_bytes(statement()[:100])
    # As a copy that keeps dates has them.
    os.utime(path, (0, 0))
    changed = datetime.fromtimestamp(path.stat().st_ctime, UTC)
    minute = timedelta(minutes=1)

    assert collect(settling=minute, now=changed + timedelta(seconds=59)) == []
    with path.open("ab") as file:
        file.write(statement()[100:])
    changed = datetime.fromtimestamp(path.stat().st_ctime, UTC)
    assert collect(settling=minute, now=changed + timedelta(seconds=59)) == []
    assert [result.state for result in collect(settling=minute, now=changed + 1.1 * minute)] == ["loaded"]


def test_a_file_whose_writer_renames_it_is_loaded_when_it_settled(inbox, incoming, collect):
    (incoming / "a.ofx.part").write_bytes(statement())
    assert collect() == []

    (incoming / "a.ofx.part").rename(incoming / "a.ofx")
    assert [result.state for result in collect()] == ["loaded"]


@pytest.mark.parametrize("name", [".a.ofx", "a.ofx.part", "a.TMP", "a.ofx.reason.txt"])
def test_names_of_unfinished_files_are_left_alone(inbox, incoming, collect, name):
    (incoming / name).write_bytes(statement())

    assert collect() == []
    assert tree(inbox) == [f"incoming/{name}"]


def test_a_file_that_is_written_to_while_it_is_loaded_comes_back(inbox, incoming, collect, monkeypatch):
    path = incoming / "a.ofx"
    real = inbox_module.import_files

    with path.open("wb") as writer:
        writer.write(statement()[:200])
        writer.flush()

        def loading(paths, **options):
            writer.write(statement()[200:])
            writer.flush()
            return [FileResult(paths[0], "refused", error="cut off")]

        monkeypatch.setattr(inbox_module, "import_files", loading)
        (result,) = collect()
    monkeypatch.setattr(inbox_module, "import_files", real)

    assert (result.state, result.path) == ("refused", path)
    assert "changes while it is read" in result.error
    assert tree(inbox) == ["incoming/a.ofx"]
    assert [again.state for again in collect()] == ["loaded"]


def test_a_folder_is_told_of_and_left(inbox, incoming, collect):
    (incoming / "january").mkdir()
    (incoming / "january" / "a.ofx").write_bytes(statement())
    (result,) = collect()

    assert (result.state, result.path) == ("refused", incoming / "january")
    assert "a folder" in result.error
    assert tree(inbox) == ["incoming/january/a.ofx"]


def test_a_link_is_refused_and_what_it_points_to_is_left(inbox, incoming, collect, tmp_path):
    (tmp_path / "a.ofx").write_bytes(statement())
    (incoming / "a.ofx").symlink_to(tmp_path / "a.ofx")
    (incoming / "dangling").symlink_to("nowhere")
    results = collect()

    assert ["symbolic link" in result.error for result in results] == [True, True]
    assert (tmp_path / "a.ofx").exists()
    assert "rejected/a.ofx" in tree(inbox)
    assert "rejected/dangling.reason.txt" in tree(inbox)


@pytest.fixture
def as_nobody(database: str) -> Iterator[Path]:
    """An inbox on which this process has no more rights than others, though it may be root's."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        Path(folder).chmod(0o777)
        os.seteuid(user or pwd.getpwnam("nobody").pw_uid)
        try:
            yield Path(folder)
        finally:
            os.seteuid(user)


def test_a_file_that_may_not_be_read_is_refused(as_nobody):
    incoming = incoming_folder(as_nobody)
    (incoming / "a.ofx").write_bytes(statement())
    (incoming / "a.ofx").chmod(0)
    (result,) = collect_inbox(as_nobody, settling=timedelta(0), now=NOW, max_bytes=1_000_000)

    assert (result.state, result.error) == ("refused", "a.ofx: it can't be read (Permission denied)")
    assert tree(as_nobody) == ["rejected/a.ofx", "rejected/a.ofx.reason.txt"]


def test_an_inbox_that_may_not_be_written_to_is_told_and_left(as_nobody):
    incoming = incoming_folder(as_nobody)
    (incoming / "a.ofx").write_bytes(statement())
    incoming.chmod(0o500)
    (result,) = collect_inbox(as_nobody, settling=timedelta(0), now=NOW, max_bytes=1_000_000)
    incoming.chmod(0o700)

    assert result.state == "refused"
    assert "can't be taken into working/ (Permission denied)" in result.error
    assert tree(as_nobody) == ["incoming/a.ofx"]


def test_a_claim_that_can_not_be_taken_up_keeps_no_other_file_out(as_nobody):
    incoming = incoming_folder(as_nobody)
    claim = as_nobody / "working" / "of-another-user"
    claim.mkdir(mode=0o000)
    (incoming / "a.ofx").write_bytes(b"")
    results = list(collect_inbox(as_nobody, settling=timedelta(0), now=NOW, max_bytes=1_000_000))

    assert [result.path.name for result in results] == ["of-another-user", "a.ofx"]
    assert "can't be taken up (Permission denied)" in results[0].error


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(inbox, incoming, collect):
    os.mkfifo(incoming / "pipe")
    (result,) = collect()

    assert "no regular file" in result.error
    assert tree(inbox) == ["rejected/pipe", "rejected/pipe.reason.txt"]


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.ofx", b"a\nb\x1b[2J.ofx", b"x" * 255, b"y" * 251 + b".ofx", b"z." + b"w" * 253]
)
def test_odd_names_are_kept(inbox, incoming, collect, name):
    for content in (statement(), b"", b"x"):
        (incoming / os.fsdecode(name)).write_bytes(content)
        (result,) = collect()
        assert result.path.exists()

    assert len(tree(inbox)) == 5


def test_nothing_is_moved_while_the_database_is_down(inbox, incoming, collect, monkeypatch):
    from app.database import get_engine
    from app.settings import get_settings

    (incoming / "a.ofx").write_bytes(statement())
    get_engine().dispose()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/book")
        for cached in (get_settings, get_engine):
            cached.cache_clear()
        with pytest.raises(UnavailableError):
            collect()
    for cached in (get_settings, get_engine):
        cached.cache_clear()

    assert tree(inbox) == ["incoming/a.ofx"]
    assert [result.state for result in collect()] == ["loaded"]


@pytest.mark.parametrize("error", [UnavailableError("the database does not answer"), KeyError("a bug")])
def test_a_file_at_hand_goes_back_when_loading_breaks_down(inbox, incoming, collect, monkeypatch, error):
    def broken(paths, **options):
        raise error

    (incoming / "a.ofx").write_bytes(statement())
    with monkeypatch.context() as broken_here:
        broken_here.setattr(inbox_module, "import_files", broken)
        with pytest.raises(type(error)):
            collect()

    assert tree(inbox) == ["incoming/a.ofx"]
    assert list((inbox / "working").iterdir()) == []


def test_a_file_that_meets_a_bug_keeps_no_other_out(inbox, incoming, collect, monkeypatch):
    real = inbox_module.import_files

    def broken(paths, **options):
        if paths[0].name == "a.ofx":
            raise KeyError("a bug")
        return real(paths, **options)

    (incoming / "a.ofx").write_bytes(statement())
    (incoming / "b.ofx").write_bytes(statement())
    monkeypatch.setattr(inbox_module, "import_files", broken)
    with pytest.raises(KeyError):
        collect()

    assert tree(inbox) == ["incoming/a.ofx", "processed/2024-02-01/b.ofx"]


def test_a_file_that_comes_meanwhile_under_the_same_name_is_not_overwritten(inbox, incoming, collect, monkeypatch):
    def broken(paths, **options):
        (incoming / "a.ofx").write_bytes(statement("BBB"))
        raise UnavailableError("the database does not answer")

    (incoming / "a.ofx").write_bytes(statement("AAA"))
    with monkeypatch.context() as broken_here:
        broken_here.setattr(inbox_module, "import_files", broken)
        with pytest.raises(UnavailableError):
            collect()

    assert (incoming / "a.ofx").read_bytes() == statement("BBB")
    assert (incoming / "a-2.ofx").read_bytes() == statement("AAA")


def test_a_file_that_can_not_be_put_away_is_kept_and_put_away_by_the_next(inbox, incoming, collect, other_disk):
    (incoming / "a.ofx").write_bytes(statement())
    (inbox / "processed").rmdir()
    (inbox / "processed").symlink_to(other_disk)
    (result,) = collect()

    assert (result.state, result.positions) == ("loaded", 1)
    assert "could not be moved out of working/" in result.error
    assert result.path.read_bytes() == statement()

    (inbox / "processed").unlink()
    assert [again.state for again in collect()] == ["known"]
    assert tree(inbox) == ["processed/2024-02-01/a.ofx"]


def test_a_file_that_can_not_be_taken_stays_and_is_told_of(inbox, incoming, collect, other_disk):
    (incoming / "a.ofx").write_bytes(statement())
    (inbox / "working").rmdir()
    (inbox / "working").symlink_to(other_disk)
    (result,) = collect()

    assert result.state == "refused"
    assert "can't be taken into working/" in result.error
    assert tree(incoming) == ["a.ofx"]
    assert list(other_disk.iterdir()) == []


def test_a_file_that_another_holds_is_left_to_it(inbox, incoming, collect):
    (incoming / "a.ofx").write_bytes(statement())
    with claimed(inbox / "working", incoming / "a.ofx") as held:
        assert held is not None
        assert collect() == []
        assert held.read_bytes() == statement()
    assert [result.state for result in collect()] == ["loaded"]


def test_there_must_be_an_inbox(tmp_path, database):
    with pytest.raises(BadInputError, match="no such folder"):
        list(collect_inbox(tmp_path / "gone", settling=timedelta(0), now=NOW, max_bytes=1))
