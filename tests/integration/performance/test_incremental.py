"""What is computed anew from a day on is what all of it would come to."""

# ruff: noqa: S608 (names of tables that stand here)

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as some
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from app.book import note_changes
from app.book.models import ValuationChange
from app.performance import explain_portfolios, plan_valuation, value_due_accounts, value_due_groups
from app.reconciliation.models import RunAccount
from tests import factories as make

FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=number) for number in range(21)]
TABLES = (
    "portfolio_days", "portfolio_doubts", "portfolio_holdings", "portfolio_metrics", "portfolio_parts",
    "portfolio_gains", "portfolio_attributions", "portfolio_attribution_segments",
)  # fmt: skip

DAY = some.sampled_from(DAYS)
ACCOUNT = some.integers(0, 1)
SECURITY = some.integers(0, 2)
AMOUNT = some.integers(1, 20).map(lambda tenths: Decimal(tenths) / 2)

PRICES = some.tuples(some.just("price"), SECURITY, DAY, AMOUNT)
BOOKS = some.tuples(
    some.just("book"), ACCOUNT, DAY, some.dictionaries(SECURITY, some.integers(-3, 9)), some.integers(-20, 90)
)
TRADES = some.tuples(
    some.just("trade"), ACCOUNT, DAY, SECURITY,
    some.sampled_from(["buy", "income", "fee", "deposit", "transfer", "split", "other"]),
    some.integers(-5, 5), some.integers(-30, 30), some.sampled_from(["USD", "EUR"]),
)  # fmt: skip
SPLITS = some.tuples(some.just("split"), SECURITY, DAY, some.integers(1, 3))
RATES = some.tuples(some.just("rate"), some.integers(0, 9), DAY)
FACTS = some.lists(PRICES | BOOKS | TRADES | SPLITS | RATES, max_size=25)


_BREAKS = text(
    """
    SELECT
        b.state, b.difference, CAST(b.evidence #>> '{identity,days}' AS bigint) AS break_days,
        count(d.day) FILTER (WHERE abs(d.residual) >= 0.005) AS days,
        sum(round(CAST(d.residual AS numeric), 2)) FILTER (WHERE abs(d.residual) >= 0.005) AS amount,
        count(d.day) FILTER (WHERE d.residual IS NULL) AS unknown_days
    FROM portfolios AS p
    LEFT JOIN portfolio_days AS d ON d.portfolio_id = p.id
    LEFT JOIN breaks AS b ON b.account_id = p.account_id
    WHERE p.account_id IS NOT NULL
    GROUP BY b.id, p.id
    """
)


class World:
    """Two accounts in a group, three securities (one in euros), and what becomes known of them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.accounts = [make.account(session), make.account(session, currency="EUR")]
        self.securities = [
            make.security(session, f"share-{make._numbers.__next__()}", currency=code) for code in ("USD", "USD", "EUR")
        ]
        self.group = session.execute(
            text(
                "INSERT INTO portfolios (code, name, currency, calendar, benchmark_id, due_from)"
                " VALUES (:code, 'both', 'USD', 'XNYS', :benchmark, '0001-01-01') RETURNING id"
            ),
            {"code": f"group-{make._numbers.__next__()}", "benchmark": self.securities[0]},
        ).scalar_one()
        run_id = make.run(session)
        for account in self.accounts:
            session.execute(
                insert(RunAccount).values(
                    run_id=run_id, account_id=account, group_id=account, outcome="no_statement",
                    custodian_account_id=make.custodian_account(session, account),
                )
            )  # fmt: skip
        session.execute(
            text(
                "INSERT INTO portfolio_members (portfolio_id, account_id, valid_from) VALUES (:id, :one, '0001-01-01'),"
                " (:id, :other, :later)"
            ),
            {"id": self.group, "one": self.accounts[0], "other": self.accounts[1], "later": DAYS[4]},
        )
        # What is in the group is explained against it.
        session.execute(
            text("INSERT INTO portfolios (account_id, model_id, due_from) VALUES (:id, :group, '0001-01-01')"),
            {"id": self.accounts[0], "group": self.group},
        )
        for day in DAYS[:1]:
            session.execute(
                text("INSERT INTO fx_rates (currency, rate_date, rate, source) VALUES ('USD', :day, :rate, 'test')"),
                {"day": day, "rate": 1 + Decimal(day.day) / 100},
            )

    def learn(self, fact) -> None:
        kind, of, day, *rest = fact
        if kind == "price":
            (amount,) = rest
            security = self.securities[of]
            version = self.session.scalar(
                text("SELECT coalesce(max(version), 0) + 1 FROM prices WHERE security_id = :id AND price_date = :day"),
                {"id": security, "day": day},
            )
            make.price(self.session, security, day, str(amount), version=version, currency=("USD", "USD", "EUR")[of])
            note_changes(self.session, "security", {security: day})
        elif kind == "rate":
            added = self.session.scalar(
                text(
                    "INSERT INTO fx_rates (currency, rate_date, rate, source) VALUES ('USD', :day, :rate, 'test')"
                    " ON CONFLICT DO NOTHING RETURNING rate_date"
                ),
                {"day": day, "rate": 1 + of / Decimal(10)},
            )
            if added is not None:
                note_changes(self.session, "currency", {"USD": added})
        elif kind == "split":
            (units,) = rest
            make.corporate_action(
                self.session, self.securities[of], "split", day, new_units=units, old_units=1, pay_date=day
            )
            note_changes(self.session, "security", {self.securities[of]: day})
        elif kind == "book":
            self.book(self.accounts[of], day, *rest)
            self.note(self.accounts[of], day)
        else:
            security, what, quantity, amount, currency = rest
            make.trade(
                self.session, self.accounts[of], kind=what, trade_date=day, settle_date=day, amount=amount,
                currency=currency, security_id=self.securities[security] if what not in {"fee", "deposit"} else None,
                quantity=quantity if what not in {"fee", "deposit", "income"} else 0,
            )  # fmt: skip
            self.note(self.accounts[of], day)

    def note(self, account_id, day) -> None:
        self.session.execute(insert(ValuationChange).values(account_id=account_id, first_day=day))

    def book(self, account, day, positions, cash) -> None:
        asked = {"id": account, "day": day}
        for table in ("book_positions", "book_cash"):
            self.session.execute(text(f"DELETE FROM {table} WHERE account_id = :id AND as_of = :day"), asked)
        self.session.execute(text("DELETE FROM book_snapshots WHERE account_id = :id AND as_of = :day"), asked)
        make.book(
            self.session, account, as_of=day,
            positions={self.securities[place]: str(units) for place, units in positions.items()},
            cash={"USD": str(cash)},
        )  # fmt: skip

    def value(self, now) -> None:
        due = plan_valuation(self.session, now=now, at_once=1)
        for first_id, last_id in due.accounts:
            value_due_accounts(self.session, first_id, last_id, now=now)
        value_due_groups(self.session, now=now)
        explain_portfolios(self.session, 0, 2**62)
        assert not make.rows(self.session, "SELECT 1 FROM portfolios WHERE due_from IS NOT NULL")
        self.breaks_are_what_is_marked()

    def breaks_are_what_is_marked(self) -> None:
        """An account's break is of the days that are marked; one of no marked day has one that is not known."""
        for row in self.session.execute(_BREAKS):
            if row.days:
                assert row.state == "open", row
                assert (row.break_days, row.difference) == (row.days, row.amount)
            else:
                assert row.state in {None, "closed"} or row.unknown_days, row

    def state(self):
        found = {}
        for table in TABLES:
            rows = self.session.execute(text(f"SELECT * FROM {table}")).mappings().all()
            found[table] = sorted(
                (
                    tuple(round(v, 9) if isinstance(v, float) else v for k, v in row.items() if k != "computed_at")
                    for row in rows
                ),
                key=str,
            )
        return found


@given(at_first=FACTS, later=some.lists(FACTS, min_size=1, max_size=3), pauses=some.lists(some.integers(0, 4)))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_computed_from_a_day_on_is_what_all_of_it_comes_to(session, at_first, later, pauses):
    with session.begin_nested() as world_of_one:
        world = World(session)
        now = datetime(2026, 3, 13, 1, tzinfo=UTC)
        for number, facts in enumerate([at_first, *later]):
            for fact in facts:
                world.learn(fact)
            now += timedelta(days=pauses[number] if number < len(pauses) else 1)
            world.value(now)
        found = world.state()
        event(f"days: {min(len(found['portfolio_days']), 40) // 10}0")
        session.execute(text("UPDATE portfolios SET due_from = '0001-01-01'"))
        for table in TABLES:
            session.execute(text(f"DELETE FROM {table}"))
        world.value(now)
        for table, rows in world.state().items():
            assert found[table] == rows, table
        world_of_one.rollback()
