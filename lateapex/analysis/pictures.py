"""What driven laps look like: one picture of many laps. `animation` and `film` show one lap as a moving picture.

It is drawn into memory and returned as the bytes of a file; nothing here writes, shows or keeps state. Colours
mean measured speed throughout: how far the front point moved in a step, not what the action asked for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lateapex.analysis.road import SIDE, WIDE, png_bytes, road_sheet
from lateapex.analysis.style import ALARM, FAINT, FONT, GROUND, SPEED_COLOURS, TEXT
from lateapex.records import STATUSES, EpisodeRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lateapex.world.track import Track

Floats = NDArray[np.float64]

_MARGIN = 7.0  # pixels; room for the borders' own width

JUMP = 0.5
"""m; no car drives this far in a step: it was put back on the road, and no line is drawn."""
FAILED = [STATUSES.index(word) for word in ("off_track", "crashed", "immobilized", "reversed")]


def measured_speed(steps: NDArray[Any]) -> Floats:
    """How fast the car was during each step but the last, whose end no row tells.

    Args:
        steps: rows of `STEP_DTYPE`, `[T]`.

    Returns:
        m/s, `[T - 1]`; NaN where the car was put back on the road.
    """
    moved = np.hypot(np.diff(steps["x"]), np.diff(steps["y"]))
    # A row's pose is of the step's beginning, its time of the step's end: row i lasted from time i-1 to time i.
    between = np.diff(steps["sim_time"])
    lasted = np.concatenate([between[:1], between[:-1]])
    speed = np.divide(moved, lasted, out=np.full_like(moved, np.nan), where=lasted > 0)
    return np.where(moved < JUMP, speed, np.nan)


def draw_laps(track: Track, episodes: Sequence[EpisodeRecord], title: str) -> bytes:
    """Draw the driven lines over the track, coloured by measured speed.

    The fastest complete lap lies on top and is widest. A cross marks where an episode broke off: off the track,
    crashed, stuck or driven backwards.

    Returns:
        A PNG, 1400 pixels wide.
    """
    sheet = road_sheet(track, title, _summary(track, episodes), _MARGIN)
    figure, axes, height = sheet.figure, sheet.axes, sheet.height
    norm, best = Normalize(*speed_range(episodes)), best_lap(episodes)
    for episode in sorted(episodes, key=lambda episode: episode is best):
        _draw_line(axes, episode, norm, width=5.0 if episode is best else 2.0)
    _draw_breaks(axes, episodes)
    if episodes:
        _draw_legend(figure, episodes, 44 / height)
        _draw_scale(figure.add_axes((930 / WIDE, 48 / height, (WIDE - SIDE - 930) / WIDE, 12 / height)), norm)
    return png_bytes(figure)


def best_lap(episodes: Sequence[EpisodeRecord]) -> EpisodeRecord | None:
    """Return the fastest complete lap."""
    laps = [episode for episode in episodes if episode.status == "lap_complete"]
    return min(laps, key=lambda lap: lap.lap_time, default=None)


def _summary(track: Track, episodes: Sequence[EpisodeRecord]) -> str:
    words = [track.name, f"{track.length:.2f} m"]
    if episodes:
        laps = sum(episode.status == "lap_complete" for episode in episodes)
        words.append(f"{laps} of {len(episodes)} laps complete")
    best = best_lap(episodes)
    return "   ·   ".join([*words, f"best lap {best.lap_time:.2f} s"] if best else words)


def speed_range(episodes: Sequence[EpisodeRecord]) -> tuple[float, float]:
    """Return slowest and fastest in halves of m/s, without the standing start, which would take half the colours."""
    driven = np.concatenate([np.zeros(0), *(measured_speed(episode.steps) for episode in episodes)])
    driven = driven[np.isfinite(driven)]
    if driven.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(driven, [5, 99]) * 2
    return math.floor(low) / 2, max(math.ceil(high), math.floor(low) + 1) / 2


def _draw_line(axes: Axes, episode: EpisodeRecord, norm: Normalize, width: float) -> None:
    points = np.column_stack([episode.steps["x"], episode.steps["y"]])
    speed = measured_speed(episode.steps)
    driven = np.isfinite(speed)
    pieces = list(np.stack([points[:-1], points[1:]], axis=1)[driven])
    line = LineCollection(pieces, norm=norm, cmap=SPEED_COLOURS, linewidth=width, capstyle="round")
    line.set(array=speed[driven], zorder=3, clip_on=False)
    axes.add_collection(line)


def _breaks(episodes: Sequence[EpisodeRecord]) -> Floats:
    """Where an episode broke off, `[breaks, 2]`."""
    rows = [row for episode in episodes for row in episode.steps if row["status"] in FAILED]
    return np.array([(row["x"], row["y"]) for row in rows]).reshape(-1, 2)


def _draw_breaks(axes: Axes, episodes: Sequence[EpisodeRecord]) -> None:
    x, y = _breaks(episodes).T
    axes.scatter(x, y, s=170, marker="x", color=GROUND, linewidth=7, zorder=5, clip_on=False)
    axes.scatter(x, y, s=130, marker="x", color=ALARM, linewidth=3.5, zorder=6, clip_on=False)


def _draw_legend(figure: Figure, episodes: Sequence[EpisodeRecord], middle: float) -> None:
    colour, best = SPEED_COLOURS(0.6), best_lap(episodes)
    statuses = np.concatenate([episode.steps["status"] for episode in episodes])
    breaks = statuses[np.isin(statuses, FAILED)]
    lines = [Line2D([], [], color=colour, linewidth=5.0, solid_capstyle="butt", label="best lap")] if best else []
    if len(episodes) > len(lines):
        lines.append(Line2D([], [], color=colour, linewidth=2.0, label="other laps" if best else "driven lines"))
    if breaks.size:
        what = "left the track" if (breaks == STATUSES.index("off_track")).all() else "broke off"
        cross = Line2D([], [], color=ALARM, marker="x", markersize=10, markeredgewidth=3.5, linestyle="")
        cross.set_label(f"{what} ({breaks.size})")
        lines.append(cross)
    figure.legend(
        handles=lines,
        loc="center left",
        bbox_to_anchor=(SIDE / WIDE, middle),
        ncols=len(lines),
        frameon=False,
        labelcolor=TEXT,
        prop=FontProperties(family=FONT, size=14),
        borderaxespad=0,
        borderpad=0,
        columnspacing=2.4,
    )


def _draw_scale(axes: Axes, norm: Normalize) -> None:
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 1.0)
    axes.imshow(np.linspace(0, 1, 512)[None], cmap=SPEED_COLOURS, aspect="auto", extent=(low, high, 0, 1))
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2.5, 5, 10]))
    axes.tick_params(colors=FAINT, labelsize=13, length=0, pad=6, labelfontfamily=FONT)
    axes.set_title("measured speed, m/s", color=FAINT, size=13, family=FONT, loc="left", pad=8)
    axes.spines[:].set_visible(False)
