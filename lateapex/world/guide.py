"""A smooth line through the road with evenly spaced stations, and how much road there is to either side of it.

The frame in which a racing line is planned: a place is a station of the guide and an offset along its normal. The
nearer the guide is to the line, the less its curvature distorts. No optimiser and no vehicle dynamics here.

Symbols: `S` stations. Metres and radians; left positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lateapex.world.track import Track

Floats = NDArray[np.float64]

_FINER = 16  # points on the curve from one given point to the next


@dataclass(frozen=True, eq=False)
class Guide:
    """Stations of a line; those of a loop do not repeat the first."""

    points: Floats
    """[S, 2] m"""
    headings: Floats
    """[S] rad, unwrapped"""
    curvatures: Floats
    """[S] 1/m"""
    spacing: float
    """m from station to station"""
    closed: bool

    @property
    def normals(self) -> Floats:
        """Unit vectors to the left, [S, 2]."""
        return np.stack([-np.sin(self.headings), np.cos(self.headings)], axis=1)

    def at_offsets(self, offsets: Floats) -> Floats:
        """Points, [S, 2], that lie off the stations to the left by `[S]` m."""
        return np.asarray(self.points + offsets[:, None] * self.normals)

    def shifted(self, ahead: float) -> tuple[Floats, Floats]:
        """Points [S, 2] and headings [S] a small way further along, on each station's circle of curvature."""
        turned = self.headings + self.curvatures * ahead
        middle = self.headings + 0.5 * self.curvatures * ahead
        chord = ahead * np.sinc(0.5 * self.curvatures * ahead / math.pi)
        return self.points + chord[:, None] * np.stack([np.cos(middle), np.sin(middle)], axis=1), turned


def guide_through(points: Floats, closed: bool, spacing: float) -> Guide:
    """Lay stations along a polyline.

    Args:
        points: `[n, 2]` m; a loop does not repeat its first.
        spacing: m, about; a whole number of equal steps fills the line.
    """
    line = _rounded(points, closed)
    ways = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    count = max(math.ceil(ways[-1] / spacing), 8)
    stations = np.linspace(0.0, ways[-1], count + 1)[: count if closed else None]
    placed = np.stack([np.interp(stations, ways, line[:, axis]) for axis in (0, 1)], axis=1)
    step = float(ways[-1]) / count
    headings, curvatures = _directions(placed, closed, step)
    return Guide(placed, headings, curvatures, step, closed)


def _rounded(points: Floats, closed: bool) -> Floats:
    """Points close together on a curve through some points: cubic between two of them, its direction steady at each.

    A loop ends where it begins. Parameter is the way along the chords, since even steps would overshoot where points
    lie unevenly.
    """
    line = np.concatenate([points, points[:1]]) if closed else points
    line = line[np.append(True, np.any(np.abs(np.diff(line, axis=0)) > 1e-9, axis=1))]
    chords = np.hypot(*np.diff(line, axis=0).T)[:, None]
    slopes = np.diff(line, axis=0) / chords
    tangents = np.concatenate([slopes[:1], _blended(slopes, chords), slopes[-1:]])
    if closed:
        ends = _blended(slopes[[-1, 0]], chords[[-1, 0]])
        tangents[0] = tangents[-1] = ends[0]
    t = np.linspace(0.0, 1.0, _FINER, endpoint=False)[:, None, None]
    begin, end = line[:-1], line[1:]
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * begin
        + (t**3 - 2 * t**2 + t) * chords * tangents[:-1]
        + (3 * t**2 - 2 * t**3) * end
        + (t**3 - t**2) * chords * tangents[1:]
    )
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 2), line[-1:]])


def _blended(slopes: Floats, chords: Floats) -> Floats:
    """Direction at the joints of neighbouring chords: that of the parabola through their three points."""
    return (slopes[:-1] * chords[1:] + slopes[1:] * chords[:-1]) / (chords[:-1] + chords[1:])


def _directions(points: Floats, closed: bool, step: float) -> tuple[Floats, Floats]:
    """Heading and curvature at each of some evenly spaced points, by central differences."""
    ways = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0) if closed else np.gradient(points, axis=0)
    headings = np.unwrap(np.arctan2(ways[:, 1], ways[:, 0]))
    if not closed:
        return headings, np.gradient(headings, step)
    turns = round((headings[-1] - headings[0] + _wrapped(headings[0] - headings[-1])) / math.tau) * math.tau
    around = np.concatenate([headings[-1:] - turns, headings, headings[:1] + turns])
    return headings, (around[2:] - around[:-2]) / (2.0 * step)


def _wrapped(angle: float) -> float:
    return (angle + math.pi) % math.tau - math.pi


def middle_guide(track: Track, spacing: float) -> Guide:
    """Lay stations along the middle of the road's borders, from the track's first waypoint."""
    return guide_through((track.inner + track.outer) / 2, track.closed, spacing)


def room(track: Track, points: Floats, headings: Floats) -> tuple[Floats, Floats]:
    """Least and most offset, m, left positive, `[n]` each, at which the road lies beside some points.

    Measured square to the headings. Of several stretches of road on that line the one at the point counts, or the
    nearest to it; where there is none both are 0.
    """
    x, y, dx, dy = border_segments(track).T
    px, py = x - points[:, 0, None], y - points[:, 1, None]
    cos, sin = np.cos(headings)[:, None], np.sin(headings)[:, None]
    before, step = px * cos + py * sin, dx * cos + dy * sin  # along the heading
    crosses = (before > 0.0) != (before + step > 0.0)
    beside, aside = py * cos - px * sin, dy * cos - dx * sin
    with np.errstate(divide="ignore", invalid="ignore"):
        offsets = np.where(crosses, beside - before * aside / step, np.inf)
    most = max(int(crosses.sum(axis=1).max()), 2)
    # The line leaves the road at every second border that it crosses.
    pairs = np.sort(offsets, axis=1)[:, : most + most % 2].reshape(len(points), -1, 2)
    away = np.maximum(np.maximum(pairs[..., 0], -pairs[..., 1]), 0.0)
    nearest = pairs[np.arange(len(points)), away.argmin(axis=1)]
    nearest = np.where(np.isfinite(nearest), nearest, 0.0)
    return nearest[:, 0], nearest[:, 1]


def border_segments(track: Track) -> Floats:
    """Segments around the road, `[E, 4]`: x, y, dx, dy; see `Track.rings`."""
    segments = np.concatenate([np.column_stack([ring, np.roll(ring, -1, axis=0) - ring]) for ring in track.rings])
    return np.asarray(segments[np.any(segments[:, 2:] != 0.0, axis=1)])


def on_road(track: Track, points: Floats) -> NDArray[np.bool_]:
    """Whether points `[n, 2]` lie inside the road polygon, by rays to the east."""
    x, y, dx, dy = border_segments(track).T
    px, py = points[:, 0, None], points[:, 1, None]
    spans = (y > py) != (y + dy > py)
    with np.errstate(divide="ignore", invalid="ignore"):
        crosses = spans & (px < x + (py - y) * dx / dy)
    return np.asarray(crosses.sum(axis=1) % 2 == 1)


def distance_to_border(track: Track, points: Floats) -> Floats:
    """Distance of points `[n, 2]` to the nearest border, m, `[n]`."""
    x, y, dx, dy = border_segments(track).T
    px, py = points[:, 0, None] - x, points[:, 1, None] - y
    along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0.0, 1.0)
    return np.asarray(np.hypot(px - along * dx, py - along * dy).min(axis=1))
