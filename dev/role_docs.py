"""The variables' tables of the roles' READMEs, made from `meta/argument_specs.yml`.

`python -m dev.role_docs` writes them. With `--check`, which `make lint` runs, it writes nothing and fails when a table
is out of date, or when argument_specs.yml and defaults/main.yml do not name the same variables with the same defaults.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from app.errors import AppError, BadInputError

_PROJECT = Path(__file__).resolve().parent.parent
_BEGIN, _END = "<!-- variables -->\n", "<!-- /variables -->"
_SPECS, _DEFAULTS = Path("meta", "argument_specs.yml"), Path("defaults", "main.yml")
_MISSING = object()


def problems(role: Path) -> Iterator[str]:
    """What is wrong with a role's variables and their table, each with its place."""
    options = _options(role)
    defaults = _load(role / _DEFAULTS) or {}
    # Needed by a part of the role only, and without a default, as a secret is: it stands there as a comment.
    mentioned = re.findall(r"(?m)^# (\w+):$", (role / _DEFAULTS).read_text())
    for name, value in defaults.items():
        if name not in options:
            yield f"{role / _DEFAULTS}: {name} is not in {_SPECS}"
        elif not _same(options[name].get("default", _MISSING), value):
            said = _text(options[name]["default"]) if "default" in options[name] else "none"
            yield f"{role / _SPECS}: {name} has the default {said}, and in {_DEFAULTS} {_text(value)}"
    for name, option in options.items():
        if not option.get("description") or not option.get("type"):
            yield f"{role / _SPECS}: {name} needs a type and a description"
        if option.get("required") and (name in defaults or "default" in option):
            yield f"{role / _SPECS}: {name} is required, so it can have no default"
        if not option.get("required") and name not in defaults and ("default" in option or name not in mentioned):
            yield f"{role / _SPECS}: {name} is not in {_DEFAULTS}, nor is it required"
        if not name.startswith(f"{role.name}_"):
            yield f"{role / _SPECS}: {name} does not start with the role's name"
    readme = role / "README.md"
    if not readme.exists():
        yield f"{readme}: there is none"
    elif readme.read_text() != with_table(role):
        yield f"{readme}: its table of variables is out of date. Run python -m dev.role_docs"


def with_table(role: Path) -> str:
    """The README of a role, with its table as it should be.

    Raises:
        BadInputError: it has no place for the table.
    """
    readme = role / "README.md"
    before, begin, rest = readme.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise BadInputError(f"has no {_BEGIN.strip()} … {_END}, where the table goes", where=str(readme))
    return f"{before}{begin}{_table(_options(role))}{end}{after}"


def _table(options: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| variable | type | default | what it is |", "|---|---|---|---|"]
    for name, option in options.items():
        kind = f"list of {option['elements']}" if "elements" in option else option.get("type", "")
        default = "required" if option.get("required") else "none"
        if "default" in option:
            default = f"`{_text(option['default'])}`"
        texts = option.get("description", "")
        description = " ".join(texts if isinstance(texts, list) else [texts])
        if "choices" in option:
            description += f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}."
        cells = (f"`{name}`", kind, default, " ".join(description.split()))
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _options(role: Path) -> dict[str, dict[str, Any]]:
    try:
        options = _load(role / _SPECS)["argument_specs"]["main"]["options"]
    except (KeyError, TypeError) as error:
        raise BadInputError("has no argument_specs, main, options", where=str(role / _SPECS)) from error
    return dict(options)


def _load(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise BadInputError("there is no such file, and each role has one", where=str(path)) from error
    except yaml.YAMLError as error:
        raise BadInputError(f"is no YAML: {error}", where=str(path)) from error


def main() -> int:
    """Write the tables, or check them; 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m dev.role_docs", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, say what is wrong")
    given = parser.parse_args()
    roles = sorted(path.parent for path in (_PROJECT / "roles").glob("*/tasks"))
    wrong: list[str] = []
    for role in roles:
        try:
            if not given.check and (role / "README.md").exists():
                (role / "README.md").write_text(with_table(role))
            wrong += problems(role)
        except AppError as error:
            wrong.append(str(error))
    for problem in wrong:
        print(problem.removeprefix(f"{_PROJECT}/"), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
