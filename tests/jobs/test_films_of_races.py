"""Films of races show what was on the road."""

import numpy as np
import pytest
from small_runs import small_run

from lateapex.analysis.views import front_view, named_view
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.film import FilmConfig, film
from lateapex.jobs.recorded import open_replay, things_along


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


def test_films_and_evaluations_of_races_find_what_was_there(avoiding, tmp_path):
    steps = open_replay(str(avoiding), 0).replay.steps
    assert things_along(str(avoiding), 0, None, steps) is not None
    assert things_along(str(avoiding), 0, None, steps + 1) is None
    assert things_along(str(avoiding), 10_000, None, steps) is None
    with_boxes = film(FilmConfig(run=str(avoiding), episode=0, out=str(tmp_path / "a.gif")))
    trace = avoiding / "training-simtrace" / "0-iteration.csv"
    alone = film(FilmConfig(run=str(trace), episode=0, track="kidney", out=str(tmp_path / "b.gif")))
    assert with_boxes.seconds == alone.seconds
    assert (tmp_path / "a.gif").read_bytes() != (tmp_path / "b.gif").read_bytes()
    assert len(evaluate(EvaluateConfig(run=str(avoiding), trials=1)).films) == 1
