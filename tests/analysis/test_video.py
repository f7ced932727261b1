"""MP4 files: decoded again, and looked into as a browser does."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from lateapex.analysis import video
from lateapex.analysis.video import can_write_mp4, mp4_bytes
from lateapex.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def moving(count: int, height: int = 48, width: int = 64) -> list[NDArray[np.uint8]]:
    """Make pictures on which a light square wanders to the right."""
    made = np.zeros((count, height, width, 3), np.uint8)
    for i in range(count):
        made[i, 16:32, i : i + 16] = (200, 120, 40)
    return list(made)


def opened(data: bytes) -> Any:
    return av.open(io.BytesIO(data))


@pytest.mark.parametrize("count", [1, 2, 45])
def test_every_picture_is_there_and_is_shown_for_a_fifteenth_of_a_second(count: int) -> None:
    with opened(mp4_bytes(moving(count))) as film:
        stream = film.streams.video[0]
        frames = list(film.decode(stream))
        assert stream.average_rate == 15
        assert float(stream.duration * stream.time_base) == pytest.approx(count / 15, abs=1e-3)
    assert [frame.time for frame in frames] == pytest.approx([i / 15 for i in range(count)], abs=1e-3)


def test_browsers_play_it_h264_in_yuv420p_with_its_index_first() -> None:
    data = mp4_bytes(moving(5))
    with opened(data) as film:
        context = film.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 64, 48)
        assert (context.profile, context.color_primaries, context.colorspace) == ("High", 1, 1)
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_pictures_look_as_they_were_drawn() -> None:
    drawn = moving(20)
    with opened(mp4_bytes(drawn)) as film:
        frames = [frame.to_ndarray(format="rgb24", src_colorspace="ITU709") for frame in film.decode(video=0)]
    for shown, picture in zip(frames, drawn, strict=True):
        assert np.abs(shown.astype(int) - picture).mean() < 4
    assert np.abs(frames[10][22:26, 14:20].astype(int) - (200, 120, 40)).max() < 12


def test_the_same_pictures_give_the_same_bytes() -> None:
    assert mp4_bytes(moving(30, 96, 128)) == mp4_bytes(iter(moving(30, 96, 128)))


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ([], "no pictures"),
        (moving(1, 47, 64), "64x47 pixels; both must be even"),
        (moving(1, 48, 63), "63x48 pixels; both must be even"),
        ([*moving(2), *moving(1, 48, 80)], r"picture 2 has shape \(48, 80, 3\)"),
    ],
)
def test_pictures_that_make_no_film_are_refused(pictures: list[NDArray[np.uint8]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mp4_bytes(pictures)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_write_mp4()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"video extra.*pip install 'lateapex\[video\]'"):
        mp4_bytes(moving(1))
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    assert not can_write_mp4()
