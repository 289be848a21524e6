"""Which exchange's days a security is priced by."""

from collections.abc import Iterable
from functools import cache

from app.calendars import is_calendar

#: Of securities on exchanges whose calendar nobody knows, and on none: every weekday.
WEEKDAYS = "24/5"

#: Segments that have no calendar of their own, and the exchange whose days they keep (ISO 10383).
_SEGMENTS = {"XNGS": "XNAS", "XNMS": "XNAS", "XNCM": "XNAS", "IEXG": "XNYS", "OTCM": "XNYS", "PINX": "XNYS"}

#: The exchanges of the United States, and what is traded there off them.
UNITED_STATES = frozenset(("XNYS", "XNAS", "XNGS", "XNMS", "XNCM", "XASE", "ARCX", "BATS", "IEXG"))
OVER_THE_COUNTER = frozenset(("OTCM", "PINX", "OOTC"))

#: What exchanges quote in, by ISO 10383.
_CURRENCIES = {
    **dict.fromkeys(UNITED_STATES | OVER_THE_COUNTER, "USD"),
    **dict.fromkeys(
        (
            "XPAR", "XAMS", "XBRU", "XLIS", "XDUB", "XETR", "XFRA", "XDUS", "XHAM", "XSTU", "XMIL", "MTAA", "XMAD",
            "BMEX", "XHEL", "XWBO", "XVIE", "XATH", "ASEX", "XLUX", "XTAL", "XRIS", "XLIT", "XCYS",
        ),
        "EUR",
    ),
    "XTSE": "CAD", "XTSX": "CAD", "XMEX": "MXN", "BVMF": "BRL", "XBUE": "ARS", "XSGO": "CLP",
    "XLON": "GBP", "XSWX": "CHF", "XSTO": "SEK", "XCSE": "DKK", "XOSL": "NOK", "XICE": "ISK", "XWAR": "PLN",
    "XPRA": "CZK", "XBUD": "HUF", "XIST": "TRY", "XTAE": "ILS", "XJSE": "ZAR", "XSAU": "SAR",
    "XTKS": "JPY", "XHKG": "HKD", "XSHG": "CNY", "XSHE": "CNY", "XTAI": "TWD", "ROCO": "TWD", "XKRX": "KRW",
    "XKOS": "KRW", "XSES": "SGD", "XKLS": "MYR", "XIDX": "IDR", "XBKK": "THB", "XPHS": "PHP", "XNSE": "INR",
    "XBOM": "INR", "XASX": "AUD", "XNZE": "NZD",
}  # fmt: skip
#: That quote much in other currencies, too.
_MANY_CURRENCIES = ("XLON", "XSWX", "XHKG", "XSES")

#: SQL: the exchanges on which security `s` has a symbol on the day `:today`, by ISO 10383.
EXCHANGES = """ARRAY(
        SELECT DISTINCT namespace
        FROM security_identifiers
        WHERE security_id = s.id AND scheme = 'SYMBOL' AND :today BETWEEN valid_from AND valid_to
        ORDER BY namespace
    )"""


def currency_of(exchange: str) -> str | None:
    """Return what an exchange quotes in, by its MIC; None if that is not known."""
    return _CURRENCIES.get(exchange)


def by_currency(exchanges: Iterable[str], currency: str) -> list[str]:
    """Return exchanges, those first that quote in a currency, then those that may, and then by the alphabet."""

    def rank(exchange: str) -> int:
        own = _CURRENCIES.get(exchange)
        if own == currency:
            return 0
        return 1 if own is None or exchange in _MANY_CURRENCIES else 2

    return sorted(exchanges, key=lambda exchange: (rank(exchange), exchange))


def calendar_of(exchanges: Iterable[str], currency: str) -> str:
    """Return the calendar of the exchange that quotes in a security's currency; weekdays, if none is known.

    A security that is listed in New York and in London is one of New York if the book has it in dollars. Of several
    the first counts that has a calendar. A day too many asks a provider for nothing; a day too few would miss a price.
    """
    found = (_calendar(exchange) for exchange in by_currency(exchanges, currency))
    return next((calendar for calendar in found if calendar), WEEKDAYS)


@cache
def _calendar(exchange: str) -> str | None:
    owner = _SEGMENTS.get(exchange, exchange)
    return owner if is_calendar(owner) else None
