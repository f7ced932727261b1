"""Films of races show what was on the road."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_runs import small_run

from lateapex.analysis.views import front_view, named_view
from lateapex.errors import RunError
from lateapex.formats.simtrace import read_simtrace
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.film import FilmConfig, film
from lateapex.jobs.film_things import things_around
from lateapex.jobs.recorded import open_replay, things_along
from lateapex.jobs.run_folder import open_run
from lateapex.sim.traffic import NOTHING
from lateapex.world.track import load_track

TRACE = "training-simtrace/0-iteration.csv"


@pytest.fixture(scope="module")
def avoiding(tmp_path_factory):
    race = {"race_type": "OBJECT_AVOIDANCE", "number_of_obstacles": 12, "min_distance_between_obstacles": 1.0}
    trainer = {"steps": 64, "evaluation_trials": 1, "evaluation_interval": 2}
    return small_run(tmp_path_factory.mktemp("avoiding") / "run", race=race, reward="avoid_obstacles", trainer=trainer)


def test_the_front_view_of_a_film_is_what_the_model_saw_boxes_and_all(avoiding):
    opened = open_replay(str(avoiding), 0)
    replay = opened.replay
    (record,) = replay.run()
    things = replay.things(0)
    assert things.shape == (len(record.steps), 13)
    assert (things["kind"][:, 0] == -1).all()
    view = front_view(replay.task.tracks[0], record.steps, vehicle=opened.vehicle, things=things)
    empty = front_view(replay.task.tracks[0], record.steps, vehicle=opened.vehicle)
    differs = 0
    for row, _ in zip(range(len(record.steps)), replay.walk(), strict=False):
        seen = replay.task.pictures[0]
        assert np.mean(view(row) != seen) < 0.002  # a row tells the pose of the front point, within the last digit
        differs += int(np.mean(empty(row) != seen) > 0.005)
    assert differs > 0


def test_the_chase_view_shows_boxes_and_empty_places_are_nothing(avoiding):
    opened = open_replay(str(avoiding), 0)
    (record,) = opened.replay.run()
    things, track = opened.replay.things(0), opened.replay.task.tracks[0]
    none = things.copy()
    none["kind"] = -1

    def shot(around):
        return named_view(track, record.steps, "chase", 120, 160, vehicle=opened.vehicle, things=around)(0)

    assert np.array_equal(shot(none), shot(None))
    assert np.mean(shot(things) != shot(None)) > 0.001


@pytest.mark.long
def test_films_and_evaluations_of_races_find_what_was_there(avoiding, tmp_path):
    steps = open_replay(str(avoiding), 0).replay.steps
    assert things_along(str(avoiding), 0, None, steps) is not None
    with pytest.raises(RunError, match=rf"episode 0 has {steps + 1} steps in its trace and {steps} in its recipe"):
        things_along(str(avoiding), 0, None, steps + 1)
    with pytest.raises(RunError, match="has no episode 10000 of training"):
        things_along(str(avoiding), 10_000, None, steps)
    with_boxes = film(FilmConfig(run=str(avoiding), episode=0, out=str(tmp_path / "a.gif")))
    trace = avoiding / "training-simtrace" / "0-iteration.csv"
    in_place = film(FilmConfig(run=str(trace), episode=0, track="kidney", out=str(tmp_path / "b.gif")))
    alone = shutil.copy(trace, tmp_path)
    without = film(FilmConfig(run=alone, episode=0, track="kidney", out=str(tmp_path / "c.gif")))
    films = [(tmp_path / name).read_bytes() for name in ("a.gif", "b.gif", "c.gif")]
    assert films[0] == films[1] != films[2]
    assert (with_boxes.not_shown, in_place.not_shown) == (None, None)
    assert ": a trace does not tell it, nor do run.toml or the parameters" in without.not_shown
    assert len(evaluate(EvaluateConfig(run=str(avoiding), trials=1)).films) == 1


def test_without_its_recipe_evenly_spaced_boxes_are_found_by_the_settings_and_others_named(avoiding, tmp_path):
    run = Path(shutil.copytree(avoiding, tmp_path / "run"))
    (episode, *_) = read_simtrace((run / TRACE).read_text(), TRACE)
    again = things_around(open_run(str(run)), TRACE, episode, load_track("kidney")).things
    (run / "logs" / "episodes.jsonl").unlink()
    settled = things_around(open_run(str(run)), TRACE, episode, load_track("kidney"))
    assert settled.not_shown is None
    assert again.shape == settled.things.shape == (len(episode.steps), 13)
    for name in ("kind", "x", "y", "yaw", "paint"):
        assert np.array_equal(again[name][:, 1:], settled.things[name][:, 1:])
    assert (settled.things["kind"][:, 0] == NOTHING).all()
    settings = (run / "run.toml").read_text()
    (run / "run.toml").write_text(
        settings.replace("randomize_obstacle_locations = false", "randomize_obstacle_locations = true")
    )
    random = things_around(open_run(str(run)), TRACE, episode, load_track("kidney"))
    assert random.things is None
    assert random.not_shown.startswith(f"12 obstacles: {run} has no logs/episodes.jsonl")
