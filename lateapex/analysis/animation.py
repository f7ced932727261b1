"""One lap as a moving picture that any program shows: a GIF of what the camera saw, the map, and the readings.

`film` makes larger ones with a view from outside, for which the `video` extra is needed.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lateapex.analysis.driven_map import DrivenMap
from lateapex.analysis.readings import FPS, Readings, draw_reading, outcome, rows_shown
from lateapex.analysis.style import FAINT, GROUND, PANEL, TEXT, font

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lateapex.analysis.views import View
    from lateapex.records import EpisodeRecord
    from lateapex.world.track import Track

EDGE, TOP, VIEW, READINGS = 16, 46, (480, 360), 88  # pixels
MOST_PICTURES = 450  # a longer drive skips steps: a file that opens at once says more than a smooth one
LARGEST = 6_000_000  # bytes; a picture's share of it decides how much of the road's grain is kept
SHADES = 24  # of the camera


def animate_lap(track: Track, episode: EpisodeRecord, front: View, things: NDArray[Any] | None = None) -> bytes:
    """Draw one episode as it was driven, in simulated time: what the camera saw, the map, and the readings.

    Args:
        track: the road that the map shows.
        episode: the drive.
        front: what the camera saw: pictures `[H, W]`, or `[H, W, C]` with C = 1 (grey), 2 (stereo; the first is shown)
            or 3 (colours).
        things: `[T, M]` of THING_DTYPE, what the map shows beside the car.

    Returns:
        A GIF that repeats for ever. It lasts as long as the drive to half a picture. Of more than 450 pictures some
        are skipped. The camera's picture has 24 shades, and loses as much of its grain as keeps the file to about 6 MB.

    Raises:
        ValueError: no step at all, a picture of another shape.
    """
    rows = rows_shown(episode)
    stride = math.ceil(len(rows) / MOST_PICTURES)
    shown = rows[::stride].tolist()
    ends = [round(100 * min(i, len(rows)) / FPS) for i in range(stride, len(rows) + stride, stride)]
    moments = [int(row) for row in rows[np.linspace(0, len(rows) - 1, 8).astype(int)]]
    grain = _grain([front(row) for row in moments], LARGEST / len(shown))
    film = _Film(track, episode, grain, things)
    palette = _palette(np.array([film.picture(row, front(row)) for row in moments]))
    film = _Film(track, episode, grain, things)
    pictures = (film.picture(row, front(row)).quantize(palette=palette, dither=Image.Dither.NONE) for row in shown)
    delays = [10 * int(delay) for delay in np.diff([0, *ends])]
    file = io.BytesIO()
    next(pictures).save(file, "GIF", save_all=True, append_images=pictures, duration=delays, loop=0, disposal=1)
    return file.getvalue()


def _grain(samples: Sequence[NDArray[np.uint8]], room: float) -> int:
    """Return the smallest grain whose removal lets camera picture and readings take `room` bytes."""
    for grain in range(0, 16, 2):
        sizes = [len(_gif(_camera_picture(sample, grain))) for sample in samples]
        # Measured: within a film a picture takes a quarter more than alone, map and readings take 2 kB.
        if 1.25 * np.mean(sizes) + 2000 < room:
            return grain
    return 16


def _gif(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "GIF")
    return file.getvalue()


def _palette(samples: NDArray[np.uint8]) -> Image.Image:
    """Choose one palette for all pictures: the shades, then 100 colours of the camera, then 127 of what is drawn."""
    rows, columns = slice(TOP, TOP + VIEW[1]), slice(EDGE, EDGE + VIEW[0])
    camera = samples[:, rows, columns][:, ::3, ::3].reshape(-1, VIEW[0] // 3, 3).copy()
    samples[:, rows, columns] = 0
    # Each drawn colour counts once, or the large plain areas would leave none to the thin coloured trail.
    packed = np.unique(samples[-1].astype(np.int32) @ [65536, 256, 1])
    drawn = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)[None].astype(np.uint8)
    shades = np.round(np.linspace(0, 255, SHADES)).astype(int).repeat(3).tolist()
    palette = Image.new("P", (1, 1))
    palette.putpalette([*shades, *_colours_of(camera, 100), *_colours_of(drawn, 127)])
    return palette


def _colours_of(picture: NDArray[np.uint8], count: int) -> list[int]:
    return Image.fromarray(picture).quantize(count).getpalette() or []


class _Film:
    """Draws the pictures of one episode, in their order: each adds to the trail on the map."""

    def __init__(self, track: Track, episode: EpisodeRecord, grain: int, things: NDArray[Any] | None = None) -> None:
        self.readings = Readings(episode)
        self.map = DrivenMap(track, self.readings, VIEW, things=things)
        self.grain = grain
        self.stage = _empty_stage(track, episode)

    def picture(self, i: int, pixels: NDArray[np.uint8]) -> Image.Image:
        """Draw the moment of step `i`."""
        picture, camera = self.stage.copy(), _camera_picture(pixels, self.grain)
        picture.paste(camera, (EDGE + (VIEW[0] - camera.width) // 2, TOP + (VIEW[1] - camera.height) // 2))
        picture.paste(self.map.picture(i), (VIEW[0] + 2 * EDGE, TOP))
        draw, column = ImageDraw.Draw(picture), (2 * VIEW[0] + EDGE) / 4
        shown = (self.readings.time, self.readings.progress, self.readings.speed, self.readings.steering)
        for k, reading in enumerate(shown):
            left, right = EDGE + column * k + 20, EDGE + column * (k + 1) - 20
            draw_reading(draw, reading(i), left, right, TOP + VIEW[1] + EDGE + 24)
        return picture


def _empty_stage(track: Track, episode: EpisodeRecord) -> Image.Image:
    wide, tall = VIEW
    stage = Image.new("RGB", (2 * wide + 3 * EDGE, TOP + tall + READINGS + 2 * EDGE), GROUND)
    draw = ImageDraw.Draw(stage)
    bold, plain = font(17, bold=True), font(15)
    draw.text((EDGE, TOP / 2 + 1), track.name, TEXT, bold, anchor="lm")
    draw.text((EDGE + bold.getlength(track.name) + 14, TOP / 2 + 1), f"{track.length:.2f} m", FAINT, plain, anchor="lm")
    draw.text((2 * wide + 2 * EDGE, TOP / 2 + 1), outcome(episode), FAINT, plain, anchor="rm")
    draw.rounded_rectangle((EDGE, TOP + tall + EDGE, 2 * wide + 2 * EDGE, TOP + tall + EDGE + READINGS), 6, PANEL)
    return stage


def _camera_picture(pixels: NDArray[np.uint8], grain: int) -> Image.Image:
    """Return a camera's picture in whole-number enlargement, as large as its place allows."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels not in (1, 2, 3):
        raise ValueError(f"a frame has shape {pixels.shape}; [H, W] or [H, W, C] with 1, 2 or 3 channels is needed")
    plain = _without_grain(pixels.reshape(*pixels.shape[:2], channels)[:, :, : 1 if channels == 2 else 3], grain)
    picture = Image.fromarray(plain.squeeze(2) if plain.shape[2] == 1 else plain).convert("RGB")
    picture.thumbnail(VIEW)
    times = max(1, min(VIEW[0] // picture.width, VIEW[1] // picture.height))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _without_grain(pixels: NDArray[np.uint8], grain: int) -> NDArray[np.uint8]:
    """Repeat, along each row of `[H, W, C]`, a pixel until the next differs by more than `grain`; round to `SHADES`."""
    plain = pixels.astype(np.float64)
    for column in range(1, plain.shape[1]):
        here, before = plain[:, column], plain[:, column - 1]
        same = np.abs(here - before).max(axis=1, keepdims=True) <= grain
        plain[:, column] = np.where(same, before, here)
    step = 255 / (SHADES - 1)
    return np.round(np.round(plain / step) * step).astype(np.uint8)
