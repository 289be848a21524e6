r"""Reads and writes `.env` by systemd's own rules, so that a value is the same in a shell and in a service.

The format is systemd.exec(5), EnvironmentFile=, as systemd 252 to 257 read it. In short: `#` and `;` start a
comment only at the start of a line; nothing is expanded, `$` and `%` are plain characters; an unquoted value
loses the blanks around it and a backslash keeps the next character; in single quotes all is literal; in
double quotes a backslash escapes only `"`, `\`, a backtick and `$`; quoted values may go over lines; a
backslash before the line's end joins two lines. Other readers of `.env` cut a value at ` #` or expand `$`:
hence this one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import BadInputError

_BLANKS_AND_ENDS = re.compile(r"[ \t\n\r]*")
_BLANKS = re.compile(r"[ \t]*")
_COMMENT = re.compile(r"[#;][^\n\r]*")
_OPEN_END = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
_NAME_PART = re.compile(r"[^\n\r][^=\n\r]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SINGLE_QUOTED = re.compile(r"'([^']*)'")
_DOUBLE_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_BARE = re.compile(r"((?:[^\\\n\r]|\\.)*?(?:\\\Z)?)[ \t]*(?=[\n\r]|\Z)", re.DOTALL)
_BARE_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_QUOTED_ESCAPE = re.compile(r'\\(["\\`$\n])')
_NEEDS_ESCAPE = re.compile(r'["\\`$]')
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
# What systemd refuses a whole file for: NUL, bytes that are not UTF-8 (decoded to lone surrogates here), and
# Unicode's noncharacters.
_REFUSED = re.compile(
    "[\0\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
    + "]"
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of an environment file."""

    #: Its value as a service gets it. Kept out of the repr: it may be a secret.
    value: str = field(repr=False)
    #: The line that its name stands on, from 1.
    line: int


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What an environment file says."""

    #: By name; of a name given twice the last one counts, as in systemd.
    variables: Mapping[str, Variable] = field(default_factory=dict)
    #: Lines that are neither comment nor `NAME=value` (nor is `export NAME=value`). systemd ignores them too.
    ignored_lines: tuple[int, ...] = ()


def read(path: Path) -> EnvFile:
    """Read the environment file at `path`.

    Raises:
        BadInputError: the file can't be read, or holds what `parse` refuses.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"can't be read: {error.strerror}", where=str(path)) from error
    return parse(content, source=str(path))


def parse(content: bytes, *, source: str = ".env") -> EnvFile:
    """Read the content of an environment file; `source` is its name in errors.

    What systemd would read otherwise than it looks is refused, never guessed.

    Raises:
        BadInputError: a name or value is not UTF-8, or holds NUL or a noncharacter (systemd refuses the
            file); a quote is never closed (systemd takes the rest of the file as the value); a comment ends
            in a backslash (systemd before 254 takes the next line as a part of the comment).
    """
    if b"\0" in content:
        raise BadInputError("has a NUL, which systemd refuses in an environment file", where=source)
    text = content.decode(errors="surrogateescape")
    variables: dict[str, Variable] = {}
    ignored: list[int] = []
    at = _end(_BLANKS_AND_ENDS, text, 0)
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        where = f"{source} line {line}"
        if comment := _COMMENT.match(text, at):
            at = comment.end()
            if _OPEN_END.search(comment[0]):
                raise BadInputError(
                    "a comment ends in a backslash",
                    where=where,
                    hint="Some versions of systemd take the next line as a part of it: end it otherwise",
                )
        else:
            start, at = at, _end(_NAME_PART, text, at)
            name = text[start:at].rstrip(" \t")
            if text[at : at + 1] != "=":
                ignored.append(line)
            else:
                value, at = _value(text, at + 1, where)
                _check_characters(name + value, where=where)
                if _NAME.fullmatch(name):
                    variables[name] = Variable(value, line)
                else:
                    ignored.append(line)
        at = _end(_BLANKS_AND_ENDS, text, at)
    return EnvFile(variables, tuple(ignored))


def quote(value: str) -> str:
    """Write a value so that `parse`, systemd and a POSIX shell read it back as it was.

    Raises:
        BadInputError: the value has a character that no environment file can carry: NUL, a lone surrogate, or
            one of Unicode's noncharacters.
    """
    _check_characters(value, where="")
    if _NEEDS_NO_QUOTES.fullmatch(value):
        return value
    return '"' + _NEEDS_ESCAPE.sub(r"\\\g<0>", value) + '"'


def _value(text: str, at: int, where: str) -> tuple[str, int]:
    """The value that starts at `at`, and where it ends: quoted parts, then perhaps an unquoted one."""
    parts = []
    while True:
        at = _end(_BLANKS, text, at)
        if single := _SINGLE_QUOTED.match(text, at):
            parts.append(single[1])
            at = single.end()
        elif double := _DOUBLE_QUOTED.match(text, at):
            parts.append(_QUOTED_ESCAPE.sub(lambda escape: escape[1].strip("\n"), double[1]))
            at = double.end()
        elif text[at : at + 1] in {"'", '"'}:
            raise BadInputError(
                f"the {text[at]} is never closed", where=where, hint="Close it, or write the value without it"
            )
        else:
            bare = _BARE.match(text, at)
            assert bare is not None  # noqa: S101 - the pattern matches the empty string at any line's end
            parts.append(_BARE_ESCAPE.sub(lambda escape: escape[1].strip("\n\r"), bare[1]))
            return "".join(parts), bare.end()


def _check_characters(text: str, *, where: str) -> None:
    if refused := _REFUSED.search(text):
        code = ord(refused[0])
        what = "is not UTF-8" if 0xD800 <= code <= 0xDFFF else f"has the character U+{code:04X}"  # noqa: PLR2004
        raise BadInputError(f"{what}, which systemd refuses in an environment file", where=where)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
