"""What happened at every step: trace CSV files, and the SIM_TRACE_LOG lines of a log.

A CSV holds numbers as Python prints them, a log line rounds them. Yaw is in degrees here and in radians in records.
The reader takes the CSV generations from 2020 on, of 16 to 19 columns; the header says which.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from lateapex.errors import FormatError
from lateapex.records import STATUSES, STEP_DTYPE, EpisodeRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

HEADER = (
    "episode,steps,X,Y,yaw,steer,throttle,action,reward,done,all_wheels_on_track,progress,closest_waypoint,track_len,"
    "tstamp,episode_status,pause_duration,obstacle_crash_counter,wall_clock"
)
"""First line of a CSV of the newest generation, without its line end."""

_LOG_LINE = "SIM_TRACE_LOG:%d,%d,%.4f,%.4f,%.4f,%.2f,%.2f,%s,%.4f,%s,%s,%.4f,%d,%.2f,%s,%s,%.2f\n"
_REQUIRED = HEADER.split(",")[:16]
_BRACKET = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True, kw_only=True)
class TracedEpisode:
    """One episode of a trace CSV."""

    number: int
    """From 0 over the whole run."""
    track_length: float
    """m"""
    steps: NDArray[Any]
    """Rows of `STEP_DTYPE`, `[T]`; action is -1 in a continuous action space, wall_clock NaN in older files."""


def write_simtrace(episodes: Iterable[tuple[int, EpisodeRecord]]) -> str:
    """Return a CSV of episodes, each with its number from 0 over the whole run."""
    return HEADER + "\n" + "".join(write_rows(number, record) for number, record in episodes)


def write_rows(number: int, record: EpisodeRecord) -> str:
    """Return the CSV lines of one episode, each with its line end."""
    steps = record.steps
    columns = (
        repeat(str(number)),
        map(repr, steps["steps"].astype(np.float64).tolist()),
        *(map(repr, steps[name].tolist()) for name in ("x", "y")),
        map(repr, _degrees(steps["yaw"])),
        *(map(repr, steps[name].tolist()) for name in ("steering_angle", "speed")),
        _action_texts(steps),
        map(repr, steps["reward"].tolist()),
        *(map(repr, steps[name].tolist()) for name in ("done", "all_wheels_on_track")),
        _progress(steps["progress"]),
        map(repr, steps["closest_waypoint"].tolist()),
        repeat(repr(float(record.track_length))),
        map(repr, steps["sim_time"].tolist()),
        _words(steps["status"]),
        repeat("0.0"),
        repeat("0"),
        map(repr, steps["wall_clock"].tolist()),
    )
    return "\n".join(map(",".join, zip(*columns, strict=False))) + "\n"


def write_log_lines(number: int, record: EpisodeRecord) -> str:
    """Return the SIM_TRACE_LOG lines of one episode, of 17 fields, each with its line end."""
    steps = record.steps
    columns = (
        repeat(number),
        *(steps[name].tolist() for name in ("steps", "x", "y")),
        _degrees(steps["yaw"]),
        *(steps[name].tolist() for name in ("steering_angle", "speed")),
        _action_texts(steps),
        steps["reward"].tolist(),
        *(steps[name].tolist() for name in ("done", "all_wheels_on_track", "progress", "closest_waypoint")),
        repeat(record.track_length),
        steps["sim_time"].tolist(),
        _words(steps["status"]),
        repeat(0.0),
    )
    return "".join([_LOG_LINE % row for row in zip(*columns, strict=False)])


def read_simtrace(text: str, source: str) -> list[TracedEpisode]:
    """Read a trace CSV; `source` is the file's name, for messages.

    Raises:
        FormatError: columns are missing, or a line is broken; with the number of the line.
    """
    header, *lines = text.rstrip("\n").split("\n")
    names = header.rstrip("\r").split(",")
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise FormatError(f"{source}: line 1 has no column {missing[0]!r}; expected {','.join(_REQUIRED[:4])},...")
    rows = [_fields(line, len(names), place, source) for place, line in enumerate(lines, start=2)]
    if not rows:
        return []
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    steps = np.empty(len(rows), STEP_DTYPE)
    for name, (column, convert) in _COLUMNS.items():
        steps[name] = _convert(columns.get(column), column, convert, source)
    numbers = np.array(_convert(columns["episode"], "episode", int, source))
    lengths = _convert(columns["track_len"], "track_len", float, source)
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist()]
    return [
        TracedEpisode(number=int(numbers[start]), track_length=lengths[start], steps=steps[start:end])
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)
    ]


def _degrees(yaw: NDArray[np.float64]) -> list[float]:
    # In this order of operations, and not as np.degrees does it: the last digit is then the original's.
    degrees: list[float] = (yaw * 180.0 / math.pi).tolist()
    return degrees


def _action_texts(steps: NDArray[Any]) -> Iterable[str]:
    """The place in the action list; `[steer speed]` where there is none, as the original's newest version writes it."""
    actions = steps["action"].tolist()
    if min(actions, default=0) >= 0:
        return map(str, actions)
    pairs = zip(steps["steering_angle"].tolist(), steps["speed"].tolist(), strict=True)
    return [f"[{angle!r} {speed!r}]" for angle, speed in pairs]


def _progress(progress: NDArray[np.float64]) -> list[str]:
    texts = list(map(repr, progress.tolist()))
    for place in np.flatnonzero(progress == 100.0).tolist():
        texts[place] = "100"  # the original cuts a lap's end to the whole number
    return texts


def _words(status: NDArray[np.int8]) -> list[str]:
    return [STATUSES[place] for place in status.tolist()]


def _fields(line: str, count: int, place: int, source: str) -> Sequence[str]:
    fields = line.rstrip("\r").split(",")
    if len(fields) != count and "[" in line:
        fields = _BRACKET.sub(lambda action: action[0].replace(",", " "), line.rstrip("\r")).split(",")
    if len(fields) != count:
        raise FormatError(f"{source}: line {place} has {len(fields)} fields; the header has {count}")
    return fields


def _convert(texts: Sequence[str] | None, column: str, convert: Callable[[str], Any], source: str) -> list[Any]:
    if texts is None:
        return [math.nan]  # a column of a later generation; NumPy spreads it over the rows
    try:
        return list(map(convert, texts))
    except (ValueError, OverflowError, KeyError):
        place, found = next((place, found) for place, found in enumerate(texts) if _is_broken(found, convert))
        raise FormatError(f"{source}: line {place + 2}: {column} is {found!r}; expected {_KINDS[convert]}") from None


def _is_broken(text: str, convert: Callable[[str], Any]) -> bool:
    try:
        convert(text)
    except (ValueError, OverflowError, KeyError):
        return True
    return False


def _truth(text: str) -> bool:
    return {"True": True, "False": False}[text]


def _whole(text: str) -> int:
    number = int(float(text))
    if not -(2**31) <= number < 2**31:
        raise ValueError(text)
    return number


def _action(text: str) -> int:
    return -1 if text.lstrip('"').startswith("[") else _whole(text)


def _radians(text: str) -> float:
    return math.radians(float(text))


def _status(text: str) -> int:
    return STATUSES.index(text)


_COLUMNS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "steps": ("steps", _whole),
    "x": ("X", float),
    "y": ("Y", float),
    "yaw": ("yaw", _radians),
    "steering_angle": ("steer", float),
    "speed": ("throttle", float),
    "action": ("action", _action),
    "reward": ("reward", float),
    "done": ("done", _truth),
    "all_wheels_on_track": ("all_wheels_on_track", _truth),
    "progress": ("progress", float),
    "closest_waypoint": ("closest_waypoint", _whole),
    "sim_time": ("tstamp", float),
    "status": ("episode_status", _status),
    "wall_clock": ("wall_clock", float),
}

_KINDS: dict[Callable[[str], Any], str] = {
    float: "a number",
    int: "a whole number",
    _whole: "a whole number",
    _radians: "degrees",
    _truth: "True or False",
    _action: "an action's number or [steer speed]",
    _status: "one of " + ", ".join(STATUSES),
}
