"""How the world around a track looks: colours, paint, walls, sky.

Colours are those that the original's on-board camera delivers, lighting included (measured on public frames of
two worlds); sizes are those of its world meshes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from lateapex.errors import ConfigError, did_you_mean

Colour: TypeAlias = tuple[int, int, int]
"""Red, green, blue, 0-255."""

Bands: TypeAlias = tuple[float, float, float, float, float, float]
GRAIN_WAVES: Final = (1.0, 0.2, 0.08, 0.04, 0.02, 0.01)
"""m, the longest wave of each band of a texture; the next entry is the shortest, that of the last is 6 mm."""

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
    field_grain: float = 12.0
    """Standard deviation of the field's texture, grey levels of 255 at a texel of 4 mm."""
    road_grain: float = 4.0
    field_bands: Bands = (0.0, 0.13, 0.0, 0.43, 0.0, 0.44)
    """Shares of the grain's variance, by wavelength, see GRAIN_WAVES: a lawn of fine blades."""
    road_bands: Bands = (0.07, 0.40, 0.06, 0.0, 0.47, 0.0)
    """The same of the road: clouds of 10 to 20 cm, and grit."""
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
    light: float = 1.0
    """Strength of the light on what stands on the road; the colours above have theirs."""


_REINVENT: Final = Scene(
    field=(101, 143, 111),
    road=(39, 53, 69),
    line=(206, 206, 201),
    dash=(212, 127, 3),
    wall=(7, 14, 16),
    wall_shade=(1, 1, 1),
)

_OVERDRIVEN: Final = Scene(
    field=(170, 178, 89),
    road=(85, 85, 83),
    line=(254, 254, 254),
    dash=(255, 194, 0),
    wall=(50, 96, 110),
    wall_shade=(50, 96, 110),
    field_grain=15.0,
    road_grain=5.0,
    wall_gap=0.762,
    light=1.33,
)

SCENES: Final = {"standard": Scene(), "reinvent": _REINVENT, "overdriven": _OVERDRIVEN}
"""Looks by name. "overdriven": light a third too strong, as in older pictures of reInvent2019_track."""

_BY_TRACK: Final = {"reinvent_base": "reinvent"}


def scene(name: str) -> Scene:
    """Return looks by their name.

    Raises:
        ConfigError: no looks have that name.
    """
    if name not in SCENES:
        raise ConfigError(f"no scene is called {name!r}{did_you_mean(name, SCENES) or '; known: ' + ', '.join(SCENES)}")
    return SCENES[name]


def scene_of(track: str) -> Scene:
    """Return the looks of a track by its official name; all others share the look of most worlds."""
    return SCENES[_BY_TRACK.get(track, "standard")]


def grey(colour: Colour) -> float:
    """Luminance as the original's network sees it, 0-255: 0.2989 R + 0.5870 G + 0.1140 B."""
    return float(np.dot(colour, LUMINANCE))
