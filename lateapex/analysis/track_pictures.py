"""What a track looks like: its road from above, with the way round it, its waypoints and its tightest bend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lateapex.analysis.road import SIDE, WIDE, Sheet, png_bytes, road_sheet
from lateapex.analysis.style import ALARM, BORDER, FAINT, FONT, ROAD, TEXT
from lateapex.world.inspection import Inspection, inspect_track

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lateapex.world.track import Track

EVERY = 10
"""Waypoints from one that is numbered to the next."""
_MARGIN = 30  # pixels; beside the road there is room for the start's arrow
_SCALES = (0.5, 1, 2, 5, 10, 20, 50, 100)  # m
_SCALE_PIXELS = 80  # at least


def draw_track(track: Track) -> bytes:
    """Draw the road with its borders, start and direction, and the number of every tenth waypoint.

    Length, width and tightest radius stand below the name; a ring marks the tightest bend.

    Returns:
        A PNG, 1400 pixels wide.
    """
    inspection = inspect_track(track)
    name = f"{track.name}, reversed" if track.reversed else track.name
    sheet = road_sheet(track, name, _summary(inspection), _MARGIN)
    _draw_waypoints(sheet.axes, track)
    _draw_tightest(sheet.axes, track, inspection)
    _draw_scale(sheet)
    return png_bytes(sheet.figure)


def _summary(inspection: Inspection) -> str:
    narrow, width, wide = inspection.widths
    words = [
        f"{inspection.length:.2f} m",
        f"width {width:.2f} m",
        f"{inspection.points} waypoints",
        inspection.direction,
    ]
    if wide - narrow >= 0.01:
        words[1] += f" ({narrow:.2f} to {wide:.2f})"
    if math.isfinite(inspection.tightest_radius):
        words.append(f"tightest radius {inspection.tightest_radius:.2f} m")
    return "   ·   ".join(words)


def _draw_waypoints(axes: Axes, track: Track) -> None:
    """Draw numbers, and between them arrowheads that point the way; the start line stands for 0."""
    style: dict[str, Any] = {"color": TEXT, "size": 9, "family": FONT, "ha": "center", "va": "center", "zorder": 4}
    patch = {"facecolor": ROAD, "edgecolor": "none", "pad": 1.5}
    for i in range(EVERY, len(track.center) - EVERY // 2, EVERY):
        x, y = track.center[i]
        axes.text(x, y, str(i), bbox=patch, clip_on=False, **style)
    for i in range(EVERY // 2, len(track.center), EVERY):
        heading = track.pose_at(float(track.along[i]) / track.length)[2]
        # matplotlib's triangle points up.
        marker = (3, 0, math.degrees(heading) - 90)
        axes.plot(*track.center[i], marker=marker, markersize=9, color=BORDER, markeredgewidth=0, zorder=3)


def _draw_tightest(axes: Axes, track: Track, inspection: Inspection) -> None:
    if math.isfinite(inspection.tightest_radius):
        x, y = track.center[inspection.tightest_at]
        ring: dict[str, Any] = {"marker": "o", "markersize": 26, "markerfacecolor": "none", "markeredgewidth": 2.5}
        axes.plot(x, y, color=ALARM, zorder=5, clip_on=False, **ring)


def _draw_scale(sheet: Sheet) -> None:
    """Draw a bar of a round length."""
    metres = next((size for size in _SCALES if size / sheet.pixel >= _SCALE_PIXELS), _SCALES[-1])
    wide = metres / sheet.pixel / WIDE
    axes = sheet.figure.add_axes((1 - SIDE / WIDE - wide, 46 / sheet.height, wide, 6 / sheet.height))
    axes.set_axis_off()
    axes.fill_between([0, 1], 0, 1, color=FAINT, linewidth=0)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.text(0.5, 2.0, f"{metres:g} m", color=FAINT, size=13, family=FONT, ha="center", va="bottom")
