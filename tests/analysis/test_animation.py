"""The animated GIF of a lap: looked at by eye once; here by the times, greys and colours that must be in it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_drives import drive, ring
from PIL import Image

from lateapex.analysis import animation
from lateapex.analysis.animation import animate_lap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lateapex.analysis.views import View


def gif_frames(gif: bytes) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """Return the pictures of a GIF and how long each is shown, ms."""
    film: Any = Image.open(io.BytesIO(gif))
    shown, times = [], []
    for i in range(film.n_frames):
        film.seek(i)
        shown.append(np.asarray(film.convert("RGB")))
        times.append(film.info["duration"])
    return shown, times


def grey(count: int) -> View:
    """Make plain pictures that grow lighter from 0 to 255."""
    return lambda row: np.full((12, 16), round(255 * row / max(count - 1, 1)), np.uint8)


@pytest.mark.parametrize("count", [1, 2, 20, 31])
def test_film_lasts_as_long_as_the_drive_with_a_picture_for_each_step(count: int) -> None:
    _, times = gif_frames(animate_lap(ring(), drive(count), grey(count)))
    assert len(times) == count
    assert sum(times) == pytest.approx(1000 * count / 15, abs=5)
    assert min([*times[:-1], 50]) >= 50


def test_long_drive_is_shown_in_at_most_450_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animation, "MOST_PICTURES", 10)
    _, times = gif_frames(animate_lap(ring(), drive(31), grey(31)))
    assert len(times) == 8
    assert sum(times) == pytest.approx(1000 * 31 / 15, abs=5)


def test_film_shows_the_frame_of_each_step() -> None:
    shown, _ = gif_frames(animate_lap(ring(), drive(12), grey(12)))
    centres = [int(picture[226, 256, 0]) for picture in shown]
    assert centres == pytest.approx([round(255 * i / 11) for i in range(12)], abs=7)  # 24 shades


def test_camera_picture_is_enlarged_by_a_whole_number_with_clear_pixels() -> None:
    board = np.indices((120, 160)).sum(axis=0) % 2 * np.uint8(255)
    shown, _ = gif_frames(animate_lap(ring(), drive(2), lambda _: board.astype(np.uint8)))
    view = shown[0][46 : 46 + 360, 16 : 16 + 480, 0]
    assert (view[::3, ::3] == board).all()
    assert (view.reshape(120, 3, 160, 3) == view[::3, ::3][:, None, :, None]).all()


def test_trail_grows_and_keeps_the_colours_of_the_speeds() -> None:
    shown, _ = gif_frames(animate_lap(ring(), drive(40, speed=1.2), grey(40)))
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
    shown, _ = gif_frames(animate_lap(ring(), drive(2), lambda _: frame))
    assert shown[0][226, 256] == pytest.approx([expected] * 3, abs=7)


def test_frames_larger_than_their_place_are_made_smaller() -> None:
    frame = np.full((480, 640), 100, np.uint8)
    assert animation._camera_picture(frame, 0).size == (480, 360)


def test_film_refuses_drives_of_no_step_and_pictures_of_another_shape() -> None:
    with pytest.raises(ValueError, match="no steps"):
        animate_lap(ring(), replace(drive(1), steps=drive(1).steps[:0]), grey(1))
    with pytest.raises(ValueError, match=r"shape \(12, 16, 4\)"):
        animate_lap(ring(), drive(1), lambda _: np.zeros((12, 16, 4), np.uint8))


@given(st.integers(0, 40), st.integers(1, 3))
def test_taking_grain_away_moves_no_pixel_by_more_than_the_grain_and_half_a_shade(grain: int, channels: int) -> None:
    noise = np.random.default_rng(grain).integers(0, 256, (8, 20, channels)).astype(np.uint8)
    plain = animation._without_grain(noise, grain)
    assert np.abs(plain.astype(int) - noise).max() <= grain + 255 / 23 / 2 + 1


def test_grain_is_kept_while_the_film_is_small_and_goes_when_room_is_short() -> None:
    noise = np.random.default_rng(1).integers(90, 110, (120, 160)).astype(np.uint8)
    assert animation._grain([noise], room=1e6) == 0
    assert animation._grain([noise], room=10_000) > 4
