"""What the instruments of a drive show at each of its steps, and how they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from lateapex.analysis.pictures import measured_speed, speed_range
from lateapex.analysis.style import BORDER, FAINT, ROAD, SPEED_COLOURS, TEXT, font

if TYPE_CHECKING:
    from PIL import ImageDraw

    from lateapex.records import EpisodeRecord


FPS: Final = 15
"""Pictures per second of simulated time: the camera's own rate."""


class Reading(NamedTuple):
    """One instrument at one moment."""

    name: str
    value: str
    begin: float
    """Where the bar begins, as a share of its place: 0, or 0.5 for what has two signs."""
    end: float
    colour: str


class Readings:
    """The instruments of one episode; `i` is a row of it throughout."""

    def __init__(self, episode: EpisodeRecord) -> None:
        self.steps = episode.steps
        self.elapsed = episode.steps["sim_time"] - episode.start_time
        driven = measured_speed(episode.steps)
        self._speed = np.nan_to_num(np.concatenate([driven, driven[-1:]]) if driven.size else np.zeros(1))
        self._low, self._high = speed_range([episode])
        self._hardest = max(30.0, float(np.abs(episode.steps["steering_angle"]).max()))
        self._earned = np.cumsum(episode.steps["reward"])
        self._dearest = max(float(np.abs(episode.steps["reward"]).max()), 1e-9)

    def place(self, i: int) -> tuple[float, float]:
        """Front point, m."""
        return float(self.steps["x"][i]), float(self.steps["y"][i])

    def colour(self, i: int) -> str:
        """Colour of the measured speed."""
        share = (self._speed[i] - self._low) / (self._high - self._low)
        # Few colours, since a GIF has 256 for everything.
        return mpl.colors.to_hex(SPEED_COLOURS(round(float(np.clip(share, 0, 1)) * 20) / 20))

    def time(self, i: int) -> Reading:
        """Time since the start of the episode."""
        share = self.elapsed[i] / max(self.elapsed[-1], 1e-9)
        return Reading("time", f"{self.elapsed[i]:.2f} s", 0.0, share, FAINT)

    def progress(self, i: int) -> Reading:
        """Share of the lap."""
        progress = min(max(float(self.steps["progress"][i]), 0.0), 100.0)
        return Reading("progress", f"{progress:.0f} %", 0.0, progress / 100, BORDER)

    def speed(self, i: int) -> Reading:
        """Measured speed."""
        return Reading("speed", f"{self._speed[i]:.2f} m/s", 0.0, self._speed[i] / self._high, self.colour(i))

    def steering(self, i: int) -> Reading:
        """Commanded angle; the bar goes to the side to which the wheels turn."""
        angle = float(self.steps["steering_angle"][i])
        side = " left" if angle > 0 else " right" if angle < 0 else ""
        return Reading("steering", f"{abs(angle):.0f}°{side}", 0.5, 0.5 - angle / self._hardest / 2, BORDER)

    def reward(self, i: int) -> Reading:
        """Reward of the step, as a share of the largest of the episode, and the sum so far."""
        reward = float(self.steps["reward"][i])
        begin, scale = (0.5, 0.5) if self.steps["reward"].min() < 0 else (0.0, 1.0)
        name = f"reward   Σ {_short(float(self._earned[i]))}"
        return Reading(name, _short(reward), begin, begin + scale * reward / self._dearest, BORDER)


def rows_shown(episode: EpisodeRecord) -> NDArray[np.int64]:
    """Return the row that each picture of a film shows: the one that had begun last at that moment.

    Of our own simulator each row is one picture; the rows of recorded traces may be longer or shorter.

    Raises:
        ValueError: no row.
    """
    if len(episode.steps) == 0:
        raise ValueError("a drive of no steps; a film needs at least one")
    ends = episode.steps["sim_time"]
    begins = np.concatenate([[episode.start_time], ends[:-1]])
    moments = episode.start_time + np.arange(max(round(episode.lap_time * FPS), 1)) / FPS
    # Half a millisecond, since a row and a picture that begin together do so within rounding.
    return np.searchsorted(begins, moments + 5e-4, side="right") - 1


def outcome(episode: EpisodeRecord) -> str:
    """How an episode ended, in words."""
    if episode.status == "lap_complete":
        return f"lap complete in {episode.lap_time:.2f} s"
    return f"{episode.status.replace('_', ' ')} after {episode.lap_time:.2f} s"


def _short(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def draw_reading(
    draw: ImageDraw.ImageDraw, reading: Reading, left: float, right: float, middle: float, gap: float = 32
) -> None:
    """Draw name and value, `gap` pixels below their middle the bar."""
    draw.text((left, middle), reading.name, FAINT, font(14), anchor="lm")
    draw.text((right, middle), reading.value, TEXT, font(20, bold=True), anchor="rm")
    top, bottom = middle + gap, middle + gap + 7
    draw.rectangle((left, top, right, bottom), ROAD)
    ends = sorted(left + (right - left) * min(max(share, 0.0), 1.0) for share in (reading.begin, reading.end))
    draw.rectangle((ends[0], top, ends[1], bottom), reading.colour)
    if reading.begin:
        draw.line([(left + right) / 2, top - 5, (left + right) / 2, bottom + 5], FAINT, 2)
