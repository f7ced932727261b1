"""Parameters of a job, as the simulator gets them: training_params.yaml and evaluation_params.yaml.

A flat mapping; values are texts, or lists of texts with one for each car. What a key means and what its value may be
stands in data/job_parameters.toml and is checked by `jobs.check_params`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import yaml

from lateapex.errors import FormatError

Parameters: TypeAlias = dict[str, str | list[str]]
"""By key, in the order of the file."""

_TRUE = frozenset({"yes", "true", "t", "1"})
_NOT_ASCII = re.compile(r"[^\x20-\x7e]")
_EXAMPLE = "write WORLD_NAME: reinvent_base"


def read_parameters(text: str, source: str) -> Parameters:
    """Read a parameter file; numbers and truths stay the texts that they are, an empty value is "".

    `source` is the file's name, for messages. Of a key that stands twice the last counts, as in the original.

    Raises:
        FormatError: not YAML, no mapping, or a value that is neither a text nor a list of texts; with its line.
    """
    try:
        root = yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}:" if mark else ""
        reason = problem or " ".join(str(error).split())
        raise FormatError(f"{source} is not YAML:{place} {reason}; each line is KEY: value") from None
    except (RecursionError, ValueError) as error:  # nested thousands deep; a character that is none
        raise FormatError(f"{source} cannot be read as YAML: {error}; each line is KEY: value") from None
    if not isinstance(root, yaml.MappingNode):
        found = "is empty" if root is None else "holds no KEY: value lines"
        raise FormatError(f"{source} {found}; {_EXAMPLE}")
    return {_text(key, source, "a key"): _value(value, source, key) for key, value in root.value}


def write_parameters(parameters: Mapping[str, str | Sequence[str]]) -> str:
    """Return a parameter file as the console writes it: each value in double quotes."""
    lines = ["---"]
    for key, value in parameters.items():
        if isinstance(value, str):
            lines.append(f"{_key(key)}: {_quoted(value)}")
        else:
            lines += [f"{_key(key)}:{'' if value else ' []'}", *(f"- {_quoted(item)}" for item in value)]
    return "\n".join(lines) + "\n" if parameters else "--- {}\n"


def is_true(value: str) -> bool:
    """Whether the simulator takes a text as true; everything that is not is false to it."""
    return value.strip().lower() in _TRUE


def first(parameters: Mapping[str, str | list[str]], key: str, default: str = "") -> str:
    """Return a value, the first car's where there is one for each; `default` where there is none."""
    value = parameters.get(key, default)
    return value if isinstance(value, str) else next(iter(value), default)


def world_of(parameters: Mapping[str, str | list[str]]) -> str:
    """Return the name of the track with its direction, or "" where none is given."""
    world = first(parameters, "WORLD_NAME")
    if world and not world.endswith(("_cw", "_ccw")) and (clockwise := first(parameters, "TRACK_DIRECTION_CLOCKWISE")):
        world += "_cw" if is_true(clockwise) else "_ccw"
    return world


def _value(node: yaml.Node, source: str, key: yaml.Node) -> str | list[str]:
    if isinstance(node, yaml.SequenceNode):
        return [_text(item, source, f"a value of {key.value}") for item in node.value]
    return _text(node, source, str(key.value))


def _text(node: yaml.Node, source: str, what: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        line = node.start_mark.line + 1
        raise FormatError(f"{source}: line {line}: {what} is a list or table; expected one value")
    # An empty value and the word for none are both no value; a quoted word is a text like any other.
    return "" if node.tag == "tag:yaml.org,2002:null" else str(node.value)


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() and yaml.safe_load(key) == key else _quoted(key)


def _quoted(text: str) -> str:
    # Text in double quotes is the same in YAML and JSON, but for characters that JSON writes as two halves.
    return _NOT_ASCII.sub(lambda found: _escape(found[0]), json.dumps(text, ensure_ascii=False))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
