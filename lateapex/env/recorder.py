"""Collects the steps of each car into the records of its episodes, with what it takes to drive them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from lateapex.env.actions import ActionTable
from lateapex.env.racing import RacingTask
from lateapex.records import STEP_DTYPE, EpisodeRecord, Recipe
from lateapex.sim.state import MOTION, motion

_FIRST_CAPACITY: Final = 256
_JUDGED: Final = ("steps", "progress", "closest_waypoint", "all_wheels_on_track", "status", "done", "sim_time")
_TOLD: Final = ("steering_angle", "speed")
_PLACES: Final = ("x", "y", "yaw")
_SHORT: Final = 32  # digits


class EpisodeRecorder:
    """Takes the rows of a task after each step; gives back the episodes that ended with it."""

    def __init__(self, task: RacingTask, phase: Literal["training", "evaluation"]) -> None:
        self._task = task
        self._phase = phase
        count = task.simulator.count
        acted: tuple[Any, tuple[int, ...]] = (np.float64, (2,)) if _continuous(task) else (np.int32, ())
        self._kept = {
            "rows": np.zeros((count, _FIRST_CAPACITY), STEP_DTYPE),
            "actions": np.zeros((count, _FIRST_CAPACITY, *acted[1]), acted[0]),
            "motion": np.zeros((count, _FIRST_CAPACITY, len(MOTION))),
        }
        self._length = np.zeros(count, np.int64)
        self._everyone = np.arange(count)

    def take(self) -> list[EpisodeRecord]:
        """Append the task's last step; return the episodes it ended, in the order of the cars."""
        task = self._task
        if int(self._length.max()) == self._kept["rows"].shape[1]:
            self._kept = {name: np.concatenate([kept, np.zeros_like(kept)], 1) for name, kept in self._kept.items()}
        new = {"rows": task.rows, "actions": task.taken, "motion": motion(task.before)}
        for name, kept in self._kept.items():
            kept[self._everyone, self._length] = new[name]
        self._length += 1
        return self._taken(np.flatnonzero(task.rows["done"]))

    def cut(self) -> list[EpisodeRecord]:
        """Return what there is of all episodes that have begun, as if they had ended."""
        return self._taken(np.flatnonzero(self._length))

    def _taken(self, cars: NDArray[np.intp]) -> list[EpisodeRecord]:
        records = [self._record(int(car)) for car in cars]
        self._length[cars] = 0
        return records

    def _record(self, car: int) -> EpisodeRecord:
        track = self._task.tracks[int(self._task.simulator.cars["track"][car])]
        steps = self._kept["rows"][car, : self._length[car]].copy()
        return EpisodeRecord(
            phase=self._phase,
            track=track.name,
            track_length=float(self._task.lengths[car]),
            car=int(self._task.numbers[car]),
            steps=steps,
            car_episode=int(self._task.episodes["episode"][car]),
            scene=None if self._task.varied is None else self._task.varied.of_episode(car),
            recipe=self._recipe(car, steps),
        )

    def forget(self) -> None:
        """Drop the steps of all unfinished episodes."""
        self._length[:] = 0

    def _recipe(self, car: int, steps: NDArray[Any]) -> Recipe:
        task, begun = self._task, self._task.begun[car]
        start = float(begun["fraction"]), float(begun["offset"]), float(begun["heading"])
        return Recipe(
            seed=task.seed,
            episode=int(task.episodes["episode"][car]),
            clock=int(begun["clock"]),
            max_steps=task.max_steps,
            start=None if begun["drawn"] else start,
            actions=self._kept["actions"][car, : len(steps)].copy(),
            digest=self._digest(car, steps),
            seen=_sha256(seen[car] for _, seen in sorted(task.observations.items()))[:_SHORT],
            paid=_sha256([steps["reward"]])[:_SHORT],
        )

    def _digest(self, car: int, steps: NDArray[Any]) -> str:
        """Of the motion before each step and after the last, of all verdicts, and of where other things are then."""
        simulator = self._task.simulator
        parts = [self._kept["motion"][car, : len(steps)], motion(simulator.cars)[car]]
        parts += [steps[name] for name in (*_JUDGED, *_TOLD)]
        if simulator.traffic is not None:
            things = simulator.traffic.things[simulator.cars["world"][car]]
            parts += [things[name] for name in _PLACES]
        return _sha256(parts)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """The steps of unfinished episodes, as copies; of other steps there are zeros, not what was there before."""
        longest = max(int(self._length.max()), 1)
        copies = {name: kept[:, :longest].copy() for name, kept in self._kept.items()}
        others = np.arange(longest) >= self._length[:, None]
        for copy in copies.values():
            copy[others] = np.zeros((), copy.dtype)
        return {**copies, "length": self._length.copy()}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Return to a snapshot of a recorder of as many cars."""
        for name, kept in self._kept.items():
            taken = snapshot[name]
            room = max(_FIRST_CAPACITY, 2 * taken.shape[1])
            self._kept[name] = np.zeros((len(taken), room, *kept.shape[2:]), kept.dtype)
            self._kept[name][:, : taken.shape[1]] = taken
        self._length[:] = snapshot["length"]


def _continuous(task: RacingTask) -> bool:
    return not isinstance(task.actions, ActionTable)


def _sha256(parts: Iterable[NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes())
    return digest.hexdigest()
