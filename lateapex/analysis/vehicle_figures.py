"""What a vehicle can do: how fast it gets, how hard it brakes, how tightly it turns, and which bends that suits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.replay import replay
from lateapex.world.vehicle import STEP_SECONDS, Vehicle

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = NDArray[np.float64]

FULL_LOCK: Final = 30.0
"""Degrees, the most that an action can ask for."""
COMMANDS: Final = tuple(quarter / 4.0 for quarter in range(2, 17))
"""Commanded speeds at which turning is measured, m/s."""

_SETTLE = 150  # steps after which a car is as fast, and turns as fast, as it gets
_STEADY = 15  # steps over which that is averaged
_FASTEST = 4.0  # m/s, the highest command


@dataclass(frozen=True, kw_only=True)
class VehicleFigures:
    """Measured by driving on an endless plane."""

    top_speed: float
    """m/s, straight, at the highest command"""
    launch: float
    """m/s after one second at the highest command"""
    braking: float
    """m/s2, mean on the way from the speed of command 3 to 1.25 times that of command 1"""
    lag: float
    """s from a step of the steering to 63 % of the steady yaw rate, 10 degrees at command 1"""
    radius: dict[float, float]
    """m, of the front point at full lock, by commanded speed, reached from straight driving; infinite where it spins"""

    @property
    def tightest(self) -> float:
        """The smallest radius at any speed."""
        return min(self.radius.values())

    def fastest_through(self, radius: float) -> float | None:
        """The highest of COMMANDS with which the car, steady at full lock, turns as tightly as a bend; None: none."""
        return max((command for command, own in self.radius.items() if own <= radius), default=None)


def measure(vehicle: Vehicle) -> VehicleFigures:
    """Drive a vehicle through the manoeuvres that give its figures."""
    straight = speeds(drive_from_rest(vehicle, [(0.0, _FASTEST)] * 2 * _SETTLE))
    return VehicleFigures(
        top_speed=float(straight[-1]),
        launch=float(straight[14]),
        braking=_braking(vehicle),
        lag=_lag(vehicle),
        radius={command: _radius(vehicle, command) for command in COMMANDS},
    )


def steady_yaw_rate(vehicle: Vehicle, degrees: float, command: float) -> tuple[float, float]:
    """Yaw rate in rad/s and speed of the front point in m/s, once steady, after steering out of straight driving."""
    poses = drive_from_rest(vehicle, [(0.0, command)] * _SETTLE + [(degrees, command)] * _SETTLE)
    return float(np.abs(turns(poses)[-_STEADY:]).mean()), float(speeds(poses)[-_STEADY:].mean())


def drive_from_rest(vehicle: Vehicle, commands: Sequence[tuple[float, float]]) -> Floats:
    """Poses from rest on, `[T + 1, 3]`; commands are degrees and m/s."""
    steering, speed = np.array(commands).T[:, None]
    rest = np.zeros((1, len(commands) + 1, 3))
    return np.concatenate([rest[0, :1], replay(vehicle, rest, np.radians(steering), speed, 0)[0]])


def speeds(poses: Floats) -> Floats:
    """Mean speed of the front point in each step, m/s, `[T]`."""
    return np.asarray(np.hypot(*np.diff(poses[:, :2], axis=0).T) / STEP_SECONDS)


def turns(poses: Floats) -> Floats:
    """Mean yaw rate in each step, rad/s, `[T]`."""
    return np.asarray((np.diff(poses[:, 2]) + np.pi) % (2.0 * np.pi) - np.pi) / STEP_SECONDS


def _radius(vehicle: Vehicle, command: float) -> float:
    """Infinite where the car spins: it then turns about itself, which is no bend."""
    rate, speed = steady_yaw_rate(vehicle, FULL_LOCK, command)
    radius = speed / rate
    return radius if radius > 1.5 * (vehicle.front_axle + vehicle.rear_axle) else float("inf")


def _braking(vehicle: Vehicle) -> float:
    slowing = speeds(drive_from_rest(vehicle, [(0.0, 3.0)] * _SETTLE + [(0.0, 1.0)] * _SETTLE))[_SETTLE - 1 :]
    # Near the end the tyres let go gently; that is no braking any more.
    steps = int(np.argmax(slowing <= 1.25 * slowing[-1]))
    return float((slowing[0] - slowing[steps]) / (steps * STEP_SECONDS))


def _lag(vehicle: Vehicle) -> float:
    rates = turns(drive_from_rest(vehicle, [(0.0, 1.0)] * _SETTLE + [(10.0, 1.0)] * _SETTLE))[_SETTLE:]
    rates = np.concatenate([[0.0], rates])
    goal = (1.0 - np.exp(-1.0)) * rates[-_STEADY:].mean()
    after = int(np.argmax(rates >= goal))
    part = (goal - rates[after - 1]) / (rates[after] - rates[after - 1])
    # The rate of a step is that of its middle.
    return float((after - 1 + part - 0.5) * STEP_SECONDS) if after > 1 else float(part * 0.5 * STEP_SECONDS)
