"""A crew that waits for nobody: who drives when, what is too old, what is counted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_crews import CARS, Maker, collector, fields, made, makers
from made_models import small_policy

from lateapex.errors import RewardError
from lateapex.training.collect import Budget
from lateapex.training.teacher import TeacherConfig
from lateapex.workers.async_crew import AsyncCrew
from lateapex.workers.crew import Brought, Crew, LocalMate, LocalWorkplace, Mate, Order, Share

STEPS = 5


class PacedMate(LocalMate):
    """Has what it drove after so many waits."""

    def __init__(self, maker: Any, pace: int) -> None:
        super().__init__(maker)
        self.pace, self.left = pace, 0
        self.orders: list[Order] = []

    def roll(self, weights: Any, order: Order) -> None:
        self.left = self.pace
        self.orders.append(order)
        super().roll(weights, order)


class Paced(LocalWorkplace):
    """Time passes only while somebody waits."""

    def __init__(self, makers: Sequence[Any], paces: Sequence[int]) -> None:
        self.mates = [PacedMate(maker, pace) for maker, pace in zip(makers, paces, strict=True)]
        self.meanwhile = False

    def wait(self, mates: Sequence[Mate], seconds: float) -> Sequence[Mate]:
        for mate in mates:
            mate.left -= 1
        return [mate for mate in mates if mate.left <= 0]


def paced(paces: Sequence[int], counts: Sequence[int] = (2, 4), more: Any = None, **options: Any) -> AsyncCrew:
    task = collector(counts[0], 0, {}).task
    return AsyncCrew(Paced(makers(counts, {}, more), paces), counts, task, **{"max_stale": 1, **options})


def collect(crew: AsyncCrew, budget: Budget | None = None) -> Any:
    return crew.collect(small_policy(crew.task), budget or Budget(STEPS))


def turn(crew: AsyncCrew) -> None:
    """What happens while an update is made, once."""
    crew._gather(crew._workplace.wait(crew._driving(), 0.0))
    crew._begin_all()


def begun(crew: AsyncCrew) -> list[int]:
    return [len(mate.orders) for mate in crew._workplace.mates]


# ------------------------------------------------------------------------------------------------------ worked by hand


def test_the_first_rollouts_are_those_of_a_crew_that_waits_and_the_next_are_one_version_old():
    crew, other = paced([1, 1]), Crew(LocalWorkplace(makers((2, 4), {})), (2, 4), collector(2, 0, {}).task)
    policy = small_policy(crew.task)
    for behind in (None, [1] * CARS):
        found, expected = crew.collect(policy, Budget(STEPS)), other.collect(policy, Budget(STEPS))
        for name, value in fields(expected).items():
            np.testing.assert_array_equal(fields(found)[name], value, err_msg=name)
        assert (found.behind if behind is None else found.behind.tolist()) == behind
        np.testing.assert_array_equal(crew.task.episodes, other.task.episodes)
    assert crew.steps == 2 * STEPS * CARS
    assert list(found.seconds) == ["workers"]


def test_nobody_waits_for_who_is_slow_and_what_he_brings_is_taken_when_it_comes():
    crew = paced([1, 3])
    assert collect(crew).rewards.shape == (STEPS, 4)  # two rollouts of the first share
    rollout = collect(crew)
    assert rollout.rewards.shape == (STEPS, 6)
    assert rollout.behind.tolist() == [1] * 6  # the first share's third, and the second's first, both of version 1
    assert crew.ledger.summary()["trained"] == 4


def test_what_took_too_long_is_counted_and_not_learned_from():
    crew = paced([1, 7])
    found = [collect(crew) for _ in range(4)]
    assert [rollout.rewards.shape[1] for rollout in found] == [4] * 4  # the first share's alone
    assert [None if rollout.behind is None else rollout.behind.tolist() for rollout in found] == [
        None,
        *[[1, 1, 0, 0]] * 3,
    ]
    account = crew.ledger.summary()
    assert (account["trained"], account["discarded"]["stale"], account["waiting"]) == (8, 1, 2)
    crew.finish()
    account = crew.end().summary()
    assert (account["produced"], account["discarded"]["unused"], account["waiting"]) == (11, 2, 0)
    assert account["balanced"]


@pytest.mark.parametrize("max_stale", [1, 2, 3])
def test_who_is_ahead_is_held_back_while_an_update_lasts_and_goes_on_after_it(max_stale):
    crew = paced([1, 1], max_stale=max_stale)
    collect(crew)
    for _ in range(9):
        turn(crew)
    assert begun(crew) == [1 + max_stale] * 2  # as many updates ahead as is allowed
    rollout = collect(crew)
    assert rollout.behind.tolist() == [1] * 6
    assert begun(crew) == [2 + max_stale] * 2
    for age in range(2, max_stale + 1):
        assert collect(crew).behind.tolist() == [age] * 6
    assert not any(crew.ledger.discarded.values())


def test_who_was_held_back_longest_goes_on_first():
    crew = paced([1, 1, 1], (1, 1, 1), one_each=True)  # two of them may drive at a time
    for _ in range(6):
        collect(crew)
        assert max(begun(crew)) - min(begun(crew)) <= 1
    assert sum(begun(crew)) == 7


def test_exploration_and_lessons_go_by_what_was_learned_from():
    lesson = {"lesson": TeacherConfig(kind="centre_line", steps=2 * STEPS * CARS, mix=1.0)}
    crew = paced([1, 1], more=lesson)
    found = [collect(crew) for _ in range(4)]
    # The lesson ends with what was asked for after the second update; whoever had begun before still had a teacher.
    assert [rollout.labels is not None for rollout in found] == [True, True, True, False]
    assert [order.taken for order in crew._workplace.mates[0].orders] == [0, 0, 30, 60, 90]


def test_rollouts_that_end_with_a_shares_own_episodes_make_an_update_each():
    crew = paced([1, 1], one_each=True, max_stale=2)
    found = [collect(crew, Budget(200, episodes=3)) for _ in range(4)]
    assert {rollout.rewards.shape[1] for rollout in found} == {2, 4}
    assert all(3 <= len(rollout.episodes) <= 6 for rollout in found)
    assert all(len(rollout.rewards) < 200 for rollout in found)


def test_rollouts_stay_as_long_as_the_first_so_that_they_can_be_joined():
    crew = paced([1, 1])
    assert [len(collect(crew, Budget(steps)).rewards) for steps in (5, 3, 5)] == [5, 5, 5]


def test_waiting_ends_when_experience_is_no_longer_wanted():
    crew = paced([10**9, 10**9])
    asked: list[bool] = []

    def wanted() -> bool:
        asked.append(len(asked) < 3)
        return asked[-1]

    assert collect(crew, Budget(STEPS, wanted=wanted)) is None
    assert asked == [True, True, True, False]


def test_the_task_here_hears_what_rewards_elsewhere_cost():
    crew = paced([1, 1])
    collect(crew)
    assert crew.task.reward.calls > 0
    assert crew.task.reward.seconds > 0.0


# --------------------------------------------------------------------------------------------------------- saved states


def test_whoever_goes_on_begins_new_episodes_from_what_was_learned_from():
    crew = paced([1, 3])
    collect(crew)
    state = crew.snapshot()
    assert state["steps"] == crew.steps == 2 * STEPS * 2
    assert state["task"]["clock"] == 2 * STEPS
    # The second share's rollout waits: its cars are where they were.
    assert state["task"]["episodes"]["steps"].tolist()[2:] == [0] * 4
    before = state["task"]["episodes"]["episode"]
    followers = [made(CARS, 0, {}, {}), paced([1, 1], (4, 2)), paced([1, 1, 1], (2, 2, 2))]
    for after in followers:
        after.restore(state)
        rollout = after.collect(small_policy(after.task), Budget(STEPS))
        assert rollout.fresh[0].all()
    np.testing.assert_array_equal(followers[0].snapshot()["task"]["episodes"]["episode"] >= before + 1, True)
    assert followers[0].steps == crew.steps + STEPS * CARS
    one, other = (fields(each.collect(small_policy(each.task), Budget(STEPS))) for each in followers[1:])
    assert all((one[name] == other[name]).all() for name in one)


def test_who_was_brought_back_and_saved_again_at_once_still_begins_new_episodes():
    crew = paced([1, 1])
    collect(crew)
    waiting = Crew(LocalWorkplace(makers((2, 4), {})), (2, 4), collector(2, 0, {}).task)
    waiting.restore(crew.snapshot())
    assert waiting.snapshot()["anew"]
    assert waiting.collect(small_policy(waiting.task), Budget(STEPS)).fresh[0].all()
    assert "anew" not in waiting.snapshot()


def test_who_was_killed_counts_what_was_under_way_as_lost_and_numbers_anew():
    crew = paced([1, 1])
    collect(crew)
    state = crew.snapshot()
    again = paced([1, 1])
    again.restore(state)
    account = again.ledger.summary()
    assert (account["produced"], account["trained"], account["discarded"]["lost"], account["waiting"]) == (4, 2, 2, 0)
    collect(again)
    again.finish()
    account = again.end().summary()
    assert account["balanced"]
    assert (account["trained"], account["waiting"]) == (4, 0)


def test_a_state_of_one_process_goes_on_as_it_was():
    one = made(CARS, 0, {}, {})
    policy = small_policy(one.task)
    one.collect(policy, Budget(STEPS))
    crew = paced([1, 1])
    crew.restore(one.snapshot())
    expected, found = fields(one.collect(policy, Budget(STEPS))), fields(crew.collect(policy, Budget(STEPS)))
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


# ------------------------------------------------------------------------------------------------------- whatever comes


@cache
def shared_share() -> tuple[Share, Brought]:
    share = Maker(0, 1, {})()
    return share, share.roll(small_policy(share._collector.task).state_dict(), Order(1, None, False, 0))


class DrawnMate:
    """Brings one and the same rollout after so many waits as are drawn."""

    def __init__(self, draw: Any) -> None:
        self.draw, self.left = draw, 0

    def roll(self, weights: Any, order: Order) -> None:
        self.left = self.draw(st.integers(1, 6))

    def ready(self) -> bool:
        return self.left <= 0

    def brought(self) -> Brought:
        return shared_share()[1]

    def state(self) -> Any:
        return shared_share()[0].state()


class DrawnPlace:
    """Tells in any order who is ready."""

    meanwhile = False

    def __init__(self, count: int, draw: Any) -> None:
        self.mates = [DrawnMate(draw) for _ in range(count)]
        self._draw = draw

    def publish(self, weights: Any) -> Any:
        return weights

    def wait(self, mates: Sequence[DrawnMate], seconds: float) -> Sequence[DrawnMate]:
        for mate in mates:
            mate.left -= 1
        return self._draw(st.permutations([mate for mate in mates if mate.left <= 0]))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.booleans(), st.data())
def test_nothing_is_too_old_by_waiting_and_everything_is_accounted_for(count, max_stale, one_each, data):
    place = DrawnPlace(count, data.draw)
    task = shared_share()[0]._collector.task
    crew = AsyncCrew(place, [1] * count, task, max_stale=max_stale, one_each=one_each)
    policy = small_policy(task)
    in_time: set[Any] = set()

    def note() -> None:
        """No version came while these were driven."""
        in_time.update(held.id for held in crew._in_hand._held if held.version == crew.version)

    gather = crew._gather

    def noted(mates: Any) -> None:
        gather(mates)
        note()

    crew._gather = noted  # type: ignore[method-assign] # looks on
    stale: list[Any] = []
    decide = crew.ledger.decide

    def decided(id_: Any, verdict: str) -> None:
        stale.extend([id_] if verdict == "stale" else [])
        decide(id_, verdict)

    crew.ledger.decide = decided  # type: ignore[method-assign] # looks on
    for update in range(6):
        rollout = crew.collect(policy, Budget(1))
        assert rollout.rewards.shape[1] == (1 if one_each else count)
        assert rollout.behind is None or 0 <= rollout.behind.min() <= rollout.behind.max() <= max_stale
        assert crew.ledger.trained == (update + 1) * rollout.rewards.shape[1]
        for _ in range(data.draw(st.integers(0, 8))):
            turn(crew)
        assert crew.ledger.balanced
    assert not in_time.intersection(stale)
    crew.finish()
    assert crew.ledger.balanced
    assert crew.ledger.waiting == 0


# ------------------------------------------------------------------------------------------------- in another thread


class Meanwhile(LocalWorkplace):
    """Mates who drive whenever they are asked to, whoever asks."""

    def __init__(self, makers: Sequence[Any]) -> None:
        super().__init__(makers)
        self.meanwhile = True
        self.waits = 0
        self.waited = threading.Condition()

    def wait(self, mates: Sequence[Mate], seconds: float) -> Sequence[Mate]:
        with self.waited:
            self.waits += 1
            self.waited.notify_all()
        return mates

    def let_pass(self, waits: int) -> None:
        """Return after so many more waits."""
        with self.waited:
            end = self.waits + waits
            assert self.waited.wait_for(lambda: self.waits >= end, timeout=60.0)


def test_mates_go_on_while_an_update_is_made_as_far_as_is_allowed():
    place = Meanwhile(makers((2, 4), {}))
    crew = AsyncCrew(place, (2, 4), collector(2, 0, {}).task, max_stale=2)
    collect(crew)
    place.let_pass(20)
    assert crew.ledger.waiting == 4  # two updates' worth, and no more
    assert collect(crew).behind.max() <= 1
    assert crew._thread is not None
    crew.finish()
    assert crew._thread is None
    assert crew.ledger.balanced
    assert not any(thread.name == "crew" for thread in threading.enumerate())


def test_what_fails_in_the_other_thread_is_told_in_this_one():
    def fail() -> Brought:
        raise RewardError("no")

    place = Meanwhile(makers((2, 4), {}))
    crew = AsyncCrew(place, (2, 4), collector(2, 0, {}).task, max_stale=1)
    collect(crew)
    place.mates[1].brought = fail  # type: ignore[method-assign] # as where an actor tells of a failure
    rollouts = iter(lambda: collect(crew), None)
    with pytest.raises(RewardError, match="no"):
        list(islice(rollouts, 4))
    crew.close()
