"""What off-policy learning remembers: the newest steps of all cars, on disk in pieces.

Each rollout is stored as its T rows of N cars and one more, of what was seen after the last step; so the state that a
step led to is always the row below. That last row, and steps that were cut off, lead nowhere and are never drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lateapex.models.networks import Stem
from lateapex.storage import Storage
from lateapex.training.ring import Ring
from lateapex.training.rollout import Rollout

FOLDER: Final = "model/replay/"


class Transitions(NamedTuple):
    """`B` steps, drawn from the memory."""

    actor_stem: Stem
    """`[B, ...]` each"""
    critic_stem: Stem
    next_critic_stem: Stem
    actor_memory: Tensor
    """`[B, M]`"""
    actions: Tensor
    """`[B]`, or `[B, D]`"""
    rewards: Tensor
    """`[B]`"""
    goes_on: Tensor
    """`[B]` 0 where a rule ended the episode with the step, 1 elsewhere"""


class Replay:
    """The newest steps, drawn at random.

    Args:
        capacity: steps that are remembered at most, over all cars.
    """

    def __init__(self, capacity: int) -> None:
        self._ring = Ring(capacity, FOLDER)

    def __len__(self) -> int:
        """Steps that can be drawn."""
        return int(self._ring.columns["leads_on"].sum()) if self._ring.columns else 0

    def add(self, rollout: Rollout) -> None:
        """Remember a rollout; the oldest rows give way."""
        self._ring.add(
            {
                **_stem("actor/", rollout.actor_stem, rollout.last.actor_stem),
                **_stem("critic/", rollout.critic_stem, rollout.last.critic_stem),
                # What was remembered when an episode began is forgotten then.
                "memory": _with(rollout.actor_memory.masked_fill(rollout.fresh[:, :, None], 0.0)),
                "actions": _with(rollout.actions),
                "rewards": _with(torch.from_numpy(rollout.rewards)),
                "goes_on": _with(torch.from_numpy((~rollout.terminated).astype(np.float32))),
                "leads_on": _with(torch.from_numpy(~rollout.truncated)),
            }
        )

    def draw(self, count: int, random: np.random.Generator) -> Transitions:
        """Draw steps, each as likely as any other, with repetition."""
        columns = self._ring.columns
        leads_on = columns["leads_on"].numpy()
        places = np.flatnonzero(leads_on)
        chosen = places[random.integers(0, len(places), count)]
        row, car = (torch.from_numpy(part) for part in np.divmod(chosen, leads_on.shape[1]))
        below = (row + 1) % len(leads_on)

        def stem(part: str, at: Tensor) -> Stem:
            return {name.removeprefix(part): value[at, car] for name, value in columns.items() if name.startswith(part)}

        return Transitions(
            stem("actor/", row),
            stem("critic/", row),
            stem("critic/", below),
            *(columns[name][row, car] for name in ("memory", "actions", "rewards", "goes_on")),
        )

    def save(self, storage: Storage) -> dict[str, Any]:
        """Write what is not on disk yet; see `Ring.save`."""
        return self._ring.save(storage)

    def tidy(self, storage: Storage) -> None:
        """Delete pieces that the saved state no longer names."""
        self._ring.tidy(storage)

    def restore(self, state: Mapping[str, Any], storage: Storage) -> None:
        """Read back what `save` named; errors as `Ring.restore`."""
        self._ring.restore(state, storage)


def _stem(part: str, stem: Stem, last: Stem) -> Stem:
    return {f"{part}{name}": _with(value, last[name]) for name, value in stem.items()}


def _with(values: Tensor, last: Tensor | None = None) -> Tensor:
    """Rows `[T, N, ...]` and one more; of zeros if not given."""
    return torch.cat([values, torch.zeros_like(values[:1]) if last is None else last[None]])
