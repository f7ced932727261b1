"""Rollouts that older versions of a policy may have driven, until an update is made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lateapex.training.rollout import Rollout, joined
from lateapex.workers.ledger import BatchId


class Held(NamedTuple):
    """A rollout that no update was made of yet."""

    id: BatchId
    version: int
    """Of the policy that drove it."""
    rollout: Rollout

    @property
    def kind(self) -> tuple[Any, ...]:
        """What those have in common that can be joined."""
        return len(self.rollout.rewards), self.rollout.labels is None, *sorted(self.rollout.actor_stem)


class InHand:
    """The rollouts that wait for an update, in the order in which it takes them.

    Args:
        together: how many of one kind make an update.
        max_stale: versions that a rollout's policy may be behind the newest.
        lessons_alone: whether a rollout with a teacher's labels makes an update by itself.
    """

    def __init__(self, together: int, max_stale: int, *, lessons_alone: bool = False) -> None:
        self._together, self._max_stale, self._lessons_alone = together, max_stale, lessons_alone
        self._held: list[Held] = []

    def __len__(self) -> int:
        """How many wait."""
        return len(self._held)

    def add(self, held: Held) -> None:
        """Let one wait behind those of its version and of older ones."""
        self._held.append(held)
        self._held.sort(key=lambda each: each.version)

    def drop_stale(self, version: int) -> list[BatchId]:
        """Let go of those that are too old for an update of this version; returns which."""
        stale = [each.id for each in self._held if version - each.version > self._max_stale]
        self._leave(stale)
        return stale

    def enough(self, *, no_more: bool = False) -> list[Held]:
        """Return what the next update is made of, all of one kind; nothing while more has to come.

        Args:
            no_more: whether nothing else can come, so that what is there has to do.
        """
        some = [each for each in self._held if each.kind == self._held[0].kind]
        together = 1 if some and self._lessons_alone and some[0].rollout.labels is not None else self._together
        return some[:together] if len(some) >= together or no_more else []

    def take(self, some: Sequence[Held], version: int) -> Rollout:
        """Join some of them, in this order, for an update of a version; its `behind` says how old they are."""
        self._leave([each.id for each in some])
        return joined([_aged(each.rollout, version - each.version) for each in some])

    def shares(self) -> Counter[int]:
        """How many of each share wait."""
        return Counter(each.id.share for each in self._held)

    def clear(self) -> list[BatchId]:
        """Let go of all; returns which."""
        ids = [each.id for each in self._held]
        self._held.clear()
        return ids

    def _leave(self, ids: Sequence[BatchId]) -> None:
        chosen = set(ids)
        self._held = [each for each in self._held if each.id not in chosen]


def _aged(rollout: Rollout, behind: int) -> Rollout:
    cars = rollout.rewards.shape[1]
    return rollout._replace(behind=np.full(cars, behind, np.int64) if behind else None)
