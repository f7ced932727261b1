"""Trains a model from random weights and pictures alone, or goes on with a run."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from lateapex.config import Config, parse, read_toml
from lateapex.env.actions import ActionRanges
from lateapex.env.racing import RacingTask, with_channels
from lateapex.env.reward import RewardFunction, read_reward
from lateapex.env.rules import Quirks
from lateapex.env.starts import StartConfig, starts_of
from lateapex.errors import HyperparameterError, LateapexError, MetadataError, RewardError
from lateapex.formats.hyperparameters import Hyperparameters, read_hyperparameters, write_hyperparameters
from lateapex.formats.model_metadata import ModelMetadata, default_metadata, read_metadata
from lateapex.jobs.job_reward import job_reward
from lateapex.jobs.run_folder import (
    Inputs,
    create_run,
    drop_run,
    drop_unfinished,
    open_run,
    read_settings,
    read_track,
    run_hyperparameters,
    run_metadata,
    run_reward,
)
from lateapex.models.networks import NETWORKS
from lateapex.models.policy import Policy, Shape
from lateapex.records import Sink
from lateapex.sinks.files import RunFolderSink
from lateapex.sinks.reward_prints import RewardPrintsSink
from lateapex.storage import Storage
from lateapex.training.collect import LocalCollector
from lateapex.training.ppo import PPO, PPOConfig
from lateapex.training.trainer import Outcome, Trainer, TrainerConfig
from lateapex.world.track import Track, load_track


class TrainConfig(Config):
    """All settings of a training run."""

    track: str = "kidney"
    """Name of a track, or path of a route file."""
    reward: str = "quick_laps"
    """Name of a reward, or path of a racer's file."""
    sandbox: bool = False
    """Run the reward in a process of its own, behind walls: for files of strangers."""
    call_at_step_1: bool = False
    """Call the reward at the start of an episode too, where steps is 1, as the simulator did in 2020; not paid."""
    model_metadata: str | None = None
    """Path of model_metadata.json; 5 steering angles at 2 speeds if not given."""
    hyperparameters: str | None = None
    """Path of hyperparameters.json; settings that learn fast if not given."""
    network: str = "lean"
    """Network of the policy, the one that goes onto the car."""
    critic: str = "lean"
    """Network of the value function; it is only needed while training."""
    colour: bool = False
    """Whether the network sees red, green and blue; the original's sees grey."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of weights, starts, actions and the order of samples."""
    out: str | None = None
    """The run folder; a free name under runs/ if not given."""
    cars: int = Field(default=32, ge=1)
    """Cars that drive at once."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of training; evaluation is in float32. auto: bfloat16 where the processor has it and the network is heavy."""
    threads: int = Field(default=0, ge=0)
    """Threads that draw pictures; 0: one for each core. Results do not depend on it."""
    torch_threads: int = Field(default=0, ge=0)
    """Threads that compute networks; 0: one for each core. Results depend on it."""
    quirks: Quirks = "original"
    """original: rewards and rules are odd where AWS's simulator is; fixed: they are not (docs/quirks.md)."""
    starts: StartConfig = StartConfig()
    trainer: TrainerConfig = TrainerConfig()
    ppo: PPOConfig = PPOConfig()


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What came of a training run."""

    url: str
    """The run folder."""
    outcome: Outcome
    """What ended it."""
    updates: int
    steps: int
    episodes: int
    train_seconds: float
    """Collecting and updating; without evaluation and compilation."""
    evaluation_seconds: float
    best_progress: float
    """Mean progress of the best evaluation, percent."""
    best_lap: float | None
    """Fastest lap while training, s."""
    reward_call_seconds: float
    """Mean time that the reward of one car and step took, the making of its parameters included."""
    reward_share: float
    """Share of it in the time of training and evaluation; other threads draw meanwhile."""


Observe = Callable[[Trainer, Storage, TrainConfig], Mapping[str, Sink]]
"""Called before training starts; may keep the trainer, to stop it, and returns further sinks by name."""


def preset(network: str) -> dict[str, Any]:
    """Settings that suit a network, as nested tables of TrainConfig; those of small networks for any that has none."""
    folder = resources.files("lateapex") / "data" / "presets"
    names = {"DEEP_CONVOLUTIONAL_NETWORK_SHALLOW": "shallow"}
    file = folder / f"{names.get(network, network)}.toml"
    chosen = file if file.is_file() else folder / "lean.toml"
    return read_toml(chosen.read_text(encoding="utf-8"), chosen.name)


def train_config(values: Mapping[str, Any], source: str = "settings") -> TrainConfig:
    """Build a complete config: the network's preset, then hyperparameters.json, then `values`.

    Args:
        values: nested settings by the names of TrainConfig; None counts as not given.

    Raises:
        ConfigError, HyperparameterError: a name or value is wrong.
    """
    given = _without_none(values)
    network = given.get("network", "lean")
    NETWORKS.get(str(network))
    merged = preset(str(network))
    file = given.get("hyperparameters")
    if file is not None:
        chosen = read_hyperparameters(_text(str(file), HyperparameterError), str(file))
        merged = _merge(merged, _from_hyperparameters(chosen))
        parse(TrainConfig, merged, str(file))
    return parse(TrainConfig, _merge(merged, given), source)


def train(config: TrainConfig, observe: Observe | None = None) -> TrainResult:
    """Train from random weights.

    Raises:
        LateapexError: something given is wrong; nothing is written then. Or the disk is full, the reward fails, or
            learning breaks down; what was saved stays, and a run that fails before its first update is removed.
    """
    inputs = _inputs(config)
    config = _resolved(config)
    reward = job_reward(
        inputs.reward,
        config.reward,
        seed=config.seed,
        sandbox=config.sandbox,
        call_at_step_1=config.call_at_step_1,
    )
    stem = f"{inputs.track.name}-{config.network}-{config.seed}"
    with closing(reward):
        storage = create_run(config.out, stem, config, inputs)
        return _run(config, storage, inputs.track, inputs.metadata, reward, resume=False, observe=observe)


def resume(url: str, changes: Mapping[str, Any] | None = None, observe: Observe | None = None) -> TrainResult:
    """Go on with a run from its last saved state, or from its beginning if it never saved one.

    Args:
        changes: settings that may differ from the run's: those of `trainer` that bound it.
    """
    storage = open_run(url)
    values = _merge(read_settings(storage), _without_none(changes or {}))
    config = _resolved(parse(TrainConfig, values, f"{url}/run.toml"))
    track, metadata = read_track(storage), run_metadata(storage)
    with closing(run_reward(storage)) as reward:
        drop_unfinished(storage)
        return _run(config, storage, track, metadata, reward, resume=True, observe=observe)


def _run(
    config: TrainConfig,
    storage: Storage,
    track: Track,
    metadata: ModelMetadata,
    reward: RewardFunction,
    *,
    resume: bool,
    observe: Observe | None,
) -> TrainResult:
    torch.set_num_threads(config.torch_threads)
    torch.use_deterministic_algorithms(True)
    bf16 = config.precision == "bfloat16"
    shared: dict[str, Any] = {
        "reward": reward,
        "metadata": metadata,
        "seed": config.seed,
        "threads": config.threads,
        "colour": config.colour,
        "quirks": config.quirks,
    }
    task = RacingTask(
        track,
        config.cars,
        starts=starts_of(config.starts, config.cars, config.quirks),
        alternate_direction=config.starts.alternate_direction,
        **shared,
    )
    evaluation = RacingTask(track, config.trainer.evaluation_trials, **shared)
    _, height, width, channels = with_channels(task.pictures).shape
    shape = Shape(height, width, channels, len(task.actions), isinstance(task.actions, ActionRanges))
    policy = Policy(config.network, config.critic, shape, config.seed)
    files = RunFolderSink(storage, run_hyperparameters(storage).num_episodes_between_training)
    trainer = Trainer(
        config.trainer,
        policy=policy,
        collector=LocalCollector(task, bf16=bf16),
        evaluation=evaluation,
        algorithm=PPO(policy, config.ppo, seed=config.seed, bf16=bf16),
        storage=storage,
        sinks={"files": files, **({"prints": RewardPrintsSink(storage, reward.prints.take)} if reward.prints else {})},
        networks=(config.network, config.critic),
    )
    if resume:
        trainer.resume()
    if observe is not None:
        trainer.watch(observe(trainer, storage, config))
    begun = time.perf_counter()
    try:
        outcome = trainer.run()
    except (LateapexError, KeyboardInterrupt) as error:
        if trainer.progress.updates:
            with contextlib.suppress(LateapexError):
                files.flush()
                if isinstance(error, RewardError | KeyboardInterrupt):
                    trainer.save_model()  # a whole one, of the update before
        elif not resume:
            drop_run(storage)
        raise
    return _result(storage.url, outcome, trainer, reward, time.perf_counter() - begun)


def _result(url: str, outcome: Outcome, trainer: Trainer, reward: RewardFunction, seconds: float) -> TrainResult:
    at = trainer.progress
    return TrainResult(
        url=url,
        outcome=outcome,
        updates=at.updates,
        steps=at.steps,
        episodes=at.episodes,
        train_seconds=at.train_seconds,
        evaluation_seconds=at.evaluation_seconds,
        best_progress=at.best_score,
        best_lap=at.best_lap if at.best_lap < float("inf") else None,
        reward_call_seconds=reward.seconds / max(reward.calls, 1),
        reward_share=reward.seconds / max(seconds, 1e-9),
    )


def _inputs(config: TrainConfig) -> Inputs:
    """Read and check everything that the config names."""
    track = load_track(config.track)
    reward, _ = read_reward(config.reward)
    metadata = default_metadata()
    if config.model_metadata is not None:
        metadata = read_metadata(_text(config.model_metadata, MetadataError), config.model_metadata)
    for name in (config.network, config.critic):
        NETWORKS.get(name)
    return Inputs(track, reward, metadata, write_hyperparameters(_hyperparameters(config)))


def _resolved(config: TrainConfig) -> TrainConfig:
    """Fill in what depends on the machine, so that the run's record says it."""
    cores = os.cpu_count() or 1
    precision = config.precision
    if precision == "auto":
        precision = "bfloat16" if NETWORKS.get(config.network).heavy and _has_bf16() else "float32"
    changes = {"precision": precision, "torch_threads": config.torch_threads or cores}
    return config.model_copy(update=changes)


def _has_bf16() -> bool:
    capability = torch.backends.cpu.get_cpu_capability()
    return capability.startswith("AVX512") and bool(torch.cpu._is_avx512_bf16_supported())


def _hyperparameters(config: TrainConfig) -> Hyperparameters:
    """The settings in the original's words."""
    ppo = config.ppo
    episodes = config.trainer.rollout_episodes
    values = {
        "batch_size": ppo.batch_size,
        "num_epochs": ppo.epochs,
        "lr": ppo.learning_rate,
        "beta_entropy": ppo.entropy_weight,
        "discount_factor": ppo.discount,
        "loss_type": ppo.value_loss,
        **({"num_episodes_between_training": episodes} if episodes else {}),
        **({"term_cond_max_episodes": config.trainer.updates} if config.trainer.updates else {}),
    }
    return parse(Hyperparameters, values)


def _from_hyperparameters(file: Hyperparameters) -> dict[str, Any]:
    """The original's settings in ours."""
    bounded = "term_cond_max_episodes" in file.model_fields_set
    return {
        "ppo": {
            "batch_size": file.batch_size,
            "epochs": file.num_epochs,
            "learning_rate": file.lr,
            "entropy_weight": file.beta_entropy,
            "discount": file.discount_factor,
            "value_loss": file.loss_type,
        },
        "trainer": {
            "rollout_episodes": file.num_episodes_between_training,
            "rollout_steps": 10_000,
            **({"updates": file.term_cond_max_episodes} if bounded else {}),
        },
    }


def _text(path: str, kind: type[LateapexError]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise kind(f"no file is at {path}; lateapex init DIR writes one to start from") from None
    except (OSError, UnicodeDecodeError) as error:
        raise kind(f"cannot read {path}: {error}; a text file in UTF-8 is needed") from None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }
