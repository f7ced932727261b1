"""Whatever is listed as a network: its shapes, its gradients, its file, its seed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from lateapex.models.networks import NETWORKS
from lateapex.models.policy import Actor, Critic, Policy, Shape, state_of

SHAPE = Shape(120, 160, 1, 7)
each_network = pytest.mark.parametrize("name", NETWORKS.names())


def pictures(count: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(count).integers(0, 256, (count, 120, 160, 1), np.uint8))


@each_network
@pytest.mark.parametrize("height_width", [(120, 160), (48, 64)])
def test_features_have_the_declared_shape(name: str, height_width: tuple[int, int]) -> None:
    height, width = height_width
    network = NETWORKS.get(name)(height, width, 1)
    for count in (1, 3):
        features = network(network.stem(pictures(count)[:, :height, :width]))
        assert features.shape == (count, network.features)
        assert features.dtype == torch.float32
        assert torch.isfinite(features).all()


@each_network
def test_the_stem_has_no_weights_and_treats_each_picture_alone(name: str) -> None:
    network = NETWORKS.get(name)(120, 160, 1)
    seen = pictures(4)
    stemmed = network.stem(seen)
    assert not stemmed.requires_grad
    assert len(stemmed) == 4
    for place in range(4):
        assert torch.equal(network.stem(seen[place : place + 1])[0], stemmed[place])


@each_network
@pytest.mark.parametrize("kind", [Actor, Critic])
def test_gradients_reach_every_weight(name: str, kind: type[Actor] | type[Critic]) -> None:
    policy = Policy(name, name, SHAPE, seed=3)
    module = policy.actor if kind is Actor else policy.critic
    found: torch.Tensor = module(module.network.stem(pictures(8)))
    (found[:, 0].sum() if found.ndim == 2 else found.sum()).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    for weight_name, weight in module.named_parameters():
        assert weight.grad is not None, weight_name
        assert torch.isfinite(weight.grad).all(), weight_name
        assert weight.grad.abs().max() > 0, weight_name


@each_network
def test_a_file_of_plain_tensors_brings_the_same_policy_back(name: str) -> None:
    policy, other = Policy(name, name, SHAPE, seed=1), Policy(name, name, SHAPE, seed=2)
    buffer = io.BytesIO()
    torch.save(state_of(policy), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    seen, draws = pictures(3)[..., 0].numpy(), np.linspace(0.0, 0.99, 12).reshape(3, 4)
    one, two = policy.decide(seen, draws), other.decide(seen, draws)
    np.testing.assert_array_equal(one.actions, two.actions)
    assert torch.equal(one.log_probs, two.log_probs)
    assert torch.equal(one.values, two.values)


@each_network
def test_the_seed_alone_decides_the_first_weights(name: str) -> None:
    def weights(seed: int) -> list[Any]:
        torch.manual_seed(seed + 50)  # torch's own generator plays no part
        return [weight.tolist() for weight in Policy(name, "lean", Shape(48, 64, 1, 7), seed).parameters()]

    first = weights(4)
    torch.manual_seed(0)
    assert [weight.tolist() for weight in Policy(name, "lean", Shape(48, 64, 1, 7), 4).parameters()] == first
    assert weights(5) != first
