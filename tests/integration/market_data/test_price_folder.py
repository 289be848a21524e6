"""Prices from a folder of files: what is stored, with where it came from, and what is refused."""

import os
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from threading import Thread

import pyarrow as arrow
import pytest
from pyarrow import parquet
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from app.book import SecurityIdentifier
from app.market_data import Coverage, RatesCoverage, coverage_of, list_quarantined
from app.market_data.providers.price_folder import PriceFolder
from app.settings import get_settings
from tests import factories as make
from tests.integration.market_data.syncs import sync_files
from tests.waiting import wait_until

NOW = datetime(2026, 3, 11, 18, tzinfo=UTC)
HEADER = "date,scheme,identifier,namespace,price,currency\n"
GOOD = "2026-03-10,CUSIP,C-A,,12.34,USD\n"


@pytest.fixture
def prices(tmp_path):
    folder = tmp_path / "prices"
    folder.mkdir()
    return folder


@pytest.fixture
def securities(session: Session) -> dict[str, int]:
    """Three securities that are priced, and one that is not."""
    ids = {code: make.security(session, code) for code in "ABC"}
    ids["untracked"] = make.security(session, "untracked", cusip="C-UNTRACKED", tracked=False)
    session.commit()
    return ids


@dataclass(frozen=True)
class Read:
    """What reading the folder came to."""

    coverage: Coverage
    new_prices: int
    untracked_prices: int
    refused: list[str]
    refused_count: int
    doubts: list[str]


@pytest.fixture
def sync(session: Session, prices, securities):
    def sync(content: str | bytes | None = None, *, name: str = "prices.csv", now: datetime = NOW) -> Read:
        if content is not None:
            (prices / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        coverage = sync_files(session, PriceFolder(prices), now=now)
        (files,) = coverage.providers
        newest_first = sorted(list_quarantined(session), key=lambda price: -price.id)
        doubts = [text for price in newest_first for _, text in price.doubts]
        return Read(
            coverage, files.new_prices, files.untracked_prices, list(files.refused), files.refused_count, doubts
        )

    return sync


@pytest.fixture
def stored(session: Session):
    def stored() -> list[tuple[str, ...]]:
        query = (
            "SELECT s.code, p.price_date::text, p.version, p.price::text, p.currency, p.source"
            " FROM prices AS p JOIN securities AS s ON s.id = p.security_id ORDER BY 1, 2, 3"
        )
        return [tuple(row) for row in make.rows(session, query)]

    return stored


def test_prices_are_stored_as_written_with_file_and_line_and_time(sync, stored, session):
    read = sync(HEADER + GOOD + "2026-03-09,CUSIP,C-B,,0.000000000001,USD\n")
    assert (read.new_prices, read.untracked_prices, read.refused, read.doubts) == (2, 0, [], [])
    assert (read.coverage.never_priced, read.coverage.never_priced_count) == (["C"], 1)
    assert stored() == [
        ("A", "2026-03-10", 1, "12.34", "USD", "prices.csv, line 2"),
        ("B", "2026-03-09", 1, "0.000000000001", "USD", "prices.csv, line 3"),
    ]
    batches = "SELECT p.fetched_at, b.provider FROM prices AS p JOIN price_batches AS b ON b.id = p.batch_id"
    assert make.rows(session, batches) == [(NOW, "files")] * 2


def test_the_same_again_stores_nothing_however_it_is_written(sync, stored):
    sync(HEADER + GOOD)
    before = stored()
    assert sync().new_prices == 0
    read = sync(HEADER + "2026-03-10, cusip , c-a ,,012.340,USD\n", name="later.csv")
    assert (read.new_prices, read.refused) == (0, [])
    assert stored() == before


def test_a_corrected_price_is_a_new_version_beside_the_old_one(sync, stored):
    sync(HEADER + GOOD)
    assert sync(HEADER + GOOD.replace("12.34", "12.35"), name="q.csv").new_prices == 1
    assert sync().new_prices == 0
    assert stored() == [
        ("A", "2026-03-10", 1, "12.34", "USD", "prices.csv, line 2"),
        ("A", "2026-03-10", 2, "12.35", "USD", "q.csv, line 2"),
    ]


def test_a_price_that_goes_back_to_what_it_was_is_a_version_too(sync, stored):
    for price in ("10", "11", "10"):
        sync(HEADER + GOOD.replace("12.34", price))
    assert [(version, price) for _, _, version, price, _, _ in stored()] == [(1, "10"), (2, "11"), (3, "10")]


def test_of_two_lines_for_one_day_the_last_counts(sync, stored, session, securities):
    session.execute(insert(SecurityIdentifier).values(scheme="ISIN", value="ISIN-A", security_id=securities["A"]))
    coverage = sync(HEADER + GOOD + GOOD.replace("CUSIP,C-A,,12.34", "ISIN,ISIN-A,,13"))
    assert (coverage.new_prices, coverage.untracked_prices) == (1, 0)
    assert stored() == [("A", "2026-03-10", 1, "13", "USD", "prices.csv, line 3")]
    sync(HEADER + GOOD.replace("12.34", "14"), name="z-last.csv")
    assert stored()[-1][2:] == (2, "14", "USD", "z-last.csv, line 2")


def test_identifiers_of_an_exchange_or_a_custodian_are_found_by_their_namespace(sync, stored, session, securities):
    named = {"A": ("SYMBOL", "XYZ", "XNYS"), "B": ("SYMBOL", "XYZ", "XLON"), "C": ("CUSTODIAN", "1", "bank.example")}
    for code, (scheme, value, namespace) in named.items():
        session.execute(
            insert(SecurityIdentifier).values(
                scheme=scheme, value=value, namespace=namespace, security_id=securities[code]
            )
        )
    lines = (
        "SYMBOL,XYZ,XNYS,1,USD",
        "SYMBOL,xyz,xlon,2,USD",
        "CUSTODIAN,1,Bank.example,3,USD",
        "SYMBOL,XYZ,XETR,4,EUR",
    )
    coverage = sync(HEADER + "".join(f"2026-03-10,{line}\n" for line in lines))
    assert [(code, price) for code, _, _, price, _, _ in stored()] == [("A", "1"), ("B", "2"), ("C", "3")]
    assert coverage.untracked_prices == 1


def test_securities_that_nobody_tracks_are_counted_and_not_stored(sync, stored):
    coverage = sync(HEADER + "2026-03-10,CUSIP,C-untracked,,1,USD\n2026-03-10,CUSIP,ELSEWHERE,,1,USD\n" + GOOD)
    assert (coverage.untracked_prices, coverage.coverage.tracked, coverage.new_prices) == (2, 3, 1)
    assert [code for code, *_ in stored()] == ["A"]


def test_coverage_counts_all_but_names_at_most_twenty(sync, session):
    for number in range(30):
        make.security(session, f"more-{number:02}")
    lines = "".join(f"2026-03-10,CUSIP,,,{number},USD\n" for number in range(1, 31))
    coverage = sync(HEADER + GOOD + lines)
    assert (coverage.coverage.tracked, coverage.coverage.never_priced_count, coverage.refused_count) == (33, 32, 30)
    assert coverage.coverage.never_priced == ["B", "C", *(f"more-{number:02}" for number in range(18))]
    assert len(coverage.refused) == 20
    assert coverage.refused[0] == "prices.csv, line 3: the identifier is empty"


BAD_LINES = {
    "10.03.2026,CUSIP,C-B,,1,USD": "'10.03.2026' is no date such as 2026-01-31",
    ",CUSIP,C-B,,1,USD": "'' is no date",
    "1899-12-31,CUSIP,C-B,,1,USD": "the date 1899-12-31 is not of a year from 1900 to 2199",
    f"{'9' * 5000},CUSIP,C-B,,1,USD": f"'{'9' * 50}…' is no date",
    "2026-03-10,CUSIP,C-B,,NaN,USD": "'NaN' is no price: a number with at most 12 decimals",
    "2026-03-10,CUSIP,C-B,,Infinity,USD": "'Infinity' is no price",
    "2026-03-10,CUSIP,C-B,,1e5,USD": "'1e5' is no price",
    "2026-03-10,CUSIP,C-B,,١٢,USD": "'١٢' is no price",
    "2026-03-10,CUSIP,C-B,,,USD": "'' is no price",
    f"2026-03-10,CUSIP,C-B,,{'1' * 40},USD": f"'{'1' * 40}' is no price",
    "2026-03-10,CUSIP,C-B,,0.0000000000001,USD": "'0.0000000000001' is no price",
    '2026-03-10,CUSIP,C-B,,"1,5",USD': "'1,5' is no price",
    "2026-03-10,CUSIP,C-B,,1,usd": "'usd' is no ISO 4217 currency",
    "2026-03-10,CUSIP,C-B,,1,": "'' is no ISO 4217 currency",
    "2026-03-10,CUSPI,C-B,,1,USD": "'CUSPI' is no scheme: ISIN, CUSIP, SEDOL, FIGI, SYMBOL, CUSTODIAN",
    "2026-03-10,CUSIP, ,,1,USD": "the identifier is empty",
    "2026-03-10,CUSIP,C-B,XNYS,1,USD": "of CUSIP there is one in all the world, so its namespace is empty",
    "2026-03-10,SYMBOL,B,,1,USD": "a SYMBOL needs a namespace",
    "2026-03-10,CUSIP,C-B,,1,234.56,USD": "it has 7 values, and the header 6",
    "2026-03-10,CUSIP,C-B,,1": "it has 5 values, and the header 6",
    "2026-03-10,CUSIP,C\x00B,,1,USD": r"the identifier 'C\x00B' is no printable UTF-8 text",
    "2026-03-10,CUSIP,\x1b[31mB,,1,USD": r"the identifier '\x1b[31mB' is no printable UTF-8 text",
    '2026-03-10,"CUSIP"x,C-B,,1,USD': "',' expected after '\"'",
}


def test_each_bad_line_is_refused_with_file_and_line_and_the_others_are_stored(sync, stored, subtests):
    coverages = {}
    for number, line in enumerate(BAD_LINES):
        content = HEADER + GOOD.replace("12.34", f"12.{number:02}") + line + "\n" + GOOD.replace("C-A", "C-C")
        coverages[line] = sync(content, name="prices.csv")
    for line, words in BAD_LINES.items():
        with subtests.test(line[:60]):
            (refused,) = coverages[line].refused
            assert refused.startswith(f"prices.csv, line 3: {words}")
            assert coverages[line].refused_count == 1
    # What stands before and behind the bad line was stored every time.
    assert [(code, source) for code, _, _, _, _, source in stored()] == [
        *[("A", "prices.csv, line 2")] * len(BAD_LINES),
        ("C", "prices.csv, line 4"),
    ]


def test_a_line_that_is_not_utf_8_is_refused_and_the_others_are_stored(sync, stored):
    bad = "2026-03-10,CUSIP,CAFÉ,,1,USD\n".encode("cp1252")
    coverage = sync(HEADER.encode() + GOOD.encode() + bad + GOOD.replace("C-A", "C-B").encode())
    assert coverage.refused == [r"prices.csv, line 3: the identifier 'CAF\udcc9' is no printable UTF-8 text"]
    assert [code for code, *_ in stored()] == ["A", "B"]


def test_a_quote_that_is_never_closed_is_told_where_it_begins(sync, stored):
    coverage = sync(HEADER + GOOD + '2026-03-10,CUSIP,"C-B,,1,USD\n' + GOOD.replace("C-A", "C-C") * 3)
    assert coverage.refused == ["prices.csv, line 3: unexpected end of data"]
    assert [code for code, *_ in stored()] == ["A"]


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"", "prices.csv: it is empty"),
        (b"\xef\xbb\xbf\r\n\r\n", "prices.csv: it is empty"),
        (GOOD.encode(), "prices.csv, line 1: the column date is missing"),
        (HEADER.replace("price", "close").encode(), "prices.csv, line 1: the column price is missing"),
        (HEADER.replace("namespace", "price").encode(), "prices.csv, line 1: the column price stands here twice"),
        ((HEADER + GOOD).encode("utf-16"), "prices.csv, line 1: this is no UTF-8 text"),
        (bytes(range(256)), "prices.csv, line 1: this is no UTF-8 text"),
    ],
    ids=["empty", "blank", "no header", "another name", "a column twice", "utf-16", "binary"],
)
def test_a_file_without_a_right_header_is_refused_and_the_next_one_is_read(sync, stored, content, refused):
    sync(HEADER + GOOD, name="second.csv")
    coverage = sync(content)
    assert coverage.refused == [refused]
    assert [code for code, *_ in stored()] == ["A"]


@pytest.mark.parametrize(
    "content",
    [
        (HEADER + GOOD).replace("\n", "\r\n").encode(),
        (HEADER + GOOD).encode("utf-8-sig"),
        (HEADER + GOOD).rstrip().encode(),
        (HEADER + "\n\n" + GOOD + "\n").encode(),
        b'"date","scheme","identifier","namespace","price","currency"\n"2026-03-10","CUSIP","C-A","","12.34","USD"\n',
        b"currency,price,identifier,scheme,date\nUSD,12.34,C-A,CUSIP,2026-03-10\n",
        b'volume,date,scheme,identifier,price,currency,"odd, one"\n7,2026-03-10,CUSIP,C-A,12.34,USD,\xff\n',
    ],
    ids=["CRLF", "BOM", "no last line break", "blank lines", "quoted", "other order", "further columns"],
)
def test_the_ways_in_which_csv_is_written_all_read_the_same(sync, stored, content):
    assert sync(content).refused == []
    assert [row[:5] for row in stored()] == [("A", "2026-03-10", 1, "12.34", "USD")]


def test_a_missing_folder_is_told_and_known_prices_still_count(sync, prices):
    sync(HEADER + GOOD)
    (prices / "prices.csv").unlink()
    prices.rmdir()
    coverage = sync()
    assert coverage.refused == [f"{prices}: there is no such folder; PRICES_DIR names it"]
    assert (coverage.coverage.never_priced_count, coverage.coverage.tracked) == (2, 3)


def test_an_empty_folder_is_no_error(sync):
    read = sync()
    assert (read.new_prices, read.untracked_prices, read.refused, read.refused_count) == (0, 0, [], 0)


DOUBTED = {
    "2026-03-12,CUSIP,C-B,,1,USD": "2026-03-12 is after 2026-03-11, the day that it is at the exchange",
    "2026-03-10,CUSIP,C-B,,-1,USD": "-1 is below 0",
    "2026-03-10,CUSIP,C-B,,0.00,USD": "a price is above 0",
    "2026-03-10,CUSIP,C-B,,1,GBX": "it is in GBX, and the security in USD",
    "2026-03-10,CUSIP,C-B,,1,EUR": "it is in EUR, and the security in USD",
}


def test_what_can_be_read_and_not_believed_is_doubted_and_the_others_are_stored(sync, stored):
    for line, why in DOUBTED.items():
        assert sync(HEADER + line + "\n" + GOOD).doubts[0] == why
    assert [code for code, *_ in stored()] == ["A"]


def test_parquet_is_read_like_csv_whatever_the_types_of_its_columns(sync, stored, prices):
    day = date(2026, 3, 10)
    columns = {"scheme": ["CUSIP"] * 3, "identifier": ["C-A", "C-B", "c-c"], "currency": ["USD"] * 3}
    for name, dates, values in (
        ("1.parquet", [day] * 3, [Decimal("1.10"), None, Decimal("3.30")]),
        ("2.parquet", [day.isoformat()] * 3, [1.1, 2.2, 3.3]),
        ("3.parquet", [datetime(2026, 3, 10, 21)] * 3, ["1.10", "2.2", "soon"]),
    ):
        table = arrow.table({**columns, "date": dates, "price": values, "volume": [1, 2, 3]})
        parquet.write_table(table, prices / name)
    (prices / "4.parquet").write_bytes(b"PAR1 it is not")
    parquet.write_table(arrow.table({"date": [day], "price": [1]}), prices / "5.parquet")
    read = sync()
    assert [(code, price, source) for code, _, _, price, _, source in stored()] == [
        ("A", "1.10", "3.parquet, row 1"),
        ("B", "2.2", "3.parquet, row 2"),
        ("C", "3.3", "2.parquet, row 3"),
    ]
    assert read.refused[:2] == [
        "1.parquet, row 2: '' is no price: a number with at most 12 decimals",
        "3.parquet, row 3: 'soon' is no price: a number with at most 12 decimals",
    ]
    assert read.refused[2].startswith("4.parquet: it is no Parquet file with prices (")
    assert read.refused[3] == "5.parquet: it is no Parquet file with prices (the column scheme is missing)"


def test_what_is_no_readable_file_is_refused_and_the_others_are_read(sync, prices, stored):
    os.mkfifo(prices / "1-pipe.csv")  # nobody writes into it: to open it would take for ever
    (prices / "2-folder.csv").mkdir()
    (prices / "3-memory.csv").symlink_to("/proc/self/mem")  # readable by nobody, not even by root
    (prices / "notes.txt").write_text("no prices")
    odd = os.fsencode(prices) + b"/4-caf\xe9.csv"
    with open(odd, "w", encoding="utf-8") as file:  # noqa: PTH123 (a name that is no text)
        file.write(HEADER + GOOD + "bad")
    coverage = sync()
    assert coverage.refused == [
        "1-pipe.csv: it is no file",
        "2-folder.csv: it is no file",
        "3-memory.csv: it can't be read to its end (Input/output error)",
        r"4-caf\xe9.csv, line 3: it has 1 values, and the header 6",
    ]
    assert [source for *_, source in stored()] == [r"4-caf\xe9.csv, line 2"]


def test_today_is_the_exchanges_day_wherever_the_clock_stands(sync, session, securities):
    make.identifier(session, securities["A"], "AAA", scheme="SYMBOL", namespace="XTKS")
    tomorrow = HEADER + GOOD.replace("-10", "-12") + GOOD.replace("-10", "-12").replace("C-A", "C-B")
    in_utc = "2026-03-12 is after 2026-03-11, the day that it is at the exchange"
    for hours in (-12, 0, 14):
        read = sync(tomorrow, now=NOW.astimezone(timezone(timedelta(hours=hours))))
        # In Tokyo it is three o'clock of the next day.
        assert read.doubts == [in_utc]


def test_two_syncs_at_once_store_a_price_once(prices, securities, engine, session, stored):
    (prices / "prices.csv").write_text(HEADER + GOOD)
    others: list[Coverage] = []

    def sync_beside() -> None:
        with Session(engine) as other:
            others.append(sync_files(other, PriceFolder(prices), now=NOW))

    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('value-partner prices'))"))
    beside = Thread(target=sync_beside)
    beside.start()
    wait_until(lambda: others or make.rows(session, "SELECT 1 FROM pg_locks WHERE NOT granted"))
    first = sync_files(session, PriceFolder(prices), now=NOW)
    beside.join()
    assert [coverage.new_prices for coverage in (first, *others)] == [1, 0]
    assert len(stored()) == 1


def test_the_hourly_task_prices_from_the_folder_and_says_what_is_missing(
    worker, celery_app, securities, session, prices, stored, monkeypatch
):
    monkeypatch.setenv("PRICES_DIR", str(prices))
    get_settings.cache_clear()
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    (prices / "prices.csv").write_text(HEADER + f"{yesterday},CUSIP,C-A,,12.34,USD\nnonsense\n")
    worker(concurrency=1)

    answer = celery_app.send_task("app.tasks.reconciliation.sync_market_data").get(timeout=30)

    rates = {field.name: answer.pop(field.name) for field in fields(RatesCoverage)}
    assert rates["new_rates"] > 0
    assert rates["rates_failed"] == []
    sync_id = answer.pop("sync_id")
    assert answer == {
        **dict.fromkeys(("stale", "quarantined", "refused", "failed", "doubted"), 0),
        "due": 3,
        "priced": 1,
        "unasked": 2,
        "new_prices": 1,
    }
    assert stored() == [("A", str(yesterday), 1, "12.34", "USD", "prices.csv, line 2")]
    coverage = coverage_of(session, sync_id)
    (files,) = coverage.providers
    assert files.refused == ["prices.csv, line 3: it has 1 values, and the header 6"]
    (reason,) = coverage.reasons
    assert (reason.state, reason.codes) == ("unasked", ["B", "C"])
