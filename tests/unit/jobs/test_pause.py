"""The pause before a job is tried again: bounded, growing, and spread."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.jobs.perform import pause
from app.settings import Settings

FIRST, LONGEST = timedelta(seconds=2), timedelta(minutes=10)
#: All that JOBS_MAX_ATTEMPTS allows.
attempts = st.integers(1, next(bound.le for bound in Settings.model_fields["jobs_max_attempts"].metadata[1:]))
luck = st.floats(0, 1)


@given(attempts, luck)
def test_a_pause_is_never_shorter_than_half_the_first_nor_longer_than_one_and_a_half_of_the_longest(attempts, luck):
    assert FIRST / 2 <= pause(attempts, luck=luck) <= LONGEST * 1.5


@given(attempts, luck)
def test_a_pause_doubles_with_every_attempt_until_it_is_the_longest(attempts, luck):
    this, following = pause(attempts, luck=luck), pause(attempts + 1, luck=luck)
    longest = LONGEST * (0.5 + luck)
    assert abs(following - min(this * 2, longest)) <= timedelta(microseconds=2)


@given(attempts)
def test_what_failed_together_comes_back_over_as_long_as_the_pause_itself(attempts):
    middle = pause(attempts, luck=0.5)
    assert (pause(attempts, luck=0), pause(attempts, luck=1)) == (middle * 0.5, middle * 1.5)


@given(attempts, luck, luck)
def test_two_that_draw_different_lots_do_not_come_back_together(attempts, one, other):
    if abs(one - other) >= 1e-3:
        assert abs(pause(attempts, luck=one) - pause(attempts, luck=other)) >= timedelta(milliseconds=1)
