"""A run over a Ray cluster is the run of one process, whoever is lost on the way."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_runs import files_of, small_config, timeless

from lateapex.errors import ConfigError, RewardError, TrainingError
from lateapex.jobs.train import train, train_config

pytestmark = [pytest.mark.servers, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")]

ROOT = Path(__file__).parents[2]
STEPS = 8 * 16 * 5
MADE = "fedcba9876543210" * 4
"""Token of the cluster that a command begins, by which its processes are known."""
TOKEN = "0123456789abcdef" * 4


def run(out: Path, tell: Any = None, observe: Any = None, **changes: Any) -> dict[str, Any]:
    """A run of 8 cars and 5 updates; its files, but for those that tell of the workers."""
    trainer = {"steps": STEPS, "evaluation_interval": 3, **changes.pop("trainer", {})}
    config = small_config(out, cars=8, trainer=trainer, **changes)
    train(config, observe, tell or (lambda line: None))
    files = timeless(files_of(out))
    files["run.toml"] = [line for line in files["run.toml"] if not line.startswith(("count", "ray_address", "wait"))]
    return files


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    """A cluster of a head that has no cores for actors, and two nodes with two cores each; a token guards it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster  # reads the environment when it is imported

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=2)
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, Any]:
    """The run of one process."""
    return run(tmp_path_factory.mktemp("alone") / "run")


def workers(cluster: Any, count: int, **more: Any) -> dict[str, Any]:
    return {"count": count, "ray_address": cluster.address, **more}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_workers_gives_the_run_of_none(tmp_path, ray_cluster, alone, count):
    assert run(tmp_path / "run", workers=workers(ray_cluster, count)) == alone


@pytest.mark.parametrize(
    "settings",
    [
        {"network": "shallow", "precision": "bfloat16", "trainer": {"steps": 8 * 8 * 3, "rollout_steps": 8}},
        {"trainer": {"rollout_episodes": 3, "rollout_steps": 100}},
        {"algorithm": "sac", "sac": {"batch_size": 16}},
        {"network": "shallow", "torch_threads": 2, "trainer": {"steps": 8 * 8 * 3, "rollout_steps": 8}},
        {
            "sandbox": True,
            "track": "oval,kidney@reversed",
            "race": {"race_type": "OBJECT_AVOIDANCE", "randomize_obstacle_locations": True, "number_of_obstacles": 8},
            "trainer": {"evaluation_starts": "training"},
        },
    ],
    ids=["shallow in bfloat16", "by episodes", "sac", "two threads", "boxes, tracks and a sandbox"],
)
def test_so_it_is_with_other_settings(tmp_path, ray_cluster, settings):
    one = run(tmp_path / "one", **json.loads(json.dumps(settings)))
    assert run(tmp_path / "two", workers=workers(ray_cluster, 2), **settings) == one


class Change:
    """Does something at the beginning of some rollouts: before mates drive, or while they do."""

    def __init__(self, rollouts: list[int], change: Any, before: Any = None) -> None:
        self.rollouts, self.change, self.before = rollouts, change, before

    def __call__(self, trainer: Any, storage: Any, config: Any) -> dict[str, Any]:
        place = trainer.collector._workplace
        publish = place.publish
        rollout = [0]

        def publishing(weights: Any) -> Any:
            rollout[0] += 1
            if rollout[0] in self.rollouts:
                if self.before:
                    self.before()
                threading.Timer(0.01, self.change, [place]).start()
            return publish(weights)

        place.publish = publishing
        return {}


def test_a_worker_that_is_killed_is_replaced_and_the_run_stays_the_same(tmp_path, ray_cluster, alone):
    import ray

    told: list[str] = []
    change = Change([2, 3], lambda place: ray.kill(place.mates[1]._actor))
    assert run(tmp_path / "run", told.append, change, workers=workers(ray_cluster, 2)) == alone
    assert sum("worker 2 of 2 was lost and is replaced" in line for line in told) == 2


def test_so_it_is_where_rollouts_end_with_episodes(tmp_path, ray_cluster):
    import ray

    settings = {"trainer": {"rollout_episodes": 3, "rollout_steps": 100}}
    told: list[str] = []
    change = Change([1, 2, 3], lambda place: ray.kill(place.mates[0]._actor))
    one = run(tmp_path / "one", **json.loads(json.dumps(settings)))
    two = run(tmp_path / "two", told.append, change, workers=workers(ray_cluster, 2), **settings)
    assert two == one
    assert any("was lost and is replaced" in line for line in told)


def test_a_machine_that_goes_and_one_that_comes_change_nothing(tmp_path, ray_cluster, alone):
    told: list[str] = []

    gone = ray_cluster.list_all_nodes()[-1]

    def change(_: Any) -> None:
        ray_cluster.remove_node(gone, allow_graceful=False)

    def come() -> None:
        ray_cluster.add_node(num_cpus=2)

    settings = workers(ray_cluster, 4)
    assert run(tmp_path / "run", told.append, Change([2], change, come), workers=settings) == alone
    assert any("was lost and is replaced" in line for line in told)


def test_workers_without_a_core_of_their_own_share_one(tmp_path, ray_cluster, alone):
    settings = workers(ray_cluster, 8, wait_seconds=12.0)
    told: list[str] = []
    assert run(tmp_path / "run", told.append, workers=settings) == alone
    assert any("waits for a free core; 0 of the cluster's 4 are free" in line for line in told)


def test_a_share_that_loses_every_worker_ends_the_run_with_what_was_saved(tmp_path, ray_cluster):
    import ray

    def kill_all(place: Any) -> None:
        end = time.monotonic() + 300.0
        while time.monotonic() < end and ray.is_initialized():
            ray.kill(place.mates[0]._actor)
            time.sleep(0.2)

    with pytest.raises(TrainingError, match="worker 1 of 2 was lost 5 times in a row"):
        run(tmp_path / "run", None, Change([3], kill_all), workers=workers(ray_cluster, 2))
    assert (tmp_path / "run" / "model" / "training_state.pt").exists()


def test_a_reward_that_fails_there_is_told_as_if_it_had_failed_here(tmp_path, ray_cluster):
    (tmp_path / "bad.py").write_text("def reward_function(params):\n    return params['heading_angle']\n")
    with pytest.raises(RewardError, match=r"bad\.py:2: KeyError 'heading_angle', at step 2 of episode 0"):
        run(tmp_path / "run", reward=str(tmp_path / "bad.py"), workers=workers(ray_cluster, 2))
    assert not (tmp_path / "run").exists()


SLOW = """
import os, time

slow = None

def claimed():
    try:
        os.close(os.open({claimed!r}, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True

def reward_function(params):
    global slow
    if slow is None:
        slow = claimed()
    if slow:
        time.sleep(0.002)
    return params["progress"] / max(params["steps"], 1)
"""
"""In the worker that calls it first, before any evaluation, it takes long."""


def test_with_a_slow_worker_whom_nobody_waits_for_and_one_that_is_killed_a_model_learns_to_lap(tmp_path, ray_cluster):
    import ray

    (tmp_path / "slow.py").write_text(SLOW.format(claimed=str(tmp_path / "claimed")))
    told: list[str] = []
    change = Change([3], lambda place: ray.kill(place.mates[1]._actor))
    values = {
        "track": "oval",
        "cars": 48,
        "seed": 1,
        "reward": str(tmp_path / "slow.py"),
        "out": str(tmp_path / "run"),
        "trainer": {"steps": 250_000, "until_laps": True, "evaluation_trials": 5},
        "workers": workers(ray_cluster, 3, max_stale=2),
    }
    result = train(train_config(values), change, told.append)
    assert result.outcome == "goal"  # all trials of two evaluations were laps
    assert sum("worker 2 of 3 was lost and is replaced" in line for line in told) == 1
    records = [json.loads(line) for line in (tmp_path / "run/logs/training.jsonl").read_text().splitlines()]
    behind = [record["losses"].get("versions_behind", 0.0) for record in records if "losses" in record]
    assert 0.0 < max(behind) <= 2.0
    account = result.ledger
    assert account is not None
    assert account.balanced
    assert (account.waiting, account.trained) == (0, 3 * result.updates)
    assert (tmp_path / "claimed").exists()


def test_a_reward_that_fails_in_a_worker_nobody_waits_for_ends_the_run(tmp_path, ray_cluster):
    (tmp_path / "bad.py").write_text("def reward_function(params):\n    return params['heading_angle']\n")
    with pytest.raises(RewardError, match=r"bad\.py:2: KeyError 'heading_angle', at step 2 of episode 0"):
        run(tmp_path / "run", reward=str(tmp_path / "bad.py"), workers=workers(ray_cluster, 2, max_stale=1))
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------------------- evaluations

SHORT = {"steps": 8 * 4, "rollout_steps": 4}
"""Episodes of training are no longer than five steps, those of the evaluation are."""


def test_an_evaluation_whose_worker_is_killed_is_driven_again(tmp_path, ray_cluster):
    (tmp_path / "kills.py").write_text(f"""
import os

def reward_function(params):
    if params["steps"] > 5 and not os.path.exists({str(tmp_path / "killed")!r}):
        open({str(tmp_path / "killed")!r}, "x").close()
        os.kill(os.getpid(), 9)
    return params["progress"]
""")
    told: list[str] = []
    settings = {"reward": str(tmp_path / "kills.py"), "trainer": SHORT}
    two = run(tmp_path / "two", told.append, workers=workers(ray_cluster, 2), **settings)
    assert (tmp_path / "killed").exists()
    lost = "the worker of evaluations was lost and is replaced; the evaluation is driven again"
    assert [line for line in told if " was lost " in line] == [line for line in told if line.startswith(lost)]
    assert sum(line.startswith(lost) for line in told) == 1
    assert run(tmp_path / "one", **settings) == two


def test_what_a_reward_prints_in_an_evaluation_comes_home(tmp_path, ray_cluster):
    (tmp_path / "prints.py").write_text(
        "def reward_function(params):\n    params['steps'] > 5 and print('at', params['steps'])\n    return 1.0\n"
    )
    files = run(tmp_path / "run", workers=workers(ray_cluster, 1), reward=str(tmp_path / "prints.py"), trainer=SHORT)
    assert files["logs/reward_prints.log"].startswith(b"at 6.0\nat 6.0\nat 7.0\n")


def test_a_reward_that_fails_in_an_evaluation_is_told_in_one_line(tmp_path, ray_cluster):
    (tmp_path / "bad.py").write_text("def reward_function(params):\n    return 1.0 / (params['steps'] != 6)\n")
    with pytest.raises(RewardError, match=r"bad\.py:2: ZeroDivisionError .*, at step 6 of episode 2") as found:
        run(tmp_path / "run", workers=workers(ray_cluster, 1), reward=str(tmp_path / "bad.py"), trainer=SHORT)
    assert "\n" not in str(found.value)


def test_weights_that_were_evaluated_are_not_put_into_the_store_again_for_the_next_rollout(
    tmp_path, ray_cluster, monkeypatch
):
    import ray

    put, published = ray.put, []
    monkeypatch.setattr(ray, "put", lambda value: published.append(0) or put(value))
    run(tmp_path / "run", workers=workers(ray_cluster, 1))
    assert len(published) == 5 + 2 - 1  # rollouts, evaluations, and the rollout after the first of these


# --------------------------------------------------------------------------------------------------- the cluster


def test_an_address_where_no_cluster_is_and_a_gate_for_clients_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:10001, a gate for clients"):
        run(tmp_path / "run", workers={"count": 1, "ray_address": "ray://127.0.0.1:10001"})
    with pytest.raises(ConfigError, match=r"no Ray cluster was joined at 127\.0\.0\.1:1: .* ray start --head"):
        run(tmp_path / "run", workers={"count": 1, "ray_address": "127.0.0.1:1"})
    assert not (tmp_path / "run").exists()


def test_the_command_line_begins_a_cluster_of_its_own_and_leaves_nothing_behind(tmp_path, alone):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN": MADE}
    bounds = ["--cars", "8", "--seed", "7", "--steps", str(STEPS), "--workers", "2", "--json"]
    (tmp_path / "train.toml").write_text(
        "torch_threads = 1\nthreads = 1\n[trainer]\nrollout_steps = 16\nevaluation_trials = 2\n"
        "evaluation_interval = 3\nsave_seconds = 1e-9\n"
    )
    words = ["train", "--config", str(tmp_path / "train.toml"), "--out", str(tmp_path / "run"), *bounds]
    program = [sys.executable, "-m", "lateapex", *words]
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as train:
        most, end = 0, time.monotonic() + 300.0
        while train.poll() is None and time.monotonic() < end:
            most = max(most, len(processes_with(f"RAY_AUTH_TOKEN={MADE}")))
            time.sleep(0.5)
        out, error = train.communicate()
    assert train.returncode == 0, error
    assert json.loads(out)["steps"] == STEPS
    assert most > 3  # this program, and a cluster of its own
    files = timeless(files_of(tmp_path / "run"))
    for name in alone.keys() - {"run.toml", "model/training_state.pt"}:
        assert files[name] == alone[name]
    states = [found["model/training_state.pt"] for found in (alone, files)]
    assert states[0]["collector"] == states[1]["collector"]  # their progress knows a console, or not
    assert states[0]["weights"] == states[1]["weights"]
    left = [process for process in processes_with(f"RAY_AUTH_TOKEN={MADE}") if process.exists()]
    assert left == []


def processes_with(variable: str) -> list[Path]:
    """Those of /proc whose environment has a variable."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(process)
    return found
