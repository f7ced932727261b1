"""A lidar on every car: 64 beams to the walls and to what stands or drives between them.

The scanner faces backwards, so that the 60 degrees ahead of the car are blind, and its plane leans back with the body:
beams to the rear reach the ground at 7.6 m. A beam hits the nearest of walls, bodies and ground. Bodies are rectangles
on the ground and taller than the plane; boxes are, and of cars it sees the outline.

What is too near gives the shortest range, what is too far the longest; noise is added between them alone, as Gazebo
does. The range resolution of 1 cm that the original states is not applied there, and so not here.

Source: `racecar.launch` and `markov/sensors/constants.py` of aws-deepracer-community/deepracer-simapp; `GpuRaySensor`
of Gazebo for what it makes of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.sim.ground import walls_of
from lateapex.sim.kernel import kernel
from lateapex.sim.random import LIDAR_NOISE, key_of, philox
from lateapex.sim.state import STATE_DTYPE
from lateapex.world.scene import Scene
from lateapex.world.track import Track

BEAMS: Final = 64
"""R, rays of one scan."""
FIRST_BEARING: Final = math.pi - 2.61799
"""rad left of straight ahead, of beam 0; the others follow counter-clockwise, evenly, up to the same to the right."""
FORWARD: Final = 0.0246
"""m ahead of the car's centre."""
HEIGHT: Final = 0.1844
"""m above the ground."""
TILT: Final = 0.02434
"""rad by which the plane leans back."""
SHORTEST: Final = 0.15
"""m, lower end of the range."""
LONGEST: Final = 12.0
"""m, upper end of it."""
NOISE: Final = 0.01
"""m, standard deviation."""

_EACH: Final = 4  # beams that share one block of random numbers
_UNIFORM: Final = 2.0**-32
_PARALLEL: Final = 1e-12  # a direction that is taken for this is along the side of a rectangle


class Beams(NamedTuple):
    """What a metre of each beam is worth, `[R]` each; rise is negative where it leads to the ground."""

    ahead: NDArray[np.float64]
    left: NDArray[np.float64]
    rise: NDArray[np.float64]


class Bodies(NamedTuple):
    """What stands between the walls, as rectangles on the ground: up to `K` in each of `W` worlds."""

    rectangles: NDArray[np.float64]
    """[W, K, 5] x, y (m) of the middle, yaw (rad), length, width (m)"""
    cars: NDArray[np.int64]
    """[W, K] the car that each is, whose own beams pass it; -1: none; -2: an empty place"""


def no_bodies(worlds: int) -> Bodies:
    """Return empty worlds."""
    return Bodies(np.zeros((worlds, 0, 5)), np.zeros((worlds, 0), np.int64))


def beams(tilt: float = TILT) -> Beams:
    """Directions of all beams of a scanner whose plane leans back by `tilt`, rad."""
    bearings = np.linspace(FIRST_BEARING, 2.0 * math.pi - FIRST_BEARING, BEAMS)
    return Beams(np.cos(bearings) * math.cos(tilt), np.sin(bearings), np.cos(bearings) * math.sin(tilt))


class Lidar:
    """The lidars of all cars of a simulator.

    Args:
        tracks: of the simulator, K of them.
        scenes: its looks, whose walls the beams hit.
        noise: standard deviation, m; 0: exact ranges.
    """

    def __init__(self, tracks: Sequence[Track], scenes: Sequence[Scene], noise: float = NOISE) -> None:
        self.noise = noise
        self._rooms = np.array(
            [(*walls_of(track, scene), scene.wall_height) for track, scene in zip(tracks, scenes, strict=True)]
        )
        self._beams = beams()
        nobody = np.zeros(0, STATE_DTYPE)
        self.scan(
            nobody, np.zeros(0, np.int64), no_bodies(0), np.zeros((0, BEAMS), np.float32), seed=0, episodes=[], steps=[]
        )  # so that no step has to wait until it is compiled

    def scan(
        self,
        cars: NDArray[Any],
        which: NDArray[np.int64],
        bodies: Bodies,
        out: NDArray[np.float32],
        *,
        seed: int,
        episodes: ArrayLike,
        steps: ArrayLike,
        first_car: int = 0,
    ) -> None:
        """Measure.

        Args:
            cars: `[N]` of STATE_DTYPE.
            which: `[M]` cars that measure.
            bodies: what else is in their worlds.
            out: float32 `[M, R]`, overwritten with ranges, m, SHORTEST to LONGEST.
            seed: of the noise.
            episodes, steps: `[N]` of each car, which the noise belongs to.
            first_car: number of the first car, which it belongs to as well.
        """
        owners = np.ascontiguousarray(np.stack([episodes, steps]), np.int64)
        _scan(which, cars, self._rooms, self._beams, *bodies, out)
        if self.noise > 0.0:
            _add_noise(which, first_car, self.noise, key_of(seed), owners, out)


@kernel
def _scan(which, cars, rooms, beams, rectangles, owners, out):  # type: ignore[no-untyped-def] # numba: int64[M], cars, [K, 5], Beams, Bodies, float32[M, R]
    for n in range(which.size):
        i = which[n]
        car = cars[i]
        c, s = np.cos(car.yaw), np.sin(car.yaw)
        x, y = car.x + FORWARD * c, car.y + FORWARD * s
        _see_room(x, y, c, s, rooms[car.track], beams, out[n])
        for k in range(owners.shape[1]):
            owner = owners[car.world, k]
            if owner != i and owner > -2:
                _see_body(x, y, c, s, rectangles[car.world, k], beams, out[n])
        for r in range(BEAMS):
            out[n, r] = min(max(out[n, r], SHORTEST), LONGEST)


@kernel
def _see_room(x, y, c, s, room, beams, ranges):  # type: ignore[no-untyped-def] # numba: m, m, cos and sin of the yaw, [5], Beams, float32[R]
    """Begin a scan: the way to the ground, or to a wall where the beam meets it below its upper edge."""
    middle_x, middle_y = 0.5 * (room[0] + room[2]), 0.5 * (room[1] + room[3])
    half_x, half_y = 0.5 * (room[2] - room[0]), 0.5 * (room[3] - room[1])
    for r in range(BEAMS):
        dx = c * beams.ahead[r] - s * beams.left[r]
        dy = s * beams.ahead[r] + c * beams.left[r]
        enter, leave = _crossings(x - middle_x, y - middle_y, dx, dy, half_x, half_y)
        reach = enter if enter > 0.0 else leave
        if not (leave >= enter and leave >= 0.0 and HEIGHT + reach * beams.rise[r] < room[4]):
            reach = LONGEST
        if beams.rise[r] < 0.0:
            reach = min(reach, -HEIGHT / beams.rise[r])
        ranges[r] = reach


@kernel
def _see_body(x, y, c, s, body, beams, ranges):  # type: ignore[no-untyped-def] # numba: see _see_room; [5]
    """Shorten those beams that a rectangle stops; one that begins in it is stopped at once."""
    bc, bs = np.cos(body[2]), np.sin(body[2])
    away_x, away_y = x - body[0], y - body[1]
    from_x, from_y = bc * away_x + bs * away_y, bc * away_y - bs * away_x
    turn_c, turn_s = c * bc + s * bs, s * bc - c * bs
    half_x, half_y = 0.5 * body[3], 0.5 * body[4]
    for r in range(BEAMS):
        dx = turn_c * beams.ahead[r] - turn_s * beams.left[r]
        dy = turn_s * beams.ahead[r] + turn_c * beams.left[r]
        enter, leave = _crossings(from_x, from_y, dx, dy, half_x, half_y)
        if leave >= enter and leave >= 0.0:
            ranges[r] = min(ranges[r], max(enter, 0.0))


@kernel
def _crossings(x, y, dx, dy, half_x, half_y):  # type: ignore[no-untyped-def] # numba: floats -> m, m
    """Where a line enters and leaves a rectangle about the origin; it passes by if it leaves before it enters."""
    dx = dx if abs(dx) > _PARALLEL else _PARALLEL
    dy = dy if abs(dy) > _PARALLEL else _PARALLEL
    ax, bx = (-half_x - x) / dx, (half_x - x) / dx
    ay, by = (-half_y - y) / dy, (half_y - y) / dy
    return max(min(ax, bx), min(ay, by)), min(max(ax, bx), max(ay, by))


@kernel
def _add_noise(which, first_car, spread, key, owners, out):  # type: ignore[no-untyped-def] # numba: int64[M], int, m, uint64[2], int64[2, N], float32[M, R]
    """Add normal numbers, two from each two uniform ones (Box and Muller 1958), to what lies within the range."""
    for n in range(which.size):
        i = which[n]
        car, episode, purpose = np.uint64(first_car + i), np.uint64(owners[0, i]), np.uint64(LIDAR_NOISE)
        for block in range(BEAMS // _EACH):
            index = np.uint64(owners[1, i] * (BEAMS // _EACH) + block)
            draws = philox(car, episode, purpose, index, key)
            for pair in range(2):
                reach = spread * np.sqrt(-2.0 * np.log((draws[2 * pair] + 0.5) * _UNIFORM))
                angle = 2.0 * np.pi * (draws[2 * pair + 1] * _UNIFORM)
                first = block * _EACH + 2 * pair
                _disturb(out[n], first, reach * np.cos(angle))
                _disturb(out[n], first + 1, reach * np.sin(angle))


@kernel
def _disturb(ranges, r, error):  # type: ignore[no-untyped-def] # numba: float32[R], int, m
    if np.float32(SHORTEST) < ranges[r] < np.float32(LONGEST):
        ranges[r] = min(max(ranges[r] + error, SHORTEST), LONGEST)
