"""What people want to be told of, how it stands, what fired, and who changed what of it."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class AlertRule(Base, app_may={"INSERT", "UPDATE"}):
    """A condition of which one person is told; only whether it is active, and until when it is mute, ever changes."""

    __tablename__ = "alert_rules"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: Who is told.
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"))
    #: An `app.alerts.Kind`, which says which of the following it has.
    kind: Mapped[str]
    security_id: Mapped[int | None] = mapped_column(ForeignKey("securities.id"))
    portfolio_id: Mapped[int | None] = mapped_column(ForeignKey("portfolios.id"))
    #: Of breaks: NULL is of all accounts.
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    #: Of cash.
    currency: Mapped[str | None]
    #: Of a day's move: up, down or either.
    direction: Mapped[str | None]
    #: A price in the security's currency, an amount, a share (0.05 is 5 %), or business days.
    threshold: Mapped[Decimal]
    #: What has to be reached again, on the other side, before it fires once more.
    rearm: Mapped[Decimal]
    #: After it has told of something, so long it tells nothing more of the same.
    cool_down: Mapped[timedelta] = mapped_column(server_default=text("'0'"))
    #: info, warning or critical.
    severity: Mapped[str] = mapped_column(server_default="info")
    #: Of an aged break: who else is told when nobody touched it so many business days after the rule fired.
    escalate_to: Mapped[int | None] = mapped_column(ForeignKey("subscribers.id"))
    escalate_after: Mapped[int | None]
    #: Thresholds that are prices are of a unit as it traded on this day: splits since then scale them.
    units_as_of: Mapped[date] = mapped_column(server_default=text("CURRENT_DATE"))
    muted_until: Mapped[datetime | None]
    #: Whether it is there: one that was removed keeps its history.
    active: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint(
            "kind IN ('price_above', 'price_below', 'day_move', 'drawdown', 'weight', 'cash_below', 'break_value',"
            " 'break_age')",
            name="kind",
        ),
        CheckConstraint(
            "(kind IN ('price_above', 'price_below', 'day_move', 'weight')) = (security_id IS NOT NULL)",
            name="security",
        ),
        CheckConstraint("(kind IN ('drawdown', 'weight')) = (portfolio_id IS NOT NULL)", name="portfolio"),
        CheckConstraint(
            "CASE kind WHEN 'cash_below' THEN account_id IS NOT NULL WHEN 'break_value' THEN TRUE"
            " WHEN 'break_age' THEN TRUE ELSE account_id IS NULL END",
            name="account",
        ),
        CheckConstraint("(kind = 'cash_below') = (currency IS NOT NULL)", name="currency"),
        CheckConstraint("(kind = 'day_move') = (direction IS NOT NULL)", name="has_direction"),
        CheckConstraint("direction IN ('up', 'down', 'either')", name="direction"),
        CheckConstraint(
            "CASE WHEN kind = 'cash_below' THEN abs(threshold) < 1e18"
            " WHEN kind = 'drawdown' THEN threshold > 0 AND threshold <= 1"
            " WHEN kind IN ('day_move', 'weight') THEN threshold > 0 AND threshold <= 10"
            " WHEN kind = 'break_age' THEN threshold BETWEEN 1 AND 10000 AND threshold = trunc(threshold)"
            " ELSE threshold > 0 AND threshold < 1e18 END",
            name="threshold",
        ),
        # Nothing is on both sides at once; cash at the threshold is not below it.
        CheckConstraint(
            "CASE kind WHEN 'price_below' THEN rearm > threshold AND rearm < 1e19"
            " WHEN 'cash_below' THEN rearm >= threshold AND rearm < 1e19"
            " ELSE rearm >= 0 AND rearm < threshold END",
            name="rearm",
        ),
        CheckConstraint("cool_down >= INTERVAL '0'", name="cool_down"),
        CheckConstraint("severity IN ('info', 'warning', 'critical')", name="severity"),
        CheckConstraint(
            "num_nonnulls(escalate_to, escalate_after) IN (0, 2) AND (escalate_to IS NULL OR kind = 'break_age')"
            " AND escalate_to <> subscriber_id AND escalate_after BETWEEN 1 AND 10000",
            name="escalation",
        ),
        # One person is told of one condition once.
        Index(
            "alert_rules_once_idx",
            *("subscriber_id", "kind", "security_id", "portfolio_id", "account_id", "currency", "direction"),
            "threshold",
            unique=True,
            postgresql_where=text("active"),
            postgresql_nulls_not_distinct=True,
        ),
        Index("alert_rules_kind_idx", "kind", postgresql_where=text("active")),
    )


class AlertRuleEvent(Base, app_may={"INSERT"}):
    """What people did with a rule. Rows are only ever added: a trigger refuses every change and deletion."""

    __tablename__ = "alert_rule_events"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    rule_id: Mapped[int] = mapped_column(ForeignKey("alert_rules.id"), index=True)
    happened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: The login of the person, and the database login.
    actor: Mapped[str]
    db_user: Mapped[str] = mapped_column(server_default=text("session_user"))
    #: added, muted, unmuted or removed.
    event: Mapped[str]
    #: Of muted: until when.
    muted_until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(server_default="")

    __table_args__ = (
        CheckConstraint("event IN ('added', 'muted', 'unmuted', 'removed')", name="event"),
        CheckConstraint("(event = 'muted') = (muted_until IS NOT NULL)", name="muted_until"),
        CheckConstraint("event = 'added' OR reason <> ''", name="reason"),
    )


class AlertState(Base, app_may={"INSERT", "UPDATE"}):
    """How a rule stands about what it is about.

    No column is a foreign key: all rules' states are written by one statement, from the rules.
    """

    __tablename__ = "alert_states"

    rule_id: Mapped[int] = mapped_column(primary_key=True)
    #: Of a rule about breaks the break's id; of others, which are about one thing, 0.
    subject: Mapped[int] = mapped_column(primary_key=True)
    #: Whether it fires when the threshold is reached; since when it is so, or has fired.
    is_armed: Mapped[bool]
    since: Mapped[datetime]
    #: What was looked at last, and the day that it is of.
    value: Mapped[Decimal]
    as_of: Mapped[date]
    #: When it last told of something; the cool-down counts from here.
    fired_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "alert_states_fired_idx",
            *("rule_id", "subject"),
            postgresql_where=text("NOT is_armed AND subject <> 0"),
        ),
    )


class AlertFiring(Base, app_may={"INSERT"}):
    """A rule that fired. Rows are only ever added: a trigger refuses every change and deletion."""

    __tablename__ = "alert_firings"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    rule_id: Mapped[int]
    #: As in `AlertState`.
    subject: Mapped[int]
    #: The day of the figure, the figure, and the threshold in the units of that day.
    as_of: Mapped[date]
    value: Mapped[Decimal]
    threshold: Mapped[Decimal]
    fired_at: Mapped[datetime]
    #: Why nobody was told, and will not be: muted or cool_down.
    held_back: Mapped[str | None]
    #: The key of the notice that tells of it.
    notice_key: Mapped[str | None]
    #: Of an escalation: the firing after which nobody touched the break.
    escalates: Mapped[int | None] = mapped_column(unique=True)

    __table_args__ = (
        CheckConstraint("held_back IN ('muted', 'cool_down')", name="held_back"),
        CheckConstraint("num_nonnulls(held_back, notice_key) = 1", name="told_or_held_back"),
        Index("alert_firings_rule_idx", "rule_id", "subject", "id"),
    )
