"""Where a car is on its track: against shapely on real and shipped tracks, and distances worked by hand."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely  # type: ignore[import-untyped]  # ships no types
from numpy.typing import NDArray

from lateapex.sim.simulator import Simulator
from lateapex.world.track import Track, load_track, track_from_route

# Plain, repeated points, lines outside, self-approaching, clockwise, clockwise and coarse, open.
REAL = (
    "reinvent_base",
    "2022_summit_speedway",
    "Oval_track",
    "Bowtie_track",
    "Monaco",
    "2024_reinvent_champ_cw",
    "Straight_track",
)
SHIPPED = ("oval", "kidney", "folded", "narrow", "sprint")
POINTS = 400
FRONT_POINT = 0.14
WHEELS = ((0.0823, 0.0796), (0.0823, -0.0796), (-0.0817, 0.0811), (-0.0817, -0.0811))

_KEPT: dict[str, Simulator] = {}


def located(track: Track, x: Any, y: Any, yaw: Any) -> NDArray[Any]:
    """States of cars put down at these centres on a track."""
    x, y, yaw = (np.atleast_1d(np.asarray(item, np.float64)) for item in (x, y, yaw))
    key = f"{track.name} {track.reversed} {len(x)}"
    if key not in _KEPT:
        _KEPT[key] = Simulator([track], np.zeros(len(x), np.int32), height=2, width=2, threads=1)
    _KEPT[key].place(np.arange(len(x)), x, y, yaw)
    return _KEPT[key].cars.copy()


def line_of(points: NDArray[np.float64], closed: bool) -> Any:
    return shapely.LineString(np.concatenate([points, points[:1]]) if closed else points)


def road_of(track: Track) -> Any:
    if track.closed:
        return shapely.Polygon(track.outer, [track.inner])
    return shapely.Polygon(np.concatenate([track.outer, track.inner[::-1]]))


def poses_around(track: Track, count: int = POINTS) -> tuple[NDArray[np.float64], ...]:
    """Draw centres near the road, and a few far away; yaw of any size in its range."""
    draw = np.random.default_rng(len(track.center))
    poses = [track.pose_at(float(share)) for share in draw.random(count)]
    spread = np.where(np.arange(count) % 20 == 0, 6.0, 0.4)
    x, y = (np.array([pose[axis] for pose in poses]) + spread * draw.standard_normal(count) for axis in (0, 1))
    return x, y, draw.uniform(-np.pi, np.pi, count)


def closest_by_bisection(track: Track, along: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Waypoints around places on the centre line, by bisection of the vertices' projected fractions.

    A place within a nanometre of a vertex counts as having reached it: on the outer side of a bend all points project
    on the vertex itself, where the rounding of a fraction would decide.
    """
    line = line_of(track.center, track.closed)
    vertices = shapely.points(np.array(track.waypoints)[:-1])
    fractions = [*shapely.line_locate_point(line, vertices, normalized=True).tolist(), 1.0]
    pairs = []
    for place in along:
        after = bisect_right(fractions, (place + 1e-9) / line.length)
        before = after - 1
        pairs.append((before if before >= 0 else len(fractions) - 1, 0 if after == len(fractions) else after))
    return pairs


@pytest.fixture(
    scope="module", params=[*REAL, *(f"shipped {name}" for name in SHIPPED), "reversed", "shipped backwards"]
)
def track(request: pytest.FixtureRequest) -> Track:
    name = request.param
    if name == "shipped backwards":
        return load_track("sprint").reverse()
    if name.startswith("shipped "):
        return load_track(name.removeprefix("shipped "))
    folder: Path = request.getfixturevalue("shared_data") / "tracks"
    if name == "reversed":
        return load_track(folder / "Bowtie_track.npy").reverse()
    return load_track(folder / f"{name}.npy")


@pytest.fixture(scope="module")
def reinvent(shared_data: Path) -> Track:
    return load_track(shared_data / "tracks" / "reinvent_base.npy")


def test_place_distance_and_width_are_those_of_shapely(track: Track) -> None:
    cars = located(track, *poses_around(track))
    center, inner, outer = (line_of(points, track.closed) for points in (track.center, track.inner, track.outer))
    fronts = shapely.points(cars["front_x"], cars["front_y"])
    assert cars["distance_from_center"] == pytest.approx(shapely.distance(center, fronts), abs=1e-9)
    assert cars["along"] == pytest.approx(shapely.line_locate_point(center, fronts), abs=1e-6)
    middles = shapely.line_interpolate_point(center, cars["along"])
    at_inner, at_outer = (
        shapely.get_coordinates(shapely.line_interpolate_point(line, shapely.line_locate_point(line, middles)))
        for line in (inner, outer)
    )
    assert cars["track_width"] == pytest.approx(np.hypot(*(at_inner - at_outer).T), abs=1e-6)
    points = shapely.get_coordinates(fronts)
    nearer = np.hypot(*(points - at_inner).T) - np.hypot(*(points - at_outer).T)
    clear = np.abs(nearer) > 1e-6
    assert ((nearer < 0.0) == track.is_ccw)[clear].tolist() == cars["is_left_of_center"][clear].tolist()


def test_front_point_lies_0_14_m_ahead_of_the_centre(track: Track) -> None:
    x, y, yaw = poses_around(track)
    cars = located(track, x, y, yaw)
    assert cars["front_x"] == pytest.approx(x + FRONT_POINT * np.cos(yaw), abs=1e-12)
    assert cars["front_y"] == pytest.approx(y + FRONT_POINT * np.sin(yaw), abs=1e-12)


def test_wheels_on_the_road_are_those_inside_of_shapelys_polygon(track: Track) -> None:
    x, y, yaw = poses_around(track)
    road = road_of(track)
    if not road.is_valid:
        road = shapely.Polygon(track.outer).buffer(0.0).symmetric_difference(shapely.Polygon(track.inner).buffer(0.0))
    shapely.prepare(road)
    count = np.zeros(len(x), np.int32)
    for ahead, side in WHEELS:
        wheel_x = x + ahead * np.cos(yaw) - side * np.sin(yaw)
        wheel_y = y + ahead * np.sin(yaw) + side * np.cos(yaw)
        count += shapely.contains_xy(road, wheel_x, wheel_y)
    assert located(track, x, y, yaw)["wheels_on_road"].tolist() == count.tolist()
    assert set(count) == {0, 1, 2, 3, 4}


def test_closest_waypoints_are_those_of_the_bisection(track: Track) -> None:
    cars = located(track, *poses_around(track))
    found = list(zip(cars["waypoint_before"].tolist(), cars["waypoint_after"].tolist(), strict=True))
    assert found == closest_by_bisection(track, cars["along"])


def test_closest_waypoint_is_the_nearer_of_the_two(track: Track) -> None:
    cars = located(track, *poses_around(track))
    points = np.array(track.waypoints)
    for car in cars:
        two = [car["waypoint_before"], car["waypoint_after"]]
        away = np.hypot(points[two, 0] - car["front_x"], points[two, 1] - car["front_y"])
        assert car["closest_waypoint"] == two[int(away[1] < away[0])]


def test_a_car_on_a_repeated_waypoint_has_passed_both(shared_data: Path) -> None:
    track = load_track(shared_data / "tracks" / "2022_summit_speedway.npy")
    points = np.array(track.waypoints)
    (first,) = np.flatnonzero((np.diff(points, axis=0) == 0.0).all(axis=1))
    heading = np.arctan2(*(points[first + 2] - points[first + 1])[::-1])
    x, y = points[first] + 1e-6 * np.array([np.cos(heading), np.sin(heading)])
    car = located(track, x - FRONT_POINT * np.cos(heading), y - FRONT_POINT * np.sin(heading), heading)[0]
    assert (car["waypoint_before"], car["waypoint_after"]) == (first + 1, first + 2)


def corridor(width: float = 0.762) -> Track:
    """An open straight from (0, 0) to (4, 0)."""
    x = np.linspace(0.0, 4.0, 9)
    zero, half = np.zeros(9), np.full(9, width / 2.0)
    return track_from_route(np.column_stack([x, zero, x, half, x, -half]), "corridor")


def test_wheels_leave_a_straight_at_the_offsets_worked_by_hand() -> None:
    # Half the width is 0.381 m; the rear wheels reach 0.0811 m to the side, the front ones 0.0796 m.
    track = corridor()
    offsets = {0.0: 4, 0.2998: 4, 0.3000: 3, 0.3013: 3, 0.3015: 2, 0.4605: 2, 0.4607: 1, 0.4620: 1, 0.4622: 0}
    for side in (1.0, -1.0):
        cars = located(track, np.full(9, 2.0), side * np.array(list(offsets)), np.zeros(9))
        assert cars["wheels_on_road"].tolist() == list(offsets.values())


@pytest.mark.parametrize(("x", "wheels"), [(0.0818, 4), (0.0816, 2), (-0.0822, 2), (-0.0824, 0)])
def test_the_road_ends_where_an_open_track_ends(x: float, wheels: int) -> None:
    assert located(corridor(), x, 0.0, 0.0)["wheels_on_road"][0] == wheels


def test_place_on_a_straight_is_as_worked_by_hand() -> None:
    car = located(corridor(), 1.0, 0.1, 0.0)[0]
    assert car["along"] == pytest.approx(1.14, abs=1e-12)
    assert car["distance_from_center"] == pytest.approx(0.1, abs=1e-12)
    assert car["track_width"] == pytest.approx(0.762, abs=1e-12)
    assert (car["waypoint_before"], car["waypoint_after"], car["closest_waypoint"]) == (2, 3, 2)
    assert car["is_left_of_center"]


def test_reinvent_base_has_its_official_numbers(reinvent: Track) -> None:
    x, y, yaw = reinvent.pose_at(0.0)
    car = located(reinvent, x, y, yaw)[0]
    assert len(reinvent.waypoints) == 119
    assert reinvent.length == pytest.approx(17.709, abs=0.001)
    assert reinvent.is_ccw
    assert car["track_width"] == pytest.approx(0.762, abs=0.002)
    assert 100.0 * car["along"] / reinvent.length == pytest.approx(0.79, abs=0.02)


def test_a_car_on_the_drivers_left_is_left_in_both_directions(reinvent: Track) -> None:
    for road in (reinvent, reinvent.reverse()):
        assert road.is_ccw != road.reversed
        for side in (0.2, -0.2):
            poses = np.array([road.pose_at(share) for share in np.linspace(0.0, 0.95, 20)])
            x, y, yaw = poses.T
            # The front point, 0.14 m ahead, must have left the centre line to that side also in a bend.
            cars = located(road, x - side * np.sin(yaw), y + side * np.cos(yaw), yaw)
            assert (cars["is_left_of_center"] == (side > 0.0)).all()


def test_far_away_from_the_track_the_nearest_place_is_still_found(reinvent: Track) -> None:
    line = line_of(reinvent.center, True)
    angle = np.linspace(0.0, 6.0, 20)
    cars = located(reinvent, 200.0 * np.cos(angle), 200.0 * np.sin(angle), angle)
    fronts = shapely.points(cars["front_x"], cars["front_y"])
    assert cars["distance_from_center"] == pytest.approx(shapely.distance(line, fronts), abs=1e-9)
    assert (cars["wheels_on_road"] == 0).all()
