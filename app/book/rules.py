"""What must hold between the rows of an import and with the book that is there: mappings, and names that move.

Rules as `Table` has them. They may run over cells that are no dates; ISO 8601 dates are compared as text.
"""

_FIRST, _LAST = "0001-01-01", "9999-12-31"
_DATE = "'^[0-9]{4}-[0-9]{2}-[0-9]{2}$'"

#: SQL that is true for a row of `staged_accounts` that names a custodian account which neither the book nor the
#: imported mappings link the account with: importing it links them, or gives the custodian account a new number.
UNLINKED = """
    {s}.custodian IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM staged_mappings link
        WHERE (link.account, link.custodian, link.custodian_account)
              = ({s}.account, {s}.custodian, {s}.custodian_account)
    )
    AND NOT EXISTS (
        SELECT FROM accounts
        JOIN account_mappings link ON link.account_id = accounts.id
        JOIN custodian_accounts held ON held.id = link.custodian_account_id
        WHERE accounts.code = {s}.account
          AND (held.custodian, held.number) = ({s}.custodian, {s}.custodian_account)
    )
"""

_STAND_TOGETHER = """
    SELECT row, 'custodian and custodian_account stand together or not at all' AS says
    FROM staged_accounts
    WHERE (custodian IS NULL) <> (custodian_account IS NULL)
"""

_NEEDS_CUSTODIAN = """
    SELECT row, '{column} is that of a custodian, and none is named' AS says
    FROM staged_accounts
    WHERE {column} IS NOT NULL AND custodian IS NULL
"""

_SAME_IN_ALL_ROWS = """
    SELECT max(row),
           'custodian account ''' || custodian_account || ''' of ''' || custodian || ''' has several'
           || ' statement_frequency, statement_lag_days or statement_cutoff' AS says
    FROM staged_accounts
    WHERE custodian IS NOT NULL AND custodian_account IS NOT NULL
    GROUP BY custodian, custodian_account
    HAVING count(DISTINCT (coalesce(statement_frequency, ''), coalesce(statement_lag_days, '1'),
                           coalesce(statement_cutoff, ''))) > 1
"""

# Where mappings say more than the table accounts can, an empty cell of it says nothing.
_KEEPS_ITS_CUSTODIAN = f"""
    SELECT s.row,
           'account ''' || s.account || ''' can''t lose its custodian account, which statements and breaks belong to;'
           || ' make it inactive instead, or end its mapping' AS says
    FROM staged_accounts s
    JOIN accounts a ON a.code = s.account
    JOIN account_mappings m ON m.account_id = a.id
    WHERE s.custodian IS NULL AND 'custodian' = ANY(:given)
      AND (m.valid_from, m.valid_to) = ('{_FIRST}', '{_LAST}')
      AND NOT EXISTS (
          SELECT FROM account_mappings o
          WHERE o.account_id = m.account_id AND o.custodian_account_id <> m.custodian_account_id
      )
      AND NOT EXISTS (
          SELECT FROM account_mappings o
          WHERE o.custodian_account_id = m.custodian_account_id AND o.account_id <> m.account_id
      )
      AND NOT EXISTS (SELECT FROM staged_mappings t WHERE t.account = s.account)
"""  # noqa: S608 (of texts that stand here)

# Another number of the one custodian account that an account has is taken for a new number of the same one.
_CHANGES_IN_PLACE = f"""
    WITH changed AS (
        SELECT s.row, s.account, s.custodian, s.custodian_account,
               count(*) AS mappings,
               min(c.custodian) AS old_custodian,
               min(c.number) AS old_number,
               max(m.valid_to) AS valid_to,
               bool_or(listed.account IS NOT NULL) AS is_listed,
               bool_or(named.custodian IS NOT NULL OR EXISTS (
                   SELECT FROM account_mappings o
                   WHERE o.custodian_account_id = c.id AND o.account_id <> a.id
               )) AS is_shared,
               bool_or(c.custodian <> s.custodian AND EXISTS (
                   SELECT FROM statements t WHERE t.custodian_account_id = c.id
               )) AS has_spoken
        FROM staged_accounts s
        JOIN accounts a ON a.code = s.account
        JOIN account_mappings m ON m.account_id = a.id
        JOIN custodian_accounts c ON c.id = m.custodian_account_id
        LEFT JOIN (SELECT DISTINCT account FROM staged_mappings) listed ON listed.account = s.account
        LEFT JOIN (SELECT DISTINCT custodian, custodian_account FROM staged_mappings) named
               ON (named.custodian, named.custodian_account) = (c.custodian, c.number)
        WHERE {UNLINKED.format(s="s")}
        GROUP BY s.row, s.account, s.custodian, s.custodian_account
    ),
    judged AS (
        SELECT row,
               CASE
                   WHEN mappings > 1 OR is_listed THEN
                       'account ''' || account || ''' has more than one mapping, and custodian account '''
                       || custodian_account || ''' of ''' || custodian || ''' is in none of them'
                   WHEN has_spoken THEN
                       'two custodians claim account ''' || account || ''': ''' || old_custodian
                       || ''', whose statements are here, and ''' || custodian || ''''
                   WHEN is_shared THEN
                       'custodian account ''' || old_number || ''' of ''' || old_custodian || ''' holds other'
                       || ' accounts too, so its number does not change with account ''' || account || ''''
                   WHEN valid_to < '{_LAST}' THEN
                       'account ''' || account || ''' left custodian account ''' || old_number || ''' of '''
                       || old_custodian || ''' on ' || valid_to
               END AS says
        FROM changed
    )
    SELECT row, says || '; from when to when an account is held where stands in the table mappings' AS says
    FROM judged
    WHERE says IS NOT NULL
"""  # noqa: S608

_BELONGS_TO_ANOTHER = f"""
    SELECT s.row,
           'custodian account ''' || s.custodian_account || ''' of ''' || s.custodian || ''' belongs to account '''
           || min(a.code) || ''' already; that it holds several stands in the table mappings' AS says
    FROM staged_accounts s
    JOIN custodian_accounts c ON (c.custodian, c.number) = (s.custodian, s.custodian_account)
    JOIN account_mappings m ON m.custodian_account_id = c.id
    JOIN accounts a ON a.id = m.account_id
    WHERE {UNLINKED.format(s="s")}
      AND NOT EXISTS (  -- unless it gets another number in the same import
          SELECT FROM staged_accounts other WHERE other.account = a.code AND {UNLINKED.format(s="other")}
      )
    GROUP BY s.row, s.custodian, s.custodian_account
"""  # noqa: S608

_IS_THERE_ALREADY = f"""
    SELECT s.row,
           'custodian account ''' || s.custodian_account || ''' of ''' || s.custodian || ''' is there already beside'
           || ' the one of account ''' || s.account || '''; from when on it is held there stands in the table mappings'
           AS says
    FROM staged_accounts s
    JOIN accounts a ON a.code = s.account
    JOIN custodian_accounts c ON (c.custodian, c.number) = (s.custodian, s.custodian_account)
    WHERE EXISTS (SELECT FROM account_mappings m WHERE m.account_id = a.id)
      AND NOT EXISTS (SELECT FROM account_mappings m WHERE m.custodian_account_id = c.id)
      AND {UNLINKED.format(s="s")}
"""  # noqa: S608

ACCOUNT_RULES = (
    _STAND_TOGETHER,
    _NEEDS_CUSTODIAN.format(column="statement_frequency"),
    _NEEDS_CUSTODIAN.format(column="statement_cutoff"),
    _SAME_IN_ALL_ROWS,
    _KEEPS_ITS_CUSTODIAN,
    _CHANGES_IN_PLACE,
    _BELONGS_TO_ANOTHER,
    _IS_THERE_ALREADY,
)

#: SQL that tells rows of `staged_accounts` whose custodian account no other row may have.
ALONE_IN_ACCOUNTS = UNLINKED.format(s="staged_accounts")


def _ends_after_it_starts(table: str) -> str:
    return f"""
        SELECT row, 'valid_to ' || valid_to || ' is before valid_from ' || valid_from AS says
        FROM staged_{table}
        WHERE valid_to < valid_from
    """  # noqa: S608


def _days(span: str) -> str:
    return f"""
        CASE
            WHEN ({span}_from, {span}_to) = ('{_FIRST}', '{_LAST}') THEN 'always'
            WHEN {span}_to = '{_LAST}' THEN 'from ' || {span}_from || ' on'
            WHEN {span}_from = '{_FIRST}' THEN 'until ' || {span}_to
            ELSE 'from ' || {span}_from || ' to ' || {span}_to
        END
    """


def _one_meaning_a_day(table: str, *, key: tuple[str, ...], holder: str, known: str, says: str) -> str:
    """Return the rule that no two rows of one key, imported or kept, share a day.

    Args:
        table: whose rows are imported.
        key: SQL of what must be there once a day, over the imported rows.
        holder: the column that tells what the key belongs to.
        known: SQL of the rows that the book has: the key, the holder, and the dates as text.
        says: SQL of the sentence up to the two spans, over `key_…`, `holder` and `old_holder`.
    """
    names = ", ".join(f"key_{number}" for number in range(len(key)))
    # Sorted and not joined: the planner can't know how many rows of a key there are.
    return f"""
        WITH known ({names}, holder, valid_from, valid_to) AS ({known}),
        spans AS (
            SELECT row, {", ".join(f"{column} AS key_{number}" for number, column in enumerate(key))},
                   {holder} AS holder, coalesce(valid_from, '{_FIRST}') AS valid_from, valid_to AS new_to,
                   NULL AS old_to
            FROM staged_{table}
            WHERE coalesce(valid_from, '{_FIRST}') ~ {_DATE} AND coalesce(valid_to, '{_LAST}') ~ {_DATE}
            UNION ALL
            SELECT NULL, {names}, holder, valid_from, NULL, valid_to
            FROM known
        ),
        merged AS (
            SELECT max(row) AS row, {names}, valid_from,
                   coalesce(max(holder) FILTER (WHERE row IS NOT NULL), max(holder)) AS holder,
                   coalesce(
                       CASE WHEN count(row) > 0 AND 'valid_to' = ANY(:given) THEN max(new_to) ELSE max(old_to) END,
                       '{_LAST}'
                   ) AS valid_to
            FROM spans
            GROUP BY {names}, valid_from
        ),
        beside AS (
            SELECT *, lag(row) OVER days AS old_row, lag(holder) OVER days AS old_holder,
                   lag(valid_from) OVER days AS old_from, lag(valid_to) OVER days AS old_to
            FROM merged
            WINDOW days AS (PARTITION BY {names} ORDER BY valid_from)
        )
        SELECT greatest(row, old_row),
               {says} || ' (' || {_days("old")} || '; ' || {_days("valid")} || ');'
               || ' the one must end before the other begins' AS says
        FROM beside
        WHERE valid_from <= old_to
    """  # noqa: S608


MAPPING_RULES = (
    _ends_after_it_starts("mappings"),
    _one_meaning_a_day(
        "mappings",
        key=("account", "custodian", "custodian_account"),
        holder="account",
        known="""
            SELECT a.code, c.custodian, c.number, a.code, to_char(m.valid_from, 'YYYY-MM-DD'),
                   to_char(m.valid_to, 'YYYY-MM-DD')
            FROM account_mappings m
            JOIN accounts a ON a.id = m.account_id
            JOIN custodian_accounts c ON c.id = m.custodian_account_id
        """,
        says="""
            'account ''' || key_0 || ''' and custodian account ''' || key_2 || ''' of ''' || key_1
            || ''' are mapped twice on some days'
        """,
    ),
)

IDENTIFIER_RULES = (
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
    _ends_after_it_starts("identifiers"),
    f"""
    SELECT s.row,
           s.scheme || ' ''' || s.value || ''' belongs to security ''' || x.code || ''' already' AS says
    FROM staged_identifiers s
    JOIN security_identifiers i
      ON i.scheme = s.scheme AND i.value = s.value AND i.namespace = coalesce(s.namespace, '')
     AND to_char(i.valid_from, 'YYYY-MM-DD') = coalesce(s.valid_from, '{_FIRST}')
    JOIN securities x ON x.id = i.security_id
    WHERE x.code <> s.security
    """,  # noqa: S608
    _one_meaning_a_day(
        "identifiers",
        key=("scheme", "value", "coalesce(namespace, '')"),
        holder="security",
        known="""
            SELECT i.scheme, i.value, i.namespace, x.code, to_char(i.valid_from, 'YYYY-MM-DD'),
                   to_char(i.valid_to, 'YYYY-MM-DD')
            FROM security_identifiers i
            JOIN securities x ON x.id = i.security_id
        """,
        says="""
            key_0 || ' ''' || key_1 || ''' belongs to '
            || CASE
                WHEN old_holder = holder THEN 'security ''' || holder || ''' twice'
                ELSE 'securities ''' || old_holder || ''' and ''' || holder || ''''
            END
            || ' on some days'
        """,
    ),
)

CORPORATE_ACTION_RULES = (
    """
    SELECT row, 'a split needs new_units and old_units' AS says
    FROM staged_corporate_actions
    WHERE kind = 'split' AND (new_units IS NULL OR old_units IS NULL)
    """,
    """
    SELECT row, 'a split pays nothing, so its amount, currency and pay_date are empty' AS says
    FROM staged_corporate_actions
    WHERE kind = 'split' AND num_nonnulls(amount, currency, pay_date) > 0
    """,
    """
    SELECT row, kind || ' needs pay_date, amount and currency' AS says
    FROM staged_corporate_actions
    WHERE kind IN ('dividend', 'interest') AND num_nulls(amount, currency, pay_date) > 0
    """,
    """
    SELECT row, 'only a split has new_units and old_units, and this is kind ' || kind AS says
    FROM staged_corporate_actions
    WHERE kind IN ('dividend', 'interest') AND num_nonnulls(new_units, old_units) > 0
    """,
    """
    SELECT row, 'pay_date ' || pay_date || ' is before ex_date ' || ex_date AS says
    FROM staged_corporate_actions
    WHERE kind <> 'split' AND pay_date < ex_date
    """,
)
