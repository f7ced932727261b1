"""Pictures of tracks: looked at by eye once; here by what must be in them, where, and what must not change them."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageColor

from lateapex.analysis import track_pictures
from lateapex.analysis.style import ALARM, BORDER, GROUND, ROAD
from lateapex.analysis.track_pictures import draw_track
from lateapex.world.track import Track, load_track, track_names

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TURN = np.arange(60) / 60 * 2 * math.pi
RING = np.column_stack([np.cos(TURN), np.sin(TURN)])


def ring() -> Track:
    return Track("ring", 2.0 * RING, 1.6 * RING, 2.4 * RING, closed=True)


def pixels(picture: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def count(picture: NDArray[np.uint8], colour: str) -> int:
    return int((np.abs(picture.astype(int) - ImageColor.getrgb(colour)).max(axis=2) <= 2).sum())


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All text of the pictures that are drawn."""
    written: list[str] = []

    for kind in (Figure, Axes):
        monkeypatch.setattr(kind, "text", _with(kind.text, written))
    return written


def _with(method: Any, written: list[str]) -> Any:
    def text(self: Any, x: float, y: float, s: str, *rest: Any, **more: Any) -> Any:
        written.append(s)
        return method(self, x, y, s, *rest, **more)

    return text


def test_a_picture_is_a_png_1400_pixels_wide_with_road_borders_and_a_ring_at_the_tightest_bend() -> None:
    picture = draw_track(ring())
    assert picture.startswith(b"\x89PNG")
    rows = pixels(picture)
    assert rows.shape[1] == 1400
    # the road is π (2.4² - 1.6²) m², the picture about 4.8 m / 1240 pixels fine
    assert count(rows, ROAD) == pytest.approx(math.pi * (2.4**2 - 1.6**2) * (1240 / 4.8) ** 2, rel=0.05)
    assert count(rows, BORDER) > 10_000
    assert count(rows, ALARM) > 100
    assert count(rows, GROUND) > rows[..., 0].size / 3


def test_every_tenth_waypoint_is_numbered_but_none_beside_the_start(words: list[str]) -> None:
    draw_track(ring())
    assert [word for word in words if word.isdigit()] == ["10", "20", "30", "40", "50"]


def test_the_numbers_stand_at_their_waypoints(monkeypatch: pytest.MonkeyPatch) -> None:
    placed: dict[str, tuple[float, float]] = {}
    original: Any = Axes.text

    def text(self: Any, x: float, y: float, s: str, **more: Any) -> Any:
        placed[s] = (x, y)
        return original(self, x, y, s, **more)

    monkeypatch.setattr(Axes, "text", text)
    draw_track(ring())
    assert placed["20"] == pytest.approx(tuple(2.0 * RING[20]))


def test_length_width_direction_and_tightest_radius_stand_below_the_name(words: list[str]) -> None:
    draw_track(ring())
    assert "ring" in words
    length = 60 * 4 * math.sin(math.pi / 60)
    assert (
        f"{length:.2f} m   ·   width 0.80 m   ·   61 waypoints   ·   counter-clockwise   ·   tightest radius 2.00 m"
        in words
    )


def test_a_reversed_track_says_so_and_its_arrows_point_the_other_way(words: list[str]) -> None:
    there, back = draw_track(ring()), draw_track(ring().reverse())
    assert "ring, reversed" in words
    assert any("   ·   clockwise   ·   " in word for word in words)
    assert (pixels(there) != pixels(back)).any()


def test_varying_widths_are_given_with_their_limits_and_a_straight_road_has_no_ring(words: list[str]) -> None:
    center = np.column_stack([np.linspace(0, 6, 13), np.zeros(13)])
    left = np.column_stack([np.zeros(13), np.linspace(0.3, 0.5, 13)])
    lane = Track("lane", center, center + left, center - left, closed=False)
    rows = pixels(draw_track(lane))
    assert "6.00 m   ·   width 0.80 m (0.60 to 1.00)   ·   13 waypoints   ·   open" in words
    assert count(rows, ALARM) == 0
    assert rows.shape[0] < rows.shape[1] / 2


@pytest.mark.parametrize("shape", [(0.2, 0.1), (30, 20), (1, 300)])
def test_the_bar_has_a_round_length_whatever_the_size_of_the_track(
    shape: tuple[float, float], words: list[str]
) -> None:
    center = RING * shape
    draw_track(Track("oval", center, 0.8 * center, 1.2 * center, closed=True))
    (bar,) = (word for word in words if word.removesuffix(" m").replace(".", "").isdigit() and word.endswith(" m"))
    assert float(bar.removesuffix(" m")) in track_pictures._SCALES


@pytest.mark.parametrize("name", [*track_names(), "generated:hard:1"])
def test_all_of_the_road_of_every_shipped_track_is_in_the_picture(name: str) -> None:
    rows = pixels(draw_track(load_track(name)))
    assert count(rows[120:, :40], ROAD) == count(rows[120:, -40:], ROAD) == count(rows[-90:, :900], ROAD) == 0
    assert count(rows, ROAD) > 20_000


def test_the_arrow_at_the_start_is_drawn_wherever_the_start_lies(shared_data: Path) -> None:
    # H_track starts at the lower edge of its box, where an arrow beside the road is easily lost
    track = load_track(shared_data / "tracks" / "H_track.npy")
    rows = pixels(draw_track(track))
    below = rows[int(rows.shape[0] * 0.915) : int(rows.shape[0] * 0.935), :600]
    assert count(below, BORDER) + count(below, "#f2f5f8") > 50


def test_drawing_twice_gives_the_same_bytes_and_keeps_no_state_of_the_plotting_library() -> None:
    assert draw_track(ring()) == draw_track(ring())
    code = "import sys, lateapex.analysis.track_pictures; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
