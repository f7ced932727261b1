"""`lateapex doctor` as it is typed."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from lateapex.commands.doctor import doctor
from lateapex.jobs.doctor import Diagnosis

WELL = Diagnosis("ok", "Python", "3.11")
SLOW = Diagnosis("slow", "torch", "[bold] is big", "pip install --index-url x torch")
MISSING = Diagnosis("missing", "disk", "0.1 GB free for runs/", "free some")


def typed(*words):
    app = typer.Typer(rich_markup_mode=None)
    app.command()(doctor)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    return result


@pytest.fixture
def finds(monkeypatch):
    def put(*findings):
        monkeypatch.setattr("lateapex.jobs.doctor.diagnose", lambda: iter(findings))

    return put


def test_each_finding_is_a_line_with_its_mark_and_what_to_type(finds):
    finds(WELL, SLOW, MISSING)
    assert typed().stdout.splitlines() == [
        "ok       Python: 3.11",
        "slow     torch: [bold] is big    -> pip install --index-url x torch",
        "missing  disk: 0.1 GB free for runs/    -> free some",
        "1 slow, 1 missing; what to do stands behind the arrows",
    ]


def test_a_machine_without_faults_is_told_how_to_go_on(finds):
    finds(WELL)
    assert typed().stdout.splitlines()[-1] == "all is well    next: lateapex train --track kidney --until-laps"


def test_json_is_one_line_and_the_rest_goes_to_stderr(finds):
    finds(WELL, SLOW)
    result = typed("--json")
    content = json.loads(result.stdout)
    assert (content["slow"], content["missing"]) == (1, 0)
    assert content["findings"][1] == {
        "mark": "slow",
        "what": "torch",
        "detail": "[bold] is big",
        "fix": "pip install --index-url x torch",
    }
    assert "slow     torch" in result.stderr


def test_the_speed_of_this_machine_is_measured():
    assert "frames/s with 64 cars on kidney" in typed().stdout
