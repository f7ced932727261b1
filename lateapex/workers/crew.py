"""A collector whose cars are shared out: each mate of a crew drives some of them, wherever it is.

Whatever the number of mates, together they bring what one `LocalCollector` of all cars would bring, bit for bit on
machines of one kind: all draws go by the cars' numbers, and inference runs in blocks of one size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from lateapex.config import Config
from lateapex.env.racing import RacingTask
from lateapex.models.policy import Policy
from lateapex.registry import Registry
from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.rollout import Rollout, joined
from lateapex.workers.crew_state import joined_states, split_state
from lateapex.workers.evaluation import Evaluating, Evaluation, FarEvaluator
from lateapex.workers.makers import Maker
from lateapex.world.track import Track

Weights = dict[str, torch.Tensor]
State = Mapping[str, Any]


class WorkersConfig(Config):
    """Settings of rollouts in other processes."""

    count: int = Field(default=0, ge=0)
    """Processes that drive, each a share of the cars; 0: this one drives all. Results do not depend on it."""
    max_stale: int = Field(default=0, ge=0)
    """Versions that the policy of a rollout may be behind the newest. 0: all wait for each other and for the update;
    else nobody does, older rollouts are not learned from but counted, and results depend on who is how fast."""
    workplace: str = "ray"
    """Where they are: ray, or local: in this process, one after the other, to try what shares do."""
    ray_address: str = "local"
    """The Ray cluster to join: host:port of its head, or auto for the one that this machine is part of; local: one on
    this machine, for the time of the run."""
    wait_seconds: float = Field(default=300.0, gt=0.0)
    """How long a worker waits for a free core, which a cluster may be starting; then it shares one with others."""


class Order(NamedTuple):
    """A rollout that a mate drives by itself."""

    steps: int
    """Of each car, at most."""
    episodes: int | None
    """Where given: it ends as soon as so many of the share have ended."""
    whole: bool
    """See `Budget`."""
    taken: int
    """Steps of all cars that were learned from before it: exploration and lessons go by them."""


class Brought(NamedTuple):
    """What a mate brings from a rollout."""

    rollout: Rollout
    state: State
    """Snapshot of its cars after it."""
    calls: int
    """Of the reward in it."""
    prints: tuple[str, int]
    """What the reward printed, and how many lines were left out."""


class Share:
    """Some cars of a run, and the policy that drives them: what a mate is, in whatever process.

    Args:
        collector: of these cars.
        policy: takes the weights that come.
    """

    def __init__(self, collector: LocalCollector, policy: Policy) -> None:
        self._collector = collector
        self._policy = policy
        self._calls = 0

    def drive(self, weights: Weights | None, steps: int) -> int:
        """Begin a rollout with some weights, or go on with one; returns how many of its episodes have ended."""
        collector, ended = self._collector, 0
        if weights is not None:
            self._policy.load_state_dict(weights)
            self._calls = collector.task.reward.calls
            collector.begin(self._policy)
        for _ in range(steps):
            ended = collector.advance()
        return ended

    def finish(self, whole: int | None) -> Brought:
        """End the rollout; see `LocalCollector.finish`."""
        rollout, reward = self._collector.finish(whole), self._collector.task.reward
        prints = reward.prints.fetch() if reward.prints else ("", 0)
        return Brought(rollout, self.state(), reward.calls - self._calls, prints)

    def roll(self, weights: Weights, order: Order) -> Brought:
        """Drive a rollout from its beginning to its end."""
        self._collector.steps = order.taken
        self.drive(weights, 0)
        for _ in range(order.steps):
            if self.drive(None, 1) >= (order.episodes or math.inf):
                break
        return self.finish(order.episodes if order.whole else None)

    def state(self) -> State:
        """Everything that the next rollout depends on, but for the weights."""
        return self._collector.snapshot()

    def restore(self, state: State) -> None:
        """Return to a state."""
        self._collector.restore(state)


class Mate(Protocol):
    """Drives a share of the cars. Only `ended`, `brought` and `state` wait, but for what drives in this process."""

    def drive(self, weights: Any, steps: int) -> None:
        """Begin a rollout with weights that were published, or go on with it if they are None."""
        ...

    def ended(self) -> int:
        """How many episodes have ended in the rollout."""
        ...

    def finish(self, whole: int | None) -> None:
        """End the rollout; see Share."""
        ...

    def roll(self, weights: Any, order: Order) -> None:
        """Drive a whole rollout with weights that were published."""
        ...

    def ready(self) -> bool:
        """Whether what was asked for last is there."""
        ...

    def brought(self) -> Brought:
        """What the rollout brought."""
        ...

    def state(self) -> State:
        """Snapshot of the cars; not within a rollout."""
        ...

    def restore(self, state: State) -> None:
        """Return to a snapshot."""
        ...


class Workplace(Protocol):
    """Where mates work."""

    mates: Sequence[Mate]
    meanwhile: bool
    """Whether mates drive while this process does something else."""

    def wait(self, mates: Sequence[Mate], seconds: float) -> Sequence[Mate]:
        """Wait for whichever of some mates is ready first, at most for so long; returns those who may be."""
        ...

    def evaluation(self, maker: Maker[Evaluation]) -> Evaluating:
        """Let evaluations be driven here too; to be asked for once."""
        ...

    def publish(self, weights: Weights) -> Any:
        """Let all have some weights; returns what `drive` of mates and evaluations takes for them."""
        ...

    def close(self) -> None:
        """Let all mates go."""
        ...


class SharedCars:
    """Cars that are shared out among the mates of a workplace, in the order of their numbers: what all crews are.

    Args:
        workplace: where the mates are.
        counts: cars of each mate.
        task: the first of the cars, or more: what tells of them here. They are not driven, but count the first cars'
            episodes.
    """

    def __init__(self, workplace: Workplace, counts: Sequence[int], task: RacingTask) -> None:
        self.task = task
        self.cars = sum(counts)
        self._workplace = workplace
        self._counts = list(counts)
        self._states: list[State] = []
        self._note([mate.state() for mate in workplace.mates])

    def evaluator(self, maker: Maker[Evaluation], count: int, seed: int, tracks: Sequence[Track]) -> FarEvaluator:
        """Let evaluations be driven where the mates are; see FarEvaluator."""
        place = self._workplace
        return FarEvaluator(place.evaluation(maker), place.publish, self.task.reward, count, seed, tracks)

    def restore(self, snapshot: State) -> None:
        """Return to a snapshot of as many cars, whoever drove them."""
        states = split_state(snapshot, self._counts)
        for mate, state in zip(self._workplace.mates, states, strict=True):
            mate.restore(state)
        self._note(states)

    def _account(self, brought: Sequence[Brought]) -> None:
        """Tell the reward here what those of the mates did: as long as the slowest, since they did it at once."""
        reward = self.task.reward
        slowest = max(brought, key=lambda each: sum(each.rollout.seconds.values()))
        reward.calls += slowest.calls
        reward.seconds += slowest.rollout.seconds["reward"]
        if reward.prints:
            for text, left_out in (each.prints for each in brought):
                reward.prints.add_counted(text, left_out)

    def _note(self, states: Sequence[State]) -> None:
        """Keep where all shares are, and count the episodes of the cars here."""
        self._states = list(states)
        episodes: NDArray[Any] = np.concatenate([state["task"]["episodes"] for state in states])
        self.task.episodes[:] = episodes[: len(self.task.episodes)]


class Crew(SharedCars):
    """Mates who wait for each other: together they bring what one collector of all cars brings."""

    def collect(self, policy: Policy, budget: Budget) -> Rollout:
        """Let all mates drive; episodes go on from rollout to rollout."""
        mates = self._workplace.mates
        weights = self._workplace.publish(policy.state_dict())
        if budget.episodes is None:
            for mate in mates:
                mate.drive(weights, budget.steps)
        else:
            self._drive_in_step(weights, budget.steps, budget.episodes)
        for mate in mates:
            mate.finish(budget.episodes if budget.whole else None)
        brought = [mate.brought() for mate in mates]
        self._note([each.state for each in brought])
        self._account(brought)
        return joined([each.rollout for each in brought])

    def _drive_in_step(self, weights: Any, steps: int, episodes: int) -> None:
        """Let nobody begin a step before it is known that the rollout goes on: all end with the same one."""
        for _ in range(steps):
            for mate in self._workplace.mates:
                mate.drive(weights, 1)
            weights = None
            if sum(mate.ended() for mate in self._workplace.mates) >= episodes:
                break

    def snapshot(self) -> dict[str, Any]:
        """All cars, as those of a LocalCollector."""
        return joined_states(self._states)


class LocalMate:
    """A mate in this process: drives when it is asked to."""

    def __init__(self, maker: Maker[Share]) -> None:
        self._share = maker()
        self._ended = 0
        self._brought: Brought | None = None

    def drive(self, weights: Weights | None, steps: int) -> None:
        """Drive now."""
        self._ended = self._share.drive(weights, steps)

    def ended(self) -> int:
        """Answer at once."""
        return self._ended

    def finish(self, whole: int | None) -> None:
        """End the rollout now."""
        self._brought = self._share.finish(whole)

    def roll(self, weights: Weights, order: Order) -> None:
        """Drive now."""
        self._brought = self._share.roll(weights, order)

    def ready(self) -> bool:
        """Always."""
        return True

    def brought(self) -> Brought:
        """Answer at once."""
        if self._brought is None:
            raise RuntimeError("no rollout was finished")
        return self._brought

    def state(self) -> State:
        """Answer at once."""
        return self._share.state()

    def restore(self, state: State) -> None:
        """Return now."""
        self._share.restore(state)


class LocalWorkplace:
    """Mates in this process, one after the other: the fake of the tests, and a way to try what shares do."""

    def __init__(self, makers: Sequence[Maker[Share]], settings: Any = None, tell: Any = None) -> None:
        del settings, tell
        self.mates = [LocalMate(maker) for maker in makers]
        self.meanwhile = False

    def wait(self, mates: Sequence[Mate], seconds: float) -> Sequence[Mate]:
        """All are ready."""
        del seconds
        return mates

    def evaluation(self, maker: Maker[Evaluation]) -> Evaluation:
        """Make it in this process."""
        return maker()

    def publish(self, weights: Weights) -> Weights:
        """Hand them on as they are."""
        return weights

    def close(self) -> None:
        """Nobody is to be let go."""


WORKPLACES: Registry[Any] = Registry(
    "workplace",
    {
        "ray": "lateapex.workers.ray_crew:RayWorkplace [ray]",
        "local": "lateapex.workers.crew:LocalWorkplace",
    },
)
"""By name: makes a workplace of makers, one for each mate, its settings, and whom to tell of what is unexpected."""
