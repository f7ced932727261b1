"""A user's own `torch.nn.Module` as a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lateapex.env.user_code import file_of, is_reference, load_class, told
from lateapex.errors import ConfigError
from lateapex.models.blueprint import Spaces
from lateapex.models.networks import CRITICS, NETWORKS, NetworkModule, Stem, is_picture, scaled
from lateapex.models.official import Official


class UserNetwork(NetworkModule):
    """Dresses a module as a network.

    The module is built with the spaces and called with a dictionary: from each sensor's name to float32 `[B, C, H, W]`
    in 0..1, or `[B, R]` of a lidar; it returns `[B, F]`, whatever F is. Its first weights are its own affair. It is
    never in training mode, since an action is judged again by what it was chosen by: dropout passes all, and batch
    normalisation keeps the averages that it began with.
    """

    heavy = True
    own_weights = True

    def __init__(self, spaces: Spaces, kind: type[Any], reference: str) -> None:
        super().__init__(spaces)
        self._reference, self._path = reference, file_of(reference)
        try:
            module = kind(dict(self.spaces))
        except Exception as error:  # whatever the user's class raises
            raise self._failed(error) from None
        if not isinstance(module, nn.Module):
            raise ConfigError(f"{reference} is no torch.nn.Module; let the class extend it")
        self.module = module.eval()
        example = {name: torch.zeros(2, *_channels_first(shape)) for name, shape in self.spaces.items()}
        with torch.no_grad():
            features = self._called(example)
        self.features = features.shape[1]

    def forward(self, stemmed: Stem) -> Tensor:
        """`[B, F]`."""
        return self._called({name: scaled(value) for name, value in stemmed.items()}).float()

    def _called(self, seen: Mapping[str, Tensor]) -> Tensor:
        try:
            features: Tensor = self.module(seen)
        except Exception as error:  # whatever the user's class raises
            raise self._failed(error) from None
        count = len(next(iter(seen.values())))
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != count or not features.shape[1]:
            found = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ConfigError(f"{self._reference} returned {found} for {count} observations; [{count}, F] is needed")
        return features

    def _failed(self, error: Exception) -> ConfigError:
        return ConfigError(told(error, self._path))


def build_network(name: str, spaces: Spaces, code: Mapping[str, str], *, embedders_only: bool = False) -> NetworkModule:
    """Build a network of the table, or of a user's file, whose text is in `code`.

    Args:
        embedders_only: the official ones without their dense layers; see `Official`.

    Raises:
        ConfigError: it is unknown, does not fit the sensors, or fails.
    """
    if is_reference(name):
        return UserNetwork(spaces, load_class(name, code), name)
    kind = network_class(name)
    return kind(spaces, embedders_only=True) if embedders_only and issubclass(kind, Official) else kind(spaces)


def network_class(name: str) -> type[NetworkModule]:
    """Return the class of a network of ours, for actors or for critics alone.

    Raises:
        ConfigError: the name is unknown.
    """
    return CRITICS.get(name) if name in CRITICS.names() else NETWORKS.get(name)


def check_network(name: str, *, critic: bool = False) -> None:
    """Refuse what can be no network; of a class in a user's file only that it is named.

    Args:
        critic: whether it is to be one.

    Raises:
        ConfigError: the name is unknown, or that of a network for critics alone.
    """
    if name in CRITICS.names():
        if critic:
            return
        raise ConfigError(f'network "{name}" sees what no sensor of the car gives; write critic = "{name}" instead')
    if is_reference(name):
        return
    if name.endswith(".py"):
        raise ConfigError(f"network {name!r} names no class; write {name}:MyNet")
    NETWORKS.get(name)


def is_heavy(name: str) -> bool:
    """Whether half-width numbers pay; see `NetworkModule.heavy`."""
    return True if is_reference(name) else network_class(name).heavy


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[2], *shape[:2]) if is_picture(shape) else shape
