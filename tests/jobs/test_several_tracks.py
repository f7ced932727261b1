"""One model trained and judged on several tracks; a run keeps each of them in its direction."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from small_runs import command, files_of, small_config, small_run, timeless, without_films

from lateapex.errors import ConfigError, RunError, TrackError
from lateapex.formats.simtrace import read_simtrace
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.run_folder import SETTINGS, read_tracks
from lateapex.jobs.run_tracks import TRACK, track_files
from lateapex.jobs.runs import compare_runs, summarise
from lateapex.jobs.train import resume, train
from lateapex.records import EpisodeRecord, EvaluationRecord
from lateapex.storage import DiskStorage
from lateapex.world.track import load_track
from lateapex.world.track_list import labels

NAMES = "oval,kidney@reversed,hairpin"


def several(out, **changes):
    values = {"track": NAMES, "cars": 4, "trainer": {"evaluation_trials": 4, "evaluation_interval": 1}, **changes}
    return small_run(out, **values)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run on three tracks; to be read only."""
    return several(tmp_path_factory.mktemp("several") / "run")


def evaluations(run):
    lines = map(json.loads, (run / "logs" / "training.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == "evaluation"]


# ------------------------------------------------------------------------------------------------ training


class Kept:
    """A sink that keeps everything."""

    def __init__(self):
        self.records = []

    def write(self, record):
        self.records.append(record)

    def state(self):
        return {}

    def restore(self, state):
        pass

    def close(self):
        pass


def test_cars_are_dealt_out_to_the_tracks_and_every_track_is_judged_by_as_many_starts(tmp_path):
    kept = Kept()

    def observe(trainer, storage, config):
        task = trainer.collector.task
        assert [task.tracks[place].name for place in task.simulator.cars["track"]] == ["oval", "kidney", "hairpin"] * 2
        assert [track.reversed for track in task.tracks] == [False, True, False]
        return {"kept": kept}

    train(small_config(tmp_path / "run", track=NAMES, cars=6, trainer={"evaluation_trials": 4}), observe)
    driven = [r.track for r in kept.records if isinstance(r, EpisodeRecord) and r.phase == "evaluation"]
    assert driven[:6] == ["oval", "kidney", "hairpin"] * 2  # four starts on three tracks: two on each
    record = next(r for r in kept.records if isinstance(r, EvaluationRecord))
    assert [(part.track, part.trials) for part in record.tracks] == [
        ("oval", 2),
        ("kidney@reversed", 2),
        ("hairpin", 2),
    ]
    assert record.trials == 6
    assert record.mean_progress == pytest.approx(np.mean([part.mean_progress for part in record.tracks]))


def test_the_same_seed_gives_the_same_files(run, tmp_path):
    assert timeless(files_of(several(tmp_path / "again"))) == timeless(files_of(run))


def test_a_run_stopped_half_way_goes_on_to_the_same_files(run, tmp_path):
    half = several(tmp_path / "half", trainer={"steps": 64, "evaluation_trials": 4, "evaluation_interval": 1})
    resume(str(half), {"trainer": {"steps": 128}})
    assert timeless(files_of(half)) == timeless(files_of(run))


def test_traces_tell_the_length_of_the_track_that_each_episode_was_driven_on(tmp_path):
    run = several(tmp_path / "run", trainer={"steps": 800, "rollout_steps": 100, "evaluation_interval": 99})
    text = (run / "training-simtrace" / "0-iteration.csv").read_text()
    found = {episode.track_length for episode in read_simtrace(text, "trace")}
    assert found == {track.length for track in read_tracks(DiskStorage(run))}


def test_fewer_cars_than_tracks_are_refused_and_so_is_a_track_named_twice(tmp_path):
    with pytest.raises(ConfigError, match=r"2 cars cannot drive on 3 tracks; give --cars 3 or more"):
        small_run(tmp_path / "run", track=NAMES)
    with pytest.raises(TrackError, match=r"track 'oval' is there twice in 'oval,kidney,oval'; name each once"):
        small_run(tmp_path / "run", track="oval,kidney,oval", cars=4)
    with pytest.raises(TrackError, match=r"no track is called 'ovla'; did you mean 'oval'"):
        small_run(tmp_path / "run", track="kidney,ovla")
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_name_is_called_after_up_to_three_tracks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"cars": 4, "trainer": {"steps": 4, "rollout_steps": 1, "evaluation_trials": 1}}
    for tracks in ("oval,kidney@reversed", "oval,kidney,hairpin,narrow"):
        config = small_config("x", track=tracks, **small).model_copy(update={"out": None})
        train(config)
    assert sorted(path.name for path in Path("runs").iterdir()) == ["oval-and-3-more-lean-7", "oval-kidney-lean-7"]


# ------------------------------------------------------------------------------------------------ what a run keeps


def test_every_track_comes_back_with_its_direction(run):
    found = read_tracks(DiskStorage(run))
    assert labels(found) == NAMES
    for track, name in zip(found, NAMES.split(","), strict=True):
        expected = load_track(name)
        assert np.array_equal(track.center, expected.center)
        assert (track.reversed, track.closed, track.lines) == (expected.reversed, expected.closed, expected.lines)
    assert sorted(path.name for path in (run / "tracks").iterdir()) == ["0-oval.npy", "1-kidney.npy", "2-hairpin.npy"]
    assert not (run / TRACK).exists()


TELLS = """
def reward_function(params):
    if not params["is_reversed"]:
        raise ValueError("driven forwards")
    return 1.0
"""


def test_a_run_driven_backwards_is_so_too_after_it_was_resumed_and_when_it_is_evaluated(tmp_path):
    (tmp_path / "tells.py").write_text(TELLS)
    run = small_run(tmp_path / "run", track="kidney@reversed", reward=str(tmp_path / "tells.py"))
    assert (run / TRACK).is_file()
    assert resume(str(run), {"trainer": {"steps": 192}}).steps == 192
    assert evaluate(EvaluateConfig(run=str(run), trials=1, threads=1, film="none")).track == "kidney@reversed"


def test_lines_beyond_the_border_stay_there_whatever_the_track_is_called(tmp_path, shared_data):
    route = shared_data / "tracks" / "Oval_track.npy"
    run = small_run(tmp_path / "run", track=f"{route}@reversed", trainer={"steps": 32})
    content = tomllib.loads((run / SETTINGS).read_text())
    assert content["tracks"] == [{"name": "Oval_track", "reversed": True, "lines": "outside"}]
    (run / SETTINGS).write_text((run / SETTINGS).read_text().replace("Oval_track", "renamed"))
    (track,) = read_tracks(DiskStorage(run))
    assert (track.name, track.reversed, track.lines) == ("renamed", True, "outside")


def test_a_run_of_before_there_were_several_tracks_is_read(copied):
    text = (copied / SETTINGS).read_text()
    start = text.index("tracks = [")
    (copied / SETTINGS).write_text(text[:start] + text[text.index("]\n", start) + 2 :])
    assert "reversed" not in (copied / SETTINGS).read_text()
    (track,) = read_tracks(DiskStorage(copied))
    assert (track.name, track.reversed) == ("kidney", False)
    assert resume(str(copied), {"trainer": {"steps": 192}}).steps == 192


@pytest.mark.parametrize("notes", [[], "oval", [{"reversed": True}], ["oval"]])
def test_notes_that_tell_of_no_tracks_are_refused(notes):
    with pytest.raises(RunError, match=r"run\.toml does not say which tracks the run has"):
        track_files({"track_name": "oval", "tracks": notes})


def test_a_track_file_that_is_gone_or_damaged_is_named(run, tmp_path):
    storage = DiskStorage(tmp_path)
    for name, data in files_of(run).items():
        storage.write(name, data)
    storage.write("tracks/1-kidney.npy", b"\x93NUMPY")
    with pytest.raises(RunError, match=r"tracks/1-kidney\.npy is damaged"):
        read_tracks(storage)
    storage.delete("tracks/1-kidney.npy")
    with pytest.raises(RunError, match=r"has no tracks/1-kidney\.npy"):
        summarise(str(tmp_path))


def test_the_list_of_runs_names_all_tracks_and_comparing_them_tells_of_the_setting_alone(run, tmp_path):
    assert summarise(str(run)).track == NAMES
    other = several(tmp_path / "other", track="oval,kidney")
    assert compare_runs([str(run), str(other)]).differences == {"track": [NAMES, "oval,kidney"]}


# ------------------------------------------------------------------------------------------------ evaluation


@pytest.fixture(scope="module")
def judged(run, tmp_path_factory):
    copy = tmp_path_factory.mktemp("judged") / "run"
    storage = DiskStorage(copy)
    for name, data in files_of(run).items():
        storage.write(name, data)
    with pytest.MonkeyPatch.context() as patch:
        without_films(patch)
        return evaluate(EvaluateConfig(run=str(copy), trials=2, threads=1))


def test_an_evaluation_drives_every_track_of_the_run_and_tells_of_each(judged):
    assert judged.track == NAMES
    assert [(part.track, len(part.episodes)) for part in judged.tracks] == [(name, 2) for name in NAMES.split(",")]
    assert judged.laps_completed == sum(part.laps_completed for part in judged.tracks)
    for part in judged.tracks:
        assert Path(part.laps_picture).is_file()
        assert Path(part.lap_animation).is_file()
    assert len({part.laps_picture for part in judged.tracks}) == 3
    trace = Path(judged.run, judged.folder, "evaluation-simtrace", "0-iteration.csv").read_text()
    assert [episode.number for episode in read_simtrace(trace, "trace")] == [0, 1, 2, 3, 4, 5]


def test_the_tracks_beside_it_do_not_change_a_tracks_trials(judged):
    alone = evaluate(EvaluateConfig(run=judged.run, track="hairpin", trials=2, threads=1, film="none"))
    for one, two in zip(alone.episodes, judged.tracks[2].episodes, strict=True):
        for name in ("x", "y", "yaw", "action", "reward", "sim_time"):
            assert np.array_equal(one.steps[name], two.steps[name])


def test_the_json_line_has_totals_and_a_list_of_tracks(judged, capsys):
    said = command(capsys, "evaluate", judged.run, "--trials", 1, "--film", "none", "--json")
    told = json.loads(said.out)
    assert told["trials"] == 3
    assert told["track"] == NAMES
    assert [part["track"] for part in told["tracks"]] == NAMES.split(",")
    assert sum(part["trials"] for part in told["tracks"]) == 3
    assert sum(part["laps_completed"] for part in told["tracks"]) == told["laps_completed"]
    assert "laps on all tracks" in said.err


def test_several_other_tracks_can_be_driven(judged):
    assert (
        evaluate(EvaluateConfig(run=judged.run, track="oval,narrow", trials=1, threads=1, film="none")).track
        == "oval,narrow"
    )


def test_the_header_names_every_track_and_its_length(capsys, tmp_path):
    said = command(
        capsys, "train", "--track", "oval,kidney@reversed", "--cars", 2, "--steps", 4, "--out", tmp_path / "r"
    )
    assert said.out.startswith("oval 16.56 m, kidney@reversed 19.45 m · 2 cars · ")
