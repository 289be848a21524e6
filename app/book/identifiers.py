"""By which names custodians know a security from when to when, as people see and change it by hand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.book.cells import CODE
from app.book.instruments import resolve_instruments
from app.book.link_events import LinkEventView, needed_reason, read_events, write_event
from app.book.locks import change_alone, keep_compares_out
from app.book.models import Security, SecurityIdentifier
from app.book.spans import Span, changed_span
from app.errors import BadInputError
from app.people import Person

#: The schemes of names that are the same in all the world.
_WORLDWIDE = ("ISIN", "CUSIP", "SEDOL", "FIGI")
SCHEMES = (*_WORLDWIDE, "SYMBOL", "CUSTODIAN")


@dataclass(frozen=True, slots=True)
class SecurityName:
    """A name, in the words of custodians."""

    scheme: str
    value: str
    #: The exchange's MIC of a SYMBOL, the custodian of a CUSTODIAN's own id, else empty.
    namespace: str = ""

    def __str__(self) -> str:
        # Events have it so, and imports have SQL that does the same.
        return f"{self.scheme} '{self.value}'" + (f" of {self.namespace}" if self.namespace else "")


@dataclass(frozen=True, slots=True)
class SecurityView:
    """A security and one of its names."""

    security: str
    description: str
    asset_class: str
    currency: str
    #: Both are None of a security without any name.
    name: SecurityName | None
    known: Span | None


def list_securities(session: Session, code: str | None = None) -> Iterator[SecurityView]:
    """Give the securities by code, or the one with this code, a row for each of their names, as they are read."""
    securities = (
        select(
            Security.code,
            Security.name,
            Security.asset_class,
            Security.currency,
            SecurityIdentifier.scheme,
            SecurityIdentifier.value,
            SecurityIdentifier.namespace,
            SecurityIdentifier.valid_from,
            SecurityIdentifier.valid_to,
        )
        .outerjoin(SecurityIdentifier, SecurityIdentifier.security_id == Security.id)
        .order_by(
            Security.code,
            SecurityIdentifier.scheme,
            SecurityIdentifier.value,
            SecurityIdentifier.namespace,
            SecurityIdentifier.valid_from,
        )
        .execution_options(stream_results=True)
    )
    if code is not None:
        securities = securities.where(Security.code == code)
    for row in session.execute(securities):
        security = (row.code, row.name, row.asset_class, row.currency)
        if row.scheme is None:
            yield SecurityView(*security, name=None, known=None)
        else:
            name = SecurityName(row.scheme, row.value, row.namespace)
            yield SecurityView(*security, name=name, known=Span(row.valid_from, row.valid_to))


def map_security(
    session: Session,
    code: str,
    name: SecurityName,
    *,
    first: date | None = None,
    last: date | None = None,
    by: Person,
    reason: str,
) -> Span:
    """Say that a name is a security's, or until when, and return the days; statements' instruments follow at once.

    Args:
        session: the transaction; compares wait for its end, and it for theirs.
        code: the platform's code of the security.
        name: the name.
        first: the first day; without it a name that is there is meant, or else all days.
        last: the last day; until further notice if left out.
        by: who says so.
        reason: why, in words.

    Raises:
        BadInputError: there is no such security; the name can't be one, or belongs to a security on some of the days;
            no reason is given.
    """
    _check(name)
    reason = needed_reason(reason)
    change_alone(session)
    keep_compares_out(session)
    security_id = _security_id(session, code)
    known = _known(session, name)
    before, after = changed_span([span for other, span in known if other == code], first, last)
    for other, span in known:
        if other != code and span.overlaps(after):
            raise BadInputError(
                f"{name} belongs to security '{other}' {span}, so it can't be that of '{code}' {after}",
                where="name",
                hint="Name days that are free; `securities map` with --to ends the other one, `unmap` takes it back.",
            )
    session.execute(
        insert(SecurityIdentifier)
        .values(
            scheme=name.scheme,
            value=name.value,
            namespace=name.namespace,
            valid_from=after.first,
            valid_to=after.last,
            security_id=security_id,
        )
        .on_conflict_do_update(
            index_elements=["scheme", "value", "namespace", "valid_from"], set_={"valid_to": after.last}
        )
    )
    write_event(session, security_id=security_id, subject=str(name), before=before, after=after, by=by, reason=reason)
    if before != after:
        resolve_instruments(session)
    return after


def unmap_security(
    session: Session, code: str, name: SecurityName, *, first: date | None = None, by: Person, reason: str
) -> Span:
    """Take back a name that never was the security's, and return the days that it was for.

    Raises:
        BadInputError: the security has no such name, or several times and `first` does not say which; or no reason is
            given.
    """
    reason = needed_reason(reason)
    change_alone(session)
    keep_compares_out(session)
    security_id = _security_id(session, code)
    spans = [span for other, span in _known(session, name) if other == code and (first is None or span.first == first)]
    if not spans:
        raise BadInputError(f"security '{code}' has no such name", where=str(name))
    if len(spans) > 1:
        raise BadInputError(
            f"it is the name of security '{code}' several times: {', '.join(map(str, spans))}",
            where=str(name),
            hint="Name the first day of the one that is meant.",
        )
    session.execute(
        delete(SecurityIdentifier).where(
            SecurityIdentifier.scheme == name.scheme,
            SecurityIdentifier.value == name.value,
            SecurityIdentifier.namespace == name.namespace,
            SecurityIdentifier.valid_from == spans[0].first,
        )
    )
    write_event(session, security_id=security_id, subject=str(name), before=spans[0], after=None, by=by, reason=reason)
    resolve_instruments(session)
    return spans[0]


def security_history(
    session: Session, code: str | None = None, *, name: SecurityName | None = None, only_by_hand: bool = False
) -> Iterator[LinkEventView]:
    """Give what happened to the names of securities, newest first, as it is read.

    Args:
        session: where from.
        code: only to those of this security.
        name: only to this one, whose it ever was.
        only_by_hand: not what imports did.

    Raises:
        BadInputError: there is no such security.
    """
    security_id = None if code is None else _security_id(session, code)
    subject = None if name is None else str(name)
    return read_events(session, Security, owner_id=security_id, subject=subject, only_by_hand=only_by_hand)


def _check(name: SecurityName) -> None:
    # As the rules of the table identifiers.
    if name.scheme not in SCHEMES:
        raise BadInputError(f"'{name.scheme}' is none of {', '.join(SCHEMES)}", where="scheme")
    if verdict := CODE.judge(name.value, date.min) or ("is empty" if not name.value else None):
        raise BadInputError(f"'{name.value}' {verdict}", where="value")
    if name.value != name.value.upper():
        raise BadInputError(f"'{name.value}' is not in capitals", where="value")
    if name.scheme == "SYMBOL" and not re.fullmatch("[A-Z0-9]{4}", name.namespace):
        raise BadInputError(
            "a SYMBOL needs its exchange's MIC (four capitals or digits)", where="namespace", hint="Such as XNYS."
        )
    if name.scheme == "CUSTODIAN" and (
        not name.namespace or name.namespace != name.namespace.lower() or CODE.judge(name.namespace, date.min)
    ):
        raise BadInputError("a CUSTODIAN id needs its custodian, in lower case", where="namespace")
    if name.scheme in _WORLDWIDE and name.namespace:
        raise BadInputError(f"of {name.scheme} there is one in all the world, so it has none", where="namespace")


def _security_id(session: Session, code: str) -> int:
    security_id = session.scalar(select(Security.id).where(Security.code == code))
    if security_id is None:
        raise BadInputError("there is no such security", where=f"security {code}")
    return security_id


def _known(session: Session, name: SecurityName) -> list[tuple[str, Span]]:
    """Return whose name it is from when to when, by code."""
    rows = session.execute(
        select(Security.code, SecurityIdentifier.valid_from, SecurityIdentifier.valid_to)
        .join(Security, Security.id == SecurityIdentifier.security_id)
        .where(
            SecurityIdentifier.scheme == name.scheme,
            SecurityIdentifier.value == name.value,
            SecurityIdentifier.namespace == name.namespace,
        )
        .order_by(SecurityIdentifier.valid_from)
    )
    return [(code, Span(first, last)) for code, first, last in rows]
