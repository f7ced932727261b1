"""What off-policy learning takes as remembered is what the policy acted by."""

from __future__ import annotations

import numpy as np
import torch
from made_models import small_policy
from made_tasks import small_task

from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.replay import Replay


def test_a_step_that_begins_an_episode_is_learned_from_with_nothing_remembered() -> None:
    task = small_task(cars=2, max_steps=3)
    policy = small_policy(task, network="recurrent")
    rollout = LocalCollector(task).collect(policy, Budget(8))
    begun = rollout.fresh.clone()
    assert begun[3:].any()
    assert rollout.actor_memory[begun][-1].abs().sum() > 0  # what it knew of the episode before
    replay = Replay(100)
    replay.add(rollout)
    drawn = replay.draw(200, np.random.default_rng(1))
    parameters, _ = policy.actor(drawn.actor_stem, drawn.actor_memory, torch.zeros(1, 200, dtype=torch.bool))
    found = policy.actor.head.log_prob(parameters, drawn.actions)
    # Each drawn step is one of the rollout, and as probable as it was there, for nothing was learned since.
    stems, actions, log_probs = (
        value.flatten(0, 1) for value in (rollout.actor_stem["flat"], rollout.actions, rollout.log_probs)
    )
    for stem, action, log_prob in zip(drawn.actor_stem["flat"], drawn.actions, found, strict=True):
        same = [row for row in range(len(stems)) if torch.equal(stems[row], stem) and actions[row] == action]
        assert any(torch.isclose(log_probs[row], log_prob, rtol=1e-4, atol=1e-5) for row in same)
