"""Writes the page that says how close the simulator comes to the original: tables and pictures, all of it measured.

Each section is a function of the data folder that returns text and pictures; a new one is one import and one entry.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from lateapex.analysis.camera_fidelity import camera_fidelity
from lateapex.analysis.fidelity import Row
from lateapex.analysis.fidelity_pictures import draw_errors
from lateapex.errors import ConfigError
from lateapex.jobs.fidelity import Fidelity, fidelity
from lateapex.jobs.recomputed import LogAgreement, recompute
from lateapex.storage import DiskStorage
from lateapex.world.track import load_track

_NEEDED: Final = ("sim-traces", "tracks", "logs", "camera-frames")
_FRAMES_TRACK: Final = "reInvent2019_track"  # the open frames were taken on it

PUBLISHED: Final = {
    (5, "rolling"): "0.70 / 1.8; 0.56 / 1.6 | 2.6 / 5.7; 2.2 / 6.4 | 9.4 / 26; 5.3 / 16 | 26 / 73; 8.5 / 26",
    (5, "standing"): "0.40 / 0.9; 0.50 / 1.3 | 2.8 / 5.3; 2.7 / 6.5 | 13.5 / 27; 7.0 / 17 | 34 / 85; 10 / 25",
    (4, "rolling"): "0.62 / 1.9; 0.50 / 1.4 | 2.5 / 6.0; 2.3 / 5.6 | 10.6 / 24; 5.6 / 14 | 31 / 70; 9.9 / 23",
    (6, "rolling"): "1.5 / 3.5; 0.6 / 1.9 | 3.5 / 9.6; 2.2 / 5.4 | 9.7 / 24; 3.2 / 9.8 | 19 / 61; 4.8 / 16",
    (3, "rolling"): "0.61 / 1.7; 0.40 / 1.1 | 2.0 / 3.8; 1.6 / 4.0 | 5.4 / 11; 4.5 / 9.9 | 13 / 26; 7.3 / 17",
    (2, "rolling"): "0.63 / 1.9; 0.35 / 1.2 | 2.1 / 4.6; 1.4 / 4.4 | 5.6 / 16; 3.1 / 11 | 11 / 42; 4.7 / 17",
}
"""Errors of the model on logs that were held out when its constants were fitted; most of them are not open."""


_PASSED_OVER: Final = ("sim-trace", "training-simtrace", "evaluation-simtrace", "logs")
_LOG_SHOWN: Final = 25  # characters of a log's name, which tell it from others


class Section(NamedTuple):
    """A part of the page."""

    text: str
    """Markdown"""
    pictures: dict[str, bytes]
    """PNG files by name"""


def write_report(data: Path, out: Path) -> list[Path]:
    """Measure everything and write the page, its pictures into a folder beside it; return what was written.

    Args:
        data: folder of `sim-traces/`, `tracks/` and `logs/`.

    Raises:
        ConfigError: the folder lacks one of them, or the page's name does not end in .md.
        FormatError: a file in it is broken.
        StorageError: the page cannot be written.
    """
    if out.suffix != ".md":
        raise ConfigError(f"--out is {out}; a name that ends in .md is needed, such as {out.with_suffix('.md')}")
    for name in _NEEDED:
        if not (data / name).is_dir():
            raise ConfigError(f"{data} has no folder {name}; a folder with {', '.join(_NEEDED)} is needed")
    sections = [section(data, out.stem) for section in SECTIONS]
    storage = DiskStorage(out.parent)
    files = {f"{out.stem}/{name}": picture for part in sections for name, picture in part.pictures.items()}
    files[out.name] = ("\n\n".join([_HEAD, *(part.text for part in sections), _foot()]) + "\n").encode()
    for name, content in files.items():
        storage.write(name, content)
    return [out.parent / name for name in files]


def _dynamics(data: Path, folder: str) -> Section:
    found = fidelity([data / "sim-traces"])
    pictures = {
        f"physics{physics}.png": draw_errors(physics, found.rows, found.bicycle, found.repeatability)
        for physics in found.vehicles
    }
    images = "\n".join(f"![errors of physics {physics}]({folder}/physics{physics}.png)" for physics in found.vehicles)
    parts = [_DYNAMICS, _error_table(found), images, _BY_LOG, _log_table(found), _REPEATED, _repeated_table(found)]
    return Section("\n\n".join(parts), pictures)


def _error_table(found: Fidelity) -> str:
    lines = [
        "| physics, start | driven by | windows | 1 step | 5 steps | 15 steps (1 s) | 30 steps (2 s) |",
        "|---|---|--:|---|---|---|---|",
    ]
    for physics, start in dict.fromkeys((row.physics, row.start) for row in found.rows):
        for name, rows in ((found.vehicles[physics], found.rows), ("kinematic bicycle", found.bicycle)):
            mine = [row for row in rows if (row.physics, row.start) == (physics, start)]
            lines.append(f"| {physics} {start} | {name} | {mine[0].windows} | {' | '.join(_cells(mine))} |")
        if (physics, start) in PUBLISHED:
            lines.append(f"| | *when fitted, held-out logs* | | {PUBLISHED[physics, start]} |")
    return "\n".join(lines)


def _cells(rows: Sequence[Row]) -> list[str]:
    cells: dict[int, list[Row]] = {}
    for row in rows:
        cells.setdefault(row.steps, []).append(row)
    return ["{:.2f} / {:.1f}; {:.2f} / {:.1f}".format(*(row.value for row in some)) for some in cells.values()]


def _log_table(found: Fidelity) -> str:
    lines = [
        "| log | windows | speed | 1 step | 15 steps | kinematic bicycle, 15 steps |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {log.log} | {log.windows} | {log.speed:.1f} m/s | {log.one_step_cm:.2f} cm | "
        f"{log.one_second_cm:.1f} cm; {log.one_second_deg:.1f} deg | {log.bicycle_cm:.0f} cm |"
        for log in found.by_log
    ]
    return "\n".join(lines)


def _repeated_table(found: Fidelity) -> str:
    lines = ["| physics, start | steps | pairs | original against itself | lateapex |", "|---|--:|--:|---|---|"]
    for pairs in found.repeatability:
        theirs, ours = (f"{cm:.1f}; {deg:.1f}" for cm, deg in (pairs.simulator, pairs.model))
        lines.append(f"| {pairs.physics} {pairs.start} | {pairs.steps} | {pairs.pairs} | {theirs} | {ours} |")
    return "\n".join(lines)


def _recomputed(data: Path, _: str) -> Section:
    found, left_out = recompute(data)
    lines = [
        "| log | track | driven as | rows | closest waypoint | on track | progress | rows that disagree |",
        "|---|---|---|--:|--:|--:|--:|---|",
        *map(_agreement_line, found),
        _total_line(found),
    ]
    reasons = "; ".join(f"{_short(log)}: {reason}" for log, reason in left_out)
    notes = [f"Left out: {reasons}."] if left_out else []
    return Section("\n\n".join([_RECOMPUTED, "\n".join(lines), *notes]), {})


def _agreement_line(log: LogAgreement) -> str:
    own = log.agreement
    shares = " | ".join(_percent(share) for share in own.shares().values())
    apart = (own.rows - own.closest_waypoint, own.rows - own.all_wheels_on_track, own.progress_rows - own.progress)
    near = (own.waypoint_near, own.wheels_near, own.progress_near)
    reason = f"{_listed(apart)}; of these near: {_listed(near)}" if any(apart) else ""
    return f"| {_short(log.log)} | {log.track} | {log.vehicle} | {own.rows} | {shares} | {reason} |"


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts))


def _total_line(found: Sequence[LogAgreement]) -> str:
    rows = sum(log.agreement.rows for log in found)
    counted = sum(log.agreement.progress_rows for log in found)
    shares = (
        sum(log.agreement.closest_waypoint for log in found) / rows,
        sum(log.agreement.all_wheels_on_track for log in found) / rows,
        sum(log.agreement.progress for log in found) / counted,
    )
    return f"| **all** | | | **{rows}** | {' | '.join(f'**{_percent(share)}**' for share in shares)} | |"


def _percent(share: float) -> str:
    """Rounded down, so that 100 % means all."""
    return f"{int(share * 10_000) / 100:.2f} %"


def _short(log: str) -> str:
    """A log's path without the long names in between."""
    parts = [part for part in log.split("/") if part not in _PASSED_OVER]
    return " ".join(part[:_LOG_SHOWN] if part.endswith(".log") else _shortened(part) for part in parts)


def _shortened(part: str) -> str:
    return part if len(part) < _LOG_SHOWN else part[:10]


def _foot() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba"))
    return (
        f"Measured on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}; "
        "the figures do not depend on the machine beyond the last digits."
    )


def _camera(data: Path, folder: str) -> Section:
    frames = sorted((data / "camera-frames").glob("*.png"))
    rows, picture = camera_fidelity(frames, [load_track(data / "tracks" / f"{_FRAMES_TRACK}.npy")])
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        values.setdefault(row["frame"].removesuffix(".png"), {})[row["what"]] = row["value"]
    lines = ["| frame | " + " | ".join(_CAMERA_COLUMNS.values()) + " |", "|---|" + "--:|" * len(_CAMERA_COLUMNS)]
    for frame, found in values.items():
        cells = (f"{found[what]:.2f}" if what in found else "-" for what in _CAMERA_COLUMNS)
        lines.append(f"| {frame} | " + " | ".join(cells) + " |")
    text = "\n\n".join([_CAMERA, "\n".join(lines), f"![real, ours, difference]({folder}/camera.png)"])
    return Section(text, {"camera.png": picture})


_CAMERA_COLUMNS: Final = {
    "horizon_off": "horizon, px",
    "line_edge_off_median": "line edges, median px",
    "line_edge_off_95th": "95th",
    "road_level_off": "road, grey levels",
    "field_level_off": "field",
    "dash_level_off": "dashes",
    "road_contrast_real_1px": "road contrast, real",
    "road_contrast_ours_1px": "ours",
    "field_contrast_real_1px": "field contrast, real",
    "field_contrast_ours_1px": "ours",
    "ssim": "SSIM",
    "ssim_without_grain": "SSIM without grain",
}

_CAMERA: Final = """## What the camera sees

Real grey frames (160x120) of the old camera mount, under the old, over-driven light. They carry no pose: it is fitted
first, on reInvent2019_track, where they were taken. Frames without a road are left out. Then: how far the horizon and
the edges of the lines are off, how far the mean grey of each surface is, the standard deviation of road and field, and
the structural similarity (7x7 windows; 1 is equal). The spots of road and field are a photograph there and drawn at
random here: they agree in strength and size and cannot agree in place, which is what similarity lacks to the figure
without grain."""


SECTIONS: Final[tuple[Callable[[Path, str], Section], ...]] = (_dynamics, _camera, _recomputed)
"""In the order of the page."""

_HEAD: Final = """# How close the simulator comes to the original

`make fidelity DATA=folder` writes this page; `lateapex fidelity --traces FILES` scores any step tables, and
with `--vehicle my_car.toml` a car of your own."""

_DYNAMICS: Final = """## Driving the same commands

Windows of logs of the original are driven again, open loop, by the kernel that drives in training: 15 steps
of warm-up, in which the car is put back onto the log after each step and 0.3 of its error, as a speed, is
added to its velocities; then 30 steps of 1/15 s on logged commands alone. Windows begin every 7 steps of an
episode, at most 120 of a log, evenly spaced; none has a row that is not in progress, a missing step or a jump
above 0.5 m. Standing starts are the first 30 driven steps of an episode, from rest. Each generation is driven
by its own preset (see [vehicles](vehicles.md)).

Error of the front point in cm, then of the yaw in degrees: **median / 90th percentile**."""

_BY_LOG: Final = """By log, rolling start, medians. Errors grow with speed, and with the jitter of the original's
steps, which the constant step here ignores as the procedure asks: of physics 6, whose time stamps
can be trusted, driving the logged step lengths instead lowers 1.29 cm after a step to 1.06, and
9.3 cm after a second to 7.9. The logs that were held out when the model was fitted are calmer
than these: compare the kinematic bicycle, 125 cm after a second on those of physics 5."""

_REPEATED: Final = """## Driving the same commands twice

The original does not repeat itself: the length of its steps jitters, and its contacts scatter. Where two
episodes of a log have the same commands (rolling: also the same 8 before, and alike motion), half of their
difference in the mean square is what no deterministic model can avoid. Medians in cm and degrees, and what
ours makes of the same windows:"""

_RECOMPUTED: Final = """## Waypoints, wheels and progress at logged poses

The simulator's own kernels at the poses of each log: closest waypoint and all wheels on track of all rows,
progress within 0.05 percentage points of the rows that are neither the first of an episode nor the first
after a reset. Traces and logs of every generation since 2019 are read, a log only where no trace of its job
tells of the same drive; some drives are there as a table too, and count twice. Progress is unwrapped from step
to step by the rules of training. Logs round poses, and the body tilts between the queries of pose and wheels:
the last column counts rows whose waypoint, wheels and progress disagree, and how many of them have the logged
value near the pose: waypoint and wheels within a centimetre, progress at a pose that rounds to the same,
since in a bend two places of the centre line can be equally near."""
