"""Where a car is on its track: place along the centre line, side, width, wheels on the road.

The searches are exact; the indices of `tables` make them short.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from lateapex.sim.kernel import kernel

CELL: Final = 0.25
"""m, of the grid that finds the nearest centre segment"""
ROAD_CELL: Final = 0.05
"""m, of the grid that knows where the road is"""
OFF, ON, BORDER = 0, 1, 2
"""What a road cell holds: no road, nothing but road, or some of the border."""


@kernel
def square_distance(x, y, segments, row):  # type: ignore[no-untyped-def] # numba: floats, [S, >= 5], int -> (float, float)
    """Squared distance from a point to a segment, and where on it (0..1) the nearest point lies."""
    px = x - segments[row, 0]
    py = y - segments[row, 1]
    dx = segments[row, 2]
    dy = segments[row, 3]
    t = min(max((px * dx + py * dy) * segments[row, 4], 0.0), 1.0)
    px -= t * dx
    py -= t * dy
    return px * px + py * py, t


@kernel
def is_inside(x, y, edges, rows, start, stop):  # type: ignore[no-untyped-def] # numba: floats, [E, 5], [.], ints -> bool
    """Whether a ray from the point to the east crosses the edges `rows[start:stop]` an odd number of times."""
    odd = False
    for i in range(start, stop):
        e = rows[i]
        y0 = edges[e, 1]
        dy = edges[e, 3]
        if (y0 > y) != (y0 + dy > y) and x < edges[e, 0] + (y - y0) * edges[e, 2] / dy:
            odd = not odd
    return odd


@kernel
def on_road(x, y, k, tables):  # type: ignore[no-untyped-def] # numba: floats, int, TrackTables -> bool
    """Whether a point lies inside track k's road polygon."""
    items, start = tables.near_edges
    return _on_road(x, y, tables.tracks[k], tables.road, tables.edges, items, start)


@kernel
def _on_road(x, y, track, road, edges, items, start):  # type: ignore[no-untyped-def] # numba: see on_road; TRACK_DTYPE
    c = int(np.floor((x - track.x) / ROAD_CELL))
    r = int(np.floor((y - track.y) / ROAD_CELL))
    if c < 0 or r < 0 or c >= track.road_columns or r >= track.road_rows:
        return False
    status = road[track.road_cells + r * track.road_columns + c]
    if status != BORDER:
        return status == ON
    n = track.edge_rows + r
    return is_inside(x, y, edges, items, start[n], start[n + 1])


@kernel
def _nearest(x, y, segments, lists, n):  # type: ignore[no-untyped-def] # numba: -> (row of the segment, place on it, squared distance)
    """Search list n for the segment nearest to a point; the first of several equally near."""
    best = np.inf
    found = lists.items[lists.start[n]]
    place = 0.0
    for i in range(lists.start[n], lists.start[n + 1]):
        row = lists.items[i]
        square, t = square_distance(x, y, segments, row)
        if square < best:
            best, found, place = square, row, t
    return found, place, best


@kernel
def locate(state, car, tables):  # type: ignore[no-untyped-def] # numba: records of STATE_DTYPE and VEHICLE_DTYPE, TrackTables
    """Fill in all that follows from a car's pose, in place.

    Border points are the nearest to the centre-line point, not to the car, and the waypoints are those around the
    projection, as in the original.
    """
    track = tables.tracks[state.track]
    waypoints, borders = tables.waypoints, tables.borders
    c = np.cos(state.yaw)
    s = np.sin(state.yaw)
    x = state.x + car.front_point * c
    y = state.y + car.front_point * s
    state.front_x = x
    state.front_y = y
    row, place, square = _nearest(x, y, waypoints, tables.near_center, _cell(x, y, track))
    state.along = waypoints[row, 5] + place * waypoints[row, 6]
    state.distance_from_center = np.sqrt(square)
    px = waypoints[row, 0] + place * waypoints[row, 2]
    py = waypoints[row, 1] + place * waypoints[row, 3]
    inner, t, _ = _nearest(px, py, borders, tables.near_inner, row)
    ix = borders[inner, 0] + t * borders[inner, 2]
    iy = borders[inner, 1] + t * borders[inner, 3]
    outer, t, _ = _nearest(px, py, borders, tables.near_outer, row)
    ox = borders[outer, 0] + t * borders[outer, 2]
    oy = borders[outer, 1] + t * borders[outer, 3]
    state.track_width = np.hypot(ix - ox, iy - oy)
    nearer_inner = (x - ix) ** 2 + (y - iy) ** 2 < (x - ox) ** 2 + (y - oy) ** 2
    state.is_left_of_center = nearer_inner == track.ccw
    state.is_left_of_line = _is_left(x - px, y - py, row, track, waypoints)
    _closest_waypoints(state, row - track.first, place, track, waypoints)
    road, edges = tables.road, tables.edges
    items, start = tables.near_edges
    wheels = 0
    for ahead, side in (
        (car.front_axle, car.front_wheel_side),
        (car.front_axle, -car.front_wheel_side),
        (-car.rear_axle, car.rear_wheel_side),
        (-car.rear_axle, -car.rear_wheel_side),
    ):
        wheel_x = state.x + ahead * c - side * s
        wheel_y = state.y + ahead * s + side * c
        if _on_road(wheel_x, wheel_y, track, road, edges, items, start):
            wheels += 1
    state.wheels_on_road = wheels


@kernel
def project_on_line(x, y, k, tables):  # type: ignore[no-untyped-def] # numba: floats, int, TrackTables -> m, m, bool
    """Where a point projects on track k's centre line: way along it, distance from it, whether it lies to the left."""
    track, waypoints = tables.tracks[k], tables.waypoints
    row, place, square = _nearest(x, y, waypoints, tables.near_center, _cell(x, y, track))
    px = waypoints[row, 0] + place * waypoints[row, 2]
    py = waypoints[row, 1] + place * waypoints[row, 3]
    left = _is_left(x - px, y - py, row, track, waypoints)
    return waypoints[row, 5] + place * waypoints[row, 6], np.sqrt(square), left


@kernel
def _is_left(aside_x, aside_y, row, track, waypoints):  # type: ignore[no-untyped-def] # numba: m from the line, see locate -> bool
    """Whether a way from the nearest point of segment `row` leads to the left of it; repeated points are passed."""
    for _ in range(track.segments):
        if waypoints[row, 6] > 0.0:
            break
        row = row + 1 if row + 1 < track.first + track.segments else track.first
    return waypoints[row, 2] * aside_y - waypoints[row, 3] * aside_x > 0.0


@kernel
def pose_at(fraction, track, waypoints):  # type: ignore[no-untyped-def] # numba: share of the lap, TRACK_DTYPE, [W, 7] -> m, m, rad
    """Place and heading on the centre line, bit for bit that of `Track.pose_at`."""
    first = track.first
    length = waypoints[first + track.segments, 5]
    share = fraction % 1.0 % 1.0 if track.closed else min(max(fraction, 0.0), 1.0)
    way = share * length
    low, high = first, first + track.segments
    while low < high:  # the last stop that the way has passed and that does not end the line
        middle = (low + high + 1) // 2
        stop = waypoints[middle, 5]
        if stop <= way and stop < length:
            low = middle
        else:
            high = middle - 1
    x, y = waypoints[low, 0], waypoints[low, 1]
    dx, dy = waypoints[low, 2], waypoints[low, 3]
    part = (way - waypoints[low, 5]) / (waypoints[low + 1, 5] - waypoints[low, 5])
    return x + part * dx, y + part * dy, math.atan2(dy, dx)


@kernel
def _cell(x, y, track):  # type: ignore[no-untyped-def] # numba: floats, TRACK_DTYPE -> list of near_center
    """List of the centre segments that can be nearest to a point: those of its cell, or all outside of the grid."""
    c = int(np.floor((x - track.x) / CELL))
    r = int(np.floor((y - track.y) / CELL))
    if c < 0 or r < 0 or c >= track.columns or r >= track.rows:
        return track.cells + track.rows * track.columns
    return track.cells + r * track.columns + c


@kernel
def _closest_waypoints(state, before, place, track, waypoints):  # type: ignore[no-untyped-def] # numba: see locate
    """Find the waypoints around the projection: bisection from the right, so that repeated ones are passed."""
    first = track.first
    at_the_end = place >= 1.0 and before == track.segments - 1
    while before + 1 < track.segments and waypoints[first + before + 1, 5] <= state.along:
        before += 1
    after = before + 1
    if at_the_end:
        before, after = track.segments, 0
    state.waypoint_before = before
    state.waypoint_after = after
    x, y = state.front_x, state.front_y
    to_before = (x - waypoints[first + before, 0]) ** 2 + (y - waypoints[first + before, 1]) ** 2
    to_after = (x - waypoints[first + after, 0]) ** 2 + (y - waypoints[first + after, 1]) ** 2
    state.closest_waypoint = before if to_before <= to_after else after
