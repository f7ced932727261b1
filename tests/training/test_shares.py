"""A task shared out among workers lives through what one task of all cars does, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from made_crews import TASKS, collector, fields
from made_models import small_policy

from lateapex.models.policy import BLOCK
from lateapex.training.collect import Budget
from lateapex.training.rollout import joined


@pytest.mark.parametrize("name", TASKS)
def test_shares_joined_are_the_whole(name: str) -> None:
    shares = [(0, BLOCK), (BLOCK, BLOCK), (2 * BLOCK, 6)]
    whole = collector(2 * BLOCK + 6, 0, TASKS[name])
    parts = [collector(count, first, TASKS[name]) for first, count in shares]
    policy = small_policy(whole.task)
    for _ in range(2):
        one = whole.collect(policy, Budget(24))
        other = joined([part.collect(policy, Budget(24)) for part in parts])
        expected = fields(one)
        for field, value in fields(other).items():
            np.testing.assert_array_equal(value, expected[field], err_msg=field)
        assert [(each.car, each.track, each.progress, each.reward, each.status) for each in one.episodes] == [
            (each.car, each.track, each.progress, each.reward, each.status) for each in other.episodes
        ]
        assert one.laps_driven == other.laps_driven
    assert one.episodes


def test_a_share_is_not_the_beginning_of_the_whole() -> None:
    ours, others = (collector(4, first, {}) for first in (0, 4))
    assert not np.array_equal(ours.task.simulator.cars["x"], others.task.simulator.cars["x"])
    policy = small_policy(ours.task)
    assert {episode.car for episode in others.collect(policy, Budget(24)).episodes} == {4, 5, 6, 7}
