"""Exploration: how many actions are drawn from all alike, and that this depends on nothing but steps and seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_models import greedy as greedily
from made_models import small_policy
from made_tasks import continuous_metadata, small_task
from pydantic import ValidationError

from lateapex.errors import ConfigError
from lateapex.models.policy import Policy
from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.exploration import ExplorationConfig, epsilon


def greedy(**values: Any) -> ExplorationConfig:
    return ExplorationConfig(**{"exploration_type": "e-greedy", **values})


def test_epsilon_falls_linearly_from_1_and_then_stays() -> None:
    # from 1 to 0.2 in 1000 steps: 1 - 0.8 * 250 / 1000 = 0.8 after 250
    config = greedy(e_greedy_value=0.2, epsilon_steps=1000)
    found = [epsilon(config, steps) for steps in (0, 250, 500, 1000, 10**9)]
    assert found == pytest.approx([1.0, 0.8, 0.6, 0.2, 0.2])


def test_categorical_exploration_has_no_epsilon() -> None:
    assert epsilon(ExplorationConfig(), 5) is None


@pytest.mark.parametrize("wrong", [{"e_greedy_value": 1.5}, {"epsilon_steps": 0}, {"exploration_type": "curious"}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExplorationConfig(**wrong)


def collector(exploration: ExplorationConfig, cars: int = 8) -> tuple[LocalCollector, Policy]:
    task = small_task("oval", cars, seed=5)
    return LocalCollector(task, exploration=exploration), small_policy(task)


def test_with_epsilon_0_every_action_is_the_most_probable() -> None:
    local, policy = collector(greedy(e_greedy_value=0.0, epsilon_steps=1))
    local.collect(policy, Budget(1))
    seen = local.task.pictures.copy()
    actions = local.collect(policy, Budget(1)).actions[0]
    assert np.array_equal(actions.numpy(), greedily(policy, seen))


def test_with_epsilon_1_actions_are_drawn_from_all_alike() -> None:
    local, policy = collector(greedy(e_greedy_value=1.0), cars=32)
    actions = local.collect(policy, Budget(60)).actions.flatten().numpy()
    shares = np.bincount(actions, minlength=len(local.task.actions)) / len(actions)
    assert np.abs(shares * len(local.task.actions) - 1.0).max() < 0.35  # 192 expected of each, five deviations


def test_steps_count_over_all_cars_and_rollouts() -> None:
    # 8 cars, 80 steps: after ten rows of rollouts, however cut, nothing but the best action is left.
    local, policy = collector(greedy(e_greedy_value=0.0, epsilon_steps=80))
    first = [local.collect(policy, Budget(count)) for count in (4, 6)]
    assert any(len(np.unique(rollout.actions.numpy())) > 1 for rollout in first)
    seen = local.task.pictures.copy()
    assert np.array_equal(local.collect(policy, Budget(1)).actions[0].numpy(), greedily(policy, seen))


def test_a_restored_collector_goes_on_at_the_same_epsilon() -> None:
    exploration = greedy(e_greedy_value=0.0, epsilon_steps=200)
    local, policy = collector(exploration)
    local.collect(policy, Budget(10))
    snapshot = local.snapshot()
    whole = local.collect(policy, Budget(15)).actions
    again, _ = collector(exploration)
    again.restore(snapshot)
    assert np.array_equal(again.collect(policy, Budget(15)).actions.numpy(), whole.numpy())


def test_a_continuous_action_space_is_refused_in_one_line() -> None:
    task = small_task("oval", 2, metadata=continuous_metadata((-20.0, 20.0), (0.5, 1.0)))
    with pytest.raises(ConfigError, match=r'"e-greedy", which needs a list of actions; .* write "categorical"'):
        LocalCollector(task, exploration=greedy())
