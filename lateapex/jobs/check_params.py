"""What is wrong in the files that describe a job: the simulator's parameter YAML and deepracer-for-cloud's run.env.

Both hold flat keys with values that are texts; what a value may be stands in data/job_parameters.toml.

Source of keys and defaults: deepracer-simapp's launcher and the templates of deepracer-for-cloud.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, Final, Literal, NamedTuple

import yaml

from lateapex.config import read_toml
from lateapex.errors import did_you_mean
from lateapex.jobs.findings import Finding, Severity

_TRUE: Final = frozenset({"yes", "true", "t", "1"})
_FALSE: Final = frozenset({"no", "false", "f", "0"})
_JOBS: Final = {"training": "TRAINING", "eval": "EVALUATION"}  # by a part of the file's name


class _Kind(NamedTuple):
    """What a value may be."""

    what: str
    low: float = 0
    high: float = math.inf
    words: Sequence[str] = ()
    other_words: bool = False
    """Whether other words than `words` exist."""
    per_car: bool = False
    """Whether a list may stand here, one value a car."""


@functools.cache
def _table(of: Literal["yaml", "env"]) -> Mapping[str, _Kind]:
    """What the value of each key may be."""
    table = _data()
    kinds = ((item, _Kind(**{name: item[name] for name in _Kind._fields if name in item})) for item in table["kind"])
    return {key: kind for item, kind in kinds for key in item.get(of, [])}


@functools.cache
def _data() -> dict[str, Any]:
    file = resources.files("lateapex") / "data" / "job_parameters.toml"
    return read_toml(file.read_text(encoding="utf-8"), file.name)


def check_yaml(text: str, file: str) -> Iterator[Finding]:
    """Find what is wrong in training_params.yaml or evaluation_params.yaml; `file` is its name, for the findings."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        yield _not_yaml(error, file)
        return
    except RecursionError:
        yield Finding("error", file, None, "is nested too deep; only KEY: value lines are expected")
        return
    if not isinstance(root, yaml.MappingNode):
        found = "is empty" if root is None else "holds no KEY: value lines"
        yield Finding("error", file, None, f"{found}; at least WORLD_NAME is needed: write WORLD_NAME: reinvent_base")
        return
    lines: dict[str, int] = {}
    for key, value in root.value:
        line = key.start_mark.line + 1
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
        if name in lines:
            yield Finding("warning", file, line, f"{name} stands on line {lines[name]} already; this one counts")
        lines[name] = line
        yield from _yaml_value(name, value, file, line)
    yield from _job_faults({key.value: value for key, value in root.value if _is_scalar(key)}, file)


def check_env(text: str, file: str) -> Iterator[Finding]:
    """Find what is wrong in run.env, system.env or worker-N.env; `file` is its name, for the findings."""
    if "\r" in text:
        line = text[: text.index("\r")].count("\n") + 1
        mend = f"sed -i 's/\\r$//' {file}"
        yield Finding("error", file, line, f"lines end as on Windows, which adds to each value; mend it: {mend}")
    rows = [row.rstrip("\r") for row in text.split("\n")]
    assigned = {match[2] for match in map(_ASSIGNMENT.fullmatch, rows) if match}
    lines: dict[str, int] = {}
    for line, row in enumerate(rows, 1):
        if not row.strip() or row.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(row)
        if match is None:
            yield Finding("error", file, line, f"{_cut(row)!r} is no KEY=value; begin a comment with #")
            continue
        name = match[2]
        if name in lines:
            yield Finding("warning", file, line, f"{name} stands on line {lines[name]} already; this one counts")
        lines[name] = line
        for severity, message in _env_faults(match, assigned, file.rpartition("/")[2].startswith("worker")):
            yield Finding(severity, file, line, message)


_ASSIGNMENT: Final = re.compile(r"\s*(export\s+)?([A-Za-z_]\w*)(\s*=\s*)(.*?)\s*")
_REFERENCE: Final = re.compile(r"\$\{?(DR_\w+)")
_Fault = tuple[Severity, str]


def _env_faults(match: re.Match[str], assigned: set[str], in_worker: bool) -> Iterator[_Fault]:
    export, name, equals, value = match.groups()
    known = _table("env")
    if equals != "=":
        yield "error", f"blanks stand around the =; write {name}={value}"
    if export:
        yield "warning", f"deepracer-for-cloud exports by itself; write {name}={value}"
    if in_worker and "=" in value:
        yield "error", f"{name} has a = in its value, at which worker files are cut; take another value"
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    plain = value[1:-1] if quoted else value
    if not quoted and " #" in plain:
        yield "error", f"the comment becomes part of the value of {name}; put it on a line of its own"
        return
    if not quoted and " " in plain:
        yield "warning", f"{name} has a blank in its value; put quotes around it or leave it out"
    if name not in known:
        yield "warning", f"{name} is not read{did_you_mean(name, known)}"
    for other in _REFERENCE.findall(plain):
        if other not in assigned and other not in known:
            yield "error", f"{name} takes ${other}, which nothing sets{did_you_mean(other, {*assigned, *known})}"
    if name == "DR_EVAL_COLLISION_PENALTY" and plain != "5.0":
        yield "warning", f"{name} is not read, 5 s hold; set DR_COLLISION_PENALTY={plain}"
    if name in known and "$" not in plain:
        yield from _faults(name, plain, known[name])


def _yaml_value(name: str, value: yaml.Node, file: str, line: int) -> Iterator[Finding]:
    kind = _table("yaml").get(name)
    if kind is None:
        if not name.startswith("FIREHOSE_"):
            yield Finding("warning", file, line, f"{name} is not read{did_you_mean(name, _table('yaml'))}")
    elif isinstance(value, yaml.SequenceNode):
        if not kind.per_car:
            yield Finding("error", file, line, f"{name} is a list; expected one value")
            return
        for item in value.value:
            place = item.start_mark.line + 1
            if not _is_scalar(item):
                yield Finding("error", file, place, f"{name} holds a list or table within its list; expected texts")
                continue
            for severity, message in _faults(name, item.value, kind):
                yield Finding(severity, file, place, message)
    elif not _is_scalar(value):
        yield Finding("error", file, line, f"{name} is a table; expected one value")
    elif not (kind.what == "truth" and value.tag == "tag:yaml.org,2002:bool"):
        for severity, message in _faults(name, value.value, kind):
            yield Finding(severity, file, line, message)


def _job_faults(values: Mapping[str, yaml.Node], file: str) -> Iterator[Finding]:
    """What is wrong with the keys taken together."""
    if "WORLD_NAME" not in values:
        yield Finding("error", file, None, "has no WORLD_NAME, the track; write WORLD_NAME: reinvent_base")
    job = values.get("JOB_TYPE")
    right = next((word for part, word in _JOBS.items() if part in file.rpartition("/")[2]), None)
    if job is not None and right is not None and job.value in _JOBS.values() and job.value != right:
        message = f"JOB_TYPE is {job.value} in a file for {right.lower()}; write JOB_TYPE: {right}"
        yield Finding("error", file, job.start_mark.line + 1, message)
    equal = _data()["equal_lists"]
    lists = {name: value for name, value in values.items() if isinstance(value, yaml.SequenceNode) and name in equal}
    cars = max((len(value.value) for value in lists.values()), default=0)
    for name, value in lists.items():
        if len(value.value) != cars:
            message = f"{name} has {len(value.value)} values where others have {cars}; one for each car is needed"
            yield Finding("error", file, value.start_mark.line + 1, message)


def _faults(name: str, value: str, kind: _Kind) -> Iterator[_Fault]:
    """What is wrong with one value."""
    text = value.strip()
    shown = f"{name} is {_cut(text)!r}" if text else f"{name} is empty"
    if kind.what == "truth" and text.lower() not in _TRUE | _FALSE:
        near = did_you_mean(text.lower(), ("true", "false")) if text else ""
        yield "error", f"{shown}, which counts as false{near or '; write True or False'}"
    elif kind.what in ("whole", "number"):
        number = _number(text, kind.what == "whole")
        if number is None or not kind.low <= number <= kind.high:
            what = "a whole number" if kind.what == "whole" else "a number"
            limits = f"from {kind.low:g}" + (f" to {kind.high:g}" if kind.high < math.inf else "")
            yield "error", f"{shown}; expected {what} {limits}"
    elif kind.what == "word" and text not in kind.words:
        yield from _word_faults(shown, text, kind)
    elif kind.what == "position" and not _is_position(text):
        yield "error", f'{shown}; expected the share of the lap and the lane, 1 (inner) or -1 (outer): "0.25,1"'
    elif kind.what == "positions" and text and not all(map(_is_position, text.split(";"))):
        yield "error", f"{shown}; expected shares of the lap and lanes, 1 (inner) or -1 (outer): 0.25,1;0.5,-1"
    elif kind.what == "world" and (not text or text.endswith(".npy")):
        yield "error", f"{shown}; expected a track's name without .npy, such as reinvent_base"


def _word_faults(shown: str, text: str, kind: _Kind) -> Iterator[_Fault]:
    same = [word for word in kind.words if word.lower() == text.lower()]
    if same:
        yield "warning", f"{shown}; write it as {same[0]}"
    else:
        near = did_you_mean(text, kind.words) if text else ""
        severity: Severity = "warning" if kind.other_words else "error"
        yield severity, f"{shown}; expected {', '.join(kind.words[:-1])} or {kind.words[-1]}{near}"


def _is_position(text: str) -> bool:
    share, _, lane = (part.strip() for part in text.partition(","))
    number = _number(share, whole=False)
    return number is not None and 0 <= number <= 1 and lane in ("1", "-1", "+1")


def _number(text: str, whole: bool) -> float | None:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_scalar(node: object) -> bool:
    return isinstance(node, yaml.ScalarNode)


def _not_yaml(error: yaml.YAMLError, file: str) -> Finding:
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    hint = "; indent with blanks, not tabs" if problem and r"'\t'" in problem else ""
    reason = problem or str(error).splitlines()[0]
    line = None if mark is None else mark.line + 1
    return Finding("error", file, line, f"is not YAML: {reason}{hint or '; each line is KEY: value'}")


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
