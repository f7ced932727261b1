"""Tracks as flat arrays for the kernels, with the indices that make exact searches short.

Built once per track: for each cell of a grid the centre segments that can be the nearest to any point in it; for each
centre segment the border segments that can be the nearest to any point on it; and a finer grid that knows which cells
lie on the road, off it, or on its border, with the edges that pass through each row of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.sim.geometry import BORDER, CELL, OFF, ON, ROAD_CELL, is_inside, square_distance
from lateapex.sim.kernel import allocating_kernel
from lateapex.world.track import Track

_MARGIN = 1.5  # m around the borders that the grids cover; beyond, every segment is searched
_SLACK = 1e-6  # m, more than rounding can move a point

TRACK_DTYPE: Final = np.dtype(
    [
        ("first", np.int64),  # row of its first waypoint
        ("segments", np.int64),  # how many lie between its waypoints
        ("ccw", np.bool_),
        ("closed", np.bool_),
        ("x", np.float64),  # m, the south-west corner of both grids
        ("y", np.float64),
        ("columns", np.int64),
        ("rows", np.int64),
        ("cells", np.int64),  # list of its first cell; the list after that of its last cell is for points outside
        ("road_columns", np.int64),
        ("road_rows", np.int64),
        ("road_cells", np.int64),  # place of its first road cell
        ("edge_rows", np.int64),  # list of its first row of road cells
    ],
    align=True,
)
"""Where the parts of one track lie in the flat arrays."""


class Lists(NamedTuple):
    """Many lists of rows in one array: list n is `items[start[n] : start[n + 1]]`."""

    items: NDArray[np.int64]
    start: NDArray[np.int64]


class TrackTables(NamedTuple):
    """All tracks of a simulator; `K` tracks. A segment is x, y, dx, dy in metres and 1 / length2 (0: no length)."""

    tracks: NDArray[Any]  # [K] TRACK_DTYPE
    waypoints: NDArray[np.float64]  # [W, 7] the segment from each to the next, m along to it, length of the segment
    borders: NDArray[np.float64]  # [B, 5] segments of inner and outer borders
    edges: NDArray[np.float64]  # [E, 5] segments around the road
    road: NDArray[np.uint8]  # flat: OFF, ON or BORDER, by road cell
    near_center: Lists  # rows of `waypoints`, by cell
    near_inner: Lists  # rows of `borders`, by row of `waypoints`
    near_outer: Lists
    near_edges: Lists  # rows of `edges`, by row of road cells


def segments_between(points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """Return the segments from each of `[P, 2]` points to the next, `[P, 5]` if closed, else `[P - 1, 5]`."""
    part = np.column_stack([points, np.roll(points, -1, axis=0) - points])
    if not closed:
        part = part[:-1]
    square = part[:, 2] ** 2 + part[:, 3] ** 2
    return np.column_stack([part, np.divide(1.0, square, out=np.zeros_like(square), where=square > 0.0)])


def border_edges(track: Track) -> NDArray[np.float64]:
    """Return the segments around the road, `[E, 5]`; see `Track.rings`."""
    return np.concatenate([segments_between(ring, True) for ring in track.rings])


def track_tables(tracks: Sequence[Track]) -> TrackTables:
    """Build the flat arrays and the indices of some tracks."""
    parts = [_one_track(track) for track in tracks]
    waypoints = _starts(len(part.waypoints) for part in parts)
    borders = _starts(len(part.borders) for part in parts)
    edges = _starts(len(part.edges) for part in parts)
    places = np.concatenate([part.tracks for part in parts])
    places["first"] = waypoints
    places["cells"] = _starts(len(part.near_center.start) - 1 for part in parts)
    places["edge_rows"] = _starts(len(part.near_edges.start) - 1 for part in parts)
    places["road_cells"] = _starts(part.road.size for part in parts)
    return TrackTables(
        tracks=places,
        waypoints=np.concatenate([part.waypoints for part in parts]),
        borders=np.concatenate([part.borders for part in parts]),
        edges=np.concatenate([part.edges for part in parts]),
        road=np.concatenate([part.road for part in parts]),
        near_center=_joined([part.near_center for part in parts], waypoints),
        near_inner=_joined([part.near_inner for part in parts], borders),
        near_outer=_joined([part.near_outer for part in parts], borders),
        near_edges=_joined([part.near_edges for part in parts], edges),
    )


def _starts(counts: Iterable[int]) -> NDArray[np.int64]:
    """Return where each of several parts begins when they are joined."""
    sizes = np.array(list(counts), np.int64)
    return np.cumsum(sizes) - sizes


def _joined(parts: Sequence[Lists], first: ArrayLike) -> Lists:
    """Append lists to each other; the rows that they name move by `first`, `[parts]`."""
    items = np.concatenate([part.items + move for part, move in zip(parts, np.asarray(first), strict=True)])
    moves = _starts(len(part.items) for part in parts)
    starts = [part.start[:-1] + move for part, move in zip(parts, moves, strict=True)]
    return Lists(items, np.concatenate([*starts, [len(items)]]))


def _one_track(track: Track) -> TrackTables:
    """Build the tables of one track as if it were the only one."""
    x0, y0, x1, y1 = track.bounds
    places = np.zeros(1, TRACK_DTYPE)
    places["x"], places["y"] = x0 - _MARGIN, y0 - _MARGIN
    for columns, rows, cell in (("columns", "rows", CELL), ("road_columns", "road_rows", ROAD_CELL)):
        places[columns] = math.ceil((x1 - x0 + 2.0 * _MARGIN) / cell)
        places[rows] = math.ceil((y1 - y0 + 2.0 * _MARGIN) / cell)
    waypoints = _waypoints(track)
    places["segments"], places["ccw"] = len(waypoints) - 1, track.is_ccw
    places["closed"] = track.closed
    inner, outer = segments_between(track.inner, track.closed), segments_between(track.outer, track.closed)
    edges = border_edges(track)
    middles = waypoints[:, :2] + 0.5 * waypoints[:, 2:4]
    return TrackTables(
        tracks=places,
        waypoints=waypoints,
        borders=np.concatenate([inner, outer]),
        edges=edges,
        road=_road_cells(edges, places[0]),
        near_center=_near_center(waypoints[:-1], places[0]),
        near_inner=_candidates(middles, 0.5 * waypoints[:, 6], inner),
        near_outer=_joined([_candidates(middles, 0.5 * waypoints[:, 6], outer)], [len(inner)]),
        near_edges=_near_edges(edges, places[0]),
    )


def _waypoints(track: Track) -> NDArray[np.float64]:
    """Return `[waypoints, 7]` rows; the last, from which no segment leads on, has length 0."""
    center = segments_between(track.center, track.closed)
    points = np.array(track.waypoints)
    rows = np.zeros((len(points), 7))
    rows[:, :2] = points
    rows[:-1, :5] = center
    rows[:-1, 5], rows[-1, 5] = track.along[: len(center)], track.length
    rows[:-1, 6] = np.hypot(center[:, 2], center[:, 3])
    return rows


def _near_center(center: NDArray[np.float64], place: Any) -> Lists:
    """Return the lists of all cells, and one of all segments."""
    y, x = np.mgrid[0 : place["rows"], 0 : place["columns"]].reshape(2, -1) + 0.5
    middles = np.column_stack([place["x"] + x * CELL, place["y"] + y * CELL])
    cells = _candidates(middles, np.full(len(middles), CELL * math.sqrt(0.5)), center)
    everywhere = Lists(np.arange(len(center)), np.array([0, len(center)]))
    return _joined([cells, everywhere], [0, 0])


def _near_edges(edges: NDArray[np.float64], place: Any) -> Lists:
    """Return the edges that pass through or touch each row of road cells."""
    ends = np.stack([edges[:, 1], edges[:, 1] + edges[:, 3]])
    low, high = ends.min(axis=0) - _SLACK, ends.max(axis=0) + _SLACK
    south = place["y"] + np.arange(place["road_rows"])[:, None] * ROAD_CELL
    rows, items = np.nonzero((low <= south + ROAD_CELL) & (high >= south))
    return Lists(items, np.searchsorted(rows, np.arange(place["road_rows"] + 1)))


def _candidates(points: NDArray[np.float64], radii: NDArray[np.float64], segments: NDArray[np.float64]) -> Lists:
    """Return for each disc the segments that can be nearest to a point in it, ascending."""
    return Lists(*_find_candidates(points, radii + _SLACK, segments))


@allocating_kernel
def _find_candidates(points, radii, segments):  # type: ignore[no-untyped-def] # numba: [M, 2], [M], [S, 5] -> Lists
    items = np.empty(1024, np.int64)
    start = np.empty(points.shape[0] + 1, np.int64)
    distance = np.empty(segments.shape[0])
    count = 0
    for m in range(points.shape[0]):
        start[m] = count
        nearest = np.inf
        for s in range(segments.shape[0]):
            distance[s] = np.sqrt(square_distance(points[m, 0], points[m, 1], segments, s)[0])
            nearest = min(nearest, distance[s])
        if count + segments.shape[0] > items.size:
            larger = np.empty(2 * items.size + segments.shape[0], np.int64)
            larger[:count] = items[:count]
            items = larger
        for s in range(segments.shape[0]):
            # Points within the radius are at most nearest + radius from a segment, at least distance - radius from s.
            if distance[s] <= nearest + 2.0 * radii[m]:
                items[count] = s
                count += 1
    start[points.shape[0]] = count
    return items[:count].copy(), start


@allocating_kernel
def _road_cells(edges, place):  # type: ignore[no-untyped-def] # numba: [E, 5], TRACK_DTYPE -> uint8[rows * columns]
    """Mark the cells that the border passes through or touches, then all others by one point each run."""
    rows, columns = place.road_rows, place.road_columns
    status = np.zeros(rows * columns, np.uint8)
    reach = ROAD_CELL * np.sqrt(0.5) + _SLACK
    for e in range(edges.shape[0]):
        x, y = edges[e, 0] - place.x, edges[e, 1] - place.y
        c0 = max(int((min(x, x + edges[e, 2])) / ROAD_CELL) - 1, 0)
        c1 = min(int((max(x, x + edges[e, 2])) / ROAD_CELL) + 2, columns)
        r0 = max(int((min(y, y + edges[e, 3])) / ROAD_CELL) - 1, 0)
        r1 = min(int((max(y, y + edges[e, 3])) / ROAD_CELL) + 2, rows)
        for r in range(r0, r1):
            for c in range(c0, c1):
                x, y = place.x + (c + 0.5) * ROAD_CELL, place.y + (r + 0.5) * ROAD_CELL
                if square_distance(x, y, edges, e)[0] <= reach * reach:
                    status[r * columns + c] = BORDER
    every = np.arange(edges.shape[0])
    for r in range(rows):
        known = False
        inside = False
        for c in range(columns):
            if status[r * columns + c] == BORDER:
                known = False
                continue
            if not known:
                x, y = place.x + (c + 0.5) * ROAD_CELL, place.y + (r + 0.5) * ROAD_CELL
                inside = is_inside(x, y, edges, every, 0, every.size)
                known = True
            status[r * columns + c] = ON if inside else OFF
    return status
