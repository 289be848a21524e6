"""The tables that a book is imported from: their columns, their keys, what must hold between cells.

`docs/formats-book.md` tells people the same.
"""

from dataclasses import dataclass

from app.book.cells import (
    ACCOUNT,
    CALENDAR,
    CODE,
    CURRENCY,
    DATE,
    FLAG,
    LAG,
    NUMBER,
    PAST_DATE,
    SECURITY,
    SHARE,
    TEXT,
    TOLERANCE,
    WORD,
    Kind,
    one_of,
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind
    #: Whether the column may be absent and its cells empty.
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """Columns that no two rows of a table have the same values in."""

    columns: tuple[str, ...]
    #: SQL that tells the rows that it holds for.
    among: str = "true"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: `<name>.csv` or `<name>.parquet`."""

    name: str
    columns: tuple[Column, ...]
    keys: tuple[Key, ...]
    #: SQL that gives the rows that break a rule between cells, and what to say of each. It finds the rows of
    #: all tables, as text, in `staged_<name>`, and in `:given` the columns that this table's file has.
    rules: tuple[str, ...] = ()


ACCOUNTS = Table(
    "accounts",
    (
        Column("account", CODE),
        Column("user", CODE),
        Column("name", CODE),
        Column("currency", CURRENCY),
        Column("calendar", CALENDAR, optional=True),
        Column("active", FLAG, optional=True),
        Column("custodian", WORD, optional=True),
        Column("custodian_account", CODE, optional=True),
        Column("statement_frequency", one_of("daily", "weekly", "monthly"), optional=True),
        Column("statement_lag_days", LAG, optional=True),
    ),
    (
        Key(("account",)),
        Key(("custodian", "custodian_account"), among="custodian IS NOT NULL"),
    ),
    (
        """
        SELECT row, 'custodian and custodian_account stand together or not at all' AS says
        FROM staged_accounts
        WHERE (custodian IS NULL) <> (custodian_account IS NULL)
        """,
        """
        SELECT row, 'statement_frequency is that of a custodian, and none is named' AS says
        FROM staged_accounts
        WHERE statement_frequency IS NOT NULL AND custodian IS NULL
        """,
        """
        SELECT s.row,
               'account ''' || s.account || ''' can''t lose its custodian account, which statements and'
               || ' breaks belong to; make it inactive instead' AS says
        FROM staged_accounts s
        JOIN accounts a ON a.code = s.account
        WHERE EXISTS (SELECT FROM account_mappings m WHERE m.account_id = a.id)
          AND s.custodian IS NULL AND 'custodian' = ANY(:given)
        """,
        """
        SELECT s.row,
               'custodian account ''' || c.number || ''' of ''' || c.custodian || ''' belongs to account '''
               || a.code || ''' already' AS says
        FROM staged_accounts s
        JOIN custodian_accounts c ON c.custodian = s.custodian AND c.number = s.custodian_account
        JOIN account_mappings m ON m.custodian_account_id = c.id
        JOIN accounts a ON a.id = m.account_id
        WHERE a.code <> s.account
          AND NOT EXISTS (  -- unless that account gets another one in the same import
              SELECT FROM staged_accounts other WHERE other.account = a.code AND other.custodian IS NOT NULL
          )
        """,
    ),
)

SECURITIES = Table(
    "securities",
    (
        Column("security", CODE),
        Column("name", CODE),
        Column("asset_class", WORD),
        Column("currency", CURRENCY),
        Column("tracked", FLAG, optional=True),
    ),
    (Key(("security",)),),
)

IDENTIFIERS = Table(
    "identifiers",
    (
        Column("security", SECURITY),
        Column("scheme", one_of("ISIN", "CUSIP", "SEDOL", "FIGI", "SYMBOL", "CUSTODIAN")),
        Column("value", CODE),
        Column("namespace", CODE, optional=True),
    ),
    (Key(("scheme", "value", "namespace")),),
    (
        """
        SELECT row, 'a SYMBOL needs its exchange''s MIC as namespace (four capitals or digits)' AS says
        FROM staged_identifiers
        WHERE scheme = 'SYMBOL' AND coalesce(namespace, '') !~ '^[A-Z0-9]{4}$'
        """,
        """
        SELECT row, 'a CUSTODIAN id needs its custodian as namespace, in lower case' AS says
        FROM staged_identifiers
        WHERE scheme = 'CUSTODIAN' AND (namespace IS NULL OR namespace <> lower(namespace))
        """,
        """
        SELECT row, 'of ' || scheme || ' there is one in all the world, so its namespace is empty' AS says
        FROM staged_identifiers
        WHERE scheme IN ('ISIN', 'CUSIP', 'SEDOL', 'FIGI') AND namespace IS NOT NULL
        """,
        """
        SELECT row, scheme || ' ''' || value || ''' is not in capitals' AS says
        FROM staged_identifiers
        WHERE value <> upper(value)
        """,
        """
        SELECT s.row,
               s.scheme || ' ''' || s.value || ''' belongs to security ''' || x.code || ''' already' AS says
        FROM staged_identifiers s
        JOIN security_identifiers i
          ON i.scheme = s.scheme AND i.value = s.value AND i.namespace = coalesce(s.namespace, '')
        JOIN securities x ON x.id = i.security_id
        WHERE x.code <> s.security
        """,
    ),
)

POSITIONS = Table(
    "positions",
    (
        Column("account", ACCOUNT),
        Column("as_of", PAST_DATE),
        Column("security", SECURITY),
        Column("quantity_traded", NUMBER),
        Column("quantity_settled", NUMBER),
    ),
    (Key(("account", "as_of", "security")),),
)

CASH = Table(
    "cash",
    (
        Column("account", ACCOUNT),
        Column("as_of", PAST_DATE),
        Column("currency", CURRENCY),
        Column("amount_traded", NUMBER),
        Column("amount_settled", NUMBER),
    ),
    (Key(("account", "as_of", "currency")),),
)

TRANSACTIONS = Table(
    "transactions",
    (
        Column("account", ACCOUNT),
        Column("reference", CODE),
        Column(
            "kind",
            one_of("buy", "sell", "income", "fee", "transfer", "deposit", "withdrawal", "split", "other"),
        ),
        Column("security", SECURITY, optional=True),
        Column("trade_date", PAST_DATE),
        Column("settle_date", DATE),
        Column("quantity", NUMBER, optional=True),
        Column("amount", NUMBER, optional=True),
        Column("currency", CURRENCY),
        Column("description", TEXT, optional=True),
    ),
    (Key(("account", "reference")),),
    (
        """
        SELECT row, 'settle_date ' || settle_date || ' is before trade_date ' || trade_date AS says
        FROM staged_transactions
        WHERE settle_date < trade_date  -- ISO 8601 dates sort as text
        """,
    ),
)

TOLERANCES = Table(
    "tolerances",
    (
        Column("figure", one_of("quantity", "cash")),
        Column("asset_class", WORD, optional=True),
        Column("currency", CURRENCY, optional=True),
        Column("absolute", TOLERANCE, optional=True),
        Column("relative", SHARE, optional=True),
    ),
    (Key(("figure", "asset_class", "currency")),),
    (
        """
        SELECT row, 'cash has no asset class' AS says
        FROM staged_tolerances
        WHERE figure = 'cash' AND asset_class IS NOT NULL
        """,
    ),
)

#: In the order in which one may name what an earlier one brings.
TABLES = (ACCOUNTS, SECURITIES, IDENTIFIERS, POSITIONS, CASH, TRANSACTIONS, TOLERANCES)
