"""Episodes as trace CSV files and SIM_TRACE_LOG lines, and back again as records.

A CSV holds numbers as Python prints them, a log line rounds them. Yaw is in degrees here and in radians in records.
`formats.trace` reads every generation, tolerantly; the reader here refuses a file that is not whole.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from lateapex.errors import FormatError
from lateapex.formats.trace import HEADER, LOG_FORM, action_texts, progress_texts, read_trace
from lateapex.records import STATUSES, STEP_DTYPE, EpisodeRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

    from numpy.typing import NDArray

    from lateapex.formats.trace import Trace

_LOG_LINE = "SIM_TRACE_LOG:" + ",".join(LOG_FORM[:17]) + "\n"
_OF_RECORDS = {
    "steps": "steps",
    "x": "X",
    "y": "Y",
    "steering_angle": "steer",
    "speed": "throttle",
    "action": "action",
    "reward": "reward",
    "done": "done",
    "all_wheels_on_track": "all_wheels_on_track",
    "progress": "progress",
    "closest_waypoint": "closest_waypoint",
    "sim_time": "tstamp",
    "status": "episode_status",
    "wall_clock": "wall_clock",
}
"""Where the columns of a record stand in a trace; yaw is told in another unit."""


@dataclass(frozen=True, kw_only=True)
class TracedEpisode:
    """One episode of a trace CSV."""

    number: int
    """From 0 over the whole run."""
    track_length: float
    """m"""
    steps: NDArray[Any]
    """Rows of `STEP_DTYPE`, `[T]`; action is -1 in a continuous action space, wall_clock NaN in older files."""

    def record(self, phase: Literal["training", "evaluation"], track: str, car: int = 0) -> EpisodeRecord:
        """Return the episode as our own simulator would have recorded it; penalty waits are steps like others."""
        return EpisodeRecord(phase=phase, track=track, track_length=self.track_length, car=car, steps=self.steps)


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
        progress_texts(steps["progress"]),
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
    """Read a trace CSV that must be whole; `source` is the file's name, for messages.

    Raises:
        FormatError: columns are missing, or a line is broken; with the number of the line.
    """
    trace = read_trace(io.BytesIO(text.encode()), source)
    if trace.faults:
        line, message = trace.faults[0]
        raise FormatError(f"{source}: line {line}{'' if message.startswith('has ') else ':'} {message}")
    return episodes_of(trace)


def episodes_of(trace: Trace) -> list[TracedEpisode]:
    """Cut a trace into its episodes: a new one begins where the number changes or the steps start again.

    How an episode of 2019 ended is not told; one that is done counts as a lap at 100 % of progress, else as off track.
    """
    rows = trace.rows
    steps = np.empty(len(rows), STEP_DTYPE)
    for name, column in _OF_RECORDS.items():
        steps[name] = rows[column]
    steps["yaw"] = list(map(math.radians, rows["yaw"].tolist()))
    if "episode_status" not in trace.columns:
        ends = np.where(rows["progress"] >= 100.0, STATUSES.index("lap_complete"), STATUSES.index("off_track"))
        steps["status"] = np.where(rows["done"], ends, STATUSES.index("in_progress"))
    begins = (np.diff(rows["episode"]) != 0) | (np.diff(rows["steps"]) < 0)
    cuts: Sequence[int] = (np.flatnonzero(begins) + 1).tolist()
    return [
        TracedEpisode(number=int(rows["episode"][start]), track_length=float(rows["track_len"][start]), steps=part)
        for start, part in zip([0, *cuts], np.split(steps, cuts), strict=True)
        if len(part)
    ]


def _degrees(yaw: NDArray[np.float64]) -> list[float]:
    # In this order of operations, and not as np.degrees does it: the last digit is then the original's.
    degrees: list[float] = (yaw * 180.0 / math.pi).tolist()
    return degrees


def _action_texts(steps: NDArray[Any]) -> list[str]:
    return action_texts(steps["action"], steps["steering_angle"], steps["speed"])


def _words(status: NDArray[np.int8]) -> list[str]:
    return [STATUSES[place] for place in status.tolist()]
