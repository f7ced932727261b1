"""Putting together what networks keep of what was seen.

Where actor and critic keep the same, both names stand for one object; it stays one through all that is done with it,
so that it is stored, copied and sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lateapex.models.networks import Stem


def of_both(
    actors: Sequence[Stem], critics: Sequence[Stem], make: Callable[[Sequence[Stem]], Stem]
) -> tuple[Stem, Stem]:
    """What comes of the actor's parts and of the critic's: one object where each part is one.

    Args:
        actors, critics: as many of each.
        make: what to do with either.
    """
    made = make(actors)
    same = all(one is other for one, other in zip(actors, critics, strict=True))
    return made, made if same else make(critics)


def of_each(actor: Stem, critic: Stem, make: Callable[[Stem], Stem]) -> tuple[Stem, Stem]:
    """What comes of the actor's and of the critic's: one object where they are one."""
    return of_both([actor], [critic], lambda stems: make(stems[0]))


def joined(stems: Sequence[Stem], dim: int = 0) -> Stem:
    """All of them, one after another along a dimension."""
    return {name: torch.cat([stem[name] for stem in stems], dim) for name in stems[0]}


def stacked(stems: Sequence[Stem]) -> Stem:
    """All of them along a new first dimension."""
    return {name: torch.stack([stem[name] for stem in stems]) for name in stems[0]}


def flat(stem: Stem) -> Stem:
    """`[T, N, ...]` -> `[T * N, ...]`."""
    return {name: value.flatten(0, 1) for name, value in stem.items()}


def rows_of(stem: Stem, rows: Tensor) -> Stem:
    """Some of the rows."""
    return {name: value[rows] for name, value in stem.items()}
