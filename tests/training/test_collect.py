"""Rollouts: what belongs to which step, and that neither their cuts nor their neighbours show in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from made_models import decide, flat, judged, small_policy, stem, values
from made_tasks import at, continuous_metadata, small_task
from numpy.typing import NDArray

from lateapex.env.racing import RacingTask
from lateapex.env.reward import RewardFunction
from lateapex.env.starts import RandomStarts, RoundRobinStarts
from lateapex.models.policy import Policy
from lateapex.training.collect import Budget, Collector, LocalCollector
from lateapex.training.rollout import Rollout

PER_STEP = (
    "actor_stem",
    "critic_stem",
    "fresh",
    "actions",
    "log_probs",
    "values",
    "next_values",
    "rewards",
    "terminated",
    "truncated",
)
PAY = RewardFunction("def reward_function(params):\n    return params['steps'] + params['x'] / 100\n", "pay.py")


def collector(cars: int = 3, *, bf16: bool = False, **more: Any) -> tuple[LocalCollector, Policy]:
    given = {"starts": RandomStarts(), "reward": PAY, "seed": 5, "max_steps": 25, **more}
    task = small_task(["oval", "kidney"], cars, **given)
    return LocalCollector(task, bf16=bf16), small_policy(task)


def part(rollout: Rollout, name: str) -> NDArray[Any]:
    value = getattr(rollout, name)
    value = value["flat"] if isinstance(value, dict) else value
    return value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def assert_same(one: list[Rollout], two: list[Rollout]) -> None:
    """Bit for bit the same experience, however it is cut into rollouts."""
    for name in PER_STEP:
        ours, theirs = (np.concatenate([part(rollout, name) for rollout in rollouts]) for rollouts in (one, two))
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    records = [[record for rollout in rollouts for record in rollout.episodes] for rollouts in (one, two)]
    for record, other in zip(*records, strict=True):
        assert record.car == other.car
        for name in record.steps.dtype.names or ():
            if name != "wall_clock":
                np.testing.assert_array_equal(record.steps[name], other.steps[name])


# ------------------------------------------------------------------------------------------------------- what is in it


def test_a_rollout_has_its_shapes_and_types() -> None:
    local, policy = collector(3)
    rollout = local.collect(policy, Budget(7))
    found = {name: (part(rollout, name).shape, part(rollout, name).dtype.name) for name in PER_STEP}
    assert found == {
        "actor_stem": ((7, 3, 24), "float32"),
        "critic_stem": ((7, 3, 24), "float32"),
        "fresh": ((7, 3), "bool"),
        "actions": ((7, 3), "int64"),
        "log_probs": ((7, 3), "float32"),
        "values": ((7, 3), "float32"),
        "next_values": ((7, 3), "float32"),
        "rewards": ((7, 3), "float32"),
        "terminated": ((7, 3), "bool"),
        "truncated": ((7, 3), "bool"),
    }


def replay(task: RacingTask, policy: Policy, rollout: Rollout) -> None:
    """Drive the rollout's actions again from the first start, and compare what the rollout says of each step."""
    for t in range(len(rollout.rewards)):
        assert torch.equal(rollout.actor_stem["flat"][t], stem(policy.actor, task.observations)["flat"])
        np.testing.assert_array_equal(rollout.fresh[t], task.fresh)
        np.testing.assert_array_equal(rollout.values[t], values(policy, task.observations))
        reward, over, cut = task.advance(rollout.actions[t].numpy())
        np.testing.assert_array_equal(rollout.rewards[t], reward.astype(np.float32))
        np.testing.assert_array_equal(rollout.terminated[t], over)
        np.testing.assert_array_equal(rollout.truncated[t], cut)
        reached = values(policy, task.observations).numpy()
        np.testing.assert_allclose(rollout.next_values[t][~over], reached[~over], rtol=1e-5, atol=1e-6)
        task.begin(np.flatnonzero(over | cut))


def test_each_step_holds_what_was_seen_done_paid_and_reached() -> None:
    local, policy = collector(4, max_steps=40)
    rollout = local.collect(policy, Budget(150))
    assert rollout.terminated.any()
    assert rollout.truncated.any()
    replay(collector(4, max_steps=40)[0].task, policy, rollout)


def test_a_step_is_worth_what_the_next_step_sees_unless_the_episode_ends() -> None:
    local, policy = collector(4)
    rollout = local.collect(policy, Budget(80))
    goes_on = ~(rollout.terminated | rollout.truncated)[:-1]
    np.testing.assert_array_equal(rollout.next_values[:-1][goes_on], rollout.values[1:][goes_on])
    cut = rollout.truncated[:-1]
    assert (rollout.next_values[:-1][cut] != rollout.values[1:][cut]).all()


def test_log_probabilities_are_those_of_the_actions_taken() -> None:
    local, policy = collector(3)
    rollout = local.collect(policy, Budget(20))
    with torch.no_grad():
        parameters = judged(policy.actor, flat(rollout.actor_stem))
    expected = policy.actor.head.log_prob(parameters, rollout.actions.flatten(0, 1))
    torch.testing.assert_close(rollout.log_probs.flatten(), expected)
    assert len(set(rollout.actions.flatten().tolist())) > 5


def test_two_ranges_store_what_was_drawn_and_not_what_the_car_got() -> None:
    local, policy = collector(3, metadata=continuous_metadata((-30.0, 30.0), (0.5, 2.0)))
    rollout = local.collect(policy, Budget(30))
    assert rollout.actions.shape == (30, 3, 2)
    assert rollout.actions.abs().max() > 1
    for record in rollout.episodes:
        assert np.abs(record.steps["steering_angle"]).max() <= 30
        assert set(record.steps["action"]) == {-1}
    replay(collector(3, metadata=continuous_metadata((-30.0, 30.0), (0.5, 2.0)))[0].task, policy, rollout)


def test_episodes_are_whole_also_where_they_began_in_an_earlier_rollout() -> None:
    local, policy = collector(3)
    rollouts = [local.collect(policy, Budget(10)) for _ in range(9)]
    records = [record for rollout in rollouts for record in rollout.episodes]
    assert len(records) == sum(int((rollout.terminated | rollout.truncated).sum()) for rollout in rollouts) >= 9
    for record in records:
        assert record.phase == "training"
        assert record.steps["steps"].tolist() == list(range(1, len(record.steps) + 1))
    paid = {car: np.concatenate([rollout.rewards[:, car] for rollout in rollouts]) for car in range(3)}
    for car in range(3):
        logged = np.concatenate([record.steps["reward"] for record in records if record.car == car])
        np.testing.assert_array_equal(logged.astype(np.float32), paid[car][: len(logged)])


def test_laps_driven_are_the_ways_forward_of_all_cars() -> None:
    local, policy = collector(3)
    rollouts = [local.collect(policy, Budget(30)) for _ in range(3)]
    way = 0.0
    for rollout in rollouts:
        for record in rollout.episodes:
            way += np.maximum(np.diff(record.steps["progress"], prepend=0.0), 0).sum()
    unfinished = local.snapshot()["recorder"]
    for car in range(3):
        progress = unfinished["rows"][car, : unfinished["length"][car]]["progress"]
        way += np.maximum(np.diff(progress, prepend=0.0), 0).sum()
    assert sum(rollout.laps_driven for rollout in rollouts) == pytest.approx(way / 100)


# ------------------------------------------------------------------------------------------------------- budgets


@pytest.mark.parametrize("episodes", [1, 3, 5, 6])
def test_an_episode_budget_ends_with_the_step_that_fills_it(episodes: int) -> None:
    local, policy = collector(3)
    rollout = local.collect(policy, Budget(500, episodes))
    ends = (rollout.terminated | rollout.truncated).sum(axis=1)
    assert ends.sum() == len(rollout.episodes) >= episodes
    assert ends[:-1].sum() < episodes


def test_steps_bound_an_episode_budget() -> None:
    local, policy = collector(3)
    rollout = local.collect(policy, Budget(4, episodes=100))
    assert len(rollout.rewards) == 4
    assert rollout.episodes == []


def test_one_car_leaves_out_the_episode_that_the_steps_cut_and_the_next() -> None:
    (local, policy), (other, same) = collector(1), collector(1)
    cut, kept = other.collect(same, Budget(60, 100)), local.collect(policy, Budget(60, 100, whole=True))
    ends = np.flatnonzero((cut.terminated | cut.truncated)[:, 0])
    assert len(ends) > 0
    assert len(kept.rewards) == ends[-1] + 1 < len(cut.rewards)
    for name in PER_STEP:
        np.testing.assert_array_equal(part(kept, name), part(cut, name)[: len(kept.rewards)], err_msg=name)
    following = local.collect(policy, Budget(60, 1, whole=True))
    assert following.fresh[0].all()
    assert len(following.rewards) == len(following.episodes[0].steps)
    assert local.task.episodes["episode"].tolist() == [len(ends) + 3]  # two left out, one driven, one begun


@pytest.mark.parametrize(("cars", "steps"), [(1, 3), (2, 60)])
def test_a_first_long_episode_and_several_cars_are_cut_all_the_same(cars: int, steps: int) -> None:
    (local, policy), (other, same) = collector(cars), collector(cars)
    assert_same(
        [local.collect(policy, Budget(steps, 100, whole=True)) for _ in range(2)],
        [other.collect(same, Budget(steps, 100)) for _ in range(2)],
    )


# ------------------------------------------------------------------------------------------------------- the same again


@pytest.mark.parametrize("more", [{}, {"metadata": continuous_metadata((-30.0, 30.0), (0.5, 2.0))}])
def test_two_rollouts_of_k_steps_are_one_of_2_k(more: dict[str, Any]) -> None:
    (one, policy), (two, same) = collector(3, **more), collector(3, **more)
    assert_same([one.collect(policy, Budget(45)) for _ in range(2)], [two.collect(same, Budget(90))])


def test_a_car_drives_the_same_whatever_number_of_cars_drive_beside_it() -> None:
    (few, policy), (many, same) = collector(2), collector(35)
    one, two = few.collect(policy, Budget(40)), many.collect(same, Budget(40))
    for name in PER_STEP:
        np.testing.assert_array_equal(part(one, name), part(two, name)[:, :2], err_msg=name)


def test_the_same_step_of_another_episode_is_drawn_anew() -> None:
    # All episodes are one step long and begin at the same place, so that only the draws can differ.
    local, policy = collector(1, max_steps=1, starts=RoundRobinStarts(advance=0.0))
    rollout = local.collect(policy, Budget(40))
    assert rollout.truncated.all()
    assert len(set(rollout.values.ravel().tolist())) == 1
    assert len(set(rollout.actions.flatten().tolist())) > 3


def test_half_width_numbers_are_used_where_they_are_asked_for() -> None:
    (full, policy), (half, _) = collector(3), collector(3, bf16=True)
    seen = half.task.pictures.copy()
    one, two = full.collect(policy, Budget(1)), half.collect(policy, Budget(1))
    draws = np.zeros((3, 4))
    for rollout, bf16 in ((one, False), (two, True)):
        np.testing.assert_array_equal(rollout.values[0], decide(policy, seen, draws, bf16).values.numpy())
    assert (one.values != two.values).any()


def test_seeds_differ() -> None:
    rollouts = [local.collect(policy, Budget(20)) for local, policy in (collector(3), collector(3, seed=6))]
    assert not torch.equal(rollouts[0].actions, rollouts[1].actions)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_restored_collector_goes_on_as_the_saved_one(bf16: bool) -> None:
    (one, policy), (two, _) = collector(3, bf16=bf16), collector(3, bf16=bf16)
    one.collect(policy, Budget(33))
    snapshot = one.snapshot()
    expected = [one.collect(policy, Budget(40))]
    two.collect(policy, Budget(5))
    two.restore(snapshot)
    assert_same([two.collect(policy, Budget(40))], expected)
    one.restore(snapshot)
    assert_same([one.collect(policy, Budget(40))], expected)


def test_drawing_again_at_the_same_step_of_an_episode_gives_the_same_action() -> None:
    local, policy = collector(3)
    before = local.snapshot()
    first = local.collect(policy, Budget(1)).actions
    local.restore(before)
    assert torch.equal(local.collect(policy, Budget(1)).actions, first)


def test_the_local_collector_is_a_collector() -> None:
    local: Collector = collector(2)[0]
    assert local.task.simulator.count == 2
    local.task.begin(np.arange(2), at([0.1, 0.2]))
    assert local.task.episodes["start"].tolist() == [0.1, 0.2]
