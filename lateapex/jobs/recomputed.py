"""Recomputes waypoints, wheels and progress of all logs in a folder, on the tracks that they were driven on.

The folder has `sim-traces/`, step tables with their list of logs; `logs/`, folders and archives of traces and logs as
the original wrote them; and `tracks/`, routes (`.npy`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.analysis.recomputed import Agreement, compare
from lateapex.errors import FormatError
from lateapex.formats.model_metadata import read_metadata
from lateapex.formats.simtrace import TracedEpisode, episodes_of, read_simtrace
from lateapex.formats.step_table import STEP_TABLE_DTYPE, read_log_list, read_step_table
from lateapex.formats.training_log import JobLog, read_log
from lateapex.jobs.archive import ENDINGS, Contents, opened
from lateapex.jobs.fidelity import LOG_LIST, preset_of
from lateapex.records import STATUSES
from lateapex.world.track import load_track
from lateapex.world.vehicles import load_vehicle, vehicle_of_version

_SAME_LENGTH: Final = 0.02  # m; logs round the length of their track to a centimetre
_SAME_PLACE: Final = 1e-4  # m; log lines round what traces tell in full
_TRACE: Final = "-iteration.csv"
_LOG: Final = ".log"
_METADATA: Final = "model_metadata.json"
_NEWEST: Final = "6"
_BEFORE_2020: Final = "1"


@dataclass(frozen=True, kw_only=True)
class LogAgreement:
    """One log and how it agrees."""

    log: str
    vehicle: str
    track: str
    agreement: Agreement


class Log(NamedTuple):
    """What is recomputed."""

    name: str
    vehicle: str
    track_length: float
    """m"""
    rows: NDArray[Any]
    """Of STEP_TABLE_DTYPE."""
    skipped: int = 0
    """Broken lines that are not among the rows."""


class LeftOut(NamedTuple):
    """A log that could not be compared, or not all of it."""

    log: str
    reason: str


def recompute(folder: Path) -> tuple[list[LogAgreement], list[LeftOut]]:
    """Compare every log whose track is there; also return what was left out and why.

    Raises:
        FormatError: a file is broken.
    """
    tracks = [load_track(path) for path in sorted((folder / "tracks").rglob("*.npy"))]
    found: list[LogAgreement] = []
    left_out: list[LeftOut] = []
    for log in [*_tables(folder / "sim-traces"), *_traces(folder / "logs")]:
        if log.skipped:
            left_out.append(LeftOut(log.name, f"broken lines, {log.skipped}"))
        candidates = [track for track in tracks if abs(track.length - log.track_length) <= _SAME_LENGTH]
        if not candidates:
            left_out.append(LeftOut(log.name, f"no route of {log.track_length:.2f} m is there"))
            continue
        # Several routes have the same length, such as those of one track in both directions.
        results = [(compare(log.rows, track, load_vehicle(log.vehicle)), track.name) for track in candidates]
        agreement, name = max(results, key=lambda result: sum(result[0].shares().values()))
        found.append(LogAgreement(log=log.name, vehicle=log.vehicle, track=name, agreement=agreement))
    return found, left_out


def _tables(folder: Path) -> Iterator[Log]:
    notes = read_log_list((folder / LOG_LIST).read_bytes(), str(folder / LOG_LIST))
    for path in sorted(folder.glob("*.csv.gz")):
        table = read_step_table(path.read_bytes(), str(path))
        for place, log in enumerate(table.logs):
            rows = table.rows[table.rows["log"] == place]
            yield Log(log, preset_of(notes[log].physics).name, notes[log].track_length, rows)


def _traces(folder: Path) -> Iterator[Log]:
    """What the folders and archives of jobs tell; an archive within a folder is a job of its own."""
    archives = [path for path in folder.rglob("*") if path.name.endswith(ENDINGS) and path.is_file()]
    for path in sorted([*(path for path in folder.iterdir() if path.is_dir()), *archives]):
        with opened(str(path), _is_read) as contents:
            yield from _of_job(path.relative_to(folder).as_posix(), contents)


def _is_read(name: str) -> bool:
    return name.endswith((_TRACE, _LOG, _METADATA))


def _of_job(job: str, contents: Contents) -> Iterator[Log]:
    """Traces by the folder that holds them; then logs, but only of steps that no trace has."""
    logs = {name: log for name in contents.names if name.endswith(_LOG) and len((log := _log(contents, name)).trace)}
    vehicle = vehicle_of_version(_version_of(contents, logs.values()))
    told: list[NDArray[Any]] = []
    for parent in sorted({str(PurePosixPath(name).parent) for name in contents.names if name.endswith(_TRACE)}):
        episodes = _episodes(contents, parent, job)
        told.append(_rows(episodes))
        yield Log(f"{job}/{parent}", vehicle, episodes[0].track_length, told[-1])
    for name, log in logs.items():
        episodes = episodes_of(log.trace)
        rows = _rows(episodes)
        if not any(_same(rows, others) for others in told):
            yield Log(f"{job}/{name}", vehicle, episodes[0].track_length, rows, log.trace.skipped)


def _log(contents: Contents, name: str) -> JobLog:
    with contents.path(name).open("rb") as file:
        return read_log(file)


def _episodes(contents: Contents, parent: str, job: str) -> list[TracedEpisode]:
    """Those of all traces in a folder, in the order in which they were driven."""
    names = [name for name in contents.names if name.endswith(_TRACE) and str(PurePosixPath(name).parent) == parent]
    names.sort(key=lambda name: int(PurePosixPath(name).name.removesuffix(_TRACE)))
    return [episode for name in names for episode in read_simtrace(contents.path(name).read_text(), f"{job}/{name}")]


def _version_of(contents: Contents, logs: Iterable[JobLog]) -> str:
    """The version of the job's metadata, by their file or as a log tells it."""
    for name in contents.names:
        if name.endswith(_METADATA):
            return read_metadata(contents.path(name).read_text(), name).version
    versions = [str(log.metadata["version"]) for log in logs if "version" in log.metadata]
    old = any("episode_status" not in log.trace.columns for log in logs)
    return next(iter(versions), _BEFORE_2020 if old else _NEWEST)


def _same(rows: NDArray[Any], others: NDArray[Any]) -> bool:
    """Whether two logs are of the same drive, one of them rounded."""
    return len(rows) == len(others) and all(
        np.allclose(rows[name], others[name], rtol=0.0, atol=_SAME_PLACE) for name in ("x", "y")
    )


def _rows(episodes: list[TracedEpisode]) -> NDArray[Any]:
    if not episodes:
        raise FormatError("a trace has no episodes")
    parts = []
    for number, episode in enumerate(episodes):
        steps = episode.steps
        rows = np.zeros(len(steps), STEP_TABLE_DTYPE)
        rows["episode"], rows["step"] = number, steps["steps"]
        for name in ("x", "y", "yaw", "progress", "closest_waypoint", "all_wheels_on_track"):
            rows[name] = steps[name]
        rows["driving"] = steps["status"] == STATUSES.index("in_progress")
        parts.append(rows)
    return np.concatenate(parts)
