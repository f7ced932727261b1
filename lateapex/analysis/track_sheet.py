"""Many tracks on one sheet: the road of each with its name, length, width and the way round it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure

from lateapex.analysis.road import DPI, draw_road, draw_start, fit, png_bytes
from lateapex.analysis.style import FAINT, FONT, GROUND, TEXT
from lateapex.world.inspection import inspect_track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lateapex.world.track import Track

COLUMNS: Final = 6
_CELL, _PICTURE, _EDGE = (310, 262), (270, 180), 20  # pixels
_LINE, _ARROW, _MARGIN = 1.0, 30.0, 16.0  # points, pixels, pixels; beside the road there is room for the arrow


def draw_sheet(tracks: Sequence[Track]) -> bytes:
    """Draw the tracks in rows of six, in their order.

    Returns:
        A PNG; 1900 pixels wide for six tracks or more.

    Raises:
        ValueError: no tracks.
    """
    if not tracks:
        raise ValueError("no tracks; a sheet needs at least one")
    columns = min(len(tracks), COLUMNS)
    rows = math.ceil(len(tracks) / columns)
    wide, tall = columns * _CELL[0] + 2 * _EDGE, rows * _CELL[1] + 2 * _EDGE
    figure = Figure(figsize=(wide / DPI, tall / DPI), dpi=DPI, facecolor=GROUND)
    for place, track in enumerate(tracks):
        row, column = divmod(place, columns)
        _draw_cell(figure, track, (_EDGE + column * _CELL[0], _EDGE + row * _CELL[1]), (wide, tall))
    return png_bytes(figure)


def _draw_cell(figure: Figure, track: Track, corner: tuple[int, int], size: tuple[int, int]) -> None:
    """Draw one track with its upper left corner at `corner` of a sheet of `size`, pixels."""
    (left, top), (wide, tall) = corner, size
    left += (_CELL[0] - _PICTURE[0]) // 2
    bottom = top + 52 + _PICTURE[1]
    axes = figure.add_axes((left / wide, 1 - bottom / tall, _PICTURE[0] / wide, _PICTURE[1] / tall))
    pixel = fit(axes, track, _PICTURE, _MARGIN)
    draw_road(axes, track, _LINE)
    draw_start(axes, track, pixel, _ARROW)
    inspection = inspect_track(track)
    name = f"{track.name}, reversed" if track.reversed else track.name
    facts = f"{track.length:.2f} m  ·  {track.width:.2f} m wide  ·  {inspection.direction}"
    # A long name is set smaller, so that it stays within its cell.
    size_of_name = min(11.0, 11.0 * 30 / len(name))
    figure.text(left / wide, 1 - (top + 24) / tall, name, color=TEXT, size=size_of_name, weight="bold", family=FONT)
    figure.text(left / wide, 1 - (top + 42) / tall, facts, color=FAINT, size=8.5, family=FONT)
