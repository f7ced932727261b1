"""Clipped proximal policy optimisation (Schulman et al. 2017) on one rollout at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np
import torch
from pydantic import BeforeValidator, Field
from torch import Tensor
from torch.nn import functional

from lateapex.config import Config
from lateapex.models import stems
from lateapex.models.heads import Head
from lateapex.models.networks import Stem
from lateapex.models.policy import Policy
from lateapex.sim.random import SHUFFLE
from lateapex.storage import Storage
from lateapex.training.judge import judged
from lateapex.training.returns import gae
from lateapex.training.rollout import Rollout
from lateapex.training.sequences import Part, Sequences
from lateapex.training.stale import Corrected, VTrace, corrected

_PAIRED: Final = 4  # steps in a row of a minibatch in which neighbours are compared: no state is looked at twice


def _no_limit(value: Any) -> Any:
    """TOML has infinity and no None: what a run was trained with can be written down."""
    return math.inf if value is None else value


class PPOConfig(Config):
    """Settings of PPO. The defaults learn fast; a racer's hyperparameters.json replaces those it names."""

    learning_rate: float = Field(default=1e-3, gt=0.0, le=1.0)
    """Adam's step size."""
    discount: float = Field(default=0.97, ge=0.0, le=1.0)
    """gamma, per step of 1/15 s"""
    gae_lambda: float = Field(default=0.95, ge=0.0, le=1.0)
    clip: float = Field(default=0.2, gt=0.0, lt=1.0)
    """How far one update may move an action's probability, as a share."""
    entropy_weight: float = Field(default=0.01, ge=0.0, le=1.0)
    value_weight: float = Field(default=1.0, gt=0.0)
    value_loss: Literal["huber", "mean squared error"] = "huber"
    epochs: int = Field(default=4, ge=1, le=100)
    batch_size: int = Field(default=256, ge=1)
    sequence_length: int = Field(default=16, ge=1)
    """Steps in a row through which a network with a memory learns; others learn each step by itself."""
    smoothing: float = Field(default=0.0, ge=0.0)
    """Weight of the distance between what the policy would do in one state and in the next of an episode."""
    max_gradient_norm: Annotated[float, BeforeValidator(_no_limit)] = Field(default=0.5, gt=0.0)
    """inf, or None: no clipping, as in the original."""


class PPO:
    """The algorithm's memory between updates: optimiser and count.

    Args:
        policy: updated in place.
        seed: of the order of samples.
        bf16: compute forward and backward passes in bfloat16; weights and losses stay float32.
    """

    def __init__(self, policy: Policy, config: PPOConfig, *, seed: int = 0, bf16: bool = False) -> None:
        self.policy = policy
        self.config = config
        self.seed = seed
        self.bf16 = bf16
        self.updates = 0
        self._remembers = policy.actor.network.memory > 0 or policy.critic.network.memory > 0
        self._optimizer = torch.optim.Adam(
            policy.parameters(), lr=config.learning_rate, betas=(0.9, 0.999), eps=1e-5, fused=True
        )

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Improve the policy by one rollout; returns the means of its losses and measures."""
        settings = self.config
        rollout, seen, measures = self._judged(rollout)
        samples = _samples(rollout, seen)
        longest = settings.sequence_length if self._remembers else _PAIRED if settings.smoothing > 0.0 else 1
        length = min(longest, len(rollout.rewards))
        parts = Sequences(rollout.rewards.shape, length, settings.batch_size)
        shuffle = np.random.Generator(np.random.Philox(key=self.seed, counter=[SHUFFLE, self.updates, 0, 0]))
        totals: dict[str, float] = {}
        steps = 0
        for _ in range(settings.epochs):
            for some in parts.shuffled(shuffle):
                for name, value in self._step(samples, some).items():
                    totals[name] = totals.get(name, 0.0) + value
                steps += 1
        self.updates += 1
        return {
            **{name: value / steps for name, value in totals.items()},
            "learning_rate": settings.learning_rate,
            "explained_variance": _explained_variance(rollout.values, seen.returns),
            **measures,
        }

    def _judged(self, rollout: Rollout) -> Corrected:
        """The rollout with advantages and returns; where older versions drove, as the policy in hand sees it.

        The clip holds the policy near the one in hand, whoever drove; how much a step counts is a factor beside it.
        """
        settings = self.config
        factors = {"discount": settings.discount, "lam": settings.gae_lambda}
        if rollout.behind is not None and rollout.behind.any():
            return corrected(self.policy, rollout, bf16=self.bf16, **factors)
        rollout = judged(self.policy, rollout, self.bf16)
        worth = rollout.values, rollout.next_values, rollout.terminated, rollout.truncated
        advantages = gae(rollout.rewards, *worth, **factors)
        weights = np.ones_like(advantages)
        return Corrected(rollout, VTrace(advantages, advantages + rollout.values, weights), {})

    def _step(self, samples: _Samples, some: Part) -> dict[str, float]:
        """One gradient step on a minibatch."""
        settings = self.config
        actor, critic = self.policy.actor, self.policy.critic
        fresh = samples.fresh[some.rows].view(some.length, -1)
        both = samples.actor_stem, samples.critic_stem
        actor_stem, critic_stem = stems.of_each(*both, lambda stem: stems.rows_of(stem, some.rows))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            parameters, _ = actor(actor_stem, samples.actor_memory[some.first], fresh)
            values, _ = critic(critic_stem, samples.critic_memory[some.first], fresh)
        rough = _roughness(actor.head, parameters, fresh) if settings.smoothing > 0.0 else None
        rows = some.rows
        if some.counted is not None:
            parameters, values, rows = parameters[some.counted], values[some.counted], rows[some.counted]
        advantage, returns = samples.advantage[rows], samples.returns[rows]
        head = actor.head
        change = head.log_prob(parameters, samples.actions[rows]) - samples.log_probs[rows]
        ratio = change.exp()
        policy_loss = -torch.minimum(
            ratio * advantage, ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip) * advantage
        ).mean()
        if settings.value_loss == "huber":
            value_loss = functional.huber_loss(values, returns)
        else:
            value_loss = functional.mse_loss(values, returns)
        spread = head.entropy(parameters).mean()
        loss = policy_loss - settings.entropy_weight * spread + settings.value_weight * value_loss
        if rough is not None:
            loss = loss + settings.smoothing * rough
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), settings.max_gradient_norm, foreach=True)
        self._optimizer.step()
        with torch.no_grad():
            return {
                "policy_loss": float(policy_loss),
                "value_loss": float(value_loss),
                "entropy": float(spread),
                "kl": float((ratio - 1.0 - change).mean()),
                "clip_share": float(((ratio - 1.0).abs() > settings.clip).float().mean()),
                "gradient_norm": float(norm),
                **({} if rough is None else {"roughness": float(rough)}),
            }

    def state(self, storage: Storage) -> dict[str, Any]:
        """Optimiser and count, for a checkpoint."""
        del storage
        return {"optimizer": self._optimizer.state_dict(), "updates": self.updates}

    def restore(self, state: Mapping[str, Any], storage: Storage) -> None:
        """Return to a saved state."""
        del storage
        self._optimizer.load_state_dict(state["optimizer"])
        self.updates = int(state["updates"])

    def tidy(self, storage: Storage) -> None:
        """No files are kept."""


def _roughness(head: Head, parameters: Tensor, fresh: Tensor) -> Tensor:
    """Mean distance between what the policy would do in neighbouring states, `[L * B, ...]`, of the same episode.

    Source: the temporal term of Mysore et al. 2021, Regularizing Action Policies for Smooth Control.
    """
    steps = parameters.view(*fresh.shape, -1)
    apart = head.distance(steps[:-1].flatten(0, 1), steps[1:].flatten(0, 1))
    go_on = (~fresh[1:]).flatten().float()
    return (apart * go_on).sum() / go_on.sum().clamp(min=1.0)


class _Samples(NamedTuple):
    """A rollout as `T * N` rows."""

    actor_stem: Stem
    critic_stem: Stem
    actor_memory: Tensor
    critic_memory: Tensor
    fresh: Tensor
    actions: Tensor
    log_probs: Tensor
    advantage: Tensor
    """Normalised over the whole rollout, then weighted."""
    returns: Tensor


def _samples(rollout: Rollout, seen: VTrace) -> _Samples:
    # Weighted last: what is the same for all actions then still pushes none of them.
    normal = seen.weights * (seen.advantages - seen.advantages.mean()) / (seen.advantages.std() + 1e-8)
    return _Samples(
        *stems.of_each(rollout.actor_stem, rollout.critic_stem, stems.flat),
        rollout.actor_memory.flatten(0, 1),
        rollout.critic_memory.flatten(0, 1),
        rollout.fresh.flatten(),
        rollout.actions.flatten(0, 1),
        rollout.log_probs.flatten(),
        torch.from_numpy(normal).flatten(),
        torch.from_numpy(seen.returns).flatten(),
    )


def _explained_variance(values: np.ndarray[Any, Any], returns: np.ndarray[Any, Any]) -> float:
    """1: the critic knows the returns; 0: no better than their mean."""
    spread = float(np.var(returns))
    return 1.0 - float(np.var(returns - values)) / spread if spread > 0.0 else 0.0
