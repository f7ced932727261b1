"""The original's three networks, layer by layer.

An embedder for each sensor, side by side, and dense layers (the middleware) over all of them; ReLU behind every layer;
no padding, no normalisation but division by 255, no dropout; Glorot-uniform weights and zero biases. Maps are flattened
row by row, place by place, channel by channel. Source: `markov/sensors/utils.py`, `markov/agents/utils.py` of
deepracer-simapp, and the embedders of Coach.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lateapex.errors import ConfigError
from lateapex.models.blueprint import Spaces
from lateapex.models.networks import NetworkModule, is_picture, scaled

_STEREO = "STEREO_CAMERAS"
_VECTOR = (256, 256)  # dense layers over a lidar of any kind


class Layers(NamedTuple):
    """An embedder of pictures."""

    convolutions: tuple[tuple[int, int, int], ...]
    """Filters, size and stride of each."""
    positional: tuple[int, ...] = ()
    """Widths of the dense layers that follow and act on each place of the map by itself."""


class PictureEmbedder(nn.Module):
    """Pictures `[B, C, H, W]` -> `[B, features]`.

    Raises:
        ConfigError: the picture is too small for the convolutions.
    """

    def __init__(self, name: str, shape: tuple[int, ...], layers: Layers) -> None:
        super().__init__()
        height, width, channels = shape
        rows, columns, depth = height, width, channels
        steps: list[nn.Module] = []
        for filters, size, stride in layers.convolutions:
            rows, columns = (rows - size) // stride + 1, (columns - size) // stride + 1
            if min(rows, columns) < 1:
                raise ConfigError(f"{name} gives pictures of {width}x{height}; they are too small for this network")
            steps += [nn.Conv2d(depth, filters, size, stride), nn.ReLU()]
            depth = filters
        self.convolutions = nn.Sequential(*steps)
        self.positional = _dense((depth, *layers.positional))
        self.features = rows * columns * (layers.positional or (depth,))[-1]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing from torch's stubs

    def forward(self, pictures: Tensor) -> Tensor:
        """Bytes, or numbers as a transform left them."""
        maps: Tensor = self.convolutions(scaled(pictures))
        places: Tensor = self.positional(maps.permute(0, 2, 3, 1))
        return places.flatten(1)


class Official(NetworkModule):
    """Base of the three.

    Args:
        embedders_only: without the middleware, as the original builds the action-value networks of SAC.
    """

    mono: ClassVar[Layers]
    """Embedder of one camera."""
    stereo: ClassVar[Layers]
    middleware: ClassVar[tuple[int, ...]]
    heavy = True

    def __init__(self, spaces: Spaces, *, embedders_only: bool = False) -> None:
        super().__init__(spaces)
        embedders: dict[str, nn.Module] = {}
        flat = 0
        for name, shape in self.spaces.items():
            if is_picture(shape):
                picture = PictureEmbedder(name, shape, self.stereo if name == _STEREO else self.mono)
                embedders[name], flat = picture, flat + picture.features
            else:
                embedders[name], flat = _dense((shape[0], *_VECTOR)), flat + _VECTOR[-1]
        self.embedders = nn.ModuleDict(embedders)
        widths = (flat,) if embedders_only else (flat, *self.middleware)
        self.dense = _dense(widths)
        self.features = widths[-1]

    def forward(self, stemmed: Mapping[str, Tensor]) -> Tensor:
        """`[B, features]`."""
        parts = [embedder(stemmed[name]) for name, embedder in self.embedders.items()]
        features: Tensor = self.dense(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
        return features


class Shallow(Official):
    """The original's small one, three convolutions; 160x120x1 gives maps of 29x39x32, 13x18x64 and 11x16x64."""

    mono = stereo = Layers(((32, 8, 4), (64, 4, 2), (64, 3, 1)))
    middleware = (512,)


_DEEP_STEREO = Layers(((32, 3, 1), (64, 3, 2), (64, 3, 1), (128, 3, 2), (128, 3, 1)))


class Deep(Official):
    """The original's large one, four convolutions that keep the map wide; 160x120x1 ends in a map of 25x35x64."""

    mono = Layers(((32, 5, 2), (32, 3, 1), (64, 3, 2), (64, 3, 1)), (64,))
    stereo = _DEEP_STEREO
    middleware = (512,)


class Deeper(Official):
    """The original's long one, four convolutions that shrink the map; 160x120x1 ends in a map of 3x6x512."""

    mono = Layers(((32, 8, 4), (32, 4, 2), (64, 4, 2), (64, 3, 1)), (512, 512))
    stereo = _DEEP_STEREO
    middleware = (256, 128)


def _dense(widths: tuple[int, ...]) -> nn.Sequential:
    """Dense layers from the first width to the last."""
    layers: list[nn.Module] = []
    for one, two in pairwise(widths):
        layers += [nn.Linear(one, two), nn.ReLU()]
    return nn.Sequential(*layers)
