"""`lateapex import` as it is typed."""

from __future__ import annotations

import json
import re
import shlex
import tarfile

import pytest
from typer.testing import CliRunner

from lateapex import cli


def typed(*words, code=0):
    result = CliRunner().invoke(cli.app, ["import", *words])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A folder with a racer's files, in the folder where one types."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "reward_function.py").write_text("def reward_function(params):\n    return 1.0\n")
    (folder / "run.env").write_text("DR_WORLD_NAME=Oval_track\n")
    (folder / "1_Step-0.ckpt.index").write_text("x")
    return folder


def test_what_was_taken_and_what_was_not_is_said_in_lines(model):
    assert typed("my-model", "--out", "runs/x").stdout.splitlines() == [
        "deepracer-for-cloud: Oval_track, race type unknown, model unknown",
        "not taken: 1_Step-0.ckpt.index: weights",
        "no model was imported: weights are not converted, so the run can be looked at but not driven",
        "saved runs/x    next: lateapex runs list --folder runs",
    ]


def test_a_model_with_drives_is_told_how_to_see_them(shared_data, tmp_path):
    lines = typed(str(shared_data / "logs/droa-eval-only.tar.gz"), "--out", str(tmp_path / "x")).stdout.splitlines()
    assert lines[-1] == (
        f"saved {tmp_path}/x    next: lateapex tracks get Spain_track, "
        f"then lateapex film {tmp_path}/x --track Spain_track"
    )


def test_json_is_one_line_and_the_rest_goes_to_stderr(model):
    result = typed("my-model", "--json")
    content = json.loads(result.stdout)
    assert (content["run"], content["world"]) == ("runs/my-model", "Oval_track")
    assert content["passed"] == [{"name": "1_Step-0.ckpt.index", "reason": "weights"}]
    assert "no model was imported" in result.stderr


def test_the_example_of_its_help_runs(model):
    (example,) = re.findall(r"^ *Example: (lateapex import .*)$", typed("--help").stdout, re.MULTILINE)
    words = shlex.split(example)[2:]
    with tarfile.open(words[0], "w:gz") as archive:
        archive.add(model, "my-model")
    typed(*words)
    assert (model.parent / "runs/my-model/run.toml").is_file()


def test_a_source_that_is_not_there_is_one_line_and_exit_code_2(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["lateapex", "import", "nowhere"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
