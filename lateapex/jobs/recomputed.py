"""Recomputes waypoints, wheels and progress of all logs in a folder, on the tracks that they were driven on.

The folder has `sim-traces/`, step tables with their list of logs; `logs/`, folders of traces as the original wrote
them; and `tracks/`, routes (`.npy`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.analysis.recomputed import Agreement, compare
from lateapex.errors import FormatError
from lateapex.formats.model_metadata import read_metadata
from lateapex.formats.simtrace import TracedEpisode, read_simtrace
from lateapex.formats.step_table import STEP_TABLE_DTYPE, read_log_list, read_step_table
from lateapex.jobs.fidelity import LOG_LIST, preset_of
from lateapex.records import STATUSES
from lateapex.world.track import load_track
from lateapex.world.vehicles import load_vehicle, vehicle_of_version

_SAME_LENGTH: Final = 0.02  # m; logs round the length of their track to a centimetre


@dataclass(frozen=True, kw_only=True)
class LogAgreement:
    """One log and how it agrees."""

    log: str
    vehicle: str
    track: str
    agreement: Agreement


def recompute(folder: Path) -> tuple[list[LogAgreement], list[str]]:
    """Compare every log whose track is there; also return what was left out and why, a line each.

    Raises:
        FormatError: a file is broken.
    """
    tracks = [load_track(path) for path in sorted((folder / "tracks").rglob("*.npy"))]
    found, left_out = [], []
    for log, vehicle, length, rows in [*_tables(folder / "sim-traces"), *_traces(folder / "logs")]:
        candidates = [track for track in tracks if abs(track.length - length) <= _SAME_LENGTH]
        if not candidates:
            left_out.append(f"{log}: no route of {length:.2f} m is there")
            continue
        # Several routes have the same length, such as those of one track in both directions.
        results = [(compare(rows, track, load_vehicle(vehicle)), track.name) for track in candidates]
        agreement, name = max(results, key=lambda result: sum(result[0].shares().values()))
        found.append(LogAgreement(log=log, vehicle=vehicle, track=name, agreement=agreement))
    return found, left_out


Log = tuple[str, str, float, NDArray[Any]]
"""Name, vehicle, length of the track in m, rows of STEP_TABLE_DTYPE."""


def _tables(folder: Path) -> Iterator[Log]:
    notes = read_log_list((folder / LOG_LIST).read_bytes(), str(folder / LOG_LIST))
    for path in sorted(folder.glob("*.csv.gz")):
        table = read_step_table(path.read_bytes(), str(path))
        for place, log in enumerate(table.logs):
            rows = table.rows[table.rows["log"] == place]
            yield log, preset_of(notes[log].physics).name, notes[log].track_length, rows


def _traces(folder: Path) -> Iterator[Log]:
    """Traces by the folder that holds them, which stands for one job."""
    parents = sorted({path.parent for path in folder.rglob("*-iteration.csv")})
    for parent in parents:
        files = sorted(parent.glob("*-iteration.csv"))
        episodes = [episode for file in files for episode in read_simtrace(file.read_text(), str(file))]
        name = str(parent.relative_to(folder))
        yield name, _vehicle_of(folder / Path(name).parts[0]), episodes[0].track_length, _rows(episodes)


def _vehicle_of(job: Path) -> str:
    """By the version in the job's metadata; DeepRacer on AWS, which writes none beside its logs, is generation 6."""
    files = sorted(job.rglob("model_metadata.json"))
    if not files:
        return "version6"
    return vehicle_of_version(read_metadata(files[0].read_text(), str(files[0])).version)


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
