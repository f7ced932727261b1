"""SAC: a gradient step against plain torch, the slow copy, what is learned from, and that it learns."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from made_models import blueprint
from torch import Tensor

from lateapex.errors import ConfigError
from lateapex.models.heads import SquashedHead
from lateapex.models.policy import Policy, Seen
from lateapex.storage import MemoryStorage
from lateapex.training.rollout import Rollout
from lateapex.training.sac import SAC, SACConfig

ACTIONS = 3


def made_policy(continuous: bool, seed: int = 0, **more: Any) -> Policy:
    head: Any = "squashed" if continuous else "categorical"
    return Policy(blueprint(actions=2 if continuous else ACTIONS, head=head, **more), seed)


def made_rollout(continuous: bool, steps: int = 6, cars: int = 2, seed: int = 0, **changes: Any) -> Rollout:
    random = np.random.default_rng(seed)
    shape = (steps, cars)
    stem = torch.from_numpy(random.normal(0, 1, (steps + 1, cars, 4)).astype(np.float32))
    actions: Any = torch.from_numpy(random.integers(0, ACTIONS, shape))
    if continuous:
        actions = torch.from_numpy(random.uniform(-1, 1, (*shape, 2)).astype(np.float32))
    values: dict[str, Any] = {
        "actor_stem": {"flat": stem[:-1]},
        "critic_stem": {"flat": stem[:-1]},
        "actor_memory": torch.zeros(*shape, 0),
        "critic_memory": torch.zeros(*shape, 0),
        "fresh": torch.zeros(shape, dtype=torch.bool),
        "actions": actions,
        "log_probs": torch.zeros(shape),
        "values": np.zeros(shape, np.float32),
        "next_values": np.zeros(shape, np.float32),
        "rewards": random.normal(0, 1, shape).astype(np.float32),
        "terminated": random.random(shape) < 0.2,
        "truncated": np.zeros(shape, np.bool_),
        "last": Seen({"flat": stem[-1]}, {"flat": stem[-1]}, torch.zeros(cars)),
        "episodes": [],
        "laps": np.zeros(1),
    }
    return Rollout(**{**values, **changes})


def weights(algorithm: SAC) -> dict[str, Tensor]:
    parts = {"policy": algorithm.policy, "values": algorithm.values, "slow": algorithm.slow}
    return {f"{key}.{name}": value.clone() for key, part in parts.items() for name, value in part.state_dict().items()}


def by_plain_torch(algorithm: SAC, some: Any, normal: Tensor) -> dict[str, Tensor]:
    """Gradients of one step, written out: two action-value losses, the state-value loss, the policy's."""
    policy, alpha, gamma = algorithm.policy, algorithm.config.alpha, algorithm.config.discount
    none, fresh = torch.zeros(len(some.rewards), 0), torch.zeros(1, len(some.rewards), dtype=torch.bool)
    found: dict[str, Tensor] = {}

    def gradients(loss: Tensor, module: Any, key: str) -> None:
        names, parameters = zip(*module.named_parameters(), strict=True)
        found.update(zip([f"{key}.{name}" for name in names], torch.autograd.grad(loss, parameters), strict=True))

    def q(network: Any, actions: Tensor | None) -> Tensor:
        features = network.network(some.critic_stem)
        return network.dense(features if actions is None else torch.cat([features, actions], 1)).float()  # type: ignore[no-any-return] # modules are untyped

    target = some.rewards + gamma * some.goes_on * algorithm.slow(some.next_critic_stem, none, fresh)[0].detach()
    parameters = policy.actor(some.actor_stem, none, fresh)[0]
    networks: Any = list(algorithm.values)
    if policy.blueprint.continuous:
        for place, network in enumerate(networks):
            gradients(((q(network, some.actions).squeeze(1) - target) ** 2).mean(), network, f"values.{place}")
        mean, log_std = parameters.chunk(2, 1)
        before = mean + log_std.exp() * normal
        actions = before.tanh()
        density = torch.distributions.Normal(mean, log_std.exp()).log_prob(before)
        log_probs = (density - torch.log(1 - actions**2)).sum(1)
        worth = torch.min(q(networks[0], actions).squeeze(1), q(networks[1], actions).squeeze(1)) - alpha * log_probs
    else:
        for place, network in enumerate(networks):
            taken = q(network, None)[torch.arange(len(target)), some.actions]
            gradients(((taken - target) ** 2).mean(), network, f"values.{place}")
        chances = parameters.exp()
        worth = (chances * (torch.min(q(networks[0], None), q(networks[1], None)) - alpha * chances.log())).sum(1)
    gradients(-worth.mean(), policy.actor, "actor")
    values = policy.critic(some.critic_stem, none, fresh)[0]
    gradients(((values - worth.detach()) ** 2).mean(), policy.critic, "critic")
    return found


@pytest.mark.parametrize("continuous", [False, True])
def test_a_steps_gradients_are_those_of_plain_torch(continuous: bool) -> None:
    algorithm = SAC(made_policy(continuous), SACConfig(updates_per_step=0.001, alpha=0.3))
    algorithm.update(made_rollout(continuous))
    random = np.random.default_rng(7)
    some = algorithm.replay.draw(16, random)
    normal = torch.from_numpy(copy.deepcopy(random).standard_normal((16, 2), np.float32))
    expected = by_plain_torch(algorithm, some, normal)
    algorithm._step(some, random)
    policy = algorithm.policy
    named = [
        *((f"actor.{name}", weight) for name, weight in policy.actor.named_parameters()),
        *((f"critic.{name}", weight) for name, weight in policy.critic.named_parameters()),
        *((f"values.{name}", weight) for name, weight in algorithm.values.named_parameters()),
    ]
    assert {name for name, _ in named} == expected.keys()
    for name, weight in named:
        assert weight.grad is not None, name
        torch.testing.assert_close(weight.grad, expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_squashed_actions_have_the_density_of_their_transform() -> None:
    # Densities over a fine grid of both numbers add up to 1.
    grid = torch.linspace(-0.9995, 0.9995, 1600)
    parameters = torch.tensor([[0.3, -0.5, -0.2, 0.1]]).expand(1600, -1)
    one = SquashedHead.log_prob(parameters, torch.stack([grid, torch.zeros(1600)], 1))
    other = SquashedHead.log_prob(parameters, torch.zeros(1600, 2))
    # log p(x, 0) - log p(0, 0) + log p(0) of the first number alone
    first = torch.distributions.Normal(0.3, float(np.exp(-0.2))).log_prob(torch.zeros(()))
    assert float(torch.trapezoid((one - other + first).exp(), grid)) == pytest.approx(1.0, abs=2e-3)
    drawn, log_probs = SquashedHead.drawn(parameters, torch.randn(1600, 2, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(SquashedHead.log_prob(parameters, drawn), log_probs, rtol=1e-3, atol=1e-3)
    assert torch.isfinite(SquashedHead.log_prob(parameters[:2], torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))).all()


@pytest.mark.parametrize(("rate", "steps", "expected"), [(0.5, 2, 0.75), (1.0, 1, 1.0)])
def test_the_slow_copy_comes_nearer_with_each_gradient_step(rate: float, steps: int, expected: float) -> None:
    algorithm = SAC(made_policy(True), SACConfig(target_rate=rate))
    for weight in algorithm.slow.parameters():
        weight.zero_()
    for weight in algorithm.policy.critic.parameters():
        torch.nn.init.ones_(weight)
    for _ in range(steps):
        algorithm._follow(rate)
    assert all((weight == expected).all() for weight in algorithm.slow.parameters())


def test_with_target_steps_v_is_copied_whole_once_so_many_steps_have_passed() -> None:
    config = SACConfig(target_rate=1.0, target_steps=24, updates_per_step=0.1)
    algorithm = SAC(made_policy(False), config)
    first = weights(algorithm)["slow.head.weight"]
    algorithm.update(made_rollout(False))  # 12 steps
    assert torch.equal(weights(algorithm)["slow.head.weight"], first)
    algorithm.update(made_rollout(False, seed=1))
    after = weights(algorithm)
    assert torch.equal(after["slow.head.weight"], after["policy.critic.head.weight"])
    assert not torch.equal(after["slow.head.weight"], first)


@pytest.mark.parametrize(("per_step", "counts"), [(1.0, [12, 12]), (0.25, [3, 3]), (0.1, [1, 1, 1, 1, 1, 1])])
def test_gradient_steps_are_as_many_as_the_steps_of_cars_ask_for(per_step: float, counts: list[int]) -> None:
    algorithm = SAC(made_policy(True), SACConfig(updates_per_step=per_step))
    found = []
    inner = algorithm._step
    algorithm._step = lambda *given: (found.append(len(given[0].rewards)), inner(*given))[1]  # type: ignore[assignment, func-returns-value] # counted
    sizes = []
    for seed, _ in enumerate(counts):
        before = len(found)
        algorithm.update(made_rollout(True, seed=seed))
        sizes.append(len(found) - before)
    # What is left over counts on: 1.2 steps a rollout are 1, 1, 1, 1, 2 ...
    assert sum(sizes) == int(12 * len(counts) * per_step + 1e-9)
    assert found[0] == 8  # no more than the largest power of two that is known


@pytest.mark.parametrize("continuous", [False, True])
def test_a_restored_algorithm_goes_on_bit_for_bit(continuous: bool) -> None:
    storage = MemoryStorage()
    algorithm = SAC(made_policy(continuous), SACConfig(updates_per_step=0.5, capacity=40), seed=3)
    for seed in range(3):
        algorithm.update(made_rollout(continuous, seed=seed))
    buffer = io.BytesIO()
    torch.save({"weights": algorithm.policy.state_dict(), "algorithm": algorithm.state(storage)}, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    other = SAC(made_policy(continuous, seed=9), SACConfig(updates_per_step=0.5, capacity=40), seed=3)
    other.policy.load_state_dict(saved["weights"])
    other.restore(saved["algorithm"], storage)
    for seed in (7, 8):
        rollout = made_rollout(continuous, seed=seed)
        assert algorithm.update(rollout) == other.update(rollout)
    one, two = weights(algorithm), weights(other)
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_critic_with_a_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the critic recurrent has a memory, which SAC cannot teach; use another"):
        SAC(made_policy(True, critic="recurrent"), SACConfig())


@pytest.mark.parametrize("continuous", [False, True])
def test_what_pays_is_done(continuous: bool) -> None:
    """One of three signs is seen; the action of its number pays, or steering towards its number minus one."""
    policy = made_policy(continuous)
    config = SACConfig(learning_rate=3e-3, batch_size=64, updates_per_step=0.5, alpha=0.02, discount=0.0)
    algorithm = SAC(policy, config)
    random = np.random.default_rng(0)
    fresh = torch.zeros(1, 64, dtype=torch.bool)
    for turn in range(18):
        signs = torch.from_numpy(random.integers(0, ACTIONS, 64))
        stem = torch.eye(4)[signs]
        with torch.no_grad():
            parameters, _ = policy.actor({"flat": stem}, torch.zeros(64, 0), fresh)
        actions = policy.actor.head.sample(parameters, torch.from_numpy(random.random((64, 4))))
        paid = -(actions[:, 0] - 0.6 * (signs - 1)).abs() if continuous else (actions == signs).float()
        whole = {"flat": stem[None]}
        algorithm.update(
            made_rollout(
                continuous,
                1,
                64,
                seed=turn,
                actor_stem=whole,
                critic_stem=whole,
                actions=actions[None],
                rewards=paid.numpy()[None].astype(np.float32),
                terminated=np.ones((1, 64), np.bool_),
                last=Seen({"flat": stem}, {"flat": stem}, torch.zeros(64)),
            )
        )
    with torch.no_grad():
        parameters, _ = policy.actor({"flat": torch.eye(4)[:3]}, torch.zeros(3, 0), fresh[:, :3])
    if continuous:
        torch.testing.assert_close(
            policy.actor.head.mode(parameters)[:, 0], torch.tensor([-0.6, 0.0, 0.6]), atol=0.2, rtol=0
        )
    else:
        assert parameters.exp()[:, :3].diagonal().min() > 0.8
