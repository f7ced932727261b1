"""Collects experience: a policy drives a batch of cars for some steps.

A `Collector` is whatever can do that: the cars may be in this process or on other machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lateapex.env.actions import ActionRanges
from lateapex.env.racing import RacingTask
from lateapex.env.recorder import EpisodeRecorder
from lateapex.errors import ConfigError
from lateapex.models.policy import Policy
from lateapex.records import EpisodeRecord
from lateapex.sim.random import ACTION, uniforms
from lateapex.training.exploration import ExplorationConfig, epsilon


class Rollout(NamedTuple):
    """Experience of N cars over T steps."""

    actor_stem: Tensor
    """`[T, N, ...]` what the actor keeps of each picture"""
    critic_stem: Tensor
    actions: Tensor
    """`[T, N]`, or `[T, N, D]` numbers as they were drawn"""
    log_probs: Tensor
    """`[T, N]` of the actions under the policy that took them"""
    values: NDArray[np.float32]
    """`[T, N]`"""
    next_values: NDArray[np.float32]
    """`[T, N]` of the state that each step led to"""
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    episodes: list[EpisodeRecord]
    """Those that ended, in order."""
    laps_driven: float
    """Way driven forwards, in laps."""


class Collector(Protocol):
    """Drives with a policy and brings back what happened."""

    task: RacingTask
    """The cars, or one machine's share of them."""

    def collect(self, policy: Policy, budget: Budget) -> Rollout:
        """Drive until the budget is used."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Everything that the next rollout depends on."""
        ...

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot."""
        ...


@dataclass(frozen=True)
class Budget:
    """How much one rollout holds."""

    steps: int
    """T, steps of each car."""
    episodes: int | None = None
    """Where given: as many steps as it takes until this many episodes have ended, at most `steps`."""


class LocalCollector:
    """Cars in this process.

    Args:
        task: the cars; its seed is that of the action draws too.
        bf16: act in bfloat16, as the update will compute.
        exploration: how actions are tried.

    Raises:
        ConfigError: e-greedy exploration of a continuous action space.
    """

    def __init__(self, task: RacingTask, *, bf16: bool = False, exploration: ExplorationConfig | None = None) -> None:
        self.task = task
        self.bf16 = bf16
        self.exploration = exploration or ExplorationConfig()
        if self.exploration.exploration_type == "e-greedy" and isinstance(task.actions, ActionRanges):
            raise ConfigError(
                'exploration_type is "e-greedy", which needs a list of actions; the action space is continuous: '
                'write "categorical"'
            )
        self._steps = 0
        self._recorder = EpisodeRecorder(task, "training")
        self._everyone = np.arange(task.simulator.count)
        task.begin(self._everyone)

    def collect(self, policy: Policy, budget: Budget) -> Rollout:
        """Drive all cars; episodes go on from rollout to rollout."""
        task = self.task
        decisions, rewards, terminated, truncated = [], [], [], []
        cut_values: dict[tuple[int, int], float] = {}
        ended: list[EpisodeRecord] = []
        way = 0.0
        for t in range(budget.steps):
            decision = policy.decide(task.pictures, self._draws(), self.bf16, epsilon(self.exploration, self._steps))
            self._steps += len(self._everyone)
            before = task.episodes["progress"].copy()
            reward, over, cut = task.advance(decision.actions.numpy())
            # Progress is noted at the pose before the action: what this step drove shows in the next.
            way += float(np.maximum(task.episodes["progress"] - before, 0.0).sum()) / 100.0
            decisions.append(decision)
            rewards.append(reward)
            terminated.append(over)
            truncated.append(cut)
            ended += self._recorder.take()
            for car in np.flatnonzero(cut).tolist():
                cut_values[t, car] = float(policy.values(task.pictures[car : car + 1])[0])
            done = np.flatnonzero(over | cut)
            if len(done):
                task.begin(done)
            if budget.episodes is not None and len(ended) >= budget.episodes:
                break
        values = torch.stack([decision.values for decision in decisions]).numpy()
        following = np.concatenate([values[1:], policy.values(task.pictures).numpy()[None]])
        for (t, car), value in cut_values.items():
            following[t, car] = value
        return Rollout(
            actor_stem=torch.stack([decision.actor_stem for decision in decisions]),
            critic_stem=torch.stack([decision.critic_stem for decision in decisions]),
            actions=torch.stack([decision.actions for decision in decisions]),
            log_probs=torch.stack([decision.log_probs for decision in decisions]),
            values=values,
            next_values=following,
            rewards=np.stack(rewards).astype(np.float32),
            terminated=np.stack(terminated),
            truncated=np.stack(truncated),
            episodes=ended,
            laps_driven=way,
        )

    def _draws(self) -> NDArray[np.float64]:
        episodes = self.task.episodes
        return uniforms(self.task.seed, self._everyone, episodes["episode"], ACTION, episodes["steps"])

    def snapshot(self) -> dict[str, Any]:
        """Cars, episodes, the steps of episodes that have not ended, and the count of all steps."""
        return {"task": self.task.snapshot(), "recorder": self._recorder.snapshot(), "steps": self._steps}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot."""
        self.task.restore(snapshot["task"])
        self._recorder.restore(snapshot["recorder"])
        self._steps = int(snapshot.get("steps", 0))
