"""Chase and top views: where cars and track stand in them, worked by hand; solid shapes; refused arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lateapex.errors import ConfigError
from lateapex.sim.simulator import Simulator
from lateapex.sim.solids import PAINTS, Eye, Solid, car_solid, draw_solid, placed
from lateapex.sim.spectator import CHASE_BEHIND, Spectator, Stage, centre_poses
from lateapex.world.scene import Scene
from lateapex.world.track import Track, load_track

SMOOTH = Scene(field_grain=0.0, road_grain=0.0)
SIZE = {"width": 320, "height": 240}


@pytest.fixture(scope="module")
def oval() -> Track:
    return load_track("oval")


def red_middle(picture: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean column and row of what is far more red than green: the body of the first car, and no ground."""
    red, green, blue = picture.astype(np.int64).transpose(2, 0, 1)
    rows, columns = np.nonzero((red > 2 * green) & (red > 2 * blue) & (red > 90))
    assert len(rows) > 5
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_the_top_view_shows_the_car_where_it_is(oval: Track, share: float) -> None:
    stage = Stage(oval, SMOOTH, view="top", **SIZE)
    x, y, yaw = oval.pose_at(share)
    column, row = red_middle(stage.draw([(x, y, yaw)]))
    x0, y0, x1, y1 = oval.bounds
    # East is right, north is up; 320 pixels show the bounds and a quarter more, 240 as much as their shape needs.
    metre = 320 / (1.25 * max(x1 - x0, (y1 - y0) * 4 / 3))
    assert column == pytest.approx(160 + (x - (x0 + x1) / 2) * metre, abs=2.0)
    assert row == pytest.approx(120 - (y - (y0 + y1) / 2) * metre, abs=2.0)


def test_the_top_view_shows_the_whole_track(oval: Track) -> None:
    picture = Stage(oval, SMOOTH, view="top", **SIZE).draw([(0.0, 50.0, 0.0)]).astype(np.int64)
    white = (picture.min(axis=2) > 200).nonzero()
    x0, y0, x1, y1 = oval.bounds
    metre = 320 / (1.25 * max(x1 - x0, (y1 - y0) * 4 / 3))
    assert np.ptp(white[1]) == pytest.approx((x1 - x0) * metre, abs=3.0)
    assert np.ptp(white[0]) == pytest.approx((y1 - y0) * metre, abs=3.0)


def test_the_chase_camera_has_its_car_in_the_middle_column(oval: Track) -> None:
    stage = Stage(oval, SMOOTH, **SIZE)
    column, row = red_middle(stage.draw([oval.pose_at(0.1)]))
    assert column == pytest.approx(160.0, abs=2.0)
    # The middle of the car, 0.1 m high, is 0.9 m below the lens and 1.427 m ahead: 32.2 degrees down, 14.2 off axis.
    focal = 160 / np.tan(1.13 / 2)
    assert row == pytest.approx(120 + focal * np.tan(np.arctan2(0.9, CHASE_BEHIND) - 0.314), abs=12.0)


def test_the_chase_camera_falls_back_by_as_much_as_the_car_drives_in_a_second(oval: Track) -> None:
    # On a long straight a camera that closes 1/s of its distance follows a car of v m/s at v m more than its own place.
    stage = Stage(oval, SMOOTH, damping=1.0, **SIZE)
    for step in range(900):
        stage._follow(np.array([0.1 * step, 0.0, 0.0]), 1 / 15)
    assert stage._chaser is not None
    assert 0.1 * 899 - stage._chaser.x - CHASE_BEHIND == pytest.approx(1.5, abs=0.1)


def test_after_a_restart_the_chase_camera_stands_behind_its_car(oval: Track) -> None:
    stage, fresh = (Stage(oval, SMOOTH, **SIZE) for _ in range(2))
    stage.draw([oval.pose_at(0.6)])
    stage.restart()
    assert stage.draw([oval.pose_at(0.1)]).tobytes() == fresh.draw([oval.pose_at(0.1)]).tobytes()


@pytest.mark.parametrize("view", ["chase", "top"])
def test_a_spectator_draws_what_a_stage_draws_of_the_same_poses(oval: Track, view: Any) -> None:
    sim = Simulator([oval], [0, 0], world=[0, 0], threads=1, scenes=[SMOOTH], height=24, width=32)
    poses = [oval.pose_at(0.1), oval.pose_at(0.13)]
    sim.place(np.arange(2), *np.array(poses).T)
    seen = Spectator(sim, view, car=1, **SIZE).draw()
    assert seen.shape == (240, 320, 3)
    assert seen.tobytes() == Stage(oval, SMOOTH, view=view, **SIZE).draw(poses, car=1).tobytes()


def test_only_cars_of_the_same_world_are_shown_unless_all_are_asked_for(oval: Track) -> None:
    sim = Simulator([oval], [0, 0], threads=1, scenes=[SMOOTH], height=24, width=32)
    sim.place(np.arange(2), *np.array([oval.pose_at(0.1), oval.pose_at(0.5)]).T)
    alone, everyone = (Spectator(sim, "top", everyone=flag, **SIZE).draw() for flag in (False, True))
    assert alone.tobytes() == Stage(oval, SMOOTH, view="top", **SIZE).draw([oval.pose_at(0.1)]).tobytes()
    assert (alone != everyone).any(axis=2).sum() > 20


def test_records_tell_the_front_point_and_views_want_the_centre() -> None:
    assert centre_poses([1.14], [2.0], [0.0])[0].tolist() == pytest.approx([1.0, 2.0, 0.0])
    assert centre_poses([1.0], [2.14], [np.pi / 2])[0].tolist() == pytest.approx([1.0, 2.0, np.pi / 2])


def test_the_nearer_of_two_triangles_hides_the_other_whatever_their_order() -> None:
    near = [[1.0, -0.2, -0.2], [1.0, 0.2, -0.2], [1.0, 0.0, 0.2]]
    far = [[2.0, -2.0, -2.0], [2.0, 2.0, -2.0], [2.0, 0.0, 2.0]]
    eye = Eye(0.0, 0.0, 0.0, 0.0, 0.0, 50.0)
    pictures = []
    for corners, colours in (
        ([near, far], [[200.0, 0, 0], [0, 0, 200.0]]),
        ([far, near], [[0, 0, 200.0], [200.0, 0, 0]]),
    ):
        picture = np.zeros((60, 60, 3), np.uint8)
        draw_solid(picture, Solid(np.array(corners), np.array(colours)), eye)
        pictures.append(picture)
    assert pictures[0].tobytes() == pictures[1].tobytes()
    assert pictures[0][30, 30, 0] > 100
    assert pictures[0][30, 30, 2] == 0
    assert pictures[0][50, 30, 2] > 100


def test_a_triangle_covers_as_much_as_its_area() -> None:
    # A square of 0.4 m at 1 m with 50 pixels a metre: 20 x 20 pixels, 10 of each half.
    corners = np.array(
        [[[1.0, 0.2, 0.2], [1.0, -0.2, 0.2], [1.0, -0.2, -0.2]], [[1.0, 0.2, 0.2], [1.0, -0.2, -0.2], [1.0, 0.2, -0.2]]]
    )
    picture = np.full((60, 60, 3), 255, np.uint8)
    draw_solid(picture, Solid(corners, np.zeros((2, 3))), Eye(0.0, 0.0, 0.0, 0.0, 0.0, 50.0))
    assert (255.0 - picture[..., 0]).sum() / 255.0 == pytest.approx(400.0, rel=0.01)


def test_what_is_behind_the_camera_is_not_drawn() -> None:
    picture = np.full((40, 40, 3), 9, np.uint8)
    draw_solid(picture, placed(car_solid(PAINTS[0]), -1.0, 0.0, 0.0), Eye(0.0, 0.0, 0.2, 0.0, 0.0, 40.0))
    assert (picture == 9).all()


def test_the_car_is_as_large_as_the_original() -> None:
    corners = car_solid(PAINTS[0]).corners.reshape(-1, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    assert low.tolist() == pytest.approx([-0.168, -0.098, 0.0], abs=0.01)
    assert high.tolist() == pytest.approx([0.168, 0.098, 0.13], abs=0.01)


def test_front_wheels_turn_to_the_left_for_a_positive_angle() -> None:
    straight, turned = (car_solid(PAINTS[0], angle).corners.reshape(-1, 3) for angle in (0.0, 0.4))
    moved = np.abs(turned - straight).max(axis=1) > 1e-9
    assert straight[moved, 0].min() > 0.04  # no rear wheel
    nose = moved & (straight[:, 0] > 0.11)
    assert (turned - straight)[nose, 1].mean() > 0.0


@pytest.mark.parametrize(("poses", "car"), [([], 0), ([(0.0, 0.0)], 0), ([(0.0, 0.0, 0.0)], 1)])
def test_poses_that_do_not_fit_are_refused(oval: Track, poses: Any, car: int) -> None:
    with pytest.raises(ConfigError, match="poses of shape"):
        Stage(oval, SMOOTH, view="top", **SIZE).draw(poses, car)


def test_an_unknown_view_is_refused(oval: Track) -> None:
    with pytest.raises(ConfigError, match="view is 'side'; one of 'chase', 'top'"):
        Stage(oval, view="side")  # type: ignore[arg-type] # that is the point


def test_low_walls_lower_the_chase_camera(oval: Track) -> None:
    stage = Stage(oval, replace(SMOOTH, wall_height=0.5), **SIZE)
    stage.draw([oval.pose_at(0.1)])
    assert stage._mount.height == 0.5
