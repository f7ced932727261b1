"""A racer's folder of deepracer-for-cloud as settings of a training run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_runs import command

from lateapex.config import read_toml
from lateapex.errors import ConfigError, FormatError
from lateapex.formats.job_yaml import read_parameters
from lateapex.jobs.drfc import read_drfc
from lateapex.jobs.init import init
from lateapex.jobs.race_settings import parameters_of_race, race_of_parameters
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
        "trainer": {"evaluation_trials": 5, "best_model_metric": "progress"},
    }
    assert found.notes == []
    config = train_config(found.values)
    assert (config.track, config.trainer.evaluation_trials) == ("reinvent_base", 5)


REAL = "on_the_spot_multitrack_"


def test_a_real_folder_of_several_workers_is_trained_on_the_tracks_of_all(folder, shared_data):
    for name in ("run.env", "system.env", "worker-2.env"):
        shutil.copy(shared_data / "params_yaml" / f"{REAL}{name}", folder / name)
    found = read_drfc(str(folder))
    assert found.values["track"] == "reInvent2019_track,reinvent_base"
    assert found.notes == []


def test_a_real_folder_whose_second_worker_has_no_file_says_so(folder, shared_data):
    for name in ("run.env", "system.env"):
        shutil.copy(shared_data / "params_yaml" / f"{REAL}{name}", folder / name)
    found = read_drfc(str(folder))
    assert found.values["track"] == "reInvent2019_track"
    assert found.notes == [
        "DR_TRAIN_MULTI_CONFIG=True, but there is no worker-2.env; the cars drive what the files before it say"
    ]


def test_a_real_folder_of_one_worker_is_read(folder, shared_data):
    for name in ("run.env", "system.env"):
        shutil.copy(shared_data / f"params_yaml/on_the_spot_sac_{name}", folder / name)
    assert (read_drfc(str(folder)).values["track"], read_drfc(str(folder)).notes) == ("reInvent2019_track", [])


def test_the_template_of_a_worker_is_a_track_that_may_be_driven_the_other_way(folder, shared_data):
    text = (shared_data / "params_yaml/drfc_template-worker.env").read_text()
    (folder / "worker-2.env").write_text(f"{text}\nDR_TRAIN_REVERSE_DIRECTION=True\n")
    (folder / "worker-3.env").write_text("DR_WORLD_NAME=oval\n")  # the direction stays, as it does in the original
    found = read_drfc(with_env(folder, "DR_WORLD_NAME=kidney", "DR_TRAIN_MULTI_CONFIG=True"))
    assert found.values["track"] == "kidney,reInvent2019_track@reversed,oval@reversed"


def test_workers_are_read_only_if_asked_for_and_no_more_than_there_are(folder):
    for number in (2, 3):
        (folder / f"worker-{number}.env").write_text(f"DR_WORLD_NAME=track{number}\n")
    several = ("DR_WORLD_NAME=oval", "DR_TRAIN_MULTI_CONFIG=True")
    assert read_drfc(with_env(folder, "DR_WORLD_NAME=oval")).values["track"] == "oval"
    found = read_drfc(with_env(folder, *several, "DR_WORKERS=2"))
    assert (found.values["track"], found.notes) == ("oval,track2", ["worker-3.env is not read: DR_WORKERS=2"])
    assert read_drfc(with_env(folder, *several)).values["track"] == "oval,track2,track3"


def test_two_workers_on_one_track_are_one_track(folder):
    (folder / "worker-2.env").write_text("DR_CAR_COLOR=Blue\n")
    found = read_drfc(with_env(folder, "DR_WORLD_NAME=oval", "DR_TRAIN_MULTI_CONFIG=True"))
    assert (found.values["track"], found.notes) == ("oval", [])


@pytest.mark.parametrize(("value", "scene"), [("True", "original"), ("false", None)])
def test_domain_randomization_is_the_scene_of_the_original(folder, value, scene):
    found = read_drfc(with_env(folder, f"DR_ENABLE_DOMAIN_RANDOMIZATION={value}"))
    assert found.values.get("scene") == scene
    assert found.notes == []


def test_a_worker_of_another_race_is_refused_by_its_own_file(folder):
    (folder / "worker-2.env").write_text("DR_RACE_TYPE=HEAD_TO_BOT\n")
    with pytest.raises(ConfigError, match=r"worker-2\.env asks for another race than .*run\.env; all cars"):
        read_drfc(with_env(folder, "DR_TRAIN_MULTI_CONFIG=True"))


def test_a_worker_with_settings_of_its_own_is_named(folder):
    own = ("DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST=0.2", "DR_ENABLE_DOMAIN_RANDOMIZATION=True")
    (folder / "worker-2.env").write_text("\n".join(("DR_WORLD_NAME=kidney", *own)))
    notes = read_drfc(with_env(folder, "DR_WORLD_NAME=oval", "DR_TRAIN_MULTI_CONFIG=True")).notes
    told = "DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST=0.2 does not hold here: all cars start as run.env says"
    colours = f"{own[1]} does not hold here: colours and light are as run.env says"
    assert notes == [f"worker-2.env: {colours}", f"worker-2.env: {told}"]


@pytest.mark.parametrize(
    ("lines", "starts"),
    [
        (["DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST=0.1"], ("round_robin", 0.0, 0.1)),
        (["DR_TRAIN_CHANGE_START_POSITION=False"], ("round_robin", 0.0, 0.0)),
        (["DR_TRAIN_CHANGE_START_POSITION=False", "DR_TRAIN_START_POSITION_OFFSET=0.5"], ("round_robin", 0.5, 0.0)),
        (["DR_TRAIN_START_POSITION_OFFSET=-0.25"], ("round_robin", 0.75, 0.05)),
        (["DR_TRAIN_START_POSITION_OFFSET=-1e-30"], ("round_robin", 0.0, 0.05)),
        (["DR_TRAIN_CHANGE_START_POSITION=true", "DR_TRAIN_START_POSITION_OFFSET=0"], ("random", 0.0, 0.05)),
    ],
)
def test_starts_are_the_racers_where_they_are_not_those_of_the_template(folder, lines, starts):
    found = read_drfc(with_env(folder, *lines))
    config = train_config(found.values).starts
    assert (config.scheme, config.first, config.advance) == starts
    assert found.notes == []


def test_files_in_custom_files_and_under_other_names_are_found(folder):
    (folder / "custom_files").mkdir()
    (folder / "reward_function.py").rename(folder / "custom_files" / "reward_function.py")
    (folder / "model_metadata.json").rename(folder / "custom_files" / "mine.json")
    values = read_drfc(with_env(folder, "DR_LOCAL_S3_MODEL_METADATA_KEY=custom_files/mine.json")).values
    assert values["reward"] == f"{folder}/custom_files/reward_function.py"
    assert values["model_metadata"] == f"{folder}/custom_files/mine.json"
    assert values["hyperparameters"] == f"{folder}/hyperparameters.json"


def test_files_are_found_where_run_env_says(folder):
    deep = folder / "custom_files" / "oval" / "first"
    deep.mkdir(parents=True)
    (folder / "reward_function.py").rename(deep / "reward_function.py")
    lines = ("DR_WORLD_NAME=oval", "DR_LOCAL_S3_REWARD_KEY=custom_files/$DR_WORLD_NAME/first/reward_function.py")
    assert read_drfc(with_env(folder, *lines)).values["reward"] == f"{deep}/reward_function.py"


def test_a_folder_without_run_env_gives_its_files_and_no_track(folder):
    assert read_drfc(str(folder)).values.keys() == {"reward", "model_metadata", "hyperparameters"}


def test_the_reverse_direction_is_that_of_the_track(folder):
    values = read_drfc(with_env(folder, "DR_WORLD_NAME=Oval_track.npy", "DR_TRAIN_REVERSE_DIRECTION=True")).values
    assert values["track"] == "Oval_track@reversed"


def test_run_env_overrides_system_env_and_may_refer_to_it(folder):
    (folder / "system.env").write_text("DR_WORLD_NAME=a\nDR_BASE=Oval\n")
    assert read_drfc(with_env(folder, "DR_WORLD_NAME=${DR_BASE}_track")).values["track"] == "Oval_track"


@pytest.mark.parametrize("race", ["F1", "HEAD_TO_HEAD_RACING", "SPRINT"])
def test_a_race_that_cannot_be_trained_is_refused_with_those_that_can(folder, race):
    with pytest.raises(ConfigError) as caught:
        read_drfc(with_env(folder, f"DR_RACE_TYPE={race}"))
    assert str(caught.value) == (
        f"{folder}/run.env: DR_RACE_TYPE is '{race}'; expected TIME_TRIAL, OBJECT_AVOIDANCE, HEAD_TO_BOT, "
        "HEAD_TO_MODEL, which this version trains"
    )


def test_the_race_is_that_of_run_env(folder):
    obstacles = (
        "DR_OA_NUMBER_OF_OBSTACLES=3",
        "DR_OA_MIN_DISTANCE_BETWEEN_OBSTACLES=1.5",
        "DR_OA_RANDOMIZE_OBSTACLE_LOCATIONS=True",
        "DR_OA_IS_OBSTACLE_BOT_CAR=False",
        "DR_OA_OBSTACLE_TYPE=amazon_box_obstacle",
        "DR_H2B_NUMBER_OF_BOT_CARS=2",
        "DR_H2B_BOT_CAR_SPEED=0.5",
        "DR_H2B_IS_LANE_CHANGE=True",
        "DR_H2B_LOWER_LANE_CHANGE_TIME=1.0",
        "DR_H2B_BOT_CAR_PENALTY=3",
    )
    assert "race" not in read_drfc(with_env(folder, *obstacles)).values
    race = train_config(read_drfc(with_env(folder, "DR_RACE_TYPE=OBJECT_AVOIDANCE", *obstacles)).values).race
    assert (race.race_type, race.things, race.min_distance_between_obstacles) == ("OBJECT_AVOIDANCE", 3, 1.5)
    assert (race.randomize_obstacle_locations, race.is_obstacle_bot_car) == (True, False)
    assert race.obstacle_type == "amazon_box_obstacle"
    race = train_config(read_drfc(with_env(folder, "DR_RACE_TYPE=HEAD_TO_BOT", *obstacles)).values).race
    assert (race.things, race.bot_car_speed, race.is_lane_change) == (2, 0.5, True)
    assert (race.lower_lane_change_time, race.upper_lane_change_time, race.penalty_seconds) == (1.0, 5.0, 3.0)


def test_listed_obstacles_are_those_of_run_env(folder):
    lines = ("DR_RACE_TYPE=OBJECT_AVOIDANCE", 'DR_OA_OBJECT_POSITIONS="0.23,-1;0.46,1"')
    race = train_config(read_drfc(with_env(folder, *lines)).values).race
    assert race.object_positions == ((0.23, -1), (0.46, 1))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("DR_OA_NUMBER_OF_OBSTACLES=six", "run.env: DR_OA_NUMBER_OF_OBSTACLES is 'six'; expected a whole number"),
        ("DR_H2B_BOT_CAR_SPEED=fast", "run.env: DR_H2B_BOT_CAR_SPEED is 'fast'; expected a number"),
        ("DR_OA_OBJECT_POSITIONS=0.23", "a share of the lap from 0 to 1 and a lane"),
        ("DR_OA_OBSTACLE_TYPE=box", "no obstacle is called 'box'"),
    ],
)
def test_a_wrong_value_of_a_race_is_told_with_its_variable(folder, line, message):
    with pytest.raises(ConfigError, match=message):
        read_drfc(with_env(folder, "DR_RACE_TYPE=OBJECT_AVOIDANCE", line))


def test_the_race_of_a_jobs_yaml_is_read_by_the_same_names():
    parameters = read_parameters(
        "RACE_TYPE: HEAD_TO_BOT\nNUMBER_OF_BOT_CARS: '3'\nOBJECT_POSITIONS:\n- '0.25, 1'\n- 0.5,-1\n"
        "NUMBER_OF_OBSTACLES: ''\nIS_LANE_CHANGE: 'yes'\n",
        "training_params.yaml",
    )
    race = train_config({"race": race_of_parameters(parameters, "training_params.yaml")}).race
    assert (race.race_type, race.object_positions) == ("HEAD_TO_BOT", ((0.25, 1), (0.5, -1)))
    assert (race.number_of_bot_cars, race.is_lane_change) == (3, True)
    again = race_of_parameters(parameters_of_race(race), "training_params.yaml")
    assert train_config({"race": again}).race == race
    with pytest.raises(ConfigError, match=r"training_params\.yaml: RACE_TYPE is 'F1'; expected TIME_TRIAL"):
        race_of_parameters({"RACE_TYPE": "F1"}, "training_params.yaml")


@pytest.mark.parametrize(
    ("line", "noted"),
    [
        ("DR_TRAIN_START_POSITION_OFFSET=0.5", False),
        ("DR_ENABLE_DOMAIN_RANDOMIZATION=true", False),
        ("DR_LOCAL_S3_PRETRAINED=FALSE", False),
        ("DR_LOCAL_S3_PRETRAINED=True", True),
        ("DR_TRAIN_BEST_MODEL_METRIC=laptime", False),
        ("DR_NOBODY_KNOWS=1", False),
    ],
)
def test_a_setting_that_does_not_hold_is_named_and_an_equal_one_is_not(folder, line, noted):
    notes = read_drfc(with_env(folder, line)).notes
    assert [note.partition(" ")[0] for note in notes] == ([line] if noted else [])


@pytest.mark.parametrize("metric", ["progress", "reward", "laptime"])
def test_the_metric_of_the_best_model_is_taken_over(folder, metric):
    assert read_drfc(with_env(folder, f"DR_TRAIN_BEST_MODEL_METRIC={metric}")).values["trainer"] == {
        "best_model_metric": metric
    }


def test_a_metric_that_nobody_knows_is_refused(folder):
    with pytest.raises(ConfigError, match="best_model_metric is 'beauty'"):
        train_config(read_drfc(with_env(folder, "DR_TRAIN_BEST_MODEL_METRIC=beauty")).values)


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
    for word in ("far", "inf", "nan"):
        with pytest.raises(ConfigError, match=rf"run\.env: DR_TRAIN_START_POSITION_OFFSET is '{word}'; expected a"):
            read_drfc(with_env(folder, f"DR_TRAIN_START_POSITION_OFFSET={word}"))
    (folder / "run.env").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot read"):
        read_drfc(str(folder))


def test_a_folder_is_trained_from_as_it_is_and_flags_win(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder / "train.toml").unlink()
    (folder / "worker-2.env").write_text("DR_WORLD_NAME=kidney\nDR_TRAIN_REVERSE_DIRECTION=True\n")
    lines = ("DR_WORLD_NAME=oval", "DR_TRAIN_MULTI_CONFIG=True", "DR_WORKERS=3", "DR_TRAIN_MIN_EVAL_TRIALS=2")
    place = with_env(folder, *lines, "DR_TRAIN_CHANGE_START_POSITION=False")
    words = ("--config", place, "--seed", 3, "--network", "lean", "--steps", 64, "--cars", 2, "--out", "run")
    said = command(capsys, "train", *words)
    assert said.code == 0
    assert "note: DR_TRAIN_MULTI_CONFIG=True, but there is no worker-3.env" in said.out
    settings = read_toml(Path("run/run.toml").read_text(), "run.toml")
    assert (settings["track"], settings["seed"]) == ("oval,kidney@reversed", 3)
    assert settings["trainer"]["evaluation_trials"] == 2
    assert (settings["starts"]["scheme"], settings["starts"]["advance"]) == ("round_robin", 0.0)
    assert settings["trainer"]["rollout_episodes"] == 20  # of the folder's hyperparameters.json


def test_a_folder_with_settings_of_ours_stands_for_their_file(folder):
    assert train_config({}, file=str(folder)) == train_config({}, file=str(folder / "train.toml"))


def test_a_folder_may_ask_for_either_direction_in_turn(folder):
    place = with_env(folder, "DR_WORLD_NAME=oval", "DR_TRAIN_ALTERNATE_DRIVING_DIRECTION=True")
    found = read_drfc(place)
    assert (found.values["starts"], found.notes) == ({"alternate_direction": True}, [])
    assert train_config(found.values).starts.alternate_direction


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("car.toml", "{}/car.toml"),
        ("cars/mine", "{}/cars/mine"),
        ("~/car.toml", "~/car.toml"),
        ("version2", "version2"),
    ],
)
def test_a_vehicle_file_lies_beside_the_settings_file(tmp_path, given, seen):
    (tmp_path / "mine.toml").write_text(f'track = "oval"\nvehicle = "{given}"\n')
    assert train_config({}, file=str(tmp_path / "mine.toml")).vehicle == seen.format(tmp_path)
