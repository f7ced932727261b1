"""Pictures of driven laps: looked at by eye once; here by the colours and times that must be in them."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from lateapex.analysis import pictures
from lateapex.analysis.pictures import animate_lap, draw_laps, measured_speed
from lateapex.records import STATUSES, STEP_DTYPE, EpisodeRecord
from lateapex.world.track import Track, load_track

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TURN = np.linspace(0, 2 * np.pi, 88, endpoint=False)
RING = np.column_stack([np.cos(TURN), np.sin(TURN)])


def ring() -> Track:
    return Track("ring", 2.0 * RING, 1.6 * RING, 2.4 * RING, closed=True)


def drive(count: int = 40, speed: float = 1.5, status: str = "lap_complete", radius: float = 2.0) -> EpisodeRecord:
    """Make a drive round the ring at one speed, 15 steps a second."""
    steps = np.zeros(count, STEP_DTYPE)
    angle = np.arange(count) * speed / 15 / radius
    steps["x"], steps["y"], steps["yaw"] = radius * np.cos(angle), radius * np.sin(angle), angle + np.pi / 2
    steps["steering_angle"] = 10.0
    steps["sim_time"] = 7.0 + (np.arange(count) + 1) / 15
    steps["progress"] = np.linspace(0, 100 if status == "lap_complete" else 40, count)
    steps["status"] = STATUSES.index("in_progress")
    steps["status"][-1] = STATUSES.index(status)
    return EpisodeRecord(phase="evaluation", track="ring", track_length=2 * np.pi * radius, car=0, steps=steps)


def pixels(picture: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def count_colour(picture: NDArray[np.uint8], colour: Any) -> int:
    rgb = ImageColor.getrgb(colour) if isinstance(colour, str) else [round(255 * part) for part in colour[:3]]
    return int((np.abs(picture.astype(int) - rgb[:3]).max(axis=2) <= 2).sum())


def gif_frames(gif: bytes) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """Return the pictures of a GIF and how long each is shown, ms."""
    film: Any = Image.open(io.BytesIO(gif))
    shown, times = [], []
    for i in range(film.n_frames):
        film.seek(i)
        shown.append(np.asarray(film.convert("RGB")))
        times.append(film.info["duration"])
    return shown, times


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
    assert count_colour(slow, pictures.SPEED_COLOURS(0.4)) > 2000
    assert count_colour(slow, pictures.SPEED_COLOURS(0.9)) == 0


def test_only_a_drive_that_broke_off_gets_a_cross() -> None:
    words = ("lap_complete", "time_up", "off_track", "crashed", "immobilized", "reversed")
    marked = [
        count_colour(pixels(draw_laps(ring(), [drive(status=word)], "t"))[:-100], pictures.ALARM) > 100
        for word in words
    ]
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
    assert pictures._best(laps) is laps[1]
    assert pictures._best(laps[2:]) is None


def test_summary_counts_complete_laps_and_names_the_best_time() -> None:
    assert pictures._summary(ring(), [drive(45), drive(30), drive(9, status="off_track")]) == (
        "ring   ·   12.56 m   ·   2 of 3 laps complete   ·   best lap 2.00 s"
    )
    assert pictures._summary(ring(), []) == "ring   ·   12.56 m"


def test_standing_start_does_not_take_the_colours_from_the_lap() -> None:
    episode = drive(200, speed=2.2)
    episode.steps["x"][:5], episode.steps["y"][:5] = 2.0, 0.0
    assert pictures._speed_range([episode]) == (2.0, 2.5)


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
    assert count_colour(empty, pictures.ROAD) > 30_000
    assert empty.shape == pixels(draw_laps(track, [drive(1), drive(2)], name)).shape


# ---------------------------------------------------------------------------------------------- one lap, moving picture


def grey_frames(count: int) -> list[NDArray[np.uint8]]:
    """Make plain pictures that grow lighter from 0 to 255."""
    return [np.full((12, 16), round(255 * i / max(count - 1, 1)), np.uint8) for i in range(count)]


@pytest.mark.parametrize(
    ("count", "fps", "shown"), [(1, 15.0, 1), (31, 15.0, 31), (31, 30.0, 16), (20, 60.0, 7), (20, 7.0, 20)]
)
def test_film_lasts_as_long_as_the_drive_and_skips_steps_that_browsers_cannot_show(
    count: int, fps: float, shown: int
) -> None:
    _, times = gif_frames(animate_lap(ring(), drive(count), grey_frames(count), fps))
    assert len(times) == shown
    assert sum(times) == pytest.approx(1000 * count / fps, abs=5)
    assert min([*times[:-1], 50]) >= 50


def test_long_drive_is_shown_in_at_most_450_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PICTURES", 10)
    _, times = gif_frames(animate_lap(ring(), drive(31), grey_frames(31)))
    assert len(times) == 8
    assert sum(times) == pytest.approx(1000 * 31 / 15, abs=5)


def test_film_shows_the_frame_of_each_step() -> None:
    shown, _ = gif_frames(animate_lap(ring(), drive(12), grey_frames(12)))
    centres = [int(picture[226, 256, 0]) for picture in shown]
    assert centres == pytest.approx([round(255 * i / 11) for i in range(12)], abs=7)  # 24 shades


def test_camera_picture_is_enlarged_by_a_whole_number_with_clear_pixels() -> None:
    board = np.indices((120, 160)).sum(axis=0) % 2 * np.uint8(255)
    shown, _ = gif_frames(animate_lap(ring(), drive(2), [board.astype(np.uint8)] * 2))
    view = shown[0][46 : 46 + 360, 16 : 16 + 480, 0]
    assert (view[::3, ::3] == board).all()
    assert (view.reshape(120, 3, 160, 3) == view[::3, ::3][:, None, :, None]).all()


def test_trail_grows_and_keeps_the_colours_of_the_speeds() -> None:
    shown, _ = gif_frames(animate_lap(ring(), drive(40, speed=1.2), grey_frames(40)))
    lengths = [count_trail(picture) for picture in (shown[0], shown[10], shown[39])]
    assert lengths[0] < 5 < lengths[1] < lengths[2] / 2


def count_trail(picture: NDArray[np.uint8]) -> int:
    """Count reddish pixels of the map."""
    red, _, blue = picture[46:406, 512:992].astype(int).transpose(2, 0, 1)
    return int((red - blue > 25).sum())


@pytest.mark.parametrize(
    ("shape", "expected"), [((12, 16), 100), ((12, 16, 1), 100), ((12, 16, 2), 100), ((12, 16, 3), 100)]
)
def test_grey_stereo_and_coloured_frames_are_shown(shape: tuple[int, ...], expected: int) -> None:
    frame = np.full(shape, 100, np.uint8)
    if shape[2:] == (2,):
        frame[:, :, 1] = 250
    shown, _ = gif_frames(animate_lap(ring(), drive(2), [frame] * 2))
    assert shown[0][226, 256] == pytest.approx([expected] * 3, abs=7)


def test_frames_larger_than_their_place_are_made_smaller() -> None:
    frame = np.full((480, 640), 100, np.uint8)
    assert pictures._camera_picture(frame, 0).size == (480, 360)


def test_film_refuses_frames_that_do_not_match_the_steps() -> None:
    with pytest.raises(ValueError, match="3 frames for 4 steps"):
        animate_lap(ring(), drive(4), grey_frames(3))
    with pytest.raises(ValueError, match="0 frames for 0 steps"):
        animate_lap(ring(), replace(drive(1), steps=drive(1).steps[:0]), [])
    with pytest.raises(ValueError, match=r"shape \(12, 16, 4\)"):
        animate_lap(ring(), drive(1), [np.zeros((12, 16, 4), np.uint8)])


@given(st.integers(0, 40), st.integers(1, 3))
def test_taking_grain_away_moves_no_pixel_by_more_than_the_grain_and_half_a_shade(grain: int, channels: int) -> None:
    noise = np.random.default_rng(grain).integers(0, 256, (8, 20, channels)).astype(np.uint8)
    plain = pictures._without_grain(noise, grain)
    assert np.abs(plain.astype(int) - noise).max() <= grain + 255 / 23 / 2 + 1


def test_grain_is_kept_while_the_film_is_small_and_goes_when_room_is_short() -> None:
    noise = np.random.default_rng(1).integers(90, 110, (120, 160)).astype(np.uint8)
    assert pictures._grain([noise], room=1e6) == 0
    assert pictures._grain([noise], room=10_000) > 4
