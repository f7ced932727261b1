"""What the ground looks like from above: field, road, lines and dashes as a picture with ever coarser copies.

Painted once per track from exact distances, with antialiased edges. One texel is 4 mm; each coarser level halves the
resolution. All levels of all tracks lie in one flat array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.errors import TrackError
from lateapex.sim.geometry import square_distance
from lateapex.sim.kernel import allocating_kernel, kernel
from lateapex.sim.tables import border_edges, segments_between
from lateapex.world.scene import GRAIN_WAVES, LUMINANCE, Colour, Scene, grey
from lateapex.world.track import Track

TEXEL: Final = 0.004
"""m, of level 0"""
LEVELS: Final = 6
"""Level 5 has texels of 128 mm."""
TILE: Final = 8
"""Texels along each side of a tile: in grey 64 bytes, a line of the processor's cache."""

_PAD = 4  # texels around the walls, more than rounding can ever reach
_GRAIN = 250  # texels, 1 m: the grain repeats as the original's textures do
_STRIP = 128  # texel rows painted at a time, which bounds the memory
_BLOCK = TILE * 2 ** (LEVELS - 1)  # texels of level 0 across a tile of the coarsest level
_MOST_TEXELS = 2**28  # 65 m x 65 m; the longest official track, penbay_pro, has a tenth of that


class Ground(NamedTuple):
    """Pictures, walls and sky of all tracks of a simulator; `K` tracks.

    A look is a grey level, uint8, or red, green and blue from the lowest byte up, uint32. Each level is cut into tiles
    of 8 x 8 texels, row by row from the south-west, and so is each tile: what a camera sees lies close together.
    """

    texels: NDArray[Any]  # flat, the looks of all levels of all tracks
    first: NDArray[np.int64]  # [K, LEVELS] place of texel (0, 0)
    pitch: NDArray[np.int64]  # [K, LEVELS] from a tile to the one north of it
    origin: NDArray[np.float64]  # [K, 2] m, the corner of texel (0, 0)
    walls: NDArray[np.float64]  # [K, 4] m: xmin, ymin, xmax, ymax
    wall_height: NDArray[np.float64]  # [K] m
    wall_look: NDArray[Any]  # [K, 4] south, east, north, west wall
    sky_look: NDArray[Any]  # [K]
    light: NDArray[np.float64]  # [K] see Scene


def paint_grounds(tracks: Sequence[Track], scenes: Sequence[Scene], colour: bool = False) -> Ground:
    """Paint all tracks, in grey or in colour; the grey is the luminance of the colour, but for rounding.

    Raises:
        TrackError: a track is too large to be painted.
    """
    levels = [
        tiled(_packed(level))
        for track, scene in zip(tracks, scenes, strict=True)
        for level in pyramid(paint(track, scene, colour))
    ]
    wall_look = _looks([_wall_colours(scene) for scene in scenes], colour)
    return assembled(tracks, scenes, levels, wall_look, _looks([scene.sky for scene in scenes], colour))


def assembled(
    tracks: Sequence[Track],
    scenes: Sequence[Scene],
    levels: Sequence[NDArray[Any]],
    wall_look: NDArray[Any],
    sky_look: NDArray[Any],
) -> Ground:
    """Join the tiled levels of all tracks, LEVELS of each in turn, and say where everything lies."""
    first = np.cumsum([0] + [level.size for level in levels[:-1]])
    places = np.array([walls_of(track, scene) for track, scene in zip(tracks, scenes, strict=True)])
    return Ground(
        texels=np.concatenate([level.ravel() for level in levels]),
        first=first.reshape(len(tracks), LEVELS).astype(np.int64),
        pitch=np.array([level.shape[1] for level in levels], np.int64).reshape(len(tracks), LEVELS),
        origin=places[:, :2] - _PAD * TEXEL,
        walls=places,
        wall_height=np.array([scene.wall_height for scene in scenes]),
        wall_look=wall_look,
        sky_look=sky_look,
        light=np.array([scene.light for scene in scenes]),
    )


def looks_at(ground: Ground, k: int, level: int, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[Any]:
    """Return the looks of texels of one level of track `k`, in the shape that rows and columns have together."""
    in_row = columns // TILE * TILE**2 + columns % TILE + rows % TILE * TILE
    looks: NDArray[Any] = ground.texels[ground.first[k, level] + rows // TILE * ground.pitch[k, level] + in_row]
    return looks


def _looks(colours: ArrayLike, colour: bool) -> NDArray[Any]:
    """Return colours `[..., 3]` as looks `[...]`."""
    channels = np.asarray(colours, np.float64)
    return _packed(np.rint(channels if colour else channels @ LUMINANCE[:, None]).astype(np.uint8))


def _packed(channels: NDArray[np.uint8]) -> NDArray[Any]:
    """Join the channels `[..., 1 or 3]` of each texel to its look."""
    if channels.shape[-1] == 1:
        return channels[..., 0]
    red, green, blue = (channels[..., n].astype(np.uint32) for n in range(3))
    return np.asarray(red | green << np.uint32(8) | blue << np.uint32(16))


def walls_of(track: Track, scene: Scene) -> tuple[float, float, float, float]:
    """Where the walls around a track stand, m: xmin, ymin, xmax, ymax."""
    x0, y0, x1, y1 = track.bounds
    gap = scene.wall_gap
    return x0 - gap, y0 - gap, x1 + gap, y1 + gap


def _wall_colours(scene: Scene) -> tuple[Colour, Colour, Colour, Colour]:
    """Tell the colours of the south, east, north and west wall: the sun stands in the south-east."""
    return scene.wall_shade, scene.wall_shade, scene.wall, scene.wall


def grain_of(scene: Scene) -> NDArray[np.float32]:
    """Draw the grain of field and road, `[2, TILE, TILE]` shares of their colour, in a square metre that repeats."""
    draw = np.random.Generator(np.random.Philox(key=20180101))
    grains = ((scene.field, scene.field_grain, scene.field_bands), (scene.road, scene.road_grain, scene.road_bands))
    patterns = [_pattern(draw, bands) * (spread / max(grey(colour), 1.0)) for colour, spread, bands in grains]
    return np.stack(patterns).astype(np.float32)


def _pattern(draw: np.random.Generator, bands: Sequence[float]) -> NDArray[np.float64]:
    """Draw noise of mean 0 and variance 1, whose bands of wavelengths have the given shares of the variance."""
    waves = np.fft.rfft2(draw.standard_normal((_GRAIN, _GRAIN)))
    per_metre = np.hypot(np.fft.fftfreq(_GRAIN)[:, None], np.fft.rfftfreq(_GRAIN)) / TEXEL
    band = np.digitize(per_metre, 1.0 / np.array(GRAIN_WAVES)) - 1
    total = np.zeros((_GRAIN, _GRAIN))
    for n, share in enumerate(bands):
        part = np.fft.irfft2(np.where(band == n, waves, 0.0), (_GRAIN, _GRAIN))
        total += part * np.sqrt(share / sum(bands)) / part.std()
    return total


def paint(track: Track, scene: Scene, colour: bool) -> NDArray[np.uint8]:
    """Paint level 0 of one track, `[rows, columns, 1 or 3]`: whole tiles of the coarsest level in both directions.

    Raises:
        TrackError: the track is too large.
    """
    walls = walls_of(track, scene)
    x0, y0 = walls[0] - _PAD * TEXEL, walls[1] - _PAD * TEXEL
    rows, columns = (
        -(-(int(np.ceil((high - low) / TEXEL)) + _PAD) // _BLOCK) * _BLOCK
        for low, high in ((y0, walls[3]), (x0, walls[2]))
    )
    if rows * columns > _MOST_TEXELS or max(rows, columns) >= 2**16:
        raise TrackError(
            f"{track.name} lies in a room of {walls[2] - walls[0]:.0f} x {walls[3] - walls[1]:.0f} m; at most "
            f"{_MOST_TEXELS * TEXEL**2:.0f} m² can be drawn: are its coordinates metres?"
        )
    picture = np.empty((rows, columns, 3 if colour else 1), np.uint8)
    center = segments_between(track.center, track.closed)
    center = np.column_stack([center, track.along[: len(center)]])
    pitch = track.length / max(round(track.length / scene.dash_pitch), 1)
    looks = np.array([scene.field, scene.road, scene.line, scene.dash], np.float64)
    looks = (looks if colour else looks @ LUMINANCE[:, None]).astype(np.float32)
    sizes = np.array([scene.line_width, pitch, scene.dash_length, scene.dash_width])
    _paint_rows(picture, x0, y0, border_edges(track), track.lines == "inside", center, looks, sizes, grain_of(scene))
    return picture


def pyramid(level: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Halve a picture `[rows, columns, channels]` again and again: it, and all coarser levels."""
    levels = [level]
    while len(levels) < LEVELS:
        quads = levels[-1].astype(np.uint16)
        total = quads[0::2, 0::2] + quads[1::2, 0::2] + quads[0::2, 1::2] + quads[1::2, 1::2]
        levels.append(((total + 2) >> 2).astype(np.uint8))
    return levels


def tiled(level: NDArray[Any]) -> NDArray[Any]:
    """Put texels in the order of tiles, `[rows of tiles, texels of a row of tiles]`.

    A row of tiles is an odd number of tiles: at an even one, tiles above each other would fight for few places in the
    processor's cache.
    """
    rows, columns = (size // TILE for size in level.shape)
    tiles = level.reshape(rows, TILE, columns, TILE).swapaxes(1, 2).reshape(rows, columns * TILE**2)
    return np.pad(tiles, ((0, 0), (0, ((columns | 1) - columns) * TILE**2)))


@allocating_kernel
def _paint_rows(picture, x0, y0, edges, lines_inside, center, looks, sizes, grain):  # type: ignore[no-untyped-def] # numba: see paint
    rows, columns, channels = picture.shape
    line_width, dash_width = sizes[0], sizes[3]
    reach = line_width + 2.0 * TEXEL
    border = np.empty((_STRIP, columns), np.float32)
    middle = np.empty((_STRIP, columns), np.float32)
    along = np.empty((_STRIP, columns), np.float32)
    crossings = np.empty(edges.shape[0])
    for top in range(0, rows, _STRIP):
        bottom = min(top + _STRIP, rows)
        border[:] = reach
        middle[:] = np.inf
        _spread(border, along, edges, top, bottom, columns, x0, y0, reach)
        _spread(middle, along, center, top, bottom, columns, x0, y0, dash_width)
        for j in range(top, bottom):
            found = _crossings(y0 + (j + 0.5) * TEXEL, edges, crossings)
            passed = 0
            for i in range(columns):
                x = x0 + (i + 0.5) * TEXEL
                while passed < found and crossings[passed] <= x:
                    passed += 1
                away = border[j - top, i]
                inward = away if passed % 2 == 1 else -away
                road = _cover(inward)
                line = road - _cover(inward - line_width) if lines_inside else _cover(inward + line_width) - road
                dash = np.float32(0.0)
                if middle[j - top, i] < dash_width:
                    dash = _dash(middle[j - top, i], along[j - top, i], sizes)
                field_light = np.float32(1.0) + grain[0, j % _GRAIN, i % _GRAIN]
                road_light = np.float32(1.0) + grain[1, j % _GRAIN, i % _GRAIN]
                for n in range(channels):
                    value = looks[0, n] * field_light
                    value += road * (looks[1, n] * road_light - value)
                    value += line * (looks[2, n] - value)
                    value += dash * (looks[3, n] - value)
                    picture[j, i, n] = np.uint8(min(max(value + np.float32(0.5), np.float32(0.0)), np.float32(255.0)))


@allocating_kernel
def _crossings(y, edges, crossings):  # type: ignore[no-untyped-def] # numba: float, [E, 5], fills [E]; returns how many
    """Find out where the border crosses a line from west to east, in that order."""
    found = 0
    for e in range(edges.shape[0]):
        end = edges[e, 1] + edges[e, 3]
        if (edges[e, 1] > y) != (end > y):
            share = (y - edges[e, 1]) / edges[e, 3]
            crossings[found] = edges[e, 0] + share * edges[e, 2]
            found += 1
    crossings[:found].sort()
    return found


@kernel
def _cover(inward):  # type: ignore[no-untyped-def] # numba: m -> share
    """Share of a texel that lies within an edge when its centre lies `inward` metres from it."""
    return min(max(inward / TEXEL + 0.5, 0.0), 1.0)


@kernel
def _dash(aside, along, sizes):  # type: ignore[no-untyped-def] # numba: m, m, [4] -> share
    """Share of a texel that lies on a dash."""
    pitch, length, width = sizes[1], sizes[2], sizes[3]
    phase = along - pitch * np.floor(along / pitch)
    off_middle = min(abs(phase - 0.5 * length), abs(phase - pitch - 0.5 * length))
    return _cover(0.5 * width - aside) * _cover(0.5 * length - off_middle)


@kernel
def _spread(nearest, along, segments, top, bottom, columns, x0, y0, reach):  # type: ignore[no-untyped-def] # numba: see _paint_rows
    """Lower `nearest` to the distance from each segment within reach; note the arc length where segments carry one."""
    for s in range(segments.shape[0]):
        sx, sy = segments[s, 0], segments[s, 1]
        ex = sx + segments[s, 2]
        ey = sy + segments[s, 3]
        j0 = max(int((min(sy, ey) - reach - y0) / TEXEL), top)
        j1 = min(int((max(sy, ey) + reach - y0) / TEXEL) + 1, bottom)
        i0 = max(int((min(sx, ex) - reach - x0) / TEXEL), 0)
        i1 = min(int((max(sx, ex) + reach - x0) / TEXEL) + 1, columns)
        length = np.hypot(segments[s, 2], segments[s, 3])
        for j in range(j0, j1):
            for i in range(i0, i1):
                square, t = square_distance(x0 + (i + 0.5) * TEXEL, y0 + (j + 0.5) * TEXEL, segments, s)
                if square < nearest[j - top, i] * nearest[j - top, i]:
                    nearest[j - top, i] = np.sqrt(square)
                    if segments.shape[1] > 5:
                        along[j - top, i] = segments[s, 5] + t * length
