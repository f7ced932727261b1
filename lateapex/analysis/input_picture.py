"""What a network sees, as one picture: a row for each place, a column for each stage between camera and network.

Pixels are enlarged by whole numbers and never blended, so that what is shown is what there is.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lateapex.analysis.style import FAINT, GROUND, PANEL, TEXT, font

_EDGE, _GAP, _SEAM, _LABEL = 40, 28, 4, 130  # pixels: border, between columns and rows, between tiles, row labels
_HEADER, _TOP, _LINE, _CAPTION = 112, 26, 20, 20  # pixels
_WIDE: Final = 320
"""Pixels of a picture as shown, about; half of it where many stand side by side."""
_MANY, _IN_LINE, _LEAST = 3, 4, 250
_TITLE_LINES: Final = 3


class Column(NamedTuple):
    """What there is after one stage."""

    title: str
    notes: tuple[str, ...]
    """Lines below the title."""
    pictures: NDArray[np.uint8]
    """`[places, H, W, C]`"""
    names: tuple[str, ...]
    """Of the C channels; of each three where they are red, green and blue. One alone is not shown."""

    @property
    def colours(self) -> int:
        """Channels that make up one tile: 1, or 3."""
        return int(self.pictures.shape[3]) // len(self.names)


def draw_inputs(title: str, subtitle: str, places: Sequence[str], sensors: Sequence[Sequence[Column]]) -> bytes:
    """Draw all stages of all sensors.

    Args:
        places: what stands beside each row.
        sensors: the columns of each camera, drawn one below the other.

    Returns:
        A PNG.
    """
    sections = [_section(columns, len(places)) for columns in sensors]
    heads = [(title, font(26, True), TEXT, 30), (subtitle, font(16), FAINT, 68)]
    wide = max(section.wide for section in sections)
    wide = max(wide, *(math.ceil(face.getlength(text)) + 2 * _EDGE for text, face, _, _ in heads))
    tall = _HEADER + sum(section.tall for section in sections) + _EDGE
    sheet = Image.new("RGB", (wide, tall), GROUND)
    draw = ImageDraw.Draw(sheet)
    for text, face, colour, y in heads:
        draw.text((_EDGE, y), text, fill=colour, font=face)
    top = _HEADER
    for section in sections:
        _draw_section(sheet, draw, section, places, top)
        top += section.tall
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


class _Placed(NamedTuple):
    """A column and the room that it takes."""

    column: Column
    title: list[str]
    zoom: int
    in_line: int
    """Tiles side by side."""
    left: int
    wide: int
    row: int
    """Height of one place's pictures."""


class _Section(NamedTuple):
    """All columns of one camera."""

    columns: list[_Placed]
    head: int
    """Height of the titles."""
    row: int
    wide: int
    tall: int


def _section(columns: Sequence[Column], places: int) -> _Section:
    placed: list[_Placed] = []
    left = _EDGE + _LABEL
    for column in columns:
        _, height, width, _ = column.pictures.shape
        tiles = len(column.names)
        zoom = max(1, round(_WIDE / (2 if tiles >= _MANY else 1) / width))
        lines = -(-tiles // _IN_LINE)
        in_line = -(-tiles // lines)
        wide = in_line * width * zoom + (in_line - 1) * _SEAM
        row = lines * (height * zoom + (_CAPTION if tiles > 1 else 0)) + (lines - 1) * _SEAM
        room = max(wide, _LEAST)
        placed.append(_Placed(column, _wrapped(column.title, font(16, True), room), zoom, in_line, left, wide, row))
        left += room + _GAP
    head = _TOP + max(len(one.title) + len(one.column.notes) for one in placed) * _LINE + 8
    row = max(one.row for one in placed)
    return _Section(placed, head, row, left - _GAP + _EDGE, head + places * (row + _GAP))


def _draw_section(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, section: _Section, places: Sequence[str], top: int
) -> None:
    for one in section.columns:
        lines = [(text, font(16, True), TEXT) for text in one.title]
        lines += [(text, font(14), FAINT) for text in one.column.notes]
        for line, (text, face, colour) in enumerate(lines):
            draw.text((one.left, top + _TOP + line * _LINE), text, fill=colour, font=face)
    for place, label in enumerate(places):
        y = top + section.head + place * (section.row + _GAP)
        draw.text((_EDGE, y), label, fill=TEXT, font=font(16))
        for one in section.columns:
            _draw_tiles(sheet, draw, one, place, y)


def _draw_tiles(sheet: Image.Image, draw: ImageDraw.ImageDraw, one: _Placed, place: int, top: int) -> None:
    """Draw what there is at one place after one stage, its channels side by side, and their names below them."""
    picture, colours = one.column.pictures[place], one.column.colours
    height, width = (side * one.zoom for side in picture.shape[:2])
    caption = _CAPTION if len(one.column.names) > 1 else 0
    for tile, name in enumerate(one.column.names):
        line, column = divmod(tile, one.in_line)
        x, y = one.left + column * (width + _SEAM), top + line * (height + caption + _SEAM)
        channels = picture[..., tile * colours : (tile + 1) * colours]
        large = channels.repeat(one.zoom, axis=0).repeat(one.zoom, axis=1)
        sheet.paste(Image.fromarray(large if colours == 3 else large[..., 0]), (x, y))
        draw.rectangle((x - 1, y - 1, x + width, y + height), outline=PANEL)
        if caption:
            draw.text((x, y + height + 2), name, fill=FAINT, font=font(13))


def _wrapped(text: str, face: ImageFont.FreeTypeFont, room: int) -> list[str]:
    """A transform's text on lines that fit, broken behind ":" and ","; what is too long for them is left out."""
    parts = text.replace(":", ":\0").replace(",", ",\0").split("\0")
    lines = [""]
    for part in parts:
        if lines[-1] and face.getlength(lines[-1] + part) > room:
            lines.append("")
        lines[-1] += part
    return lines if len(lines) <= _TITLE_LINES else [*lines[: _TITLE_LINES - 1], "..."]
