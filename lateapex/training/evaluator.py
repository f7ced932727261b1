"""Evaluates a policy in the midst of training: drives greedily from given starts, in this process or elsewhere.

What comes of it depends on the weights, the starts, the clock and the number of the episode alone: driven once more,
it is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lateapex.env.racing import RacingTask
from lateapex.env.starts import RandomStarts, StartPoses
from lateapex.models.drive import drive, patience
from lateapex.models.policy import Policy
from lateapex.records import EpisodeRecord, TrackEvaluation
from lateapex.world.track import Track
from lateapex.world.track_list import track_label

_STREAM = 1_000_000_007  # added to the seed, so that evaluation starts are none of training's


class Evaluator(Protocol):
    """Drives the trials of an evaluation, a car each."""

    count: int
    """Cars."""
    seed: int
    """Of the run."""
    tracks: Sequence[Track]
    """Car i drives on track i modulo their number."""

    @property
    def max_steps(self) -> int:
        """Steps after which a trial is cut off."""
        ...

    def evaluate(self, policy: Policy, poses: StartPoses, clock: int, episode: int) -> list[EpisodeRecord]:
        """Drive greedily, one episode with each car.

        Args:
            policy: drives.
            poses: where the cars start, `[N]`.
            clock: steps that the simulator's time begins with.
            episode: number before that of the cars' episodes, to which draws belong.

        Returns:
            `[N]` records in the order of the cars.

        Raises:
            RewardError: the reward failed.
        """
        ...


class LocalEvaluator:
    """Drives the cars of a task in this process; no trial is longer than the slowest lap."""

    def __init__(self, task: RacingTask) -> None:
        self.task = task
        self.count = task.simulator.count
        self.seed = task.seed
        self.tracks: Sequence[Track] = task.tracks
        task.max_steps = patience(task.lengths)

    @property
    def max_steps(self) -> int:
        """Steps after which a trial is cut off."""
        return self.task.max_steps

    def evaluate(self, policy: Policy, poses: StartPoses, clock: int, episode: int) -> list[EpisodeRecord]:
        """Drive now."""
        self.task.simulator.clock = clock
        self.task.episodes["episode"] = episode  # obstacles are drawn by it: the same after a resume
        return drive(policy.driver(self.count), self.task, poses)


def random_starts(seed: int, cars: NDArray[np.int64], update: int) -> StartPoses:
    """Draw where some cars, `[N]`, start in the evaluation after an update, anywhere along the lap."""
    return RandomStarts().draw(seed + _STREAM, cars, np.full(len(cars), update))


def by_track(tracks: Sequence[Track], episodes: Sequence[EpisodeRecord]) -> tuple[TrackEvaluation, ...]:
    """The result of each track; as many episodes were driven on each, so no track outweighs another."""
    parts = [episodes[place :: len(tracks)] for place in range(len(tracks))]
    return tuple(_of_track(track_label(track), part) for track, part in zip(tracks, parts, strict=True))


def _of_track(track: str, episodes: Sequence[EpisodeRecord]) -> TrackEvaluation:
    """Sum up what was driven on one track."""
    laps = [episode.lap_time for episode in episodes if episode.status == "lap_complete"]
    return TrackEvaluation(
        track=track,
        laps_completed=len(laps),
        trials=len(episodes),
        mean_progress=float(np.mean([episode.progress for episode in episodes])),
        best_lap=min(laps, default=None),
    )
