"""Models of other systems become runs: every real export, hostile archives, and what is said of the rest."""

from __future__ import annotations

import io
import json
import tarfile
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lateapex.errors import ConfigError, FormatError, RunError, StorageError
from lateapex.formats.metrics import read_metrics
from lateapex.formats.trace import read_trace
from lateapex.jobs import archive
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.import_layout import layout_of, stamp_of
from lateapex.jobs.import_run import ImportConfig, import_run
from lateapex.jobs.remove_runs import delete_run, removable
from lateapex.jobs.runs import compare_runs, list_runs, summarise
from lateapex.jobs.train import resume

STEP = "0,1.0,0.5,-0.25,90.0,-15.0,1.5,2,0.0,True,True,{progress},0,17.7,4.25,{status},0.0,0,1772822267.75"
METADATA = json.dumps(
    {
        "action_space": [{"steering_angle": 0, "speed": 1}],
        "sensor": ["FRONT_FACING_CAMERA"],
        "version": "5",
    }
)


def header():
    return (Path(__file__).parents[1] / "golden" / "0-iteration.csv").read_text().splitlines()[0]


def trace(*lines):
    return "".join(f"{line}\n" for line in (header(), *lines))


def taken(source, out):
    return import_run(ImportConfig(source=str(source), out=str(out)))


def made(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def steps_in(folder, pattern):
    rows = 0
    for path in folder.glob(pattern):
        read = read_trace(io.BytesIO(path.read_bytes()), path.name)
        assert read.skipped == 0
        rows += len(read)
    return rows


# World, race type, and what is taken: iterations, workers, episodes, steps, evaluations and their metrics.
REAL = {
    "console-2021-export": ("AmericasGeneratedInclStart", "TIME_TRIAL", 2, None, 60, 9340, 2, 1),
    "console-2022": ("reinvent_base", "TIME_TRIAL", 5, None, 100, 2895, 2, 2),
    "console-continuous.tar.gz": ("reInvent2019_wide_cw", "TIME_TRIAL", 15, None, 300, 10693, None, None),
    "drfc-multi": ("reinvent_base", "unknown", 4, 3, 120, 3104, 1, 3),
    "drfc-single": ("reinvent_base", "unknown", 6, None, 120, 4102, 2, 3),
    "droa-eval-only.tar.gz": ("Spain_track", "TIME_TRIAL", None, None, None, None, 1, 1),
    "droa-solution": ("Spain_track", "TIME_TRIAL", 2, None, 40, 846, 1, 1),
    "legacy-2019": ("reinvent_base", "unknown", None, None, None, None, 1, None),
    "legacy-2020": ("reInvent2019_track", "unknown", 1, None, 20, 911, None, 1),
    "log-guru": ("2022_reinvent_champ", "TIME_TRIAL", 3, 2, 57, 1429, None, None),
    "log-guru/head-to-head-short-session-*": (
        "2022_reinvent_champ",
        "HEAD_TO_HEAD_RACING",
        4,
        None,
        4,
        101,
        None,
        None,
    ),
    "log-guru/oa-brown-boxes-random-*": ("2022_reinvent_champ", "OBJECT_AVOIDANCE", 4, None, 80, 1567, None, None),
    "log-guru/sac-short-session-*": ("2022_reinvent_champ", "TIME_TRIAL", 4, None, 4, 136, None, None),
    "log-guru/try-continuous-*": ("2022_september_pro", "TIME_TRIAL", 20, None, 20, 391, None, None),
    "log-guru/deepracer-0_robomaker.1.*": ("2022_reinvent_champ", "TIME_TRIAL", 1, None, 16, 427, None, None),
    "log-guru/deepracer-0_robomaker.2.*": ("2022_reinvent_champ", "HEAD_TO_BOT", 3, None, 41, 1002, None, None),
}
NAMES = ("iterations", "workers", "training episodes", "training steps", "evaluations", "evaluation metrics")


@pytest.fixture(scope="module")
def imported(shared_data, tmp_path_factory):
    """All real exports, imported: the folder of the runs, and the results by the names of `REAL`."""
    folder = tmp_path_factory.mktemp("imported")
    results = {}
    for place, name in enumerate(REAL):
        (source,) = (shared_data / "logs").glob(name)
        results[name] = taken(source, folder / str(place))
    assert {path.name for path in (shared_data / "logs").iterdir()} == {name for name in REAL if "/" not in name}
    return folder, results


@pytest.mark.parametrize("name", REAL)
def test_every_real_export_is_imported_with_all_of_its_steps(imported, name):
    result = imported[1][name]
    world, race_type, *counts = REAL[name]
    expected = {key: count for key, count in zip(NAMES, counts, strict=True) if count is not None}
    assert (result.world, result.race_type, result.taken) == (world, race_type, expected)
    run = Path(result.run)
    assert steps_in(run, "**/training-simtrace/*.csv") == expected.get("training steps", 0)
    assert len(list(run.glob("evaluation-*/evaluation-simtrace/0-iteration.csv"))) == expected.get("evaluations", 0)
    assert sum("weights" in reason for _, reason in result.passed) == (2 if name == "console-2021-export" else 0)


def test_files_of_a_real_export_are_copied_byte_for_byte(imported, shared_data):
    source, run = shared_data / "logs/console-2021-export", Path(imported[1]["console-2021-export"].run)
    for there, here in (
        ("model/model_metadata.json", "model/model_metadata.json"),
        ("ip/hyperparameters.json", "ip/hyperparameters.json"),
        ("sim-trace/training/training-simtrace/1-iteration.csv", "training-simtrace/1-iteration.csv"),
        (
            "sim-trace/evaluation/20211101023836-j9fMuPXqSIKjeVbofaNRQg/evaluation-simtrace/0-iteration.csv",
            "evaluation-20211101023836/evaluation-simtrace/0-iteration.csv",
        ),
        (
            "metrics/training/training-20211101013548-Fu4TLiXATnquzNsMWmfX_w.json",
            "metrics/TrainingMetrics.json",
        ),
        (
            "logs/training/training-20211101021620-Fu4TLiXATnquzNsMWmfX_w-robomaker.log",
            "logs/training/training-20211101021620-Fu4TLiXATnquzNsMWmfX_w-robomaker.log",
        ),
    ):
        assert (run / here).read_bytes() == (source / there).read_bytes(), here
    settings = tomllib.loads((run / "run.toml").read_text())
    assert settings["imported"]["checkpoints"] == {
        "best": "1345_Step-0.ckpt",
        "last": "1345_Step-0.ckpt",
        "best_metric": 43.51455830615105,
        "newest": "1345_Step-0.ckpt",
    }


def test_the_learning_curve_of_a_real_export_follows_from_its_metrics(imported):
    run = Path(imported[1]["console-2022"].run)
    entries = read_metrics((run / "metrics/TrainingMetrics.json").read_text(), "m")
    lines = [json.loads(line) for line in (run / "logs/training.jsonl").read_text().splitlines()]
    updates = [line for line in lines if line["kind"] == "update"]
    kinds = Counter(entry["phase"] for entry in entries)
    assert (len(updates), updates[-1]["episodes"]) == (29, kinds["training"])  # the last is unfinished
    first = [entry for entry in entries if entry["phase"] == "training"][:20]
    assert updates[0]["mean_progress"] == np.mean([entry["completion_percentage"] for entry in first])
    assert sum(line["trials"] for line in lines if line["kind"] == "evaluation") == kinds["evaluation"]
    means = [line["mean_progress"] for line in lines if line["kind"] == "evaluation"]
    best = [line["is_best"] for line in lines if line["kind"] == "evaluation"]
    assert best == [mean >= max(means[: place + 1]) for place, mean in enumerate(means)]
    assert 0 < sum(best) < len(best)
    assert updates[0]["losses"]["learning_rate"] == 0.0003
    fastest = min(
        entry["elapsed_time_in_milliseconds"]
        for entry in entries
        if entry["episode_status"] == "Lap complete" and entry["phase"] == "training"
    )
    assert updates[-1]["best_lap"] == fastest / 1000


def test_imported_runs_are_listed_compared_and_deleted_like_others(imported):
    folder, results = imported
    found = list_runs(str(folder))
    assert (len(found.runs), found.damaged) == (len(REAL), [])
    assert all(run.imported for run in found.runs)
    summary = summarise(results["drfc-single"].run)
    assert (summary.track, summary.steps, summary.laps, summary.trials) == ("reinvent_base", 4102, 2, 2)
    comparison = compare_runs([results["drfc-single"].run, results["drfc-multi"].run])
    assert comparison.differences["imported.training_steps"] == [4102, 3104]


def test_an_imported_run_has_no_model_and_says_so(imported):
    run = imported[1]["drfc-single"].run
    for attempt in (lambda: evaluate(EvaluateConfig(run=run)), lambda: resume(run)):
        with pytest.raises(RunError, match="was imported and has no model of ours: weights are not converted"):
            attempt()


def test_an_imported_run_can_be_deleted(tmp_path):
    source = made(tmp_path / "model", model_metadata_DOT_json=METADATA)
    run = tmp_path / "run"
    taken(source, run)
    delete_run(removable(str(run), force=True))
    assert not run.exists()


def test_a_racers_reward_is_taken_and_another_one_is_named(tmp_path):
    source = made(
        tmp_path / "model",
        reward_function_DOT_py="def reward_function(params):\n    return 1.0\n",
        custom_files__reward_function_DOT_py="another",
        model_metadata_DOT_json=METADATA,
    )
    result = taken(source, tmp_path / "run")
    assert (tmp_path / "run/reward_function.py").read_text().startswith("def reward_function")
    assert result.passed == [("custom_files/reward_function.py", "another one was taken before it")]


def test_broken_lines_of_a_trace_are_named_and_the_others_are_kept(tmp_path):
    good = STEP.format(progress=10.0, status="off_track")
    source = made(tmp_path / "model", **{"training-simtrace__0-iteration_DOT_csv": trace(good, "broken", good[:40])})
    result = taken(source, tmp_path / "run")
    assert result.notes[0] == (
        "training-simtrace/0-iteration.csv: line 3 has 1 fields; the header has 19, and 1 more lines; skipped"
    )
    assert (tmp_path / "run/training-simtrace/0-iteration.csv").read_text() == trace(good)
    (entry,) = read_metrics((tmp_path / "run/metrics/TrainingMetrics.json").read_text(), "m")
    assert (entry["completion_percentage"], entry["episode_status"]) == (10, "Off track")


def test_files_that_are_damaged_are_named_with_their_fault_and_the_rest_is_taken(tmp_path):
    source = made(
        tmp_path / "model",
        model_metadata_DOT_json="{",
        hyperparameters_DOT_json='{"lr": 0.1}',
        metrics__TrainingMetrics_DOT_json='{"metrics": 3}',
        training_params_DOT_yaml="- a",
        run_DOT_env="DR_WORLD_NAME",
        notes_DOT_doc="x",
        **{"training-simtrace__0-iteration_DOT_csv": "no trace\n"},
    )
    result = taken(source, tmp_path / "run")
    reasons = dict(result.passed)
    assert reasons.keys() == {
        "model_metadata.json",
        "metrics/TrainingMetrics.json",
        "training_params.yaml",
        "run.env",
        "notes.doc",
        "training-simtrace/0-iteration.csv",
    }
    assert reasons["metrics/TrainingMetrics.json"] == "metrics is 3; expected a list of episodes"
    assert reasons["notes.doc"] == "nothing here reads it"
    assert (tmp_path / "run/ip/hyperparameters.json").read_text() == '{"lr": 0.1}'


def test_the_world_of_a_drfc_folder_is_that_of_its_run_env(tmp_path):
    source = made(tmp_path / "model", run_DOT_env="DR_WORLD_NAME=Oval_track\n", model_metadata_DOT_json=METADATA)
    assert taken(source, tmp_path / "run").world == "Oval_track"


def test_a_log_that_tells_of_an_impossible_model_gives_its_steps_alone(tmp_path, shared_data):
    real = (shared_data / "logs/log-guru/deepracer-0_robomaker.1.74she0uhr3drkcy411ceh6144.log").read_text()
    source = made(tmp_path / "model", a_DOT_log=real.replace("'steering_angle': 0,", "'steering_angle': 'x',"))
    result = taken(source, tmp_path / "run")
    assert (result.model, result.taken["training steps"]) == ("unknown", 427)
    assert any("the model that a.log tells of: action_space[0].steering_angle is" in note for note in result.notes)


def test_of_two_logs_of_one_name_both_give_their_steps(tmp_path):
    line = "SIM_TRACE_LOG:" + STEP.format(progress=1.0, status="off_track").replace("0,1.0,", "0,1,", 1) + "\n"
    source = made(tmp_path / "model", a__training_DOT_log=line, b__training_DOT_log=line + line)
    result = taken(source, tmp_path / "run")
    assert result.taken["training steps"] == 3
    assert [name for name, _ in result.passed] == ["b/training.log"]


def test_what_holds_nothing_or_several_models_or_is_not_there_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    one = trace(STEP.format(progress=1.0, status="off_track"))
    two = made(
        tmp_path / "two",
        **{"a__training-simtrace__0-iteration_DOT_csv": one, "b__training-simtrace__0-iteration_DOT_csv": one},
    )
    for source, message in (
        (tmp_path / "empty", r"holds nothing of a DeepRacer model \(0 files seen\)"),
        (two, "holds 2 models; give one of them, such as a"),
        (tmp_path / "none", "does not exist; give a model's folder, its archive"),
    ):
        with pytest.raises(ConfigError, match=message):
            taken(source, tmp_path / "runs" / "x")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_that_is_there_is_never_touched(tmp_path):
    source = made(tmp_path / "model", model_metadata_DOT_json=METADATA)
    run = made(tmp_path / "run", mine="x")
    with pytest.raises(RunError, match="is there already; choose another --out"):
        taken(source, run)
    assert [path.name for path in run.iterdir()] == ["mine"]


def test_without_a_name_the_run_lies_under_runs_and_is_called_as_its_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = made(tmp_path / "my-model", model_metadata_DOT_json=METADATA)
    names = [import_run(ImportConfig(source=str(source))).run for _ in range(2)]
    assert names == ["runs/my-model", "runs/my-model-2"]


def tar_with(path, name, kind=tarfile.REGTYPE, data=b"x", link=""):
    with tarfile.open(path, "w:gz") as file:
        for member, content in (
            (tarfile.TarInfo("top/model_metadata.json"), METADATA.encode()),
            (tarfile.TarInfo(name), data),
        ):
            member.size = len(content) if member.name != name or kind == tarfile.REGTYPE else 0
            if member.name == name:
                member.type, member.linkname = kind, link
            file.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["/etc/x.log", "../x.log", "a/../../x.log", "a\\..\\x.log", "a\x1b[2J.log"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_that_leads_out_of_its_place_is_refused_whole(tmp_path, name, kind):
    if kind == "tar":
        path = tar_with(tmp_path / "evil.tar.gz", name)
    else:
        path = tmp_path / "evil.zip"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("top/model_metadata.json", METADATA)
            file.writestr(name, "x")
    with pytest.raises(FormatError, match="may lead out of the archive; nothing of it was imported"):
        taken(path, tmp_path / "runs/x")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [path.name]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_an_archive_are_named_and_not_followed(tmp_path, kind):
    path = tar_with(tmp_path / "odd.tar.gz", "top/reward_function.py", kind, link="/etc/passwd")
    result = taken(path, tmp_path / "run")
    assert result.passed == [("top/reward_function.py", "a link or device, which is never followed")]
    assert not (tmp_path / "run/reward_function.py").exists()


def test_links_in_a_zip_or_a_folder_are_not_followed_either(tmp_path):
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model_metadata.json", METADATA)
        info = zipfile.ZipInfo("reward_function.py")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    assert [name for name, _ in taken(path, tmp_path / "one").passed] == ["reward_function.py"]
    folder = made(tmp_path / "folder", model_metadata_DOT_json=METADATA)
    (folder / "reward_function.py").symlink_to("/etc/passwd")
    (folder / "loop").symlink_to(folder)
    assert [name for name, _ in taken(folder, tmp_path / "two").passed] == ["loop", "reward_function.py"]


def test_an_archive_that_swells_beyond_measure_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.tar.gz"
    tar_with(path, "top/x.log", data=bytes(3_000_000))
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(archive, "MOST_BYTES", 1_000_000)
    with pytest.raises(FormatError, match=r"holds more than 0\.001 GB"):
        taken(path, tmp_path / "runs/x")
    monkeypatch.setattr(archive, "MOST_FILES", 1)
    with pytest.raises(FormatError, match="holds more than 1 files; give the folder of one model"):
        taken(path, tmp_path / "runs/x")


def test_an_archive_cut_or_damaged_anywhere_is_imported_or_refused_in_one_line(shared_data, tmp_path):
    data = next((shared_data / "logs/log-guru").glob("sac-*.tar.gz")).read_bytes()
    path = tmp_path / "cut.tar.gz"
    for size in (0, 1, 100, len(data) // 2):
        path.write_bytes(data[:size])
        with pytest.raises(FormatError, match=r"cut\.tar\.gz is damaged: .*; download it again"):
            taken(path, tmp_path / "runs" / str(size))
    random = np.random.default_rng(0)
    for number in range(10):
        broken = bytearray(data)
        for place in random.integers(0, len(data), 3):
            broken[place] ^= 0x55
        path.write_bytes(broken)
        message = ""
        try:
            taken(path, tmp_path / f"ok-{number}")
        except FormatError as error:
            message = str(error)
        assert len(message.splitlines()) <= 1
    zipped = tmp_path / "cut.zip"
    zipped.write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(FormatError, match="is damaged"):
        taken(zipped, tmp_path / "runs/zip")


def test_a_source_that_cannot_be_read_or_an_out_that_cannot_be_written_is_one_line(tmp_path):
    source = made(tmp_path / "model", model_metadata_DOT_json=METADATA)
    made(tmp_path, file="x")
    with pytest.raises(StorageError, match=r"cannot write into .*/file"):
        taken(source, tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("evaluation-20220709200242", "20220709200242"),
        ("20211101023836-j9fMuPXqSIKjeVbofaNRQg", "20211101023836"),
        ("2026-03-07T17:52:00.898Z-deepracerindy-evaluation-9oJ3QbS0SYm7Iag", "20260307175200"),
        ("evaluation-simtrace", ""),
    ],
)
def test_the_time_in_a_name_becomes_14_digits(name, stamp):
    assert stamp_of(name) == stamp


def test_an_evaluations_log_and_trace_are_known_as_one_job():
    names = [
        "sim-trace/evaluation/2026-03-07T17:52:00.898Z-deepracerindy-evaluation-9oJ3/evaluation-simtrace/0-iteration.csv",
        "logs/evaluation/2026-03-07T17:59:20.610Z-deepracerindy-evaluation-9oJ3-simulation.log",
        "sim-trace/evaluation/20211101023836-j9f_M-u/evaluation-simtrace/0-iteration.csv",
        "logs/evaluation/evaluation-20211101024404-j9f_M-u-robomaker.log",
    ]
    jobs = {file.name: file.job for file in layout_of(names).found}
    assert [jobs[name] for name in names] == ["9oJ3", "9oJ3", "j9f_M-u", "j9f_M-u"]


def test_a_failure_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    source = made(tmp_path / "model", model_metadata_DOT_json=METADATA)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lateapex.jobs.import_run.Steps.take_metrics", fail)
    with pytest.raises(KeyboardInterrupt):
        taken(source, tmp_path / "runs/x")
    assert list((tmp_path / "runs").iterdir()) == []
