"""A policy drives: one whole episode a car, in the order of the cars, each as if it were alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_models import small_policy
from made_tasks import STRAIGHT_ON, LineFollower, at, small_task, watched_reward
from numpy.typing import NDArray

from lateapex.env.starts import StartPoses
from lateapex.models.drive import drive, patience
from lateapex.world.track import load_track

# On the oval, straight on: half a straight, its end, aside in a bend, most of half a straight.
POSES = at([0.0, 0.1, 0.62, 0.52], [0.0, 0.0, -0.3, 0.0])


class StraightOn:
    """Never steers."""

    def greedy(self, observations: Any, fresh: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.full(len(fresh), STRAIGHT_ON)


def same_steps(one: NDArray[Any], two: NDArray[Any]) -> None:
    for name in one.dtype.names or ():
        if name != "wall_clock":
            np.testing.assert_array_equal(one[name], two[name])


def test_each_car_drives_one_whole_episode_and_the_order_is_that_of_the_cars() -> None:
    records = drive(StraightOn(), small_task("oval", 4), POSES)
    assert [record.car for record in records] == [0, 1, 2, 3]
    assert {record.phase for record in records} == {"evaluation"}
    assert {record.status for record in records} == {"off_track"}
    lengths = [len(record.steps) for record in records]
    assert len(set(lengths)) == 4
    for record in records:
        assert record.steps["steps"].tolist() == list(range(1, len(record.steps) + 1))
        assert record.steps["done"].sum() == record.steps["done"][-1] == 1


def test_a_car_drives_as_if_it_were_alone() -> None:
    task = small_task(["oval", "kidney"], 4)
    policy = small_policy(task)
    together = drive(policy.driver(4), task, POSES)
    for car in range(4):
        alone = drive(
            policy.driver(1),
            small_task(["oval", "kidney"][car % 2], 1),
            StartPoses(*(part[car : car + 1] for part in POSES)),
        )
        same_steps(alone[0].steps, together[car].steps)


def test_driving_again_gives_the_same_records() -> None:
    task = small_task("oval", 4)
    policy = small_policy(task)
    first, again = drive(policy.driver(4), task, POSES), drive(policy.driver(4), task, POSES)
    for one, two in zip(first, again, strict=True):
        for name in ("x", "y", "yaw", "action", "reward", "progress", "status"):
            np.testing.assert_array_equal(one.steps[name], two.steps[name])


def test_the_line_follower_laps_and_its_lap_is_all_of_the_track() -> None:
    task = small_task(["oval", "kidney"], 2)
    records = drive(LineFollower(task), task, at([0.0, 0.0]))
    for record in records:
        assert (record.status, record.progress) == ("lap_complete", 100.0)
        # It drives at 1.07 m/s at most, and cuts bends by a little.
        assert 1.0 < record.track_length / record.lap_time < 1.15


def test_the_watcher_sees_what_the_car_saw_at_each_row_and_no_more() -> None:
    task = small_task("oval", 4)
    seen: dict[int, list[NDArray[np.uint8]]] = {car: [] for car in range(4)}
    records = drive(StraightOn(), task, POSES, lambda car, picture: seen[car].append(picture.copy()))
    assert [len(seen[car]) for car in range(4)] == [len(record.steps) for record in records]
    twin = small_task("oval", 4)
    twin.begin(np.arange(4), POSES)
    for t in range(min(map(len, seen.values()))):
        for car in range(4):
            np.testing.assert_array_equal(seen[car][t], twin.pictures[car])
        twin.advance([STRAIGHT_ON] * 4)


def test_a_car_is_not_paid_for_what_it_does_after_its_episode() -> None:
    reward, calls = watched_reward()
    records = drive(StraightOn(), small_task("oval", 4, reward=reward), POSES)
    last = max(len(record.steps) for record in records)
    # The pose of an episode's end is judged once; then the car is put back and starts anew.
    ends = sum(params["is_offtrack"] for params in calls)
    begun = sum(params["steps"] == 2 for params in calls)
    assert 4 <= ends <= begun
    assert len(calls) < 4 * (last - 1)
    assert all(not later["is_offtrack"] or later["steps"] > 2 for later in calls)


def test_episodes_end_at_the_tasks_limit() -> None:
    records = drive(StraightOn(), small_task("oval", 2, max_steps=3), at([0.0, 0.5]))
    assert [len(record.steps) for record in records] == [3, 3]
    assert [record.status for record in records] == ["in_progress", "in_progress"]


def test_patience_is_the_time_of_the_slowest_lap() -> None:
    oval = load_track("oval")
    # 16.6 m at 0.1 m/s are 166 s, 15 steps each
    assert patience(np.array([oval.length / 2, oval.length])) == pytest.approx(16.57 * 150, abs=8)
    assert patience(np.array([0.1])) == 15
