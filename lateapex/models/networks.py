"""Networks from pictures to features.

Every network has two parts. `stem` has no weights: what it returns is all that learning needs of a picture, so it is
computed once, when the picture is taken, and stored in its place. `forward` holds all weights.
"""

from __future__ import annotations

from typing import ClassVar, Final, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lateapex.registry import Registry


class Network(Protocol):
    """From pictures to features."""

    features: int
    """F"""

    def stem(self, pictures: Tensor) -> Tensor:
        """Part without weights: uint8 `[B, H, W, C]` -> `[B, ...]`."""
        ...

    def __call__(self, stemmed: Tensor) -> Tensor:
        """Part with weights: `[B, ...]` -> float32 `[B, F]`."""
        ...


class NetworkModule(nn.Module):
    """Base of our networks; built for pictures of `height` x `width` x `channels`."""

    features: int
    heavy: ClassVar[bool] = False
    """Whether its arithmetic outweighs everything else, so that half-width numbers pay where the processor has them."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.height, self.width, self.channels = height, width, channels

    def stem(self, pictures: Tensor) -> Tensor:
        """Leave the pictures as they are, `[B, C, H, W]` in the memory order of `[B, H, W, C]`."""
        return pictures.permute(0, 3, 1, 2)


class Shallow(NetworkModule):
    """The original's DEEP_CONVOLUTIONAL_NETWORK_SHALLOW, layer by layer.

    Convolutions of 32 filters 8x8 stride 4, 64 of 4x4 stride 2, 64 of 3x3 stride 1, a dense layer of 512, all with
    ReLU; no padding, no normalisation but division by 255; Glorot-uniform weights, zero biases. 160x120x1 gives maps of
    29x39x32, 13x18x64 and 11x16x64. Source: `markov/sensors/utils.py` of deepracer-simapp and Coach's embedders.
    """

    features = 512
    heavy = True

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__(height, width, channels)
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, 32, 8, 4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, 1),
            nn.ReLU(),
        )
        with torch.no_grad():
            flat = self.convolutions(torch.zeros(1, channels, height, width)).numel()
        self.dense = nn.Linear(flat, 512)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing from torch's stubs

    def forward(self, stemmed: Tensor) -> Tensor:
        """Pictures, uint8 `[B, C, H, W]` -> `[B, 512]`."""
        maps = self.convolutions(stemmed.float() / 255.0)
        return functional.relu(self.dense(maps.flatten(1)))


class Lean(NetworkModule):
    """A small network for the same pictures: means over 4x4 pixels, then dense layers.

    The pooling keeps lines and dashes apart at 40x30 and takes 16 times less work than the pictures. All of it is in
    the network, so that it runs on the car as any other.
    """

    features = 64
    pool = 4

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__(height, width, channels)
        flat = channels * (height // self.pool) * (width // self.pool)
        self.dense = nn.Sequential(nn.Linear(flat, 128), nn.ReLU(), nn.Linear(128, self.features), nn.ReLU())

    def stem(self, pictures: Tensor) -> Tensor:
        """Means over 4x4 pixels, centred: float32 `[B, C * H/4 * W/4]` about -1 to 1."""
        batch, height, width, channels = pictures.shape
        rows, columns = height // self.pool, width // self.pool
        tiles = pictures[:, : rows * self.pool, : columns * self.pool]
        tiles = tiles.reshape(batch, rows, self.pool, columns, self.pool, channels)
        means = tiles.sum(dim=4, dtype=torch.int32).sum(dim=2, dtype=torch.int32).float() / (self.pool**2 * 127.5) - 1.0
        return means.permute(0, 3, 1, 2).flatten(1)

    def forward(self, stemmed: Tensor) -> Tensor:
        """`[B, C * H/4 * W/4]` -> `[B, 64]`."""
        return cast(Tensor, self.dense(stemmed))


NETWORKS: Final[Registry[type[NetworkModule]]] = Registry(
    "network",
    {
        "lean": "lateapex.models.networks:Lean",
        "shallow": "lateapex.models.networks:Shallow",
        "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": "lateapex.models.networks:Shallow",
    },
)
