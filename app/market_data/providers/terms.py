"""What a provider of prices is to the rest: what it declares, what it is asked, and what it answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Protocol, Self

from app.errors import UnavailableError

#: What minor units are written as, and of which currency they are a hundredth.
MINOR_UNITS = {"GBX": "GBP", "GBp": "GBP", "ILA": "ILS", "ILa": "ILS", "ZAC": "ZAR", "ZAc": "ZAR"}


@dataclass(frozen=True, slots=True)
class Limit:
    """How often a provider may be asked: a bucket of tokens, which fills steadily."""

    #: That come in one `window`.
    tokens: int
    window: timedelta
    #: The most that the bucket holds; what is not taken by then is lost.
    burst: int

    @classmethod
    def at_most(cls, tokens: int, window: timedelta, *, burst: int = 1) -> Self:
        """Return the limit that never gives more than `tokens` in a `window`, wherever the window begins.

        A full bucket gives its `burst` and fills while that is used, so it must fill more slowly than `tokens` in a
        `window`: the first and the last of one token more are then further apart than the window.
        """
        return cls(tokens - burst + 1, window + window / tokens, burst)


class Closes(Enum):
    """What a provider's closing prices of the past are."""

    #: As they were paid on the day.
    RAW = "raw"
    #: Divided by the splits since, and perhaps lessened by dividends: of no use for a day before the newest.
    ADJUSTED = "adjusted"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a provider declares of itself."""

    #: Securities that one request may ask for; None for as many as there are.
    batch_size: int | None
    #: All of them hold; none for a provider that may be asked without end.
    limits: tuple[Limit, ...] = ()
    #: Tokens that a request costs, and each security in it besides.
    tokens_a_request: int = 0
    tokens_a_security: int = 1
    #: How it writes minor units, and what they are: `{"GBX": ("GBP", 100)}` is a hundredth of a pound.
    minor_units: Mapping[str, tuple[str, int]] = field(default_factory=lambda: MappingProxyType({}))
    closes: Closes = Closes.RAW
    #: Whose midnight ends the day of a security that is on no exchange, by IANA name; exchanges have their own days.
    time_zone: str = "UTC"
    #: How long after an exchange's close its closing prices are there.
    delay: timedelta = timedelta(minutes=20)
    #: So many sessions up to the newest price are asked for again, for what was corrected since: of a provider to whom
    #: more days are no more requests.
    again: int = 0

    def cost(self, securities: int) -> int:
        """Return the tokens that one request for so many securities takes."""
        return self.tokens_a_request + self.tokens_a_security * securities


@dataclass(frozen=True, slots=True)
class Name:
    """A name of a security, and from when to when it is its name, both days included."""

    scheme: str
    value: str
    #: The exchange's MIC for SYMBOL, the custodian for CUSTODIAN, else empty.
    namespace: str
    valid_from: date
    valid_to: date


@dataclass(frozen=True, slots=True)
class Symbol:
    """What a provider calls a security."""

    text: str
    #: The MIC of the exchange whose close it gives under it; empty where it does not say, as of an ISIN.
    exchange: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A security whose closing prices are asked for, of the days from `first` to `last`."""

    security_id: int
    #: What the provider calls it, as its `symbol` said.
    symbol: str
    #: The security's own currency in the book.
    currency: str
    #: The first day without a price.
    first: date
    #: The newest day whose session has closed.
    last: date
    #: The exchange whose sessions these are, by MIC, as its `symbol` said.
    exchange: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """A closing price, as a provider gives it."""

    security_id: int
    price_date: date
    #: In `currency`, as the provider wrote both: minor units are still minor.
    price: Decimal
    currency: str
    #: Where exactly it came from: a file and line, or the kind of answer.
    source: str
    #: Of the day, where the provider tells them.
    high: Decimal | None = None
    low: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line or an answer that can't be used at all, and why; which security it is about is not known."""

    where: str
    why: str


@dataclass(frozen=True, slots=True)
class NoPrice:
    """A security that was asked for, and for which the provider has no price."""

    security_id: int
    why: str
    #: It will have none the next time either: it is delisted, or the provider does not know it.
    is_permanent: bool
    #: What `why` is, in a word that is the same for all securities; empty: `unknown` if it is permanent, or `no_close`.
    code: str = ""

    @property
    def reason_code(self) -> str:
        """The code, or what stands for it."""
        return self.code or ("unknown" if self.is_permanent else "no_close")


@dataclass(frozen=True, slots=True)
class Further:
    """One more request follows than the terms count: it costs as much as one for one security."""


Answer = Quote | Refusal | NoPrice | Further


class Failure(Enum):
    """What kind of failure a request was."""

    #: Asking again can help: no connection, half an answer, a server error.
    PASSING = "passing"
    #: Asked too often; the provider may say when to come back.
    TOO_OFTEN = "asked too often"
    #: No request can succeed until a person acts: keys, address, plan.
    REFUSED = "refused"


class ProviderError(UnavailableError):
    """A request failed as a whole; nothing is known of any security in it."""

    def __init__(
        self, what: str, *, where: str, hint: str = "", failure: Failure = Failure.PASSING, retry_after_s: float = 0
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.failure = failure
        #: Seconds after which the provider says to come back; 0 if it does not say.
        self.retry_after_s = retry_after_s


class Provider(Protocol):
    """Somewhere that closing prices are asked for."""

    @property
    def name(self) -> str:
        """What the settings and the coverage report call it."""

    @property
    def terms(self) -> Terms:
        """What it declares of itself."""

    def symbol(self, names: Sequence[Name], currency: str) -> Symbol | None:
        """Return what it calls a security that has these names today; None if it can't have it."""

    def quotes(self, asked: Sequence[Asked], *, now: datetime) -> Iterator[Answer]:
        """Ask for securities in one go, at most a batch of them.

        What is said of a security that was not asked for is left out by the caller. A security for which nothing comes
        has no price this time. Before each request but the first comes `Further`; the caller may stop at any answer.

        Raises:
            ProviderError: the request failed as a whole; what was given before may be kept.
        """
