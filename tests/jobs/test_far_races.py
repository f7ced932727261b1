"""Races whose folder is a place in a bucket, between models that are there or here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_runs import command, far_files, files_of, small_run, timeless

from lateapex.errors import RunError
from lateapex.jobs import race_film
from lateapex.jobs.film import FilmFile
from lateapex.jobs.race import race
from lateapex.jobs.race_folder import RaceJobConfig
from lateapex.jobs.race_verify import verify_race
from lateapex.jobs.runs import list_runs
from lateapex.storage import open_storage

DUEL = {"track": "oval", "mode": "head-to-head", "trials": 1, "resets": 1, "threads": 1}


@pytest.fixture(scope="module")
def rivals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two short runs on disk; to be read only."""
    folder = tmp_path_factory.mktemp("rivals")
    trainer = {"steps": 32, "evaluation_trials": 1}
    return small_run(folder / "anna", trainer=trainer), small_run(folder / "ben", seed=9, trainer=trainer)


def uploaded(run: Path, url: str) -> str:
    storage = open_storage(url)
    for name, data in files_of(run).items():
        storage.write(name, data)
    return url


def test_a_race_of_models_in_a_bucket_is_the_same_there_as_on_disk(
    place: str, rivals: tuple[Path, Path], tmp_path: Path
) -> None:
    runs = tuple(uploaded(run, f"{place}/runs/{run.name}") for run in rivals)
    near = race(RaceJobConfig(runs=tuple(map(str, rivals)), out=str(tmp_path / "duel"), **DUEL))
    far = race(RaceJobConfig(runs=runs, out=f"{place}/races/duel", **DUEL))
    assert (far.folder, far.winner) == (f"{place}/races/duel", near.winner)
    one, two = timeless(far_files(far.folder)), timeless(files_of(tmp_path / "duel"))
    assert one.keys() == two.keys()
    for name in one.keys() - {"race.toml", "results.json"}:  # which name the runs
        assert one[name] == two[name], name
    results = [json.loads(files["results.json"]) for files in (one, two)]
    assert [entry["run"] for entry in results[0]["entries"]] == list(runs)
    assert results[0]["matches"] == results[1]["matches"]
    # Copies of what raced are no runs of the racer's.
    assert {run.run for run in list_runs(f"{place}/runs").runs} == set(runs)


def test_it_is_verified_there_and_what_was_changed_is_found(place: str, rivals: tuple[Path, Path]) -> None:
    url = race(RaceJobConfig(runs=tuple(map(str, rivals)), out=f"{place}/duel", **DUEL)).folder
    assert [(verdict.same, verdict.drives, verdict.trace) for verdict in verify_race(url)] == [(2, 2, True)] * 2
    storage = open_storage(url)
    trace = storage.read("traces/1.csv")
    storage.write("traces/1.csv", trace.replace(b"in_progress", b"off_track", 1))
    assert [(verdict.same, verdict.trace) for verdict in verify_race(url)] == [(2, False)] * 2
    (model,) = (name for name in storage.list("entries/anna/model/") if name.endswith(".pt"))
    storage.write(model, storage.read(model.replace("anna", "ben")))
    with pytest.raises(RunError, match=r"is not the model that raced: sha256"):
        verify_race(url)


def test_the_command_races_films_and_verifies_there(
    place: str,
    rivals: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(race_film, "draw_film", lambda *_, **__: FilmFile(".mp4", b"film"))
    words = ("race", *rivals, "--track", "oval", "--trials", 1, "--out", f"{place}/league", "--video")
    said = command(capsys, *words)
    assert said.code == 0, said
    assert f"page   {place}/league/race.html" in said.out
    assert f"film   {place}/league/winner.mp4" in said.out
    storage = open_storage(f"{place}/league")
    assert storage.read("winner.mp4") == b"film"
    assert 'src="winner.mp4"' in storage.read("race.html").decode()
    assert command(capsys, "race", "--verify", f"{place}/league").code == 0
    again = command(capsys, *words)
    assert again.error == f"{place}/league holds something already; choose another --out"
    nothing = command(capsys, "race", "--verify", f"{place}/nothing")
    assert nothing.error == f"{place}/nothing holds no race; give the folder that lateapex race named"
    assert list(tmp_path.iterdir()) == []


def test_a_race_is_copied_from_a_bucket_to_disk_and_verified_here(
    place: str, rivals: tuple[Path, Path], tmp_path: Path
) -> None:
    url = race(RaceJobConfig(runs=tuple(map(str, rivals)), out=f"{place}/duel", **DUEL)).folder
    for name, data in far_files(url).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert all(verdict.same == verdict.drives and verdict.trace for verdict in verify_race(str(tmp_path)))
