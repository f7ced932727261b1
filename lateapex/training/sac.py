"""Soft actor-critic with a state-value network and its slow copy (Haarnoja et al. 2018), as the original runs it.

The policy's own critic is the state-value network V; two action-value networks Q belong to the algorithm alone. For a
list of actions the expectations over actions are sums (Christodoulou 2019).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lateapex.config import Config
from lateapex.errors import ConfigError
from lateapex.models.heads import SquashedHead
from lateapex.models.policy import Policy, glorot, seeded
from lateapex.models.user_network import build_network
from lateapex.sim.random import SHUFFLE
from lateapex.storage import Storage
from lateapex.training.replay import Replay, Transitions
from lateapex.training.rollout import Rollout

_WIDTH = 256  # of the two dense layers of an action-value network, as in the original


class SACConfig(Config):
    """Settings of SAC. The defaults learn fast; a racer's hyperparameters.json replaces those it names."""

    learning_rate: float = Field(default=1e-3, gt=0.0, le=1.0)
    """Adam's step size, of all networks."""
    discount: float = Field(default=0.97, ge=0.0, le=1.0)
    """gamma, per step of 1/15 s"""
    alpha: float = Field(default=0.01, ge=0.0, le=1.0)
    """What a nat of entropy is worth, in units of the reward."""
    batch_size: int = Field(default=256, ge=1)
    capacity: int = Field(default=100_000, ge=2)
    """Steps that are remembered, over all cars."""
    updates_per_step: float = Field(default=0.05, gt=0.0, le=100.0)
    """Gradient steps for each step of a car; the original: 1."""
    target_rate: float = Field(default=0.01, gt=0.0, le=1.0)
    """Share by which the copy of V comes nearer to V with each gradient step; where it is 1, see target_steps."""
    target_steps: int | None = Field(default=None, ge=1)
    """Where given, V is copied whole once so many steps of cars have passed, as in the original."""


class QNetwork(nn.Module):
    """What an action is worth in a state.

    For numbers as actions they go in beside the features, for a list a value of each comes out.
    """

    def __init__(self, policy: Policy, code: Mapping[str, str]) -> None:
        super().__init__()
        blueprint = policy.blueprint
        spaces = {**policy.inputs.spaces, **blueprint.critic_sensors}
        self.network = build_network(blueprint.critic, spaces, code, embedders_only=True)
        self.takes_actions = blueprint.continuous
        size = self.network.features + (blueprint.actions if self.takes_actions else 0)
        self.dense = nn.Sequential(
            nn.Linear(size, _WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, _WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, 1 if self.takes_actions else blueprint.actions),
        )

    def worth(self, features: Tensor, actions: Tensor | None = None) -> Tensor:
        """Features `[B, F]` of `network`, actions `[B, D]` -> float32 `[B]`; without actions `[B, A]`."""
        return self._last(self.dense(_joined(features, actions)))

    def judged(self, features: Tensor, actions: Tensor | None = None) -> Tensor:
        """As `worth`; no gradient reaches the weights, but those of the actions pass."""
        weights = {name: weight.detach() for name, weight in self.dense.named_parameters()}
        return self._last(torch.func.functional_call(self.dense, weights, (_joined(features, actions),)))

    def _last(self, values: Tensor) -> Tensor:
        return values.float().squeeze(1) if self.takes_actions else values.float()


def _joined(features: Tensor, actions: Tensor | None) -> Tensor:
    return features if actions is None else torch.cat([features, actions.to(features.dtype)], dim=1)


class SAC:
    """The algorithm's memory between updates: action-value networks, slow copy, optimiser, replay.

    Args:
        policy: updated in place.
        seed: of first weights, samples and the actions that are thought of.
        bf16: compute networks in bfloat16; weights and losses stay float32.
        code: texts of the user's files of networks, by name.

    Raises:
        ConfigError: the critic has a memory: what it would remember is not known of steps drawn one by one.
    """

    def __init__(
        self,
        policy: Policy,
        config: SACConfig,
        *,
        seed: int = 0,
        bf16: bool = False,
        code: Mapping[str, str] | None = None,
    ) -> None:
        if policy.critic.network.memory:
            raise ConfigError(
                f"the critic {policy.blueprint.critic} has a memory, which SAC cannot teach; use another, lean say"
            )
        self.policy = policy
        self.config = config
        self.seed = seed
        self.bf16 = bf16
        self.updates = 0
        self.replay = Replay(config.capacity)
        with seeded(seed + 1) as generator:
            self._pair = QNetwork(policy, code or {}), QNetwork(policy, code or {})
            for network in self._pair:
                glorot(network, generator)
        self.values = nn.ModuleList(self._pair)
        self.slow = copy.deepcopy(policy.critic).requires_grad_(False)
        self._due = 0.0  # gradient steps that the steps taken so far still ask for
        self._since_copy = 0
        self._optimizer = torch.optim.Adam(self._weights(), lr=config.learning_rate, eps=1e-5, fused=True)

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Remember a rollout and learn from what is remembered; returns the means of losses and measures."""
        settings = self.config
        self.replay.add(rollout)
        self._due += rollout.rewards.size * settings.updates_per_step
        self._since_copy += rollout.rewards.size
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[SHUFFLE, self.updates, 1, 0]))
        known = len(self.replay)
        size = min(settings.batch_size, 1 << (known.bit_length() - 1)) if known else 0
        totals: dict[str, float] = {}
        steps = 0
        while self._due >= 1.0 and size:
            for name, value in self._step(self.replay.draw(size, random), random).items():
                totals[name] = totals.get(name, 0.0) + value
            self._due -= 1.0
            steps += 1
            if settings.target_steps is None:
                self._follow(settings.target_rate)
        if settings.target_steps is not None and self._since_copy >= settings.target_steps:
            self._follow(1.0)
            self._since_copy = 0
        self.updates += 1
        means = {name: value / steps for name, value in totals.items()}
        return {**means, "learning_rate": settings.learning_rate, "replay": float(known)}

    def _step(self, some: Transitions, random: np.random.Generator) -> dict[str, float]:
        """One gradient step of all networks."""
        policy, count = self.policy, len(some.rewards)
        fresh, nothing = torch.zeros(1, count, dtype=torch.bool), torch.zeros(count, 0)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            parameters, _ = policy.actor(some.actor_stem, some.actor_memory, fresh)
            values, _ = policy.critic(some.critic_stem, nothing, fresh)
            features = [network.network(some.critic_stem) for network in self._pair]
            taken = [self._of_taken(*pair, some.actions) for pair in zip(self._pair, features, strict=True)]
            thought = self._thought_of(parameters, [part.detach() for part in features], random)
            with torch.no_grad():
                following, _ = self.slow(some.next_critic_stem, nothing, fresh)
        target = some.rewards + self.config.discount * some.goes_on * following
        q_loss = functional.mse_loss(taken[0], target) + functional.mse_loss(taken[1], target)
        value_loss = functional.mse_loss(values, thought.detach())
        policy_loss = -thought.mean()
        self._optimizer.zero_grad(set_to_none=True)
        (policy_loss + q_loss + value_loss).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in self._weights() if weight.grad is not None])
        self._optimizer.step()
        with torch.no_grad():
            return {
                "policy_loss": float(policy_loss),
                "value_loss": float(value_loss),
                "q_loss": float(q_loss),
                "entropy": float(policy.actor.head.entropy(parameters).mean()),
                "gradient_norm": float(norm),
            }

    @staticmethod
    def _of_taken(network: QNetwork, features: Tensor, actions: Tensor) -> Tensor:
        """What the actions that were taken are worth, `[B]`."""
        if network.takes_actions:
            return network.worth(features, actions)
        return network.worth(features).gather(1, actions[:, None]).squeeze(1)

    def _thought_of(self, parameters: Tensor, features: list[Tensor], random: np.random.Generator) -> Tensor:
        """What the policy's own actions are worth, their entropy included, `[B]`: the goal of V, and of the policy.

        The smaller of two opinions counts; gradients reach the policy alone.
        """
        alpha, head = self.config.alpha, self.policy.actor.head
        if isinstance(head, SquashedHead):
            size = parameters.shape[1] // 2
            normal = torch.from_numpy(random.standard_normal((len(parameters), size), np.float32))
            actions, log_probs = head.drawn(parameters, normal)
            worth = [network.judged(part, actions) for network, part in zip(self._pair, features, strict=True)]
            return torch.minimum(*worth) - alpha * log_probs
        worth = [network.judged(part) for network, part in zip(self._pair, features, strict=True)]
        return (parameters.exp() * (torch.minimum(*worth).detach() - alpha * parameters)).sum(dim=1)

    def _weights(self) -> Iterator[nn.Parameter]:
        yield from self.policy.parameters()
        yield from self.values.parameters()

    @torch.no_grad()
    def _follow(self, rate: float) -> None:
        """Let the slow copy come nearer to V."""
        for slow, weight in zip(self.slow.parameters(), self.policy.critic.parameters(), strict=True):
            slow.lerp_(weight, rate)

    def state(self, storage: Storage) -> dict[str, Any]:
        """All that the next update depends on; the replay's rows are written into files of their own."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "values": self.values.state_dict(),
            "slow": self.slow.state_dict(),
            "updates": self.updates,
            "due": self._due,
            "since_copy": self._since_copy,
            "replay": self.replay.save(storage),
        }

    def restore(self, state: Mapping[str, Any], storage: Storage) -> None:
        """Return to a saved state."""
        self._optimizer.load_state_dict(state["optimizer"])
        self.values.load_state_dict(state["values"])
        self.slow.load_state_dict(state["slow"])
        self.updates, self._due, self._since_copy = int(state["updates"]), float(state["due"]), int(state["since_copy"])
        self.replay.restore(state["replay"], storage)

    def tidy(self, storage: Storage) -> None:
        """Delete files that the saved state no longer names."""
        self.replay.tidy(storage)
