"""Decisions of a policy: the same for a car whatever cars are beside it, drawn as asked, from reproducible weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from made_models import decide, greedy, judged, made_policy, stem, values
from numpy.typing import NDArray
from torch import nn

from lateapex.models.policy import BLOCK, Decision, Policy, state_of
from lateapex.sim.random import ACTION, uniforms

LEAN = made_policy(40, 48, 1, 6, seed=1)
each_kind = pytest.mark.parametrize(
    ("network", "critic", "continuous"),
    [("lean", "lean", False), ("shallow", "lean", False), ("lean", "shallow", True), ("shallow", "shallow", True)],
)


def made(network: str, critic: str, continuous: bool) -> Policy:
    head = "gaussian" if continuous else "categorical"
    return made_policy(40, 48, 1, 2 if continuous else 6, head=head, network=network, critic=critic, seed=1)


def tensors(decision: Decision) -> list[torch.Tensor]:
    parts = (decision.actor_stem, decision.critic_stem)
    return [
        decision.actions,
        decision.log_probs,
        decision.values,
        *(value for part in parts for value in part.values()),
    ]


def pictures(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 40, 48), np.uint8)


def draws(count: int, seed: int = 0) -> NDArray[np.float64]:
    return uniforms(seed, np.arange(count), 0, ACTION)


# ------------------------------------------------------------------------------------------------------- decisions


@each_kind
@pytest.mark.parametrize("bf16", [False, True])
def test_a_decision_does_not_depend_on_the_other_cars(network: str, critic: str, continuous: bool, bf16: bool) -> None:
    policy = made(network, critic, continuous)
    seen, drawn = pictures(2 * BLOCK + 3), draws(2 * BLOCK + 3)
    every = decide(policy, seen, drawn, bf16)
    for count in (1, 2, BLOCK - 1, BLOCK, BLOCK + 1):
        some = decide(policy, seen[:count], drawn[:count], bf16)
        for one, two in zip(tensors(some), tensors(every), strict=True):
            assert torch.equal(one, two[:count])
    others = pictures(2 * BLOCK + 3, seed=9)
    others[5], others[BLOCK + 7] = seen[5], seen[BLOCK + 7]
    beside = decide(policy, others, drawn, bf16)
    for one, two in zip(tensors(beside), tensors(every), strict=True):
        assert torch.equal(one[[5, BLOCK + 7]], two[[5, BLOCK + 7]])
    assert not torch.equal(beside.values, every.values)


@each_kind
def test_a_decision_says_what_it_rests_on(network: str, critic: str, continuous: bool) -> None:
    policy = made(network, critic, continuous)
    seen = pictures(5)
    decision = decide(policy, seen, draws(5))
    stems = [stem(part, seen) for part in (policy.actor, policy.critic)]
    for ours, theirs in zip((decision.actor_stem, decision.critic_stem), stems, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with torch.no_grad():
        parameters, worth = judged(policy.actor, stems[0]), judged(policy.critic, stems[1])
    torch.testing.assert_close(decision.log_probs, policy.actor.head.log_prob(parameters, decision.actions))
    torch.testing.assert_close(decision.values, worth)
    torch.testing.assert_close(decision.values, values(policy, seen))
    assert decision.actions.shape == ((5, 2) if continuous else (5,))
    assert not decision.log_probs.requires_grad


@each_kind
def test_values_and_greedy_actions_do_not_depend_on_the_other_cars(network: str, critic: str, continuous: bool) -> None:
    policy = made(network, critic, continuous)
    seen = pictures(BLOCK + 4)
    for count in (1, 3, BLOCK):
        assert torch.equal(values(policy, seen)[:count], values(policy, seen[:count]))
        np.testing.assert_array_equal(greedy(policy, seen)[:count], greedy(policy, seen[:count]))


def test_actions_are_as_frequent_as_their_probabilities_say() -> None:
    seen = pictures(1).repeat(1000, axis=0)
    even = np.tile(((np.arange(1000) + 0.5) / 1000)[:, None], (1, 4))
    counts = np.bincount(decide(LEAN, seen, even).actions.numpy(), minlength=6)
    with torch.no_grad():
        chances = judged(LEAN.actor, stem(LEAN.actor, seen[:1])).exp()[0]
    assert counts.max() < 900
    np.testing.assert_allclose(counts, 1000 * chances.numpy(), atol=1.001)


def test_the_greedy_action_is_the_most_probable() -> None:
    seen = pictures(9)
    with torch.no_grad():
        chances = judged(LEAN.actor, stem(LEAN.actor, seen))
    assert greedy(LEAN, seen).tolist() == chances.argmax(dim=1).tolist()


def test_the_greedy_action_of_two_ranges_is_the_mean() -> None:
    policy = made("lean", "lean", True)
    seen = pictures(4)
    with torch.no_grad():
        parameters = judged(policy.actor, stem(policy.actor, seen))
    np.testing.assert_allclose(greedy(policy, seen), parameters[:, :2].numpy(), rtol=1e-4, atol=1e-6)
    assert greedy(policy, seen).dtype == np.float32


@each_kind
def test_half_width_numbers_come_close_and_go_out_in_full_width(network: str, critic: str, continuous: bool) -> None:
    policy = made(network, critic, continuous)
    full, half = (decide(policy, pictures(4), draws(4), bf16) for bf16 in (False, True))
    assert half.log_probs.dtype == half.values.dtype == torch.float32
    assert not torch.equal(half.values, full.values)
    torch.testing.assert_close(half.values, full.values, rtol=0.1, atol=0.05)


# ------------------------------------------------------------------------------------------------------- weights


@each_kind
def test_the_seed_decides_the_weights(network: str, critic: str, continuous: bool) -> None:
    kinds = {"head": "gaussian" if continuous else "categorical", "network": network, "critic": critic}
    one, same, other = (made_policy(40, 48, 1, 2, **kinds, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    differing = {name for name in one if not torch.equal(one[name], other[name])}
    assert differing == {name for name in one if name.endswith("weight")}


def test_first_weights_are_glorot_uniform_and_biases_zero() -> None:
    policy = made_policy(40, 48, 1, 6, network="shallow", critic="shallow", seed=2)
    for name, module in policy.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and name != "critic.head":
            area = math.prod(module.kernel_size) if isinstance(module, nn.Conv2d) else 1
            fans = (module.weight.shape[0] + module.weight.shape[1]) * area
            bound = math.sqrt(6 / fans)
            assert 0.95 * bound < module.weight.abs().max() <= bound
            assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert module.bias is not None
            assert not module.bias.any()


def test_heads_of_values_and_means_have_normalised_columns() -> None:
    policy = made("lean", "lean", True)
    assert isinstance(policy.critic.head, nn.Linear)
    assert policy.critic.head.weight.norm(dim=1).tolist() == pytest.approx([1.0])
    assert policy.actor.head.linear.weight.norm(dim=1).tolist() == pytest.approx([0.01, 0.01])


def test_actor_and_critic_share_no_weights() -> None:
    ours = {weight.data_ptr() for weight in LEAN.actor.parameters()}
    theirs = {weight.data_ptr() for weight in LEAN.critic.parameters()}
    assert not ours & theirs
    first = [next(part.network.parameters()) for part in (LEAN.actor, LEAN.critic)]
    assert not torch.equal(first[0], first[1])


def test_the_state_is_a_copy() -> None:
    policy = made_policy(40, 48, 1, 6, network="shallow", seed=1)
    state = state_of(policy)
    assert state.keys() == policy.state_dict().keys()
    kept = {name: value.clone() for name, value in state.items()}
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(1.0)
    assert all(torch.equal(value, kept[name]) for name, value in state.items())
    assert all(value.is_contiguous() for value in state.values())
