"""`lateapex scenes`: the presets, all that can vary, and the ranges of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_runs import command

from lateapex.world.scene_files import load_scene, parse_scene, read_scene, scene_names
from lateapex.world.variation import PLACES


def test_the_list_names_every_preset_and_everything_that_can_vary(capsys: pytest.CaptureFixture[str]) -> None:
    said = command(capsys, "scenes", "list")
    assert said.code == 0
    for name in (*scene_names(), *PLACES):
        assert f"\n{name} " in f"\n{said.out}"
    found = json.loads(command(capsys, "scenes", "list", "--json").out)
    assert [scene["name"] for scene in found["scenes"]] == scene_names()
    assert [quantity["name"] for quantity in found["quantities"]] == list(PLACES)


def test_a_scene_shows_its_ranges_as_a_table_as_json_and_as_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[car]\ngrip = { low = 0.5, high = 2.0, law = 'log' }\n")
    mine = load_scene(file)
    assert "car.grip  0.5 to 2, log  times  friction of the tyres" in command(capsys, "scenes", "show", file).out
    assert parse_scene(json.loads(command(capsys, "scenes", "show", file, "--json").out), "json") == mine
    assert read_scene(command(capsys, "scenes", "show", file, "--toml").out, "mine.toml") == mine
    assert "nothing varies" in command(capsys, "scenes", "show", "none").out
    assert "no scene is called 'sim2rael'" in command(capsys, "scenes", "show", "sim2rael").error
