"""Runs whose workers wait for nobody: in this process, where what is learned from is still the same each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_runs import command, files_of, small_config, timeless

from lateapex.errors import ConfigError
from lateapex.jobs.train import TrainConfig, resume, train, train_config
from lateapex.training.trainer import Trainer

STEPS = 8 * 16 * 5


def config(out: Path, max_stale: int = 1, workers: int = 2, **changes: Any) -> TrainConfig:
    """Of a run of 8 cars and 5 updates."""
    trainer = {"steps": STEPS, "evaluation_interval": 3, **changes.pop("trainer", {})}
    crew = {"count": workers, "workplace": "local", "max_stale": max_stale}
    return small_config(out, cars=8, trainer=trainer, workers=crew, **changes)


def updates(folder: Path) -> list[dict[str, Any]]:
    """Records of a run's updates."""
    records = [json.loads(line) for line in (folder / "logs" / "training.jsonl").read_text().splitlines()]
    return [record for record in records if "losses" in record]


def test_updates_tell_how_old_their_experience_was_and_the_account_is_kept(tmp_path):
    result = train(config(tmp_path / "run"))
    assert result.steps == STEPS
    found = updates(tmp_path / "run")
    assert [update["losses"].get("versions_behind") for update in found] == [None, 1.0, 1.0, 1.0, 1.0]
    assert all(0.0 < update["losses"]["mean_weight"] <= 1.0 for update in found[1:])
    assert all(update["seconds"].keys() >= {"workers", "update"} for update in found)
    account = json.loads((tmp_path / "run" / "metrics" / "ledger.json").read_text())
    assert result.ledger is not None
    assert account == result.ledger.summary()
    assert (account["produced"], account["trained"], account["discarded"]["unused"]) == (12, 10, 2)
    assert account["balanced"]


def test_in_one_process_the_same_seed_gives_the_same_run(tmp_path):
    one, other = (timeless(files_of(small_path(tmp_path / name))) for name in ("one", "other"))
    assert sorted(name for name in one if one[name] != other[name]) == []


def small_path(out: Path) -> Path:
    """The folder of such a run."""
    train(config(out))
    return out


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm": "sac", "sac": {"batch_size": 16}},
        {"teacher": {"kind": "centre_line", "steps": 200}},
        {"trainer": {"rollout_episodes": 2, "rollout_steps": 100}},
    ],
    ids=["sac", "teacher", "by episodes"],
)
def test_other_ways_to_learn_do_so_too(tmp_path, changes):
    result = train(config(tmp_path / "run", 2, **changes))
    assert result.outcome == "steps"
    assert result.ledger is not None
    assert result.ledger.balanced
    assert result.ledger.trained * 8 * 16 // 2 >= STEPS or "trainer" in changes


@pytest.mark.parametrize(("max_stale", "workers"), [(1, 4), (0, 2), (1, 0)])
def test_a_run_goes_on_from_what_was_saved_with_any_workers(tmp_path, max_stale, workers):
    train(config(tmp_path / "run", trainer={"steps": 8 * 16 * 2}))
    changes = {"trainer": {"steps": STEPS}, "workers": {"count": workers, "max_stale": max_stale}}
    result = resume(str(tmp_path / "run"), changes)
    assert (result.outcome, result.steps) == ("steps", STEPS)
    assert [update["iteration"] for update in updates(tmp_path / "run")] == [1, 2, 3, 4, 5]
    if max_stale and workers:
        assert result.ledger is not None
        assert result.ledger.trained == 2 * 2 + 3 * 4
        assert result.ledger.balanced


def test_a_run_that_is_stopped_saves_and_accounts_for_all(tmp_path):
    class Stop:
        """Ends the run after its second update."""

        def __init__(self, trainer: Trainer) -> None:
            self.trainer = trainer

        def write(self, record: object) -> None:
            self.trainer.stopping = self.trainer.progress.updates >= 2

        def state(self) -> dict[str, int]:
            return {}

        def restore(self, state: object) -> None:
            del state

        def close(self) -> None:
            return

    result = train(config(tmp_path / "run"), lambda trainer, storage, config: {"stop": Stop(trainer)})
    assert (result.outcome, result.updates) == ("stopped", 2)
    assert result.ledger is not None
    assert (result.ledger.trained, result.ledger.waiting) == (4, 0)
    assert resume(str(tmp_path / "run")).steps == STEPS


def test_the_command_line_tells_what_became_of_all(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr("lateapex.jobs.train.train", lambda whole, *_: seen.append(whole) or train(whole))
    (tmp_path / "train.toml").write_text(
        "torch_threads = 1\nthreads = 1\ncars = 4\n[workers]\nworkplace = 'local'\n"
        "[trainer]\nrollout_steps = 8\nevaluation_trials = 2\n"
    )
    words = ["--config", tmp_path / "train.toml", "--out", tmp_path / "run", "--steps", 96]
    said = command(capsys, "train", *words, "--workers", 2, "--max-stale", 1, "--json")
    assert json.loads(said.out)["ledger"]["trained"] == 6
    assert "what became of the workers' batches:" in said.err
    assert (seen[0].workers.count, seen[0].workers.max_stale) == (2, 1)
    said = command(capsys, "train", "--resume", tmp_path / "run", "--steps", 128, "--max-stale", 0, "--json")
    assert "ledger" not in json.loads(said.out)


# ----------------------------------------------------------------------------------------------------- what is refused


def test_what_remembers_steps_by_cars_needs_equal_shares(tmp_path):
    with pytest.raises(ConfigError, match=r"8 cars are not as many .* 3 workers, which algorithm sac .* --cars 9, or"):
        small_run_of(tmp_path / "run", algorithm="sac")
    with pytest.raises(ConfigError, match=r"which a teacher needs .* --max-stale 0"):
        small_run_of(tmp_path / "run", teacher={"kind": "centre_line"})
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"96 cars are not as many for each of 2 workers, .* --cars 128, or"):
        train(config(tmp_path / "run", algorithm="sac").model_copy(update={"cars": 96}))


def small_run_of(out: Path, **changes: Any) -> None:
    """A run of 8 cars and 3 workers."""
    train(config(out, 3, 3, **changes))


def test_workers_whose_rollouts_make_updates_of_their_own_need_room(tmp_path):
    with pytest.raises(ConfigError, match=r"max_stale is 1, .* 2 workers are 2 versions behind; give --max-stale 2 or"):
        train(config(tmp_path / "run", trainer={"rollout_episodes": 3}))


def test_a_bound_without_workers_does_nothing_and_is_refused(tmp_path, capsys):
    said = command(capsys, "train", "--max-stale", 2, "--out", tmp_path / "run")
    assert said.error == (
        "command line: --max-stale (workers.max_stale) is given, but no workers that it is for; give --workers N "
        "too, or leave it out; at an exchange it is max_stale of the table [exchange]"
    )
    said = command(capsys, "train", "--max-stale", -1, "--workers", 2, "--out", tmp_path / "run")
    assert "workers.max_stale" in said.error
    assert train_config({"workers": {"count": 0, "max_stale": 2}}).workers.max_stale == 2
