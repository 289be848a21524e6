"""What is wrong with the tables of an import, gathered so that a person sees it all at once, in its place."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import BadInputError

#: A person mends the first few and tries again; a list of a million helps nobody.
MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    #: "positions.csv, line 17", "positions.parquet, row 17", "positions.parquet, column quantity_traded".
    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text}. {self.hint}" if self.hint else text


class BookImportError(BadInputError):
    """The tables can't be imported, and nothing of them was.

    Attributes:
        problems: the first of them, in the order of the tables and of their rows.
        count: how many there are in all.
    """

    def __init__(self, problems: tuple[Problem, ...], count: int, folder: Path) -> None:
        if count == 1:
            super().__init__(problems[0].what, where=problems[0].where, hint=problems[0].hint)
        else:
            lines = [f"{count} problems, so nothing was imported", *(f"  {problem}" for problem in problems)]
            if count > len(problems):
                lines.append(f"  and {count - len(problems)} more")
            super().__init__("\n".join(lines), where=str(folder))
        self.problems = problems
        self.count = count


@dataclass(slots=True)
class FileProblems:
    """Gathers the problems of one file."""

    file: str
    #: What its rows are counted in: the lines of a CSV file (1 is the header), the rows of a Parquet file.
    unit: str
    count: int = 0
    _listed: list[tuple[int, Problem]] = field(default_factory=list)

    def add(self, what: str, *, number: int = 0, column: str = "", hint: str = "") -> None:
        """Note a problem of line or row `number`, else of a column, else of the whole file.

        Args:
            what: as in `AppError`.
            number: the line or row.
            column: the column, where the problem is one of all rows.
            hint: as in `AppError`.
        """
        self.count += 1
        place = f", {self.unit} {number}" if number else f", column {column}" if column else ""
        self._listed.append((number, Problem(self.file + place, what, hint)))
        if len(self._listed) > 2 * MOST_LISTED:
            self._listed = self._first()

    def listed(self) -> Iterator[Problem]:
        """Give the first problems, by line."""
        return (problem for _, problem in self._first())

    def _first(self) -> list[tuple[int, Problem]]:
        return sorted(self._listed, key=lambda numbered: numbered[0])[:MOST_LISTED]


def raise_if_any(files: list[FileProblems], folder: Path) -> None:
    """Raise what was gathered.

    Raises:
        BookImportError: there is at least one problem.
    """
    count = sum(file.count for file in files)
    if count:
        problems = [problem for file in files for problem in file.listed()]
        raise BookImportError(tuple(problems[:MOST_LISTED]), count, folder)
