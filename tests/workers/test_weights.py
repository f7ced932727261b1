"""Versions of the model for those who drive with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_models import judged, made_policy, stem
from torch.nn import functional

from lateapex.errors import FormatError
from lateapex.models.networks import NETWORKS
from lateapex.models.policy import BLOCK, Policy
from lateapex.workers import weights
from lateapex.workers.weights import _in_steps, _restore, critic_travels, load_weights, pack_weights

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


def arriving(*policies: Policy) -> tuple[list[torch.Tensor], ...]:
    """The weights of each that a version has."""
    return tuple(list((each if critic_travels(each) else each.actor).parameters()) for each in policies)


@torch.no_grad()
def divergence(policy: Policy, other: Policy, bf16: bool) -> float:
    """Of Kullback and Leibler, of what the other does from what the policy does, nats, mean over pictures."""
    seen = np.random.default_rng(1).integers(0, 256, (BLOCK, HEIGHT, WIDTH), np.uint8)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        outputs = (judged(each.actor, stem(each.actor, seen)).float() for each in (policy, other))
        mine, theirs = (torch.log_softmax(output, -1) for output in outputs)
    return float((mine.exp() * (mine - theirs)).sum(-1).mean())


def groups(weight: torch.Tensor) -> torch.Tensor:
    """`[rows, 32, C]`: those that have one step below each other; zeros where there is nothing."""
    rows = weight.detach().flatten(1)
    return functional.pad(rows, (0, -rows.shape[1] % 32)).view(len(rows), 32, -1)


@pytest.mark.parametrize(
    ("network", "head"),
    [(name, "categorical") for name in NETWORKS.names() if not name.isupper()]
    + [("lean", "gaussian"), ("lean", "squashed")],
)
def test_layers_arrive_within_half_a_step_of_their_groups_and_all_else_whole(network, head, monkeypatch):
    monkeypatch.setattr(weights, "LARGE", 1000)
    policy, other = learned(made(network, 1, head)), made(network, 2, head)
    assert load_weights(other, pack_weights(policy, 77), "it") == 77
    rounded = 0
    for one, two in zip(*arriving(policy, other), strict=True):
        if torch.equal(one, two):
            continue
        rounded += 1
        sent, found = groups(one), groups(two)
        largest = sent.abs().amax(1, keepdim=True)
        assert ((sent - found).abs() <= largest / 14 * 1.06).all()  # a step has eight binary digits itself
        assert torch.allclose(found.abs().amax(1, keepdim=True), largest, rtol=1 / 256)
        assert one.numel() >= 1000
    assert rounded


def test_a_group_is_rounded_to_multiples_of_its_own_step(monkeypatch):
    monkeypatch.setattr(weights, "LARGE", 1000)
    policy, other = made("shallow", 1), made("shallow", 2)
    layer, theirs = policy.actor.network.dense[0].weight, other.actor.network.dense[0].weight
    apart = layer.shape[1] // 32  # members of a group are so many columns apart
    with torch.no_grad():
        layer[0], layer[1], layer[2] = 0.0, 1e-45, 0.0
        layer[2, : 6 * apart : apart] = torch.tensor([-14.0, -3.0, 2.9, 1.1, 5.0, 14.0])
        layer[2, 1] = 0.25  # of the group beside it
    load_weights(other, pack_weights(policy, 0), "it")
    assert (theirs[0] == 0.0).all()
    assert (theirs[1].abs() <= 1e-44).all()
    found = theirs.detach()[2]
    assert found[: 7 * apart : apart].tolist() == [-14.0, -4.0, 2.0, 2.0, 4.0, 14.0, 0.0]  # steps of 2, a half to even
    assert found[1] == pytest.approx(0.25, rel=1 / 256)


@pytest.mark.parametrize("shape", [(3, 33), (2, 5, 3, 3), (1, 31), (4, 64), (5, 1)])
def test_rows_of_any_length_arrive(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = torch.full(shape, torch.nan)
    _restore(found, _in_steps(weight))
    assert ((weight - found).abs() <= weight.abs().amax() / 14 * 1.06).all()


@pytest.mark.parametrize("bf16", [True, False])
def test_what_rounding_changes_is_small_beside_what_an_update_changes(bf16):
    policy, other, updated = (learned(made("shallow", 1)) for _ in range(3))
    load_weights(other, pack_weights(policy, 0), "it")
    random = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for weight in updated.parameters():  # 64 steps of Adam at lr = 1e-3, as if each went at random
            weight += 1e-3 * 8.0 * torch.randn(weight.shape, generator=random)
    far, near = (divergence(policy, each, bf16) for each in (updated, other))
    assert near < far / 20
    assert near < 1e-4


def test_a_light_network_gets_all_of_it():
    policy, other = learned(made("lean", 1)), made("lean", 2)
    load_weights(other, pack_weights(policy, 0), "it")
    assert all(torch.equal(one, two) for one, two in zip(*arriving(policy, other), strict=True))


def test_a_critic_stays_at_home():
    policy, other = learned(made("shallow", 1)), made("shallow", 2)
    before = [weight.clone() for weight in other.critic.parameters()]
    load_weights(other, pack_weights(policy, 0), "it")
    assert all(torch.equal(one, two) for one, two in zip(before, other.critic.parameters(), strict=True))
    assert not critic_travels(policy)


def test_a_critic_that_remembers_travels():
    policy, other = (made_policy(HEIGHT, WIDTH, 1, 2, network="lean", critic="recurrent", seed=seed) for seed in (1, 2))
    load_weights(other, pack_weights(learned(policy), 0), "it")
    assert all(torch.equal(one, two) for one, two in zip(policy.parameters(), other.parameters(), strict=True))
    assert critic_travels(policy)


def test_what_no_step_can_hold_travels_as_it_is():
    policy, other = made("shallow", 1), made("shallow", 2)
    layer = policy.actor.network.dense[0]
    with torch.no_grad():
        layer.weight[0, 0] = torch.inf
    load_weights(other, pack_weights(policy, 0), "it")
    assert torch.equal(layer.weight, other.actor.network.dense[0].weight)


def test_a_version_is_a_seventh_as_long_as_the_weights_of_its_actor():
    policy = made("shallow", 1)
    whole = 4 * sum(weight.numel() for weight in policy.actor.parameters())
    assert whole / 8 < len(pack_weights(policy, 0)) < whole / 6.5


def test_what_fits_no_policy_of_the_run_is_told():
    with pytest.raises(FormatError, match=r"version 3 does not fit the run's files"):
        load_weights(made("lean", 1), pack_weights(made("shallow", 1), 0), "version 3")
    with pytest.raises(FormatError, match=r"version 3 is damaged, or no file of ours"):
        load_weights(made("lean", 1), b"no model", "version 3")
