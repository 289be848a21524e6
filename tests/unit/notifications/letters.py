"""A letter with all that letters can have, and what strangers write into it."""

from typing import Any

from app.notifications import Attachment, Bars, Column, Letter, Section, Severity, Table

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)> & \"'"
BARS = Bars("Open breaks by age", "breaks", (("today", 7), ("2 to 5 days", 3.25), ("$older$ <b>", 0)))


def letter(**values: Any) -> Letter:
    return Letter(
        **{
            "subject": "Reconciliation of 2026-11-27: 11 breaks are open",
            "lead": "11 of 14 accounts were compared.\nOne is late.",
            "sections": (
                Section(
                    "What is new",
                    ("Seven accounts have breaks that were not there yesterday.", MARKUP),
                    table=Table(
                        (Column("account"), Column("custodian"), Column("what"), Column("ours", is_number=True)),
                        (
                            ("BRANDT-403B", "tiaa-cref.org", "CREF-BOND-MARKET-R2", "8.7605"),
                            ("Ž" * 60, MARKUP, "\x1b[31mred\x00", "1,234,567,890.12"),
                        ),
                        more=1234,
                    ),
                ),
                Section("By age", bars=BARS),
                Section(
                    table=Table((Column("custodian"), Column("due", is_number=True)), (("fidelity.com", "06:00"),))
                ),
            ),
            "commands": (("Look at them", "python -m app breaks list"),),
            "attachments": (
                Attachment("breaks.csv", "text/csv", "account,what\r\nŽ,1\r\n"),
                Attachment("přehled dne.json", "application/json", '{"a": "ů"}'),
            ),
            "severity": Severity.WARNING,
            **values,
        }
    )
