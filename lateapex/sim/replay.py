"""What the simulator makes of logged rows: where their commands lead, and what holds at their poses.

The kernels are those that drive and locate cars in training, here over thousands of short windows of logs at once.
A logged pose is x, y of the front point in metres and yaw in radians.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.sim.dynamics import drive, wheel_speed
from lateapex.sim.kernel import kernel
from lateapex.sim.physics import locate_all
from lateapex.sim.state import STATE_DTYPE, vehicle_records
from lateapex.sim.tables import track_tables
from lateapex.world.track import Track
from lateapex.world.vehicle import STEP_SECONDS, Vehicle

Floats = NDArray[np.float64]

INNOVATION: Final = 0.3
"""Share of a step's pose error, as a speed, by which a warm-up corrects the velocities."""

_APPARENT_WHEELBASE = 0.30  # m, of slow cars at small angles: what their paths say of their steering
_LOOK = 3  # steps over which that is looked at; one alone is too noisy
_FULL_LOCK = math.radians(30.0)


def replay(vehicle: Vehicle, poses: Floats, steering: Floats, speed: Floats, history: int) -> Floats:
    """Drive logged commands without feedback and say where the cars come to.

    In the first `history` steps a car is put back onto the log after each: that finds the velocities, which no log
    holds. With no history it starts from rest.

    Args:
        vehicle: the cars.
        poses: `[W, T + 1, 3]` logged poses of W windows of T steps; those after `history` are not looked at.
        steering: `[W, T]` commanded angle, rad, left positive.
        speed: `[W, T]` commanded speed, m/s.
        history: steps of warm-up, less than T.

    Returns:
        `[W, T - history, 3]` pose after each later step.
    """
    logged = np.ascontiguousarray(poses)
    cars = np.zeros(len(logged), STATE_DTYPE)
    cars["x"], cars["y"], cars["yaw"] = _centre(vehicle, logged[:, 0])
    if history:
        _take_speeds(cars, vehicle, logged[:, 1])
        cars["steering"] = _seen_steering(logged[:, : history + 1])
        cars["steering_command"] = steering[:, 0]
    reached = np.zeros((len(logged), steering.shape[1] - history, 3))
    commands = np.ascontiguousarray(np.stack([steering, speed], axis=-1))
    _replay_all(cars, vehicle_records([vehicle])[0], logged, commands, history, reached)
    return reached


def locate_poses(tracks: Sequence[Track], track_of_pose: ArrayLike, poses: Floats, vehicle: Vehicle) -> NDArray[Any]:
    """Return `[M]` records of `STATE_DTYPE` of cars that stand at logged poses, `[M, 3]`, with all that follows."""
    cars = np.zeros(len(poses), STATE_DTYPE)
    cars["track"] = track_of_pose
    cars["x"], cars["y"], cars["yaw"] = _centre(vehicle, poses)
    locate_all(cars, vehicle_records([vehicle] * len(cars)), track_tables(tracks))
    return cars


def _centre(vehicle: Vehicle, poses: Floats) -> Floats:
    """Pose of the car's centre, `[3, W]`, from that of its front point, `[W, 3]`."""
    x, y, yaw = poses.T
    return np.stack([x - vehicle.front_point * np.cos(yaw), y - vehicle.front_point * np.sin(yaw), yaw])


def _take_speeds(cars: NDArray[Any], vehicle: Vehicle, after: Floats) -> None:
    """Start with the velocities of the first step; the warm-up makes good for their noise."""
    x, y, yaw = _centre(vehicle, after)
    dx, dy = (x - cars["x"]) / STEP_SECONDS, (y - cars["y"]) / STEP_SECONDS
    c, s = np.cos(cars["yaw"]), np.sin(cars["yaw"])
    cars["u"], cars["v"] = c * dx + s * dy, c * dy - s * dx
    cars["r"] = ((yaw - cars["yaw"] + np.pi) % (2.0 * np.pi) - np.pi) / STEP_SECONDS


def _seen_steering(poses: Floats) -> Floats:
    """Angle of the front wheels by how the first steps turn, rad, `[W]`: a lagging joint remembers older commands."""
    last = poses[:, min(_LOOK, poses.shape[1] - 1)]
    way = np.maximum(np.hypot(*(last - poses[:, 0])[:, :2].T), 0.05)
    turned = (last[:, 2] - poses[:, 0, 2] + np.pi) % (2.0 * np.pi) - np.pi
    return np.asarray(np.clip(np.arctan(_APPARENT_WHEELBASE * turned / way), -_FULL_LOCK, _FULL_LOCK))


@kernel
def _replay_all(cars, car, poses, commands, history, reached):  # type: ignore[no-untyped-def] # numba: see replay; commands [W, T, 2]
    for n in range(cars.size):
        state = cars[n]
        for k in range(commands.shape[1]):
            drive(state, car, commands[n, k, 0], wheel_speed(commands[n, k, 1], car), STEP_SECONDS)
            if k < history:
                _put_back(state, car, poses[n, k + 1, 0], poses[n, k + 1, 1], poses[n, k + 1, 2])
            else:
                reached[n, k - history, 0] = state.x + car.front_point * math.cos(state.yaw)
                reached[n, k - history, 1] = state.y + car.front_point * math.sin(state.yaw)
                reached[n, k - history, 2] = state.yaw


@kernel
def _put_back(state, car, front_x, front_y, yaw):  # type: ignore[no-untyped-def] # numba: records of STATE_DTYPE and VEHICLE_DTYPE, floats
    """Set the logged pose, and move the velocities a share of the way to what would have led there."""
    c = math.cos(yaw)
    s = math.sin(yaw)
    x = front_x - car.front_point * c
    y = front_y - car.front_point * s
    dx = x - state.x
    dy = y - state.y
    turn = yaw - state.yaw
    turn -= 2.0 * math.pi * math.floor((turn + math.pi) / (2.0 * math.pi))
    share = INNOVATION / STEP_SECONDS
    state.u += share * (c * dx + s * dy)
    state.v += share * (c * dy - s * dx)
    state.r += share * turn
    state.x, state.y, state.yaw = x, y, yaw
