"""A road from above as Matplotlib draws it: the sheet it lies on, the road itself, and where a lap starts."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lateapex.analysis.style import BORDER, CENTRE, FAINT, FONT, GROUND, ROAD, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lateapex.world.track import Track

Floats = NDArray[np.float64]

WIDE, SIDE, HEADER, FOOTER = 1400, 50, 120, 100  # pixels
DPI: Final = 100


class Sheet(NamedTuple):
    """A page with a road on it, below a title and above a free strip."""

    figure: Figure
    axes: Axes
    """Of the road; in metres."""
    pixel: float
    """m"""
    height: int
    """pixels"""


def road_sheet(track: Track, title: str, subtitle: str, margin: float, footer: int = FOOTER) -> Sheet:
    """Draw the road, its start and two lines of text above it.

    Args:
        margin: pixels between the road and the edge of its axes.
        footer: pixels of the free strip below it.
    """
    left, bottom, right, top = track.bounds
    wide = WIDE - 2 * SIDE
    tall = min(max(round(wide * (top - bottom) / (right - left)), wide // 4), wide)
    height = HEADER + tall + footer
    figure = Figure(figsize=(WIDE / DPI, height / DPI), dpi=DPI, facecolor=GROUND)
    axes = figure.add_axes((SIDE / WIDE, footer / height, wide / WIDE, tall / height))
    pixel = fit(axes, track, (wide, tall), margin)
    draw_road(axes, track)
    draw_start(axes, track, pixel)
    figure.text(SIDE / WIDE, 1 - 58 / height, title, color=TEXT, size=25, weight="bold", family=FONT)
    figure.text(SIDE / WIDE, 1 - 96 / height, subtitle, color=FAINT, size=15, family=FONT)
    return Sheet(figure, axes, pixel, height)


def fit(axes: Axes, track: Track, size: tuple[int, int], margin: float) -> float:
    """Let axes of `size` pixels show the whole track in true proportion, with a margin in pixels.

    Returns:
        Metres to a pixel.
    """
    left, bottom, right, top = track.bounds
    wide, tall = size
    pixel = max((right - left) / (wide - 2 * margin), (top - bottom) / (tall - 2 * margin))
    x, y = (left + right) / 2, (bottom + top) / 2
    axes.set_axis_off()
    axes.set(xlim=(x - pixel * wide / 2, x + pixel * wide / 2), ylim=(y - pixel * tall / 2, y + pixel * tall / 2))
    return pixel


def draw_road(axes: Axes, track: Track, line: float = 2.2) -> None:
    """Draw asphalt, borders and centre line.

    Args:
        line: width of the borders, points.
    """
    # The pieces' own edges close the hairlines that antialiasing leaves between neighbours.
    axes.add_collection(PolyCollection(list(road_pieces(track)), facecolor=ROAD, edgecolor=ROAD, linewidth=1.0))
    for border in (track.inner, track.outer):
        axes.plot(*whole_line(border, track).T, color=BORDER, linewidth=line, solid_joinstyle="round")
    dashes = (0, (7, 7))
    axes.plot(*whole_line(track.center, track).T, color=CENTRE, linewidth=line * 6 / 11, linestyle=dashes)


def whole_line(points: Floats, track: Track) -> Floats:
    """Return a border or the centre line `[P, 2]` with its first point again at its end where the track is closed."""
    return np.concatenate([points, points[:1]]) if track.closed else points


def road_pieces(track: Track) -> Floats:
    """Four corners of the road between each two waypoints, `[pieces, 4, 2]`."""
    inner, outer = whole_line(track.inner, track), whole_line(track.outer, track)
    return np.stack([inner[:-1], inner[1:], outer[1:], outer[:-1]], axis=1)


def draw_start(axes: Axes, track: Track, pixel: float, arrow: float = 72.0) -> None:
    """Draw a chequered line where a lap begins and ends, and beside it an arrow that points the way.

    Args:
        pixel: m.
        arrow: length, pixels.
    """
    for i in [0] if track.closed else [0, -1]:
        inner, outer = track.inner[i], track.outer[i]
        along = _ahead(track, abs(i)) * np.hypot(*(outer - inner)) / 8
        ground = np.array([inner - along, outer - along, outer + along, inner + along])
        axes.fill(*ground.T, color=BORDER, linewidth=0, zorder=2, clip_on=False)
        squares = PolyCollection(list(_chequers(inner, outer, along)), facecolor=GROUND, zorder=2, clip_on=False)
        axes.add_collection(squares)
    place, ahead = _beside_start(track, 0.36 * arrow * pixel), _ahead(track, 0) * arrow * pixel
    head = arrow / 72
    style = f"-|>,head_width={0.45 * head:g},head_length={0.9 * head:g}"
    look = {"arrowstyle": style, "color": TEXT, "linewidth": 2.5 * head, "shrinkA": 2 * head, "shrinkB": 2 * head}
    axes.annotate("", xy=tuple(place + ahead), xytext=tuple(place), arrowprops=look, annotation_clip=False)


def _ahead(track: Track, fraction: float) -> Floats:
    heading = track.pose_at(fraction)[2]
    return np.array([math.cos(heading), math.sin(heading)])


def _chequers(inner: Floats, outer: Floats, along: Floats) -> Floats:
    """Dark squares of the two rows across the road, `[8, 4, 2]`."""
    across = (outer - inner) / 8
    corners = [inner + across * i - along * (i % 2) for i in range(8)]
    return np.array([[corner, corner + across, corner + across + along, corner + along] for corner in corners])


def _beside_start(track: Track, gap: float) -> Floats:
    """Return the point `gap` metres beside the start line, on the side where no other road is near."""
    across = (track.outer[0] - track.inner[0]) / np.hypot(*(track.outer[0] - track.inner[0]))
    places = (track.inner[0] - across * gap, track.outer[0] + across * gap)
    return max(places, key=lambda place: float(np.hypot(*(track.center - place).T).min()))


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    canvas: Any = FigureCanvasAgg(figure)  # its methods carry no types
    file = io.BytesIO()
    canvas.print_png(file)
    return file.getvalue()
