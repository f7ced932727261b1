"""What a JSON file of a racer holds, or where it is broken and what to change there."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lateapex.errors import LateapexError

_SHOWN = 60  # characters of a wrong value in a message; more would not fit on its line


def parse_json(text: str, source: str, error: type[LateapexError]) -> Any:
    """Parse JSON; a byte order mark, which some editors put in front, is passed over.

    `source` is the file's name, for the message, and `error` what to raise.

    Raises:
        error: the text is not JSON; with line, column and the likely slip.
    """
    text = text.removeprefix("\ufeff")
    try:
        return json.loads(text)
    except json.JSONDecodeError as fault:
        line, column, slip = _slip(text, fault)
        raise error(f"{source} is not JSON: line {line}, column {column}: {slip}") from None
    except (RecursionError, ValueError) as fault:  # nested thousands deep; a whole number of thousands of digits
        raise error(f"{source} cannot be read as JSON: {fault}; expected a small object of named values") from None


def parse_object(text: str, source: str, error: type[LateapexError]) -> dict[str, Any]:
    """Parse JSON whose outermost value is an object; raises as `parse_json`, and for any other value."""
    value = parse_json(text, source, error)
    if not isinstance(value, dict):
        raise error(f"{source} holds {shown(value)}; expected an object: {{...}}")
    return value


def shown(value: Any) -> str:
    """Return a value as its file writes it, cut to fit into a message."""
    text = json.dumps(value)  # escaped: a line end or half a character would break the message
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number; true and false are none, nor is 1e999."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _slip(text: str, fault: json.JSONDecodeError) -> tuple[int, int, str]:
    """Line, column (both from 1) and what is likely wrong there."""
    before = text[: fault.pos].rstrip()
    here = text[fault.pos : fault.pos + 1]
    if not text.strip():
        return 1, 1, "the file is empty"
    if before.endswith(",") and here and here in "}]":
        place = len(before) - 1
        line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
        return line, column, f"a comma before {here!r}; remove the comma"
    return fault.lineno, fault.colno, _known_slips(fault.msg, here)


def _known_slips(message: str, here: str) -> str:
    if "Illegal trailing comma" in message:
        return "a comma before a closing bracket; remove the comma"
    if message.startswith("Unterminated string"):
        return "a text begins here and does not end; close it with a double quote"
    if not here:
        return "the text ends too early; a closing bracket is missing, or the file was cut off"
    if here == "'":
        return "a single quote; JSON wants double quotes"
    if here in "#/":
        return "JSON has no comments; remove it"
    if message.startswith("Expecting ',' delimiter"):
        return f"found {here!r}; a comma is missing before it"
    return f"found {here!r}; {message[:1].lower()}{message[1:]}"
