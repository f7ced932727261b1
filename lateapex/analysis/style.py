"""The look of all pictures: colours, the colours of speeds, and one typeface."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from PIL import ImageFont

GROUND, PANEL, ROAD = "#10151c", "#1a212b", "#363f4b"
BORDER, CENTRE = "#e8ecf1", "#8d97a5"
TEXT, FAINT, ALARM = "#f2f5f8", "#8f9baa", "#ff4d6d"
FONT: Final = "DejaVu Sans"  # comes with matplotlib, so that pictures are the same everywhere

# Violet is slow, yellow is fast; its lightness rises evenly, so that it also reads in grey.
SPEED_COLOURS: Final = LinearSegmentedColormap.from_list("speed", mpl.colormaps["plasma"](np.linspace(0.24, 1.0, 64)))


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return FONT for Pillow; `size` in pixels."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", name), size)
