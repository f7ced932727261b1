"""What films of traces that others wrote know of the road, and what they say of what they do not know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_drives import drive
from small_runs import command

from lateapex.formats.job_yaml import write_parameters
from lateapex.formats.simtrace import TracedEpisode, write_simtrace
from lateapex.jobs import film as job
from lateapex.jobs.film import FilmFile
from lateapex.jobs.film_things import Around, home_of, things_around
from lateapex.jobs.import_run import ImportConfig, import_run
from lateapex.records import STATUSES
from lateapex.sim.traffic import NOTHING
from lateapex.world.bodies import body_place
from lateapex.world.track import load_track

TRACK = load_track("oval")
BOXES = {"RACE_TYPE": "OBJECT_AVOIDANCE", "NUMBER_OF_OBSTACLES": "2"}
LISTED = {**BOXES, "OBJECT_POSITIONS": ["0.0,1", "0.5,-1"]}
UNTOLD = "a trace does not tell where they were"


def drawn(**changes):
    steps = drive(3).steps
    for name, value in changes.items():
        steps[name] = value
    return TracedEpisode(number=0, track_length=TRACK.length, steps=steps)


def around(trace: Path, episode=None) -> Around:
    home, source = home_of(str(trace))
    return things_around(home, source, episode or drawn(), TRACK)


@pytest.fixture
def model(tmp_path):
    """Writes a file of parameters into a model's folder; returns a trace of it."""

    def write(trace="training-simtrace/0-iteration.csv", **files):
        for name, parameters in files.items():
            (tmp_path / "model").mkdir(exist_ok=True)
            (tmp_path / "model" / f"{name}.yaml").write_text(write_parameters(parameters))
        return tmp_path / "model" / trace

    return write


def test_boxes_in_listed_places_stand_where_the_parameters_beside_the_trace_say(model):
    found = around(model(training_params={**LISTED, "OBSTACLE_TYPE": "amazon_box_obstacle"}))
    assert found.not_shown is None
    assert found.things.shape == (3, 3)
    assert (found.things["kind"] == [NOTHING, *[body_place("amazon_box_obstacle")] * 2]).all()
    first, second = found.things[0, 1:]
    # The oval begins in the middle of its lower straight, where the inner lane is a quarter of the width to the left.
    start, following = np.asarray(TRACK.waypoints)[:2]
    ahead = following - start
    left = np.array([-ahead[1], ahead[0]]) / np.hypot(*ahead)
    away = np.array([first["x"], first["y"]]) - start
    assert abs(away @ ahead) < 0.02
    assert 0.1 < away @ left < 0.4
    assert second["along"] == pytest.approx(TRACK.length / 2, abs=0.05)
    assert not second["is_left_of_line"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (BOXES, f"2 obstacles: {UNTOLD}"),
        ({**BOXES, "RANDOMIZE_OBSTACLE_LOCATIONS": "true", "NUMBER_OF_OBSTACLES": "1"}, f"1 obstacle: {UNTOLD}"),
        ({"RACE_TYPE": "HEAD_TO_BOT", "NUMBER_OF_BOT_CARS": "3"}, f"3 bot cars: {UNTOLD}"),
        ({**LISTED, "RACE_TYPE": "HEAD_TO_BOT"}, f"2 bot cars: {UNTOLD}"),
        ({"RACE_TYPE": "HEAD_TO_MODEL"}, f"the other cars of its world: {UNTOLD}"),
        ({"RACE_TYPE": "TIME_TRIAL"}, None),
        ({**BOXES, "NUMBER_OF_OBSTACLES": "0"}, None),
    ],
)
def test_of_other_races_it_is_said_what_is_missing(model, parameters, said):
    assert around(model(training_params=parameters)) == Around(None, said)


def test_a_race_that_is_not_understood_is_told_with_what_is_wrong(model):
    said = around(model(training_params={**BOXES, "OBSTACLE_TYPE": "BOX"})).not_shown
    assert said.startswith("whatever else was on the road, since the race is not understood: training_params.yaml")
    assert "BOX" in said


def test_training_and_each_evaluation_go_by_their_own_parameters(model):
    files = {
        "training_params": {"RACE_TYPE": "TIME_TRIAL"},
        "eval_params_20220709200242": LISTED,
        "eval_params_of_another": {**BOXES, "SIMTRACE_S3_PREFIX": "x/evaluation-20220709200509"},
    }
    model(**files)
    at = "evaluation-{}/evaluation-simtrace/0-iteration.csv"
    assert around(model()) == Around()
    assert around(model(at.format("20220709200242"))).things is not None
    assert around(model(at.format("20220709200509"))).not_shown == f"2 obstacles: {UNTOLD}"
    unlike = "whatever else was on the road: eval_params_20220709200242.yaml and eval_params_of_another.yaml tell of "
    assert around(model(at.format("20220709209999"))).not_shown == unlike + "different races"


def test_a_bare_trace_is_told_to_tell_nothing_but_that_it_crashed(model):
    nor = "a trace does not tell it, nor do run.toml or the parameters of its job"
    assert around(model()).not_shown == f"whatever else was on the road, if anything was: {nor}"
    crashed = drawn(status=STATUSES.index("crashed"))
    assert around(model(), crashed).not_shown == f"what the car crashed into: {nor}"


def test_parameters_are_looked_for_above_a_trace_and_no_further_than_a_model_is_deep(model, tmp_path):
    model(training_params=LISTED)
    deep = "sim-trace/training/20211101/training-simtrace/0-iteration.csv"
    assert home_of(str(model(deep)))[1] == deep
    assert home_of(str(model("1/" + deep)))[1] == "0-iteration.csv"
    assert (
        home_of("s3://bucket/some/0-iteration.csv".replace("s3://bucket/some", str(tmp_path)))[1] == "0-iteration.csv"
    )


def test_an_imported_run_goes_by_its_parameters_or_by_the_kind_of_race_that_its_logs_told(shared_data, tmp_path):
    (log,) = (shared_data / "logs" / "log-guru").glob("oa-brown-boxes-random*.tar.gz")
    run = Path(import_run(ImportConfig(source=str(log), out=str(tmp_path / "run"))).run)
    trace = run / "training-simtrace" / "0-iteration.csv"
    assert around(trace).not_shown == f"2 obstacles: {UNTOLD}"
    (run / "training_params.yaml").unlink()
    untold = f"{UNTOLD}, and no parameters of the job do"
    assert around(trace).not_shown == f"whatever else was on the road of OBJECT_AVOIDANCE: {untold}"
    settings = (run / "run.toml").read_text()
    (run / "run.toml").write_text(settings.replace("OBJECT_AVOIDANCE", "TIME_TRIAL"))
    assert around(trace) == Around()
    (run / "run.toml").write_text(settings.replace("OBJECT_AVOIDANCE", "unknown"))
    assert around(trace).not_shown.startswith("whatever else was on the road, if anything was:")


def test_the_command_says_in_a_line_and_in_json_what_it_does_not_show(model, capsys, monkeypatch):
    monkeypatch.setattr(job, "draw_film", lambda *_, **more: FilmFile(".gif", str(more["things"] is None).encode()))
    monkeypatch.setattr(job, "_fits", lambda *_: True)
    trace = model(training_params=BOXES)
    trace.parent.mkdir()
    trace.write_text(write_simtrace([(0, drive(3))]))
    said = command(capsys, "film", trace, "--track", "oval")
    assert said.out.splitlines()[1] == f"note: not shown: 2 obstacles: {UNTOLD}"
    assert (
        json.loads(command(capsys, "film", trace, "--track", "oval", "--json").out)["not_shown"]
        == f"2 obstacles: {UNTOLD}"
    )
    model(training_params=LISTED)
    said = command(capsys, "film", trace, "--track", "oval", "--json")
    assert json.loads(said.out)["not_shown"] is None
    assert Path(json.loads(said.out)["film"]).read_bytes() == b"False"
