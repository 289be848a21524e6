"""Words of somebody outside, fit for an error: without what an address holds, which may be a secret in any place."""

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

_LENGTH = 200
#: Shorter parts of an address are no secrets, and stand in many words.
_SHORTEST = 3
_ADDRESS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://\S+")


def parts_of(url: str) -> set[str]:
    """Return all that may be a secret in an address: each word of it after the scheme, as it is written and meant."""
    rest = url.partition("://")[2]
    words = re.split(r"[/:@?&=;,#\s]+", rest)
    whole = {urlsplit(url).netloc, rest, *words}
    return {part for word in whole for part in (word, unquote(word)) if len(part) >= _SHORTEST}


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return the beginning of a text on one line, with `***` for each address and each secret that it quotes."""
    text = _ADDRESS.sub("***", text)
    for secret in sorted(secrets, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_LENGTH]
