"""What the ground looks like from above: field, road, lines and dashes as a picture with ever coarser copies.

Painted once per track from exact distances, with antialiased edges. One texel is 4 mm; each coarser level halves the
resolution. All levels of all tracks lie in one flat array, rows padded to a power of two, so that the camera's inner
loop needs a shift and an addition for each texel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lateapex.sim.geometry import road_edges, square_distance
from lateapex.world.scene import Scene, grey
from lateapex.world.track import Track

TEXEL: Final = 0.004
"""m, of level 0"""
LEVELS: Final = 6
"""Level 5 has texels of 128 mm."""

_PAD = 4  # texels around the walls, more than rounding can ever reach
_TILE = 250  # texels, 1 m: the grain repeats as the original's textures do
_STRIP = 128  # texel rows painted at a time, which bounds the memory


class Ground(NamedTuple):
    """Pictures, walls and sky of all tracks of a simulator; `K` tracks."""

    texels: NDArray[np.uint8]  # flat, all levels of all tracks
    first: NDArray[np.int64]  # [K, LEVELS] place of texel (0, 0)
    stride: NDArray[np.int64]  # [K, LEVELS] row length as a power of two
    origin: NDArray[np.float64]  # [K, 2] m, the corner of texel (0, 0)
    walls: NDArray[np.float64]  # [K, 4] m: xmin, ymin, xmax, ymax
    wall_height: NDArray[np.float64]  # [K] m
    wall_grey: NDArray[np.uint8]  # [K, 4] south, east, north, west wall
    sky_grey: NDArray[np.uint8]  # [K]


def paint_grounds(tracks: Sequence[Track], scenes: Sequence[Scene]) -> Ground:
    """Paint all tracks in grey."""
    pyramids = [_pyramid(_paint(track, scene)) for track, scene in zip(tracks, scenes, strict=True)]
    first = np.zeros((len(tracks), LEVELS), np.int64)
    stride = np.zeros((len(tracks), LEVELS), np.int64)
    place = 0
    for k, levels in enumerate(pyramids):
        for n, level in enumerate(levels):
            first[k, n] = place
            stride[k, n] = level.shape[1].bit_length() - 1
            place += level.size
    return Ground(
        texels=np.concatenate([level.ravel() for levels in pyramids for level in levels]),
        first=first,
        stride=stride,
        origin=np.array([_origin(t, s) for t, s in zip(tracks, scenes, strict=True)]),
        walls=np.array([_walls(t, s) for t, s in zip(tracks, scenes, strict=True)]),
        wall_height=np.array([scene.wall_height for scene in scenes]),
        wall_grey=np.array([_wall_greys(scene) for scene in scenes], np.uint8),
        sky_grey=np.array([round(grey(scene.sky)) for scene in scenes], np.uint8),
    )


def _walls(track: Track, scene: Scene) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = track.bounds
    gap = scene.wall_gap
    return x0 - gap, y0 - gap, x1 + gap, y1 + gap


def _origin(track: Track, scene: Scene) -> tuple[float, float]:
    x0, y0, _, _ = _walls(track, scene)
    return x0 - _PAD * TEXEL, y0 - _PAD * TEXEL


def _wall_greys(scene: Scene) -> tuple[int, int, int, int]:
    """The sun stands in the south-east: the north and the west wall face it."""
    lit, shade = round(grey(scene.wall)), round(grey(scene.wall_shade))
    return shade, shade, lit, lit


def _grain(scene: Scene) -> NDArray[np.float32]:
    """Grain of field and road, `[2, TILE, TILE]` grey levels around 0: half of it fine, half in spots of 2 cm."""
    draw = np.random.Generator(np.random.Philox(key=20180101))
    spots = np.kron(draw.standard_normal((_TILE // 5, _TILE // 5)), np.ones((5, 5)))
    pattern = np.sqrt(0.5) * (draw.standard_normal((_TILE, _TILE)) + spots)
    return np.stack([pattern * scene.field_grain, pattern * scene.road_grain]).astype(np.float32)


def _paint(track: Track, scene: Scene) -> NDArray[np.uint8]:
    """Level 0 of one track, `[rows, 2**n]`."""
    x0, y0 = _origin(track, scene)
    _, _, x1, y1 = _walls(track, scene)
    columns = int(np.ceil((x1 - x0) / TEXEL)) + _PAD
    rows = int(np.ceil((y1 - y0) / TEXEL)) + _PAD
    picture = np.zeros((-(-rows // 32) * 32, 1 << (columns - 1).bit_length()), np.uint8)
    center = _center_rows(track)
    dashes = max(round(track.length / scene.dash_pitch), 1)
    pitch = track.length / dashes
    greys = np.array([grey(scene.field), grey(scene.road), grey(scene.line), grey(scene.dash)], np.float32)
    sizes = np.array([scene.line_width, pitch, scene.dash_length, scene.dash_width])
    _paint_rows(
        picture, columns, rows, x0, y0, road_edges(track), track.lines == "inside", center, greys, sizes, _grain(scene)
    )
    return picture


def _center_rows(track: Track) -> NDArray[np.float64]:
    """Centre segments `[S, 6]`: x, y, dx, dy, 1 / length2, arc length of the start."""
    step = np.roll(track.center, -1, axis=0) - track.center
    if not track.closed:
        step = step[:-1]
    square = (step**2).sum(axis=1)
    inverse = np.divide(1.0, square, out=np.zeros_like(square), where=square > 0.0)
    return np.column_stack([track.center[: len(step)], step, inverse, track.along[: len(step)]])


def _pyramid(level: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The picture and its halvings."""
    levels = [level]
    while len(levels) < LEVELS:
        quads = levels[-1].astype(np.uint16)
        total = quads[0::2, 0::2] + quads[1::2, 0::2] + quads[0::2, 1::2] + quads[1::2, 1::2]
        levels.append(((total + 2) >> 2).astype(np.uint8))
    return levels


@njit(cache=True, nogil=True)
def _paint_rows(picture, columns, rows, x0, y0, edges, lines_inside, center, greys, sizes, grain):  # type: ignore[no-untyped-def] # numba
    line_width, pitch, dash_length, dash_width = sizes[0], sizes[1], sizes[2], sizes[3]
    reach = line_width + 2.0 * TEXEL
    border = np.empty((_STRIP, columns), np.float32)
    middle = np.empty((_STRIP, columns), np.float32)
    along = np.empty((_STRIP, columns), np.float32)
    crossings = np.empty(edges.shape[0])
    edge_rows = np.empty((edges.shape[0], 5))
    for e in range(edges.shape[0]):
        edge_rows[e, 0], edge_rows[e, 1] = edges[e, 0], edges[e, 1]
        edge_rows[e, 2], edge_rows[e, 3] = edges[e, 2] - edges[e, 0], edges[e, 3] - edges[e, 1]
        square = edge_rows[e, 2] ** 2 + edge_rows[e, 3] ** 2
        edge_rows[e, 4] = 1.0 / square if square > 0.0 else 0.0
    for top in range(0, rows, _STRIP):
        bottom = min(top + _STRIP, rows)
        border[:] = reach
        middle[:] = reach
        _spread(border, along, edge_rows, top, bottom, columns, x0, y0, reach)
        _spread(middle, along, center, top, bottom, columns, x0, y0, dash_width)
        for j in range(top, bottom):
            y = y0 + (j + 0.5) * TEXEL
            found = 0
            for e in range(edges.shape[0]):
                if (edges[e, 1] > y) != (edges[e, 3] > y):
                    share = (y - edges[e, 1]) / (edges[e, 3] - edges[e, 1])
                    crossings[found] = edges[e, 0] + share * (edges[e, 2] - edges[e, 0])
                    found += 1
            crossings[:found].sort()
            passed = 0
            for i in range(columns):
                x = x0 + (i + 0.5) * TEXEL
                while passed < found and crossings[passed] <= x:
                    passed += 1
                away = border[j - top, i]
                inward = away if passed % 2 == 1 else -away
                road = _cover(inward)
                line = road - _cover(inward - line_width) if lines_inside else _cover(inward + line_width) - road
                value = greys[0] + grain[0, j % _TILE, i % _TILE]
                value += road * (greys[1] + grain[1, j % _TILE, i % _TILE] - value)
                value += line * (greys[2] - value)
                if middle[j - top, i] < dash_width:
                    phase = along[j - top, i] - pitch * np.floor(along[j - top, i] / pitch)
                    dash = _cover(0.5 * dash_width - middle[j - top, i])
                    off_middle = min(abs(phase - 0.5 * dash_length), abs(phase - pitch - 0.5 * dash_length))
                    dash *= _cover(0.5 * dash_length - off_middle)
                    value += dash * (greys[3] - value)
                picture[j, i] = np.uint8(min(max(value + np.float32(0.5), np.float32(0.0)), np.float32(255.0)))


@njit(cache=True, nogil=True)
def _cover(inward):  # type: ignore[no-untyped-def] # numba: m -> share
    """Share of a texel that lies within an edge when its centre lies `inward` metres from it."""
    return min(max(inward / TEXEL + 0.5, 0.0), 1.0)


@njit(cache=True, nogil=True)
def _spread(nearest, along, segments, top, bottom, columns, x0, y0, reach):  # type: ignore[no-untyped-def] # numba
    """Lower `nearest` to the distance from each segment within reach; note the arc length where segments carry one."""
    for s in range(segments.shape[0]):
        segment = segments[s]
        ex = segment[0] + segment[2]
        ey = segment[1] + segment[3]
        j0 = max(int((min(segment[1], ey) - reach - y0) / TEXEL), top)
        j1 = min(int((max(segment[1], ey) + reach - y0) / TEXEL) + 1, bottom)
        i0 = max(int((min(segment[0], ex) - reach - x0) / TEXEL), 0)
        i1 = min(int((max(segment[0], ex) + reach - x0) / TEXEL) + 1, columns)
        length = np.hypot(segment[2], segment[3])
        for j in range(j0, j1):
            for i in range(i0, i1):
                square, t = square_distance(x0 + (i + 0.5) * TEXEL, y0 + (j + 0.5) * TEXEL, segment)
                if square < nearest[j - top, i] * nearest[j - top, i]:
                    nearest[j - top, i] = np.sqrt(square)
                    if segments.shape[1] > 5:
                        along[j - top, i] = segment[5] + t * length
