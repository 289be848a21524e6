"""The statements that move checked rows from the staged tables on to the book's own.

They run in this order, those of the tables that an import has. `:import_id` is the import and `:actor` who does it;
`:given` are the columns that the table's file has: of a row that exists, a column that is not given stays as it is.
Rows that would not change are not written. What happens to a link or a name is written as an event with it.
"""

from app.book.rules import UNLINKED

#: SQL that is true when a transaction is changed in what it is matched by.
_FIGURES_CHANGED = """
    ((t.kind, t.trade_date, t.settle_date, t.currency)
     <> (excluded.kind, excluded.trade_date, excluded.settle_date, excluded.currency)
     OR 'security' = ANY(:given) AND t.security_id IS DISTINCT FROM excluded.security_id
     OR 'quantity' = ANY(:given) AND t.quantity <> excluded.quantity
     OR 'amount' = ANY(:given) AND t.amount <> excluded.amount
     OR 'custodian_reference' = ANY(:given)
        AND t.custodian_reference IS DISTINCT FROM excluded.custodian_reference)
"""

#: The row of an import as the statement that inserts it calls it: of transactions `s` and securities `x`.
_EXCLUDED = """
    CROSS JOIN LATERAL (
        SELECT s.kind, x.id AS security_id, s.trade_date::date, s.settle_date::date,
               coalesce(s.quantity::numeric, 0) AS quantity, coalesce(s.amount::numeric, 0) AS amount,
               s.currency, s.custodian_reference
    ) excluded
"""

#: Starts the SELECT of events of links; what follows in it are the event, the account or security, the subject as
#: `app.book.link_events` has it, and what was and is.
_TELL = """
    INSERT INTO link_events (actor, import_id, event, {about}, subject, before, after)
    SELECT coalesce(CAST(:actor AS text), session_user), :import_id,
"""


def _days(row: str) -> str:
    return f"jsonb_build_object('from', {row}.valid_from, 'to', {row}.valid_to)"


#: SQL of the days that a row had before the statement, whose own changes it does not see.
_DAYS_BEFORE = f"CASE WHEN old.valid_to IS NOT NULL THEN {_days('old')} END"
_EVENT = "CASE WHEN old.valid_to IS NULL THEN 'mapped' ELSE 'changed' END"

STATEMENTS: dict[str, tuple[str, ...]] = {
    "accounts": (
        """
        INSERT INTO users (login)
        SELECT DISTINCT s."user" FROM staged_accounts s
        ON CONFLICT (login) DO NOTHING
        """,
        # In another currency, or on other business days, all of its days are others.
        """
        INSERT INTO valuation_changes (account_id, first_day)
        SELECT a.id, DATE '0001-01-01'
        FROM staged_accounts s
        JOIN accounts a ON a.code = s.account
        WHERE a.currency <> s.currency
           OR 'calendar' = ANY(:given) AND a.calendar <> coalesce(s.calendar, 'XNYS')
        """,
        """
        INSERT INTO accounts AS a (code, user_id, name, currency, calendar, active)
        SELECT s.account, u.id, s.name, s.currency, coalesce(s.calendar, 'XNYS'),
               coalesce(s.active, 'true')::boolean
        FROM staged_accounts s
        JOIN users u ON u.login = s."user"
        ORDER BY s.row
        ON CONFLICT (code) DO UPDATE SET
            user_id = excluded.user_id,
            name = excluded.name,
            currency = excluded.currency,
            calendar = CASE WHEN 'calendar' = ANY(:given) THEN excluded.calendar ELSE a.calendar END,
            active = CASE WHEN 'active' = ANY(:given) THEN excluded.active ELSE a.active END
        WHERE (a.user_id, a.name, a.currency) <> (excluded.user_id, excluded.name, excluded.currency)
           OR 'calendar' = ANY(:given) AND a.calendar <> excluded.calendar
           OR 'active' = ANY(:given) AND a.active <> excluded.active
        """,
        # Numbers that change hands in an import are freed first: unique constraints look at each row in turn. An
        # account of which this is true has one mapping: the rules see to that.
        f"""
        WITH freed AS (
            UPDATE custodian_accounts c
            SET number = c.number || chr(1)
            FROM staged_accounts s
            JOIN accounts a ON a.code = s.account
            JOIN account_mappings m ON m.account_id = a.id
            WHERE m.custodian_account_id = c.id AND {UNLINKED.format(s="s")}
            RETURNING a.id AS account_id, s.custodian_account || ' of ' || s.custodian AS subject,
                      left(c.number, -1) || ' of ' || c.custodian AS old_subject
        )
        {_TELL.format(about="account_id")}
            'renumbered', account_id, subject, jsonb_build_object('custodian_account', old_subject),
            jsonb_build_object('custodian_account', subject)
        FROM freed
        """,  # noqa: S608 (of texts that stand here)
        f"""
        UPDATE custodian_accounts c
        SET custodian = s.custodian, number = s.custodian_account
        FROM staged_accounts s
        JOIN accounts a ON a.code = s.account
        JOIN account_mappings m ON m.account_id = a.id
        WHERE m.custodian_account_id = c.id AND {UNLINKED.format(s="s")}
        """,  # noqa: S608
        """
        INSERT INTO custodian_accounts (custodian, number, statement_frequency, statement_lag_days, statement_cutoff)
        SELECT s.custodian, s.custodian_account, s.statement_frequency,
               coalesce(s.statement_lag_days, '1')::bigint, s.statement_cutoff::time
        FROM staged_accounts s
        WHERE s.custodian IS NOT NULL
        ORDER BY s.row
        ON CONFLICT (custodian, number) DO NOTHING
        """,
        f"""
        WITH mapped AS (
            INSERT INTO account_mappings (custodian_account_id, account_id)
            SELECT c.id, a.id
            FROM staged_accounts s
            JOIN accounts a ON a.code = s.account
            JOIN custodian_accounts c ON (c.custodian, c.number) = (s.custodian, s.custodian_account)
            WHERE {UNLINKED.format(s="s")}
            RETURNING *
        )
        {_TELL.format(about="account_id")}
            'mapped', m.account_id, c.number || ' of ' || c.custodian, NULL, {_days("m")}
        FROM mapped m
        JOIN custodian_accounts c ON c.id = m.custodian_account_id
        ORDER BY m.account_id
        """,  # noqa: S608
        """
        UPDATE custodian_accounts c
        SET statement_frequency = CASE WHEN 'statement_frequency' = ANY(:given)
                                       THEN s.statement_frequency ELSE c.statement_frequency END,
            statement_lag_days = CASE WHEN 'statement_lag_days' = ANY(:given)
                                      THEN coalesce(s.statement_lag_days, '1')::bigint ELSE c.statement_lag_days END,
            statement_cutoff = CASE WHEN 'statement_cutoff' = ANY(:given)
                                    THEN s.statement_cutoff::time ELSE c.statement_cutoff END
        FROM staged_accounts s
        WHERE (c.custodian, c.number) = (s.custodian, s.custodian_account)
          AND ('statement_frequency' = ANY(:given)
                  AND c.statement_frequency IS DISTINCT FROM s.statement_frequency
               OR 'statement_lag_days' = ANY(:given)
                  AND c.statement_lag_days <> coalesce(s.statement_lag_days, '1')::bigint
               OR 'statement_cutoff' = ANY(:given)
                  AND c.statement_cutoff IS DISTINCT FROM s.statement_cutoff::time)
        """,
    ),
    "mappings": (
        """
        INSERT INTO custodian_accounts (custodian, number)
        SELECT s.custodian, s.custodian_account
        FROM staged_mappings s
        ORDER BY s.row
        ON CONFLICT (custodian, number) DO NOTHING
        """,
        f"""
        WITH mapped AS (
            INSERT INTO account_mappings AS m (custodian_account_id, account_id, valid_from, valid_to)
            SELECT c.id, a.id, coalesce(s.valid_from, '0001-01-01')::date, coalesce(s.valid_to, '9999-12-31')::date
            FROM staged_mappings s
            JOIN accounts a ON a.code = s.account
            JOIN custodian_accounts c ON (c.custodian, c.number) = (s.custodian, s.custodian_account)
            ON CONFLICT (custodian_account_id, account_id, valid_from) DO UPDATE SET valid_to = excluded.valid_to
            WHERE 'valid_to' = ANY(:given) AND m.valid_to <> excluded.valid_to
            RETURNING *
        )
        {_TELL.format(about="account_id")}
            {_EVENT}, m.account_id, c.number || ' of ' || c.custodian, {_DAYS_BEFORE}, {_days("m")}
        FROM mapped m
        JOIN custodian_accounts c ON c.id = m.custodian_account_id
        LEFT JOIN account_mappings old
          ON (old.custodian_account_id, old.account_id, old.valid_from)
             = (m.custodian_account_id, m.account_id, m.valid_from)
        ORDER BY m.account_id, m.valid_from
        """,  # noqa: S608
    ),
    "securities": (
        """
        INSERT INTO securities AS x (code, name, asset_class, currency, tracked)
        SELECT s.security, s.name, s.asset_class, s.currency, coalesce(s.tracked, 'true')::boolean
        FROM staged_securities s
        ORDER BY s.row
        ON CONFLICT (code) DO UPDATE SET
            name = excluded.name,
            asset_class = excluded.asset_class,
            currency = excluded.currency,
            tracked = CASE WHEN 'tracked' = ANY(:given) THEN excluded.tracked ELSE x.tracked END
        WHERE (x.name, x.asset_class, x.currency) <> (excluded.name, excluded.asset_class, excluded.currency)
           OR 'tracked' = ANY(:given) AND x.tracked <> excluded.tracked
        """,
    ),
    "identifiers": (
        f"""
        WITH named AS (
            INSERT INTO security_identifiers AS i (scheme, value, namespace, valid_from, valid_to, security_id)
            SELECT s.scheme, s.value, coalesce(s.namespace, ''), coalesce(s.valid_from, '0001-01-01')::date,
                   coalesce(s.valid_to, '9999-12-31')::date, x.id
            FROM staged_identifiers s
            JOIN securities x ON x.code = s.security
            ON CONFLICT (scheme, value, namespace, valid_from) DO UPDATE SET valid_to = excluded.valid_to
            WHERE 'valid_to' = ANY(:given) AND i.valid_to <> excluded.valid_to
            RETURNING *
        )
        {_TELL.format(about="security_id")}
            {_EVENT}, i.security_id,
            i.scheme || ' ''' || i.value || '''' || CASE WHEN i.namespace <> '' THEN ' of ' || i.namespace ELSE '' END,
            {_DAYS_BEFORE}, {_days("i")}
        FROM named i
        LEFT JOIN security_identifiers old
          ON (old.scheme, old.value, old.namespace, old.valid_from) = (i.scheme, i.value, i.namespace, i.valid_from)
        ORDER BY i.security_id, i.valid_from
        """,  # noqa: S608
    ),
    # A version that an import brings is one of positions and of cash, whichever of the two tables names it.
    "versions": (
        """
        INSERT INTO staged_versions (account_id, as_of)
        SELECT a.id, s.as_of::date
        FROM (SELECT account, as_of FROM staged_positions UNION SELECT account, as_of FROM staged_cash) s
        JOIN accounts a ON a.code = s.account
        """,
        "ANALYZE staged_versions",
        """
        INSERT INTO book_snapshots (account_id, as_of, import_id)
        SELECT account_id, as_of, :import_id FROM staged_versions
        ON CONFLICT (account_id, as_of) DO UPDATE SET import_id = excluded.import_id
        """,
        """
        INSERT INTO valuation_changes (account_id, first_day)
        SELECT account_id, min(as_of) FROM staged_versions GROUP BY account_id
        """,
    ),
    "positions": (
        """
        DELETE FROM book_positions p USING staged_versions v
        WHERE p.account_id = v.account_id AND p.as_of = v.as_of
        """,
        # In the order of the key, so that an account's rows lie together and the index grows at its end.
        """
        INSERT INTO book_positions (account_id, as_of, security_id, quantity_traded, quantity_settled)
        SELECT a.id, s.as_of::date, x.id, s.quantity_traded::numeric, s.quantity_settled::numeric
        FROM staged_positions s
        JOIN accounts a ON a.code = s.account
        JOIN securities x ON x.code = s.security
        ORDER BY 1, 2, 3
        """,
    ),
    "cash": (
        """
        DELETE FROM book_cash c USING staged_versions v
        WHERE c.account_id = v.account_id AND c.as_of = v.as_of
        """,
        """
        INSERT INTO book_cash (account_id, as_of, currency, amount_traded, amount_settled)
        SELECT a.id, s.as_of::date, s.currency, s.amount_traded::numeric, s.amount_settled::numeric
        FROM staged_cash s
        JOIN accounts a ON a.code = s.account
        ORDER BY 1, 2, 3
        """,
    ),
    "transactions": (
        # What was matched by figures that are not its figures any more is to be matched anew, and with it all that
        # it was matched with.
        f"""
        WITH undone AS (
            DELETE FROM matched_book_transactions
            WHERE match_id IN (
                SELECT matched.match_id
                FROM matched_book_transactions matched
                JOIN book_transactions t ON t.id = matched.book_transaction_id
                JOIN accounts a ON a.id = t.account_id
                JOIN staged_transactions s ON (s.account, s.reference) = (a.code, t.reference)
                LEFT JOIN securities x ON x.code = s.security
                {_EXCLUDED}
                WHERE {_FIGURES_CHANGED}
            )
            RETURNING match_id
        )
        DELETE FROM matched_statement_transactions WHERE match_id IN (SELECT match_id FROM undone)
        """,  # noqa: S608
        f"""
        INSERT INTO valuation_changes (account_id, first_day)
        SELECT a.id, min(least(t.trade_date, excluded.trade_date))
        FROM staged_transactions s
        JOIN accounts a ON a.code = s.account
        LEFT JOIN securities x ON x.code = s.security
        LEFT JOIN book_transactions t ON (t.account_id, t.reference) = (a.id, s.reference)
        {_EXCLUDED}
        WHERE t.id IS NULL OR {_FIGURES_CHANGED}
        GROUP BY a.id
        """,  # noqa: S608
        f"""
        INSERT INTO book_transactions AS t (account_id, reference, kind, security_id, trade_date, settle_date,
                                            quantity, amount, currency, description, custodian_reference, fx_rate)
        SELECT a.id, s.reference, s.kind, x.id, s.trade_date::date, s.settle_date::date,
               coalesce(s.quantity::numeric, 0), coalesce(s.amount::numeric, 0), s.currency,
               coalesce(s.description, ''), s.custodian_reference, s.fx_rate::numeric
        FROM staged_transactions s
        JOIN accounts a ON a.code = s.account
        LEFT JOIN securities x ON x.code = s.security
        ORDER BY a.id, s.row
        ON CONFLICT (account_id, reference) DO UPDATE SET
            kind = excluded.kind,
            trade_date = excluded.trade_date,
            settle_date = excluded.settle_date,
            security_id = CASE WHEN 'security' = ANY(:given) THEN excluded.security_id ELSE t.security_id END,
            quantity = CASE WHEN 'quantity' = ANY(:given) THEN excluded.quantity ELSE t.quantity END,
            amount = CASE WHEN 'amount' = ANY(:given) THEN excluded.amount ELSE t.amount END,
            currency = excluded.currency,
            description = CASE WHEN 'description' = ANY(:given)
                               THEN excluded.description ELSE t.description END,
            custodian_reference = CASE WHEN 'custodian_reference' = ANY(:given)
                                       THEN excluded.custodian_reference ELSE t.custodian_reference END,
            fx_rate = CASE WHEN 'fx_rate' = ANY(:given) THEN excluded.fx_rate ELSE t.fx_rate END
        WHERE {_FIGURES_CHANGED}
           OR 'description' = ANY(:given) AND t.description <> excluded.description
           OR 'fx_rate' = ANY(:given) AND t.fx_rate IS DISTINCT FROM excluded.fx_rate
        """,  # noqa: S608
    ),
    "corporate_actions": (
        """
        INSERT INTO valuation_changes (security_id, first_day)
        SELECT of_either.id, min(least(c.ex_date, s.ex_date::date))
        FROM staged_corporate_actions s
        JOIN securities x ON x.code = s.security
        LEFT JOIN corporate_actions c ON c.reference = s.reference
        CROSS JOIN LATERAL (SELECT x.id UNION SELECT c.security_id) of_either (id)
        WHERE of_either.id IS NOT NULL AND 'split' IN (s.kind, c.kind)
            AND (c.kind, c.security_id, c.ex_date, c.new_units, c.old_units)
                IS DISTINCT FROM (s.kind, x.id, s.ex_date::date, s.new_units::numeric, s.old_units::numeric)
        GROUP BY of_either.id
        """,
        # A column that the file does not have is one that none of its kinds has: the row is replaced whole.
        """
        INSERT INTO corporate_actions AS c (reference, kind, security_id, ex_date, pay_date, new_units, old_units,
                                            amount, currency)
        SELECT s.reference, s.kind, x.id, s.ex_date::date, coalesce(s.pay_date, s.ex_date)::date,
               s.new_units::numeric, s.old_units::numeric, s.amount::numeric, s.currency
        FROM staged_corporate_actions s
        JOIN securities x ON x.code = s.security
        ORDER BY s.row
        ON CONFLICT (reference) DO UPDATE SET
            kind = excluded.kind,
            security_id = excluded.security_id,
            ex_date = excluded.ex_date,
            pay_date = excluded.pay_date,
            new_units = excluded.new_units,
            old_units = excluded.old_units,
            amount = excluded.amount,
            currency = excluded.currency
        WHERE (c.kind, c.security_id, c.ex_date, c.pay_date, c.new_units, c.old_units, c.amount, c.currency)
              IS DISTINCT FROM (excluded.kind, excluded.security_id, excluded.ex_date, excluded.pay_date,
                                excluded.new_units, excluded.old_units, excluded.amount, excluded.currency)
        """,
    ),
    "tolerances": (
        """
        INSERT INTO tolerances AS t (figure, asset_class, currency, absolute, relative)
        SELECT s.figure, s.asset_class, s.currency, coalesce(s.absolute, '0')::numeric,
               coalesce(s.relative, '0')::numeric
        FROM staged_tolerances s
        ON CONFLICT (figure, asset_class, currency) DO UPDATE SET
            absolute = CASE WHEN 'absolute' = ANY(:given) THEN excluded.absolute ELSE t.absolute END,
            relative = CASE WHEN 'relative' = ANY(:given) THEN excluded.relative ELSE t.relative END
        WHERE 'absolute' = ANY(:given) AND t.absolute <> excluded.absolute
           OR 'relative' = ANY(:given) AND t.relative <> excluded.relative
        """,
    ),
}
