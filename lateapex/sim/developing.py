"""What becomes of a drawn picture: turned, blurred, darkened towards the corners, and noisy.

Everything here works on bytes, row by row; the channels of a coloured pixel are neighbours in a row.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.byte_math import between, dimmed, disturbed, smoothed
from lateapex.sim.kernel import kernel

NOISE_SCALE: Final = 32.0
"""Parts of a deviation in the table of noise."""
_NOISES: Final = 2**16
_LARGEST_PASS: Final = 0.5  # square pixels by which one pass over a picture may blur it
_MIX: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def noise_table(longest: int) -> NDArray[np.int8]:
    """Normal noise in parts of a deviation; whoever starts below 2**16 finds `longest` numbers from there on."""
    draw = np.random.Generator(np.random.Philox(key=20180102))
    parts = np.rint(draw.standard_normal(_NOISES + longest) * NOISE_SCALE)
    return np.clip(parts, -127, 127).astype(np.int8)


@kernel
def turn(source, out, slope, rows, weight, place, ends):  # type: ignore[no-untyped-def] # numba: uint8[H', W'] or [H', W', 3], uint8[H, W] or [H, W, 3], float, scratch uint8[3, B], uint16[B], int64[W + 1] twice
    """Turn a picture about its middle; `slope` is the tangent of the angle, positive: to the left.

    The source is larger by 1 / cos of the angle, and has margins. Each row is put together from runs of columns that
    look into the same two rows of the source, `B` = (W + 1) * channels bytes; then it is moved aside.
    """
    height, width = out.shape[0], out.shape[1]
    channels = out.size // (height * width)
    runs = 0
    for c in range(width + 1):
        down = 0.5 * (source.shape[0] - height) + (c + 0.5 - 0.5 * width) * slope
        row = int(np.floor(down))
        if runs == 0 or place[runs - 1] != row:
            place[runs] = row
            runs += 1
        ends[runs - 1] = (c + 1) * channels
        for channel in range(channels):
            weight[c * channels + channel] = np.uint16(256.0 * (down - row))
    lines = source.reshape(source.shape[0], source.shape[1] * channels)
    turned = out.reshape(height, width * channels)
    upper, lower, mean = rows[0], rows[1], rows[2]
    for r in range(height):
        right = 0.5 * (source.shape[1] - width) - (r + 0.5 - 0.5 * height) * slope
        first = int(np.floor(right))
        begin = 0
        for run in range(runs):
            end = ends[run]
            _copy(lines[r + place[run]][first * channels + begin :], upper[begin:end])
            _copy(lines[r + place[run] + 1][first * channels + begin :], lower[begin:end])
            begin = end
        for b in range(mean.size):
            mean[b] = between(upper[b], lower[b], weight[b])
        _move(turned[r], mean, mean[channels:], np.uint16(256.0 * (right - first)))


@kernel
def _copy(source, out):  # type: ignore[no-untyped-def] # numba: uint8[>= B], uint8[B]
    for b in range(out.size):
        out[b] = source[b]


@kernel
def _move(out, here, after, share):  # type: ignore[no-untyped-def] # numba: uint8[B], uint8[>= B] twice, uint16
    for b in range(out.size):
        out[b] = between(here[b], after[b], share)


@kernel
def blur(picture, deviation, rows):  # type: ignore[no-untyped-def] # numba: uint8[H, W] or [H, W, 3], pixels, scratch uint8[3, >= W * channels]
    """Blur by passes of three pixels each way, whose variances add up; the outermost pixels go on beyond the edge."""
    variance = deviation * deviation
    passes = int(np.ceil(variance / _LARGEST_PASS))
    weight = np.uint16(128.0 * variance / max(passes, 1) + 0.5)
    channels = picture.size // (picture.shape[0] * picture.shape[1])
    lines = picture.reshape(picture.shape[0], picture.shape[1] * channels)
    for _ in range(passes):
        if weight > 0:
            _blur_once(lines, channels, weight, rows)


@kernel
def _blur_once(lines, channels, weight, rows):  # type: ignore[no-untyped-def] # numba: uint8[H, B], int, uint16, uint8[3, >= B]
    height = lines.shape[0]
    _blur_line(lines[0], rows[0], channels, weight)
    _copy(rows[0], rows[2])
    for r in range(height):
        before, here, after = rows[(r + 2) % 3], rows[r % 3], rows[(r + 1) % 3]
        if r + 1 < height:
            _blur_line(lines[r + 1], after, channels, weight)
        else:
            _copy(here, after)
        out = lines[r]
        for b in range(out.size):
            out[b] = smoothed(before[b], here[b], after[b], weight)


@kernel
def _blur_line(line, out, channels, weight):  # type: ignore[no-untyped-def] # numba: uint8[B], uint8[>= B], int, uint16
    last = line.size - channels
    before, middle, after, inner = line[:last], line[channels:], line[2 * channels :], out[channels:]
    for b in range(after.size):
        inner[b] = smoothed(before[b], middle[b], after[b], weight)
    for b in range(channels):
        out[b] = smoothed(line[b], line[b], line[min(b + channels, last + b)], weight)
        out[last + b] = smoothed(line[max(last + b - channels, b)], line[last + b], line[last + b], weight)


@kernel
def darken(picture, share, taken):  # type: ignore[no-untyped-def] # numba: uint8[H, W] or [H, W, 3], share, scratch uint16[W * channels]
    """Take from each pixel with the square of its distance from the middle, at a corner `share` of its level."""
    height, width = picture.shape[0], picture.shape[1]
    channels = picture.size // (height * width)
    part = 256.0 * share / (0.25 * (width * width + height * height))
    lines = picture.reshape(height, width * channels)
    for c in range(width):
        for channel in range(channels):
            taken[c * channels + channel] = np.uint16(part * (c + 0.5 - 0.5 * width) ** 2)
    for r in range(height):
        line = lines[r]
        kept = np.uint16(256.5 - part * (r + 0.5 - 0.5 * height) ** 2)
        for b in range(line.size):
            line[b] = dimmed(line[b], kept, taken[b])


@kernel
def disturb(picture, deviation, key, noise):  # type: ignore[no-untyped-def] # numba: uint8[H, W] or [H, W, 3], levels, uint64, see noise_table
    """Add noise to each byte; each row's begins at a place of the table that follows from `key`."""
    strength = np.int16(deviation * 128.0 / NOISE_SCALE + 0.5)
    size = picture.size // picture.shape[0]
    lines = picture.reshape(picture.shape[0], size)
    for r in range(picture.shape[0]):
        key = np.uint64(key + _MIX[0])
        start = np.int64(mixed(key) >> np.uint64(48))
        line, added = lines[r], noise[start : start + size]
        for b in range(line.size):
            line[b] = disturbed(line[b], added[b], strength)


@kernel
def mixed(key):  # type: ignore[no-untyped-def] # numba: uint64 -> uint64
    """Scatter the bits of a number (Stafford's variant 13 of MurmurHash3's finaliser)."""
    key = np.uint64((key ^ (key >> np.uint64(30))) * _MIX[1])
    key = np.uint64((key ^ (key >> np.uint64(27))) * _MIX[2])
    return np.uint64(key ^ (key >> np.uint64(31)))
