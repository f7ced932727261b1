"""`lateapex scenes`: the presets, all that can vary, and the ranges of one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
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


def test_a_sheet_shows_what_24_cars_see_with_their_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheets = []
    for name in ("none", "original"):
        out = tmp_path / f"{name}.png"
        found = json.loads(command(capsys, "scenes", "show", name, "--out", out, "--track", "oval", "--json").out)
        assert found["picture"] == str(out)
        assert len(found["values"]) == 24
        sheets.append(np.asarray(Image.open(out)).astype(int))
    assert len({each["light.red"] for each in found["values"]}) == 24
    # Six in a row of 160 pixels, 8 between them, and under the varied ones lines of words.
    assert [sheet.shape[1] for sheet in sheets] == [6 * 168 + 8] * 2
    assert sheets[0].shape[0] == 4 * 128 + 8
    first = sheets[1][8:128, 8:168] / np.maximum(sheets[0][8:128, 8:168], 1)
    assert np.median(first[100:, :, 0]) == pytest.approx(found["values"][0]["light.red"], abs=0.05)
    assert "a name that ends in .png is needed" in command(capsys, "scenes", "show", "mild", "--out", "sheet.gif").error
