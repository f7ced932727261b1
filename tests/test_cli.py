"""The command line: what it prints where, its exit codes, and one clear line for whatever is wrong."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from small_runs import command, files_of, small_run, without_films

import lateapex
from lateapex import cli

FEW = ("--steps", 64, "--cars", 2)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Every command runs in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture
def run(trained):
    """A copy of a trained run, by a name relative to the present folder."""
    return Path(shutil.copytree(trained, "run"))


@pytest.fixture
def no_film(monkeypatch):
    without_films(monkeypatch)


def write(name, content):
    path = Path(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


# ------------------------------------------------------------------------------------------- what is wrong, one line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--track", "kidny"], r"no track is called 'kidny'; did you mean 'kidney'\?"),
        (["--track", "nowhere/x.npy"], r"there is no file nowhere/x\.npy; give the path of a route"),
        (["--track", ""], r"no track is called ''"),
        (["--track", "."], r"no route file \(\.npy\) lies in \.; give a folder that has some"),
        (["--reward", "quick_lap"], r"no reward file is at quick_lap; did you mean 'quick_laps'"),
        (["--reward", "missing.py"], r"no reward file is at missing\.py"),
        (["--reward", "."], r"cannot read \.: "),
        (["--model-metadata", "missing.json"], r"no file is at missing\.json; lateapex init DIR writes one"),
        (["--model-metadata", "."], r"cannot read \.: "),
        (["--hyperparameters", "missing.json"], r"no file is at missing\.json; lateapex init DIR writes one"),
        (["--network", "lena"], r"no network is called 'lena'; did you mean 'lean'\?"),
        (["--network", "vast"], r"no network is called 'vast'; known: lean, shallow"),
        (["--precision", "half"], r"precision is 'half'; input should be 'auto', 'float32' or 'bfloat16'"),
        (["--steps", "0"], r"steps is 0; input should be greater than or equal to 1"),
        (["--steps", "-5"], r"steps is -5"),
        (["--duration", "0"], r"duration is 0\.0; input should be greater than 0"),
        (["--duration", "-1"], r"duration is -1\.0"),
        (["--duration", "nan"], r"duration is nan"),
        (["--cars", "0"], r"cars is 0; input should be greater than or equal to 1"),
        (["--cars", "-4"], r"cars is -4"),
        (["--seed", "-1"], r"seed is -1; input should be greater than or equal to 0"),
        (["--seed", str(2**63)], r"seed is 9223372036854775808; input should be less than"),
        (["--resume", "nowhere"], r"run folder nowhere does not exist"),
        (["--resume", "."], r"run folder \. is no run folder: it has no run\.toml"),
        (["--resume", "nowhere", "--seed", "3"], r"--resume goes on with the run as it is; --seed cannot be changed"),
        (["--resume", "nowhere", "--model-metadata", "x"], r"--model-metadata cannot be changed, leave it out"),
        (["--resume", "nowhere", "--shares", "2"], r"--shares cannot be changed, leave it out"),
        (["--shares", "4"], r"--shares is given, but no exchange that it would be for; give --exchange URL too"),
        (["--keep-batches"], r"--keep-batches is given, but no exchange that it would be for"),
        (["--keep"], r"--keep-batches is given, but no exchange that it would be for"),
        (["--keep", "--shares", "4"], r"--shares is given, but no exchange that it would be for"),
        (["--config", "missing.toml"], r"no file is at missing\.toml; lateapex init DIR writes one"),
        (["--resume", "nowhere", "--config", "my.toml"], r"--config cannot be changed, leave it out"),
        (["--from", "nowhere"], r"run folder nowhere does not exist"),
        (["--from", "nowhere", "--checkpoint", "first"], r"checkpoint is 'first'; input should be 'best' or 'last'"),
        (["--keep", "0"], r"keep is 0; input should be greater than or equal to 1"),
        (["--track", "oval,oval"], r"track 'oval' is there twice in 'oval,oval'; name each once"),
        (["--track", "oval,"], r"no track is called ''"),
        (["--track", "oval,kidney", "--cars", "1"], r"1 cars cannot drive on 2 tracks; give --cars 2 or more"),
        (["--job-duration-in-seconds", "0"], r"duration is 0\.0; input should be greater than 0"),
        (["--out", "x" * 300], r"File name too long"),
        (["--resume", "x" * 300], r"does not exist"),
    ],
)
def test_train_refuses_what_makes_no_sense_in_one_line_and_writes_nothing(capsys, tmp_path, words, message):
    said = command(capsys, "train", *words)
    assert re.search(message, said.error)
    assert said.out == ""
    assert files_of(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def route(rows):
    np.save("route.npy", rows)
    return "route.npy"


@pytest.mark.parametrize(
    ("flag", "make", "message"),
    [
        ("--track", lambda: route(np.zeros((119, 4))), r"route\.npy has shape \(119, 4\); 6 columns are needed"),
        ("--track", lambda: route(np.full((50, 6), np.nan)), r"route\.npy has nan at row 0"),
        ("--track", lambda: route(np.array([{}] * 6)), r"route\.npy holds pickled Python objects"),
        ("--track", lambda: write("route.npy", b"no array"), r"route\.npy is no \.npy file"),
        ("--track", lambda: write("route.npy", b""), r"route\.npy is empty"),
        (
            "--reward",
            lambda: write("r.py", "def reward_function(params)\n    return 1"),
            r"r\.py:1: is not Python 3: expected ':'",
        ),
        (
            "--reward",
            lambda: write("r.py", "def reward(params):\n    return 1"),
            r"r\.py has no reward_function\(params\)",
        ),
        (
            "--reward",
            lambda: write("r.py", "import no_such_thing"),
            r"r\.py:1: ModuleNotFoundError .*when the file was",
        ),
        ("--reward", lambda: write("r.py", ""), r"r\.py has no reward_function\(params\)"),
        ("--reward", lambda: write("r.py", b"\xff\xfe\x00"), r"cannot read r\.py: "),
        ("--model-metadata", lambda: write("m.json", "{"), r"m\.json is not JSON: line 1, column 2"),
        ("--model-metadata", lambda: write("m.json", "{}"), r"m\.json has no 'action_space'"),
        ("--model-metadata", lambda: write("m.json", '{"action_space": []}'), r"m\.json"),
        ("--model-metadata", lambda: write("m.json", b"\xff\xfe\x00"), r"cannot read m\.json"),
        (
            "--hyperparameters",
            lambda: write("h.json", '{"learning_rate": 1}'),
            r"no hyperparameter is called 'learning_",
        ),
        ("--hyperparameters", lambda: write("h.json", '{"lr": "fast"}'), r'h\.json: lr is "fast"; expected a number'),
        ("--hyperparameters", lambda: write("h.json", "[]"), r"h\.json holds \[\]; expected an object"),
        ("--hyperparameters", lambda: write("h.json", b"\xff\xfe\x00"), r"cannot read h\.json"),
    ],
)
def test_train_refuses_a_file_that_is_broken_in_one_line_and_writes_nothing(capsys, tmp_path, flag, make, message):
    path = make()
    before = files_of(tmp_path)
    said = command(capsys, "train", flag, path, *FEW)
    assert re.search(message, said.error), said.error
    assert said.out == ""
    assert files_of(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("return params['heading_angle']", r"r\.py:2: KeyError 'heading_angle', at step 2 of episode 0"),
        ("return None", r"r\.py:\d: reward_function returned None at step 2 of episode 0; a finite number"),
        ("return float('nan')", r"returned nan at step 2"),
        ("return float('inf')", r"returned inf at step 2"),
        ("return 'much'", r"returned 'much' at step 2"),
        ("return 1e6", r"returned 1000000\.0 at step 2"),
        ("raise ValueError('a\\nb')", r"r\.py:2: ValueError a b, at step 2"),
        ("raise SystemExit(0)", r"r\.py:2: SystemExit 0, at step 2"),
    ],
)
def test_a_reward_that_fails_is_told_with_file_line_step_and_parameters_and_leaves_no_run(
    capsys, tmp_path, text, message
):
    write("r.py", f"def reward_function(params):\n    {text}\n")
    error = command(capsys, "train", "--reward", "r.py", *FEW, "--out", "run").error
    assert re.search(message, error), error
    assert re.search(r"params: all_wheels_on_track: True, x: -?\d.* steps: 2, speed: .*waypoints: \d+ points", error)
    assert list(files_of(tmp_path)) == ["r.py"]


def test_the_number_of_a_line_is_no_emoji(capsys):
    write("r.py", "\n" * 98 + "def reward_function(params):\n    return 1 / 0\n")
    assert command(capsys, "train", "--reward", "r.py", *FEW).error.startswith("r.py:100: ZeroDivisionError")


def test_an_error_of_several_lines_is_printed_on_one(capsys, monkeypatch):
    def fail():
        raise lateapex.LateapexError("first [bold]\r\nsecond :car: ")

    monkeypatch.setattr(cli, "app", fail)
    assert command(capsys).error == "first [bold] second :car: "


@pytest.mark.parametrize(
    "words",
    [
        ("trane",),
        ("train", "--sed", "3"),
        ("train", "--seed", "three"),
        ("train", "--steps", "1.5"),
        ("train", "extra"),
        ("evaluate",),
        ("evaluate", "a", "b"),
        ("evaluate", "a", "--trials", "0"),
        ("evaluate", "a", "--require", "-1"),
        ("init",),
    ],
)
def test_words_that_no_command_knows_are_refused(capsys, tmp_path, words):
    said = command(capsys, *words)
    assert said.code == 2
    assert said.out == ""
    assert "Error: " in said.err
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_a_run_is_not_written_into(capsys, run):
    before = files_of(run)
    assert re.search(
        r"run already holds a run; go on with it: .*--resume run", command(capsys, "train", "--out", run).error
    )
    assert files_of(run) == before


@pytest.mark.parametrize("out", ["file", "file/run"])
def test_a_file_in_the_way_of_a_run_is_told_and_kept(capsys, tmp_path, out):
    write("file", "mine")
    assert command(capsys, "train", *FEW, "--out", out).error.startswith(f"cannot write {out}/")
    assert command(capsys, "init", out).error.startswith(f"cannot write {out}/")
    assert files_of(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("run.toml", b"\xff"),
        ("run.toml", b""),
        ("model/training_state.pt", b"PK"),
        ("model/model_metadata.json", b"{"),
        ("ip/hyperparameters.json", b"{"),
        ("track.npy", b"\x93NUMPY"),
        ("metrics/TrainingMetrics.json", b"\xff"),
        ("logs/training.log", b""),
        ("logs/training.jsonl", b"x" * 9999),
    ],
)
def test_a_damaged_run_does_not_go_on_and_the_file_is_named(capsys, run, name, data):
    (run / name).write_bytes(data)
    error = command(capsys, "train", "--resume", run, "--steps", 192).error
    assert Path(name).name in error or "a log of the run is damaged" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "nowhere"), r"run folder nowhere does not exist; give the folder that lateapex train named"),
        (("evaluate", "rum"), r"run folder rum does not exist; did you mean 'run'\?"),
        (("evaluate", "."), r"is no run folder: it has no run\.toml"),
        (("evaluate", "run", "--track", "ovla"), r"no track is called 'ovla'; did you mean 'oval'\?"),
        (("evaluate", "run", "--checkpoint", "first"), r"checkpoint is 'first'; input should be 'best' or 'last'"),
        (("evaluate", "run", "--trials", "99999"), r"trials is 99999; input should be less than or equal to 10000"),
        (("evaluate", "x" * 300), r"does not exist"),
    ],
)
def test_evaluate_refuses_what_makes_no_sense_in_one_line_and_writes_nothing(capsys, run, words, message):
    before = files_of(run)
    assert re.search(message, command(capsys, *words).error)
    assert files_of(run) == before


def test_a_model_that_brings_code_along_is_refused_and_the_code_does_not_run(capsys, run):
    import os
    import pickle

    class Payload:
        def __reduce__(self):
            return os.system, ("touch ran",)

    for path in (run / "model").glob("*.pt"):
        path.write_bytes(pickle.dumps(Payload()))
    for words in (("evaluate", run), ("train", "--resume", run, "--steps", 512)):
        assert "is damaged, or no file of ours" in command(capsys, *words).error
    assert not Path("ran").exists()


# ------------------------------------------------------------------------------------------------------ what it says


def test_train_says_what_will_happen_how_it_goes_and_what_to_type_next(capsys):
    said = command(capsys, "train", "--seed", 5, *FEW)
    header, titles, update, evaluation, ending, reward, saved = said.out.splitlines()
    assert header == (
        "kidney 19.45 m · 2 cars · 10 actions · front camera 160x120 · version5 · clipped_ppo · lean · seed 5 · "
        "runs/kidney-lean-5"
    )
    assert titles.split() == ["update", "steps", "laps", "done", "mean", "progress", "best", "lap", "steps/s"]
    assert update.split()[:2] == ["1", "64"]
    assert re.match(r"  evaluation: \d+ of 20 laps, (mean progress \d+%|best .* s)  \* best so far", evaluation)
    assert ending.startswith("the step budget is used: 64 steps, 1 updates, ")
    assert re.fullmatch(r"reward: [\d.,]+ µs a call, \d+% of the time", reward)
    assert re.fullmatch(
        r"saved runs/kidney-lean-5 \(\S+ MB with 1 version of the model\) {4}next: lateapex evaluate \S+-lean-5",
        saved,
    )
    assert said.err == ""
    assert "\x1b" not in said.out


def test_resume_says_where_it_goes_on(capsys, run):
    said = command(capsys, "train", "--resume", run, "--steps", 192)
    assert said.out.splitlines()[0].endswith("seed 7 · run · from step 128")
    assert "the step budget is used: 192 steps" in said.out


def test_evaluate_shows_each_trial_and_where_the_pictures_are(capsys, run, no_film):
    said = command(capsys, "evaluate", run, "--trials", 3)
    lines = said.out.splitlines()
    assert re.fullmatch(r"kidney · \d+_Step-\d+\.pt of run", lines[0])
    assert lines[1].split() == ["trial", "start", "completed", "time", "status"]
    assert [line.split()[:2] for line in lines[2:5]] == [["1", "0%"], ["2", "33%"], ["3", "67%"]]
    assert re.fullmatch(r"\d of 3 laps.*", lines[5])
    assert all(Path(line.split()[1]).is_file() for line in lines[6:8])
    assert lines[8] == "next: lateapex evaluate run --track oval"
    assert said.err == ""


def test_names_with_blanks_can_be_typed_as_they_are_shown(capsys, run):
    run.rename("my run")
    said = command(capsys, "evaluate", "my run", "--trials", 1, "--film", "none")
    assert said.out.splitlines()[-1] == "next: lateapex evaluate 'my run' --track oval"
    assert "--config 'my car/train.toml'" in command(capsys, "init", "my car").out


def test_what_will_not_happen_as_the_metadata_say_is_noted(capsys):
    actions = [{"steering_angle": 45, "speed": 1.0}, {"steering_angle": -20, "speed": 1.0}]
    write("m.json", json.dumps({"action_space": actions, "sensor": ["FRONT_FACING_CAMERA"], "version": "5"}))
    said = command(capsys, "train", "--model-metadata", "m.json", *FEW)
    assert said.code == 0
    assert said.out.startswith("note: steering_angle 45 of ")


def test_init_says_what_it_wrote_and_the_command_that_it_suggests_works(capsys):
    said = command(capsys, "init", "car")
    *wrote, following = said.out.splitlines()
    assert [Path(line.removeprefix("wrote ")).is_file() for line in wrote] == [True] * 4
    words = shlex.split(following.removeprefix("next: lateapex "))
    assert command(capsys, *words, *FEW).code == 0
    assert re.search(r"car already has reward_function\.py", command(capsys, "init", "car").error)


def test_flags_win_over_the_settings_file_and_the_duration_has_two_names(capsys, tmp_path):
    write("my.toml", 'track = "oval"\nseed = 4\ncars = 2\n[trainer]\nsteps = 64\nkeep = 1\n')
    words = ("train", "--config", "my.toml", "--seed", 5, "--job-duration-in-seconds", 9, "--out", "run")
    said = command(capsys, *words)
    assert "· 2 cars · " in said.out
    assert "oval 16.56 m" in said.out
    assert " · seed 5 · run\n" in said.out
    settings = tomllib.loads(Path("run/run.toml").read_text())
    assert (settings["trainer"]["duration"], settings["trainer"]["keep"]) == (9.0, 1)


def test_a_resumed_run_takes_other_bounds_and_another_number_to_keep(capsys, run):
    assert command(capsys, "train", "--resume", run, "--steps", 192, "--keep", 2).code == 0
    trainer = tomllib.loads((run / "run.toml").read_text())["trainer"]
    assert (trainer["steps"], trainer["keep"]) == (192, 2)


def test_the_json_line_tells_of_the_disk(capsys, tmp_path):
    told = json.loads(command(capsys, "train", "--json", "--out", "run", *FEW).out)
    assert told["versions"] == 1
    assert told["size"] == sum(len(data) for data in files_of(tmp_path / "run").values())


def test_with_json_stdout_is_one_line_of_json_and_all_else_goes_to_stderr(capsys, no_film):
    write("r.py", "print('loaded')\ndef reward_function(params):\n    print('called')\n    return params['speed']\n")
    trained = command(capsys, "train", "--json", "--reward", "r.py", "--out", "run", *FEW)
    told = json.loads(trained.out)
    assert trained.out.count("\n") == 1
    assert (told["run"], told["outcome"], told["steps"], told["updates"]) == ("run", "steps", 64, 1)
    assert told.keys() >= {"episodes", "train_seconds", "evaluation_seconds", "best_progress", "best_lap"}
    assert "kidney 19.45 m" in trained.err
    evaluated = command(capsys, "evaluate", "run", "--trials", 2, "--film", "best", "--json")
    told = json.loads(evaluated.out)
    assert evaluated.out.count("\n") == 1
    assert told["trials"] == 2
    assert told.keys() >= {"laps_completed", "train_seconds", "best_lap", "mean_progress", "track", "model", "run"}
    assert Path(told["laps_picture"]).is_file()
    assert Path(told["lap_animation"]).is_file()
    assert "of 2 laps" in evaluated.err


def test_with_json_an_error_leaves_stdout_empty(capsys):
    said = command(capsys, "evaluate", "nowhere", "--json")
    assert said.error
    assert said.out == ""


def test_fewer_laps_than_required_end_with_1(capsys, run):
    straight = json.loads((run / "model" / "model_metadata.json").read_text())
    straight["action_space"] = [{"steering_angle": 0, "speed": 1.0}] * len(straight["action_space"])
    (run / "model" / "model_metadata.json").write_text(json.dumps(straight))
    assert command(capsys, "evaluate", run, "--trials", 2, "--require", 0, "--film", "none").code == 0
    said = command(capsys, "evaluate", run, "--trials", 2, "--require", 1, "--film", "none", "--json")
    assert said.code == 1
    assert json.loads(said.out)["laps_completed"] == 0


# ------------------------------------------------------------------------------------------------------ help


def test_alone_it_shows_its_commands(capsys):
    said = command(capsys)
    assert (said.code, said.out or said.err) == (2, command(capsys, "--help").out)
    assert {"train", "evaluate", "init"} <= set(re.findall(r"^  (\w+)  ", command(capsys, "--help").out, re.MULTILINE))


def test_the_version_is_the_packages(capsys):
    assert command(capsys, "--version") == (0, f"lateapex {lateapex.__version__}\n", "")


def test_help_and_mistakes_do_not_wait_for_torch():
    code = "import sys, lateapex.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numba", "matplotlib", "gymnasium"} & set(done.stdout.split())
