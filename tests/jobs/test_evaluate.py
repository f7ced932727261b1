"""An evaluation: greedy laps from starts round the track, their traces, numbers and pictures."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from small_runs import command, files_of, small_run

from lateapex.errors import ConfigError, FormatError, LateapexError, RunError, TrackError
from lateapex.formats.metrics import read_metrics
from lateapex.formats.simtrace import read_simtrace
from lateapex.jobs import evaluate as job
from lateapex.jobs import film as film_job
from lateapex.jobs.evaluate import EvaluateConfig, EvaluateResult, evaluate
from lateapex.jobs.film import FilmFile
from lateapex.training.checkpoint import NAMES, STATE
from lateapex.world.track import load_track

NOON = datetime.datetime(2024, 2, 29, 12, 0, 0)


def at_noon():
    return NOON


def go(run, **changes):
    return evaluate(EvaluateConfig(**{"run": str(run), "trials": 2, "threads": 1, "film": "none", **changes}), at_noon)


def trace(run, folder):
    text = (Path(run) / folder / "evaluation-simtrace" / "0-iteration.csv").read_text()
    return text, read_simtrace(text, folder)


def duration(film):
    """Seconds that a film lasts, by its pictures."""
    with av.open(str(film)) as opened:
        assert opened.streams.video[0].average_rate == 15
        return sum(1 for _ in opened.decode(video=0)) / 15


@pytest.fixture(scope="module")
def laps(lapping) -> EvaluateResult:
    """Five trials of the model that laps kidney."""
    return go(lapping.url, trials=5)


# ------------------------------------------------------------------------------------------------ many tracks


@pytest.fixture
def routes(tmp_path) -> Path:
    """A folder with two route files and something else."""
    folder = tmp_path / "routes"
    folder.mkdir()
    (folder / "notes.txt").write_text("not a route")
    for name in ("oval", "kidney"):
        track = load_track(name)
        rows = np.concatenate([track.center, track.inner, track.outer], axis=1)
        np.save(folder / f"my_{name}.npy", np.concatenate([rows, rows[:1]]))
    return folder


def test_a_folder_stands_for_its_routes_and_each_can_be_driven_both_ways(copied, routes):
    result = go(copied, track=str(routes), both_ways=True, trials=1)
    assert [part.track for part in result.tracks] == ["my_kidney", "my_kidney@reversed", "my_oval", "my_oval@reversed"]
    assert [part.family for part in result.tracks] == [0, 0, 1, 1]
    assert [part.trained for part in result.tracks] == [True, True, False, False], "the model was trained on kidney"
    assert [part.track for part in result.unseen] == ["my_oval", "my_oval@reversed"]
    assert len(result.episodes) == 4


def test_what_is_named_both_ways_is_driven_once_each_way(copied):
    result = go(copied, track="oval,oval@reversed", both_ways=True, trials=1)
    assert [part.track for part in result.tracks] == ["oval", "oval@reversed"]


def test_more_than_three_tracks_are_filmed_when_asked_for_alone(copied, monkeypatch):
    monkeypatch.setattr(job, "draw_film", lambda *_, **__: FilmFile(".x", b""))
    names = ["oval", "kidney", "oval@reversed", "kidney@reversed"]
    counts = [len(go(copied, track=",".join(names[:n]), trials=1, film=None).films) for n in (3, 4)]
    assert counts == [3, 0]
    assert len(go(copied, track=",".join(names), trials=1, film="best").films) == 4


def test_the_command_shows_a_line_a_track_and_how_sure_the_share_is(capsys, copied, routes):
    said = command(capsys, "evaluate", copied, "--track", routes, "--both-ways", "--trials", 1)
    lines = said.out.splitlines()
    assert lines[0].startswith("4 tracks · ")
    assert lines[1].split() == ["track", "trained", "on", "laps", "completed", "best", "others", "ended"]
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["my_kidney", "yes"],
        ["my_kidney@reversed", "yes"],
        ["my_oval", "no"],
        ["my_oval@reversed", "no"],
    ]
    share = r"[0-2] of 2 \(\d+\.\d%, 95% interval \d+\.\d to \d+\.\d%\)"
    assert any(
        re.fullmatch(share + " laps on the 2 tracks of 1 families that training did not know", line) for line in lines
    )


def test_a_folder_without_routes_is_refused(copied, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrackError, match=r"no route file \(\.npy\) lies in .*empty; give a folder that has some"):
        go(copied, track=str(tmp_path / "empty"))


def test_every_trial_on_a_road_with_two_ends_begins_at_its_beginning(copied):
    result = go(copied, track="sprint", trials=3)
    assert result.tracks[0].starts == [0.0, 0.0, 0.0]
    rows = [episode.steps[0] for episode in result.episodes]
    assert {(row["x"], row["y"]) for row in rows} == {(rows[0]["x"], rows[0]["y"])}
    assert go(copied, trials=4).tracks[0].starts == [0.0, 0.25, 0.5, 0.75]


# ------------------------------------------------------------------------------------------------ what it measures


def test_a_trained_model_laps_from_all_five_starts(laps, lapping):
    assert laps.laps_completed == 5
    assert len(laps.lap_times) == 5
    assert all(10.0 < seconds < 40.0 for seconds in laps.lap_times)
    assert laps.train_seconds == lapping.train_seconds
    assert laps.track == "kidney"


def test_starts_lie_evenly_round_the_track_on_the_centre_line(laps):
    track = load_track("kidney")
    for trial, episode in enumerate(laps.episodes):
        x, y, yaw = track.pose_at(trial / 5)
        row = episode.steps[0]
        assert np.hypot(row["x"] - x, row["y"] - y) < 0.25  # the row tells the front point, the car's centre is there
        assert abs((row["yaw"] - yaw + np.pi) % (2 * np.pi) - np.pi) < 1e-9


def test_a_car_that_can_only_go_straight_on_completes_no_lap(tmp_path):
    metadata = {"action_space": [{"steering_angle": 0, "speed": 1}], "sensor": ["FRONT_FACING_CAMERA"], "version": "5"}
    (tmp_path / "straight.json").write_text(json.dumps(metadata))
    run = small_run(tmp_path / "run", model_metadata=str(tmp_path / "straight.json"), trainer={"steps": 32})
    result = go(run)
    assert (result.laps_completed, result.lap_times) == (0, [])
    assert [episode.status for episode in result.episodes] == ["off_track", "off_track"]
    assert all(0.0 < episode.progress < 50.0 for episode in result.episodes)


def test_two_evaluations_drive_the_same_laps(copied):
    results = [go(copied) for _ in range(2)]
    one, two = (trace(copied, result.folder)[0].splitlines() for result in results)
    assert [line.rpartition(",")[0] for line in one] == [line.rpartition(",")[0] for line in two]


def test_the_number_of_trials_beside_it_does_not_change_a_trial(copied):
    alone, among = go(copied, trials=1).episodes[0], go(copied, trials=3).episodes[0]
    for name in ("x", "y", "yaw", "action", "reward", "sim_time"):
        assert np.array_equal(alone.steps[name], among.steps[name])


def test_the_best_and_the_last_model_can_be_driven(copied):
    names = json.loads((copied / NAMES).read_text())
    names["best_checkpoint"]["name"] = "9_Step-9.pt"
    (copied / "model" / "9_Step-9.pt").write_bytes((copied / "model" / "4_Step-128.pt").read_bytes())
    (copied / NAMES).write_text(json.dumps(names))
    assert [go(copied, checkpoint=word, trials=1).model for word in ("best", "last")] == [
        "9_Step-9.pt",
        "4_Step-128.pt",
    ]


def test_another_track_can_be_driven_and_keeps_its_name(copied):
    result = go(copied, track="oval")
    assert result.track == result.episodes[0].track == "oval"
    assert trace(copied, result.folder)[1][0].track_length == pytest.approx(load_track("oval").length)


# ------------------------------------------------------------------------------------------------ what it leaves


def test_the_trace_reads_back_as_what_was_driven(laps, lapping):
    _, episodes = trace(lapping.url, laps.folder)
    assert [episode.number for episode in episodes] == [0, 1, 2, 3, 4]
    for found, driven in zip(episodes, laps.episodes, strict=True):
        for name in ("steps", "x", "y", "action", "reward", "status", "sim_time", "progress"):
            assert np.array_equal(found.steps[name], driven.steps[name])


def test_the_metrics_tell_of_every_trial(laps, lapping):
    text = (Path(lapping.url) / "metrics" / "evaluation" / f"{laps.folder}.json").read_text()
    entries = read_metrics(text, "metrics")
    assert [entry["trial"] for entry in entries] == [1, 2, 3, 4, 5]
    assert {entry["episode_status"] for entry in entries} == {"Lap complete"}
    assert [entry["elapsed_time_in_milliseconds"] for entry in entries] == [
        pytest.approx(1000 * seconds, abs=1) for seconds in laps.lap_times
    ]


def test_the_picture_of_the_lines_is_a_picture(laps):
    with Image.open(laps.laps_picture) as picture:
        assert (picture.format, picture.width) == ("PNG", 1400)
        colours = picture.convert("RGB").getcolors(maxcolors=2**24)
    assert colours is not None
    assert len(colours) > 100
    assert Path(laps.laps_picture).stat().st_size > 20_000


@pytest.mark.long
def test_the_film_lasts_as_long_as_the_fastest_lap_within_a_picture(lapping):
    laps = go(lapping.url, trials=2, film="best")
    assert abs(duration(laps.lap_animation) - min(laps.lap_times)) <= 1 / 15


def test_the_film_of_a_model_that_falls_off_shows_its_furthest_trial_of_however_many(copied, monkeypatch):
    filmed = []
    monkeypatch.setattr(
        job, "draw_film", lambda track, episode, *_, **__: filmed.append(episode) or FilmFile(".x", b"")
    )
    result = go(copied, trials=12, film="best")
    assert [episode is max(result.episodes, key=lambda episode: episode.progress) for episode in filmed] == [True]
    assert filmed[0].car > 8 or max(result.episodes[:9], key=lambda episode: episode.progress) is filmed[0]


@pytest.mark.long
def test_all_trials_can_be_filmed_or_none(copied):
    result = go(copied, film="all")
    assert [Path(path).name for path in result.films] == ["lap-1.mp4", "lap-2.mp4"]
    for place, path in enumerate(result.films):
        assert abs(duration(path) - result.episodes[place].lap_time) <= 1 / 15
    assert result.lap_animation in result.films
    without = go(copied)
    assert (without.films, without.lap_animation) == ([], None)
    assert not list((copied / without.folder).glob("lap.*"))


def test_without_the_video_extra_the_film_is_a_gif(copied, monkeypatch):
    monkeypatch.setattr(film_job, "can_write_mp4", lambda: False)
    result = go(copied, trials=1, film="best")
    with Image.open(result.lap_animation) as film:
        assert film.format == "GIF"


def test_what_was_driven_is_kept_when_the_film_cannot_be_drawn(copied, monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "draw_film", fail)
    with pytest.raises(KeyboardInterrupt):
        go(copied, film="best")
    folder = "evaluation-20240229120000"
    assert len(trace(copied, folder)[1]) == 2
    assert (copied / "metrics" / "evaluation" / f"{folder}.json").is_file()
    assert sorted(path.name for path in (copied / folder).iterdir()) == [
        "episodes.jsonl",
        "evaluation-simtrace",
        "evaluation.toml",
        "laps.png",
        "track.npy",
    ]


def test_evaluations_within_one_second_get_folders_of_their_own(copied):
    folders = [go(copied, trials=1).folder for _ in range(3)]
    assert folders == [f"evaluation-2024022912000{second}" for second in (0, 1, 2)]
    for folder in folders:
        assert (copied / "metrics" / "evaluation" / f"{folder}.json").is_file()


@pytest.mark.long
def test_an_evaluation_changes_nothing_that_was_there(copied):
    before = files_of(copied)
    result = go(copied, trials=1, film="best")
    after = files_of(copied)
    assert {name: after[name] for name in before} == before
    assert {name for name in after if name not in before} == {
        f"{result.folder}/evaluation-simtrace/0-iteration.csv",
        f"{result.folder}/evaluation.toml",
        f"{result.folder}/track.npy",
        f"{result.folder}/episodes.jsonl",
        f"{result.folder}/laps.png",
        f"{result.folder}/lap.mp4",
        f"metrics/evaluation/{result.folder}.json",
        f"eval_params_{result.folder.removeprefix('evaluation-')}.yaml",
    }


# ------------------------------------------------------------------------------------------------- what it refuses


def damaged(run, name, data):
    (run / name).write_bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("run.toml", b"\xff\xfe", ConfigError),
        ("run.toml", b"", RunError),
        ("track.npy", b"\x93NUMPY", RunError),
        ("reward_function.py", b"def", LateapexError),
        ("model/model_metadata.json", b"{", LateapexError),
        ("model/{best}", b"PK\x03\x04", FormatError),
        (NAMES, b"{}", FormatError),
        (STATE, b"PK\x03\x04" + b"\x00" * 99, FormatError),
    ],
)
def test_a_damaged_run_is_refused_in_one_line_and_nothing_is_written(copied, name, data, kind):
    name = name.format(best=json.loads((copied / NAMES).read_text())["best_checkpoint"]["name"])
    damaged(copied, name, data)
    before = files_of(copied)
    with pytest.raises(kind, match=str(copied / name)) as told:
        go(copied)
    assert "\n" not in str(told.value)
    assert files_of(copied) == before


def test_metadata_of_another_number_of_actions_are_refused(copied):
    content = json.loads((copied / "model" / "model_metadata.json").read_text())
    content["action_space"] = content["action_space"][:3]
    damaged(copied, "model/model_metadata.json", json.dumps(content).encode())
    with pytest.raises(ConfigError, match=r"the model has 10 actions, its metadata 3; restore"):
        go(copied)


def test_a_run_without_a_model_says_how_to_get_one(copied):
    (copied / NAMES).unlink()
    with pytest.raises(RunError, match=r"has no model yet; train it further: lateapex train --resume"):
        go(copied)


def test_an_unknown_track_is_refused(copied):
    with pytest.raises(TrackError, match=r"no track is called 'ovla'; did you mean 'oval'"):
        go(copied, track="ovla")


@pytest.mark.parametrize(
    "wrong",
    [{"trials": 0}, {"trials": 10_001}, {"checkpoint": "first"}, {"film": "some"}, {"view": "top"}, {"trials": "5"}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        EvaluateConfig(**{"run": "r", **wrong})
