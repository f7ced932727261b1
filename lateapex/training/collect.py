"""Collects experience: a policy drives a batch of cars for some steps.

A `Collector` is whatever can do that: the cars may be in this process or on other machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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
from lateapex.models.policy import Decision, Memory, Policy, Seen
from lateapex.models.stems import of_both, stacked
from lateapex.records import EpisodeRecord
from lateapex.sim.random import ACTION, INPUT, TEACHER, uniforms
from lateapex.training.exploration import ExplorationConfig, epsilon
from lateapex.training.rollout import Cut, Rollout, joined_seen, some_seen
from lateapex.training.teacher import Teacher


class Collector(Protocol):
    """Drives with a policy and brings back what happened."""

    task: RacingTask
    """The cars, or one machine's share of them."""
    cars: int
    """All that there are."""

    def collect(self, policy: Policy, budget: Budget) -> Rollout | None:
        """Drive until the budget is used; None where experience was waited for until it was no longer wanted."""
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
    whole: bool = False
    """Of one car, where its steps are used up before so many episodes have ended: without those of the episode that
    they cut, which is left, and the one after it left out, as in the original (`markov/deepracer_memory.py`)."""
    wanted: Callable[[], bool] = lambda: True
    """Asked while experience is waited for: whether it is still of use."""


class Account(Protocol):
    """Whoever must know what becomes of the experience that a collector brings: it comes from elsewhere."""

    @property
    def due(self) -> bool:
        """Whether no more can come until a state has been saved."""
        ...

    def check(self) -> None:
        """Return if this process may still write the run's files.

        Raises:
            LeaseLostError: another one goes on with the run.
        """
        ...

    def saved(self) -> None:
        """Hear that a state with the collector's newest snapshot is durable."""
        ...

    def finish(self) -> None:
        """Hear that no more is wanted."""
        ...


class LocalCollector:
    """Cars in this process.

    Args:
        task: the cars; its seed is that of the action draws too.
        cars: all that there are, if `task` holds a share of them whose others take their steps at the same time.
        bf16: act in bfloat16, as the update will compute.
        exploration: how actions are tried.
        teacher: labels what is seen, until its lesson is over.

    Raises:
        ConfigError: e-greedy exploration of a continuous action space.
    """

    def __init__(
        self,
        task: RacingTask,
        *,
        cars: int | None = None,
        bf16: bool = False,
        exploration: ExplorationConfig | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.task = task
        self.cars = cars or task.simulator.count
        self.bf16 = bf16
        self.exploration = exploration or ExplorationConfig()
        if self.exploration.exploration_type == "e-greedy" and isinstance(task.actions, ActionRanges):
            raise ConfigError(
                'exploration_type is "e-greedy", which needs a list of actions; the action space is continuous: '
                'write "categorical"'
            )
        self._teacher = teacher
        self.steps = 0
        """Taken so far, over all cars. Exploration and lessons go by it: whoever drives a share is told that of all."""
        self._memory: Memory | None = None
        self._drive: _Drive | None = None
        self._recorder = EpisodeRecorder(task, "training")
        self._everyone = np.arange(task.simulator.count)
        task.begin(self._everyone)

    def collect(self, policy: Policy, budget: Budget) -> Rollout:
        """Drive all cars; episodes go on from rollout to rollout."""
        self.begin(policy)
        for _ in range(budget.steps):
            ended = self.advance()
            if budget.episodes is not None and ended >= budget.episodes:
                break
        return self.finish(budget.episodes if budget.whole else None)

    def begin(self, policy: Policy) -> None:
        """Begin a rollout: to drive step by step in place of `collect`."""
        teacher = self._teacher if self._teacher is not None and self._teacher.teaches(self.steps) else None
        count = len(self._everyone)
        if self._memory is None:
            self._memory = policy.memory(count)
        self._drive = _Drive(policy, _Taken(count), teacher, self.task.reward.seconds)

    def advance(self) -> int:
        """Let all cars take one step; returns how many episodes have ended in this rollout."""
        drive = self._begun()
        assert self._memory is not None
        self._memory = self._step(drive, self._memory)
        return len(drive.taken.ended)

    def finish(self, whole: int | None = None) -> Rollout:
        """End the rollout, of one step or more, and return it; where `whole` episodes were wanted: see `Budget`."""
        policy, taken, _, paid = self._begun()
        assert self._memory is not None
        self._drive = None
        if whole is not None and self.cars == 1 and 0 < len(taken.ended) < whole:
            taken.keep_ended()
            self._leave_out()
        seconds = {"inference": taken.inference, "reward": self.task.reward.seconds - paid}
        rollout = taken.rollout(policy.peek(self.task.observations, self._memory, self.task.fresh))
        return rollout._replace(seconds=seconds, unjudged=None if policy.judges else taken.unjudged(rollout.last))

    def _begun(self) -> _Drive:
        if self._drive is None:
            raise RuntimeError("no rollout has begun")
        return self._drive

    def _step(self, drive: _Drive, memory: Memory) -> Memory:
        """Let all cars take one step, and those whose episode it ends begin anew; returns what is remembered then."""
        task, fresh = self.task, self.task.fresh
        policy, taken, teacher, _ = drive
        begun = time.perf_counter()
        decision = policy.decide(
            task.observations,
            memory,
            fresh,
            self._draws(ACTION, 4),
            input_draws=self._draws(INPUT, policy.inputs.draws) if policy.inputs.draws else None,
            bf16=self.bf16,
            epsilon=epsilon(self.exploration, self.steps),
        )
        taken.inference += time.perf_counter() - begun
        if teacher is not None:
            decision = self._taught(decision, teacher, taken)
        self.steps += self.cars
        before = task.episodes["progress"].copy()
        reward, over, cut = task.advance(decision.actions.numpy())
        # Progress is noted at the pose before the action: what this step drove shows in the next.
        taken.laps += np.maximum(task.episodes["progress"] - before, 0.0) / 100.0
        taken.add(decision, memory, fresh, reward, over, cut)
        taken.ended += self._recorder.take()
        if cut.any():
            cars = np.flatnonzero(cut)
            seen = {name: value[cars] for name, value in task.observations.items()}
            left = policy.peek(seen, decision.memory.of(cars), task.fresh[cars])
            taken.cuts.append(_Left(len(taken.decisions) - 1, cars, left))
        done = np.flatnonzero(over | cut)
        if len(done):
            task.begin(done)
        return decision.memory

    def _leave_out(self) -> None:
        """Leave the episode that goes on, and the next one, which the original plays and drops."""
        self._recorder.forget()
        for _ in range(2):
            self.task.begin(self._everyone)

    def _taught(self, decision: Decision, teacher: Teacher, taken: _Taken) -> Decision:
        """The decision, with the teacher's in its place where that drives; its labels are noted."""
        labels = teacher.labels(self.task)
        taken.labels.append(labels)
        drives = torch.from_numpy(self._draws(TEACHER, 1)[:, 0] < teacher.share(self.steps))
        actions = torch.where(drives if labels.ndim == 1 else drives[:, None], labels, decision.actions)
        return decision._replace(actions=actions)

    def _draws(self, purpose: int, count: int) -> NDArray[np.float64]:
        """`[N, count]` numbers that belong to each car's step, rounded up to fours."""
        episodes, fours = self.task.episodes, -(-count // 4)
        steps = episodes["steps"] * fours
        each = [
            uniforms(self.task.seed, self.task.numbers, episodes["episode"], purpose, steps + n) for n in range(fours)
        ]
        return each[0] if fours == 1 else np.concatenate(each, axis=1)

    def snapshot(self) -> dict[str, Any]:
        """Cars, episodes, the steps of episodes that have not ended, and the count of all steps."""
        memory = None if self._memory is None else self._memory._asdict()
        return {
            "task": self.task.snapshot(),
            "recorder": self._recorder.snapshot(),
            "steps": self.steps,
            "memory": memory,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot; one that says `anew` is of cars whose unfinished episodes cannot go on."""
        self.task.restore(snapshot["task"])
        self._recorder.restore(snapshot["recorder"])
        self.steps = int(snapshot["steps"])
        self._memory = None if snapshot["memory"] is None else Memory(**snapshot["memory"])
        if snapshot.get("anew"):
            self._recorder.forget()
            self.task.begin(self._everyone)


class _Drive(NamedTuple):
    """A rollout that has begun."""

    policy: Policy
    taken: _Taken
    teacher: Teacher | None
    """None: it has no labels."""
    paid: float
    """Seconds of the reward until then."""


class _Left(NamedTuple):
    """What cars saw whose episodes were cut off."""

    step: int
    cars: NDArray[np.int64]
    seen: Seen


class _Taken:
    """What a rollout is put together from, step by step."""

    def __init__(self, cars: int) -> None:
        self.decisions: list[Decision] = []
        self.memories: list[Memory] = []
        self.labels: list[Tensor] = []
        self.fresh: list[NDArray[np.bool_]] = []
        self.rewards: list[NDArray[np.float64]] = []
        self.terminated: list[NDArray[np.bool_]] = []
        self.truncated: list[NDArray[np.bool_]] = []
        self.ended: list[EpisodeRecord] = []
        self.laps = np.zeros(cars)
        self.inference = 0.0
        """Seconds of deciding."""
        self.cuts: list[_Left] = []

    def add(
        self,
        decision: Decision,
        memory: Memory,
        fresh: NDArray[np.bool_],
        reward: NDArray[np.float64],
        over: NDArray[np.bool_],
        cut: NDArray[np.bool_],
    ) -> None:
        """Append a step."""
        self.decisions.append(decision)
        self.memories.append(memory)
        self.fresh.append(fresh)
        self.rewards.append(reward)
        self.terminated.append(over)
        self.truncated.append(cut)

    def keep_ended(self) -> None:
        """Drop the steps after the last with which an episode ended."""
        kept = 1 + max(t for t in range(len(self.rewards)) if (self.terminated[t] | self.truncated[t]).any())
        for steps in (
            self.decisions,
            self.memories,
            self.labels,
            self.fresh,
            self.rewards,
            self.terminated,
            self.truncated,
        ):
            del steps[kept:]

    def rollout(self, last: Seen) -> Rollout:
        """All steps in one; `last` is what is seen after them."""
        decisions = self.decisions
        values = torch.stack([decision.values for decision in decisions]).numpy()
        following = np.concatenate([values[1:], last.values.numpy()[None]])
        for cut in self.cuts:
            following[cut.step, cut.cars] = cut.seen.values.numpy()
        actors, critics = ([getattr(each, name) for each in decisions] for name in ("actor_stem", "critic_stem"))
        actor_stem, critic_stem = of_both(actors, critics, stacked)
        return Rollout(
            actor_stem=actor_stem,
            critic_stem=critic_stem,
            actor_memory=torch.stack([memory.actor for memory in self.memories]),
            critic_memory=torch.stack([memory.critic for memory in self.memories]),
            fresh=torch.from_numpy(np.stack(self.fresh)),
            actions=torch.stack([decision.actions for decision in decisions]),
            log_probs=torch.stack([decision.log_probs for decision in decisions]),
            values=values,
            next_values=following,
            rewards=np.stack(self.rewards).astype(np.float32),
            terminated=np.stack(self.terminated),
            truncated=np.stack(self.truncated),
            last=last,
            episodes=self.ended,
            laps=self.laps,
            labels=torch.stack(self.labels) if self.labels else None,
        )

    def unjudged(self, last: Seen) -> Cut:
        """What a critic that was not there has to see beside the steps; `last` is what is seen after them."""
        count = len(last.values)
        rows = [cut.step * count + cut.cars for cut in self.cuts]
        # Of no car, so that there is something to join where nothing was cut.
        nobody = some_seen(last, slice(0))
        seen = joined_seen([nobody, *(cut.seen for cut in self.cuts)])
        return Cut(np.concatenate([np.zeros(0, np.int64), *rows]), seen)
