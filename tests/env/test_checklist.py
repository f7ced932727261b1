"""Figures of the original that a time trial has to meet, one test for each; others stand beside what they are about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_tasks import STRAIGHT_ON, at, continuous_metadata, small_task, watched_reward

from lateapex.env.racing import RacingTask
from lateapex.env.rules import PATIENCE, STILL_DISTANCE
from lateapex.env.starts import RoundRobinStarts
from lateapex.records import STATUSES
from lateapex.sim.simulator import Simulator
from lateapex.world.track import load_track, track_from_route


def straight_of_reinvent_width() -> Simulator:
    """An open road to the east, 0.762 m wide."""
    along = np.linspace(-5.0, 5.0, 41)
    zero, half = np.zeros(41), np.full(41, 0.381)
    track = track_from_route(np.column_stack([along, zero, along, half, along, -half]), "straight")
    return Simulator([track], np.zeros(1, np.int32), threads=1, pictures=False)


def first_offset(wheels: int) -> float:
    """Millimetres beside the line, as metres, at which no more than so many wheels are on the road."""
    sim, nobody = straight_of_reinvent_width(), np.array([0])
    for millimetres in range(600):
        sim.place(nobody, 0.0, 0.001 * millimetres, 0.0)
        if sim.cars["wheels_on_road"][0] <= wheels:
            return 0.001 * millimetres
    raise AssertionError("all wheels stay on the road")


def test_all_wheels_on_track_turns_false_300_mm_beside_the_line() -> None:
    assert first_offset(3) == pytest.approx(0.381 - 0.081, abs=0.001)


def test_off_track_fires_462_mm_beside_the_line_and_the_front_wheel_is_out_at_461() -> None:
    assert first_offset(0) == pytest.approx(0.381 + 0.0811, abs=0.001)
    assert first_offset(1) == pytest.approx(0.4606, abs=0.001)


def test_wheels_stand_where_the_car_description_says() -> None:
    sim, one = straight_of_reinvent_width(), np.array([0])
    # The road's corner is moved over each wheel in turn: 1 mm towards it and the wheel is off.
    for x, y in ((-0.0817, 0.0811), (-0.0817, -0.0811), (0.0823, 0.0796), (0.0823, -0.0796)):
        for beyond, on in ((-0.001, True), (0.001, False)):
            end = 5.0 if x > 0 else -5.0
            sim.place(one, end - x + np.sign(x) * beyond, 0.0, 0.0)
            assert bool(sim.cars["wheels_on_road"][0] == 4) is on
            side = 0.381 * np.sign(y)
            sim.place(one, 0.0, side - y + np.sign(y) * beyond, 0.0)
            # of the two wheels on that side the rear one is 1.5 mm further out
            assert bool(sim.cars["wheels_on_road"][0] >= (3 if x > 0 else 4)) is on


def test_a_training_episode_calls_the_reward_once_less_than_it_has_steps_which_the_first_sees_as_2() -> None:
    reward, calls = watched_reward()
    task = small_task("oval", 1, reward=reward, pictures=False)
    task.begin(np.array([0]), at(0.0))
    first = task.advance([STRAIGHT_ON])
    assert (first[0][0], STATUSES[int(task.rows["status"][0])]) == (0.0, "prepare")
    while not task.rows["done"][0]:
        task.advance([STRAIGHT_ON])
    assert len(calls) == task.rows["steps"][0] - 1
    assert calls[0]["steps"] == 2
    assert calls[0]["x"] == pytest.approx(0.14)


def test_a_thousand_steps_take_66_7_seconds() -> None:
    task = small_task("oval", 1, pictures=False)
    task.begin(np.array([0]), at(0.0))
    for _ in range(1000):
        task.advance([0])
    assert task.simulator.time == pytest.approx(1000 * 0.0667, abs=0.5)
    assert task.rows["sim_time"][0] == task.simulator.time


def test_still_and_falling_end_an_episode_with_the_15th_step_in_a_row_and_still_is_300_micrometres() -> None:
    assert (PATIENCE, STILL_DISTANCE) == (15, 0.0003)


def test_twenty_one_training_episodes_start_in_twentieths_and_an_evaluation_does_not_move_them() -> None:
    cars = np.zeros(21, np.int64)
    fractions = RoundRobinStarts().draw(0, cars, np.arange(21)).fraction
    assert fractions.tolist() == pytest.approx([*(0.05 * np.arange(20)), 0.0])


def test_reinvent_base_has_its_known_figures_in_either_direction(shared_data: Path) -> None:
    track = load_track(shared_data / "tracks" / "reinvent_base.npy")
    assert (len(track.waypoints), track.is_ccw, track.reverse().is_ccw) == (119, True, False)
    assert (track.length, track.width) == pytest.approx((17.709, 0.762), abs=0.001)
    for road in (track, track.reverse()):
        task = small_task(road, 40, pictures=False)
        shares = np.linspace(0.0, 0.975, 40)
        for offset, left in ((0.2, True), (-0.2, False)):
            task.begin(np.arange(40), at(shares, offset))
            assert task.simulator.cars["is_left_of_center"].tolist() == [left] * 40


def test_an_observation_is_160_by_120_grey_bytes() -> None:
    task = RacingTask("oval", 1, threads=1)
    assert (task.pictures.shape, task.pictures.dtype) == ((1, 120, 160), np.uint8)


def test_a_continuous_sample_of_1_7_is_the_upper_bound_for_the_car() -> None:
    task = small_task("oval", 1, metadata=continuous_metadata((-20.0, 25.0), (0.5, 2.5)), pictures=False)
    commands = task.actions.commands(np.array([[1.7, 1.7]]), 1)
    assert (commands.steering_angle[0], commands.speed[0]) == (25.0, 2.5)
