"""The vehicle of a run: picked by the metadata or by name, kept whole in run.toml, driven ever after."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import small_run

from lateapex.config import parse
from lateapex.env.racing import RacingEnv
from lateapex.errors import ConfigError
from lateapex.formats.model_metadata import default_metadata
from lateapex.jobs import evaluate as evaluation
from lateapex.jobs import film as films
from lateapex.jobs import train as training
from lateapex.jobs.run_folder import open_run, read_settings, run_vehicle
from lateapex.jobs.vehicles import describe, suits
from lateapex.world.track import track_names
from lateapex.world.vehicle import CameraMount, Vehicle
from lateapex.world.vehicles import load_vehicle


def trained(folder: Path, **changes: object) -> Path:
    return small_run(folder, trainer={"steps": 32}, **changes)


def first_trial(run: Path, **changes: object) -> np.ndarray:
    values = {"run": str(run), "trials": 1, "film": "none", **changes}
    return evaluation.evaluate(parse(evaluation.EvaluateConfig, values)).episodes[0].steps


def test_the_default_metadata_drive_version5(tmp_path: Path) -> None:
    storage = open_run(str(trained(tmp_path / "run")))
    assert read_settings(storage)["vehicle"] == "version5"
    assert run_vehicle(storage) == Vehicle()


def test_the_metadata_version_picks_the_vehicle(tmp_path: Path) -> None:
    content = json.loads(default_metadata().text) | {"version": "4.0"}
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    storage = open_run(str(trained(tmp_path / "run", model_metadata=str(tmp_path / "metadata.json"))))
    assert read_settings(storage)["vehicle"] == "version4"
    assert run_vehicle(storage) == load_vehicle("version4")


def test_a_vehicle_file_is_kept_whole_in_the_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("friction = 0.6\n[camera]\nheight = 0.2\n")
    run = trained(tmp_path / "run", vehicle=str(file))
    mine = load_vehicle(file)
    file.unlink()
    assert run_vehicle(open_run(str(run))) == mine
    assert tomllib.loads((run / "run.toml").read_text())["car"]["friction"] == 0.6
    # Both go on without the file.
    training.resume(str(run), {"trainer": {"steps": 64}})
    assert len(first_trial(run)) > 1


def test_a_run_of_before_there_were_several_vehicles_drives_version5(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    settings = tomllib.loads((run / "run.toml").read_text())
    text = (run / "run.toml").read_text()
    start = text.index("[car]")
    end = text.find("\n[", text.index("[car.camera]"))
    (run / "run.toml").write_text(text[:start] + (text[end + 1 :] if end >= 0 else ""))
    assert "car" in settings
    assert run_vehicle(open_run(str(run))) == Vehicle()


def test_a_damaged_car_is_refused_with_its_place(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    text = (run / "run.toml").read_text()
    (run / "run.toml").write_text(text.replace("friction = 0.34", "friction = 34.0"))
    with pytest.raises(ConfigError, match=r"run\.toml, car: friction is 34\.0; expected less than or equal to 5"):
        run_vehicle(open_run(str(run)))


def test_an_unknown_vehicle_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no vehicle is called 'versoin4'; did you mean 'version4'"):
        trained(tmp_path / "run", vehicle="versoin4")
    assert not (tmp_path / "run").exists()


def test_evaluating_drives_the_vehicle_of_the_run_or_another_that_is_named(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", vehicle="version6")
    own, same, other = first_trial(run), first_trial(run, vehicle="version6"), first_trial(run, vehicle="version5")
    assert np.array_equal(own["x"], same["x"])
    # After three steps the car of version 6 is as fast as it was told, that of version 5 is not.
    ways = [np.hypot(steps["x"][4] - steps["x"][1], steps["y"][4] - steps["y"][1]) for steps in (own, other)]
    assert ways[0] > 1.3 * ways[1]


def test_films_are_drawn_with_the_vehicle_that_was_driven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Vehicle] = []

    def draw(*_: object, vehicle: Vehicle, **__: object) -> films.FilmFile:
        asked.append(vehicle)
        return films.FilmFile(".mp4", b"film")

    monkeypatch.setattr(films, "draw_film", draw)
    monkeypatch.setattr(evaluation, "draw_film", draw)
    run = trained(tmp_path / "run", vehicle="version2")
    first_trial(run, film="best")
    first_trial(run, film="best", vehicle="version6")
    for changes in ({}, {"vehicle": "version6"}):
        films.film(parse(films.FilmConfig, {"run": str(run), **changes}))
    assert asked == [load_vehicle(name) for name in ("version2", "version6", "version2", "version6")]


def test_a_film_of_a_trace_file_is_drawn_with_the_vehicle_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[CameraMount] = []
    front = films.front_view

    def view(*words: Any, vehicle: Vehicle, **more: Any) -> Any:
        asked.append(vehicle.camera)
        return front(*words, vehicle=vehicle, **more)

    monkeypatch.setattr(films, "front_view", view)
    run = trained(tmp_path / "run")
    first_trial(run)
    trace = str(next(run.rglob("*-iteration.csv")))
    for changes in ({}, {"vehicle": "version2"}):
        out = str(tmp_path / "film.gif")
        films.film(parse(films.FilmConfig, {"run": trace, "track": "kidney", "out": out, **changes}))
    assert asked == [Vehicle().camera, load_vehicle("version2").camera]


def test_every_track_is_told_with_the_speed_at_which_a_vehicle_holds_its_tightest_bend() -> None:
    _, figures = describe("version5")
    found = suits(figures)
    assert sorted(suit.track for suit in found) == track_names()
    assert [suit.tightest_radius for suit in found] == sorted(suit.tightest_radius for suit in found)
    for suit in found:
        assert suit.fastest is not None
        assert figures.radius[suit.fastest] <= suit.tightest_radius
        faster = [radius for command, radius in figures.radius.items() if command > suit.fastest]
        assert all(radius > suit.tightest_radius for radius in faster)
    assert figures.fastest_through(0.1) is None


def test_an_environment_takes_a_vehicle_by_name_and_else_by_its_metadata() -> None:
    four = replace(default_metadata(), version="4.0")
    for settings, name in (({}, "version5"), ({"metadata": four}, "version4"), ({"vehicle": "version6"}, "version6")):
        env = RacingEnv("oval", height=2, width=2, threads=1, **settings)
        assert env.unwrapped.task.simulator.vehicle == load_vehicle(name)
