"""Tasks made for tests: few cars, small pictures, one thread, and rewards that tell what they were called with."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateapex.env.actions import ActionTable
from lateapex.env.racing import RacingTask
from lateapex.env.reward import RewardFunction
from lateapex.env.starts import RoundRobinStarts, StartPoses
from lateapex.formats.model_metadata import ModelMetadata, read_metadata
from lateapex.sim.lidar import Bodies

STRAIGHT_ON = 5
"""Place of 0 degrees and 1.0 m/s in the default action list."""

CALLS: list[list[dict[str, Any]]] = []
"""What each watched reward was called with."""


def small_task(track: Any = "oval", cars: int = 2, **settings: Any) -> RacingTask:
    chosen = {"height": 16, "width": 24, "threads": 1, "starts": RoundRobinStarts(), **settings}
    return RacingTask(track, cars, **chosen)


def watched_reward(returned: str = "1.0") -> tuple[RewardFunction, list[dict[str, Any]]]:
    """A reward, and the list to which it adds the parameters of each of its calls."""
    calls: list[dict[str, Any]] = []
    CALLS.append(calls)
    place = len(CALLS) - 1
    text = f"""
from made_tasks import CALLS

def reward_function(params):
    CALLS[{place}].append(params)
    return {returned}
"""
    return RewardFunction(text, "watched.py"), calls


def random_actions(seed: int, steps: int, cars: int) -> NDArray[np.int64]:
    """Places in the default action list, `[steps, cars]`."""
    return np.random.default_rng(seed).integers(0, 10, (steps, cars))


def crowded(task: RacingTask) -> RacingTask:
    """The same task with boxes along the borders of all roads, for lidars to see; no camera does."""
    worlds = []
    for place in task.simulator.cars["track"]:
        track = task.tracks[place]
        points = np.concatenate(
            [side[np.linspace(0, len(side) - 1, 30).astype(int)] for side in (track.inner, track.outer)]
        )
        worlds.append(np.column_stack([points, points[:, 0], np.full((60, 2), 0.2)]))
    bodies = Bodies(np.stack(worlds), np.full((len(worlds), 60), -1))
    task.simulator.bodies = lambda: bodies  # type: ignore[method-assign]  # what there is to see
    return task


def at(fraction: Any, offset: Any = 0.0, heading: Any = 0.0) -> StartPoses:
    """Start poses of as many cars as there are fractions."""
    fractions = np.atleast_1d(np.asarray(fraction, np.float64))
    others = (np.broadcast_to(np.asarray(item, np.float64), fractions.shape).copy() for item in (offset, heading))
    return StartPoses(fractions, *others)


def metadata_of(*actions: tuple[float, float]) -> ModelMetadata:
    """Metadata with these actions, (degrees, m/s) each."""
    space = [{"steering_angle": angle, "speed": speed} for angle, speed in actions]
    content = {"action_space": space, "sensor": ["FRONT_FACING_CAMERA"], "version": "5"}
    return read_metadata(json.dumps(content), "made.json")


def continuous_metadata(steering: tuple[float, float], speed: tuple[float, float]) -> ModelMetadata:
    """Metadata of a continuous action space; lowest and highest degrees and m/s."""
    space = {name: {"low": low, "high": high} for name, (low, high) in (("steering_angle", steering), ("speed", speed))}
    content = {
        "action_space": space,
        "action_space_type": "continuous",
        "sensor": ["FRONT_FACING_CAMERA"],
        "version": "5",
    }
    return read_metadata(json.dumps(content), "made.json")


class LineFollower:
    """Drives towards the centre line 0.6 m ahead, by the task's state and not by pictures."""

    def __init__(self, task: RacingTask) -> None:
        self.task = task

    def greedy(self, observations: Any, fresh: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.array([self._action(car) for car in self.task.simulator.cars], np.int64)

    def _action(self, car: Any) -> int:
        track = self.task.tracks[car["track"]]
        x, y, _ = track.pose_at((car["along"] + 0.6) / track.length)
        turn = np.arctan2(y - car["y"], x - car["x"]) - car["yaw"]
        turn = np.degrees((turn + np.pi) % (2.0 * np.pi) - np.pi)
        assert isinstance(self.task.actions, ActionTable)
        costs = np.abs(self.task.actions.steering_angle - 2.0 * turn) - self.task.actions.speed
        return int(costs.argmin())


def drive_on(task: RacingTask, actions: Any) -> list[tuple[Any, ...]]:
    """Take these actions, `[T, N]`, and begin anew what ended.

    Returns:
        For each step: reward, terminated, truncated, the rows and the pictures.
    """
    steps = []
    for row in actions:
        result = task.advance(row)
        steps.append((*result, task.rows.copy(), task.pictures.copy()))
        task.begin(np.flatnonzero(result[1] | result[2]))
    return steps
