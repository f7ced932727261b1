"""PPO's update: losses worked by hand and against plain torch, minibatches, reproducibility, and that it learns."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from made_models import blueprint, flat, judged
from torch import nn

from lateapex.config import parse
from lateapex.errors import ConfigError
from lateapex.models.policy import Policy, Seen
from lateapex.storage import MemoryStorage
from lateapex.training.ppo import PPO, PPOConfig
from lateapex.training.rollout import Rollout

ACTIONS = 4
NOT_CLIPPED: dict[str, Any] = {"max_gradient_norm": None, "epochs": 1}


def made_policy(seed: int = 0, continuous: bool = False, network: str = "lean") -> Policy:
    """For pictures of 8 by 8, so four numbers behind the stem."""
    head: Any = "gaussian" if continuous else "categorical"
    return Policy(blueprint(actions=2 if continuous else ACTIONS, head=head, network=network), seed)


def made_rollout(policy: Policy, steps: int, cars: int = 1, seed: int = 0, **changes: Any) -> Rollout:
    """Experience of random states, actions, rewards and ends; log-probabilities of a slightly other policy."""
    random = np.random.default_rng(seed)
    shape = (steps, cars)
    stem = {"flat": torch.from_numpy(random.normal(0, 1, (*shape, 4)).astype(np.float32))}
    actions: Any = torch.from_numpy(random.integers(0, ACTIONS, shape))
    if policy.blueprint.continuous:
        actions = torch.from_numpy(random.normal(0, 1, (*shape, 2)).astype(np.float32))
    with torch.no_grad():
        parameters = judged(policy.actor, flat(stem))
        log_probs = policy.actor.head.log_prob(parameters, actions.flatten(0, 1)).reshape(shape)
    over = random.random(shape) < 0.1
    values: dict[str, Any] = {
        "actor_stem": stem,
        "critic_stem": stem,
        "actor_memory": torch.zeros(*shape, 0),
        "critic_memory": torch.zeros(*shape, 0),
        "fresh": torch.zeros(shape, dtype=torch.bool),
        "actions": actions,
        "log_probs": log_probs + torch.from_numpy(random.normal(0, 0.3, shape).astype(np.float32)),
        "values": random.normal(0, 1, shape).astype(np.float32),
        "next_values": random.normal(0, 1, shape).astype(np.float32),
        "rewards": random.normal(0, 1, shape).astype(np.float32),
        "terminated": over,
        "truncated": (random.random(shape) < 0.1) & ~over,
        "last": Seen({}, {}, torch.zeros(cars)),
        "episodes": [],
        "laps": np.zeros(1),
    }
    return Rollout(**{**values, **changes})


def weights(policy: Policy) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in policy.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


# ------------------------------------------------------------------------------------------------------- losses


def two_samples() -> tuple[Policy, Rollout]:
    """Two steps that end their episodes with rewards 1 and 3, and a policy that values all at 0, all actions equally.

    The advantages 1 and 3 have mean 2 and deviation 1, so they become -1 and 1. The action's probability has grown by
    half since it was taken, in both.
    """
    policy = made_policy()
    assert isinstance(policy.critic.head, nn.Linear)
    for layer in (policy.critic.head, policy.actor.head.linear):
        nn.init.zeros_(layer.weight)
    old = math.log(0.25) - math.log(1.5)
    ends = np.array([[True], [True]])
    return policy, made_rollout(
        policy,
        2,
        rewards=np.array([[1.0], [3.0]], np.float32),
        values=np.zeros((2, 1), np.float32),
        log_probs=torch.tensor([[old], [old]]),
        terminated=ends,
        truncated=~ends,
    )


@pytest.mark.parametrize(
    # Huber: below 1 half the square, beyond it the distance less a half: (0.5 + 2.5) / 2; squares: (1 + 9) / 2
    ("value_loss", "expected"),
    [("huber", 1.5), ("mean squared error", 5.0)],
)
def test_losses_worked_by_hand(value_loss: Any, expected: float) -> None:
    policy, rollout = two_samples()
    measures = PPO(policy, PPOConfig(value_loss=value_loss, **NOT_CLIPPED)).update(rollout)
    # min(1.5 · -1, 1.2 · -1) = -1.5 and min(1.5 · 1, 1.2 · 1) = 1.2, so the loss is -(-1.5 + 1.2) / 2
    assert measures["policy_loss"] == pytest.approx(0.15)
    assert measures["value_loss"] == pytest.approx(expected)
    assert measures["entropy"] == pytest.approx(math.log(4))
    # ratio - 1 - ln ratio
    assert measures["kl"] == pytest.approx(0.5 - math.log(1.5))
    assert measures["clip_share"] == 1.0
    assert measures["learning_rate"] == 1e-3
    assert measures["explained_variance"] == 0.0


def test_beyond_the_clip_a_good_action_is_pushed_no_further() -> None:
    policy, rollout = two_samples()
    PPO(policy, PPOConfig(entropy_weight=0.0, **NOT_CLIPPED)).update(rollout)
    gradient = policy.actor.head.linear.bias.grad
    bad = rollout.actions[0, 0]
    assert gradient is not None
    # -d(1.5 · -1)/2 by the logits is 0.75 (one-hot - 1/4); nothing comes from the good action
    expected = 0.75 * (torch.eye(ACTIONS)[bad] - 0.25)
    torch.testing.assert_close(gradient, expected)


def by_plain_torch(policy: Policy, rollout: Rollout, config: PPOConfig) -> dict[str, torch.Tensor]:
    """Weights after a step an epoch on the whole rollout, written out: advantages, three losses, Adam."""
    adam = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, eps=1e-5, foreach=False)
    advantages = torch.zeros(rollout.rewards.shape, dtype=torch.float64)
    ended = rollout.terminated | rollout.truncated
    for car in range(rollout.rewards.shape[1]):
        carried = 0.0
        for t in reversed(range(len(rollout.rewards))):
            following = 0.0 if rollout.terminated[t, car] else config.discount * float(rollout.next_values[t, car])
            delta = float(rollout.rewards[t, car]) + following - float(rollout.values[t, car])
            carried = delta + (0.0 if ended[t, car] else config.discount * config.gae_lambda * carried)
            advantages[t, car] = carried
    returns = (advantages + torch.from_numpy(rollout.values)).flatten().float()
    advantage = ((advantages - advantages.mean()) / advantages.std(correction=0)).flatten().float()
    for _ in range(config.epochs):
        adam.zero_grad()
        parameters = judged(policy.actor, flat(rollout.actor_stem))
        if policy.blueprint.continuous:
            mean, log_std = parameters.chunk(2, dim=1)
            theirs: Any = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)
        else:
            theirs = torch.distributions.Categorical(logits=parameters)
        ratio = (theirs.log_prob(rollout.actions.flatten(0, 1)) - rollout.log_probs.flatten()).exp()
        gain = torch.min(ratio * advantage, ratio.clip(1 - config.clip, 1 + config.clip) * advantage).mean()
        errors = judged(policy.critic, flat(rollout.critic_stem)) - returns
        huber = torch.where(errors.abs() < 1, errors**2 / 2, errors.abs() - 0.5).mean()
        square = (errors**2).mean()
        cost = config.value_weight * (huber if config.value_loss == "huber" else square)
        (cost - gain - config.entropy_weight * theirs.entropy().mean()).backward()
        if config.max_gradient_norm is not None:
            gradients = [weight.grad for weight in policy.parameters() if weight.grad is not None]
            norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
            for gradient in gradients:
                gradient.mul_(min(1.0, config.max_gradient_norm / float(norm)))
        adam.step()
    return weights(policy)


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"value_loss": "mean squared error", "max_gradient_norm": None},
        {"entropy_weight": 0.3, "clip": 0.05, "discount": 0.9, "gae_lambda": 0.5},
        {"value_weight": 0.01, "learning_rate": 0.05, "max_gradient_norm": 0.01},
        {"epochs": 4},
    ],
)
def test_a_step_is_that_of_plain_torch(continuous: bool, settings: dict[str, Any]) -> None:
    config = PPOConfig(**{"epochs": 1, "batch_size": 32, **settings})
    policy = made_policy(3, continuous)
    rollout = made_rollout(policy, 8, 4, seed=2)
    before = weights(policy)
    expected = by_plain_torch(copy.deepcopy(policy), rollout, config)
    PPO(policy, config).update(rollout)
    for name, value in weights(policy).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-6, msg=name)
        assert not torch.equal(value, before[name]), name


def test_the_gradient_norm_is_told_before_it_is_clipped_to_the_bound() -> None:
    policy = made_policy()
    rollout = made_rollout(policy, 16)
    measures = PPO(policy, PPOConfig(max_gradient_norm=1e-3, epochs=1)).update(rollout)
    gradients = [weight.grad for weight in policy.parameters() if weight.grad is not None]
    assert torch.cat([gradient.flatten() for gradient in gradients]).norm().item() == pytest.approx(1e-3, rel=1e-3)
    free = made_policy()
    unclipped = PPO(free, PPOConfig(**NOT_CLIPPED)).update(rollout)
    gradients = [weight.grad for weight in free.parameters() if weight.grad is not None]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert measures["gradient_norm"] == pytest.approx(norm) == pytest.approx(unclipped["gradient_norm"])


def test_explained_variance_is_1_for_a_critic_that_knows_and_0_for_one_that_says_the_mean() -> None:
    policy = made_policy()
    ends = np.ones((6, 1), bool)
    rewards = np.arange(6, dtype=np.float32)[:, None]
    found = [
        PPO(policy, PPOConfig(epochs=1)).update(
            made_rollout(policy, 6, rewards=rewards, values=values.astype(np.float32), terminated=ends, truncated=~ends)
        )["explained_variance"]
        for values in (rewards, np.full_like(rewards, 2.5), 2 * rewards)
    ]
    assert found == pytest.approx([1, 0, 0])


def test_equal_advantages_are_no_reason_to_change_the_policy() -> None:
    policy = made_policy()
    ends = np.ones((8, 1), bool)
    flat = np.ones((8, 1), np.float32)
    rollout = made_rollout(policy, 8, rewards=flat, values=flat, terminated=ends, truncated=~ends)
    before = weights(policy)
    measures = PPO(policy, PPOConfig(entropy_weight=0.0, epochs=1)).update(rollout)
    assert all(math.isfinite(value) for value in measures.values())
    after = weights(policy)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("actor."))
    assert not same(before, after)


# ------------------------------------------------------------------------------------------------------- minibatches


def batches(samples: int, updates: int = 1, **settings: Any) -> list[list[int]]:
    """Which samples each gradient step used, by their place in the rollout."""
    policy = made_policy()
    stem = {"flat": torch.arange(samples, dtype=torch.float32)[:, None, None].expand(samples, 1, 4) / 1000}
    used: list[list[int]] = []
    policy.actor.register_forward_pre_hook(
        lambda _, given: used.append((given[0]["flat"][:, 0] * 1000).round().int().tolist())
    )
    rollout = made_rollout(policy, samples, actor_stem=stem, critic_stem=stem)
    used.clear()
    algorithm = PPO(policy, PPOConfig(**settings))
    for _ in range(updates):
        algorithm.update(rollout)
    return used


@pytest.mark.parametrize(
    ("samples", "size", "per_epoch", "used"),
    [
        (64, 16, 4, 16),
        (70, 16, 4, 16),  # the incomplete last one is dropped
        (16, 16, 1, 16),
        (6, 256, 1, 4),  # more than there is: the largest power of two that is there
        (255, 256, 1, 128),
        (300, 256, 1, 256),
        (1, 64, 1, 1),
        (5, 3, 1, 3),
        (2, 3, 1, 2),
    ],
)
def test_an_epoch_has_floor_of_steps_over_batch_minibatches(samples: int, size: int, per_epoch: int, used: int) -> None:
    found = batches(samples, batch_size=size, epochs=3)
    assert [len(batch) for batch in found] == [used] * (3 * per_epoch)
    for epoch in range(3):
        places = [place for batch in found[epoch * per_epoch : (epoch + 1) * per_epoch] for place in batch]
        assert len(set(places)) == len(places)
        assert set(places) <= set(range(samples))


def test_measures_are_means_over_all_minibatches_of_all_epochs() -> None:
    policy = made_policy()
    rollout = made_rollout(policy, 64)
    # Weights that stand still make the mean over minibatches that of the rollout.
    whole, parts = (
        PPO(policy, PPOConfig(learning_rate=1e-12, batch_size=size, epochs=epochs)).update(rollout)
        for size, epochs in ((64, 1), (16, 3))
    )
    for name in ("policy_loss", "value_loss", "entropy", "kl", "clip_share"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-4, abs=1e-6), name


def test_each_epoch_of_each_update_has_its_own_order() -> None:
    found = batches(64, updates=2, batch_size=64, epochs=3)
    assert len({tuple(batch) for batch in found}) == 6
    assert [sorted(batch) for batch in found] == [list(range(64))] * 6


# ------------------------------------------------------------------------------------------------------- reproducible


def trained(updates: int, seed: int = 0, continuous: bool = False, bf16: bool = False) -> tuple[Policy, PPO]:
    policy = made_policy(1, continuous)
    algorithm = PPO(policy, PPOConfig(batch_size=8, epochs=2), seed=seed, bf16=bf16)
    for update in range(updates):
        algorithm.update(made_rollout(policy, 16, 2, seed=update))
    return policy, algorithm


@pytest.mark.parametrize("continuous", [False, True])
def test_the_seed_decides_the_weights_that_come_out(continuous: bool) -> None:
    one, two, other = (weights(trained(2, seed, continuous)[0]) for seed in (0, 0, 7))
    assert same(one, two)
    assert not same(one, other)


def test_a_restored_algorithm_goes_on_as_the_saved_one() -> None:
    policy, algorithm = trained(2)
    buffer = io.BytesIO()
    torch.save({"weights": policy.state_dict(), "algorithm": algorithm.state(MemoryStorage())}, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    assert algorithm.state(MemoryStorage())["updates"] == saved["algorithm"]["updates"] == 2
    other = made_policy(9)
    restored = PPO(other, PPOConfig(batch_size=8, epochs=2))
    other.load_state_dict(saved["weights"])
    restored.restore(saved["algorithm"], MemoryStorage())
    rollout = made_rollout(policy, 16, 2, seed=5)
    assert algorithm.update(rollout) == restored.update(rollout)
    assert same(weights(policy), weights(other))
    fresh = made_policy(9)
    fresh.load_state_dict(saved["weights"])
    PPO(fresh, PPOConfig(batch_size=8, epochs=2)).update(rollout)
    assert not same(weights(policy), weights(fresh))


def test_a_vanishing_learning_rate_leaves_the_weights_where_they_are() -> None:
    policy = made_policy()
    before = weights(policy)
    PPO(policy, PPOConfig(learning_rate=1e-12, entropy_weight=0.0)).update(made_rollout(policy, 64))
    for name, value in weights(policy).items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=1e-10)


def test_half_width_numbers_are_used_in_between_and_never_kept() -> None:
    full, half = (trained(1, bf16=bf16)[0] for bf16 in (False, True))
    assert {value.dtype for value in half.state_dict().values()} == {torch.float32}
    assert not same(weights(full), weights(half))
    for name, value in weights(half).items():
        assert torch.isfinite(value).all(), name


def test_a_rollout_is_not_changed_by_learning_from_it() -> None:
    policy = made_policy()
    rollout = made_rollout(policy, 16, 2)
    kept = copy.deepcopy(rollout)
    PPO(policy, PPOConfig()).update(rollout)
    for name, one, two in zip(rollout._fields, rollout._replace(last=0), kept._replace(last=0), strict=True):
        parts = [(one[key], two[key]) for key in one] if isinstance(one, dict) else [(one, two)]
        assert all(np.array_equal(np.asarray(ours), np.asarray(theirs)) for ours, theirs in parts), name


# ------------------------------------------------------------------------------------------------------- it learns


def test_what_pays_becomes_likely() -> None:
    # One of four signs is seen, and only the action of the same number pays.
    policy = made_policy()
    algorithm = PPO(policy, PPOConfig(learning_rate=3e-3, batch_size=64))
    random = np.random.default_rng(0)
    ends = np.ones((256, 1), bool)
    for _ in range(12):
        signs = torch.from_numpy(random.integers(0, ACTIONS, 256))
        stem = {"flat": torch.eye(ACTIONS)[signs]}
        with torch.no_grad():
            parameters, values = judged(policy.actor, stem), judged(policy.critic, stem)
        actions = policy.actor.head.sample(parameters, torch.from_numpy(random.random((256, 4))))
        paid = (actions == signs).float().numpy()[:, None]
        algorithm.update(
            made_rollout(
                policy,
                256,
                actor_stem={"flat": stem["flat"][:, None]},
                critic_stem={"flat": stem["flat"][:, None]},
                actions=actions[:, None],
                log_probs=policy.actor.head.log_prob(parameters, actions)[:, None],
                values=values.numpy()[:, None],
                rewards=paid,
                terminated=ends,
                truncated=~ends,
            )
        )
    with torch.no_grad():
        chances = judged(policy.actor, {"flat": torch.eye(ACTIONS)}).exp().diagonal()
        known = judged(policy.critic, {"flat": torch.eye(ACTIONS)})
    assert chances.min() > 0.9
    torch.testing.assert_close(known, torch.ones(ACTIONS), atol=0.3, rtol=0)


# ------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; input should be greater than 0"),
        ({"discount": 1.5}, "discount is 1.5; input should be less than or equal to 1"),
        ({"clip": 1.0}, "clip is 1.0; input should be less than 1"),
        ({"epochs": 0}, "epochs is 0; input should be greater than or equal to 1"),
        ({"batch_size": 0}, "batch_size is 0; "),
        ({"batch_size": 64.0}, "batch_size is 64.0; "),
        ({"value_loss": "hubert"}, "value_loss is 'hubert'; input should be 'huber' or 'mean squared error'"),
        ({"batchsize": 64}, "no setting is called 'batchsize'; did you mean 'batch_size'"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(PPOConfig, values)


# ------------------------------------------------------------------------------------------------------- smoothing


def roughness(policy: Policy, rollout: Rollout) -> float:
    """Mean divergence of neighbouring states of the same episode, by torch's own distributions."""
    with torch.no_grad():
        parameters = judged(policy.actor, flat(rollout.actor_stem)).view(*rollout.fresh.shape, -1)
    made = (
        torch.distributions.Categorical(logits=parameters[:-1]),
        torch.distributions.Categorical(logits=parameters[1:]),
    )
    apart = torch.distributions.kl_divergence(*made)
    return float(apart[~rollout.fresh[1:]].mean())


def with_begins(rollout: Rollout) -> Rollout:
    fresh = torch.zeros(rollout.rewards.shape, dtype=torch.bool)
    fresh[2, 0] = fresh[1, 1] = True
    return rollout._replace(fresh=fresh)


def test_roughness_is_the_mean_divergence_within_episodes() -> None:
    policy = made_policy()
    rollout = with_begins(made_rollout(policy, 4, 2))
    measures = PPO(policy, PPOConfig(smoothing=1.0, batch_size=8, epochs=1)).update(rollout)
    assert measures["roughness"] == pytest.approx(roughness(made_policy(), rollout), rel=1e-5)
    assert "roughness" not in PPO(made_policy(), PPOConfig(epochs=1)).update(rollout)


def test_the_distance_of_numbers_is_the_squared_one_of_their_means() -> None:
    head = made_policy(continuous=True).actor.head
    one, two = torch.tensor([[0.5, -1.0, 0.0, 0.0]]), torch.tensor([[0.1, -0.7, 3.0, 3.0]])
    assert head.distance(one, two).item() == pytest.approx(0.16 + 0.09)


def test_the_more_smoothing_weighs_the_less_the_policy_differs_from_state_to_state() -> None:
    found = []
    for weight in (0.0, 1.0, 100.0):
        policy = made_policy()
        rollout = with_begins(made_rollout(policy, 8, 4))
        algorithm = PPO(policy, PPOConfig(smoothing=weight, batch_size=32, entropy_weight=0.0))
        for _ in range(10):
            algorithm.update(rollout)
        found.append(roughness(policy, rollout))
    assert found[0] > 1.5 * found[1] > 2.0 * found[2]
