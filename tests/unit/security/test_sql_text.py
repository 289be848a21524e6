"""Values reach SQL as parameters; text that is put together is of names that stand in the program, and listed here."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
FOLDERS = ("app", "benchmarks", "dev", "library")
#: What takes SQL as its first argument.
TAKES_SQL = {"text", "execute", "executemany", "exec_driver_sql", "stream", "copy", "scalars", "scalar"}
#: What takes a part of a statement as its second.
TAKES_TARGET = {"copy_into", "copy_rows"}

#: Files that put SQL together, each with what it puts there: none of it comes from outside.
EXCEPTIONS = {
    "app/alerts/": "queries, conditions and names of tables that stand in the same package",
    "app/book/import_sql.py": "names of tables and columns of app/book/tables.py",
    "app/book/importer.py": "the same; a file's column that is not among them is refused before",
    "app/book/instruments.py": "queries that several statements of the file have in common",
    "app/book/rules.py": "the same",
    "app/database/arrays.py": "a query, which its callers spell out",
    "app/database/copy_text.py": "names of tables and columns, which its callers spell out",
    "app/jobs/sweep.py": "a constant, without which PostgreSQL would not see that an index has the rows",
    "app/market_data/as_of.py": "names of partitions as the catalogue has them, and queries of the same file",
    "app/market_data/bulk.py": "names of columns",
    "app/market_data/coverage.py": "a number",
    "app/market_data/due.py": "an expression that stands beside the function that reads it",
    "app/market_data/histories.py": "the same",
    "app/market_data/quarantine.py": "the same, and a condition that statements of the file have in common",
    "app/market_data/store.py": "names of columns",
    "app/performance/": "names of columns and parts of queries that stand in the same package",
    "app/reconciliation/compare.py": "names of scratch tables",
    "app/reconciliation/links.py": "queries that several statements of the file have in common",
    "app/reports/record.py": "a query that two statements of the file have in common",
    "app/statements/tables/load.py": "names of tables and columns of app/statements/tables/copy.py",
    "app/database/migrations/": "names of tables and columns that stand in the same migration",
    "benchmarks/analytics.py": "queries that stand in the same file",
    "benchmarks/market_data.py": "numbers, names of columns, and of partitions as the catalogue has them",
    "benchmarks/backlog.py": "a number",
    "benchmarks/reconcile.py": "names of tables, which its callers spell out",
}


def put_together(source: str) -> list[int]:
    """The lines of calls that take SQL and are given an f-string, a sum, a `%` or a `format`."""
    return sorted(
        call.lineno
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and any(_is_put_together(argument) for argument in _sql(call))
    )


def _sql(call: ast.Call) -> list[ast.expr]:
    name = _name(call.func)
    return call.args[:1] if name in TAKES_SQL else call.args[1:2] if name in TAKES_TARGET else []


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_put_together(argument: ast.expr) -> bool:
    match argument:
        case ast.JoinedStr(values=values):
            return any(isinstance(value, ast.FormattedValue) for value in values)
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return True
        case ast.Call(func=ast.Attribute(attr="format" | "join", value=ast.Constant(value=str()))):
            return True
        case _:
            return False


def sources() -> dict[str, str]:
    paths = [path for folder in FOLDERS for path in (PROJECT / folder).rglob("*.py")]
    return {str(path.relative_to(PROJECT)): path.read_text() for path in paths}


def listed(path: str) -> bool:
    return any(path.startswith(exception) for exception in EXCEPTIONS)


def test_only_listed_files_put_sql_together():
    found = {path: lines for path, source in sources().items() if (lines := put_together(source))}
    assert {path: lines for path, lines in found.items() if not listed(path)} == {}


def test_only_listed_files_switch_the_linters_rule_off():
    assert [path for path, source in sources().items() if "S608" in source and not listed(path)] == []


def test_the_linter_looks_for_it_in_the_whole_program():
    settings = (PROJECT / "pyproject.toml").read_text()
    assert re.search(r'select = \[[^]]*"S"', settings)
    switched_off = re.findall(r'(?m)^"([^"]+)" = \[\n(?:[^\]]*\n)?[^\]]*"S(?:608)?"', settings)
    assert switched_off == ["app/database/migrations/**"]


@pytest.mark.parametrize(
    "line",
    [
        'session.execute(text(f"SELECT {value}"))',
        'connection.exec_driver_sql("SELECT " + value)',
        'cursor.execute("SELECT %s" % value)',
        'cursor.execute("SELECT {}".format(value))',
        'op.execute(f"SET x = {value}")',
        'copy_rows(session, f"prices ({value})", rows)',
    ],
)
def test_text_with_a_value_in_it_is_found(line):
    assert put_together(line) == [1]


@pytest.mark.parametrize(
    "line", ['text("SELECT :value")', 'cursor.execute("SELECT %s", (value,))', 'text(f"SELECT 1")']
)
def test_text_without_one_is_not(line):
    assert put_together(line) == []


def test_no_exception_is_listed_in_vain():
    found = [path for path, source in sources().items() if put_together(source) or "S608" in source]
    used = {exception for exception in EXCEPTIONS if any(path.startswith(exception) for path in found)}
    assert used == set(EXCEPTIONS)
