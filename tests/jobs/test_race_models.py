"""Races between models: who drives what, who wins, and that all of it comes out the same again."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_runs import command, small_run

from lateapex.env.replay import Replay
from lateapex.errors import ConfigError, RunError
from lateapex.formats.recipes import read_recipes
from lateapex.formats.simtrace import read_simtrace
from lateapex.jobs.film_things import Around, home_of, things_around
from lateapex.jobs.race import race
from lateapex.jobs.race_entries import load_entries
from lateapex.jobs.race_folder import RaceJobConfig, terms_of
from lateapex.jobs.race_heats import shared_task
from lateapex.jobs.race_verify import verify_race
from lateapex.sim.traffic import NOTHING
from lateapex.world.bodies import CAR
from lateapex.world.track import load_track


@pytest.fixture(scope="module")
def rivals(tmp_path_factory):
    """Two untrained models that have nothing in common: sensors, actions, colours, car."""
    folder = tmp_path_factory.mktemp("rivals")
    metadata = folder / "metadata.json"
    content = {
        "action_space": {"steering_angle": {"low": -30.0, "high": 30.0}, "speed": {"low": 1.0, "high": 2.0}},
        "action_space_type": "continuous",
        "sensor": ["STEREO_CAMERAS", "SECTOR_LIDAR"],
        "version": "4",
    }
    metadata.write_text(json.dumps(content))
    one = small_run(folder / "one")
    other = small_run(folder / "other", seed=9, model_metadata=str(metadata), vehicle="version3")
    return one, other


def raced(tmp_path, rivals, **settings):
    values = {"runs": tuple(map(str, rivals)), "track": "oval", "trials": 2, "threads": 1, **settings}
    values.setdefault("out", str(tmp_path / "race"))
    return race(RaceJobConfig(**values))


def test_two_models_race_and_both_traces_are_driven_again_to_the_same_bytes(tmp_path, rivals):
    result = raced(tmp_path, rivals, mode="head-to-head", resets=2)
    (match,) = result.matches
    assert [[drive.entry for drive in heat.drives] for heat in match.heats] == [["one", "other"]] * 2 + [
        ["other", "one"]
    ] * 2
    assert [heat.start for heat in match.heats] == [0.0, 0.5, 0.0, 0.5]
    verdicts = verify_race(result.folder)
    assert [(verdict.same, verdict.drives, verdict.trace) for verdict in verdicts] == [(4, 4, True)] * 2
    # From the actions alone, without any model: the same hashes, of winner and loser.
    recipes = (tmp_path / "race" / "traces" / "1.jsonl").read_text()
    noted = list(read_recipes(recipes, "1.jsonl"))
    config = RaceJobConfig(runs=tuple(map(str, rivals)), track="oval", trials=2, mode="head-to-head", resets=2)
    entries = load_entries(config.runs, "best")
    for heat in range(4):
        task = shared_task(entries, terms_of(config, load_track("oval")), heat, 1)
        pair = [noted[2 * heat + seat].recipe for seat in range(2)]
        again = Replay(task, pair).run()
        assert [record.recipe.digest for record in again] == [recipe.digest for recipe in pair]


def test_the_trace_of_a_race_is_filmed_with_the_cars_that_were_met_there(tmp_path, rivals):
    race_folder = Path(raced(tmp_path, rivals, mode="head-to-head", resets=2).folder)
    home, source = home_of(str(race_folder / "traces" / "1.csv"))
    assert (home.url, source) == (str(race_folder), "traces/1.csv")
    episodes = {found.number: found for found in read_simtrace(home.read(source).decode(), source)}
    # The third heat: `other` before `one`.
    for number, met in ((4, 5), (5, 4)):
        around = things_around(home, source, episodes[number], load_track("oval"))
        assert around.not_shown is None
        seat = met - 4
        assert (around.things["kind"][:, 1 - seat] == NOTHING).all()
        there, rows = around.things[:, seat], episodes[met].steps
        assert (there["kind"] == CAR).all()
        # A trace tells of the front point, a thing of its middle: half a wheelbase or so away.
        apart = np.hypot(there["x"] - rows["x"], there["y"] - rows["y"])
        assert apart.max() < 0.3
        assert np.hypot(there["x"] - episodes[number].steps["x"], there["y"] - episodes[number].steps["y"]).max() > 0.3
    (race_folder / "traces" / "1.jsonl").unlink()
    lost = things_around(home, source, episodes[4], load_track("oval"))
    assert lost.not_shown == f"the other cars of its world, if there were any: {race_folder} has no traces/1.jsonl"
    stranger = things_around(home, "traces/2.csv", episodes[4], load_track("oval"))
    assert stranger.not_shown.endswith("results.json tells of no such drive")


def test_the_trace_of_a_league_has_nobody_else(tmp_path, rivals):
    race_folder = raced(tmp_path, rivals, trials=1).folder
    home, source = home_of(f"{race_folder}/traces/one.csv")
    (episode,) = read_simtrace(home.read(source).decode(), source)
    assert things_around(home, source, episode, load_track("oval")) == Around()


def test_each_model_drives_with_its_own_actions_and_its_own_car(tmp_path, rivals):
    result = raced(tmp_path, rivals, mode="head-to-head", resets=2)
    steps = {drive.entry: drive.record.steps for drive in result.matches[0].heats[0].drives}
    listed = {(action.steering_angle, action.speed) for action in result.entries[0].rival.metadata.actions}
    told = set(zip(steps["one"]["steering_angle"].tolist(), steps["one"]["speed"].tolist(), strict=True))
    assert told <= listed
    assert 1.0 <= steps["other"]["speed"].min() <= steps["other"]["speed"].max() <= 2.0
    task = shared_task(result.entries, terms_of(RaceJobConfig(runs=("a", "b"), track="oval"), load_track("oval")))
    assert task.simulator.vehicles[0].tobytes() != task.simulator.vehicles[1].tobytes()


def test_the_page_the_results_and_the_command_agree(tmp_path, rivals, capsys):
    out = tmp_path / "cup"
    words = ("race", *rivals, "--track", "oval", "--mode", "tournament", "--trials", 1, "--resets", 1, "--out", out)
    said = command(capsys, *words, "--json")
    assert said.code == 0, said.err
    line = json.loads(said.out)
    results = json.loads((out / "results.json").read_text())
    assert line["winner"] == results["winner"] == results["standings"][0]["name"]
    page = (out / "race.html").read_text()
    assert "Bracket" in page
    assert page.count("<polyline") == 2 + 4  # the road, and each drive
    assert "http" not in page
    assert command(capsys, "race", "--verify", out).code == 0


def test_what_was_changed_after_the_race_is_found(tmp_path, rivals, capsys):
    result = raced(tmp_path, rivals, trials=1)
    (tmp_path / "race" / "results.json").write_text(
        (tmp_path / "race" / "results.json").read_text().replace('"seconds": ', '"seconds": 1')
    )
    said = command(capsys, "race", "--verify", result.folder)
    assert said.code == 1
    assert "seconds is" in said.out
    model = next((tmp_path / "race" / "entries" / "one" / "model").glob("*_Step-*.pt"))
    other = next((tmp_path / "race" / "entries" / "other" / "model").glob("*_Step-*.pt"))
    model.write_bytes(other.read_bytes())
    with pytest.raises((RunError, ConfigError)):
        verify_race(result.folder)


def test_what_can_not_race_is_refused_in_one_line(tmp_path, rivals, capsys):
    one = str(rivals[0])
    for words, message in (
        (("race",), "no run folder is given"),
        (("race", one), "no --track is given"),
        (("race", one, one, "--track", "oval"), "are both called 'one'; give one another name: one-b="),
        (("race", one, "--track", "oval", "--mode", "tournament"), "two or more run folders are needed"),
        (("race", one, "--track", "oval,kidney"), "names 2 tracks; a race is driven on one"),
        (("race", "--verify", tmp_path), "holds no race"),
        (("race", one, "--track", "oval", "--out", rivals[0]), "holds something already"),
    ):
        assert message in command(capsys, *words).error
