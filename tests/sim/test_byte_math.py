"""Arithmetic on bytes, against the same on whole numbers of any size."""

from __future__ import annotations

import numpy as np
from numba import njit

from lateapex.sim.byte_math import between, dimmed, disturbed, smoothed

BYTES = np.arange(256, dtype=np.int64)


@njit  # type: ignore[untyped-decorator]  # numba has no types
def _all(one, other, noise, weight, strength, out):  # type: ignore[no-untyped-def]  # numba compiles it
    for n in range(one.size):
        out[0, n] = between(one[n], other[n], weight)
        out[1, n] = smoothed(one[n], other[n], one[n], np.uint16(weight >> np.uint16(2)))
        out[2, n] = dimmed(one[n], np.uint16(256), weight)
        out[3, n] = disturbed(one[n], noise[n], strength)


def test_every_byte_at_many_weights_is_what_whole_numbers_give() -> None:
    draw = np.random.default_rng(1)
    one, other = np.repeat(BYTES, 8), draw.integers(0, 256, 2048)
    noise = draw.integers(-127, 128, 2048)
    other[:16], noise[:16] = 255, 127
    for weight in (0, 1, 77, 128, 255, 256):
        out = np.zeros((4, 2048), np.uint8)
        strength = weight // 2 + 32
        _all(
            one.astype(np.uint8), other.astype(np.uint8), noise.astype(np.int8), np.uint16(weight), np.int16(strength),
            out,
        )  # fmt: skip
        quarter = weight // 4
        expected = [
            (one * (256 - weight) + other * weight + 128) // 256,
            (2 * one * quarter + other * (256 - 2 * quarter) + 128) // 256,
            (one * (256 - weight) + 128) // 256,
            np.clip(one + (noise * strength + 64) // 128, 0, 255),
        ]
        np.testing.assert_array_equal(out, np.array(expected))
