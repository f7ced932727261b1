"""Many small pictures on one sheet, each with some words below it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lateapex.analysis.style import FAINT, GROUND, font

COLUMNS: Final = 6
_GAP, _LINE, _SIZE = 8, 12, 9  # pixels


def draw_contact_sheet(pictures: NDArray[np.uint8], words: Sequence[Sequence[str]]) -> bytes:
    """Draw pictures in rows of six, with lines of words below each.

    Args:
        pictures: `[M, H, W, 3]`, one or more.
        words: lines for each picture; what is wider than it is cut off.

    Returns:
        A PNG.

    Raises:
        ValueError: no pictures, or not as many words.
    """
    count, height, width = pictures.shape[:3]
    if not count or len(words) != count:
        raise ValueError(f"{count} pictures and {len(words)} captions; as many of both are needed, and at least one")
    columns = min(count, COLUMNS)
    tall = height + _LINE * max(map(len, words)) + _GAP
    size = columns * (width + _GAP) + _GAP, math.ceil(count / columns) * tall + _GAP
    sheet = Image.new("RGB", size, GROUND)
    for place, (picture, lines) in enumerate(zip(pictures, words, strict=True)):
        cell = Image.new("RGB", (width, tall - _GAP), GROUND)
        cell.paste(Image.fromarray(picture))
        for line, text in enumerate(lines):
            ImageDraw.Draw(cell).text((0, height + _LINE * line + 1), text, FAINT, font(_SIZE))
        row, column = divmod(place, columns)
        sheet.paste(cell, (_GAP + column * (width + _GAP), _GAP + row * tall))
    data = io.BytesIO()
    sheet.save(data, "PNG")
    return data.getvalue()
