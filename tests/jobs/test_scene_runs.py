"""Runs whose world varies: they keep the scene whole, record it for each episode, repeat and go on."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import command, files_of, small_run, timeless

from lateapex.env.scenes import DrawnScenes
from lateapex.errors import ConfigError
from lateapex.jobs.train import resume, train_config
from lateapex.world.scene_files import load_scene, parse_scene


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "logs" / "scenes.jsonl").read_text().splitlines()]


def test_a_run_stopped_half_way_goes_on_to_the_same_files_and_the_same_worlds(tmp_path: Path) -> None:
    whole = small_run(tmp_path / "whole", scene="sim2real")
    half = small_run(tmp_path / "half", scene="sim2real", trainer={"steps": 64})
    resume(str(half), {"trainer": {"steps": 128}})
    assert timeless(files_of(half)) == timeless(files_of(whole))
    found = lines(whole)
    assert [line["episode"] for line in found] == list(range(len(found)))
    scenes = DrawnScenes(load_scene("sim2real"))
    for line in found:
        drawn = scenes.draw(7, np.array([line["car"]]), np.array([line["car_episode"]]))[0]
        assert line["scene"] == {name: drawn[name] for name in line["scene"]}
        assert line["scene"]["car.grip"] > 0.0


def test_a_run_in_the_plain_world_has_no_such_log(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", trainer={"steps": 64})
    assert not (run / "logs" / "scenes.jsonl").exists()
    assert tomllib.loads((run / "run.toml").read_text())["scene"] == "none"
    assert timeless(files_of(small_run(tmp_path / "none", scene="none", trainer={"steps": 64}))) == timeless(
        files_of(run)
    )


def test_a_run_keeps_its_scene_whole_and_passes_it_on(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "mild"\n[sensor]\nlatency = [1, 2]\n')
    run = small_run(tmp_path / "run", scene=str(file), trainer={"steps": 32})
    mine = load_scene(file)
    file.unlink()
    kept = tomllib.loads((run / "run.toml").read_text())["scene"]
    assert parse_scene(kept, "run.toml") == mine
    assert kept["sensor"] == {"latency": [1.0, 2.0]}
    resume(str(run), {"trainer": {"steps": 64}})
    for values in ({"pretrained": str(run)}, {}):
        config = train_config(values, file=None if values else str(run / "run.toml"))
        assert isinstance(config.scene, dict)
        assert parse_scene(config.scene, "config") == mine
    assert train_config({"scene": "none"}, file=str(run / "run.toml")).scene == "none"


def test_a_settings_file_names_a_scene_beside_it_or_holds_its_tables(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[car]\ngrip = 0.5\n")
    settings = tmp_path / "train.toml"
    settings.write_text('scene = "mine.toml"\n')
    assert train_config({}, file=str(settings)).scene == str(tmp_path / "mine.toml")
    settings.write_text('scene = "mild"\n')
    assert train_config({}, file=str(settings)).scene == "mild"
    settings.write_text('[scene]\nbase = "mild"\n[scene.car]\ngrip = 0.5\n')
    run = small_run(tmp_path / "run", **train_config({}, file=str(settings)).model_dump(include={"scene"}))
    assert len(lines(run)) > 0
    assert {line["scene"]["car.grip"] for line in lines(run)} == {0.5}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sim2rael", "no scene is called 'sim2rael'; did you mean 'sim2real'"),
        ({"car": {"grop": 1}}, r"scene: nothing that varies is called 'car\.grop'; did you mean 'car\.grip'"),
    ],
)
def test_a_wrong_scene_leaves_no_run_behind(setting: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        small_run(tmp_path / "run", scene=setting)
    assert not (tmp_path / "run").exists()


def test_the_command_line_trains_in_a_scene_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("train", "--cars", 2, "--steps", 32, "--out", "run")
    said = command(capsys, *words, "--scene", "mild")
    assert " · scene mild · " in said.out
    assert command(capsys, *words, "--scene", "midl").error.startswith("no scene is called 'midl'; did you mean 'mild'")
    assert "--scene cannot be changed" in command(capsys, "train", "--resume", "run", "--scene", "none").error
