"""What a track is like: its widths, its tightest bend, and what is odd about it.

Loading refuses what cannot be driven at all. Many an official route has quirks that can: points twice, a centre line
off the middle, borders that touch themselves in tight bends. Those are found here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lateapex.world.track import Track

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

REACH: Final = 0.3
"""m before and after a waypoint over which its bend is measured; over less, rounded coordinates look like bends"""
OFF_MIDDLE: Final = 0.02
"""m by which a centre line may lie off the middle of its borders"""
STRAIGHT: Final = 1e-3
"""1/m; the curvature below which a road counts as straight"""


@dataclass(frozen=True)
class Inspection:
    """Facts on one track."""

    points: int
    """Of the centre line as a reward function sees them: on a loop the first comes again at the end."""
    length: float
    """m, of the centre line"""
    widths: tuple[float, float, float]
    """m, smallest, median and largest distance of the two border points of a row"""
    direction: str
    """"counter-clockwise" or "clockwise" as driven, or "open"."""
    tightest_radius: float
    """m, of the centre line; infinite where there is no bend"""
    tightest_at: int
    """Index of the waypoint there."""
    quirks: tuple[str, ...]
    """What is odd, one sentence each."""


def inspect_track(track: Track) -> Inspection:
    """Measure a track and look for quirks."""
    widths = np.hypot(*(track.inner - track.outer).T)
    curvatures = np.abs(_curvatures(track))
    # The first of those that differ by rounding alone.
    tightest = int(np.flatnonzero(curvatures >= curvatures.max() * (1 - 1e-6))[0])
    turning = "counter-clockwise" if track.is_ccw else "clockwise"
    return Inspection(
        points=len(track.waypoints),
        length=track.length,
        widths=(float(widths.min()), track.width, float(widths.max())),
        direction=turning if track.closed else "open",
        tightest_radius=1 / float(curvatures[tightest]) if curvatures[tightest] > STRAIGHT else math.inf,
        tightest_at=tightest,
        quirks=tuple(_quirks(track)),
    )


def _curvatures(track: Track) -> Floats:
    """[P] in 1/m, left positive: of the circle through a point and those `REACH` or more before and after it.

    Zero where an open track has no such points.
    """
    points, along, count = track.center, track.along, len(track.center)
    rows = np.arange(count)
    if track.closed:
        points, rows = np.tile(points, (3, 1)), rows + count
        along = np.concatenate([along - track.length, along, along + track.length])
    reach = min(REACH, track.length / 3) - 1e-9  # as near as rounding allows
    before = np.searchsorted(along, along[rows] - reach, side="right") - 1
    after = np.searchsorted(along, along[rows] + reach, side="left")
    inside = (before >= 0) & (after < len(points))
    a, b, c = points[before[inside]], points[rows[inside]], points[after[inside]]
    sides = np.prod([np.hypot(*(q - p).T) for p, q in ((a, b), (b, c), (a, c))], axis=0)
    curvatures = np.zeros(count)
    # 4 * area / product of the sides; a way there and back again has no side c.
    np.divide(2 * _cross(b - a, c - a), sides, out=(part := np.zeros(len(sides))), where=sides > 0)
    curvatures[inside] = part
    return curvatures


def _quirks(track: Track) -> list[str]:
    found = []
    repeated = np.flatnonzero(np.diff(track.along) == 0) + 1
    if len(repeated):
        found.append(f"{_count(repeated, 'point repeats', 'points repeat')} the one before: waypoint {_list(repeated)}")
    off = np.hypot(*((track.inner + track.outer) / 2 - track.center).T)
    if off.max() > OFF_MIDDLE:
        found.append(
            f"the centre line is up to {off.max():.2f} m off the middle of the borders: waypoint {off.argmax()}"
        )
    for name, border in (("centre line", track.center), ("inner border", track.inner), ("outer border", track.outer)):
        touching = _meetings(border, track.closed)
        if len(touching):
            found.append(f"the {name} touches or crosses itself: near waypoint {_list(touching)}")
    crossing = _crossings(track)
    if len(crossing):
        found.append(f"the borders touch or cross each other: near waypoint {_list(crossing)}")
    return found


def _meetings(line: Floats, closed: bool) -> Indices:
    """Indices of points where a line meets itself other than at the joint of two neighbours."""
    kept = np.flatnonzero(np.append(True, np.any(np.diff(line, axis=0) != 0, axis=1)))
    starts, ends = _segments(line[kept], closed)
    count = len(starts)
    met = []
    for i in range(count - 2):
        last = count - (closed and i == 0)
        others = np.arange(i + 2, last)
        met += [(i, int(j)) for j in others[_meet(starts[i], ends[i], starts[others], ends[others])]]
    return np.unique(kept[[first for first, _ in met]]) if met else np.zeros(0, np.intp)


def _crossings(track: Track) -> Indices:
    """Indices of inner points where the inner border meets the outer."""
    starts, ends = _segments(track.inner, track.closed)
    others = _segments(track.outer, track.closed)
    return np.array([i for i in range(len(starts)) if _meet(starts[i], ends[i], *others).any()], np.intp)


def _segments(line: Floats, closed: bool) -> tuple[Floats, Floats]:
    return (line, np.roll(line, -1, axis=0)) if closed else (line[:-1], line[1:])


def _meet(a: Floats, b: Floats, starts: Floats, ends: Floats) -> NDArray[np.bool_]:
    """Whether the segment from a to b has a point in common with each of others, [n]."""
    sides_of_others = _cross(b - a, starts - a) * _cross(b - a, ends - a)
    sides_of_ab = _cross(ends - starts, a - starts) * _cross(ends - starts, b - starts)
    # Of segments on one line the products are zero; those meet if their boxes do.
    apart = np.any(
        (np.minimum(starts, ends) > np.maximum(a, b)) | (np.maximum(starts, ends) < np.minimum(a, b)), axis=1
    )
    return np.asarray((sides_of_others <= 0) & (sides_of_ab <= 0) & ~apart)


def _cross(a: Floats, b: Floats) -> Floats:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _count(places: Indices, one: str, several: str) -> str:
    return f"1 {one}" if len(places) == 1 else f"{len(places)} {several}"


def _list(places: Indices) -> str:
    shown = ", ".join(str(place) for place in places[:5])
    return f"{shown} and {len(places) - 5} more" if len(places) > 5 else shown
