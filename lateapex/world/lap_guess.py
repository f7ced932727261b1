"""A lap that a careful driver would do: the smoothest line, as fast as each bend can be held for long.

Where the search for the fastest lap begins, and what stands in where it fails. The car is taken to be settled at every
station, and to gain and lose speed with a fixed share of its grip.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.world.guide import Guide, guide_through, middle_guide, room
from lateapex.world.lap_problem import JOINT, OFFSET, Plan, R, U, V, smoothest_offsets
from lateapex.world.motion import FULL_LOCK, GRAVITY, steady_turns, wheel_speeds
from lateapex.world.track import Track
from lateapex.world.vehicle import Vehicle

Floats = NDArray[np.float64]

CAUTION = 0.85
"""Share that is used of the steady speed in a bend, and of the grip along the line."""
_SMOOTHINGS = 2
_LEAST_ROOM = 0.45  # share of the road's width that is kept from a border at most


class Lap(NamedTuple):
    """A plan on its guide."""

    guide: Guide
    plan: Plan
    seconds: Floats
    """[I] s that each interval takes"""

    @property
    def time(self) -> float:
        """From the first station to the last, or round to the first, s."""
        return float(self.seconds.sum())


def smoothest_guide(track: Track, vehicle: Vehicle, spacing: float, margin: float) -> Guide:
    """Lay stations along the line of least curvature on which all wheels keep `margin` m from the borders.

    Raises:
        ConfigError: CasADi is not installed.
    """
    guide = middle_guide(track, spacing)
    kept = max(vehicle.front_wheel_side, vehicle.rear_wheel_side) + margin
    for _ in range(_SMOOTHINGS):
        right, left = room(track, guide.points, guide.headings)
        keep = np.minimum(kept, _LEAST_ROOM * (left - right))
        offsets = smoothest_offsets(guide, np.minimum(right + keep, 0.0), np.maximum(left - keep, 0.0))
        guide = guide_through(guide.at_offsets(offsets), guide.closed, spacing)
    return guide


def careful_lap(guide: Guide, vehicle: Vehicle, launch: float | None = None, last: float | None = None) -> Lap:
    """Drive along a guide.

    Args:
        launch: m/s at the first station; if not given, the lap before was the same.
        last: m, length of the last interval of an open guide; as the others if not given.
    """
    count = len(guide.points)
    spaces = np.full(count if guide.closed else count - 1, guide.spacing)
    spaces[-1] = spaces[-1] if last is None else last
    speeds = careful_speeds(guide.curvatures, spaces, vehicle, launch)
    after = np.roll(speeds, -1)[: len(spaces)]
    seconds = 2.0 * spaces / (speeds[: len(spaces)] + after)
    gains = (after - speeds[: len(spaces)]) / seconds
    return Lap(guide, _plan(guide, vehicle, speeds, gains), seconds)


def careful_speeds(curvatures: Floats, spaces: Floats, vehicle: Vehicle, launch: float | None = None) -> Floats:
    """Speed, m/s, at each of `[S]` stations with `[I]` m between them: a loop if `I` is `S`, else a line.

    Never faster than the share `CAUTION` of what each curvature (1/m) allows for long, nor braked or driven harder than
    that share of the grip.

    Args:
        launch: m/s at the first station of a line; as fast as possible if not given.
    """
    speeds = CAUTION * steady_turns(vehicle).fastest(curvatures)
    squares = speeds**2
    if launch is not None:
        squares[0] = min(launch**2, squares[0])
    gain = 2.0 * CAUTION * vehicle.friction * GRAVITY * spaces
    loops = 2 if len(spaces) == len(speeds) else 1
    for i in list(range(len(spaces))) * loops:
        after = (i + 1) % len(squares)
        squares[after] = min(squares[after], squares[i] + gain[i])
    for i in list(reversed(range(len(spaces)))) * loops:
        after = (i + 1) % len(squares)
        squares[i] = min(squares[i], squares[after] + gain[i])
    return np.asarray(np.sqrt(squares))


def _plan(guide: Guide, vehicle: Vehicle, speeds: Floats, gains: Floats) -> Plan:
    """States and controls of a settled car at some speeds, m/s, and gains of speed, m/s2."""
    states = np.zeros((len(speeds), JOINT + 1 if vehicle.steering_lag > 0.0 else JOINT))
    states[:, U] = speeds
    states[:, R] = speeds * guide.curvatures
    states[:, V] = vehicle.rear_axle * states[:, R]  # the rear axle hardly slips
    states[:, OFFSET] = 0.0
    steering = steady_turns(vehicle).steering(guide.curvatures, speeds)
    steering = np.clip(steering, -0.99 * FULL_LOCK, 0.99 * FULL_LOCK)
    if states.shape[1] > JOINT:
        states[:, JOINT] = steering
    grip = vehicle.friction * GRAVITY
    slips = vehicle.slip_forward * gains / np.maximum(grip - np.abs(gains), 0.05 * grip)
    wheel = np.clip(speeds[: len(gains)] + slips, *wheel_speeds(vehicle))
    return Plan(states, np.stack([steering[: len(gains)], wheel], axis=1))
