"""Scores presets, or a vehicle of one's own, on step tables of the original simulator.

Each log is driven by the preset of its own generation, which the list of logs beside the tables names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from lateapex.analysis.fidelity import (
    HISTORY,
    HORIZON,
    Row,
    Start,
    Windows,
    bicycle_errors,
    errors,
    figures,
    joined,
    rolling_windows,
    standing_windows,
)
from lateapex.analysis.repeatability import Repeatability, repeatability
from lateapex.errors import ConfigError, FormatError
from lateapex.formats.step_table import LogNote, StepTable, read_log_list, read_step_table
from lateapex.world.vehicle import STEP_SECONDS, Vehicle
from lateapex.world.vehicles import load_vehicle, vehicle_names

LOG_LIST: Final = "logs.csv"
"""Name of the list of logs in the folder of the tables."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """What scoring found."""

    vehicles: dict[int, str]
    """What drove, by generation."""
    rows: list[Row]
    """Of the vehicles."""
    bicycle: list[Row]
    """Of the ideal kinematic bicycle on the same windows."""
    repeatability: list[Repeatability]
    """Of the original, where it was given the same commands twice."""
    by_log: list[LogErrors]


class LogErrors(NamedTuple):
    """Rolling errors of one log, medians."""

    log: str
    physics: int
    windows: int
    speed: float
    """m/s, measured, at the end of the warm-up"""
    one_step_cm: float
    one_second_cm: float
    one_second_deg: float
    bicycle_cm: float
    """The bicycle's after one second."""


@dataclass(frozen=True, kw_only=True)
class Logs:
    """Logs of one generation."""

    physics: int
    tables: list[StepTable] = field(default_factory=list)
    """Without the rows of other generations."""

    def windows(self, start: Start) -> Windows:
        """All windows of a kind, as one batch."""
        cut = rolling_windows if start == "rolling" else standing_windows
        return joined([cut(table) for table in self.tables])


def fidelity(
    traces: Sequence[Path], *, log_list: Path | None = None, physics: int | None = None, vehicle: str | None = None
) -> Fidelity:
    """Score step tables.

    Args:
        traces: files, or folders of files.
        log_list: says the generation of each log; `logs.csv` beside each table if not given.
        physics: the generation of all logs, whatever a list says.
        vehicle: name or path of the vehicle that drives; for each generation its preset if not given.

    Raises:
        FormatError: a file is missing or broken, a log is in no list, or no window fits into any.
        ConfigError: the vehicle is unknown, or a generation has no preset.
    """
    given = None if vehicle is None else load_vehicle(vehicle)
    names: dict[int, str] = {}
    rows: list[Row] = []
    bicycle: list[Row] = []
    repeated: list[Repeatability] = []
    by_log: list[LogErrors] = []
    for logs in logs_by_generation(traces, log_list, physics):
        car = given or preset_of(logs.physics)
        names[logs.physics] = car.name
        for start in ("rolling", "standing"):
            windows = logs.windows(start)
            rows += figures(errors(windows, car), logs.physics, start)
            bicycle += figures(bicycle_errors(windows), logs.physics, start)
        for table in logs.tables:
            repeated += repeatability(table, car, logs.physics)
            by_log += _by_log(table, car, logs.physics)
    if not rows:
        raise FormatError(
            f"no window of {HISTORY + HORIZON} steps in progress, and no standing start of {HORIZON}, fits into "
            f"{', '.join(map(str, traces))}; longer episodes are needed"
        )
    return Fidelity(vehicles=names, rows=rows, bicycle=bicycle, repeatability=repeated, by_log=by_log)


def logs_by_generation(traces: Sequence[Path], log_list: Path | None, physics: int | None) -> list[Logs]:
    """Read tables and share out their rows by the generation of each log, oldest first."""
    found: dict[int, Logs] = {}
    for path in _files(traces):
        table = read_step_table(_bytes(path), str(path))
        notes = {} if physics is not None else _notes(log_list or path.parent / LOG_LIST)
        generations = [_generation(log, notes, physics, path) for log in table.logs]
        for generation in sorted(set(generations)):
            kept = np.isin(table.rows["log"], np.flatnonzero(np.array(generations) == generation))
            part = StepTable(logs=table.logs, rows=table.rows[kept])
            found.setdefault(generation, Logs(physics=generation)).tables.append(part)
    return [found[generation] for generation in sorted(found)]


def preset_of(physics: int) -> Vehicle:
    """The preset of a generation.

    Raises:
        ConfigError: there is none.
    """
    name = f"version{physics}"
    if name not in vehicle_names():
        raise ConfigError(
            f"physics {physics} has no preset; there are {', '.join(vehicle_names())}: choose one with --vehicle"
        )
    return load_vehicle(name)


def _by_log(table: StepTable, vehicle: Vehicle, physics: int) -> list[LogErrors]:
    windows = rolling_windows(table)
    found = []
    for log in np.unique(windows.log):
        own = windows.take(windows.log == log)
        ours, second = errors(own, vehicle), round(1.0 / STEP_SECONDS) - 1
        moved = own.poses[:, own.history] - own.poses[:, own.history - 1]
        speed = np.hypot(moved[:, 0], moved[:, 1]) / STEP_SECONDS
        found.append(
            LogErrors(
                log=table.logs[log],
                physics=physics,
                windows=len(own),
                speed=float(np.median(speed)),
                one_step_cm=100.0 * float(np.median(ours.position[:, 0])),
                one_second_cm=100.0 * float(np.median(ours.position[:, second])),
                one_second_deg=float(np.degrees(np.median(ours.yaw[:, second]))),
                bicycle_cm=100.0 * float(np.median(bicycle_errors(own).position[:, second])),
            )
        )
    return found


def _files(traces: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in traces:
        if not path.is_dir():
            files.append(path)
            continue
        inside = [*path.glob("*.csv"), *path.glob("*.csv.gz")]
        tables = sorted(file for file in inside if file.name != LOG_LIST)
        if not tables:
            raise FormatError(f"{path} holds no step tables; files that end in .csv or .csv.gz are needed")
        files += tables
    return files


def _notes(path: Path) -> dict[str, LogNote]:
    if not path.exists():
        raise FormatError(
            f"there is no list of logs {path}, which says the generation of each; give it with --logs, or the "
            "generation of all with --physics"
        )
    return read_log_list(_bytes(path), str(path))


def _generation(log: str, notes: dict[str, LogNote], physics: int | None, path: Path) -> int:
    if physics is not None:
        return physics
    if log not in notes:
        raise FormatError(
            f"{path}: log {log!r} is not in the list of logs; give one that has it with --logs, or the generation of "
            "all with --physics"
        )
    return notes[log].physics


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FormatError(f"there is no file {path}; a step table (.csv or .csv.gz) is needed") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise FormatError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
