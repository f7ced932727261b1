"""Learning from a teacher's labels first, and by another algorithm from then on.

In each round the student's steps and their labels join all that came before (dataset aggregation), and the actor learns
from draws of all of them. The critic learns meanwhile what the states are worth, so that the algorithm that goes on
does not begin with one that knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lateapex.models import stems
from lateapex.models.networks import Stem
from lateapex.models.policy import Policy
from lateapex.sim.random import SHUFFLE
from lateapex.storage import Storage
from lateapex.training.algorithms import Algorithm
from lateapex.training.judge import judged
from lateapex.training.returns import gae
from lateapex.training.ring import Ring
from lateapex.training.rollout import Rollout
from lateapex.training.sequences import Part, Sequences
from lateapex.training.teacher import TeacherConfig

FOLDER: Final = "model/lesson/"
_LENGTH: Final = 16  # steps in a row through which a network with a memory learns
_LAMBDA: Final = 0.95  # of the returns that the critic learns
_MOST_NORM: Final = 0.5  # of a gradient


class Apprentice:
    """An algorithm that begins once the lesson is over: with the first rollout without labels.

    Args:
        policy: updated in place.
        after: the algorithm that goes on.
        discount: gamma, of the returns that the critic learns.
        seed: of the order of samples.
        bf16: compute forward and backward passes in bfloat16; weights and losses stay float32.
    """

    def __init__(
        self,
        policy: Policy,
        config: TeacherConfig,
        after: Algorithm,
        *,
        discount: float,
        seed: int = 0,
        bf16: bool = False,
    ) -> None:
        self.policy = policy
        self.config = config
        self.after = after
        self.discount = discount
        self.seed = seed
        self.bf16 = bf16
        self.rounds = 0
        self.steps = 0
        """Of the lesson so far, over all cars."""
        self.memory = Ring(config.capacity, FOLDER)
        self._optimizers = {
            name: torch.optim.Adam(part.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)
            for name, part in (("actor", policy.actor), ("critic", policy.critic))
        }

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Learn from the labels of all rollouts so far, or, where this one has none, as the algorithm after."""
        if rollout.labels is None:
            self.memory.clear()
            return self.after.update(rollout)
        rate = self.learning_rate
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        self.steps += rollout.rewards.size
        columns = {f"stem/{name}": value for name, value in rollout.actor_stem.items()}
        self.memory.add(
            {**columns, "memory": rollout.actor_memory, "fresh": rollout.fresh, "labels": rollout.labels},
        )
        measures = {**self._imitate(rollout.rewards.size), "value_loss": self._judge(rollout)}
        self.rounds += 1
        if self.steps >= self.config.steps:
            self.memory.clear()
        return {**measures, "learning_rate": rate}

    @property
    def learning_rate(self) -> float:
        """Adam's step size at this point of the lesson."""
        first, last = self.config.learning_rate, self.config.final_learning_rate
        if last is None:
            return first
        return first + (last - first) * min(self.steps / self.config.steps, 1.0)

    def _imitate(self, new: int) -> dict[str, float]:
        """Gradient steps of the actor on draws of what is remembered, `new` steps of it being new."""
        columns, order = self.memory.columns, torch.from_numpy(self.memory.in_order())
        actor, cars = self.policy.actor, columns["fresh"].shape[1]
        parts = self._parts((len(order), cars))
        count = max(round(self.config.epochs * new / self.config.batch_size), 1)
        losses, errors = [], []
        for some in islice(_endless(parts, self._random(2)), count):
            flat = {name: _of(value, order, some.rows) for name, value in columns.items() if name != "memory"}
            first = _of(columns["memory"], order, some.first)
            stem: Stem = {name.removeprefix("stem/"): value for name, value in flat.items() if name.startswith("stem/")}
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                parameters, _ = actor(stem, first, flat["fresh"].view(some.length, -1))
            labels = flat["labels"]
            if some.counted is not None:
                parameters, labels = parameters[some.counted], labels[some.counted]
            loss = actor.head.imitation(parameters, labels).mean()
            self._step("actor", loss)
            losses.append(float(loss.detach()))
            errors.append(_error(actor.head.mode(parameters.detach()), labels))
        return {"imitation_loss": float(np.mean(losses)), "imitation_error": float(np.mean(errors))}

    def _judge(self, rollout: Rollout) -> float:
        """Gradient steps of the critic on the rollout; returns its mean loss."""
        rollout = judged(self.policy, rollout, self.bf16)
        worth = rollout.values, rollout.next_values, rollout.terminated, rollout.truncated
        advantages = gae(rollout.rewards, *worth, discount=self.discount, lam=_LAMBDA)
        returns = torch.from_numpy(advantages + rollout.values).flatten()
        stem = stems.flat(rollout.critic_stem)
        memory, fresh = rollout.critic_memory.flatten(0, 1), rollout.fresh.flatten()
        parts = self._parts(rollout.rewards.shape)
        count = max(round(self.config.epochs * rollout.rewards.size / self.config.batch_size), 1)
        losses = []
        for some in islice(_endless(parts, self._random(3)), count):
            seen = stems.rows_of(stem, some.rows)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                values, _ = self.policy.critic(seen, memory[some.first], fresh[some.rows].view(some.length, -1))
            rows = some.rows
            if some.counted is not None:
                values, rows = values[some.counted], rows[some.counted]
            loss = functional.huber_loss(values, returns[rows])
            self._step("critic", loss)
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def _parts(self, shape: tuple[int, ...]) -> Sequences:
        length = _LENGTH if self.policy.actor.network.memory or self.policy.critic.network.memory else 1
        return Sequences(shape, min(length, shape[0]), self.config.batch_size)

    def _random(self, purpose: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=self.seed, counter=[SHUFFLE, self.rounds, purpose, 0]))

    def _step(self, part: str, loss: Tensor) -> None:
        optimizer = self._optimizers[part]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        weights = optimizer.param_groups[0]["params"]
        torch.nn.utils.clip_grad_norm_(weights, _MOST_NORM, foreach=True)
        optimizer.step()

    def state(self, storage: Storage) -> dict[str, Any]:
        """Optimisers, count, and what names the pieces of the memory; and all of the algorithm after."""
        return {
            **{name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            "rounds": self.rounds,
            "steps": self.steps,
            "memory": self.memory.save(storage),
            "after": self.after.state(storage),
        }

    def restore(self, state: Mapping[str, Any], storage: Storage) -> None:
        """Return to a saved state."""
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state[name])
        self.rounds = int(state["rounds"])
        self.steps = int(state["steps"])
        self.memory.restore(state["memory"], storage)
        self.after.restore(state["after"], storage)

    def tidy(self, storage: Storage) -> None:
        """Delete files that the saved state no longer names."""
        self.memory.tidy(storage)
        self.after.tidy(storage)


def _endless(parts: Sequences, random: np.random.Generator) -> Iterator[Part]:
    """Minibatches of one epoch after another."""
    while True:
        yield from parts.shuffled(random)


def _of(column: Tensor, order: Tensor, rows: Tensor) -> Tensor:
    """Entries of a ring's column `[rows, N, ...]`, counted t * N + n from its oldest row."""
    cars = column.shape[1]
    return column[order[rows // cars], rows % cars]


def _error(mode: Tensor, labels: Tensor) -> float:
    """Share of labels that are not the most probable action; of numbers the mean distance."""
    if labels.is_floating_point():
        return float((mode - labels).abs().mean())
    return float((mode != labels).float().mean())
