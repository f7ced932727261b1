"""What the wheels are told of a command: when, how exactly, and that plain constants change no bit of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lateapex.sim.actuators import Actuators
from lateapex.sim.simulator import Simulator
from lateapex.world.track import load_track
from lateapex.world.vehicle import STEP_SECONDS

CARS = 3


class Told:
    """Actuators of three cars, of which it notes what the simulator was told."""

    def __init__(self, first_car: int = 0, **constants: Any) -> None:
        self.simulator = Simulator([load_track("oval")], [0] * CARS, pictures=False, threads=1)
        self.actuators = Actuators(self.simulator, first_car)
        for name, value in constants.items():
            self.actuators.constants[name] = value
        self.told: list[tuple[NDArray[Any], ...]] = []
        step = self.simulator.step

        def note(*commands: Any) -> None:
            self.told.append(tuple(np.array(part) for part in commands))
            step(*commands)

        self.simulator.step = note  # type: ignore[method-assign]  # to see what it is told
        self.steps = 0

    def step(self, steering: float, speed: float, held: Any = False, seed: int = 1, episode: int = 0) -> None:
        self.steps += 1
        parts = np.full(CARS, steering), np.full(CARS, speed), np.broadcast_to(held, CARS)
        owners = {"episodes": np.full(CARS, episode), "steps": np.full(CARS, self.steps)}
        self.actuators.step(*parts, seed=seed, **owners)

    def of(self, car: int = 0) -> list[tuple[float, float, bool]]:
        return [(float(a[car]), float(b[car]), bool(c[car])) for a, b, c in self.told]


def test_plain_constants_pass_every_bit_on() -> None:
    told, plain = Told(), Simulator([load_track("oval")], [0] * CARS, pictures=False, threads=1)
    for steering, speed in ((0.3, 1.7), (-0.1, 0.1 + 0.2), (0.0, 4.0)):
        told.step(steering, speed)
        plain.step(np.full(CARS, steering), np.full(CARS, speed), np.zeros(CARS, np.bool_))
    assert told.of() == [(0.3, 1.7, False), (-0.1, 0.1 + 0.2, False), (0.0, 4.0, False)]
    np.testing.assert_array_equal(told.simulator.cars, plain.cars)


def test_a_late_command_arrives_its_latency_later_and_the_car_stands_until_the_first_does() -> None:
    told = Told(latency=[0, 1, 2])
    told.step(0.9, 9.0, held=True)  # swallowed
    for n in range(1, 5):
        told.step(0.01 * n, 1.0 * n)
    standing = [held for *_, held in told.of(2)]
    assert standing == [True, True, True, False, False]
    assert told.of(0)[1:] == [(0.01 * n, 1.0 * n, False) for n in (1, 2, 3, 4)]
    assert told.of(1)[2:] == [(0.01 * n, 1.0 * n, False) for n in (1, 2, 3)]
    assert told.of(2)[3:] == [(0.01 * n, 1.0 * n, False) for n in (1, 2)]


def test_scale_bias_and_the_stop_of_the_hinges() -> None:
    told = Told(steering_scale=[2.0, 1.0, 9.0], steering_bias=[0.0, 0.05, 0.0], speed_scale=[0.5, 1.0, -1.0])
    told.step(0.2, 2.0)
    assert told.of(0) == [(0.4, 1.0, False)]
    assert told.of(1) == [(0.25, 2.0, False)]
    assert told.of(2) == [(1.0, 0.0, False)]  # the hinges' stop; no car drives backwards


def test_a_lagging_speed_follows_with_its_time_constant_and_falls_to_nothing_where_the_car_is_held() -> None:
    told = Told(speed_lag=0.2)
    for _ in range(6):
        told.step(0.0, 2.0)
    speeds = [speed for _, speed, _ in told.of()]
    assert speeds == pytest.approx([2.0 * (1.0 - math.exp(-(n + 1) * STEP_SECONDS / 0.2)) for n in range(6)])
    told.step(0.0, 2.0, held=True)
    told.step(0.0, 2.0)
    assert told.of()[-1][1] == pytest.approx(speeds[0])


def test_noise_has_its_deviation_and_belongs_to_seed_car_episode_and_step() -> None:
    def noise(first_car: int = 0, **owner: Any) -> NDArray[np.float64]:
        told = Told(first_car, steering_noise=0.02, speed_noise=0.1)
        for _ in range(400):
            told.step(0.0, 2.0, **owner)
        return np.array([[angle, speed - 2.0] for angle, speed, _ in told.of(1)])

    found = noise()
    assert found.mean(axis=0) == pytest.approx([0.0, 0.0], abs=0.02)
    assert found.std(axis=0) == pytest.approx([0.02, 0.1], rel=0.1)
    assert abs(np.corrcoef(found.T)[0, 1]) < 0.15
    np.testing.assert_array_equal(noise(), found)
    others = [noise(first_car=1), noise(seed=2), noise(episode=1)]
    assert all(not np.isin(other, found).any() for other in others)
    told = Told(0, steering_noise=0.02, speed_noise=0.1)
    told.step(0.0, 2.0)
    np.testing.assert_array_equal(told.of(2)[0][0], Told.of(_moved(), 1)[0][0])


def _moved() -> Told:
    """Cars of which the second has the number 2."""
    told = Told(1, steering_noise=0.02, speed_noise=0.1)
    told.step(0.0, 2.0)
    return told


def test_jolts_change_speed_and_yaw_rate_of_cars_that_drive_and_of_no_other() -> None:
    told, plain = Told(jolt=[0.1, 0.0, 0.1], jolt_turn=[0.0, 0.3, 0.3]), Told()
    held = np.array([False, False, True])
    for each in (told, plain):
        each.step(0.0, 1.0, held=held)
    cars, others = told.simulator.cars, plain.simulator.cars
    assert [cars["u"][n] != others["u"][n] for n in range(3)] == [True, False, False]
    assert [cars["r"][n] != others["r"][n] for n in range(3)] == [False, True, False]
    for name in ("x", "y", "yaw", "v", "steering"):
        np.testing.assert_array_equal(cars[name], others[name])
