"""Collectors of some of a run's cars, of every kind of task, and their rollouts as arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from made_models import small_policy
from made_tasks import small_task

from lateapex.env.race_config import RaceConfig
from lateapex.env.reward import RewardFunction
from lateapex.env.starts import RandomStarts, RoundRobinStarts
from lateapex.formats.model_metadata import read_metadata
from lateapex.training.collect import LocalCollector
from lateapex.training.rollout import Rollout
from lateapex.training.teacher import Teacher, state_driver
from lateapex.workers.crew import Share
from lateapex.world.vehicle import Vehicle

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


def collector(
    cars: int, first_car: int, settings: dict[str, Any], of: int | None = None, **more: Any
) -> LocalCollector:
    """Some cars `of` so many, from a number on: of small pictures, paid at random."""
    reward = RewardFunction(CHANCE, "chance.py", seed=3, first_car=first_car)
    given = {"track": "oval", "starts": RandomStarts(), "max_steps": 20, **settings}
    task = small_task(cars=cars, reward=reward, seed=3, first_car=first_car, **given)
    return LocalCollector(task, cars=of, **more)


CARS = 6
"""Of a whole crew."""


class Maker:
    """Shares of a kind of task."""

    def __init__(self, first: int, cars: int, settings: dict[str, Any], more: dict[str, Any] | None = None) -> None:
        self.first, self.cars, self.settings, self.more = first, cars, settings, more or {}

    def begin(self) -> None:
        pass

    def __call__(self) -> Share:
        found = made(self.cars, self.first, self.settings, self.more)
        return Share(found, small_policy(found.task, seed=99))


def made(cars: int, first: int, settings: dict[str, Any], more: dict[str, Any]) -> LocalCollector:
    found = collector(cars, first, settings, CARS, **{key: more[key] for key in more if key != "lesson"})
    if "lesson" in more:
        driver = state_driver("centre_line", found.task.tracks, Vehicle())
        found._teacher = Teacher(driver, more["lesson"])
    return found


def makers(counts: Sequence[int], settings: dict[str, Any], more: dict[str, Any] | None = None) -> list[Maker]:
    """Of shares of so many cars each."""
    firsts = [sum(counts[:place]) for place in range(len(counts))]
    return [Maker(first, count, settings, more) for first, count in zip(firsts, counts, strict=True)]


def fields(rollout: Rollout) -> dict[str, np.ndarray]:
    """All that it holds of steps, by name."""
    found = {}
    for name, value in rollout._asdict().items():
        if name in ("episodes", "seconds", "labels", "behind", "unjudged"):
            continue
        parts = value if isinstance(value, dict) else value._asdict() if name == "last" else {"": value}
        for part, item in parts.items():
            for key, tensor in (item if isinstance(item, dict) else {"": item}).items():
                found[f"{name} {part} {key}"] = torch.as_tensor(tensor).numpy()
    return found
