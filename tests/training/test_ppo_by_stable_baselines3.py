"""PPO against Stable-Baselines3: the same recorded steps and first weights give the same losses and new weights.

The original's settings and its network, which is the one that Stable-Baselines3 calls NatureCNN: network, distribution,
losses, optimiser and advantages are all theirs. Theirs knows no Huber loss; `test_ppo` works that one by hand.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from made_tasks import continuous_metadata, small_task
from numpy.typing import NDArray
from oracles import oracle

from lateapex.env.starts import RandomStarts
from lateapex.models.blueprint import Blueprint
from lateapex.models.policy import Policy
from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.ppo import PPO, PPOConfig
from lateapex.training.returns import gae
from lateapex.training.rollout import Rollout

STEPS, CARS, LONGEST = 22, 5, 11
SIZE = {"height": 40, "width": 52}
SEEDS = range(5)
BATCH = 32  # so that the last, incomplete batch of the 110 samples is dropped
ORIGINAL: dict[str, Any] = {
    "learning_rate": 3e-4,
    "discount": 0.999,
    "gae_lambda": 0.95,
    "clip": 0.2,
    "entropy_weight": 0.01,
    "value_weight": 1.0,
    "value_loss": "mean squared error",
    "max_gradient_norm": None,
    "batch_size": BATCH,
}
KINDS = pytest.mark.parametrize("continuous", [False, True], ids=["discrete", "continuous"])


@pytest.fixture(scope="module")
def theirs() -> Any:
    return oracle("stable_baselines3", "stable-baselines3", "PPO is not compared with it")


def recorded(continuous: bool, seed: int) -> tuple[Policy, Rollout]:
    """Steps of our collector on a small track, with episodes that end in every way; the policy has learned since.

    Args:
        seed: of the starts, the first weights, the actions and the order of learning.
    """
    settings = {"metadata": continuous_metadata((-30, 30), (0.5, 2))} if continuous else {}
    starts = RandomStarts(offset=0.6, heading=1.2)
    task = small_task("oval", CARS, **SIZE, starts=starts, max_steps=LONGEST, seed=seed, **settings)
    policy = Policy(policy_plan(continuous, len(task.actions)), seed)
    rollout = LocalCollector(task).collect(policy, Budget(STEPS))
    ended = rollout.terminated | rollout.truncated
    assert rollout.terminated.any()
    assert rollout.truncated.any()
    assert not ended[-1].all()
    assert len(rollout.rewards[rollout.rewards != 0]) > STEPS
    PPO(policy, PPOConfig(**{**ORIGINAL, "epochs": 4, "learning_rate": 1e-3}), seed=seed).update(rollout)
    return policy, rollout


# ---------------------------------------------------------------------- where our rollout, policy and update are known


CAMERA = "FRONT_FACING_CAMERA"
OUR_NAMES = {
    "pi_features_extractor.cnn.": f"actor.network.embedders.{CAMERA}.convolutions.",
    "pi_features_extractor.linear.0.": "actor.network.dense.0.",
    "vf_features_extractor.cnn.": f"critic.network.embedders.{CAMERA}.convolutions.",
    "vf_features_extractor.linear.0.": "critic.network.dense.0.",
    "action_net.": "actor.head.linear.",
    "value_net.": "critic.head.",
    "log_std": "actor.head.log_std",
}


def policy_plan(continuous: bool, actions: int) -> Blueprint:
    """The original's network for the actor and for the critic."""
    return Blueprint(
        sensors={CAMERA: (SIZE["height"], SIZE["width"], 1)},
        actions=actions,
        head="gaussian" if continuous else "categorical",
        network="shallow",
        critic="shallow",
    )


def pictures_of(rollout: Rollout) -> torch.Tensor:
    """`[T, N, 1, H, W]` uint8"""
    return rollout.actor_stem[CAMERA]


def with_pictures(rollout: Rollout, pictures: torch.Tensor) -> Rollout:
    return rollout._replace(actor_stem={CAMERA: pictures}, critic_stem={CAMERA: pictures})


def watch_pictures(policy: Policy, seen: list[torch.Tensor]) -> None:
    """Add to `seen` the pictures of each minibatch that the actor gets."""
    policy.actor.register_forward_pre_hook(lambda _, given: seen.append(given[0][CAMERA]))


def our_weights(policy: Policy) -> dict[str, torch.Tensor]:
    """Copies of all weights, by the names and in the order of Stable-Baselines3."""
    named = {}
    for name, value in policy.state_dict().items():
        their, our = next(pair for pair in OUR_NAMES.items() if name.startswith(pair[1]))
        named[name.replace(our, their)] = _channel_by_channel(value) if name.endswith("dense.0.weight") else value
    return {name: value.detach().clone() for name, value in named.items()}


def _channel_by_channel(weight: torch.Tensor) -> torch.Tensor:
    """Ours flattens its last maps place by place, as the original does; theirs one channel after the other."""
    return weight.unflatten(1, (-1, 64)).transpose(1, 2).flatten(1)


# -------------------------------------------------------------------------------------------------- the same for theirs


def their_ppo(theirs: Any, policy: Policy, rollout: Rollout, epochs: int) -> Any:
    """Stable-Baselines3's PPO with our weights, for spaces instead of an environment."""
    algorithm = theirs.PPO(
        "CnnPolicy",
        None,
        learning_rate=ORIGINAL["learning_rate"],
        n_steps=STEPS,
        batch_size=BATCH,
        n_epochs=epochs,
        gamma=ORIGINAL["discount"],
        gae_lambda=ORIGINAL["gae_lambda"],
        clip_range=ORIGINAL["clip"],
        normalize_advantage=False,
        ent_coef=ORIGINAL["entropy_weight"],
        vf_coef=ORIGINAL["value_weight"],
        max_grad_norm=float("inf"),
        policy_kwargs={"share_features_extractor": False, "net_arch": [], "ortho_init": False},
        device="cpu",
        _init_setup_model=False,
    )
    algorithm.observation_space = gym.spaces.Box(0, 255, pictures_of(rollout).shape[2:], np.uint8)
    algorithm.action_space = gym.spaces.Discrete(policy.blueprint.actions)
    if policy.blueprint.continuous:
        algorithm.action_space = gym.spaces.Box(-1.0, 1.0, (policy.blueprint.actions,), np.float32)
    algorithm.n_envs = CARS
    algorithm._setup_model()
    algorithm.set_logger(theirs.common.logger.Logger(None, []))
    missing, unknown = algorithm.policy.load_state_dict(our_weights(policy), strict=False)
    # Their two names of one module.
    assert {name.partition(".")[0] for name in missing} == {"features_extractor"}
    assert unknown == []
    return algorithm


def fill(buffer: Any, rollout: Rollout) -> None:
    """Give their buffer our steps, as their own collector would, and have it compute advantages and returns.

    They add what the state after a cut-off episode is worth to its last reward.
    """
    ended = rollout.terminated | rollout.truncated
    rewards = rollout.rewards + np.float32(buffer.gamma) * rollout.next_values * rollout.truncated
    begins = np.concatenate([np.ones((1, CARS), bool), ended[:-1]])
    for t in range(STEPS):
        buffer.add(
            pictures_of(rollout)[t].numpy(),
            rollout.actions[t].numpy(),
            rewards[t],
            begins[t],
            torch.from_numpy(rollout.values[t]),
            rollout.log_probs[t],
        )
    buffer.compute_returns_and_advantage(torch.from_numpy(rollout.next_values[-1]), ended[-1])


def replay(buffer: Any, batches: list[NDArray[np.int64]]) -> None:
    """Have their buffer hand out these minibatches of `[T, N]` samples, epoch by epoch, instead of random ones."""
    for name in ("observations", "actions", "values", "log_probs", "advantages", "returns"):
        values = getattr(buffer, name)
        setattr(buffer, name, values.reshape(STEPS * CARS, *(values.shape[2:] or (1,))))
    remaining = list(batches)
    per_epoch = STEPS * CARS // BATCH
    buffer.get = lambda size: [buffer._get_samples(remaining.pop(0)) for _ in range(per_epoch)]


def our_batches(policy: Policy, rollout: Rollout, config: PPOConfig, seed: int) -> list[NDArray[np.int64]]:
    """Which samples each gradient step of our update uses: those of pictures that bear the number of their sample."""
    numbers = torch.arange(STEPS * CARS, dtype=torch.uint8).reshape(STEPS, CARS, 1, 1, 1)
    other = Policy(policy.blueprint)
    seen: list[torch.Tensor] = []
    watch_pictures(other, seen)
    marked = with_pictures(rollout, numbers.expand_as(pictures_of(rollout)).contiguous())
    PPO(other, config, seed=seed).update(marked)
    return [pictures[:, 0, 0, 0].numpy().astype(np.int64) for pictures in seen]


# ------------------------------------------------------------------------------------------------------------ the tests


@KINDS
@pytest.mark.parametrize(("seed", "discount", "lam"), [(0, 0.999, 0.95), (1, 0.9, 0.5), (2, 1.0, 1.0)])
def test_advantages_are_those_of_stable_baselines3(
    theirs: Any, continuous: bool, seed: int, discount: float, lam: float
) -> None:
    policy, rollout = recorded(continuous, seed)
    buffer = their_ppo(theirs, policy, rollout, 1).rollout_buffer
    buffer.gamma, buffer.gae_lambda = discount, lam
    fill(buffer, rollout)
    ours = gae(
        rollout.rewards,
        rollout.values,
        rollout.next_values,
        rollout.terminated,
        rollout.truncated,
        discount=discount,
        lam=lam,
    )
    np.testing.assert_allclose(ours, buffer.advantages, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours + rollout.values, buffer.returns, rtol=0, atol=1e-5)


def unlike(theirs: Any, continuous: bool, seed: int, epochs: int) -> dict[str, float]:
    """By how much our losses and new weights differ from those of Stable-Baselines3, where it is more than 1e-5."""
    policy, rollout = recorded(continuous, seed)
    config = PPOConfig(**ORIGINAL, epochs=epochs)
    batches = our_batches(policy, rollout, config, seed)
    assert [len(batch) for batch in batches] == [BATCH] * (epochs * (STEPS * CARS // BATCH))

    other = their_ppo(theirs, policy, rollout, epochs)
    buffer = other.rollout_buffer
    fill(buffer, rollout)
    buffer.advantages = (buffer.advantages - buffer.advantages.mean()) / (buffer.advantages.std() + 1e-8)
    replay(buffer, batches)
    before = our_weights(policy)
    other.train()
    measures = PPO(policy, config, seed=seed).update(rollout)
    assert measures["clip_share"] > 0

    told = other.logger.name_to_value
    expected = {
        "policy_loss": told["train/policy_gradient_loss"],
        "value_loss": told["train/value_loss"],
        "entropy": -told["train/entropy_loss"],
        "clip_share": told["train/clip_fraction"],
        "explained_variance": told["train/explained_variance"],
    }
    if epochs == 1:  # theirs tells of the last epoch alone
        expected["kl"] = told["train/approx_kl"]
    apart = {name: abs(measures[name] - value) for name, value in expected.items()}
    after = other.policy.state_dict()
    for name, value in our_weights(policy).items():
        assert float((value - before[name]).abs().max()) > 1e-4, name
        apart[name] = float((value - after[name]).abs().max())
    return {name: by for name, by in apart.items() if not by <= 1e-5}


@KINDS
def test_losses_and_new_weights_are_those_of_stable_baselines3(theirs: Any, continuous: bool) -> None:
    found = {seed: unlike(theirs, continuous, seed, 5 if seed == SEEDS[0] else 1) for seed in SEEDS}
    # From some weights a neuron at its edge goes one way or the other by rounding, in two runs of ours too.
    assert sum(map(bool, found.values())) <= 1, found
