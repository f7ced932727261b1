"""Metrics files of training and evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import episode

from lateapex.errors import FormatError
from lateapex.formats.metrics import (
    LABELS,
    evaluation_entry,
    read_metrics,
    read_metrics_file,
    training_entry,
    write_metrics,
)
from lateapex.formats.simtrace import read_simtrace
from lateapex.records import STATUSES, EpisodeRecord

TRAINING_KEYS = [
    "reward_score",
    "metric_time",
    "start_time",
    "elapsed_time_in_milliseconds",
    "episode",
    "trial",
    "phase",
    "completion_percentage",
    "episode_status",
]


def faults(entry):
    return [entry[f"{name}_count"] for name in ("crash", "immobilized", "off_track", "reversed", "reset")]


def test_a_training_entry_is_the_one_worked_by_hand():
    # Rewards 0, 1.25, 1.25; rows end at 20, 20.067 and 20.133 s, so the first began at 19.933 s.
    made = episode(2, progress=99.9)
    assert training_entry(made, episode=23, trial=3) == {
        "reward_score": 2,
        "metric_time": 20133,
        "start_time": 19933,
        "elapsed_time_in_milliseconds": 200,
        "episode": 23,
        "trial": 3,
        "phase": "training",
        "completion_percentage": 99,
        "episode_status": "Off track",
    }


def test_a_training_entry_has_the_keys_of_real_ones_in_their_order(shared_data):
    real = json.loads((shared_data / "logs/drfc-single/metrics/TrainingMetrics.json").read_text())["metrics"]
    assert all(list(entry) == TRAINING_KEYS for entry in real)
    assert list(training_entry(episode(), 1, 1)) == TRAINING_KEYS


def test_an_evaluation_entry_has_the_keys_of_real_ones_in_their_order(shared_data):
    path = next((shared_data / "logs/droa-solution/metrics/evaluation").glob("*.json"))
    real = json.loads(path.read_text())["metrics"]
    assert {tuple(entry) for entry in real} == {tuple(evaluation_entry(episode(), 1))}


def test_training_entries_made_of_real_traces_are_the_real_ones_but_for_moments(shared_data):
    folder = shared_data / "logs" / "console-2021-export"
    real = read_metrics(next(folder.glob("metrics/training/*.json")).read_text(), "metrics")
    real = [entry for entry in real if entry["phase"] == "training"]
    for iteration in (0, 1):
        path = folder / f"sim-trace/training/training-simtrace/{iteration}-iteration.csv"
        for traced in read_simtrace(path.read_text(), path.name):
            record = EpisodeRecord(phase="training", track="", track_length=1.0, car=0, steps=traced.steps)
            made = training_entry(record, traced.number + 1, traced.number % 30 + 1)
            expected = real[traced.number]
            for key in ("reward_score", "episode", "trial", "phase", "completion_percentage", "episode_status"):
                assert made[key] == expected[key]
            # The original reads its clock a moment after the step's row; the prepare row's begin it alone knows.
            assert 0 <= expected["metric_time"] - made["metric_time"] < 150
            assert abs(expected["start_time"] - made["start_time"]) < 150


def test_evaluation_entries_made_of_real_traces_count_the_same_faults(shared_data):
    logs = shared_data / "logs"
    pairs = [
        (logs / f"{folder}/evaluation-{stamp}/evaluation-simtrace/0-iteration.csv", folder, stamp)
        for folder, stamp in [("drfc-multi", "20220709201503")]
    ]
    droa = next((logs / "droa-solution/sim-trace/evaluation").rglob("0-iteration.csv"))
    files = [(path, logs / f"{folder}/metrics/EvaluationMetrics-{stamp}.json") for path, folder, stamp in pairs]
    files.append((droa, next((logs / "droa-solution/metrics/evaluation").glob("*.json"))))
    for trace, metrics in files:
        real = read_metrics(metrics.read_text(), metrics.name)
        for traced, expected in zip(read_simtrace(trace.read_text(), trace.name), real, strict=True):
            record = EpisodeRecord(phase="evaluation", track="", track_length=1.0, car=0, steps=traced.steps)
            made = evaluation_entry(record, traced.number + 1)
            assert faults(made) == faults(expected)
            assert made["trial"] == expected["trial"]
            assert made["completion_percentage"] == expected["completion_percentage"]


def test_a_penalty_wait_counts_as_one_fault_and_a_second_one_as_another():
    made = episode(length=9)
    words = ["prepare", "off_track", "off_track", "pause", "in_progress", "crashed", "pause", "off_track", "reversed"]
    made.steps["status"] = [STATUSES.index(word) for word in words]
    assert faults(evaluation_entry(made, 1)) == [1, 0, 2, 1, 4]


def test_an_episode_of_one_row_has_no_length():
    assert training_entry(episode(length=1), 1, 1)["elapsed_time_in_milliseconds"] == 0


@pytest.mark.parametrize("reward", [np.nan, np.inf])
def test_a_reward_that_is_not_finite_counts_as_none(reward):
    made = episode()
    made.steps["reward"][1] = reward
    assert training_entry(made, 1, 1)["reward_score"] == 0


def test_every_status_has_the_label_of_real_files(shared_data):
    found = {entry["episode_status"] for path in metrics_files(shared_data) for entry in read(path)}
    assert found <= set(LABELS.values())
    assert (LABELS["off_track"], LABELS["time_up"], LABELS["park"]) == ("Off track", "Time Up", "Park")


def metrics_files(shared_data):
    return [path for path in (shared_data / "logs").rglob("*.json") if "metrics" in path.parts]


def read(path):
    return read_metrics(path.read_text(), path.name)


def test_every_real_file_is_written_byte_for_byte(shared_data):
    files = metrics_files(shared_data)
    assert len(files) > 15
    for path in files:
        assert read_metrics_file(path.read_text(), path.name).text == path.read_text(), path


def test_entries_may_be_json_text_already():
    entry = training_entry(episode(), 1, 1)
    assert write_metrics([json.dumps(entry), entry]) == write_metrics([entry, entry])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"metrics": [{', "m.json is not JSON"),
        ("{}", "m.json: metrics is null; expected a list of episodes"),
        ('{"metrics": [], "best_model_metric": 1}', "best_model_metric is 1; expected progress, reward or laptime"),
        ('{"metrics": [3]}', r"m.json: metrics\[0\] is 3; expected an object"),
        ('{"metrics": [{}]}', r"m.json: metrics\[0\]: completion_percentage is null; expected a whole number"),
    ],
)
def test_a_broken_file_is_refused(text, message):
    with pytest.raises(FormatError, match=message):
        read_metrics(text, "m.json")


def test_an_entry_without_status_is_refused():
    entry = training_entry(episode(), 1, 1) | {"episode_status": 5}
    with pytest.raises(FormatError, match="episode_status is 5; expected a text"):
        read_metrics(write_metrics([entry]), "m.json")


@pytest.mark.parametrize(
    ("key", "value"), [("episode", "1"), ("trial", 10**400), ("reward_score", None), ("phase", "racing")]
)
def test_an_entry_of_training_has_an_episode_a_reward_and_a_phase(key, value):
    entry = training_entry(episode(), 1, 1) | {key: value}
    with pytest.raises(FormatError, match=rf"metrics\[0\]: {key} is .*; expected"):
        read_metrics(write_metrics([entry]), "m.json")


@given(st.lists(st.integers(0, 50), max_size=4), st.sampled_from(STATUSES))
def test_what_is_written_reads_back(numbers, status):
    entries = [training_entry(episode(number, status=status), number + 1, 1) for number in numbers]
    assert read_metrics(write_metrics(entries), "m.json") == entries
