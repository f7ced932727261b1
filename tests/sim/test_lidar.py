"""What a lidar measures: ranges by hand, and whole scans against rays in space and against shapely."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import shapely  # type: ignore[import-untyped]  # ships no types
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lateapex.sim.lidar import BEAMS, FORWARD, HEIGHT, LONGEST, NOISE, SHORTEST, TILT, Bodies, Lidar, no_bodies
from lateapex.sim.state import STATE_DTYPE
from lateapex.world.scene import Scene
from lateapex.world.track import Track, track_from_route

WALL = 1.0
BEARINGS = math.pi - 2.61799 + 2.0 * 2.61799 / 63.0 * np.arange(BEAMS)  # the original's digits: 150 degrees


def room(width: float, depth: float, height: float = WALL) -> tuple[Track, Scene]:
    """A short road in the middle of a room around (0, 0), `width` from west to east."""
    x = np.linspace(-0.5 * width + 1.0, 0.5 * width - 1.0, 5)
    zero, side = np.zeros(5), np.full(5, 0.5 * depth - 1.0)
    track = track_from_route(np.column_stack([x, zero, x, side, x, -side]), "room")
    return track, replace(Scene(), wall_gap=1.0, wall_height=height)


def scanned(
    lidar: Lidar, poses: list[tuple[float, float, float]], bodies: Bodies | None = None, step: int = 0
) -> NDArray[np.float32]:
    """Scans `[N, BEAMS]` of cars in worlds of their own whose scanners, not their centres, are at these poses."""
    cars = np.zeros(len(poses), STATE_DTYPE)
    x, y, cars["yaw"] = np.array(poses).T
    cars["x"], cars["y"] = x - FORWARD * np.cos(cars["yaw"]), y - FORWARD * np.sin(cars["yaw"])
    cars["world"] = np.arange(len(poses))
    out = np.zeros((len(poses), BEAMS), np.float32)
    zero = np.zeros(len(poses), np.int64)
    worlds = bodies or no_bodies(len(poses))
    lidar.scan(cars, np.arange(len(poses)), worlds, out, seed=5, episodes=zero, steps=zero + step)
    return out


def exact(width: float = 6.0, depth: float = 4.0, height: float = WALL) -> Lidar:
    track, scene = room(width, depth, height)
    return Lidar([track], [scene], noise=0.0)


def rays(yaw: float) -> NDArray[np.float64]:
    """Directions `[BEAMS, 3]` in the world: those of a level scanner, leant back, then turned by the yaw."""
    level = np.stack([np.cos(BEARINGS), np.sin(BEARINGS), np.zeros(BEAMS)])
    c, s = math.cos(TILT), math.sin(TILT)
    lean = np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
    c, s = math.cos(yaw), math.sin(yaw)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray((turn @ lean @ level).T)


def in_space(pose: tuple[float, float, float], width: float, depth: float, height: float) -> NDArray[np.float64]:
    """Ranges in an empty room: of all planes around it, the nearest that a ray hits where there is wall or floor."""
    start = np.array([*pose[:2], HEIGHT])
    found = []
    for ray in rays(pose[2]):
        hits = [LONGEST]
        for axis, place in ((0, 0.5 * width), (0, -0.5 * width), (1, 0.5 * depth), (1, -0.5 * depth), (2, 0.0)):
            if abs(ray[axis]) < 1e-12:
                continue
            way = (place - start[axis]) / ray[axis]
            hit = start + way * ray
            inside = abs(hit[0]) <= 0.5 * width + 1e-9 and abs(hit[1]) <= 0.5 * depth + 1e-9
            if way > 0.0 and inside and -1e-9 <= hit[2] <= height:
                hits.append(way)
        found.append(min(max(min(hits), SHORTEST), LONGEST))
    return np.array(found)


# ------------------------------------------------------------------------------------------------------------ by hand


def test_a_beam_to_the_left_wall_is_as_long_as_its_bearing_makes_it() -> None:
    # Beam 12 looks 30 + 12 x 300 / 63 = 87.143 degrees to the left, where a wall stands 2 m away.
    scan = scanned(exact(), [(0.0, 0.0, 0.0)])[0]
    assert scan[12] == pytest.approx(2.0 / math.sin(math.radians(87.142857)), abs=1e-5)
    assert scan[63 - 12] == pytest.approx(scan[12], abs=1e-5)


def test_beams_to_the_rear_reach_the_ground_where_the_leaning_plane_does() -> None:
    # 0.1844 m high and 0.02434 rad down: 7.58 m along the ground right behind; forward the plane rises.
    scan = scanned(exact(23.0, 23.0), [(0.0, 0.0, 0.3)])[0]
    assert scan[31] == pytest.approx(0.1844 / math.sin(0.02434) / math.cos(math.radians(2.381)), abs=1e-4)
    assert scan[0] > 11.0


def test_a_low_wall_is_passed_over_where_the_plane_has_risen_above_it() -> None:
    # A wall of 0.2 m is passed 0.0156 m above the scanner: 0.64 m ahead, but no beam looks straight ahead.
    scan = scanned(exact(6.0, 4.0, height=0.2), [(0.0, 0.0, 0.0)])[0]
    assert scan[0] == LONGEST
    assert scan[12] == pytest.approx(2.0 / math.sin(math.radians(87.142857)), abs=1e-5)


def test_nearer_than_the_range_is_its_lower_end_and_farther_its_upper() -> None:
    near = scanned(exact(), [(0.0, 1.9, 0.0)])[0]
    assert near[12] == np.float32(SHORTEST)
    wide = scanned(exact(30.0, 30.0), [(0.0, 0.0, 0.0)])[0]
    assert wide[0] == LONGEST


def post(bearing: float, distance: float = 0.6, size: float = 0.01) -> Bodies:
    """A small square post seen from the origin; two worlds, of which only the second holds it."""
    place = [distance * math.cos(bearing), distance * math.sin(bearing), bearing, size, size]
    return Bodies(np.array([[[np.nan] * 5], [place]]), np.array([[-2], [-1]]))


def test_each_beam_looks_at_its_own_bearing_of_the_cars_own_world() -> None:
    lidar, poses = exact(), [(0.0, 0.0, 0.0)] * 2
    empty = scanned(lidar, poses)
    for beam in range(BEAMS):
        scans = scanned(lidar, poses, post(BEARINGS[beam]))
        assert np.flatnonzero(scans[1] != empty[1]).tolist() == [beam]
        assert scans[1, beam] == pytest.approx(0.595, abs=2e-4)  # the plane leans by 0.03 % of the way
        assert (scans[0] == empty[0]).all()


def test_the_sixty_degrees_ahead_are_blind() -> None:
    lidar, poses = exact(), [(0.0, 0.0, 0.0)] * 2
    empty = scanned(lidar, poses)
    for degrees in np.arange(-29.0, 29.5, 0.5):
        assert (scanned(lidar, poses, post(math.radians(degrees))) == empty).all()


def test_a_car_does_not_see_itself_but_others_of_its_world() -> None:
    track, scene = room(6.0, 4.0)
    lidar = Lidar([track], [scene], noise=0.0)
    cars = np.zeros(2, STATE_DTYPE)
    cars["x"] = 0.0, -1.0
    outlines = np.array([[[0.0, 0.0, 0.0, 0.32, 0.2], [-1.0, 0.0, 0.0, 0.32, 0.2]]])
    out, zero = np.zeros((2, BEAMS), np.float32), np.zeros(2, np.int64)
    lidar.scan(cars, np.arange(2), Bodies(outlines, np.array([[0, 1]])), out, seed=0, episodes=zero, steps=zero)
    # The first looks back at the second's nose, 0.84 m from its centre; the second sees the first nowhere: it is ahead.
    assert out[0, 31] == pytest.approx((0.84 + FORWARD) / math.cos(math.radians(2.381)), abs=4e-4)
    assert out[1].min() > 1.9


# ------------------------------------------------------------------------------------------- against slower geometry

places = st.tuples(st.floats(-2.9, 2.9), st.floats(-1.9, 1.9), st.floats(-math.pi, math.pi))


@pytest.mark.parametrize(
    "pose",
    [
        *((0.0, 0.0, yaw) for yaw in np.linspace(-math.pi, math.pi, 17)),
        (2.8, 0.0, 0.0),
        (0.0, -1.84, 0.5),
        (-2.6, 1.7, 2.2),
    ],
)
def test_in_an_empty_room_each_range_is_that_of_a_ray_in_space(pose: tuple[float, float, float]) -> None:
    for width, depth, height in ((6.0, 4.0, 1.0), (18.0, 14.0, 1.0), (6.0, 4.0, 0.2)):
        expected = in_space(pose, width, depth, height)
        np.testing.assert_allclose(scanned(exact(width, depth, height), [pose])[0], expected, rtol=0.0, atol=1e-5)


box = st.tuples(
    st.floats(-2.5, 2.5), st.floats(-1.5, 1.5), st.floats(-math.pi, math.pi), st.floats(0.05, 0.6), st.floats(0.05, 0.6)
)
LIDAR = exact()


@settings(max_examples=60, deadline=None)
@given(places, st.lists(box, min_size=1, max_size=5))
def test_among_boxes_each_range_is_the_nearest_crossing_of_the_plane_figures(
    pose: tuple[float, float, float], boxes: list[tuple[float, float, float, float, float]]
) -> None:
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * 0.5
    figures = []
    for x, y, yaw, length, width in boxes:
        turn = np.array([[math.cos(yaw), math.sin(yaw)], [-math.sin(yaw), math.cos(yaw)]])
        figures.append(shapely.Polygon(corners * [length, width] @ turn + [x, y]))
    solid = shapely.union_all([*figures, shapely.box(-9, -9, 9, 9) - shapely.box(-3.0, -2.0, 3.0, 2.0)])
    here = shapely.Point(pose[:2])
    scan = scanned(LIDAR, [pose], Bodies(np.array([boxes]), np.full((1, len(boxes)), -1)))[0]
    for beam, ray in enumerate(rays(pose[2])):
        way = shapely.LineString([pose[:2], (pose[0] + 9.0 * ray[0], pose[1] + 9.0 * ray[1])])
        reach = here.distance(way.intersection(solid)) / math.hypot(ray[0], ray[1])
        # A beam that grazes a corner may pass it or not.
        grazing = way.distance(shapely.MultiPoint(shapely.get_coordinates(solid))) < 1e-6
        assert grazing or scan[beam] == pytest.approx(max(reach, SHORTEST), abs=1e-5)


# -------------------------------------------------------------------------------------------------------------- noise


def test_noise_is_normal_and_a_centimetre_wide_whatever_the_range() -> None:
    track, scene = room(6.0, 4.0)
    noisy = Lidar([track], [scene])
    poses = [(0.0, 0.0, 0.0)] * 50
    clean = scanned(exact(), poses)
    errors = np.concatenate([scanned(noisy, poses, step=step) - clean for step in range(20)]).astype(np.float64)
    assert abs(errors.mean()) < 4.0 * NOISE / math.sqrt(errors.size)
    assert errors.std() == pytest.approx(NOISE, rel=0.01)
    assert (np.abs(errors) > 2.0 * NOISE).mean() == pytest.approx(0.0455, abs=0.003)
    assert np.abs(np.corrcoef(errors.T) - np.eye(BEAMS)).max() < 0.16  # 5 / sqrt(1000): beams are independent
    assert abs(np.corrcoef(errors[:50].ravel(), errors[50:100].ravel())[0, 1]) < 0.09  # nor do steps


def test_what_is_out_of_range_has_no_noise_and_noise_leads_nowhere_out_of_it() -> None:
    track, scene = room(30.0, 30.0)
    noisy = Lidar([track], [scene])
    scans = np.concatenate([scanned(noisy, [(0.0, 14.849, 0.0)], step=step) for step in range(200)])
    assert (scans[:, :5] == LONGEST)[:, scanned(exact(30.0, 30.0), [(0.0, 14.849, 0.0)])[0, :5] == LONGEST].all()
    assert scans.min() == np.float32(SHORTEST)
    assert scans.max() <= LONGEST


def test_a_cars_noise_is_its_own_whoever_else_measures() -> None:
    track, scene = room(6.0, 4.0)
    lidar = Lidar([track], [scene])
    cars, counts = np.zeros(4, STATE_DTYPE), np.arange(4)
    every, some = np.zeros((4, BEAMS), np.float32), np.zeros((2, BEAMS), np.float32)
    lidar.scan(cars, counts, no_bodies(1), every, seed=2**40 + 3, episodes=counts, steps=counts)
    lidar.scan(cars, np.array([3, 1]), no_bodies(1), some, seed=2**40 + 3, episodes=counts, steps=counts)
    np.testing.assert_array_equal(some, every[[3, 1]])
    same = 2**40 + 3
    for seed, episodes, steps in ((3, counts, counts), (same, counts + 1, counts), (same, counts, counts + 1)):
        other = np.zeros((4, BEAMS), np.float32)
        lidar.scan(cars, counts, no_bodies(1), other, seed=seed, episodes=episodes, steps=steps)
        assert (other != every).mean() > 0.99
