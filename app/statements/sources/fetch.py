"""Fetches the statements of all accounts that the settings name at a provider, and puts them into the inbox."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.errors import BadInputError, UnavailableError
from app.settings import Settings
from app.statements.sources.documents import put_into_inbox, statement_day
from app.statements.sources.exchange import Patience, SourceError

#: The providers that statements are fetched from.
PROVIDERS = ("plaid", "alpaca")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one account's fetch."""

    provider: str
    #: What the operator calls the account, or Plaid's item.
    name: str
    #: The document in the inbox; None when there is none.
    path: Path | None = None
    #: Why there is none.
    error: str = ""


def fetch_statements(
    settings: Settings, provider: str | None = None, *, now: datetime, patience: Patience | None = None
) -> Iterator[Fetched]:
    """Fetch all accounts that the settings name, and give what became of each as it is done.

    One that fails leaves nothing behind, and the next one is fetched.

    Args:
        settings: who and where.
        provider: only of this one; of all if left out.
        now: the time (aware).
        patience: how long and how often a provider is asked.

    Raises:
        BadInputError: there is no such provider.
        UnavailableError: the document can't be written into the inbox.
    """
    if provider is not None and provider not in PROVIDERS:
        raise BadInputError(f"{provider!r} is none of {', '.join(PROVIDERS)}", where="provider")
    for one, name, fetch in _accounts(settings, now, patience or Patience()):
        if provider not in (None, one):
            continue
        try:
            content = fetch()
        except SourceError as error:
            yield Fetched(one, name, error=str(error))
            continue
        try:
            path = put_into_inbox(content, settings.statements_dir, source=one, account=name, as_of=statement_day(now))
        except OSError as error:
            raise UnavailableError(
                f"the statement that {one} gave can't be written ({error.strerror})",
                where=f"STATEMENTS_DIR {settings.statements_dir}",
                hint="Nothing of it is kept. Make room or let the user that this runs as write, then fetch again.",
            ) from error
        yield Fetched(one, name, path)


def _accounts(settings: Settings, now: datetime, patience: Patience) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    # Here, for each library takes a second to import, which no other command and no other task should wait for.
    if items := settings.plaid_items:
        from app.statements.sources.plaid import PlaidKeys, fetch_plaid  # noqa: PLC0415

        client = PlaidKeys(settings.plaid_base_url, settings.plaid_client_id, settings.plaid_secret.get_secret_value())
        for name, token in items.items():
            yield (
                "plaid",
                name,
                lambda name=name, token=token: fetch_plaid(  # type: ignore[misc]
                    name, token, client, now=now, patience=patience
                ),
            )
    if accounts := settings.alpaca_accounts:
        from app.statements.sources.alpaca import AlpacaKeys, fetch_alpaca  # noqa: PLC0415

        for name, (key_id, secret) in accounts.items():
            keys = AlpacaKeys(settings.alpaca_base_url, key_id, secret)
            yield (
                "alpaca",
                name,
                lambda name=name, keys=keys: fetch_alpaca(  # type: ignore[misc]
                    name, keys, now=now, patience=patience
                ),
            )
