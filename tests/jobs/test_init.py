"""The files to start from: our own readers take them, training runs with them, nobody's files are replaced."""

from __future__ import annotations

import pytest
from small_runs import files_of, small_run

from lateapex.env.reward import load_reward
from lateapex.errors import RunError, StorageError
from lateapex.formats.hyperparameters import read_hyperparameters
from lateapex.formats.model_metadata import default_metadata, read_metadata
from lateapex.jobs.init import init
from lateapex.jobs.train import train_config
from lateapex.storage import DiskStorage

NAMES = ("reward_function.py", "model_metadata.json", "hyperparameters.json")


def test_our_own_readers_take_the_files(tmp_path):
    paths = init(tmp_path / "new" / "car")
    assert [path.name for path in paths] == list(NAMES)
    reward, metadata, hyperparameters = paths
    assert load_reward(reward).text == load_reward("quick_laps").text
    assert read_metadata(metadata.read_text(), "metadata") == default_metadata()
    used = read_hyperparameters(hyperparameters.read_text(), "hyperparameters")
    config = train_config({})
    assert (used.lr, used.discount_factor) == (config.ppo.learning_rate, config.ppo.discount)
    assert (used.batch_size, used.num_epochs) == (config.ppo.batch_size, config.ppo.epochs)


def test_training_runs_with_the_files_and_keeps_copies(tmp_path):
    reward, metadata, hyperparameters = init(tmp_path / "car")
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
