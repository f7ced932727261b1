"""What the camera sees: lines of sight by hand, and whole pictures against a slow ray caster on exact distances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely  # type: ignore[import-untyped]  # ships no types
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lateapex.sim.camera import draw, scratch_for, view_of
from lateapex.sim.ground import paint_grounds
from lateapex.sim.simulator import Simulator
from lateapex.sim.state import STATE_DTYPE
from lateapex.world.scene import Scene, grey, scene_of
from lateapex.world.track import Track, load_track, track_from_route
from lateapex.world.vehicle import CameraMount

MOUNT = CameraMount()
SMOOTH = Scene(field_grain=0.0, road_grain=0.0)
# Black walls on both sides of the light around a white floor: the foot of a wall can be measured in a picture.
BARE = replace(
    SMOOTH,
    field=(255, 255, 255),
    road=(255, 255, 255),
    line=(255, 255, 255),
    dash=(255, 255, 255),
    wall=(0, 0, 0),
    wall_shade=(0, 0, 0),
)


def straight(length: float = 6.0, half: float = 0.4) -> Track:
    """An open straight from (0, 0) to the east."""
    x = np.linspace(0.0, length, 13)
    zero, side = np.zeros(13), np.full(13, half)
    return track_from_route(np.column_stack([x, zero, x, side, x, -side]), "straight")


def simulator(track: Track, scene: Scene, height: int = 120, width: int = 160, cars: int = 1) -> Simulator:
    return Simulator([track], [0] * cars, height=height, width=width, threads=1, scenes=[scene])


def picture(sim: Simulator, x: float, y: float, yaw: float) -> NDArray[np.uint8]:
    """Return what a car at this centre sees, `[H, W]`."""
    sim.place(np.array([0]), x, y, yaw)
    out = np.full((1, *sim.picture_shape), 77, np.uint8)
    sim.render(out)
    seen: NDArray[np.uint8] = out[0]
    return seen


@pytest.fixture(scope="module")
def bare() -> Simulator:
    return simulator(straight(), BARE)


@pytest.fixture(scope="module")
def oval() -> Simulator:
    return simulator(load_track("oval"), SMOOTH)


def foot_row(sim: Simulator, distance: float) -> float:
    """Row, from the upper edge, of the foot of the east wall `distance` m ahead of the lens, in the middle column."""
    wall = 6.0 + SMOOTH.wall_gap
    column = picture(sim, wall - distance - MOUNT.forward, 0.0, 0.0)[:, 80].astype(np.float64)
    # Sky, then black, then white: count the rows from the middle of the black on.
    black = int(np.flatnonzero(column < 10)[0])
    return float(120.0 - column[black:].sum() / 255.0)


def test_the_horizon_lies_at_row_29_5(bare: Simulator) -> None:
    # A foot at distance d lies below the horizon by f tan(depression), for a flat floor: f = 126.2 pixels.
    for distance in (4.0, 6.0):
        row = foot_row(bare, distance)
        angle = np.arctan((60.0 - row) / 126.2) + np.arctan(MOUNT.height / distance)
        assert 60.0 - 126.2 * np.tan(angle) == pytest.approx(29.5, abs=0.3)


def test_the_horizon_lies_between_the_lines_that_look_up_and_down() -> None:
    view = view_of(MOUNT, 120, 160)
    drop = np.array([np.mean(1.0 / view.inverse_drop[row, : view.taps[row]]) for row in range(120)])
    assert np.interp(0.0, drop, np.arange(120) + 0.5) == pytest.approx(29.5, abs=0.3)


def test_the_row_in_the_middle_sees_the_ground_0_549_m_ahead(bare: Simulator) -> None:
    near, far = foot_row(bare, 0.549 - 0.01), foot_row(bare, 0.549 + 0.01)
    assert near > 60.0 > far
    assert foot_row(bare, 0.549) == pytest.approx(60.0, abs=0.5)


def test_the_lowest_row_sees_the_ground_0_164_m_ahead(bare: Simulator) -> None:
    assert foot_row(bare, 0.167) == pytest.approx(119.0, abs=1.0)
    assert foot_row(bare, 0.160) == 120.0


def test_outer_columns_look_64_7_degrees_apart() -> None:
    view = view_of(MOUNT, 120, 160)
    assert view.focal == pytest.approx(126.2, abs=0.1)
    assert 2.0 * np.degrees(np.arctan(80.0 / view.focal)) == pytest.approx(64.7, abs=0.1)


@pytest.mark.parametrize("column", [8, 40, 79])
def test_a_corner_of_the_room_stands_in_the_column_worked_by_hand(oval: Simulator, column: int) -> None:
    # The north-east corner, 0.3 m ahead; in row 60 the line of sight of column c goes cos(pitch) forward and
    # (80 - c) / f to the left. North walls are lit, east walls are not.
    x1, y1 = oval.tracks[0].bounds[2] + 0.9, oval.tracks[0].bounds[3] + 0.9
    left = 0.3 * (80 - column) / 126.2 / np.cos(MOUNT.pitch)
    row = picture(oval, x1 - 0.3 - MOUNT.forward, y1 - left, 0.0)[59]
    lit, shade = round(grey(SMOOTH.wall)), round(grey(SMOOTH.wall_shade))
    assert (row[: column - 1] == lit).all()
    assert (row[column + 1 :] == shade).all()


@pytest.mark.parametrize(
    ("name", "road", "field", "line", "dash"),
    [("reinvent_base", (49, 52), 125, (204, 209), 138), ("any other", (62, 64), 129, (229, 231), 157)],
)
def test_surfaces_have_the_grey_levels_of_the_original(
    name: str, road: tuple[int, int], field: int, line: tuple[int, int], dash: int
) -> None:
    sim = simulator(replace(straight(), name=name), replace(scene_of(name), field_grain=0.0, road_grain=0.0))
    seen = picture(sim, 1.0, 0.0, 0.0)
    counts = np.bincount(seen.ravel(), minlength=256)
    assert counts[road[0] : road[1] + 1].sum() > 1000
    assert counts[field - 2 : field + 3].sum() > 1000
    assert counts[line[0] : line[1] + 1].sum() > 100
    assert counts[dash - 1 : dash + 2].sum() > 10
    assert counts[178] > 100


def test_the_grain_leaves_the_mean_of_a_surface_as_it_is() -> None:
    track = straight()
    smooth, grained = (
        picture(simulator(track, scene), 1.0, 0.0, 0.0).astype(np.float64) for scene in (SMOOTH, Scene())
    )
    below = slice(70, 120)
    assert grained[below].mean() == pytest.approx(smooth[below].mean(), abs=2.0)
    assert np.abs(grained - smooth)[below].mean() > 1.0


def test_a_picture_on_a_straight_is_symmetric() -> None:
    sim = simulator(straight(), replace(SMOOTH, wall_shade=SMOOTH.wall))
    seen = picture(sim, 1.0, 0.0, 0.0).astype(np.int64)
    # Edges fall on other texels of 4 mm left and right, hence not 0.
    assert np.abs(seen - seen[:, ::-1]).mean() < 0.5
    assert np.median(np.abs(seen - seen[:, ::-1])) == 0.0


def ground_grey(track: Track, scene: Scene, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Grey levels of places on the ground, `[M, 2]` m, by shapely: sharp edges and no grain."""
    center, inner, outer = (
        shapely.LinearRing(ring) if track.closed else shapely.LineString(ring)
        for ring in (track.center, track.inner, track.outer)
    )
    rings = [inner, outer] if track.closed else [shapely.LinearRing([*track.outer, *track.inner[::-1]])]
    road = shapely.Polygon(track.outer, [track.inner]) if track.closed else shapely.Polygon(rings[0])
    shapely.prepare(road)
    places = shapely.points(points)
    on_road = shapely.contains_xy(road, points[:, 0], points[:, 1])
    border = np.min([shapely.distance(ring, places) for ring in rings], axis=0)
    pitch = track.length / round(track.length / scene.dash_pitch)
    dash = shapely.distance(center, places) < scene.dash_width / 2.0
    dash[dash] = shapely.line_locate_point(center, places[dash]) % pitch < scene.dash_length
    line = on_road & (border < scene.line_width)
    greys = np.where(on_road, grey(scene.road), grey(scene.field))
    return np.where(dash, grey(scene.dash), np.where(line, grey(scene.line), greys))


def reference(
    track: Track, scene: Scene, pose: tuple[float, float, float], size: tuple[int, int], samples: int
) -> NDArray[np.float64]:
    """Cast `samples` x `samples` rays a pixel at floor, walls and sky, and average them: `[H, W]`."""
    height, width = size
    focal = 0.5 * width / np.tan(0.5 * MOUNT.field_of_view)
    down, right = np.meshgrid(
        ((np.arange(height * samples) + 0.5) / samples - 0.5 * height) / focal,
        ((np.arange(width * samples) + 0.5) / samples - 0.5 * width) / focal,
        indexing="ij",
    )
    x, y, yaw = pose
    forward = np.array([np.cos(yaw), np.sin(yaw)])
    lens = np.array([x, y]) + MOUNT.forward * forward
    ahead = np.cos(MOUNT.pitch) - down * np.sin(MOUNT.pitch)
    sink = np.sin(MOUNT.pitch) + down * np.cos(MOUNT.pitch)
    flat = ahead[..., None] * forward + right[..., None] * np.array([forward[1], -forward[0]])
    low, high = np.array(track.bounds).reshape(2, 2) + np.array([[-1.0], [1.0]]) * scene.wall_gap
    # How far along a ray each pair of walls is met: south or north, west or east.
    with np.errstate(divide="ignore"):
        reach = np.where(flat > 0.0, high - lens, low - lens) / flat
        floor = np.where(sink > 0.0, MOUNT.height / sink, np.inf)
    met = reach.min(axis=-1)
    lit = np.where(reach[..., 0] < reach[..., 1], flat[..., 0] < 0.0, flat[..., 1] > 0.0)
    out = np.where(lit, grey(scene.wall), grey(scene.wall_shade))
    out[MOUNT.height - met * sink > scene.wall_height] = grey(scene.sky)
    on_floor = floor < met
    out[on_floor] = ground_grey(track, scene, lens + floor[on_floor, None] * flat[on_floor])
    means: NDArray[np.float64] = out.reshape(height, samples, width, samples).mean(axis=(1, 3))
    return means


POSES = [(share, aside, turned) for share in (0.02, 0.3) for aside, turned in ((0.0, 0.0), (0.35, -0.5), (-0.8, 2.0))]


@pytest.mark.parametrize("name", ["oval", "sprint"])
def test_pictures_are_close_to_those_of_a_slow_ray_caster(name: str) -> None:
    track = load_track(name)
    sim = simulator(track, SMOOTH)
    apart = []
    for share, aside, turned in POSES:
        x, y, yaw = track.pose_at(share)
        pose = x - aside * np.sin(yaw), y + aside * np.cos(yaw), yaw + turned
        apart.append(np.abs(picture(sim, *pose) - reference(track, SMOOTH, pose, (120, 160), 2)))
    # Grey levels of 255; the worst of these twelve poses has 1.36, the mean of them is 1.0, from edges and far dashes.
    assert max(item.mean() for item in apart) < 1.6
    assert np.mean([item.mean() for item in apart]) < 1.2
    assert np.mean([(item > 40.0).mean() for item in apart]) < 0.008


@pytest.mark.parametrize("size", [(60, 80), (30, 40)])
def test_smaller_pictures_are_the_mean_of_what_a_pixel_covers(size: tuple[int, int]) -> None:
    track = load_track("oval")
    x, y, yaw = track.pose_at(0.1)
    seen, expected = picture(simulator(track, SMOOTH, *size), x, y, yaw), reference(track, SMOOTH, (x, y, yaw), size, 5)
    apart = seen - expected
    # Grey levels of 255; 0.95 and 1.59 were measured, half of it in the row where the wall begins, whose height four
    # taps know to a quarter.
    assert np.abs(apart).mean() < 1.8
    assert np.median(np.abs(apart)) < 0.5


def test_pictures_are_not_shifted_by_a_part_of_a_pixel() -> None:
    track = load_track("oval")
    sim = simulator(track, SMOOTH)
    x, y, yaw = track.pose_at(0.3)
    seen, expected = picture(sim, x, y, yaw + 0.3), reference(track, SMOOTH, (x, y, yaw + 0.3), (120, 160), 4)
    below = slice(34, 120)
    slopes = np.stack([np.gradient(expected, axis=axis)[below].ravel() for axis in (0, 1)], axis=1)
    shift = np.linalg.lstsq(slopes, (expected - seen)[below].ravel())[0]
    assert np.abs(shift).max() < 0.06


GUARD = 1 << 16


def guarded() -> tuple[Any, tuple[float, float, float, float]]:
    """A ground of greys 50 to 100 between texels of 255 that no picture may show, and its walls."""
    floor, wall = (100, 100, 100), (50, 50, 50)
    scene = replace(SMOOTH, field=floor, road=floor, line=floor, dash=floor, wall=wall, wall_shade=wall, sky=wall)
    ground = paint_grounds([straight(2.0)], [scene])
    guard = np.full(GUARD, 255, np.uint8)
    return ground._replace(texels=np.concatenate([guard, ground.texels, guard]), first=ground.first + GUARD), tuple(
        ground.walls[0].tolist()
    )


GROUND, WALLS = guarded()
VIEWS = [(size, view_of(MOUNT, *size)) for size in ((120, 160), (24, 32), (7, 5), (1, 1))]

somewhere = st.one_of(st.floats(-3.0, 6.0), st.floats(-1e3, 1e3), st.sampled_from(WALLS))
directions = st.one_of(st.floats(-np.pi, np.pi), st.sampled_from([n * np.pi / 2.0 for n in range(-2, 3)]))


@settings(max_examples=300, deadline=None)
@given(somewhere, somewhere, directions, st.sampled_from(VIEWS))
def test_from_any_pose_only_the_room_is_read_and_only_the_picture_written(
    x: float, y: float, yaw: float, camera: tuple[tuple[int, int], Any]
) -> None:
    size, view = camera
    cars = np.zeros(3, STATE_DTYPE)
    cars["x"], cars["y"], cars["yaw"] = x, y, yaw
    out = np.full((3, *size), 7, np.uint8)
    draw(np.array([1]), cars, view, GROUND, out, scratch_for(*size, GROUND))
    assert (out[[0, 2]] == 7).all()
    assert out[1].min() >= 50
    assert out[1].max() <= 100


def test_a_camera_inside_the_room_sees_the_same_wall_as_the_ray_caster_in_every_direction(oval: Simulator) -> None:
    track = oval.tracks[0]
    x0, y0, x1, y1 = track.bounds
    for yaw in np.linspace(-np.pi, np.pi, 12, endpoint=False):
        pose = 0.3 * x0 + 0.7 * x1, 0.5 * (y0 + y1), float(yaw)
        expected = reference(track, SMOOTH, pose, (120, 160), 2)[:28]
        # Above the horizon only walls and sky are seen; the two walls differ by 28, the sky from both by 120 and more.
        assert (np.abs(picture(oval, *pose)[:28] - expected) > 20.0).mean() < 0.03


def test_many_grounds_of_one_track_are_painted_alike() -> None:
    track = straight(2.0)
    first = None
    for n in range(12):
        # Leave other bytes in the memory that the next painting is given.
        rubbish = [np.full(1 << size, 0.01 * n - 0.03, np.float32) for size in range(10, 21)]
        del rubbish
        sim = simulator(track, Scene(), cars=1)
        seen = np.stack([picture(sim, x, y, 0.3) for x in (0.2, 1.5) for y in (-0.5, 0.0, 0.5)]).tobytes()
        first = first or seen
        assert seen == first
