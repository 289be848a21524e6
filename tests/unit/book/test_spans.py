"""Spans of days, and which of them a person means."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.book import EVER, FOREVER, Span
from app.book.spans import changed_span
from app.errors import BadInputError

MARCH, APRIL, MAY = date(2026, 3, 31), date(2026, 4, 1), date(2026, 5, 1)

days = st.dates(date(2026, 1, 1), date(2026, 2, 28))


@st.composite
def free_spans(draw: st.DrawFn) -> list[Span]:
    """Spans that share no day; the first may have no start and the last no end."""
    bounds = sorted(draw(st.lists(days, max_size=8, unique=True)))
    spans = [Span(first, last) for first, last in zip(bounds[::2], bounds[1::2], strict=False)]
    if spans and draw(st.booleans()):
        spans[0] = Span(EVER, spans[0].last)
    if spans and draw(st.booleans()):
        spans[-1] = Span(spans[-1].first, FOREVER)
    return spans


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (Span(), "always"),
        (Span(first=APRIL), "from 2026-04-01 on"),
        (Span(last=MARCH), "until 2026-03-31"),
        (Span(APRIL, MAY), "from 2026-04-01 to 2026-05-01"),
    ],
)
def test_a_span_reads_as_words(span: Span, text: str) -> None:
    assert str(span) == text


def test_a_span_does_not_end_before_it_begins() -> None:
    assert Span(APRIL, APRIL).overlaps(Span(APRIL, APRIL))
    with pytest.raises(BadInputError, match="the last day, 2026-03-31, is before the first, 2026-04-01"):
        Span(APRIL, MARCH)


@pytest.mark.parametrize(
    ("known", "first", "last", "meant", "new"),
    [
        ([], None, None, None, Span()),
        ([], APRIL, None, None, Span(first=APRIL)),
        ([], None, MARCH, None, Span(last=MARCH)),
        ([Span()], None, MARCH, Span(), Span(last=MARCH)),
        ([Span()], None, None, Span(), Span()),
        ([Span(first=APRIL)], None, MAY, Span(first=APRIL), Span(APRIL, MAY)),
        ([Span(last=MARCH)], APRIL, None, None, Span(first=APRIL)),
        ([Span(last=MARCH)], EVER, None, Span(last=MARCH), Span()),
        ([Span(APRIL, MAY)], APRIL, None, Span(APRIL, MAY), Span(first=APRIL)),
    ],
)
def test_the_first_day_says_which_is_meant_and_the_last_day_ends_an_open_one(
    known: list[Span], first: date | None, last: date | None, meant: Span | None, new: Span
) -> None:
    assert changed_span(known, first, last) == (meant, new)


@pytest.mark.parametrize(
    ("known", "first", "last", "says"),
    [
        ([Span()], APRIL, None, "it is there already always, which shares days with from 2026-04-01 on"),
        ([Span(last=MARCH), Span(first=MAY)], APRIL, None, "it is there already from 2026-05-01 on"),
        ([Span(last=MARCH)], None, None, "it is there until 2026-03-31, which says nothing of further notice"),
        ([Span(first=APRIL)], None, MARCH, "it is there from 2026-04-01 on, which says nothing of 2026-03-31"),
        ([Span(first=APRIL)], APRIL, MARCH, "is before the first"),
    ],
)
def test_what_leaves_room_for_a_guess_is_refused(
    known: list[Span], first: date | None, last: date | None, says: str
) -> None:
    with pytest.raises(BadInputError, match=says):
        changed_span(known, first, last)


@given(free_spans(), st.none() | days, st.none() | days)
def test_spans_never_come_to_share_a_day(known: list[Span], first: date | None, last: date | None) -> None:
    try:
        meant, new = changed_span(known, first, last)
    except BadInputError:
        return
    assert meant is None or meant in known
    after = sorted([span for span in known if span != meant] + [new], key=lambda span: span.first)
    assert all(before.last < later.first for before, later in pairwise(after))
    assert first in {None, new.first}
    assert new.last == (last or FOREVER)


@given(free_spans(), days)
def test_the_span_that_a_last_day_lies_in_ends_on_it(known: list[Span], last: date) -> None:
    around = [span for span in known if span.first <= last <= span.last]
    if around:
        assert changed_span(known, None, last) == (around[0], Span(around[0].first, last))


@given(days, days, days, days)
def test_spans_overlap_when_they_have_a_day_in_common(a: date, b: date, c: date, d: date) -> None:
    one, other = Span(min(a, b), max(a, b)), Span(min(c, d), max(c, d))

    def all_days(span: Span) -> set[date]:
        return {span.first + timedelta(days=n) for n in range((span.last - span.first).days + 1)}

    assert one.overlaps(other) == bool(all_days(one) & all_days(other))
