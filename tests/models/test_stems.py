"""What both networks keep is kept once."""

from __future__ import annotations

import torch
from made_models import small_policy
from made_tasks import small_task

from lateapex.models import stems
from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.rollout import joined


def test_stems_are_put_together_by_name() -> None:
    one, two = {"a": torch.tensor([[1, 2]])}, {"a": torch.tensor([[3, 4]])}
    assert stems.joined([one, two])["a"].tolist() == [[1, 2], [3, 4]]
    assert stems.joined([one, two], 1)["a"].tolist() == [[1, 2, 3, 4]]
    assert stems.stacked([one, two])["a"].tolist() == [[[1, 2]], [[3, 4]]]
    assert stems.flat(stems.stacked([one, two]))["a"].tolist() == [[1, 2], [3, 4]]
    assert stems.rows_of(one, torch.tensor([0, 0]))["a"].tolist() == [[1, 2], [1, 2]]


def test_what_is_one_stays_one_and_what_is_two_stays_two() -> None:
    one, two = {"a": torch.tensor([1])}, {"a": torch.tensor([2])}
    same = stems.of_both([one, two], [one, two], stems.joined)
    assert same[0] is same[1]
    first, second = stems.of_both([one, two], [one, one], stems.joined)
    assert (first["a"].tolist(), second["a"].tolist()) == ([1, 2], [1, 1])


def test_a_rollout_holds_once_what_actor_and_critic_both_see() -> None:
    task = small_task(["oval"], 3)
    collector, policy = LocalCollector(task), small_policy(task)
    parts = [collector.collect(policy, Budget(4)) for _ in range(2)]
    for rollout in (*parts, joined(parts)):
        assert rollout.actor_stem is rollout.critic_stem
        assert rollout.last.actor_stem is rollout.last.critic_stem
