"""Which feeds and providers the settings name, in their order."""

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import cast

import redis

from app.errors import BadInputError
from app.market_data.providers.price_folder import PriceFolder
from app.market_data.providers.terms import Provider
from app.market_data.sources import Sources
from app.settings import Settings

#: The name of the folder of files; the others are providers.
_FILES = "files"
#: The function that makes each of the settings, and gives None where they lack its key.
_PROVIDERS = {
    "alpaca": "app.market_data.providers.alpaca:from_settings",
    "alpha-vantage": "app.market_data.providers.alpha_vantage:from_settings",
    "yahoo": "app.market_data.providers.yahoo:from_settings",
}


def configured(settings: Settings, client: Callable[[], "redis.Redis"]) -> Sources:
    """Return what `PRICE_PROVIDERS` names.

    A provider that is at home elsewhere is named `module:function`; its function gets the settings, and gives what
    `app.market_data.providers.Provider` asks for.

    Args:
        settings: the settings.
        client: gives the Redis that all workers share.

    Raises:
        BadInputError: there is no such provider, or the settings lack its key.
    """
    names = settings.price_provider_names
    providers = {name: _provider(name, settings) for name in names if name != _FILES}
    folder = PriceFolder(settings.prices_dir, _FILES)
    return Sources(
        feeds=[folder] if _FILES in names else [],
        providers=list(providers.values()),
        order=[folder.name if name == _FILES else providers[name].name for name in names],
        redis=client,
        installation=settings.celery_queue,
        jump_limit=settings.price_jump_limit,
    )


# Made once a process, with the connections that it keeps.
@lru_cache(maxsize=32)
def _provider(name: str, settings: Settings) -> Provider:
    module, _, function = _PROVIDERS.get(name, name).partition(":")
    if not function:
        raise BadInputError(
            f"there is no provider {name!r}",
            where="PRICE_PROVIDERS",
            hint=f"There are {', '.join([_FILES, *_PROVIDERS])}; others are named module:function.",
        )
    try:
        make = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise BadInputError(f"the provider {name!r} can't be had ({error})", where="PRICE_PROVIDERS") from error
    provider = make(settings)
    if provider is None:
        raise BadInputError(
            f"the provider {name!r} has no key",
            where="PRICE_PROVIDERS",
            hint="docs/market-data.md says which settings it needs.",
        )
    return cast("Provider", provider)
