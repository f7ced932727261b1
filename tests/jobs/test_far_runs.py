"""Runs whose folder is a place in a bucket."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from made_bucket import Bucket
from made_workers import crew, shared_config
from small_runs import command, far_files, files_of, small_config, small_run, timeless

from lateapex.errors import RewardError, RunError, StorageError
from lateapex.jobs import train as job
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.film import FilmConfig, film
from lateapex.jobs.import_run import ImportConfig, import_run
from lateapex.jobs.remove_runs import delete_run, prune_run, removable
from lateapex.jobs.run_folder import SETTINGS, open_run
from lateapex.jobs.runs import compare_runs, list_runs, show_run, summarise
from lateapex.storage import open_storage

CLOCK_FREE = {"trainer": {"evaluation_interval": 1}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same run on disk."""
    return timeless(files_of(small_run(tmp_path_factory.mktemp("whole") / "run", **CLOCK_FREE)))


def far_run(url: str, **changes) -> str:
    return job.train(small_config(url, **changes)).url


def test_a_run_in_a_bucket_is_the_same_as_on_disk(place, whole):
    url = far_run(f"{place}/one", **CLOCK_FREE)
    assert url == f"{place}/one"
    assert timeless(far_files(url)) == whole


def test_a_run_in_a_bucket_goes_on_as_if_nothing_had_stopped_it(place, whole):
    def observe(trainer, storage, config):
        count = trainer._count

        def stopping(rollout):
            count(rollout)
            trainer.stopping = trainer.progress.updates == 2

        trainer._count = stopping
        return {}

    first = job.train(small_config(f"{place}/one", **CLOCK_FREE), observe)
    assert first.outcome == "stopped"
    again = job.resume(first.url)
    assert timeless(far_files(first.url)) == whole
    assert again.size == sum(len(data) for data in far_files(first.url).values())


def test_it_is_evaluated_filmed_listed_shown_and_compared_there(place, tmp_path):
    urls = [far_run(f"{place}/one"), far_run(f"{place}/group/two", seed=8)]
    result = evaluate(EvaluateConfig(run=urls[0], trials=2, film="none"))
    assert result.tracks[0].laps_picture == f"{urls[0]}/{result.folder}/laps.png"
    assert open_storage(urls[0]).exists(f"{result.folder}/laps.png")
    filmed = film(FilmConfig(run=urls[0], out=f"{place}/films/lap.gif", episode=0))
    assert filmed.film == f"{place}/films/lap.gif"
    assert open_storage(f"{place}/films").read("lap.gif").startswith(b"GIF")
    trace = f"{urls[0]}/{result.folder}/evaluation-simtrace/0-iteration.csv"
    near = film(FilmConfig(run=trace, track="kidney", out=str(tmp_path / "lap.gif")))
    assert (near.film, near.source) == (str(tmp_path / "lap.gif"), trace)
    found = list_runs(place)
    assert {run.run for run in found.runs} == set(urls)
    assert found.damaged == []
    assert all(run.changed > 0 and run.size > 0 for run in found.runs)
    assert show_run(urls[0]).summary == summarise(urls[0])
    assert set(compare_runs(urls).differences) == {"seed"}


def test_another_run_starts_from_it_or_repeats_it(place, tmp_path):
    reward = tmp_path / "mine.py"
    reward.write_text("def reward_function(params):\n    return params['speed']\n")
    url = far_run(f"{place}/one", reward=str(reward), trainer={"steps": 64})
    again = job.train_config({"out": str(tmp_path / "again")}, file=url)
    assert (again.reward, again.seed) == (f"{url}/reward_function.py", 7)
    job.train(again)
    assert (tmp_path / "again/reward_function.py").read_text() == reward.read_text()
    assert job.train(small_config(tmp_path / "child", pretrained=url, reward=str(reward))).steps == 128


def test_old_versions_are_pruned_and_runs_deleted_there(place):
    url = far_run(f"{place}/one", **CLOCK_FREE)
    with pytest.raises(RunError, match=r"changed \d+ s ago and may be in training"):
        removable(url)
    pruned = prune_run(url, 1, force=True)
    assert pruned.removed
    assert pruned.freed > 0
    assert not any(open_storage(url).exists(f"model/{name}") for name in pruned.removed)
    doomed = removable(url, force=True)
    assert delete_run(doomed) == doomed.size > 0
    assert open_storage(url).list() == []


def test_a_model_is_imported_into_a_bucket(place, shared_data, tmp_path):
    source = shared_data / "logs" / "drfc-multi"
    url = import_run(ImportConfig(source=str(source), out=f"{place}/theirs")).run
    assert url == f"{place}/theirs"
    local = import_run(ImportConfig(source=str(source), out=str(tmp_path / "theirs"))).run
    assert far_files(url) == files_of(Path(local))
    with pytest.raises(RunError, match="is there already"):
        import_run(ImportConfig(source=str(source), out=url))


def test_trainer_workers_and_run_share_nothing_but_a_bucket(place):
    with crew(f"{place}/meeting"):
        result = job.train(shared_config(f"{place}/run", f"{place}/meeting"))
    assert result.ledger.balanced
    assert json.loads(open_storage(result.url).read("metrics/ledger.json")) == result.ledger.summary()
    assert summarise(result.url).steps == result.steps


def test_a_place_that_holds_a_run_or_files_of_one_is_not_written_over(place):
    url = far_run(f"{place}/one", trainer={"steps": 32})
    before = far_files(url)
    with pytest.raises(RunError, match="already holds a run; go on with it"):
        far_run(url)
    open_storage(f"{place}/two").write("reward_function.py", b"mine")
    with pytest.raises(RunError, match=r"already has reward_function\.py, which a run would replace"):
        far_run(f"{place}/two")
    assert far_files(url) == before
    assert far_files(f"{place}/two") == {"reward_function.py": b"mine"}


def test_a_run_that_fails_before_its_first_update_leaves_nothing(place, tmp_path):
    reward = tmp_path / "mine.py"
    reward.write_text("def reward_function(params):\n    return params['nothing']\n")
    with pytest.raises(RewardError):
        far_run(f"{place}/one", reward=str(reward))
    assert open_storage(place).list() == []


def test_a_place_without_a_run_is_told(place):
    for ask in (open_run, lambda url: evaluate(EvaluateConfig(run=url)), job.resume):
        with pytest.raises(RunError, match=r"holds no run: it has no run\.toml; give the place that lateapex train"):
            ask(f"{place}/nothing")


def test_a_damaged_run_is_listed_as_such(place, tmp_path):
    url = far_run(f"{place}/one", trainer={"steps": 32})
    open_storage(url).delete(SETTINGS)
    ((run, reason),) = list_runs(place).damaged
    assert run == url
    assert "has no run.toml" in reason


def test_the_command_line_takes_places_in_buckets(place, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = f"{place}/one"
    said = command(capsys, "train", "--track", "oval", "--steps", 64, "--cars", 2, "--out", url)
    assert f"saved {url}" in said.out
    assert command(capsys, "evaluate", url, "--trials", 1, "--film", "none").code == 0
    assert "oval" in command(capsys, "runs", "list", "--folder", place).out
    assert command(capsys, "runs", "delete", url, "--yes", "--force").code == 0
    assert open_storage(place).list() == []
    assert "holds no run" in command(capsys, "runs", "show", url).error
    assert list(tmp_path.iterdir()) == []


def test_logs_in_a_bucket_are_written_with_the_state_not_with_each_update(monkeypatch):
    bucket = Bucket()
    puts: list[str] = []
    put = bucket.put_object
    bucket.put_object = lambda **words: (puts.append(words["Key"]), put(**words))[1]
    monkeypatch.setattr("lateapex.storage_s3._client", lambda patience: bucket)
    far_run("s3://bucket/run", trainer={"steps": 640, "evaluation_interval": 100, "save_seconds": 1e9})
    assert puts.count("run/logs/training.jsonl") <= 3


def test_a_store_that_goes_away_keeps_what_was_saved(monkeypatch):
    bucket = Bucket()
    monkeypatch.setattr("lateapex.storage_s3._client", lambda patience: bucket)
    monkeypatch.setattr("lateapex.storage_s3.S3Storage._patiently", _once)
    put, left = bucket.put_object, iter(range(40))

    def away(**words):
        if next(left, None) is None:
            raise ConnectionError
        return put(**words)

    bucket.put_object = away
    with pytest.raises(StorageError, match="is gone"):
        far_run("s3://bucket/run", trainer={"steps": 6400}, cars=2)
    bucket.put_object = put
    assert job.resume("s3://bucket/run", {"trainer": {"steps": 320}}).steps >= 320


def _once(self, verb, name, attempt):
    with self._told(verb, name):
        try:
            return attempt()
        except ConnectionError:
            raise StorageError("the store is gone") from None


def test_runs_are_copied_between_disk_and_bucket(place, whole, tmp_path):
    url = far_run(f"{place}/one", **CLOCK_FREE)
    near = tmp_path / "near"
    for name, data in far_files(url).items():
        (near / name).parent.mkdir(parents=True, exist_ok=True)
        (near / name).write_bytes(data)
    assert job.resume(str(near)).outcome == "steps"
    assert timeless(files_of(near)) == whole
    shutil.rmtree(near)
