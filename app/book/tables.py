"""The tables that a book is imported from: their columns, what a cell may say, what must hold between cells.

`docs/formats-book.md` tells people the same.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from difflib import get_close_matches

from app.calendars import business_day_on_or_before
from app.currencies import is_currency
from app.errors import BadInputError

_LONGEST_NUMBER = 40
#: Of a quantity or an amount.
MOST_DECIMALS = 12
_LONGEST_CODE = 200
_LONGEST_LAG = 60


@dataclass(frozen=True, slots=True)
class Kind:
    """What the cells of a column may say."""

    #: Says what is wrong with a cell as of a day, as the end of a sentence that starts with it, or None.
    judge: Callable[[str, date], str | None]
    #: What Parquet may store it as: text, integer, decimal, date, boolean.
    stored_as: frozenset[str] = frozenset({"text"})
    #: SQL over `cell` that is true for all that `judge` refuses and for few others, so that a million good
    #: cells never leave the database. By default each distinct cell is judged.
    suspect: str = "true"


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


def _any_text(_cell: str, _today: date) -> None:
    return None


def _code(cell: str, _today: date) -> str | None:
    if cell != cell.strip():
        return "has blanks around it"
    if not cell.isprintable():
        return "has a line break or another control character in it"
    return f"is longer than {_LONGEST_CODE} characters" if len(cell) > _LONGEST_CODE else None


def _lower_case(cell: str, today: date) -> str | None:
    return _code(cell, today) or (None if cell == cell.lower() else f"is not in lower case: {cell.lower()}")


def _currency(cell: str, _today: date) -> str | None:
    if is_currency(cell):
        return None
    meant = cell.strip().upper()
    return "is no active ISO 4217 code" + (f" (did you mean {meant}?)" if is_currency(meant) else "")


def _calendar(cell: str, today: date) -> str | None:
    if verdict := _code(cell, today):
        return verdict
    try:
        business_day_on_or_before(cell, today)
    except BadInputError as error:
        return f"can't be used: {error}"
    return None


def _number(cell: str, _today: date) -> str | None:
    if len(cell) > _LONGEST_NUMBER:
        return f"has more than {_LONGEST_NUMBER} characters"
    if not re.fullmatch(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", cell):
        if re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", cell):
            return "has an exponent; write out the number"
        if cell.lower().lstrip("-+") in {"nan", "inf", "infinity"}:
            return "is not a finite number"
        return "is no number (digits, a point before the decimals, nothing between thousands)"
    if len(cell.partition(".")[2]) > MOST_DECIMALS:
        return f"has more than {MOST_DECIMALS} decimals"
    return "is not below 10^18" if abs(Decimal(cell)) >= 10**18 else None


def _tolerance(cell: str, today: date) -> str | None:
    return _number(cell, today) or ("is negative" if Decimal(cell) < 0 else None)


def _share(cell: str, today: date) -> str | None:
    return _tolerance(cell, today) or ("is not below 1 (1 % is 0.01)" if Decimal(cell) >= 1 else None)


def _date(cell: str, _today: date) -> str | None:
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", cell):
        return "is no date of the form YYYY-MM-DD"
    try:
        date.fromisoformat(cell)
    except ValueError:
        return "is no day that exists"
    return None


def _past_date(cell: str, today: date) -> str | None:
    return _date(cell, today) or (f"is in the future (today is {today})" if date.fromisoformat(cell) > today else None)


def _lag(cell: str, _today: date) -> str | None:
    whole = re.fullmatch("[0-9]{1,2}", cell)
    return None if whole and int(cell) <= _LONGEST_LAG else f"is no whole number from 0 to {_LONGEST_LAG}"


def _one_of(*choices: str, stored_as: frozenset[str] = frozenset({"text"})) -> Kind:
    def judge(cell: str, _today: date) -> str | None:
        if cell in choices:
            return None
        by_lower_case = {choice.lower(): choice for choice in choices}
        near = get_close_matches(cell.strip().lower(), by_lower_case, 1)
        return f"is none of {', '.join(choices)}" + (f" (did you mean {by_lower_case[near[0]]}?)" if near else "")

    return Kind(judge, stored_as)


_CODES = frozenset({"text", "integer"})
_NUMBERS = frozenset({"text", "integer", "decimal"})
_DATES = frozenset({"text", "date"})

_TEXT = Kind(_any_text, suspect="false")
_CODE = Kind(_code, _CODES, rf"length(cell) > {_LONGEST_CODE} OR cell !~ '^[!-~]([ -~]*[!-~])?$'")
_WORD = Kind(_lower_case)
_CURRENCY = Kind(_currency)
#: Those that accounts have already were judged when they came; building one takes time.
_CALENDAR = Kind(_calendar, suspect="NOT EXISTS (SELECT FROM accounts WHERE calendar = cell)")
_NUMBER = Kind(
    _number,
    _NUMBERS,
    # Nearly all numbers are plain and too short to be out of range, which is quickly seen.
    rf"CASE WHEN cell !~ '^-?[0-9]+\.?[0-9]*$' OR length(cell) > {_LONGEST_NUMBER} THEN true"
    rf" WHEN length(cell) <= {MOST_DECIMALS + 1} THEN false"
    rf" ELSE abs(cell::numeric) >= 1e18 OR scale(cell::numeric) > {MOST_DECIMALS} END",
)
_TOLERANCE = Kind(_tolerance, _NUMBERS)
_SHARE = Kind(_share, _NUMBERS)
_DATE = Kind(_date, _DATES)
_PAST_DATE = Kind(_past_date, _DATES)
_LAG = Kind(_lag, _CODES)
_FLAG = _one_of("true", "false", stored_as=frozenset({"text", "boolean"}))
_ACCOUNT = Kind(
    lambda _cell, _today: "is no account of the book or of the imported accounts",
    _CODES,
    "NOT EXISTS (SELECT FROM accounts WHERE code = cell)"
    " AND NOT EXISTS (SELECT FROM staged_accounts WHERE account = cell)",
)
_SECURITY = Kind(
    lambda _cell, _today: "is no security of the book or of the imported securities",
    _CODES,
    "NOT EXISTS (SELECT FROM securities WHERE code = cell)"
    " AND NOT EXISTS (SELECT FROM staged_securities WHERE security = cell)",
)

ACCOUNTS = Table(
    "accounts",
    (
        Column("account", _CODE),
        Column("user", _CODE),
        Column("name", _CODE),
        Column("currency", _CURRENCY),
        Column("calendar", _CALENDAR, optional=True),
        Column("active", _FLAG, optional=True),
        Column("custodian", _WORD, optional=True),
        Column("custodian_account", _CODE, optional=True),
        Column("statement_frequency", _one_of("daily", "weekly", "monthly"), optional=True),
        Column("statement_lag_days", _LAG, optional=True),
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
        Column("security", _CODE),
        Column("name", _CODE),
        Column("asset_class", _WORD),
        Column("currency", _CURRENCY),
        Column("tracked", _FLAG, optional=True),
    ),
    (Key(("security",)),),
)

IDENTIFIERS = Table(
    "identifiers",
    (
        Column("security", _SECURITY),
        Column("scheme", _one_of("ISIN", "CUSIP", "SEDOL", "FIGI", "SYMBOL", "CUSTODIAN")),
        Column("value", _CODE),
        Column("namespace", _CODE, optional=True),
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
        Column("account", _ACCOUNT),
        Column("as_of", _PAST_DATE),
        Column("security", _SECURITY),
        Column("quantity_traded", _NUMBER),
        Column("quantity_settled", _NUMBER),
    ),
    (Key(("account", "as_of", "security")),),
)

CASH = Table(
    "cash",
    (
        Column("account", _ACCOUNT),
        Column("as_of", _PAST_DATE),
        Column("currency", _CURRENCY),
        Column("amount_traded", _NUMBER),
        Column("amount_settled", _NUMBER),
    ),
    (Key(("account", "as_of", "currency")),),
)

TRANSACTIONS = Table(
    "transactions",
    (
        Column("account", _ACCOUNT),
        Column("reference", _CODE),
        Column(
            "kind",
            _one_of("buy", "sell", "income", "fee", "transfer", "deposit", "withdrawal", "split", "other"),
        ),
        Column("security", _SECURITY, optional=True),
        Column("trade_date", _PAST_DATE),
        Column("settle_date", _DATE),
        Column("quantity", _NUMBER, optional=True),
        Column("amount", _NUMBER, optional=True),
        Column("currency", _CURRENCY),
        Column("description", _TEXT, optional=True),
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
        Column("figure", _one_of("quantity", "cash")),
        Column("asset_class", _WORD, optional=True),
        Column("currency", _CURRENCY, optional=True),
        Column("absolute", _TOLERANCE, optional=True),
        Column("relative", _SHARE, optional=True),
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
