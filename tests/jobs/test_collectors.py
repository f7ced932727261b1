"""Runs whose cars are shared out among workers are the runs that they would be without them."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_networks import TINY
from small_runs import command, files_of, small_config, small_run, timeless

from lateapex.errors import ConfigError, RewardError
from lateapex.jobs.collectors import shares
from lateapex.jobs.train import resume, train
from lateapex.models.policy import BLOCK
from lateapex.storage import DiskStorage
from lateapex.training.checkpoint import load_version

BOXES = {"race_type": "OBJECT_AVOIDANCE", "randomize_obstacle_locations": True, "number_of_obstacles": 8}
TEACHER = {"kind": "centre_line", "steps": 200}
RUNS = {
    "plain": {},
    "by episodes": {"trainer": {"rollout_episodes": 3, "rollout_steps": 100}},
    "sac": {"algorithm": "sac", "sac": {"batch_size": 16}},
    "boxes": {"race": BOXES},
    "models": {"race": {"race_type": "HEAD_TO_MODEL", "cars_per_world": 2}},
    "sandbox": {"sandbox": True},
    "teacher": {"teacher": TEACHER, "critic": "state", "mirror": True},
    "greedy": {"exploration": {"exploration_type": "e-greedy", "epsilon_steps": 300}},
    "two tracks": {
        "track": "oval,kidney@reversed",
        "network": "recurrent",
        "trainer": {"evaluation_starts": "training"},
    },
}
PRINTS = """
import random

def reward_function(params):
    print("at", params["steps"])
    return random.random()
"""


def run(out: Path, workers: int, **changes: object) -> dict[str, object]:
    """A run of 8 cars and 3 updates; its files, but for those that tell of the workers."""
    trainer = {"steps": 8 * 16 * 3, "evaluation_interval": 2, **changes.pop("trainer", {})}  # type: ignore[dict-item] # it is one
    crew = {"count": workers, "workplace": "local"}
    folder = small_run(out, cars=8, trainer=trainer, workers=crew, **changes)
    files = timeless(files_of(folder))
    files["run.toml"] = [line for line in files["run.toml"] if not line.startswith(("count", "workplace"))]
    return files


def differing(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """Names of files that differ: what differs in them would fill the screen."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] * (name not in ("plain", "boxes", "sac"))) for name in RUNS],
)
def test_any_number_of_workers_gives_the_run_of_none(tmp_path, name):
    alone = run(tmp_path / "alone", 0, **RUNS[name])
    assert any(file.startswith("training-simtrace/") for file in alone)
    for workers in (1, 2, 4) if name == "plain" else (4,):
        assert differing(run(tmp_path / str(workers), workers, **RUNS[name]), alone) == []


def test_so_it_is_with_a_network_of_ones_own(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    network = f"{tmp_path / 'tiny.py'}:Tiny"
    runs = [run(tmp_path / str(workers), workers, network=network, scene="mild") for workers in (0, 2)]
    assert differing(*runs) == []


def test_a_run_goes_on_with_another_number_of_workers_than_it_was_saved_with(tmp_path):
    alone = run(tmp_path / "alone", 0, trainer={"steps": 8 * 16 * 4})
    run(tmp_path / "run", 2, trainer={"steps": 8 * 16})
    for steps, workers in ((8 * 16 * 2, 4), (8 * 16 * 3, 0), (8 * 16 * 4, 1)):
        changes = {"trainer": {"steps": steps}, "workers": {"count": workers}}
        resume(str(tmp_path / "run"), changes)
    again = timeless(files_of(tmp_path / "run"))
    states = [files["model/training_state.pt"] for files in (alone, again)]
    for part in ("weights", "algorithm", "collector"):
        assert differing(states[0][part], states[1][part]) == []
    traces = [[files[name] for name in files if name.startswith("training-simtrace/")] for files in (alone, again)]
    assert traces[0] == traces[1]
    weights = [load_version(DiskStorage(tmp_path / name), "last")[1].state_dict() for name in ("alone", "run")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_what_rewards_print_comes_home_worker_by_worker(tmp_path):
    (tmp_path / "prints.py").write_text(PRINTS)
    trainer = {"steps": 8 * 16}
    run(tmp_path / "run", 2, reward=str(tmp_path / "prints.py"), trainer=trainer)
    lines = (tmp_path / "run" / "logs" / "reward_prints.log").read_text().splitlines()
    steps = [float(line.removeprefix("at ")) for line in lines if line.startswith("at ")]
    # Each worker may print 30 lines in a second of driving, so the second one's begin again at step 2.
    assert steps[0] == 2
    assert max(steps[:30]) > 2
    assert 2 in steps[31:]


def test_a_reward_that_fails_elsewhere_is_told_as_if_it_had_failed_here(tmp_path):
    (tmp_path / "bad.py").write_text("def reward_function(params):\n    return params['heading_angle']\n")
    for workers in (0, 2):
        with pytest.raises(RewardError, match=r"bad\.py:2: KeyError 'heading_angle', at step 2 of episode 0"):
            run(tmp_path / "run", workers, reward=str(tmp_path / "bad.py"))
        assert not (tmp_path / "run").exists()


SHORT = {"steps": 8 * 4, "rollout_steps": 4}
"""Episodes of training are no longer than five steps, those of the evaluation are."""


def test_what_rewards_print_in_an_evaluation_comes_home_too(tmp_path):
    text = PRINTS.replace('print("at"', 'params["steps"] > 5 and print("at"')
    (tmp_path / "prints.py").write_text(text)
    logs = []
    for workers in (0, 2):
        run(tmp_path / str(workers), workers, reward=str(tmp_path / "prints.py"), trainer=SHORT)
        logs.append((tmp_path / str(workers) / "logs" / "reward_prints.log").read_text().splitlines())
    assert "at 6.0" in logs[1]
    assert [line for line in logs[1] if line.startswith("at")] == [line for line in logs[0] if line.startswith("at")]


def test_a_reward_that_fails_in_an_evaluation_elsewhere_is_told_as_if_it_had_failed_here(tmp_path):
    (tmp_path / "bad.py").write_text("def reward_function(params):\n    return 1.0 / (params['steps'] != 6)\n")
    for workers in (0, 2):
        with pytest.raises(RewardError, match=r"bad\.py:2: ZeroDivisionError .*, at step 6 of episode 2") as found:
            run(tmp_path / str(workers), workers, reward=str(tmp_path / "bad.py"), trainer=SHORT)
        assert "\n" not in str(found.value)


def test_what_the_reward_cost_is_told_as_the_slowest_worker_found_it(tmp_path):
    config = small_config(tmp_path / "run", cars=8, workers={"count": 2, "workplace": "local"})
    result = train(config)
    assert 0.0 < result.reward_call_seconds < 0.01
    assert 0.0 < result.reward_share < 1.0


def test_few_cars_for_many_workers_are_told(tmp_path):
    told: list[str] = []
    train(small_config(tmp_path / "run", cars=8, workers={"count": 2, "workplace": "local"}), tell=told.append)
    assert any("2 workers share 8 cars" in line and "--cars 64" in line for line in told)
    config = small_config(tmp_path / "more", cars=64, trainer={"steps": 64}, workers={"count": 2, "workplace": "local"})
    told.clear()
    train(config, tell=told.append)
    assert not any("workers share" in line for line in told)


# --------------------------------------------------------------------------------------------------- who gets what


@given(st.integers(1, 300), st.integers(1, 20), st.sampled_from([1, 2, 3, 4, 8]))
def test_shares_are_all_cars_in_a_row_in_whole_worlds(worlds, count, world):
    cars = worlds * world
    if count > worlds:
        with pytest.raises(ConfigError, match=f"{count} workers for {worlds}"):
            shares(cars, count, world)
        return
    found = shares(cars, count, world)
    assert len(found) == count
    assert [span.first for span in found] == [sum(span.count for span in found[:place]) for place in range(count)]
    assert sum(span.count for span in found) == cars
    assert all(span.count > 0 and span.count % world == 0 for span in found)
    assert max(span.count for span in found) - min(span.count for span in found) <= 2 * BLOCK


def test_shares_are_whole_blocks_of_inference_where_there_are_enough_cars():
    assert [span.count for span in shares(100, 3)] == [32, 32, 36]
    assert [span.count for span in shares(95, 3)] == [31, 32, 32]
    assert [span.count for span in shares(64, 2, 2)] == [32, 32]


def test_more_workers_than_worlds_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ConfigError, match="3 workers for 2 cars: one each is needed"):
        small_run(tmp_path / "run", workers={"count": 3, "workplace": "local"})
    race = {"race_type": "HEAD_TO_MODEL", "cars_per_world": 2}
    with pytest.raises(ConfigError, match="3 workers for 2 worlds of 2 cars"):
        small_run(tmp_path / "run", cars=4, race=race, workers={"count": 3, "workplace": "local"})
    assert not (tmp_path / "run").exists()


def test_a_workplace_that_nobody_knows_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no workplace is called 'rya'; did you mean 'ray'"):
        small_run(tmp_path / "run", workers={"count": 2, "workplace": "rya"})
    assert not (tmp_path / "run").exists()


def test_without_ray_its_extra_is_named(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name == "ray" or name.startswith("lateapex.workers.ray_")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.partition(".")[0] == "ray":
            raise ModuleNotFoundError("No module named 'ray'", name="ray")
        return real(name, *rest, **more)  # type: ignore[arg-type] # as it was called

    monkeypatch.setattr(builtins, "__import__", without)
    said = command(capsys, "train", "--workers", 2, "--steps", 64, "--out", tmp_path / "run")
    assert said.error == "the workplace 'ray' needs ray: pip install 'lateapex[ray]'"
    assert not (tmp_path / "run").exists()


def test_flags_say_how_many_and_where(tmp_path, monkeypatch, capsys):
    seen = []

    def collecting(parts, storage, reward, tell):
        seen.append(parts.config.workers)
        raise ConfigError("seen")

    monkeypatch.setattr("lateapex.jobs.train.collecting", collecting)
    command(capsys, "train", "--workers", 3, "--ray-address", "head:6379", "--out", tmp_path / "run")
    monkeypatch.setenv("RAY_ADDRESS", "other:6379")
    command(capsys, "train", "--workers", 2, "--out", tmp_path / "run")
    assert [(found.count, found.ray_address, found.workplace) for found in seen] == [
        (3, "head:6379", "ray"),
        (2, "other:6379", "ray"),
    ]
