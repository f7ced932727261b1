"""Which tracks are the same circuit: driven the other way, mirrored, wider, larger, or under another name.

A model that was trained on one of a family has seen the others, so a family is never split into tracks to learn from
and tracks to be judged on. Two tracks are of one family when

* their middle lines have the same shape, whatever its place, size, direction, start line and side of the mirror, or
* their names differ by an ending alone that tells the direction: `_cw`, `_ccw`, `_mirrored`.

Shapes are compared as points at even steps along the middle line: complex numbers about their mean, of mean square 1.
Turning one shape and shifting its start line are the best match of the two, found by Fourier transform for all shifts
at once. Copies of the official routes differ by up to 0.035 (0.03 is the wide version of the first re:Invent circuit),
the most alike of different ones by 0.07.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lateapex.world.track import Track

Shape: TypeAlias = NDArray[np.complex128]

ALIKE: Final = 0.05
"""Largest distance of two shapes of one family; 0: the same, 1.4: nothing in common."""
_POINTS: Final = 256
_ENDINGS: Final = ("_ccw", "_cw", "_mirrored")


def families_of(tracks: Sequence[Track]) -> list[int]:
    """Number the families of some tracks, `[len(tracks)]`, from 0 in the order of their first tracks."""
    shapes = [shape_of(track) for track in tracks]
    stems = [_stem(track.name) for track in tracks]
    found = list(range(len(tracks)))
    for place, track in enumerate(tracks):
        for other in range(place):
            if found[other] == found[place]:
                continue
            alike = tracks[other].closed == track.closed and (
                distance(shapes[other], shapes[place], closed=track.closed) <= ALIKE
            )
            if alike or stems[other] == stems[place]:
                joined, gone = sorted((found[other], found[place]))
                found = [joined if family == gone else family for family in found]
    numbers = {family: number for number, family in enumerate(dict.fromkeys(found))}
    return [numbers[family] for family in found]


def shape_of(track: Track) -> Shape:
    """The middle line of a track as points at even steps, free of place and size."""
    line = 0.5 * (track.inner + track.outer)
    if track.closed:
        line = np.concatenate([line, line[:1]])
    ways = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0.0, ways[-1], _POINTS, endpoint=not track.closed)
    points = np.interp(at, ways, line[:, 0]) + 1j * np.interp(at, ways, line[:, 1])
    points -= points.mean()
    return np.asarray(points / np.sqrt(np.mean(np.abs(points) ** 2)))


def distance(one: Shape, two: Shape, *, closed: bool = True) -> float:
    """How far two shapes are apart where they lie on each other best, as a share of their size.

    Args:
        closed: both are loops, whose start lines are where they are by chance; else both have two ends.
    """
    looks = (two, two[::-1], two.conj(), two[::-1].conj())
    if closed:
        spectrum = np.fft.fft(one)
        match = max(np.abs(np.fft.ifft(spectrum * np.fft.fft(look).conj())).max() for look in looks)
    else:
        match = max(np.abs(np.vdot(look, one)) for look in looks)
    return float(np.sqrt(max(2.0 - 2.0 * float(match) / len(one), 0.0)))


def _stem(name: str) -> str:
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name
