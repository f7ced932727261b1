"""Where a car is on its track: place along the centre line, side, width, wheels on the road.

Searches are exact, and fast by two indices built once per track: for each cell of a grid the centre segments that can
be the nearest to any point in it, and for each centre segment the border segments that can be the nearest to any
point on it. The road test looks at the border only in cells that the border passes through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lateapex.world.track import Track

_CELL = 0.25  # m, of the grid that finds the nearest centre segment
_ROAD_CELL = 0.05  # m, of the grid that knows where the road is
_MARGIN = 1.5  # m around the borders that the grids cover; beyond, every segment is searched
_OFF, _ON, _BORDER = 0, 1, 2


class Grid(NamedTuple):
    """Where a track's grid lies: cell (0, 0) begins at x, y; `first` is its place in the flat array of all tracks."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    first: NDArray[np.int64]


class TrackTables(NamedTuple):
    """All tracks of a simulator as flat arrays; `K` tracks, the rows of track k begin at `first[k]`."""

    first: NDArray[np.int64]  # [K + 1] first centre segment of a track
    segments: NDArray[
        np.float64
    ]  # [S, 6] centre segments: x, y, dx, dy, 1 / length2 (0: no length), arc length of its start
    length: NDArray[np.float64]  # [K] m, of the centre line
    points: NDArray[np.int64]  # [K] waypoints, the closing one included
    ccw: NDArray[np.bool_]  # [K]
    sides: NDArray[np.float64]  # [S, 2, 5] inner and outer border segments: x, y, dx, dy, 1 / length2
    near_center: NDArray[np.int64]  # flat lists of centre segments, by grid cell
    near_center_first: NDArray[np.int64]  # [cells + 1]
    near_inner: NDArray[np.int64]  # flat lists of border segments, by centre segment
    near_inner_first: NDArray[np.int64]  # [S + 1]
    near_outer: NDArray[np.int64]
    near_outer_first: NDArray[np.int64]
    edges: NDArray[np.float64]  # [E, 4] the road polygon's edges: x0, y0, x1, y1
    edges_first: NDArray[np.int64]  # [K + 1]
    road: NDArray[np.uint8]  # flat: off, on, or border, by road cell
    grid: Grid
    road_grid: Grid


def road_edges(track: Track) -> NDArray[np.float64]:
    """Edges of the road polygon, `[E, 4]`: both rings of a loop, or the one ring around an open track."""
    rings = [track.inner, track.outer] if track.closed else [np.concatenate([track.outer, track.inner[::-1]])]
    return np.concatenate([np.concatenate([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in rings])


def track_tables(tracks: Sequence[Track]) -> TrackTables:
    """Build the flat arrays and both indices."""
    center = [_segments(track.center, track.closed) for track in tracks]
    inner = [_segments(track.inner, track.closed) for track in tracks]
    outer = [_segments(track.outer, track.closed) for track in tracks]
    edges = [road_edges(track) for track in tracks]
    first = _offsets([len(part) for part in center])
    grid = _grid_of(tracks, _CELL)
    road_grid = _grid_of(tracks, _ROAD_CELL)
    near_center = [
        _candidates(
            _cell_centers(grid, k, _CELL), np.full(int(grid.rows[k] * grid.columns[k]), _CELL * 0.7072), center[k]
        )
        for k in range(len(tracks))
    ]
    middles = [part[:, :2] + 0.5 * part[:, 2:4] for part in center]
    radii = [0.5 * np.hypot(part[:, 2], part[:, 3]) for part in center]
    near_inner = [_candidates(m, r, s) for m, r, s in zip(middles, radii, inner, strict=True)]
    near_outer = [_candidates(m, r, s) for m, r, s in zip(middles, radii, outer, strict=True)]
    starts = [np.concatenate([[0.0], np.cumsum(np.hypot(part[:, 2], part[:, 3]))[:-1]]) for part in center]
    return TrackTables(
        first=first,
        segments=np.concatenate([np.column_stack([part, along]) for part, along in zip(center, starts, strict=True)]),
        length=np.array([float(np.hypot(part[:, 2], part[:, 3]).sum()) for part in center]),
        points=np.array([len(track.waypoints) for track in tracks]),
        ccw=np.array([track.is_ccw for track in tracks]),
        sides=np.stack([np.concatenate(inner), np.concatenate(outer)], axis=1),
        near_center=np.concatenate([items for items, _ in near_center]),
        near_center_first=_chain([ends for _, ends in near_center]),
        near_inner=np.concatenate([items for items, _ in near_inner]),
        near_inner_first=_chain([ends for _, ends in near_inner]),
        near_outer=np.concatenate([items for items, _ in near_outer]),
        near_outer_first=_chain([ends for _, ends in near_outer]),
        edges=np.concatenate(edges),
        edges_first=_offsets([len(part) for part in edges]),
        road=np.concatenate(
            [
                _road_cells(
                    part,
                    float(road_grid.x[k]),
                    float(road_grid.y[k]),
                    int(road_grid.rows[k]),
                    int(road_grid.columns[k]),
                    _ROAD_CELL,
                )
                for k, part in enumerate(edges)
            ]
        ),
        grid=grid,
        road_grid=road_grid,
    )


def _segments(line: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """Segments from each vertex to the next, `[S, 5]`: x, y, dx, dy, 1 / length2."""
    step = np.roll(line, -1, axis=0) - line
    part = np.column_stack([line, step])
    if not closed:
        part = part[:-1]
    square = part[:, 2] ** 2 + part[:, 3] ** 2
    return np.column_stack([part, np.divide(1.0, square, out=np.zeros_like(square), where=square > 0.0)])


def _offsets(counts: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _chain(ends: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Join the running ends of several lists of lists to starts in one flat list, `[lists + 1]`."""
    total = 0
    parts = [np.zeros(1, np.int64)]
    for end in ends:
        parts.append(end + total)
        total += int(end[-1])
    return np.concatenate(parts)


def _grid_of(tracks: Sequence[Track], cell: float) -> Grid:
    boxes = np.array([track.bounds for track in tracks])
    low = boxes[:, :2] - _MARGIN
    size = np.ceil((boxes[:, 2:] + _MARGIN - low) / cell).astype(np.int64)
    cells = size[:, 0] * size[:, 1]
    return Grid(low[:, 0].copy(), low[:, 1].copy(), size[:, 0].copy(), size[:, 1].copy(), _offsets(cells.tolist())[:-1])


def _cell_centers(grid: Grid, k: int, cell: float) -> NDArray[np.float64]:
    y, x = np.mgrid[0 : grid.rows[k], 0 : grid.columns[k]].astype(np.float64)
    return np.column_stack([grid.x[k] + (x.ravel() + 0.5) * cell, grid.y[k] + (y.ravel() + 0.5) * cell])


@njit(cache=True, nogil=True)
def square_distance(x, y, segment):  # type: ignore[no-untyped-def] # numba: floats, [>= 5] -> (float, float)
    """Squared distance from a point to a segment, and where on it (0..1) the nearest point lies."""
    px = x - segment[0]
    py = y - segment[1]
    t = (px * segment[2] + py * segment[3]) * segment[4]
    t = min(max(t, 0.0), 1.0)
    px -= t * segment[2]
    py -= t * segment[3]
    return px * px + py * py, t


@njit(cache=True, nogil=True)
def _find_candidates(points, radii, segments):  # type: ignore[no-untyped-def] # numba: [M, 2], [M], [S, 5] -> flat list, [M]
    items = np.empty(1024, np.int64)
    ends = np.empty(points.shape[0], np.int64)
    distance = np.empty(segments.shape[0])
    count = 0
    for m in range(points.shape[0]):
        nearest = np.inf
        for s in range(segments.shape[0]):
            distance[s] = np.sqrt(square_distance(points[m, 0], points[m, 1], segments[s])[0])
            nearest = min(nearest, distance[s])
        if count + segments.shape[0] > items.size:
            larger = np.empty(2 * items.size + segments.shape[0], np.int64)
            larger[:count] = items[:count]
            items = larger
        for s in range(segments.shape[0]):
            # Any point within the radius is at most nearest + radius from some segment, and at least distance - radius from s.
            if distance[s] <= nearest + 2.0 * radii[m] + 1e-9:
                items[count] = s
                count += 1
        ends[m] = count
    return items[:count].copy(), ends


_candidates: Callable[..., tuple[NDArray[np.int64], NDArray[np.int64]]] = _find_candidates
"""For each disc (centre, radius): the segments that can be nearest to a point in it, ascending; and where each list ends."""


@njit(cache=True, nogil=True)
def _crossings_odd(x, y, edges, start, stop):  # type: ignore[no-untyped-def] # numba: floats, [E, 4], ints -> bool
    """Whether a ray to the right of the point crosses the edges an odd number of times: the point is inside."""
    inside = False
    for e in range(start, stop):
        y0 = edges[e, 1]
        y1 = edges[e, 3]
        if (y0 > y) != (y1 > y) and x < edges[e, 0] + (y - y0) * (edges[e, 2] - edges[e, 0]) / (y1 - y0):
            inside = not inside
    return inside


@njit(cache=True, nogil=True)
def _road_cells(edges, x, y, rows, columns, cell):  # type: ignore[no-untyped-def] # numba: -> uint8[rows * columns]
    """Mark the cells that the border passes through or touches, then all others by one point each run."""
    status = np.zeros(rows * columns, np.uint8)
    reach = cell * 0.7072 + 1e-9
    segment = np.empty(5)
    for e in range(edges.shape[0]):
        segment[0], segment[1] = edges[e, 0], edges[e, 1]
        segment[2], segment[3] = edges[e, 2] - edges[e, 0], edges[e, 3] - edges[e, 1]
        square = segment[2] ** 2 + segment[3] ** 2
        segment[4] = 1.0 / square if square > 0.0 else 0.0
        c0 = max(int((min(edges[e, 0], edges[e, 2]) - x) / cell) - 1, 0)
        c1 = min(int((max(edges[e, 0], edges[e, 2]) - x) / cell) + 2, columns)
        r0 = max(int((min(edges[e, 1], edges[e, 3]) - y) / cell) - 1, 0)
        r1 = min(int((max(edges[e, 1], edges[e, 3]) - y) / cell) + 2, rows)
        for r in range(r0, r1):
            for c in range(c0, c1):
                square, _ = square_distance(x + (c + 0.5) * cell, y + (r + 0.5) * cell, segment)
                if square <= reach * reach:
                    status[r * columns + c] = _BORDER
    for r in range(rows):
        known = False
        inside = False
        for c in range(columns):
            if status[r * columns + c] == _BORDER:
                known = False
                continue
            if not known:
                inside = _crossings_odd(x + (c + 0.5) * cell, y + (r + 0.5) * cell, edges, 0, edges.shape[0])
                known = True
            status[r * columns + c] = _ON if inside else _OFF
    return status


@njit(cache=True, nogil=True)
def on_road(x, y, k, tables):  # type: ignore[no-untyped-def] # numba: floats, int, TrackTables -> bool
    """Whether a point lies inside track k's road polygon."""
    grid = tables.road_grid
    c = int(np.floor((x - grid.x[k]) / _ROAD_CELL))
    r = int(np.floor((y - grid.y[k]) / _ROAD_CELL))
    if c < 0 or r < 0 or c >= grid.columns[k] or r >= grid.rows[k]:
        return False
    status = tables.road[grid.first[k] + r * grid.columns[k] + c]
    if status != _BORDER:
        return status == _ON
    return _crossings_odd(x, y, tables.edges, tables.edges_first[k], tables.edges_first[k + 1])


@njit(cache=True, nogil=True)
def _nearest_center(x, y, k, tables):  # type: ignore[no-untyped-def] # numba: -> (segment, place on it, squared distance)
    grid = tables.grid
    c = int(np.floor((x - grid.x[k]) / _CELL))
    r = int(np.floor((y - grid.y[k]) / _CELL))
    start = tables.first[k]
    best = np.inf
    found = 0
    place = 0.0
    if c < 0 or r < 0 or c >= grid.columns[k] or r >= grid.rows[k]:
        for s in range(tables.first[k + 1] - start):
            square, t = square_distance(x, y, tables.segments[start + s])
            if square < best:
                best, found, place = square, s, t
        return found, place, best
    cell = grid.first[k] + r * grid.columns[k] + c
    for i in range(tables.near_center_first[cell], tables.near_center_first[cell + 1]):
        s = tables.near_center[i]
        square, t = square_distance(x, y, tables.segments[start + s])
        if square < best:
            best, found, place = square, s, t
    return found, place, best


@njit(cache=True, nogil=True)
def _nearest_border(x, y, start, row, side, items, firsts, sides):  # type: ignore[no-untyped-def] # numba: -> (x, y)
    best = np.inf
    bx = 0.0
    by = 0.0
    for i in range(firsts[row], firsts[row + 1]):
        segment = sides[start + items[i], side]
        square, t = square_distance(x, y, segment)
        if square < best:
            best = square
            bx = segment[0] + t * segment[2]
            by = segment[1] + t * segment[3]
    return bx, by


@njit(cache=True, nogil=True)
def locate(state, car, tables):  # type: ignore[no-untyped-def] # numba: records of STATE_DTYPE and VEHICLE_DTYPE, TrackTables
    """Fill in all that follows from a car's pose, in place.

    Border points are the nearest to the centre-line point, not to the car, and the waypoints are those around the
    projection, as in the original.
    """
    k = state.track
    c = np.cos(state.yaw)
    s = np.sin(state.yaw)
    x = state.x + car.front_point * c
    y = state.y + car.front_point * s
    state.front_x = x
    state.front_y = y
    found, place, square = _nearest_center(x, y, k, tables)
    start = tables.first[k]
    row = start + found
    segment = tables.segments[row]
    px = segment[0] + place * segment[2]
    py = segment[1] + place * segment[3]
    state.along = segment[5] + place * np.hypot(segment[2], segment[3])
    state.distance_from_center = np.sqrt(square)
    ix, iy = _nearest_border(px, py, start, row, 0, tables.near_inner, tables.near_inner_first, tables.sides)
    ox, oy = _nearest_border(px, py, start, row, 1, tables.near_outer, tables.near_outer_first, tables.sides)
    state.track_width = np.hypot(ix - ox, iy - oy)
    nearer_inner = np.hypot(x - ix, y - iy) < np.hypot(x - ox, y - oy)
    state.is_left_of_center = nearer_inner == tables.ccw[k]
    _closest_waypoints(state, found, place, tables)
    wheels = 0
    for ahead, side in (
        (car.front_axle, car.front_wheel_side),
        (car.front_axle, -car.front_wheel_side),
        (-car.rear_axle, car.rear_wheel_side),
        (-car.rear_axle, -car.rear_wheel_side),
    ):
        if on_road(state.x + ahead * c - side * s, state.y + ahead * s + side * c, k, tables):
            wheels += 1
    state.wheels_on_road = wheels


@njit(cache=True, nogil=True)
def _closest_waypoints(state, found, place, tables):  # type: ignore[no-untyped-def] # numba: as locate
    """The interval of waypoints around the projection: bisection from the right, so segments without length are passed."""
    k = state.track
    start = tables.first[k]
    count = tables.first[k + 1] - start
    points = tables.points[k]
    before = found
    while before + 1 < count and tables.segments[start + before + 1, 5] <= state.along:
        before += 1
    after = before + 1
    if place >= 1.0 and after == count:
        before, after = points - 1, 0
    state.waypoint_before = before
    state.waypoint_after = after
    b = tables.segments[start + min(before, count - 1)]
    bx = b[0] + (b[2] if before >= count else 0.0)
    by = b[1] + (b[3] if before >= count else 0.0)
    a = tables.segments[start + min(after, count - 1)]
    ax = a[0] + (a[2] if after >= count else 0.0)
    ay = a[1] + (a[3] if after >= count else 0.0)
    nearer_before = np.hypot(state.front_x - bx, state.front_y - by) <= np.hypot(state.front_x - ax, state.front_y - ay)
    state.closest_waypoint = before if nearer_before else after
