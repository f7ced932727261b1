"""What can be hidden or taken off of a single picture on its way to the networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lateapex.errors import ConfigError
from lateapex.models.picture_transforms import LARGEST, PictureShape, check_whole

GREY: Final = 128
"""Half-grey, with which is filled what a network shall not see."""


@dataclass(frozen=True)
class Crop:
    """Takes rows and columns of pixels off the edges."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    history: ClassVar[int] = 1
    draws: ClassVar[int] = 0

    def __post_init__(self) -> None:
        for side in ("top", "bottom", "left", "right"):
            check_whole("crop", side, getattr(self, side), 0, LARGEST)

    def shape(self, shape: PictureShape) -> PictureShape:
        """H and W less what is taken off."""
        height, width, channels = shape
        rows, columns = height - self.top - self.bottom, width - self.left - self.right
        if rows < 1:
            raise ConfigError(f"crop: top {self.top} and bottom {self.bottom} leave no row of {height}")
        if columns < 1:
            raise ConfigError(f"crop: left {self.left} and right {self.right} leave no column of {width}")
        return rows, columns, channels

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """A view, `[B, H', W', C]`."""
        del draws
        height, width = pictures.shape[1:3]
        return pictures[:, self.top : height - self.bottom, self.left : width - self.right]


@dataclass(frozen=True)
class Cutout:
    """Fills `count` squares of `size` pixels at random places with half-grey while training; none in evaluation.

    Source: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", 2017; here
    squares lie within the picture.
    """

    size: int
    count: int = 1
    history: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_whole("cutout", "size", self.size, 1, LARGEST)
        check_whole("cutout", "count", self.count, 1, 64)

    @property
    def draws(self) -> int:
        """A row and a column for each square."""
        return 2 * self.count

    def shape(self, shape: PictureShape) -> PictureShape:
        """As it is."""
        if self.size > min(shape[:2]):
            raise ConfigError(f"cutout: size is {self.size}; the picture has {shape[1]}x{shape[0]} pixels")
        return shape

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """`[B, H, W, C]` -> the same shape."""
        if draws is None:
            return pictures
        made = pictures.clone()
        rows = self._begins(draws[:, 0::2], pictures.shape[1])
        columns = self._begins(draws[:, 1::2], pictures.shape[2])
        for picture, tops, lefts in zip(made, rows, columns, strict=True):
            for top, left in zip(tops, lefts, strict=True):
                picture[top : top + self.size, left : left + self.size] = GREY
        return made

    def _begins(self, draws: Tensor, length: int) -> list[list[int]]:
        """Where squares begin along `length` pixels, for draws `[B, count]`."""
        places = length - self.size + 1
        begins: list[list[int]] = (draws * places).long().clamp_(max=places - 1).tolist()
        return begins


@dataclass(frozen=True)
class Mask:
    """Sets the same pixels of each picture to one value: rows at its edges, and a polygon or all outside of it.

    `polygon` are x and y of its corners in pixels, one after the other, x to the right, y down, 0,0 the upper left
    corner of the picture; a pixel counts by its centre.
    """

    top: int = 0
    bottom: int = 0
    polygon: tuple[float, ...] = ()
    outside: bool = False
    value: int = 0
    history: ClassVar[int] = 1
    draws: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_whole("mask", "top", self.top, 0, LARGEST)
        check_whole("mask", "bottom", self.bottom, 0, LARGEST)
        if not 0 <= self.value <= 255:
            raise ConfigError(f"mask: value is {self.value}; 0 (black) to 255 (white) are needed")
        if self.polygon and (len(self.polygon) < 6 or len(self.polygon) % 2):
            raise ConfigError(
                f"mask: polygon has {len(self.polygon)} numbers; x and y of three corners or more are needed, "
                "such as polygon=0,0,160,0,80,40"
            )
        if not all(map(math.isfinite, self.polygon)):
            raise ConfigError(f"mask: polygon is {list(self.polygon)}; finite numbers are needed")
        if self.outside and not self.polygon:
            raise ConfigError("mask: outside needs a polygon, such as polygon=0,0,160,0,80,40")
        if not (self.top or self.bottom or self.polygon):
            raise ConfigError("mask: nothing is masked; give top, bottom or polygon")

    def shape(self, shape: PictureShape) -> PictureShape:
        """As it is."""
        if self.top + self.bottom >= shape[0]:
            raise ConfigError(f"mask: top {self.top} and bottom {self.bottom} leave no row of {shape[0]}")
        if _masked(self, *shape[:2]).all():
            raise ConfigError(f"mask: nothing of the picture of {shape[1]}x{shape[0]} pixels is left; mask less of it")
        return shape

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """`[B, H, W, C]` -> the same shape."""
        del draws
        return pictures.masked_fill(_masked(self, *pictures.shape[1:3])[..., None], self.value)


@cache
def _masked(mask: Mask, height: int, width: int) -> Tensor:
    """Which pixels are set, `[H, W]`."""
    masked = np.zeros((height, width), np.bool_)
    if mask.polygon:
        masked = _inside(mask.polygon, height, width) ^ mask.outside
    masked[: mask.top] = True
    masked[height - mask.bottom :] = True
    return torch.from_numpy(masked)


def _inside(polygon: tuple[float, ...], height: int, width: int) -> NDArray[np.bool_]:
    """Pixels whose centre lies within: a ray to the right crosses its sides an odd number of times."""
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    corners = list(zip(polygon[::2], polygon[1::2], strict=True))
    inside = np.zeros((height, width), np.bool_)
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if y0 != y1:
            passes = (rows < y0) != (rows < y1)
            inside ^= passes & (columns < x0 + (x1 - x0) * (rows - y0) / (y1 - y0))
    return inside
