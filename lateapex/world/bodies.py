"""What stands or drives on a road besides the car itself: boxes and other cars, their sizes and looks.

Each is made of blocks with level floors and roofs, so that a camera can draw it exactly. Sizes and colours are those of
the original's models (`bundle/models/*_obstacle`, `bundle/models/bot_car` of aws-deepracer-community/deepracer-simapp);
a box that is printed on gets a lid and a band in place of the print.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from lateapex.errors import ConfigError, did_you_mean
from lateapex.world.scene import Colour

PAINTED: Final[Colour] = (-1, -1, -1)
"""In place of a colour: that of the single thing."""


class Ring(NamedTuple):
    """A level rectangle about the body's long axis."""

    back: float  # m, along x
    front: float
    half_width: float
    height: float


class Block(NamedTuple):
    """What lies between two level rectangles."""

    floor: Ring
    roof: Ring
    side: Colour
    """Of its four sides."""
    top: Colour | None
    """Of its roof; None: another block stands on it."""
    y: float = 0.0
    """m, of its middle, positive to the left."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """One kind of thing, its middle at the origin, its front towards +x."""

    name: str
    length: float
    """m, of the rectangle that the rules take it for."""
    width: float
    blocks: tuple[Block, ...]


def _box(name: str, size: tuple[float, float, float], *bands: tuple[float, Colour]) -> Body:
    """A box; `bands` are its colours from the ground up, each with the share of the height where it ends."""
    length, width, height = size
    blocks, floor = [], 0.0
    for share, colour in bands:
        low, high = (Ring(-0.5 * length, 0.5 * length, 0.5 * width, z) for z in (floor, share * height))
        blocks.append(Block(low, high, colour, colour if share == 1.0 else None))
        floor = share * height
    return Body(name=name, length=0.5, width=0.4, blocks=tuple(blocks))


_BROWN: Final = (123, 97, 79)
_DARK: Final = (32, 36, 44)
_CARDBOARD: Final = (178, 132, 84)
_TYRE: Final = (28, 28, 30)
_GLASS: Final = (40, 48, 58)
_TAIL: Final = (205, 34, 30)


def _wheel(x: float, y: float) -> Block:
    ring = Ring(x - 0.034, x + 0.034, 0.017, 0.0)
    return Block(ring, ring._replace(height=0.070), _TYRE, _TYRE, y)


def _tail_light(y: float) -> Block:
    ring = Ring(-0.162, -0.148, 0.014, 0.072)
    return Block(ring, ring._replace(height=0.092), _TAIL, _TAIL, y)


_CAR: Final = Body(
    name="car",
    length=0.32352,
    width=0.1961,
    blocks=(
        *(_wheel(x, y) for x, side in ((0.0823, 0.077), (-0.0817, 0.077)) for y in (side, -side)),
        Block(Ring(-0.158, 0.166, 0.060, 0.025), Ring(-0.150, 0.150, 0.072, 0.105), PAINTED, PAINTED),
        *(_tail_light(side) for side in (0.045, -0.045)),
        Block(Ring(-0.130, 0.070, 0.066, 0.105), Ring(-0.100, 0.010, 0.048, 0.190), _GLASS, PAINTED),
    ),
)

BODIES: Final = (
    _CAR,
    _box("box_obstacle", (0.4, 0.3, 0.25), (1.0, _BROWN)),
    _box("deepracer_box_obstacle", (0.36, 0.265, 0.24), (0.3, _DARK), (0.7, (236, 236, 232)), (1.0, _DARK)),
    _box("amazon_box_obstacle", (0.4, 0.3, 0.25), (0.45, _CARDBOARD), (0.55, (36, 47, 61)), (1.0, _CARDBOARD)),
)
"""All kinds; a thing holds the place of its own."""

CAR: Final = 0
"""Place of the car, in the sizes of the original's bot car and crash test."""

PAINTS: Final[dict[str, Colour]] = {
    "Black": (30, 30, 33),
    "Grey": (120, 122, 126),
    "Blue": (34, 92, 178),
    "Red": (186, 40, 38),
    "Orange": (232, 122, 30),
    "White": (232, 232, 230),
    "Purple": (110, 58, 150),
}
"""Colours of cars, by the original's names (CAR_COLOR)."""


def body_place(name: str) -> int:
    """Return the place of a kind in BODIES by its name.

    Raises:
        ConfigError: no kind has that name.
    """
    names = [body.name for body in BODIES]
    if name not in names:
        known = did_you_mean(name, names) or "; known: " + ", ".join(names)
        raise ConfigError(f"no obstacle is called {name!r}{known}")
    return names.index(name)
