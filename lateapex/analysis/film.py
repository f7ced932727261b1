"""One drive as a film: a large view, and over it the front camera, the map, the clock and the instruments.

Pictures are composed one at a time, for whoever encodes them; `animation` makes smaller ones that need no encoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lateapex.analysis.driven_map import DrivenMap
from lateapex.analysis.readings import Readings, draw_reading, outcome, rows_shown
from lateapex.analysis.style import FAINT, PANEL, TEXT, font

if TYPE_CHECKING:
    from lateapex.analysis.views import View
    from lateapex.records import EpisodeRecord
    from lateapex.world.track import Track

SIZE: Final = (1280, 720)
MAIN: Final = (1280, 800)
"""A main view of this size has room for what is cut off above."""

_EDGE, _RADIUS, _MARGIN = 20, 10, 18  # pixels
_COVER = 0.92  # share; what lies behind the panels shows through a little
_WIDE, _TALL, _CAPTION, _ROW = 320, 240, 26, 61  # pixels; all panels are as wide


def film_lap(
    track: Track,
    episode: EpisodeRecord,
    main: View,
    front: View,
    title: str = "",
    things: NDArray[Any] | None = None,
) -> Iterator[Image.Image]:
    """Compose the pictures of a drive, `FPS` to a second of simulated time.

    Args:
        main: what fills the picture, of any size.
        front: what the front camera saw; shown smaller.
        title: stands beside the track's name.
        things: `[T, M]` of THING_DTYPE, what the map shows beside the car.

    Yields:
        RGB pictures of `SIZE`; they last as long as the drive to half a picture.
    """
    readings = Readings(episode)
    stage = _Stage(track, episode, readings, title, things)
    for row in rows_shown(episode):
        yield stage.picture(row, main(row), front(row))


class _Stage:
    """Puts the parts of a picture together."""

    def __init__(
        self, track: Track, episode: EpisodeRecord, readings: Readings, title: str, things: NDArray[Any] | None = None
    ) -> None:
        self.readings = readings
        self.map = DrivenMap(track, readings, _map_size(track), PANEL, _MARGIN, things)
        self.heading = _heading(track, title, outcome(episode))

    def picture(self, i: int, main: NDArray[np.uint8], front: NDArray[np.uint8]) -> Image.Image:
        """Draw the moment of row `i`."""
        picture = _filling(main)
        wide, tall = SIZE
        _lay(picture, self._clock(i), (_EDGE, _EDGE))
        chart = self.map.picture(i)
        _lay(picture, chart, (wide - _EDGE - chart.width, _EDGE))
        inset = _inset(front)
        _lay(picture, inset, (_EDGE, tall - _EDGE - inset.height), cover=1.0)
        instruments = self._instruments(i)
        _lay(picture, instruments, (wide - _EDGE - instruments.width, tall - _EDGE - instruments.height))
        return picture

    def _clock(self, i: int) -> Image.Image:
        panel = self.heading.copy()
        elapsed, draw = self.readings.elapsed[i], ImageDraw.Draw(panel)
        draw.text((18, 94), f"{elapsed:.2f}", TEXT, font(52, bold=True), anchor="ls")
        draw.text((26 + font(52, bold=True).getlength(f"{elapsed:.2f}"), 94), "s", FAINT, font(26), anchor="ls")
        return panel

    def _instruments(self, i: int) -> Image.Image:
        shown = (self.readings.speed, self.readings.steering, self.readings.progress, self.readings.reward)
        panel = Image.new("RGB", (_WIDE, _TALL + _CAPTION), PANEL)
        draw = ImageDraw.Draw(panel)
        for k, reading in enumerate(shown):
            draw_reading(draw, reading(i), _MARGIN, _WIDE - _MARGIN, _ROW * k + 30, 22)
        return panel


def _heading(track: Track, title: str, ending: str) -> Image.Image:
    """Return the panel of the clock without it."""
    name = f"{track.name}  {track.length:.2f} m"
    words = "   ".join(part for part in (title, ending) if part)
    wide = max(_WIDE, round(2 * _MARGIN + max(font(16, bold=True).getlength(name), font(14).getlength(words))))
    panel = Image.new("RGB", (wide, 138), PANEL)
    draw = ImageDraw.Draw(panel)
    draw.text((18, 26), track.name, TEXT, font(16, bold=True), anchor="lm")
    begin = 18 + font(16, bold=True).getlength(track.name) + 12
    draw.text((begin, 26), f"{track.length:.2f} m", FAINT, font(14), anchor="lm")
    draw.text((18, 118), words, FAINT, font(14), anchor="lm")
    return panel


def _map_size(track: Track) -> tuple[int, int]:
    """As tall as the track needs at a fixed width, within limits."""
    left, bottom, right, top = track.bounds
    wide, tall = _WIDE, _TALL
    room = 2 * _MARGIN
    return wide, min(max(round((wide - room) * (top - bottom) / (right - left)) + room, tall // 2), tall)


def _filling(pixels: NDArray[np.uint8]) -> Image.Image:
    """Enlarge a picture until it fills the frame; what stands over is cut off above, where the least happens."""
    picture = Image.fromarray(pixels).convert("RGB")
    wide, tall = SIZE
    scale = max(wide / picture.width, tall / picture.height)
    size = round(picture.width * scale), round(picture.height * scale)
    grown = picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (grown.width - wide) // 2, grown.height - tall
    return grown.crop((left, top, left + wide, top + tall))


def _inset(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return the camera's picture with its pixels as they are, under a caption."""
    picture = Image.fromarray(pixels).convert("RGB")
    times = max(1, min(_WIDE // picture.width, _TALL // picture.height))
    caption = f"front camera, {picture.width}x{picture.height}"
    picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    panel = Image.new("RGB", (picture.width, picture.height + _CAPTION), PANEL)
    ImageDraw.Draw(panel).text((12, _CAPTION / 2), caption, FAINT, font(13), anchor="lm")
    panel.paste(picture, (0, _CAPTION))
    return panel


def _lay(picture: Image.Image, panel: Image.Image, corner: tuple[int, int], cover: float = _COVER) -> None:
    """Lay a panel with round corners over a picture."""
    picture.paste(panel, corner, _mask(panel.size, cover))


@cache
def _mask(size: tuple[int, int], cover: float) -> Image.Image:
    large = Image.new("L", (4 * size[0], 4 * size[1]), 0)
    ImageDraw.Draw(large).rounded_rectangle((0, 0, 4 * size[0] - 1, 4 * size[1] - 1), 4 * _RADIUS, round(255 * cover))
    return large.reduce(4)
