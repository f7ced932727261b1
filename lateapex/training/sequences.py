"""How a rollout is dealt out in minibatches: step by step, or in sequences for networks with a memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Part(NamedTuple):
    """A minibatch of B sequences of L steps each; rows are counted t * N + n over a rollout of T steps and N cars."""

    rows: Tensor
    """`[L * B]` all steps, step by step"""
    first: Tensor
    """`[B]` the first step of each"""
    length: int
    """L"""
    counted: Tensor | None
    """Places in `rows` of those that count, where another sequence holds the others too; None: all."""


class Sequences:
    """All sequences of a rollout.

    Every step counts once. Where T is no multiple of the length, the last sequence of each car begins earlier, in
    steps that count in the one before.

    Args:
        shape: T, N.
        length: L, at most T.
        batch_size: steps of a minibatch; fewer if there are fewer.
    """

    def __init__(self, shape: tuple[int, ...], length: int, batch_size: int) -> None:
        steps, cars = shape
        self.length = length
        starts = np.arange(0, steps, length)
        begins = np.minimum(starts, steps - length)
        self._first = (begins[:, None] * cars + np.arange(cars)).ravel()
        self._skipped = np.repeat(starts - begins, cars)
        self._cars = cars
        samples = steps * cars
        size = min(batch_size, 1 << (samples.bit_length() - 1))
        self._size = max(1, min(size // length, len(self._first)))

    def shuffled(self, shuffle: np.random.Generator) -> Iterator[Part]:
        """Minibatches of one epoch; the last, if it is not full, is dropped."""
        order = shuffle.permutation(len(self._first))
        for at in range(0, len(order) - self._size + 1, self._size):
            yield self._part(order[at : at + self._size])

    def _part(self, some: NDArray[np.int64]) -> Part:
        first, steps = self._first[some], np.arange(self.length)[:, None]
        rows = torch.from_numpy((first + steps * self._cars).ravel())
        counts = steps >= self._skipped[some]
        counted = None if counts.all() else torch.from_numpy(np.flatnonzero(counts.ravel()))
        return Part(rows, torch.from_numpy(first), self.length, counted)
