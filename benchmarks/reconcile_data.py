"""The book, the custodian's file and the transactions that `make bench-reconcile` works on: made, not sampled.

Of every 125 positions one does not agree (0.8 %): three in five of those have a unit more at the custodian, one is
missing there, and one is of another security, which is two breaks.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
from numpy.typing import NDArray
from sqlalchemy import Engine, text

#: A Tuesday, when XNYS was open; the newest day of book and file.
DAY = date(2026, 3, 10)
POSITIONS = 20
#: Of each account, on each side.
TRANSACTIONS = 5
SECURITIES = 10_000
_OFF = 125
_BATCH = 50_000
#: Securities that the book does not hold, for positions that are of another one.
_OTHERS = 1_000

MAPPING = """\
custodian = "bank.example"
files = "bank_*.csv"
holds = "positions"

[fields]
account = "account"
as_of = "as_of"
currency = "currency"
identifiers = [{ scheme = "ISIN", column = "isin" }]
quantity = "quantity"
"""


def make_book(engine: Engine, accounts: int, *, positions: int = POSITIONS) -> None:
    """Fill the book's tables: accounts, each at the custodian, securities, and what is held on the day."""
    with engine.begin() as connection:
        for statement in _BOOK:
            connection.execute(
                text(statement),
                {"accounts": accounts, "positions": positions, "securities": SECURITIES, "others": _OTHERS, "day": DAY},
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


_BOOK = (
    "INSERT INTO users (login) SELECT 'U' || i FROM generate_series(1, :accounts / 2 + 1) AS i ORDER BY i",
    """
    INSERT INTO accounts (code, user_id, name, currency)
    SELECT 'A' || i, i / 2 + 1, 'bench', 'USD' FROM generate_series(1, :accounts) AS i ORDER BY i
    """,
    """
    INSERT INTO custodian_accounts (custodian, number)
    SELECT 'bank.example', 'N' || i FROM generate_series(1, :accounts) AS i ORDER BY i
    """,
    "INSERT INTO account_mappings (custodian_account_id, account_id) SELECT id, id FROM accounts",
    """
    INSERT INTO securities (code, name, asset_class, currency)
    SELECT 'S' || i, 'bench', 'equity', 'USD' FROM generate_series(1, :securities + :others) AS i ORDER BY i
    """,
    "INSERT INTO security_identifiers (scheme, value, security_id) SELECT 'ISIN', 'XX' || lpad(id::text, 10, '0'), id"
    " FROM securities",
    "INSERT INTO book_imports (source, counts) VALUES ('bench', '{}')",
    "INSERT INTO book_snapshots (account_id, as_of, import_id) SELECT id, CAST(:day AS date) - 7, 1 FROM accounts",
    "INSERT INTO book_snapshots (account_id, as_of, import_id) SELECT id, :day, 1 FROM accounts",
    """
    INSERT INTO book_positions (account_id, as_of, security_id, quantity_traded, quantity_settled)
    SELECT a, :day, 1 + (a * 7 + k * 401) % :securities, (a * k) % 1000 + 100.25, (a * k) % 1000 + 100.25
    FROM generate_series(1, :accounts) AS a, generate_series(1, :positions) AS k
    ORDER BY 1, 2, 3
    """,
)


def write_statement(path: Path, accounts: int, *, positions: int = POSITIONS) -> tuple[int, int]:
    """Write the custodian's file; return how many rows it has and how many breaks it makes."""
    rows = breaks = 0
    with pyarrow.csv.CSVWriter(path, _SCHEMA) as writer:
        for table, made in _tables(accounts, positions):
            writer.write_table(table)
            rows += table.num_rows
            breaks += made
    return rows, breaks


_SCHEMA = pa.schema([(name, pa.string()) for name in ("account", "as_of", "isin", "quantity", "currency")])


def _tables(accounts: int, positions: int) -> Iterator[tuple[pa.Table, int]]:
    for first in range(1, accounts + 1, _BATCH):
        numbers = np.arange(first, min(first + _BATCH, accounts + 1), dtype=np.int64)
        account = np.repeat(numbers, positions)
        place = np.tile(np.arange(1, positions + 1, dtype=np.int64), len(numbers))
        row = account * positions + place
        fate = np.where(row % _OFF == 0, row // _OFF % 5, -1)
        security = 1 + (account * 7 + place * 401) % SECURITIES
        security = np.where(fate == 4, SECURITIES + 1 + row // _OFF % _OTHERS, security)  # noqa: PLR2004 (the last fate)
        quantity = account * place % 1000 + 100 + np.isin(fate, (0, 1, 2))
        kept = fate != 3  # noqa: PLR2004 (the one that is missing)
        yield (
            pa.table(
                {
                    "account": _joined("N", account[kept]),
                    "as_of": pa.repeat(DAY.isoformat(), int(kept.sum())),
                    "isin": _joined("XX", security[kept], width=10),
                    "quantity": _joined("", quantity[kept], end=".25"),
                    "currency": pa.repeat("USD", int(kept.sum())),
                }
            ),
            int((fate >= 0).sum() + (fate == 4).sum()),  # noqa: PLR2004
        )


def _joined(start: str, numbers: NDArray[np.int64], *, width: int = 0, end: str = "") -> pa.Array:
    texts = pa.compute.cast(pa.array(numbers), pa.string())
    if width:
        texts = pa.compute.utf8_lpad(texts, width, "0")
    return pa.compute.binary_join_element_wise(start, texts, end, "")


def make_transactions(engine: Engine, accounts: int) -> None:
    """Add transactions to both sides: of a hundred, 70 share the custodian's id, 29 their figures, and one is alone."""
    with engine.begin() as connection:
        for statement in _TRANSACTIONS:
            connection.execute(text(statement), {"accounts": accounts, "transactions": TRANSACTIONS, "day": DAY})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE book_transactions, statements, statement_transactions"))


_TRANSACTIONS = (
    """
    INSERT INTO book_transactions (
        account_id, reference, kind, security_id, trade_date, settle_date, quantity, amount, currency,
        custodian_reference
    )
    SELECT
        a, 'T' || k, 'buy', 1 + (a * 7 + k * 401) % 10000, :day, :day, k, -(k + a % 100 * 0.01), 'USD',
        CASE WHEN (a * 5 + k) % 100 < 70 THEN 'X' || k END
    FROM generate_series(1, :accounts) AS a, generate_series(1, :transactions) AS k
    """,
    """
    INSERT INTO statements (
        file_id, custodian_account_id, as_of, currency, states_positions, states_cash, states_transactions, period_from,
        period_to, state
    )
    SELECT (SELECT min(id) FROM statement_files), id, :day, 'USD', FALSE, FALSE, TRUE, :day, :day, 'accepted'
    FROM custodian_accounts ORDER BY id
    """,
    """
    INSERT INTO statement_transactions (
        statement_id, row, line, reference, kind, instrument_id, trade_date, settle_date, quantity, amount, currency,
        description
    )
    SELECT
        s.id, k, k, 'X' || k, 'buy', r.instrument_id, :day, :day, k,
        -(k + c.id % 100 * 0.01 + CASE WHEN (c.id * 5 + k) % 100 = 99 THEN 1000 ELSE 0 END), 'USD', ''
    FROM statements AS s
    JOIN custodian_accounts AS c ON c.id = s.custodian_account_id
    CROSS JOIN generate_series(1, :transactions) AS k
    JOIN instrument_securities AS r ON r.security_id = 1 + (c.id * 7 + k * 401) % 10000
    WHERE s.states_transactions
    ORDER BY 1, 2
    """,
)
