"""Whatever is listed as a network: its shapes, its gradients, its file, its seed, with any set of sensors."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lateapex.errors import ConfigError
from lateapex.models.blueprint import Blueprint, Spaces
from lateapex.models.networks import NETWORKS, NetworkModule
from lateapex.models.policy import Actor, Critic, Policy, state_of

SENSORS: dict[str, Spaces] = {
    "front": {"FRONT_FACING_CAMERA": (96, 112, 1)},
    "colour": {"FRONT_FACING_CAMERA": (96, 112, 3)},
    "stereo": {"STEREO_CAMERAS": (96, 112, 2)},
    "lidar": {"LEFT_CAMERA": (96, 112, 1), "LIDAR": (64,)},
    "sectors": {"STEREO_CAMERAS": (96, 112, 2), "SECTOR_LIDAR": (8,)},
}
OTHER_NAMES = {
    "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": "shallow",
    "DEEP_CONVOLUTIONAL_NETWORK": "deep",
    "DEEP_CONVOLUTIONAL_NETWORK_DEEP": "deeper",
}
each_network = pytest.mark.parametrize("name", [name for name in NETWORKS.names() if name not in OTHER_NAMES])
each_set = pytest.mark.parametrize("sensors", SENSORS)


def observations(spaces: Spaces, count: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    return {
        name: random.integers(0, 256, (count, *shape), np.uint8)
        if len(shape) == 3
        else random.random((count, *shape), np.float32)
        for name, shape in spaces.items()
    }


def built(name: str, spaces: Spaces) -> NetworkModule:
    return NETWORKS.get(name)(spaces)


def stemmed(network: NetworkModule, seen: dict[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    return network.stem({key: torch.from_numpy(value) for key, value in seen.items()})


def made(name: str, spaces: Spaces, seed: int = 0, critic: str | None = None) -> Policy:
    return Policy(Blueprint(sensors=dict(spaces), actions=7, network=name, critic=critic or name), seed)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_the_originals_names_are_those_of_our_networks(name: str) -> None:
    assert NETWORKS.get(name) is NETWORKS.get(OTHER_NAMES[name])


def test_the_network_of_the_state_is_a_critic_and_no_actor() -> None:
    front = {"FRONT_FACING_CAMERA": (96, 112, 1)}
    with pytest.raises(ConfigError, match='write critic = "state" instead'):
        Policy(Blueprint(sensors=front, actions=7, network="state"))
    with pytest.raises(ConfigError, match='write critic = "state" instead'):
        Policy(Blueprint(sensors=front, actions=7, critic="state"))  # of a task that does not tell it
    policy = Policy(Blueprint(sensors=front, actions=7, critic="state", critic_sensors={"STATE": (21,)}))
    one, two, other = (observations({**front, "STATE": (21,)}, 3, seed) for seed in (0, 0, 1))
    two["FRONT_FACING_CAMERA"] = other["FRONT_FACING_CAMERA"]
    values = [policy.peek(seen, policy.memory(3), np.ones(3, np.bool_)).values for seen in (one, two, other)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


@each_network
@each_set
def test_features_have_the_declared_shape(name: str, sensors: str) -> None:
    network = built(name, SENSORS[sensors])
    for count in (1, 3):
        features = network(stemmed(network, observations(SENSORS[sensors], count)))
        assert features.shape == (count, network.features)
        assert features.dtype == torch.float32
        assert torch.isfinite(features).all()
        if network.memory:
            after = network.recur(features, torch.zeros(count, network.memory))
            assert [part.shape for part in after] == [(count, network.features), (count, network.memory)]


@each_network
@each_set
def test_the_stem_has_no_weights_and_treats_each_observation_alone(name: str, sensors: str) -> None:
    network = built(name, SENSORS[sensors])
    seen = observations(SENSORS[sensors], 4)
    together = stemmed(network, seen)
    for part, values in together.items():
        assert not values.requires_grad
        assert len(values) == 4
        for place in range(4):
            alone = stemmed(network, {key: value[place : place + 1] for key, value in seen.items()})
            assert torch.equal(alone[part][0], values[place])


@each_network
@each_set
@pytest.mark.parametrize("kind", [Actor, Critic])
def test_gradients_reach_every_weight(name: str, sensors: str, kind: type[Actor] | type[Critic]) -> None:
    actor, critic = (name, "lean") if kind is Actor else ("lean", name)
    policy = made(actor, SENSORS[sensors], 3, critic)
    module = policy.actor if kind is Actor else policy.critic
    stem = stemmed(module.network, observations(SENSORS[sensors], 8))
    # Two steps of four cars, so that a memory matters.
    found, _ = module(stem, torch.zeros(4, module.network.memory), torch.zeros(2, 4, dtype=torch.bool))
    (found[:, 0].sum() if found.ndim == 2 else found.sum()).backward()
    for weight_name, weight in module.named_parameters():
        assert weight.grad is not None, weight_name
        assert torch.isfinite(weight.grad).all(), weight_name
        assert weight.grad.abs().max() > 0, weight_name


@each_network
@each_set
def test_a_file_of_plain_tensors_brings_the_same_policy_back(name: str, sensors: str) -> None:
    policy, other = (made(name, SENSORS[sensors], seed) for seed in (1, 2))
    buffer = io.BytesIO()
    torch.save(state_of(policy), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    seen, draws = observations(SENSORS[sensors], 3), np.linspace(0.0, 0.99, 12).reshape(3, 4)
    first = np.ones(3, np.bool_)
    one, two = (each.decide(seen, each.memory(3), first, draws) for each in (policy, other))
    np.testing.assert_array_equal(one.actions, two.actions)
    assert torch.equal(one.log_probs, two.log_probs)
    assert torch.equal(one.values, two.values)
    assert torch.equal(one.memory.actor, two.memory.actor)


@each_network
def test_the_seed_alone_decides_the_first_weights(name: str) -> None:
    spaces = {"FRONT_FACING_CAMERA": (96, 112, 1)}

    def weights(seed: int) -> list[bytes]:
        return [weight.detach().numpy().tobytes() for weight in made(name, spaces, seed, "lean").parameters()]

    torch.manual_seed(54)  # torch's own generator plays no part
    first = weights(4)
    torch.manual_seed(0)
    assert weights(4) == first
    assert weights(5) != first


@each_network
def test_building_a_policy_leaves_torchs_own_generator_alone(name: str) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    made(name, {"FRONT_FACING_CAMERA": (96, 112, 1)})
    assert torch.equal(torch.rand(3), expected)
