"""Episodes out of steps: every row in its place, whatever the lengths, and after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tasks import STRAIGHT_ON, small_task

from lateapex.env.racing import RacingTask
from lateapex.env.recorder import EpisodeRecorder
from lateapex.env.starts import RandomStarts
from lateapex.records import EpisodeRecord

SCRIPTED = small_task(["oval", "kidney"], 3)
"""A task that never drives: tests write its rows."""
SCRIPTED.taken = np.zeros(3, np.int64)


def play(recorder: EpisodeRecorder, ends: Sequence[Iterable[int]], times: Iterable[int]) -> list[list[EpisodeRecord]]:
    """Write rows for these times; row t of car c says so, and ends an episode where t is in ends[c]."""
    found = []
    for t in times:
        SCRIPTED.rows["steps"] = t
        SCRIPTED.rows["x"] = np.arange(3)
        SCRIPTED.rows["done"] = [t in list(end) for end in ends]
        found.append(recorder.take())
    return found


def test_a_record_holds_the_rows_of_its_car_from_the_step_after_its_last_end() -> None:
    found = play(EpisodeRecorder(SCRIPTED, "training"), [[2, 3], [5], []], range(7))
    assert [len(records) for records in found] == [0, 0, 1, 1, 0, 1, 0]
    assert [record.steps["steps"].tolist() for records in found for record in records] == [
        [0, 1, 2],
        [3],
        [0, 1, 2, 3, 4, 5],
    ]
    assert [set(record.steps["x"]) for records in found for record in records] == [{0}, {0}, {1}]
    assert [record.car for records in found for record in records] == [0, 0, 1]


def test_episodes_that_end_together_come_in_the_order_of_the_cars() -> None:
    found = play(EpisodeRecorder(SCRIPTED, "evaluation"), [[1], [], [1]], range(2))
    assert [(record.car, record.phase, record.track) for record in found[1]] == [
        (0, "evaluation", "oval"),
        (2, "evaluation", "oval"),
    ]
    assert [record.track_length for record in found[1]] == [SCRIPTED.tracks[0].length] * 2
    assert play(EpisodeRecorder(SCRIPTED, "training"), [[], [0], []], [0])[0][0].track == "kidney"


@pytest.mark.parametrize("length", [1, 255, 256, 257, 512, 513, 700])
def test_an_episode_may_have_any_length(length: int) -> None:
    recorder = EpisodeRecorder(SCRIPTED, "training")
    found = play(recorder, [[length - 1], [699], []], range(length))
    assert found[-1][0].steps["steps"].tolist() == list(range(length))
    later = play(recorder, [[], [699], []], range(length, 700))
    if later:
        assert later[-1][0].steps["steps"].tolist() == list(range(700))


def test_a_record_does_not_change_when_the_car_drives_on() -> None:
    recorder = EpisodeRecorder(SCRIPTED, "training")
    record = play(recorder, [[1], [], []], range(2))[1][0]
    play(recorder, [[], [], []], range(50, 60))
    assert record.steps["steps"].tolist() == [0, 1]


@pytest.mark.parametrize("before", [0, 1, 200, 255, 256, 257, 600])
def test_a_restored_recorder_goes_on_in_the_middle_of_episodes(before: int) -> None:
    ends: list[list[int]] = [[100, 610], [611], []]
    recorder, other = EpisodeRecorder(SCRIPTED, "training"), EpisodeRecorder(SCRIPTED, "training")
    play(recorder, ends, range(before))
    snapshot = recorder.snapshot()
    play(other, [[], [], []], range(3))
    expected = play(recorder, ends, range(before, 620))
    other.restore(snapshot)
    found = play(other, ends, range(before, 620))
    assert sum(map(len, found)) == 3 - (before > 100)
    for one, two in zip(chain(*expected), chain(*found), strict=True):
        np.testing.assert_array_equal(one.steps, two.steps)


def test_a_snapshot_does_not_change_when_the_cars_drive_on() -> None:
    recorder = EpisodeRecorder(SCRIPTED, "training")
    play(recorder, [[], [], []], range(5))
    snapshot = recorder.snapshot()
    play(recorder, [[7], [], []], range(50, 60))
    assert snapshot["rows"]["steps"][0].tolist() == [0, 1, 2, 3, 4]
    assert snapshot["length"].tolist() == [5, 5, 5]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 100))
def test_records_of_driven_episodes_are_whole_and_account_for_every_step(seed: int) -> None:
    task = small_task(["oval", "kidney"], 4, starts=RandomStarts(), seed=seed, max_steps=40)
    recorder = EpisodeRecorder(task, "training")
    task.begin(np.arange(4))
    records, steps = drive(task, recorder, 120)
    for record in records:
        assert record.steps["steps"].tolist() == list(range(1, len(record.steps) + 1))
        assert record.steps["done"].tolist() == [False] * (len(record.steps) - 1) + [True]
        assert record.steps["reward"][0] == 0
        assert np.diff(record.steps["sim_time"]) == pytest.approx(1 / 15)
        assert record.lap_time == pytest.approx(len(record.steps) / 15)
        assert record.status in ("off_track", "in_progress")
    assert sum(len(record.steps) for record in records) + task.episodes["steps"].sum() == steps


def drive(task: RacingTask, recorder: EpisodeRecorder, steps: int) -> tuple[list[EpisodeRecord], int]:
    records = []
    for _ in range(steps):
        task.advance([STRAIGHT_ON] * 4)
        records += recorder.take()
        task.begin(np.flatnonzero(task.rows["done"]))
    return records, 4 * steps
