"""Which reference rate a day has, said once: fixed rates, and functions that PostgreSQL puts into each statement."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

#: Days after its own for which a rate counts. The ECB's longest ordinary gap is 5 days from one publication to the next
#: (36 of 7,125 from 1999 to 2026: Easter, and Christmas or New Year beside a weekend), so that until the next one comes
#: the newest is never older. A gap that is longer is no holiday.
_DAYS = 5

#: Units of a currency for one euro, for good, from the day on which it became one: Council Regulation (EC) 2866/98,
#: with its amendment for each later member.
_FIXED = {
    "1999-01-01": {
        "EUR": "1", "ATS": "13.7603", "BEF": "40.3399", "DEM": "1.95583", "ESP": "166.386", "FIM": "5.94573",
        "FRF": "6.55957", "IEP": "0.787564", "ITL": "1936.27", "LUF": "40.3399", "NLG": "2.20371", "PTE": "200.482",
    },
    "2001-01-01": {"GRD": "340.750"},
    "2007-01-01": {"SIT": "239.640"},
    "2008-01-01": {"CYP": "0.585274", "MTL": "0.429300"},
    "2009-01-01": {"SKK": "30.1260"},
    "2011-01-01": {"EEK": "15.6466"},
    "2014-01-01": {"LVL": "0.702804"},
    "2015-01-01": {"LTL": "3.45280"},
    "2023-01-01": {"HRK": "7.53450"},
    "2026-01-01": {"BGN": "1.95583"},
}  # fmt: skip
_SOURCE = "Council Regulation (EC) 2866/98, as amended"

#: Of a form that is put into the statement that calls it, and planned with it: one SELECT, stable, not strict.
_EURO_RATE = f"""
    CREATE FUNCTION fx_euro_rate(of_currency text, on_day date) RETURNS TABLE (rate numeric, rate_date date)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT newest.rate, CASE WHEN NOT newest.is_fixed THEN newest.rate_date END
        FROM (
            SELECT f.rate, f.rate_date, f.is_fixed
            FROM fx_rates AS f
            WHERE f.currency = of_currency AND f.rate_date <= on_day
            ORDER BY f.rate_date DESC
            LIMIT 1
        ) AS newest
        WHERE newest.is_fixed OR newest.rate_date >= on_day - {_DAYS};
    END
"""

_RATE = """
    CREATE FUNCTION fx_rate(from_currency text, to_currency text, on_day date)
    RETURNS TABLE (rate numeric, from_date date, to_date date)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT CAST(1 AS numeric), CAST(NULL AS date), CAST(NULL AS date)
        WHERE from_currency = to_currency
        UNION ALL
        SELECT to_euro.rate / from_euro.rate, from_euro.rate_date, to_euro.rate_date
        FROM fx_euro_rate(from_currency, on_day) AS from_euro
        CROSS JOIN fx_euro_rate(to_currency, on_day) AS to_euro
        WHERE from_currency <> to_currency
        -- There never are more, and so the planner knows.
        LIMIT 1;
    END
"""


def upgrade() -> None:
    """Make them."""
    op.add_column("fx_rates", sa.Column("is_fixed", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    fixed = sa.table("fx_rates", *map(sa.column, ("currency", "rate_date", "rate", "source", "is_fixed")))
    for first_day, rates in _FIXED.items():
        for currency, rate in rates.items():
            op.execute(
                fixed.insert().values(
                    currency=currency,
                    rate_date=sa.cast(first_day, sa.Date),
                    rate=sa.cast(rate, sa.Numeric),
                    source=_SOURCE,
                    is_fixed=sa.true(),
                )
            )
    op.execute(_EURO_RATE)
    op.execute(_RATE)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP FUNCTION fx_rate(text, text, date)")
    op.execute("DROP FUNCTION fx_euro_rate(text, date)")
    op.execute("DELETE FROM fx_rates WHERE is_fixed")
    op.drop_column("fx_rates", "is_fixed")
