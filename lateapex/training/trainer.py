"""The training loop: collect, update, now and then evaluate and save; until a budget or a goal is reached.

Everything that decides what comes next is counted in steps, updates and laps, never in seconds, but for the time budget
itself and the moment at which the state is saved. So two runs of one seed and step budget are the same, also when one
of them was stopped and resumed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lateapex.config import Config
from lateapex.diagnosis import Diagnosis, payment
from lateapex.env.starts import StartPoses
from lateapex.errors import ConfigError, RunError, TrainingError
from lateapex.formats.checkpoints import CheckpointEntry
from lateapex.models.model_file import in_short, write_model
from lateapex.models.policy import Policy
from lateapex.records import EpisodeRecord, EvaluationRecord, FindingRecord, Sink, UpdateRecord
from lateapex.storage import Storage
from lateapex.training.algorithms import Algorithm
from lateapex.training.best_model import Metric, is_as_good, metric_of
from lateapex.training.checkpoint import drop_version, drop_versions, load_state, save_state, save_version, version_name
from lateapex.training.collect import Account, Budget, Collector
from lateapex.training.evaluator import Evaluator, by_track, random_starts
from lateapex.training.rollout import Rollout

Outcome = Literal["goal", "steps", "duration", "updates", "stopped"]

_WAY_JUDGED = 1.0  # laps, over all cars, in which falls are counted


class TrainerConfig(Config):
    """When to collect how much, when to evaluate, when to save, when to end."""

    duration: float = Field(default=600.0, gt=0.0)
    """Seconds of training and evaluation together, saving included."""
    steps: int | None = Field(default=None, ge=1)
    """Environment steps over all cars, rounded up to whole steps of all; None: no bound."""
    updates: int | None = Field(default=None, ge=1)
    until_laps: bool = False
    """End when the greedy policy completes every start, on every track, in two evaluations with an update between."""
    rollout_steps: int = Field(default=64, ge=1)
    """Steps of each car between two updates."""
    rollout_episodes: int | None = Field(default=None, ge=1)
    """Where given, an update follows as soon as this many episodes have ended."""
    rollout_whole: bool = False
    """Whether one car learns from whole episodes alone: one that `rollout_steps` cuts is left out, as in the
    original."""
    evaluation_trials: int = Field(default=20, ge=1)
    """Starts of an evaluation, shared out over the tracks and rounded up to as many on each."""
    evaluation_starts: Literal["random", "training"] = "random"
    """random: anywhere along the lap. training: all where the first car's next training episode starts, as in the
    original; one trial then says as much as many, since a model drives the same lap from the same place."""
    evaluation_interval: int = Field(default=10, ge=1)
    """Updates between two evaluations; they come sooner once the car falls off less than once a lap."""
    best_model_metric: Metric = "progress"
    """By what the best model is chosen: progress or reward, the more the better, or laptime, the less the better, where
    a trial that is no lap counts as the slowest. Of equals the newer."""
    save_seconds: float = Field(default=15.0, gt=0.0)
    """Seconds between two saved states; what is lost at most when the machine fails."""
    keep: int = Field(default=4, ge=1)
    """Versions of the model that stay, the newest of those evaluated; beside them the best and the last."""


@dataclass
class Progress:
    """How far a run has come; goes into the saved state as it is."""

    updates: int = 0
    steps: int = 0
    episodes: int = 0
    passed: int = 0
    """Evaluations in a row in which every start was a complete lap."""
    evaluated_at: int = 0
    """Update of the newest evaluation."""
    falls: int = 0
    """Episodes that ended before the lap did, since the car's way was last judged."""
    way: float = 0.0
    """Laps driven since then."""
    best_score: float = -math.inf
    """Mean progress of the best evaluation, percent."""
    best_name: str = ""
    best_time: float = 0.0
    versions: list[str] = field(default_factory=list)
    """Names of the newest evaluated versions, as many as are kept."""
    metric: float = math.nan
    """What `best_model_metric` asks for, of the newest evaluation."""
    best_metric: float = math.nan
    """The same of the best."""
    score: float = math.nan
    """Mean progress of the newest evaluation."""
    best_lap: float = math.inf
    train_seconds: float = 0.0
    """Collecting, updating and saving; without evaluation and compilation."""
    evaluation_seconds: float = 0.0
    sinks: dict[str, dict[str, int]] = field(default_factory=dict)


class Trainer:
    """One run.

    Args:
        policy: trained in place.
        collector: brings experience.
        evaluator: drives each evaluation start, on the tracks to be judged on.
        algorithm: learns from the experience.
        storage: the run folder.
        sinks: take the records, by name.
        account: hears what becomes of the experience, where somebody must know.
    """

    def __init__(
        self,
        config: TrainerConfig,
        *,
        policy: Policy,
        collector: Collector,
        evaluator: Evaluator,
        algorithm: Algorithm,
        storage: Storage,
        sinks: Mapping[str, Sink],
        account: Account | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.config = config
        self.policy = policy
        self.progress = Progress()
        self.stopping = False
        """Set it, from a signal handler say, and the run ends after the current update, saved."""
        self.diagnosis = Diagnosis()
        self.collector = collector
        self._evaluator = evaluator
        self._algorithm = algorithm
        self._storage = storage
        self._sinks = dict(sinks)
        self._account = account
        self._clock = clock
        self._cars = collector.cars
        self._saving = 0.0  # seconds since the last update
        self._durable: set[str] = set()  # versions that the saved state may name

    def watch(self, sinks: Mapping[str, Sink]) -> None:
        """Add sinks; one that was there when the run was saved goes on from what it had then."""
        for name, sink in sinks.items():
            sink.restore(self.progress.sinks.get(name, {}))
            self._sinks[name] = sink

    def run(self) -> Outcome:
        """Train until something ends it; the model, the state and all sinks are saved whatever that is."""
        saved_at = self._clock()
        outcome = self._reached()
        while outcome is None:
            started = self._clock()
            if (found := self._cycle(started)) is None:
                self.progress.train_seconds += self._clock() - started
                outcome = self._reached()
                continue
            rollout, losses, seconds = found
            self._count(rollout)
            self._emit(rollout.episodes)
            self._emit([self._update_record(rollout, losses, seconds)])
            self.progress.train_seconds += self._clock() - started
            self._check(losses)
            if self._evaluation_due(rollout):
                self._evaluate()
            outcome = self._reached()
            if outcome is None and (self._clock() - saved_at >= self.config.save_seconds or self._is_asked_for()):
                started = self._clock()
                self.save()
                saved_at = self._clock()
                self._saving = saved_at - started
                self.progress.train_seconds += self._saving
        if self._account is not None:
            self._account.finish()
        if stopped := outcome == "stopped":
            self.save()  # before the evaluation: whoever goes on from here does so as if nothing had stopped the run
        if self.progress.evaluated_at < self.progress.updates:
            self._evaluate()
        if stopped:
            self.save_model()
        else:
            self.save()
        return outcome

    def save(self) -> None:
        """Make everything so far durable: logs first, the model, the state last."""
        at = self.progress
        if self._account is not None:
            self._account.check()
        names = self.save_model()
        save_state(
            self._storage,
            {
                "progress": {item.name: getattr(at, item.name) for item in fields(at)},
                "weights": self.policy.state_dict(),
                "algorithm": self._algorithm.state(self._storage),
                "collector": self.collector.snapshot(),
            },
        )
        self._algorithm.tidy(self._storage)
        drop_versions(self._storage, names)
        self._durable = names
        if self._account is not None:
            self._account.saved()

    def _is_asked_for(self) -> bool:
        return self._account is not None and self._account.due

    def save_model(self) -> set[str]:
        """Make logs and model durable, without the state; returns the names of all versions that are to stay."""
        self.progress.sinks = {name: sink.state() for name, sink in self._sinks.items()}
        return self._save_version()

    def _save_version(self) -> set[str]:
        at = self.progress
        name = version_name(at.updates, at.steps)
        last = CheckpointEntry(name, None if math.isnan(at.metric) else at.metric, self._sim_time())
        best = CheckpointEntry(at.best_name, at.best_metric, at.best_time) if at.best_name else last
        save_version(self._storage, name, write_model(self.policy), best, last)
        return {best.name, last.name, *at.versions}

    def resume(self) -> None:
        """Go on from the run folder's saved state; without one, from the beginning.

        Raises:
            FormatError: the state is damaged.
            RunError: it is that of a run with other settings, actions or cars.
        """
        state = load_state(self._storage)
        if state is not None:
            self._restore(state)
            self._durable = {self.progress.best_name, *self.progress.versions}
            del self.progress.versions[: -self.config.keep]
        try:
            for name, sink in self._sinks.items():
                sink.restore(self.progress.sinks.get(name, {}))
        except ValueError as error:
            raise RunError(
                f"{self._storage.url}: a log of the run is damaged: {error}; bring it back or start a new run"
            ) from None

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.progress = Progress(**state["progress"])
            self.policy.load_state_dict(state["weights"])
            self._algorithm.restore(state["algorithm"], self._storage)
            self.collector.restore(state["collector"])
        except (ConfigError, KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{self._storage.url}: the saved state does not fit run.toml and model/model_metadata.json: "
                f"{in_short(error)}; put them back as they were when the run began"
            ) from None

    def _cycle(self, started: float) -> tuple[Rollout, dict[str, float], dict[str, float]] | None:
        """Collect and update; None where no experience came until the run was over or to be stopped."""
        steps = self.config.rollout_steps
        if self.config.steps is not None:
            steps = min(steps, -(-(self.config.steps - self.progress.steps) // self._cars))
        begun = self._clock()
        rollout = self.collector.collect(self.policy, self._budget(steps, started))
        if rollout is None:
            return None
        collected = self._clock()
        losses = {**self._algorithm.update(rollout), "weight_norm": self._weight_norm()}
        updated = self._clock()
        simulate = collected - begun - sum(rollout.seconds.values())
        saving, self._saving = self._saving, 0.0
        return rollout, losses, {"simulate": simulate, **rollout.seconds, "update": updated - collected, "save": saving}

    def _budget(self, steps: int, started: float) -> Budget:
        at, config = self.progress, self.config
        end = started + config.duration - at.train_seconds - at.evaluation_seconds
        return Budget(
            steps, config.rollout_episodes, config.rollout_whole, lambda: not self.stopping and self._clock() < end
        )

    def _weight_norm(self) -> float:
        return math.hypot(*(float(weight.detach().norm()) for weight in self.policy.parameters()))

    def _count(self, rollout: Rollout) -> None:
        at = self.progress
        at.updates += 1
        at.steps += rollout.rewards.size
        at.episodes += len(rollout.episodes)
        laps = [episode.lap_time for episode in rollout.episodes if episode.status == "lap_complete"]
        at.best_lap = min([at.best_lap, *laps])

    def _update_record(self, rollout: Rollout, losses: dict[str, float], seconds: dict[str, float]) -> UpdateRecord:
        at, ended = self.progress, rollout.episodes
        return UpdateRecord(
            iteration=at.updates,
            steps=at.steps,
            episodes=at.episodes,
            mean_progress=float(np.mean([episode.progress for episode in ended])) if ended else math.nan,
            mean_reward=float(np.mean([episode.reward for episode in ended])) if ended else math.nan,
            laps=sum(episode.status == "lap_complete" for episode in ended),
            finished=len(ended),
            best_lap=at.best_lap if math.isfinite(at.best_lap) else None,
            losses=losses,
            actions=self._actions(rollout),
            payment=payment(ended),
            seconds=seconds,
        )

    def _actions(self, rollout: Rollout) -> tuple[int, ...]:
        if rollout.actions.is_floating_point():
            return ()
        return tuple(np.bincount(rollout.actions.numpy().ravel(), minlength=len(self.collector.task.actions)).tolist())

    def _check(self, losses: Mapping[str, float]) -> None:
        broken = [name for name, value in losses.items() if not math.isfinite(value)]
        if broken:
            raise TrainingError(
                f"{broken[0]} is {losses[broken[0]]} at update {self.progress.updates}; the model saved before stays; "
                "try a smaller learning rate (lr) or smaller rewards"
            )

    def _evaluation_due(self, rollout: Rollout) -> bool:
        at = self.progress
        at.falls += sum(episode.status != "lap_complete" for episode in rollout.episodes)
        at.way += rollout.laps_driven
        if at.way >= _WAY_JUDGED:
            promising, at.falls, at.way = at.falls <= at.way, 0, 0.0
            if self.config.until_laps and promising:
                return True
            at.passed = 0
        return at.updates % self.config.evaluation_interval == 0

    def _evaluate(self) -> None:
        """Drive every evaluation start greedily; note whether this is the best model so far."""
        begun = self._clock()
        at, evaluator = self.progress, self._evaluator
        poses = self._evaluation_poses(np.arange(evaluator.count))
        episodes = evaluator.evaluate(self.policy, poses, round(self._sim_time() * 15.0), at.updates)
        laps = [episode.lap_time for episode in episodes if episode.status == "lap_complete"]
        at.best_lap = min([at.best_lap, *laps])
        at.score = float(np.mean([episode.progress for episode in episodes]))
        at.metric = metric_of(self.config.best_model_metric, episodes, evaluator.max_steps / 15.0)
        is_best = is_as_good(self.config.best_model_metric, at.metric, at.best_metric)
        if is_best:
            at.best_score, at.best_metric, at.best_time = at.score, at.metric, self._sim_time()
            at.best_name = version_name(at.updates, at.steps)
        self._keep_version()
        at.passed = at.passed + 1 if len(laps) == evaluator.count else 0
        at.evaluated_at = at.updates
        self._emit(episodes)
        self._emit(
            [
                EvaluationRecord(
                    iteration=at.updates,
                    steps=at.steps,
                    laps_completed=len(laps),
                    trials=evaluator.count,
                    mean_progress=at.score,
                    best_lap=min(laps, default=None),
                    is_best=is_best,
                    tracks=by_track(evaluator.tracks, episodes),
                    seconds=self._clock() - begun,
                )
            ]
        )
        at.evaluation_seconds += self._clock() - begun

    def _evaluation_poses(self, cars: NDArray[np.int64]) -> StartPoses:
        if self.config.evaluation_starts == "training":
            task, first = self.collector.task, np.zeros_like(cars)
            return task.starts.draw(task.seed, first, first + task.episodes["episode"][0] + 1)
        return random_starts(self._evaluator.seed, cars, self.progress.updates)

    def _keep_version(self) -> None:
        """Save the version just evaluated; delete those that are too old, unless the saved state still needs them."""
        at = self.progress
        at.versions = [*at.versions, version_name(at.updates, at.steps)]
        old, at.versions = at.versions[: -self.config.keep], at.versions[-self.config.keep :]
        kept = self._save_version() | self._durable
        for name in old:
            if name not in kept:
                drop_version(self._storage, name)

    def _emit(self, records: Sequence[EpisodeRecord | UpdateRecord | EvaluationRecord | FindingRecord]) -> None:
        """Give records to all sinks, each with what is found by it."""
        for record in records:
            for sink in self._sinks.values():
                sink.write(record)
            self._emit(self.diagnosis.take(record))

    def _sim_time(self) -> float:
        """Simulated time of each car, s."""
        return self.progress.steps / self._cars / 15.0

    def _reached(self) -> Outcome | None:
        at, config = self.progress, self.config
        if config.until_laps and at.passed >= 2:
            return "goal"
        if config.steps is not None and at.steps >= config.steps:
            return "steps"
        if config.updates is not None and at.updates >= config.updates:
            return "updates"
        if at.train_seconds + at.evaluation_seconds >= config.duration:
            return "duration"
        return "stopped" if self.stopping else None
