"""Every reward that comes with the package, on every track: a number everywhere, and one answer in both its forms."""

from __future__ import annotations

import ast
from functools import cache
from typing import Any

import numpy as np
import pytest
from made_tasks import small_task
from numpy.typing import NDArray

from lateapex.env.racing import RacingTask
from lateapex.env.reward import load_reward, reward_names
from lateapex.env.starts import RandomStarts
from lateapex.world.track import load_track, track_names

CARS, STEPS = 6, 50
TRACKS = [*track_names(), *(f"{name}, reversed" for name in track_names())]
each_reward = pytest.mark.parametrize("name", reward_names())
each_track = pytest.mark.parametrize("track", TRACKS)


@cache
def loaded(track: str) -> Any:
    name, _, backwards = track.partition(", ")
    return load_track(name).reverse() if backwards else load_track(name)


@cache
def paid(name: str, track: str, *, batched: bool) -> NDArray[np.float64]:
    """Rewards of cars that drive at random, begin anew when they are off, and now and then are put anywhere."""
    reward = load_reward(name, batched=batched)
    task = small_task(loaded(track), CARS, reward=reward, starts=RandomStarts(), seed=2, pictures=False)
    task.begin(np.arange(CARS))
    random = np.random.default_rng(3)
    rewards = []
    for step in range(STEPS):
        if step % 10 == 5:
            put_anywhere(task, random)
        reward, over, _ = task.advance(random.integers(0, len(task.actions), CARS))
        rewards.append(reward)
        task.begin(np.flatnonzero(over))
    return np.array(rewards)


def put_anywhere(task: RacingTask, random: np.random.Generator) -> None:
    """On the road, beside it, and far away."""
    low_x, low_y, high_x, high_y = task.tracks[0].bounds
    x, y = random.uniform(low_x - 3, high_x + 3, CARS), random.uniform(low_y - 3, high_y + 3, CARS)
    task.simulator.place(np.arange(CARS), x, y, random.uniform(-np.pi, np.pi, CARS))


@each_reward
def test_a_shipped_reward_imports_only_math_and_numpy(name: str) -> None:
    code = ast.parse(load_reward(name).text)
    imported = {alias.name for node in ast.walk(code) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(code) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"math", "numpy"}


@each_reward
def test_a_shipped_reward_says_what_it_pays_for(name: str) -> None:
    assert len(ast.get_docstring(ast.parse(load_reward(name).text)) or "") > 40


@each_reward
@each_track
def test_a_shipped_reward_pays_a_finite_number_everywhere(name: str, track: str) -> None:
    rewards = paid(name, track, batched=False)
    assert rewards.shape == (STEPS, CARS)
    assert np.isfinite(rewards).all()
    assert len(np.unique(rewards)) > 1


@each_reward
@each_track
def test_a_shipped_reward_pays_all_cars_at_once_what_it_pays_one(name: str, track: str) -> None:
    np.testing.assert_allclose(
        paid(name, track, batched=True), paid(name, track, batched=False), rtol=1e-12, atol=1e-12
    )
