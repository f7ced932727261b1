"""How a vehicle accelerates on its tyres, and how it turns once it has settled: the simulator's model, for planning.

The model is that of `sim.dynamics`, written without branches so that the same lines serve arrays and the symbols of an
optimiser. The simulator has it compiled, for one car at a time; a test holds the two together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.world.vehicle import Vehicle

Floats = NDArray[np.float64]

GRAVITY: Final = 9.81
FULL_LOCK: Final = math.radians(30.0)
"""rad; the largest steering angle that a car is told"""
SLOWEST, FASTEST = 0.1, 4.0  # m/s, commanded

_STEP, _SETTLED = 1 / 240, 4.0  # s, of the integration and until a turn is steady
_STILL, _LARGEST_SLIP = 0.05, 0.5  # m/s2 and rad/s2; sideways part of the speed of a car that still follows its nose
_ANGLES, _SPEEDS, _CURVATURES = 25, 33, 81  # points of the tables


def wheel_speeds(vehicle: Vehicle) -> tuple[float, float]:
    """Slowest and fastest wheel surface speed that can be commanded, m/s."""
    low, high = (vehicle.speed_gain * command + vehicle.speed_offset for command in (SLOWEST, FASTEST))
    return min(low, vehicle.max_wheel_speed), min(high, vehicle.max_wheel_speed)


def speed_command(wheel: Floats, vehicle: Vehicle) -> Floats:
    """Speed command, m/s, that turns the wheels at a surface speed, m/s."""
    return np.asarray((wheel - vehicle.speed_offset) / vehicle.speed_gain)


def accelerations(
    u: Any, v: Any, r: Any, cos: Any, sin: Any, wheel: Any, vehicle: Vehicle, smooth: float = 0.0
) -> tuple[Any, Any, Any]:
    """Rates of the velocities: arrays of one shape, or symbols.

    Args:
        u, v, r: forward and leftward speed of the centre, m/s, and yaw rate, rad/s.
        cos, sin: of the steering angle.
        wheel: surface speed of the wheels, m/s.
        smooth: m/s of slip over which the kink of the tyres at no slip is rounded; 0: as simulated.

    Returns:
        du/dt, dv/dt in m/s2, dr/dt in rad/s2.
    """
    lf, lr, half = vehicle.front_axle, vehicle.rear_axle, vehicle.half_track
    front, rear = (vehicle.friction * GRAVITY * lever / (2.0 * (lf + lr)) for lever in (lr, lf))

    def grip(slip: Any, most: float, slip_at_half: float) -> Any:
        return -most * slip / ((slip * slip + smooth * smooth) ** 0.5 + slip_at_half)

    force_x, force_y, torque = 0.0, 0.0, 0.0
    sideways = v + r * lf
    rear_y = grip(v - r * lr, rear, vehicle.slip_sideways_rear)
    for side in (half, -half):
        forward = u - r * side
        fx = grip(forward * cos + sideways * sin - wheel, front, vehicle.slip_forward)
        fy = grip(sideways * cos - forward * sin, front, vehicle.slip_sideways)
        rear_x = grip(forward - wheel, rear, vehicle.slip_forward)
        front_x, front_y = fx * cos - fy * sin, fx * sin + fy * cos
        force_x = force_x + front_x + rear_x
        force_y = force_y + front_y + rear_y
        torque = torque + lf * front_y - lr * rear_y - side * (front_x + rear_x)
    return force_x + r * v, force_y - r * u, torque / vehicle.yaw_inertia


@dataclass(frozen=True, eq=False)
class SteadyTurns:
    """Turns that a vehicle holds: which curvature at which speed, and the steering angle for it.

    `A` angles from 0 to full lock, `V` speeds, `C` curvatures. To the left; a right turn mirrors it.
    """

    speeds: Floats
    """[V] m/s of the car, ascending"""
    curvatures: Floats
    """[C] 1/m, ascending from 0"""
    sharpest: Floats
    """[V] 1/m, the largest curvature at each speed"""
    angles: Floats
    """[V, C] rad, the smallest steering angle that gives each curvature, or the most that can be had"""

    def fastest(self, curvature: Floats) -> Floats:
        """Highest speed, m/s, at which a turn of each curvature (1/m, of any sign) can be held.

        The slowest speed of the table where there is none.
        """
        falling = np.minimum.accumulate(self.sharpest)
        # A flat stretch would make the inverse ambiguous.
        falling = falling - 1e-9 * np.arange(len(falling))
        return np.asarray(np.interp(-np.abs(curvature), -falling, self.speeds))

    def steering(self, curvature: Floats, speed: Floats) -> Floats:
        """Steering angle, rad, that settles on a curvature (1/m, left positive) at a speed (m/s); same shapes."""
        row, part = _place(self.speeds, speed)
        column, share = _place(self.curvatures, np.abs(curvature))
        low, high = (
            self.angles[at, column] * (1.0 - share) + self.angles[at, column + 1] * share for at in (row, row + 1)
        )
        return np.asarray(np.sign(curvature) * (low * (1.0 - part) + high * part))


@cache
def steady_turns(vehicle: Vehicle) -> SteadyTurns:
    """Let a vehicle settle at every steering angle and wheel speed, and tell what came of it."""
    angle, wheel = np.meshgrid(np.linspace(0.0, FULL_LOCK, _ANGLES), np.linspace(*wheel_speeds(vehicle), _SPEEDS))
    cos, sin = np.cos(angle), np.sin(angle)
    u, v, r = wheel.copy(), np.zeros_like(wheel), np.zeros_like(wheel)
    for _ in range(round(_SETTLED / _STEP)):
        du, dv, dr = accelerations(u, v, r, cos, sin, wheel, vehicle)
        u, v, r = u + du * _STEP, v + dv * _STEP, r + dr * _STEP
    settled = (np.hypot(du, dv) < _STILL) & (np.abs(dr) < _STILL) & (np.abs(v) < _LARGEST_SLIP * u)
    speed = np.hypot(u, v)
    speeds = np.linspace(float(speed[0].max()), float(speed[-1, 0]), _SPEEDS)
    held = np.stack([_held(speeds, speed[:, a], r[:, a], settled[:, a]) for a in range(_ANGLES)], axis=1)
    # A larger angle that turns less, or spins the car, is no use.
    held = np.maximum.accumulate(held, axis=1)
    curvatures = np.linspace(0.0, float(held.max()), _CURVATURES)
    # Where the angle adds no more, the inverse stops at the first that gave as much.
    angles = np.array([np.interp(curvatures, row + 1e-9 * np.arange(_ANGLES), angle[0]) for row in held])
    return SteadyTurns(speeds, curvatures, held[:, -1], angles)


def _held(speeds: Floats, speed: Floats, yaw_rate: Floats, settled: NDArray[np.bool_]) -> Floats:
    """Curvature, 1/m, at some speeds of the car for one steering angle; 0 beyond what it holds.

    Args:
        speeds: `[V]` m/s asked for.
        speed, yaw_rate, settled: `[V]` what came of each wheel speed, slowest first.
    """
    count = len(settled) if settled.all() else int(settled.argmin())
    rising = np.maximum.accumulate(speed[:count])
    if count == 0:
        return np.zeros_like(speeds)
    return np.where(speeds <= rising[-1], np.interp(speeds, rising, yaw_rate[:count] / speed[:count]), 0.0)


def _place(grid: Floats, values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Cell of an even grid that each value lies in, and the share of the way through it; ends count beyond them."""
    place = np.clip((values - grid[0]) / (grid[1] - grid[0]), 0.0, len(grid) - 1 - 1e-9)
    cell = place.astype(np.int64)
    return cell, place - cell
