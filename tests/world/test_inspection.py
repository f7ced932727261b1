"""What is said of a track: widths, bends and quirks put in by hand, and those known of the official routes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely  # type: ignore[import-untyped]  # ships no types
from hypothesis import given, settings
from hypothesis import strategies as st

from lateapex.world.inspection import inspect_track
from lateapex.world.track import Track, load_track

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def ring(radius: float = 2.0, count: int = 60, half: float = 0.5) -> Track:
    angles = np.arange(count) / count * 2 * math.pi
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Track("ring", radius * unit, (radius - half) * unit, (radius + half) * unit, closed=True)


def line(center: list[list[float]]) -> Track:
    points, left = np.array(center, dtype=np.float64), np.array([0, 0.5])
    return Track("line", points, points + left, points - left, closed=False)


def test_a_ring_has_its_radius_everywhere_and_no_quirks() -> None:
    found = inspect_track(ring())
    assert found.points == 61
    assert found.length == pytest.approx(60 * 4 * math.sin(math.pi / 60))
    assert found.widths == pytest.approx((1, 1, 1))
    assert found.direction == "counter-clockwise"
    assert found.tightest_radius == pytest.approx(2.0)
    assert found.quirks == ()
    assert inspect_track(ring().reverse()).direction == "clockwise"


def test_a_straight_line_is_open_and_has_no_bend() -> None:
    found = inspect_track(line([[0, 0], [1, 0], [2, 0], [3, 0]]))
    assert found.direction == "open"
    assert found.points == 4
    assert found.tightest_radius == math.inf
    assert found.quirks == ()


def test_the_tightest_bend_is_found_where_it_is() -> None:
    # a right angle with legs of 0.3 m has its three points on a circle about the middle of the hypotenuse
    found = inspect_track(line([[0, 0], [0.3, 0], [0.6, 0], [0.6, 0.3], [0.6, 0.6]]))
    assert found.tightest_at == 2
    assert found.tightest_radius == pytest.approx(0.3 * math.sqrt(2) / 2)


def test_a_tremor_of_close_points_is_no_bend() -> None:
    center = ring().center.copy()
    shaken = np.insert(center, 1, center[0] + [0.002, 0.002], axis=0)
    track = Track("ring", shaken, 0.75 * shaken, 1.25 * shaken, closed=True)
    assert inspect_track(track).tightest_radius > 1.9


def test_widths_are_those_of_rows() -> None:
    inner = ring().inner.copy()
    inner[7] *= 1.2  # 1.5 m to 1.8 m from the middle
    inner[9] *= 0.9
    found = inspect_track(replace(ring(), inner=inner))
    assert found.widths == pytest.approx((0.7, 1.0, 1.15))
    assert found.quirks == ("the centre line is up to 0.15 m off the middle of the borders: waypoint 7",)


def test_repeated_points_are_counted_and_listed() -> None:
    rows = np.insert(np.arange(60), [5, 9], [4, 8])
    track = ring()
    twice = Track("ring", track.center[rows], track.inner[rows], track.outer[rows], closed=True)
    assert inspect_track(twice).quirks == ("2 points repeat the one before: waypoint 5, 10",)
    assert inspect_track(twice).tightest_radius == pytest.approx(2.0)
    many = Track("ring", *(np.repeat(points, 2, axis=0) for points in (track.center, track.inner, track.outer)), True)
    assert inspect_track(many).quirks == ("60 points repeat the one before: waypoint 1, 3, 5, 7, 9 and 55 more",)


def test_a_border_with_a_loop_touches_itself() -> None:
    inner = ring().inner.copy()
    inner[[20, 21]] = inner[[21, 20]]
    found = inspect_track(replace(ring(), inner=inner))
    assert "the inner border touches or crosses itself: near waypoint 19" in found.quirks
    outer = ring().outer.copy()
    outer[[59, 0]] = outer[[0, 59]]  # across the joint of the loop
    assert any(quirk.startswith("the outer border") for quirk in inspect_track(replace(ring(), outer=outer)).quirks)


def test_a_border_that_comes_back_to_one_of_its_points_touches_itself() -> None:
    inner = ring().inner.copy()
    inner[20] = inner[24]
    assert any("inner border touches" in quirk for quirk in inspect_track(replace(ring(), inner=inner)).quirks)


def test_borders_that_cross_each_other_are_told() -> None:
    inner = ring().inner.copy()
    inner[30] *= 2.0
    found = inspect_track(replace(ring(), inner=inner))
    assert "the borders touch or cross each other: near waypoint 29, 30" in found.quirks


def test_an_eight_crosses_itself() -> None:
    angles = np.arange(0.5, 40) / 40 * 2 * math.pi
    center = np.stack([np.sin(angles), np.sin(2 * angles)], axis=1) * 3
    track = Track("eight", center, center - np.array([0, 0.2]), center + np.array([0, 0.2]), closed=True)
    crossed = [quirk for quirk in inspect_track(track).quirks if "crosses itself" in quirk]
    assert [quirk.split()[1] for quirk in crossed] == ["centre", "inner", "outer"]


@settings(max_examples=60, deadline=None)
@given(radii=st.lists(st.floats(1, 6), min_size=5, max_size=12), swap=st.integers(0, 11))
def test_a_border_touches_itself_exactly_if_the_geometry_library_says_so(radii: list[float], swap: int) -> None:
    angles = np.arange(len(radii)) / len(radii) * 2 * math.pi
    border: NDArray[np.float64] = np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    i, j = swap % len(radii), (swap * 5 + 2) % len(radii)
    border[[i, j]] = border[[j, i]]
    track = Track("any", border, border * 0.9, border * 1.1, closed=True)
    crossed = any(quirk.startswith("the centre line touches") for quirk in inspect_track(track).quirks)
    assert crossed != shapely.LinearRing(border).is_simple


@settings(max_examples=30, deadline=None)
@given(radius=st.floats(0.5, 20), count=st.integers(40, 200), turn=st.floats(-3, 3))
def test_the_radius_of_a_ring_does_not_depend_on_its_points_nor_on_where_it_lies(
    radius: float, count: int, turn: float
) -> None:
    track = ring(radius, count, half=0.2)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    moved = Track(
        "ring", *(points @ rotation.T + 7 for points in (track.center, track.inner, track.outer)), closed=True
    )
    assert inspect_track(moved).tightest_radius == pytest.approx(radius, rel=1e-6)


def test_the_quirks_of_official_routes_are_those_that_are_known(shared_data: Path) -> None:
    found = {name: inspect_track(load_track(shared_data / "tracks" / f"{name}.npy")) for name in KNOWN}
    assert {name: inspection.quirks for name, inspection in found.items()} == KNOWN
    assert found["reinvent_base"].points == 119
    assert found["Tokyo_Training_track"].widths == pytest.approx((0.651, 1.157, 1.971), abs=0.001)


KNOWN = {
    "reinvent_base": (),
    "2022_march_open_cw": (),
    "Straight_track": (),
    "reInvent2019_track": ("1 point repeats the one before: waypoint 39",),
    "Tokyo_Training_track": (
        "1 point repeats the one before: waypoint 78",
        "the centre line is up to 0.43 m off the middle of the borders: waypoint 137",
    ),
}
