"""Pictures of driven laps: looked at by eye once; here by the colours and times that must be in them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_drives import RING, count_colour, drive, pixels, ring

from lateapex.analysis import pictures
from lateapex.analysis.pictures import best_lap, draw_laps, measured_speed, speed_range
from lateapex.analysis.style import ALARM, ROAD, SPEED_COLOURS
from lateapex.records import STEP_DTYPE
from lateapex.world.track import Track, load_track

if TYPE_CHECKING:
    from pathlib import Path


# ---------------------------------------------------------------------------------------------------- measured speed


def test_measured_speed_is_way_over_time_of_the_step_that_drove_it() -> None:
    # 0.1 m and 0.2 m in steps 0 and 1, which both last 1/15 s; no row tells where step 2 ends, though it lasted 1 s.
    steps = np.zeros(3, STEP_DTYPE)
    steps["x"] = [0.0, 0.1, 0.3]
    steps["sim_time"] = [1 / 15, 2 / 15, 2 / 15 + 1.0]
    assert measured_speed(steps) == pytest.approx([1.5, 3.0])


def test_a_car_put_back_on_the_road_has_no_speed_in_that_step() -> None:
    steps = np.zeros(4, STEP_DTYPE)
    steps["y"] = [0.0, 0.1, 4.0, 4.1]
    steps["sim_time"] = np.arange(4) / 15
    assert np.isnan(measured_speed(steps)).tolist() == [False, True, False]


@given(speed=st.floats(0.0, 5.0), turn=st.floats(-3, 3), shift=st.floats(-50, 50))
def test_measured_speed_does_not_depend_on_where_and_whither_the_car_drives(
    speed: float, turn: float, shift: float
) -> None:
    steps = np.zeros(6, STEP_DTYPE)
    way = np.arange(6) * speed / 15
    steps["x"], steps["y"] = shift + way * np.cos(turn), way * np.sin(turn) - shift
    steps["sim_time"] = np.arange(6) / 15
    assert measured_speed(steps) == pytest.approx(np.full(5, speed), abs=1e-9)


@pytest.mark.parametrize("count", [1, 2])
def test_measured_speed_of_a_drive_of_one_step_is_empty_and_of_two_is_one_number(count: int) -> None:
    assert measured_speed(drive(count).steps).shape == (count - 1,)


# ---------------------------------------------------------------------------------------------- many laps, one picture


def test_picture_of_laps_is_1400_wide_and_as_tall_as_the_track_needs() -> None:
    tall, wide = (pixels(draw_laps(track, [], "t")).shape for track in (ring(), flat_ring()))
    assert tall[1] == wide[1] == 1400
    assert tall[0] == 1520  # a square of 1300, between 120 for the title and 100 for the legend
    assert wide[0] == 120 + 650 + 100


def flat_ring() -> Track:
    squash = np.array([1.0, 0.5])
    return Track("flat", 2.0 * RING * squash, 1.6 * RING * squash, 2.4 * RING * squash, closed=True)


def test_driven_line_has_the_colour_of_its_speed() -> None:
    # 1.2 m/s lies between the marks 1.0 and 1.5 of the scale: 0.4 of the way from its one end to the other.
    slow = pixels(draw_laps(ring(), [drive(speed=1.2)], "slow"))[120:-100]
    assert count_colour(slow, SPEED_COLOURS(0.4)) > 2000
    assert count_colour(slow, SPEED_COLOURS(0.9)) == 0


def test_only_a_drive_that_broke_off_gets_a_cross() -> None:
    words = ("lap_complete", "time_up", "off_track", "crashed", "immobilized", "reversed")
    marked = [count_colour(pixels(draw_laps(ring(), [drive(status=word)], "t"))[:-100], ALARM) > 100 for word in words]
    assert marked == [False, False, True, True, True, True]


def test_no_line_joins_the_places_before_and_after_a_reset() -> None:
    episode = drive(60)
    episode.steps["x"][:30] = 2.0
    episode.steps["x"][30:] = -2.0
    episode.steps["y"] = np.arange(60) / 100
    middle = pixels(draw_laps(ring(), [episode], "t"))[120:-100, 600:800]
    assert np.ptp(middle.reshape(-1, 3)[:, 0].astype(int) - middle.reshape(-1, 3)[:, 2]) < 30  # grey throughout


def test_best_lap_is_the_fastest_complete_one() -> None:
    laps = [drive(50), drive(40), drive(30, status="off_track")]
    assert best_lap(laps) is laps[1]
    assert best_lap(laps[2:]) is None


def test_summary_counts_complete_laps_and_names_the_best_time() -> None:
    assert pictures._summary(ring(), [drive(45), drive(30), drive(9, status="off_track")]) == (
        "ring   ·   12.56 m   ·   2 of 3 laps complete   ·   best lap 2.00 s"
    )
    assert pictures._summary(ring(), []) == "ring   ·   12.56 m"


def test_standing_start_does_not_take_the_colours_from_the_lap() -> None:
    episode = drive(200, speed=2.2)
    episode.steps["x"][:5], episode.steps["y"][:5] = 2.0, 0.0
    assert speed_range([episode]) == (2.0, 2.5)


def test_same_laps_give_the_same_bytes_and_leave_settings_alone() -> None:
    before = dict(mpl.rcParams)
    first, second = (draw_laps(ring(), [drive(), drive(20, status="off_track")], "twice") for _ in range(2))
    assert first == second
    assert dict(mpl.rcParams) == before


def test_pictures_do_without_pyplot() -> None:
    code = "import sys, lateapex.analysis.pictures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["reinvent_base", "Straight_track", "Monaco", "H_track"])
def test_real_tracks_are_drawn_with_and_without_drives(shared_data: Path, name: str) -> None:
    track = load_track(shared_data / "tracks" / f"{name}.npy")
    empty = pixels(draw_laps(track, [], name))
    assert count_colour(empty, ROAD) > 30_000
    assert empty.shape == pixels(draw_laps(track, [drive(1), drive(2)], name)).shape
