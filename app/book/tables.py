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
    POSITIVE,
    SECURITY,
    SHARE,
    TEXT,
    TIME,
    TOLERANCE,
    WORD,
    Kind,
    one_of,
)
from app.book.rules import (
    ACCOUNT_RULES,
    ALONE_IN_ACCOUNTS,
    CORPORATE_ACTION_RULES,
    IDENTIFIER_RULES,
    MAPPING_RULES,
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
    #: What one can do who means what the key forbids.
    hint: str = ""


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
        Column("statement_cutoff", TIME, optional=True),
    ),
    (
        Key(("account",), hint="An account that is held in several custodian accounts has a row each in mappings."),
        Key(
            ("custodian", "custodian_account"),
            among=ALONE_IN_ACCOUNTS,
            hint="A custodian account that holds several accounts has a row each in mappings.",
        ),
    ),
    ACCOUNT_RULES,
)

MAPPINGS = Table(
    "mappings",
    (
        Column("account", ACCOUNT),
        Column("custodian", WORD),
        Column("custodian_account", CODE),
        Column("valid_from", DATE, optional=True),
        Column("valid_to", DATE, optional=True),
    ),
    (Key(("account", "custodian", "custodian_account", "valid_from")),),
    MAPPING_RULES,
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
        Column("valid_from", DATE, optional=True),
        Column("valid_to", DATE, optional=True),
    ),
    (Key(("scheme", "value", "namespace", "valid_from")),),
    IDENTIFIER_RULES,
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
        Column("settle_date", DATE, optional=True),
        Column("quantity", NUMBER, optional=True),
        Column("amount", NUMBER, optional=True),
        Column("currency", CURRENCY),
        Column("description", TEXT, optional=True),
        Column("custodian_reference", CODE, optional=True),
        Column("fx_rate", POSITIVE, optional=True),
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

CORPORATE_ACTIONS = Table(
    "corporate_actions",
    (
        Column("reference", CODE),
        Column("kind", one_of("split", "dividend", "interest")),
        Column("security", SECURITY),
        Column("ex_date", DATE),
        Column("pay_date", DATE, optional=True),
        Column("new_units", POSITIVE, optional=True),
        Column("old_units", POSITIVE, optional=True),
        Column("amount", POSITIVE, optional=True),
        Column("currency", CURRENCY, optional=True),
    ),
    (Key(("reference",)),),
    CORPORATE_ACTION_RULES,
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
TABLES = (
    ACCOUNTS,
    MAPPINGS,
    SECURITIES,
    IDENTIFIERS,
    POSITIONS,
    CASH,
    TRANSACTIONS,
    CORPORATE_ACTIONS,
    TOLERANCES,
)
