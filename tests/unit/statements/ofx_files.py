"""OFX files for tests: trees of elements, written as SGML or XML, with only what a test is about given."""

from xml.sax.saxutils import escape

#: An element: its name, and its value or the elements in it.
Tree = tuple[str, "str | list[Tree]"]

SGML_HEADER = """OFXHEADER:100
DATA:OFXSGML
VERSION:102
SECURITY:NONE
ENCODING:UTF-8
CHARSET:NONE
COMPRESSION:NONE
OLDFILEUID:NONE
NEWFILEUID:NONE

"""
XML_HEADER = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<?OFX OFXHEADER="200" VERSION="220" SECURITY="NONE" OLDFILEUID="NONE" NEWFILEUID="NONE"?>
"""
SUCCESS: Tree = ("STATUS", [("CODE", "0"), ("SEVERITY", "INFO")])


def sgml(tree: Tree) -> bytes:
    """The file as OFX 1 writes it: values without closing tags, a line an element."""
    return (SGML_HEADER + "\n".join(_lines(tree, closes_values=False))).encode()


def one_line(tree: Tree) -> bytes:
    """The file as OFX 1 with all elements in one line."""
    return (SGML_HEADER + "".join(_lines(tree, closes_values=False))).encode()


def xml(tree: Tree) -> bytes:
    """The file as OFX 2 writes it: well-formed XML."""
    return (XML_HEADER + "\n".join(_lines(tree, closes_values=True))).encode()


def cdata(tree: Tree) -> bytes:
    """The file as XML, with every value in a CDATA section that can be."""
    return (XML_HEADER + "\n".join(_lines(tree, closes_values=True, wraps_values=True))).encode()


def _lines(tree: Tree, *, closes_values: bool, wraps_values: bool = False) -> list[str]:
    name, content = tree
    if isinstance(content, str):
        value = f"<![CDATA[{content}]]>" if wraps_values and "]]>" not in content else escape(content)
        return [f"<{name}>{value}" + (f"</{name}>" if closes_values else "")]
    lines = [f"<{name}>"]
    for child in content:
        lines += _lines(child, closes_values=closes_values, wraps_values=wraps_values)
    return [*lines, f"</{name}>"]


def file_of(*statements: Tree, securities: list[Tree] | None = None) -> Tree:
    """A whole file: a sign-on, the statements, and a security list if there are any securities."""
    sections: list[Tree] = [("SIGNONMSGSRSV1", [("SONRS", [SUCCESS, ("LANGUAGE", "ENG")])])]
    for statement in statements:
        section, answer = {
            "INVSTMTRS": ("INVSTMTMSGSRSV1", "INVSTMTTRNRS"),
            "STMTRS": ("BANKMSGSRSV1", "STMTTRNRS"),
            "CCSTMTRS": ("CREDITCARDMSGSRSV1", "CCSTMTTRNRS"),
        }[statement[0]]
        sections.append((section, [(answer, [("TRNUID", "0"), SUCCESS, statement])]))
    if securities:
        sections.append(("SECLISTMSGSRSV1", [("SECLIST", securities)]))
    return ("OFX", sections)


def investment(
    *,
    day: str = "20240131",
    currency: str = "USD",
    broker: str = "custodian.example",
    account: str = "A-1",
    transactions: list[Tree] | None = None,
    positions: list[Tree] | None = None,
    cash: str | None = None,
    balances: list[Tree] | None = None,
) -> Tree:
    """A statement of an investment account; what is None is left out."""
    content: list[Tree] = [
        ("DTASOF", day),
        ("CURDEF", currency),
        ("INVACCTFROM", [("BROKERID", broker), ("ACCTID", account)]),
    ]
    if transactions is not None:
        content.append(("INVTRANLIST", [("DTSTART", "20240101"), ("DTEND", day), *transactions]))
    if positions is not None:
        content.append(("INVPOSLIST", positions))
    if cash is not None:
        totals: list[Tree] = [("BALLIST", balances)] if balances is not None else []
        content.append(("INVBAL", [("AVAILCASH", cash), ("MARGINBALANCE", "0"), *totals]))
    return ("INVSTMTRS", content)


def bank(
    *,
    day: str = "20240131",
    currency: str = "USD",
    bank_id: str = "021000021",
    account: str = "B-1",
    transactions: list[Tree] | None = None,
    balance: str = "100.00",
) -> Tree:
    """A statement of a bank account."""
    content: list[Tree] = [
        ("CURDEF", currency),
        ("BANKACCTFROM", [("BANKID", bank_id), ("ACCTID", account), ("ACCTTYPE", "CHECKING")]),
    ]
    if transactions is not None:
        content.append(("BANKTRANLIST", [("DTSTART", "20240101"), ("DTEND", day), *transactions]))
    content.append(("LEDGERBAL", [("BALAMT", balance), ("DTASOF", day)]))
    return ("STMTRS", content)


def security_id(identifier: str = "037833100", id_type: str = "CUSIP") -> Tree:
    """The identifier of a security."""
    return ("SECID", [("UNIQUEID", identifier), ("UNIQUEIDTYPE", id_type)])


def position(
    identifier: str = "037833100",
    units: str = "10",
    *more: Tree,
    id_type: str = "CUSIP",
    side: str = "LONG",
    price: str = "25",
    value: str = "250",
) -> Tree:
    """A position in a stock; `more` stands at its end."""
    values: list[Tree] = [
        ("HELDINACCT", "CASH"),
        ("POSTYPE", side),
        ("UNITS", units),
        ("UNITPRICE", price),
        ("MKTVAL", value),
    ]
    return ("POSSTOCK", [("INVPOS", [security_id(identifier, id_type), *values, *more])])


def header_of_transaction(fitid: str = "T-1", day: str = "20240115") -> Tree:
    """What every investment transaction begins with."""
    return ("INVTRAN", [("FITID", fitid), ("DTTRADE", day), ("MEMO", "memo")])


def buy(fitid: str = "T-1", *more: Tree, units: str = "10", day: str = "20240115") -> Tree:
    """A purchase of stock; `more` stands at the end of its INVBUY."""
    values: list[Tree] = [("UNITS", units), ("UNITPRICE", "25"), ("TOTAL", "-250")]
    bought = [header_of_transaction(fitid, day), security_id(), *values, *more]
    return ("BUYSTOCK", [("INVBUY", bought), ("BUYTYPE", "BUY")])


def entry(fitid: str = "C-1", *more: Tree, amount: str = "-5.00", day: str = "20240115") -> Tree:
    """A cash entry; `more` stands at its end."""
    values: list[Tree] = [("TRNTYPE", "DEBIT"), ("DTPOSTED", day), ("TRNAMT", amount), ("FITID", fitid)]
    return ("STMTTRN", [*values, *more])


def balance(name: str, value: str, *more: Tree, kind: str = "DOLLAR") -> Tree:
    """An entry of the list of balances that a custodian sends as it likes."""
    return ("BAL", [("NAME", name), ("DESC", name), ("BALTYPE", kind), ("VALUE", value), *more])
