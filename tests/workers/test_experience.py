"""Rollouts as batches that travel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from made_batches import made_batch
from made_models import small_policy
from made_tasks import continuous_metadata, small_task

from lateapex.errors import FormatError
from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.rollout import Rollout
from lateapex.training.teacher import Teacher, TeacherConfig, state_driver
from lateapex.workers.batch_format import pack, unpack
from lateapex.workers.experience import to_batch, to_rollout
from lateapex.world.vehicle import Vehicle

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "two stems": {"critic": "shallow"},
    "memory": {"network": "recurrent"},
    "numbers": {"task": {"metadata": continuous_metadata((-30.0, 30.0), (0.5, 2.0))}},
    "bfloat16": {"bf16": True},
    "lesson": {"teacher": True},
    "cut": {"task": {"max_steps": 5}},
    "unjudged": {"judges": False},
    "unjudged and cut": {"judges": False, "task": {"max_steps": 5}},
    "unjudged with two stems": {"judges": False, "critic": "shallow", "task": {"max_steps": 6}},
}


def driven(kind: str, steps: int = 24) -> Rollout:
    """A real rollout, of which some episodes end."""
    chosen = dict(KINDS[kind])
    task = small_task(cars=3, **{"max_steps": 20, "height": 120, "width": 160, **chosen.pop("task", {})})
    teacher = None
    if chosen.pop("teacher", False):
        teacher = Teacher(state_driver("centre_line", task.tracks, Vehicle()), TeacherConfig(steps=10_000))
    collector = LocalCollector(task, bf16=chosen.pop("bf16", False), teacher=teacher)
    judges = chosen.pop("judges", True)
    policy = small_policy(task, **chosen)
    policy.judges = judges
    return collector.collect(policy, Budget(steps))


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """All arrays and numbers of nested data by their place."""
    if isinstance(value, dict):
        return {key: item for each in value for key, item in flat(value[each], f"{name}/{each}").items()}
    if hasattr(value, "_asdict"):
        return flat(value._asdict(), name)
    return {name: value}


@pytest.mark.parametrize("kind", KINDS)
def test_a_rollout_comes_back_as_it_was(kind):
    rollout = driven(kind)
    assert rollout.episodes
    packed = pack(to_batch(rollout, version=3))
    batch = unpack(packed.data, "it", packed.digest)
    assert batch.version == 3
    found, expected = flat(to_rollout(batch)), flat(rollout)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if name == "/episodes":
            assert [(each.car, each.steps.tobytes()) for each in found[name]] == [
                (each.car, each.steps.tobytes()) for each in value
            ]
        elif isinstance(value, torch.Tensor):
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value), name
        elif isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype
            np.testing.assert_array_equal(found[name], value, name)
        else:
            assert found[name] == value, name


def test_what_both_networks_see_travels_once():
    one, two = (to_batch(driven(kind), 1) for kind in ("plain", "two stems"))
    assert {name.partition("/")[0] for name in one.observation} == {"actor"}
    assert {name.partition("/")[0] for name in two.observation} == {"actor", "critic"}
    back = to_rollout(one)
    assert back.actor_stem is back.critic_stem


def test_a_batch_says_what_its_last_steps_led_to():
    rollout = driven("plain")
    batch = to_batch(rollout, 1)
    assert batch.next_rows.tolist() == [69, 70, 71]
    for name, value in rollout.last.actor_stem.items():
        np.testing.assert_array_equal(batch.next_observation[f"actor/{name}"], value.numpy())


def test_a_batch_that_no_critic_judged_says_what_led_to_a_cut():
    rollout = driven("unjudged and cut")
    batch = to_batch(rollout, 1)
    assert batch.next_rows[:3].tolist() == [69, 70, 71]
    assert batch.next_rows[3:].tolist() == np.flatnonzero(rollout.truncated).tolist()
    assert "values" not in batch.extra
    for name, value in rollout.unjudged.seen.actor_stem.items():
        np.testing.assert_array_equal(batch.next_observation[f"actor/{name}"][3:], value.numpy())


def test_a_whole_batch_of_something_else_is_told():
    with pytest.raises(FormatError, match="batch 7 holds no experience of this release of lateapex"):
        to_rollout(made_batch(), "batch 7")
