"""An evaluation is a function of weights, starts, clock and episode, whatever was driven before it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from made_crews import CHANCE
from made_models import small_policy
from made_tasks import small_task

from lateapex.env.race_config import RaceConfig
from lateapex.env.reward import RewardFunction
from lateapex.records import EpisodeRecord
from lateapex.training.evaluator import LocalEvaluator, random_starts

BOXES = RaceConfig(
    race_type="OBJECT_AVOIDANCE", number_of_obstacles=4, number_of_resets=3, randomize_obstacle_locations=True
)
TASKS: dict[str, dict[str, Any]] = {"plain": {}, "boxes": {"race": BOXES}, "tracks": {"track": ["oval", "kidney"]}}


def evaluator(track: Any = "oval", max_steps: int | None = 30, **settings: Any) -> LocalEvaluator:
    made = LocalEvaluator(small_task(track, reward=RewardFunction(CHANCE, "chance.py", seed=3), seed=3, **settings))
    if max_steps is not None:
        made.task.max_steps = max_steps
    return made


def driven(made: LocalEvaluator, update: int, clock: int = 40, seed: int = 0) -> list[EpisodeRecord]:
    poses = random_starts(made.seed, np.arange(made.count), update)
    return made.evaluate(small_policy(made.task, seed=seed), poses, clock, update)


def rows(records: list[EpisodeRecord]) -> list[bytes]:
    found = []
    for record in records:
        steps = record.steps.copy()
        steps["wall_clock"] = 0.0
        found.append(steps.tobytes())
    return found


@pytest.mark.parametrize("name", TASKS)
def test_what_was_driven_before_changes_nothing(name):
    used, new = evaluator(**TASKS[name]), evaluator(**TASKS[name])
    driven(used, 5, clock=7, seed=1)
    assert rows(driven(used, 3)) == rows(driven(new, 3))


def test_weights_starts_and_the_number_of_the_episode_do():
    made = evaluator(race=BOXES)
    first = rows(driven(made, 3))
    assert rows(driven(made, 3, seed=1)) != first
    assert rows(driven(made, 4)) != first
    poses = random_starts(made.seed, np.arange(made.count), 3)
    assert rows(made.evaluate(small_policy(made.task), poses, 40, 4)) != first  # other boxes, and other chance


def test_time_goes_on_from_the_clock_and_the_episode_is_the_one_after():
    record = driven(evaluator(), 3, clock=40)[0]
    assert record.phase == "evaluation"
    assert record.start_time == pytest.approx(40 / 15)
    assert record.car_episode == 4


def test_the_slowest_car_has_time_for_the_longest_lap():
    made = evaluator(["oval", "kidney"], max_steps=None)
    longest = max(track.length for track in made.tracks)
    assert made.max_steps == math.ceil(longest / 0.1 * 15)
    assert (made.count, made.seed) == (2, 3)


def test_starts_are_drawn_by_seed_car_and_update():
    cars = np.arange(3)
    one = random_starts(7, cars, 5)
    assert one.fraction.tolist() == random_starts(7, cars, 5).fraction.tolist()
    assert one.fraction.tolist()[:2] == random_starts(7, cars[:2], 5).fraction.tolist()
    others = [random_starts(8, cars, 5), random_starts(7, cars, 6), random_starts(7, cars + 3, 5)]
    assert len({tuple(found.fraction) for found in [one, *others]}) == 4
