"""Every preset: complete settings of a network that there is, in range of the original's own file."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest

from lateapex.formats.hyperparameters import read_hyperparameters
from lateapex.jobs import train as job
from lateapex.jobs.train_inputs import read_inputs
from lateapex.models.networks import NETWORKS

FOLDER = resources.files("lateapex") / "data" / "presets"
NAMES = sorted(file.name.removesuffix(".toml") for file in FOLDER.iterdir() if file.name.endswith(".toml"))


def test_there_are_presets():
    assert {"lean", "shallow"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_belongs_to_a_network(name):
    assert name in NETWORKS.names()


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_is_what_training_with_its_network_uses(name):
    preset = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    config = job.train_config({"network": name})
    found = config.model_dump()
    for key, value in preset.items():
        if isinstance(value, dict):
            assert {inner: found[key][inner] for inner in value} == value
        else:
            assert found[key] == value


@pytest.mark.parametrize("name", NETWORKS.names())
def test_every_network_trains_with_settings_that_the_original_can_write_down(name):
    config = job.train_config({"network": name})
    inputs = read_inputs(config)
    used = read_hyperparameters(inputs.hyperparameters, "used")
    assert (used.lr, used.batch_size, used.num_epochs) == (
        config.ppo.learning_rate,
        config.ppo.batch_size,
        config.ppo.epochs,
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_preset_sets_what_belongs_to_the_racer(name):
    preset = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    assert not {"seed", "track", "reward", "out", "network", "hyperparameters", "model_metadata"} & preset.keys()
    assert not {"steps", "duration", "updates", "until_laps"} & preset.get("trainer", {}).keys()
