"""What is sensed reaches a car late: each step's bytes change places with those of some steps before.

`N` cars; each has a latency of its own, in steps. Before its first picture is old enough a car sees that one, as if it
had stood there before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.kernel import kernel


class Delays:
    """Holds back what is written into an array.

    Args:
        seen: `[N, ...]` of any type; what belongs to one car lies together in memory.
    """

    def __init__(self, seen: NDArray[Any]) -> None:
        self._seen = seen.reshape(len(seen), -1).view(np.uint8)
        assert np.shares_memory(self._seen, seen) or not seen.size
        self.latency = np.zeros(len(seen), np.int64)
        """`[N]` steps; that of a car changes at its age 0 alone."""
        self._held = np.zeros((len(seen), 0, self._seen.shape[1]), np.uint8)
        self.hold_back(np.zeros(0, np.int64), np.zeros(len(seen), np.int64))

    def hold_back(self, cars: NDArray[np.int64], ages: NDArray[np.int64]) -> None:
        """Put what these cars are to see now into their rows, in place of what is seen there now.

        Args:
            cars: `[M]` which.
            ages: `[N]` steps since each car's first picture; each age of a car comes once, and in order.
        """
        longest = int(self.latency[cars].max(initial=0))
        if longest > self._held.shape[1]:
            more = longest - self._held.shape[1]
            self._held = np.concatenate(
                [self._held, np.zeros((len(self._seen), more, self._seen.shape[1]), np.uint8)], 1
            )
        _hold_back(cars, ages.astype(np.int64), self.latency, self._seen, self._held)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """What is held back, as copies."""
        return {"latency": self.latency.copy(), "bytes": self._held.copy()}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Return to a snapshot of as many cars."""
        self.latency[:] = snapshot["latency"]
        self._held = np.array(snapshot["bytes"])


@kernel
def _hold_back(cars, ages, latency, seen, held):  # type: ignore[no-untyped-def] # numba: int64[M], int64[N], int64[N], uint8[N, B], uint8[N, longest, B]
    for n in range(cars.size):
        i = cars[n]
        if latency[i] == 0:
            continue
        if ages[i] == 0:
            for place in range(latency[i]):
                _copy(seen[i], held[i, place])
        else:
            _swap(seen[i], held[i, ages[i] % latency[i]])


@kernel
def _copy(one, other):  # type: ignore[no-untyped-def] # numba: uint8[B] each
    for b in range(one.size):
        other[b] = one[b]


@kernel
def _swap(one, other):  # type: ignore[no-untyped-def] # numba: uint8[B] each
    for b in range(one.size):
        kept = one[b]
        one[b] = other[b]
        other[b] = kept
