"""Which looks lead to a mail."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from app.doctor.memory import Kind, Memory, Step, Trouble, next_step, read, write

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TICK = timedelta(minutes=5)
REPEAT = timedelta(hours=4)
BROKER = Trouble("broker", "", "FAILED")
DATABASE = Trouble("database", "", "FAILED")
WORKERS = Trouble("workers", "", "alarm")
DISK = Trouble("disks", "/var", "alarm")
LASTING = {DISK}


def step(
    memory: Memory, *troubles: Trouble, now: datetime = NOON, unknown: Iterable[str] = (), **options: bool
) -> Step:
    found = {trouble: trouble in LASTING for trouble in troubles}
    return next_step(memory, found, frozenset(unknown), now=now, repeat=REPEAT, **options)


def mails(*looks: tuple[Trouble, ...]) -> list[Kind | None]:
    """What looks of every five minutes lead to."""
    memory, kinds = Memory(), []
    for number, troubles in enumerate(looks):
        done = step(memory, *troubles, now=NOON + number * TICK)
        kinds.append(done.kind)
        memory = done.after
    return kinds


def test_a_trouble_is_told_once_when_two_looks_have_found_it() -> None:
    assert mails((), (BROKER,), (BROKER,), (BROKER,), (BROKER,)) == [None, None, Kind.NEW, None, None]


def test_a_blip_is_not_told() -> None:
    assert mails((BROKER,), (), (BROKER,), (), ()) == [None] * 5


def test_what_does_not_come_and_go_is_told_at_the_first_look() -> None:
    assert mails((DISK,), (DISK,)) == [Kind.NEW, None]


def test_another_trouble_is_told_while_one_lasts() -> None:
    both = (BROKER, DATABASE)
    assert mails((BROKER,), (BROKER,), both, both, both) == [None, Kind.NEW, None, Kind.NEW, None]


def test_all_that_is_found_is_told_with_what_is_believed() -> None:
    seen = step(Memory(), BROKER).after
    told = step(seen, BROKER, DATABASE)
    assert told.troubles == (BROKER, DATABASE)
    assert step(told.after, BROKER, DATABASE).kind is None


def test_that_all_is_well_is_told_once_when_two_looks_have_found_it() -> None:
    assert mails((BROKER,), (BROKER,), (), (), ()) == [None, Kind.NEW, None, Kind.WELL, None]


def test_nothing_is_told_of_one_good_look_in_between() -> None:
    assert mails((BROKER,), (BROKER,), (), (BROKER,), ()) == [None, Kind.NEW, None, None, None]


def test_a_part_that_is_well_again_is_not_told_while_another_fails() -> None:
    both = (BROKER, DATABASE)
    assert mails(both, both, (BROKER,), (BROKER,), (BROKER,)) == [None, Kind.NEW, None, None, None]


def test_what_could_not_be_looked_at_is_as_it_was_told() -> None:
    memory = step(step(Memory(), WORKERS).after, WORKERS).after
    hidden = step(step(memory, BROKER, unknown=["workers"]).after, BROKER, unknown=["workers"])
    assert hidden.kind is Kind.NEW
    assert step(hidden.after, WORKERS).kind is None


def test_what_still_fails_is_told_again_after_a_while() -> None:
    told = step(step(Memory(), BROKER).after, BROKER).after
    assert step(told, BROKER, now=NOON + REPEAT - TICK).kind is None
    again = step(told, BROKER, now=NOON + REPEAT)
    assert again.kind is Kind.REMINDER
    assert step(again.after, BROKER, now=NOON + REPEAT + TICK).kind is None


def test_what_does_not_come_and_go_is_told_again_after_a_day() -> None:
    told = step(Memory(), DISK).after
    assert step(told, DISK, now=NOON + 2 * REPEAT).kind is None
    assert step(told, DISK, now=NOON + timedelta(days=1)).kind is Kind.REMINDER


def test_a_disk_that_becomes_worse_is_told_at_once() -> None:
    told = step(Memory(), DISK).after
    worse = Trouble(DISK.check, DISK.about, "FAILED")
    assert next_step(told, {worse: True}, frozenset(), now=NOON, repeat=REPEAT).kind is Kind.NEW


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    told = step(step(Memory(), BROKER).after, BROKER).after
    assert step(told, BROKER, now=NOON - timedelta(days=365)).kind is Kind.REMINDER


def test_a_mail_that_did_not_go_is_sent_at_the_next_look_under_the_same_name() -> None:
    seen = step(Memory(), BROKER).after
    first = step(seen, BROKER)
    second = step(first.after_failure, BROKER, now=NOON + TICK)
    assert (first.kind, second.kind) == (Kind.NEW, Kind.NEW)
    assert first.name == second.name
    well = step(step(second.after, now=NOON + 2 * TICK).after, now=NOON + 3 * TICK)
    again = step(well.after_failure, now=NOON + 4 * TICK)
    assert (well.kind, again.kind) == (Kind.WELL, Kind.WELL)
    assert well.name == again.name


def test_each_mail_has_a_name_of_its_own() -> None:
    memory, names = Memory(), []
    looks = [(BROKER,), (BROKER,), (BROKER, DISK), (BROKER,), (BROKER, DISK), (), (), (BROKER,), (BROKER,)]
    for number, troubles in enumerate(looks):
        done = step(memory, *troubles, now=NOON + number * TICK)
        names += [done.name] if done.kind else []
        memory = done.after
    assert len(names) == len(set(names)) == 5


def test_without_a_memory_the_same_trouble_has_the_same_name_until_it_is_told_again() -> None:
    first = step(Memory(), BROKER, at_once=True)
    assert first.kind is Kind.NEW
    assert step(Memory(), BROKER, now=NOON + TICK, at_once=True).name == first.name
    assert step(Memory(), BROKER, now=NOON + REPEAT, at_once=True).name != first.name


troubles = st.builds(Trouble, st.text(), st.text(), st.text())
times = st.datetimes(timezones=st.just(UTC))


@given(st.builds(Memory, st.none() | times, st.frozensets(troubles), st.dictionaries(troubles, times)))
def test_what_is_written_is_what_is_read(tmp_path_factory, memory: Memory) -> None:
    path = tmp_path_factory.getbasetemp() / "doctor" / "state.json"
    write(path, memory)
    assert read(path) == memory


def test_nothing_is_remembered_where_nothing_was_written(tmp_path: Path) -> None:
    assert read(tmp_path / "state.json") == Memory()


def test_a_file_that_is_broken_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write(path, step(Memory(), BROKER).after)
    whole = path.read_text()
    for text in ("", "null", "[]", "{}", whole[:-1], whole.replace('"version": 1', '"version": 2'), "\x00" * 10):
        path.write_text(text)
        assert read(path) is None
    path.write_bytes(b"\xff\xfe")
    assert read(path) is None
    path.unlink()
    path.mkdir()
    assert read(path) is None


def test_where_no_new_file_can_be_made_the_old_one_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write(path, step(Memory(), BROKER, DATABASE).after)
    (tmp_path / "state.json.new").mkdir()
    write(path, step(Memory(), BROKER).after)
    assert read(path) == step(Memory(), BROKER).after
