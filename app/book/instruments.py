"""What statements call securities: each name kept once, and which security it is on which day."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class InstrumentName:
    """What a statement calls a security, word for word."""

    scheme: str
    identifier: str
    #: Where the identifier is unique: a CUSTODIAN's own one at the custodian, a SYMBOL at an exchange.
    namespace: str
    #: Its other identifiers as (scheme, value, namespace), in the statement's order.
    also: tuple[tuple[str, str, str], ...] = ()
    name: str | None = None
    ticker: str | None = None


def instrument_ids(session: Session, names: Iterable[InstrumentName]) -> dict[InstrumentName, int]:
    """Return the ids of names, which are kept if they are new, and then resolved as far as their identifiers are known.

    Args:
        session: the transaction that new names are written in.
        names: any number; doubles cost nothing.
    """
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    parameters = {"names": json.dumps([_as_json(place, name) for place, name in enumerate(wanted)])}
    new = session.scalars(_ADD, parameters).all()
    if new:
        session.execute(_resolve("i.id = ANY(:ids)"), {"ids": new})
    return {wanted[place]: instrument_id for place, instrument_id in session.execute(_FIND, parameters)}


def resolve_instruments(session: Session | Connection) -> None:
    """Bring `instrument_securities` up to what identifiers say now; takes as long as there are instruments, not rows.

    To be called by whatever changes identifiers, in the same transaction, and before a run.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('value-partner instruments'))"))
    session.execute(_FORGET)
    session.execute(_resolve("true"))


def _as_json(place: int, name: InstrumentName) -> dict[str, Any]:
    also = [dict(zip(("scheme", "value", "namespace"), other, strict=True)) for other in name.also]
    return {**asdict(name), "also": also, "place": place}


_NAMED = """
    named AS (
        SELECT
            n.*,
            encode(sha256(convert_to(concat_ws(
                E'\\x1f', scheme, identifier, namespace, also::text,
                coalesce('=' || name, ''), coalesce('=' || ticker, '')
            ), 'UTF8')), 'hex') AS fingerprint
        FROM jsonb_to_recordset(CAST(:names AS jsonb)) AS n (
            place bigint, scheme text, identifier text, namespace text, also jsonb, name text, ticker text
        )
    )
"""

# In one order, so that two loads of the same names wait for each other and do not lock each other out.
_ADD = text(
    f"""
    WITH {_NAMED}
    INSERT INTO instruments (scheme, identifier, namespace, also, name, ticker, fingerprint)
    SELECT scheme, identifier, namespace, also, name, ticker, fingerprint
    FROM named
    ORDER BY fingerprint
    ON CONFLICT (fingerprint) DO NOTHING
    RETURNING id
    """  # noqa: S608 (of texts that stand here)
)

_FIND = text(
    f"WITH {_NAMED} SELECT n.place, i.id FROM named AS n JOIN instruments AS i USING (fingerprint)"  # noqa: S608
)

#: Instruments over the days on which each of their identifiers means something; a day on which they mean several
#: securities has none and names the candidates.
_RESOLVED = """
    names AS (
        SELECT i.id AS instrument_id, i.scheme, i.identifier AS value, i.namespace
        FROM instruments AS i
        WHERE {among}
        UNION
        SELECT i.id, other.scheme, other.value, other.namespace
        FROM instruments AS i
        CROSS JOIN jsonb_to_recordset(i.also) AS other (scheme text, value text, namespace text)
        WHERE {among}
    ),
    known AS (
        SELECT n.instrument_id, s.security_id, s.valid_from, s.valid_to
        FROM names AS n
        JOIN security_identifiers AS s USING (scheme, value, namespace)
    ),
    -- Between two of these days nothing changes.
    days AS (
        SELECT instrument_id, valid_from AS day FROM known
        UNION
        SELECT instrument_id, valid_to + 1 FROM known WHERE valid_to < DATE '9999-12-31'
    ),
    spans AS (
        SELECT
            instrument_id,
            day AS valid_from,
            coalesce(lead(day) OVER (PARTITION BY instrument_id ORDER BY day) - 1, DATE '9999-12-31') AS valid_to
        FROM days
    ),
    resolved AS (
        SELECT
            s.instrument_id,
            s.valid_from,
            s.valid_to,
            CASE WHEN count(DISTINCT k.security_id) = 1 THEN min(k.security_id) END AS security_id,
            CASE
                WHEN count(DISTINCT k.security_id) = 1 THEN '{{}}'
                ELSE array_agg(DISTINCT k.security_id)
            END AS candidates
        FROM spans AS s
        JOIN known AS k ON k.instrument_id = s.instrument_id AND s.valid_from BETWEEN k.valid_from AND k.valid_to
        GROUP BY s.instrument_id, s.valid_from, s.valid_to
    )
"""


def _resolve(among: str) -> Any:
    return text(
        f"""
        WITH {_RESOLVED.format(among=among)}
        INSERT INTO instrument_securities (instrument_id, valid_from, valid_to, security_id, candidates)
        SELECT instrument_id, valid_from, valid_to, security_id, candidates
        FROM resolved
        ON CONFLICT DO NOTHING
        """  # noqa: S608
    )


_FORGET = text(
    f"""
    WITH {_RESOLVED.format(among="true")}
    DELETE FROM instrument_securities AS i
    WHERE NOT EXISTS (
        SELECT FROM resolved AS r
        WHERE (r.instrument_id, r.valid_from, r.valid_to, r.candidates)
                = (i.instrument_id, i.valid_from, i.valid_to, i.candidates)
            AND r.security_id IS NOT DISTINCT FROM i.security_id
    )
    """  # noqa: S608
)
