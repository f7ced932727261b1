"""How training tries actions that it does not yet think the best."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lateapex.config import Config


class ExplorationConfig(Config):
    """Settings of exploration, in the original's words."""

    exploration_type: Literal["categorical", "e-greedy"] = "categorical"
    """categorical: drawn by the policy's probabilities. e-greedy: the most probable action, or now and then any."""
    e_greedy_value: float = Field(default=0.05, ge=0.0, le=1.0)
    """e-greedy: share of actions drawn from all alike, once epsilon_steps are done."""
    epsilon_steps: int = Field(default=10_000, ge=1)
    """e-greedy: environment steps over all cars in which that share falls, linearly, from 1."""


def epsilon(config: ExplorationConfig, steps: int) -> float | None:
    """Share of actions drawn from all alike after `steps` steps of training; None: drawn by probability."""
    if config.exploration_type == "categorical":
        return None
    done = min(steps / config.epsilon_steps, 1.0)
    return 1.0 + done * (config.e_greedy_value - 1.0)
