"""Chance in a reward function: `random` and `numpy.random` begin anew at each call, by seed, car, episode and step.

So a run with such a reward can be repeated and resumed like any other, and cars do not take numbers from each other.
A keyed hash makes the seeds, not `sim.random`: the sandbox's process does without the compiler that draws those.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

LOADING: Final = 0xFFFFFFFF
"""In place of an episode: while the file is loaded."""


class OwnRandom:
    """The generators that a file may use, as it names them.

    Args:
        text: the file; one without the word "random" costs nothing.
        seed: of the run.
        first_car: number of the first car.
    """

    def __init__(self, text: str, seed: int, first_car: int = 0) -> None:
        self.used = "random" in text
        self._numpy = self.used and "numpy" in text
        self._seed = seed & 0xFFFFFFFFFFFFFFFF
        self._first_car = first_car

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Give the process its own state back in the end."""
        if not self.used:
            yield
            return
        before = random.getstate()
        before_numpy = np.random.get_state() if self._numpy else None  # noqa: NPY002 - the racers' own
        try:
            yield
        finally:
            random.setstate(before)
            if before_numpy is not None:
                np.random.set_state(before_numpy)  # noqa: NPY002 - racers draw from the old generator

    def begin(self, car: int, episode: int, step: int) -> None:
        """Seed what the file uses, for one call."""
        number = self._first_car + car
        words = struct.pack("<QIII", self._seed, number & 0xFFFFFFFF, episode & 0xFFFFFFFF, step & 0xFFFFFFFF)
        key = int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "little")
        random.seed(key)
        if self._numpy:
            np.random.seed(key & 0xFFFFFFFF)  # noqa: NPY002 - racers draw from the old generator
