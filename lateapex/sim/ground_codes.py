"""The ground as a mixture of surfaces, so that each car can have colours of its own for it.

Each texel holds a code: one of a fixed list of mixtures of field, road, line and dash, with its grain. What a code
looks like is a car's affair: `MIXTURES` times the colours of its surfaces. Edges are kept to a 24th of a texel,
where three surfaces meet to an eighth, and grain to a twelfth of its deviation or finer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.ground import Ground, assembled, grain_of, paint, pyramid, tiled
from lateapex.sim.kernel import allocating_kernel, kernel
from lateapex.world.scene import Scene, grey
from lateapex.world.track import Track

CODES: Final = 256
"""Codes that there can be; some are unused."""

_FIELDS: Final = 80  # grains of the field
_ROADS: Final = 40
_WIDEST: Final = 3.2  # deviations of the grain at the first and the last of them
_UNIT: Final = 20.0  # parts of a deviation while painting
_PARTS: Final = 24  # of an edge
_EIGHTHS: Final = 8
_LINE: Final = _FIELDS + _ROADS
_EDGES: Final = _LINE + 1  # field to line, line to road, field to road
_MEETINGS: Final = _EDGES + 3 * (_PARTS - 1)
_DASHES: Final = _MEETINGS + 21


def _mixtures() -> NDArray[np.float64]:
    """Shares of the surfaces by code."""
    table = np.zeros((CODES, 6))
    for first, count, column in ((0, _FIELDS, 0), (_FIELDS, _ROADS, 2)):
        table[first : first + count, column] = 1.0
        table[first : first + count, column + 1] = np.linspace(-_WIDEST, _WIDEST, count)
    table[_LINE, 4] = 1.0
    for edge, (one, other) in enumerate(((0, 4), (4, 2), (0, 2))):
        for part in range(1, _PARTS):
            code = _EDGES + edge * (_PARTS - 1) + part - 1
            table[code, one], table[code, other] = 1.0 - part / _PARTS, part / _PARTS
    for field in range(1, _EIGHTHS - 1):
        for line in range(1, _EIGHTHS - field):
            shares = np.array([field, line, _EIGHTHS - field - line]) / _EIGHTHS
            table[_meeting(field, line), [0, 4, 2]] = shares
    for part in range(1, _PARTS + 1):
        table[_DASHES + part - 1, 2], table[_DASHES + part - 1, 5] = 1.0 - part / _PARTS, part / _PARTS
    return table


@kernel
def _meeting(field, line):  # type: ignore[no-untyped-def] # numba: eighths, 1 or more each -> code
    """Code of a texel where field, line and road meet: 6 codes for one eighth of field, 5 for two ..."""
    return _MEETINGS + (field - 1) * 6 - (field - 1) * (field - 2) // 2 + line - 1


MIXTURES: Final = _mixtures()
"""`[CODES, 6]` shares by code: field, its grain in deviations, road, its grain, line, dash."""


def paint_codes(tracks: Sequence[Track], scenes: Sequence[Scene]) -> Ground:
    """Paint all tracks in codes; walls and sky have no look here.

    Raises:
        TrackError: a track is too large to be painted.
    """
    levels = []
    for track, scene in zip(tracks, scenes, strict=True):
        shares = pyramid(_shares(track, scene))
        levels += [tiled(_coded(level, grain)) for level, grain in zip(shares, _grains(scene, shares), strict=True)]
    nothing = np.zeros((len(tracks), 4), np.uint8)
    return assembled(tracks, scenes, levels, nothing, nothing[:, 0])


def _shares(track: Track, scene: Scene) -> NDArray[np.uint8]:
    """How much of each texel of level 0 is line, road and dash, `[rows, columns, 3]` of 255; the rest is field."""
    smooth = replace(scene, field_grain=0.0, road_grain=0.0)
    marked = replace(smooth, field=(0, 0, 0), line=(255, 0, 0), road=(0, 255, 0), dash=(0, 0, 255))
    return paint(track, marked, colour=True)


def _grains(scene: Scene, shares: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Grain of field and road of all levels, `[rows, columns, 2]`: 128 and _UNIT a deviation."""
    alone = replace(scene, field_grain=max(grey(scene.field), 1.0), road_grain=max(grey(scene.road), 1.0))
    square = np.moveaxis(grain_of(alone), 0, -1)
    parts = np.clip(np.rint(128.0 + _UNIT * square), 0, 255).astype(np.uint8)
    rows, columns = shares[0].shape[:2]
    return pyramid(parts[np.arange(rows)[:, None] % len(parts), np.arange(columns) % len(parts)])


@allocating_kernel
def _coded(shares, grains):  # type: ignore[no-untyped-def] # numba: uint8[rows, columns, 3], uint8[rows, columns, 2] -> uint8[rows, columns]
    codes = np.empty(shares.shape[:2], np.uint8)
    for r in range(shares.shape[0]):
        for c in range(shares.shape[1]):
            codes[r, c] = _code(shares[r, c], grains[r, c])
    return codes


@kernel
def _code(shares, grains):  # type: ignore[no-untyped-def] # numba: uint8[3], uint8[2] -> code
    """The mixture nearest to a texel."""
    line, road, dash = float(shares[0]), float(shares[1]), float(shares[2])
    field = max(255.0 - line - road - dash, 0.0)
    part = int(dash * _PARTS / 255.0 + 0.5)
    if part > 0:
        return _DASHES + min(part, _PARTS) - 1
    total = field + line + road
    field, line, road = field / total, line / total, road / total
    least = 0.5 / _PARTS
    if line < least and road < least:
        return _grained(grains[0], _FIELDS)
    if line < least and field < least:
        return _FIELDS + _grained(grains[1], _ROADS)
    if field < least and road < least:
        return _LINE
    smallest = min(field, line, road)
    if smallest >= 0.5 / _EIGHTHS:
        in_field = min(max(int(field * _EIGHTHS + 0.5), 1), _EIGHTHS - 2)
        in_line = min(max(int(line * _EIGHTHS + 0.5), 1), _EIGHTHS - 1 - in_field)
        return _meeting(in_field, in_line)
    if smallest == road:
        return _EDGES + _edge(field, line)
    if smallest == field:
        return _EDGES + _PARTS - 1 + _edge(line, road)
    return _EDGES + 2 * (_PARTS - 1) + _edge(field, road)


@kernel
def _edge(one, other):  # type: ignore[no-untyped-def] # numba: shares -> place among the codes of an edge
    return min(max(int(other / (one + other) * _PARTS + 0.5), 1), _PARTS - 1) - 1


@kernel
def _grained(grain, count):  # type: ignore[no-untyped-def] # numba: uint8, int -> place among the grains of a surface
    place = ((grain - 128.0) / _UNIT / _WIDEST + 1.0) * 0.5 * (count - 1)
    return min(max(int(place + 0.5), 0), count - 1)
