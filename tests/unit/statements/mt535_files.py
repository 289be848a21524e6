"""MT535 statements for tests, written from SWIFT's message specification (category 5, MT535) by builders.

Nothing in them is from a custodian's file.
"""

CUSTODIAN = "CUSTUS33"


def received(*texts: str, sender: str = CUSTODIAN, kind: str = "535") -> bytes:
    """The messages as SWIFT hands them over: the sender stands in block 2."""
    return "".join(
        f"{{1:F01INVEGB2LAXXX0000000000}}{{2:O{kind}0600240201{sender}AXXX00000000012402010600N}}"
        f"{{3:{{108:MT535 001}}}}{{4:\r\n{text}\r\n-}}{{5:{{CHK:123456789ABC}}}}\r\n"
        for text in map(_crlf, texts)
    ).encode()


def sent(*texts: str, sender: str = CUSTODIAN) -> bytes:
    """The messages as the custodian writes them: the sender stands in block 1."""
    return "".join(
        f"{{1:F01{sender}AXXX0000000000}}{{2:I535INVEGB2LXXXXN}}{{4:\r\n{text}\r\n-}}\r\n" for text in map(_crlf, texts)
    ).encode()


def bare(*texts: str, end: str = "-") -> bytes:
    """The text blocks alone."""
    return "".join(f"{text}\n{end}\n" for text in texts).encode()


def _crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def statement(
    *positions: str,
    page: str = "1/ONLY",
    number: str = "",
    reference: str = "REF1",
    function: str = "NEWM",
    date: str = ":98A::STAT//20240131",
    indicator: str = ":22F::CODE//COMP",
    account: str = ":97A::SAFE//A-1",
    activity: str = "Y",
    extra: str = "",
    sub_accounts: bool = True,
    totals: str = "",
) -> str:
    """The text of a message; the positions stand in one sub-account, unless they are to stand alone."""
    lines = [":16R:GENL", f":28E:{page}"]
    lines += [f":13A::STAT//{number}"] if number else []
    lines += [f":20C::SEME//{reference}", f":23G:{function}", date, indicator, ":22F::STTY//CUST", ":22F::STBA//SETT"]
    lines += [part for part in (extra, account) if part]
    lines += [f":17B::ACTI//{activity}", ":17B::CONS//N"] if activity else []
    lines.append(":16S:GENL")
    if positions and sub_accounts:
        lines += [sub_account(*positions)]
    else:
        lines += positions
    if totals:
        lines += [":16R:ADDINFO", totals, ":16S:ADDINFO"]
    return "\n".join(lines)


def sub_account(*positions: str, fields: str = "") -> str:
    return "\n".join([":16R:SUBSAFE", *([fields] if fields else []), *positions, ":16S:SUBSAFE"])


def position(
    security: str = "ISIN US0378331005\nAPPLE INC",
    balance: str = ":93B::AGGR//UNIT/10,",
    *,
    fields: str = "",
    attributes: str = "",
) -> str:
    """A holding; `fields` stand behind its balance."""
    lines = [":16R:FIN", f":35B:{security}"]
    lines += [":16R:FIA", attributes, ":16S:FIA"] if attributes else []
    lines += [part for part in (balance, fields) if part]
    return "\n".join([*lines, ":16S:FIN"])
