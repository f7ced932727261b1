"""Runs of races: what they record, and that they repeat and go on."""

import pytest
from small_runs import files_of, small_run, timeless

from lateapex.errors import ConfigError
from lateapex.formats.job_yaml import read_parameters
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.race_settings import race_of_parameters
from lateapex.jobs.train import resume

RACES = {
    "OBJECT_AVOIDANCE": {"number_of_obstacles": 3, "randomize_obstacle_locations": True},
    "HEAD_TO_BOT": {"number_of_bot_cars": 2, "is_lane_change": True},
    "HEAD_TO_MODEL": {},
}


def raced(out, race_type, **trainer):
    bounds = {"steps": 128, "evaluation_trials": 2, "evaluation_interval": 1, **trainer}
    race = {"race_type": race_type, **RACES[race_type]}
    return small_run(out, race=race, reward="avoid_obstacles", trainer=bounds)


@pytest.mark.parametrize("race_type", RACES)
def test_a_race_stopped_half_way_goes_on_to_the_same_files(race_type, tmp_path):
    whole, half = raced(tmp_path / "whole", race_type), raced(tmp_path / "half", race_type, steps=64)
    resume(str(half), {"trainer": {"steps": 128}})
    assert timeless(files_of(half)) == timeless(files_of(whole))


def test_an_evaluation_drives_the_race_of_its_run_and_its_files_say_so(tmp_path):
    run = raced(tmp_path / "run", "OBJECT_AVOIDANCE")
    result = evaluate(EvaluateConfig(run=str(run), trials=2, film="none"))
    assert len(result.episodes) == 2
    (written,) = run.glob("eval_params_*.yaml")
    for path in (written, run / "training_params.yaml"):
        race = race_of_parameters(read_parameters(path.read_text(), path.name), path.name)
        assert (race["race_type"], race["number_of_obstacles"]) == ("OBJECT_AVOIDANCE", 3)
        assert race["randomize_obstacle_locations"] is True


def test_cars_that_do_not_fill_their_worlds_are_refused_and_so_are_several_tracks(tmp_path):
    race = {"race_type": "HEAD_TO_MODEL", "cars_per_world": 3}
    with pytest.raises(ConfigError, match="4 cars in worlds of 3; a multiple of 3 is needed"):
        small_run(tmp_path / "run", race=race, cars=4)
    with pytest.raises(ConfigError, match="HEAD_TO_MODEL is trained on one track; 2 are given"):
        small_run(tmp_path / "run", race=race, cars=6, track="oval,kidney")
    assert not (tmp_path / "run").exists()
