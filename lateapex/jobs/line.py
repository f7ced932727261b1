"""The fastest laps of a track as files: a picture and a table for each start."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lateapex.analysis.line_picture import draw_line
from lateapex.storage import DiskStorage
from lateapex.world.lap_problem import Limit
from lateapex.world.raceline import Raceline, Start, raceline
from lateapex.world.track import Track
from lateapex.world.vehicle import Vehicle

COLUMNS: Final = (
    "distance_m",
    "x_m",
    "y_m",
    "heading_deg",
    "yaw_deg",
    "speed_mps",
    "steering_deg",
    "throttle_mps",
    "time_s",
)
"""Of the table: way driven; centre of the car; where it goes and where it points; speed over ground; commands from this
row to the next; time since the lap began."""


@dataclass(frozen=True)
class LineFile:
    """One lap and where it was written."""

    line: Raceline
    picture: Path
    table: Path


def write_lines(track: Track, vehicle: Vehicle, limit: Limit, slip_deg: float, out: Path) -> list[LineFile]:
    """Find the fastest flying and standing lap, an open track's standing one alone, and write both.

    Args:
        slip_deg: largest angle in degrees between where the car points and where it goes.
        out: folder of the files, `<track>-<start>.png` and `.csv`.

    Raises:
        ConfigError: CasADi is not installed, or an argument lies outside its range.
        StorageError: the folder cannot be written.
    """
    starts: tuple[Start, ...] = ("flying", "standing") if track.closed else ("standing",)
    name = f"{track.name}-reversed" if track.reversed else track.name
    storage, files = DiskStorage(out), []
    for start in starts:
        line = raceline(track, vehicle, start=start, limit=limit, slip=math.radians(slip_deg))
        stem = f"{name}-{start}"
        storage.write(f"{stem}.png", draw_line(line))
        storage.write(f"{stem}.csv", table_of(line).encode())
        files.append(LineFile(line, out / f"{stem}.png", out / f"{stem}.csv"))
    return files


def table_of(line: Raceline) -> str:
    """Write a lap as CSV, one row a station; see `COLUMNS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    angles = (math.degrees(1.0) * values for values in (line.heading, line.yaw, line.steering))
    heading, yaw, steering = angles
    columns = (line.way, line.x, line.y, heading, yaw, line.speed, steering, line.throttle, line.time)
    writer.writerows([f"{value:.5f}" for value in row] for row in zip(*columns, strict=True))
    return text.getvalue()
