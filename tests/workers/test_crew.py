"""A crew brings what one collector of all cars brings, whatever the number of its mates, and goes on from its state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from made_crews import CARS, TASKS, Maker, collector, fields, made, makers
from made_models import small_policy

from lateapex.env.race_config import RaceConfig
from lateapex.models.policy import Policy
from lateapex.training.collect import Budget, LocalCollector
from lateapex.training.exploration import ExplorationConfig
from lateapex.training.teacher import TeacherConfig
from lateapex.workers.arrays import to_arrays, to_tensors
from lateapex.workers.crew import Crew, LocalWorkplace
from lateapex.workers.crew_state import joined_states, split_state


def crew(counts: Sequence[int], settings: dict[str, Any], more: dict[str, Any] | None = None) -> Crew:
    return Crew(LocalWorkplace(makers(counts, settings, more)), counts, collector(counts[0], 0, settings).task)


def whole(settings: dict[str, Any], more: dict[str, Any] | None = None) -> LocalCollector:
    return made(CARS, 0, settings, more or {})


def assert_equal(one: Any, other: Any) -> None:
    expected = fields(one)
    for field, value in fields(other).items():
        np.testing.assert_array_equal(value, expected[field], err_msg=field)
    assert [(each.car, each.progress, each.reward) for each in one.episodes] == [
        (each.car, each.progress, each.reward) for each in other.episodes
    ]


def timeless(snapshot: Any) -> dict[str, np.ndarray]:
    """A snapshot by names, without the clock on the wall."""
    found = flat(snapshot)
    rows = found["/recorder/rows"] = found["/recorder/rows"].copy()
    rows["wall_clock"] = 0.0
    return found


def flat(value: Any, name: str = "") -> dict[str, np.ndarray]:
    if isinstance(value, dict):
        return {key: item for part in value for key, item in flat(value[part], f"{name}/{part}").items()}
    return {name: np.asarray(value)}


def assert_same_state(one: Any, other: Any) -> None:
    ours, others = timeless(one), timeless(other)
    assert ours.keys() == others.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


@pytest.mark.parametrize(
    ("name", "counts"), [*((name, (2, 4)) for name in TASKS), ("plain", (6,)), ("plain", (1,) * 6)]
)
def test_a_crew_brings_what_one_collector_brings_and_is_in_the_same_state_after_it(name, counts):
    one, other = whole(TASKS[name]), crew(counts, TASKS[name])
    policy = small_policy(one.task)
    assert_same_state(one.snapshot(), other.snapshot())
    for _ in range(2):
        assert_equal(one.collect(policy, Budget(24)), other.collect(policy, Budget(24)))
        assert_same_state(one.snapshot(), other.snapshot())
    assert other.cars == CARS


@pytest.mark.parametrize("name", ["tracks both ways", "scene", "boxes", "bots", "models"])
def test_whoever_drove_a_run_whoever_else_goes_on_with_it(name):
    settings = TASKS[name]
    policy = small_policy(whole(settings).task)
    drivers = [whole(settings), crew((2, 4), settings), crew((2, 2, 2), settings)]
    first = drivers[0].collect(policy, Budget(30))
    for before in drivers[1:]:
        before.collect(policy, Budget(30))
    expected = drivers[0].collect(policy, Budget(20))
    assert first.episodes
    for before in drivers[1:]:
        for after in (whole(settings), crew((4, 2), settings)):
            after.restore(before.snapshot())
            assert_equal(expected, after.collect(policy, Budget(20)))


@pytest.mark.parametrize("network", ["recurrent", "lean"])
def test_what_networks_and_transforms_remember_is_shared_out_too(network):
    def policy(task: Any, seed: int) -> Policy:
        return small_policy(task, network=network, critic=network, seed=seed, transforms=("stack:frames=2",))

    one, other = whole({}), crew((4, 2), {})
    for mate in other._workplace.mates:
        mate._share._policy = policy(one.task, 99)
    drives = policy(one.task, 0)
    assert_equal(one.collect(drives, Budget(5)), other.collect(drives, Budget(5)))
    assert_same_state(one.snapshot(), other.snapshot())
    again = whole({})
    again.restore(other.snapshot())
    assert_equal(one.collect(drives, Budget(5)), again.collect(drives, Budget(5)))


def test_a_rollout_of_some_episodes_ends_with_the_same_step_for_all():
    one, other = whole({}), crew((2, 3, 1), {})
    policy = small_policy(one.task)
    for _ in range(3):
        expected = one.collect(policy, Budget(200, episodes=4))
        assert_equal(expected, other.collect(policy, Budget(200, episodes=4)))
        assert 4 <= len(expected.episodes) < 9
        assert len(expected.rewards) < 200


def test_a_rollout_of_some_episodes_has_at_most_so_many_steps():
    other = crew((2, 4), {})
    assert len(other.collect(small_policy(other.task), Budget(7, episodes=1000)).rewards) == 7


def test_what_changes_with_the_steps_of_all_cars_changes_alike_for_a_share():
    greedy = {"exploration": ExplorationConfig(exploration_type="e-greedy", e_greedy_value=0.0, epsilon_steps=100)}
    lesson = {"lesson": TeacherConfig(kind="centre_line", steps=100, mix=1.0)}
    for more in (greedy, lesson):
        one, other = whole({}, more), crew((4, 2), {}, more)
        policy = small_policy(one.task)
        for number in range(4):
            ours, theirs = one.collect(policy, Budget(6)), other.collect(policy, Budget(6))
            assert_equal(ours, theirs)
            assert (theirs.labels is not None) == (more is lesson and number < 3)


def test_the_task_here_counts_the_first_cars_episodes_and_the_rewards_calls():
    one, other = whole({}), crew((4, 2), {})
    policy = small_policy(one.task)
    one.collect(policy, Budget(40))
    other.collect(policy, Budget(40))
    assert one.task.episodes["episode"][0] > 0
    np.testing.assert_array_equal(other.task.episodes, one.task.episodes[:4])
    assert 0 < other.task.reward.calls < one.task.reward.calls
    assert other.task.reward.seconds > 0.0


def test_a_state_of_other_cars_is_refused():
    state = whole({}).snapshot()
    with pytest.raises(ValueError, match="a snapshot of 6 cars, not 5"):
        split_state(state, [3, 2])
    state["task"]["weather"] = np.zeros(7)
    with pytest.raises(ValueError, match="holds weather, which cannot be shared out"):
        split_state(state, [3, 3])
    with pytest.raises(ValueError, match="holds weather"):
        joined_states([state, state])


def test_shares_that_are_not_equally_far_are_no_whole():
    states = split_state(whole({}).snapshot(), [3, 3])
    states[1]["steps"] += 1
    with pytest.raises(ValueError, match="not equally far"):
        joined_states(states)


def test_a_share_that_was_split_off_and_joined_again_is_what_it_was():
    race = {"race": RaceConfig(race_type="HEAD_TO_MODEL", cars_per_world=2)}
    one = whole(race)
    one.collect(small_policy(one.task), Budget(25))
    parts = split_state(one.snapshot(), [2, 4])
    assert parts[1]["task"]["things"]["car"].max() == 3
    assert parts[1]["task"]["cars"]["world"].tolist() == [0, 0, 1, 1]
    assert_same_state(joined_states(parts), one.snapshot())
    assert one.snapshot()["task"]["cars"]["world"].tolist() == [0, 0, 1, 1, 2, 2]


def test_tensors_travel_as_arrays_and_come_back_as_they_were():
    stem = {"flat": torch.arange(6.0).view(2, 3)}
    half = torch.arange(4.0).to(torch.bfloat16)
    array = np.arange(3)
    sent = to_arrays({"both": (stem, stem), "half": half, "array": array, "words": ["a", None, 2]})
    sent["both"][0]["flat"].values.flags.writeable = False
    came = to_tensors(sent)
    assert came["both"][0] is came["both"][1]
    assert torch.equal(came["both"][0]["flat"], stem["flat"])
    assert came["half"].dtype == torch.bfloat16
    assert torch.equal(came["half"], half)
    assert came["array"] is array
    assert came["words"] == ["a", None, 2]


def test_tensors_of_arrays_share_their_memory():
    tensor = torch.zeros(3)
    came = to_tensors(to_arrays([tensor]))[0]
    came[0] = 1.0
    assert tensor[0] == 1.0


def test_a_picture_is_kept_once_where_actor_and_critic_see_the_same():
    one, other = whole({}), crew((4, 2), {})
    policy = small_policy(one.task)
    for rollout in (one.collect(policy, Budget(3)), other.collect(policy, Budget(3))):
        assert rollout.critic_stem is rollout.actor_stem
        assert rollout.last.critic_stem is rollout.last.actor_stem
    apart = small_policy(one.task, network="lean", critic="recurrent")
    rollout = whole({}).collect(apart, Budget(3))
    assert rollout.critic_stem is not rollout.actor_stem


def test_an_answer_that_was_not_asked_for_is_none():
    mate = LocalWorkplace([Maker(0, 2, {})]).mates[0]
    with pytest.raises(RuntimeError, match="no rollout was finished"):
        mate.brought()
    with pytest.raises(RuntimeError, match="no rollout has begun"):
        collector(2, 0, {}).advance()
