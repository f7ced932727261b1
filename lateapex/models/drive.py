"""Lets a policy drive: whole episodes of a batch of cars, greedily, as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lateapex.env.racing import RacingTask
from lateapex.env.recorder import EpisodeRecorder
from lateapex.env.starts import StartPoses
from lateapex.records import EpisodeRecord

Watcher = Callable[[int, NDArray[np.uint8]], None]
"""Called with a car's place and what it sees, `[H, W]` or `[H, W, C]`, for each row of its record and in that order."""


class Driver(Protocol):
    """Says what to do from what the sensors give; what it remembers of a car is its own affair."""

    def greedy(self, observations: Mapping[str, NDArray[Any]], fresh: NDArray[np.bool_]) -> NDArray[Any]:
        """Observations by sensor, `[N, ...]` each, and whose episode begins now -> actions for RacingTask.advance."""
        ...


def drive(
    driver: Driver, task: RacingTask, poses: StartPoses | None, watch: Watcher | None = None
) -> list[EpisodeRecord]:
    """Drive one episode with every car of `task`, from `poses` `[N]`, or where the task's starts say.

    Either is moved as the task's scene says.

    Returns:
        `[N]` records in the order of the cars, whatever the order in which they finished.
    """
    count, first = task.simulator.count, int(task.numbers[0])
    everyone = np.arange(count)
    recorder = EpisodeRecorder(task, "evaluation")
    task.begin(everyone, poses, moved=True)
    found: dict[int, EpisodeRecord] = {}
    while len(found) < count:
        actions = driver.greedy(task.observations, task.fresh)
        if watch is not None:
            for car in everyone:
                if car not in found:
                    watch(int(car), task.pictures[car])
        task.advance(actions)
        ended = recorder.take()
        for record in ended:
            found.setdefault(record.car - first, record)
        # Cars that are through begin anew: beyond its end an episode has no sense, and a reward may not stand it.
        task.begin(np.array([record.car - first for record in ended], np.int64))
    return [found[int(car)] for car in everyone]


def patience(lengths: NDArray[np.float64]) -> int:
    """Steps that the slowest car, 0.1 m/s, needs for a lap of the longest of some tracks (m): no lap takes more."""
    return int(np.ceil(float(lengths.max()) / 0.1 * 15.0))
