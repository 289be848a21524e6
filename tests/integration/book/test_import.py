"""The book's import: what the tables say is what the book has, and bad tables change nothing."""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.book import (
    EVER,
    FOREVER,
    Account,
    AccountMapping,
    AccountNotFoundError,
    BookCash,
    BookImport,
    BookImportError,
    BookPosition,
    BookSnapshot,
    BookTransaction,
    CorporateAction,
    CustodianAccount,
    Security,
    SecurityIdentifier,
    Tolerance,
    User,
    find_account,
    import_book,
)
from app.book.tables import TABLES
from app.errors import BadInputError
from tests.integration.book.folders import ACCOUNTS, SECURITIES, TODAY, bring, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write_parquet(folder: Path, table: str, columns: dict[str, Any]) -> Path:
    parquet.write_table(pa.table(columns), folder / f"{table}.parquet")
    return folder


def refused(session: Session, folder: Path, **tables: str | bytes) -> BookImportError:
    """Import what can't be imported beside good accounts and securities, and see that nothing came of it."""
    write(folder, **{"accounts": ACCOUNTS, "securities": SECURITIES, **tables})
    with pytest.raises(BookImportError) as caught:
        import_book(session, folder, TODAY)
    accounts = (Account, AccountMapping, CustodianAccount, User)
    books = (BookCash, BookImport, BookPosition, BookSnapshot, BookTransaction)
    for model in (*accounts, *books, CorporateAction, Security, SecurityIdentifier, Tolerance):
        assert session.scalar(select(func.count()).select_from(model)) == 0
    return caught.value


def book(session: Session) -> dict[str, list[tuple[Any, ...]]]:
    """The whole book by its codes, without the numbers that the database gave."""
    queries = {
        "accounts": "SELECT a.code, u.login, a.name, a.currency, a.calendar, a.active, c.custodian, c.number,"
        " c.statement_frequency, c.statement_lag_days FROM accounts a JOIN users u ON u.id = a.user_id"
        " LEFT JOIN account_mappings m ON m.account_id = a.id"
        " LEFT JOIN custodian_accounts c ON c.id = m.custodian_account_id",
        "custodian_accounts": "SELECT custodian, number, statement_frequency, statement_lag_days, statement_cutoff"
        " FROM custodian_accounts",
        "mappings": "SELECT a.code, c.custodian, c.number, m.valid_from, m.valid_to FROM account_mappings m"
        " JOIN accounts a ON a.id = m.account_id JOIN custodian_accounts c ON c.id = m.custodian_account_id",
        "securities": "SELECT code, name, asset_class, currency, tracked FROM securities",
        "identifiers": "SELECT x.code, i.scheme, i.value, i.namespace, i.valid_from, i.valid_to"
        " FROM security_identifiers i JOIN securities x ON x.id = i.security_id",
        "versions": "SELECT a.code, s.as_of FROM book_snapshots s JOIN accounts a ON a.id = s.account_id",
        "positions": "SELECT a.code, p.as_of, x.code, p.quantity_traded, p.quantity_settled"
        " FROM book_positions p JOIN accounts a ON a.id = p.account_id"
        " JOIN securities x ON x.id = p.security_id",
        "cash": "SELECT a.code, c.as_of, c.currency, c.amount_traded, c.amount_settled"
        " FROM book_cash c JOIN accounts a ON a.id = c.account_id",
        "transactions": "SELECT a.code, t.reference, t.kind, x.code, t.trade_date, t.settle_date, t.quantity,"
        " t.amount, t.currency, t.description, t.custodian_reference, t.fx_rate FROM book_transactions t"
        " JOIN accounts a ON a.id = t.account_id LEFT JOIN securities x ON x.id = t.security_id",
        "corporate_actions": "SELECT c.reference, c.kind, x.code, c.ex_date, c.pay_date, c.new_units, c.old_units,"
        " c.amount, c.currency FROM corporate_actions c JOIN securities x ON x.id = c.security_id",
        "tolerances": "SELECT figure, asset_class, currency, absolute, relative FROM tolerances",
    }
    return {
        name: sorted((tuple(row) for row in session.execute(text(query))), key=repr) for name, query in queries.items()
    }


def test_each_table_comes_as_it_is_written(session: Session, folder: Path) -> None:
    counts = bring(
        session,
        folder,
        accounts="account,user,name,currency,calendar,active,custodian,custodian_account,statement_frequency,"
        "statement_lag_days,statement_cutoff\n"
        'A1,ann,"First, the ""big"" one",USD,XLON,false,bank,1,weekly,3,09:30\n',
        mappings="account,custodian,custodian_account,valid_from,valid_to\nA1,trust,X,2026-01-02,\n"
        "A1,trust,Y,,2026-01-01\n",
        securities="tracked,security,name,asset_class,currency\nfalse,PINE,Pine Paper,equity,USD\n",
        identifiers="security,scheme,value,namespace,valid_from,valid_to\nPINE,ISIN,US0000000001,,,\n"
        "PINE,SYMBOL,PIN,XNYS,2026-01-01,2026-12-31\n",
        positions="account,as_of,security,quantity_traded,quantity_settled\n"
        "A1,2026-03-05,PINE,-12.340,999999999999999999.999999999999\n",
        cash="account,as_of,currency,amount_traded,amount_settled\nA1,2026-03-04,JPY,+5,.5\n",
        transactions="account,reference,kind,security,trade_date,settle_date,quantity,amount,currency,description,"
        "custodian_reference,fx_rate\n"
        'A1,T1,buy,PINE,2026-03-06,2026-03-09,1,-2.50,USD,"two\nlines",C-1,1.0825\n'
        "A1,T2,fee,,2026-03-06,2026-03-06,,-1,USD,,,\n",
        corporate_actions="reference,kind,security,ex_date,pay_date,new_units,old_units,amount,currency\n"
        "C1,split,PINE,2026-03-09,,3,2,,\nC2,dividend,PINE,2026-03-13,2026-03-31,,,0.42,USD\n",
        tolerances="figure,asset_class,currency,absolute,relative\nquantity,fund,USD,0.01,0.001\ncash,,,1,\n",
    )

    assert counts == {
        "accounts": 1, "mappings": 2, "securities": 1, "identifiers": 2, "positions": 1, "cash": 1,
        "transactions": 2, "corporate_actions": 2, "tolerances": 2,
    }  # fmt: skip
    assert book(session) == {
        "accounts": [
            ("A1", "ann", 'First, the "big" one', "USD", "XLON", False, "bank", "1", "weekly", 3),
            ("A1", "ann", 'First, the "big" one', "USD", "XLON", False, "trust", "X", None, 1),
            ("A1", "ann", 'First, the "big" one', "USD", "XLON", False, "trust", "Y", None, 1),
        ],
        "custodian_accounts": [
            ("bank", "1", "weekly", 3, time(9, 30)),
            ("trust", "X", None, 1, None),
            ("trust", "Y", None, 1, None),
        ],
        "mappings": [
            ("A1", "bank", "1", EVER, FOREVER),
            ("A1", "trust", "X", date(2026, 1, 2), FOREVER),
            ("A1", "trust", "Y", EVER, date(2026, 1, 1)),
        ],
        "securities": [("PINE", "Pine Paper", "equity", "USD", False)],
        "identifiers": [
            ("PINE", "ISIN", "US0000000001", "", EVER, FOREVER),
            ("PINE", "SYMBOL", "PIN", "XNYS", date(2026, 1, 1), date(2026, 12, 31)),
        ],
        "versions": [("A1", date(2026, 3, 4)), ("A1", date(2026, 3, 5))],
        "positions": [("A1", date(2026, 3, 5), "PINE", Decimal("-12.340"), Decimal("999999999999999999.999999999999"))],
        "cash": [("A1", date(2026, 3, 4), "JPY", Decimal(5), Decimal("0.5"))],
        "transactions": [
            (
                "A1",
                "T1",
                "buy",
                "PINE",
                TODAY,
                date(2026, 3, 9),
                1,
                Decimal("-2.50"),
                "USD",
                "two\nlines",
                "C-1",
                Decimal("1.0825"),
            ),
            ("A1", "T2", "fee", None, TODAY, TODAY, 0, -1, "USD", "", None, None),
        ],
        "corporate_actions": [
            ("C1", "split", "PINE", date(2026, 3, 9), date(2026, 3, 9), 3, 2, None, None),
            ("C2", "dividend", "PINE", date(2026, 3, 13), date(2026, 3, 31), None, None, Decimal("0.42"), "USD"),
        ],
        "tolerances": [("cash", None, None, 1, 0), ("quantity", "fund", "USD", Decimal("0.01"), Decimal("0.001"))],
    }


def test_the_digits_stay_as_they_are_written(session: Session, folder: Path) -> None:
    bring(
        session,
        folder,
        accounts=ACCOUNTS,
        cash="account,as_of,currency,amount_traded,amount_settled\nA1,2026-03-05,USD,10.10,10\n",
    )
    assert session.scalars(select(BookCash)).one().amount_traded.as_tuple().exponent == -2


def test_an_import_is_recorded_with_its_source_and_counts(session: Session, folder: Path) -> None:
    write(folder, accounts=ACCOUNTS, cash="account,as_of,currency,amount_traded,amount_settled\n"
          "A2,2026-03-05,USD,0,0\n")  # fmt: skip
    result = import_book(session, folder, TODAY)
    recorded = session.get_one(BookImport, result.import_id)
    assert recorded.source == str(folder)
    assert recorded.counts == result.counts == {"accounts": 2, "cash": 1}
    assert session.scalars(select(BookSnapshot)).one().import_id == result.import_id


def test_left_out_columns_mean_what_the_models_have_as_default(session: Session, folder: Path) -> None:
    bring(
        session,
        folder,
        accounts=ACCOUNTS,
        securities=SECURITIES,
        transactions="account,reference,kind,trade_date,settle_date,currency\nA1,T,fee,2026-03-06,2026-03-06,USD\n",
        tolerances="figure\ncash\n",
    )
    for model in (Account, CustodianAccount, Security, BookTransaction, Tolerance):
        for column in model.__table__.columns:
            if column.server_default is not None and column.name != "id":
                default = session.scalar(text(f"SELECT {column.server_default.arg!r}::{column.type}"))
                assert session.scalars(select(column).limit(1)).one() == default, column


def test_an_empty_cell_is_a_column_left_out(session: Session, folder: Path) -> None:
    bring(
        session,
        folder,
        accounts="account,user,name,currency,calendar,active,custodian,custodian_account,statement_lag_days\n"
        "A1,ann,First,USD,,,bank,1,\n",
    )
    assert book(session)["accounts"] == [("A1", "ann", "First", "USD", "XNYS", True, "bank", "1", None, 1)]


def test_rows_are_updated_by_their_key_and_left_out_columns_stay(session: Session, folder: Path) -> None:
    bring(
        session,
        folder,
        accounts="account,user,name,currency,calendar,active,custodian,custodian_account,statement_frequency,"
        "statement_lag_days,statement_cutoff\nA1,ann,First,USD,XLON,false,bank,1,weekly,3,18:00\n",
        securities="security,name,asset_class,currency,tracked\nPINE,Pine,equity,USD,false\n",
        transactions="account,reference,kind,security,trade_date,settle_date,quantity,amount,currency,description,"
        "custodian_reference,fx_rate\nA1,T,buy,PINE,2026-03-05,2026-03-06,1,-2,USD,note,C-1,2\n",
        tolerances="figure,currency,absolute,relative\ncash,JPY,1,0.5\n",
    )
    bring(
        session,
        folder,
        accounts="account,user,name,currency,custodian,custodian_account\nA1,bob,Renamed,EUR,trust,2\n",
        securities="security,name,asset_class,currency\nPINE,Pine Paper,fund,CAD\n",
        transactions="account,reference,kind,trade_date,settle_date,currency\nA1,T,sell,2026-03-04,2026-03-04,CAD\n",
        tolerances="figure,currency,absolute\ncash,JPY,2\n",
    )

    after = book(session)
    assert after["accounts"] == [("A1", "bob", "Renamed", "EUR", "XLON", False, "trust", "2", "weekly", 3)]
    assert after["custodian_accounts"] == [("trust", "2", "weekly", 3, time(18))]
    assert after["securities"] == [("PINE", "Pine Paper", "fund", "CAD", False)]
    day = date(2026, 3, 4)
    assert after["transactions"] == [("A1", "T", "sell", "PINE", day, day, 1, -2, "CAD", "note", "C-1", 2)]
    assert after["tolerances"] == [("cash", None, "JPY", 2, Decimal("0.5"))]


def test_given_columns_update_the_row_also_when_nothing_else_changed(session: Session, folder: Path) -> None:
    header = (
        "account,user,name,currency,calendar,active,custodian,custodian_account,statement_frequency,"
        "statement_lag_days,statement_cutoff\n"
    )
    transactions = (
        "account,reference,kind,trade_date,settle_date,currency,security,quantity,amount,description,"
        "custodian_reference,fx_rate\n"
    )
    bring(
        session,
        folder,
        accounts=header + "A1,ann,First,USD,XNYS,true,bank,1,daily,1,09:00\n"
        "A2,ann,Second,USD,XNYS,true,bank,2,daily,1,\n",
        securities=SECURITIES,
        transactions=transactions
        + "".join(f"A1,T{n},buy,2026-03-05,2026-03-06,USD,PINE,1,1,x,C,1\n" for n in range(6)),
    )
    bring(
        session,
        folder,
        accounts=header + "A1,ann,First,USD,XLON,true,bank,1,,1,\nA2,ann,Second,USD,XNYS,false,bank,2,daily,2,10:00\n",
        securities="security,name,asset_class,currency,tracked\nPINE,Pine Paper,equity,USD,false\n",
        transactions=transactions + "A1,T0,buy,2026-03-05,2026-03-06,USD,,1,1,x,C,1\n"
        "A1,T1,buy,2026-03-05,2026-03-06,USD,PINE,2,1,x,C,1\n"
        "A1,T2,buy,2026-03-05,2026-03-06,USD,PINE,1,2,x,C,1\n"
        "A1,T3,buy,2026-03-05,2026-03-06,USD,PINE,1,1,y,C,1\n"
        "A1,T4,buy,2026-03-05,2026-03-06,USD,PINE,1,1,x,,1\n"
        "A1,T5,buy,2026-03-05,2026-03-06,USD,PINE,1,1,x,C,\n",
    )

    after = book(session)
    assert [row[4:] for row in after["accounts"]] == [
        ("XLON", True, "bank", "1", None, 1),
        ("XNYS", False, "bank", "2", "daily", 2),
    ]
    assert [row[4] for row in after["custodian_accounts"]] == [None, time(10)]
    assert after["securities"][1][4] is False
    assert [(row[3], *row[6:8], *row[9:]) for row in after["transactions"]] == [
        (None, 1, 1, "x", "C", 1), ("PINE", 2, 1, "x", "C", 1), ("PINE", 1, 2, "x", "C", 1),
        ("PINE", 1, 1, "y", "C", 1), ("PINE", 1, 1, "x", None, 1), ("PINE", 1, 1, "x", "C", None),
    ]  # fmt: skip


POSITIONS = "account,as_of,security,quantity_traded,quantity_settled\n"
CASH = "account,as_of,currency,amount_traded,amount_settled\n"
ACTIONS = "reference,kind,security,ex_date,pay_date,new_units,old_units,amount,currency\n"


def test_a_version_is_replaced_whole_and_other_versions_stay(session: Session, folder: Path) -> None:
    bring(
        session,
        folder,
        accounts=ACCOUNTS,
        securities=SECURITIES,
        positions=POSITIONS + "A1,2026-03-04,PINE,1,1\nA1,2026-03-05,PINE,2,2\nA1,2026-03-05,LAKE,3,3\n"
        "A2,2026-03-05,PINE,4,4\n",
        cash=CASH + "A1,2026-03-04,USD,10,10\nA1,2026-03-05,USD,20,20\nA1,2026-03-05,EUR,30,30\n",
    )
    old_import = session.scalars(select(BookSnapshot.import_id).distinct()).one()

    bring(session, folder, positions=POSITIONS + "A1,2026-03-05,LAKE,7,7\n", cash=CASH + "A1,2026-03-05,EUR,8,8\n")

    after = book(session)
    assert after["positions"] == [
        ("A1", date(2026, 3, 4), "PINE", 1, 1),
        ("A1", date(2026, 3, 5), "LAKE", 7, 7),
        ("A2", date(2026, 3, 5), "PINE", 4, 4),
    ]
    assert after["cash"] == [("A1", date(2026, 3, 4), "USD", 10, 10), ("A1", date(2026, 3, 5), "EUR", 8, 8)]
    assert len(after["versions"]) == 3
    renewed = session.scalars(select(BookSnapshot).where(BookSnapshot.import_id != old_import)).one()
    assert renewed.as_of == date(2026, 3, 5)


def test_a_cash_row_of_zero_says_that_an_account_holds_nothing(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS, securities=SECURITIES,
          positions=POSITIONS + "A1,2026-03-05,PINE,2,2\n", cash=CASH + "A1,2026-03-05,USD,20,20\n")  # fmt: skip

    bring(session, folder, positions=POSITIONS, cash=CASH + "A1,2026-03-05,USD,0,0\n")

    after = book(session)
    assert after["positions"] == []
    assert after["cash"] == [("A1", date(2026, 3, 5), "USD", 0, 0)]


def test_an_absent_table_of_a_version_stays(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS, securities=SECURITIES,
          positions=POSITIONS + "A1,2026-03-05,PINE,2,2\n", cash=CASH + "A1,2026-03-05,USD,20,20\n")  # fmt: skip

    bring(session, folder, positions=POSITIONS + "A1,2026-03-05,LAKE,3,3\n")

    after = book(session)
    assert after["positions"] == [("A1", date(2026, 3, 5), "LAKE", 3, 3)]
    assert after["cash"] == [("A1", date(2026, 3, 5), "USD", 20, 20)]


def test_the_same_import_again_changes_nothing(session: Session, folder: Path) -> None:
    tables = {
        "accounts": ACCOUNTS,
        "mappings": "account,custodian,custodian_account,valid_to\nA1,bank,1,2026-01-31\nA1,bank,2,\nA2,bank,2,\n",
        "securities": SECURITIES,
        "identifiers": "security,scheme,value,namespace,valid_from\nPINE,CUSTODIAN,9,bank,2026-01-01\n",
        "corporate_actions": "reference,kind,security,ex_date,new_units,old_units\nC1,split,PINE,2026-03-09,3,2\n",
        "positions": POSITIONS + "A1,2026-03-05,PINE,2,2\n",
        "cash": CASH + "A1,2026-03-05,USD,20,20\n",
        "transactions": "account,reference,kind,trade_date,settle_date,currency\nA1,T,fee,2026-03-05,2026-03-05,USD\n",
        "tolerances": "figure,asset_class,currency,absolute\nquantity,,,1\n",
    }
    first = bring(session, folder, **tables)
    before = book(session)

    assert bring(session, folder, **tables) == first
    assert book(session) == before


def test_a_table_without_rows_is_fine(session: Session, folder: Path) -> None:
    assert bring(session, folder, accounts=ACCOUNTS, positions=POSITIONS) == {"accounts": 2, "positions": 0}


def test_what_the_session_has_loaded_is_read_again(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    account = session.scalars(select(Account).where(Account.code == "A1")).one()
    bring(session, folder, accounts="account,user,name,currency\nA1,ann,Renamed,USD\n")
    assert account.name == "Renamed"


def test_custodian_accounts_can_change_hands_in_one_import(session: Session, folder: Path) -> None:
    header = "account,user,name,currency,custodian,custodian_account\n"
    bring(session, folder, accounts=header + "A1,ann,One,USD,bank,1\nA2,ann,Two,USD,bank,2\n")
    bring(session, folder, accounts=header + "A1,ann,One,USD,bank,2\nA2,ann,Two,USD,bank,1\n")
    assert [(row[0], row[7]) for row in book(session)["accounts"]] == [("A1", "2"), ("A2", "1")]


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(session: Session, folder: Path) -> None:
    content = b"\xef\xbb\xbf" + ACCOUNTS.replace("\n", "\r\n").encode() + b"\r\n"
    assert bring(session, folder, accounts=content) == {"accounts": 2}


def test_a_second_import_waits_for_the_first(engine: Engine, folder: Path) -> None:
    with Session(engine) as first, Session(engine) as second:
        bring(first, folder, accounts=ACCOUNTS)
        second.execute(text("SET lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            bring(second, folder, tolerances="figure\ncash\n")


def csv_text(columns: dict[str, Sequence[Any]]) -> str:
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow(
            ["" if cell is None else format(cell, "f") if isinstance(cell, Decimal) else
             str(cell).lower() if isinstance(cell, bool) else cell for cell in row]
        )  # fmt: skip
    return output.getvalue()


codes = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
numbers = st.decimals(Decimal(-(10**18)) + 1, 10**18 - 1, places=12, allow_nan=False, allow_infinity=False)
past = st.dates(date(1990, 1, 1), TODAY)


@st.composite
def books(draw: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """Tables of a small book, as columns of typed cells."""
    accounts = draw(st.lists(codes, min_size=1, max_size=3, unique=True))
    securities = draw(st.lists(codes, min_size=1, max_size=3, unique=True))
    keys = draw(
        st.lists(st.tuples(st.sampled_from(accounts), past, st.sampled_from(securities)), max_size=6, unique=True)
    )
    balances = draw(
        st.lists(st.tuples(st.sampled_from(accounts), past, st.sampled_from(["USD", "JPY"])), max_size=4, unique=True)
    )
    trades = draw(st.lists(st.tuples(st.sampled_from(accounts), codes), max_size=3, unique=True))
    maybe_number = st.none() | numbers

    def some(strategy: st.SearchStrategy[Any], rows: Sequence[Any]) -> list[Any]:
        return [draw(strategy) for _ in rows]

    trade_dates = some(past, trades)
    return {
        "accounts": {
            "account": accounts,
            "user": some(codes, accounts),
            "name": some(codes, accounts),
            "currency": some(st.sampled_from(["USD", "EUR"]), accounts),
            "active": some(st.none() | st.booleans(), accounts),
            "custodian": ["bank" for _ in accounts],
            "custodian_account": accounts,
            "statement_lag_days": some(st.none() | st.integers(0, 60), accounts),
        },
        "securities": {
            "security": securities,
            "name": some(codes, securities),
            "asset_class": some(st.sampled_from(["equity", "bond"]), securities),
            "currency": some(st.sampled_from(["USD", "EUR"]), securities),
        },
        "positions": {
            "account": [key[0] for key in keys],
            "as_of": [key[1] for key in keys],
            "security": [key[2] for key in keys],
            "quantity_traded": some(numbers, keys),
            "quantity_settled": some(numbers, keys),
        },
        "cash": {
            "account": [key[0] for key in balances],
            "as_of": [key[1] for key in balances],
            "currency": [key[2] for key in balances],
            "amount_traded": some(numbers, balances),
            "amount_settled": some(numbers, balances),
        },
        "transactions": {
            "account": [key[0] for key in trades],
            "reference": [key[1] for key in trades],
            "kind": some(st.sampled_from(["buy", "other"]), trades),
            "security": some(st.none() | st.sampled_from(securities), trades),
            "trade_date": trade_dates,
            "settle_date": [day + timedelta(days=draw(st.integers(0, 9))) for day in trade_dates],
            "quantity": some(maybe_number, trades),
            "amount": some(maybe_number, trades),
            "currency": ["USD" for _ in trades],
            "description": some(st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")), trades),
        },
    }


PARQUET_TYPES = {
    **dict.fromkeys(["quantity_traded", "quantity_settled", "amount_traded"], pa.decimal128(38, 18)),
    **dict.fromkeys(["amount_settled", "quantity", "amount"], pa.decimal128(30, 12)),
    **dict.fromkeys(["as_of", "trade_date", "settle_date"], pa.date32()),
    "active": pa.bool_(),
    "statement_lag_days": pa.int16(),
    "currency": pa.dictionary(pa.int8(), pa.string()),
    "account": pa.large_string(),
}


@given(tables=books())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_and_parquet_tables_make_the_same_book(
    session: Session, folder: Path, tables: dict[str, dict[str, Any]]
) -> None:
    write(folder, **{name: csv_text(columns) for name, columns in tables.items()})
    with session.begin_nested() as savepoint:
        counts = import_book(session, folder, TODAY).counts
        from_csv = book(session)
        savepoint.rollback()

    write(folder)
    for name, columns in tables.items():
        typed = {column: pa.array(cells, PARQUET_TYPES.get(column, pa.string())) for column, cells in columns.items()}
        write_parquet(folder, name, typed)
    with session.begin_nested() as savepoint:
        assert import_book(session, folder, TODAY).counts == counts
        assert book(session) == from_csv
        savepoint.rollback()
    assert set(from_csv["positions"]) == set(zip(*tables["positions"].values(), strict=True))


def is_good_number(cell: str) -> bool:
    whole, _, decimals = (cell[1:] if cell[0] in "+-" else cell).partition(".")
    return (
        set(whole + decimals) <= set("0123456789")
        and whole + decimals != ""
        and len(cell) <= 40
        and len(whole.lstrip("0")) <= 18
        and len(decimals) <= 12
    )


number_like = st.from_regex(r"[-+]?[0-9]{0,20}\.?[0-9]{0,14}", fullmatch=True) | st.text(
    "0123456789+-.eE, _nNaA", max_size=45
)


@given(cells=st.lists(number_like.filter(bool), min_size=1, max_size=40))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_number_comes_exactly_or_not_at_all(session: Session, folder: Path, cells: list[str]) -> None:
    def cash(cells: list[str]) -> str:
        return CASH + "".join(f'A1,{TODAY - timedelta(days=days)},USD,"{cell}",0\n' for days, cell in enumerate(cells))

    bad = dict.fromkeys(cell for cell in cells if not is_good_number(cell))
    if bad:
        with pytest.raises(BookImportError) as caught:
            bring(session, folder, accounts=ACCOUNTS, cash=cash(cells))
        assert caught.value.count == len(bad)
        listed = [f"cash.csv, line {cells.index(cell) + 2}" for cell in bad]
        assert [problem.where for problem in caught.value.problems] == listed[:20]

    good = [cell for cell in cells if is_good_number(cell)]
    with session.begin_nested() as savepoint:
        bring(session, folder, accounts=ACCOUNTS, cash=cash(good))
        amounts = session.scalars(select(BookCash.amount_traded).order_by(BookCash.as_of.desc())).all()
        savepoint.rollback()
    assert amounts == [Decimal(cell) for cell in good]


#: Table, what its file has, the place of the error, and a part of its text.
BAD_TABLES: list[tuple[str, str | bytes, str, str]] = [
    # The file
    ("cash", "", "cash.csv", "is empty"),
    ("cash", "\n\n", "cash.csv", "is empty"),
    ("cash", b"\xff\xfea\x00c\x00", "cash.csv, line 1", "is not UTF-8"),
    ("cash", CASH.encode() + b"A1,2026-03-05,USD,0,0\nA\xe91,2026-03-05,USD,0,0\n", "cash.csv, line 3", "UTF-8"),
    ("cash", CASH + 'A1,2026-03-05,"USD,0,0\n' + "A1,2026-03-05,EUR,0,0\n", "cash.csv, line 2", "quotes"),
    ("cash", CASH + 'A1,2026-03-05,"US"D,0,0\n', "cash.csv, line 2", "quotes"),
    ("cash", CASH + "A1,2026-03-05,USD,0\n", "cash.csv, line 2", "has 4 cells, the header 5"),
    ("cash", CASH + "A1,2026-03-05,USD,1,000,5\n", "cash.csv, line 2", "has 6 cells, the header 5"),
    ("cash", CASH + "A1,2026-03-05,USD,0,0\0\n", "cash.csv, line 2", "NUL"),
    ("cash", CASH + "A" * 1_000_001, "cash.csv, line 2", "1000000 characters or more"),
    ("cash", CASH.replace(",", ";"), "cash.csv, line 1", "not separated by commas"),
    # Its columns
    ("cash", "account,as_of,currency,amount_traded\n", "cash.csv, line 1", "column amount_settled is missing"),
    ("cash", CASH[:-1] + ",note\n", "cash.csv, line 1", "'note' is no column of cash"),
    ("cash", CASH[:-1] + ",as_of\n", "cash.csv, line 1", "the column as_of stands there 2 times"),
    # Accounts
    ("accounts", "account,user,name,currency\nA1,,One,USD\n", "accounts.csv, line 2", "user is empty"),
    ("accounts", "account,user,name,currency\n A1,ann,One,USD\n", "accounts.csv, line 2", "has blanks around it"),
    ("accounts", 'account,user,name,currency\nA1,ann,"O\ne",USD\n', "accounts.csv, line 2", "a line break"),
    ("accounts", "account,user,name,currency\n%s,ann,One,USD\n" % ("A" * 201), "accounts.csv, line 2", "longer"),
    ("accounts", "account,user,name,currency\nA1,ann,One,DEM\n", "accounts.csv, line 2", "'DEM' is no active ISO"),
    ("accounts", "account,user,name,currency\nA1,ann,One,usd\n", "accounts.csv, line 2", "did you mean USD?"),
    ("accounts", "account,user,name,currency,calendar\nA1,ann,One,USD,XNYSE\n", "accounts.csv, line 2", "XNYS?"),
    ("accounts", "account,user,name,currency,active\nA1,ann,One,USD,yes\n", "accounts.csv, line 2", "true, false"),
    (
        "accounts",
        "account,user,name,currency,custodian,custodian_account,statement_frequency\nA1,ann,One,USD,bank,1,dayly\n",
        "accounts.csv, line 2",
        "statement_frequency 'dayly' is none of daily, weekly, monthly (did you mean daily?)",
    ),
    (
        "accounts",
        "account,user,name,currency,custodian,custodian_account,statement_lag_days\nA1,ann,One,USD,bank,1,61\n",
        "accounts.csv, line 2",
        "no whole number from 0 to 60",
    ),
    (
        "accounts",
        "account,user,name,currency,custodian,custodian_account\nA1,ann,One,USD,Bank,1\n",
        "accounts.csv, line 2",
        "custodian 'Bank' is not in lower case: bank",
    ),
    (
        "accounts",
        "account,user,name,currency,custodian,custodian_account\nA1,ann,One,USD,bank,\n",
        "accounts.csv, line 2",
        "custodian and custodian_account stand together",
    ),
    (
        "accounts",
        "account,user,name,currency,statement_frequency\nA1,ann,One,USD,daily\n",
        "accounts.csv, line 2",
        "statement_frequency is that of a custodian",
    ),
    (
        "accounts",
        "account,user,name,currency\nA1,ann,One,USD\nA2,ann,Two,USD\nA1,bob,Three,USD\n",
        "accounts.csv, line 4",
        "account 'A1' is there 2 times, first in line 2",
    ),
    (
        "accounts",
        "account,user,name,currency,custodian,custodian_account\nA1,ann,One,USD,bank,1\nA2,bob,Two,USD,bank,1\n",
        "accounts.csv, line 3",
        "custodian 'bank', custodian_account '1' is there 2 times, first in line 2. A custodian account that holds"
        " several accounts has a row each in mappings.",
    ),
    (
        "accounts",
        "account,user,name,currency,custodian,custodian_account\nA1,ann,One,USD,bank,1\nA1,ann,One,USD,trust,2\n",
        "accounts.csv, line 3",
        "account 'A1' is there 2 times, first in line 2. An account that is held in several custodian accounts has a"
        " row each in mappings.",
    ),
    (
        "accounts",
        "account,user,name,currency,custodian,custodian_account,statement_cutoff\nA1,ann,One,USD,bank,1,9:00\n",
        "accounts.csv, line 2",
        "statement_cutoff '9:00' is no time of the day of the form HH:MM",
    ),
    (
        "accounts",
        "account,user,name,currency,custodian,custodian_account,statement_cutoff\nA1,ann,One,USD,bank,1,24:00\n",
        "accounts.csv, line 2",
        "from 00:00 to 23:59",
    ),
    (
        "accounts",
        "account,user,name,currency,statement_cutoff\nA1,ann,One,USD,09:00\n",
        "accounts.csv, line 2",
        "statement_cutoff is that of a custodian",
    ),
    # Mappings
    ("mappings", "account,custodian,custodian_account\nA9,bank,1\n", "mappings.csv, line 2", "'A9' is no account"),
    ("mappings", "account,custodian,custodian_account\nA1,Bank,1\n", "mappings.csv, line 2", "lower case: bank"),
    (
        "mappings",
        "account,custodian,custodian_account,valid_from,valid_to\nA1,bank,1,2026-02-02,2026-02-01\n",
        "mappings.csv, line 2",
        "valid_to 2026-02-01 is before valid_from 2026-02-02",
    ),
    (
        "mappings",
        "account,custodian,custodian_account,valid_from\nA1,bank,1,01.02.2026\nA1,bank,1,2026-01-01\n",
        "mappings.csv, line 2",
        "valid_from '01.02.2026' is no date of the form YYYY-MM-DD",
    ),
    (
        "mappings",
        "account,custodian,custodian_account,valid_from\nA1,bank,1,\nA1,bank,1,\n",
        "mappings.csv, line 3",
        "account 'A1', custodian 'bank', custodian_account '1' is there 2 times, first in line 2",
    ),
    (
        "mappings",
        "account,custodian,custodian_account,valid_from,valid_to\nA1,bank,1,2026-02-01,\n"
        "A1,bank,1,2026-01-01,2026-02-01\n",
        "mappings.csv, line 3",
        "account 'A1' and custodian account '1' of 'bank' are mapped twice on some days (from 2026-01-01 to 2026-02-01;"
        " from 2026-02-01 on); the one must end before the other begins",
    ),
    # Securities and identifiers
    (
        "securities",
        "security,name,asset_class,currency\nPINE,Pine,Equity,USD\n",
        "securities.csv, line 2",
        "asset_class 'Equity' is not in lower case: equity",
    ),
    (
        "securities",
        SECURITIES + "PINE,Other,equity,USD\n",
        "securities.csv, line 4",
        "security 'PINE' is there 2 times, first in line 2",
    ),
    ("identifiers", "security,scheme,value\nOAK,ISIN,X\n", "identifiers.csv, line 2", "'OAK' is no security"),
    ("identifiers", "security,scheme,value\nPINE,Isin,X\n", "identifiers.csv, line 2", "did you mean ISIN?"),
    ("identifiers", "security,scheme,value\nPINE,ISIN,us1\n", "identifiers.csv, line 2", "not in capitals"),
    (
        "identifiers",
        "security,scheme,value\nPINE,SYMBOL,P\n",
        "identifiers.csv, line 2",
        "needs its exchange's MIC",
    ),
    ("identifiers", "security,scheme,value\nPINE,CUSTODIAN,1\n", "identifiers.csv, line 2", "needs its custodian"),
    (
        "identifiers",
        "security,scheme,value,namespace\nPINE,ISIN,X,XNYS\n",
        "identifiers.csv, line 2",
        "its namespace is empty",
    ),
    (
        "identifiers",
        "security,scheme,value\nPINE,ISIN,X\nLAKE,ISIN,X\n",
        "identifiers.csv, line 3",
        "scheme 'ISIN', value 'X' is there 2 times, first in line 2",
    ),
    (
        "identifiers",
        "security,scheme,value,valid_from,valid_to\nPINE,ISIN,X,,2026-02-01\nLAKE,ISIN,X,2026-02-01,\n",
        "identifiers.csv, line 3",
        "ISIN 'X' belongs to securities 'PINE' and 'LAKE' on some days (until 2026-02-01; from 2026-02-01 on)",
    ),
    (
        "identifiers",
        "security,scheme,value,valid_from\nPINE,ISIN,X,\nPINE,ISIN,X,2026-02-01\n",
        "identifiers.csv, line 3",
        "ISIN 'X' belongs to security 'PINE' twice on some days (always; from 2026-02-01 on)",
    ),
    (
        "identifiers",
        "security,scheme,value,valid_from,valid_to\nPINE,ISIN,X,2026-02-02,2026-02-01\n",
        "identifiers.csv, line 2",
        "valid_to 2026-02-01 is before valid_from 2026-02-02",
    ),
    # Positions and cash
    ("positions", POSITIONS + "A9,2026-03-05,PINE,1,1\n", "positions.csv, line 2", "account 'A9' is no account"),
    ("positions", POSITIONS + "A1,2026-03-05,OAK,1,1\n", "positions.csv, line 2", "security 'OAK' is no security"),
    ("positions", POSITIONS + ",2026-03-05,PINE,1,1\n", "positions.csv, line 2", "account is empty"),
    ("positions", POSITIONS + "A1,2026-03-05,PINE,,1\n", "positions.csv, line 2", "quantity_traded is empty"),
    (
        "positions",
        POSITIONS + "A1,2026-03-07,PINE,1,1\n",
        "positions.csv, line 2",
        "in the future (today is 2026-03",
    ),
    ("positions", POSITIONS + "A1,20260305,PINE,1,1\n", "positions.csv, line 2", "no date of the form YYYY-MM-DD"),
    ("positions", POSITIONS + "A1,2026-W10-4,PINE,1,1\n", "positions.csv, line 2", "no date of the form"),
    ("positions", POSITIONS + "A1,2026-02-30,PINE,1,1\n", "positions.csv, line 2", "no day that exists"),
    ("positions", POSITIONS + "A1,0000-01-01,PINE,1,1\n", "positions.csv, line 2", "no day that exists"),
    ("positions", POSITIONS + "A1,2026-03-05,PINE,NaN,1\n", "positions.csv, line 2", "not a finite number"),
    ("positions", POSITIONS + "A1,2026-03-05,PINE,-Infinity,1\n", "positions.csv, line 2", "not a finite number"),
    ("positions", POSITIONS + "A1,2026-03-05,PINE,1e5,1\n", "positions.csv, line 2", "has an exponent"),
    ("positions", POSITIONS + "A1,2026-03-05,PINE,1E-999999,1\n", "positions.csv, line 2", "has an exponent"),
    ("positions", POSITIONS + 'A1,2026-03-05,PINE,"1,000",1\n', "positions.csv, line 2", "is no number"),
    ("positions", POSITIONS + "A1,2026-03-05,PINE,1_0,1\n", "positions.csv, line 2", "is no number"),
    ("positions", POSITIONS + "A1,2026-03-05,PINE,٣,1\n", "positions.csv, line 2", "is no number"),
    ("positions", POSITIONS + "A1,2026-03-05,PINE,0.1234567890123,1\n", "positions.csv, line 2", "12 decimals"),
    ("positions", POSITIONS + "A1,2026-03-05,PINE,1000000000000000000,1\n", "positions.csv, line 2", "10^18"),
    ("positions", POSITIONS + f"A1,2026-03-05,PINE,{'9' * 40},1\n", "positions.csv, line 2", "not below 10^18"),
    ("positions", POSITIONS + f"A1,2026-03-05,PINE,{'9' * 131000},1\n", "positions.csv, line 2", "40 characters"),
    (
        "positions",
        POSITIONS + "A1,2026-03-05,PINE,1,1\nA1,2026-03-04,PINE,1,1\nA1,2026-03-05,PINE,2,2\n",
        "positions.csv, line 4",
        "account 'A1', as_of '2026-03-05', security 'PINE' is there 2 times, first in line 2",
    ),
    ("cash", CASH + "A1,2026-03-05,GBX,1,1\n", "cash.csv, line 2", "currency 'GBX' is no active ISO 4217 code"),
    (
        "cash",
        CASH + "A1,2026-03-05,USD,1,1\nA1,2026-03-05,USD,1,1\nA1,2026-03-05,USD,1,1\n",
        "cash.csv, line 4",
        "currency 'USD' is there 3 times, first in line 2",
    ),
    # Transactions and tolerances
    (
        "transactions",
        "account,reference,kind,trade_date,settle_date,currency\nA1,T,by,2026-03-05,2026-03-05,USD\n",
        "transactions.csv, line 2",
        "kind 'by' is none of buy, sell",
    ),
    (
        "transactions",
        "account,reference,kind,trade_date,settle_date,currency\nA1,T,buy,2026-03-05,2026-03-04,USD\n",
        "transactions.csv, line 2",
        "settle_date 2026-03-04 is before trade_date 2026-03-05",
    ),
    (
        "transactions",
        "account,reference,kind,trade_date,settle_date,currency\nA1,T,buy,2026-03-07,2026-03-08,USD\n",
        "transactions.csv, line 2",
        "trade_date '2026-03-07' is in the future",
    ),
    (
        "transactions",
        "account,reference,kind,trade_date,settle_date,currency\n"
        "A1,T,buy,2026-03-05,2026-03-05,USD\nA2,T,buy,2026-03-05,2026-03-05,USD\n"
        "A1,T,fee,2026-03-05,2026-03-05,USD\n",
        "transactions.csv, line 4",
        "account 'A1', reference 'T' is there 2 times, first in line 2",
    ),
    (
        "transactions",
        "account,reference,kind,trade_date,settle_date,currency,fx_rate\nA1,T,buy,2026-03-05,2026-03-05,USD,0\n",
        "transactions.csv, line 2",
        "fx_rate '0' is not above 0",
    ),
    # Corporate actions
    (
        "corporate_actions",
        ACTIONS + "C1,merger,PINE,2026-03-09,,3,2,,\n",
        "corporate_actions.csv, line 2",
        "kind 'merger' is none of split, dividend, interest",
    ),
    (
        "corporate_actions",
        ACTIONS + "C1,split,PINE,2026-03-09,,3,,,\n",
        "corporate_actions.csv, line 2",
        "a split needs",
    ),
    (
        "corporate_actions",
        ACTIONS + "C1,split,PINE,2026-03-09,,0,2,,\n",
        "corporate_actions.csv, line 2",
        "new_units '0' is not above 0",
    ),
    (
        "corporate_actions",
        ACTIONS + "C1,split,PINE,2026-03-09,,3,2,1,\n",
        "corporate_actions.csv, line 2",
        "a split pays nothing",
    ),
    (
        "corporate_actions",
        ACTIONS + "C1,dividend,PINE,2026-03-09,2026-03-09,,,1,\n",
        "corporate_actions.csv, line 2",
        "dividend needs pay_date, amount and currency",
    ),
    (
        "corporate_actions",
        ACTIONS + "C1,interest,PINE,2026-03-09,,,,1,USD\n",
        "corporate_actions.csv, line 2",
        "interest needs pay_date, amount and currency",
    ),
    (
        "corporate_actions",
        ACTIONS + "C1,dividend,PINE,2026-03-09,2026-03-09,3,,1,USD\n",
        "corporate_actions.csv, line 2",
        "only a split has new_units and old_units",
    ),
    (
        "corporate_actions",
        ACTIONS + "C1,dividend,PINE,2026-03-09,2026-03-08,,,1,USD\n",
        "corporate_actions.csv, line 2",
        "pay_date 2026-03-08 is before ex_date 2026-03-09",
    ),
    (
        "corporate_actions",
        ACTIONS + "C1,split,OAK,2026-03-09,,3,2,,\n",
        "corporate_actions.csv, line 2",
        "security 'OAK' is no security",
    ),
    ("tolerances", "figure\nprice\n", "tolerances.csv, line 2", "figure 'price' is none of quantity, cash"),
    ("tolerances", "figure,absolute\ncash,-1\n", "tolerances.csv, line 2", "absolute '-1' is negative"),
    ("tolerances", "figure,relative\ncash,1\n", "tolerances.csv, line 2", "relative '1' is not below 1"),
    ("tolerances", "figure,asset_class\ncash,fund\n", "tolerances.csv, line 2", "cash has no asset class"),
    (
        "tolerances",
        "figure,currency\ncash,\ncash,USD\ncash,\n",
        "tolerances.csv, line 4",
        "figure 'cash' is there 2 times, first in line 2",
    ),
]


def test_bad_tables_are_refused_with_their_place(session: Session, folder: Path, subtests: pytest.Subtests) -> None:
    for table, content, where, what in BAD_TABLES:
        with subtests.test(where=where, what=what):
            error = refused(session, folder, **{table: content})
            assert (error.count, error.where) == (1, where)
            assert what in str(error)


def test_a_misspelt_column_is_told_the_name_that_was_meant(session: Session, folder: Path) -> None:
    error = refused(session, folder, cash=CASH.replace("currency", "curency"))
    assert [(problem.what, problem.hint) for problem in error.problems] == [
        ("'curency' is no column of cash", "Did you mean currency?"),
        ("the column currency is missing", ""),
    ]


def test_a_row_behind_a_cell_of_two_lines_is_placed_on_its_own_line(session: Session, folder: Path) -> None:
    error = refused(
        session,
        folder,
        transactions="account,reference,kind,trade_date,settle_date,currency,description\n"
        'A1,T1,fee,2026-03-05,2026-03-05,USD,"one\ntwo"\n'
        "A1,T2,fee,2026-03-05,2026-03-05,US,\n",
    )
    assert error.where == "transactions.csv, line 4"


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_tables_and_rows(session: Session, folder: Path) -> None:
    error = refused(
        session,
        folder,
        accounts="account,user,name,currency\nA1,ann,One,U$D\n",
        positions=POSITIONS + "A1,2026-03-05,PINE,1,x\nA1,2026-03-09,PINE,y,1\n",
    )
    assert [problem.where for problem in error.problems] == [
        "accounts.csv, line 2",
        "positions.csv, line 2",
        "positions.csv, line 3",
        "positions.csv, line 3",
    ]
    assert str(error).startswith(f"{folder}: 4 problems, so nothing was imported\n  accounts.csv, line 2: currency")


def test_twenty_problems_are_listed_and_the_others_counted(session: Session, folder: Path) -> None:
    rows = "".join(f"A1,2026-03-05,PINE,1,bad{number}\n" for number in range(1000))
    error = refused(session, folder, positions=POSITIONS + rows, tolerances="figure\nprice\n")
    # 1000 numbers, one position that is there 1000 times, and the tolerance.
    assert error.count == 1002
    assert [problem.where for problem in error.problems] == [f"positions.csv, line {n}" for n in range(2, 22)]
    assert str(error).endswith("\n  and 982 more")


def test_the_same_mistake_in_many_rows_is_told_once(session: Session, folder: Path) -> None:
    rows = "".join(f"A1,2026-03-{day:02},US,1,1\n" for day in range(1, 6))
    error = refused(session, folder, cash=CASH + rows)
    assert str(error) == "cash.csv, line 2: currency 'US' is no active ISO 4217 code (and in 4 more rows)"


def test_an_error_leaves_the_book_as_it_was(session: Session, folder: Path) -> None:
    tables = {"accounts": ACCOUNTS, "securities": SECURITIES, "positions": POSITIONS + "A1,2026-03-05,PINE,1,1\n"}
    bring(session, folder, **tables)
    before = book(session)
    with pytest.raises(BookImportError):
        bring(
            session,
            folder,
            accounts="account,user,name,currency\nA1,eve,Stolen,USD\n",
            positions=POSITIONS + "A1,2026-03-05,PINE,2,2\nA1,2026-03-05,OAK,1,1\n",
        )
    session.commit()
    assert book(session) == before


def test_an_identifier_of_another_security_is_refused(session: Session, folder: Path) -> None:
    header = "security,scheme,value,namespace\n"
    bring(session, folder, securities=SECURITIES, identifiers=header + "PINE,ISIN,X1,\nPINE,SYMBOL,P,XNYS\n")
    with pytest.raises(BookImportError, match="ISIN 'X1' belongs to security 'PINE' already") as caught:
        bring(session, folder, identifiers=header + "LAKE,SYMBOL,P,XLON\nLAKE,ISIN,X1,\n")
    assert caught.value.where == "identifiers.csv, line 3"


def test_the_custodian_account_of_another_account_is_refused(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    with pytest.raises(BookImportError, match="account '1' of 'bank' belongs to account 'A1' already"):
        bring(session, folder, accounts="account,user,name,currency,custodian,custodian_account\nA3,x,X,USD,bank,1\n")


def test_an_account_does_not_lose_its_custodian_account(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    with pytest.raises(BookImportError, match="account 'A1' can't lose its custodian account"):
        bring(session, folder, accounts="account,user,name,currency,custodian,custodian_account\nA1,ann,X,USD,,\n")
    bring(session, folder, accounts="account,user,name,currency\nA1,ann,X,USD\n")
    assert book(session)["accounts"][0][6:8] == ("bank", "1")


@pytest.mark.parametrize(
    ("column", "cells", "what"),
    [
        ("amount_traded", pa.array([1.5]), "holds binary floating-point numbers (double)"),
        ("amount_traded", pa.array([1.5], pa.float32()), "holds binary floating-point numbers (float)"),
        ("amount_traded", pa.array([True]), "is stored as bool"),
        ("as_of", pa.array([0], pa.timestamp("us")), "is stored as timestamp[us]"),
        ("account", pa.array([b"A1"]), "is stored as binary"),
        ("currency", pa.array([{"code": "USD"}]), "is stored as struct"),
    ],
)
def test_parquet_columns_that_can_not_be_exact_are_refused(
    session: Session, folder: Path, column: str, cells: pa.Array, what: str
) -> None:
    columns = {"account": ["A1"], "as_of": [date(2026, 3, 5)], "currency": ["USD"]}
    amounts = {"amount_traded": [Decimal(1)], "amount_settled": [Decimal(1)]}
    write_parquet(write(folder, accounts=ACCOUNTS), "cash", {**columns, **amounts, column: cells})
    with pytest.raises(BookImportError) as caught:
        import_book(session, folder, TODAY)
    assert caught.value.where == f"cash.parquet, column {column}"
    assert what in caught.value.what
    assert caught.value.hint.startswith("Store it as ")


def test_bad_parquet_cells_are_placed_by_row(session: Session, folder: Path) -> None:
    columns = {
        "account": ["A1", "A1", "A1"],
        "as_of": [date(2026, 3, 5), date(2026, 3, 4), date(2026, 3, 3)],
        "currency": ["USD", "USD", "USD\0"],
        "amount_traded": pa.array([Decimal("1e-13"), Decimal(10) ** 37, Decimal(0)], pa.decimal256(60, 13)),
        "amount_settled": [0, None, 0],
    }
    write_parquet(write(folder, accounts=ACCOUNTS), "cash", columns)
    with pytest.raises(BookImportError) as caught:
        import_book(session, folder, TODAY)
    assert str(caught.value) == "cash.parquet, row 3: the row has a NUL character in it"

    write_parquet(folder, "cash", {**columns, "currency": ["USD"] * 3})
    with pytest.raises(BookImportError) as caught:
        import_book(session, folder, TODAY)
    assert [(problem.where, problem.what) for problem in caught.value.problems] == [
        ("cash.parquet, row 1", "amount_traded '0.0000000000001' has more than 12 decimals"),
        ("cash.parquet, row 2", f"amount_traded '1{'0' * 37}.{'0' * 12}' has more than 40 characters"),
        ("cash.parquet, row 2", "amount_settled is empty"),
    ]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"account,as_of\n"])
def test_what_is_no_parquet_is_refused(session: Session, folder: Path, content: bytes) -> None:
    (folder / "cash.parquet").write_bytes(content)
    with pytest.raises(BookImportError, match="can't be read as Parquet"):
        import_book(session, folder, TODAY)


def test_a_damaged_parquet_file_is_refused(session: Session, folder: Path) -> None:
    write_parquet(folder, "securities", {name: ["x"] * 1000 for name in SECURITIES.splitlines()[0].split(",")})
    content = bytearray((folder / "securities.parquet").read_bytes())
    content[4:60] = b"\xff" * 56
    (folder / "securities.parquet").write_bytes(content)
    with pytest.raises(BookImportError, match="can't be read as Parquet"):
        import_book(session, folder, TODAY)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ([], "has no table of a book"),
        (["notes.txt", ".cash.csv"], "has no table of a book"),
        (["cash.csv", "cash.parquet"], "the table cash is there twice"),
        (["cash.csv", "postions.csv"], "Did you mean positions.csv?"),
        (["Cash.CSV"], "Did you mean cash.csv?"),
        (["prices.csv"], "is no table of a book. Tables: accounts"),
    ],
)
def test_a_folder_that_is_not_a_book_is_refused(session: Session, folder: Path, names: list[str], what: str) -> None:
    for name in names:
        (folder / name).write_text(CASH)
    with pytest.raises(BadInputError) as caught:
        import_book(session, folder, TODAY)
    assert what in str(caught.value)


def test_a_table_that_can_not_be_opened_is_refused(session: Session, folder: Path) -> None:
    (folder / "cash.csv").mkdir()
    with pytest.raises(BookImportError, match=r"^cash.csv: can't be opened"):
        import_book(session, folder, TODAY)


def test_a_folder_that_is_not_there_is_refused(session: Session, folder: Path) -> None:
    with pytest.raises(BadInputError, match="is no folder"):
        import_book(session, folder / "nowhere", TODAY)


def test_a_user_finds_their_own_account(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    account = session.scalars(select(Account).where(Account.code == "A1")).one()
    assert find_account(session, account.id, account.user_id) is account


def test_an_account_of_someone_else_and_one_that_is_not_there_get_the_same_answer(
    session: Session, folder: Path
) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    first, second = session.scalars(select(Account).order_by(Account.code))
    answers = []
    for account_id in (second.id, 999_999, -1, 10**30):
        with pytest.raises(AccountNotFoundError) as caught:
            find_account(session, account_id, first.user_id)
        answers.append(str(caught.value).replace(str(account_id), "<id>", 1))
    assert len(set(answers)) == 1
    assert "Second" not in answers[0]
    assert "A2" not in answers[0]


def test_the_documentation_names_every_column_and_whether_it_may_be_left_out() -> None:
    documentation = (Path(__file__).parents[3] / "docs" / "formats-book.md").read_text()
    for table in TABLES:
        section = documentation.partition(f"\n## {table.name}\n")[2].partition("\n## ")[0]
        documented = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
        assert [(row[1].strip(" `"), row[3].strip() != "") for row in documented] == [
            (column.name, column.optional) for column in table.columns
        ]
