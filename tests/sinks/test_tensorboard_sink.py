"""Event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from made_records import episode, evaluation, update
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lateapex.errors import StorageError
from lateapex.records import SINKS, TrackEvaluation
from lateapex.sinks.tensorboard import NAME, TensorBoardSink
from lateapex.storage import DiskStorage, MemoryStorage


def read(folder):
    """Tag -> [(step, value)]."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(point.step, pytest.approx(point.value, nan_ok=True)) for point in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


@pytest.fixture
def sink(tmp_path):
    return TensorBoardSink(DiskStorage(tmp_path), clock=lambda: 1_700_000_000.0)


def test_the_sink_is_known_by_name():
    assert SINKS.get("tensorboard") is TensorBoardSink


def test_an_update_is_a_point_of_each_measure_at_its_environment_steps(sink, tmp_path):
    sink.write(update(1, steps=1000))
    sink.write(update(2, steps=3000, seconds={"simulate": 0.5, "update": 2.0, "save": 0.0}, best_lap=11.5))
    found = read(tmp_path)
    assert found["learning/kl"] == [(1000, 7e-07), (3000, 7e-07)]
    assert found["training/mean_progress"] == [(1000, 12.5), (3000, 25.0)]
    assert found["training/lap_share"] == [(1000, 0.25), (3000, 0.25)]
    assert found["training/best_lap"] == [(3000, 11.5)]
    assert found["seconds/update"] == [(1000, 1.5), (3000, 2.0)]
    assert found["steps_per_second/update"][1] == (3000, 1000.0)
    assert found["steps_per_second/all"][1] == (3000, 800.0)
    assert "steps_per_second/save" not in found


def test_laps_count_with_the_update_that_follows_them(sink, tmp_path):
    sink.write(episode(1, length=16, status="lap_complete"))
    sink.write(episode(2, length=31, status="lap_complete"))
    sink.write(episode(3, length=5, phase="evaluation", status="lap_complete"))
    sink.write(update(1))
    sink.write(update(2))
    found = read(tmp_path)
    assert found["training/fastest_lap"] == [(1000, 16 / 15)]
    assert found["training/mean_lap"] == [(1000, 47 / 30)]


def test_an_evaluation_is_told_as_a_whole_and_by_track(sink, tmp_path):
    part = TrackEvaluation(track="oval@reversed", laps_completed=1, trials=4, mean_progress=30.0, best_lap=None)
    sink.write(evaluation(2, tracks=(part,), seconds=1.25))
    found = read(tmp_path)
    assert found["evaluation/mean_progress"] == [(2000, 60.5)]
    assert found["evaluation/best_lap"] == [(2000, 18.421)]
    assert found["evaluation/oval@reversed/lap_share"] == [(2000, 0.25)]
    assert "evaluation/oval@reversed/best_lap" not in found
    assert found["seconds/evaluate"] == [(2000, 1.25)]


def test_what_is_no_number_shows_as_such_and_a_mean_of_nothing_not_at_all(sink, tmp_path):
    sink.write(update(1, losses={"value_loss": math.nan}, finished=0, mean_progress=math.nan))
    found = read(tmp_path)
    assert found["learning/value_loss"] == [(1000, math.nan)]
    assert "training/mean_progress" not in found


def test_each_update_is_on_the_disk_before_the_next(sink, tmp_path):
    """So a process that is killed loses nothing that came before its last update."""
    for number in range(1, 4):
        sink.write(update(number))
        assert len(read(tmp_path)["learning/kl"]) == number


def test_a_resumed_run_has_no_point_twice_and_the_same_bytes(tmp_path):
    def go(sink, numbers):
        for number in numbers:
            sink.write(update(number))
        return sink.state()

    def made(storage):
        return TensorBoardSink(storage, clock=lambda: 5.0)

    whole, cut = DiskStorage(tmp_path / "whole"), DiskStorage(tmp_path / "cut")
    go(made(whole), range(1, 6))
    first = made(cut)
    state = go(first, range(1, 3))
    go(first, range(3, 5))  # lost by a crash: no state was saved after it
    second = made(cut)
    second.restore(state)
    go(second, range(3, 6))
    assert [step for step, _ in read(tmp_path / "cut")["learning/kl"]] == [1000, 2000, 3000, 4000, 5000]
    assert cut.read(NAME) == whole.read(NAME)


def test_an_empty_state_is_the_beginning_of_a_run(sink, tmp_path):
    sink.write(update(1))
    sink.restore({})
    assert not (tmp_path / NAME).exists()
    sink.write(update(2))
    assert [step for step, _ in read(tmp_path)["learning/kl"]] == [2000]


def test_a_full_disk_loses_no_point(tmp_path):
    class Full(MemoryStorage):
        full = False

        def append(self, name, data):
            if self.full:
                raise StorageError("cannot write: No space left on device")
            super().append(name, data)

    storage = Full()
    sink = TensorBoardSink(storage)
    sink.write(update(1))
    storage.full = True
    with pytest.raises(StorageError):
        sink.write(update(2))
    storage.full = False
    sink.close()
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / NAME).write_bytes(storage.read(NAME))
    assert [step for step, _ in read(tmp_path)["learning/kl"]] == [1000, 2000]


def test_neither_torch_nor_tensorflow_is_imported():
    code = "import sys, lateapex.sinks.tensorboard; print({'torch', 'tensorflow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
