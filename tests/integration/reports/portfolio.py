"""A portfolio as an adviser finds it: a share that rises and once fell, beside a benchmark that stands still."""

from datetime import date
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.calendars import business_days
from app.performance import set_model
from tests import factories as make
from tests.integration.performance.valuing import valued

FIRST = date(2025, 12, 1)
#: Business days up to Friday, 6 March 2026, of which the last week has no close.
DAYS = business_days("XNYS", FIRST, date(2026, 3, 6))
PRICED = DAYS[:-5]
CODE = "NORTH/1"
MODEL = "MODEL"
STRANGER = "<script>alert(1)</script> & Söhne"


def value_portfolio(session: Session) -> None:
    """Write the account's book and prices, value it, and commit."""
    account = make.account(session, CODE, name=STRANGER)
    share, index = make.security(session, "SHARE", name="Share <b>of</b> all"), make.security(session, "INDEX")
    for number, day in enumerate(PRICED):
        price = 100 + number - (30 if date(2026, 1, 20) <= day < date(2026, 2, 10) else 0)
        make.price(session, share, day, str(price))
        make.price(session, index, day, "50")
    model = make.account(session, MODEL)
    make.book(session, model, as_of=FIRST, positions={share: "1", index: "10"}, cash={"USD": "100"})
    make.book(session, account, as_of=FIRST, positions={share: "10"}, cash={"USD": "250"})
    bought = {"security_id": share, "quantity": Decimal(10), "amount": Decimal(-1000)}
    make.trade(session, account, kind="buy", trade_date=FIRST, settle_date=FIRST, **bought)
    make.trade(session, account, kind="deposit", amount=Decimal(500), trade_date=DAYS[7], settle_date=DAYS[7])
    session.commit()
    valued(session)
    session.execute(
        text("UPDATE portfolios SET benchmark_id = :index, due_from = '0001-01-01' WHERE account_id = :account"),
        {"index": index, "account": account},
    )
    set_model(session, CODE, MODEL)
    session.commit()
    valued(session)
