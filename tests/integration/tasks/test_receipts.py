"""Notes of what somebody outside was given and has taken, as the next attempt finds them in Redis."""

import pytest

from app.tasks.receipts import Known, look_up, note_offered, note_refused, note_taken, together

FOUR = ["a", "b", "c", "d"]


@pytest.fixture(autouse=True)
def _redis(celery_app):
    pass


@pytest.fixture
def killed(monkeypatch):
    """Notes as they are when the process that gives is killed at the end of a block."""

    def kill():
        monkeypatch.setattr("app.tasks.receipts._note", lambda *_commands: None)

    return kill


def known():
    return {what: look_up(what) for what in FOUR}


def test_what_was_taken_is_known_and_what_may_have_been_taken_twice_as_well():
    note_offered("a")
    assert look_up("a") is Known.OFFERED
    note_taken("a")
    note_offered("b")
    note_taken("b", perhaps_twice=True)
    note_offered("c")
    note_refused("c")
    assert known() == {"a": Known.TAKEN, "b": Known.TAKEN_PERHAPS_TWICE, "c": Known.NOTHING, "d": Known.NOTHING}


def test_an_offer_that_comes_late_takes_no_answer_back():
    note_taken("a")
    note_offered("a")
    assert look_up("a") is Known.TAKEN
    with together(["b"]):
        note_taken("b")
        note_offered("b")
    assert look_up("b") is Known.TAKEN


def test_of_a_row_that_ended_nothing_is_known_of_what_was_not_given():
    with together(FOUR):
        note_offered("a")
        note_taken("a")
        note_offered("b")
        note_refused("b")
    assert known() == {"a": Known.TAKEN, "b": Known.NOTHING, "c": Known.NOTHING, "d": Known.NOTHING}


def test_of_a_row_that_ended_what_got_no_answer_stays_offered():
    with together(FOUR):
        note_offered("a")
        note_taken("a")
        note_offered("b")
    assert known() == {"a": Known.TAKEN, "b": Known.OFFERED, "c": Known.NOTHING, "d": Known.NOTHING}


@pytest.mark.parametrize("given", range(4))
def test_of_a_row_whose_process_was_killed_the_one_on_its_way_is_offered(killed, given):
    with together(FOUR):
        for what in FOUR[:given]:
            note_offered(what)
            note_taken(what)
        note_offered(FOUR[given])
        killed()
    assert known() == (
        dict.fromkeys(FOUR, Known.NOTHING) | dict.fromkeys(FOUR[:given], Known.TAKEN) | {FOUR[given]: Known.OFFERED}
    )


def test_what_is_passed_over_in_a_row_is_not_taken_for_the_one_on_its_way(killed):
    """A mail that its server refused before it was offered, say."""
    with together(FOUR):
        note_offered("a")
        note_taken("a")
        note_offered("c")
        killed()
    assert known() == {"a": Known.TAKEN, "b": Known.NOTHING, "c": Known.OFFERED, "d": Known.NOTHING}


def test_what_came_before_one_that_is_offered_without_an_answer_stays_offered(killed):
    with together(FOUR):
        note_offered("a")
        note_offered("b")
        killed()
    assert known() == {"a": Known.OFFERED, "b": Known.OFFERED, "c": Known.NOTHING, "d": Known.NOTHING}


def test_the_next_row_of_the_same_goes_by_its_own_notes(killed, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("app.tasks.receipts._Row.ended", lambda _row: [])
        with together(FOUR):
            note_offered("a")
            note_taken("a")
            note_offered("b")
    with together(FOUR):
        assert known() == {"a": Known.TAKEN, "b": Known.OFFERED, "c": Known.NOTHING, "d": Known.NOTHING}
        note_offered("b")
        note_taken("b", perhaps_twice=True)
        note_offered("c")
        killed()
    assert known() == {
        "a": Known.TAKEN, "b": Known.TAKEN_PERHAPS_TWICE, "c": Known.OFFERED, "d": Known.NOTHING
    }  # fmt: skip
