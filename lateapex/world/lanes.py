"""Where the two lanes of a road run: smooth lines halfway between the centre line and each border.

As in the original each is a cubic spline through the middles of the centre and border points of every row, over the
way along the centre line (`markov/track_geom` of aws-deepracer-community/deepracer-simapp).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.world.track import Track

INNER: Final = 1
OUTER: Final = -1
"""Lanes, as OBJECT_POSITIONS of the original writes them."""

_APART: Final = 1e-6  # m; points nearer to each other are one


class Lanes(NamedTuple):
    """Both lanes of a track; `S` pieces between points of the centre line."""

    stops: NDArray[np.float64]
    """[S + 1] m along the centre line where the pieces begin, and where the last ends."""
    powers: NDArray[np.float64]
    """[S, 2, 2, 4] piece, lane (inner, outer), (x, y), factors of the way into the piece: cubic one first."""


def lanes_of(track: Track) -> Lanes:
    """Fit the lanes of a track; points that repeat the one before are passed over."""
    centre, stops = track.center, track.along
    middles = np.stack([0.5 * (centre + border) for border in (track.inner, track.outer)], axis=1)
    if track.closed:
        stops, middles = np.append(stops, track.length), np.concatenate([middles, middles[:1]])
    kept = np.append(True, np.diff(stops) > _APART)
    if track.closed and not kept[-1]:  # the closing point stays, in place of the one that it repeats
        kept[np.flatnonzero(kept)[-1]], kept[-1] = False, True
    return Lanes(stops[kept], _spline(stops[kept], middles[kept], track.closed))


def _spline(stops: NDArray[np.float64], points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """Cubic spline through points `[S + 1, 2, 2]`: smooth where a loop closes, without bend at the ends of a line.

    The slopes at the points solve the equations that make the second derivative continuous (de Boor, "A practical
    guide to splines", chapter IV).
    """
    step = np.diff(stops)[:, None]
    rise = np.diff(points, axis=0).reshape(len(step), -1) / step
    count = len(stops)
    matrix, right = np.zeros((count, count)), np.zeros((count, rise.shape[1]))
    for n in range(count):
        before, after = (n - 1) % (count - 1), n % (count - 1)
        if closed or 0 < n < count - 1:
            low, high = step[before, 0], step[after, 0]
            matrix[n, before] += high
            matrix[n, after if n == count - 1 else n] += 2.0 * (low + high)
            matrix[n, after + 1] += low
            right[n] = 3.0 * (high * rise[before] + low * rise[after])
    if closed:
        matrix[-1], right[-1] = 0.0, 0.0
        matrix[-1, 0], matrix[-1, -1] = 1.0, -1.0
    else:
        matrix[0, :2], matrix[-1, -2:] = (2.0, 1.0), (1.0, 2.0)
        right[0], right[-1] = 3.0 * rise[0], 3.0 * rise[-1]
    slope = np.linalg.solve(matrix, right)
    cubic = (slope[:-1] + slope[1:] - 2.0 * rise) / step**2
    square = (3.0 * rise - 2.0 * slope[:-1] - slope[1:]) / step
    start = points[:-1].reshape(len(step), -1)
    factors = np.stack([cubic, square, slope[:-1], start], axis=-1)
    return factors.reshape(len(step), 2, 2, 4)
