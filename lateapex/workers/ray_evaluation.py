"""Evaluations in an actor of their own, and in the next one where it is lost.

It takes no core for itself: mates wait while it drives, or share theirs with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lateapex.env.starts import StartPoses
from lateapex.workers.arrays import to_tensors
from lateapex.workers.evaluation import Driven, Evaluation
from lateapex.workers.makers import Maker
from lateapex.workers.ray_actor import Hosted, LastingActor


class _Evaluator(Hosted[Evaluation]):
    """An evaluation in a process of its own."""

    def drive(self, weights: Any, poses: StartPoses, clock: int, episode: int) -> Any:
        """See Evaluation."""
        return self._told(lambda: self.made.drive(to_tensors(weights), poses, clock, episode))


class RayEvaluation(LastingActor):
    """Evaluations in an actor. What comes of one depends on what was asked alone: the next actor is asked again."""

    def __init__(self, maker: Maker[Evaluation], tell: Callable[[str], None]) -> None:
        super().__init__(_Evaluator, maker, "the worker of evaluations", "the evaluation", tell)

    def drive(self, weights: Any, poses: StartPoses, clock: int, episode: int) -> Driven:
        """Wait for the actor."""

        def ask() -> Any:
            return self._actor.drive.remote(weights, poses, clock, episode)

        self._ask(ask, ask)
        driven: Driven = self._answer()
        self._held()
        return driven
