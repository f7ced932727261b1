"""Trains a model from random weights and pictures alone, or from those of a trained one, or goes on with a run."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from lateapex.config import parse
from lateapex.env.reward_base import Reward
from lateapex.env.user_code import in_run, is_reference
from lateapex.errors import LateapexError, LeaseLostError, RewardError
from lateapex.formats.hyperparameters import write_hyperparameters
from lateapex.formats.training_log import head_lines
from lateapex.jobs.assists import make_algorithm
from lateapex.jobs.collectors import collecting, evaluating
from lateapex.jobs.config_file import config_notes
from lateapex.jobs.exchange_job import closed_account
from lateapex.jobs.job_reward import job_reward
from lateapex.jobs.presets import preset
from lateapex.jobs.run_folder import (
    FIRST_MODEL,
    create_run,
    drop_run,
    drop_unfinished,
    open_trained,
    read_settings,
    run_hyperparameters,
    run_reward,
    write_settings,
)
from lateapex.jobs.run_parts import RunParts
from lateapex.jobs.runs import log_of, notes_of
from lateapex.jobs.scenes import scene_values
from lateapex.jobs.train_config import TrainConfig, merge, train_config, without_none
from lateapex.jobs.train_inputs import read_inputs
from lateapex.models.model_file import read_model
from lateapex.models.user_network import is_heavy
from lateapex.records import SINKS, FindingRecord, Sink
from lateapex.sinks.files import RunFolderSink
from lateapex.sinks.reward_prints import RewardPrintsSink
from lateapex.storage import Storage, is_far
from lateapex.storage_gathered import gathered
from lateapex.training.checkpoint import STATE, version_files
from lateapex.training.trainer import Outcome, Trainer
from lateapex.workers.async_crew import AsyncCrew
from lateapex.workers.ledger import Ledger
from lateapex.workers.store_collector import StoreCollector
from lateapex.world.track import Track
from lateapex.world.vehicles import AUTO

__all__ = [
    "Observe",
    "Tell",
    "TrainConfig",
    "TrainResult",
    "config_notes",
    "preset",
    "resume",
    "train",
    "train_config",
]


_NAMED = 3  # tracks that the name of a run tells of


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
    """Fastest lap of training and evaluation, on any of the tracks, s."""
    reward_call_seconds: float
    """Mean time that the reward of one car and step took, the making of its parameters included."""
    reward_share: float
    """Share of it in the time of training and evaluation; other threads draw meanwhile."""
    versions: int
    """Versions of the model that are kept."""
    size: int
    """Bytes of the run folder."""
    findings: tuple[FindingRecord, ...]
    """What the diagnosis noticed, from the run's beginning on."""
    assisted: tuple[str, ...] = ()
    """What helped beside the reward and the sensors."""
    ledger: Ledger | None = None
    """What became of all batches, where workers made them whom nobody waits for."""


Observe = Callable[[Trainer, Storage, TrainConfig], Mapping[str, Sink]]
"""Called before training starts; may keep the trainer, to stop it, and returns further sinks by name."""

Tell = Callable[[str], None]
"""Called, before training starts, with each line that a racer may not expect."""


def _nobody(line: str) -> None:
    del line


def train(config: TrainConfig, observe: Observe | None = None, tell: Tell = _nobody) -> TrainResult:
    """Train from random weights, or from those of a trained model.

    Raises:
        LateapexError: something given is wrong; nothing is written then. Or the disk is full, the reward fails, or
            learning breaks down; what was saved stays, and a run that fails before its first update is removed.
    """
    inputs = read_inputs(config)
    config = _resolved(config)
    config = config.model_copy(update={"scene": scene_values(config.scene)})
    if config.vehicle == AUTO:
        config = config.model_copy(update={"vehicle": inputs.vehicle.name})
    reward = job_reward(
        inputs.reward,
        config.reward,
        seed=config.seed,
        sandbox=config.sandbox,
        call_at_step_1=config.call_at_step_1,
    )
    with ExitStack() as around:
        around.enter_context(closing(reward))
        storage = gathered(create_run(config.out, _stem(config, inputs.tracks), config, inputs), "model/")
        try:
            trainer, files = _assembled(RunParts(storage, config), storage, reward, tell, around)
        except LateapexError:
            drop_run(storage)
            raise
        for line in inputs.notes:
            tell(line)
        return _run(trainer, files, storage, config, observe, new=True)


def resume(
    url: str,
    changes: Mapping[str, Any] | None = None,
    observe: Observe | None = None,
    tell: Tell = _nobody,
) -> TrainResult:
    """Go on with a run from its last saved state, or from its beginning if it never saved one.

    Args:
        changes: settings that may differ from the run's: those of `trainer` that bound it, how much it keeps,
            `sandbox`, `tensorboard` and `workers`. They are the run's from then on.
    """
    storage = gathered(open_trained(url), "model/")
    source = f"{url}/run.toml"
    settings = read_settings(storage)
    before = parse(TrainConfig, settings, source)
    config = _resolved(parse(TrainConfig, merge(settings, without_none(changes or {})), source))
    with ExitStack() as around:
        reward = around.enter_context(closing(run_reward(storage, sandbox=config.sandbox)))
        parts = RunParts(storage, config)
        trainer, files = _assembled(parts, storage, reward, tell, around)
        drop_unfinished(storage)
        trainer.resume()
        trainer.diagnosis.replay(log_of(storage))
        if config != before:
            write_settings(storage, config)
        for line in parts.metadata.warnings:
            tell(line)
        return _run(trainer, files, storage, config, observe, new=False)


def _assembled(
    parts: RunParts, storage: Storage, reward: Reward, tell: Tell, around: ExitStack
) -> tuple[Trainer, RunFolderSink]:
    """Put the parts of a run together, ready for its first update; what is to be closed after it goes `around`."""
    config = parts.config
    parts.begin()
    collector = around.enter_context(collecting(parts, storage, reward, tell))
    policy = parts.policy(collector.task)
    if config.pretrained is not None and not storage.exists(STATE):
        first = read_model(storage.read(FIRST_MODEL), f"{storage.url}/{FIRST_MODEL}", parts.code)
        policy.load_state_dict(first.state_dict())
    hyperparameters = run_hyperparameters(storage)
    world = ",".join(track.name for track in parts.tracks)
    head = head_lines(world, parts.metadata, write_hyperparameters(hyperparameters, config.algorithm))
    files = RunFolderSink(storage, hyperparameters.num_episodes_between_training, head)
    trainer = Trainer(
        config.trainer,
        policy=policy,
        collector=collector,
        evaluator=evaluating(parts, storage, reward, policy, collector),
        algorithm=make_algorithm(config, policy, parts.code),
        storage=storage,
        sinks={"files": files, **_further_sinks(config, storage, reward)},
        account=collector if isinstance(collector, StoreCollector | AsyncCrew) else None,
    )
    return trainer, files


def _further_sinks(config: TrainConfig, storage: Storage, reward: Reward) -> dict[str, Sink]:
    """Those of this run's sinks that not every run has."""
    sinks: dict[str, Sink] = {}
    if reward.prints:
        sinks["prints"] = RewardPrintsSink(storage, reward.prints.take)
    if config.tensorboard:
        kind = cast("Callable[[Storage], Sink]", SINKS.get("tensorboard"))  # classes differ in what they are made of
        sinks["tensorboard"] = kind(storage)
    return sinks


def _run(
    trainer: Trainer,
    files: RunFolderSink,
    storage: Storage,
    config: TrainConfig,
    observe: Observe | None,
    *,
    new: bool,
) -> TrainResult:
    if observe is not None:
        trainer.watch(observe(trainer, storage, config))
    begun = time.perf_counter()
    try:
        outcome = trainer.run()
    except (LateapexError, KeyboardInterrupt) as error:
        if isinstance(error, LeaseLostError):
            raise  # the folder is the other trainer's
        if trainer.progress.updates:
            with contextlib.suppress(LateapexError):
                files.flush()
                storage.list("logs/")  # of a far place: writes what is held
                if isinstance(error, RewardError | KeyboardInterrupt):
                    trainer.save_model()  # a whole one, of the update before
        elif new:
            drop_run(storage)
        raise
    result = _result(storage, outcome, trainer, time.perf_counter() - begun)
    if isinstance(trainer.collector, StoreCollector | AsyncCrew):
        result = replace(result, ledger=closed_account(trainer.collector, storage))
    return result


def _result(storage: Storage, outcome: Outcome, trainer: Trainer, seconds: float) -> TrainResult:
    at, reward = trainer.progress, trainer.collector.task.reward
    return TrainResult(
        url=storage.url,
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
        versions=len(version_files(storage)),
        size=sum(note.size for note in notes_of(storage).values()),
        findings=tuple(record for record in log_of(storage) if isinstance(record, FindingRecord)),
        assisted=trainer.policy.blueprint.assisted,
    )


def _stem(config: TrainConfig, tracks: Sequence[Track]) -> str:
    """Beginning of a new run's name."""
    names = [track.name for track in tracks]
    where = "-".join(names) if len(names) <= _NAMED else f"{names[0]}-and-{len(names) - 1}-more"
    return f"{where}-{config.network.rpartition(':')[2]}-{config.seed}"


def _resolved(config: TrainConfig) -> TrainConfig:
    """Fill in what depends on the machine, and name the user's files as the run has them, for its record."""
    cores = os.cpu_count() or 1
    precision = config.precision
    if precision == "auto":
        precision = "bfloat16" if is_heavy(config.network) and _has_bf16() else "float32"
    named = {name: getattr(config, name) for name in ("network", "critic")}
    exchange = config.exchange
    if exchange.url is not None:
        places = {"url": exchange.url, **({"keys": exchange.keys} if exchange.keys else {})}
        whole = {name: url if is_far(url) else str(Path(url).absolute()) for name, url in places.items()}
        exchange = exchange.model_copy(update={**whole, "run": exchange.run or uuid.uuid4().hex})
    changes = {
        "precision": precision,
        "torch_threads": config.torch_threads or cores,
        "exchange": exchange,
        **{name: in_run(value) for name, value in named.items() if is_reference(value)},
        "transforms": tuple(in_run(text) if is_reference(text) else text for text in config.transforms),
    }
    return config.model_copy(update=changes)


def _has_bf16() -> bool:
    capability = torch.backends.cpu.get_cpu_capability()
    return capability.startswith("AVX512") and bool(torch.cpu._is_avx512_bf16_supported())
