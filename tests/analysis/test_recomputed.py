"""What the simulator finds at logged poses: our own logs agree in full, changed ones do not, real ones nearly all."""

from __future__ import annotations

import numpy as np
import pytest
from made_tables import blank
from numpy.typing import NDArray

from lateapex.analysis.recomputed import compare
from lateapex.env.rules import unwrapped_progress
from lateapex.sim.replay import locate_poses
from lateapex.world.track import Track, load_track
from lateapex.world.vehicle import Vehicle

TRACK = load_track("kidney")


def lap(start: float, steps: int = 60) -> NDArray[np.void]:
    """Rows along a whole lap from a start, as our own rules log them."""
    rows = blank(steps)
    fractions = start + np.linspace(0.005, 1.003, steps)
    poses = np.array([TRACK.pose_at(fraction) for fraction in fractions])
    rows["x"], rows["y"], rows["yaw"] = poses.T
    cars = locate_poses([TRACK], 0, poses, Vehicle())
    rows["closest_waypoint"] = cars["closest_waypoint"]
    rows["all_wheels_on_track"] = cars["wheels_on_road"] == 4
    previous = np.zeros(1)
    for row, along in zip(rows, cars["along"], strict=True):
        previous = unwrapped_progress(np.array([along / TRACK.length]), np.array([start % 1.0]), previous)
        row["progress"] = previous[0]
    return rows


@pytest.mark.parametrize("start", [0.0, 0.05, 0.5, 0.95])
def test_a_lap_from_any_start_agrees_in_every_row(start: float) -> None:
    found = compare(lap(start), TRACK, Vehicle())
    assert found.shares() == {"closest_waypoint": 1.0, "all_wheels_on_track": 1.0, "progress": 1.0}
    assert lap(start)["progress"][-1] == 100.0


def test_rows_that_were_changed_are_found_and_those_near_a_change_told_apart() -> None:
    rows = lap(0.0)
    rows["closest_waypoint"][10] += 5
    rows["all_wheels_on_track"][20] = False  # on the centre line: no centimetre explains it
    rows["progress"][30] += 0.06
    found = compare(rows, TRACK, Vehicle())
    assert (found.rows, found.closest_waypoint, found.all_wheels_on_track) == (60, 59, 59)
    assert found.progress_rows - found.progress == 1
    assert (found.waypoint_near, found.wheels_near) == (0, 0)


def test_a_wheel_within_a_centimetre_of_the_border_explains_a_row() -> None:
    rows = lap(0.0)
    car = Vehicle()
    x, y, yaw = TRACK.pose_at(0.2)
    # All but the wheels of one side lie on the road; 5 mm further out the logged value would hold.
    for aside in np.arange(0.0, 0.6, 0.001):
        pose = np.array([[x - aside * np.sin(yaw), y + aside * np.cos(yaw), yaw]])
        if locate_poses([TRACK], 0, pose, car)["wheels_on_road"][0] < 4:
            break
    rows["x"][20], rows["y"][20], rows["yaw"][20] = pose[0] - [-0.005 * np.sin(yaw), 0.005 * np.cos(yaw), 0.0]
    rows["all_wheels_on_track"][20] = False
    found = compare(rows, TRACK, car)
    assert (found.rows - found.all_wheels_on_track, found.wheels_near) == (1, 1)


def test_first_rows_and_rows_after_a_reset_do_not_count_for_progress() -> None:
    rows = lap(0.0)
    away = TRACK.pose_at(0.9)
    rows["x"][30], rows["y"][30], rows["yaw"][30] = away
    found = compare(rows, TRACK, Vehicle())
    # The first row, the row to which the car was put, and the one at which it was back.
    assert found.progress_rows == len(rows) - 3


def test_progress_where_two_places_of_the_centre_line_are_equally_near_is_told_apart() -> None:
    turns = np.linspace(0, 2 * np.pi, 88, endpoint=False)
    ring = np.column_stack([np.cos(turns), np.sin(turns)])
    track = Track("ring", 0.4 * ring, 0.1 * ring, 0.7 * ring, closed=True)
    rows = blank(3)
    rows["x"], rows["y"] = 1e-5 * np.cos([0.1, 0.2, 0.3]), 1e-5 * np.sin([0.1, 0.2, 0.3])  # in the ring's middle
    poses = np.stack([rows["x"], rows["y"], rows["yaw"]], axis=-1)
    rows["progress"] = 100.0 * locate_poses([track], 0, poses, Vehicle())["along"] / track.length
    assert compare(rows, track, Vehicle()).progress == 2
    moved = locate_poses([track], 0, poses[1:2] + np.array([0.0, 5e-5, 0.0]), Vehicle())
    rows["progress"][1] = 100.0 * moved["along"][0] / track.length
    found = compare(rows, track, Vehicle())
    assert (found.progress_rows, found.progress, found.progress_near) == (2, 1, 1)
    rows["progress"][1] += 7.0
    found = compare(rows, track, Vehicle())
    assert (found.progress, found.progress_near) == (1, 0)
