"""Versions of the model for those who drive with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_models import decide, made_policy

from lateapex.errors import FormatError
from lateapex.models.networks import NETWORKS
from lateapex.models.policy import BLOCK, Policy
from lateapex.sim.random import ACTION, uniforms
from lateapex.workers import weights
from lateapex.workers.weights import LARGE, load_weights, pack_weights

HEIGHT, WIDTH = 120, 160


def made(network: str, seed: int, head: str = "categorical") -> Policy:
    critic = "lean" if network == "recurrent" else network
    return made_policy(HEIGHT, WIDTH, 1, 2, head=head, network=network, critic=critic, seed=seed)


def learned(policy: Policy) -> Policy:
    """The same with weights that no shorter number holds, biases too."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in policy.parameters():
            weight += 0.01 * torch.randn(weight.shape, generator=random)
    return policy


def decided(policy: Policy, bf16: bool) -> tuple[torch.Tensor, ...]:
    seen = np.random.default_rng(1).integers(0, 256, (BLOCK, HEIGHT, WIDTH), np.uint8)
    decision = decide(policy, seen, uniforms(2, np.arange(BLOCK), 0, ACTION), bf16)
    return decision.actions, decision.log_probs, decision.values, decision.memory.actor


@pytest.fixture(params=[1, LARGE], ids=["all layers", "large layers"])
def large(request, monkeypatch) -> int:
    """From which size on layers are rounded."""
    monkeypatch.setattr(weights, "LARGE", request.param)
    return request.param


@pytest.mark.parametrize("head", ["categorical", "gaussian", "squashed"])
@pytest.mark.parametrize("network", [name for name in NETWORKS.names() if not name.isupper()])
def test_who_computes_in_bfloat16_decides_the_same_with_rounded_weights(network, head, large):
    policy, other = learned(made(network, 1, head)), made(network, 2, head)
    assert load_weights(other, pack_weights(policy, 77, bf16=True), "it") == 77
    if large == 1:
        assert any(not torch.equal(*pair) for pair in zip(policy.parameters(), other.parameters(), strict=True))
    for one, two in zip(decided(policy, True), decided(other, True), strict=True):
        assert torch.equal(one, two)


def test_who_computes_in_full_precision_gets_large_layers_to_eleven_digits_and_the_rest_whole():
    policy, other = learned(made("shallow", 1)), made("shallow", 2)
    load_weights(other, pack_weights(policy, 0, bf16=False), "it")
    rounded = 0
    for one, two in zip(policy.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one, two, rtol=2**-11, atol=2**-25)  # half a step; below 2**-14 steps are of one size
        assert torch.equal(one, two) or one.numel() >= LARGE
        rounded += not torch.equal(one, two)
    assert rounded == 2  # the dense layer of each network


def test_a_light_network_gets_all_of_it():
    policy, other = learned(made("lean", 1)), made("lean", 2)
    load_weights(other, pack_weights(policy, 0, bf16=False), "it")
    assert all(torch.equal(one, two) for one, two in zip(policy.parameters(), other.parameters(), strict=True))


def test_what_half_as_many_digits_cannot_hold_travels_as_it_is():
    policy, other = made("shallow", 1), made("shallow", 2)
    layer = policy.actor.network.dense[0]
    with torch.no_grad():
        layer.weight[0, 0] = 70_000.0  # float16 ends at 65,504
    load_weights(other, pack_weights(policy, 0, bf16=False), "it")
    assert torch.equal(layer.weight, other.actor.network.dense[0].weight)


@pytest.mark.parametrize("bf16", [True, False])
def test_a_version_is_half_as_long_as_its_weights(bf16):
    policy = made("shallow", 1)
    whole = 4 * sum(weight.numel() for weight in policy.parameters())
    assert 0.5 * whole < len(pack_weights(policy, 0, bf16=bf16)) < 0.52 * whole


def test_what_fits_no_policy_of_the_run_is_told():
    with pytest.raises(FormatError, match=r"version 3 does not fit the run's files"):
        load_weights(made("lean", 1), pack_weights(made("shallow", 1), 0, bf16=True), "version 3")
    with pytest.raises(FormatError, match=r"version 3 is damaged, or no file of ours"):
        load_weights(made("lean", 1), b"no model", "version 3")
