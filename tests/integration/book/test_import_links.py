"""What an import makes of links that move: accounts and custodian accounts, securities and names, matches."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.book import EVER, FOREVER, BookImportError, InstrumentName, instrument_ids
from app.reconciliation.models import MatchedBookTransaction, MatchedStatementTransaction
from tests import factories as make
from tests.integration.book.folders import ACCOUNTS, SECURITIES, bring

MAPPINGS = "account,custodian,custodian_account,valid_from,valid_to\n"
HELD = "account,user,name,currency,custodian,custodian_account\n"
NAMES = "security,scheme,value,namespace,valid_from,valid_to\n"

MARCH, APRIL = date(2026, 3, 31), date(2026, 4, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def mappings(session: Session) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in make.rows(
            session,
            "SELECT a.code, c.custodian, c.number, m.valid_from, m.valid_to FROM account_mappings m"
            " JOIN accounts a ON a.id = m.account_id JOIN custodian_accounts c ON c.id = m.custodian_account_id"
            " ORDER BY 1, 2, 3, 4",
        )
    ]


def names(session: Session) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in make.rows(
            session,
            "SELECT x.code, i.value, i.valid_from, i.valid_to FROM security_identifiers i"
            " JOIN securities x ON x.id = i.security_id ORDER BY 1, 2, 3",
        )
    ]


def custodian_account_id(session: Session, number: str) -> int:
    return make.rows(session, "SELECT id FROM custodian_accounts WHERE number = :number", number=number)[0][0]


def refusal(session: Session, folder: Path, **tables: str) -> str:
    """Import what can't be imported; see that no link came of it, and return what is said."""
    before = mappings(session), names(session)
    with pytest.raises(BookImportError) as caught:
        bring(session, folder, **tables)
    assert (mappings(session), names(session)) == before
    assert caught.value.count == 1
    return str(caught.value)


def test_an_account_moves_from_one_custodian_to_another(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    bring(session, folder, mappings=MAPPINGS + "A1,bank,1,,2026-03-31\nA1,trust,9,2026-04-01,\n")
    moved = [("A1", "bank", "1", EVER, MARCH), ("A1", "trust", "9", APRIL, FOREVER)]
    assert mappings(session) == moved

    # From now on accounts may name either.
    for number in ("bank,1", "trust,9"):
        bring(session, folder, accounts=HELD + f"A1,ann,First,USD,{number}\n")
        assert mappings(session) == moved


def test_accounts_and_mappings_of_one_folder_say_it_together(session: Session, folder: Path) -> None:
    tables = {
        "accounts": HELD + "A1,ann,First,USD,trust,9\nA2,bob,Second,EUR,,\nA3,eve,Third,EUR,bank,2\n",
        "mappings": MAPPINGS + "A1,bank,1,,2026-03-31\nA1,trust,9,2026-04-01,\nA2,bank,2,,\n",
    }
    expected = [
        ("A1", "bank", "1", EVER, MARCH),
        ("A1", "trust", "9", APRIL, FOREVER),
        ("A2", "bank", "2", EVER, FOREVER),
        ("A3", "bank", "2", EVER, FOREVER),
    ]
    for _ in range(2):
        bring(session, folder, **tables)
        assert mappings(session) == expected


def test_an_account_at_one_custodian_moves_in_one_import_of_both_tables(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    bank = custodian_account_id(session, "1")
    bring(
        session,
        folder,
        accounts=HELD + "A1,ann,First,USD,trust,9\n",
        mappings=MAPPINGS + "A1,bank,1,,2026-03-31\nA1,trust,9,2026-04-01,\n",
    )
    assert mappings(session) == [("A1", "bank", "1", EVER, MARCH), ("A1", "trust", "9", APRIL, FOREVER)]
    assert custodian_account_id(session, "1") == bank


def test_an_open_mapping_ends_when_its_row_has_a_last_day_and_opens_when_it_has_none(
    session: Session, folder: Path
) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    for last_day, valid_to in (("2026-03-31", MARCH), ("2026-04-01", APRIL), ("", FOREVER)):
        bring(session, folder, mappings=MAPPINGS + f"A1,bank,1,,{last_day}\n")
        assert mappings(session) == [("A1", "bank", "1", EVER, valid_to)]


def test_a_mapping_that_does_not_say_when_it_ends_leaves_its_end(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS, mappings=MAPPINGS + "A2,bank,2,2026-01-01,2026-03-31\n")
    bring(session, folder, mappings="account,custodian,custodian_account,valid_from\nA2,bank,2,2026-01-01\n")
    assert mappings(session)[1] == ("A2", "bank", "2", date(2026, 1, 1), MARCH)


def test_a_mapping_that_overlaps_the_one_that_is_there_is_refused(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    said = refusal(session, folder, mappings=MAPPINGS + "A1,bank,1,2026-04-01,\n")
    assert said == (
        "mappings.csv, line 2: account 'A1' and custodian account '1' of 'bank' are mapped twice on some days"
        " (always; from 2026-04-01 on); the one must end before the other begins"
    )
    bring(session, folder, mappings=MAPPINGS + "A1,bank,1,2026-04-01,\nA1,bank,1,,2026-03-31\n")
    assert len(mappings(session)) == 2
    said = refusal(session, folder, mappings=MAPPINGS + "A1,bank,1,,\n")
    assert "(always; from 2026-04-01 on)" in said


def test_another_number_of_the_only_custodian_account_is_the_same_account(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    before = custodian_account_id(session, "1")
    make.statement(session, before)
    bring(session, folder, accounts=HELD + "A1,ann,First,USD,bank,77\n")
    assert mappings(session) == [("A1", "bank", "77", EVER, FOREVER)]
    assert custodian_account_id(session, "77") == before


def test_two_custodians_that_claim_an_account_are_a_finding(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    make.statement(session, custodian_account_id(session, "1"))
    said = refusal(session, folder, accounts=HELD + "A1,ann,First,USD,trust,9\n")
    assert said == (
        "accounts.csv, line 2: two custodians claim account 'A1': 'bank', whose statements are here, and 'trust'; from"
        " when to when an account is held where stands in the table mappings"
    )


@pytest.mark.parametrize(
    ("links", "accounts", "says"),
    [
        ("A1,trust,9,,\n", "A1,ann,First,USD,bank,77\n", "account 'A1' has more than one mapping"),
        ("A2,bank,1,,\n", "A1,ann,First,USD,bank,77\n", "custodian account '1' of 'bank' holds other accounts too"),
        ("A1,bank,1,,2026-03-31\n", "A1,ann,First,USD,bank,77\n", "left custodian account '1' of 'bank' on 2026-03-31"),
        ("A2,bank,2,,\n", "A1,ann,First,USD,bank,2\n", "custodian account '2' of 'bank' belongs to account 'A2'"),
        ("A2,bank,2,,\n", "A3,eve,Third,USD,bank,2\n", "custodian account '2' of 'bank' belongs to account 'A2'"),
        # A2 names one of its two, so it gives none of them away.
        (
            "A2,bank,2,,\nA2,bank,3,,\n",
            "A2,bob,Second,EUR,bank,3\nA3,eve,Third,USD,bank,2\n",
            "custodian account '2' of 'bank' belongs to account 'A2'",
        ),
    ],
)
def test_a_custodian_account_that_leaves_room_for_a_guess_is_refused(
    session: Session, folder: Path, links: str, accounts: str, says: str
) -> None:
    bring(session, folder, accounts=ACCOUNTS, mappings=MAPPINGS + links)
    said = refusal(session, folder, accounts=HELD + accounts)
    assert says in said
    assert "the table mappings" in said


def test_a_number_does_not_change_while_mappings_say_the_old_one(session: Session, folder: Path) -> None:
    bring(session, folder, accounts=ACCOUNTS)
    renumbered = HELD + "A1,ann,First,USD,bank,77\n"
    for account in ("A1", "A2"):
        said = refusal(session, folder, accounts=renumbered, mappings=MAPPINGS + f"{account},bank,1,,\n")
        assert "the table mappings" in said


def test_a_custodian_account_of_nobody_is_not_taken_over_by_a_new_number(session: Session, folder: Path) -> None:
    make.custodian_account(session, custodian="bank", number="77")
    bring(session, folder, accounts=ACCOUNTS)
    said = refusal(session, folder, accounts=HELD + "A1,ann,First,USD,bank,77\n")
    assert "custodian account '77' of 'bank' is there already beside the one of account 'A1'" in said
    bring(session, folder, accounts=HELD + "A2,bob,Second,EUR,bank,77\n")
    assert mappings(session)[1] == ("A2", "bank", "77", EVER, FOREVER)


def test_accounts_share_a_custodian_account_only_where_mappings_say_so(session: Session, folder: Path) -> None:
    shared = HELD + "A1,ann,First,USD,bank,1\nA2,bob,Second,EUR,bank,1\n"
    with pytest.raises(BookImportError, match="has a row each in mappings"):
        bring(session, folder, accounts=shared)
    bring(session, folder, accounts=shared, mappings=MAPPINGS + "A2,bank,1,,\n")
    assert [row[0] for row in mappings(session)] == ["A1", "A2"]
    # Once it is said, accounts need no mappings beside them.
    bring(session, folder, accounts=shared)
    assert len(mappings(session)) == 2
    said = refusal(session, folder, accounts=shared + "A3,eve,Third,USD,bank,1\n")
    assert "custodian account '1' of 'bank' belongs to account 'A1' already" in said


def test_accounts_that_share_a_custodian_account_say_the_same_of_it(session: Session, folder: Path) -> None:
    header = HELD[:-1] + ",statement_frequency,statement_lag_days,statement_cutoff\n"
    tables = {"mappings": MAPPINGS + "A2,bank,1,,\n"}
    rows = "A1,ann,First,USD,bank,1,daily,1,09:00\nA2,bob,Second,EUR,bank,1,{}\n"
    for differing in ("weekly,1,09:00", "daily,2,09:00", "daily,1,"):
        with pytest.raises(BookImportError, match="'1' of 'bank' has several statement_frequency") as caught:
            bring(session, folder, accounts=header + rows.format(differing), **tables)
        assert (caught.value.count, caught.value.where) == (1, "accounts.csv, line 3")
    bring(session, folder, accounts=header + rows.format("daily,,09:00"), **tables)


def test_an_empty_custodian_leaves_an_account_to_its_mappings(session: Session, folder: Path) -> None:
    links = MAPPINGS + "A2,bank,2,2026-01-01,\nA3,bank,3,,\n"
    accounts = HELD + "A2,bob,Second,EUR,,\nA3,eve,Third,EUR,,\n"
    bring(session, folder, accounts=accounts, mappings=links)
    before = mappings(session)
    bring(session, folder, accounts=accounts, mappings=links)
    bring(session, folder, accounts=HELD + "A2,bob,Second,EUR,,\n")
    assert mappings(session) == before


def test_a_name_moves_from_one_security_to_another_at_a_date(session: Session, folder: Path) -> None:
    bring(session, folder, securities=SECURITIES, identifiers="security,scheme,value\nPINE,ISIN,X\n")
    name = InstrumentName("ISIN", "X", "")
    instrument = instrument_ids(session, [name])[name]
    moves = NAMES + "LAKE,ISIN,X,,2026-04-01,\nPINE,ISIN,X,,,2026-03-31\n"
    for _ in range(2):
        bring(session, folder, identifiers=moves)
        assert names(session) == [("LAKE", "X", APRIL, FOREVER), ("PINE", "X", EVER, MARCH)]
    resolved = make.rows(
        session,
        "SELECT x.code, i.valid_from, i.valid_to FROM instrument_securities i JOIN securities x ON x.id = i.security_id"
        " WHERE i.instrument_id = :id ORDER BY 2",
        id=instrument,
    )
    assert resolved == [("PINE", EVER, MARCH), ("LAKE", APRIL, FOREVER)]


def test_a_name_does_not_move_before_the_old_one_has_ended(session: Session, folder: Path) -> None:
    bring(session, folder, securities=SECURITIES, identifiers="security,scheme,value\nPINE,ISIN,X\n")
    said = refusal(session, folder, identifiers=NAMES + "LAKE,ISIN,X,,2026-04-01,\n")
    assert said == (
        "identifiers.csv, line 2: ISIN 'X' belongs to securities 'PINE' and 'LAKE' on some days (always; from"
        " 2026-04-01 on); the one must end before the other begins"
    )
    # Without the column, the end of what is there stays.
    bring(session, folder, identifiers=NAMES + "PINE,ISIN,X,,,2026-03-31\n")
    bring(session, folder, identifiers="security,scheme,value,valid_from\nLAKE,ISIN,X,2026-04-01\nPINE,ISIN,X,\n")
    assert names(session) == [("LAKE", "X", APRIL, FOREVER), ("PINE", "X", EVER, MARCH)]


TRADES = (
    "account,reference,kind,security,trade_date,settle_date,quantity,amount,currency,description,custodian_reference,"
    "fx_rate\n"
)
TRADE = "A1,T1,buy,PINE,2026-03-05,2026-03-06,10,-20,USD,note,C1,\n"


def match(session: Session, references: list[str], match_id: int) -> None:
    """Match transactions of the book with two of the custodian's."""
    rows = make.rows(session, "SELECT id FROM book_transactions WHERE reference = ANY(:all)", all=references)
    said = {"match_id": match_id, "run_id": 1, "rule": "group"}
    session.execute(insert(MatchedBookTransaction), [{"book_transaction_id": row.id, **said} for row in rows])
    session.execute(
        insert(MatchedStatementTransaction),
        [
            {"custodian_account_id": 1, "reference": f"S{match_id}-{row}", "statement_id": 1, "row": row, **said}
            for row in (1, 2)
        ],
    )


def matched(session: Session) -> tuple[list[str], list[str]]:
    ours = make.rows(
        session,
        "SELECT t.reference FROM matched_book_transactions m JOIN book_transactions t ON t.id = m.book_transaction_id"
        " ORDER BY 1",
    )
    theirs = make.rows(session, "SELECT reference FROM matched_statement_transactions ORDER BY 1")
    return [row[0] for row in ours], [row[0] for row in theirs]


@pytest.fixture
def matched_trades(session: Session, folder: Path) -> None:
    """T1 and T2 are matched together, T3 alone."""
    others = "".join(TRADE.replace("T1", reference).replace("C1", reference) for reference in ("T2", "T3"))
    bring(session, folder, accounts=ACCOUNTS, securities=SECURITIES, transactions=TRADES + TRADE + others)
    match(session, ["T1", "T2"], 7)
    match(session, ["T3"], 8)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("buy", "sell"),
        ("PINE", "LAKE"),
        ("PINE", ""),
        ("2026-03-05", "2026-03-04"),
        ("2026-03-06", "2026-03-09"),
        (",10,", ",11,"),
        (",-20,", ",-20.01,"),
        ("USD", "EUR"),
        ("C1", "C9"),
        ("C1", ""),
    ],
)
def test_a_transaction_whose_figures_change_is_unmatched_with_all_that_it_was_matched_with(
    session: Session, folder: Path, matched_trades: None, old: str, new: str
) -> None:
    bring(session, folder, transactions=TRADES + TRADE.replace(old, new, 1))
    assert matched(session) == (["T3"], ["S8-1", "S8-2"])


@pytest.mark.parametrize(
    "trade",
    [
        TRADE,
        TRADE.replace("note", "another note"),
        TRADE.replace("C1,\n", "C1,1.25\n"),
        TRADE.replace(",10,-20,", ",10.0,-20.00,"),
    ],
)
def test_a_transaction_whose_figures_stay_stays_matched(
    session: Session, folder: Path, matched_trades: None, trade: str
) -> None:
    bring(session, folder, transactions=TRADES + trade)
    assert matched(session) == (["T1", "T2", "T3"], ["S7-1", "S7-2", "S8-1", "S8-2"])


def test_columns_that_are_left_out_unmatch_nothing(session: Session, folder: Path, matched_trades: None) -> None:
    short = "account,reference,kind,trade_date,settle_date,currency\nA1,T1,buy,2026-03-05,2026-03-06,USD\n"
    bring(session, folder, transactions=short)
    assert matched(session) == (["T1", "T2", "T3"], ["S7-1", "S7-2", "S8-1", "S8-2"])


def test_a_corporate_action_is_replaced_whole(session: Session, folder: Path) -> None:
    bring(
        session,
        folder,
        securities=SECURITIES,
        corporate_actions="reference,kind,security,ex_date,new_units,old_units\nC1,split,PINE,2026-03-09,3,2\n",
    )
    bring(
        session,
        folder,
        corporate_actions="reference,kind,security,ex_date,pay_date,amount,currency\n"
        "C1,interest,LAKE,2026-03-10,2026-03-12,0.5,GBP\n",
    )
    assert make.rows(
        session,
        "SELECT c.kind, x.code, c.ex_date, c.pay_date, c.new_units, c.old_units, c.amount::text, c.currency"
        " FROM corporate_actions c JOIN securities x ON x.id = c.security_id",
    ) == [("interest", "LAKE", date(2026, 3, 10), date(2026, 3, 12), None, None, "0.5", "GBP")]
