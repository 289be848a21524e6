"""Text from outside as PostgreSQL can keep it, so that the record of an odd error is not lost to its oddness."""


def storable(text: str) -> str:
    r"""Return text with escapes for what PostgreSQL takes in no text: NUL (`\x00`) and lone surrogates (`\udcff`)."""
    return text.encode(errors="backslashreplace").decode().replace("\0", r"\x00")
