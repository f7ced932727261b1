"""What becomes of a command on its way to the wheels: it is late, inexact, and the car answers it in its own way.

Each car has constants of its own, see `ACTUATOR_DTYPE`; with those of `plain_actuators` a command arrives as it was
sent, to the last bit. A car that has no command yet stands still.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.kernel import kernel
from lateapex.sim.random import DISTURBANCE, key_of, philox
from lateapex.sim.simulator import Simulator
from lateapex.sim.state import vehicle_records
from lateapex.world.variation import LONGEST_DELAY, PLACES, as_table, neutral
from lateapex.world.vehicle import STEP_SECONDS

ACTUATOR_DTYPE: Final = np.dtype(
    [
        ("latency", np.int64),  # steps, 0 to LONGEST_DELAY
        ("steering_noise", np.float64),  # rad, standard deviation of each step's
        ("speed_noise", np.float64),  # m/s
        ("steering_scale", np.float64),
        ("steering_bias", np.float64),  # rad
        ("speed_scale", np.float64),
        ("speed_lag", np.float64),  # s, 0: at once
        ("jolt", np.float64),  # m/s, standard deviation of each step's change of the forward speed
        ("jolt_turn", np.float64),  # rad/s, the same of the yaw rate
    ]
)
"""What one car makes of its commands."""

_GRIP: Final = PLACES["car.grip"]
_SLIP: Final = PLACES["car.slip"]
_YAW_INERTIA: Final = PLACES["car.yaw_inertia"]
_STEERING_LAG: Final = PLACES["car.steering_lag"]
_STEERING_SCALE: Final = PLACES["car.steering_scale"]
_STEERING_BIAS: Final = PLACES["car.steering_bias_deg"]
_SPEED_SCALE: Final = PLACES["car.speed_scale"]
_SPEED_LAG: Final = PLACES["car.speed_lag"]
_JOLT: Final = PLACES["car.jolt"]
_JOLT_TURN: Final = PLACES["car.jolt_turn_deg"]
_LATENCY: Final = PLACES["action.latency"]
_STEERING_NOISE: Final = PLACES["action.steering_noise_deg"]
_SPEED_NOISE: Final = PLACES["action.speed_noise"]
_FARTHEST: Final = 1.0  # rad, the stop of the steering hinges
_UNIFORM: Final = 2.0**-32


def plain_actuators(count: int) -> NDArray[Any]:
    """Constants that leave commands as they are, `[count]` of ACTUATOR_DTYPE."""
    constants = np.zeros(count, ACTUATOR_DTYPE)
    constants["steering_scale"] = constants["speed_scale"] = 1.0
    return constants


class Actuators:
    """The commands of N cars under way.

    Args:
        simulator: the cars.
        first_car: number of the first car, to which draws belong.
    """

    def __init__(self, simulator: Simulator, first_car: int = 0) -> None:
        count = simulator.count
        self.constants = plain_actuators(count)
        """`[N]` of ACTUATOR_DTYPE; those of a car change together with a call of `begin` for it."""
        self._simulator, self._first_car = simulator, first_car
        self._plain = vehicle_records([simulator.vehicle])
        # The last commands of each car, NaN where it was to stand: steering, speed.
        self._sent = np.full((count, LONGEST_DELAY, 2), np.nan)
        self._speed = np.zeros(count)
        self.vary(np.zeros(0, np.int64), neutral(0))
        nobody = np.zeros(0)
        self._move(nobody, nobody, np.zeros(0, np.bool_), key_of(0), np.zeros((2, 0), np.int64), simulator.cars[:0])

    def vary(self, cars: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Make some cars, `[M]`, and what they make of commands as values, `[M]` of VARIATION_DTYPE, have it."""
        _vary(cars, as_table(values), self._plain, self._simulator.vehicles, self.constants)

    def begin(self, cars: NDArray[np.int64]) -> None:
        """Forget what some cars were told."""
        self._sent[cars] = np.nan
        self._speed[cars] = 0.0

    def step(
        self,
        steering: NDArray[np.float64],
        speed: NDArray[np.float64],
        held: NDArray[np.bool_],
        *,
        seed: int,
        episodes: NDArray[np.int64],
        steps: NDArray[np.int64],
    ) -> None:
        """Drive all cars for 1/15 s by what reaches them of the commands; `[N]` each.

        Args:
            steering: commanded angle, rad, left positive.
            speed: commanded speed, m/s.
            held: cars that stand still whatever the command.
            seed: of noise.
            episodes, steps: of each car, which its noise belongs to.
        """
        owners = np.stack([episodes, steps]).astype(np.int64)
        self._move(np.array(steering), np.array(speed), np.array(held), key_of(seed), owners, self._simulator.cars)

    def _move(
        self,
        steering: NDArray[np.float64],
        speed: NDArray[np.float64],
        held: NDArray[np.bool_],
        key: NDArray[np.uint64],
        owners: NDArray[np.int64],
        cars: NDArray[Any],
    ) -> None:
        """As `step`; the first three are changed into what the wheels are told."""
        noise = key, owners, self._first_car
        _pass_on(self.constants, self._sent, self._speed, noise, steering, speed, held)
        if len(cars):
            self._simulator.step(steering, speed, held)
        _jolt(self.constants, noise, held, cars)

    def snapshot(self) -> dict[str, NDArray[np.float64]]:
        """What is under way, as copies."""
        return {"sent_commands": self._sent.copy(), "followed_speed": self._speed.copy()}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot of as many cars; the constants are the caller's affair."""
        self._sent[:] = snapshot["sent_commands"]
        self._speed[:] = snapshot["followed_speed"]


@kernel
def _vary(cars, values, plain, vehicles, constants):  # type: ignore[no-untyped-def] # numba: int64[M], [M, quantities], VEHICLE_DTYPE[1] and [N], ACTUATOR_DTYPE[N]
    for n in range(cars.size):
        value, usual = values[n], plain[0]
        vehicle, own = vehicles[cars[n]], constants[cars[n]]
        vehicle.friction = usual.friction * value[_GRIP]
        vehicle.slip_forward = usual.slip_forward * value[_SLIP]
        vehicle.slip_sideways = usual.slip_sideways * value[_SLIP]
        vehicle.slip_sideways_rear = usual.slip_sideways_rear * value[_SLIP]
        vehicle.yaw_inertia = usual.yaw_inertia * value[_YAW_INERTIA]
        vehicle.steering_lag = usual.steering_lag + value[_STEERING_LAG]
        own.latency = int(value[_LATENCY])
        own.steering_noise = math.radians(value[_STEERING_NOISE])
        own.speed_noise = value[_SPEED_NOISE]
        own.steering_scale = value[_STEERING_SCALE]
        own.steering_bias = math.radians(value[_STEERING_BIAS])
        own.speed_scale = value[_SPEED_SCALE]
        own.speed_lag = value[_SPEED_LAG]
        own.jolt = value[_JOLT]
        own.jolt_turn = math.radians(value[_JOLT_TURN])


@kernel
def _pass_on(constants, sent, followed, noise, steering, speed, held):  # type: ignore[no-untyped-def] # numba: see Actuators; (key, owners, first car); [N]
    key, owners, first_car = noise
    for n in range(steering.size):
        car = constants[n]
        angle, pace = steering[n], speed[n]
        if car.latency > 0:
            place = owners[1, n] % car.latency
            late_angle, late_pace = sent[n, place, 0], sent[n, place, 1]
            sent[n, place, 0] = np.nan if held[n] else angle
            sent[n, place, 1] = np.nan if held[n] else pace
            angle, pace = late_angle, late_pace
            held[n] = held[n] or math.isnan(angle)
        if held[n]:
            followed[n] = 0.0
            continue
        if car.steering_noise > 0.0 or car.speed_noise > 0.0:
            draws = _draws(n, key, owners, first_car)
            first, second = _normals(draws[0], draws[1])
            angle += car.steering_noise * first
            pace += car.speed_noise * second
        angle = angle * car.steering_scale + car.steering_bias
        steering[n] = min(max(angle, -_FARTHEST), _FARTHEST)
        pace = max(pace * car.speed_scale, 0.0)
        if car.speed_lag > 0.0:
            pace = followed[n] + (pace - followed[n]) * (1.0 - math.exp(-STEP_SECONDS / car.speed_lag))
        followed[n] = pace
        speed[n] = pace


@kernel
def _jolt(constants, noise, held, cars):  # type: ignore[no-untyped-def] # numba: see _pass_on; STATE_DTYPE[N]
    key, owners, first_car = noise
    for n in range(cars.size):
        car = constants[n]
        if not held[n] and (car.jolt > 0.0 or car.jolt_turn > 0.0):
            draws = _draws(n, key, owners, first_car)
            first, second = _normals(draws[2], draws[3])
            cars[n].u += car.jolt * first
            cars[n].r += car.jolt_turn * second


@kernel
def _draws(n, key, owners, first_car):  # type: ignore[no-untyped-def] # numba: int, uint64[2], int64[2, N], int -> four uint64
    car, episode = np.uint64(first_car + n), np.uint64(owners[0, n])
    return philox(car, episode, np.uint64(DISTURBANCE), np.uint64(owners[1, n]), key)


@kernel
def _normals(one, other):  # type: ignore[no-untyped-def] # numba: uint64 below 2**32 -> two floats
    """Two independent normal numbers (Box and Muller 1958)."""
    reach = np.sqrt(-2.0 * np.log((one + 0.5) * _UNIFORM))
    angle = 2.0 * np.pi * (other * _UNIFORM)
    return reach * np.cos(angle), reach * np.sin(angle)
