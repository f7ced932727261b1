"""A track from above, on it the line that was driven so far, and the car: one of the pictures within a film."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lateapex.analysis.pictures import JUMP
from lateapex.analysis.road import road_pieces, whole_line
from lateapex.analysis.style import ALARM, BORDER, CENTRE, GROUND, ROAD

if TYPE_CHECKING:
    from lateapex.analysis.readings import Readings
    from lateapex.world.track import Track

Floats = NDArray[np.float64]

_FINE: Final = 3  # it is drawn this many times larger and averaged down, so that its lines are smooth


class DrivenMap:
    """Draws the map of one drive, in the order of its steps: each adds to the line.

    Args:
        size: width and height, pixels.
        ground: colour beside the road.
        margin: pixels between the road and the edge.
        things: `[T, M]` of THING_DTYPE, what else is there at each row; nothing if not given.
    """

    def __init__(
        self,
        track: Track,
        readings: Readings,
        size: tuple[int, int],
        ground: str = GROUND,
        margin: int = 12,
        things: NDArray[Any] | None = None,
    ) -> None:
        self._readings = readings
        self._things = things
        self._done = 0
        left, bottom, right, top = track.bounds
        wide, tall = (_FINE * side for side in size)
        room = 2 * margin * _FINE
        self._scale = min((wide - room) / (right - left), (tall - room) / (top - bottom))
        self._origin = wide / 2 - self._scale * (left + right) / 2, tall / 2 + self._scale * (bottom + top) / 2
        self._large = Image.new("RGB", (wide, tall), ground)
        self._draw_road(track)
        self._small = self._large.reduce(_FINE)

    def picture(self, i: int) -> Image.Image:
        """Return the map at row `i`, which must not lie before one that was drawn."""
        for k in range(self._done, i):
            ends = self._readings.place(k), self._readings.place(k + 1)
            if math.dist(*ends) < JUMP:
                self._add(*ends, self._readings.colour(k))
        self._done = max(self._done, i)
        picture = self._with_car(self._readings.place(i), float(self._readings.steps["yaw"][i]))
        if self._things is not None:
            self._add_things(picture, self._things[i])
        return picture

    def _add_things(self, picture: Image.Image, things: NDArray[Any]) -> None:
        """Dot the places of boxes and other cars."""
        draw = ImageDraw.Draw(picture)
        for thing in things[things["kind"] >= 0]:
            ((x, y),) = self._pixels(np.array([[thing["x"], thing["y"]]]))
            x, y = x / _FINE, y / _FINE
            draw.ellipse((x - 3.5, y - 3.5, x + 3.5, y + 3.5), ALARM, GROUND)

    def _draw_road(self, track: Track) -> None:
        draw = ImageDraw.Draw(self._large)
        for piece in road_pieces(track):
            draw.polygon(self._pixels(piece), ROAD, ROAD)
        for border in (track.inner, track.outer):
            draw.line(self._pixels(whole_line(border, track)), BORDER, 2 * _FINE, "curve")
        for dash in zip(track.center[:-1:2], track.center[1::2], strict=True):
            draw.line(self._pixels(np.array(dash)), CENTRE, _FINE)
        draw.line(self._pixels(np.array([track.inner[0], track.outer[0]])), BORDER, 4 * _FINE)

    def _pixels(self, points: Floats) -> list[tuple[float, float]]:
        x, y = self._origin
        return [(x + self._scale * east, y - self._scale * north) for east, north in points]

    def _add(self, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        """Add a piece of the driven line, whose ends are in metres."""
        ends, radius = self._pixels(np.array([start, end])), 1.5 * _FINE
        draw = ImageDraw.Draw(self._large)
        draw.line(ends, colour, 3 * _FINE)
        for x, y in ends:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
        box = self._around(ends, 3 * _FINE)
        self._small.paste(self._large.crop(box).reduce(_FINE), (box[0] // _FINE, box[1] // _FINE))

    def _with_car(self, front: tuple[float, float], yaw: float) -> Image.Image:
        """Return the map with an arrowhead, larger than the car would be, whose tip is the front point."""
        ahead, left = np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])
        length = max(0.3, 20 * _FINE / self._scale)
        shape = length * np.array([[0.0, 0.0], [-1.0, 0.42], [-0.75, 0.0], [-1.0, -0.42]])
        corners = self._pixels(np.array(front) + shape @ np.array([ahead, left]))
        box = self._around(corners, 3 * _FINE)
        patch = self._large.crop(box)
        corners = [(x - box[0], y - box[1]) for x, y in corners]
        ImageDraw.Draw(patch).polygon(corners, "#ffffff")
        ImageDraw.Draw(patch).line([*corners, *corners[:2]], GROUND, 2 * _FINE, "curve")
        picture = self._small.copy()
        picture.paste(patch.reduce(_FINE), (box[0] // _FINE, box[1] // _FINE))
        return picture

    def _around(self, points: list[tuple[float, float]], pad: int) -> tuple[int, int, int, int]:
        """Box around points of the large picture whose sides are whole pixels of the small one."""
        (left, top), (right, bottom) = np.min(points, axis=0) - pad, np.max(points, axis=0) + pad
        sides = [math.floor(left / _FINE), math.floor(top / _FINE), math.ceil(right / _FINE), math.ceil(bottom / _FINE)]
        return sides[0] * _FINE, sides[1] * _FINE, sides[2] * _FINE, sides[3] * _FINE
