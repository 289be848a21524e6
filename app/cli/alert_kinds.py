"""`python -m app alerts add`: a command for each kind of rule."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

import re
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from app.cli.durations import duration
from app.cli.numbers import positive
from app.cli.severities import Severity
from app.cli.terminal import cell, output

app = typer.Typer(
    name="add",
    help="Have somebody told of something, once each time that it comes true.",
    no_args_is_help=True,
)


class Direction(StrEnum):
    """Which moves of a day count."""

    EITHER = "either"
    UP = "up"
    DOWN = "down"


def amount(given: str | Decimal) -> Decimal:
    """Read a figure: 1234.5, or 1,234.5.

    Raises:
        typer.BadParameter: it is none.
    """
    if isinstance(given, Decimal):
        return given
    text = given.strip()
    if re.fullmatch(r"-?([0-9]{1,18}|[0-9]{1,3}(,[0-9]{3}){1,5})(\.[0-9]{1,12})?", text, re.ASCII):
        return Decimal(text.replace(",", ""))
    raise typer.BadParameter(f"{given[:50]!r} is no figure such as 1234.5.")


def per_cent(given: str | Decimal) -> Decimal:
    """Read a share, which has to be given in per cent: 5%.

    Raises:
        typer.BadParameter: it is none.
    """
    if isinstance(given, Decimal):
        return given
    if found := re.fullmatch(r"([0-9]{1,6}(\.[0-9]{1,10})?) ?%", given.strip(), re.ASCII):
        return Decimal(found[1]) / 100
    raise typer.BadParameter(f"{given[:50]!r} is no share such as 5%, with its sign.")


_For = Annotated[str, typer.Option("--for", metavar="NAME", help="Who is told: `notifications list`.")]
_Severity = Annotated[Severity, typer.Option("--severity", help="What is critical comes in quiet hours, too.")]
_CoolDown = Annotated[
    timedelta,
    typer.Option(
        "--cool-down",
        parser=duration,
        metavar="DURATION",
        help="As 90m, 8h, 3d or 2w: how long nothing more is told of the same.",
        show_default="none",
    ),
]
_REARM = "What has to be reached on the other side before it fires again; 1 % beyond if left out."
_Rearm = Annotated[
    Decimal | None, typer.Option("--rearm", parser=amount, metavar="FIGURE", help=_REARM, show_default=False)
]
_RearmShare = Annotated[
    Decimal | None, typer.Option("--rearm", parser=per_cent, metavar="SHARE", help=_REARM, show_default=False)
]
_Security = Annotated[str, typer.Argument(metavar="SECURITY", help="By its code: `securities list`.")]
_Portfolio = Annotated[str, typer.Argument(metavar="PORTFOLIO", help="An account or a group, by its code.")]
_Account = Annotated[
    str | None,
    typer.Option("--account", metavar="CODE", help="Only breaks of this account.", show_default="all"),
]
_Price = Annotated[Decimal, typer.Argument(parser=amount, metavar="PRICE", help="In the currency of the security.")]
_Share = Annotated[Decimal, typer.Argument(parser=per_cent, metavar="SHARE", help="In per cent, with its sign: 5%.")]
_NO_TIME = timedelta()


@app.command("price-above")
def price_above(
    security: _Security,
    price: _Price,
    *,
    person: _For,
    severity: _Severity = Severity.INFO,
    cool_down: _CoolDown = _NO_TIME,
    rearm: _Rearm = None,
) -> None:
    """A close at this price or above."""
    _add("PRICE_ABOVE", price, person=person, severity=severity, cool_down=cool_down, rearm=rearm, security=security)


@app.command("price-below")
def price_below(
    security: _Security,
    price: _Price,
    *,
    person: _For,
    severity: _Severity = Severity.INFO,
    cool_down: _CoolDown = _NO_TIME,
    rearm: _Rearm = None,
) -> None:
    """A close at this price or below."""
    _add("PRICE_BELOW", price, person=person, severity=severity, cool_down=cool_down, rearm=rearm, security=security)


@app.command("day-move")
def day_move(
    security: _Security,
    share: _Share,
    *,
    person: _For,
    direction: Annotated[Direction, typer.Option("--direction", help="Which moves count.")] = Direction.EITHER,
    severity: _Severity = Severity.INFO,
    cool_down: _CoolDown = _NO_TIME,
    rearm: _RearmShare = None,
) -> None:
    """A close so far from that of the session before, or farther; splits between are no move."""
    _add(
        "DAY_MOVE",
        share,
        person=person,
        severity=severity,
        cool_down=cool_down,
        rearm=rearm,
        security=security,
        direction=direction,
    )


@app.command("drawdown")
def drawdown(
    portfolio: _Portfolio,
    share: _Share,
    *,
    person: _For,
    severity: _Severity = Severity.INFO,
    cool_down: _CoolDown = _NO_TIME,
    rearm: _RearmShare = None,
) -> None:
    """A portfolio that has lost so much since its high, or more, without what was paid in and out."""
    _add("DRAWDOWN", share, person=person, severity=severity, cool_down=cool_down, rearm=rearm, portfolio=portfolio)


@app.command("weight")
def weight(
    portfolio: _Portfolio,
    security: _Security,
    share: _Share,
    *,
    person: _For,
    severity: _Severity = Severity.INFO,
    cool_down: _CoolDown = _NO_TIME,
    rearm: _RearmShare = None,
) -> None:
    """A security that makes up so much of a portfolio's value, or more."""
    _add(
        "WEIGHT",
        share,
        person=person,
        severity=severity,
        cool_down=cool_down,
        rearm=rearm,
        portfolio=portfolio,
        security=security,
    )


@app.command("cash-below")
def cash_below(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="By its code.")],
    currency: Annotated[str, typer.Argument(metavar="CURRENCY", help="As USD.")],
    least: Annotated[Decimal, typer.Argument(parser=amount, metavar="AMOUNT", help="After `--`, if it is below 0.")],
    *,
    person: _For,
    severity: _Severity = Severity.INFO,
    cool_down: _CoolDown = _NO_TIME,
    rearm: _Rearm = None,
) -> None:
    """Cash of an account in one currency below this amount, in the newest version of the book."""
    _add(
        "CASH_BELOW",
        least,
        person=person,
        severity=severity,
        cool_down=cool_down,
        rearm=rearm,
        account=account,
        currency=currency,
    )


@app.command("break-value")
def break_value(
    value: Annotated[Decimal, typer.Argument(parser=amount, metavar="AMOUNT", help="In BASE_CURRENCY.")],
    *,
    person: _For,
    account: _Account = None,
    severity: _Severity = Severity.INFO,
    cool_down: _CoolDown = _NO_TIME,
    rearm: _Rearm = None,
) -> None:
    """An open break worth so much or more; each break by itself."""
    _add("BREAK_VALUE", value, person=person, severity=severity, cool_down=cool_down, rearm=rearm, account=account)


@app.command("break-age")
def break_age(
    days: Annotated[int, typer.Argument(parser=positive, metavar="DAYS", help="Business days of its account.")],
    *,
    person: _For,
    account: _Account = None,
    severity: _Severity = Severity.INFO,
    cool_down: _CoolDown = _NO_TIME,
    escalate_to: Annotated[
        str | None,
        typer.Option("--escalate-to", metavar="NAME", help="Who is told when nobody touches it.", show_default=False),
    ] = None,
    escalate_after: Annotated[
        int | None,
        typer.Option(
            "--escalate-after",
            parser=positive,
            metavar="DAYS",
            help="Business days after the rule fired.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """An open break so many business days old or older; each by itself, and somebody else when nobody touches it."""
    _add(
        "BREAK_AGE",
        Decimal(days),
        person=person,
        severity=severity,
        cool_down=cool_down,
        account=account,
        escalate_to=escalate_to,
        escalate_after=escalate_after,
    )


def _add(
    kind: str,
    threshold: Decimal,
    *,
    person: str,
    severity: Severity,
    cool_down: timedelta,
    rearm: Decimal | None = None,
    **about: Any,
) -> None:
    from app.alerts import Direction as Moves
    from app.alerts import Kind, NewRule, add_rule, show_rule
    from app.database import session_scope
    from app.notifications import Severity as Matters
    from app.people import current_person

    of_kind: Kind = Kind[kind]
    if (direction := about.get("direction")) is not None:
        about["direction"] = Moves(direction.value)
    by = current_person()
    with session_scope() as session:
        rule_id = add_rule(
            session,
            NewRule(
                subscriber=person,
                kind=of_kind,
                threshold=threshold,
                rearm=rearm,
                cool_down=cool_down,
                severity=Matters(severity.value),
                **about,
            ),
            by=by,
        )
        rule = show_rule(session, rule_id)
    words = f"Rule {rule_id}, by {by.login}: {rule.subscriber} is told of {rule.condition.words}."
    output().print(Text(cell(words)))
    output().print(Text(cell(f"Over the past year: python -m app alerts test {rule_id}")))
