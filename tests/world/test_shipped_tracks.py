"""The tracks that come with the package: each by the same checks, their characters by numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_roads import assert_apart, assert_drivable, curvatures, follow

from lateapex.world.inspection import inspect_track
from lateapex.world.track import load_track, track_names

CLOSED = [name for name in track_names() if name != "sprint"]


def test_eight_tracks_come_with_the_package_and_each_loads_under_its_name() -> None:
    assert track_names() == ["chicane", "flowing", "folded", "hairpin", "kidney", "narrow", "oval", "sprint"]
    assert [load_track(name).name for name in track_names()] == track_names()


@pytest.mark.parametrize("name", CLOSED)
def test_every_closed_track_is_a_drivable_loop_with_room_for_the_car(name: str) -> None:
    track = load_track(name)
    assert track.closed
    assert 15 <= track.length <= 60
    assert 0.6 <= track.width <= 1.1
    assert track.waypoints[0] == track.waypoints[-1]
    assert track.lines == "inside"
    assert_drivable(track)
    assert_drivable(track.reverse())
    assert_apart(track)


@pytest.mark.parametrize("name", track_names())
def test_no_bend_is_tighter_than_75_cm_and_nothing_is_odd(name: str) -> None:
    inspection = inspect_track(load_track(name))
    assert inspection.tightest_radius > 0.7499
    assert inspection.quirks == ()


def test_a_car_at_1_m_per_s_follows_every_track_both_ways_with_all_wheels_on_the_road() -> None:
    tracks = [load_track(name + way) for name in track_names() for way in ("", "@reversed")]
    driven, wheels = follow(tracks, speed=1.0, seconds=70)
    assert dict(zip([(track.name, track.reversed) for track in tracks], driven, strict=True)) == {
        (name, backwards): 1.0 for name in track_names() for backwards in (False, True)
    }
    assert wheels.min() == 4


def test_the_oval_is_16_57_m_of_two_straights_and_two_half_circles_to_the_left() -> None:
    track = load_track("oval")
    assert track.length == pytest.approx(2 * 4.2 + 2 * math.pi * 1.3, rel=1e-3)
    assert track.width == pytest.approx(0.8)
    assert track.is_ccw
    assert curvatures(track).min() > -1e-9


def test_the_kidney_is_19_45_m_to_the_left_with_one_right_hand_bend() -> None:
    track = load_track("kidney")
    radians = math.radians(225) * 1.6 + math.radians(75) * 1.6 + math.radians(210) * 1.25
    assert track.length == pytest.approx(2.5 + 0.77 + 0.8 + 2.425 + radians, rel=1e-3)
    assert track.width == pytest.approx(0.9)
    assert track.is_ccw
    bends_right = curvatures(track) < -0.3
    assert np.count_nonzero(np.diff(bends_right.astype(int)) == 1) == 1
    assert curvatures(track)[bends_right].min() == pytest.approx(-1 / 1.6, rel=0.01)


def test_the_chicanes_turn_six_times_between_two_half_circles() -> None:
    turning = np.sign(np.round(curvatures(load_track("chicane")), 1))
    changes = turning[np.flatnonzero(np.diff(turning, prepend=0))]
    assert changes[changes != 0].tolist() == [1, -1, 1, -1, 1, -1, 1, 1]


def test_the_hairpin_has_one_half_circle_of_75_cm() -> None:
    tight = curvatures(load_track("hairpin")) > 1.3
    # π · 0.75 m of the bend at 0.15 m a point, less its two ends
    assert tight.sum() == pytest.approx(math.pi * 0.75 / 0.15, abs=2)
    assert np.count_nonzero(np.diff(tight.astype(int)) == 1) == 1


def test_the_flowing_track_is_the_longest_and_its_tightest_bend_is_wide() -> None:
    assert max(track_names(), key=lambda name: load_track(name).length) == "flowing"
    assert inspect_track(load_track("flowing")).tightest_radius == pytest.approx(1.8, abs=0.01)


def test_stretches_of_the_folded_track_lie_half_a_metre_beside_each_other() -> None:
    track = load_track("folded")
    lag = np.abs(np.subtract.outer(track.along, track.along))
    far = np.minimum(lag, track.length - lag) > math.pi * 0.75
    distances = np.hypot(*(track.center[:, None] - track.center[None]).transpose(2, 0, 1))
    assert distances[far].min() - track.width == pytest.approx(0.5, abs=0.01)
    assert (np.where(far, distances, np.inf).min(axis=1) < 1.6).mean() > 0.5  # along more than half of the lap


def test_the_narrow_track_is_three_cars_wide_and_clockwise() -> None:
    track = load_track("narrow")
    assert track.width == pytest.approx(0.6)
    assert not track.is_ccw


def test_the_sprint_has_two_ends_far_from_each_other() -> None:
    track = load_track("sprint")
    assert not track.closed
    assert 15 <= track.length <= 60
    assert np.hypot(*(track.center[-1] - track.center[0])) > 10
    assert_apart(track)
