"""Reading what `doctor` prints."""


def findings(text: str) -> dict[str, str]:
    """What `doctor` says of each thing, in one line."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        name = line[:14].strip() or name
        found[name] = f"{found.get(name, '')} {' '.join(line[16:].split())}".strip()
    return found
