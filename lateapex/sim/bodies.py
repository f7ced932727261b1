"""How boxes and other cars look to a car's camera: drawn over its finished picture, each hidden by what is nearer.

Every face is filled into a picture of 2 x 2 samples a pixel that remembers the nearest depth, and each pixel is then
the mean of its samples. The walls stand around all things, so what lies beyond them is left out. A world without
things never comes here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.kernel import kernel
from lateapex.sim.solids import AMBIENT, LIGHT, STRONGEST
from lateapex.sim.tones import bent
from lateapex.sim.traffic import NOTHING, OPAQUE
from lateapex.world.bodies import BODIES, PAINTS, Block, Body
from lateapex.world.scene import LUMINANCE

NEAR: Final = 0.02
"""m; nothing nearer to the lens is drawn, as in the original."""
_CORNERS: Final = 5  # of a face whose corner is cut off by that


class BodyTables(NamedTuple):
    """Faces of all kinds of things; `F` faces of four corners."""

    first: NDArray[np.int64]  # [kinds + 1] face of each kind, and the number of all
    corners: NDArray[np.float64]  # [F, 4, 3] m
    normals: NDArray[np.float64]  # [F, 3] outwards
    colours: NDArray[np.float64]  # [F, 3] 0-255; negative: the thing's paint
    radius: NDArray[np.float64]  # [kinds] m from the middle to the farthest corner, on the ground
    paints: NDArray[np.float64]  # [paints, 3]
    light: NDArray[np.float64]  # [3] towards the light
    luminance: NDArray[np.float64]  # [3]


class BodyScratch(NamedTuple):
    """Memory that drawing works in; each thread needs its own."""

    nearest: NDArray[np.float32]  # [2 H, 2 W] 1/m, of each sample; 0 where only the background is seen
    looks: NDArray[np.uint32]  # [2 H, 2 W] red, green and blue from the lowest byte up, or grey
    polygon: NDArray[np.float64]  # [2, _CORNERS, 3] a face before and after its near part was cut off
    touched: NDArray[
        np.int64
    ]  # [H, 2] first column of each row of pixels that a face was filled into, one past the last


def body_tables() -> BodyTables:
    """Lay out the faces of all kinds."""
    faces = [[face for block in body.blocks for face in _faces(block)] for body in BODIES]
    corners = np.array([points for kind in faces for points, _ in kind], np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return BodyTables(
        first=np.cumsum([0] + [len(kind) for kind in faces]).astype(np.int64),
        corners=corners,
        normals=across / np.linalg.norm(across, axis=1, keepdims=True),
        colours=np.array([colour for kind in faces for _, colour in kind], np.float64),
        radius=np.array([np.hypot(*np.array([p for p, _ in kind])[..., :2].reshape(-1, 2).T).max() for kind in faces]),
        paints=np.array(list(PAINTS.values()), np.float64),
        light=LIGHT / np.linalg.norm(LIGHT),
        luminance=LUMINANCE,
    )


def rule_sizes() -> NDArray[np.float64]:
    """Length and width of each kind's rectangle in the rules, `[kinds, 2]` m."""
    return np.array([(body.length, body.width) for body in BODIES])


def real_sizes() -> NDArray[np.float64]:
    """Length and width of each kind as it can be seen, `[kinds, 2]` m."""
    return np.array([_real_size(body) for body in BODIES])


def _real_size(body: Body) -> tuple[float, float]:
    rings = [(ring, block.y) for block in body.blocks for ring in (block.floor, block.roof)]
    length = max(ring.front for ring, _ in rings) - min(ring.back for ring, _ in rings)
    return length, 2.0 * max(abs(y) + ring.half_width for ring, y in rings)


def body_scratch(height: int, width: int) -> BodyScratch:
    """Make the memory for pictures of `height` x `width`."""
    size = (2 * height, 2 * width)
    return BodyScratch(
        np.zeros(size, np.float32),
        np.zeros(size, np.uint32),
        np.zeros((2, _CORNERS, 3)),
        np.tile([width, 0], (height, 1)),
    )


def _faces(block: Block) -> list[tuple[list[tuple[float, float, float]], tuple[int, int, int]]]:
    """Four sides and, where nothing stands on it, the roof; corners counter-clockwise seen from outside."""
    rings = [
        [(x, block.y + side * ring.half_width, ring.height) for x, side in _around(ring.back, ring.front)]
        for ring in (block.floor, block.roof)
    ]
    floor, roof = rings
    sides = [[floor[n], floor[(n + 1) % 4], roof[(n + 1) % 4], roof[n]] for n in range(4)]
    faces = [(side, block.side) for side in sides]
    return faces if block.top is None else [*faces, (roof, block.top)]


def _around(back: float, front: float) -> tuple[tuple[float, float], ...]:
    return (back, -1.0), (front, -1.0), (front, 1.0), (back, 1.0)


@kernel
def draw_bodies(which, cars, things, view, ground, bodies, out, scratch):  # type: ignore[no-untyped-def] # numba: as camera.draw; [W, M] THING_DTYPE, BodyTables, BodyScratch
    """Draw what each car of `which` sees of the things in its world over its picture in `out`."""
    for n in range(which.size):
        i = which[n]
        draw_around(out[i], i, cars[i], things[cars[i].world], view, ground, bodies, scratch, None)


@kernel
def draw_around(picture, i, car, things, view, ground, bodies, scratch, tones):  # type: ignore[no-untyped-def] # numba: uint8[H, W] or [H, W, 3], int, STATE_DTYPE, THING_DTYPE[M], see draw_bodies; see _look
    """Draw the things of the world of car number i, whose lens and way of looking `car` and `view` tell."""
    drawn = False
    for thing in things:
        if thing.kind != NOTHING and thing.car != i and thing.opacity > 0:
            drawn |= _draw_thing(thing, car, view, ground, bodies, picture.ndim == 2, scratch, tones)
    if drawn:
        _resolve(picture, scratch)


@kernel
def _draw_thing(thing, car, view, ground, bodies, grey, scratch, tones):  # type: ignore[no-untyped-def] # numba: see draw_bodies; bool
    """Fill in all faces of one thing that look towards the lens; whether it may be in the picture."""
    walls = ground.walls[car.track]
    if not (walls[0] < thing.x < walls[2] and walls[1] < thing.y < walls[3]):
        return False
    c, s = np.cos(car.yaw), np.sin(car.yaw)
    dx = thing.x - car.x - view.forward * c + view.left * s
    dy = thing.y - car.y - view.forward * s - view.left * c
    forward, right = c * dx + s * dy, s * dx - c * dy
    reach = bodies.radius[thing.kind]
    if forward < -reach or abs(right) - reach > max(forward + reach, 0.0) * view.widest:
        return False
    ct, st = np.cos(thing.yaw - car.yaw), np.sin(thing.yaw - car.yaw)
    for face in range(bodies.first[thing.kind], bodies.first[thing.kind + 1]):
        polygon = scratch.polygon[0]
        for corner in range(4):
            x, y, z = bodies.corners[face, corner]
            ahead = forward + ct * x - st * y
            drop = view.height - z
            polygon[corner, 0] = right - st * x - ct * y
            polygon[corner, 1] = drop * view.pitch_cos - ahead * view.pitch_sin
            polygon[corner, 2] = drop * view.pitch_sin + ahead * view.pitch_cos
        nx, ny, nz = bodies.normals[face]
        ahead = ct * nx - st * ny
        across = -st * nx - ct * ny
        down = -nz * view.pitch_cos - ahead * view.pitch_sin
        depth = -nz * view.pitch_sin + ahead * view.pitch_cos
        plane = across * polygon[0, 0] + down * polygon[0, 1] + depth * polygon[0, 2]
        if plane >= 0.0:
            continue
        count = _cut_near(polygon, scratch.polygon[1])
        if count >= 3:
            look = _look(face, thing, bodies, ground.light[car.track], grey, tones)
            slope = across / plane, down / plane, depth / plane
            _fill(scratch.polygon[1, :count], slope, view.focal, look, thing.opacity, scratch)
    return True


@kernel
def _cut_near(polygon, out):  # type: ignore[no-untyped-def] # numba: [_CORNERS, 3] each, right, down, deep; returns how many corners
    """Keep the part of a four-cornered face that is farther than NEAR."""
    count = 0
    for n in range(4):
        after = (n + 1) % 4
        here, there = polygon[n, 2] - NEAR, polygon[after, 2] - NEAR
        if here >= 0.0:
            out[count, 0], out[count, 1], out[count, 2] = polygon[n, 0], polygon[n, 1], polygon[n, 2]
            count += 1
        if (here >= 0.0) != (there >= 0.0):
            part = here / (here - there)
            for axis in range(3):
                out[count, axis] = polygon[n, axis] + part * (polygon[after, axis] - polygon[n, axis])
            count += 1
    return count


@kernel
def _look(face, thing, bodies, gain, grey, tones):  # type: ignore[no-untyped-def] # numba: int, THING_DTYPE, BodyTables, float, bool, None or (curve, light, tint) of tones.Tones -> uint32
    """Colour of a face under the light, packed."""
    nx, ny, nz = bodies.normals[face]
    c, s = np.cos(thing.yaw), np.sin(thing.yaw)
    light = bodies.light
    facing = max((c * nx - s * ny) * light[0] + (s * nx + c * ny) * light[1] + nz * light[2], 0.0)
    strength = gain * (AMBIENT + (STRONGEST - AMBIENT) * facing)
    colour = bodies.colours[face] if bodies.colours[face, 0] >= 0.0 else bodies.paints[thing.paint]
    packed = np.uint32(0)
    level = 0.0
    for channel in range(3):
        if tones is None:  # decided when it is compiled: the type says it
            value = min(strength * colour[channel], 255.0)
        else:
            value = _toned(colour[channel], strength, channel, tones)
        level += bodies.luminance[channel] * value
        packed |= np.uint32(value + 0.5) << np.uint32(8 * channel)
    return np.uint32(min(level + 0.5, 255.0)) if grey else packed


@kernel
def _toned(level, strength, channel, tones):  # type: ignore[no-untyped-def] # numba: float, float, int, see _look -> float
    curve, light, tint = tones
    mixed = level + tint[0] * (tint[1 + channel] - level)
    return float(bent(min(strength * light[channel] * mixed, 255.0), curve))


@kernel
def _fill(polygon, slope, focal, look, opacity, scratch):  # type: ignore[no-untyped-def] # numba: [count, 3], see below, pixels, uint32, int, BodyScratch
    """Fill the samples of a face that nothing nearer has.

    `slope` times a line of sight (right, down, 1) is 1 / depth of the face there.
    """
    nearest, looks, touched = scratch.nearest, scratch.looks, scratch.touched
    rows, columns = nearest.shape
    scale = 2.0 * focal
    for n in range(polygon.shape[0]):
        polygon[n, 0] = 0.5 * columns + scale * polygon[n, 0] / polygon[n, 2]
        polygon[n, 1] = 0.5 * rows + scale * polygon[n, 1] / polygon[n, 2]
    top, bottom = np.inf, -np.inf
    for n in range(polygon.shape[0]):
        top, bottom = min(top, polygon[n, 1]), max(bottom, polygon[n, 1])
    first = int(np.ceil(max(top - 0.5, 0.0)))
    last = int(np.ceil(min(bottom - 0.5, rows + 0.0)))
    across = slope[0] / scale
    for row in range(first, last):
        begin, end = _span(polygon, row + 0.5, columns)
        if begin >= end:
            continue
        touched[row // 2, 0] = min(touched[row // 2, 0], begin // 2)
        touched[row // 2, 1] = max(touched[row // 2, 1], (end + 1) // 2)
        start = slope[1] * (row + 0.5 - 0.5 * rows) / scale + slope[2] + across * (0.5 - 0.5 * columns)
        if opacity >= OPAQUE:
            _fill_row(nearest[row, begin:end], looks[row, begin:end], start + across * begin, across, look)
            continue
        for column in range(begin, end):
            inverse = np.float32(start + across * column)
            if inverse > nearest[row, column] and _shown(row, column) < opacity:
                nearest[row, column] = inverse
                looks[row, column] = look


@kernel
def _fill_row(nearest, looks, start, step, look):  # type: ignore[no-untyped-def] # numba: float32[n], uint32[n], 1/m, 1/m, uint32
    """Fill samples of one row that nothing nearer has; without a branch, so that it runs in vectors."""
    first, step = np.float32(start), np.float32(step)
    for n in range(nearest.size):
        inverse = first + step * np.float32(n)
        nearer = inverse > nearest[n]
        nearest[n] = inverse if nearer else nearest[n]
        looks[n] = look if nearer else looks[n]


@kernel
def _shown(row, column):  # type: ignore[no-untyped-def] # numba: ints -> how much opacity a thing needs to be seen in this sample
    below, right = row & 1, column & 1
    return below if below == right else 3 - right


@kernel
def _span(polygon, y, columns):  # type: ignore[no-untyped-def] # numba: [count, 3] in samples, float, int -> ints
    """Samples of one row that lie in a convex polygon: the first, and one past the last."""
    left, right = np.inf, -np.inf
    count = polygon.shape[0]
    for n in range(count):
        after = n + 1 if n + 1 < count else 0
        y0, y1 = polygon[n, 1], polygon[after, 1]
        if (y0 <= y) != (y1 <= y):
            x = polygon[n, 0] + (y - y0) / (y1 - y0) * (polygon[after, 0] - polygon[n, 0])
            left, right = min(left, x), max(right, x)
    if not left <= right:
        return 0, 0
    begin = int(np.ceil(min(max(left - 0.5, 0.0), columns + 0.0)))
    end = int(np.ceil(min(max(right - 0.5, 0.0), columns + 0.0)))
    return begin, end


@kernel
def _resolve(picture, scratch):  # type: ignore[no-untyped-def] # numba: uint8[H, W] or uint8[H, W, 3], BodyScratch
    """Mix the samples into the pixels, and forget them."""
    nearest, looks, touched = scratch.nearest, scratch.looks, scratch.touched
    for row in range(picture.shape[0]):
        begin, end = touched[row, 0], touched[row, 1]
        touched[row, 0], touched[row, 1] = picture.shape[1], 0
        for column in range(begin, end):
            covered = 0
            total = np.uint64(0)
            for n in range(4):
                r, c = 2 * row + n // 2, 2 * column + n % 2
                if nearest[r, c] > 0.0:
                    covered += 1
                    total += _spread(looks[r, c])
                    nearest[r, c] = 0.0
            if covered == 0:
                continue
            rest = np.uint64(4 - covered)
            if picture.ndim == 2:
                picture[row, column] = _mixed(total, rest, picture[row, column])
            else:
                for channel in range(3):
                    part = total >> np.uint64(16 * channel)
                    picture[row, column, channel] = _mixed(part, rest, picture[row, column, channel])


@kernel
def _spread(look):  # type: ignore[no-untyped-def] # numba: uint32 -> uint64
    """Its three bytes with room above each, so that four can be added at once."""
    wide = np.uint64(look)
    green, blue = wide & np.uint64(0xFF00), wide & np.uint64(0xFF0000)
    return (wide & np.uint64(0xFF)) | green << np.uint64(8) | blue << np.uint64(16)


@kernel
def _mixed(total, rest, behind):  # type: ignore[no-untyped-def] # numba: sum of the covered samples, how many are not, uint8 -> uint8
    return np.uint8(((total & np.uint64(0xFFFF)) + rest * np.uint64(behind) + np.uint64(2)) >> np.uint64(2))
