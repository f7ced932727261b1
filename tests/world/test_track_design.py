"""Designed tracks: exact shapes, and what a design that cannot be a road is told."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_roads import assert_drivable

from lateapex.errors import TrackError
from lateapex.world.track import Track, load_track, signed_area
from lateapex.world.track_design import design_track

if TYPE_CHECKING:
    from pathlib import Path

BEND = "{left = 90, radius = 1.0}"
ROUNDED = f"""
width = 0.6
segments = [
    {{straight = 3.0}}, {BEND}, {{straight = 2.0}}, {BEND}, {{straight = 3.0}}, {BEND}, {{straight = 2.0}}, {BEND},
]
"""


def design(segments: str, more: str = "width = 0.6") -> Track:
    return design_track(f"{more}\nsegments = [{segments}]", "my/bend.toml")


# Shapes worked by hand


def test_a_rounded_rectangle_has_its_length_and_bounds() -> None:
    track = design_track(ROUNDED, "rounded.toml")
    # 2·3 + 2·2 + 2π·1; the polygon cuts the bends by less than 1 in 1000
    assert track.length == pytest.approx(10 + 2 * math.pi, rel=1e-3)
    assert track.length < 10 + 2 * math.pi
    assert track.width == pytest.approx(0.6)
    assert track.bounds == pytest.approx((-1.3, -0.3, 4.3, 4.3), abs=0.003)
    assert track.is_ccw
    assert track.closed
    assert track.name == "rounded"
    assert_drivable(track)


def test_a_circle_is_the_regular_polygon_of_its_points() -> None:
    track = design("{left = 360, radius = 1.0}", "width = 0.6\nspacing = 0.1")
    count = round(2 * math.pi / 0.1)
    assert len(track.center) == count == 63
    assert track.length == pytest.approx(2 * count * math.sin(math.pi / count))
    np.testing.assert_allclose(np.hypot(*(track.center - [0, 1]).T), 1.0)
    np.testing.assert_allclose(np.hypot(*(track.inner - [0, 1]).T), 0.7)
    np.testing.assert_allclose(np.hypot(*(track.outer - [0, 1]).T), 1.3)


def test_a_clockwise_design_has_its_inner_border_on_the_right() -> None:
    track = design_track(ROUNDED.replace("left", "right"), "rounded.toml")
    assert not track.is_ccw
    assert abs(signed_area(track.inner)) < abs(signed_area(track.outer))
    assert track.bounds == pytest.approx((-1.3, -4.3, 4.3, 0.3), abs=0.003)
    assert_drivable(track)


def test_the_start_pose_is_the_first_point_and_its_heading() -> None:
    track = design_track("start = {x = 5, y = -2.0, heading = 90}" + ROUNDED, "rounded.toml")
    assert track.pose_at(0.0) == pytest.approx((5, -2, math.pi / 2))
    assert track.center[10].tolist() == pytest.approx([5, -2 + 10 * (10 + 2 * math.pi) / 109])


def test_points_lie_at_the_distance_nearest_to_the_spacing_that_divides_the_length() -> None:
    for spacing, count in ((0.15, 109), (0.3, 54), (0.5, 33)):  # 16.283 m / spacing, rounded
        track = design_track(f"spacing = {spacing}" + ROUNDED, "rounded.toml")
        assert len(track.center) == count
        assert track.along[1] == pytest.approx((10 + 2 * math.pi) / count)


def test_a_sprint_keeps_both_ends_and_has_its_inner_border_on_the_left() -> None:
    track = design("{straight = 3.0}, {right = 90, radius = 1.0}", "width = 0.6\nclosed = false")
    assert not track.closed
    assert track.length == pytest.approx(3 + math.pi / 2, rel=1e-3)
    assert track.pose_at(0.0) == pytest.approx((0, 0, 0))
    assert track.center[-1].tolist() == pytest.approx([4, -1])
    assert track.inner[0].tolist() == pytest.approx([0, 0.3])
    assert track.inner[-1].tolist() == pytest.approx([4.3, -1])


def test_a_gap_below_a_millimetre_is_spread_over_the_lap() -> None:
    track = design_track(ROUNDED.replace("straight = 3.0", "straight = 3.0009", 1), "rounded.toml")
    steps = np.hypot(*np.diff(np.array(track.waypoints), axis=0).T)
    assert steps.max() - steps.min() < 0.001
    assert_drivable(track)


def test_tables_of_segments_and_whole_numbers_mean_the_same_as_inline_ones() -> None:
    tables = "width = 1\n[[segments]]\nleft = 360\nradius = 2\n"
    inline = "width = 1.0\nsegments = [{left = 360.0, radius = 2.0}]"
    assert design_track(tables, "a").waypoints == design_track(inline, "b").waypoints


@settings(max_examples=40, deadline=None)
@given(
    sides=st.tuples(st.floats(0.1, 8), st.floats(0.1, 8)),
    room=st.floats(0.01, 2),
    width=st.floats(0.3, 1.5),
    start=st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(-360, 360)),
    side=st.sampled_from(["left", "right"]),
)
def test_every_rounded_rectangle_is_drivable_and_as_long_as_its_sides_wherever_it_starts(
    sides: tuple[float, float], room: float, width: float, start: tuple[float, float, float], side: str
) -> None:
    radius = width / 2 + room
    half = f"{{straight = {sides[0]}}}, {{{side} = 90, radius = {radius}}}, {{straight = {sides[1]}}}, "
    half += f"{{{side} = 90, radius = {radius}}},"
    x, y, heading = start
    more = f"width = {width}\nspacing = 0.05\nstart = {{x = {x}, y = {y}, heading = {heading}}}"
    track = design(half + half, more)
    # chords of h are shorter than their arcs by h³ / 24 r²
    short = 2 * sum(sides) + 2 * math.pi * radius - track.length
    assert -1e-9 < short < 1.2 * 2 * math.pi * radius * (0.05 / radius) ** 2 / 24
    assert track.is_ccw == (side == "left")
    assert_drivable(track)


# Roads that cannot be


def test_a_design_that_does_not_close_says_by_how_much_and_which_straight_to_change() -> None:
    text = ROUNDED.replace("straight = 3.0", "straight = 3.4", 1)
    message = r"rounded\.toml does not close: the end lies 0\.4 m ahead of the start, 0\.001 m is allowed: set segment"
    with pytest.raises(TrackError, match=message + r" 1 to straight = 3$"):
        design_track(text, "rounded.toml")


def test_a_miss_in_both_directions_names_two_straights() -> None:
    text = ROUNDED.replace("straight = 3.0", "straight = 2.9", 1).replace("straight = 2.0", "straight = 2.2", 1)
    message = (
        r"the end lies 0\.1 m behind and 0\.2 m to the left of the start.*: set segment 1 to straight = 3 and segment"
    )
    with pytest.raises(TrackError, match=message + r" 3 to straight = 2$"):
        design_track(text, "rounded.toml")


@settings(max_examples=40, deadline=None)
@given(lengths=st.tuples(*[st.floats(1, 4)] * 4), tilt=st.floats(5, 40), heading=st.floats(-180, 180))
def test_the_change_that_a_message_names_closes_the_track(
    lengths: tuple[float, ...], tilt: float, heading: float
) -> None:
    turns = (90 + tilt, 90 - tilt, 90 - tilt / 2, 90 + tilt / 2)
    straights = [f"{length:.3f}" for length in lengths]

    def text() -> str:
        items = (f"{{straight = {a}}}, {{left = {b}, radius = 1.0}}" for a, b in zip(straights, turns, strict=True))
        return f"width = 0.4\nstart = {{heading = {heading}}}\nsegments = [{', '.join(items)}]"

    changes = re.findall(r"segment (\d+) to straight = ([\d.]+)", message_of(text()))
    for segment, length in changes:
        straights[(int(segment) - 1) // 2] = length
    # now and then no straight is long enough to give what is needed
    assert "does not close" not in message_of(text()) or not changes


def message_of(text: str) -> str:
    try:
        design_track(text, "design.toml")
    except TrackError as error:
        return str(error)
    return ""


def test_a_gap_that_no_straight_can_close_asks_for_another_bend() -> None:
    with pytest.raises(TrackError, match=r"0\.2 m to the right of the start.*: change a bend, or add a straight"):
        design("{left = 180, radius = 1.0}, {left = 180, radius = 1.1}")


@pytest.mark.parametrize(
    ("bends", "message"),
    [
        ("{left = 350, radius = 2}", "350 degrees to the left, a loop needs 360: add 10 degrees of left bend, or set"),
        ("{right = 359, radius = 2}", "359 degrees to the right, a loop needs 360: add 1 degrees of right bend"),
        ("{left = 300, radius = 2}, {left = 90, radius = 1}", "390 degrees .*: take away 30 degrees of left bend"),
        (
            "{straight = 2}",
            "0 degrees to the left, a loop needs 360: add 360 degrees of left bend, or set closed = false",
        ),
    ],
)
def test_bends_that_do_not_make_a_full_turn_are_told_how_much_is_missing(bends: str, message: str) -> None:
    with pytest.raises(TrackError, match=message):
        design(bends)


def test_a_road_that_crosses_itself_is_refused_with_the_place() -> None:
    loop = "{straight = 3}, {left = 270, radius = 1}, {straight = 3}"
    message = r"meets itself: segments 1 and 3 come within 0\.0\d m of each other near \(\d\.\d\d, .*0\.6 m apart"
    with pytest.raises(TrackError, match=message):
        design(loop, "width = 0.6\nclosed = false")


def test_a_road_may_pass_itself_at_its_width_but_no_nearer() -> None:
    # the straights of a hairpin lie twice the radius apart
    hairpin = "{{straight = 3}}, {{left = 180, radius = {0}}}, {{straight = 3}}, {{left = 180, radius = {0}}}"
    assert_drivable(design(hairpin.format(0.301)))
    # 1.2 m to the left, then 0.65 or 0.55 m back
    spiral = "{{straight = 3}}, {{left = 180, radius = 0.6}}, {{straight = 3}}, {{left = 180, radius = {0}}}, "
    spiral += "{{straight = 2}}"
    with pytest.raises(TrackError, match=r"segments 1 and 5 come within 0\.55 m"):
        design(spiral.format(0.325), "width = 0.6\nclosed = false")
    assert not design(spiral.format(0.325), "width = 0.54\nclosed = false").closed


def test_a_long_thin_road_that_comes_too_near_to_itself_is_found_too() -> None:
    # 20 m to the left, then 19.81 m back: 0.19 m apart, in steps of a quarter of the width
    text = (
        "{straight = 150.2}, {left = 180, radius = 10}, {straight = 150}, {left = 180, radius = 9.905}, {straight = 90}"
    )
    with pytest.raises(TrackError, match=r"meets itself: segments 1 and 5 come within 0\.19 m"):
        design(text, "width = 0.2\nclosed = false")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "width is missing; a number is needed, such as width = 1.0"),
        ("width = =", r"is not TOML: Invalid value .*line 1, column 9.*: mend that place"),
        ("x = " + "[" * 9999, "is not TOML: .*recursion"),
        ("width = 0.6\nsegment = []", "nothing is called 'segment' here; did you mean 'segments'?"),
        ("width = 0.6\nzzz = 1", "nothing is called 'zzz' here; known: width, spacing, closed, start, segments"),
        ("width = 0.6", r"segments is missing; a list is needed, such as segments = \[\{straight = 2.0\}\]"),
        ("width = 0.6\nsegments = []", r"segments is \[\]; a list is needed"),
        ("width = 0.6\nsegments = 7", "segments is 7; a list is needed"),
        ("width = -1", "width is -1 m; 0.2 m or more is needed, the width of the car"),
        ("width = '1'", "width is '1'; a plain number is needed, such as width = 1.0"),
        ("width = true", "width is True; a plain number is needed"),
        ("width = nan", "width is nan; a plain number is needed"),
        ("width = inf", "width is inf; a plain number is needed"),
        ("width = 1" + "0" * 400, "width is 1000.*; a plain number is needed"),
        ("width = 0.6\nspacing = 0", "spacing is 0 m; it must lie between 0.02 and 0.5 .0.15 is usual"),
        ("width = 0.6\nspacing = 2.5", "spacing is 2.5 m; it must lie between"),
        ("width = 0.6\nclosed = 1", "closed is 1; write true for a loop, false for a sprint"),
        ("width = 0.6\nstart = 3", r"start is 3; write start = \{x = 0.0, y = 0.0, heading = 0.0\}"),
        ("width = 0.6\nstart = {z = 1}", "start: nothing is called 'z' here; known: x, y, heading"),
        ("width = 0.6\nstart = {x = 'a'}", "start: x is 'a'; a plain number is needed"),
    ],
)
def test_a_file_that_is_no_design_gives_one_line_with_the_place(text: str, message: str) -> None:
    with pytest.raises(TrackError, match=message) as caught:
        design_track(text, "my/bend.toml")
    assert str(caught.value).startswith("my/bend.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ("{}", r"segment 2 is \{\}; one of \{straight = 2.0\}, \{left = 90, radius = 1.0\} and \{right = 90,"),
        ("3", "segment 2 is 3; one of"),
        ("{left = 90, right = 90}", r"segment 2 is \{'left': 90, 'right': 90\}; one of"),
        ("{straight = 0}", "segment 2: straight is 0; a number above 0 is needed"),
        ("{straight = 2, radius = 1}", "segment 2: nothing is called 'radius' here; known: straight"),
        ("{left = 90}", "segment 2: radius is missing; a number is needed, such as radius = 1.0"),
        ("{left = 90, radus = 1}", "segment 2: nothing is called 'radus' here; did you mean 'radius'?"),
        ("{left = -90, radius = 1}", "segment 2: left is -90; a number above 0 is needed"),
        ("{right = 361, radius = 1}", "segment 2: right is 361 degrees; 360 at most: a longer bend would meet itself"),
        (
            "{left = 90, radius = 0.3}",
            "segment 2: radius is 0.3 m; more than 0.3 is needed, half the width of the road",
        ),
        ("{straight = 600}", "is 601 m long; 500 m at most: shorten its segments"),
    ],
)
def test_a_wrong_segment_is_named_by_its_number(segment: str, message: str) -> None:
    with pytest.raises(TrackError, match=message):
        design("{straight = 1}, " + segment)


# From files


def test_a_design_is_loaded_from_a_path_and_named_after_its_file(tmp_path: Path) -> None:
    (tmp_path / "garage.toml").write_bytes(b"\xef\xbb\xbf" + ROUNDED.replace("\n", "\r\n").encode())
    track = load_track(tmp_path / "garage.toml")
    assert track.name == "garage"
    assert track.waypoints == design_track(ROUNDED, "x").waypoints


def test_a_fault_in_a_design_file_is_reported_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "garage.toml").write_bytes(b"width = 0.6")
    with pytest.raises(TrackError, match=r"garage\.toml: segments is missing"):
        load_track(tmp_path / "garage.toml")
    (tmp_path / "garage.toml").write_bytes(b"\x93NUMPY")
    with pytest.raises(TrackError, match=r"garage\.toml is not text: byte 0 is no UTF-8; .* save it as UTF-8"):
        load_track(tmp_path / "garage.toml")
