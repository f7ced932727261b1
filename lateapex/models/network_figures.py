"""What a network is made of and what it costs: layers with their shapes, weights and arithmetic, found by a run.

Counted are the multiply-adds of convolutions and of matrix products of every kind, in a user's own code too; FLOPs are
twice as many. Biases, activations, sums over a softmax and the stem's means are not counted: they are some percent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lateapex.models.blueprint import Spaces
from lateapex.models.networks import Stem, is_picture
from lateapex.models.policy import Actor, Critic

BATCHES: Final = (1, 32)
"""Observations of the batches that are timed."""
REPEATS: Final = 9


class Layer(NamedTuple):
    """A module that has weights, does arithmetic or changes a shape; or what the stem keeps."""

    name: str
    kind: str
    """Class, and what sets one apart from another: size and stride of a convolution."""
    output: tuple[int, ...]
    """Shape for one observation; maps are C, H, W."""
    parameters: int
    multiply_adds: int
    """For one observation, those of modules within it not among them."""


class Figures(NamedTuple):
    """What a network and its head come to, for one observation where nothing else is said."""

    layers: list[Layer]
    """In the order in which they are done."""
    memory: int
    """Numbers carried from step to step"""
    stored_bytes: int
    """Of what the stem keeps of an observation until it is learned from"""
    output_bytes: int
    """Of all that modules give, about what a sample holds while it is learned from"""

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Of a forward pass."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def flops(self) -> int:
        """Of a forward pass; a multiply-add is two."""
        return 2 * self.multiply_adds

    @property
    def weight_bytes(self) -> int:
        """As float32; while training with Adam it is four times as much: gradient and two moments."""
        return 4 * self.parameters


@torch.no_grad()
def figures(part: Actor | Critic, spaces: Spaces) -> Figures:
    """Run a network and its head on one black observation, and note what happens.

    Args:
        spaces: of what it is given, behind all transforms.
    """
    stemmed = part.network.stem(_black(spaces, 1))
    watch = _Watch(part)
    try:
        with watch.counter:
            _forward(part, stemmed, 1)
    finally:
        watch.close()
    kept = [Layer(name, "stem", tuple(value.shape[1:]), 0, 0) for name, value in stemmed.items()]
    return Figures(
        layers=[*kept, *watch.layers()],
        memory=part.network.memory,
        stored_bytes=sum(value.nbytes for value in stemmed.values()),
        output_bytes=watch.output_bytes,
    )


@torch.no_grad()
def forward_milliseconds(
    part: Actor | Critic, spaces: Spaces, count: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Median time of stem, network and head for `count` observations, with the threads that torch has now."""
    seen = _black(spaces, count)
    taken = []
    for _ in range(REPEATS + 1):  # the first one finds its memory
        begun = clock()
        _forward(part, part.network.stem(seen), count)
        taken.append(clock() - begun)
    return 1e3 * median(taken[1:])


@dataclass
class _Seen:
    """What is noted of one module."""

    changes: bool = False
    """Whether its output has another shape than its input."""
    output: tuple[int, ...] = ()
    multiply_adds: int = 0
    place: int = -1
    """In the order in which modules were done with first."""


@dataclass
class _Watch:
    """Follows a run through all modules: arithmetic belongs to the innermost that is at work."""

    part: Actor | Critic
    counter: FlopCounterMode = field(default_factory=lambda: FlopCounterMode(display=False))
    output_bytes: int = 0

    def __post_init__(self) -> None:
        self._modules = dict(self.part.named_modules())
        self._seen = {name: _Seen() for name in self._modules}
        self._within: list[str] = []
        self._counted = 0
        self._done = 0
        self._handles = []
        for name, module in self._modules.items():
            self._handles += [
                module.register_forward_pre_hook(lambda *_, name=name: self._enter(name)),
                module.register_forward_hook(lambda _, given, made, name=name: self._leave(name, given, made)),
            ]

    def close(self) -> None:
        """Leave the modules as they were."""
        for handle in self._handles:
            handle.remove()

    def layers(self) -> list[Layer]:
        """Those that are worth a line; weights that no run reached come last."""
        found: list[tuple[int, Layer]] = []
        for name, module in self._modules.items():
            seen, parameters = self._seen[name], sum(weight.numel() for weight in module.parameters(recurse=False))
            if parameters or seen.multiply_adds or seen.changes:
                place = seen.place if seen.place >= 0 else self._done
                found.append((place, Layer(_short(name), _kind(module), seen.output, parameters, seen.multiply_adds)))
        return [layer for _, layer in sorted(found, key=lambda item: item[0])]

    def _enter(self, name: str) -> None:
        self._settle()
        self._within.append(name)

    def _leave(self, name: str, given: tuple[Any, ...], made: Any) -> None:
        self._settle()
        self._within.pop()
        seen, output = self._seen[name], _first_tensor(made)
        is_leaf = not any(True for _ in self._modules[name].children())
        if output is not None:
            source = _first_tensor(given)
            seen.output = tuple(output.shape[1:])
            seen.changes = is_leaf and source is not None and source.shape != output.shape
            self.output_bytes += output.nbytes if is_leaf and output is not source else 0
        if seen.place < 0:
            seen.place, self._done = self._done, self._done + 1

    def _settle(self) -> None:
        """Put down what was counted since the last time to the module that was at work."""
        total = self.counter.get_total_flops() // 2
        if self._within:
            self._seen[self._within[-1]].multiply_adds += total - self._counted
        self._counted = total


def _forward(part: Actor | Critic, stemmed: Stem, count: int) -> None:
    part(stemmed, torch.zeros(count, part.network.memory), torch.zeros(1, count, dtype=torch.bool))


def _black(spaces: Spaces, count: int) -> Mapping[str, Tensor]:
    return {
        name: torch.zeros(count, *shape, dtype=torch.uint8 if is_picture(shape) else torch.float32)
        for name, shape in spaces.items()
    }


def _first_tensor(made: Any) -> Tensor | None:
    while isinstance(made, tuple | list) and made:
        made = made[0]
    return made if isinstance(made, Tensor) else None


def _short(name: str) -> str:
    """A module's name without what all have in common."""
    return name.removeprefix("network.").removeprefix("module.") if name != "network.module" else "network"


def _kind(module: nn.Module) -> str:
    kind = type(module).__name__
    if isinstance(module, nn.Conv2d):
        rows, columns = module.kernel_size
        stride = module.stride[0] if isinstance(module.stride, tuple) else module.stride
        return f"{kind} {rows}x{columns}" + (f", stride {stride}" if stride != 1 else "")
    return kind
