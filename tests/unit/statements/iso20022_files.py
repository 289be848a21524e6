"""ISO 20022 files for tests, written from the message definitions by builders: trees of elements, written as XML.

Nothing in them is from a custodian's file; a builder gives what a message needs, and a test what it is about.
"""

from xml.sax.saxutils import escape

#: An element: its name, with its attributes if it has any, and its value or the elements in it.
Tree = tuple[str, "str | list[Tree]"]

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"


def xml(tree: Tree) -> bytes:
    """The file, a line an element."""
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(_lines(tree)) + "\n").encode()


def one_line(tree: Tree) -> bytes:
    """The file with all elements in one line."""
    return "".join(_lines(tree)).encode()


def utf16(tree: Tree) -> bytes:
    """The file in UTF-16."""
    return ('<?xml version="1.0" encoding="UTF-16"?>\n' + "\n".join(_lines(tree))).encode("utf-16")


def prefixed(tree: Tree) -> bytes:
    """The file with a prefix before every name of the message."""
    text = "\n".join(_lines(tree)).replace("<", "<m:").replace("<m:/", "</m:").replace("xmlns=", "xmlns:m=")
    return text.encode()


def _lines(tree: Tree) -> list[str]:
    tag, content = tree
    name = tag.split(" ")[0]
    if isinstance(content, str):
        return [f"<{tag}>{escape(content)}</{name}>"]
    lines = [f"<{tag}>"]
    for child in content:
        lines += _lines(child)
    return [*lines, f"</{name}>"]


def document(kind: str, *bodies: Tree) -> Tree:
    """A message of a kind, as camt.053.001.08."""
    return (f'Document xmlns="{NAMESPACE}{kind}"', list(bodies))


def header(bic: str) -> Tree:
    """The header that an envelope gives a message: who sent it."""
    sender: Tree = ("Fr", [("FIId", [("FinInstnId", [("BICFI", bic)])])])
    return (f'AppHdr xmlns="{NAMESPACE}head.001.001.02"', [sender, ("BizMsgIdr", "1")])


def envelope(*parts: Tree) -> Tree:
    """Several messages with their headers, in the order given."""
    return ('BizMsgs xmlns="urn:example:envelope"', list(parts))


def amount(number: str, currency: str = "EUR", name: str = "Amt") -> Tree:
    return (f'{name} Ccy="{currency}"', number)
