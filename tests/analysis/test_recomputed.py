"""What the simulator finds at logged poses: our own logs agree in full, changed ones do not, real ones nearly all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_tables import blank
from numpy.typing import NDArray

from lateapex.analysis.recomputed import compare
from lateapex.env.rules import unwrapped_progress
from lateapex.jobs.recomputed import recompute
from lateapex.sim.replay import locate_poses
from lateapex.world.track import load_track
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


def test_real_logs_of_all_generations_agree(shared_data: Path) -> None:
    found, left_out = recompute(shared_data)
    assert {log.vehicle for log in found} == {f"version{physics}" for physics in (2, 3, 4, 5, 6)}
    assert len(left_out) <= 2
    for log in found:
        shares = log.agreement.shares()
        assert shares["closest_waypoint"] >= 0.9999, log
        assert shares["progress"] >= 0.999, log
        # 5 of the 911 rows of the only job of generation 3 have a wheel within a centimetre of the border.
        assert shares["all_wheels_on_track"] >= (0.994 if log.vehicle == "version3" else 0.995), log
