"""Networks from observations to features: what they have in common, the default, and the table.

Every network has two parts. `stem` has no weights: what it returns is all that learning needs of an observation, so it
is computed once, when the observation is made, and stored in its place. `forward` holds all weights. A network with a
memory has a third, `recur`, which joins the features of a step to what is remembered of those before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from lateapex.errors import ConfigError
from lateapex.models.blueprint import Spaces
from lateapex.registry import Registry

Stem: TypeAlias = dict[str, Tensor]
"""What a network keeps of each sensor's values, `[B, ...]` each."""

_EVEN_BYTES: Final = np.uint32(0x00FF00FF)


class NetworkModule(nn.Module):
    """Base of our networks.

    Args:
        spaces: of the sensors; a network looks at them in the order of their names, as the original does.
    """

    features: int
    """F, known once it is built"""
    memory: int = 0
    """M, numbers carried from step to step"""
    heavy: ClassVar[bool] = False
    """Whether its arithmetic outweighs everything else, so that half-width numbers pay where the processor has them."""
    own_weights: ClassVar[bool] = False
    """Whether it makes its first weights itself."""

    def __init__(self, spaces: Spaces) -> None:
        super().__init__()
        self.spaces = dict(sorted(spaces.items()))

    def stem(self, seen: Mapping[str, Tensor]) -> Stem:
        """Keep of each sensor's `[B, ...]` what `forward` takes: here pictures `[B, C, H, W]` in place of
        `[B, H, W, C]`, in the same memory, and all else as it is.
        """  # noqa: D205 - one sentence
        return {
            name: seen[name].permute(0, 3, 1, 2) if is_picture(shape) else seen[name]
            for name, shape in self.spaces.items()
        }

    @property
    def keeps_all(self) -> bool:
        """Whether `stem` leaves nothing out, so that `seen` knows what it was given."""
        return type(self).stem is NetworkModule.stem

    def seen(self, stem: Stem) -> dict[str, Tensor]:
        """Return what `stem` was given, where it keeps all."""
        return {
            name: stem[name].permute(0, 2, 3, 1) if is_picture(shape) else stem[name]
            for name, shape in self.spaces.items()
        }

    def recur(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Join a step's features `[B, F]` to what is remembered, `[B, M]`; returns both anew."""
        del features, memory
        raise TypeError(f"{type(self).__name__} has no memory")


def is_picture(shape: tuple[int, ...]) -> bool:
    """Whether a sensor's shape is that of a picture."""
    return len(shape) == 3


def scaled(values: Tensor) -> Tensor:
    """Bytes as numbers from 0 to 1; what are numbers already stays as it is."""
    return values.float() / 255.0 if values.dtype == torch.uint8 else values


class Lean(NetworkModule):
    """A small network for pictures of any size: means over 4x4 pixels, then dense layers.

    The pooling keeps lines and dashes apart at 40x30 and takes 16 times less work than the pictures. All of it is in
    the network, so that it runs on the car as any other.
    """

    features = 64
    pool = 4

    def __init__(self, spaces: Spaces) -> None:
        super().__init__(spaces)
        flat = sum(self._flat(name, shape) for name, shape in self.spaces.items())
        self.dense = nn.Sequential(nn.Linear(flat, 128), nn.ReLU(), nn.Linear(128, self.features), nn.ReLU())

    def _flat(self, name: str, shape: tuple[int, ...]) -> int:
        if not is_picture(shape):
            return shape[0]
        height, width, channels = shape
        if min(height, width) < self.pool:
            raise ConfigError(
                f"{name} gives pictures of {width}x{height}; this network needs {self.pool}x{self.pool} or more"
            )
        return channels * (height // self.pool) * (width // self.pool)

    def stem(self, seen: Mapping[str, Tensor]) -> Stem:
        """Means over 4x4 pixels of all pictures, centred to about -1..1, and all other numbers: `[B, flat]`."""
        parts = [self._pooled(seen[name]) if is_picture(shape) else seen[name] for name, shape in self.spaces.items()]
        return {"flat": parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)}

    def _pooled(self, pictures: Tensor) -> Tensor:
        batch, height, width, channels = pictures.shape
        rows, columns = height // self.pool, width // self.pool
        tiles = pictures[:, : rows * self.pool, : columns * self.pool]
        tiles = tiles.reshape(batch, rows, self.pool, columns, self.pool, channels)
        if pictures.dtype == torch.uint8 and channels == 1 and width % self.pool == 0 and pictures.is_contiguous():
            means = _sums_of_words(pictures, rows, columns) / (self.pool**2 * 127.5) - 1.0
            return means.flatten(1)
        if pictures.dtype == torch.uint8:
            sums = tiles.sum(dim=4, dtype=torch.int32).sum(dim=2, dtype=torch.int32).float()
            means = sums / (self.pool**2 * 127.5) - 1.0
        else:
            means = tiles.mean(dim=(2, 4))
        return means.permute(0, 3, 1, 2).flatten(1)

    def forward(self, stemmed: Stem) -> Tensor:
        """`[B, flat]` -> `[B, 64]`."""
        features: Tensor = self.dense(stemmed["flat"])
        return features


def _sums_of_words(pictures: Tensor, rows: int, columns: int) -> Tensor:
    """Sums over 4x4 pixels of grey pictures, `[B, rows, columns]`.

    Bytes of a row are added four at once, as words, by NumPy: several times as fast as torch is at this.
    """
    batch, height, width = pictures.shape[:3]
    words = pictures.numpy().reshape(batch, height, width).view(np.uint32)[:, : 4 * rows]
    pairs = words & _EVEN_BYTES
    pairs += (words >> np.uint32(8)) & _EVEN_BYTES
    tiles = pairs.reshape(batch, rows, 4, columns)
    sums = tiles[:, :, 0] + tiles[:, :, 1]
    sums += tiles[:, :, 2]
    sums += tiles[:, :, 3]
    return torch.from_numpy(((sums & np.uint32(0xFFFF)) + (sums >> np.uint32(16))).astype(np.float32))


class Recurrent(Lean):
    """The lean network with a gated recurrent unit (Cho et al. 2014) behind it: it remembers what it saw."""

    memory = 64

    def __init__(self, spaces: Spaces) -> None:
        super().__init__(spaces)
        self.cell = nn.GRUCell(self.features, self.memory)

    def recur(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, 64]` each; what comes out is what is remembered."""
        memory = self.cell(features, memory).float()
        return memory, memory


class State(NetworkModule):
    """Dense layers over the car's state, which no picture shows: for critics alone, since the car cannot sense it."""

    sensor = "STATE"
    features = 128

    def __init__(self, spaces: Spaces) -> None:
        if self.sensor not in spaces:
            raise ConfigError(
                'the network "state" sees what no sensor of the car gives; write critic = "state" instead'
            )
        super().__init__({self.sensor: spaces[self.sensor]})
        size = spaces[self.sensor][0]
        self.dense = nn.Sequential(nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, self.features), nn.ReLU())

    def forward(self, stemmed: Stem) -> Tensor:
        """`[B, K]` -> `[B, 128]`."""
        features: Tensor = self.dense(stemmed[self.sensor])
        return features


NETWORKS: Final[Registry[type[NetworkModule]]] = Registry(
    "network",
    {
        "lean": "lateapex.models.networks:Lean",
        "shallow": "lateapex.models.official:Shallow",
        "deep": "lateapex.models.official:Deep",
        "deeper": "lateapex.models.official:Deeper",
        "attention": "lateapex.models.attention:Attention",
        "recurrent": "lateapex.models.networks:Recurrent",
        "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": "lateapex.models.official:Shallow",
        "DEEP_CONVOLUTIONAL_NETWORK": "lateapex.models.official:Deep",
        "DEEP_CONVOLUTIONAL_NETWORK_DEEP": "lateapex.models.official:Deeper",
    },
)

CRITICS: Final[Registry[type[NetworkModule]]] = Registry("critic", {"state": "lateapex.models.networks:State"})
"""Networks that no actor can have: they see what no sensor of the car gives."""
