"""What the fastest lap looks like: its line over the track, coloured by speed, and the speeds along it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize

from lateapex.analysis.road import SIDE, WIDE, png_bytes, road_sheet
from lateapex.analysis.style import FAINT, FONT, PANEL, SPEED_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lateapex.world.raceline import Raceline

_PROFILE, _GAP, _BELOW = 240, 60, 80  # pixels
_MARGIN = 30.0  # pixels; beside the road there is room for the start's arrow
_WORDS = {"optimal": "minimum time", "careful": "NOT OPTIMAL: careful lap of the smoothest line"}


def draw_line(line: Raceline) -> bytes:
    """Draw a lap: the way of the car's centre over the track, and below it speed over distance.

    Returns:
        A PNG, 1400 pixels wide.
    """
    name = f"{line.track.name}, reversed" if line.track.reversed else line.track.name
    footer = _GAP + _PROFILE + _BELOW
    sheet = road_sheet(line.track, f"{name}   {line.lap_time:.2f} s", _summary(line), _MARGIN, footer)
    norm = Normalize(float(line.speed.min()), float(line.speed.max()))
    _draw_coloured(sheet.axes, np.stack([line.x, line.y], axis=1), line.speed, norm, 5.0)
    place = (2 * SIDE / WIDE, _BELOW / sheet.height, 1 - 3 * SIDE / WIDE, _PROFILE / sheet.height)
    _draw_profile(sheet.figure.add_axes(place), line, norm)
    return png_bytes(sheet.figure)


def _summary(line: Raceline) -> str:
    wheels = "all wheels on the road" if line.limit == "all" else "one wheel on the road"
    words = [_WORDS[line.method], f"{line.start} start", wheels, line.vehicle.name]
    return "   ·   ".join([*words, f"{line.speed.min():.1f} to {line.speed.max():.1f} m/s"])


def _draw_profile(axes: Axes, line: Raceline, norm: Normalize) -> None:
    axes.set_facecolor(PANEL)
    axes.fill_between(line.way, line.speed, color=FAINT, alpha=0.15, linewidth=0)
    _draw_coloured(axes, np.stack([line.way, line.speed], axis=1), line.speed, norm, 3.0)
    axes.set(xlim=(0, line.way[-1]), ylim=(0, 1.08 * float(line.speed.max())))
    axes.tick_params(colors=FAINT, labelsize=13, length=0, pad=6, labelfontfamily=FONT)
    axes.set_xlabel("distance, m", color=FAINT, size=13, family=FONT)
    axes.set_title("speed, m/s", color=FAINT, size=13, family=FONT, loc="left", pad=8)
    axes.spines[:].set_visible(False)


def _draw_coloured(axes: Axes, points: Any, speed: Any, norm: Normalize, width: float) -> None:
    pieces = LineCollection(
        list(np.stack([points[:-1], points[1:]], axis=1)),
        cmap=SPEED_COLOURS,
        norm=norm,
        linewidth=width,
        capstyle="round",
        zorder=4,
    )
    pieces.set_array((speed[:-1] + speed[1:]) / 2)
    axes.add_collection(pieces)
