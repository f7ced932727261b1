"""The examples' settings files train."""

from __future__ import annotations

from pathlib import Path

import pytest

from lateapex.jobs.train import train_config
from lateapex.jobs.train_inputs import read_inputs

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_that_a_settings_file_names_is_there_and_fits(file):
    config = train_config({}, file=str(file))
    inputs = read_inputs(config)
    assert len(inputs.tracks) <= config.cars
    assert config.trainer.duration <= 900.0
    assert config.teacher.steps <= (config.trainer.steps or 0)


def test_every_settings_file_is_in_the_table_of_contents():
    text = (EXAMPLES / "README.md").read_text()
    assert FILES
    assert [file.name for file in FILES if f"`{file.name}`" not in text] == []
