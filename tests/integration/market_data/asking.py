"""What tests ask providers for."""

from datetime import date

from app.market_data.providers.terms import Asked, Name


def name(value: str, mic: str, scheme: str = "SYMBOL") -> Name:
    return Name(scheme, value, mic, date(2000, 1, 1), date(9999, 12, 31))


def asked(symbol: str, first: str, last: str | None = None, *, security_id: int = 1, currency: str = "USD") -> Asked:
    return Asked(security_id, symbol, currency, date.fromisoformat(first), date.fromisoformat(last or first))
