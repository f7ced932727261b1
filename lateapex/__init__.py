"""Train, evaluate and race models for AWS DeepRacer in a fast, deterministic simulator.

import gymnasium as gym
import lateapex

env = lateapex.RacingEnv(track="kidney")
observation, info = env.reset(seed=7)
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

run = lateapex.train(lateapex.train_config({"track": "kidney", "seed": 7, "trainer": {"until_laps": True}}))
print(lateapex.evaluate(lateapex.EvaluateConfig(run=run.url)).laps_completed)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "EvaluateConfig": "lateapex.jobs.evaluate",
    "LateapexError": "lateapex.errors",
    "RacingEnv": "lateapex.env.racing",
    "RacingVectorEnv": "lateapex.env.racing",
    "Track": "lateapex.world.track",
    "TrainConfig": "lateapex.jobs.train",
    "evaluate": "lateapex.jobs.evaluate",
    "load_track": "lateapex.world.track",
    "train": "lateapex.jobs.train",
    "train_config": "lateapex.jobs.train",
}

__all__ = sorted([*_PUBLIC, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'lateapex' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
