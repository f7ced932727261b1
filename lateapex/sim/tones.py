"""What colours become in a car's own light and camera: palettes of the ground, walls, sky, and a curve for the rest.

A colour is the surface's, times a strength, plus a tint, times the light; exposure, gamma, contrast and brightness
then bend each of its channels, in this order. A grey is the luminance of what comes out.

`N` cars, `K` tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.ground_codes import CODES, MIXTURES
from lateapex.sim.kernel import kernel
from lateapex.world.scene import LUMINANCE, Scene, grey
from lateapex.world.variation import PLACES, SURFACES

_FIELD: Final = PLACES["colour.field"]
_RED: Final = PLACES["light.red"]
_OBJECT: Final = PLACES["object.light"]
_TINT: Final = PLACES["object.tint"]
_OBJECT_RED: Final = PLACES["object.red"]
_GRAIN: Final = PLACES["picture.grain"]
_EXPOSURE: Final = PLACES["picture.exposure"]
_GAMMA: Final = PLACES["picture.gamma"]
_CONTRAST: Final = PLACES["picture.contrast"]
_BRIGHTNESS: Final = PLACES["picture.brightness"]
_WALL: Final = SURFACES.index("wall")
_SKY: Final = SURFACES.index("sky")


class Surfaces(NamedTuple):
    """The colours of all tracks as their scenes have them."""

    colours: NDArray[np.float64]  # [K, 7, 3] in the order of SURFACES, and last the walls in the shade
    grains: NDArray[np.float64]  # [K, 2] deviation of field and road as a share of their colour
    mixtures: NDArray[np.float64]  # [CODES, 6] see ground_codes
    luminance: NDArray[np.float64]  # [3]


class Tones(NamedTuple):
    """What each car's colours have become."""

    palette: NDArray[Any]  # [N, CODES] looks of the ground's codes: uint8 in grey, uint32 in colour
    walls: NDArray[Any]  # [N, 4] looks: south, east, north, west
    sky: NDArray[Any]  # [N]
    curve: NDArray[np.uint8]  # [N, 256] what becomes of a level
    light: NDArray[np.float64]  # [N, 3] on things, times that of the scene
    tint: NDArray[np.float64]  # [N, 4] share of a colour in all of theirs, and the colour


def surfaces_of(scenes: Sequence[Scene]) -> Surfaces:
    """Lay out the colours of the scenes of tracks."""
    colours = [[*(getattr(scene, name) for name in SURFACES), scene.wall_shade] for scene in scenes]
    grains = [
        [scene.field_grain / max(grey(scene.field), 1.0), scene.road_grain / max(grey(scene.road), 1.0)]
        for scene in scenes
    ]
    return Surfaces(np.array(colours, np.float64), np.array(grains, np.float64), MIXTURES, LUMINANCE)


def tones_for(count: int, colour: bool) -> Tones:
    """Make room for the tones of `count` cars."""
    look = np.uint32 if colour else np.uint8
    return Tones(
        np.zeros((count, CODES), look),
        np.zeros((count, 4), look),
        np.zeros(count, look),
        np.zeros((count, 256), np.uint8),
        np.ones((count, 3)),
        np.zeros((count, 4)),
    )


@kernel
def fill_tones(car, values, surfaces, k, tones, colours):  # type: ignore[no-untyped-def] # numba: int, [quantities], Surfaces, int, Tones, scratch [7, 3]
    """Work out all tones of one car on track k from its values."""
    curve = tones.curve[car]
    _fill_curve(values, curve)
    for surface in range(7):
        own = surface if surface < 6 else _WALL
        for channel in range(3):
            level = surfaces.colours[k, surface, channel] * values[_FIELD + 4 * own]
            level += values[_FIELD + 4 * own + 1 + channel]
            lit = 1.0 if surface == _SKY else values[_RED + channel]
            colours[surface, channel] = max(level * lit, 0.0)
    grains = surfaces.grains[k]
    for code in range(CODES):
        mixture = surfaces.mixtures[code]
        field = mixture[0] + mixture[1] * grains[0] * values[_GRAIN]
        road = mixture[2] + mixture[3] * grains[1] * values[_GRAIN]
        red = _mixed(0, field, road, mixture, colours)
        green = _mixed(1, field, road, mixture, colours)
        blue = _mixed(2, field, road, mixture, colours)
        _put(tones.palette, car, code, red, green, blue, curve, surfaces.luminance)
    for side in range(4):
        wall = colours[6] if side < 2 else colours[_WALL]
        _put(tones.walls, car, side, wall[0], wall[1], wall[2], curve, surfaces.luminance)
    sky = tones.sky.reshape(tones.sky.size, 1)
    _put(sky, car, 0, colours[_SKY, 0], colours[_SKY, 1], colours[_SKY, 2], curve, surfaces.luminance)
    for channel in range(3):
        tones.light[car, channel] = values[_RED + channel] * values[_OBJECT]
        tones.tint[car, 1 + channel] = values[_OBJECT_RED + channel]
    tones.tint[car, 0] = values[_TINT]


@kernel
def _fill_curve(values, curve):  # type: ignore[no-untyped-def] # numba: [quantities], uint8[256]
    gain, gamma = 2.0 ** values[_EXPOSURE], values[_GAMMA]
    for level in range(256):
        share = min(level / 255.0 * gain, 1.0)
        if gamma != 1.0:
            share = share**gamma
        bent = 128.0 + (255.0 * share - 128.0) * values[_CONTRAST] + values[_BRIGHTNESS]
        curve[level] = np.uint8(min(max(bent + 0.5, 0.0), 255.0))


@kernel
def _mixed(channel, field, road, mixture, colours):  # type: ignore[no-untyped-def] # numba: int, shares, [6], [7, 3] -> level
    level = field * colours[0, channel] + road * colours[1, channel]
    return level + mixture[4] * colours[2, channel] + mixture[5] * colours[3, channel]


@kernel
def bent(level, curve):  # type: ignore[no-untyped-def] # numba: float, uint8[256] -> uint8
    """What the curve makes of a level."""
    return curve[np.uint8(min(max(level + 0.5, 0.0), 255.0))]


@kernel
def _put(looks, car, place, red, green, blue, curve, luminance):  # type: ignore[no-untyped-def] # numba: [N, any], ints, levels, uint8[256], [3]
    """Write a colour as a look: grey into bytes, packed into words."""
    r, g, b = bent(red, curve), bent(green, curve), bent(blue, curve)
    if looks.itemsize == 1:
        looks[car, place] = np.uint8(luminance[0] * r + luminance[1] * g + luminance[2] * b + 0.5)
    else:
        looks[car, place] = np.uint32(r) | np.uint32(g) << np.uint32(8) | np.uint32(b) << np.uint32(16)
