"""Every preset: complete settings of learning, in range of the original's own file."""

from __future__ import annotations

import itertools
import tomllib
from importlib import resources
from typing import get_args

import pytest

from lateapex.formats.hyperparameters import read_hyperparameters
from lateapex.jobs import train as job
from lateapex.jobs.presets import AlgorithmName, PresetName, preset
from lateapex.jobs.train_inputs import read_inputs
from lateapex.models.networks import NETWORKS

FOLDER = resources.files("lateapex") / "data" / "presets"
FILES = sorted(file.name.removesuffix(".toml") for file in FOLDER.iterdir() if file.name.endswith(".toml"))
every_choice = pytest.mark.parametrize(
    ("network", "algorithm", "name"),
    list(itertools.product(NETWORKS.names(), get_args(AlgorithmName), get_args(PresetName))),
)


def content(name: str) -> dict[str, object]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def test_every_file_is_some_networks_preset():
    used = [
        preset(*choice) for choice in itertools.product(NETWORKS.names(), get_args(AlgorithmName), get_args(PresetName))
    ]
    for name in FILES:
        assert any(content(name).items() <= settings.items() for settings in used), name


@every_choice
def test_every_preset_is_what_training_uses(network, algorithm, name):
    found = job.train_config({"network": network, "algorithm": algorithm, "preset": name}).model_dump()
    for key, value in preset(network, algorithm, name).items():
        if isinstance(value, dict):
            assert {inner: found[key][inner] for inner in value} == value
        else:
            assert found[key] == value


@every_choice
def test_every_network_trains_with_settings_that_the_original_can_write_down(network, algorithm, name):
    config = job.train_config({"network": network, "algorithm": algorithm, "preset": name})
    used = read_hyperparameters(read_inputs(config).hyperparameters, "used")
    learning = config.sac if algorithm == "sac" else config.ppo
    assert (used.lr, used.batch_size, used.discount_factor) == (
        learning.learning_rate,
        learning.batch_size,
        learning.discount,
    )


@pytest.mark.parametrize("name", FILES)
def test_no_preset_sets_what_belongs_to_the_racer(name):
    settings = content(name)
    assert not {"seed", "track", "reward", "out", "network", "hyperparameters", "model_metadata"} & settings.keys()
    trainer = settings.get("trainer", {})
    assert isinstance(trainer, dict)
    assert not {"steps", "duration", "updates", "until_laps"} & trainer.keys()


@pytest.mark.parametrize(("network", "steps"), [("shallow", 10_000), ("deep", 3_000), ("lean", 3_000)])
def test_an_iteration_of_the_original_holds_what_the_networks_memory_does(network: str, steps: int) -> None:
    trainer = preset(network, "clipped_ppo", "original")["trainer"]
    assert (trainer["rollout_steps"], trainer["rollout_episodes"], trainer["rollout_whole"]) == (steps, 20, True)
