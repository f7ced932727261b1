"""The replay: which steps can be drawn, what belongs to them, and that pieces on disk bring it back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lateapex.errors import RunError
from lateapex.models.policy import Seen
from lateapex.storage import MemoryStorage
from lateapex.training.replay import FOLDER, Replay
from lateapex.training.rollout import Rollout

CARS = 2


def rollout(first: int, steps: int, truncated: Any = (), terminated: Any = ()) -> Rollout:
    """Steps whose stem, action and reward all say their number; car n adds half a step."""
    number = torch.arange(first, first + steps + 1, dtype=torch.float32)[:, None] + torch.arange(CARS) / 2
    shape = (steps, CARS)
    cut, over = (np.zeros(shape, np.bool_) for _ in range(2))
    for place in truncated:
        cut[place] = True
    for place in terminated:
        over[place] = True
    return Rollout(
        actor_stem={"x": number[:-1, :, None]},
        critic_stem={"y": -number[:-1, :, None]},
        actor_memory=torch.zeros(*shape, 0),
        critic_memory=torch.zeros(*shape, 0),
        fresh=torch.zeros(shape, dtype=torch.bool),
        actions=number[:-1].clone(),
        log_probs=torch.zeros(shape),
        values=np.zeros(shape, np.float32),
        next_values=np.zeros(shape, np.float32),
        rewards=number[:-1].numpy().copy(),
        terminated=over,
        truncated=cut,
        last=Seen({"x": number[-1, :, None]}, {"y": -number[-1, :, None]}, torch.zeros(CARS)),
        episodes=[],
        laps=np.zeros(1),
    )


def drawn(replay: Replay, count: int = 400) -> set[float]:
    """Numbers of the steps that can be drawn; each is held against what has to belong to it."""
    some = replay.draw(count, np.random.default_rng(3))
    assert torch.equal(some.actor_stem["x"][:, 0], some.rewards)
    assert torch.equal(some.critic_stem["y"][:, 0], -some.rewards)
    assert torch.equal(some.actions, some.rewards)
    assert torch.equal(some.next_critic_stem["y"][:, 0], -some.rewards - 1)
    return set(some.rewards.tolist())


def test_each_step_is_drawn_with_what_it_led_to_and_the_last_state_is_no_step() -> None:
    replay = Replay(1000)
    replay.add(rollout(0, 3))
    replay.add(rollout(10, 2))
    assert len(replay) == 10
    assert drawn(replay) == {0, 0.5, 1, 1.5, 2, 2.5, 10, 10.5, 11, 11.5}


def test_a_step_that_was_cut_off_leads_nowhere_and_is_not_drawn() -> None:
    replay = Replay(1000)
    replay.add(rollout(0, 3, truncated=[(1, 0)]))
    assert drawn(replay) == {0, 0.5, 1.5, 2, 2.5}


def test_a_step_that_a_rule_ended_is_drawn_as_one_beyond_which_nothing_counts() -> None:
    replay = Replay(1000)
    replay.add(rollout(0, 2, terminated=[(0, 1)]))
    some = replay.draw(100, np.random.default_rng(0))
    assert {(reward, goes) for reward, goes in zip(some.rewards.tolist(), some.goes_on.tolist(), strict=True)} == {
        (0.0, 1.0),
        (0.5, 0.0),
        (1.0, 1.0),
        (1.5, 1.0),
    }


def test_steps_are_drawn_alike_often() -> None:
    replay = Replay(1000)
    replay.add(rollout(0, 4))
    counts = np.unique(replay.draw(8000, np.random.default_rng(0)).rewards.numpy(), return_counts=True)[1]
    assert len(counts) == 8
    assert np.abs(counts - 1000).max() < 150  # five deviations of 30


@given(st.lists(st.integers(1, 7), min_size=1, max_size=12), st.integers(4, 40))
@settings(max_examples=60, deadline=None)
def test_the_newest_steps_stay_and_no_more_than_there_is_room_for(lengths: list[int], capacity: int) -> None:
    replay, number, rows = Replay(capacity), 0, []
    for steps in lengths:
        replay.add(rollout(number, steps))
        rows += [*range(number, number + steps), None]  # a row of what was seen last, which is no step
        number += 100
    most = max(capacity // CARS, 2)
    # A rollout longer than all the room is kept by its newest rows, so what stays is always the newest.
    kept = {row + half for row in rows[-most:] if row is not None for half in (0, 0.5)}
    assert len(replay) == len(kept)
    assert not kept or drawn(replay, 3000) == kept


@given(st.lists(st.integers(1, 6), min_size=2, max_size=10), st.integers(6, 30), st.data())
@settings(max_examples=40, deadline=None)
def test_pieces_on_disk_bring_back_the_same_memory(lengths: list[int], capacity: int, data: st.DataObject) -> None:
    storage, replay = MemoryStorage(), Replay(capacity)
    state: Any = None
    for place, steps in enumerate(lengths):
        replay.add(rollout(100 * place, steps))
        if data.draw(st.booleans()):
            state = replay.save(storage)
            replay.tidy(storage)
    state = replay.save(storage)
    replay.tidy(storage)
    again = Replay(capacity)
    again.restore(state, storage)
    assert len(again) == len(replay)
    for one, two in ((replay, again), (again, replay)):
        one.add(rollout(9000, 3))
        two.add(rollout(9000, 3))
        ours, theirs = (each.draw(64, np.random.default_rng(1)) for each in (one, two))
        assert torch.equal(ours.rewards, theirs.rewards)
        assert torch.equal(ours.next_critic_stem["y"], theirs.next_critic_stem["y"])
    assert len(storage.list(FOLDER)) <= len(state["pieces"])


def test_a_second_save_writes_only_what_is_new_and_old_pieces_go_once_nothing_of_them_is_left() -> None:
    storage, replay = MemoryStorage(), Replay(CARS * 10)
    replay.add(rollout(0, 5))
    replay.save(storage)
    first = storage.list(FOLDER)
    replay.add(rollout(100, 4))
    replay.save(storage)
    assert len(storage.list(FOLDER)) == 2
    before = {name: storage.read(name) for name in first}
    assert all(storage.read(name) == data for name, data in before.items())
    for place in range(3):
        replay.add(rollout(200 + 10 * place, 4))
    replay.save(storage)
    assert first[0] in storage.list(FOLDER)  # until the state that no longer names it is durable
    replay.tidy(storage)
    assert first[0] not in storage.list(FOLDER)


def test_a_missing_piece_is_told() -> None:
    storage, replay = MemoryStorage(), Replay(100)
    replay.add(rollout(0, 5))
    state = replay.save(storage)
    storage.delete(storage.list(FOLDER)[0])
    with pytest.raises(RunError):
        Replay(100).restore(state, storage)
