"""What a camera sees, in grey or in colour: field, road, lines, dashes, walls, sky.

The camera does not roll, so each picture row is a straight line on the ground: one start and one step a row, in
fixed point. A row is drawn from 1, 2 or 4 such lines (taps) and from the level of the ground picture that fits the
size of its pixels, which keeps distant lines and edges smooth. The walls form a rectangle around the track: the part
of a row that hits the ground inside of it is one interval, and above the horizon so is the part that passes over the
walls; all else is wall. Hence no pixel needs a bounds check.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.errors import ConfigError
from lateapex.sim.ground import LEVELS, TEXEL, Ground
from lateapex.sim.kernel import kernel
from lateapex.world.vehicle import CameraMount

MAX_TAPS: Final = 4

_LINE: Final = np.dtype(
    [
        ("begin", np.int64),  # columns begin to end - 1 see the ground or the sky, the others a wall
        ("end", np.int64),
        ("u", np.uint32),  # texels, 16.16 fixed point: where column 0 looks, east and north of the ground's corner
        ("v", np.uint32),
        ("du", np.uint32),  # from column to column; what wraps around comes back for all columns that see the ground
        ("dv", np.uint32),
    ]
)
_FRACTION: Final = np.uint32(16)
_TILE_ROW: Final = np.uint32(19)
_IN_PLACE: Final = np.uint32(13)  # moves the number of a texel to where it belongs above its place in a row of a tile
_TILES: Final = np.uint32(0xFFFFFFC0)
_ROW_IN_TILE: Final = np.uint32(0x38)
_COLUMN_IN_TILE: Final = np.uint32(7)
_BYTE: Final = np.uint32(8)
_1: Final = np.uint32(1)
_2: Final = np.uint32(2)
_EVEN: Final = np.uint32(0x00FF00FF)  # two bytes of a look, with room above each
_HALF_OF_2: Final = np.uint32(0x00010001)
_HALF_OF_4: Final = np.uint32(0x00020002)


class View(NamedTuple):
    """One camera at one resolution; `H` rows. A tap is a line of sight at a fraction of a row."""

    forward: float  # m, lens ahead of the car's centre
    left: float  # m, lens to the left of it
    height: float  # m, lens above the ground
    focal: float  # pixels
    taps: NDArray[np.int64]  # [H] lines drawn for a row: 1, 2 or 4
    above: NDArray[np.int64]  # [H] taps of the row that look above the horizon
    level: NDArray[np.int64]  # [H] level of the ground picture
    scale: NDArray[np.float64]  # [H] 65536 / size of its texels, 1/m
    ahead: NDArray[np.float64]  # [H, MAX_TAPS] forward part of a line's direction, for 1 along the optical axis
    inverse_drop: NDArray[np.float64]  # [H, MAX_TAPS] 1 / downward part of it; negative above the horizon
    widest: float  # rightward over forward part of the outermost lines of sight
    pitch_cos: float  # of the optical axis, downwards
    pitch_sin: float


def view_of(mount: CameraMount, height: int, width: int, left: float = 0.0) -> View:
    """Prepare a camera for pictures of `height` x `width` square pixels, `left` metres to the left of its mount.

    Raises:
        ConfigError: no pixels, or rows that look straight down, straight up, or behind the car.
    """
    if height < 1 or width < 1:
        raise ConfigError(f"pictures of {width}x{height} pixels; both must be 1 or more (160x120 is usual)")
    focal = 0.5 * width / np.tan(0.5 * mount.field_of_view)
    taps = np.ones(height, np.int64)
    level = np.zeros(height, np.int64)
    ahead = np.ones((height, MAX_TAPS))
    inverse_drop = np.ones((height, MAX_TAPS))
    for row in range(height):
        edges = [_direction(mount, (row + part - 0.5 * height) / focal) for part in (0.0, 0.5, 1.0)]
        taps[row], level[row] = _sampling(mount, focal, edges)
        for tap in range(taps[row]):
            y = (row + (tap + 0.5) / taps[row] - 0.5 * height) / focal
            ahead[row, tap], drop = _direction(mount, y)
            inverse_drop[row, tap] = 1.0 / (drop if abs(drop) > 1e-6 else -1e-6)
    if ahead.min() <= 0.0:
        raise ConfigError(
            f"a camera pitched {np.degrees(mount.pitch):.0f} degrees down with pictures of {width}x{height} pixels "
            "looks behind the car; a flatter pitch or fewer rows are needed"
        )
    scale = np.asarray(65536.0 / (TEXEL * 2.0**level), np.float64)
    above = (inverse_drop < 0.0).sum(axis=1)
    widest = 0.5 * (width + 1) / (float(focal) * float(ahead.min()))
    axis = _direction(mount, 0.0)
    rows = (taps, above, level, scale, ahead, inverse_drop)
    return View(mount.forward, left, mount.height, float(focal), *rows, widest, *axis)


def _direction(mount: CameraMount, y: float) -> tuple[float, float]:
    """Return the forward and downward part of a line of sight `y` focal lengths below the optical axis."""
    c, s = np.cos(mount.pitch), np.sin(mount.pitch)
    return float(c - y * s), float(s + y * c)


def _sampling(mount: CameraMount, focal: float, edges: list[tuple[float, float]]) -> tuple[int, int]:
    """Choose taps and level for a row whose upper edge, middle and lower edge look in these directions."""
    (upper_ahead, upper_drop), (_, drop), (lower_ahead, lower_drop) = edges
    if lower_drop <= 0.0:
        return 2, 0
    if upper_drop <= 1e-3:
        return MAX_TAPS, LEVELS - 1
    across = mount.height / drop / focal
    deep = mount.height * (upper_ahead / upper_drop - lower_ahead / lower_drop)
    # Beyond four taps the level must grow with the depth of a pixel, not quite to a quarter of it: a little blur
    # against shimmer.
    size = max(across, deep / (1.4 * MAX_TAPS))
    level = int(np.clip(np.round(np.log2(size / TEXEL)), 0, LEVELS - 1))
    wanted = deep / (TEXEL * 2**level)
    return (1 if wanted <= 1.2 else 2 if wanted <= 2.4 else MAX_TAPS), level


class Scratch(NamedTuple):
    """Memory that drawing works in; each thread needs its own. `W` columns."""

    lines: NDArray[Any]  # [H, MAX_TAPS] _LINE
    texel: NDArray[np.uint32]  # [W] place in `Ground.texels`
    looks: NDArray[Any]  # [MAX_TAPS, W] what the taps of one row see
    mean: NDArray[np.uint32]  # [W] of them, in colour
    place: NDArray[np.float64]  # [4] see _corners
    wall: NDArray[np.int64]  # [5]


def scratch_for(height: int, width: int, ground: Ground) -> Scratch:
    """Make the memory for pictures of `height` x `width` of this ground."""
    looks = np.zeros((MAX_TAPS, width), ground.texels.dtype)
    return Scratch(
        np.zeros((height, MAX_TAPS), _LINE),
        np.zeros(width, np.uint32),
        looks,
        np.zeros(width, np.uint32),
        np.zeros(4),
        np.zeros(5, np.int64),
    )


@kernel
def draw(which, cars, view, ground, out, scratch):  # type: ignore[no-untyped-def] # numba: int64[M], cars, View, Ground, see below, Scratch
    """Draw what the cars in `which` see into `out`, uint8 `[N, H, W]` of a grey ground, `[N, H, W, 3]` of a coloured.

    Each is drawn alone, so that any split over threads gives the same bytes.
    """
    for n in range(which.size):
        i = which[n]
        k = cars[i].track
        fx = np.cos(cars[i].yaw)
        fy = np.sin(cars[i].yaw)
        x = cars[i].x + view.forward * fx - view.left * fy
        y = cars[i].y + view.forward * fy + view.left * fx
        looks = (ground.wall_look[k], ground.sky_look[k], None)
        draw_one(out[i], x, y, fx, fy, view, ground, k, looks, scratch)


@kernel
def draw_one(picture, x, y, fx, fy, view, ground, k, looks, scratch):  # type: ignore[no-untyped-def] # numba: uint8[H, W] or [H, W, 3], lens in m, direction, View, Ground, track, see below, Scratch
    """Draw one picture.

    `looks` are those of the four walls, of the sky, and of the codes if the ground is made of such, else None.
    """
    count = _corners(x, y, fx, fy, ground.walls[k], scratch.place, scratch.wall)
    first, last = _in_view(scratch.place, count, view.widest)
    room = (scratch.place, scratch.wall, first, last, looks[0])
    _cast(x, y, fx, fy, picture.shape[1], view, ground, k, scratch.lines)
    _paint(picture, view, ground, k, room, looks[1], looks[2], scratch)


@kernel
def _cast(x, y, fx, fy, width, view, ground, k, lines):  # type: ignore[no-untyped-def] # numba: floats, View, Ground, _LINE[H, MAX_TAPS]
    """Find out where the taps of all rows hit the ground, or pass the height of the walls."""
    walls = ground.walls[k]
    x0, y0, x1, y1 = walls[0], walls[1], walls[2], walls[3]
    origin_x, origin_y = ground.origin[k, 0], ground.origin[k, 1]
    over_walls = view.height - ground.wall_height[k]
    inverse_x = 1.0 / fy if abs(fy) > 1e-9 else 1e9
    inverse_y = -1.0 / fx if abs(fx) > 1e-9 else 1e9
    for row in range(view.taps.size):
        scale = view.scale[row]
        for tap in range(view.taps[row]):
            inverse_drop = view.inverse_drop[row, tap]
            reach = (view.height if inverse_drop > 0.0 else over_walls) * inverse_drop
            step = reach / view.focal
            half = 0.5 * (width - 1) * step
            ahead = reach * view.ahead[row, tap]
            ax = x + ahead * fx - half * fy
            ay = y + ahead * fy + half * fx
            bx = ax + 2.0 * half * fy
            by = ay - 2.0 * half * fx
            line = lines[row, tap]
            if x0 < min(ax, bx) and max(ax, bx) < x1 and y0 < min(ay, by) and max(ay, by) < y1:
                line.begin, line.end = 0, width
            else:
                first = (x0 - ax) * (inverse_x / step), (x1 - ax) * (inverse_x / step)
                second = (y0 - ay) * (inverse_y / step), (y1 - ay) * (inverse_y / step)
                line.begin, line.end = _columns(first, second, width)
            line.u = np.uint32(np.int64((ax - origin_x) * scale))
            line.v = np.uint32(np.int64((ay - origin_y) * scale))
            line.du = np.uint32(np.int64(step * fy * scale))
            line.dv = np.uint32(np.int64(-step * fx * scale))


@kernel
def _columns(first, second, width):  # type: ignore[no-untyped-def] # numba: pairs of floats, int -> ints
    """Columns between both pairs of crossings: the first, and one past the last; none: (width, width)."""
    start = max(min(first[0], first[1]), min(second[0], second[1]), 0.0)
    stop = min(max(first[0], first[1]), max(second[0], second[1]), width - 1.0)
    if not start <= stop:
        return width, width
    begin = int(np.ceil(start))
    end = int(np.floor(stop)) + 1
    return (begin, end) if begin < end else (width, width)


@kernel
def _paint(picture, view, ground, k, room, sky, palette, scratch):  # type: ignore[no-untyped-def] # numba: see draw_one; see _fill_walls
    """Fill a picture row by row: each tap by itself, then their mean."""
    width = picture.shape[1]
    for row in range(picture.shape[0]):
        taps, level = view.taps[row], view.level[row]
        texels = ground.texels[ground.first[k, level] :]
        pitch = np.uint32(ground.pitch[k, level])
        for tap in range(taps):
            looks = scratch.looks[tap]
            line = scratch.lines[row, tap]
            begin, end = line.begin, line.end
            if begin > 0 or end < width:
                _fill_walls(looks, begin, end, view.focal * view.ahead[row, tap], room)
            if view.inverse_drop[row, tap] < 0.0:
                looks[begin:end] = sky
            else:
                _find_texels(scratch.texel[: end - begin], np.uint32(begin), line, pitch)
                _read_texels(looks[begin:end], scratch.texel, texels, palette)
        _write(picture[row], taps, scratch.looks, scratch.mean)


@kernel
def _find_texels(texel, start, line, pitch):  # type: ignore[no-untyped-def] # numba: uint32[columns], uint32, _LINE, uint32
    """Find the texels that a tap hits from column `start` on; apart from `_read_texels` so that it runs in vectors.

    `Ground` says how texels lie in tiles of 8 x 8: with row and column in bits r...rrr and c...ccc, the place is that
    of the row of tiles, then c...c, rrr, ccc.
    """
    du, dv = line.du, line.dv
    u = np.uint32(line.u + start * du)
    v = np.uint32(line.v + start * dv)
    for c in range(texel.size):
        tile = (v >> _TILE_ROW) * pitch + (u >> _IN_PLACE & _TILES)
        texel[c] = tile + (v >> _IN_PLACE & _ROW_IN_TILE) + (u >> _FRACTION & _COLUMN_IN_TILE)
        u = np.uint32(u + du)
        v = np.uint32(v + dv)


@kernel
def _read_texels(looks, texel, texels, palette):  # type: ignore[no-untyped-def] # numba: looks[columns], uint32[>= columns], flat looks or codes, looks by code or None
    if palette is None:  # decided when it is compiled: the type says it
        for c in range(looks.size):
            looks[c] = texels[texel[c]]
    else:
        for c in range(looks.size):
            looks[c] = palette[texels[texel[c]]]


@kernel
def _write(line, taps, looks, mean):  # type: ignore[no-untyped-def] # numba: uint8[W] or uint8[W, 3], 1, 2 or 4, [MAX_TAPS, W], uint32[W]
    """Round the mean of the first `taps` rows of `looks`."""
    if line.ndim == 1:
        _mean_greys(line, taps, looks)
    elif taps == 1:
        _unpack(line.reshape(line.size), looks[0])
    else:
        _mean_colours(mean, taps, looks)
        _unpack(line.reshape(line.size), mean)


@kernel
def _unpack(line, looks):  # type: ignore[no-untyped-def] # numba: uint8[3 W], uint32[W]
    for c in range(looks.size):
        look = looks[c]
        line[3 * c] = np.uint8(look)
        line[3 * c + 1] = np.uint8(look >> _BYTE)
        line[3 * c + 2] = np.uint8(look >> _FRACTION)


@kernel
def _mean_greys(line, taps, looks):  # type: ignore[no-untyped-def] # numba: uint8[W], 1, 2 or 4, uint8[MAX_TAPS, W]
    if taps == 1:
        for c in range(line.size):
            line[c] = looks[0, c]
    elif taps == 2:
        for c in range(line.size):
            line[c] = np.uint8((np.uint16(looks[0, c]) + np.uint16(looks[1, c]) + np.uint16(1)) >> np.uint16(1))
    else:
        for c in range(line.size):
            total = np.uint16(looks[0, c]) + np.uint16(looks[1, c]) + np.uint16(looks[2, c]) + np.uint16(looks[3, c])
            line[c] = np.uint8((total + np.uint16(2)) >> np.uint16(2))


@kernel
def _mean_colours(line, taps, looks):  # type: ignore[no-untyped-def] # numba: uint32[W], 2 or 4, uint32[MAX_TAPS, W]
    """As `_mean_greys`, red and blue in one number: a sum of four has room between them."""
    if taps == 2:
        for c in range(line.size):
            first, second = looks[0, c], looks[1, c]
            even = (first & _EVEN) + (second & _EVEN) + _HALF_OF_2
            odd = (first >> _BYTE & _EVEN) + (second >> _BYTE & _EVEN) + _HALF_OF_2
            line[c] = (even >> _1 & _EVEN) | (odd >> _1 & _EVEN) << _BYTE
    else:
        for c in range(line.size):
            first, second, third, fourth = looks[0, c], looks[1, c], looks[2, c], looks[3, c]
            even = (first & _EVEN) + (second & _EVEN) + (third & _EVEN) + (fourth & _EVEN) + _HALF_OF_4
            odd = (first >> _BYTE & _EVEN) + (second >> _BYTE & _EVEN) + _HALF_OF_4
            odd += (third >> _BYTE & _EVEN) + (fourth >> _BYTE & _EVEN)
            line[c] = (even >> _2 & _EVEN) | (odd >> _2 & _EVEN) << _BYTE


@kernel
def _corners(x, y, fx, fy, walls, place, wall):  # type: ignore[no-untyped-def] # numba: fills place[4], wall[5]; returns how many
    """Find the corners of the room ahead of the camera, left to right.

    `place` is the rightward over the forward part of the direction to each; `wall[n]` is the wall left of corner n,
    and `wall[count]` the one right of the last.
    """
    count = 0
    for corner in range(4):
        dx = walls[0 if corner in (0, 3) else 2] - x
        dy = walls[1 if corner < 2 else 3] - y
        forward = fx * dx + fy * dy
        if forward <= 1e-9:
            continue
        q = (fy * dx - fx * dy) / forward
        n = count
        while n > 0 and place[n - 1] > q:
            place[n] = place[n - 1]
            wall[n] = wall[n - 1]
            n -= 1
        place[n] = q
        wall[n] = corner
        count += 1
    if count > 0:
        wall[count] = (wall[count - 1] + 3) % 4
        return count
    to_x = ((walls[2] if fx > 0.0 else walls[0]) - x) / fx if abs(fx) > 1e-12 else np.inf
    to_y = ((walls[3] if fy > 0.0 else walls[1]) - y) / fy if abs(fy) > 1e-12 else np.inf
    if to_x < to_y:
        wall[0] = 1 if fx > 0.0 else 3
    else:
        wall[0] = 2 if fy > 0.0 else 0
    return 0


@kernel
def _in_view(place, count, widest):  # type: ignore[no-untyped-def] # numba: float[4], int, float -> ints
    """Return the first of the corners that can stand in the picture, and one past the last."""
    first = 0
    while first < count and place[first] < -widest:
        first += 1
    last = first
    while last < count and place[last] <= widest:
        last += 1
    return first, last


@kernel
def _fill_walls(line, begin, end, scale, room):  # type: ignore[no-untyped-def] # numba: looks[W], ints, float, room: see draw_one
    """Paint walls on all columns but begin to end - 1; a corner stands `scale * place` columns right of the middle."""
    place, wall, first, last, look_of = room
    width = line.size
    at = 0
    for n in range(first, last + 1):
        until = width
        if n < last:
            until = min(max(int(np.ceil(0.5 * (width - 1) + scale * place[n])), at), width)
        look = look_of[wall[n]]
        line[at : max(min(until, begin), at)] = look
        line[max(at, end) : max(until, end)] = look
        at = until
