"""MT940 files for tests: written by SWIFT's rules for the message, with only what a test is about given."""

SWIFT_HEADER = "{1:F01OWNRDEFFAXXX0000000000}{2:O9401200240131BANKDEFFAXXX00000000002401311200N}{4:"


def line(amount: str = "D10,", *, value: str = "240131", booked: str = "0131", rest: str = "NTRFNONREF") -> str:
    """A statement line, :61:."""
    return f":61:{value}{booked}{amount}{rest}"


def message(
    *lines: str,
    account: str = "50880050/0194774600888",
    number: str = "5/1",
    opening: str = "C240130EUR100,00",
    closing: str = "C240131EUR100,00",
    first: str = "60F",
    last: str = "62F",
    after: tuple[str, ...] = (),
) -> list[str]:
    """One message, a line of the file an item."""
    return [
        ":20:STARTUMS", f":25:{account}", f":28C:{number}", f":{first}:{opening}", *lines, f":{last}:{closing}", *after,
        "-",
    ]  # fmt: skip


def file(*messages: list[str], newline: str = "\r\n") -> bytes:
    """The file with these messages."""
    return "".join(text + newline for one in messages for text in one).encode()
