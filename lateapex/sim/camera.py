"""What a front camera sees, in grey: field, road, lines, dashes, walls, sky.

The camera does not roll, so each picture row is a straight line on the ground: one start and one step a row, in
fixed point. A row is drawn from 1, 2 or 4 such lines (taps) and from the level of the ground picture that fits the
size of its pixels, which keeps distant lines and edges smooth. The walls form a rectangle around the track: the part of a
row that hits the ground inside of it is one interval, and above the horizon so is the part that passes over the
walls; all else is wall. Hence no pixel needs a bounds check.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lateapex.sim.ground import LEVELS, TEXEL
from lateapex.world.vehicle import CameraMount

MAX_TAPS: Final = 4

_SIXTEEN: Final = np.uint64(16)


class View(NamedTuple):
    """One camera at one resolution; `H` rows. A tap is a line of sight at a fraction of a row."""

    forward: float  # m, lens ahead of the car's centre
    height: float  # m, lens above the ground
    focal: float  # pixels
    taps: NDArray[np.int64]  # [H] lines drawn for a row: 1, 2 or 4
    level: NDArray[np.int64]  # [H] level of the ground picture
    ahead: NDArray[np.float64]  # [H, MAX_TAPS] forward part of a line's direction, for 1 along the optical axis
    inverse_drop: NDArray[np.float64]  # [H, MAX_TAPS] 1 / downward part of it; negative above the horizon


def view_of(mount: CameraMount, height: int, width: int) -> View:
    """Prepare a camera for pictures of `height` x `width` square pixels."""
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
    return View(mount.forward, mount.height, float(focal), taps, level, ahead, inverse_drop)


def _direction(mount: CameraMount, y: float) -> tuple[float, float]:
    """Forward and downward part of a line of sight `y` focal lengths below the optical axis."""
    c, s = np.cos(mount.pitch), np.sin(mount.pitch)
    return float(c - y * s), float(s + y * c)


def _sampling(mount: CameraMount, focal: float, edges: list[tuple[float, float]]) -> tuple[int, int]:
    """Taps and level for a row whose upper edge, middle and lower edge look in these directions."""
    (upper_ahead, upper_drop), (_, drop), (lower_ahead, lower_drop) = edges
    if lower_drop <= 0.0:
        return 2, 0
    if upper_drop <= 1e-3:
        return MAX_TAPS, LEVELS - 1
    across = mount.height / drop / focal
    deep = mount.height * (upper_ahead / upper_drop - lower_ahead / lower_drop)
    # Beyond four taps the level must grow with the depth of a pixel, at half its rate: a little blur against shimmer.
    size = max(across, deep / (2 * MAX_TAPS))
    level = int(np.clip(np.round(np.log2(size / TEXEL)), 0, LEVELS - 1))
    wanted = deep / (TEXEL * 2**level)
    return (1 if wanted <= 1.2 else 2 if wanted <= 2.4 else MAX_TAPS), level


@njit(cache=True, nogil=True)
def draw(first, last, cars, view, ground, out):  # type: ignore[no-untyped-def] # numba: ints, [N] STATE_DTYPE, View, Ground, uint8[N, H, W]
    """Draw the pictures of cars `first` to `last - 1` into `out`, each alone: any split over threads gives the same bytes."""
    height, width = out.shape[1], out.shape[2]
    corner_place = np.empty(4)
    corner_wall = np.empty(5, np.int64)
    begin = np.empty(MAX_TAPS, np.int64)
    end = np.empty(MAX_TAPS, np.int64)
    u = np.empty(MAX_TAPS, np.uint64)
    v = np.empty(MAX_TAPS, np.uint64)
    du = np.empty(MAX_TAPS, np.uint64)
    dv = np.empty(MAX_TAPS, np.uint64)
    for i in range(first, last):
        k = cars[i].track
        walls = ground.walls[k]
        fx = np.cos(cars[i].yaw)
        fy = np.sin(cars[i].yaw)
        camera_x = cars[i].x + view.forward * fx
        camera_y = cars[i].y + view.forward * fy
        corners = _corners(camera_x, camera_y, fx, fy, walls, corner_place, corner_wall)
        greys = ground.wall_grey[k]
        sky = ground.sky_grey[k]
        inverse_x = 1.0 / fy if abs(fy) > 1e-9 else 1e9
        inverse_y = -1.0 / fx if abs(fx) > 1e-9 else 1e9
        for row in range(height):
            taps = view.taps[row]
            level = view.level[row]
            scale = 65536.0 / (TEXEL * (1 << level))
            low, high, common_low, common_high = width, 0, 0, width
            above = 0
            for tap in range(taps):
                inverse_drop = view.inverse_drop[row, tap]
                ahead = view.ahead[row, tap]
                if inverse_drop > 0.0:
                    reach = view.height * inverse_drop
                else:
                    reach = (view.height - ground.wall_height[k]) * inverse_drop
                    above += 1
                step = reach / view.focal
                half = 0.5 * (width - 1) * step
                ax = camera_x + reach * ahead * fx - half * fy
                ay = camera_y + reach * ahead * fy + half * fx
                b, e = _interval(ax, ay, inverse_x / step, inverse_y / step, walls, width)
                begin[tap], end[tap] = b, e
                low = min(low, b)
                high = max(high, e)
                common_low = max(common_low, b)
                common_high = min(common_high, e)
                u[tap] = np.uint64(np.int64((ax - ground.origin[k, 0]) * scale))
                v[tap] = np.uint64(np.int64((ay - ground.origin[k, 1]) * scale))
                du[tap] = np.uint64(np.int64(step * fy * scale))
                dv[tap] = np.uint64(np.int64(-step * fx * scale))
            line = out[i, row]
            if low >= high:
                low = high = common_low = common_high = width
            elif common_low >= common_high or (0 < above < taps):
                common_low = common_high = high
            place = view.focal * view.ahead[row, taps - 1]
            _fill_walls(line, 0, low, place, corner_place, corner_wall, corners, greys)
            _fill_walls(line, high, width, place, corner_place, corner_wall, corners, greys)
            texels = ground.texels[ground.first[k, level] :]
            stride = np.uint64(ground.stride[k, level])
            for start, stop in ((low, common_low), (common_high, high)):
                for c in range(start, stop):
                    total = 0
                    for tap in range(taps):
                        if c < begin[tap] or c >= end[tap]:
                            total += _wall_at(
                                c, width, view.focal * view.ahead[row, tap], corner_place, corner_wall, corners, greys
                            )
                        elif view.inverse_drop[row, tap] < 0.0:
                            total += sky
                        else:
                            pu = u[tap] + np.uint64(c) * du[tap]
                            pv = v[tap] + np.uint64(c) * dv[tap]
                            total += texels[((pv >> _SIXTEEN) << stride) + (pu >> _SIXTEEN)]
                    line[c] = np.uint8((total + (taps >> 1)) // taps)
            if above > 0:
                line[common_low:common_high] = sky
            else:
                _sample(line, common_low, common_high, taps, u, v, du, dv, texels, stride)


@njit(cache=True, nogil=True)
def _sample(line, start, stop, taps, u, v, du, dv, texels, stride):  # type: ignore[no-untyped-def] # numba: see draw
    """Average the taps of a row's common interval."""
    at = np.uint64(start)
    u0, v0, du0, dv0 = u[0] + at * du[0], v[0] + at * dv[0], du[0], dv[0]
    if taps == 1:
        for c in range(start, stop):
            line[c] = texels[((v0 >> _SIXTEEN) << stride) + (u0 >> _SIXTEEN)]
            u0 += du0
            v0 += dv0
        return
    u1, v1, du1, dv1 = u[1] + at * du[1], v[1] + at * dv[1], du[1], dv[1]
    if taps == 2:
        for c in range(start, stop):
            total = np.uint32(texels[((v0 >> _SIXTEEN) << stride) + (u0 >> _SIXTEEN)])
            total += np.uint32(texels[((v1 >> _SIXTEEN) << stride) + (u1 >> _SIXTEEN)])
            line[c] = np.uint8((total + np.uint32(1)) >> np.uint32(1))
            u0 += du0
            v0 += dv0
            u1 += du1
            v1 += dv1
        return
    u2, v2, du2, dv2 = u[2] + at * du[2], v[2] + at * dv[2], du[2], dv[2]
    u3, v3, du3, dv3 = u[3] + at * du[3], v[3] + at * dv[3], du[3], dv[3]
    for c in range(start, stop):
        total = np.uint32(texels[((v0 >> _SIXTEEN) << stride) + (u0 >> _SIXTEEN)])
        total += np.uint32(texels[((v1 >> _SIXTEEN) << stride) + (u1 >> _SIXTEEN)])
        total += np.uint32(texels[((v2 >> _SIXTEEN) << stride) + (u2 >> _SIXTEEN)])
        total += np.uint32(texels[((v3 >> _SIXTEEN) << stride) + (u3 >> _SIXTEEN)])
        line[c] = np.uint8((total + np.uint32(2)) >> np.uint32(2))
        u0 += du0
        v0 += dv0
        u1 += du1
        v1 += dv1
        u2 += du2
        v2 += dv2
        u3 += du3
        v3 += dv3


@njit(cache=True, nogil=True)
def _interval(ax, ay, inverse_x, inverse_y, walls, width):  # type: ignore[no-untyped-def] # numba: floats -> ints
    """Columns of the line a + c * step that lie inside the walls: first, and one past the last; empty: (width, width)."""
    tx0 = (walls[0] - ax) * inverse_x
    tx1 = (walls[2] - ax) * inverse_x
    ty0 = (walls[1] - ay) * inverse_y
    ty1 = (walls[3] - ay) * inverse_y
    start = max(min(tx0, tx1), min(ty0, ty1), 0.0)
    stop = min(max(tx0, tx1), max(ty0, ty1), width - 1.0)
    if start > stop:
        return width, width
    first = int(np.ceil(start))
    last = int(np.floor(stop))
    return (first, last + 1) if first <= last else (width, width)


@njit(cache=True, nogil=True)
def _corners(x, y, fx, fy, walls, place, wall):  # type: ignore[no-untyped-def] # numba: fills place[4], wall[5]; returns how many are ahead
    """Corners of the room ahead of the camera, left to right.

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


@njit(cache=True, nogil=True)
def _fill_walls(line, start, stop, scale, place, wall, count, greys):  # type: ignore[no-untyped-def] # numba: see draw
    """Paint walls on columns start to stop - 1; a corner at `place` stands `scale * place` columns right of the middle."""
    middle = 0.5 * (line.shape[0] - 1)
    at = start
    for n in range(count):
        if at >= stop:
            return
        border = min(max(middle + scale * place[n], -1.0), line.shape[0] + 1.0)
        until = min(int(np.ceil(border)), stop)
        if until > at:
            line[at:until] = greys[wall[n]]
            at = until
    if at < stop:
        line[at:stop] = greys[wall[count]]


@njit(cache=True, nogil=True)
def _wall_at(column, width, scale, place, wall, count, greys):  # type: ignore[no-untyped-def] # numba: see draw
    """Grey of the wall at one column."""
    right = (column - 0.5 * (width - 1)) / scale
    n = 0
    while n < count and place[n] < right:
        n += 1
    return greys[wall[n]]
