"""What boxes and other cars look like to a spectator."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.bodies import body_tables
from lateapex.sim.solids import PAINTS, Eye, Solid, car_solid, draw_solid, placed, shadow_solid
from lateapex.sim.traffic import NOTHING, OPAQUE
from lateapex.world.bodies import BODIES, CAR
from lateapex.world.bodies import PAINTS as BODY_PAINTS

_SHADES: Final = ((0.012, 0.22), (-0.004, 0.30))  # m larger than the thing, opacity


def draw_thing(picture: NDArray[np.uint8], thing: Any, eye: Eye) -> None:
    """Draw one record of THING_DTYPE over a picture `[H, W, 3]`, in place; an empty place is nothing to see."""
    if thing["kind"] == NOTHING or thing["opacity"] <= 0:
        return
    kind, opacity = int(thing["kind"]), float(thing["opacity"]) / OPAQUE
    x, y, yaw = float(thing["x"]), float(thing["y"]), float(thing["yaw"])
    for grow, dark in _SHADES:
        draw_solid(picture, placed(_shadow(kind, grow), x, y, yaw), eye, dark * opacity)
    draw_solid(picture, placed(_solid(kind, int(thing["paint"]), int(thing["car"])), x, y, yaw), eye, opacity)


@cache
def _solid(kind: int, paint: int, car: int) -> Solid:
    """Two triangles of each face; a car that somebody drives has the paint of its number."""
    if kind == CAR:
        return car_solid(PAINTS[car % len(PAINTS)] if car >= 0 else list(BODY_PAINTS.values())[paint])
    tables = body_tables()
    faces = slice(tables.first[kind], tables.first[kind + 1])
    corners = tables.corners[faces]
    return Solid(np.concatenate([corners[:, :3], corners[:, [0, 2, 3]]]), np.tile(tables.colours[faces], (2, 1)))


@cache
def _shadow(kind: int, grow: float) -> Solid:
    if kind == CAR:
        return shadow_solid(grow)
    rings = [block.floor for block in BODIES[kind].blocks]
    low, high = min(ring.back for ring in rings) - grow, max(ring.front for ring in rings) + grow
    half, z = max(ring.half_width for ring in rings) + grow, 0.001
    a, b, c, d = (low, -half, z), (high, -half, z), (high, half, z), (low, half, z)
    return Solid(np.array([[a, b, c], [a, c, d]]), np.zeros((2, 3)))
