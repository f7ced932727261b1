"""Steps as any simtrace tells them: CSV files and SIM_TRACE_LOG lines of every generation since 2019.

In memory a trace is one NumPy table in racers' words and units. What an older generation does not tell is filled in:
pause_duration and obstacle_crash_counter 0, wall_clock NaN, episode_status in_progress. Generations, by their number of
columns: 15 (2019; radians in the file), 16 with episode_status, 17 with pause_duration, then in a CSV 18 with
obstacle_crash_counter but in a log 18 with wall_clock, and 19 with both.

A broken line is skipped and reported. The last line counts only if its end is there: what was cut off in the middle
of a number looks whole and is not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.errors import FormatError
from lateapex.records import STATUSES

TRACE_DTYPE: Final = np.dtype(
    [
        ("episode", np.int32),  # from 0 over the whole run of a worker
        ("steps", np.int32),  # from 1; 2019: from 0
        ("X", np.float64),  # m, front point
        ("Y", np.float64),  # m
        ("yaw", np.float64),  # degrees
        ("steer", np.float64),  # degrees, left positive
        ("throttle", np.float64),  # m/s, commanded
        ("action", np.int32),  # place in the action list; -1 in a continuous action space
        ("reward", np.float64),
        ("done", np.bool_),
        ("all_wheels_on_track", np.bool_),
        ("progress", np.float64),  # percent
        ("closest_waypoint", np.int32),
        ("track_len", np.float64),  # m
        ("tstamp", np.float64),  # s of simulated time; until 2020 s since 1970
        ("episode_status", np.int8),  # place in STATUSES
        ("pause_duration", np.float64),  # s
        ("obstacle_crash_counter", np.int32),
        ("wall_clock", np.float64),  # s since 1970
    ]
)
"""One step."""

COLUMNS: Final[tuple[str, ...]] = TRACE_DTYPE.names or ()
"""Columns of the newest generation, in order."""
HEADER: Final = ",".join(COLUMNS)
"""First line of a CSV of the newest generation, without its line end."""

_REQUIRED: Final = COLUMNS[:15]
_MARK: Final = "SIM_TRACE_LOG:"
_BRACKET: Final = re.compile(r"\[[^\]]*\]")
_BLOCK: Final = 4096  # rows that become numbers together; texts of more are never held
_LONGEST_LINE: Final = 1 << 20  # bytes; what is longer is no line of a trace
_SHOWN: Final = 60  # characters of a broken value
_MOST_FIELDS: Final = 64  # of a log line; each becomes a column
_MOST_FAULTS: Final = 100  # told one by one; a file that is no trace has as many as lines
_ACTION_DIGITS: Final = 2  # decimals of a log's steer and throttle; its brackets have more
_FILLED: Final = {"episode_status": "in_progress", "pause_duration": "0.0", "obstacle_crash_counter": "0"}


class Fault(NamedTuple):
    """A line that was skipped."""

    line: int
    """From 1."""
    message: str
    """What was found and what was expected."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """The steps of a file, in its order."""

    rows: NDArray[Any]
    """`[T]` of `TRACE_DTYPE`."""
    columns: tuple[str, ...] = COLUMNS
    """Those of `COLUMNS` that the file had, in its order; the others were filled in."""
    more: Mapping[str, list[str]] = field(default_factory=dict)
    """Columns that are none of ours, by name: `[T]` texts as they stood there."""
    faults: tuple[Fault, ...] = ()
    """The first 100 lines that were skipped."""
    skipped: int = 0
    """How many lines were skipped."""

    def __len__(self) -> int:
        return len(self.rows)


def read_trace(file: BinaryIO, source: str) -> Trace:
    """Read a trace CSV; `source` is the file's name, for messages.

    Raises:
        FormatError: the first line is no header of a trace, so that nothing can be read.
    """
    lines = lines_of(file)
    _, first, _ = next(lines, (1, "", True))
    names = first.split(",")
    missing = [name for name in _REQUIRED if name not in names]
    twice = [name for name in names if names.count(name) > 1]
    if missing or twice:
        fault = f"has no column {missing[0]!r}" if missing else f"has two columns {twice[0]!r}"
        raise FormatError(f"{source}: line 1 {fault}; expected {','.join(_REQUIRED[:4])},...")
    table = _Table(names)
    radians = "episode_status" not in names
    for number, line, whole in lines:
        fields = _fields(line)
        if not whole:
            table.fault(number, "has no end; the file was cut off there")
        elif len(fields) != len(names):
            table.fault(number, f"has {len(fields)} fields; the header has {len(names)}")
        else:
            table.add(number, fields, radians)
    return table.trace(tuple(name for name in names if name in COLUMNS))


def read_log_trace(file: BinaryIO) -> Trace:
    """Read the SIM_TRACE_LOG lines of a log, whatever stands before and between them.

    A log without any gives an empty trace. More than 19 fields are kept as columns `field_20` and so on.
    """
    log = LogTrace()
    for line in lines_of(file):
        log.take(*line)
    return log.trace()


class LogTrace:
    """Picks the trace out of the lines of a log; for readers that want more of the log than this."""

    def __init__(self) -> None:
        self._table = _Table(COLUMNS)
        self._most = 0

    def take(self, number: int, line: str, whole: bool) -> None:
        """Take a line without its end; `whole` says whether it had one."""
        _, *pieces = line.split(_MARK)
        for place, piece in enumerate(pieces):
            if not whole and place == len(pieces) - 1:
                self._table.fault(number, "has no end; the log was cut off there")
                return
            fields = _fields(piece.partition("\t")[0].rstrip())
            if not len(_REQUIRED) <= len(fields) <= _MOST_FIELDS:
                self._table.fault(number, f"has {len(fields)} fields; a step has {len(_REQUIRED)} to {len(COLUMNS)}")
                continue
            self._most = max(self._most, len(fields))
            self._table.add(number, _padded(fields), radians=len(fields) == len(_REQUIRED))

    def trace(self) -> Trace:
        """Return what was taken."""
        if self._most == 18:
            return self._table.trace((*COLUMNS[:17], "wall_clock"))
        return self._table.trace(COLUMNS[: self._most or len(COLUMNS)])


def write_trace(trace: Trace, columns: Sequence[str] | None = None) -> str:
    """Return a CSV.

    Args:
        columns: of `COLUMNS` and `trace.more`; if not given, those that the trace was read with. Unknown ones come
            last.
    """
    names = (*trace.columns, *trace.more) if columns is None else tuple(columns)
    texts = [trace.more[name] if name in trace.more else _texts(trace.rows, name) for name in names]
    return "".join(f"{line}\n" for line in (",".join(names), *map(",".join, zip(*texts, strict=True))))


def write_trace_log(trace: Trace, fields: int = 17) -> str:
    """Return SIM_TRACE_LOG lines of 17 fields, or of 19 as version 6 writes them."""
    if fields not in (17, 19):
        raise ValueError("a log line has 17 or 19 fields")
    rows = trace.rows
    columns: list[Iterable[Any]] = [rows[name].tolist() for name in COLUMNS]
    columns[COLUMNS.index("action")] = action_texts(rows["action"], rows["steer"], rows["throttle"])
    columns[COLUMNS.index("episode_status")] = [STATUSES[place] for place in rows["episode_status"].tolist()]
    form = LOG_FORM if fields == 19 else LOG_FORM[:17]
    line = _MARK + ",".join(form) + "\n"
    return "".join([line % row for row in zip(*columns[:fields], strict=True)])


LOG_FORM: Final = (
    *("%d", "%d", "%.4f", "%.4f", "%.4f", "%.2f", "%.2f", "%s", "%.4f", "%s", "%s", "%.4f", "%d", "%.2f", "%s"),
    *("%s", "%.2f", "%d", "%.4f"),
)
"""How a log line writes each of `COLUMNS`."""


def action_texts(
    actions: NDArray[np.integer[Any]], angles: NDArray[np.float64], speeds: NDArray[np.float64]
) -> list[str]:
    """Places in the action list; `[steer speed]` where there is none, as the original's newest version writes it."""
    places = actions.tolist()
    if min(places, default=0) >= 0:
        return list(map(str, places))
    pairs = zip(places, angles.tolist(), speeds.tolist(), strict=True)
    return [str(place) if place >= 0 else f"[{angle!r} {speed!r}]" for place, angle, speed in pairs]


def progress_texts(progress: NDArray[np.float64]) -> list[str]:
    """Percent with every digit; the original cuts a lap's end to the whole number 100, which readers look for."""
    texts = list(map(repr, progress.tolist()))
    for place in np.flatnonzero(progress == 100.0).tolist():
        texts[place] = "100"
    return texts


def _texts(rows: NDArray[Any], name: str) -> Iterable[str]:
    if name == "action":
        return action_texts(rows["action"], rows["steer"], rows["throttle"])
    if name == "progress":
        return progress_texts(rows["progress"])
    if name == "episode_status":
        return [STATUSES[place] for place in rows[name].tolist()]
    values = rows[name].astype(np.float64) if name == "steps" else rows[name]
    return map(repr, values.tolist())


def lines_of(file: BinaryIO) -> Iterator[tuple[int, str, bool]]:
    """Yield each line: its number from 1, its text without the end, and whether the end was there.

    A line of more than a megabyte comes in pieces, so that no file can fill the memory.
    """
    number, begun = 0, False
    while data := file.readline(_LONGEST_LINE):
        number += not begun
        whole = data.endswith(b"\n")
        begun = not whole
        yield number, data.decode("utf-8", "replace").rstrip("\r\n"), whole


def _fields(line: str) -> list[str]:
    if "[" in line:  # a continuous action, in some versions with a comma of its own
        line = _BRACKET.sub(lambda action: action[0].replace(",", " "), line)
    return line.split(",")


def _padded(fields: list[str]) -> list[str]:
    """The fields of a log line as those of the newest generation."""
    count = len(fields)
    if count == 18:
        return [*fields[:17], "0", fields[17]]
    return [*fields, *("in_progress", "0.0", "0", "nan")[count - 15 :]] if count < 19 else fields


class _Table:
    """Rows of text that become numbers a block at a time, and the lines that could not."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._more: dict[str, list[str]] = {name: [] for name in names if name not in COLUMNS}
        self._blocks: list[NDArray[Any]] = []
        self._taken = 0
        self._texts: list[list[str]] = []
        self._numbers: list[int] = []
        self._radians: list[bool] = []
        self._faults: list[Fault] = []
        self._skipped = 0

    def fault(self, line: int, message: str) -> None:
        self._skipped += 1
        if len(self._faults) < _MOST_FAULTS:
            self._faults.append(Fault(line, message))

    def add(self, number: int, fields: list[str], radians: bool) -> None:
        self._texts.append(fields)
        self._numbers.append(number)
        self._radians.append(radians)
        if len(self._texts) == _BLOCK:
            self._convert()

    def trace(self, columns: tuple[str, ...]) -> Trace:
        self._convert()
        rows = np.concatenate([np.empty(0, TRACE_DTYPE), *self._blocks])
        faults = tuple(sorted(self._faults))
        return Trace(rows=rows, columns=columns, more=self._more, faults=faults, skipped=self._skipped)

    def _convert(self) -> None:
        if not self._texts:
            return
        try:
            self._take(self._texts, self._radians)
        except (ValueError, OverflowError, KeyError):
            self._convert_whole_ones()
        self._texts, self._numbers, self._radians = [], [], []

    def _convert_whole_ones(self) -> None:
        texts, radians = [], []
        for number, fields, in_radians in zip(self._numbers, self._texts, self._radians, strict=True):
            if (broken := next(self._broken(fields), None)) is None:
                texts.append(fields)
                radians.append(in_radians)
            else:
                name, found = broken
                shown = found if len(found) <= _SHOWN else found[: _SHOWN - 3] + "..."
                self.fault(number, f"{name} is {shown!r}; expected {KINDS[_CONVERT[name]]}")
        self._take(texts, radians)

    def _take(self, texts: list[list[str]], radians: list[bool]) -> None:
        block = np.empty(len(texts), TRACE_DTYPE)
        block["wall_clock"] = math.nan
        columns = dict(zip(self._names, zip(*texts, strict=False), strict=False))
        for name, convert in _CONVERT.items():
            if name in columns:
                block[name] = list(map(convert, columns[name]))
            elif name in _FILLED:
                block[name] = convert(_FILLED[name])
        if any(radians):
            for name in ("yaw", "steer"):
                block[name][radians] = np.degrees(block[name][radians])
        if "action" in columns:
            _give_digits(block, columns["action"])
        self._blocks.append(block)
        self._taken += len(block)
        for name, kept in self._more.items():
            kept += columns.get(name, ())
        self._keep_surplus(texts, len(self._names))

    def _keep_surplus(self, texts: list[list[str]], known: int) -> None:
        """Keep the fields of a log line that are more than any generation has."""
        before = self._taken - len(texts)
        for place, fields in enumerate(texts):
            for column, text in enumerate(fields[known:], known + 1):
                kept = self._more.setdefault(f"field_{column}", [])
                kept += [*repeat("", before + place - len(kept)), text]
        for kept in self._more.values():
            kept += repeat("", before + len(texts) - len(kept))

    def _broken(self, fields: list[str]) -> Iterator[tuple[str, str]]:
        for name, text in zip(self._names, fields, strict=False):
            try:
                if name in _CONVERT:
                    _CONVERT[name](text)
            except (ValueError, OverflowError, KeyError):
                yield name, text


def _truth(text: str) -> bool:
    return {"True": True, "False": False}[text]


def _whole(text: str) -> int:
    number = int(float(text))
    if not -(2**31) <= number < 2**31:
        raise ValueError(text)
    return number


def _count(text: str) -> int:
    if not 0 <= (number := int(text)) < 2**31:
        raise ValueError(text)
    return number


def _give_digits(block: NDArray[Any], actions: Sequence[str]) -> None:
    """Take the steering and the speed of continuous actions from their brackets, where a log rounds both fields."""
    for place in np.flatnonzero(block["action"] < 0).tolist():
        with suppress(ValueError):  # texts that are no two numbers say nothing more than the fields
            pair = [float(text) for text in actions[place].strip(' "[]').replace(",", " ").split()]
            rounded = [round(number, _ACTION_DIGITS) for number in pair]
            if rounded == [block["steer"][place], block["throttle"][place]]:
                block["steer"][place], block["throttle"][place] = pair


def _action(text: str) -> int:
    return -1 if text.lstrip('"').startswith("[") else _whole(text)


_PLACES: Final = {status: place for place, status in enumerate(STATUSES)}


def _status(text: str) -> int:
    return _PLACES[text]


_CONVERT: Final[dict[str, Callable[[str], Any]]] = {
    **dict.fromkeys(COLUMNS, float),
    "episode": _count,
    "steps": _whole,
    "action": _action,
    "done": _truth,
    "all_wheels_on_track": _truth,
    "closest_waypoint": _whole,
    "episode_status": _status,
    "obstacle_crash_counter": _whole,
}

KINDS: Final[dict[Callable[[str], Any], str]] = {
    float: "a number",
    _count: "a whole number",
    _whole: "a whole number",
    _truth: "True or False",
    _action: "an action's number or [steer speed]",
    _status: "one of " + ", ".join(STATUSES),
}
"""What a column may hold, in words."""
