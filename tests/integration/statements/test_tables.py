"""Loading custodians' tables: the same as row by row, wholly or not at all, and what is left out is told."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.book import CustodianAccount, instrument_ids
from app.settings import PROJECT_DIR, get_settings
from app.statements import FileResult
from app.statements.gate import check_completeness
from app.statements.models import StatementFile
from app.statements.rows import ParsedStatement, PositionRow
from app.statements.store import look_back, names_in, sides_of_book, store_statement
from tests import factories as make
from tests.unit.statements.ofx_files import bank, file_of, sgml

HEADER = "account,as_of,isin,own,name,quantity,price,value,currency,part\n"
POSITIONS = """
custodian = "custodian.example"
files = ["positions*.csv", "positions*.parquet"]
holds = "positions"

[fields]
account = "account"
as_of = "as_of"
statement_currency = { value = "USD" }
currency = "currency"
identifiers = [{ scheme = "ISIN", column = "isin" }, { scheme = "CUSTODIAN", column = "own" }]
name = "name"
quantity = "quantity"
price = "price"
market_value = "value"
sub_account = "part"
"""
CASH = """
custodian = "custodian.example"
files = "cash*.csv"
holds = "cash"
fields = { account = "account", as_of = "as_of", currency = "currency", amount = "amount" }
"""
TRANSACTIONS = """
custodian = "custodian.example"
files = "trades*.csv"
holds = "transactions"
period = "day"

[fields]
account = "account"
as_of = "as_of"
currency = "currency"
reference = "reference"
kind = { column = "kind", words = { BUY = "buy", DIV = "income" } }
identifiers = [{ scheme = "ISIN", column = "isin" }]
trade_date = "traded"
settle_date = "settles"
quantity = { column = "quantity", sign_column = "side", positive = ["C"], negative = ["D"] }
amount = { column = "amount", negate = true }
description = "text"
"""


@pytest.fixture(autouse=True)
def mappings(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mappings"
    folder.mkdir()
    (folder / "positions.toml").write_text(POSITIONS)
    (folder / "cash.toml").write_text(CASH)
    (folder / "trades.toml").write_text(TRANSACTIONS)
    monkeypatch.setenv("STATEMENT_MAPPINGS_DIR", str(folder))
    get_settings.cache_clear()
    return folder


@pytest.fixture
def import_rows(inbox: Path, load: Callable[..., list[FileResult]]) -> Callable[..., FileResult]:
    """Write a positions file of these rows, and import it."""
    numbers = count(1)

    def import_rows(*rows: str, name: str = "") -> FileResult:
        path = inbox / (name or f"positions-{next(numbers)}.csv")
        path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
        return load(path, max_bytes=1)[0]

    return import_rows


def row(account: str = "A-1", isin: str = "US1", quantity: str = "1", day: str = "2024-01-31", **more: str) -> str:
    cells = {"own": "", "name": "", "price": "", "value": "", "currency": "USD", "part": "", **more}
    return ",".join([account, day, isin, cells["own"], cells["name"], quantity, *(list(cells.values())[2:])])


def stored(session: Session) -> list[tuple[object, ...]]:
    found = make.rows(
        session,
        """
        SELECT c.number, s.as_of::text, s.currency, s.state, s.findings::text, p.row, p.line, i.scheme, i.identifier,
            i.namespace, i.also::text, i.name, p.quantity::text, p.price::text, p.market_value::text, p.currency,
            p.sub_account
        FROM statements AS s
        JOIN custodian_accounts AS c ON c.id = s.custodian_account_id
        LEFT JOIN statement_positions AS p ON p.statement_id = s.id
        LEFT JOIN instruments AS i ON i.id = p.instrument_id
        ORDER BY s.id, p.row
        """,
    )
    session.rollback()
    return found


@pytest.mark.usefixtures("accounts")
def test_a_file_of_several_accounts_is_loaded_with_its_digits_and_lines(import_rows, session):
    result = import_rows(
        row("A-1", "US1", "10.50", price="1.0", value="10.500", part="safe"),
        row("A-2", "", "-3", own="x9", name="Nine"),
        "",
        row("A-1", "us2", "007", own="x2", currency="EUR"),
    )
    assert result == FileResult(result.path, "loaded", statements=2, positions=3)
    also = json.dumps([{"value": "X2", "scheme": "CUSTODIAN", "namespace": "custodian.example"}])
    assert [line[:1] + line[5:] for line in stored(session)] == [
        ("A-1", 1, 2, "ISIN", "US1", "", "[]", None, "10.50", "1.0", "10.500", "USD", "safe"),
        ("A-1", 2, 5, "ISIN", "US2", "", also, None, "7", None, None, "EUR", ""),
        ("A-2", 1, 3, "CUSTODIAN", "X9", "custodian.example", "[]", "Nine", "-3", None, None, "USD", ""),
    ]


@pytest.mark.usefixtures("accounts")
def test_cash_and_positions_of_a_day_are_two_statements_and_neither_replaces_the_other(
    import_rows, inbox, load, session
):
    import_rows(row())
    (inbox / "cash.csv").write_text("account,as_of,currency,amount\nA-1,2024-01-31,USD,-5.10\nA-1,2024-01-31,EUR,0\n")
    (result,) = load(inbox / "cash.csv")
    assert (result.state, result.notes, result.statements) == ("loaded", [], 2)
    assert make.rows(session, "SELECT states_positions, states_cash, currency FROM statements ORDER BY id") == [
        (True, False, "USD"),
        (False, True, "USD"),
        (False, True, "EUR"),
    ]
    assert make.rows(session, "SELECT line, currency, amount::text FROM statement_cash ORDER BY line") == [
        (2, "USD", "-5.10"),
        (3, "EUR", "0"),
    ]


@pytest.mark.usefixtures("accounts")
def test_transactions_come_with_their_kinds_signs_and_period(inbox, load, session):
    (inbox / "trades.csv").write_text(
        "account,as_of,currency,reference,kind,isin,traded,settles,side,quantity,amount,text\n"
        "A-1,2024-01-31,USD,T1,BUY,US1,2024-01-31,2024-02-02,C,5,50.5,a\\b\n"
        "A-1,2024-01-31,USD,T2,DIV,,2024-01-30,,D,,-3,\n"
    )
    (result,) = load(inbox / "trades.csv")
    assert (result.state, result.transactions, result.error) == ("loaded", 2, "")
    assert make.rows(
        session,
        "SELECT reference, kind, instrument_id IS NULL, trade_date::text, settle_date::text, quantity::text,"
        " amount::text, description, line FROM statement_transactions ORDER BY row",
    ) == [
        ("T1", "buy", False, "2024-01-31", "2024-02-02", "5", "-50.5", "a\\b", 2),
        ("T2", "income", True, "2024-01-30", None, None, "3", "", 3),
    ]
    assert make.rows(session, "SELECT period_from::text, period_to::text FROM statements") == [
        ("2024-01-31", "2024-01-31")
    ]


# The same as row by row

QUANTITIES = st.decimals(-3, 3, places=1).map(str)
SMALL_FILES = st.lists(
    st.tuples(
        st.sampled_from(["A-1", "A-2"]),
        st.sampled_from(["2024-01-29", "2024-01-30", "2024-01-31"]),
        st.sampled_from(["US1", "US2", "US3", "US4"]),
        st.sampled_from(["", "other name"]),
        st.sampled_from(["1", "-1", "2", "0", "-2.0"]),
        st.uuids().map(str),
    ),
    min_size=1,
    max_size=14,
)


def row_by_row(session: Session, rows: list[tuple[str, ...]], accounts: dict[str, int]) -> None:
    """Load rows as other formats are: each statement held against those before it, by day."""
    by_key: dict[tuple[str, str], list[PositionRow]] = {}
    for line, (account, day, isin, name, quantity, part) in enumerate(rows, start=2):
        position = PositionRow(line, "ISIN", isin, name or None, None, Decimal(quantity), None, None, "USD", part)
        by_key.setdefault((account, day), []).append(position)
    file = StatementFile(sha256=str(rows), name="x", size=1, state="loaded")
    session.add(file)
    session.flush()
    for (account, day), positions in sorted(by_key.items(), key=lambda found: found[0][1]):
        parsed = ParsedStatement(
            1, "custodian.example", account, date.fromisoformat(day), "USD", tuple(positions), None, (), None
        )
        account_id = accounts[account]
        instruments = instrument_ids(session, names_in([parsed]))
        before = look_back(session, account_id, parsed)
        if not before.holdings:
            before = replace(before, sides_of_book=sides_of_book(session, account_id, parsed, instruments))
        store_statement(
            session,
            parsed,
            file_id=file.id,
            custodian_account_id=account_id,
            findings=check_completeness(parsed, before),
            instruments=instruments,
        )


def write_book(session: Session, quantities: dict[str, str]) -> None:
    """Give the accounts of A-1 and A-2 a version of their book with these positions, by ISIN."""
    securities = {make.security(session, isin): (isin, quantity) for isin, quantity in quantities.items()}
    for security_id, (isin, _) in securities.items():
        make.identifier(session, security_id, isin, scheme="ISIN")
    held = {security_id: quantity for security_id, (_, quantity) in securities.items()}
    for (account_id,) in make.rows(
        session,
        "SELECT account_id FROM account_mappings JOIN custodian_accounts AS c ON c.id = custodian_account_id"
        " WHERE number IN ('A-1', 'A-2')",
    ):
        make.book(session, account_id, as_of=date(2024, 1, 30), positions=held)
    session.commit()


def test_any_files_give_the_same_statements_and_findings_as_row_by_row(accounts, import_rows, session):
    write_book(session, {f"US{number}": "1" for number in range(1, 5)})
    seen = set()
    empty = "TRUNCATE statements, statement_positions, statement_files CASCADE"

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(SMALL_FILES, min_size=1, max_size=3))
    @example([[("A-2", "2024-01-30", isin, "", "-1", isin) for isin in ("US1", "US2", "US3")]])
    def check(files: list[list[tuple[str, ...]]]) -> None:
        session.execute(text("ALTER TABLE break_events DISABLE TRIGGER ALL"))
        session.execute(text(empty))
        session.commit()
        for rows in files:
            result = import_rows(*(row(a, i, q, d, name=n, part=p) for a, d, i, n, q, p in rows))
            assert (result.state, result.error) == ("loaded", "")
        ours = sorted(stored(session), key=str)
        session.execute(text(empty))
        for rows in files:
            row_by_row(session, rows, accounts)
        session.commit()
        assert ours == sorted(stored(session), key=str)
        seen.update(line[4] for line in ours)

    check()
    assert any("short" in findings for findings in seen), "none was short: the test shows less than it says"
    assert any("held before with the other" in findings for findings in seen), "none was inverted: as above"
    assert any("of the book with the other" in findings for findings in seen), "none had the book's signs: as above"


# CSV and Parquet

NUMBERS = st.decimals("-999999999999999999", "999999999999999999", places=12, allow_nan=False).map(lambda n: f"{n:f}")
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], codec="utf-8"), max_size=20
).map(str.strip)  # fmt: skip
TABLES = st.lists(
    st.tuples(st.sampled_from(["A-1", "A-2"]), st.sampled_from(["US1", "US2"]), TEXTS, NUMBERS, TEXTS),
    min_size=1,
    max_size=20,
    unique_by=lambda cells: cells,
)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_is_written_to_a_table_is_read_back_exactly(suffix, accounts, inbox, load, session):
    numbers = count(1)
    names = HEADER.strip().split(",")

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(TABLES)
    def check(rows: list[tuple[str, ...]]) -> None:
        path = inbox / f"positions-{next(numbers)}.{suffix}"
        cells = [[a, "2024-01-31", i, "", n, q, "", "", "USD", p] for a, i, n, q, p in rows]
        if suffix == "csv":
            quoted = (",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in cells)
            path.write_bytes((HEADER + "".join(f"{line}\n" for line in quoted)).encode())
        else:
            columns = dict(zip(names, map(list, zip(*cells, strict=True)), strict=True))
            table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
            quantity = pa.array([Decimal(line[5]) for line in cells], pa.decimal128(38, 12))
            days = pa.array([date(2024, 1, 31)] * len(cells))
            table = table.set_column(5, "quantity", quantity).set_column(1, "as_of", days)
            pq.write_table(table, path)
        (result,) = load(path)
        assert (result.state, result.error) == ("loaded", "")
        kept = make.rows(
            session,
            "SELECT c.number, i.identifier, coalesce(i.name, ''), p.quantity, p.sub_account"
            " FROM statement_positions AS p JOIN statements AS s ON s.id = p.statement_id"
            " JOIN custodian_accounts AS c ON c.id = s.custodian_account_id"
            " JOIN instruments AS i ON i.id = p.instrument_id"
            " WHERE s.file_id = (SELECT max(id) FROM statement_files) ORDER BY p.line",
        )
        session.rollback()
        assert kept == [(a, i, n, Decimal(q), p) for a, i, n, q, p in rows]

    check()


def test_parquets_floats_are_refused(accounts, inbox, load):
    pq.write_table(
        pa.table({name: pa.array([1.5] if name == "quantity" else ["A-1"]) for name in HEADER.strip().split(",")}),
        inbox / "positions.parquet",
    )
    (result,) = load(inbox)
    assert "column 'quantity' holds binary floating-point numbers (double), which are not exact" in result.error


# All or nothing


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (row(quantity="1e5"), "line 3: quantity '1e5' has an exponent"),
        (row(quantity="1,000"), "line 3: the row has 11 cells, not 10"),
        (row(quantity="NaN"), "line 3: quantity 'NaN' is no number"),
        (row(quantity=""), "line 3: quantity is empty"),
        (row(quantity="1" * 19), "has more than 18 digits"),
        (row(quantity="0." + "1" * 13), "or more than 12 decimals"),
        (row(price="x"), "line 3: price 'x' is no number"),
        (row(currency="GBX"), "line 3: currency 'GBX' is no active ISO 4217 code"),
        (row(day="31.01.2024"), "line 3: as_of '31.01.2024' is no date of the form %Y-%m-%d"),
        (row(day="2024-02-30"), "line 3: as_of '2024-02-30' is no date"),
        (row(day="2024-03-30"), "is in the future (2024-03-30)"),
        (row(account=""), "line 3: account is empty"),
        (row(isin=""), "line 3: identifiers are all empty"),
        ('"' + row(), "a quote is open at the line's end"),
        (row(name='"a\nb"'), "line 3: a quote is open at the line's end, or a line ends within a cell"),
        (row(name="\udce9"), "line 3: it is not utf-8"),
    ],
)
def test_one_bad_row_refuses_the_whole_file_with_its_line(bad, says, accounts, inbox, load, session):
    data = HEADER + row("A-2") + "\n" + bad + "\n" + row("A-2", "US7") + "\n"
    (inbox / "positions.csv").write_bytes(data.encode(errors="surrogateescape"))
    (result,) = load(inbox)
    assert result.state == "refused"
    assert says in result.error
    assert make.rows(session, "SELECT state, error FROM statement_files") == [("refused", result.error)]
    assert make.rows(session, "SELECT (SELECT count(*) FROM statements), count(*) FROM statement_positions") == [(0, 0)]


@pytest.mark.usefixtures("accounts")
def test_of_many_bad_rows_the_first_are_listed_and_all_are_counted(import_rows):
    result = import_rows(*(row(isin=f"US{number}", quantity="?") for number in range(50)))
    lines = result.error.splitlines()
    assert "50 problems, so nothing was imported" in lines[0]
    assert lines[1].endswith("line 2: quantity '?' is no number (digits, a '.' before the decimals, nothing between"
                             " thousands)")  # fmt: skip
    assert (len(lines), lines[-1]) == (22, "  and 30 more")


@pytest.mark.usefixtures("accounts")
def test_rows_that_are_the_same_in_everything_are_refused_wherever_they_stand(import_rows):
    others = [row("A-2", f"US{number}") for number in range(9)]
    result = import_rows(row(quantity="1.0"), *others, row(quantity="1.00"), row(part="another"))
    assert result.state == "refused"
    assert result.error.endswith("line 12: two positions are the same in every field; the other is in line 2")


@pytest.mark.usefixtures("accounts")
def test_a_reference_stands_once_in_an_account(inbox, load):
    line = "A-1,{},USD,T1,BUY,US1,2024-01-30,,C,5,,\n"
    (inbox / "trades.csv").write_text(
        "account,as_of,currency,reference,kind,isin,traded,settles,side,quantity,amount,text\n"
        + line.format("2024-01-30")
        + line.format("2024-01-31")
    )
    (result,) = load(inbox)
    assert "line 3: two transactions of an account have one reference; the other is in line 2" in result.error


@pytest.mark.usefixtures("accounts")
def test_a_file_without_rows_is_refused(import_rows):
    assert "it has no row, which is not the same as no holdings" in import_rows().error


# Accounts that nobody knows


@pytest.mark.usefixtures("accounts")
def test_unknown_accounts_are_left_out_and_told_and_come_in_once_they_are_known(import_rows, session):
    rows = [row("NEW"), row("A-1"), row("NEW", "US2"), row("B-1")]
    result = import_rows(*rows, name="positions.csv")
    assert (result.state, result.statements, result.positions) == ("loaded", 1, 1)
    (note,) = result.notes
    assert "2 of its 3 statements are left out" in note
    assert "'NEW' (line 2), 'B-1' (line 5; one of that number is at '021000021')" in note
    assert make.rows(session, "SELECT state, error FROM statement_files") == [("loaded", note)]
    session.rollback()

    again = import_rows(*rows, name="positions.csv")
    assert (again.state, again.statements, again.notes) == ("known", 0, [note])

    make.custodian_account(session, custodian="custodian.example", number="NEW")
    make.custodian_account(session, custodian="custodian.example", number="B-1")
    session.commit()
    completed = import_rows(*rows, name="positions.csv")
    assert (completed.state, completed.statements, completed.positions) == ("loaded", 2, 3)
    assert completed.notes == []
    assert [(line[0], line[5], line[6]) for line in stored(session)] == [
        ("A-1", 1, 3),
        ("NEW", 1, 2),
        ("NEW", 2, 4),
        ("B-1", 1, 5),
    ]
    assert import_rows(*rows, name="positions.csv") == FileResult(completed.path, "known")


@pytest.mark.usefixtures("accounts")
def test_a_file_none_of_whose_accounts_is_known_is_refused(import_rows):
    assert (
        "no account here has any of its 1 numbers at 'custodian.example': 'NEW' (line 2)"
        in import_rows(row("NEW")).error
    )


# Sides that are swapped


@pytest.mark.usefixtures("accounts")
def test_first_statements_with_the_signs_of_the_book_turned_round_are_held_and_others_beside_them_are_not(
    import_rows, session
):
    write_book(session, {"US1": "10", "US2": "-2.5", "US3": "7"})
    first = import_rows(
        row("A-1", "US1", "-10"),
        row("A-1", "US2", "2.50"),
        row("A-1", "US3", "-3", part="one"),
        row("A-1", "US3", "-4", part="two"),
        row("A-2", "US1", "-10"),
        row("A-2", "US2", "-2.5"),
    )
    assert first.held == [
        "custodian.example A-1 of 2024-01-31: the quantities of 3 of 3 positions are those of the book with the other"
        " sign: are the sides swapped?"
    ]
    right = import_rows(row("A-1", "US1", "10"), row("A-1", "US2", "-2.5"), row("A-2", "US9", "-10"))
    assert [text.partition(": ")[2] for text in right.held] == [
        "2 of the 2 positions held before are gone, and no transaction tells why"
    ]
    late = [row(account, isin, "-10", day="2024-01-29") for account in ("A-1", "A-2") for isin in ("US1", "US3")]
    assert import_rows(*late).held == []  # The book has nothing of that day or before.


# Files that come again


@pytest.mark.usefixtures("accounts")
def test_a_corrected_file_says_what_it_replaces_and_is_held_when_it_is_short(import_rows, session):
    import_rows(*(row(isin=f"US{number}") for number in range(5)))
    result = import_rows(row())
    (first,) = make.rows(session, "SELECT min(id) FROM statements")[0]
    assert result.held == [
        "custodian.example A-1 of 2024-01-31: 4 of the 5 positions held before are gone, and no transaction tells why"
    ]
    assert result.notes == [
        f"custodian.example A-1 of 2024-01-31: it replaces statement {first} of the same day, which stays as it came"
    ]


def test_an_older_statement_than_what_was_reconciled_is_kept_and_told(accounts, import_rows, session):
    session.get(CustodianAccount, accounts["A-1"]).reconciled_to = date(2024, 2, 1)
    session.commit()
    assert import_rows(row()).notes == [
        "custodian.example A-1 of 2024-01-31: the account was reconciled to 2024-02-01, so this older statement is kept"
        " and not compared"
    ]


@pytest.mark.usefixtures("accounts")
def test_two_mappings_that_claim_one_file_refuse_it(mappings, import_rows):
    (mappings / "second.toml").write_text(POSITIONS)
    assert "several mappings claim it: positions.toml, second.toml" in import_rows(row()).error


@pytest.mark.usefixtures("accounts")
def test_a_mapping_that_is_no_toml_keeps_out_only_files_that_nothing_else_can_read(mappings, import_rows, inbox, load):
    (mappings / "broken.toml").write_text("custodian = ")
    assert import_rows(row()).state == "loaded"

    (inbox / "statement.ofx").write_bytes(sgml(file_of(bank())))
    assert load(inbox / "statement.ofx")[0].state == "loaded"

    refused = import_rows(row(quantity="2"), name="other.csv")
    (again,) = load(refused.path)
    assert "other.csv: the file has " in refused.error
    assert "other.csv: this is no statement in a known format." in again.error
    for result in (refused, again):
        assert f"It may be of a mapping that can't be used: {mappings}/broken.toml: it is no TOML" in result.error


@pytest.mark.usefixtures("accounts")
def test_a_mapping_with_a_mistake_keeps_out_only_files_that_it_claims_until_it_is_mended(mappings, import_rows, load):
    (mappings / "positions.toml").write_text(POSITIONS.replace("holds", "hold"))
    (mappings / "second.toml").write_text(POSITIONS.replace("positions*", "second*"))
    refused = import_rows(row())
    assert refused.state == "refused"
    assert "the mapping that claims it can't be used: " in refused.error
    assert "positions.toml: hold is no key here; is it holds?" in refused.error
    assert import_rows(row(quantity="2"), name="second.csv").state == "loaded"

    (mappings / "positions.toml").write_text(POSITIONS)
    assert load(refused.path)[0].state == "loaded"


# The example mapping: decimal commas, sides, a control line, the day in the name

LAKEBANK = """Depot;ISIN;Valor;Name;Long/Short;Units;Price;Value;Ccy;Part
A-1;XX0000000012;100417;Pine Paper Inc. é;L;1200; 20,05 ;24060,00;USD;main
A-1;;100999;Lake Water fund;S;50,5;;;EUR;main
"""


@pytest.fixture
def lakebank(mappings, session, inbox, load) -> Callable[[str], FileResult]:
    (mappings / "lakebank.toml").write_bytes((PROJECT_DIR / "docs/mappings/lakebank_positions.toml").read_bytes())
    make.custodian_account(session, custodian="lakebank", number="A-1")
    session.commit()

    def lakebank(content: str) -> FileResult:
        (inbox / "LKB_POS_20240131.csv").write_bytes(content.encode("cp1252"))
        return load(inbox)[0]

    return lakebank


def test_the_example_mapping_reads_commas_sides_and_the_day_in_the_name(lakebank, session):
    result = lakebank(LAKEBANK + "TRAILER;2\n")
    assert (result.state, result.error, result.positions) == ("loaded", "", 2)
    assert [(line[1], line[8], line[11], *line[12:16]) for line in stored(session)] == [
        ("2024-01-31", "XX0000000012", "Pine Paper Inc. é", "1200", "20.05", "24060.00", "USD"),
        ("2024-01-31", "100999", "Lake Water fund", "-50.5", None, None, "EUR"),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (LAKEBANK, "the last line does not begin with 'TRAILER', so the file may be cut short"),
        (LAKEBANK + "TRAILER;3\n", "its last line says that rows come to 3, and they come to 2"),
        (LAKEBANK.replace("50,5", "50.5") + "TRAILER;2\n", "line 3: quantity '50.5' is no number"),
        (LAKEBANK.replace("50,5", "-50,5") + "TRAILER;2\n", "has a sign of its own, though 'Long/Short' says"),
        (LAKEBANK.replace(";S;", ";X;") + "TRAILER;2\n", "Long/Short 'X' is none of 'L', 'S'"),
        (LAKEBANK.replace("Units", "Pieces") + "TRAILER;2\n", "line 1: the column 'Units' is missing"),
    ],
)
def test_a_file_that_is_not_as_its_mapping_says_is_refused(content, says, lakebank):
    result = lakebank(content)
    assert result.state == "refused"
    assert says in result.error
