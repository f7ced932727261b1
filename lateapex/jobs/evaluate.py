"""Evaluates a model of a run: greedy laps against the clock, their traces, and pictures of them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from lateapex.analysis.animation import animate_lap
from lateapex.analysis.pictures import draw_laps
from lateapex.config import Config
from lateapex.env.racing import RacingTask
from lateapex.env.starts import RoundRobinStarts
from lateapex.errors import ConfigError
from lateapex.formats.metrics import evaluation_entry, write_metrics
from lateapex.formats.simtrace import write_simtrace
from lateapex.jobs.run_folder import open_run, read_settings, read_track, run_metadata, run_reward
from lateapex.models.drive import drive, patience
from lateapex.records import EpisodeRecord
from lateapex.storage import Storage
from lateapex.training.checkpoint import load_state, load_version
from lateapex.world.track import load_track

_FILMED = 8  # cars whose pictures are kept while driving: 9 MB for a lap of 30 s each


class EvaluateConfig(Config):
    """Settings of an evaluation."""

    run: str
    """The run folder."""
    track: str | None = None
    """Name or path of another track than the run's."""
    trials: int = Field(default=5, ge=1, le=10_000)
    """Laps, each with its own start: spread evenly round the track, on the centre line, from rest."""
    checkpoint: Literal["best", "last"] = "best"
    threads: int = Field(default=0, ge=0)
    """Threads that draw pictures; 0: one for each core."""


@dataclass(frozen=True, kw_only=True)
class EvaluateResult:
    """What an evaluation found."""

    run: str
    model: str
    """Version of the model that drove."""
    track: str
    episodes: list[EpisodeRecord]
    train_seconds: float
    """Seconds of training behind the run."""
    folder: str
    """Folder of this evaluation within the run."""
    laps_picture: str
    """Path of the picture of the driven lines."""
    lap_animation: str
    """Path of the animated best trial."""

    @property
    def laps_completed(self) -> int:
        """Trials that were a whole lap without leaving the track."""
        return sum(episode.status == "lap_complete" for episode in self.episodes)

    @property
    def lap_times(self) -> list[float]:
        """Seconds of each complete lap."""
        return [episode.lap_time for episode in self.episodes if episode.status == "lap_complete"]


def evaluate(config: EvaluateConfig, now: Callable[[], datetime.datetime] = datetime.datetime.now) -> EvaluateResult:
    """Drive the trials and write `evaluation-<14 digits>/` and its metrics into the run folder.

    Raises:
        RunError: no run, or no model yet, is there.
        TrackError: the track is unknown or no track.
    """
    storage = open_run(config.run)
    track = load_track(config.track) if config.track else read_track(storage)
    metadata = run_metadata(storage)
    name, policy = load_version(storage, config.checkpoint)
    state = load_state(storage)
    task = RacingTask(
        track,
        config.trials,
        reward=run_reward(storage),
        metadata=metadata,
        threads=config.threads,
        colour=policy.shape.channels == 3,
        quirks=read_settings(storage).get("quirks", "original"),
    )
    if policy.shape.actions != len(task.actions):
        raise ConfigError(
            f"{config.run}: the model has {policy.shape.actions} actions, its metadata {len(task.actions)}; "
            "restore model/model_metadata.json as it was when training began"
        )
    task.max_steps = patience(task.lengths)
    frames: dict[int, list[NDArray[np.uint8]]] = {car: [] for car in range(min(config.trials, _FILMED))}

    def film(car: int, picture: NDArray[np.uint8]) -> None:
        if car in frames:
            frames[car].append(picture.copy())

    torch.set_num_threads(1)  # a lap's pictures are too few to share, and results then do not depend on the machine
    cars = np.arange(config.trials)
    poses = RoundRobinStarts(spread=1.0 / config.trials).draw(0, cars, np.zeros_like(cars))
    episodes = drive(policy, task, poses, film)
    folder = _free_folder(storage, now())
    best = min(frames, key=lambda car: _rank(episodes[car]))
    storage.write(f"{folder}/evaluation-simtrace/0-iteration.csv", write_simtrace(enumerate(episodes)).encode())
    storage.write(f"{folder}/laps.png", draw_laps(track, episodes, f"{track.name}  {name.removesuffix('.pt')}"))
    storage.write(f"{folder}/lap.gif", animate_lap(track, episodes[best], frames[best]))
    entries = [evaluation_entry(episode, trial) for trial, episode in enumerate(episodes, 1)]
    storage.write(f"metrics/evaluation/{folder}.json", write_metrics(entries, None).encode())
    return EvaluateResult(
        run=config.run,
        model=name,
        track=track.name,
        episodes=episodes,
        train_seconds=float(state["progress"]["train_seconds"]) if state else 0.0,
        folder=folder,
        laps_picture=f"{storage.url}/{folder}/laps.png",
        lap_animation=f"{storage.url}/{folder}/lap.gif",
    )


def _rank(episode: EpisodeRecord) -> tuple[float, float]:
    """The furthest trial first, the fastest of equals."""
    return -episode.progress, episode.lap_time


def _free_folder(storage: Storage, now: datetime.datetime) -> str:
    """`evaluation-<14 digits>`, a second later for each that is there already."""
    while storage.list(f"evaluation-{now:%Y%m%d%H%M%S}/"):
        now += datetime.timedelta(seconds=1)
    return f"evaluation-{now:%Y%m%d%H%M%S}"
