"""A network that chooses where to look: a small convolutional map, summed up by learned attention over its places.

The score of a place is a dense layer over the tanh of another, a softmax goes over all places, and the weighted sum of
the map is what is kept: the additive attention of Bahdanau et al. (2015), in the form of the original's experimental
presets (`markov/architecture/custom_architectures.py`), with several such looks side by side.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from lateapex.models.blueprint import Spaces
from lateapex.models.networks import NetworkModule, is_picture
from lateapex.models.official import Layers, PictureEmbedder


class Look(nn.Module):
    """Places `[B, P, C]` -> `[B, looks * C]`; `weights` says how much each place counts."""

    def __init__(self, channels: int, looks: int, units: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels, units)
        self.score = nn.Linear(units, looks)

    def weights(self, places: Tensor) -> Tensor:
        """`[B, P, looks]`, over all places 1 each."""
        return torch.softmax(self.score(torch.tanh(self.hidden(places))).float(), dim=1)

    def forward(self, places: Tensor) -> Tensor:
        """Sums of the places, each by its weight."""
        return torch.einsum("bpk,bpc->bkc", self.weights(places).to(places.dtype), places).flatten(1)


class Attention(NetworkModule):
    """Three convolutions, four looks at their map with the place of each, a dense layer of 64."""

    features = 64
    heavy = True
    looks = 4

    def __init__(self, spaces: Spaces) -> None:
        super().__init__(spaces)
        layers = Layers(((16, 8, 4), (32, 4, 2), (32, 3, 1)))
        embedders: dict[str, nn.Module] = {}
        flat = 0
        for name, shape in self.spaces.items():
            if is_picture(shape):
                embedders[name] = _Sight(name, shape, layers, self.looks)
                flat += self.looks * (layers.convolutions[-1][0] + 2)
            else:
                embedders[name] = nn.Sequential(nn.Linear(shape[0], 64), nn.ReLU())
                flat += 64
        self.embedders = nn.ModuleDict(embedders)
        self.dense = nn.Linear(flat, self.features)

    def forward(self, stemmed: Mapping[str, Tensor]) -> Tensor:
        """`[B, 64]`."""
        parts = [embedder(stemmed[name]) for name, embedder in self.embedders.items()]
        return functional.relu(self.dense(torch.cat(parts, dim=1)))


class _Sight(nn.Module):
    """A picture's map, and looks at it."""

    def __init__(self, name: str, shape: tuple[int, ...], layers: Layers, looks: int) -> None:
        super().__init__()
        self.embedder = PictureEmbedder(name, shape, layers)
        channels = layers.convolutions[-1][0]
        self.look = Look(channels + 2, looks, 32)
        with torch.no_grad():
            height, width, depth = shape
            rows, columns = self.embedder.convolutions(torch.zeros(1, depth, height, width)).shape[2:]
        grid = torch.meshgrid(torch.linspace(-1.0, 1.0, rows), torch.linspace(-1.0, 1.0, columns), indexing="ij")
        # Without its place a sum over a map would not say on which side the line was seen.
        self.register_buffer("places", torch.stack(grid, dim=-1).flatten(0, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        flat: Tensor = self.embedder(pictures)
        places: Tensor = self.get_buffer("places")
        maps = flat.view(len(flat), len(places), -1)
        return self.look(torch.cat([maps, places.to(maps.dtype).expand(len(maps), -1, -1)], dim=2))  # type: ignore[no-any-return] # modules are untyped
