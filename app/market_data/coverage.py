"""What a sync came to: how many securities were due, what became of each, by provider and reason."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.market_data.models import PriceSync

#: Reasons, codes and lines that are told; of more than these only the number is.
_MOST = 20


@dataclass(frozen=True, slots=True)
class Reason:
    """Why securities have no price, and which provider said so."""

    #: stale, quarantined, refused, failed or unasked.
    state: str
    provider: str
    #: In words: of one of them, where they differ.
    reason: str
    securities: int
    #: Codes of them, at most 20.
    codes: Sequence[str]
    #: In a word that is the same for all of them; empty of syncs from before there was one.
    code: str = ""
    #: How many different words there are.
    wordings: int = 1


@dataclass(frozen=True, slots=True)
class ProviderCoverage:
    """What one provider did."""

    provider: str
    #: Batches that are done, and requests that failed.
    batches: int
    failures: int
    #: Versions that are new.
    new_prices: int
    #: Prices of securities that are not tracked.
    untracked_prices: int
    #: Due securities that it priced.
    priced: int
    #: Lines or answers that could not be used at all: at most 20, and how many there were.
    refused: Sequence[str]
    refused_count: int
    #: Due securities that it did not price, by what they were with it at last: stale, quarantined, refused, failed or
    #: unasked. Another may have priced them.
    unpriced: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a sync came to; securities, except where it says prices."""

    sync_id: int
    started_at: str
    #: Securities that are to be priced at all.
    tracked: int
    #: Those that lacked the close of a session that is over; the rest of this is what became of them.
    due: int
    priced: int
    stale: int
    quarantined: int
    refused: int
    failed: int
    unasked: int
    #: Not over yet.
    waiting: int
    new_prices: int
    #: Prices that the quarantine took in.
    doubted: int
    #: Tracked ones that never had any price: at most 20 codes, and how many there are.
    never_priced: Sequence[str]
    never_priced_count: int
    providers: Sequence[ProviderCoverage]
    reasons: Sequence[Reason]

    @property
    def needs_a_person(self) -> bool:
        """Whether something came that won't pass by itself; a close that is not there yet does."""
        is_refused = any(provider.refused_count for provider in self.providers)
        return is_refused or self.quarantined + self.doubted + self.refused + self.failed + self.unasked > 0

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Coverage":
        """Return what `as_json` gave."""
        return cls(
            **{
                **kept,
                "providers": [ProviderCoverage(**each) for each in kept["providers"]],
                "reasons": [Reason(**each) for each in kept["reasons"]],
            }
        )


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far a sync is."""

    #: Securities that were due, and those of them that are not over yet.
    due: int
    waiting: int
    is_over: bool


def sync_progress(session: Session, sync_id: int) -> SyncProgress:
    """Return how far a sync is; cheap, so that it can be asked often."""
    return SyncProgress(**session.execute(_PROGRESS, {"sync_id": sync_id}).one()._mapping)


def measure(session: Session, sync_id: int) -> Coverage:
    """Return what a sync has come to so far."""
    of_sync = {"sync_id": sync_id}
    sync = session.execute(select(PriceSync).where(PriceSync.id == sync_id)).scalar_one()
    counts: dict[str, int] = dict(session.execute(_COUNTS, of_sync).all())
    overall = session.execute(_OVERALL, of_sync).one()
    providers = _providers(session, sync_id)
    return Coverage(
        sync_id=sync_id,
        started_at=sync.started_at.isoformat(timespec="seconds"),
        tracked=overall.tracked,
        due=sum(counts.values()),
        **{state: counts.get(state, 0) for state in ("priced", "stale", "quarantined", "refused", "failed", "unasked")},
        waiting=counts.get("due", 0),
        new_prices=sum(provider.new_prices for provider in providers),
        doubted=overall.doubted,
        never_priced=overall.never_priced,
        never_priced_count=overall.never_priced_count,
        providers=providers,
        reasons=[Reason(**row) for row in session.execute(_REASONS, of_sync).mappings()],
    )


def _providers(session: Session, sync_id: int) -> list[ProviderCoverage]:
    of_sync = {"sync_id": sync_id}
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for provider, state, securities in session.execute(_BY_PROVIDER, of_sync):
        counts[provider][state] = securities
    found = []
    for row in session.execute(_PROVIDERS, of_sync).mappings():
        unpriced = counts.pop(row["provider"], {})
        found.append(ProviderCoverage(**row, priced=unpriced.pop("priced", 0), unpriced=unpriced))
    # Others were not asked for anything in this sync: they are out of tokens, say, or priced something in another.
    for provider, unpriced in sorted(counts.items()):
        priced = unpriced.pop("priced", 0)
        found.append(ProviderCoverage(provider, 0, 0, 0, 0, priced, [], 0, unpriced))
    return found


def coverage_of(session: Session, sync_id: int | None = None) -> Coverage:
    """Return the coverage of a sync, or of the newest one; of one that is not over, as it is now.

    Raises:
        BadInputError: there is no such sync, or none at all.
    """
    query = select(PriceSync).order_by(PriceSync.id.desc()).limit(1)
    sync = session.execute(query if sync_id is None else query.where(PriceSync.id == sync_id)).scalar_one_or_none()
    if sync is None:
        what = "prices were never synced here" if sync_id is None else f"there is no sync {sync_id}"
        raise BadInputError(
            what, hint="Syncs are kept for 30 days; `prices coverage` without a number shows the newest."
        )
    return measure(session, sync.id) if sync.coverage is None else Coverage.from_json(sync.coverage)


_PROGRESS = text(
    """
    SELECT
        (SELECT count(*) FROM price_sync_items WHERE sync_id = y.id) AS due,
        (SELECT count(*) FROM price_sync_items WHERE sync_id = y.id AND state = 'due') AS waiting,
        finished_at IS NOT NULL AS is_over
    FROM price_syncs AS y
    WHERE id = :sync_id
    """
)

_COUNTS = text("SELECT state, count(*) FROM price_sync_items WHERE sync_id = :sync_id GROUP BY state")

_OVERALL = text(
    f"""
    WITH never AS (
        SELECT code
        FROM securities AS s
        WHERE tracked AND NOT EXISTS (SELECT FROM prices WHERE security_id = s.id)
    )
    SELECT
        (SELECT count(*) FROM securities WHERE tracked) AS tracked,
        (
            SELECT count(*) FROM quarantined_prices AS q JOIN price_batches AS b ON b.id = q.batch_id
            WHERE b.sync_id = :sync_id
        ) AS doubted,
        ARRAY(SELECT code FROM never ORDER BY code LIMIT {_MOST}) AS never_priced,
        (SELECT count(*) FROM never) AS never_priced_count
    """  # noqa: S608 (a number)
)

_PROVIDERS = text(
    f"""
    SELECT
        b.provider,
        count(*) FILTER (WHERE b.state = 'done') AS batches,
        CAST(sum(b.failures) AS bigint) AS failures,
        CAST(sum(b.new_prices) AS bigint) AS new_prices,
        CAST(sum(b.untracked) AS bigint) AS untracked_prices,
        ARRAY(
            SELECT line ->> 'text'
            FROM price_batches AS r
            CROSS JOIN LATERAL jsonb_array_elements(r.refused) WITH ORDINALITY AS line (line, place)
            WHERE r.sync_id = :sync_id AND r.provider = b.provider
            ORDER BY r.id, place
            LIMIT {_MOST}
        ) AS refused,
        CAST(sum(b.refused_count) AS bigint) AS refused_count
    FROM price_batches AS b
    WHERE b.sync_id = :sync_id
    GROUP BY b.provider
    ORDER BY min(b.id)
    """  # noqa: S608 (a number)
)

# A security counts once with each provider: by its outcome, if that is this provider's, or by the last try there.
_BY_PROVIDER = text(
    """
    SELECT provider, state, count(*)
    FROM (
        SELECT DISTINCT ON (security_id, provider) security_id, provider, state
        FROM (
            SELECT security_id, provider, state, NULL AS place
            FROM price_sync_items
            WHERE sync_id = :sync_id AND state <> 'due' AND provider IS NOT NULL
            UNION ALL
            SELECT i.security_id, try ->> 'provider', try ->> 'state', place
            FROM price_sync_items AS i
            CROSS JOIN LATERAL jsonb_array_elements(i.tried) WITH ORDINALITY AS t (try, place)
            WHERE i.sync_id = :sync_id
        ) AS each
        ORDER BY security_id, provider, place DESC NULLS FIRST
    ) AS last
    GROUP BY provider, state
    """
)

_REASONS = text(
    f"""
    SELECT
        i.state, coalesce(i.provider, '') AS provider, (array_agg(i.reason ORDER BY s.code))[1] AS reason,
        count(*) AS securities, (array_agg(s.code ORDER BY s.code))[1:{_MOST}] AS codes, i.reason_code AS code,
        count(DISTINCT i.reason) AS wordings
    FROM price_sync_items AS i
    JOIN securities AS s ON s.id = i.security_id
    WHERE i.sync_id = :sync_id AND i.state NOT IN ('priced', 'due')
    GROUP BY i.state, i.provider, i.reason_code, CASE WHEN i.reason_code = '' THEN i.reason END
    ORDER BY count(*) DESC, i.state, i.provider, i.reason_code, min(i.reason)
    LIMIT {_MOST}
    """  # noqa: S608 (a number)
)
