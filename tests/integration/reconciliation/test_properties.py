"""What must hold of every book and every statement, tried on small ones of all kinds."""

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.reconciliation import reconcile_shard, start_run
from tests import factories as make
from tests.factories import DAY, NOW

#: The book knows what happened since, and statements list it.
START = date(2026, 2, 24)
SECURITIES = ("AAA", "BBB", "CCC")
MIRRORED = {
    "missing_at_custodian": "missing_in_book",
    "missing_in_book": "missing_at_custodian",
    "transaction_missing_at_custodian": "transaction_missing_in_book",
    "transaction_missing_in_book": "transaction_missing_at_custodian",
}

#: What the book and a custodian call a transaction; these mean the same on either side.
MIRRORED_KINDS = {
    "buy": ("buy", "buy"),
    "sell": ("sell", "sell"),
    "income": ("income", "income"),
    "cash": ("deposit", "transfer"),
}
#: These do not: a fee that only the custodian has explains cash, and one side alone can say that it is something else,
#: or no more than that cash moved.
KINDS = {**MIRRORED_KINDS, "fee": ("fee", "expense"), "any": ("other", "cash")}

tried = settings(
    max_examples=15,
    # Each example is rolled back, so the next finds the database as this one did.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Trade:
    kind: str
    security: str | None
    day: date
    quantity: int
    amount: int
    #: So many days after.
    settles: int = 0

    @property
    def is_a_trade(self) -> bool:
        return self.kind in ("buy", "sell")


@dataclass(frozen=True)
class Side:
    """What one side says of an account."""

    positions: dict[str, Decimal]
    cash: dict[str, Decimal]
    trades: tuple[Trade, ...]


@dataclass(frozen=True)
class Account:
    owner: int
    #: The custodian account that it is in; several accounts may be in one.
    custody: int
    ours: Side
    theirs: Side


quantities = st.sampled_from([Decimal(text) for text in ("-5", "0", "1", "5", "5.0", "5.004", "10", "40", "45")])


def trades(kinds):
    def traded(kind):
        is_a_trade = kind in ("buy", "sell")
        named = SECURITIES[:2] if is_a_trade else [None] if kind in ("cash", "any") else [*SECURITIES[:2], None]
        return st.builds(
            Trade,
            kind=st.just(kind),
            security=st.sampled_from(named),
            day=st.sampled_from([DAY, DAY - timedelta(days=1), DAY - timedelta(days=4), DAY - timedelta(days=11)]),
            quantity=st.sampled_from([1, 2]) if is_a_trade else st.just(0),
            amount=st.sampled_from([-10, -20]),
        )

    return st.sampled_from(list(kinds)).flatmap(traded)


def sides(kinds):
    return st.builds(
        Side,
        positions=st.dictionaries(st.sampled_from(SECURITIES), quantities),
        cash=st.dictionaries(st.sampled_from(["USD", "JPY"]), quantities),
        trades=st.lists(trades(kinds), max_size=5).map(tuple),
    )


def of_kinds(kinds):
    return st.builds(
        Account, owner=st.integers(0, 1), custody=st.integers(0, 3), ours=sides(kinds), theirs=sides(kinds)
    )


accounts = of_kinds(KINDS)
#: Some of whose trades are not settled on DAY, which explains what the other side lacks.
unsettled = st.builds(
    replace,
    accounts,
    ours=st.builds(
        replace,
        sides(KINDS),
        trades=st.lists(
            st.builds(
                replace, trades(["buy"]), quantity=st.sampled_from([1, 5, -5]), settles=st.sampled_from([0, 5, 12])
            ),
            max_size=3,
        ).map(tuple),
    ),
)
#: Each at a custodian of its own.
apart = st.lists(of_kinds(MIRRORED_KINDS), min_size=1, max_size=4).map(
    lambda found: [replace(account, custody=number) for number, account in enumerate(found)]
)


@contextmanager
def written(session, world, *, by_id=False):
    """Write a world into the database while the block runs."""
    with session.begin_nested() as savepoint:
        _write(session, world, by_id=by_id)
        yield
        savepoint.rollback()
    session.expire_all()


def _write(session, world, *, by_id):
    securities = {code: make.security(session, code) for code in SECURITIES}
    split = {"new_units": Decimal(4), "old_units": Decimal(1)}
    make.corporate_action(session, securities["AAA"], "split", DAY, **split)
    owners = [make.user(session) for _ in range(2)]
    places = {}
    for number, account in enumerate(world):
        account_id = make.account(session, f"A{number}", user_id=owners[account.owner])
        place = places.setdefault(account.custody, make.custodian_account(session, number=f"C{number}"))
        make.mapping(session, place, account_id)
        make.book(session, account_id, as_of=START)
        make.book(
            session,
            account_id,
            positions={securities[code]: str(quantity) for code, quantity in account.ours.positions.items()},
            cash={code: str(amount) for code, amount in {"USD": Decimal(0), **account.ours.cash}.items()},
        )
        for place_of, trade in enumerate(account.ours.trades):
            make.trade(
                session, account_id, kind=KINDS[trade.kind][0],
                security_id=trade.security and securities[trade.security], reference=f"{number}-{place_of}",
                trade_date=trade.day, settle_date=trade.day + timedelta(days=trade.settles),
                quantity=trade.quantity, amount=trade.amount,
                custodian_reference=f"{number}-{place_of}" if by_id else None,
            )  # fmt: skip
    for custody, place in places.items():
        members = [(number, account) for number, account in enumerate(world) if account.custody == custody]
        rows = {
            code: [str(side.theirs.positions[code]) for _, side in members if code in side.theirs.positions]
            for code in SECURITIES
        }
        cash = {code: Decimal(0) for _, side in members for code in side.theirs.cash}
        for _, side in members:
            for code, amount in side.theirs.cash.items():
                cash[code] += amount
        statement = make.statement(
            session,
            place,
            positions={f"C-{code}": quantities for code, quantities in rows.items() if quantities},
            cash={code: str(amount) for code, amount in cash.items()},
            transactions=[
                {
                    "kind": KINDS[trade.kind][1], "cusip": trade.security and f"C-{trade.security}",
                    "trade_date": trade.day, "quantity": Decimal(trade.quantity) if trade.is_a_trade else None,
                    "amount": Decimal(trade.amount), "reference": f"{number}-{place_of}",
                }
                for number, side in members
                for place_of, trade in enumerate(side.theirs.trades)
            ],
        )  # fmt: skip
        make.rows(
            session, "UPDATE statements SET period_from = :day WHERE id = :id RETURNING 1", day=START, id=statement
        )


def run(session, *, shard_size=100, backwards=False):
    run_id = start_run(session, f"run-{next(make._numbers)}", now=NOW, shard_size=shard_size)
    numbers = make.rows(session, "SELECT number FROM run_shards WHERE run_id = :id ORDER BY number", id=run_id)
    for (number,) in reversed(numbers) if backwards else numbers:
        reconcile_shard(session, run_id, number)
    return run_id


def breaks(session):
    """All that a break says, but for the numbers of rows."""
    return sorted(
        tuple(map(str, row))
        for row in make.rows(
            session,
            "SELECT c.number, a.code, coalesce(s.code, split_part(b.subject, '@', 1)), b.kind,"
            " b.state, b.ours, b.theirs, b.difference,"
            " b.remainder,"
            " (SELECT string_agg(e ->> 'kind' || (e ->> 'amount'), '+') FROM jsonb_array_elements(b.explanations) AS e)"
            " FROM breaks AS b JOIN accounts AS a ON a.id = b.account_id"
            " JOIN custodian_accounts AS c ON c.id = b.custodian_account_id"
            " LEFT JOIN securities AS s ON s.id = b.security_id WHERE b.state <> 'closed'",
        )
    )


@tried
@given(world=st.lists(accounts, min_size=1, max_size=4), by_id=st.booleans())
def test_a_book_that_is_compared_with_itself_has_no_break(session, world, by_id):
    with written(session, [replace(account, theirs=account.ours) for account in world], by_id=by_id):
        run(session)
        assert breaks(session) == []


@tried
@given(world=apart)
def test_breaks_are_the_same_from_the_other_side(session, world):
    def found():
        run(session)
        return Counter(
            make.rows(
                session,
                "SELECT a.code, b.kind,"
                " CASE WHEN b.kind LIKE 'transaction%' THEN '' ELSE coalesce(s.code, b.subject) END,"
                " b.evidence #>> '{transaction,trade_date}',"
                " coalesce(b.evidence #>> '{transaction,quantity}', '0'), b.difference,"
                " b.remainder, b.state FROM breaks AS b JOIN accounts AS a ON a.id = b.account_id"
                " LEFT JOIN securities AS s ON s.id = b.security_id",
            )
        )

    # A currency that only one of them speaks of is no break on one side, and on the other it may be.
    def alike(account):
        both = account.ours.cash.keys() & account.theirs.cash.keys()
        ours, theirs = ({code: side.cash[code] for code in both} for side in (account.ours, account.theirs))
        return replace(account, ours=replace(account.ours, cash=ours), theirs=replace(account.theirs, cash=theirs))

    world = [alike(account) for account in world]
    with written(session, world):
        there = found()
    with written(session, [replace(account, ours=account.theirs, theirs=account.ours) for account in world]):
        back = found()
    assert back == Counter(
        {
            (code, MIRRORED.get(kind, kind), *what, -difference, -remainder, state): count
            for (code, kind, *what, difference, remainder, state), count in there.items()
        }
    )


@tried
@given(world=st.lists(accounts, min_size=1, max_size=5), shard_size=st.integers(1, 5), backwards=st.booleans())
def test_any_shards_find_the_same_breaks(session, world, shard_size, backwards):
    with written(session, world):
        run(session)
        whole = breaks(session)
    with written(session, world):
        run(session, shard_size=shard_size, backwards=backwards)
        assert breaks(session) == whole


@tried
@given(world=st.lists(accounts, min_size=1, max_size=4), shard_size=st.integers(1, 4), by_id=st.booleans())
def test_running_twice_changes_nothing(session, world, shard_size, by_id):
    with written(session, world, by_id=by_id):
        run(session)
        before = breaks(session), make.rows(session, "SELECT count(*) FROM break_events")
        run(session, shard_size=shard_size)
        assert before == (breaks(session), make.rows(session, "SELECT count(*) FROM break_events"))


@settings(tried, max_examples=60)
@given(world=st.lists(accounts, min_size=1, max_size=4), by_id=st.booleans())
def test_each_row_is_matched_at_most_once_and_what_is_matched_agrees(session, world, by_id):
    ours_as, theirs_as = ({names[side]: kind for kind, names in KINDS.items()} for side in (0, 1))
    with written(session, world, by_id=by_id):
        run(session)
        pairs = make.rows(
            session,
            "SELECT o.book_transaction_id, t.custodian_account_id, t.reference, o.rule, x.amount, b.amount, x.quantity,"
            " b.quantity, abs(x.trade_date - b.trade_date), x.kind, b.kind, r.security_id, b.security_id"
            " FROM matched_book_transactions AS o JOIN matched_statement_transactions AS t USING (match_id)"
            " JOIN statement_transactions AS x USING (statement_id, row)"
            " JOIN book_transactions AS b ON b.id = o.book_transaction_id"
            " LEFT JOIN instrument_securities AS r ON r.instrument_id = x.instrument_id",
        )
        assert len({row[0] for row in pairs}) == len({row[1:3] for row in pairs}) == len(pairs)
        for row in pairs:
            if row[3] == "figures":
                assert row[4] == row[5]
                assert row[6] in (row[7], None)
                assert row[8] <= 5
                theirs_is, ours_is = theirs_as[row[9]], ours_as[row[10]]
                assert theirs_is == ours_is or "any" in (theirs_is, ours_is)
                assert row[11] == row[12] or None in row[11:13]
        # Nothing is lost: a row is matched, or is a break.
        ours = sum(len(account.ours.trades) for account in world)
        theirs = sum(len(account.theirs.trades) for account in world)
        left = Counter(
            kind for (kind,) in make.rows(session, "SELECT kind FROM breaks WHERE kind LIKE 'transaction_m%'")
        )
        assert len(pairs) + left["transaction_missing_at_custodian"] == ours
        assert len(pairs) + left["transaction_missing_in_book"] == theirs


@tried
@given(world=st.lists(accounts | unsettled, min_size=1, max_size=4))
def test_the_rows_of_an_explanation_sum_to_what_it_explains_and_leave_the_remainder(session, world):
    with written(session, world):
        run(session)
        for kind, difference, remainder, explanations, state in make.rows(
            session, "SELECT kind, difference, remainder, explanations, state FROM breaks WHERE difference IS NOT NULL"
        ):
            is_quantity = kind in {"quantity", "missing_at_custodian", "missing_in_book"}
            explained = sum(Decimal(explanation["amount"]) for explanation in explanations)
            assert explained + remainder == difference
            assert (state == "explained") == (bool(explanations) and remainder == 0)
            for explanation in explanations:
                # A trade that the custodian lacks explains its own figure with the other sign.
                is_trades = explanation["kind"] == "unsettled_trades"
                figure, sign = ("quantity" if is_trades and is_quantity else "amount", -1 if is_trades else 1)
                rows = sum(Decimal(row[figure]) for row in explanation["rows"])
                assert sign * rows == Decimal(explanation["amount"])


@pytest.mark.parametrize("shard_size", [1, 100])
def test_a_run_without_accounts_is_complete_at_once(session, shard_size):
    run_id = run(session, shard_size=shard_size)
    assert make.rows(session, "SELECT state FROM runs WHERE id = :id", id=run_id) == [("complete",)]
