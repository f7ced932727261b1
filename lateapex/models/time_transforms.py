"""What can be done to a picture and those of the same car before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from lateapex.models.picture_transforms import PictureShape, check_whole

MOST: Final = 64
"""Most pictures, or steps, that an option may speak of: above four seconds."""


@dataclass(frozen=True)
class Stack:
    """Earlier pictures beside the present one, as channels: the oldest first, the present one last.

    `every` is how many steps lie between two of them; a step is 1/15 s.
    """

    frames: int
    every: int = 1
    draws: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_whole("stack", "frames", self.frames, 1, MOST)
        check_whole("stack", "every", self.every, 1, MOST)

    @property
    def history(self) -> int:
        """Pictures from the oldest to the present one."""
        return (self.frames - 1) * self.every + 1

    def shape(self, shape: PictureShape) -> PictureShape:
        """As many channels as all pictures have together."""
        height, width, channels = shape
        return height, width, channels * self.frames

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """`[B, K, H, W, C]` -> `[B, H, W, frames * C]`; `[B, H, W, C]` stays as it is where K is 1."""
        del draws
        if self.history == 1:
            return pictures
        return pictures[:, :: self.every].permute(0, 2, 3, 1, 4).flatten(3)


@dataclass(frozen=True)
class Difference:
    """What changed since the picture `steps` before: 127.5 plus half the difference, so that half-grey is no change.

    `keep`: the present picture stays, and its difference follows it as further channels.
    """

    steps: int = 1
    keep: bool = False
    draws: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_whole("difference", "steps", self.steps, 1, MOST)

    @property
    def history(self) -> int:
        """Pictures from the one before to the present one."""
        return self.steps + 1

    def shape(self, shape: PictureShape) -> PictureShape:
        """As it is, or twice the channels."""
        height, width, channels = shape
        return height, width, channels * (2 if self.keep else 1)

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """`[B, K, H, W, C]` -> `[B, H, W, C]`, or `[B, H, W, 2 C]`."""
        del draws
        now, before = pictures[:, -1], pictures[:, 0]
        changed = now.float().sub_(before).mul_(0.5).add_(127.5).round_().to(torch.uint8)
        return torch.cat([now, changed], dim=3) if self.keep else changed
