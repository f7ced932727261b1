"""The files to start from: our own readers take them, training runs with them, nobody's files are replaced."""

from __future__ import annotations

import re
import tomllib

import pytest
from small_runs import files_of, small_run

from lateapex.env.reward import load_reward
from lateapex.errors import RunError, StorageError
from lateapex.formats.hyperparameters import read_hyperparameters
from lateapex.formats.model_metadata import default_metadata, read_metadata
from lateapex.jobs.init import init
from lateapex.jobs.train import train, train_config
from lateapex.storage import DiskStorage

NAMES = ("reward_function.py", "model_metadata.json", "hyperparameters.json", "train.toml")


def test_our_own_readers_take_the_files(tmp_path):
    paths = init(tmp_path / "new" / "car")
    assert [path.name for path in paths] == list(NAMES)
    reward, metadata, hyperparameters, _ = paths
    assert load_reward(reward).text == load_reward("quick_laps").text
    assert read_metadata(metadata.read_text(), "metadata") == default_metadata()
    used = read_hyperparameters(hyperparameters.read_text(), "hyperparameters")
    config = train_config({})
    assert (used.lr, used.discount_factor) == (config.ppo.learning_rate, config.ppo.discount)
    assert (used.batch_size, used.num_epochs) == (config.ppo.batch_size, config.ppo.epochs)


def test_the_settings_file_trains_with_the_files_beside_it_wherever_one_stands(tmp_path, monkeypatch):
    *files, _ = init(tmp_path / "my car")
    monkeypatch.chdir(tmp_path)
    config = train_config({"cars": 2, "trainer": {"steps": 64}}, "test", "my car/train.toml")
    assert [config.reward, config.model_metadata, config.hyperparameters] == [f"my car/{path.name}" for path in files]
    assert (config.network, config.trainer.until_laps, config.trainer.rollout_episodes) == ("lean", True, 20)
    assert train(config).steps == 64


def test_every_line_of_the_settings_file_that_shows_a_default_shows_the_default(tmp_path):
    *_, settings = init(tmp_path)
    shown = re.sub(r"^# (?=\w+ = )", "", settings.read_text(), flags=re.MULTILINE)
    values = tomllib.loads(shown)
    racers = {"reward", "model_metadata", "hyperparameters", "pretrained", "out"}
    bounds = {"steps", "updates", "until_laps", "url", "keys", "run", "final_learning_rate"}  # by default there is none
    usual = train_config({"model_metadata": None}).model_dump(mode="json")  # lists, as TOML has them
    for key, value in values.items():
        if isinstance(value, dict):
            assert {k: v for k, v in value.items() if k not in bounds} == {
                k: usual[key][k] for k in value if k not in bounds
            }
        elif key not in racers:
            assert usual[key] == value, key
    assert racers | usual.keys() - values.keys() == racers | {"critic"}


def test_training_runs_with_the_files_and_keeps_copies(tmp_path):
    reward, metadata, hyperparameters, _ = init(tmp_path / "car")
    trainer = {"rollout_steps": 400, "rollout_episodes": 2, "steps": 100}
    given = {"reward": str(reward), "model_metadata": str(metadata), "hyperparameters": str(hyperparameters)}
    run = small_run(tmp_path / "run", **given, trainer=trainer)
    assert (run / "reward_function.py").read_bytes() == reward.read_bytes()
    assert (run / "model" / "model_metadata.json").read_bytes() == metadata.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_there_is_kept_and_no_other_is_written(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match=f"already has {name}; choose another folder, or move that file away"):
        init(tmp_path)
    assert files_of(tmp_path) == {name: b"mine"}


def test_what_was_written_before_the_disk_was_full_is_taken_back(tmp_path, monkeypatch):
    write = DiskStorage.write

    def full(self, name, data):
        if name == "hyperparameters.json":
            raise StorageError("full")
        write(self, name, data)

    monkeypatch.setattr(DiskStorage, "write", full)
    with pytest.raises(StorageError, match="full"):
        init(tmp_path)
    assert files_of(tmp_path) == {}
