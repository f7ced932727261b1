"""What a critic thinks of experience that it was not there for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from made_models import small_policy
from made_tasks import small_task

from lateapex.env.starts import RandomStarts
from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.judge import judged, judged_anew, with_critic_stem
from lateapex.training.ppo import PPO, PPOConfig
from lateapex.training.rollout import Rollout, joined

BOTH = {
    "one stem": {},
    "two stems": {"critic": "shallow", "height": 120, "width": 160},
    "no time for a lap": {"max_steps": 7},
}


def driven(*, judges: bool, first_car: int = 0, cars: int = 3, max_steps: int = 20, **more: Any) -> Any:
    """A policy, and what cars lived through with it."""
    networks = {name: more.pop(name, "lean") for name in ("network", "critic")}
    task = small_task(cars=cars, first_car=first_car, starts=RandomStarts(), max_steps=max_steps, seed=3, **more)
    policy = small_policy(task, **networks)
    policy.judges = judges
    collector = LocalCollector(task)
    collector.collect(policy, Budget(7))  # so that it begins in the middle of episodes
    return policy, collector.collect(policy, Budget(30))


def close(found: Rollout, expected: Rollout) -> None:
    for name in ("values", "next_values"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-4, err_msg=name)
    torch.testing.assert_close(found.last.values, expected.last.values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", BOTH)
def test_a_critic_thinks_afterwards_what_it_would_have_thought_then(kind):
    _, there = driven(judges=True, **BOTH[kind])
    policy, absent = driven(judges=False, **BOTH[kind])
    absent = with_critic_stem(policy, absent)
    assert there.truncated.any()
    assert not absent.values.any()
    assert there.unjudged is None
    found = judged(policy, absent)
    close(found, there)
    assert found.unjudged is None
    for name in ("actions", "log_probs", "rewards", "truncated"):
        np.testing.assert_array_equal(getattr(found, name), getattr(there, name))


@pytest.mark.parametrize(
    ("networks", "left_out"),
    [(("shallow", "lean"), True), (("lean", "lean"), False), (("lean", "shallow"), False), (("shallow",) * 2, False)],
)
def test_what_the_critic_keeps_is_left_out_where_it_follows(networks, left_out):
    seen = {"network": networks[0], "critic": networks[1], "height": 120, "width": 160, "max_steps": 6}
    _, there = driven(judges=True, **seen)
    policy, absent = driven(judges=False, **seen)
    assert policy.critic_follows == left_out
    assert (absent.critic_stem is absent.actor_stem) == (left_out or networks[0] == networks[1])
    whole = with_critic_stem(policy, absent)
    assert (whole.critic_stem is whole.actor_stem) == (networks[0] == networks[1])
    for found, expected in ((whole.critic_stem, there.critic_stem), (whole.last.critic_stem, there.last.critic_stem)):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)
    close(judged(policy, whole), there)


def test_what_is_judged_stays_as_it_is():
    policy, rollout = driven(judges=True)
    assert judged(policy, rollout) is rollout
    assert judged_anew(policy, rollout) is not rollout


def test_parts_are_judged_together_as_each_alone():
    parts = [driven(judges=False, first_car=first, cars=cars) for first, cars in ((0, 3), (3, 1), (4, 2))]
    policy = parts[0][0]
    together = judged(policy, joined([part for _, part in parts]))
    close(together, joined([judged(policy, part) for _, part in parts]))
    assert together.truncated.any(axis=0).all()


def test_a_rollout_without_a_cut_is_judged():
    policy, rollout = driven(judges=False, max_steps=200)
    assert not rollout.truncated.any()
    assert len(rollout.unjudged.rows) == 0
    close(judged(policy, rollout), driven(judges=True, max_steps=200)[1])


def test_learning_judges_first():
    results = []
    for judges in (True, False):
        policy, rollout = driven(judges=judges)
        measures = PPO(policy, PPOConfig(epochs=1, batch_size=64)).update(rollout)
        results.append((measures, list(policy.parameters())))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-3, abs=1e-3)
    for one, two in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)
