"""A task shared out among workers lives through what one task of all cars does, bit for bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from made_models import small_policy
from made_tasks import small_task

from lateapex.env.race_config import RaceConfig
from lateapex.env.reward import RewardFunction
from lateapex.env.starts import RandomStarts, RoundRobinStarts
from lateapex.formats.model_metadata import read_metadata
from lateapex.models.policy import BLOCK
from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.rollout import Rollout, joined

CHANCE = """
import random

def reward_function(params):
    return params["progress"] + random.random()
"""
LIDAR = read_metadata(
    json.dumps(
        {
            "action_space": [{"steering_angle": angle, "speed": 2.0} for angle in (-20, 0, 20)],
            "sensor": ["STEREO_CAMERAS", "LIDAR"],
            "version": "5",
        }
    ),
    "lidar.json",
)
TASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tracks both ways": {"track": ["oval", "kidney", "hairpin"], "alternate_direction": True},
    "mirror": {"track": ["oval", "kidney"], "mirror": True},
    "round robin": {"starts": RoundRobinStarts(advance=0.05, spread=0.01)},
    "lidar": {"metadata": LIDAR},
    "scene": {"metadata": LIDAR, "scene": "sim2real", "track": ["oval", "kidney"]},
    "boxes": {"race": RaceConfig(race_type="OBJECT_AVOIDANCE", number_of_obstacles=4, number_of_resets=3)},
    "bots": {
        "race": RaceConfig(
            race_type="HEAD_TO_BOT",
            number_of_bot_cars=2,
            is_lane_change=True,
            lower_lane_change_time=0.2,
            upper_lane_change_time=0.6,
            randomize_bot_car_locations=True,
        )
    },
    "models": {"race": RaceConfig(race_type="HEAD_TO_MODEL", cars_per_world=2)},
}


def collector(cars: int, first_car: int, settings: dict[str, Any]) -> LocalCollector:
    reward = RewardFunction(CHANCE, "chance.py", seed=3, first_car=first_car)
    given = {"track": "oval", "starts": RandomStarts(), "max_steps": 20, **settings}
    return LocalCollector(small_task(cars=cars, reward=reward, seed=3, first_car=first_car, **given))


def fields(rollout: Rollout) -> dict[str, np.ndarray]:
    found = {}
    for name, value in rollout._asdict().items():
        if name in ("episodes", "seconds", "labels", "behind"):
            continue
        parts = value if isinstance(value, dict) else value._asdict() if name == "last" else {"": value}
        for part, item in parts.items():
            for key, tensor in (item if isinstance(item, dict) else {"": item}).items():
                found[f"{name} {part} {key}"] = torch.as_tensor(tensor).numpy()
    return found


@pytest.mark.parametrize("name", TASKS)
def test_shares_joined_are_the_whole(name: str) -> None:
    shares = [(0, BLOCK), (BLOCK, BLOCK), (2 * BLOCK, 6)]
    whole = collector(2 * BLOCK + 6, 0, TASKS[name])
    parts = [collector(count, first, TASKS[name]) for first, count in shares]
    policy = small_policy(whole.task)
    for _ in range(2):
        one = whole.collect(policy, Budget(24))
        other = joined([part.collect(policy, Budget(24)) for part in parts])
        expected = fields(one)
        for field, value in fields(other).items():
            np.testing.assert_array_equal(value, expected[field], err_msg=field)
        assert [(each.car, each.track, each.progress, each.reward, each.status) for each in one.episodes] == [
            (each.car, each.track, each.progress, each.reward, each.status) for each in other.episodes
        ]
        assert one.laps_driven == other.laps_driven
    assert one.episodes


def test_a_share_is_not_the_beginning_of_the_whole() -> None:
    ours, others = (collector(4, first, {}) for first in (0, 4))
    assert not np.array_equal(ours.task.simulator.cars["x"], others.task.simulator.cars["x"])
    policy = small_policy(ours.task)
    assert {episode.car for episode in others.collect(policy, Budget(24)).episodes} == {4, 5, 6, 7}
