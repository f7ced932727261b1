"""The correction for rollouts of older versions: by hand, by definition, at its fixed point, and in PPO's update."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_models import small_policy
from made_tasks import continuous_metadata, small_task
from numpy.typing import NDArray

from lateapex.env.starts import RandomStarts
from lateapex.models.policy import Policy
from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.ppo import PPO, PPOConfig
from lateapex.training.returns import gae
from lateapex.training.rollout import Rollout, joined
from lateapex.training.stale import VTrace, corrected, seen_anew, vtrace


def column(*values: Any) -> NDArray[Any]:
    """The steps of one car, `[T, 1]`."""
    return np.array(values)[:, None]


NO = column(False, False, False)
# d = r + 0.5 v' - v: 1 + 0.5·4 - 2 = 1, 2 + 0.5·6 - 4 = 1, 3 + 0.5·8 - 6 = 1
STEPS = column(1, 2, 3), column(2, 4, 6), column(4, 6, 8)


def listed(found: VTrace) -> tuple[list[float], list[float], list[float]]:
    assert {part.dtype for part in found} == {np.dtype(np.float32)}
    advantages, returns, weights = ([round(float(value), 5) for value in part[:, 0]] for part in found)
    return advantages, returns, weights


def test_steps_that_go_on_worked_by_hand() -> None:
    # Quotients 1/2, 4, 1/4, bounded by 1: 1/2, 1, 1/4. What is gained: 1/4·1; 1·(1 + 1/4·1/4) = 1.0625;
    # 1/2·(1 + 1/4·1.0625) = 0.6328125. An advantage has the quotients of the steps behind it, not its own.
    ratios = np.log(column(0.5, 4.0, 0.25))
    advantages, returns, weights = listed(vtrace(*STEPS, NO, NO, ratios, discount=0.5, lam=0.5))
    assert advantages == [round(1 + 0.25 * 1.0625, 5), 1 + 0.25 * 0.25, 1]
    assert returns == [round(2 + 0.6328125, 5), 4 + 1.0625, 6 + 0.25]
    assert weights == [0.5, 1, 0.25]


def test_the_two_bounds_are_told_apart() -> None:
    # As above with rho up to 2 and c up to 1: gained 0.25; 2·1 + 1·1/4·0.25 = 2.0625; 0.5·1 + 0.5·1/4·2.0625
    ratios = np.log(column(0.5, 4.0, 0.25))
    found = vtrace(*STEPS, NO, NO, ratios, discount=0.5, lam=0.5, max_rho=2.0, max_c=1.0)
    assert listed(found)[1] == [round(2 + 0.5 + 0.125 * 2.0625, 5), 4 + 2.0625, 6.25]
    assert listed(found)[2] == [0.5, 2, 0.25]


def test_an_end_stops_what_is_carried_back() -> None:
    # Quotients of 1/2. A termination: d = 2 - 4 = -2, gained -1, carried to the step before: 1/2·(1 + 1/4·-1)
    ratios = np.log(column(0.5, 0.5, 0.5))
    ends = column(False, True, False)
    found = listed(vtrace(*STEPS, ends, NO, ratios, discount=0.5, lam=0.5))
    assert found[0] == [1 - 0.25, -2, 1]
    assert found[1] == [2 + 0.5 * 0.75, 4 - 1, 6.5]
    # A truncation: d = 1 with the value of what was reached, and nothing of the step after it
    found = listed(vtrace(*STEPS, NO, ends, ratios, discount=0.5, lam=0.5))
    assert found[0] == [1 + 0.25 * 0.5, 1, 1]


def made_steps(seed: int, steps: int, cars: int) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    random = np.random.default_rng(seed)
    numbers = [random.normal(0, 10, (steps, cars)).astype(np.float32) for _ in range(3)]
    return numbers, [random.random((steps, cars)) < 0.15 for _ in range(2)]


some_steps = given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 20),
    cars=st.integers(1, 4),
    discount=st.floats(0, 1),
    lam=st.floats(0, 1),
)


@some_steps
def test_of_the_same_policy_it_is_gae_to_the_last_bit(
    seed: int, steps: int, cars: int, discount: float, lam: float
) -> None:
    numbers, ends = made_steps(seed, steps, cars)
    expected = gae(*numbers, *ends, discount=discount, lam=lam)
    found = vtrace(*numbers, *ends, np.zeros((steps, cars)), discount=discount, lam=lam)
    np.testing.assert_array_equal(found.advantages, expected)
    np.testing.assert_array_equal(found.returns, expected + numbers[1])
    assert (found.weights == 1.0).all()


@some_steps
def test_returns_are_the_sum_of_the_definition(seed: int, steps: int, cars: int, discount: float, lam: float) -> None:
    (rewards, values, following), (over, cut) = made_steps(seed, steps, cars)
    ratios = np.random.default_rng(seed + 1).normal(0, 1, (steps, cars)).astype(np.float32)
    found = vtrace(rewards, values, following, over, cut, ratios, discount=discount, lam=lam, max_rho=1.5, max_c=1.2)
    rho, c = (np.minimum(np.exp(ratios.astype(np.float64)), bound) for bound in (1.5, 1.2))
    delta = rewards + discount * np.where(over, 0.0, following).astype(np.float64) - values
    for car in range(cars):
        for s in range(steps):
            gained, product = 0.0, 1.0
            for t in range(s, steps):
                gained += discount ** (t - s) * product * rho[t, car] * delta[t, car]
                product *= lam * c[t, car]
                if over[t, car] or cut[t, car]:
                    break
            assert found.returns[s, car] == pytest.approx(values[s, car] + gained, rel=1e-4, abs=1e-3)


@some_steps
def test_what_the_policy_would_never_do_teaches_nothing(
    seed: int, steps: int, cars: int, discount: float, lam: float
) -> None:
    numbers, ends = made_steps(seed, steps, cars)
    found = vtrace(*numbers, *ends, np.full((steps, cars), -200.0), discount=discount, lam=lam)
    np.testing.assert_array_equal(found.returns, numbers[1])
    assert not found.weights.any()


@given(
    behaviour=st.lists(st.floats(0.05, 1.0), min_size=2, max_size=4),
    learned=st.lists(st.floats(0.05, 1.0), min_size=4, max_size=4),
    worth=st.lists(st.floats(-5, 5), min_size=4, max_size=4),
)
def test_the_value_that_stays_is_that_of_the_policy_between_the_two(
    behaviour: list[float], learned: list[float], worth: list[float]
) -> None:
    """One state, one step: in the mean over the behaviour nothing is gained at the value of min(mu, pi), made whole."""
    mu = np.array(behaviour) / np.sum(behaviour)
    pi = np.array(learned[: len(mu)]) / np.sum(learned[: len(mu)])
    reward = np.array(worth[: len(mu)])
    between = np.minimum(mu, pi) / np.minimum(mu, pi).sum()
    value = float((between * reward).sum())
    row, over = reward[None], np.ones((1, len(mu)), np.bool_)
    found = vtrace(row, np.full_like(row, value), row, over, over, np.log(pi / mu)[None], discount=0.9, lam=0.9)
    assert float((mu * (found.returns[0] - value)).sum()) == pytest.approx(0.0, abs=1e-5)


# ------------------------------------------------------------------------------------- what the policy in hand sees


def driven(kind: str = "lean", continuous: bool = False, steps: int = 30, seed: int = 3) -> tuple[Policy, Rollout]:
    """Some cars' steps with ends by rule and by time, and the policy that took them."""
    more: dict[str, Any] = {"metadata": continuous_metadata((-30, 30), (0.5, 2.0))} if continuous else {}
    task = small_task(cars=3, starts=RandomStarts(), max_steps=20, seed=seed, **more)
    policy = small_policy(task, kind, kind)
    collector = LocalCollector(task)
    collector.collect(policy, Budget(7))  # so that it begins in the middle of episodes
    return policy, collector.collect(policy, Budget(steps))


def moved(policy: Policy, by: float = 0.05, seed: int = 5) -> Policy:
    """The same policy some updates later."""
    generator = torch.Generator().manual_seed(seed)
    later = Policy(policy.blueprint)
    weights = policy.state_dict()
    later.load_state_dict(
        {name: value + by * torch.randn(value.shape, generator=generator) for name, value in weights.items()}
    )
    return later


KINDS = [("lean", False), ("lean", True), ("recurrent", False)]


@pytest.mark.parametrize(("kind", "continuous"), KINDS)
def test_the_policy_that_drove_sees_what_it_saw(kind: str, continuous: bool) -> None:
    policy, rollout = driven(kind, continuous)
    assert rollout.truncated.any()
    assert rollout.fresh.any()
    again = seen_anew(policy, rollout)
    for name in ("log_probs", "values", "next_values", "actor_memory", "critic_memory"):
        found, expected = (torch.as_tensor(getattr(each, name)) for each in (again, rollout))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
    found = corrected(policy, rollout, discount=0.9, lam=0.9).seen
    worth = rollout.values, rollout.next_values, rollout.terminated, rollout.truncated
    expected = gae(rollout.rewards, *worth, discount=0.9, lam=0.9)
    np.testing.assert_allclose(found.advantages, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.weights, 1.0, atol=1e-3)


@pytest.mark.parametrize(("kind", "continuous"), KINDS)
def test_a_later_policy_sees_what_it_would_have_seen_step_by_step(kind: str, continuous: bool) -> None:
    policy, rollout = driven(kind, continuous)
    later = moved(policy)
    anew = seen_anew(later, rollout)
    actor, critic = rollout.actor_memory[0], rollout.critic_memory[0]
    with torch.no_grad():
        for t in range(len(rollout.rewards)):
            torch.testing.assert_close(anew.actor_memory[t], actor)
            fresh = rollout.fresh[t : t + 1]
            parameters, actor = later.actor({n: v[t] for n, v in rollout.actor_stem.items()}, actor, fresh)
            values, critic = later.critic({n: v[t] for n, v in rollout.critic_stem.items()}, critic, fresh)
            expected = later.actor.head.log_prob(parameters, rollout.actions[t])
            torch.testing.assert_close(anew.log_probs[t], expected, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(torch.from_numpy(anew.values[t]), values, rtol=1e-4, atol=1e-4)
    going = ~rollout.truncated[:-1]
    np.testing.assert_array_equal(anew.next_values[:-1][going], anew.values[1:][going])
    np.testing.assert_array_equal(anew.next_values[rollout.truncated], rollout.next_values[rollout.truncated])
    assert float((anew.log_probs - rollout.log_probs).abs().max()) > 1e-3


# ------------------------------------------------------------------------------------------------------ PPO's update

ONE_STEP = PPOConfig(epochs=1, batch_size=64)


def behind(rollout: Rollout, *versions: int) -> Rollout:
    return rollout._replace(behind=np.array(versions))


def test_a_rollout_of_the_policy_itself_is_trained_on_as_ever() -> None:
    results = []
    for rollout in (lambda found: found, lambda found: behind(found, 0, 0, 0)):
        policy, found = driven()
        measures = PPO(policy, ONE_STEP).update(rollout(found))
        results.append((measures, policy.state_dict()))
    assert results[0][0] == results[1][0]
    assert "mean_weight" not in results[0][0]
    assert all(torch.equal(value, results[1][1][name]) for name, value in results[0][1].items())


def test_the_clip_holds_the_policy_near_the_one_in_hand_not_near_the_one_that_drove() -> None:
    policy, rollout = driven(steps=21)
    later = moved(policy)
    whole = PPOConfig(epochs=1, batch_size=2**20)  # 32 of 63 steps
    plain = PPO(moved(policy), whole).update(rollout)
    assert plain["kl"] > 1e-3
    measures = PPO(later, whole).update(behind(rollout, 2, 1, 3))
    assert measures["kl"] == pytest.approx(0.0, abs=1e-6)
    assert measures["clip_share"] == 0.0
    assert measures["versions_behind"] == 2.0
    assert 0.0 < measures["mean_weight"] < 1.0


def test_the_actors_first_step_is_that_of_the_weighted_advantages() -> None:
    policy, rollout = driven(steps=16)
    only = rollout._replace(**{name: getattr(rollout, name)[:, :2] for name in _BY_CAR}, **_two_cars(rollout))
    later = moved(policy)
    config = PPOConfig(epochs=1, batch_size=32, entropy_weight=0.0, max_gradient_norm=math.inf)
    PPO(later, config).update(behind(only, 1, 1))
    found = later.actor.head.linear.bias.grad
    other = moved(policy)
    result = corrected(other, only, discount=config.discount, lam=config.gae_lambda)
    normal = (result.seen.advantages - result.seen.advantages.mean()) / (result.seen.advantages.std() + 1e-8)
    weighted = torch.from_numpy(result.seen.weights * normal).flatten()
    stem = {name: value.flatten(0, 1) for name, value in only.actor_stem.items()}
    parameters, _ = other.actor(stem, torch.zeros(32, 0), only.fresh)
    (-(other.actor.head.log_prob(parameters, only.actions.flatten()) * weighted).mean()).backward()
    torch.testing.assert_close(found, other.actor.head.linear.bias.grad, rtol=1e-3, atol=1e-5)


_BY_CAR = (
    *("actor_memory", "critic_memory", "fresh", "actions", "log_probs", "values", "next_values", "rewards"),
    *("terminated", "truncated"),
)


def _two_cars(rollout: Rollout) -> dict[str, Any]:
    seen = rollout.last
    parts = ({name: value[:2] for name, value in stem.items()} for stem in (seen.actor_stem, seen.critic_stem))
    stems = {
        name: {key: value[:, :2] for key, value in getattr(rollout, name).items()}
        for name in ("actor_stem", "critic_stem")
    }
    return {**stems, "last": type(seen)(*parts, seen.values[:2]), "laps": rollout.laps[:2]}


def test_joined_rollouts_keep_how_old_each_cars_policy_was() -> None:
    _, rollout = driven(steps=5)
    assert joined([rollout, rollout]).behind is None
    found = joined([behind(rollout, 1, 1, 1), rollout]).behind
    assert found is not None
    assert found.tolist() == [1, 1, 1, 0, 0, 0]


def test_a_bandit_is_learned_from_what_a_version_long_gone_did() -> None:
    """One state, all steps by the first policy, action 1 pays: the clip alone would hold the policy near that one."""
    shares = []
    for told_so in (True, False):
        policy, rollout = driven(steps=32)
        blank = {name: torch.zeros_like(value) for name, value in rollout.actor_stem.items()}
        paid = (rollout.actions == 1).numpy().astype(np.float32)
        told = seen_anew(policy, rollout._replace(actor_stem=blank, critic_stem=blank))
        told = told._replace(rewards=paid, terminated=np.ones_like(rollout.terminated))
        algorithm = PPO(policy, PPOConfig(learning_rate=2e-2, entropy_weight=0.0, batch_size=64))
        for update in range(60):
            algorithm.update(behind(told, *[update] * 3) if told_so else told)
        with torch.no_grad():
            one = {name: value[0] for name, value in blank.items()}
            parameters, _ = policy.actor(one, torch.zeros(3, 0), told.fresh[:1])
        shares.append(float(parameters.exp()[0, 1]))
    assert shares[0] > 0.9
    assert shares[1] < 0.4
