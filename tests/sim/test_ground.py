"""The ground seen from above: sizes of what is painted, measured texel by texel, and its coarser copies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lateapex.errors import TrackError
from lateapex.sim.ground import LEVELS, TEXEL, TILE, Ground, paint_grounds
from lateapex.world.scene import Scene, grey, scene_of
from lateapex.world.track import Track, load_track, track_from_route

SMOOTH = Scene(field_grain=0.0, road_grain=0.0)
FIELD, ROAD, LINE, DASH = (grey(colour) for colour in (SMOOTH.field, SMOOTH.road, SMOOTH.line, SMOOTH.dash))
HALF = 0.381


def straight(name: str = "straight", length: float = 4.0) -> Track:
    """An open straight from (0, 0) to the east, 0.762 m wide."""
    x = np.linspace(0.0, length, 9)
    zero, half = np.zeros(9), np.full(9, HALF)
    return track_from_route(np.column_stack([x, zero, x, half, x, -half]), name)


def level_of(ground: Ground, n: int, k: int = 0) -> NDArray[Any]:
    """Texels of one level without what only fills them up, `[rows, columns]` from the south-west."""
    place, pitch = int(ground.first[k, n]), int(ground.pitch[k, n])
    ends = [*ground.first.ravel().tolist(), ground.texels.size]
    tiles = ground.texels[place : ends[ends.index(place) + 1]].reshape(-1, pitch // TILE**2, TILE, TILE)
    picture = tiles.swapaxes(1, 2).reshape(len(tiles) * TILE, -1)
    block = TILE * 2 ** (LEVELS - 1)
    columns = -(-int(np.ceil((ground.walls[k, 2] - ground.origin[k, 0]) / TEXEL + 4)) // block) * block >> n
    return picture[:, :columns]


def across(ground: Ground, x: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Grey levels from south to north at one x, and the y of each."""
    column = level_of(ground, 0)[:, int((x - ground.origin[0, 0]) / TEXEL)]
    return column.astype(np.float64), ground.origin[0, 1] + (np.arange(column.size) + 0.5) * TEXEL


def runs(values: NDArray[np.float64]) -> list[float]:
    """Lengths of the runs of 1 in shares between 0 and 1, an edge in the middle of a texel counting by its share."""
    padded = np.concatenate([[0.0], values, [0.0]])
    starts = np.flatnonzero((padded[:-1] == 0.0) & (padded[1:] > 0.0))
    stops = np.flatnonzero((padded[:-1] > 0.0) & (padded[1:] == 0.0))
    return [float(padded[start + 1 : stop + 1].sum()) for start, stop in zip(starts, stops, strict=True)]


@pytest.mark.parametrize(("lines", "low", "high"), [("inside", HALF - 0.0762, HALF), ("outside", HALF, HALF + 0.0762)])
def test_white_lines_are_76_mm_wide_on_their_side_of_the_border(lines: Any, low: float, high: float) -> None:
    ground = paint_grounds([replace(straight(), lines=lines)], [replace(SMOOTH, dash=SMOOTH.road)])
    values, y = across(ground, 2.0)
    bright = values > 0.5 * (LINE + FIELD)
    for side in (1.0, -1.0):
        white = side * y[bright & (side * y > 0.0)]
        assert white.min() == pytest.approx(low + 0.5 * TEXEL, abs=TEXEL)
        assert white.max() == pytest.approx(high - 0.5 * TEXEL, abs=TEXEL)


def test_road_lies_between_the_lines_and_field_beyond_them() -> None:
    ground = paint_grounds([straight()], [SMOOTH])
    values, y = across(ground, 20.75 * 4.0 / 39)
    assert (values[np.abs(y) < HALF - 0.0762 - TEXEL] == round(ROAD)).all()
    assert (values[np.abs(y) > HALF + TEXEL] == round(FIELD)).all()


def test_dashes_have_their_length_width_and_pitch() -> None:
    track = straight()
    ground = paint_grounds([track], [SMOOTH])
    row = level_of(ground, 0)[int(-ground.origin[0, 1] / TEXEL)].astype(np.float64)
    start, stop = (int((x - ground.origin[0, 0]) / TEXEL) for x in (0.09, 3.91))
    share = np.clip((row[start:stop] - round(ROAD)) / (DASH - ROAD), 0.0, 1.0)
    # 4 m / 0.1016 m is 39.4: 39 dashes, one each 0.10256 m; the ends of the road are white for 0.0762 m.
    lengths = runs(share)[1:-1]
    assert len(lengths) == 36
    assert np.array(lengths) * TEXEL == pytest.approx(0.0508, abs=0.001)
    middle = level_of(ground, 0)[:, int((2.0 * 4.0 / 39 + 0.0254 - ground.origin[0, 0]) / TEXEL)].astype(np.float64)
    middle = np.clip((middle - round(ROAD)) / (DASH - ROAD), 0.0, 1.0)
    y = ground.origin[0, 1] + (np.arange(middle.size) + 0.5) * TEXEL
    assert middle[np.abs(y) < 0.2].sum() * TEXEL == pytest.approx(0.0254, abs=0.001)


@pytest.mark.parametrize(("name", "dashes"), [("reinvent_base", 174), ("reInvent2019_track", 228)])
def test_a_lap_has_as_many_dashes_as_the_original_mesh(name: str, dashes: int, shared_data: Any) -> None:
    track = load_track(shared_data / "tracks" / f"{name}.npy")
    ground = paint_grounds([track], [SMOOTH])
    shares = (np.arange(20 * dashes) + 0.5) / (20 * dashes)
    points = np.array([track.pose_at(float(share))[:2] for share in shares])
    columns, rows = ((points - ground.origin[0]) / TEXEL).astype(np.int64).T
    is_dash = level_of(ground, 0)[rows, columns] > 0.5 * (ROAD + DASH)
    changes = (is_dash[1:] != is_dash[:-1]).sum() + (is_dash[0] != is_dash[-1])
    assert changes == 2 * dashes
    assert is_dash[:9].all()
    assert not is_dash[11:20].any()


def test_dashes_do_not_depend_on_the_width_of_the_lines() -> None:
    wide, thin = (paint_grounds([straight()], [replace(SMOOTH, line_width=width)]) for width in (0.0762, 0.001))
    near = slice(*(int((y - wide.origin[0, 1]) / TEXEL) for y in (-0.2, 0.2)))
    along = slice(*(int((x - wide.origin[0, 0]) / TEXEL) for x in (0.2, 3.8)))
    assert (level_of(wide, 0)[near, along] == level_of(thin, 0)[near, along]).all()


def test_each_level_is_the_mean_of_four_texels_of_the_finer_one() -> None:
    ground = paint_grounds([straight()], [Scene()])
    for n in range(1, LEVELS):
        fine, coarse = level_of(ground, n - 1).astype(np.float64), level_of(ground, n)
        mean = fine.reshape(coarse.shape[0], 2, coarse.shape[1], 2).mean(axis=(1, 3))
        assert np.abs(coarse - mean).max() <= 0.5


@pytest.mark.parametrize("length", [4.0, 4.03, 4.06, 4.1])
def test_at_the_feet_of_the_walls_all_levels_show_the_field(length: float) -> None:
    ground = paint_grounds([straight(length=length)], [SMOOTH])
    for n in range(LEVELS):
        level, size = level_of(ground, n), TEXEL * 2**n
        x0, x1 = (int((x - ground.origin[0, 0]) / size) for x in ground.walls[0, [0, 2]])
        y0, y1 = (int((y - ground.origin[0, 1]) / size) for y in ground.walls[0, [1, 3]])
        assert (level[[y0, y0, y1, y1], [x0, x1, x0, x1]] == round(FIELD)).all()


def test_the_grain_has_the_spread_and_mean_that_the_scene_asks_for() -> None:
    ground = paint_grounds([straight()], [replace(Scene(), dash=Scene().road)])
    values, y = across(ground, 2.0)
    columns = slice(*(int((x - ground.origin[0, 0]) / TEXEL) for x in (1.0, 3.0)))
    picture = level_of(ground, 0)[:, columns].astype(np.float64)
    for where, mean, spread in (
        (np.abs(y) > HALF + 0.01, FIELD, Scene().field_grain),
        (np.abs(y) < 0.29, ROAD, Scene().road_grain),
    ):
        assert picture[where].mean() == pytest.approx(mean, abs=1.0)
        assert picture[where].std() == pytest.approx(spread, rel=0.1)
    assert values.shape == y.shape


def test_walls_stand_0_9_m_from_the_track_and_the_north_and_west_ones_are_lit() -> None:
    ground = paint_grounds([straight()], [SMOOTH])
    assert ground.walls[0].tolist() == pytest.approx([-0.9, -HALF - 0.9, 4.9, HALF + 0.9])
    shade, lit = round(grey(SMOOTH.wall_shade)), round(grey(SMOOTH.wall))
    assert ground.wall_look[0].tolist() == [shade, shade, lit, lit]
    assert ground.sky_look.tolist() == [178]


def test_several_tracks_in_one_array_are_as_each_alone() -> None:
    tracks, scenes = [straight(), load_track("oval"), straight(length=3.0)], [SMOOTH, Scene(), Scene()]
    together = paint_grounds(tracks, scenes)
    for k, (track, scene) in enumerate(zip(tracks, scenes, strict=True)):
        alone = paint_grounds([track], [scene])
        for n in range(LEVELS):
            assert (level_of(together, n, k) == level_of(alone, n)).all()
        assert together.walls[k].tolist() == alone.walls[0].tolist()


def test_rows_of_tiles_are_an_odd_number_of_tiles() -> None:
    assert (paint_grounds([straight(), load_track("kidney")], [SMOOTH, SMOOTH]).pitch % (2 * TILE**2) == TILE**2).all()


def test_the_grey_ground_is_the_luminance_of_the_coloured_one() -> None:
    tracks, scenes = [straight(), load_track("oval")], [Scene(), scene_of("reinvent_base")]
    grey_ground, coloured = (paint_grounds(tracks, scenes, colour=flag) for flag in (False, True))
    channels = np.stack([coloured.texels >> shift & 255 for shift in (0, 8, 16)], axis=-1)
    assert np.abs(channels @ [0.2989, 0.5870, 0.1140] - grey_ground.texels).max() < 2.0
    assert np.abs(np.mean(channels @ [0.2989, 0.5870, 0.1140] - grey_ground.texels)) < 0.05
    assert coloured.wall_look[0].tolist() == [0x241F10, 0x241F10, 0x493F21, 0x493F21]
    assert coloured.sky_look.tolist() == [0xB2B2B2] * 2


def test_a_track_in_millimetres_is_refused_with_its_size() -> None:
    with pytest.raises(TrackError, match=r"straight lies in a room of 4002 x 3 m.*are its coordinates metres"):
        paint_grounds([straight(length=4000.0)], [SMOOTH])
