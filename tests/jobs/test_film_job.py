"""Films of recorded drives: which drive is taken, where the film goes, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import pytest
from made_drives import drive, ring
from PIL import Image
from small_runs import files_of

from lateapex.errors import ConfigError, FormatError, RunError, TrackError
from lateapex.formats.simtrace import TracedEpisode, read_simtrace
from lateapex.jobs import film as job
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.film import FilmConfig, FilmFile, film


def go(run, **changes):
    return film(FilmConfig(**{"run": str(run), **changes}))


def episodes(run):
    """All training episodes by their number."""
    found = {}
    for path in Path(run).glob("training-simtrace/*.csv"):
        found |= {episode.number: episode for episode in read_simtrace(path.read_text(), path.name)}
    return found


def shortest(run):
    """Number of the training episode that is drawn soonest."""
    known = episodes(run)
    return min(known, key=lambda number: len(known[number].steps))


@pytest.fixture
def drawn(monkeypatch):
    """The drives that are filmed; films themselves are empty, since drawing takes longest."""
    asked = []

    def draw(track, episode, view, title, **more):
        asked.append(episode)
        return FilmFile(more.get("suffix") or ".mp4", b"film")

    monkeypatch.setattr(job, "draw_film", draw)
    return asked


def test_any_training_episode_can_be_filmed_as_long_as_it_took(copied):
    number = shortest(copied)
    result = go(copied, episode=number)
    assert result.film == str(copied / "videos" / f"training-episode-{number}.mp4")
    with av.open(result.film) as opened:
        stream = opened.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (1280, 720)
        pictures = [frame.to_ndarray(format="rgb24") for frame in opened.decode(stream)]
    assert abs(len(pictures) / 15 - result.seconds) <= 1 / 15
    assert (pictures[0] != pictures[-1]).mean() > 0.1


def test_two_films_of_a_drive_have_the_same_bytes_and_nothing_else_changes(copied, tmp_path):
    number = shortest(copied)
    before = files_of(copied)
    one, two = (go(copied, episode=number, out=str(tmp_path / name)).film for name in ("one.mp4", "two.mp4"))
    assert Path(one).read_bytes() == Path(two).read_bytes()
    assert files_of(copied) == before


def test_every_recorded_number_is_found_and_no_other(copied, drawn):
    known = episodes(copied)
    for number, episode in known.items():
        result = go(copied, episode=number)
        assert (result.episode, result.status) == (number, drawn[-1].status)
        assert (drawn[-1].steps["x"] == episode.steps["x"]).all()
    with pytest.raises(RunError, match=rf"has no episode {max(known) + 1} of training"):
        go(copied, episode=max(known) + 1)


def test_without_a_number_it_is_the_best_of_the_newest_evaluation(copied, drawn):
    assert go(copied).source.endswith("iteration.csv")
    assert drawn[0].phase == "training"
    results = [evaluate(EvaluateConfig(run=str(copied), trials=3, film="none")) for _ in range(2)]
    result = go(copied)
    assert Path(result.source).relative_to(copied).parts[0] == results[1].folder
    best = max(results[1].episodes, key=lambda episode: episode.progress)
    assert result.progress == pytest.approx(best.progress)
    assert result.film == str(copied / "videos" / f"{results[1].folder}-episode-{result.episode}.mp4")
    other = go(copied, evaluation=results[0].folder, episode=2)
    assert other.film == str(copied / "videos" / f"{results[0].folder}-episode-2.mp4")
    assert drawn[-1].phase == "evaluation"


def test_of_equals_the_fastest_is_the_best(drawn):
    assert job.best_of([drive(40), drive(30), drive(35), drive(9, status="off_track")]) == 1


def test_a_drive_on_another_track_needs_that_track(copied, drawn):
    evaluate(EvaluateConfig(run=str(copied), trials=1, track="oval", film="none"))
    with pytest.raises(TrackError, match=r"track of \d+\.\d+ m that is not kidney \(19\.45 m\); name it with --track"):
        go(copied)
    assert go(copied, track="oval").track == "oval"
    with pytest.raises(TrackError, match="that is not oval@reversed"):
        go(copied, track="oval@reversed")


def test_a_drive_that_begins_against_the_order_of_the_waypoints_was_of_the_other_direction():
    steps = drive(3, speed=0.0).steps  # at waypoint 0, which is the same either way round
    there = TracedEpisode(number=0, track_length=ring().length, steps=steps)
    assert job._fits(ring(), there)
    assert not job._fits(ring().reverse(), there)


@pytest.mark.parametrize("changes", [{"closest_waypoint": 900}, {"closest_waypoint": -1}, {"x": 4.0}])
def test_a_drive_whose_points_are_not_those_of_the_track_was_on_another(changes):
    steps = drive(3, speed=0.0).steps
    for name, value in changes.items():
        steps[name] = value
    assert not job._fits(ring(), TracedEpisode(number=0, track_length=ring().length, steps=steps))
    assert not job._fits(ring(), TracedEpisode(number=0, track_length=9.0, steps=drive(3).steps))


def test_a_trace_file_of_the_original_can_be_filmed(shared_data, tmp_path, drawn):
    trace = Path(shutil.copy(shared_data / "logs/drfc-single/training-simtrace/0-iteration.csv", tmp_path))
    with pytest.raises(ConfigError, match="does not tell on which track it was driven; name it with --track"):
        go(trace)
    route = str(shared_data / "tracks" / "reinvent_base.npy")
    result = go(trace, track=route, episode=3)
    assert result.film == str(tmp_path / "0-iteration-episode-3.mp4")
    assert len(drawn[0].steps) > 2
    with pytest.raises(TrackError, match="that is not kidney"):
        go(trace, track="kidney")


def test_a_gif_is_made_where_its_name_says_so_or_mp4_cannot_be_written(copied, tmp_path, monkeypatch):
    number = shortest(copied)
    made = go(copied, episode=number, out=str(tmp_path / "a.GIF"))
    with Image.open(made.film) as opened:
        assert opened.format == "GIF"
    monkeypatch.setattr(job, "can_write_mp4", lambda: False)
    assert go(copied, episode=number).film.endswith(".gif")
    with pytest.raises(ConfigError, match=r"MP4 needs the video extra: pip install 'lateapex\[video\]'"):
        go(copied, episode=number, out=str(tmp_path / "b.mp4"))


@pytest.mark.parametrize("out", ["film.avi", "film", "film.mp4/x"])
def test_a_file_of_another_kind_is_refused(copied, out):
    with pytest.raises(ConfigError, match=r"a name that ends in \.mp4 or \.gif is needed"):
        go(copied, out=out)


def test_an_evaluation_that_is_not_there_is_refused_with_those_that_are(copied):
    with pytest.raises(RunError, match="has no evaluation 'evaluation-1'; it has none yet"):
        go(copied, evaluation="evaluation-1")
    folder = evaluate(EvaluateConfig(run=str(copied), trials=1, film="none")).folder
    with pytest.raises(RunError, match=f"has no evaluation 'evaluation-1'; there are {folder}"):
        go(copied, evaluation="evaluation-1")


def test_a_run_without_records_and_a_broken_record_are_told(copied):
    traces = sorted((copied / "training-simtrace").iterdir())
    traces[-1].write_text("no trace\n")
    with pytest.raises(FormatError, match=f"{traces[-1].name}: line 1 has no column"):
        go(copied)
    for path in traces:
        path.unlink()
    with pytest.raises(RunError, match="has no recorded episode yet"):
        go(copied)


def test_a_film_that_is_cut_short_leaves_the_old_one(copied, monkeypatch):
    number = shortest(copied)
    kept = copied / "videos" / f"training-episode-{number}.mp4"
    kept.parent.mkdir()
    kept.write_bytes(b"old")

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "mp4_bytes", fail)
    with pytest.raises(KeyboardInterrupt):
        go(copied, episode=number)
    assert kept.read_bytes() == b"old"
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
