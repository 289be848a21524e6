"""The account of our own: what its real prices are, what is doubted of them, and what it comes to."""

import csv
import gzip
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from stdnum import cusip, isin

from app.database import session_scope
from app.errors import BadInputError
from app.market_data import (
    accept_prices,
    configured,
    list_quarantined,
    start_sync,
    sync_reference_rates,
)
from app.people import Person
from app.reconciliation import BreakFilter, list_breaks, reconcile_shard, start_run
from app.settings import get_settings
from app.statements import import_files
from dev import own_account
from dev.real_prices import PriceFiles, price_files
from tests import factories as make

NOW = datetime(2026, 2, 18, 6, tzinfo=UTC)


@pytest.fixture
def folders(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an inbox and one for prices, which the settings name."""
    for variable, name in (("STATEMENTS_DIR", "inbox"), ("PRICES_DIR", "prices")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    get_settings.cache_clear()
    return tmp_path


@pytest.fixture
def files(folders: Path, run_dir: Path, bokeh_samples: Path, skfolio_samples: Path) -> list[PriceFiles]:
    assert bokeh_samples.parent == skfolio_samples.parent == run_dir / "samples"
    return price_files(run_dir, folders / "prices")


def set_up(folders: Path, files: list[PriceFiles]) -> None:
    own_account.set_up(files, folders / "inbox")


def sync() -> None:
    """Take rates and the newest closes, as a worker does."""
    settings = get_settings()
    with session_scope() as session:
        # The installed file goes on after NOW, and rates of days that have not come are refused.
        assert sync_reference_rates(session, None, now=datetime.now(UTC)).rates_failed == []
        sources = configured(settings, pytest.fail)
        start_sync(session, "sync", sources=sources, clock=lambda: NOW, deadline=NOW + timedelta(minutes=55))


def valued() -> dict[str, tuple[Decimal, Decimal | None, date | None, str]]:
    with session_scope() as session:
        day, currency, found = own_account.holdings(session)
    assert (day, currency) == (date(2013, 3, 1), "USD")
    return {each.what: (each.quantity, each.price, each.price_date, each.source) for each in found}


def test_it_is_worth_what_was_paid_on_its_day(folders: Path, files: list[PriceFiles]) -> None:
    set_up(folders, files)
    sync()
    day = date(2013, 3, 1)
    found = valued()
    assert found == {
        "AAPL": (120, Decimal("430.47"), day, "bokeh.csv, line 2"),
        "AMD": (4000, Decimal("2.42"), day, found["AMD"][3]),
        "FB": (500, Decimal("27.78"), day, "bokeh.csv, line 3"),
        "GOOG": (40, Decimal("806.19"), day, "bokeh.csv, line 4"),
        "IBM": (150, Decimal("202.91"), day, "bokeh.csv, line 5"),
        "MSFT": (900, Decimal("27.95"), day, "bokeh.csv, line 6"),
        # A dollar and thirty cents for a euro, says the ECB's file.
        "cash EUR": (8250, Decimal("1.3"), day, "European Central Bank"),
        "cash USD": (Decimal("13174.65"), 1, None, ""),
    }
    assert found["AMD"][3].startswith("skfolio-history.csv")


def test_what_has_no_price_of_its_day_is_of_unknown_value(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(folders, [])
    assert {what: price for what, (_, price, _, _) in valued().items()} == {
        "AAPL": None, "AMD": None, "FB": None, "GOOG": None, "IBM": None, "MSFT": None, "cash EUR": None,
        "cash USD": 1,
    }  # fmt: skip
    own_account.show_holdings()
    assert capsys.readouterr().out.splitlines()[-1].split() == ["total", "unknown"]


def test_its_statement_differs_by_a_gift_and_by_dividends_that_are_still_to_be_paid(
    folders: Path, files: list[PriceFiles]
) -> None:
    set_up(folders, files)
    sync()
    assert [each.state for each in import_files([folders / "inbox"], now=NOW, max_bytes=100_000)] == ["loaded"]
    with session_scope() as session:
        reconcile_shard(session, start_run(session, "own", now=NOW, shard_size=10), 1)
        found = make.looked_up(list_breaks(session, BreakFilter(with_closed=True)))
    assert [(each.what, each.difference, each.state, each.value) for each in found] == [
        ("GOOG", -5, "open", 5 * Decimal("806.19")),
        ("cash USD", Decimal("-334.50"), "explained", Decimal("334.50")),
    ]
    assert "accrued income: income T-2013-0401 is paid 2013-03-09" in found[1].explanation


def test_real_falls_and_rises_are_doubted_and_the_days_of_known_splits_are_not(
    folders: Path, files: list[PriceFiles]
) -> None:
    set_up(folders, files)
    sync()
    with session_scope() as session:
        apple, amd = (list_quarantined(session, code=code, limit=None) for code in ("AAPL", "AMD"))
        (closes,) = make.rows(session, "SELECT count(*) FROM prices")[0]
        on_splits = make.rows(
            session,
            "SELECT s.code, p.price_date::text, p.price::text FROM corporate_actions AS c"
            " JOIN securities AS s ON s.id = c.security_id"
            " JOIN prices AS p ON p.security_id = s.id AND p.price_date = c.ex_date WHERE c.kind = 'split'"
            " ORDER BY p.price_date",
        )
    assert str(apple[0].price_date) == "2000-09-29"
    assert "it may be a split 2:1, of which nothing is known" in apple[0].doubts[0][1]
    # Each time it stays near to the level that is doubted, for days or for years.
    days = [each.price_date for each in amd]
    assert [str(day) for before, day in pairwise([date.min, *days]) if day - before > timedelta(days=30)] == [
        *("2001-07-06", "2002-10-03", "2005-01-11", "2016-04-22"),
    ]
    assert (len(apple), len(amd)) == (1_007, 1_699)
    assert closes + len(apple) + len(amd) == 12_154 + 5_515
    assert [tuple(row) for row in on_splits] == [
        ("AAPL", "2000-06-21", "55.63"),
        ("MSFT", "2003-02-18", "24.96"),
        ("AAPL", "2005-02-28", "44.86"),
    ]


def test_once_apples_fall_is_accepted_what_came_after_it_counts_as_well(folders: Path, files: list[PriceFiles]) -> None:
    set_up(folders, files)
    fall = own_account.quarantined_fall()
    assert fall is not None
    with session_scope() as session:
        accept_prices(
            session,
            [fall],
            "a warning of profits",
            by=Person("tester", is_one=True),
            now=NOW,
            order=["files"],
            jump_limit=get_settings().price_jump_limit,
        )
        assert list_quarantined(session, code="AAPL") == []
    assert own_account.quarantined_fall() is None


def test_what_is_set_up_already_stays(folders: Path, files: list[PriceFiles]) -> None:
    set_up(folders, files)
    counts = "SELECT (SELECT count(*) FROM prices), (SELECT count(*) FROM book_imports)"
    with session_scope() as session:
        before = make.rows(session, counts)
    (statement,) = (folders / "inbox").iterdir()
    statement.unlink()  # as who collects it does
    set_up(folders, files)
    with session_scope() as session:
        assert make.rows(session, counts) == before
    assert list((folders / "inbox").iterdir()) == []


def test_prices_that_could_not_be_had_come_the_next_time(folders: Path, files: list[PriceFiles]) -> None:
    set_up(folders, [])
    set_up(folders, files)
    assert valued()["AMD"][1] == Decimal("2.42")


def test_a_book_that_has_the_securities_by_other_codes_is_left_as_it_is(folders: Path, files: list[PriceFiles]) -> None:
    with session_scope() as session:
        make.security(session, "APPLE", cusip="037833100")
    with pytest.raises(BadInputError):
        set_up(folders, files)
    with session_scope() as session:
        assert [tuple(row) for row in make.rows(session, "SELECT code FROM securities")] == [("APPLE",)]
    assert list((folders / "inbox").iterdir()) == []


def test_its_securities_have_names_with_right_check_digits() -> None:
    with (own_account.BOOK / "identifiers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    checks = {"CUSIP": cusip, "ISIN": isin}
    checked = [row for row in rows if row["scheme"] in checks]
    assert Counter(row["scheme"] for row in checked) == {"CUSIP": 7, "ISIN": 7}
    for row in checked:
        assert checks[row["scheme"]].is_valid(row["value"]), row


def test_of_skfolios_stocks_only_amd_has_closes_that_were_paid(skfolio_samples: Path) -> None:
    """In cents, since the NYSE trades in decimals; what is adjusted is so on one day in ten, and not on the last."""
    with gzip.open(skfolio_samples / "sp500_dataset.csv.gz", "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Date"] >= "2001-01-29"]
    stocks = [name for name in rows[0] if name != "Date"]
    odd = {stock: [row["Date"] for row in rows if Decimal(row[stock]) % Decimal("0.01")] for stock in stocks}
    assert len(rows) == 5_515
    assert odd.pop("AMD") == []
    assert min(len(days) for days in odd.values()) > len(rows) * 0.89
    assert sum(days[-1] == "2022-12-28" for days in odd.values()) == 17


def test_a_price_file_says_where_each_close_was_paid(files: list[PriceFiles]) -> None:
    closes: Counter[tuple[str, str]] = Counter()
    for each in files:
        for path in (each.history, each.newest):
            with path.open(newline="") as file:
                closes.update((row["identifier"], row["namespace"]) for row in csv.DictReader(file))
    assert closes == {
        ("AAPL", "XNAS"): 3270, ("FB", "XNAS"): 196, ("GOOG", "XNAS"): 2148, ("IBM", "XNYS"): 3270,
        ("MSFT", "XNAS"): 3270, ("AMD", "XNYS"): 3503, ("AMD", "XNAS"): 2012,
    }  # fmt: skip
