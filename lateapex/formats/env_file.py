"""Settings of deepracer-for-cloud: run.env, system.env, worker-N.env.

Lines are `KEY=value`, as a shell reads them: quotes do not belong to the value, `$OTHER` stands for another value, and
a line that begins with # is a comment. Rewriting keeps comments, order and keys that nobody knows, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lateapex.errors import FormatError

_ASSIGNMENT = re.compile(r"(\s*(?:export\s+)?)([A-Za-z_]\w*)=(.*?)(\s*)", re.DOTALL)
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PLAIN = re.compile(r"[\w./:,@%+=~${}-]*", re.ASCII)


class _Line(NamedTuple):
    text: str
    """As it stands in the file, with its end."""
    key: str = ""
    raw: str = ""
    """The value with its quotes; "" for a comment."""


@dataclass(frozen=True)
class EnvFile:
    """One file."""

    lines: tuple[_Line, ...]

    @property
    def raw(self) -> dict[str, str]:
        """Values without quotes, references as they are; of a key that stands twice the last counts."""
        return {line.key: _unquoted(line.raw) for line in self.lines if line.key}

    def values(self, outside: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return values with `$OTHER` replaced; what is not set, in `outside` neither, is nothing, as in a shell.

        Args:
            outside: values that were there before this file was read, such as those of system.env.
        """
        known: dict[str, str] = dict(outside or {})
        found: dict[str, str] = {}
        for line in self.lines:
            if line.key:
                known[line.key] = found[line.key] = _expanded(line.raw, known)
        return found

    def updated(self, changes: Mapping[str, str]) -> EnvFile:
        """Return the file with other values, each in its place; keys that it does not have come last.

        Raises:
            FormatError: a key is none, or a value has more than one line or both kinds of quotes.
        """
        for key, value in changes.items():
            if not _KEY.fullmatch(key) or {"\n", "\r"} & set(value) or {"'", '"'} <= set(value):
                raise FormatError(f"{key!r} cannot be set to {value!r}; expected KEY=value on one line")
        last = {line.key: place for place, line in enumerate(self.lines)}
        lines = [
            _assignment(line, changes[line.key]) if line.key in changes and last[line.key] == place else line
            for place, line in enumerate(self.lines)
        ]
        new = ((key, _quoted(value)) for key, value in changes.items() if key not in last)
        added = [_Line(f"{key}={raw}\n", key, raw) for key, raw in new]
        if added and lines and not lines[-1].text.endswith("\n"):
            lines[-1] = lines[-1]._replace(text=lines[-1].text + "\n")
        return EnvFile((*lines, *added))


def read_env(text: str, source: str) -> EnvFile:
    """Read a file; `source` is its name, for messages.

    Raises:
        FormatError: a line is neither `KEY=value` nor a comment; with its number.
    """
    return EnvFile(tuple(_parsed(text, source)))


def write_env(file: EnvFile) -> str:
    """Return the file's text."""
    return "".join(line.text for line in file.lines)


def _parsed(text: str, source: str) -> Iterable[_Line]:
    for number, line in enumerate(re.findall(r"[^\n]*\n|[^\n]+", text), 1):
        plain = line.removeprefix("\ufeff")
        if not plain.strip() or plain.lstrip().startswith("#"):
            yield _Line(line)
        elif (match := _ASSIGNMENT.fullmatch(plain)) is None:
            shown = plain.strip() if len(plain.strip()) <= 60 else plain.strip()[:57] + "..."
            raise FormatError(f"{source}: line {number} is {shown!r}; expected KEY=value, or # before a comment")
        else:
            yield _Line(line, match[2], match[3])


def _assignment(line: _Line, value: str) -> _Line:
    begin, key, _, end = _match(line)
    return _Line(f"{begin}{key}={_quoted(value)}{end}", key, _quoted(value))


def _match(line: _Line) -> tuple[str, str, str, str]:
    match = _ASSIGNMENT.fullmatch(line.text)
    if match is None:  # the file begins with a byte order mark
        return "", line.key, line.raw, "\n"
    begin, key, raw, end = match.groups()
    return begin, key, raw, end


def _unquoted(raw: str) -> str:
    return raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "\"'" else raw


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    quote = "'" if '"' in value or not {"'", "$"} & set(value) else '"'  # within ' a shell replaces nothing
    return f"{quote}{value}{quote}"


def _expanded(raw: str, known: Mapping[str, str]) -> str:
    value = _unquoted(raw)
    if raw.startswith("'"):
        return value
    return _REFERENCE.sub(lambda match: known.get(match[1] or match[2], ""), value)
