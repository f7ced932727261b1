"""Whatever helps beside reward and pictures: it does what the settings say, resumes exactly, and is told everywhere."""

from __future__ import annotations

import json
import shutil
import tomllib
from functools import cache

import pytest
from small_runs import command, files_of, small_config, small_run, timeless

from lateapex.jobs.assists import assists
from lateapex.jobs.run_folder import run_assisted
from lateapex.jobs.runs import summarise
from lateapex.jobs.train import resume, train, train_config
from lateapex.storage import DiskStorage
from lateapex.training.checkpoint import load_version

SWITCHES = {
    "teacher centre_line": {"teacher": {"kind": "centre_line", "steps": 64}},
    "state critic": {"critic": "state"},
    "mirror": {"mirror": True},
    "smoothing": {"ppo": {"smoothing": 0.1}},
}
each_switch = pytest.mark.parametrize("word", SWITCHES)


def updates(run):
    lines = (json.loads(line) for line in (run / "logs/training.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == "update"]


@pytest.fixture(scope="module")
def helped(tmp_path_factory):
    """Finished runs by what helped them; to be read only."""
    folder = tmp_path_factory.mktemp("helped")
    return cache(lambda word: small_run(folder / word, **SWITCHES[word]))


def test_nothing_helps_unless_asked_for(tmp_path):
    run = small_run(tmp_path / "run")
    assert assists(train_config({})) == ()
    assert load_version(DiskStorage(run), "last")[1].blueprint.assisted == ()
    assert "assisted" not in tomllib.loads((run / "run.toml").read_text())
    assert summarise(str(run)).assisted == ()


@each_switch
def test_what_helps_stands_in_the_model_and_in_the_run(helped, word):
    run = helped(word)
    assert load_version(DiskStorage(run), "best")[1].blueprint.assisted == (word,)
    assert tomllib.loads((run / "run.toml").read_text())["assisted"] == [word]
    assert summarise(str(run)).assisted == (word,)


@each_switch
def test_an_assisted_run_that_is_stopped_and_resumed_ends_with_the_same_files(helped, tmp_path, word):
    whole = helped(word)
    parts = small_run(tmp_path / "parts", **SWITCHES[word], trainer={"steps": 32})
    for steps in (96, 128):
        resume(str(parts), {"trainer": {"steps": steps}})
    one, two = (timeless(files_of(run)) for run in (whole, parts))
    for name in ("model/4_Step-128.pt", "training-simtrace/0-iteration.csv"):
        assert one[name] == two[name], name
    states = [files["model/training_state.pt"] for files in (one, two)]
    for part in ("weights", "collector"):
        assert states[0][part] == states[1][part], part


@each_switch
def test_a_run_that_begins_with_an_assisted_model_is_assisted_too(helped, tmp_path, word):
    first = helped(word)
    off = {"teacher": {"kind": "none"}, "mirror": False, "ppo": {"smoothing": 0.0}}
    second = small_run(tmp_path / "second", pretrained=str(first), **{k: off[k] for k in SWITCHES[word] if k in off})
    assert run_assisted(DiskStorage(second)) == (word,)
    assert load_version(DiskStorage(second), "last")[1].blueprint.assisted == (word,)


@each_switch
def test_the_commands_tell_of_it(helped, tmp_path, capsys, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(helped(word), "runs/helped")
    listed = command(capsys, "runs", "list")
    assert "assisted" in listed.out
    assert word in " ".join(listed.out.split())
    line = json.loads(command(capsys, "runs", "list", "--json").out)
    assert line["runs"][0]["assisted"] == [word]
    said = command(capsys, "evaluate", "runs/helped", "--trials", "1", "--film", "none", "--json")
    assert json.loads(said.out)["assisted"] == [word]
    assert f"assisted: {word}" in said.err


def test_training_tells_of_the_teacher_in_its_header_and_in_its_rows(tmp_path, capsys):
    words = ("train", "--teacher", "centre_line", "--steps", 256, "--cars", 2, "--out", tmp_path / "run", "--json")
    said = command(capsys, *words)
    assert "assisted: teacher centre_line" in said.err
    assert "taught" in said.err
    assert json.loads(said.out)["assisted"] == ["teacher centre_line"]


def test_the_lesson_comes_first_and_then_the_algorithm(tmp_path):
    for algorithm, loss in (("clipped_ppo", "clip_share"), ("sac", "q_loss")):
        run = small_run(tmp_path / algorithm, algorithm=algorithm, **SWITCHES["teacher centre_line"])
        losses = [update["losses"] for update in updates(run)]
        assert ["imitation_loss" in each for each in losses] == [True, True, False, False]
        assert [loss in each for each in losses] == [False, False, True, True]


def test_a_taught_student_laps_in_fewer_steps_than_it_learns_in_by_itself(tmp_path):
    result = train(
        small_config(
            tmp_path / "run",
            cars=32,
            track="kidney",
            reward="centre_line",
            teacher={"kind": "centre_line"},
            trainer={
                "steps": 12_000,
                "until_laps": True,
                "rollout_steps": 32,
                "evaluation_trials": 20,
                "save_seconds": 60.0,
            },
        )
    )
    assert result.outcome == "goal"
    assert result.steps < 10_000
