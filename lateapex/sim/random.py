"""Random numbers that depend on what they are for, not on when they are drawn.

Philox 4x32 with 10 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
a number is a pure function of the seed (key) and of (car, episode, purpose, index) (counter). So a run is the same
for any number of threads, any order of drawing, and after a restart.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.sim.kernel import kernel

START: Final = 1
"""Purpose: where an episode starts."""
ACTION: Final = 2
"""Purpose: which action a stochastic policy takes; index is the step."""
SHUFFLE: Final = 3
"""Purpose: the order of samples in an update."""
WEIGHTS: Final = 4
"""Purpose: the network's first weights."""
INPUT: Final = 5
"""Purpose: what transforms do to a picture while training; index is the step."""
LIDAR_NOISE: Final = 21
"""Purpose: the noise of a lidar; index is 16 times the step, plus the place of four beams."""
OBSTACLE: Final = 11
"""Purpose: where obstacles and bot cars stand; the car is the world, index is the thing."""
LANE_CHANGE: Final = 12
"""Purpose: when a bot car changes lanes; the car is the world, index is 65536 times the bot, plus the change."""
DISTURBANCE: Final = 32
"""Purpose: the noise of a command, and the jolts of a car; index is the step."""
SCENE: Final = 31
"""Purpose: what varies in an episode; index is a quarter of the quantity's place."""
PICTURE_NOISE: Final = 33
"""Purpose: the key of the noise in an episode's pictures."""
OWN_SCENE: Final = 34
"""Purpose: the key of what a user's own scene draws for an episode."""
TEACHER: Final = 6
"""Purpose: whether a teacher takes the action; index is the step."""

_M0: Final = np.uint64(0xD2511F53)
_M1: Final = np.uint64(0xCD9E8D57)
_W0: Final = np.uint64(0x9E3779B9)
_W1: Final = np.uint64(0xBB67AE85)
_LOW: Final = np.uint64(0xFFFFFFFF)
_32: Final = np.uint64(32)


@kernel
def philox(c0, c1, c2, c3, key):  # type: ignore[no-untyped-def] # numba: uint64 below 2**32 each, uint64[2] -> four of them
    """Ten rounds on one counter."""
    k0, k1 = key[0], key[1]
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@kernel
def _philox(counter, key):  # type: ignore[no-untyped-def] # numba compiles it for uint64 arrays [N, 4] and [2]
    """Ten rounds on each row of `counter`, in place."""
    for i in range(counter.shape[0]):
        c0, c1, c2, c3 = philox(counter[i, 0], counter[i, 1], counter[i, 2], counter[i, 3], key)
        counter[i, 0], counter[i, 1], counter[i, 2], counter[i, 3] = c0, c1, c2, c3


def key_of(seed: int) -> NDArray[np.uint64]:
    """A seed as the key that kernels take, `[2]`."""
    return np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint64)


def words(seed: int, car: ArrayLike, episode: ArrayLike, purpose: int, index: ArrayLike = 0) -> NDArray[np.uint64]:
    """Four random 32-bit words for each (car, episode, index).

    Args:
        seed: 0 <= seed < 2**64.
        car, episode, index: whole numbers below 2**32; broadcast against each other to `[N]`, row by row.
        purpose: one of this module's constants, so that uses of the same car and episode are independent.

    Returns:
        `[N, 4]`, each below 2**32.
    """
    parts = (car, episode, purpose, index)
    shape = np.broadcast(*parts).shape
    counter = np.empty((*shape, 4), np.uint64)
    for place, part in enumerate(parts):
        counter[..., place] = part
    rows = counter.reshape(-1, 4)
    _philox(rows, key_of(seed))
    return rows


def uniforms(seed: int, car: ArrayLike, episode: ArrayLike, purpose: int, index: ArrayLike = 0) -> NDArray[np.float64]:
    """Four random numbers, uniform in 0 <= u < 1, for each (car, episode, index): `[N, 4]`; arguments as `words`."""
    return words(seed, car, episode, purpose, index).astype(np.float64) * 2.0**-32
