"""The soak: a few seconds of it, and that it finds what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from made_scripts import benchmark

from lateapex.records import Recipe


@pytest.fixture(scope="module")
def soak():
    """The script."""
    return benchmark("soak")


@pytest.fixture(scope="module")
def short(soak):
    """Every race type once, whatever the time."""
    return soak.soak(0.0, replays=3)


@pytest.mark.long
def test_a_short_soak_finds_nothing_wrong(soak, short):
    assert short.wrong == []
    assert short.tasks == 4
    assert short.steps == 4 * soak.STEPS * soak.CARS
    assert short.episodes > 0
    assert len(short.kept) == 3
    assert {"TIME_TRIAL", "OBJECT_AVOIDANCE", "HEAD_TO_BOT", "HEAD_TO_MODEL"} <= short.seen.keys()


@pytest.mark.long
def test_an_episode_that_comes_out_otherwise_is_found(soak, short):
    kept = short.kept[0]
    recipe = kept.records[0].recipe
    assert isinstance(recipe, Recipe)
    record = replace(kept.records[0], recipe=replace(recipe, digest="0" * 64))
    assert "came out otherwise" in soak.replayed(kept._replace(records=[record, *kept.records[1:]]))


def test_a_number_that_is_none_is_found(soak):
    mix = next(soak.mixes(0))
    task = mix.task()
    task.begin(np.arange(soak.CARS))
    assert soak.not_finite(task) is None
    task.simulator.cars["u"][2] = np.nan
    assert soak.not_finite(task) == "car's u"


def test_memory_that_grows_is_found_and_to_and_fro_is_not(soak):
    assert soak.growth([100.0, 300.0, 400.0, *([420.0] * 20)]) is None
    assert soak.growth([400.0 + 5.0 * n for n in range(60)]) == "memory grew from 548 to 648 MB"
    assert soak.growth([400.0, 420.0] * 20) is None
