"""Films: looked at by eye once; here by what each picture must show, how long they last, and what drives are shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_drives import count_colour, drive, ring

from lateapex.analysis.film import SIZE, film_lap
from lateapex.analysis.readings import FPS, Readings, rows_shown
from lateapex.analysis.views import front_view, named_view
from lateapex.env.racing import RacingTask
from lateapex.formats.simtrace import read_simtrace
from lateapex.models.drive import drive as drive_task
from lateapex.records import EpisodeRecord
from lateapex.world.track import load_track
from lateapex.world.vehicle import Vehicle
from lateapex.world.vehicles import load_vehicle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lateapex.analysis.views import View


def plain(value: int, shape: tuple[int, ...] = (12, 16)) -> View:
    return lambda _: np.full(shape, value, np.uint8)


def pictures(episode: EpisodeRecord, main: View | None = None, front: View | None = None) -> list[NDArray[np.uint8]]:
    made = film_lap(ring(), episode, main or plain(0), front or plain(255), "trial 1 of 5")
    return [np.asarray(picture) for picture in made]


# ------------------------------------------------------------------------------------------------- how long it lasts


@given(count=st.integers(2, 60))
@settings(max_examples=20)
def test_each_step_of_our_own_is_one_picture(count: int) -> None:
    assert rows_shown(drive(count)).tolist() == list(range(count))


@given(st.lists(st.floats(0.02, 0.3), min_size=2, max_size=40))
def test_a_film_lasts_as_long_as_any_drive_and_shows_the_row_of_that_moment(lasting: list[float]) -> None:
    episode = drive(len(lasting))
    episode.steps["sim_time"] = 3.0 + np.cumsum(lasting)
    rows = rows_shown(episode)
    assert abs(len(rows) / FPS - episode.lap_time) <= 0.5 / FPS + 1e-9 or len(rows) == 1
    assert rows[0] == 0
    assert (np.diff(rows) >= 0).all()
    begins = np.concatenate([[episode.start_time], episode.steps["sim_time"][:-1]])
    moments = episode.start_time + np.arange(len(rows)) / FPS
    assert (begins[rows] <= moments + 1e-3).all()
    assert (episode.steps["sim_time"][rows] > moments - 1e-9).all()


def test_a_drive_of_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="no steps"):
        rows_shown(replace(drive(2), steps=drive(2).steps[:0]))


@pytest.mark.parametrize("log", ["drfc-single/training-simtrace/0-iteration.csv"])
def test_real_drives_last_as_long_as_they_took(shared_data: Path, log: str) -> None:
    for found in read_simtrace((shared_data / "logs" / log).read_text(), log):
        made = EpisodeRecord(phase="training", track="t", track_length=found.track_length, car=0, steps=found.steps)
        assert abs(len(rows_shown(made)) / FPS - made.lap_time) <= 0.5 / FPS


# ----------------------------------------------------------------------------------------------------- what it shows


def test_pictures_are_1280_by_720_and_as_many_as_the_drive_has_steps() -> None:
    made = pictures(drive(7))
    assert [picture.shape for picture in made] == [(720, 1280, 3)] * 7
    assert SIZE == (1280, 720)


def test_the_main_view_fills_the_picture_and_is_cut_above() -> None:
    # 1280x800: the upper 80 rows, which are red, do not fit
    tall = np.zeros((800, 1280, 3), np.uint8)
    tall[:80, :, 0], tall[80:, :, 1] = 255, 255
    middle = pictures(drive(1), main=lambda _: tall)[0][:, 600:680]
    assert (middle == (0, 255, 0)).all()


def test_the_front_camera_is_shown_pixel_by_pixel_at_the_lower_left() -> None:
    board = (np.indices((120, 160)).sum(axis=0) % 2 * 255).astype(np.uint8)
    inset = pictures(drive(1), front=lambda _: board)[0][460:700, 20:340, 0]
    within = inset[:, 20:300]
    assert (within[20:220].reshape(100, 2, 140, 2) == board[10:110, 10:150, None][:, None, :, 0][..., None]).all()


def test_the_line_on_the_map_grows_and_has_the_colour_of_the_speed() -> None:
    episode = drive(40, speed=1.2)
    made = pictures(episode)
    colour = Readings(episode).colour(20)
    lengths = [coloured(picture[20:260, 940:1260], colour) for picture in (made[0], made[20], made[39])]
    assert lengths[0] < 5 < lengths[1] < lengths[2]


def coloured(picture: NDArray[np.uint8], colour: str) -> int:
    """Count pixels of a colour that was laid over black with the panels' cover."""
    rgb = [round(int(colour[i : i + 2], 16) * 0.92) for i in (1, 3, 5)]
    return int((np.abs(picture.astype(int) - rgb).max(axis=2) <= 6).sum())


def test_bars_grow_with_what_they_show() -> None:
    episode = drive(40)
    episode.steps["reward"] = np.linspace(0.1, 2.0, 40)
    made = pictures(episode)
    # progress and reward: third and fourth bar of the panel at the lower right
    for rows in (slice(605, 618), slice(666, 679)):
        first, last = (count_colour(picture[rows, 940:1260], "#d5d9de") for picture in (made[1], made[39]))
        assert first < 0.15 * last


def test_the_same_drive_gives_the_same_pictures() -> None:
    one, two = pictures(drive(3)), pictures(drive(3))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("angle", [-30.0, 0.0, 30.0])
def test_the_bar_of_the_steering_goes_to_the_side_to_which_the_wheels_turn(angle: float) -> None:
    episode = drive(3)
    episode.steps["steering_angle"] = angle
    reading = Readings(episode).steering(1)
    assert reading.begin == 0.5
    assert reading.end == pytest.approx(0.5 - angle / 60)
    assert reading.value == {-30.0: "30° right", 0.0: "0°", 30.0: "30° left"}[angle]


def test_rewards_below_nought_hang_from_the_middle() -> None:
    episode = drive(3)
    episode.steps["reward"] = [0.0, -1.0, 4.0]
    read = [Readings(episode).reward(i) for i in range(3)]
    assert [(reading.begin, reading.end) for reading in read] == [(0.5, 0.5), (0.5, 0.375), (0.5, 1.0)]
    assert [reading.name.split()[-1] for reading in read] == ["0.00", "-1.00", "3.00"]


# --------------------------------------------------------------------------------------------------- redrawn views


class Wiggle:
    """Drives on, turning this way and that."""

    def __init__(self) -> None:
        self.calls = 0

    def greedy(self, observations: Any, fresh: NDArray[np.bool_]) -> NDArray[Any]:
        self.calls += 1
        return np.full(len(fresh), (self.calls // 6) % 10)


@pytest.mark.parametrize(("name", "colour"), [("version5", False), ("version5", True), ("version2", False)])
def test_what_the_camera_saw_is_redrawn_from_the_record(name: str, colour: bool) -> None:
    car = load_vehicle(name)
    task = RacingTask("kidney", 2, seed=3, threads=1, max_steps=60, colour=colour, vehicle=car)
    seen: dict[int, list[NDArray[np.uint8]]] = {0: [], 1: []}
    starts = task.starts.draw(3, np.arange(2), np.zeros(2, np.int64))
    episodes = drive_task(Wiggle(), task, starts, lambda car, picture: seen[car].append(picture.copy()))
    for episode in episodes:
        view = front_view(task.tracks[0], episode.steps, vehicle=car, colour=colour)
        redrawn = np.array([view(row) for row in range(len(episode.steps))])
        assert len(redrawn) > 10
        differing = (redrawn != np.array(seen[episode.car])).mean()
        assert differing < 1e-3


def test_the_chase_view_shows_the_car_and_goes_along() -> None:
    track = load_track("oval")
    steps = drive(30, speed=1.5).steps
    place = np.array([track.pose_at(0.1 * i / track.length) for i in range(30)])
    steps["x"], steps["y"], steps["yaw"] = place.T
    view = named_view(track, steps, "chase", 120, 160, vehicle=Vehicle())
    made = [view(row) for row in range(30)]
    red = [int((picture[..., 0].astype(int) - picture[..., 1] > 80).sum()) for picture in made]
    assert min(red) > 20
    assert (made[0] != made[29]).mean() > 0.2


def test_after_a_jump_the_chase_view_is_behind_the_car_at_once() -> None:
    track = load_track("oval")
    steps = drive(6).steps
    place = np.array([track.pose_at(at) for at in (0.0, 0.0, 0.0, 0.5, 0.5, 0.5)])
    steps["x"], steps["y"], steps["yaw"] = place.T
    view = named_view(track, steps, "chase", 120, 160, vehicle=Vehicle())
    made = [view(row) for row in range(6)]
    alone = named_view(track, steps[3:], "chase", 120, 160, vehicle=Vehicle())
    assert (made[3] == alone(0)).all()
