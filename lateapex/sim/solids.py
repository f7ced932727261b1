"""What solid things look like from a camera: the shape of a car, and flat-shaded triangles drawn over a picture.

A solid is a list of triangles with a colour each. Those of one solid hide each other exactly; solids are drawn from
the farthest to the nearest. Edges are smooth: each pixel is the mean of 3 x 3 samples.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.kernel import kernel

SAMPLES: Final = 3
"""Samples along each side of a pixel."""
_NEAR: Final = 0.05  # m; triangles that reach nearer to the lens are left out
LIGHT: Final = np.array([0.35, -0.40, 0.85])
"""Where the light comes from: the sun stands in the south-east."""
AMBIENT: Final = 0.55
"""Strength of the light on a face that looks away from it."""
STRONGEST: Final = 1.15
"""Strength of the light on a face that looks towards it."""

Colour3 = tuple[int, int, int]
_TYRE: Final = (34, 34, 37)
_HUB: Final = (150, 152, 158)
_CHASSIS: Final = (46, 47, 52)
_GLASS: Final = (28, 38, 52)
_LAMP: Final = (255, 246, 205)
_TAIL: Final = (225, 40, 36)
_STRIPE: Final = (240, 240, 240)

PAINTS: Final = (
    (214, 48, 49),
    (9, 120, 217),
    (253, 176, 34),
    (0, 158, 115),
    (142, 68, 173),
    (236, 240, 241),
    (230, 100, 40),
    (60, 66, 82),
)
"""Colours of the cars' bodies, by the car's place."""


class Solid(NamedTuple):
    """Triangles, their corners in metres."""

    corners: NDArray[np.float64]  # [T, 3, 3] triangle, corner, (x, y, z)
    colours: NDArray[np.float64]  # [T, 3] 0-255


class Eye(NamedTuple):
    """A pinhole camera anywhere, without roll."""

    x: float  # m
    y: float
    z: float
    yaw: float  # rad
    pitch: float  # rad downwards
    focal: float  # pixels


# ------------------------------------------------------------------------------------------------- the shape of a car


def car_solid(paint: Colour3, steering: float = 0.0) -> Solid:
    """Build a car about its centre, nose to +x, 0.32 m long and 0.20 m wide, with turned front wheels (rad, left +)."""
    faces: list[tuple[list[tuple[float, float, float]], Colour3]] = []
    _add_loft(faces, [(0.150, 0.052, 0.020, 0.045), (-0.150, 0.052, 0.020, 0.045)], _CHASSIS)
    body = [
        (0.168, 0.046, 0.030, 0.046),
        (0.140, 0.060, 0.028, 0.060),
        (0.040, 0.064, 0.028, 0.082),
        (-0.110, 0.066, 0.030, 0.092),
        (-0.158, 0.062, 0.040, 0.088),
    ]
    _add_loft(faces, body, paint)
    _add_cabin(faces, paint)
    for left in (1.0, -1.0):
        _add_patch(faces, (0.1685, left * 0.030, 0.040), (0.0, 0.011, 0.004), _LAMP)
        _add_patch(faces, (-0.1590, left * 0.043, 0.075), (0.0, 0.014, 0.005), _TAIL)
        for axle, radius, turn in ((0.0823, 0.036, steering), (-0.0817, 0.036, 0.0)):
            _add_wheel(faces, (axle, left * 0.0800), radius, turn, left)
    wing = ((-0.125, -0.168), (0.122, 0.128))
    _add_box(faces, wing[0], 0.072, wing[1], paint)
    faces.extend(
        ([(-0.135, left, 0.09), (-0.155, left, 0.09), (-0.155, left, 0.122), (-0.135, left, 0.122)], _CHASSIS)
        for left in (0.045, -0.045)
    )
    corners, colours = [], []
    for points, colour in faces:
        fan = [[points[0], points[n], points[n + 1]] for n in range(1, len(points) - 1)]
        corners += fan
        colours += [colour] * len(fan)
    return Solid(np.array(corners, np.float64), np.array(colours, np.float64))


def _add_loft(faces: list[Any], sections: list[tuple[float, float, float, float]], colour: Colour3) -> None:
    """Add a skin over cross-sections x, half width, lowest z, highest z, from front to back; shoulders are cut."""
    rings = []
    for x, half, low, high in sections:
        cut = 0.30 * (high - low)
        side = [(half, low), (half, high - cut), (half - 0.8 * cut, high)]
        rings.append([(x, y, z) for y, z in [*side, *((-y, z) for y, z in reversed(side))]])
    for front, back in pairwise(rings):
        for n in range(len(front)):
            after = (n + 1) % len(front)
            faces.append(([front[n], front[after], back[after], back[n]], colour))
    faces.extend([(rings[0], colour), (rings[-1], colour)])


def _add_cabin(faces: list[Any], paint: Colour3) -> None:
    """Add glass all around under a painted roof, and a stripe from nose to tail."""
    base = [(0.052, 0.056, 0.078), (0.052, -0.056, 0.078), (-0.120, -0.058, 0.088), (-0.120, 0.058, 0.088)]
    roof = [(0.000, 0.043, 0.124), (0.000, -0.043, 0.124), (-0.085, -0.044, 0.128), (-0.085, 0.044, 0.128)]
    faces.extend(([base[n], base[(n + 1) % 4], roof[(n + 1) % 4], roof[n]], _GLASS) for n in range(4))
    faces.append((roof, paint))
    stripe = [(0.141, 0.0615), (0.050, 0.0825)], [(0.000, 0.1255), (-0.085, 0.1295)]
    for (x0, z0), (x1, z1) in stripe:
        faces.append(([(x0, 0.012, z0), (x0, -0.012, z0), (x1, -0.012, z1), (x1, 0.012, z1)], _STRIPE))


def _add_patch(
    faces: list[Any], middle: tuple[float, float, float], half: tuple[float, float, float], colour: Colour3
) -> None:
    x, y, z = middle
    _, b, c = half
    faces.append(([(x, y - b, z - c), (x, y + b, z - c), (x, y + b, z + c), (x, y - b, z + c)], colour))


def _add_box(faces: list[Any], x: tuple[float, float], half: float, z: tuple[float, float], colour: Colour3) -> None:
    _add_loft(faces, [(x[0], half, *z), (x[1], half, *z)], colour)


def _add_wheel(faces: list[Any], place: tuple[float, float], radius: float, turn: float, left: float) -> None:
    """Add a tyre and, on its outer side, a hub."""
    around = np.linspace(0.0, 2.0 * np.pi, 15)[:-1]
    c, s = np.cos(turn), np.sin(turn)

    def ring(size: float, aside: float) -> list[tuple[float, float, float]]:
        x, z = size * np.cos(around), radius + size * np.sin(around)
        return [(place[0] + c * a - s * aside, place[1] + s * a + c * aside, b) for a, b in zip(x, z, strict=True)]

    outer, inner, hub = ring(radius, 0.017 * left), ring(radius, -0.017 * left), ring(0.55 * radius, 0.0178 * left)
    for n in range(len(outer)):
        after = (n + 1) % len(outer)
        faces.append(([outer[n], outer[after], inner[after], inner[n]], _TYRE))
    faces.extend([(outer, _TYRE), (inner, _TYRE), (hub, _HUB)])


def shadow_solid(grow: float) -> Solid:
    """Build what lies in a car's shade: a rounded patch on the ground, `grow` m larger than the car's outline."""
    around = np.linspace(0.0, 2.0 * np.pi, 25)
    x, y = np.cos(around), np.sin(around)
    edge = np.stack(
        [
            np.sign(x) * np.abs(x) ** 0.4 * (0.150 + grow) - 0.006,
            np.sign(y) * np.abs(y) ** 0.4 * (0.088 + grow) + 0.006,
            np.full_like(x, 0.001),
        ],
        axis=1,
    )
    middle = np.broadcast_to([-0.006, 0.006, 0.001], (24, 3))
    return Solid(np.stack([middle, edge[:-1], edge[1:]], axis=1), np.zeros((24, 3)))


# -------------------------------------------------------------------------------------------------------- drawing it


def placed(solid: Solid, x: float, y: float, yaw: float) -> Solid:
    """Return a solid turned by `yaw` rad and moved to x, y; its colours are those of the light that it then gets."""
    c, s = np.cos(yaw), np.sin(yaw)
    corners = solid.corners @ np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]) + [x, y, 0.0]
    return Solid(corners, solid.colours)


def draw_solid(picture: NDArray[np.uint8], solid: Solid, eye: Eye, opacity: float = 1.0) -> None:
    """Draw a solid over a picture `[H, W, 3]`, in place.

    Args:
        opacity: 1 hides what is behind it; less lets it shine through.
    """
    screen, inverse = _projected(solid.corners, eye, picture.shape[:2])
    seen = (inverse > 0.0).all(axis=1)
    if not seen.any():
        return
    screen, inverse = screen[seen], inverse[seen]
    height, width = picture.shape[:2]
    low = np.floor(np.clip(screen.min(axis=(0, 1)), 0.0, (width, height))).astype(np.int64)
    high = np.ceil(np.clip(screen.max(axis=(0, 1)), 0.0, (width, height))).astype(np.int64)
    columns, rows = high - low
    if columns <= 0 or rows <= 0:
        return
    nearest = np.zeros((rows * SAMPLES, columns * SAMPLES))
    owner = np.full((rows * SAMPLES, columns * SAMPLES), -1, np.int64)
    _raster((screen - low) * SAMPLES, inverse, nearest, owner)
    colours = _shaded(solid.corners[seen], solid.colours[seen], eye)
    _blend(picture[low[1] : high[1], low[0] : high[0]], owner, colours, opacity)


def _projected(
    corners: NDArray[np.float64], eye: Eye, size: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where corners stand in the picture, `[T, 3, 2]` pixels, and 1 / depth; 0 for those too near or behind."""
    c, s, cp, sp = np.cos(eye.yaw), np.sin(eye.yaw), np.cos(eye.pitch), np.sin(eye.pitch)
    away = corners - [eye.x, eye.y, eye.z]
    depth = away @ [c * cp, s * cp, -sp]
    right = away @ [s, -c, 0.0]
    down = away @ [-c * sp, -s * sp, -cp]
    inverse = np.where(depth > _NEAR, 1.0 / np.where(depth > _NEAR, depth, 1.0), 0.0)
    middle = np.array([0.5 * size[1], 0.5 * size[0]])
    return middle + eye.focal * np.stack([right, down], axis=-1) * inverse[..., None], inverse


def _shaded(corners: NDArray[np.float64], colours: NDArray[np.float64], eye: Eye) -> NDArray[np.float64]:
    """Return the colours under the light; a face shines the same from both of its sides, towards the lens."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    to_eye = np.array([eye.x, eye.y, eye.z]) - corners.mean(axis=1)
    normal *= np.where((normal * to_eye).sum(axis=1) < 0.0, -1.0, 1.0)[:, None]
    light = np.clip(normal @ (LIGHT / np.linalg.norm(LIGHT)), 0.0, 1.0)
    return np.asarray(np.minimum(colours * (AMBIENT + (STRONGEST - AMBIENT) * light)[:, None], 255.0))


@kernel
def _raster(screen, inverse, nearest, owner):  # type: ignore[no-untyped-def] # numba: [T, 3, 2] samples, [T, 3] 1/m, [h, w], int64[h, w]
    """Find the nearest triangle of each sample; `nearest` is its 1 / depth."""
    rows, columns = nearest.shape
    for t in range(screen.shape[0]):
        ax, ay = screen[t, 0, 0], screen[t, 0, 1]
        bx, by = screen[t, 1, 0], screen[t, 1, 1]
        cx, cy = screen[t, 2, 0], screen[t, 2, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9:
            continue
        r0, r1 = max(int(min(ay, by, cy) - 0.5), 0), min(int(max(ay, by, cy) + 0.5) + 1, rows)
        c0, c1 = max(int(min(ax, bx, cx) - 0.5), 0), min(int(max(ax, bx, cx) + 0.5) + 1, columns)
        for r in range(r0, r1):
            y = r + 0.5
            for c in range(c0, c1):
                x = c + 0.5
                u = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
                v = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
                if u >= 0.0 and v >= 0.0 and u + v <= 1.0:
                    depth = u * inverse[t, 0] + v * inverse[t, 1] + (1.0 - u - v) * inverse[t, 2]
                    if depth > nearest[r, c]:
                        nearest[r, c] = depth
                        owner[r, c] = t


@kernel
def _blend(picture, owner, colours, opacity):  # type: ignore[no-untyped-def] # numba: uint8[h, w, 3], int64[h * SAMPLES, w * SAMPLES], [T, 3], float
    """Mix the samples' colours into the pixels."""
    for r in range(picture.shape[0]):
        for c in range(picture.shape[1]):
            covered = 0
            red = green = blue = 0.0
            for i in range(SAMPLES):
                for j in range(SAMPLES):
                    t = owner[r * SAMPLES + i, c * SAMPLES + j]
                    if t >= 0:
                        covered += 1
                        red += colours[t, 0]
                        green += colours[t, 1]
                        blue += colours[t, 2]
            if covered > 0:
                share = opacity / (SAMPLES * SAMPLES)
                rest = 1.0 - covered * share
                picture[r, c, 0] = np.uint8(picture[r, c, 0] * rest + red * share + 0.5)
                picture[r, c, 1] = np.uint8(picture[r, c, 1] * rest + green * share + 0.5)
                picture[r, c, 2] = np.uint8(picture[r, c, 2] * rest + blue * share + 0.5)
