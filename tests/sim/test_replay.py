"""Logged commands driven again: by the simulator's own kernel, from velocities that the warm-up finds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lateapex.sim.replay import INNOVATION, _seen_steering, locate_poses, replay
from lateapex.sim.simulator import Simulator
from lateapex.world.track import load_track
from lateapex.world.vehicle import STEP_SECONDS, Vehicle
from lateapex.world.vehicles import load_vehicle, vehicle_names

Floats = NDArray[np.float64]


def driven(vehicle: Vehicle, steering: Floats, speed: Floats) -> Floats:
    """Poses of the front point of cars that the simulator drives from rest, `[N, T + 1, 3]`."""
    sim = Simulator(
        [load_track("oval")], np.zeros(len(steering), np.int64), vehicle=vehicle, height=2, width=2, threads=1
    )
    sim.place(np.arange(len(steering)), 1.0, -2.0, 0.5)
    poses = []
    for k in range(steering.shape[1] + 1):
        poses.append(np.stack([sim.cars[name].copy() for name in ("front_x", "front_y", "yaw")], axis=-1))
        if k < steering.shape[1]:
            sim.step(steering[:, k], speed[:, k], np.zeros(len(steering), np.bool_))
    return np.stack(poses, axis=1)


def commands(windows: int, steps: int) -> tuple[Floats, Floats]:
    drawn = np.random.default_rng(3)
    return np.radians(drawn.uniform(-30.0, 30.0, (windows, steps))), drawn.uniform(0.5, 2.0, (windows, steps))


@pytest.mark.parametrize("name", vehicle_names())
def test_a_standing_start_is_driven_as_the_simulator_drives_it(name: str) -> None:
    vehicle = load_vehicle(name)
    steering, speed = commands(4, 30)
    poses = driven(vehicle, steering, speed)
    assert replay(vehicle, poses, steering, speed, 0) == pytest.approx(poses[:, 1:], abs=1e-12)


@pytest.mark.parametrize("name", vehicle_names())
def test_a_warm_up_on_our_own_poses_finds_their_velocities(name: str) -> None:
    vehicle = load_vehicle(name)
    steering, speed = commands(6, 60)
    poses = driven(vehicle, steering, speed)[:, 15:]
    reached = replay(vehicle, poses, steering[:, 15:], speed[:, 15:], 15)
    apart = np.hypot(*(reached - poses[:, 16:])[..., :2].transpose(2, 0, 1))
    # Of a first guess of the velocities 0.7 to the 15th is left, half a percent; of the angle of a lagging joint, which
    # the warm-up only guesses, a tenth after a second.
    first, last = (0.006, 0.15) if vehicle.steering_lag > 0.2 else (0.0015, 0.01)
    assert apart[:, 0].max() < first
    assert np.median(apart[:, -1]) < last


def test_one_step_of_warm_up_corrects_the_velocities_by_the_hand_worked_share() -> None:
    # A car without grip keeps its velocity. Its log moves 0.1 m a step, then 0.2 m: the first step gives u = 1.5 m/s,
    # the second is 0.1 m short, so 0.3 * 0.1 * 15 = 0.45 m/s are added: 1.95 m/s, or 0.13 m in the third.
    ice = Vehicle(friction=1e-9)
    x = np.array([0.0, 0.1, 0.3, 0.5])
    poses = np.stack([x, np.zeros(4), np.zeros(4)], axis=-1)[None]
    reached = replay(ice, poses, np.zeros((1, 3)), np.zeros((1, 3)), 2)
    assert INNOVATION == 0.3
    assert reached[0, 0, 0] == pytest.approx(0.3 + 1.95 * STEP_SECONDS, abs=1e-6)


def test_the_angle_of_a_lagging_joint_is_first_guessed_by_how_the_car_turns() -> None:
    # Three steps of 0.1 m on a circle of 1 m: a wheelbase of 0.30 m over that radius is an angle of 16.7 degrees.
    angle = 0.1 * np.arange(4)
    poses = np.stack([np.sin(angle), 1.0 - np.cos(angle), angle], axis=-1)[None]
    assert np.degrees(_seen_steering(poses)) == pytest.approx([16.7], abs=0.1)
    assert np.degrees(_seen_steering(poses * [1.0, -1.0, -1.0])) == pytest.approx([-16.7], abs=0.1)
    assert _seen_steering(np.zeros((1, 4, 3))) == pytest.approx([0.0])


def test_poses_after_the_warm_up_do_not_matter() -> None:
    steering, speed = commands(3, 20)
    poses = driven(Vehicle(), steering, speed)
    changed = poses.copy()
    changed[:, 11:] = 99.0
    same = [replay(Vehicle(), some, steering, speed, 10) for some in (poses, changed)]
    assert (same[0] == same[1]).all()


def test_windows_do_not_depend_on_each_other() -> None:
    steering, speed = commands(5, 20)
    poses = driven(Vehicle(), steering, speed)
    together = replay(Vehicle(), poses, steering, speed, 10)
    alone = replay(Vehicle(), poses[2:3], steering[2:3], speed[2:3], 10)
    assert (together[2] == alone[0]).all()


def test_a_car_at_a_logged_pose_is_located_by_its_front_point() -> None:
    track = load_track("oval")
    x, y, yaw = track.pose_at(0.25)
    car = locate_poses([track], 0, np.array([[x, y, yaw]]), Vehicle())[0]
    assert car["along"] == pytest.approx(0.25 * track.length, abs=1e-9)
    assert car["distance_from_center"] == pytest.approx(0.0, abs=1e-9)
    assert (car["front_x"], car["front_y"]) == (pytest.approx(x), pytest.approx(y))
