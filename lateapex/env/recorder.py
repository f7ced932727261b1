"""Collects the steps of each car into the records of its episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lateapex.env.racing import RacingTask
from lateapex.records import STEP_DTYPE, EpisodeRecord

_FIRST_CAPACITY = 256


class EpisodeRecorder:
    """Takes the rows of a task after each step; gives back the episodes that ended with it."""

    def __init__(self, task: RacingTask, phase: Literal["training", "evaluation"]) -> None:
        self._task = task
        self._phase = phase
        count = task.simulator.count
        self._rows = np.zeros((count, _FIRST_CAPACITY), STEP_DTYPE)
        self._length = np.zeros(count, np.int64)
        self._everyone = np.arange(count)

    def take(self) -> list[EpisodeRecord]:
        """Append the task's last step; return the episodes it ended, in the order of the cars."""
        if int(self._length.max()) == self._rows.shape[1]:
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)], axis=1)
        self._rows[self._everyone, self._length] = self._task.rows
        self._length += 1
        ended = np.flatnonzero(self._task.rows["done"])
        records = [self._record(int(car)) for car in ended]
        self._length[ended] = 0
        return records

    def _record(self, car: int) -> EpisodeRecord:
        track = self._task.tracks[int(self._task.simulator.cars["track"][car])]
        return EpisodeRecord(
            phase=self._phase,
            track=track.name,
            track_length=float(self._task.lengths[car]),
            car=int(self._task.numbers[car]),
            steps=self._rows[car, : self._length[car]].copy(),
            car_episode=int(self._task.episodes["episode"][car]),
            scene=None if self._task.varied is None else self._task.varied.of_episode(car),
        )

    def forget(self) -> None:
        """Drop the steps of all unfinished episodes."""
        self._length[:] = 0

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """The steps of unfinished episodes, as copies."""
        return {"rows": self._rows[:, : max(int(self._length.max()), 1)].copy(), "length": self._length.copy()}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Return to a snapshot of a recorder of as many cars."""
        rows = snapshot["rows"]
        self._rows = np.zeros((len(rows), max(_FIRST_CAPACITY, 2 * rows.shape[1])), STEP_DTYPE)
        self._rows[:, : rows.shape[1]] = rows
        self._length[:] = snapshot["length"]
