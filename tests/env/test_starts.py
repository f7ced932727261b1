"""Start poses: their ranges, their order round the lap, and that a draw belongs to its car and episode alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_tasks import STRAIGHT_ON, at, small_task, watched_reward

from lateapex.env.starts import RandomStarts, RoundRobinStarts, StartConfig, starts_of
from lateapex.world.track import load_track

CARS = np.arange(100)


def test_round_robin_starts_walk_round_the_lap_in_twentieths() -> None:
    car = np.zeros(21, np.int64)
    poses = RoundRobinStarts().draw(0, car, np.arange(21))
    assert poses.fraction == pytest.approx([*(np.arange(20) / 20), 0.0])
    assert not poses.offset.any()
    assert not poses.heading.any()


def test_round_robin_starts_spread_the_cars_and_wrap() -> None:
    starts = RoundRobinStarts(advance=0.5, first=0.3, spread=0.25)
    # 0.3 + 0.25 * car + 0.5 * episode: 0.3, 0.3 + 0.25 + 0.5 = 1.05, 0.3 + 0.75 + 1.0 = 2.05
    poses = starts.draw(9, np.array([0, 1, 3]), np.array([0, 1, 2]))
    assert poses.fraction == pytest.approx([0.3, 0.05, 0.05])


def test_an_advance_of_zero_starts_always_at_the_same_place() -> None:
    poses = RoundRobinStarts(advance=0.0, first=0.4).draw(0, CARS, CARS)
    assert set(poses.fraction.tolist()) == {0.4}


def test_random_starts_fill_their_ranges() -> None:
    cars, episodes = (grid.ravel() for grid in np.meshgrid(CARS, np.arange(40)))
    poses = RandomStarts(offset=0.3, heading=0.2).draw(1, cars, episodes)
    for values, low, high in ((poses.fraction, 0.0, 1.0), (poses.offset, -0.3, 0.3), (poses.heading, -0.2, 0.2)):
        assert low <= values.min()
        assert values.max() < high
        # 4000 draws: each tenth of the range holds 400, with a standard deviation of 19
        counts = np.histogram(values, 10, (low, high))[0]
        assert counts.min() > 320
        assert counts.max() < 480


def test_the_default_random_start_lies_within_half_a_lane_and_15_degrees() -> None:
    poses = RandomStarts().draw(3, CARS, CARS)
    assert np.abs(poses.offset).max() <= 0.25
    assert np.abs(poses.heading).max() <= math.radians(15)


def test_fraction_offset_and_heading_are_independent() -> None:
    poses = RandomStarts().draw(5, np.arange(4000), np.zeros(4000, np.int64))
    assert np.abs(np.corrcoef(np.stack(poses)) - np.eye(3)).max() < 0.08  # 5 standard deviations of 1 / sqrt(4000)


@given(seed=st.integers(0, 2**64 - 1), car=st.integers(0, 99), episode=st.integers(0, 2**32 - 1))
def test_a_random_start_depends_on_seed_car_and_episode_alone(seed: int, car: int, episode: int) -> None:
    alone = RandomStarts().draw(seed, np.array([car]), np.array([episode]))
    among = RandomStarts().draw(seed, CARS, np.full(100, episode))
    assert [item[0] for item in alone] == [item[car] for item in among]


def test_seeds_cars_and_episodes_differ() -> None:
    starts, zero, one = RandomStarts(), np.array([0]), np.array([1])
    drawn = [
        starts.draw(*where).fraction[0] for where in ((0, zero, zero), (0, one, zero), (0, zero, one), (1, zero, zero))
    ]
    assert len(set(drawn)) == 4


# ------------------------------------------------------------------------------------------ settings, direction


def test_training_starts_walk_as_in_the_original_where_they_are_asked_to() -> None:
    starts = starts_of(StartConfig(scheme="round_robin"), 2, "original")
    task = small_task("oval", 2, starts=starts, max_steps=1, pictures=False)
    seen = []
    for _ in range(21):
        task.begin(np.arange(2))
        seen.append(task.episodes["start"].tolist())
    assert seen == [pytest.approx([0.05 * n % 1.0] * 2) for n in range(21)]
    assert isinstance(starts_of(StartConfig(), 2, "original"), RandomStarts)


def test_a_start_that_is_given_does_not_move_the_round_robin() -> None:
    # An evaluation at the same place: cars of its own, so the training's count of episodes stays.
    training = small_task("oval", 1, pictures=False)
    training.begin(np.array([0]))
    training.begin(np.array([0]))
    following = training.starts.draw(0, np.array([0]), training.episodes["episode"] + 1)
    evaluation = small_task("oval", 1, pictures=False)
    evaluation.begin(np.array([0]), following)
    assert evaluation.episodes["start"] == pytest.approx(0.10)
    training.begin(np.array([0]))
    assert training.episodes["start"] == pytest.approx(0.10)


def test_alternate_direction_turns_each_car_round_after_each_of_its_episodes() -> None:
    reward, calls = watched_reward()
    task = small_task(["oval", "kidney"], 2, reward=reward, alternate_direction=True, pictures=False)
    roads = [load_track("oval"), load_track("kidney")]
    everyone = np.arange(2)
    for episode in range(4):
        if episode == 2:
            task.begin(np.array([1]))  # an episode more of one car
        task.begin(everyone)
        calls.clear()
        for _ in range(2):
            task.advance([STRAIGHT_ON] * 2)
        for car, params in enumerate(calls):
            backwards = bool((episode + (1 if car == 1 and episode >= 2 else 0)) % 2)
            road = roads[car].reverse() if backwards else roads[car]
            assert params["is_reversed"] is backwards
            assert params["waypoints"] == road.waypoints
            x, y, yaw = road.pose_at(float(task.episodes["start"][car]))
            found = (params["x"] - 0.14 * math.cos(yaw), params["y"] - 0.14 * math.sin(yaw))
            assert found == pytest.approx((x, y))
            assert math.cos(math.radians(params["heading"]) - yaw) == pytest.approx(1.0)
            assert params["progress"] == pytest.approx(14.0 / road.length, abs=0.05)


def test_left_stays_the_drivers_left_in_either_direction() -> None:
    reward, calls = watched_reward()
    task = small_task("kidney", 1, reward=reward, alternate_direction=True, pictures=False)
    for _ in range(4):
        for offset in (0.2, -0.2):
            calls.clear()
            task.begin(np.array([0]), at(0.05, offset))
            task.begin(np.array([0]), at(0.05, offset))
            task.begin(np.array([0]), at(0.05, offset))
            for _ in range(2):
                task.advance([STRAIGHT_ON])
            assert calls[-1]["is_left_of_center"] is (offset > 0)


def test_a_snapshot_restores_the_direction_too() -> None:
    reward, calls = watched_reward()
    task = small_task("kidney", 1, reward=reward, alternate_direction=True)
    task.begin(np.array([0]))
    forwards = task.snapshot()
    task.begin(np.array([0]))
    task.restore(forwards)
    for _ in range(2):
        task.advance([STRAIGHT_ON])
    assert (calls[-1]["is_reversed"], calls[-1]["waypoints"]) == (False, load_track("kidney").waypoints)


def test_the_road_looks_the_same_whichever_way_it_is_driven() -> None:
    forwards = small_task("kidney", 1, alternate_direction=True, height=60, width=80)
    pictures = []
    for _ in range(2):
        forwards.begin(np.array([0]), at(0.3))
        forwards.simulator.place(np.array([0]), 0.5, 0.1, 0.2)
        forwards.simulator.render(forwards.pictures)
        pictures.append(forwards.pictures.copy())
    assert forwards.simulator.cars["track"][0] == 1
    np.testing.assert_array_equal(pictures[0], pictures[1])
