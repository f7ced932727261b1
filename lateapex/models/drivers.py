"""Drivers that know the state: one that stays in the middle of the road, whatever the car.

It aims at a point ahead on the centre line (pure pursuit) at the speed at which the bends ahead can be held, and turns
the joint to the angle with which the tyres settle on the curvature it wants. The driver of the fastest line is in
`line_driver`.

Source: Coulter, Implementation of the Pure Pursuit Path Tracking Algorithm, CMU-RI-TR-92-01.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateapex.world.guide import guide_through
from lateapex.world.lap_guess import careful_speeds
from lateapex.world.motion import FASTEST, FULL_LOCK, SLOWEST, SteadyTurns, speed_command, steady_turns
from lateapex.world.track import Track
from lateapex.world.vehicle import STEP_SECONDS, SUBSTEPS, Vehicle

Floats = NDArray[np.float64]

_SPACING = 0.05  # m, of the tables along the centre line
_NEAREST_AIM, _AIM_SECONDS = 0.3, 0.25  # m and s ahead of the centre
_BLUR = 0.3  # m over which a bend is felt; what is sharper a car cuts
_PACE = 0.75  # share of the careful speed


class LineTable:
    """Lines through the roads of some tracks, looked up by the way along their centre lines.

    Args:
        tracks: K of them.
        lines: a line for each, `[n, 3]` numbers at even steps of the way; that of a loop ends with its first.
    """

    def __init__(self, tracks: Sequence[Track], lines: Sequence[Floats]) -> None:
        self._last = np.array([len(line) - 1 for line in lines])
        self._closed = np.array([track.closed for track in tracks])
        self._lengths = np.array([track.length for track in tracks])
        self._table = np.zeros((len(lines), int(self._last.max()) + 1, 3))
        for row, line in zip(self._table, lines, strict=True):
            row[: len(line)] = line
            row[len(line) :] = line[-1]

    def at(self, track: NDArray[Any], way: Floats) -> Floats:
        """Numbers `[N, 3]` at `[N]` ways, m, along the centre lines of `[N]` tracks."""
        length = self._lengths[track]
        way = np.where(self._closed[track], way % length, np.clip(way, 0.0, length))
        place = way / length * self._last[track]
        row = np.minimum(place.astype(np.int64), self._last[track] - 1)
        share = (place - row)[:, None]
        return np.asarray((1.0 - share) * self._table[track, row] + share * self._table[track, row + 1])


class CentreLineDriver:
    """Follows the centre line of any track with any vehicle; see the module.

    Args:
        tracks: those that the simulator has, in the same order.
        vehicle: all cars.
    """

    def __init__(self, tracks: Sequence[Track], vehicle: Vehicle) -> None:
        self._vehicle = vehicle
        self._turns = steady_turns(vehicle)
        self._lines = LineTable(tracks, [_line(track, vehicle) for track in tracks])

    def commands(self, cars: NDArray[Any]) -> tuple[Floats, Floats]:
        """States `[N]` of STATE_DTYPE -> steering angles, rad, and speeds, m/s, `[N]` each."""
        centre = cars["along"] - self._vehicle.front_point
        return follow(cars, centre, lambda way: self._lines.at(cars["track"], way), self._vehicle, self._turns)


def follow(
    cars: NDArray[Any],
    centre: Floats,
    line_at: Callable[[Floats], Floats],
    vehicle: Vehicle,
    turns: SteadyTurns,
    most: Floats | float = np.inf,
) -> tuple[Floats, Floats]:
    """Commands with which cars go along their lines, rad and m/s, `[N]` each.

    Args:
        cars: states `[N]` of STATE_DTYPE.
        centre: `[N]` ways of their centres, m; `along` of a state is that of its front point.
        line_at: x, y and speed `[N, 3]` of each car's line at `[N]` ways, m.
        vehicle: all cars.
        turns: `motion.steady_turns` of it.
        most: m/s that no car shall be faster than.
    """
    speed = np.hypot(cars["u"], cars["v"])
    aim = line_at(centre + aim_distance(speed))
    angle, held = pursue(aim[:, 0], aim[:, 1], cars, turns)
    wanted = np.minimum(line_at(centre + speed * STEP_SECONDS)[:, 2], held)
    command = np.clip(speed_command(np.minimum(wanted, most), vehicle), SLOWEST, FASTEST)
    return steer_to(angle, cars, vehicle), command


def aim_distance(speed: Floats) -> Floats:
    """How far ahead a car looks, m, at a speed, m/s."""
    return np.asarray(_NEAREST_AIM + _AIM_SECONDS * speed)


def pursue(x: Floats, y: Floats, cars: NDArray[Any], turns: SteadyTurns) -> tuple[Floats, Floats]:
    """Angle of the joint, rad, that leads each car to a point by an arc, and the highest speed, m/s, for that arc."""
    dx, dy = x - cars["x"], y - cars["y"]
    cos, sin = np.cos(cars["yaw"]), np.sin(cars["yaw"])
    ahead, left = dx * cos + dy * sin, dy * cos - dx * sin
    curvature = 2.0 * left / np.maximum(dx * dx + dy * dy, 1e-6)
    # A point behind is reached by the tightest turn to its side.
    curvature = np.where(ahead > 0.0, curvature, np.copysign(turns.curvatures[-1], left))
    speed = np.clip(np.hypot(cars["u"], cars["v"]), *turns.speeds[[0, -1]])
    return turns.steering(curvature, speed), turns.fastest(curvature)


def steer_to(angle: Floats, cars: NDArray[Any], vehicle: Vehicle) -> Floats:
    """Commands, rad, with which the steering joints come to some angles by the end of the decision.

    Args:
        angle: `[N]` rad.
        cars: `[N]` of STATE_DTYPE.
    """
    if vehicle.steering_lag <= 0.0:
        return np.clip(angle, -FULL_LOCK, FULL_LOCK)
    kept = (1.0 - min(STEP_SECONDS / SUBSTEPS / vehicle.steering_lag, 1.0)) ** SUBSTEPS
    jump = vehicle.steering_jump
    rest = kept * (cars["steering"] - jump * cars["steering_command"])
    return np.clip((angle - rest) / (1.0 - kept + kept * jump), -FULL_LOCK, FULL_LOCK)


def _line(track: Track, vehicle: Vehicle) -> Floats:
    """x, y and speed at even steps along the centre line, `[n, 3]`; a loop ends with its first point."""
    guide = guide_through(track.center, track.closed, _SPACING)
    spaces = np.full(len(guide.points) - (0 if track.closed else 1), guide.spacing)
    return paced(guide.points, guide.curvatures, spaces, track.closed, vehicle)


def paced(points: Floats, curvatures: Floats, spaces: Floats, closed: bool, vehicle: Vehicle) -> Floats:
    """A line and the speed at which it is driven, `[n, 3]`; a loop ends with its first point.

    Args:
        points: `[S, 2]` m; a loop does not repeat its first.
        curvatures: `[S]` 1/m
        spaces: m from point to point: `[S]` of a loop, else one less.
    """
    bends = _blurred(curvatures, round(_BLUR / float(spaces.mean())), closed)
    rows = np.column_stack([points, _PACE * careful_speeds(bends, spaces, vehicle)])
    return np.concatenate([rows, rows[:1]]) if closed else rows


def _blurred(values: Floats, reach: int, closed: bool) -> Floats:
    """Mean over as many neighbours to either side, an end counting for what lies beyond it."""
    around = np.pad(values, reach, mode="wrap" if closed else "edge")
    return np.convolve(around, np.full(2 * reach + 1, 1.0 / (2 * reach + 1)), mode="valid")
