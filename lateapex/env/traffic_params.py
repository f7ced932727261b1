"""What a reward function is told of other things on the track, by the names that racers know.

Objects are all things of the car's world but itself, other cars first. Arrays have a row for each car and a column for
each object: `[N, K]`. `docs/quirks.md` says what is odd in the original's values and what `fixed` makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.bodies import rule_sizes
from lateapex.world.bodies import CAR

CAMERA: Final = (0.14529, 0.13033, 0.2618)
"""Where object_in_camera looks from: m ahead, m up, rad down. The lean of the standing body is left out, as there."""
FRUSTUM: Final = (0.2, 300.0, float(np.tan(0.565)), 0.75)
"""m near and far, half a picture's width at a depth of 1, height over width."""
_BOX_HEIGHT = 0.1  # m, of a box's origin
_SIZES: Final = rule_sizes()


class Objects:
    """The objects of all cars at one moment.

    Args:
        things: `[W, M]` a copy: they drive on while the reward is computed.
        cars_each: how many of them are cars of the simulator.
        world: `[N]` of each car.
        bots: whether the others drive.
        bot_speed: m/s
        fixed: mend the quirks of the original.
    """

    def __init__(
        self,
        things: NDArray[Any],
        cars_each: int,
        world: NDArray[Any],
        *,
        bots: bool,
        bot_speed: float,
        fixed: bool,
    ) -> None:
        self.things, self.fixed = things, fixed
        self.bots, self.bot_speed = bots, bot_speed
        self.world = world
        self.seat = np.arange(len(world)) % cars_each
        """`[N]` column of each car itself."""

    @cached_property
    def each(self) -> NDArray[Any]:
        """`[N, K]` of THING_DTYPE: the objects of each car."""
        column = np.arange(self.things.shape[1] - 1)
        column = column + (column >= self.seat[:, None])
        found: NDArray[Any] = self.things[self.world[:, None], column]
        return found

    def closest(self, along: NDArray[np.float64], length: NDArray[np.float64]) -> NDArray[np.int64]:
        """`[N, 2]` the nearest object behind and the nearest ahead, by the way along the centre line."""
        ahead = (self.each["along"] - along[:, None]) % length[:, None]
        ahead = np.where(ahead == 0.0, length[:, None], ahead)
        return np.stack([ahead.argmax(axis=1), ahead.argmin(axis=1)], axis=1)

    def in_camera(self, cars: NDArray[Any], following: NDArray[np.int64]) -> NDArray[np.bool_]:
        """`[N]` whether the next object's middle or a corner lies in the camera's view.

        The original counts the car itself when it looks the object up: what it tests is the thing registered one
        before, and nothing where that is the car.
        """
        rows = np.arange(len(cars))
        if self.fixed:
            return _sees(cars, self.each[rows, following])
        seen: NDArray[np.bool_] = (following != self.seat) & _sees(cars, self.things[self.world, following])
        return seen


def _sees(cars: NDArray[Any], things: NDArray[Any]) -> NDArray[np.bool_]:
    """`[N]` whether each car's camera has some point of a thing's rectangle in view."""
    forward, up, pitch = CAMERA
    near, far, wide, ratio = FRUSTUM
    sizes = 0.5 * _SIZES[things["kind"]]
    corner = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    x, y = (sizes[:, None, :] * corner).transpose(2, 0, 1)
    c, s = np.cos(things["yaw"])[:, None], np.sin(things["yaw"])[:, None]
    dx, dy = things["x"][:, None] + c * x - s * y, things["y"][:, None] + s * x + c * y
    dx, dy = dx - cars["x"][:, None], dy - cars["y"][:, None]
    c, s = np.cos(cars["yaw"])[:, None], np.sin(cars["yaw"])[:, None]
    ahead, right = c * dx + s * dy - forward, s * dx - c * dy
    drop = up - np.where(things["kind"] == CAR, 0.0, _BOX_HEIGHT)[:, None]
    depth = ahead * np.cos(pitch) + drop * np.sin(pitch)
    down = drop * np.cos(pitch) - ahead * np.sin(pitch)
    seen = (depth >= near) & (depth <= far) & (np.abs(right) <= wide * depth) & (np.abs(down) <= ratio * wide * depth)
    found: NDArray[np.bool_] = seen.any(axis=1)
    return found


def _location(objects: Objects) -> NDArray[np.float64]:
    return np.stack([objects.each["x"], objects.each["y"]], axis=-1)


def _speed(objects: Objects) -> NDArray[np.float64]:
    if objects.fixed:
        return np.where(objects.each["wait"] > 0, 0.0, objects.each["speed"])
    return np.full(objects.each.shape, objects.bot_speed)


def _heading(objects: Objects) -> NDArray[np.float64]:
    if objects.fixed:
        return np.asarray(np.degrees(objects.each["yaw"]))
    return np.array(objects.each["yaw"]) if objects.bots else np.zeros(objects.each.shape)


OBJECT_PARAMS: Final[Mapping[str, Callable[[Objects], NDArray[Any]]]] = {
    "objects_location": _location,
    "objects_left_of_center": lambda objects: objects.each["is_left_of_line"] == 1,
    "objects_speed": _speed,
    "objects_heading": _heading,
    "objects_distance": lambda objects: objects.each["along"].copy(),
    "objects_distance_from_center": lambda objects: objects.each["distance_from_center"].copy(),
}
"""How each list is made, `[N, K]` or `[N, K, 2]`."""
