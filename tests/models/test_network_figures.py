"""What a network is said to consist of and to cost, against sums worked by hand, for 160x120 grey pictures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lateapex.models.blueprint import Blueprint, Spaces
from lateapex.models.network_figures import REPEATS, Figures, figures, forward_milliseconds
from lateapex.models.policy import Policy

FRONT = "FRONT_FACING_CAMERA"
HEAD = 64 * 10  # multiply-adds of the layer that scores 10 actions, from 64 features

SHALLOW = [
    ((32, 29, 39), 32 * 65, 29 * 39 * 32 * 64),
    ((64, 13, 18), 64 * 513, 13 * 18 * 64 * 512),
    ((64, 11, 16), 64 * 577, 11 * 16 * 64 * 576),
    ((512,), 512 * 11265, 512 * 11264),
]
DEEP = [
    ((32, 58, 78), 32 * 26, 58 * 78 * 32 * 25),
    ((32, 56, 76), 32 * 289, 56 * 76 * 32 * 288),
    ((64, 27, 37), 64 * 289, 27 * 37 * 64 * 288),
    ((64, 25, 35), 64 * 577, 25 * 35 * 64 * 576),
    ((25, 35, 64), 64 * 65, 25 * 35 * 64 * 64),
    ((512,), 512 * 56001, 512 * 56000),
]
DEEPER = [
    ((32, 29, 39), 32 * 65, 29 * 39 * 32 * 64),
    ((32, 13, 18), 32 * 513, 13 * 18 * 32 * 512),
    ((64, 5, 8), 64 * 513, 5 * 8 * 64 * 512),
    ((64, 3, 6), 64 * 577, 3 * 6 * 64 * 576),
    ((3, 6, 512), 512 * 65, 3 * 6 * 512 * 64),
    ((3, 6, 512), 512 * 513, 3 * 6 * 512 * 512),
    ((256,), 256 * 9217, 256 * 9216),
    ((128,), 128 * 257, 128 * 256),
]
LEAN = [((128,), 128 * 1201, 128 * 1200), ((64,), 64 * 129, 64 * 128)]
# Three gates of 64, from 64 features and 64 remembered numbers, each with a bias.
RECURRENT = [*LEAN, ((64,), 3 * 64 * (64 + 1 + 64 + 1), 3 * 64 * (64 + 64))]
# 176 places of 32 channels and 2 of their own place; 4 looks, whose sums are arithmetic without weights.
ATTENTION = [
    ((16, 29, 39), 16 * 65, 29 * 39 * 16 * 64),
    ((32, 13, 18), 32 * 257, 13 * 18 * 32 * 256),
    ((32, 11, 16), 32 * 289, 11 * 16 * 32 * 288),
    ((176, 32), 32 * 35, 176 * 32 * 34),
    ((176, 4), 4 * 33, 176 * 4 * 32),
    ((136,), 0, 176 * 4 * 34),
    ((64,), 64 * 137, 64 * 136),
]
BY_HAND = {
    "shallow": SHALLOW,
    "deep": DEEP,
    "deeper": DEEPER,
    "lean": LEAN,
    "recurrent": RECURRENT,
    "attention": ATTENTION,
}

OWN = """
import torch
from torch import nn
from torch.nn import functional

class Own(nn.Module):
    def __init__(self, spaces):
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(3, 1, 5, 5))
        self.pool = nn.MaxPool2d(4)
        self.unused = nn.Linear(2, 2)

    def forward(self, seen):
        maps = functional.conv2d(seen["FRONT_FACING_CAMERA"], self.kernel, stride=2)
        return torch.relu(self.pool(maps)).flatten(1) @ torch.ones(3 * 14 * 19, 8)
"""


def policy(network: str, spaces: Spaces | None = None, **more: object) -> Policy:
    sensors = dict(spaces or {FRONT: (120, 160, 1)})
    return Policy(Blueprint(sensors=sensors, actions=10, network=network, **more), code={"own.py": OWN})


def found(network: str, spaces: Spaces | None = None) -> Figures:
    built = policy(network, spaces)
    return figures(built.actor, built.inputs.spaces)


@pytest.mark.parametrize("name", BY_HAND)
def test_layers_weights_and_multiply_adds_are_those_of_the_sums_by_hand(name: str) -> None:
    first, *layers, head = found(name).layers
    assert [(layer.output, layer.parameters, layer.multiply_adds) for layer in layers] == BY_HAND[name]
    assert first.kind == "stem"
    features = BY_HAND[name][-1][0][-1]
    assert (head.output, head.parameters, head.multiply_adds) == ((10,), 10 * (features + 1), 10 * features)


def test_shallow_is_as_large_as_others_measured_it() -> None:
    whole = found("shallow")
    assert whole.parameters - whole.layers[-1].parameters == 5_839_520
    assert round((whole.flops - 2 * whole.layers[-1].multiply_adds) / 1e6, 1) == 44.5
    assert whole.weight_bytes == 4 * whole.parameters


@pytest.mark.parametrize("name", BY_HAND)
def test_every_weight_is_counted_once(name: str) -> None:
    built = policy(name)
    counted = sum(weight.numel() for weight in built.actor.parameters())
    assert figures(built.actor, built.inputs.spaces).parameters == counted


def test_what_is_stored_and_held_is_told_in_bytes() -> None:
    # A picture of bytes; both maps of a convolution, before and behind its ReLU, and all else as float32.
    shallow = found("shallow")
    assert shallow.stored_bytes == 160 * 120
    maps = [32 * 29 * 39, 64 * 13 * 18, 64 * 11 * 16, 512]
    assert shallow.output_bytes == 4 * (2 * sum(maps) + 10)
    assert found("lean").stored_bytes == 4 * 1200
    assert found("recurrent").memory == 64


def test_a_layer_is_told_by_its_name_and_kind() -> None:
    shown = [(layer.name, layer.kind) for layer in found("shallow").layers]
    assert shown == [
        (FRONT, "stem"),
        (f"embedders.{FRONT}.convolutions.0", "Conv2d 8x8, stride 4"),
        (f"embedders.{FRONT}.convolutions.2", "Conv2d 4x4, stride 2"),
        (f"embedders.{FRONT}.convolutions.4", "Conv2d 3x3"),
        ("dense.0", "Linear"),
        ("head.linear", "Linear"),
    ]


def test_a_lidar_has_layers_of_its_own() -> None:
    spaces: Spaces = {FRONT: (96, 112, 1), "LIDAR": (64,)}
    lidar = [layer for layer in found("shallow", spaces).layers if layer.name.startswith("embedders.LIDAR")]
    assert [(layer.parameters, layer.multiply_adds) for layer in lidar] == [(256 * 65, 256 * 64), (256 * 257, 256**2)]


def test_the_critic_gives_one_value() -> None:
    built = policy("lean")
    last = figures(built.critic, built.inputs.spaces).layers[-1]
    assert (last.name, last.output, last.parameters, last.multiply_adds) == ("head", (1,), 65, 64)


def test_arithmetic_without_a_module_belongs_to_whatever_does_it() -> None:
    layers = found("own.py:Own").layers
    assert [(layer.name, layer.kind) for layer in layers] == [
        (FRONT, "stem"),
        ("pool", "MaxPool2d"),
        ("network", "Own"),
        ("head.linear", "Linear"),
        ("unused", "Linear"),
    ]
    pool, own, unused = layers[1], layers[2], layers[4]
    assert (pool.output, pool.parameters, pool.multiply_adds) == ((3, 14, 19), 0, 0)
    assert (own.output, own.parameters) == ((8,), 75)
    assert own.multiply_adds == 3 * 58 * 78 * 25 + 3 * 14 * 19 * 8
    assert (unused.output, unused.parameters, unused.multiply_adds) == ((), 6, 0)


def test_looking_at_a_network_leaves_it_as_it_was() -> None:
    built = policy("recurrent")
    before = [weight.clone() for weight in built.parameters()]
    figures(built.actor, built.inputs.spaces)
    assert all(torch.equal(one, two) for one, two in zip(before, built.parameters(), strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in built.modules())


def test_a_forward_time_is_the_median_without_the_first() -> None:
    built = policy("lean")
    calls: list[int] = []

    class Counted(nn.Module):
        def forward(self, stemmed: dict[str, Tensor], *_: Tensor) -> Tensor:
            calls.append(len(stemmed["flat"]))
            return functional.relu(stemmed["flat"])

        network = built.actor.network

    # The first takes 100 s, the others 1, 2, ... 9 s.
    taken = iter([value for seconds in (100.0, *range(1, REPEATS + 1)) for value in (0.0, float(seconds))])
    counted: Any = Counted()
    milliseconds = forward_milliseconds(counted, built.inputs.spaces, 32, lambda: next(taken))
    assert milliseconds == 5000.0
    assert calls == [32] * (REPEATS + 1)
