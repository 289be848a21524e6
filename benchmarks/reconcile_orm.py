"""How a task an account with an ORM would do it: both sides as objects, compared in Python, a transaction each."""

from datetime import date
from decimal import Decimal

from sqlalchemy import BigInteger, Engine, Identity, Numeric, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from app.book import AccountMapping, BookPosition, InstrumentSecurity
from app.statements.models import Statement, StatementPosition


class _Base(DeclarativeBase):
    """Not the app's: this table is the benchmark's own."""


class OrmBreak(_Base):
    """A difference that was found."""

    __tablename__ = "orm_breaks"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger)
    security_id: Mapped[int | None] = mapped_column(BigInteger)
    ours: Mapped[Decimal] = mapped_column(Numeric)
    theirs: Mapped[Decimal] = mapped_column(Numeric)


def make_table(engine: Engine) -> None:
    """Make the table of differences."""
    _Base.metadata.create_all(engine)


def compare_account(engine: Engine, account_id: int, day: date) -> int:
    """Compare an account's newest statement with the book of its day; return how many differences were kept."""
    with Session(engine) as session:
        mapping = session.scalars(select(AccountMapping).where(AccountMapping.account_id == account_id)).one()
        statement = session.scalars(
            select(Statement)
            .where(
                Statement.custodian_account_id == mapping.custodian_account_id,
                Statement.states_positions,
                Statement.as_of <= day,
            )
            .order_by(Statement.as_of.desc(), Statement.id.desc())
            .limit(1)
        ).one()
        theirs: dict[int | None, Decimal] = {}
        rows = session.execute(
            select(StatementPosition, InstrumentSecurity.security_id)
            .outerjoin(InstrumentSecurity, InstrumentSecurity.instrument_id == StatementPosition.instrument_id)
            .where(StatementPosition.statement_id == statement.id)
        )
        for row, security_id in rows:
            theirs[security_id] = theirs.get(security_id, Decimal(0)) + row.quantity
        held = session.scalars(
            select(BookPosition).where(BookPosition.account_id == account_id, BookPosition.as_of == statement.as_of)
        )
        ours: dict[int | None, Decimal] = {row.security_id: row.quantity_traded for row in held}
        different = [
            OrmBreak(
                account_id=account_id,
                security_id=security_id,
                ours=ours.get(security_id, Decimal(0)),
                theirs=theirs.get(security_id, Decimal(0)),
            )
            for security_id in ours.keys() | theirs.keys()
            if ours.get(security_id, 0) != theirs.get(security_id, 0)
        ]
        session.add_all(different)
        session.commit()
        return len(different)
