"""Runs in a scene of the user's own class: a copy of its file goes with them."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from made_scenes import DUSK, write_dusk
from made_workers import shared_run
from small_runs import command, files_of, small_config, small_run, timeless

from lateapex.env.scenes import load_scenes, scenes_of
from lateapex.errors import ConfigError
from lateapex.jobs import train as job
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.replay import ReplayConfig, replay
from lateapex.storage import DiskStorage
from lateapex.training.checkpoint import user_code
from lateapex.world.preset_files import PresetFiles, PresetText
from lateapex.world.scene_files import load_scene, read_scene

SHORT = {"steps": 96, "rollout_steps": 24, "evaluation_interval": 100, "evaluation_trials": 1}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two updates, made from a file that is gone since; to be read only."""
    folder = tmp_path_factory.mktemp("own")
    out = small_run(folder / "run", scene=write_dusk(folder / "files"), trainer=SHORT)
    shutil.rmtree(folder / "files")
    return out


def test_a_run_keeps_the_file_and_records_what_the_class_drew(whole: Path, tmp_path: Path) -> None:
    assert (whole / "code" / "dusk.py").read_text() == DUSK
    assert tomllib.loads((whole / "run.toml").read_text())["scene"] == "dusk.py:Dusk"
    scenes = scenes_of(load_scenes(write_dusk(tmp_path)))
    assert scenes is not None
    lines = [json.loads(line) for line in (whole / "logs" / "scenes.jsonl").read_text().splitlines()]
    assert lines
    for line in lines:
        drawn = scenes.draw(7, np.array([line["car"]]), np.array([line["car_episode"]]))[0]
        assert line["scene"] == {name: drawn[name] for name in line["scene"]}
        assert line["scene"]["picture.noise"] == 2.0 / line["scene"]["light.red"]


def assert_the_same(run: Path, whole: Path, kept: str) -> None:
    """Values drawn, the file that was kept, and the weights are those of the run that nothing stopped."""
    one, two = timeless(files_of(run)), timeless(files_of(whole))
    for name in ("logs/scenes.jsonl", kept):
        assert one[name] == two[name]
    state = "model/training_state.pt"
    assert one[state]["weights"] == two[state]["weights"]


def test_a_moved_run_goes_on_to_the_same_files(whole: Path, tmp_path: Path) -> None:
    scene = write_dusk(tmp_path / "files")
    half = small_run(tmp_path / "half", scene=scene, trainer={**SHORT, "steps": 48})
    write_dusk(tmp_path / "files", text=DUSK.replace("0.25", "0.75"))
    moved = Path(shutil.move(half, tmp_path / "moved"))
    job.resume(str(moved), {"trainer": {"steps": 96}})
    assert_the_same(moved, whole, "code/dusk.py")


@pytest.fixture
def other_mild(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version, whose preset `mild` is another."""
    now = PresetFiles.read

    def read(files: PresetFiles, name: str) -> PresetText:
        found = now(files, name)
        return found._replace(text="[car]\nspeed_scale = 1.9\n") if name == "mild" else found

    monkeypatch.setattr(PresetFiles, "read", read)


def test_a_later_version_with_another_preset_drives_its_episodes_again_bit_for_bit(
    whole: Path, other_mild: None, tmp_path: Path
) -> None:
    before, now = read_scene((whole / "code" / "mild.toml").read_text(), "mild.toml"), load_scene("mild")
    assert list(now.ranges) == ["car.speed_scale"]
    assert len(before.ranges) > 5
    assert load_scenes(write_dusk(tmp_path)).varied < load_scenes("dusk.py:Dusk", user_code(DiskStorage(whole))).varied
    for episode in range(len((whole / "logs" / "scenes.jsonl").read_text().splitlines())):
        assert replay(ReplayConfig(run=str(whole), episode=episode, reward=True)).same


def test_a_later_version_with_another_preset_goes_on_to_the_same_files(
    whole: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    half = small_run(tmp_path / "half", scene=write_dusk(tmp_path), trainer={**SHORT, "steps": 48})
    request.getfixturevalue("other_mild")
    job.resume(str(half), {"trainer": {"steps": 96}})
    assert_the_same(half, whole, "code/mild.toml")


def test_an_evaluation_keeps_the_preset_too(whole: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    scene = write_dusk(tmp_path, text="class Dusk:\n    base = 'mild'\n")
    folder = evaluate(EvaluateConfig(run=str(run), trials=1, scene=scene, film="none")).folder
    request.getfixturevalue("other_mild")
    again = replay(ReplayConfig(run=str(run), evaluation=folder, episode=0))
    assert again.same
    (run / folder / "code" / "mild.toml").unlink()  # as of runs before it was kept
    assert not replay(ReplayConfig(run=str(run), evaluation=folder, episode=0)).same


def test_its_episodes_are_driven_again_bit_for_bit(whole: Path) -> None:
    for episode in range(len((whole / "logs" / "scenes.jsonl").read_text().splitlines())):
        result = replay(ReplayConfig(run=str(whole), episode=episode, reward=True))
        assert result.same, result


def test_workers_bring_what_the_run_itself_does(whole: Path, tmp_path: Path) -> None:
    crew = {"count": 2, "workplace": "local"}
    shared = small_run(tmp_path / "run", scene=write_dusk(tmp_path), trainer=SHORT, workers=crew)
    one, two = timeless(files_of(shared)), timeless(files_of(whole))
    for name in ("logs/scenes.jsonl", "logs/episodes.jsonl"):
        assert one[name] == two[name]


def test_workers_at_an_exchange_get_the_file(tmp_path: Path) -> None:
    result = shared_run(tmp_path / "run", tmp_path / "exchange", scene=write_dusk(tmp_path))
    assert result.outcome == "steps"
    assert "run/code/dusk.py" in DiskStorage(tmp_path / "exchange").list()
    lines = [json.loads(line) for line in Path(result.url, "logs/scenes.jsonl").read_text().splitlines()]
    assert lines
    assert all(line["scene"]["picture.noise"] == 2.0 / line["scene"]["light.red"] for line in lines)


def test_settings_files_and_other_runs_find_the_class(whole: Path, tmp_path: Path) -> None:
    for values in ({"pretrained": str(whole)}, {}):
        config = job.train_config(values, file=None if values else str(whole / "run.toml"))
        assert config.scene == f"{whole}/code/dusk.py:Dusk"
    write_dusk(tmp_path)
    (tmp_path / "train.toml").write_text('scene = "dusk.py:Dusk"\n')
    assert job.train_config({}, file=str(tmp_path / "train.toml")).scene == f"{tmp_path}/dusk.py:Dusk"
    new = small_run(tmp_path / "new", scene=f"{whole}/code/dusk.py:Dusk", trainer={**SHORT, "steps": 48})
    assert (new / "code" / "dusk.py").read_text() == DUSK


def test_a_run_that_lost_its_copy_says_so(whole: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(whole, tmp_path / "lost"))
    (moved / "code" / "dusk.py").unlink()
    with pytest.raises(ConfigError, match=r"dusk\.py is not there; .*bring it back into the run"):
        job.resume(str(moved), {"trainer": {"steps": 192}})


def test_a_scene_that_fails_on_the_way_names_its_line(tmp_path: Path) -> None:
    text = DUSK.replace("        dark =", "        assert episode < 1, 'no more'\n        dark =")
    with pytest.raises(ConfigError, match=r"dusk\.py:1\d: AssertionError: no more"):
        job.train(small_config(tmp_path / "run", scene=write_dusk(tmp_path, text=text), trainer={"steps": 4000}))


def test_the_command_line_takes_a_class_and_refuses_what_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_dusk(tmp_path)
    words = ("train", "--cars", 2, "--steps", 32, "--out", "run", "--scene")
    assert " · scene Dusk · " in command(capsys, *words, "dusk.py:Dusk").out
    assert command(capsys, *words, "dusk.py").error == "scene 'dusk.py' names no class; write dusk.py:MyScene"
    assert command(capsys, *words, "dusk.py:Dust").error.startswith("dusk.py has no class 'Dust'; did you mean 'Dusk'")
    shown = command(capsys, "scenes", "show", "dusk.py:Dusk").out
    assert "car.grip  0.6 to 0.8" in " ".join(shown.split()).replace("car.grip 0", "car.grip  0")
    assert "and what sample of dusk.py:Dusk draws" in shown
    sheet = json.loads(command(capsys, "scenes", "show", "dusk.py:Dusk", "--out", "dusk.png", "--json").out)
    assert len({values["light.red"] for values in sheet["values"]}) == 24
