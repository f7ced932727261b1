"""Training from end to end: it learns, it repeats itself, and settings do what they say."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import files_of, small_config, small_run, timeless

from lateapex.errors import ConfigError, HyperparameterError, LateapexError, MetadataError, RewardError, RunError
from lateapex.formats.hyperparameters import Hyperparameters, read_hyperparameters
from lateapex.formats.metrics import read_metrics
from lateapex.formats.simtrace import read_simtrace
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.train import preset, resume, train, train_config
from lateapex.storage import DiskStorage
from lateapex.training.checkpoint import load_version
from lateapex.world.track import load_track


def lines(run):
    text = (Path(run) / "logs" / "training.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def updates(run):
    return [line for line in lines(run) if line["kind"] == "update"]


def weights(run, which="last"):
    return load_version(DiskStorage(run), which)[1].state_dict()


def same(one, two):
    return all(torch.equal(value, two[name]) for name, value in one.items())


# ---------------------------------------------------------------------------------------------------- it learns


def test_it_laps_kidney_from_every_start_well_within_60_000_steps(lapping):
    assert lapping.outcome == "goal"
    assert lapping.steps < 30_000
    assert lapping.best_progress == 100.0
    assert 10.0 < lapping.best_lap < 40.0


def test_what_it_reports_is_what_its_logs_say(lapping):
    last = updates(lapping.url)[-1]
    evaluations = [line for line in lines(lapping.url) if line["kind"] == "evaluation"]
    assert (last["iteration"], last["steps"], last["episodes"]) == (lapping.updates, lapping.steps, lapping.episodes)
    assert min(line["best_lap"] for line in [last, *evaluations] if line["best_lap"]) == lapping.best_lap
    assert [line["laps_completed"] for line in evaluations[-2:]] == [20, 20]
    seconds = sum(sum(line["seconds"].values()) for line in updates(lapping.url))
    assert seconds <= lapping.train_seconds


def test_every_step_is_in_the_traces_once_in_iterations_of_20_episodes(lapping):
    folder = Path(lapping.url)
    names = sorted((folder / "training-simtrace").iterdir(), key=lambda path: int(path.name.partition("-")[0]))
    traces = [read_simtrace(path.read_text(), path.name) for path in names]
    assert [len(episodes) for episodes in traces[:-1]] == [20] * (len(traces) - 1)
    numbers = [episode.number for episodes in traces for episode in episodes]
    assert numbers == list(range(lapping.episodes))
    steps = sum(len(episode.steps) for episodes in traces for episode in episodes)
    assert lapping.steps - 32 * 500 < steps <= lapping.steps  # unfinished episodes are not in them
    metrics = read_metrics((folder / "metrics" / "TrainingMetrics.json").read_text(), "metrics")
    assert sum(entry["phase"] == "training" for entry in metrics) == lapping.episodes


# ------------------------------------------------------------------------------------------------ it repeats itself


@pytest.mark.parametrize(
    "settings",
    [
        {"cars": 4},
        {
            "reward": "centre_line",
            "trainer": {"rollout_episodes": 2, "rollout_steps": 400, "steps": 200, "evaluation_interval": 9},
        },
        {"network": "shallow", "precision": "float32", "trainer": {"steps": 48, "save_seconds": 1e9}},
    ],
    ids=["lean", "by episodes", "shallow"],
)
def test_the_same_seed_and_step_budget_give_the_same_files(tmp_path, settings):
    runs = [small_run(tmp_path / name, **settings) for name in ("one", "two")]
    one, two = (timeless(files_of(run)) for run in runs)
    assert one == two
    assert "logs/training.log" in one
    assert same(*(weights(run) for run in runs))


def test_the_number_of_drawing_threads_changes_nothing(tmp_path):
    one, two = (small_run(tmp_path / str(threads), cars=4, threads=threads) for threads in (1, 2))
    files = [timeless(files_of(run)) for run in (one, two)]
    assert files[0].pop("run.toml") != files[1].pop("run.toml")
    assert files[0] == files[1]


def test_another_seed_gives_another_run(tmp_path, small):
    other = small_run(tmp_path / "other", seed=4)
    assert not same(weights(other), weights(small))
    name = Path("training-simtrace") / "0-iteration.csv"
    assert (other / name).read_text() != (small / name).read_text()


def test_how_often_it_saves_changes_nothing(tmp_path, small):
    seldom = timeless(files_of(small_run(tmp_path / "seldom", trainer={"save_seconds": 1e9})))
    often = timeless(files_of(small))
    del seldom["run.toml"], often["run.toml"]
    assert seldom == often


def test_the_largest_seed_is_a_seed(tmp_path):
    run = small_run(tmp_path / "run", seed=2**63 - 1, trainer={"steps": 32})
    assert updates(run)


# --------------------------------------------------------------------------------------------- settings and presets


def test_a_preset_holds_unless_something_is_given():
    lean = train_config({})
    assert (lean.cars, lean.ppo.learning_rate, lean.ppo.batch_size, lean.trainer.rollout_steps) == (32, 1e-3, 256, 64)
    shallow = train_config({"network": "shallow"})
    assert (shallow.ppo.learning_rate, shallow.ppo.batch_size, shallow.trainer.rollout_steps) == (3e-4, 128, 32)
    changed = train_config({"network": "shallow", "cars": 3, "ppo": {"batch_size": 7}, "trainer": {"steps": None}})
    assert (changed.cars, changed.ppo.batch_size, changed.ppo.learning_rate) == (3, 7, 3e-4)


def test_light_and_heavy_networks_have_settings_of_their_own():
    assert preset("DEEP_CONVOLUTIONAL_NETWORK_SHALLOW") == preset("shallow") == preset("deep") != preset("lean")
    assert preset("recurrent") == preset("lean")
    assert preset("my_file.py:MyNet") == preset("shallow")


def test_the_originals_settings_are_those_of_its_own_code():
    config = train_config({"preset": "original"})
    assert (config.network, config.critic, config.cars, config.precision) == ("shallow", "shallow", 1, "float32")
    assert config.ppo.model_dump() == {
        "learning_rate": 3e-4,
        "discount": 0.99,
        "gae_lambda": 0.95,
        "clip": 0.2,
        "entropy_weight": 0.01,
        "value_weight": 1.0,
        "value_loss": "huber",
        "epochs": 5,
        "batch_size": 64,
        "sequence_length": 16,
        "smoothing": 0.0,
        "max_gradient_norm": math.inf,
    }
    assert (config.trainer.rollout_episodes, config.trainer.evaluation_trials) == (20, 5)
    sac = train_config({"preset": "original", "algorithm": "sac"})
    assert (sac.sac.alpha, sac.sac.capacity, sac.sac.updates_per_step, sac.sac.target_rate) == (
        0.2,
        1_000_000,
        1.0,
        1.0,
    )
    assert sac.trainer.rollout_episodes == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trak": "oval"}, "no setting is called 'trak'; did you mean 'track'"),
        ({"trainer": {"step": 5}}, "no setting is called 'trainer.step'; did you mean 'steps'"),
        ({"ppo": {"clip": 1.0}}, "ppo.clip is 1.0; input should be less than 1"),
        ({"cars": "4"}, "cars is '4'; input should be a valid integer"),
        ({"cars": 2.0}, "cars is 2.0; input should be a valid integer"),
        ({"network": "lena"}, "no network is called 'lena'; did you mean 'lean'"),
        ({"critic": "lena"}, "no network is called 'lena'; did you mean 'lean'"),
        ({"precision": "half"}, "precision is 'half'; input should be 'auto', 'float32' or 'bfloat16'"),
    ],
)
def test_settings_that_are_wrong_are_named_and_nothing_is_written(tmp_path, values, message):
    with pytest.raises(ConfigError, match=message):
        train(train_config({"out": str(tmp_path / "run"), **values}))
    assert not (tmp_path / "run").exists()


GIVEN = {
    "batch_size": 8,
    "num_epochs": 2,
    "lr": 0.0001,
    "beta_entropy": 0.5,
    "discount_factor": 0.9,
    "loss_type": "Mean Squared Error",
    "num_episodes_between_training": 3,
}


def written(folder, **content):
    path = folder / "hyperparameters.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_hyperparameters_replace_what_they_name_and_all_else_has_the_originals_value(tmp_path):
    config = train_config({"hyperparameters": written(tmp_path, **GIVEN)})
    ppo = config.ppo
    assert (ppo.batch_size, ppo.epochs, ppo.learning_rate, ppo.entropy_weight) == (8, 2, 0.0001, 0.5)
    assert (ppo.discount, ppo.value_loss, config.trainer.rollout_episodes) == (0.9, "mean squared error", 3)
    assert (ppo.gae_lambda, ppo.clip, config.cars) == (0.95, 0.2, 32)
    sparse = train_config({"hyperparameters": written(tmp_path, lr=0.5)})
    assert (sparse.ppo.learning_rate, sparse.ppo.batch_size, sparse.trainer.rollout_episodes) == (0.5, 64, 20)


def test_flags_outweigh_hyperparameters(tmp_path):
    values = {"hyperparameters": written(tmp_path, lr=0.5, num_epochs=7), "ppo": {"learning_rate": 0.25}}
    config = train_config(values)
    assert (config.ppo.learning_rate, config.ppo.epochs) == (0.25, 7)


def test_a_limit_of_iterations_counts_only_where_it_is_written(tmp_path):
    assert train_config({"hyperparameters": written(tmp_path, lr=0.5)}).trainer.updates is None
    limited = train_config({"hyperparameters": written(tmp_path, term_cond_max_episodes=7)})
    assert limited.trainer.updates == 7


def test_hyperparameters_reach_the_algorithm_and_the_run_says_what_was_used(tmp_path):
    seen = []

    def observe(trainer, storage, config):
        seen.append(trainer._algorithm)
        return {}

    file = written(tmp_path, **GIVEN)
    trainer = {"rollout_steps": None, "steps": 700, "updates": 2}
    config = small_config(tmp_path / "run", hyperparameters=file, trainer=trainer)
    train(config.model_copy(update={"trainer": config.trainer.model_copy(update={"rollout_steps": 10_000})}), observe)
    assert seen[0]._optimizer.param_groups[0]["lr"] == 0.0001
    assert seen[0].config.value_loss == "mean squared error"
    used = read_hyperparameters((tmp_path / "run" / "ip" / "hyperparameters.json").read_text(), "used")
    assert used == Hyperparameters.model_validate(
        {**GIVEN, "loss_type": "mean squared error", "term_cond_max_episodes": 2}
    )
    # An update as soon as 3 episodes have ended; both cars may end one in the same step.
    assert [line["finished"] in (3, 4) for line in updates(tmp_path / "run")] == [True, True]
    assert [line["losses"]["learning_rate"] for line in updates(tmp_path / "run")] == [0.0001, 0.0001]


def test_iterations_of_the_traces_hold_as_many_episodes_as_are_between_two_updates(tmp_path):
    config = small_config(tmp_path / "run", trainer={"rollout_episodes": 2, "rollout_steps": 500, "steps": 300})
    train(config)
    trace = (tmp_path / "run" / "training-simtrace" / "0-iteration.csv").read_text()
    assert [episode.number for episode in read_simtrace(trace, "trace")] == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"learning_rate": 1}, "no hyperparameter is called 'learning_rate'"),
        ({"lr": "fast"}, 'lr is "fast"; expected a number'),
        ({"batch_size": 0}, "batch_size is 0; expected a whole number from 1"),
        ({"num_epochs": 500}, r"hyperparameters.json: .*epochs is 500"),
    ],
)
def test_hyperparameters_that_are_wrong_are_named_and_nothing_is_written(tmp_path, content, message):
    file = written(tmp_path, **content)
    with pytest.raises(LateapexError, match=message) as told:
        train(train_config({"out": str(tmp_path / "run"), "hyperparameters": file}))
    assert file in str(told.value)
    assert not (tmp_path / "run").exists()


def test_files_that_are_not_there_are_named(tmp_path):
    missing = str(tmp_path / "missing.json")
    with pytest.raises(HyperparameterError, match=r"missing\.json; lateapex init DIR writes one"):
        train_config({"hyperparameters": missing})
    with pytest.raises(MetadataError, match=r"missing\.json; lateapex init DIR writes one"):
        train(train_config({"model_metadata": missing, "out": str(tmp_path / "run")}))
    assert not (tmp_path / "run").exists()


def test_the_machines_part_of_the_settings_is_resolved_before_it_is_noted(tmp_path):
    run = small_run(tmp_path / "run", torch_threads=0, trainer={"steps": 32})
    torch.set_num_threads(1)
    text = (run / "run.toml").read_text()
    assert 'precision = "float32"' in text
    assert "torch_threads = 0" not in text


# ------------------------------------------------------------------------------------------------- rewards that fail


def reward_of(folder, text):
    path = folder / "my_reward.py"
    path.write_text(text)
    return str(path)


FAILS_LATE = """
calls = 0

def reward_function(params):
    global calls
    calls += 1
    return 1.0 if calls < 30 else params["heading_angle"]
"""


def test_a_run_whose_reward_fails_before_anything_is_learned_leaves_its_name_free(tmp_path):
    reward = reward_of(tmp_path, "def reward_function(params):\n    return params['heading_angle']\n")
    with pytest.raises(RewardError, match=r"my_reward\.py:2: KeyError 'heading_angle', at step 2 of episode 0"):
        small_run(tmp_path / "run", reward=reward)
    assert not (tmp_path / "run").exists()


def test_a_run_whose_reward_fails_later_keeps_what_it_had(tmp_path):
    with pytest.raises(RewardError, match=r"my_reward\.py:7: KeyError"):
        small_run(tmp_path / "run", reward=reward_of(tmp_path, FAILS_LATE))
    assert len(updates(tmp_path / "run")) == 1
    name, _ = load_version(DiskStorage(tmp_path / "run"), "last")
    assert name == "1_Step-32.pt"
    (tmp_path / "run" / "reward_function.py").write_text("def reward_function(params):\n    return 1.0\n")
    assert resume(str(tmp_path / "run")).steps == 128


# -------------------------------------------------------------------------------------------------------- going on


def test_a_finished_run_goes_on_when_it_is_given_more_steps(copied):
    result = resume(str(copied), {"trainer": {"steps": 192}})
    assert (result.outcome, result.steps, result.updates) == ("steps", 192, 6)
    assert [line["iteration"] for line in updates(copied)] == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_that_is_resumed_as_it_is_stays_as_it_is(copied):
    before = timeless(files_of(copied))
    assert resume(str(copied)).outcome == "steps"
    assert timeless(files_of(copied)) == before


def test_a_run_goes_on_without_the_files_it_was_made_from(tmp_path):
    reward = reward_of(tmp_path, "def reward_function(params):\n    return 1.0\n")
    np.save(tmp_path / "line.npy", _route("oval"))
    run = small_run(tmp_path / "run", reward=reward, track=str(tmp_path / "line.npy"), trainer={"steps": 64})
    for name in ("my_reward.py", "line.npy"):
        (tmp_path / name).unlink()
    assert resume(str(run), {"trainer": {"steps": 128}}).steps == 128


def _route(name):
    """A track as the community's route files hold it, `[P + 1, 6]`."""
    track = load_track(name)
    rows = np.concatenate([track.center, track.inner, track.outer], axis=1)
    return np.concatenate([rows, rows[:1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("cars = 2", "cars = 3"), r"does not fit run\.toml"),
        (('network = "lean"', 'network = "shallow"'), r"does not fit run\.toml"),
        (("cars = 2", "cars = 0"), r"run\.toml: cars is 0"),
    ],
)
def test_a_run_whose_settings_were_changed_is_refused_and_kept(copied, change, message):
    text = (copied / "run.toml").read_text()
    (copied / "run.toml").write_text(text.replace(*change))
    before = files_of(copied)
    with pytest.raises(LateapexError, match=message):
        resume(str(copied), {"trainer": {"steps": 192}})
    assert files_of(copied) == before


def test_a_run_that_does_not_exist_cannot_go_on(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        resume(str(tmp_path / "missing"))


# ---------------------------------------------------------------------------------------------------- it sees colour


@pytest.mark.parametrize("network", ["lean", pytest.param("shallow", marks=pytest.mark.long)])
def test_in_colour_both_networks_take_three_channels_and_the_model_is_evaluated_in_colour(tmp_path, network):
    run = small_run(tmp_path / "run", colour=True, network=network, trainer={"steps": 32})
    policy = load_version(DiskStorage(str(run)), "last")[1]
    assert policy.blueprint.sensors == {"FRONT_FACING_CAMERA": (120, 160, 3)}
    assert evaluate(EvaluateConfig(run=str(run), trials=2, film="none")).model.endswith(".pt")


def test_quirks_and_starts_reach_the_task_and_an_evaluation_takes_the_runs_quirks(tmp_path):
    rewards = {"original": "2.0", "fixed": "1.0"}
    for quirks, first in rewards.items():
        reward = tmp_path / f"{quirks}.py"
        reward.write_text(
            "seen = []\n\ndef reward_function(params):\n    seen.append(params['steps'])\n"
            f"    assert seen[0] == {first}\n    return 1.0\n"
        )
        starts = {"scheme": "round_robin", "advance": 0.25, "first": 0.5, "alternate_direction": True}
        trainer = {"evaluation_starts": "training", "evaluation_trials": 1}
        run = small_run(tmp_path / quirks, reward=str(reward), quirks=quirks, starts=starts, trainer=trainer)
        assert evaluate(EvaluateConfig(run=str(run), trials=1, film="none")).episodes[0].reward > 0
    with pytest.raises(RewardError, match="AssertionError"):
        small_run(tmp_path / "wrong", reward=str(tmp_path / "fixed.py"))


def test_what_the_reward_cost_is_reported(tmp_path):
    result = train(small_config(tmp_path / "run"))
    assert result.reward_call_seconds > 0.0
    assert 0.0 < result.reward_share < 1.0
