"""What can be done to all pixels of a single picture on its way to the networks: colours, size, numbers, filters.

All are pure functions of the picture, bytes in and bytes out; `Normalise` alone gives numbers. Sums are taken pixel by
pixel, in an order of their own: a picture comes out the same whatever pictures are beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from lateapex.errors import ConfigError

PictureShape: TypeAlias = tuple[int, int, int]
"""H, W, C"""

LARGEST: Final = 4096
"""Most rows or columns that an option may speak of."""
_FARTHEST: Final = 3.0  # deviations after which the bell curve of a blur is cut off


@dataclass(frozen=True)
class Grey:
    """Red, green and blue to luminance, truncated as in the original; what is grey stays as it is, a stereo pair too.

    Source: `ObservationRGBToYFilter` of Coach, which takes the sums in double precision, red first.
    """

    history: ClassVar[int] = 1
    draws: ClassVar[int] = 0

    def shape(self, shape: PictureShape) -> PictureShape:
        """One channel in place of three."""
        height, width, channels = shape
        if channels > 3:
            raise ConfigError(
                f"grey: the picture has {channels} channels, of which no three are red, green and blue; "
                "put grey before what adds them"
            )
        return height, width, 1 if channels == 3 else channels

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """`[B, H, W, 3]` -> `[B, H, W, 1]`."""
        del draws
        if pictures.shape[3] != 3:
            return pictures
        red, green, blue = pictures.permute(3, 0, 1, 2).contiguous()[..., None].double()
        luminance: Tensor = red.mul_(0.2989).add_(green.mul_(0.5870)).add_(blue.mul_(0.1140))
        return luminance.to(torch.uint8)


@dataclass(frozen=True)
class Resize:
    """Another number of rows and columns, bilinear; where they become fewer, each is a mean of all that it covers."""

    width: int
    height: int
    history: ClassVar[int] = 1
    draws: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_whole("resize", "width", self.width, 1, LARGEST)
        check_whole("resize", "height", self.height, 1, LARGEST)

    def shape(self, shape: PictureShape) -> PictureShape:
        """The size that is asked for."""
        return self.height, self.width, shape[2]

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """`[B, H, W, C]` -> `[B, height, width, C]`."""
        del draws
        # Each channel as a picture of its own: torch then takes the same way through the memory for any B and C.
        planes = pictures.permute(0, 3, 1, 2).float().reshape(-1, 1, *pictures.shape[1:3])
        if not len(planes):  # torch takes no empty batch
            return pictures.new_zeros(0, self.height, self.width, pictures.shape[3])
        size = (self.height, self.width)
        planes = functional.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True)
        return to_bytes(planes.reshape(-1, pictures.shape[3], *size).permute(0, 2, 3, 1))


@dataclass(frozen=True)
class Normalise:
    """Bytes to numbers, (value - mean) / std; 0 to 255 become -1 to 1 if nothing else is asked for.

    `mean` and `std`, in units of bytes, are one number, or one for each channel. `per_picture` takes them from each
    channel of each picture, which hides how bright a scene is; deviations below one grey level count as one.
    """

    mean: tuple[float, ...] = (127.5,)
    std: tuple[float, ...] = (127.5,)
    per_picture: bool = False
    history: ClassVar[int] = 1
    draws: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if not self.mean or not all(map(math.isfinite, self.mean)):
            raise ConfigError(f"normalise: mean is {list(self.mean)}; finite numbers are needed")
        if not self.std or not all(0 < value < math.inf for value in self.std):
            raise ConfigError(f"normalise: std is {list(self.std)}; numbers above 0 are needed")
        if self.per_picture and (self.mean, self.std) != (Normalise.mean, Normalise.std):
            raise ConfigError("normalise: per_picture takes mean and std from the picture; leave out mean and std")

    def shape(self, shape: PictureShape) -> PictureShape:
        """As it is."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, shape[2]):
                raise ConfigError(
                    f"normalise: {name} has {len(values)} numbers and the picture {shape[2]} channels; "
                    "give one number, or one for each channel"
                )
        return shape

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """Uint8 `[B, H, W, C]` -> float32 of the same shape."""
        del draws
        mean, std = self._of(pictures) if self.per_picture else (torch.tensor(self.mean), torch.tensor(self.std))
        return pictures.float().sub_(mean).div_(std)

    @staticmethod
    def _of(pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each channel of each picture, `[B, 1, 1, C]`, from sums of whole numbers."""
        count = pictures.shape[1] * pictures.shape[2]
        values = pictures.int()
        total, squares = (
            part.sum(dim=2, keepdim=True, dtype=torch.int32).sum(dim=1, keepdim=True, dtype=torch.int64)
            for part in (values, values.square())
        )
        deviation = (count * squares - total * total).double().sqrt() / count
        return (total.double() / count).float(), deviation.clamp(min=1.0).float()


@dataclass(frozen=True)
class Edges:
    """How steep brightness changes at each pixel, channel by channel: a step from black to white gives 255.

    The magnitude of Sobel's two sums, a quarter of it, at most 255; beyond its edges the picture goes on as at them.
    """

    history: ClassVar[int] = 1
    draws: ClassVar[int] = 0

    def shape(self, shape: PictureShape) -> PictureShape:
        """As it is."""
        return shape

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """`[B, H, W, C]` -> the same shape."""
        del draws
        values = pictures.to(torch.int16)
        across = _sum_of_shifted(_sum_of_shifted(values, 2, (-1, 0, 1)), 1, (1, 2, 1)).float()
        down = _sum_of_shifted(_sum_of_shifted(values, 1, (-1, 0, 1)), 2, (1, 2, 1)).float()
        return to_bytes(across.square_().add_(down.square_()).sqrt_().mul_(0.25))


@dataclass(frozen=True)
class Blur:
    """A bell curve (Gauss) of deviation `sigma` pixels; beyond its edges the picture goes on as at them."""

    sigma: float
    history: ClassVar[int] = 1
    draws: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= 100:
            raise ConfigError(f"blur: sigma is {self.sigma:g}; above 0 and up to 100 pixels are needed")

    def shape(self, shape: PictureShape) -> PictureShape:
        """As it is."""
        return shape

    def __call__(self, pictures: Tensor, draws: Tensor | None) -> Tensor:
        """`[B, H, W, C]` -> the same shape."""
        del draws
        reach = math.ceil(_FARTHEST * self.sigma)
        weights = [math.exp(-0.5 * (place / self.sigma) ** 2) for place in range(-reach, reach + 1)]
        weights = [weight / sum(weights) for weight in weights]
        return to_bytes(_sum_of_shifted(_sum_of_shifted(pictures.float(), 1, weights), 2, weights))


def to_bytes(values: Tensor) -> Tensor:
    """Numbers to uint8, rounded half to even, 0 to 255."""
    return values.round().clamp(0.0, 255.0).to(torch.uint8)


def check_whole(transform: str, option: str, value: int, least: int, most: int) -> None:
    """Refuse an option outside its range.

    Raises:
        ConfigError: it is.
    """
    if not least <= value <= most:
        raise ConfigError(f"{transform}: {option} is {value}; {least} to {most} are needed")


def _sum_of_shifted(values: Tensor, dim: int, weights: list[float] | tuple[int, ...]) -> Tensor:
    """Sum of `[B, H, W, C]` moved along rows (1) or columns (2), each by its weight; an odd number, centred."""
    reach, last = len(weights) // 2, values.shape[dim] - 1
    first, end = values.narrow(dim, 0, 1), values.narrow(dim, last, 1)
    # All that lies beyond `dim` is one row of numbers: long runs of memory, whatever C is.
    padded = torch.cat([*[first] * reach, values, *[end] * reach], dim).flatten(dim)
    run = values.flatten(dim).shape[dim]
    stride = run // (last + 1)
    total = torch.zeros_like(padded.narrow(dim, 0, run))
    for place, weight in enumerate(weights):
        if weight:
            total += padded.narrow(dim, place * stride, run) * weight
    return total.view(values.shape)
