"""A racer's folder of deepracer-for-cloud as settings of a training run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_runs import command

from lateapex.config import read_toml
from lateapex.errors import ConfigError, FormatError
from lateapex.jobs.drfc import read_drfc
from lateapex.jobs.init import init
from lateapex.jobs.train import train_config


@pytest.fixture
def folder(tmp_path):
    """The three files that lateapex init writes."""
    init(tmp_path / "racer")
    return tmp_path / "racer"


def with_env(folder, *lines):
    (folder / "run.env").write_text("".join(f"{line}\n" for line in lines))
    return str(folder)


def test_the_template_of_drfc_gives_a_config_that_can_be_trained(folder, shared_data):
    shutil.copy(shared_data / "params_yaml/drfc_template-run.env", folder / "run.env")
    found = read_drfc(str(folder))
    assert found.values == {
        "track": "reinvent_base",
        "reward": f"{folder}/reward_function.py",
        "model_metadata": f"{folder}/model_metadata.json",
        "hyperparameters": f"{folder}/hyperparameters.json",
        "trainer": {"evaluation_trials": 5},
    }
    assert found.notes == []
    config = train_config(found.values)
    assert (config.track, config.trainer.evaluation_trials) == ("reinvent_base", 5)


@pytest.mark.parametrize("name", ["on_the_spot_multitrack_run.env", "on_the_spot_sac_run.env"])
def test_real_folders_of_racers_are_read_and_what_does_not_hold_is_named(folder, shared_data, name):
    shutil.copy(shared_data / "params_yaml" / name, folder / "run.env")
    shutil.copy(shared_data / "params_yaml" / name.replace("run", "system"), folder / "system.env")
    found = read_drfc(str(folder))
    assert found.values["track"]
    told = "DR_TRAIN_MULTI_CONFIG=True does not hold here: worker-N.env is not read"
    assert any(note.startswith(told) for note in found.notes) == ("multitrack" in name)


def test_files_in_custom_files_and_under_other_names_are_found(folder):
    (folder / "custom_files").mkdir()
    (folder / "reward_function.py").rename(folder / "custom_files" / "reward_function.py")
    (folder / "model_metadata.json").rename(folder / "custom_files" / "mine.json")
    values = read_drfc(with_env(folder, "DR_LOCAL_S3_MODEL_METADATA_KEY=custom_files/mine.json")).values
    assert values["reward"] == f"{folder}/custom_files/reward_function.py"
    assert values["model_metadata"] == f"{folder}/custom_files/mine.json"
    assert values["hyperparameters"] == f"{folder}/hyperparameters.json"


def test_a_folder_without_run_env_gives_its_files_and_no_track(folder):
    assert read_drfc(str(folder)).values.keys() == {"reward", "model_metadata", "hyperparameters"}


def test_the_reverse_direction_is_that_of_the_track(folder):
    values = read_drfc(with_env(folder, "DR_WORLD_NAME=Oval_track.npy", "DR_TRAIN_REVERSE_DIRECTION=True")).values
    assert values["track"] == "Oval_track@reversed"


def test_run_env_overrides_system_env_and_may_refer_to_it(folder):
    (folder / "system.env").write_text("DR_WORLD_NAME=a\nDR_BASE=Oval\n")
    assert read_drfc(with_env(folder, "DR_WORLD_NAME=${DR_BASE}_track")).values["track"] == "Oval_track"


@pytest.mark.parametrize("race", ["OBJECT_AVOIDANCE", "HEAD_TO_BOT", "HEAD_TO_MODEL", "F1"])
def test_a_race_that_cannot_be_trained_is_refused_with_what_to_write(folder, race):
    with pytest.raises(ConfigError) as caught:
        read_drfc(with_env(folder, f"DR_RACE_TYPE={race}"))
    assert str(caught.value) == (
        f"{folder}/run.env: DR_RACE_TYPE is '{race}'; this version trains TIME_TRIAL alone: "
        "write DR_RACE_TYPE=TIME_TRIAL"
    )


def test_a_race_that_nobody_knows_is_refused_with_those_that_are(folder):
    with pytest.raises(ConfigError, match="DR_RACE_TYPE is 'SPRINT'; expected TIME_TRIAL, OBJECT_AVOIDANCE"):
        read_drfc(with_env(folder, "DR_RACE_TYPE=SPRINT"))


@pytest.mark.parametrize(
    ("line", "noted"),
    [
        ("DR_TRAIN_START_POSITION_OFFSET=0", False),
        ("DR_TRAIN_START_POSITION_OFFSET=0.5", True),
        ("DR_ENABLE_DOMAIN_RANDOMIZATION=true", True),
        ("DR_LOCAL_S3_PRETRAINED=FALSE", False),
        ("DR_LOCAL_S3_PRETRAINED=True", True),
        ("DR_TRAIN_BEST_MODEL_METRIC=laptime", True),
        ("DR_NOBODY_KNOWS=1", False),
    ],
)
def test_a_setting_that_does_not_hold_is_named_and_an_equal_one_is_not(folder, line, noted):
    notes = read_drfc(with_env(folder, line)).notes
    assert [note.partition(" ")[0] for note in notes] == ([line] if noted else [])


def test_no_folder_an_empty_one_and_damaged_files_are_one_line(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="is no folder; give the one that holds"):
        read_drfc(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"holds none of reward_function\.py"):
        read_drfc(str(tmp_path / "empty"))
    with pytest.raises(FormatError, match=r"run\.env: line 1 is 'what'; expected KEY=value"):
        read_drfc(with_env(folder, "what"))
    with pytest.raises(ConfigError, match="DR_TRAIN_MIN_EVAL_TRIALS is 'five'; expected a whole number"):
        read_drfc(with_env(folder, "DR_TRAIN_MIN_EVAL_TRIALS=five"))
    (folder / "run.env").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot read"):
        read_drfc(str(folder))


def test_a_folder_is_trained_from_as_it_is_and_flags_win(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder / "train.toml").unlink()
    place = with_env(folder, "DR_WORLD_NAME=oval", "DR_TRAIN_MULTI_CONFIG=True", "DR_TRAIN_MIN_EVAL_TRIALS=2")
    words = ("--config", place, "--seed", 3, "--network", "lean", "--steps", 64, "--cars", 2, "--out", "run")
    said = command(capsys, "train", *words)
    assert said.code == 0
    assert "note: DR_TRAIN_MULTI_CONFIG=True does not hold here: worker-N.env is not read" in said.out
    settings = read_toml(Path("run/run.toml").read_text(), "run.toml")
    assert (settings["track"], settings["seed"], settings["trainer"]["evaluation_trials"]) == ("oval", 3, 2)
    assert settings["trainer"]["rollout_episodes"] == 20  # of the folder's hyperparameters.json


def test_a_folder_with_settings_of_ours_stands_for_their_file(folder):
    assert train_config({}, file=str(folder)) == train_config({}, file=str(folder / "train.toml"))


def test_a_folder_may_ask_for_either_direction_in_turn(folder):
    place = with_env(folder, "DR_WORLD_NAME=oval", "DR_TRAIN_ALTERNATE_DRIVING_DIRECTION=True")
    found = read_drfc(place)
    assert (found.values["starts"], found.notes) == ({"alternate_direction": True}, [])
    assert train_config(found.values).starts.alternate_direction


def test_a_vehicle_file_lies_beside_the_settings_file(tmp_path):
    (tmp_path / "mine.toml").write_text('track = "oval"\nvehicle = "car.toml"\n')
    assert train_config({}, file=str(tmp_path / "mine.toml")).vehicle == str(tmp_path / "car.toml")
