"""A run that starts from a trained model: its weights, its settings, and a life of its own from then on."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import torch
from small_runs import command, files_of, small_run, timeless

from lateapex.errors import ConfigError, RunError
from lateapex.formats.model_metadata import default_metadata
from lateapex.jobs.run_folder import FIRST_MODEL
from lateapex.jobs.train import TrainConfig, resume, train, train_config
from lateapex.storage import DiskStorage
from lateapex.training.checkpoint import STATE, load_version, version_files

SETTINGS = {"track": "oval,kidney@reversed", "reward": "centre_line", "seed": 3, "ppo": {"learning_rate": 0.004}}


@pytest.fixture(scope="module")
def parent(tmp_path_factory) -> Path:
    """A finished run; to be read only."""
    return small_run(tmp_path_factory.mktemp("parent") / "parent", **SETTINGS)


def child_config(parent, out, **values) -> TrainConfig:
    return train_config({"pretrained": str(parent), "out": str(out), **values})


def weights_at_the_start(config):
    found = {}

    def observe(trainer, storage, config):
        found.update({name: value.clone() for name, value in trainer.policy.state_dict().items()})
        return {}

    train(config, observe)
    return found


@pytest.mark.parametrize("which", ["best", "last"])
def test_it_starts_from_the_weights_of_the_model_that_was_asked_for(parent, tmp_path, which):
    name, policy = load_version(DiskStorage(parent), which)
    found = weights_at_the_start(child_config(parent, tmp_path / "child", pretrained_checkpoint=which))
    assert all(torch.equal(value, found[name]) for name, value in policy.state_dict().items())
    content = tomllib.loads((tmp_path / "child" / "run.toml").read_text())
    assert content["origin"] == {"run": str(parent), "model": name}


def test_it_takes_the_settings_of_the_run_but_its_place_and_its_past(parent, tmp_path):
    config = child_config(parent, tmp_path / "child")
    theirs = tomllib.loads((parent / "run.toml").read_text())
    assert (config.track, config.reward, config.seed) == ("oval,kidney@reversed", "centre_line", 3)
    assert (config.ppo.learning_rate, config.trainer.steps, config.cars) == (0.004, 128, theirs["cars"])
    train(config)
    grandchild = train_config({"pretrained": str(tmp_path / "child")})
    assert (grandchild.out, grandchild.pretrained) == (None, str(tmp_path / "child"))


def test_flags_and_a_file_outweigh_the_settings_of_the_run(parent, tmp_path):
    (tmp_path / "my.toml").write_text(f"pretrained = '{parent}'\nseed = 5\ncars = 4\n[ppo]\nclip = 0.3")
    config = train_config({"cars": 6, "track": "hairpin"}, "command line", str(tmp_path / "my.toml"))
    assert (config.seed, config.cars, config.track, config.reward) == (5, 6, "hairpin", "centre_line")
    assert (config.ppo.clip, config.ppo.learning_rate) == (0.3, 0.004)


def test_the_optimiser_and_the_counts_are_new(parent, tmp_path):
    seen = []

    def observe(trainer, storage, config):
        seen.append((trainer.progress.steps, trainer._algorithm.updates, trainer._algorithm._optimizer.state))
        return {}

    result = train(child_config(parent, tmp_path / "child"), observe)
    assert (seen[0][0], seen[0][1]) == (0, 0)
    assert result.steps == 128


def test_the_run_it_starts_from_is_left_as_it_was(parent, tmp_path):
    before = files_of(parent)
    train(child_config(parent, tmp_path / "child"))
    assert files_of(parent) == before


def test_it_repeats_itself_and_goes_on_without_the_run_it_started_from(parent, tmp_path):
    train(child_config(parent, tmp_path / "whole"))
    shutil.copytree(parent, tmp_path / "parent")
    train(child_config(tmp_path / "parent", tmp_path / "half", trainer={"steps": 64}))
    shutil.rmtree(tmp_path / "parent")
    resume(str(tmp_path / "half"), {"trainer": {"steps": 128}})
    one, two = (timeless(files_of(tmp_path / name)) for name in ("whole", "half"))
    del one["run.toml"], two["run.toml"]
    assert one == two


def test_one_that_never_saved_anything_begins_again_with_the_same_weights(parent, tmp_path):
    train(child_config(parent, tmp_path / "whole"))
    train(child_config(parent, tmp_path / "young", trainer={"steps": 64}))
    young = DiskStorage(tmp_path / "young")
    young.delete(STATE)
    young.write(FIRST_MODEL, DiskStorage(parent).read(f"model/{load_version(DiskStorage(parent), 'best')[0]}"))
    resume(young.url, {"trainer": {"steps": 128}})
    one, two = (timeless(files_of(tmp_path / name)) for name in ("whole", "young"))
    del one["run.toml"], two["run.toml"]
    assert one == two
    young.delete(STATE)
    young.delete(FIRST_MODEL)
    with pytest.raises(RunError, match=f"has no {FIRST_MODEL}"):
        resume(young.url)


def test_the_first_weights_are_a_version_until_there_are_enough_others(parent, tmp_path):
    train(child_config(parent, tmp_path / "child"))
    assert "0_Step-0.pt" not in version_files(DiskStorage(tmp_path / "child"))
    assert len(version_files(DiskStorage(tmp_path / "child"))) == 2


def other_metadata(folder):
    content = json.loads(default_metadata().text)
    content["action_space"][0]["speed"] = 0.75
    (folder / "m.json").write_text(json.dumps(content))
    return str(folder / "m.json")


def test_another_action_space_or_network_is_refused_in_one_line_and_nothing_is_written(parent, tmp_path):
    out = tmp_path / "child"
    for values, message in (
        ({"model_metadata": other_metadata(tmp_path)}, r"trained with other actions or sensors than .*m\.json has"),
        ({"network": "shallow"}, r"was trained with network lean, not shallow, and its weights fit no other"),
        ({"critic": "shallow"}, r"was trained with critic lean, not shallow"),
        ({"colour": True}, r"sees grey, not colour; leave colour out"),
    ):
        with pytest.raises(ConfigError, match=message) as told:
            train(child_config(parent, out, **values))
        assert "\n" not in str(told.value)
        assert not out.exists()


def test_the_same_network_by_its_other_name_is_the_same(parent, tmp_path):
    with pytest.raises(ConfigError, match="was trained with network lean"):
        train(child_config(parent, tmp_path / "child", network="DEEP_CONVOLUTIONAL_NETWORK_SHALLOW"))


def test_a_run_without_a_model_cannot_be_started_from(parent, tmp_path):
    shutil.copytree(parent, tmp_path / "parent")
    (tmp_path / "parent" / "model" / "deepracer_checkpoints.json").unlink()
    with pytest.raises(RunError, match="has no model yet"):
        train(child_config(tmp_path / "parent", tmp_path / "child"))
    with pytest.raises(RunError, match="does not exist"):
        child_config(tmp_path / "nowhere", tmp_path / "child")


def test_a_run_whose_reward_fails_at_once_leaves_its_name_free(parent, tmp_path):
    (tmp_path / "r.py").write_text("def reward_function(params):\n    return None\n")
    said = "reward_function returned None"
    with pytest.raises(Exception, match=said):
        train(child_config(parent, tmp_path / "child", reward=str(tmp_path / "r.py")))
    assert not (tmp_path / "child").exists()


def test_a_run_can_be_repeated_that_started_from_another(parent, tmp_path):
    train(child_config(parent, tmp_path / "child"))
    train(train_config({"out": str(tmp_path / "again")}, "command line", str(tmp_path / "child" / "run.toml")))
    one, two = (timeless(files_of(tmp_path / name)) for name in ("child", "again"))
    assert one == two


def test_the_command_line_says_where_it_starts_and_refuses_what_does_not_go_together(parent, tmp_path, capsys):
    said = command(capsys, "train", "--from", parent, "--checkpoint", "last", "--out", tmp_path / "child")
    assert said.code == 0
    assert said.out.splitlines()[0].endswith(f" · seed 3 · {tmp_path / 'child'} · from {parent}")
    error = command(capsys, "train", "--resume", tmp_path / "child", "--from", parent).error
    assert error == "--resume goes on with the run as it is; --from cannot be changed, leave it out"
