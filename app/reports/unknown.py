"""What custodians call securities and nobody here knows: the work list of whoever keeps the securities' names."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class UnknownInstrument:
    """A name in statements that is no security's, or that of several."""

    scheme: str
    identifier: str
    namespace: str
    #: What the custodian calls it in words, where it does.
    name: str
    #: The codes of the securities that its names are of, where they are several.
    candidates: list[str]
    #: The custodians that the open breaks are of.
    custodians: list[str]
    open_breaks: int


def unknown_instruments(session: Session) -> list[UnknownInstrument]:
    """Return the names of statements that were never known, mean several securities, or have an open break for that.

    The one on which most hangs stands first.
    """
    return [UnknownInstrument(*row) for row in session.execute(_UNKNOWN)]


# Statements call one security by several names in words; a break is of its identifier.
_UNKNOWN = text(
    """
    WITH open_breaks AS (
        SELECT b.subject, c.custodian
        FROM breaks AS b
        JOIN custodian_accounts AS c ON c.id = b.custodian_account_id
        WHERE b.kind IN ('unknown_security', 'ambiguous_security') AND b.state IN ('open', 'assigned')
    ),
    named AS (
        SELECT
            i.scheme,
            i.identifier,
            i.namespace,
            coalesce(min(i.name), min(i.ticker), '') AS name,
            bool_or(NOT EXISTS (SELECT FROM instrument_securities AS s WHERE s.instrument_id = i.id)) AS is_unknown,
            array_agg(i.id) AS ids
        FROM instruments AS i
        GROUP BY i.scheme, i.identifier, i.namespace
    ),
    counted AS (
        SELECT
            n.*,
            coalesce(
                (
                    SELECT array_agg(DISTINCT x.code ORDER BY x.code)
                    FROM instrument_securities AS s
                    JOIN securities AS x ON x.id = ANY(s.candidates)
                    WHERE s.instrument_id = ANY(n.ids)
                ),
                '{}'
            ) AS candidates,
            coalesce(array_agg(DISTINCT b.custodian) FILTER (WHERE b.custodian IS NOT NULL), '{}') AS custodians,
            count(b.subject) AS open_breaks
        FROM named AS n
        LEFT JOIN open_breaks AS b
            ON b.subject = n.scheme || ':' || n.identifier
            AND (n.scheme <> 'CUSTODIAN' OR n.namespace = b.custodian)
        GROUP BY n.scheme, n.identifier, n.namespace, n.name, n.is_unknown, n.ids
    )
    SELECT scheme, identifier, namespace, name, candidates, custodians, open_breaks
    FROM counted
    WHERE is_unknown OR cardinality(candidates) > 0 OR open_breaks > 0
    ORDER BY open_breaks DESC, scheme, identifier, namespace
    """
)
