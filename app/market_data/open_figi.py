"""FIGIs of securities by their other names, from OpenFIGI's mapping API: https://www.openfigi.com/api/documentation.

What the book calls a security is the same wherever it trades: it is held by its ISIN, and has one price. That is what
the share-class FIGI names, so that is the one that is looked for; the composite FIGI is one country's, and the FIGI
itself one exchange's. What has no share class, as a bond, has one FIGI everywhere, and then it is that.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.book import Security, SecurityName, doubt
from app.errors import BadInputError
from app.http_client import Patience
from app.market_data.providers.http import Client
from app.market_data.providers.terms import Failure, Limit, ProviderError, Terms

_PATH = "/v3/mapping"
_TOO_MANY_JOBS = 413
#: Its documentation says 10 jobs a request without a key; since late in 2025 others read 5 there, and 5 fit both.
_WITHOUT_KEY = Terms(
    batch_size=5, limits=(Limit(25, timedelta(minutes=1), 25),), tokens_a_request=1, tokens_a_security=0
)
_WITH_KEY = Terms(
    batch_size=100, limits=(Limit(25, timedelta(seconds=6), 25),), tokens_a_request=1, tokens_a_security=0
)
#: Times that one batch is sent before a server that says "too often" is given up.
_TRIES = 4
#: Fields of an answer, the widest first, and what they name.
_LEVELS = {"shareClassFIGI": "share class", "compositeFIGI": "composite", "figi": "instrument"}
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Unfigured:
    """A security without a FIGI, and what else it is called today."""

    security_id: int
    code: str
    names: tuple[SecurityName, ...]


@dataclass(frozen=True, slots=True)
class Figi:
    """The FIGI of a security."""

    code: str
    figi: str
    #: "share class", "composite" or "instrument".
    level: str
    #: What OpenFIGI calls it, for a person to compare.
    name: str
    #: The names that it was found by.
    by: tuple[SecurityName, ...]


@dataclass(frozen=True, slots=True)
class NoFigi:
    """A security for which no FIGI was found, or more than one."""

    code: str
    why: str


class OpenFigi:
    """The API, asked as often as it may be."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make it; nothing is asked yet.

        Args:
            base_url: where it is.
            key: empty for none.
            patience: how long each answer is waited for.
            clock: seconds that only grow.
            sleep: waits so many of them.
        """
        self.terms = _WITH_KEY if key else _WITHOUT_KEY
        headers = {"X-OPENFIGI-APIKEY": key} if key else {}
        self._client = Client(
            "OpenFIGI",
            base_url,
            keys_in="OPENFIGI_KEY",
            headers=headers,
            patience=patience,
            secrets=[key] if key else [],
        )
        self._clock = clock
        self._sleep = sleep
        self._asked: deque[float] = deque(maxlen=self.terms.limits[0].tokens)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def map(self, jobs: Sequence[dict[str, str]]) -> Iterator[dict[str, Any]]:
        """Give the answer to each job, in their order.

        Raises:
            ProviderError: it does not answer; what was given before holds.
        """
        size = self.terms.batch_size or len(jobs)
        start = 0
        while start < len(jobs):
            batch = jobs[start : start + size]
            answers = self._map(batch)
            if answers is None:
                if size == 1:
                    raise self._client.error(f"it says that one job is too many (status {_TOO_MANY_JOBS})")
                size = (size + 1) // 2
                continue
            yield from answers
            start += len(batch)

    def _map(self, batch: Sequence[dict[str, str]]) -> list[dict[str, Any]] | None:
        """Return the answers to one batch; None if it is too large."""
        for tries_left in reversed(range(_TRIES)):
            self._wait_for_turn()
            try:
                reply = self._client.post(_PATH, list(batch))
                break
            except ProviderError as error:
                if error.failure is not Failure.TOO_OFTEN or not tries_left:
                    raise
                self._sleep(error.retry_after_s or self.terms.limits[0].window.total_seconds())
        if reply.status == _TOO_MANY_JOBS:
            return None
        if not reply.is_ok:
            said = self._client.shown(reply.body.decode(errors="backslashreplace"))
            raise self._client.error(f"it refuses what it is asked (status {reply.status}): {said!r}")
        answers = self._client.json(reply)
        if not isinstance(answers, list) or len(answers) != len(batch) or not all(map(_is_answer, answers)):
            raise self._client.error(f"its answer is not one for each of {len(batch)} jobs")
        return answers

    def _wait_for_turn(self) -> None:
        limit = self.terms.limits[0]
        if len(self._asked) == limit.tokens:
            self._sleep(max(0.0, self._asked[0] + limit.window.total_seconds() - self._clock()))
        self._asked.append(self._clock())


def securities_without_figi(session: Session, codes: Sequence[str] = (), *, today: date) -> list[Unfigured]:
    """Return the tracked securities that have no FIGI today, by code; of those that are named also untracked ones.

    Raises:
        BadInputError: one that is named is not there.
    """
    known = set(session.scalars(select(Security.code).where(Security.code.in_(codes)))) if codes else set()
    if missing := next((code for code in codes if code not in known), None):
        raise BadInputError("there is no such security", where=f"security {missing}")
    rows = session.execute(_WITHOUT_FIGI, {"codes": list(codes), "today": today})
    return [
        Unfigured(row.id, row.code, tuple(SecurityName(*name) for name in row.names if name[0] is not None))
        for row in rows
    ]


def find_figis(api: OpenFigi, securities: Sequence[Unfigured]) -> Iterator[Figi | NoFigi]:
    """Ask for the FIGI of each security by all its names, and give what comes of each, in their order.

    A FIGI counts if all the names that OpenFIGI knows lead to it alone.

    Raises:
        ProviderError: it does not answer; what was given before holds.
    """
    questions = [(security, _questions(security)) for security in securities]
    jobs = [job for _, asked in questions for _, job in asked]
    answers = api.map(jobs)
    for security, asked in questions:
        yield _judge(security, [(name, next(answers)) for name, _ in asked])


def _questions(security: Unfigured) -> list[tuple[SecurityName, dict[str, str]]]:
    """Return the jobs for a security's names, those left out whose check digit is wrong: they can only mislead."""
    return [
        (name, job)
        for name in security.names
        if doubt(name.scheme, name.value) is None and (job := _job(name)) is not None
    ]


def _job(name: SecurityName) -> dict[str, str] | None:
    match name.scheme:
        case "ISIN" | "SEDOL":
            return {"idType": f"ID_{name.scheme}", "idValue": name.value}
        case "CUSIP":
            # Those that begin with a letter are the ones of other countries.
            return {"idType": "ID_CINS" if name.value[0].isalpha() else "ID_CUSIP", "idValue": name.value}
        case "SYMBOL":
            # Share classes are written BRK/B there.
            value = name.value.replace(".", "/").replace(" ", "/")
            return {"idType": "TICKER", "idValue": value, "micCode": name.namespace}
    return None


def _is_answer(answer: Any) -> bool:
    """Say whether an answer is data, or words why there is none."""
    if not isinstance(answer, dict):
        return False
    data = answer.get("data")
    if data is None:
        return isinstance(answer.get("warning", answer.get("error")), str)
    return isinstance(data, list) and all(
        isinstance(row, dict)
        and isinstance(row.get("figi"), str)
        and all(isinstance(row.get(field), str | None) for field in _LEVELS)
        for row in data
    )


def _judge(security: Unfigured, answers: Sequence[tuple[SecurityName, dict[str, Any]]]) -> Figi | NoFigi:
    if not answers:
        why = "no name of it can be asked for" if security.names else "it has no name"
        return NoFigi(security.code, f"{why}: an ISIN, CUSIP, SEDOL or SYMBOL, with its right check digit")
    found: dict[tuple[str, str], tuple[str, list[SecurityName]]] = {}
    unknown: list[str] = []
    for name, answer in answers:
        rows = answer.get("data") or []
        if not rows:
            unknown.append(f"{name}: {answer.get('warning', answer.get('error', 'No identifier found.'))}")
        for identity, called in _identities(rows).items():
            found.setdefault(identity, (called, []))[1].append(name)
    if not found:
        return NoFigi(security.code, "; ".join(unknown))
    if len(found) > 1:
        several = [f"{figi} ({level}) by {' and '.join(map(str, by))}" for (figi, level), (_, by) in found.items()]
        more = f" and {len(several) - _SHOWN} more" if len(several) > _SHOWN else ""
        return NoFigi(security.code, f"ambiguous: {', '.join(several[:_SHOWN])}{more}")
    (((figi, level), (called, by)),) = found.items()
    if verdict := doubt("FIGI", figi):
        return NoFigi(security.code, f"OpenFIGI gives {figi!r}, which {verdict}")
    return Figi(security.code, figi, level, called, tuple(by))


def _identities(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Return the FIGIs that one name leads to, of the widest level that there is, each with what it is called."""
    for field, level in _LEVELS.items():
        found = {(row[field], level): str(row.get("name") or "") for row in rows if row.get(field)}
        if found:
            return found
    return {}


_WITHOUT_FIGI = text(
    """
    SELECT
        s.id, s.code,
        array_agg(ARRAY[n.scheme, n.value, n.namespace] ORDER BY n.scheme, n.value, n.namespace) AS names
    FROM securities AS s
    LEFT JOIN security_identifiers AS n
        ON n.security_id = s.id AND CAST(:today AS date) BETWEEN n.valid_from AND n.valid_to
    WHERE CASE WHEN CAST(:codes AS text[]) = '{}' THEN s.tracked ELSE s.code = ANY (CAST(:codes AS text[])) END
        AND NOT EXISTS (
            SELECT FROM security_identifiers AS f
            WHERE f.security_id = s.id AND f.scheme = 'FIGI'
                AND CAST(:today AS date) BETWEEN f.valid_from AND f.valid_to
        )
    GROUP BY s.id, s.code
    ORDER BY s.code
    """
)
