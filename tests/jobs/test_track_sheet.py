"""Sheets of tracks: all real routes both ways, folders, and what is no track."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from made_drives import count_colour, ring
from made_routes import route_bytes
from PIL import Image, ImageColor

from lateapex.analysis.style import BORDER, GROUND, ROAD, TEXT
from lateapex.analysis.track_sheet import COLUMNS, draw_sheet
from lateapex.errors import ConfigError, TrackError
from lateapex.jobs.track_sheet import track_sheet
from lateapex.world.track import track_names

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WIDE, TALL, EDGE = 310, 262, 20


def cells(png: bytes, count: int) -> list[NDArray[np.uint8]]:
    """Cut a sheet into its cells."""
    rows = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    columns = min(count, COLUMNS)
    assert rows.shape[:2] == (-(-count // columns) * TALL + 2 * EDGE, columns * WIDE + 2 * EDGE)
    corners = [(EDGE + i // columns * TALL, EDGE + i % columns * WIDE) for i in range(count)]
    return [rows[top : top + TALL, left : left + WIDE] for top, left in corners]


def of_colour(picture: NDArray[np.uint8], colour: str) -> NDArray[np.bool_]:
    close: NDArray[np.bool_] = np.abs(picture.astype(int) - ImageColor.getrgb(colour)).max(axis=2) <= 2
    return close


@pytest.mark.long
def test_all_real_routes_are_drawn_both_ways(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "tracks"
    out = tmp_path / "sheet.png"
    drawn = track_sheet([str(folder)], out, both=True)
    routes = sorted(path.stem for path in folder.glob("*.npy"))
    assert len(routes) > 40
    assert [track.name for track in drawn] == [name for name in routes for _ in range(2)]
    assert [track.reversed for track in drawn] == [False, True] * len(routes)
    there, back = (cells(out.read_bytes(), len(drawn))[way::2] for way in (0, 1))
    for one, other in zip(there, back, strict=True):
        assert count_colour(one, ROAD) > 300
        assert count_colour(one, BORDER) > 100
        arrows = [np.argwhere(of_colour(cell[56:], TEXT)) for cell in (one, other)]
        assert min(map(len, arrows)) > 8
        assert not np.array_equal(*arrows)
        assert count_colour(one[:, :4], GROUND) == count_colour(one[:, -4:], GROUND) == 4 * TALL


@pytest.mark.parametrize("count", [1, 5, 6, 7, 13])
def test_a_sheet_has_a_cell_for_each_track_and_rows_of_six(count: int) -> None:
    drawn = cells(draw_sheet([ring()] * count), count)
    assert all((cell[:, :300] == drawn[0][:, :300]).mean() > 0.97 for cell in drawn)


def test_the_way_round_stands_in_the_picture() -> None:
    there, back = cells(draw_sheet([ring(), ring().reverse()]), 2)
    words = slice(26, 50)
    assert (there[words] != back[words]).any()


def test_shipped_tracks_are_drawn_when_none_is_named_and_folders_may_be_mixed_with_names(tmp_path: Path) -> None:
    out = tmp_path / "new" / "sheet.png"
    assert [track.name for track in track_sheet([], out)] == list(track_names())
    (tmp_path / "made.npy").write_bytes(route_bytes())
    drawn = track_sheet(["oval@reversed", str(tmp_path), "kidney"], out)
    assert [track.name for track in drawn] == ["oval", "made", "kidney"]
    assert drawn[0].reversed


def test_a_sheet_of_nothing_or_of_what_is_no_track_is_refused_and_not_written(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    with pytest.raises(ValueError, match="no tracks"):
        draw_sheet([])
    with pytest.raises(TrackError, match="holds no route"):
        track_sheet([str(tmp_path)], out)
    with pytest.raises(TrackError, match="did you mean 'kidney'"):
        track_sheet(["oval", "kidny"], out)
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(TrackError, match=r"a\.npy is no \.npy file"):
        track_sheet([str(tmp_path)], out)
    with pytest.raises(ConfigError, match=r"--out is sheet\.jpg; a name that ends in \.png"):
        track_sheet([], out.with_name("sheet.jpg").relative_to(tmp_path))
    assert not out.exists()
