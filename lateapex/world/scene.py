"""How the world around a track looks: colours, paint, walls, sky.

Colours are those that the original's on-board camera delivers, lighting included (measured on public frames of
two worlds); sizes are those of its world meshes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

Colour: TypeAlias = tuple[int, int, int]
"""Red, green, blue, 0-255."""

LUMINANCE: Final = np.array([0.2989, 0.5870, 0.1140])
"""Weights of red, green and blue with which the original makes the grey picture that its network sees."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Looks of one world."""

    field: Colour = (132, 139, 66)
    road: Colour = (64, 64, 62)
    line: Colour = (230, 230, 230)
    dash: Colour = (233, 148, 0)
    wall: Colour = (33, 63, 73)
    """A wall that faces the light."""
    wall_shade: Colour = (16, 31, 36)
    """A wall that faces away from it."""
    sky: Colour = (178, 178, 178)
    field_grain: float = 14.0
    """Standard deviation of the field's texture, grey levels of 255 at a texel of 4 mm."""
    road_grain: float = 7.0
    line_width: float = 0.0762
    """m"""
    dash_length: float = 0.0508
    """m along the centre line"""
    dash_pitch: float = 0.1016
    """m from dash to dash; stretched a little so that a whole number fits the lap"""
    dash_width: float = 0.0254
    """m"""
    wall_gap: float = 0.9
    """m between the track's bounding box and the four walls"""
    wall_height: float = 1.0
    """m"""


_REINVENT: Final = Scene(
    field=(101, 143, 111),
    road=(39, 53, 69),
    line=(206, 206, 201),
    dash=(212, 127, 3),
    wall=(7, 14, 16),
    wall_shade=(1, 1, 1),
)

_BY_TRACK: Final = {"reinvent_base": _REINVENT}


def scene_of(track: str) -> Scene:
    """Return the looks of a track by its official name; all others share the look of most worlds."""
    return _BY_TRACK.get(track, Scene())


def grey(colour: Colour) -> float:
    """Luminance as the original's network sees it, 0-255: 0.2989 R + 0.5870 G + 0.1140 B."""
    return float(np.dot(colour, LUMINANCE))
