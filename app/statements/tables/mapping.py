"""The mapping files that say how a custodian's tables are read, each checked before a statement is read by it."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from app.currencies import is_currency
from app.statements.rows import StatementError

#: A column by its name in the header, or by its number from 1.
ColumnName = str | int
Scheme = Literal["ISIN", "CUSIP", "SEDOL", "FIGI", "SYMBOL", "CUSTODIAN"]
Kind = Literal[
    "buy", "sell", "income", "reinvest", "transfer", "split", "journal", "return_of_capital", "interest", "expense",
    "closure", "cash",
]  # fmt: skip

#: What a file holds: the fields that it must have, and those that it may have.
_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "positions": (
        {"account", "as_of", "currency", "identifiers", "quantity"},
        {"statement_currency", "name", "ticker", "price", "market_value", "sub_account"},
    ),
    "cash": ({"account", "as_of", "currency", "amount"}, {"statement_currency"}),
    "transactions": (
        {"account", "as_of", "currency", "reference", "kind", "trade_date"},
        {
            "statement_currency", "identifiers", "settle_date", "quantity", "price", "amount", "description",
            "group_reference", "fx_rate", "period_from",
        },
    ),
}  # fmt: skip
_DATE_DIRECTIVES = set("YymdbBj%")
_CONSTANTS = {"currency", "statement_currency"}


def _from_one(column: ColumnName | None) -> ColumnName | None:
    if isinstance(column, int) and column < 1:
        raise ValueError("the number of a column counts from 1")
    return column


def _column_alone(source: Any) -> Any:
    return {"column": source} if isinstance(source, str | int) else source


_Column = Annotated[ColumnName, AfterValidator(_from_one)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TextField(_Part):
    """A text: of a column, or the same for all rows."""

    column: _Column | None = None
    value: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "TextField":
        if (self.column is None) == (self.value is None):
            raise ValueError("either column or value")
        return self


class DateField(_Part):
    """A date: of a column, or what the group of a regular expression finds in the file's name."""

    column: _Column | None = None
    file_name: str | None = None
    #: As Python's strptime has it.
    format: str = "%Y-%m-%d"

    @model_validator(mode="after")
    def _readable(self) -> "DateField":
        if (self.column is None) == (self.file_name is None):
            raise ValueError("either column or file_name")
        if self.file_name is not None:
            try:
                groups = re.compile(self.file_name).groups
            except re.error as error:
                raise ValueError(f"file_name is no regular expression ({error})") from None
            if groups != 1:
                raise ValueError("file_name has one group in brackets, which is the date")
        day = date(2031, 12, 25)
        directives = set(re.findall("%(.)", self.format))
        try:
            read = datetime.strptime(day.strftime(self.format), self.format).date()
        except ValueError:
            read = None
        if not directives <= _DATE_DIRECTIVES or read != day:
            raise ValueError("format says year, month and day, such as %Y-%m-%d, %d.%m.%Y or %Y%m%d, and nothing else")
        return self


class NumberField(_Part):
    """A number, and what its sign is."""

    column: _Column
    #: Whether the custodian means the opposite sign.
    negate: bool = False
    #: The column that says whether the unsigned number is positive or negative (debit and credit, long and short).
    sign_column: _Column | None = None
    positive: list[str] = []
    negative: list[str] = []

    @model_validator(mode="after")
    def _signed_once(self) -> "NumberField":
        if self.sign_column is None and (self.positive or self.negative):
            raise ValueError("positive and negative are what sign_column says")
        if self.sign_column is not None and not self.negative:
            raise ValueError("sign_column needs negative, the words that make a number negative")
        if both := set(self.positive) & set(self.negative):
            raise ValueError(f"{min(both)!r} is both positive and negative")
        return self


class IdentifierField(_Part):
    """One of the names that a row has for its security."""

    column: _Column
    scheme: Scheme | None = None
    #: The column that says what kind of identifier it is, by the words in `schemes`.
    scheme_column: _Column | None = None
    schemes: dict[str, Scheme] = {}
    #: The MIC of the exchange, where the scheme is SYMBOL and all are of one.
    namespace: str = ""

    @model_validator(mode="after")
    def _one_scheme(self) -> "IdentifierField":
        if (self.scheme is None) == (self.scheme_column is None) or (self.scheme_column is None) == bool(self.schemes):
            raise ValueError("either scheme, or scheme_column and schemes")
        return self


class KindField(_Part):
    """What a transaction is."""

    column: _Column
    #: The custodian's words for each kind.
    words: dict[str, Kind] = Field(min_length=1)


_Text = Annotated[TextField, BeforeValidator(_column_alone)]
_Date = Annotated[DateField, BeforeValidator(_column_alone)]
_Number = Annotated[NumberField, BeforeValidator(_column_alone)]


class Fields(_Part):
    """Where each field of a row comes from; see `app.statements.rows`."""

    account: _Text | None = None
    as_of: _Date | None = None
    statement_currency: _Text | None = None
    currency: _Text | None = None
    #: In the order of preference: the first that a row has is what it is known by, the others are kept beside it.
    identifiers: list[IdentifierField] | None = Field(None, min_length=1)
    name: _Text | None = None
    ticker: _Text | None = None
    quantity: _Number | None = None
    price: _Number | None = None
    market_value: _Number | None = None
    amount: _Number | None = None
    fx_rate: _Number | None = None
    sub_account: _Text | None = None
    reference: _Text | None = None
    kind: KindField | None = None
    trade_date: _Date | None = None
    settle_date: _Date | None = None
    description: _Text | None = None
    group_reference: _Text | None = None
    period_from: _Date | None = None


class CsvLayout(_Part):
    """How the cells of a CSV file are written."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1, pattern=r"[^\r\n\w]")] = ","
    #: Empty where there is none.
    quote: Annotated[str, Field(max_length=1)] = '"'
    encoding: str = "utf-8"
    #: Lines before the header, or before the first row where there is no header.
    skip_lines: Annotated[int, Field(ge=0, le=1000)] = 0
    #: Whether a line names the columns; without one, columns have numbers.
    header: bool = True

    @model_validator(mode="after")
    def _known_encoding(self) -> "CsvLayout":
        try:
            same = "aZ09\n,".encode(self.encoding) == b"aZ09\n,"
        except LookupError:
            same = False
        if not same:
            raise ValueError("encoding is one that has ASCII in it, such as utf-8, cp1252 or iso-8859-15")
        return self


class Control(_Part):
    """The last line of a CSV file, where it says what the file must come to."""

    #: What the line begins with.
    starts_with: str = Field(min_length=1)
    #: The number of its cell (from 1) that counts the rows.
    rows: Annotated[int, Field(ge=1)] | None = None
    #: The number of its cell with the sum of a field, as the numbers stand in the file.
    totals: dict[Literal["quantity", "market_value", "amount"], Annotated[int, Field(ge=1)]] = {}


class Mapping(_Part):
    """How the files of one kind of one custodian are read."""

    custodian: str = Field(min_length=1, max_length=200)
    files: str | list[str]
    holds: Literal["positions", "cash", "transactions"]
    #: What stands before the decimals.
    decimal: Literal[".", ","] = "."
    #: What transactions it lists: all of its as-of date, or only some.
    period: Literal["day"] | None = None
    csv: CsvLayout = CsvLayout()
    control: Control | None = None
    fields: Fields

    @model_validator(mode="after")
    def _whole(self) -> "Mapping":
        if self.custodian != self.custodian.strip().lower():
            raise ValueError("custodian is its id as in the accounts table, in lower case")
        if not self.patterns or not all(self.patterns):
            raise ValueError("files has at least one pattern, such as positions_*.csv")
        required, optional = _FIELDS[self.holds]
        given = {name for name in Fields.model_fields if getattr(self.fields, name) is not None}
        if missing := sorted(required - given):
            raise ValueError(f"fields lacks {', '.join(missing)}, which {self.holds} need")
        if surplus := sorted(given - required - optional):
            raise ValueError(f"fields has {', '.join(surplus)}, which {self.holds} do not have")
        self._check_constants()
        if self.control and (lost := sorted(set(self.control.totals) - given)):
            raise ValueError(f"control.totals has {', '.join(lost)}, which is no field here")
        if self.period and (self.holds != "transactions" or self.fields.period_from):
            raise ValueError("period is of transactions, and stands for period_from")
        return self

    def _check_constants(self) -> None:
        for name in Fields.model_fields:
            field = getattr(self.fields, name)
            if not isinstance(field, TextField) or field.value is None:
                continue
            if name not in _CONSTANTS:
                raise ValueError(f"fields.{name} is of a column, no value")
            if not is_currency(field.value):
                raise ValueError(f"fields.{name} is {field.value!r}, which is no active ISO 4217 code")

    @property
    def patterns(self) -> list[str]:
        """What the names of its files look like."""
        return [self.files] if isinstance(self.files, str) else self.files

    def columns(self) -> list[ColumnName]:
        """Return every column that it reads, each once."""
        fields = [getattr(self.fields, name) for name in Fields.model_fields]
        parts = [part for field in fields for part in (field if isinstance(field, list) else [field])]
        names = [getattr(part, key, None) for part in parts for key in ("column", "sign_column", "scheme_column")]
        return list(dict.fromkeys(name for name in names if name is not None))


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A mapping, and the file that it stands in."""

    path: Path
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class BrokenMapping:
    """A mapping file that can't be used."""

    path: Path
    #: What the names of its files look like; empty where it does not say, so that any file may be its.
    patterns: list[str]
    #: Every mistake in it, with its key.
    error: str


@dataclass(frozen=True, slots=True)
class Mappings:
    """The mapping files of a folder, by name."""

    usable: list[MappingFile]
    broken: list[BrokenMapping]


def load_mappings(folder: Path) -> Mappings:
    """Return the mappings of a folder; none where there is no such folder."""
    found = Mappings([], [])
    for path in sorted(folder.glob("*.toml")):
        content: dict[str, Any] = {}
        try:
            content = _content(path)
            found.usable.append(MappingFile(path, _mapping(path, content)))
        except StatementError as error:
            found.broken.append(BrokenMapping(path, _patterns(content.get("files")), str(error)))
    return found


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StatementError(f"it can't be read ({error.strerror})", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StatementError(f"it is no TOML: {error}", where=str(path)) from error


def _mapping(path: Path, content: dict[str, Any]) -> Mapping:
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    raise StatementError("\n".join(f"{path}: {_sentence(problem)}" for problem in problems))


def _patterns(files: Any) -> list[str]:
    """What a mapping with mistakes says of its files; nothing where that is one of the mistakes."""
    patterns = files if isinstance(files, list) else [files]
    return patterns if all(isinstance(pattern, str) and pattern for pattern in patterns) else []


def mapping_for(name: str, mappings: Mappings) -> Mapping | None:
    """Return the mapping that a file of this name is read by, if there is one.

    Raises:
        StatementError: several mappings claim it, or one that can't be used.
    """
    usable = [file for file in mappings.usable if _fits(name, file.mapping.patterns)]
    broken = [file for file in mappings.broken if _fits(name, file.patterns)]
    names = [file.path.name for file in usable] + [file.path.name for file in broken]
    if len(names) > 1:
        raise StatementError(
            f"several mappings claim it: {', '.join(sorted(names))}",
            where=name,
            hint="Make their `files` patterns narrower, so that one of them fits.",
        )
    if broken:
        raise StatementError(
            f"the mapping that claims it can't be used: {broken[0].error}",
            where=name,
            hint="Import it again when that is put right.",
        )
    return usable[0].mapping if usable else None


def _fits(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _sentence(problem: ErrorDetails) -> str:
    # A key in a union is followed by the name of the union's member, which says nothing to a reader.
    place = ".".join(str(part) for part in problem["loc"] if not _is_type(part)) or "the file"
    if problem["type"] == "missing":
        return f"{place} is missing"
    if problem["type"] == "extra_forbidden":
        near = get_close_matches(str(problem["loc"][-1]), list(_all_keys()), 1)
        return f"{place} is no key here" + (f"; is it {near[0]}?" if near else "")
    if problem["type"] == "value_error":
        return f"{place}: {problem['ctx']['error']}"
    return f"{place} is {problem['input']!r}: {problem['msg'].replace('Input', 'it')}"


def _is_type(part: int | str) -> bool:
    return isinstance(part, str) and (part in {"str", "int"} or "[" in part)


def _all_keys() -> Iterator[str]:
    for model in (Mapping, Fields, CsvLayout, Control, TextField, DateField, NumberField, IdentifierField, KindField):
        yield from model.model_fields
