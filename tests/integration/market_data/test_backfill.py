"""Prices by the million: loaded like a folder's, row for row, however they are written, and many times as fast."""

import csv
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as arrow
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from pyarrow import parquet
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.market_data import backfill_prices, drop_prices, list_quarantined, start_sync
from app.market_data.providers.price_folder import PriceFolder
from app.people import Person
from tests import factories as make
from tests.integration.cli.commands import line, lines, run
from tests.integration.market_data.quotes import accept
from tests.integration.market_data.syncs import sources

NOW = datetime(2026, 3, 10, 18, tzinfo=UTC)
COLUMNS = ("date", "scheme", "identifier", "namespace", "price", "currency")
FIRST = date(2026, 1, 5)


def backfill(session: Session, path: Path, **options):
    return backfill_prices(
        session, path, provider="files", order=["files"], now=NOW, jump_limit=Decimal("0.25"), **options
    )


def write(path: Path, rows) -> Path:
    if path.suffix == ".parquet":
        columns = zip(*rows, strict=True) if rows else [[]] * len(COLUMNS)
        parquet.write_table(
            arrow.table(
                {name: arrow.array(list(column), arrow.string()) for name, column in zip(COLUMNS, columns, strict=True)}
            ),
            path,
        )
        return path
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        out.writerows(rows)
    return path


def state(session: Session):
    """All that was stored, but for where and when."""
    prices = make.rows(
        session,
        "SELECT s.code, p.price_date, p.version, p.price, p.currency FROM prices AS p"
        " JOIN securities AS s ON s.id = p.security_id ORDER BY 1, 2, 3",
    )
    doubted = make.rows(
        session,
        "SELECT s.code, q.price_date, q.price, q.currency, q.doubts::text FROM quarantined_prices AS q"
        " JOIN securities AS s ON s.id = q.security_id ORDER BY 1, 2, 3, 4",
    )
    return prices, doubted


@pytest.fixture
def securities(session):
    """One that is priced already, one with a split, one that is no share, and one that may be priced in pence."""
    ids = {code: make.security(session, code) for code in "AB"}
    ids["BOND"] = make.security(session, "BOND", asset_class="bond")
    ids["LON"] = make.security(session, "LON", currency="GBP")
    make.security(session, "untracked", tracked=False)
    # A name that is its own only for a while.
    days = {"valid_from": FIRST - timedelta(days=30), "valid_to": FIRST + timedelta(days=9)}
    make.identifier(session, ids["A"], "C-A", scheme="SYMBOL", namespace="XNYS", **days)
    make.corporate_action(session, ids["B"], kind="split", ex_date=FIRST + timedelta(days=7), new_units=2, old_units=1)
    for day, amount in ((FIRST - timedelta(days=3), "10"), (FIRST - timedelta(days=4), "10")):
        make.price(session, ids["A"], day, amount)
    owner = make.account(session)
    make.trade(session, owner, security_id=ids["B"], trade_date=FIRST, quantity=Decimal(10), amount=Decimal(-200))
    session.commit()
    return ids


#: Steps of which some are doubted: near the limit, a split's, a hundredfold, and none, which makes repeats.
PRICES = some.sampled_from(["10", "10.00", "12.5", "12.51", "5", "1000", "0.1", "20", "-1", "0", "soon", "7.5"])
ROWS = some.lists(
    some.tuples(
        some.integers(0, 14).map(lambda days: FIRST + timedelta(days=days)).map(str)
        | some.sampled_from(["2026-03-09", "2026-03-11", "2026-02-30", "1899-01-01", ""]),
        some.sampled_from(["CUSIP", "cusip", "SYMBOL"]) | some.just("CUSIP"),
        some.sampled_from(["C-A", "C-B", "c-b", "C-BOND", "C-LON", "C-untracked", "X"]),
        some.sampled_from(["", "", "", "XNYS"]),
        PRICES,
        some.sampled_from(["USD", "USD", "USD", "EUR", "GBP", "GBX", "usd"]),
    ),
    max_size=40,
)
#: Levels that stay for days, some under a name that is the security's only for a while.
LEVELS = some.lists(
    some.tuples(
        some.integers(1, 9), some.sampled_from("AB"), some.sampled_from(["10", "10.5", "14", "20"]), some.booleans()
    ),
    max_size=8,
).map(
    lambda levels: [
        (
            str(FIRST + timedelta(days=day)),
            *(("SYMBOL", f"C-{code}", "XNYS") if by_symbol else ("CUSIP", f"C-{code}", "")),
            price,
            "USD",
        )
        for day, (code, price, by_symbol) in enumerate(level for days, *level in levels for _ in range(days))
    ]
)
FEW = some.lists(some.tuples(some.integers(0, 30), some.sampled_from("AB"), PRICES), max_size=40).map(
    lambda rows: [
        (str(FIRST + timedelta(days=day)), "CUSIP", f"C-{code}", "", price, "USD") for day, code, price in rows
    ]
)


DOUBTED = [(str(FIRST + timedelta(days=1)), "CUSIP", "C-B", "", "1000", "USD")]


def by_security(rows):
    """Each security's days ascending, each once."""
    return sorted({(row[2].upper(), row[0]): row for row in rows}.values(), key=lambda row: (row[2].upper(), row[0]))


def make_first_prices(session, securities):
    for code in ("B", "BOND", "LON"):
        currency = "GBP" if code == "LON" else "USD"
        make.price(session, securities[code], FIRST - timedelta(days=3), "10", currency=currency)


#: A level that stood still, days without a price, and one price that is far off.
STOOD_STILL = [
    (str(FIRST + timedelta(days=day)), "CUSIP", f"C-{code}", "", price, "USD")
    for code, price, days in (("A", "10", range(4)), ("B", "10", range(4, 8)), ("A", "14", [8]), ("A", "10.5", [9, 10]))
    for day in days
]
#: Another that stood still for as long as it may, so that nothing else of it is looked at.
STOOD_STILL_SHORTER = [
    (str(FIRST + timedelta(days=day)), "CUSIP", "C-A", "", price, "USD")
    for price, days in (("10.5", range(5)), ("14.7", [10]), ("11.1", [11]))
    for day in days
]
#: Two first prices of one day, of which the last is odd beside the next two.
TWO_FIRST = [
    (str(FIRST + timedelta(days=day)), "CUSIP", "C-B", "", price, "USD")
    for day, price in ((2, "12.5"), (2, "10"), (7, "10"), (11, "10"))
]


@example(rows=TWO_FIRST, bytes_at_once=None, is_parquet=False)
@example(rows=STOOD_STILL_SHORTER, bytes_at_once=None, is_parquet=False)
@example(rows=STOOD_STILL_SHORTER, bytes_at_once=64 * 5, is_parquet=True)
@example(rows=STOOD_STILL, bytes_at_once=None, is_parquet=False)
@example(rows=STOOD_STILL, bytes_at_once=300, is_parquet=True)
@given(rows=ROWS | FEW | LEVELS, bytes_at_once=some.sampled_from([None, 300, 1000]), is_parquet=some.booleans())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_backfill_stores_what_a_folder_would(session, securities, tmp_path, rows, bytes_at_once, is_parquet):
    session.rollback()
    if bytes_at_once:
        # In parts, the first price of all can't be compared with what comes in the next part.
        make_first_prices(session, securities)
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    # In parts it sees a day of before, or one for the second time, only when the first is stored.
    rows = by_security(rows) if bytes_at_once else rows
    path = write(folder / ("prices.parquet" if is_parquet else "prices.csv"), rows)
    progress = start_sync(
        session, "folder", sources=sources(feeds=[PriceFolder(folder)]), clock=lambda: NOW, deadline=NOW
    )
    expected = state(session)
    (files,) = progress.coverage.providers
    session.rollback()
    if bytes_at_once:
        make_first_prices(session, securities)

    done = backfill(session, path, **({"at_once": bytes_at_once} if bytes_at_once else {}))
    assert state(session) == expected
    assert (done.rows, done.untracked, done.refused_count) == (len(rows), files.untracked_prices, files.refused_count)
    assert done.new_prices == files.new_prices
    assert done.doubted == len(expected[1])

    again = backfill(session, path, **({"at_once": bytes_at_once} if bytes_at_once else {}))
    assert state(session) == expected
    assert (again.new_prices, again.doubted) == (0, 0)


def test_a_price_of_a_session_that_goes_on_is_refused_for_the_file_is_not_read_again(session, securities, tmp_path):
    make.identifier(session, securities["B"], "B", scheme="SYMBOL", namespace="XTKS")
    session.commit()
    # Of A the day ends at midnight; Tokyo has closed.
    rows = [(str(NOW.date()), "CUSIP", f"C-{code}", "", "10", "USD") for code in "AB"]
    done = backfill(session, write(tmp_path / "prices.csv", rows))
    assert (done.new_prices, done.doubted, done.refused_count) == (1, 0, 1)
    assert done.refused == [f"prices.csv, price 1: the session of {NOW.date()} is not over; load it again when it is"]
    query = "SELECT security_id FROM prices WHERE price_date = :today"
    assert make.rows(session, query, today=NOW.date()) == [(securities["B"],)]


def test_history_after_what_is_known_and_in_order_is_copied_and_says_where_it_came_from(session, securities, tmp_path):
    days = [FIRST + timedelta(days=day) for day in range(40)]
    rows = [(str(day), "CUSIP", "C-A", "", f"{10.01 + n / 100:.2f}", "USD") for n, day in enumerate(days)]
    done = backfill(session, write(tmp_path / "history of A.csv", rows))
    assert (done.rows, done.new_prices, done.doubted, done.refused) == (40, 40, 0, [])
    ((count, fetched_at, provider),) = make.rows(
        session,
        "SELECT count(*), p.fetched_at, b.provider FROM prices AS p"
        " JOIN price_batches AS b ON b.id = p.batch_id GROUP BY 2, 3",
    )
    assert (count, fetched_at, provider) == (40, NOW, "files")
    found = make.rows(session, "SELECT price_date, source FROM prices WHERE batch_id IS NOT NULL ORDER BY 1")
    assert [tuple(row) for row in found] == [(day, f"history of A.csv, price {n + 1}") for n, day in enumerate(days)]


@pytest.mark.parametrize(("name", "what"), [("a\\b\tc.csv", "price"), ("a\\b.parquet", "row")])
def test_a_price_that_is_copied_names_its_file_and_row_as_one_that_is_looked_at_does(
    session, securities, tmp_path, name, what
):
    # The second is copied from another part of the file; the fourth is far off, so that B's others are looked at.
    rows = [(str(FIRST + timedelta(days=day)), "CUSIP", "C-A", "", "10.1", "USD") for day in range(2)]
    rows += [
        (str(FIRST + timedelta(days=day)), "CUSIP", "C-B", "", price, "USD") for day, price in ((0, "20"), (1, "90"))
    ]
    backfill(session, write(tmp_path / name, rows), at_once=64 * 2)
    found = make.rows(session, "SELECT source FROM prices WHERE batch_id IS NOT NULL ORDER BY security_id, price_date")
    assert [source for (source,) in found] == [f"{name}, {what} {number}" for number in (1, 2, 3)]
    ((doubted,),) = make.rows(session, "SELECT source FROM quarantined_prices")
    assert doubted == f"{name}, {what} 4"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"date,scheme\n", "the column identifier is missing"),
        ("a.csv", b"", "the column date is missing"),
        ("a.csv", b"\xff\xfe\x00", "codec can't decode"),
        ("a.parquet", b"PAR1", "Parquet"),
    ],
)
def test_a_file_that_is_none_of_prices_is_refused_whole(session, securities, tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=words) as refusal:
        backfill(session, path)
    assert refusal.value.where == str(path)


def test_lines_that_can_not_be_read_are_told_and_the_others_loaded(session, securities, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",".join(COLUMNS) + f"\n{FIRST},CUSIP,C-A,,10,USD\n1,2,3\n{FIRST},CUSIP,C-B,,soon,USD\n")
    done = backfill(session, path)
    assert done.new_prices == 1
    assert sorted(done.refused) == [
        "a.csv, line 3: it has 3 values, and the header 6",
        "a.csv, price 2: 'soon' is no price: a number with at most 12 decimals",
    ]


def test_the_command_loads_files_says_what_it_did_and_needs_a_person_for_what_is_doubted(session, securities, tmp_path):
    good = write(tmp_path / "good.csv", [(str(FIRST), "CUSIP", "C-B", "", "10", "USD")])
    odd = write(tmp_path / "odd.csv", [(str(FIRST), "CUSIP", "C-B", "", "soon", "USD"), *DOUBTED, ("1", "2")])
    done = run("prices", "backfill", str(good))
    assert (done.returncode, done.stderr) == (0, "")
    assert line(done.stdout, "good.csv") == f"{good} 1 1 0 0 0 0"
    done = run("prices", "backfill", str(good), str(odd))
    assert done.returncode == 1
    assert line(done.stdout, "good.csv") == f"{good} 1 0 1 0 0 0"
    assert line(done.stdout, "odd.csv") == f"{odd} 2 0 0 1 0 2"
    assert lines(done.stderr) == [
        "odd.csv, line 4: it has 2 values, and the header 6",
        "odd.csv, price 1: 'soon' is no price: a number with at most 12 decimals",
    ]
    done = run("prices", "backfill", str(tmp_path / "none.csv"))
    assert done.returncode == 2
    assert "none.csv: it can't be read to its end as a file of prices (" in done.stderr


def test_a_book_that_tracks_nothing_has_nothing_priced(session, tmp_path):
    rows = [(str(FIRST), "CUSIP", "C-A", "", "10", "USD"), (str(FIRST), "CUSIP", "C-A", "", "soon", "USD")]
    done = backfill(session, write(tmp_path / "history.csv", rows))
    assert (done.rows, done.new_prices, done.untracked, done.refused_count) == (2, 0, 1, 1)


def names_of_one(session: Session) -> int:
    """A security that has a symbol in its first days, and a CUSIP always."""
    security = make.security(session, "TWO")
    make.identifier(
        session,
        security,
        "TWO",
        scheme="SYMBOL",
        namespace="XNYS",
        valid_from=FIRST - timedelta(days=30),
        valid_to=FIRST + timedelta(days=40),
    )
    session.commit()
    return security


def by_symbol(day: int, price: str) -> tuple[str, ...]:
    return (str(FIRST + timedelta(days=day)), "SYMBOL", "TWO", "XNYS", price, "USD")


def by_cusip(day: int, price: str) -> tuple[str, ...]:
    return (str(FIRST + timedelta(days=day)), "CUSIP", "C-TWO", "", price, "USD")


@pytest.mark.parametrize("at_once", [64, 64 * 5, 64 * 15, None])
@pytest.mark.parametrize("names", [(by_symbol, by_cusip), (by_cusip, by_symbol)])
def test_a_security_that_has_two_names_in_a_file_is_one(session, tmp_path, at_once, names):
    names_of_one(session)
    first, second = names
    rows = [first(day, f"10.{day:02}") for day in range(10)]
    rows += [second(day, f"10{day}.5") for day in range(10, 20)]
    path = write(tmp_path / "history.parquet", rows)
    done = backfill(session, path, **({"at_once": at_once} if at_once else {}))
    assert (done.new_prices, done.doubted) == (10, 10)


@pytest.mark.parametrize("at_once", [64, 64 * 5, 64 * 15, None])
@pytest.mark.parametrize("names", [(by_symbol, by_cusip), (by_cusip, by_symbol)])
def test_a_day_that_comes_under_two_names_is_stored_once_or_corrected(session, tmp_path, at_once, names):
    names_of_one(session)
    first, second = names
    rows = [first(day, f"10.{day:02}") for day in range(10)]
    rows += [second(day, f"10.{max(day, 7):02}") for day in range(5, 15)]
    path = write(tmp_path / "history.parquet", rows)
    backfill(session, path, **({"at_once": at_once} if at_once else {}))
    found = make.rows(
        session, "SELECT DISTINCT ON (price_date) price::text FROM prices ORDER BY price_date, version DESC"
    )
    expected = [*(f"10.{day:02}" for day in range(5)), "10.07", "10.07", *(f"10.{day:02}" for day in range(7, 15))]
    assert [price for (price,) in found] == expected


def pence(code: str = "LON"):
    return [(str(FIRST + timedelta(days=day)), "CUSIP", f"C-{code}", "", str(7512 + day), "GBP") for day in range(20)]


@pytest.mark.parametrize("at_once", [64 * 7, None])
def test_a_history_that_may_be_in_pence_waits_by_its_first_price_and_comes_once_that_is_accepted(
    session, tmp_path, at_once
):
    security = make.security(session, "LON", currency="GBP")
    session.commit()
    path = write(tmp_path / "history.parquet", pence())
    parts = {"at_once": at_once} if at_once else {}
    for doubted in (1, 0):
        done = backfill(session, path, **parts)
        assert (done.new_prices, done.doubted, done.known) == (0, doubted, 20 - doubted)
    session.commit()
    assert backfill(session, path, are_major=True, **parts).new_prices == 20
    assert list_quarantined(session) == []
    session.rollback()
    (first,) = list_quarantined(session)
    assert (first.price_date, first.doubts[0][0]) == (FIRST, "unit")
    accept(session, [first.id], "a whole one costs so much", by=Person("ann", is_one=True), now=NOW)
    assert backfill(session, path, **parts).new_prices == 19
    session.rollback()
    # What was paid vouches for the unit at once, or tells that it is another.
    for amount, new in ((Decimal(-70_000), 20), (Decimal(-750), 0)):
        make.trade(
            session, make.account(session), security_id=security, quantity=Decimal(10), amount=amount, currency="GBP"
        )
        assert backfill(session, path, **parts).new_prices == new
        session.rollback()


def test_the_command_takes_a_persons_word_for_the_unit(session, tmp_path):
    make.security(session, "LON", currency="GBP")
    session.commit()
    path = write(tmp_path / "history.csv", pence())
    done = run("prices", "backfill", str(path))
    assert (done.returncode, line(done.stdout, "history.csv")) == (1, f"{path} 20 0 19 1 0 0")
    done = run("prices", "backfill", "--major-units", str(path))
    assert (done.returncode, line(done.stdout, "history.csv")) == (0, f"{path} 20 20 0 0 0 0")


@pytest.mark.parametrize("at_once", [64 * 6, 64 * 7, 64 * 50, None])
def test_a_price_that_stood_still_for_parts_of_a_file_counts_once_it_moves_and_waits_if_it_does_not(
    session, securities, tmp_path, at_once
):
    still = [(str(FIRST + timedelta(days=day)), "CUSIP", "C-A", "", "10.5", "USD") for day in range(30)]
    moved = (str(FIRST + timedelta(days=30)), "CUSIP", "C-A", "", "10.6", "USD")
    others = [(str(FIRST + timedelta(days=day)), "CUSIP", "C-BOND", "", "99", "USD") for day in range(30)]
    parts = {"at_once": at_once} if at_once else {}
    path = write(tmp_path / "history.parquet", [*still, moved, *others])
    done = backfill(session, path, **parts)
    assert (done.new_prices, done.doubted, done.known) == (61, 0, 0)
    assert list_quarantined(session, states=["waiting", "cleared"]) == []
    assert backfill(session, path, **parts).known == 61
    session.rollback()
    path = write(tmp_path / "history.parquet", [*still, *others])
    done = backfill(session, path, **parts)
    assert (done.new_prices, done.doubted, done.known) == (35, 1, 24)
    assert [each.price_date for each in list_quarantined(session)] == [FIRST + timedelta(days=5)]
    assert backfill(session, path, **parts).doubted == 0


@pytest.mark.parametrize("is_dropped", [False, True])
def test_a_level_that_is_doubted_is_not_believed_in_a_later_file_either(session, securities, tmp_path, is_dropped):
    days = [FIRST + timedelta(days=day) for day in range(60)]
    parts = [days[:1], days[12:13], days[20:21], days[50:]]
    for number, part in enumerate(parts):
        rows = [(str(day), "CUSIP", "C-A", "", "14.2", "USD") for day in part]
        done = backfill(session, write(tmp_path / f"{number}.csv", rows))
        assert (done.new_prices, done.doubted) == (0, len(part))
        if is_dropped:
            ids = [each.id for each in list_quarantined(session)]
            drop_prices(session, ids, "another listing's", by=Person("ann", is_one=True), now=NOW)
