"""`lateapex check` as it is typed."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from lateapex.commands.check import check
from lateapex.errors import LateapexError, TrackError
from lateapex.jobs.init import init


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to be in, with the files that init writes under my-car/."""
    init(tmp_path / "my-car")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "my-car"


def typed(*words):
    app = typer.Typer(rich_markup_mode=None)
    app.command()(check)
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, LateapexError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_good_files_are_followed_by_the_command_that_trains_with_them(place):
    result = typed("my-car/")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "3 files checked: no errors, no warnings",
        "next: lateapex train --reward my-car/reward_function.py --model-metadata my-car/model_metadata.json "
        "--hyperparameters my-car/hyperparameters.json",
    ]


def test_warnings_alone_give_exit_code_0(place):
    (place / "run.env").write_text("DR_RUN_IDD=[red]0\n")
    result = typed("my-car")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [
        "warning my-car/run.env:1: DR_RUN_IDD is not read; did you mean 'DR_RUN_ID'?",
        "4 files checked: no errors, 1 warning",
    ]


def test_errors_give_exit_code_2_and_each_its_line(place):
    (place / "reward_function.py").write_text("def reward_function(params):\n    return params['[/x]']\n")
    (place / "hyperparameters.json").write_text('{"lr": 5}')
    result = typed("my-car")
    assert result.exit_code == 2
    reward, hyperparameters, last = result.stdout.splitlines()
    assert reward.startswith("error   my-car/reward_function.py:2: params has no '[/x]'; it has ")
    assert hyperparameters.startswith("error   my-car/hyperparameters.json:1: lr is 5; expected a number above 0")
    assert last == "3 files checked: 2 errors, no warnings"


def test_json_is_one_line_and_the_rest_goes_to_stderr(place):
    (place / "hyperparameters.json").write_text('{\n"lr": 5}')
    result = typed("my-car", "--json")
    assert result.exit_code == 2
    content = json.loads(result.stdout)
    assert (content["folder"], content["errors"], content["warnings"]) == ("my-car", 1, 0)
    assert content["files"][0] == "my-car/reward_function.py"
    (finding,) = content["findings"]
    assert (finding["severity"], finding["file"], finding["line"]) == ("error", "my-car/hyperparameters.json", 2)
    assert finding["message"] in result.stderr


def test_the_reward_is_tried_on_the_track_that_is_given(place):
    (place / "reward_function.py").write_text(
        "def reward_function(params):\n    assert params['track_length'] < 17\n    return 1.0\n"
    )
    assert typed("my-car", "--track", "oval").exit_code == 0
    assert typed("my-car").exit_code == 2
    with pytest.raises(TrackError):
        typed("my-car", "--track", "ovall")
