"""What a critic may know and an actor may not: the car's state, as a sensor of its own.

It belongs to training alone and to no model_metadata.json. All numbers are scaled to about -1..1; left is positive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from lateapex.env.actions import MAX_STEERING_DEG
from lateapex.env.sensors import Look, Sensor, SensorSettings
from lateapex.world.guide import guide_through
from lateapex.world.track import Track

STATE_SENSOR: Final = "STATE"
"""Name of the sensor among the observations."""

_AHEAD: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""m along the centre line from the car's front point, at which its curvature is told."""
FIELDS: Final = (
    "offset",  # of the front point from the centre line, half widths
    "left",  # m from the front point to the left border
    "right",  # m
    "heading_sin",  # of the angle between car and centre line
    "heading_cos",
    "forward",  # speed, 4 m/s
    "sideways",  # speed, m/s
    "yaw_rate",  # 5 rad/s
    "slip",  # rad, between where the car points and where it goes
    "joint",  # of the steering, 30 degrees
    "command",  # of the steering, 30 degrees
    "progress",  # share of the lap in this episode
    "begins",  # 1 while the car is held
    *(f"curvature_{way:g}" for way in _AHEAD),  # 1/m
)
"""What each of the K numbers is."""
_SIGNED: Final = ("offset", "heading_sin", "sideways", "yaw_rate", "slip", "joint", "command")

_SPACING: Final = 0.05  # m, of the tables along the centre line
_FARTHEST: Final = 8.0  # what lies beyond tells no more
_CREEPING: Final = 0.1  # m/s forward; of what is slower the slip angle is noise


class PrivilegedState(Sensor):
    """`[K]` numbers, see `FIELDS`."""

    def __init__(self, settings: SensorSettings) -> None:
        del settings
        self.space = Box(-_FARTHEST, _FARTHEST, (len(FIELDS),), np.float32)
        self._lines: _Lines | None = None
        self._signs = np.array([-1.0 if _turns_sign(name) else 1.0 for name in FIELDS], np.float32)
        self._order = [FIELDS.index({"left": "right", "right": "left"}.get(name, name)) for name in FIELDS]

    def fill(self, out: NDArray[Any], look: Look) -> None:
        """Compute."""
        if self._lines is None:
            self._lines = _Lines(look.simulator.tracks)
        cars = look.simulator.cars[look.cars]
        half = 0.5 * cars["track_width"]
        offset = np.where(cars["is_left_of_line"], 1.0, -1.0) * cars["distance_from_center"]
        sin, cos = self._lines.heading(cars)
        lock = math.radians(MAX_STEERING_DEG)
        columns = [
            offset / np.maximum(half, 1e-3),
            half - offset,
            half + offset,
            sin,
            cos,
            cars["u"] / 4.0,
            cars["v"],
            cars["r"] / 5.0,
            np.arctan2(cars["v"], np.maximum(cars["u"], _CREEPING)),
            cars["steering"] / lock,
            cars["steering_command"] / lock,
            look.progress[look.cars] / 100.0,
            look.steps[look.cars] == 0,
        ]
        values = np.concatenate([np.stack(columns, axis=1), self._lines.curvatures(cars)], axis=1)
        out[look.cars] = np.clip(values, -_FARTHEST, _FARTHEST)

    def mirrored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Left is right and right is left."""
        flipped: NDArray[Any] = self._signs * values[:, self._order]
        return flipped


def _turns_sign(name: str) -> bool:
    return name in _SIGNED or name.startswith("curvature")


class _Lines:
    """Directions and curvatures of the centre lines, at even steps."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        guides = [guide_through(track.center, track.closed, _SPACING) for track in tracks]
        self._count = np.array([len(guide.points) for guide in guides])
        self._closed = np.array([track.closed for track in tracks])
        self._lengths = np.array([track.length for track in tracks])
        self._table = np.zeros((len(tracks), int(self._count.max()), 2))  # heading, curvature
        for row, guide in zip(self._table, guides, strict=True):
            row[: len(guide.points)] = np.stack([guide.headings, guide.curvatures], axis=1)

    def heading(self, cars: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sine and cosine of the angle by which cars point to the left of the centre line, `[M]` each."""
        turned = cars["yaw"] - self._at(cars, np.zeros(1))[:, 0, 0]
        return np.sin(turned), np.cos(turned)

    def curvatures(self, cars: NDArray[Any]) -> NDArray[np.float64]:
        """Curvature of the centre line at each way ahead, `[M, len(_AHEAD)]`."""
        return self._at(cars, np.array(_AHEAD))[..., 1]

    def _at(self, cars: NDArray[Any], ahead: NDArray[np.float64]) -> NDArray[np.float64]:
        """Nearest rows of the tables at ways ahead of the cars, `[M, W, 2]`."""
        track = cars["track"][:, None]
        count, closed = self._count[track], self._closed[track]
        steps = np.where(closed, count, count - 1)
        place = np.rint((cars["along"][:, None] + ahead) / self._lengths[track] * steps).astype(np.int64)
        place = np.where(closed, place % count, np.clip(place, 0, count - 1))
        found: NDArray[np.float64] = self._table[track, place]
        return found
