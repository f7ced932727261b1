"""The run folder: what goes into which file, and that a crash costs nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import episode, evaluation, update

from lateapex.errors import RunError, StorageError
from lateapex.formats.metrics import read_metrics
from lateapex.formats.simtrace import read_simtrace
from lateapex.records import SINKS, Frame, TrackEvaluation
from lateapex.sinks.files import RunFolderSink
from lateapex.storage import DiskStorage, MemoryStorage

GOLDEN = Path(__file__).parents[1] / "golden" / "run"

# Two iterations of three episodes and one unfinished, with updates and evaluations between.
RUN = [
    episode(0),
    episode(1, status="lap_complete"),
    update(1),
    episode(2),
    episode(50, phase="evaluation", progress=43.75),
    episode(51, phase="evaluation", status="lap_complete"),
    evaluation(1, mean_progress=71.875),
    episode(3, length=1),
    episode(4),
    episode(5, status="crashed"),
    update(2, best_lap=11.42, mean_reward=math.nan, losses={}),
    episode(52, phase="evaluation"),
    evaluation(2, mean_progress=math.nan, best_lap=None, is_best=False),
    episode(6),
    episode(53, phase="evaluation", status="lap_complete"),
    evaluation(3, mean_progress=100.0),
    episode(7),
]


class FullStorage(MemoryStorage):
    """A place that has room for so many bytes."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def write(self, name, data):
        self._check(len(data) - len(self.files.get(name, b"")))
        super().write(name, data)

    def append(self, name, data):
        self._check(len(data))
        super().append(name, data)

    def _check(self, more):
        if sum(map(len, self.files.values())) + more > self.room:
            raise StorageError("cannot write: No space left on device")


def run_folder(records, storage=None, per_iteration=3):
    storage = storage or MemoryStorage()
    sink = RunFolderSink(storage, per_iteration)
    for record in records:
        sink.write(record)
    sink.close()
    return storage.files


def entries(files):
    return read_metrics(files["metrics/TrainingMetrics.json"].decode(), "metrics")


def episodes_in(files, iteration):
    data = files[f"training-simtrace/{iteration}-iteration.csv"]
    return [traced.number for traced in read_simtrace(data.decode(), "trace")]


def test_a_whole_run_is_byte_for_byte_the_golden_folder():
    files = run_folder(RUN)
    golden = {path.relative_to(GOLDEN).as_posix(): path.read_bytes() for path in GOLDEN.rglob("*") if path.is_file()}
    assert files == golden


def test_the_sink_is_known_by_name():
    assert SINKS.get("files") is RunFolderSink


@given(st.integers(1, 4), st.integers(1, 11))
@settings(max_examples=25)
def test_every_iteration_but_the_last_holds_the_same_number_of_episodes(per_iteration, count):
    files = run_folder([episode(number, length=1) for number in range(count)], per_iteration=per_iteration)
    iterations = math.ceil(count / per_iteration)
    assert sum(name.startswith("training-simtrace/") for name in files) == iterations
    numbers = [episodes_in(files, iteration) for iteration in range(iterations)]
    assert [number for group in numbers for number in group] == list(range(count))
    assert all(len(group) == per_iteration for group in numbers[:-1])
    trials = [(entry["episode"], entry["trial"]) for entry in entries(files)]
    assert trials == [(number + 1, number % per_iteration + 1) for number in range(count)]


def test_evaluations_are_in_the_metrics_with_the_last_training_episodes_number_and_in_no_trace():
    files = run_folder(RUN)
    found = [(entry["episode"], entry["trial"]) for entry in entries(files) if entry["phase"] == "evaluation"]
    assert found == [(3, 3), (3, 3), (6, 3), (7, 1)]
    assert [episodes_in(files, iteration) for iteration in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert files["logs/training.log"].count(b"SIM_TRACE_LOG:") == sum(len(record.steps) for record in training(RUN))


def training(records):
    return [record for record in records if getattr(record, "phase", "") == "training"]


def test_an_evaluation_before_any_training_counts_with_the_first_iteration():
    files = run_folder([episode(0, phase="evaluation")])
    assert [(entry["episode"], entry["trial"]) for entry in entries(files)] == [(1, 1)]
    assert (
        b"Testing> Name=main_level/agent, Worker=0, Episode=1, Total reward=2.5, Steps=0," in files["logs/training.log"]
    )


def test_updates_and_evaluations_are_lines_of_json_without_nan():
    lines = run_folder(RUN)["logs/training.jsonl"].decode().splitlines()
    contents = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [content["kind"] for content in contents] == ["update", "evaluation", "update", "evaluation", "evaluation"]
    assert contents[0]["losses"]["kl"] == 7e-07
    assert contents[2]["mean_reward"] is None
    assert contents[3]["mean_progress"] is None


def test_numbers_of_numpy_are_written_as_numbers():
    losses = {"policy_loss": np.float32(0.5), "kl": np.float64("nan")}
    made = update(np.int64(1), losses=losses, best_lap=np.float32(11.5))
    content = json.loads(run_folder([made])["logs/training.jsonl"])
    assert (content["losses"], content["iteration"], content["best_lap"]) == ({"policy_loss": 0.5, "kl": None}, 1, 11.5)


def test_an_evaluation_tells_of_each_track_in_json():
    parts = (
        TrackEvaluation(track="oval", laps_completed=1, trials=2, mean_progress=75.5, best_lap=11.5),
        TrackEvaluation(track="kidney@reversed", laps_completed=0, trials=2, mean_progress=math.nan, best_lap=None),
    )
    content = json.loads(run_folder([evaluation(tracks=parts)])["logs/training.jsonl"])
    assert content["tracks"] == [
        {"track": "oval", "laps_completed": 1, "trials": 2, "mean_progress": 75.5, "best_lap": 11.5},
        {"track": "kidney@reversed", "laps_completed": 0, "trials": 2, "mean_progress": None, "best_lap": None},
    ]


def test_pictures_are_passed_over():
    assert run_folder([Frame(source="FRONT_FACING_CAMERA", sim_time=0.0, pixels=None)]) == {}


def test_a_full_iteration_is_written_at_once_and_an_unfinished_one_by_flush():
    storage = MemoryStorage()
    sink = RunFolderSink(storage, 2)
    sink.write(episode(0))
    assert storage.files == {}
    sink.write(episode(1))
    assert episodes_in(storage.files, 0) == [0, 1]
    sink.write(episode(2))
    assert not storage.exists("training-simtrace/1-iteration.csv")
    sink.flush()
    assert episodes_in(storage.files, 1) == [2]
    assert len(entries(storage.files)) == 3


def test_an_update_brings_the_logs_up_to_date():
    storage = MemoryStorage()
    sink = RunFolderSink(storage, 20)
    sink.write(episode(0))
    sink.write(update(1))
    assert storage.files["logs/training.log"].count(b"\n") == 5
    assert storage.files["logs/training.jsonl"].count(b"\n") == 1


def test_the_metrics_file_of_a_long_run_is_not_written_again_for_every_iteration():
    class Counting(MemoryStorage):
        written = 0

        def write(self, name, data):
            self.written += len(data) if "Metrics" in name else 0
            super().write(name, data)

    storage = Counting()
    files = run_folder([episode(number, length=1) for number in range(2000)], storage, per_iteration=1)
    assert len(entries(files)) == 2000
    assert storage.written < 18 * len(files["metrics/TrainingMetrics.json"])


@pytest.mark.parametrize("kept", range(len(RUN) + 1))
def test_a_killed_run_goes_on_to_the_same_bytes(kept):
    # After the checkpoint at `kept` the first run goes on, to the end or to any point before, and is killed.
    for killed in {kept, min(kept + 1, len(RUN)), min(kept + 4, len(RUN)), len(RUN)}:
        storage = MemoryStorage()
        first = RunFolderSink(storage, 3)
        for record in RUN[:kept]:
            first.write(record)
        state = first.state()
        at_checkpoint = dict(storage.files)
        for record in RUN[kept:killed]:
            first.write(record)
        second = RunFolderSink(storage, 3)
        second.restore(state)
        assert storage.files == at_checkpoint
        for record in RUN[kept:]:
            second.write(record)
        second.close()
        assert storage.files == run_folder(RUN)


def test_a_torn_append_and_files_of_later_iterations_are_cut_on_a_disk(tmp_path):
    storage = DiskStorage(tmp_path)
    sink = RunFolderSink(storage, 3)
    for record in RUN[:5]:
        sink.write(record)
    state = sink.state()
    storage.append("logs/training.log", b"SIM_TRACE_LOG:3,1,0.")
    storage.append("logs/training.jsonl", b'{"kind": "upd')
    storage.write("training-simtrace/17-iteration.csv", b"later")
    sink = RunFolderSink(storage, 3)
    sink.restore(state)
    for record in RUN[5:]:
        sink.write(record)
    sink.close()
    assert {name: storage.read(name) for name in storage.list()} == run_folder(RUN)


def test_a_run_that_is_begun_again_without_a_checkpoint_leaves_no_line_of_the_older_one():
    storage = MemoryStorage()
    run_folder(RUN, storage)
    sink = RunFolderSink(storage, 3)
    sink.restore({})
    assert storage.files == {}
    assert run_folder(RUN[:4], storage) == run_folder(RUN[:4])


def test_a_state_of_other_iterations_is_refused():
    sink = RunFolderSink(MemoryStorage(), 3)
    with pytest.raises(RunError, match="with 5 episodes per iteration, now there are 3; set num_episodes_between_tr"):
        sink.restore({"episodes_per_iteration": 5})


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("logs/training.log", lambda data: data[:10], "logs/training.log holds 10 of the"),
        ("metrics/TrainingMetrics.json", lambda _: b'{"metrics": []}', "has 0 of the 10 entries it must have"),
        ("training-simtrace/2-iteration.csv", lambda data: data.splitlines(True)[0], "has 0 of the 1 episodes"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(name, damage, message):
    storage = MemoryStorage()
    sink = RunFolderSink(storage, 3)
    for record in RUN[:14]:
        sink.write(record)
    state = sink.state()
    storage.files[name] = damage(storage.files[name])
    with pytest.raises(RunError, match=message):
        RunFolderSink(storage, 3).restore(state)


@pytest.mark.parametrize("room", range(0, 9000, 400))
def test_a_full_disk_leaves_earlier_files_whole_and_costs_no_row_once_there_is_room(room):
    storage = FullStorage(room)
    sink = RunFolderSink(storage, 3)
    whole = run_folder(RUN)
    failures = 0
    for record in RUN:
        before = dict(storage.files)
        try:
            sink.write(record)
        except StorageError:
            failures += 1
            assert all(storage.files[name].startswith(data) for name, data in before.items() if name.startswith("logs"))
            assert all(episodes_in(storage.files, number) for number in range(3) if trace(number) in storage.files)
    if room < sum(map(len, whole.values())) / 2:
        assert failures
    storage.room = math.inf
    sink.close()
    assert storage.files == whole


def trace(number):
    return f"training-simtrace/{number}-iteration.csv"
