"""`lateapex scenes`: the presets, all that can vary, and the ranges of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_runs import command

from lateapex.env.racing import RacingTask
from lateapex.env.starts import StartPoses
from lateapex.jobs import scene_sheet as job
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


def test_a_sheet_shows_the_starts_as_the_scene_moves_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[Any, Any]] = []

    def draw(pictures: Any, words: Any) -> bytes:
        drawn.append((pictures.copy(), words))
        return b""

    monkeypatch.setattr(job, "draw_contact_sheet", draw)
    moved = parse_scene({"start": {"offset": -0.3, "heading_deg": 20}}, "mine")
    values = job.scene_sheet(moved, "oval", tmp_path / "a.png")
    assert values == [{"start.offset": -0.3, "start.heading_deg": 20.0}] * 24
    ((pictures, words),) = drawn
    assert words == [["offset -0.3  heading 20"]] * 24
    task = RacingTask("oval", 24, colour=True)
    # A start of 20 degrees to the left, 0.3 widths to the right of the centre line.
    task.begin(np.arange(24), StartPoses(np.arange(24) / 24, np.full(24, -0.3), np.full(24, np.radians(20))))
    assert np.array_equal(pictures, task.pictures)
