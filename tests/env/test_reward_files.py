"""Reward files as people write them run unchanged, each car with a memory of its own, and the same behind walls."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_rewards import HABITS
from made_tasks import small_task
from numpy.typing import NDArray

from lateapex.env.reward import RewardFunction, read_reward
from lateapex.env.reward_prints import Prints
from lateapex.env.sandbox import Limits, SandboxedReward
from lateapex.world.track import load_track

CARS, STEPS = 4, 40
each_habit = pytest.mark.parametrize("habit", HABITS)
linux = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")


@cache
def road(name: str) -> Any:
    return load_track(name)


def driven(reward: RewardFunction, track: str, cars: int = CARS) -> NDArray[np.float64]:
    """Rewards of cars that drive straight on and begin anew when they leave the road, `[T, N]`."""
    task = small_task(road(track), cars, reward=reward, pictures=False)
    task.begin(np.arange(cars))
    rewards = []
    for _ in range(STEPS):
        paid, over, _ = task.advance([5] * cars)
        rewards.append(paid)
        task.begin(np.flatnonzero(over))
    return np.array(rewards)


def written(folder: Path, habit: str) -> tuple[str, str]:
    path = folder / f"{habit}.py"
    path.write_bytes(HABITS[habit])
    return read_reward(path)


@each_habit
def test_a_file_as_people_write_it_runs_unchanged_on_every_track(tmp_path: Path, habit: str) -> None:
    text, source = written(tmp_path, habit)
    for track in ("oval", "kidney", "hairpin"):
        paid = driven(RewardFunction(text, source, prints=Prints()), track)
        assert np.isfinite(paid).all()
        assert paid[1:].any()


@each_habit
def test_many_cars_are_paid_as_if_each_were_alone(tmp_path: Path, habit: str) -> None:
    """Car 0 of four and a car alone drive the same way; what a file remembers must not let them differ."""
    text, source = written(tmp_path, habit)
    many = driven(RewardFunction(text, source, prints=Prints()), "oval")
    alone = driven(RewardFunction(text, source, prints=Prints()), "oval", cars=1)
    np.testing.assert_array_equal(many[:, :1], alone)


@pytest.mark.long
@linux
@each_habit
def test_behind_walls_a_file_pays_and_prints_the_same_bit_for_bit(tmp_path: Path, habit: str) -> None:
    text, source = written(tmp_path, habit)
    here, there = Prints(), Prints()
    expected = driven(RewardFunction(text, source, prints=here, seed=3), "kidney")
    sandboxed = SandboxedReward(text, source, prints=there, seed=3, limits=Limits(60.0))
    try:
        np.testing.assert_array_equal(driven(sandboxed, "kidney"), expected)
    finally:
        sandboxed.close()
    if habit != "logging":  # whose one handler belongs to whoever was first in this process
        assert there.take() == here.take()


def test_chance_depends_on_seed_car_episode_and_step_alone(tmp_path: Path) -> None:
    text, source = written(tmp_path, "random_numbers")
    first, again, other = (driven(RewardFunction(text, source, seed=seed), "oval") for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first[1:] != other[1:]).all()
    assert len(np.unique(first[1:])) == first[1:].size  # no two cars, steps or episodes share theirs


def test_chance_in_a_reward_leaves_that_of_the_process_alone(tmp_path: Path) -> None:
    import random

    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 - what a reward draws from too
    expected = random.random(), np.random.rand()  # noqa: NPY002 - racers draw from the old generators
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 - racers draw from the old generators
    driven(RewardFunction(*written(tmp_path, "random_numbers")), "oval")
    assert (random.random(), np.random.rand()) == expected  # noqa: NPY002 - racers draw from the old generators


def test_a_file_in_another_encoding_is_kept_as_what_it_then_says_it_is(tmp_path: Path) -> None:
    text, _ = written(tmp_path, "latin_1")
    assert text.splitlines()[:2] == ["# -*- coding: utf-8 -*-", "# Straße, virage serré"]
    path = tmp_path / "again.py"
    path.write_bytes(text.encode())
    assert read_reward(path)[0] == text
