"""Evaluations in a scene: what varies is drawn for each trial, kept in the folder, and driven again from there."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_scenes import DUSK, write_dusk
from small_runs import command, small_run

from lateapex.env.scenes import DrawnScenes
from lateapex.errors import ConfigError
from lateapex.jobs.evaluate import EvaluateConfig, EvaluateResult, evaluate
from lateapex.jobs.recorded import open_replay, things_along
from lateapex.jobs.replay import ReplayConfig, replay
from lateapex.world.scene_files import load_scene, parse_scene

BOXES = {"race_type": "OBJECT_AVOIDANCE", "number_of_obstacles": 3, "randomize_obstacle_locations": True}


def go(run: Path, **changes: Any) -> EvaluateResult:
    return evaluate(EvaluateConfig(**{"run": str(run), "trials": 2, "threads": 1, "film": "none", **changes}))


def lines(run: Path, result: EvaluateResult) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / result.folder / "scenes.jsonl").read_text().splitlines()]


def trace(run: Path, result: EvaluateResult) -> list[list[str]]:
    """Cells of the trace, but for the last column, the wall clock."""
    text = (run / result.folder / "evaluation-simtrace" / "0-iteration.csv").read_text()
    return [line.split(",")[:-1] for line in text.splitlines()]


def scene_named(kind: str, folder: Path) -> str:
    if kind == "class":
        return write_dusk(folder)
    if kind == "file":
        folder.mkdir()
        (folder / "mine.toml").write_text('base = "mild"\n[action]\nlatency = [1, 2]\n[start]\noffset = [-0.3, 0.3]\n')
        return str(folder / "mine.toml")
    return kind


@pytest.mark.parametrize("kind", ["sim2real", "file", "class"])
def test_its_trials_are_driven_again_bit_for_bit_when_the_file_is_gone(kind: str, copied: Path, tmp_path: Path) -> None:
    scene = scene_named(kind, tmp_path / "files")
    result = go(copied, scene=scene, track="oval,kidney@reversed")
    shutil.rmtree(tmp_path / "files", ignore_errors=True)
    assert result.scene == {"sim2real": "sim2real", "file": "mine", "class": "Dusk"}[kind]
    for trial in range(4):
        found = replay(ReplayConfig(run=str(copied), episode=trial, evaluation=result.folder, reward=True))
        assert found.same, found
        assert found.same_trace
    noted = tomllib.loads((copied / result.folder / "evaluation.toml").read_text())["scene"]
    assert noted == "dusk.py:Dusk" if kind == "class" else noted["car"]
    assert (copied / result.folder / "code").exists() == (kind == "class")
    if kind == "class":
        assert (copied / result.folder / "code" / "dusk.py").read_text() == DUSK


def test_each_trial_has_values_of_its_own_on_every_track_the_same(copied: Path) -> None:
    result = go(copied, scene="sim2real", track="oval,kidney", seed=5)
    found = lines(copied, result)
    assert [(line["episode"], line["track"], line["car"]) for line in found] == [
        (0, "oval", 0),
        (1, "oval", 1),
        (2, "kidney", 0),
        (3, "kidney", 1),
    ]
    drawn = DrawnScenes(load_scene("sim2real")).draw(5 + 2**62, np.arange(2), np.zeros(2, np.int64))
    for line in found:
        assert line["scene"] == {name: drawn[name][line["car"]] for name in line["scene"]}
        assert line["scene"]["car.grip"] > 0.0
    assert found[0]["scene"] == found[2]["scene"] != found[1]["scene"]
    again, other = (go(copied, scene="sim2real", track="oval,kidney", seed=seed) for seed in (5, 6))
    assert trace(copied, again) == trace(copied, result) != trace(copied, other)


def test_starts_are_moved_by_what_the_scene_says_and_by_nothing_else(copied: Path) -> None:
    plain = go(copied)
    moved = go(copied, scene={"start": {"offset": 0.2, "heading_deg": 10}})
    for before, after, at in zip(plain.episodes, moved.episodes, (0.0, 0.5), strict=True):
        assert before.recipe is not None
        assert after.recipe is not None
        assert before.recipe.start == (at, 0.0, 0.0)
        assert after.recipe.start == (at, 0.2, pytest.approx(np.radians(10.0)))
        shift = after.steps[0]["yaw"] - before.steps[0]["yaw"]
        assert np.mod(shift, 2 * np.pi) == pytest.approx(np.radians(10.0), abs=1e-5)


def test_it_is_driven_in_the_plain_world_if_not_asked_otherwise(copied: Path, tmp_path: Path) -> None:
    for run in (copied, small_run(tmp_path / "varied", scene="sim2real", trainer={"steps": 32})):
        one, two = go(run), go(run, scene="none")
        assert one.scene == two.scene == "none"
        assert trace(run, one) == trace(run, two)
        for result in (one, two):
            assert not (run / result.folder / "scenes.jsonl").exists()
            assert all(episode.scene is None for episode in result.episodes)


def test_what_else_was_on_the_road_is_found_in_a_scene_too(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", race=BOXES, trainer={"steps": 32})
    result = go(run, scene="sim2real", film="best")
    steps = len(result.episodes[1].steps)
    things = things_along(str(run), 1, result.folder, steps)
    assert things is not None
    assert things.shape == (steps, 4)
    opened = open_replay(str(run), 1, result.folder)
    assert opened.replay.task.varied is not None
    assert opened.replay.task.varied.scenes.name == "sim2real"
    assert Path(result.films[0]).stat().st_size > 0


def test_the_command_line_names_the_scene(copied: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("evaluate", copied, "--trials", 1, "--film", "none")
    assert " · scene mild\n" in command(capsys, *words, "--scene", "mild").out
    plain = command(capsys, *words)
    assert "scene" not in plain.out
    scene = write_dusk(tmp_path / "files")
    assert json.loads(command(capsys, *words, "--scene", scene, "--json").out)["scene"] == "Dusk"
    before = sorted(path.name for path in copied.iterdir())
    said = command(capsys, *words, "--scene", "midl").error
    assert said.startswith("no scene is called 'midl'; did you mean 'mild'")
    assert command(capsys, *words, "--scene", scene.replace("Dusk", "Dust")).error.endswith("did you mean 'Dusk'?")
    assert sorted(path.name for path in copied.iterdir()) == before


def test_an_evaluation_whose_notes_are_damaged_says_where(copied: Path) -> None:
    result = go(copied, scene={"car": {"grip": 0.5}})
    assert parse_scene({"car": {"grip": 0.5}}, "by hand").name == result.scene == "own"
    notes = copied / result.folder / "evaluation.toml"
    notes.write_text(notes.read_text().replace("grip", "grop"))
    with pytest.raises(ConfigError, match=r"evaluation\.toml: nothing that varies is called 'car\.grop'"):
        replay(ReplayConfig(run=str(copied), episode=0, evaluation=result.folder))
