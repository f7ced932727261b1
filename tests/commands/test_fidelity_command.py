"""`lateapex fidelity` and `lateapex vehicles` as typed: tables for people, one JSON line for programs."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from pathlib import Path

import pytest
from made_tables import as_csv, driven
from typer.testing import CliRunner

from lateapex.cli import app
from lateapex.errors import ConfigError, FormatError
from lateapex.world.vehicle import Vehicle
from lateapex.world.vehicles import load_vehicle, read_vehicle, vehicle_names


def run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    path = tmp_path / "steps.csv"
    path.write_text(as_csv(driven(Vehicle(), 3, 60)))
    return path


def test_json_is_one_line_of_rows_with_the_named_keys(steps: Path) -> None:
    out = run("fidelity", "--traces", str(steps), "--physics", "5", "--json")
    assert out.count("\n") == 1
    line = json.loads(out)
    assert len(line["rows"]) == len(line["bicycle"]) == 32
    assert all(set(row) == {"what", "physics", "start", "steps", "value", "windows"} for row in line["rows"])
    assert line["vehicles"] == {"5": "version5"}
    assert {row["what"] for row in line["rows"]} == {
        "position_error_cm_median",
        "position_error_cm_p90",
        "yaw_error_deg_median",
        "yaw_error_deg_p90",
    }


def test_several_files_may_follow_the_option(steps: Path) -> None:
    twice = json.loads(run("fidelity", "--traces", str(steps), str(steps), "--physics", "5", "--json"))
    once = json.loads(run("fidelity", "--traces", str(steps), "--physics", "5", "--json"))
    assert twice["rows"][0]["windows"] == 2 * once["rows"][0]["windows"]


def test_the_table_has_a_line_for_each_start_and_its_bicycle(steps: Path) -> None:
    lines = run("fidelity", "--traces", str(steps), "--physics", "5").splitlines()
    assert [line.split()[:4] for line in lines[2:6]] == [
        ["5", "rolling", "9", "version5"],
        ["5", "rolling", "9", "kinematic"],
        ["5", "standing", "3", "version5"],
        ["5", "standing", "3", "kinematic"],
    ]


def test_nothing_to_score_or_contradicting_flags_are_refused(steps: Path, tmp_path: Path) -> None:
    for words, kind, message in (
        (["fidelity"], ConfigError, "no step tables are given; name some: lateapex fidelity --traces"),
        (["fidelity", "--traces", str(steps)], FormatError, "there is no list of logs"),
        (["fidelity", "--report", str(tmp_path), "--json"], ConfigError, "--report takes a folder alone"),
        (["fidelity", str(steps), "--physics", "5", "--vehicle", "x"], ConfigError, "no vehicle is called 'x'"),
        (["vehicles", "show", "versoin5"], ConfigError, "did you mean 'version5'"),
    ):
        with pytest.raises(kind, match=message):
            CliRunner().invoke(app, words, catch_exceptions=False)


def test_vehicles_are_listed_with_their_figures() -> None:
    lines = run("vehicles", "list").splitlines()
    assert [line.split()[0] for line in lines[1:6]] == vehicle_names()
    assert "3.57 m/s" in lines[4]
    found = json.loads(run("vehicles", "list", "--json"))["vehicles"]
    assert [entry["vehicle"]["name"] for entry in found] == vehicle_names()


def test_a_vehicle_shows_which_bends_it_holds() -> None:
    text = run("vehicles", "show", "version5")
    assert "kidney" in text
    assert "radius" in text
    line = json.loads(run("vehicles", "show", "version5", "--json"))
    assert line["radius"]["1"] == pytest.approx(0.67, abs=0.02)


def test_what_show_toml_prints_is_that_vehicle() -> None:
    assert read_vehicle(run("vehicles", "show", "version4", "--toml"), "x.toml") == load_vehicle("version4")


@pytest.mark.parametrize("words", [["fidelity"], ["vehicles", "list"], ["vehicles", "show"]])
def test_the_example_in_the_help_runs(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.csv.gz").write_bytes(gzip.compress(as_csv(driven(Vehicle(), 2, 60)).encode()))
    shown = " ".join(run(*words, "--help").split())
    example = re.search(r"Example: lateapex (.*)$", shown)
    assert example is not None
    assert run(*shlex.split(example[1]))
