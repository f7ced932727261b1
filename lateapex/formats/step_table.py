"""Step tables: many logs in one CSV of 13 columns, and the list of logs beside it, which says what each log is.

The rows are those of the original's traces, sorted by log, episode and step, with less in them: no action number, no
reward. Files may be gzipped. Angles are degrees in the file and radians here.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lateapex.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

COLUMNS: Final = (
    "log",
    "ep",
    "step",
    "t",
    "x",
    "y",
    "yaw_deg",
    "steer_deg",
    "speed",
    "progress",
    "wp",
    "on_track",
    "status",
)
"""Of a step table."""

STEP_TABLE_DTYPE: Final = np.dtype(
    [
        ("log", np.int64),  # place in `StepTable.logs`
        ("episode", np.int64),
        ("step", np.int64),
        ("time", np.float64),  # s
        ("x", np.float64),  # m, front point, before the action
        ("y", np.float64),
        ("yaw", np.float64),  # rad
        ("steering", np.float64),  # rad, commanded, left positive
        ("speed", np.float64),  # m/s, commanded
        ("progress", np.float64),  # percent
        ("closest_waypoint", np.int64),
        ("all_wheels_on_track", np.bool_),
        ("driving", np.bool_),  # status in_progress; old logs, which have none, drive in every row
        ("held", np.bool_),  # status prepare
    ]
)
"""One row."""


@dataclass(frozen=True, kw_only=True)
class StepTable:
    """Rows of several logs."""

    logs: tuple[str, ...]
    """Names, in the order in which they come."""
    rows: NDArray[Any]
    """`[R]` of STEP_TABLE_DTYPE."""


@dataclass(frozen=True, kw_only=True)
class LogNote:
    """What the list of logs says of one."""

    physics: int
    """Generation of the car that drove."""
    track_length: float
    """m, of its route; NaN where the list does not say."""


def read_step_table(data: bytes, source: str) -> StepTable:
    """Read a step table, gzipped or not; `source` is the file's name, for messages.

    Raises:
        FormatError: the file is cut off, no CSV of these columns, or a line is broken; with the number of the line.
    """
    lines = _records(data, source, COLUMNS)
    names: dict[str, int] = {}
    rows = np.zeros(len(lines), STEP_TABLE_DTYPE)
    columns = dict(zip(COLUMNS, zip(*lines, strict=True), strict=True)) if lines else {}
    for column, texts in columns.items():
        if column == "log":
            rows["log"] = [names.setdefault(text, len(names)) for text in texts]
        elif column == "status":
            rows["driving"] = [text in ("in_progress", "") for text in texts]
            rows["held"] = [text == "prepare" for text in texts]
        else:
            field, convert = _FIELDS[column]
            rows[field] = _convert(texts, column, convert, source)
    for field in ("yaw", "steering"):
        rows[field] = np.radians(rows[field])
    return StepTable(logs=tuple(names), rows=rows)


def read_log_list(data: bytes, source: str) -> dict[str, LogNote]:
    """Read the list of logs: what is said of each, by its name.

    Raises:
        FormatError: it has no columns log and physics, or a line is broken.
    """
    lines = _records(data, source, ("log", "physics"), ("track_len",))
    logs, generations, lengths = zip(*lines, strict=True) if lines else ((), (), ())
    numbers = _convert(generations, "physics", _whole, source)
    metres = _convert(lengths, "track_len", _number_if_any, source)
    return {
        log: LogNote(physics=physics, track_length=length)
        for log, physics, length in zip(logs, numbers, metres, strict=True)
    }


def _records(
    data: bytes, source: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()
) -> list[tuple[str, ...]]:
    """Columns of each line but the first; "" for an optional one that is missing."""
    reader = csv.reader(io.StringIO(_text(data, source), newline=""), strict=True)
    try:
        header = next(reader, [])
        missing = [name for name in needed if name not in header]
        if missing:
            raise FormatError(f"{source}: line 1 has no column {missing[0]!r}; expected {','.join(needed)}")
        places = [header.index(name) if name in header else None for name in (*needed, *optional)]
        records = []
        for line in filter(None, reader):
            if len(line) != len(header):
                raise FormatError(
                    f"{source}: line {reader.line_num} has {len(line)} fields; the header has {len(header)}"
                )
            records.append(tuple("" if place is None else line[place] for place in places))
    except csv.Error as error:
        raise FormatError(f"{source}: line {reader.line_num} is no CSV: {error}") from None
    return records


def _text(data: bytes, source: str) -> str:
    try:
        plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        return plain.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error):
        raise FormatError(f"{source} is a cut off or damaged .gz file; a whole one is needed: fetch it again") from None
    except UnicodeDecodeError:
        raise FormatError(
            f"{source} is no text; a CSV with the columns {','.join(COLUMNS[:4])},... is needed"
        ) from None


def _convert(texts: tuple[str, ...], column: str, convert: Callable[[str], Any], source: str) -> list[Any]:
    try:
        return [convert(text) for text in texts]
    except (ValueError, OverflowError):
        place, found = next((place, text) for place, text in enumerate(texts) if _is_broken(text, convert))
        raise FormatError(f"{source}: line {place + 2}: {column} is {found!r}; expected {_KINDS[convert]}") from None


def _is_broken(text: str, convert: Callable[[str], Any]) -> bool:
    try:
        convert(text)
    except (ValueError, OverflowError):
        return True
    return False


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _whole(text: str) -> int:
    value = int(float(text))
    if not -(2**62) < value < 2**62:
        raise ValueError(text)
    return value


def _number_if_any(text: str) -> float:
    return _number(text) if text else math.nan


def _truth(text: str) -> bool:
    value = float(text)
    if value not in (0.0, 1.0):
        raise ValueError(text)
    return value == 1.0


_FIELDS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "ep": ("episode", _whole),
    "step": ("step", _whole),
    "t": ("time", _number_if_any),
    "x": ("x", _number),
    "y": ("y", _number),
    "yaw_deg": ("yaw", _number),
    "steer_deg": ("steering", _number),
    "speed": ("speed", _number),
    "progress": ("progress", _number_if_any),
    "wp": ("closest_waypoint", _whole),
    "on_track": ("all_wheels_on_track", _truth),
}
_KINDS: Final[dict[Callable[[str], Any], str]] = {
    _number: "a finite number",
    _number_if_any: "a finite number or nothing",
    _whole: "a whole number",
    _truth: "1 or 0",
}
