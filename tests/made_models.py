"""Policies made for tests, of one camera, and short ways to ask them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lateapex.env.actions import ActionRanges
from lateapex.env.racing import RacingTask
from lateapex.models.blueprint import Blueprint
from lateapex.models.networks import Stem
from lateapex.models.policy import Actor, Critic, Decision, Policy

CAMERA = "FRONT_FACING_CAMERA"


def blueprint(height: int = 8, width: int = 8, channels: int = 1, actions: int = 3, **more: Any) -> Blueprint:
    return Blueprint(sensors={CAMERA: (height, width, channels)}, actions=actions, **more)


def made_policy(*shape: int, seed: int = 0, **more: Any) -> Policy:
    """`shape` as `blueprint`: height, width, channels, actions."""
    return Policy(blueprint(*shape, **more), seed)


def small_policy(task: RacingTask, network: str = "lean", critic: str = "lean", seed: int = 0, **more: Any) -> Policy:
    head = "gaussian" if isinstance(task.actions, ActionRanges) else "categorical"
    sensors = {name: value.shape[1:] for name, value in task.observations.items()}
    kinds: dict[str, Any] = {"head": head, "network": network, "critic": critic, **more}
    return Policy(Blueprint(sensors=sensors, actions=len(task.actions), **kinds), seed)


def observed(seen: Any) -> Mapping[str, NDArray[Any]]:
    """Grey pictures `[N, H, W]` as observations."""
    return seen if isinstance(seen, Mapping) else {CAMERA: seen[..., None] if seen.ndim == 3 else seen}


def decide(policy: Policy, seen: Any, draws: NDArray[np.float64], bf16: bool = False, **more: Any) -> Decision:
    """What the policy decides at the first step of cars that see `seen`."""
    count = len(draws)
    return policy.decide(observed(seen), policy.memory(count), np.ones(count, np.bool_), draws, bf16=bf16, **more)


def greedy(policy: Policy, seen: Any) -> NDArray[Any]:
    """The most probable actions at the first step of cars that see `seen`."""
    observations = observed(seen)
    count = len(next(iter(observations.values())))
    return policy.driver(count).greedy(observations, np.ones(count, np.bool_))


def values(policy: Policy, seen: Any) -> torch.Tensor:
    """What the states are worth of cars that see `seen` at their first step."""
    observations = observed(seen)
    count = len(next(iter(observations.values())))
    return policy.peek(observations, policy.memory(count), np.ones(count, np.bool_)).values


def stem(part: Actor | Critic, seen: Any) -> Stem:
    """What a network keeps of what is seen."""
    return part.network.stem({name: torch.as_tensor(value) for name, value in observed(seen).items()})


def judged(part: Actor | Critic, stemmed: Stem) -> torch.Tensor:
    """What a network without a memory makes of stems `[B, ...]`."""
    count = len(next(iter(stemmed.values())))
    found: torch.Tensor = part(stemmed, torch.zeros(count, 0), torch.zeros(1, count, dtype=torch.bool))[0]
    return found


def flat(stemmed: Stem) -> Stem:
    """Stems `[T, N, ...]` as `[T * N, ...]`."""
    return {name: value.flatten(0, 1) for name, value in stemmed.items()}
