"""Evaluations that are driven at the workplace of a crew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from lateapex.env.reward_base import Reward
from lateapex.env.starts import StartPoses
from lateapex.models.drive import patience
from lateapex.models.policy import Policy
from lateapex.records import EpisodeRecord
from lateapex.training.evaluator import LocalEvaluator
from lateapex.world.track import Track


class Driven(NamedTuple):
    """What came of an evaluation."""

    episodes: list[EpisodeRecord]
    """`[N]` in the order of the cars."""
    calls: int
    """Of the reward in it."""
    seconds: float
    """That these took."""
    prints: tuple[str, int]
    """What the reward printed, and how many lines were left out."""


class Evaluation:
    """The cars of evaluations and the policy that drives them, in whatever process.

    Args:
        evaluator: of these cars.
        policy: takes the weights that come.
    """

    def __init__(self, evaluator: LocalEvaluator, policy: Policy) -> None:
        self._evaluator = evaluator
        self._policy = policy

    def drive(self, weights: dict[str, torch.Tensor], poses: StartPoses, clock: int, episode: int) -> Driven:
        """Evaluate some weights; see `training.evaluator.Evaluator`."""
        reward = self._evaluator.task.reward
        calls, seconds = reward.calls, reward.seconds
        self._policy.load_state_dict(weights)
        episodes = self._evaluator.evaluate(self._policy, poses, clock, episode)
        prints = reward.prints.fetch() if reward.prints else ("", 0)
        return Driven(episodes, reward.calls - calls, reward.seconds - seconds, prints)


class Evaluating(Protocol):
    """An Evaluation, wherever it is."""

    def drive(self, weights: Any, poses: StartPoses, clock: int, episode: int) -> Driven:
        """Wait for what comes of weights that were published.

        Raises:
            LateapexError: the evaluation failed, or cannot be had.
        """
        ...


class FarEvaluator:
    """An evaluator that lets others drive.

    Args:
        evaluation: drives.
        publish: makes of weights what `evaluation` takes for them.
        reward: hears what those elsewhere did.
        count: cars.
        seed: of the run.
        tracks: car i drives on track i modulo their number, and there are as many cars or more.
    """

    def __init__(
        self,
        evaluation: Evaluating,
        publish: Callable[[dict[str, torch.Tensor]], Any],
        reward: Reward,
        count: int,
        seed: int,
        tracks: Sequence[Track],
    ) -> None:
        self.count, self.seed, self.tracks = count, seed, tracks
        self.max_steps = patience(np.array([track.length for track in tracks]))
        self._evaluation, self._publish, self._reward = evaluation, publish, reward

    def evaluate(self, policy: Policy, poses: StartPoses, clock: int, episode: int) -> list[EpisodeRecord]:
        """Wait for those who drive."""
        driven = self._evaluation.drive(self._publish(policy.state_dict()), poses, clock, episode)
        reward = self._reward
        reward.calls += driven.calls
        reward.seconds += driven.seconds
        if reward.prints:
            reward.prints.add_counted(*driven.prints)
        return driven.episodes
