"""The reward of a run: in a sandbox or not, its prints in the run folder, and what is kept when it fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_runs import command, files_of, small_config, small_run, timeless

from lateapex.errors import RewardError
from lateapex.jobs import train as job
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.run_folder import open_run, run_reward
from lateapex.sinks.reward_prints import NAME

HERE = Path(__file__).parents[1]
linux = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
PRINTING = """
import random
print("loaded")
def reward_function(params):
    if params["steps"] == 1:
        print("first")
    print("steps", params["steps"])
    return params["speed"] + random.random()
"""
LATE_DEED = """
calls = 0
def reward_function(params):
    global calls
    calls += 1
    if calls > 40:
        open("/etc/passwd")
    return 1.0
"""


@pytest.fixture
def reward(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(PRINTING)
    return str(path)


def without_settings(run: Path) -> dict[str, Any]:
    return {name: data for name, data in timeless(files_of(run)).items() if name != "run.toml"}


@linux
def test_a_run_behind_walls_is_the_same_run_prints_included(tmp_path: Path, reward: str) -> None:
    plain, walled = (
        small_run(tmp_path / name, reward=reward, sandbox=name == "walled") for name in ("plain", "walled")
    )
    assert without_settings(plain) == without_settings(walled)
    assert "sandbox = true" in (walled / "run.toml").read_text()
    assert (plain / NAME).read_text().startswith("loaded\n")


def test_what_a_reward_prints_goes_into_its_log_and_not_to_the_terminal(capsys, tmp_path: Path, reward: str) -> None:
    run = tmp_path / "run"
    said = command(
        capsys, "train", "--track", "oval", "--reward", reward, "--steps", 64, "--cars", 2, "--out", run, "--json"
    )
    assert said.code == 0
    assert json.loads(said.out)["steps"] == 64
    assert "steps 2.0" not in said.err
    lines = (run / NAME).read_text().splitlines()
    assert lines[:2] == ["loaded", "steps 2.0"]
    assert re.fullmatch(r"\.\.\. and \d+ lines more", lines[-1])
    assert "never true: the first call of an episode has steps 2" in said.err


def test_a_run_whose_reward_prints_nothing_has_no_file_of_it(tmp_path: Path) -> None:
    assert not (small_run(tmp_path / "run") / NAME).exists()


def test_the_log_of_prints_goes_on_where_a_run_was_saved(tmp_path: Path, reward: str) -> None:
    whole = small_run(tmp_path / "whole", reward=reward)
    half = small_run(tmp_path / "half", reward=reward, trainer={"steps": 64})
    text = (half / NAME).read_text()
    with (half / NAME).open("a") as log:
        log.write("from an update that was never saved\n")
    job.resume(str(half), {"trainer": {"steps": 128}})
    after = (half / NAME).read_text()
    assert after.startswith(text)
    assert "never saved" not in after
    assert len(after) > len(text)
    assert (whole / NAME).read_text().startswith("loaded\n")


def test_the_first_step_is_called_where_the_switch_says_so(tmp_path: Path, reward: str) -> None:
    plain, switched = (
        small_run(tmp_path / str(switch), reward=reward, call_at_step_1=switch) for switch in (False, True)
    )
    assert "first\n" not in (plain / NAME).read_text()
    assert "first\nsteps 1.0\n" in (switched / NAME).read_text()
    plain_files, files = without_settings(plain), without_settings(switched)
    for name in ("training-simtrace/0-iteration.csv", "metrics/TrainingMetrics.json"):
        assert plain_files[name] == files[name]


@linux
def test_a_strangers_run_goes_on_behind_walls_where_that_is_asked(capsys, tmp_path: Path, reward: str) -> None:
    run = small_run(tmp_path / "run", reward=reward, trainer={"steps": 32})
    assert "sandbox = false" in (run / "run.toml").read_text()
    (run / "reward_function.py").write_text("open('/etc/passwd')\n" + PRINTING)
    said = command(capsys, "train", "--resume", run, "--sandbox", "--steps", 64)
    assert said.error.endswith("reward_function.py:1: reads /etc/passwd, which the sandbox does not allow")
    (run / "reward_function.py").write_text(PRINTING)
    assert command(capsys, "train", "--resume", run, "--sandbox", "--steps", 64).code == 0
    assert "sandbox = true" in (run / "run.toml").read_text()


@linux
def test_a_forbidden_deed_ends_the_run_with_2_and_the_model_so_far_is_kept(capsys, tmp_path: Path) -> None:
    path, run = tmp_path / "stranger.py", tmp_path / "run"
    path.write_text(LATE_DEED)
    words = ["train", "--track", "oval", "--reward", path, "--sandbox", "--steps", 400, "--cars", 2, "--out", run]
    said = command(capsys, *words)
    assert said.code == 2
    assert said.err.splitlines()[-1] == (f"error: {path}:7: reads /etc/passwd, which the sandbox does not allow")


@linux
def test_the_model_of_the_updates_before_a_forbidden_deed_can_be_evaluated(tmp_path: Path) -> None:
    path = tmp_path / "stranger.py"
    path.write_text(LATE_DEED)
    config = small_config(tmp_path / "run", reward=str(path), sandbox=True, trainer={"save_seconds": 1000.0})
    with pytest.raises(RewardError, match=r"stranger\.py:7: reads /etc/passwd, which the sandbox does not allow$"):
        job.train(config)
    (version,) = {path.name.partition("_")[0] for path in (tmp_path / "run/model").glob("*.pt")}
    assert version == "2"  # 40 calls of a car that is paid at 15 of 16 steps
    found = evaluate(EvaluateConfig(run=str(tmp_path / "run"), trials=1, film="none", sandbox=False, checkpoint="last"))
    assert found.model.startswith("2_Step-64")


@linux
def test_an_evaluation_is_behind_walls_where_the_run_was_and_where_it_is_asked(tmp_path: Path, reward: str) -> None:
    run = small_run(tmp_path / "run", reward=reward, sandbox=True)
    kinds = []
    for asked in (None, True, False):
        opened = run_reward(open_run(str(run)), sandbox=asked)
        kinds.append(type(opened).__name__)
        opened.close()
    assert kinds == ["SandboxedReward", "SandboxedReward", "RewardFunction"]
    found = evaluate(EvaluateConfig(run=str(run), trials=2, film="none"))
    assert (run / found.folder / "reward_prints.log").read_text().startswith("loaded\n")


HANGING = """
import sys
calls = 0
def reward_function(params):
    global calls
    calls += 1
    while calls > 60:
        pass
    return 1.0
"""


@pytest.mark.long
def test_a_hanging_reward_is_named_and_ctrl_c_ends_the_run_with_the_model_so_far(tmp_path: Path) -> None:
    path, run = tmp_path / "hang.py", tmp_path / "run"
    path.write_text(HANGING)
    code = (
        "import sys; from small_runs import small_config; from lateapex import cli; from lateapex.jobs import train;"
        "config = small_config(sys.argv.pop(), reward=sys.argv.pop());"
        "train.train_config = lambda *_: config; cli.main()"
    )
    said = ""
    with subprocess.Popen(
        [sys.executable, "-c", code, "train", str(path), str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if "has not come back" in line:
                process.send_signal(signal.SIGINT)
    assert process.returncode == 2, said
    assert f"note: {path}:7: a call of the reward has not come back for 1 s; Ctrl-C ends the run here" in said
    assert said.splitlines()[-1].startswith(f"error: {path}:")
    assert said.splitlines()[-1].endswith(": stopped in a call of the reward that did not come back")
    assert list((run / "model").glob("*.pt"))
