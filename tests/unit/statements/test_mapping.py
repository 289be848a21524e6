"""Mapping files: what they may say, and how a mistake in one is told."""

import tomllib
from pathlib import Path

import pytest

from app.settings import PROJECT_DIR
from app.statements import StatementError
from app.statements.tables import Mappings, load_mappings, mapping_for

GOOD = """
custodian = "bank.example"
files = "pos_*.csv"
holds = "positions"
decimal = "."
[csv]
delimiter = ";"
[control]
starts_with = "T"
[fields]
account = 1
as_of = { file_name = '(\\d{8})', format = "%Y%m%d" }
currency = { value = "USD" }
identifiers = [{ scheme = "ISIN", column = "isin" }]
quantity = { column = "qty", sign_column = "side", negative = ["S"] }
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("custodian =", "custodain =", "custodian is missing"),
        ("custodian =", "custodain =", "custodain is no key here; is it custodian?"),
        ('"bank.example"', '"Bank"', "custodian is its id as in the accounts table, in lower case"),
        ('"positions"', '"holdings"', "holds is 'holdings': it should be 'positions', 'cash' or 'transactions'"),
        ('"positions"', '"cash"', "fields lacks amount, which cash need"),
        ("account = 1", "account = 0", "fields.account.column: the number of a column counts from 1"),
        ("account = 1", 'account = { value = "A" }', "fields.account is of a column, no value"),
        ("account = 1", 'account = 1\namount = "x"', "fields has amount, which positions do not have"),
        ("account = 1", 'account = { column = 1, value = "x" }', "fields.account: either column or value"),
        ("%Y%m%d", "%d.%m", "fields.as_of: format says year, month and day"),
        ("%Y%m%d", "%Y%m%d %H", "fields.as_of: format says year, month and day"),
        (r"(\\d{8})", "[", "fields.as_of: file_name is no regular expression"),
        (r"(\\d{8})", "x", "fields.as_of: file_name has one group in brackets"),
        ('"USD"', '"usd"', "fields.currency is 'usd', which is no active ISO 4217 code"),
        ('"ISIN"', '"isin"', "fields.identifiers.0.scheme is 'isin'"),
        ('scheme = "ISIN", ', "", "fields.identifiers.0: either scheme, or scheme_column and schemes"),
        (', negative = ["S"]', "", "fields.quantity: sign_column needs negative"),
        ('negative = ["S"]', 'negative = ["S"], positive = ["S"]', "'S' is both positive and negative"),
        ('decimal = "."', 'decimal = "x"', "decimal is 'x': it should be '.' or ','"),
        ('";"', '";;"', "csv.delimiter is ';;'"),
        ('delimiter = ";"', 'encoding = "utf-16"', "csv: encoding is one that has ASCII in it"),
        ('starts_with = "T"', 'starts_with = "T"\ntotals = { amount = 3 }', "control.totals has amount"),
        ('decimal = "."', 'period = "day"', "period is of transactions"),
    ],
)
def test_a_mistake_is_told_with_its_file_and_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = GOOD.replace(old.replace("\\\\", "\\"), new)
    assert text != GOOD
    (tmp_path / "bank.toml").write_text(text)
    (broken,) = load_mappings(tmp_path).broken
    assert says in broken.error
    assert all(line.startswith(str(tmp_path / "bank.toml")) for line in broken.error.splitlines())


def test_mistakes_of_all_files_are_told_and_the_others_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD.replace("decimal", "dezimal"))
    (tmp_path / "b.toml").write_text("=")
    (tmp_path / "c.toml").write_text(GOOD)
    found = load_mappings(tmp_path)
    first, second = (broken.error for broken in found.broken)
    assert "a.toml: dezimal is no key here" in first
    assert "b.toml: it is no TOML" in second
    assert [file.path.name for file in found.usable] == ["c.toml"]


@pytest.mark.parametrize(
    ("files", "patterns"),
    [
        ('"pos_*.csv"', ["pos_*.csv"]),
        ('["a*", "b*"]', ["a*", "b*"]),
        ('["a*", 1]', []),
        ('[""]', []),
        ("[]", []),
        ("{ name = 'a*' }", []),
    ],
)
def test_a_mapping_with_mistakes_still_says_which_files_it_is_for_if_that_can_be_read(
    files: str, patterns: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text(GOOD.replace("decimal", "dezimal").replace('"pos_*.csv"', files))
    (broken,) = load_mappings(tmp_path).broken
    assert broken.patterns == patterns


def test_a_mapping_with_mistakes_keeps_out_the_files_that_it_claims(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD.replace("decimal", "dezimal"))
    (tmp_path / "b.toml").write_text(GOOD.replace('"pos_*.csv"', '["cash_*.csv", "pos_1.*"]'))
    mappings = load_mappings(tmp_path)
    assert mapping_for("cash_2.csv", mappings) is mappings.usable[0].mapping
    with pytest.raises(StatementError, match=r"pos_2\.csv: the mapping that claims it .*a\.toml: dezimal is no key"):
        mapping_for("pos_2.csv", mappings)
    with pytest.raises(StatementError, match=r"pos_1\.csv: several mappings claim it: a\.toml, b\.toml"):
        mapping_for("pos_1.csv", mappings)


def test_a_folder_that_is_not_there_has_no_mappings(tmp_path: Path) -> None:
    assert load_mappings(tmp_path / "gone") == Mappings([], [])


def test_a_file_is_read_by_the_mapping_whose_pattern_fits_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD.replace('"pos_*.csv"', '["cash_*.csv", "pos_1.*"]'))
    mappings = load_mappings(tmp_path)
    assert mapping_for("pos_2.csv", mappings) is mappings.usable[0].mapping
    assert mapping_for("cash_2.csv", mappings) is mappings.usable[1].mapping
    assert mapping_for("POS_2.csv", mappings) is None
    with pytest.raises(StatementError, match=r"pos_1\.csv: several mappings claim it: a\.toml, b\.toml"):
        mapping_for("pos_1.csv", mappings)


def test_the_example_mappings_can_be_used() -> None:
    folder = PROJECT_DIR / "docs" / "mappings"
    assert [file.mapping.holds for file in load_mappings(folder).usable] == ["positions", "transactions"]


def test_a_mapping_reads_each_of_its_columns_once() -> None:
    from app.statements.tables import Mapping

    assert Mapping.model_validate(tomllib.loads(GOOD)).columns() == [1, "isin", "qty", "side"]
