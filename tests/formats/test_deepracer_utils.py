"""Run folders as the community's own deepracer-utils reads them: same episodes, same laps, same times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_records import episode, evaluation, update
from made_workers import shared_run
from oracles import oracle
from small_runs import small_run

from lateapex.formats.metrics import evaluation_entry, write_metrics
from lateapex.formats.model_metadata import default_metadata
from lateapex.formats.simtrace import read_simtrace, write_simtrace
from lateapex.formats.training_log import head_lines
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.import_run import ImportConfig, import_run
from lateapex.sinks.files import RunFolderSink
from lateapex.storage import DiskStorage

HYPERPARAMETERS = '{\n  "batch_size": 64,\n  "lr": 0.0003,\n  "num_episodes_between_training": 3\n}'
TRAINED = [
    episode(0),
    episode(1, status="lap_complete"),
    episode(2, length=5),
    update(1),
    episode(50, phase="evaluation", status="lap_complete"),
    evaluation(1),
    *(episode(number, length=4, status="lap_complete") for number in range(3, 8)),
    update(2),
]


@pytest.fixture(scope="module")
def logs():
    return oracle("deepracer.logs", "deepracer-utils", "no run folder is read by it")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder of three iterations, the last unfinished, and one evaluation of two laps."""
    storage = DiskStorage(tmp_path_factory.mktemp("run"))
    sink = RunFolderSink(storage, 3, head_lines("reinvent_base", default_metadata(), HYPERPARAMETERS))
    for record in TRAINED:
        sink.write(record)
    sink.close()
    storage.write("model/model_metadata.json", default_metadata().text.encode())
    storage.write("ip/hyperparameters.json", HYPERPARAMETERS.encode())
    laps = [episode(60, length=6, phase="evaluation", status="lap_complete"), episode(61, phase="evaluation")]
    trace = write_simtrace(enumerate(laps))
    storage.write("evaluation-20260102030405/evaluation-simtrace/0-iteration.csv", trace.encode())
    entries = [evaluation_entry(lap, trial) for trial, lap in enumerate(laps, 1)]
    storage.write("metrics/evaluation/evaluation-20260102030405.json", write_metrics(entries, None).encode())
    return storage.root


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was trained and evaluated for real."""
    folder = small_run(tmp_path_factory.mktemp("runs") / "trained")
    evaluate(EvaluateConfig(run=str(folder), trials=2, film="none"))
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A run that two workers at an exchange drove, evaluated."""
    folder = tmp_path_factory.mktemp("shared")
    result = shared_run(folder / "run", folder / "exchange")
    assert result.ledger.trained > 1
    evaluate(EvaluateConfig(run=result.url, trials=2, film="none"))
    return Path(result.url)


def ours(folder, pattern):
    """Number and record of each episode in the CSVs of a folder."""
    names = sorted(folder.glob(pattern), key=lambda path: int(path.name.partition("-")[0]))
    traced = [found for path in names for found in read_simtrace(path.read_text(), path.name)]
    return [(found.number, found.record("training", "")) for found in traced]


def assert_same_episodes(table, expected):
    """Steps, progress, completeness and time; theirs begins at the end of the first step, ours at its begin."""
    assert table["episode"].tolist() == [number for number, _ in expected]
    assert table["steps"].tolist() == [len(record.steps) for _, record in expected]
    np.testing.assert_allclose(table["progress"], [record.steps["progress"].max() for _, record in expected])
    assert table["complete"].tolist() == [record.status == "lap_complete" for _, record in expected]
    first = [float(np.diff(record.steps["sim_time"][:2]).sum()) for _, record in expected]
    times = [record.lap_time - step for (_, record), step in zip(expected, first, strict=True)]
    np.testing.assert_allclose(table["time"], times, atol=1e-9)


@pytest.mark.parametrize("which", ["made", "trained", "shared"])
def test_training_has_the_same_episodes_laps_and_times(logs, which, request):
    folder = request.getfixturevalue(which)
    log = logs.DeepRacerLog(str(folder))
    assert log.fh.type is logs.LogFolderType.DRFC_MODEL_SINGLE_WORKERS
    log.load_training_trace()
    frame = log.dataframe()
    expected = ours(folder, "training-simtrace/*.csv")
    assert len(expected) == 8 if which == "made" else len(expected) > 0
    assert frame["unique_episode"].nunique() == len(expected)
    assert_same_episodes(logs.AnalysisUtils.simulation_agg(frame), expected)
    table = logs.AnalysisUtils.simulation_agg(frame)
    np.testing.assert_allclose(table["reward"], [record.reward for _, record in expected])
    assert log.action_space() == [
        {**action._asdict(), "index": place} for place, action in enumerate(default_metadata().actions)
    ]
    assert log.hyperparameters()["batch_size"] == 64 or which != "made"
    assert log.agent_and_network()["sensor_list"] == ["FRONT_FACING_CAMERA"]


@pytest.mark.parametrize("which", ["made", "trained", "shared"])
def test_an_evaluation_has_the_same_episodes_laps_and_times(logs, which, request):
    folder = request.getfixturevalue(which)
    log = logs.DeepRacerLog(str(folder))
    log.load_evaluation_trace()
    frame = log.dataframe()
    (stream,) = folder.glob("evaluation-*")
    assert set(frame["stream"]) == {stream.name.removeprefix("evaluation-")}
    table = logs.AnalysisUtils.simulation_agg(frame, firstgroup="stream", is_eval=True)
    assert_same_episodes(table, ours(folder, "evaluation-*/evaluation-simtrace/*.csv"))


@pytest.mark.parametrize("which", ["made", "trained", "shared"])
def test_the_metrics_of_training_have_the_same_laps_and_times_to_the_millisecond(logs, which, request, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # it makes a client of S3 even for a file
    folder = request.getfixturevalue(which)
    metrics = logs.TrainingMetrics("bucket", fname=str(folder / "metrics" / "TrainingMetrics.json"))
    table = metrics.getTraining()
    expected = [record for _, record in ours(folder, "training-simtrace/*.csv")]
    assert table["episode"].tolist() == list(range(1, len(expected) + 1))
    assert table["complete"].tolist() == [record.status == "lap_complete" for record in expected]
    np.testing.assert_allclose(table["time"], [record.lap_time for record in expected], atol=1.001e-3)
    if which == "made":
        assert table["iteration"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
        assert metrics.getEvaluation()["complete"].tolist() == [1]


def test_an_imported_run_of_several_workers_is_read_like_the_original(logs, shared_data, tmp_path):
    source = shared_data / "logs" / "drfc-multi"
    run = Path(import_run(ImportConfig(source=str(source), out=str(tmp_path / "run"))).run)
    frames = []
    for folder in (source, run):
        log = logs.DeepRacerLog(str(folder))
        assert log.fh.type is logs.LogFolderType.DRFC_MODEL_MULTIPLE_WORKERS
        log.load_training_trace()
        frames.append(log.dataframe())
    assert frames[0].equals(frames[1])
    assert (frames[1]["worker"].nunique(), frames[1]["unique_episode"].nunique()) == (3, 120)


def test_the_training_log_is_one_that_it_takes_for_the_simulators(logs, made, tmp_path):
    # Of its folder types only the console's has a log of training: ours is put where that one lies.
    folder = tmp_path / "logs" / "training"
    folder.mkdir(parents=True)
    (folder / "training-20260102030405-x-robomaker.log").write_text((made / "logs/training.log").read_text())
    trace = tmp_path / "sim-trace" / "training" / "training-simtrace"
    trace.mkdir(parents=True)
    log = logs.DeepRacerLog(str(tmp_path))
    assert log.fh.type is logs.LogFolderType.CONSOLE_MODEL_WITH_LOGS
    log.load_robomaker_logs()
    frame = log.dataframe()
    table = logs.AnalysisUtils.simulation_agg(frame)
    assert_same_episodes(table, ours(made, "training-simtrace/*.csv"))
    assert log.hyperparameters() == {"batch_size": 64, "lr": 0.0003, "num_episodes_between_training": 3}
    assert len(log.action_space()) == 10
    agent = log.agent_and_network()
    assert (agent["world"], agent["simapp_version"]) == ("reinvent_base", "5.0")
