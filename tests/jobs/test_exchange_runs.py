"""Training whose experience comes from workers that share nothing but a storage with the trainer."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from made_workers import Crew, crew, shared_config, shared_run
from small_runs import command, small_run

from lateapex.errors import ConfigError, RewardError, RunError
from lateapex.jobs import train as job
from lateapex.jobs.config_file import read_config_file
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.exchange_config import ExchangeConfig, share_cars
from lateapex.jobs.run_folder import read_settings
from lateapex.jobs.runs import log_of
from lateapex.jobs.worker import WorkerConfig, share_seed, work
from lateapex.records import UpdateRecord
from lateapex.storage import DiskStorage
from lateapex.training.checkpoint import load_state
from lateapex.workers.batch_format import unpack
from lateapex.workers.exchange import BATCHES
from lateapex.workers.trainer_side import read_ledger
from lateapex.workers.versions import read_pointer


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run that two workers drove, and its exchange."""
    folder = tmp_path_factory.mktemp("shared")
    return shared_run(folder / "run", folder / "exchange"), folder / "exchange"


def test_workers_drive_and_the_trainer_learns(done):
    result, exchange = done
    assert result.outcome == "steps"
    assert result.steps >= 256
    assert result.ledger.balanced
    assert result.ledger.waiting == 0
    assert result.ledger.trained * 32 == result.steps
    updates = [record for record in log_of(DiskStorage(result.url)) if isinstance(record, UpdateRecord)]
    assert len(updates) == result.updates
    assert set(updates[-1].seconds) == {"simulate", "exchange", "update", "save"}
    assert json.loads(Path(result.url, "metrics/ledger.json").read_text()) == result.ledger.summary()
    assert read_ledger(DiskStorage(exchange)).summary() == result.ledger.summary()
    assert read_pointer(DiskStorage(exchange)).finished


def test_the_run_is_one_like_any_other(done):
    result, _ = done
    (track,) = evaluate(EvaluateConfig(run=result.url, trials=2, film="none")).tracks
    assert len(track.episodes) == 2
    assert list(Path(result.url).glob("training-simtrace/*-iteration.csv"))


def test_the_exchange_is_left_with_settings_and_versions_alone(done):
    _, exchange = done
    names = DiskStorage(exchange).list()
    assert [name for name in names if name.startswith(("batches/", "announced/"))] == []
    assert {"run/run.toml", "run/reward_function.py", "run/model/model_metadata.json"} <= set(names)


def test_batches_can_be_kept_as_a_dataset(tmp_path):
    result = shared_run(tmp_path / "run", tmp_path / "exchange", exchange={"keep": True})
    place = DiskStorage(tmp_path / "exchange")
    names = place.list(BATCHES)
    assert len(names) >= result.ledger.trained
    batch = unpack(place.read(names[0]), names[0])
    assert batch.reward.shape == (16, 2)


def test_the_keys_of_batches_can_be_elsewhere_and_workers_find_them(tmp_path):
    seen: list[str] = []
    place, keys = tmp_path / "exchange", tmp_path / "keys"

    def observe(trainer, storage, config):
        settle = trainer.collector.side.settle
        trainer.collector.side.settle = lambda snapshot: (seen.extend(DiskStorage(keys).list()), settle(snapshot))
        return {}

    with crew(place):
        result = job.train(shared_config(tmp_path / "run", place, exchange={"keys": str(keys)}), observe)
    assert_balanced(result)
    assert {name.partition("/")[0] for name in seen} == {"announced"}
    assert not (place / "announced").exists()
    assert DiskStorage(keys).list() == []


def assert_balanced(result):
    assert result.outcome == "steps"
    assert result.ledger.trained > 0
    assert result.ledger.balanced


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm": "sac", "sac": {"batch_size": 16, "updates_per_step": 0.1}},
        {"trainer": {"rollout_episodes": 1, "rollout_steps": 32}},
        {"teacher": {"kind": "centre_line", "steps": 96, "batch_size": 16}},
        {"network": "recurrent"},
        {"exploration": {"exploration_type": "e-greedy", "epsilon_steps": 100}},
        {"race": {"race_type": "HEAD_TO_MODEL", "cars_per_world": 2}},
        {"trainer": {"evaluation_starts": "training"}},
        {"sandbox": True},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_whatever_can_be_trained_can_be_shared_out(tmp_path, changes):
    result = shared_run(tmp_path / "run", tmp_path / "exchange", **changes)
    assert result.outcome == "steps"
    assert result.ledger.balanced


def test_a_run_goes_on_at_its_exchange(tmp_path):
    first = shared_run(tmp_path / "run", tmp_path / "exchange", trainer={"steps": 128})
    with crew(tmp_path / "exchange", 0) as workers:
        threading.Timer(0.5, workers.hire, [2]).start()  # those that come before it goes on find that it has ended
        again = job.resume(first.url, {"trainer": {"steps": 256}})
        assert again.steps >= 256
    assert again.updates > first.updates
    assert again.ledger.trained > first.ledger.trained
    assert again.ledger.balanced


def test_the_state_holds_the_account(done):
    state = load_state(DiskStorage(done[0].url))
    assert state["collector"]["exchange"]["run"] == read_settings(DiskStorage(done[0].url))["exchange"]["run"]
    assert state["collector"]["steps"] == done[0].steps


# ------------------------------------------------------------------------------------------------------------------ end


def test_a_run_without_workers_ends_when_its_time_is_up(tmp_path):
    said: list[str] = []
    config = shared_config(tmp_path / "run", tmp_path / "exchange", trainer={"duration": 0.5})
    result = job.train(config, tell=said.append)
    assert (result.outcome, result.steps, result.ledger.produced) == ("duration", 0, 0)


def test_a_run_that_waits_for_workers_stops_as_asked(tmp_path):
    def observe(trainer, storage, config):
        threading.Timer(0.3, lambda: setattr(trainer, "stopping", True)).start()
        return {}

    result = job.train(shared_config(tmp_path / "run", tmp_path / "exchange"), observe)
    assert result.outcome == "stopped"
    assert read_pointer(DiskStorage(tmp_path / "exchange")).finished


def test_a_worker_stops_as_asked_and_its_share_is_free_at_once(tmp_path):
    trainer = {"steps": 1600, "evaluation_interval": 1000, "save_seconds": 1000.0}
    with crew(tmp_path / "exchange", 0) as late:

        def replace(trainer, storage, config):
            def change() -> None:
                while trainer.progress.updates < 2:
                    time.sleep(0.01)
                first.stop.set()
                first.join()
                late.hire(2)

            threading.Thread(target=change).start()
            return {}

        with crew(tmp_path / "exchange") as first:
            result = job.train(shared_config(tmp_path / "run", tmp_path / "exchange", trainer=trainer), replace)
    assert {each.ended for each in first.results} == {"stopped"}
    assert {each.ended for each in late.results} == {"finished"}
    assert result.ledger.balanced


def test_a_worker_gives_up_when_its_patience_ends(tmp_path):
    with pytest.raises(RunError, match=r"has no trainer: start one with lateapex train --exchange, for 0.1 s"):
        work(WorkerConfig(exchange=str(tmp_path), patience_s=0.1), print)


def test_a_worker_whose_reward_fails_says_so_and_leaves_its_share(tmp_path):
    reward = tmp_path / "reward_function.py"
    reward.write_text("def reward_function(params):\n    return 1.0 if params['steps'] < 5 else params['nothing']\n")
    config = shared_config(tmp_path / "run", tmp_path / "exchange", reward=str(reward))

    workers = Crew(tmp_path / "exchange")

    def observe(trainer, storage, config):
        def until() -> None:
            workers.join()
            trainer.stopping = True

        threading.Thread(target=until).start()
        return {}

    workers.hire()
    job.train(config, observe)
    workers.join()
    assert isinstance(workers.errors[0], RewardError)
    assert json.loads((tmp_path / "exchange/shares/0000.json").read_text())["released"]


# -------------------------------------------------------------------------------------------------------------- refusal


def test_a_second_run_at_an_exchange_refuses_to_start(capsys, done, tmp_path):
    out = tmp_path / "second"
    words = ("--track", "oval", "--cars", 4, "--exchange", done[1], "--shares", 2, "--out", out)
    said = command(capsys, "train", *words)
    assert "is the exchange of another run" in said.error
    assert "choose an empty place with --exchange" in said.error
    assert not out.exists()


def test_a_second_trainer_of_a_run_refuses_to_start(tmp_path):
    config = shared_config(tmp_path / "run", tmp_path / "exchange", exchange={"ttl_s": 1.0}, trainer={"steps": 10_000})
    found: list[str] = []

    def observe(trainer, storage, _):
        def second() -> None:
            try:
                job.resume(storage.url)
            except RunError as error:
                found.append(str(error))
            trainer.stopping = True

        threading.Thread(target=second).start()
        return {}

    result = job.train(config, observe)
    assert result.outcome == "stopped"
    (said,) = found
    assert "has a trainer already" in said
    assert "stop it first" in said


@pytest.mark.parametrize(
    ("cars", "shares", "tracks", "message"),
    [
        (32, 5, 1, r"32 cars cannot be dealt out to 5 shares, as many to each; give --cars 30 or other --shares"),
        (2, 4, 1, r"2 cars cannot be dealt out to 4 shares, as many to each; give --cars 4 or other --shares"),
        (8, 4, 3, r"each of 4 shares has 2 cars, fewer than there are tracks \(3\); give --cars 12 or more"),
    ],
)
def test_cars_that_cannot_be_shared_out_are_told(cars, shares, tracks, message):
    with pytest.raises(ConfigError, match=message):
        share_cars(ExchangeConfig(shares=shares), cars, tracks)


def test_nothing_is_written_where_cars_cannot_be_shared_out(tmp_path):
    with pytest.raises(ConfigError, match="cannot be dealt out"):
        job.train(shared_config(tmp_path / "run", tmp_path / "exchange", exchange={"shares": 3}))
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------- settings


def test_each_share_and_each_of_its_workers_has_a_seed_of_its_own():
    seeds = {share_seed(seed, share, worker) for seed in range(3) for share in range(5) for worker in range(1, 5)}
    assert len(seeds) == 60
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert share_seed(1, 2, 3) == share_seed(1, 2, 3)


def test_another_run_from_this_one_is_at_no_exchange(done):
    assert "exchange" not in read_config_file(done[0].url)
    assert job.train_config({"pretrained": done[0].url}).exchange.url is None


def test_the_place_in_a_settings_file_is_relative_to_it(tmp_path):
    file = tmp_path / "train.toml"
    file.write_text('[exchange]\nurl = "meeting"\n')
    assert read_config_file(str(file))["exchange"]["url"] == str(tmp_path / "meeting")
    file.write_text('[exchange]\nurl = "s3://bucket/meeting"\n')
    assert read_config_file(str(file))["exchange"]["url"] == "s3://bucket/meeting"


def test_settings_of_an_exchange_that_is_not_there_are_refused_wherever_they_stand(tmp_path):
    file = tmp_path / "train.toml"
    file.write_text("[exchange]\nahead = 3\n")
    with pytest.raises(ConfigError, match=r"train\.toml: exchange\.ahead is given, but no exchange"):
        job.train_config({}, "command line", str(file))
    # The place may be told beside the file, or the other way round.
    assert job.train_config({"exchange": {"url": "meeting"}}, "command line", str(file)).exchange.ahead == 3
    file.write_text('[exchange]\nurl = "meeting"\n')
    assert job.train_config({"exchange": {"shares": 2}}, "command line", str(file)).exchange.shares == 2


def test_the_command_line_trains_and_works(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with crew(tmp_path / "meeting", 2):
        said = command(
            *(capsys, "train", "--track", "oval", "--cars", 4, "--exchange", "meeting", "--shares", 2),
            *("--keep", "--keep", 3, "--steps", 256, "--out", "run", "--json"),
        )
    line = json.loads(said.out)
    assert line["ledger"]["balanced"]
    assert line["ledger"]["trained"] > 0
    assert "\n  trained once " in said.err
    assert "\n  balanced\n" in said.err
    assert DiskStorage("meeting").list(BATCHES)
    said = command(capsys, "worker", "--exchange", "meeting", "--json")
    assert json.loads(said.out)["ended"] == "finished"
    assert "training has ended: 0 batches" in said.err
    refused = command(capsys, "train", "--resume", "run", "--exchange", "elsewhere")
    assert "--exchange cannot be changed" in refused.error
    assert "patience_s" in command(capsys, "worker", "--exchange", "meeting", "--patience", "-1").error


def test_a_local_run_knows_nothing_of_it(tmp_path):
    run = small_run(tmp_path / "run")
    assert not (run / "metrics/ledger.json").exists()
