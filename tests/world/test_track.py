"""Tracks from route files: numbers of the official ones, directions, poses, and every way a file can be wrong."""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely  # type: ignore[import-untyped]  # ships no types
from hypothesis import given, settings
from hypothesis import strategies as st

from lateapex.errors import TrackError
from lateapex.world.track import Track, load_track, signed_area, track_from_route

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# rows of the file, length m, width m, counter-clockwise (None: open)
OFFICIAL = {
    "reinvent_base": (119, 17.709, 0.762, True),
    "Oval_track": (102, 19.55, 0.666, True),
    "Bowtie_track": (163, 17.43, 0.724, True),
    "Tokyo_Training_track": (169, 22.63, 1.157, True),
    "reInvent2019_track": (155, 23.118, 1.067, True),
    "reInvent2019_wide": (112, 16.64, 1.067, True),
    "Vegas_track": (151, 22.55, 1.067, True),
    "Monaco": (235, 60.27, 1.449, False),
    "Spain_track": (259, 60.0, 0.914, False),
    "2022_summit_speedway": (127, 25.17, 1.067, True),
    "2022_reinvent_champ_cw": (113, 33.275, 0.95, False),
    "2022_reinvent_champ_ccw": (113, 33.275, 0.95, True),
    "2024_reinvent_champ_cw": (86, 25.11, 0.762, False),
    "2024_reinvent_champ_ccw": (86, 25.11, 0.762, True),
    "penbay_pro": (299, 89.24, 1.067, True),
    "Straight_track": (22, 5.71, 0.61, None),
}


def route_about(center: NDArray[np.float64], width: float = 1.0, closed: bool = True) -> NDArray[np.float64]:
    """Borders towards and away from the origin, and the closing row of a loop."""
    outwards = center / np.hypot(*center.T)[:, None] * width / 2
    rows = np.hstack([center, center - outwards, center + outwards])
    return np.vstack([rows, rows[:1]]) if closed else rows


def circle(count: int = 24, radius: float = 3.0) -> NDArray[np.float64]:
    angles = np.arange(count) / count * 2 * math.pi
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def square() -> Track:
    """Driven from (0, 0) to the east, sides of 4 m."""
    center = np.array([[0.0, 0.0], [4, 0], [4, 4], [0, 4]])
    return Track("square", center, 0.75 * center + 0.5, 1.25 * center - 0.5, closed=True)


@st.composite
def stars(draw: st.DrawFn) -> NDArray[np.float64]:
    radii = draw(st.lists(st.floats(2, 6), min_size=5, max_size=20))
    return np.array(radii)[:, None] * circle(len(radii), 1.0)


LEFT = np.array([0, 1])
angles = st.floats(-math.pi, math.pi)
shifts = st.tuples(st.floats(-100, 100), st.floats(-100, 100))
fractions = st.floats(-3, 3)


# Official routes


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_routes_have_their_known_rows_length_width_and_direction(name: str, shared_data: Path) -> None:
    rows, length, width, ccw = OFFICIAL[name]
    track = load_track(shared_data / "tracks" / f"{name}.npy")
    assert track.name == name
    assert track.closed == (ccw is not None)
    assert len(track.center) == (rows - 1 if track.closed else rows)
    assert track.length == pytest.approx(length, abs=0.006)
    assert track.width == pytest.approx(width, abs=0.0015)
    assert track.is_ccw == (ccw is not False)


def test_reinvent_base_has_118_points_and_119_waypoints_that_come_round(shared_data: Path) -> None:
    track = load_track(str(shared_data / "tracks" / "reinvent_base.npy"))
    assert len(track.center) == 118
    assert len(track.waypoints) == 119
    assert track.waypoints[0] == track.waypoints[-1] == pytest.approx((3.05973, 0.68266), abs=1e-5)
    assert track.length == pytest.approx(17.709, abs=0.0005)
    assert track.width == pytest.approx(0.762, abs=0.0005)
    assert track.is_ccw
    assert track.bounds[2] - track.bounds[0] == pytest.approx(7.3, abs=0.05)


def test_every_official_route_loads_and_its_reverse_has_the_same_road(shared_data: Path) -> None:
    files = sorted((shared_data / "tracks").rglob("*.npy"))
    assert len(files) == 48
    for file in files:
        track = load_track(file)
        back = track.reverse()
        assert back.length == pytest.approx(track.length), file.name
        assert back.width == pytest.approx(track.width), file.name
        assert back.bounds == track.bounds, file.name
        assert back.is_ccw != track.is_ccw, file.name
        assert back.waypoints == track.waypoints[::-1], file.name


def test_reversing_twice_gives_every_official_route_back(shared_data: Path) -> None:
    for file in (shared_data / "tracks").rglob("*.npy"):
        track = load_track(file)
        again = track.reverse().reverse()
        assert not again.reversed
        assert again.lines == track.lines
        for field in ("center", "inner", "outer"):
            np.testing.assert_array_equal(getattr(again, field), getattr(track, field), err_msg=file.name)


def test_poses_on_official_routes_agree_with_the_geometry_library_of_the_original(shared_data: Path) -> None:
    for name in ("reinvent_base", "Oval_track", "Monaco", "Straight_track"):
        track = load_track(shared_data / "tracks" / f"{name}.npy")
        line = shapely.LineString(track.waypoints)
        assert track.length == pytest.approx(line.length)
        for fraction in np.linspace(0.0, 0.999, 97):
            x, y, _ = track.pose_at(fraction)
            point = line.interpolate(fraction, normalized=True)
            assert (x, y) == pytest.approx((point.x, point.y), abs=1e-9)


def test_the_inner_border_is_on_the_left_exactly_where_a_track_is_counter_clockwise(shared_data: Path) -> None:
    for name in ("reinvent_base", "Monaco", "Straight_track"):
        for track in (forwards := load_track(shared_data / "tracks" / f"{name}.npy"), forwards.reverse()):
            for fraction in np.linspace(0.01, 0.98, 50):
                x, y, heading = track.pose_at(fraction)
                left = np.array([x - 0.1 * math.sin(heading), y + 0.1 * math.cos(heading)])
                to_inner, to_outer = (np.hypot(*(border - left).T).min() for border in (track.inner, track.outer))
                assert (to_inner < to_outer) == track.is_ccw, (name, track.reversed, fraction)


def test_repeated_points_of_an_official_route_are_kept_and_have_a_heading(shared_data: Path) -> None:
    track = load_track(shared_data / "tracks" / "reInvent2019_track.npy")
    (double,) = np.flatnonzero(np.diff(track.along) == 0)
    assert len(track.center) == 154
    x, y, heading = track.pose_at(track.along[double] / track.length)
    ahead = track.center[double + 2] - track.center[double]
    assert (x, y) == pytest.approx(tuple(track.center[double]))
    assert heading == pytest.approx(math.atan2(ahead[1], ahead[0]), abs=1e-6)


def test_only_oval_track_has_its_lines_beyond_the_border(shared_data: Path) -> None:
    outside = {file.stem for file in (shared_data / "tracks").rglob("*.npy") if load_track(file).lines == "outside"}
    assert outside == {"Oval_track"}


# Worked by hand


def test_a_square_has_its_lengths_width_and_bounds() -> None:
    track = square()
    assert track.along.tolist() == [0, 4, 8, 12]
    assert track.length == 16
    # a corner lies 0.5 and 0.5 m from either border
    assert track.width == pytest.approx(math.sqrt(2))
    assert track.bounds == (-0.5, -0.5, 4.5, 4.5)
    assert track.waypoints == [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)]
    assert signed_area(track.center) == 16


@pytest.mark.parametrize(
    ("fraction", "pose"),
    [
        (0.0, (0, 0, 0)),
        (0.125, (2, 0, 0)),
        (0.25, (4, 0, math.pi / 2)),  # at a corner the heading is that of the way on
        (0.9375, (0, 1, -math.pi / 2)),
        (1.0, (0, 0, 0)),
        (2.125, (2, 0, 0)),
        (-0.125, (0, 2, -math.pi / 2)),
        (-1e-20, (0, 0, 0)),
    ],
)
def test_poses_on_a_square_wrap_and_head_for_the_next_corner(fraction: float, pose: tuple[float, ...]) -> None:
    assert square().pose_at(fraction) == pytest.approx(pose)


def test_a_reversed_square_starts_at_the_same_corner_and_goes_the_other_way() -> None:
    back = square().reverse()
    assert back.center.tolist() == [[0, 0], [0, 4], [4, 4], [4, 0]]
    assert back.inner[1].tolist() == [0.5, 3.5]
    assert back.reversed
    assert not back.is_ccw
    assert back.pose_at(0.0) == pytest.approx((0, 0, math.pi / 2))


def test_direction_is_right_far_from_the_origin() -> None:
    # 4 mm square at 5 000 km: products of the coordinates are near 1e13, and their rounding near the area
    tiny = 0.004 * np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) + 5e6
    assert signed_area(tiny) == pytest.approx(1.6e-5, rel=1e-3)


def test_an_open_track_is_measured_from_end_to_end_and_its_poses_stop_there() -> None:
    center = np.array([[0.0, 0], [1, 0], [1, 0], [3, 0], [4, 0], [4, 0]])
    track = track_from_route(np.hstack([center, center + LEFT / 2, center - LEFT / 2]), "sprint")
    assert not track.closed
    assert track.length == 4
    assert track.is_ccw
    assert len(track.waypoints) == 6
    assert track.pose_at(0.25) == (1, 0, 0)
    assert track.pose_at(1.0) == track.pose_at(1.5) == (4, 0, 0)
    assert track.pose_at(-0.5) == (0, 0, 0)
    back = track.reverse()
    assert not back.is_ccw
    assert back.pose_at(0.0) == pytest.approx((4, 0, math.pi))


def test_a_track_cannot_be_changed_by_its_holder_nor_through_the_array_that_it_came_from() -> None:
    route = route_about(circle())
    track = track_from_route(route, "ring")
    route[:] = 0.0
    assert track.center[0].tolist() == [3, 0]
    for array in (track.center, track.inner, track.outer, track.along):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


# Wherever it lies


@settings(deadline=None)
@given(center=stars(), turn=angles, shift=shifts)
def test_length_width_and_direction_do_not_depend_on_where_a_track_lies(
    center: NDArray[np.float64], turn: float, shift: tuple[float, float]
) -> None:
    route = route_about(center)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    moved = np.hstack([route[:, k : k + 2] @ rotation.T + shift for k in (0, 2, 4)])
    moved[-1] = moved[0]
    here, there = track_from_route(route, "star"), track_from_route(moved, "star")
    assert there.length == pytest.approx(here.length)
    assert there.width == pytest.approx(here.width) == pytest.approx(1.0)
    assert there.is_ccw == here.is_ccw is True


@settings(deadline=None)
@given(center=stars(), closed=st.booleans())
def test_reversing_keeps_the_length_and_twice_gives_the_same_track(center: NDArray[np.float64], closed: bool) -> None:
    track = track_from_route(route_about(center, closed=closed), "star")
    assert track.reverse().length == pytest.approx(track.length)
    assert track.reverse().reverse().waypoints == track.waypoints


@settings(deadline=None)
@given(center=stars(), closed=st.booleans(), fraction=fractions)
def test_every_pose_lies_on_the_centre_line_at_its_distance(
    center: NDArray[np.float64], closed: bool, fraction: float
) -> None:
    track = track_from_route(route_about(center, closed=closed), "star")
    x, y, heading = track.pose_at(fraction)
    line = shapely.LineString(track.waypoints)
    assert line.distance(shapely.Point(x, y)) < 1e-9
    share = fraction % 1.0 if closed else min(max(fraction, 0.0), 1.0)
    expected = line.interpolate(share, normalized=True)
    assert math.hypot(x - expected.x, y - expected.y) < 1e-6
    assert -math.pi <= heading <= math.pi


@settings(max_examples=25, deadline=None)
@given(center=stars(), fraction=st.floats(0, 0.999))
def test_driving_on_along_the_heading_stays_on_the_line_until_the_next_point(
    center: NDArray[np.float64], fraction: float
) -> None:
    track = track_from_route(route_about(center), "star")
    x, y, heading = track.pose_at(fraction)
    ahead = shapely.Point(x + 1e-6 * math.cos(heading), y + 1e-6 * math.sin(heading))
    assert shapely.LineString(track.waypoints).distance(ahead) < 1.1e-6


# What a file may hold


@pytest.mark.parametrize("dtype", ["float32", "float16", ">f8", "int16", "uint8"])
def test_other_numbers_are_converted_to_float64(dtype: str, tmp_path: Path) -> None:
    center = np.array([[10, 10], [20, 10], [30, 10], [40, 10]])
    np.save(tmp_path / "line.npy", np.hstack([center, center + LEFT, center - LEFT]).astype(dtype))
    track = load_track(tmp_path / "line.npy")
    assert track.center.dtype == np.float64
    assert track.length == 30


def saved(array: Any) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def with_value(row: int, column: int, value: float) -> NDArray[np.float64]:
    route = route_about(circle())
    route[row, column] = value
    return route


GOOD = route_about(circle())
BAD_FILES = {
    "four columns": (saved(GOOD[:, :4]), r"has shape \(25, 4\); 6 columns are needed: centre x y, inner x y, outer x"),
    "one dimension": (saved(GOOD.ravel()), r"has shape \(150,\); 6 columns are needed"),
    "no rows": (saved(GOOD[:0]), "has 0 different centre points; 4 or more are needed"),
    "one row": (saved(GOOD[:1]), "has 1 different centre points; 4 or more are needed"),
    "three points": (saved(GOOD[[0, 1, 1, 2, 0]]), "has 3 different centre points; 4 or more are needed"),
    "a nan": (saved(with_value(7, 3, math.nan)), r"has nan at row 7, column inner y \(1 such values\); finite metres"),
    "an infinity": (saved(with_value(2, 4, -math.inf)), "has -inf at row 2, column outer x"),
    "a huge number": (saved(with_value(2, 0, 1e300)), r"has 1e\+300 at row 2, column centre x .* up to 1e\+07"),
    "text": (saved(GOOD.astype(str)), "holds values of type <U32; numbers are needed"),
    "complex numbers": (saved(GOOD.astype(complex)), "holds values of type complex128; numbers are needed"),
    "objects": (saved(GOOD.astype(object)), "holds pickled Python objects.* are not opened; numbers are needed"),
    "no width": (saved(GOOD[:, [0, 1, 2, 3, 2, 3]]), "has no width at row 0"),
    "swapped borders": (saved(GOOD[:, [0, 1, 4, 5, 2, 3]]), "swap columns 3-4 with columns 5-6"),
    "a picture": (b"\x89PNG\r\n\x1a\n....", "is no .npy file .*it begins with .*PNG.*numpy.save"),
    "nothing": (b"", "is empty; a route file .* is needed: fetch it again"),
    "half a file": (saved(GOOD)[:600], "is cut off or damaged .*: fetch it again"),
    "half a header": (saved(GOOD)[:30], "is cut off or damaged .*: fetch it again"),
    "a broken header": (saved(GOOD).replace(b"'shape'", b"'sha(e'"), "is cut off or damaged .*: fetch it again"),
    "a shape beyond memory": (
        saved(GOOD).replace(b"(25, 6), }           ", b"(999999999999999, 6)}"),
        "is cut off or dam",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_no_route_gives_one_line_that_says_what_was_found_and_needed(case: str, tmp_path: Path) -> None:
    data, message = BAD_FILES[case]
    (tmp_path / "track.npy").write_bytes(data)
    with pytest.raises(TrackError, match=message) as caught:
        load_track(tmp_path / "track.npy")
    assert str(caught.value).startswith(str(tmp_path / "track.npy"))
    assert "\n" not in str(caught.value)


def test_an_array_of_objects_is_refused_without_being_converted() -> None:
    with pytest.raises(TrackError, match=r"route 'mine' holds Python objects; numbers are needed"):
        track_from_route(GOOD.astype(object), "mine")


def test_a_missing_file_suggests_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "reinvent_base.npy").write_bytes(b"")
    with pytest.raises(TrackError, match=r"there is no file .*reinvent_bse\.npy; did you mean 'reinvent_base\.npy'"):
        load_track(tmp_path / "reinvent_bse.npy")


@pytest.mark.parametrize("path", ["nowhere/oval", "./oval", "oval.npy", "OVAL.TOML", "back\\oval", "s3://bucket/a.npy"])
def test_what_looks_like_a_path_and_is_not_there_is_called_a_file(path: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        TrackError, match=r"there is no file .*; give the path of a route .* or one of the names .*oval"
    ):
        load_track(path)


def test_a_folder_a_path_through_a_file_and_a_broken_path_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(
        TrackError, match=r"is a folder; one file is needed: add its name, such as .*reinvent_base\.npy"
    ):
        load_track(tmp_path)
    with pytest.raises(TrackError, match="cannot be read: Not a directory"):
        load_track(tmp_path / "file" / "track.npy")
    with pytest.raises(TrackError, match=r"cannot be read: .*null byte"):
        load_track("zero\0byte.npy")
    with pytest.raises(TrackError, match="cannot be read: File name too long"):
        load_track("x" * 5000 + ".npy")
    with pytest.raises(TrackError, match="home folder that does not exist"):
        load_track("~no-such-user-here/track.npy")


def test_a_file_without_permission_is_an_error_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(TrackError, match=r"cannot be read: Permission denied; .*check the path and its permissions"):
        load_track(tmp_path / "track.npy")
