"""A teacher: a driver that knows the car's state, and tells a student that sees pictures what it would do in its place.

The student drives and the teacher labels what it comes to see (DAgger); at first the teacher drives as well, so that
there is more to see than the first bend. An episode's first action is swallowed while the car is held: the label is
right there too, since car and picture are the same one step later.

Source: Ross, Gordon and Bagnell 2011, A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
Learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lateapex.config import Config
from lateapex.env.racing import RacingTask
from lateapex.models.drivers import CentreLineDriver
from lateapex.models.lane_driver import LaneDriver
from lateapex.models.line_driver import LineDriver
from lateapex.models.timing import StateDriver
from lateapex.sim.traffic import Traffic
from lateapex.world.planned_lap import planned_lap
from lateapex.world.track import Track
from lateapex.world.vehicle import Vehicle

TeacherName: TypeAlias = Literal["none", "centre_line", "lanes", "minimum_time"]


class TeacherConfig(Config):
    """Settings of a lesson before the algorithm begins."""

    kind: TeacherName = "none"
    """none; centre_line: keeps to the middle of the road; lanes: keeps to its lane, and goes over to the other where
    something is in the way; minimum_time: follows the fastest line, which is planned once
    for each track and vehicle, takes minutes, and needs lateapex[line]."""
    steps: int = Field(default=8192, ge=1)
    """Environment steps of the lesson, over all cars, rounded up to whole rollouts; then the algorithm goes on."""
    mix: float = Field(default=0.25, ge=0.0, le=1.0)
    """Share of the lesson over which the teacher hands over the wheel, from all steps to none; 0: it never drives."""
    learning_rate: float = Field(default=1e-3, gt=0.0, le=1.0)
    """Adam's step size in the lesson."""
    final_learning_rate: float | None = Field(default=None, ge=0.0, le=1.0)
    """Adam's step size at the end of the lesson, to which it falls with each step; as `learning_rate` if not given."""
    epochs: float = Field(default=2.0, gt=0.0, le=100.0)
    """Steps learned from in each round, drawn from all that are remembered, in multiples of the new ones."""
    batch_size: int = Field(default=128, ge=1)
    capacity: int = Field(default=16_384, ge=2)
    """Steps that are remembered, over all cars; pictures of 160x120 take 19 kB each."""


class Teacher:
    """Labels what the cars of a task see.

    Args:
        driver: made for the task's tracks and vehicle.
    """

    def __init__(self, driver: StateDriver, config: TeacherConfig) -> None:
        self.config = config
        self._driver = driver

    def teaches(self, steps: int) -> bool:
        """Whether the lesson goes on after so many steps."""
        return steps < self.config.steps

    def share(self, steps: int) -> float:
        """Share of the actions that the teacher takes itself after so many steps."""
        fading = self.config.mix * self.config.steps
        return max(1.0 - steps / fading, 0.0) if fading > 0.0 else 0.0

    def labels(self, task: RacingTask) -> Tensor:
        """What it would do now: `[N]` places in the action list, or `[N, 2]` numbers from -1 to 1."""
        steering, speed = self._driver.commands(task.simulator.cars)
        if task.mirrored is not None:
            steering = np.where(task.mirrored, -steering, steering)
        return torch.from_numpy(task.actions.nearest(steering, speed))


def state_driver(
    kind: TeacherName, tracks: Sequence[Track], vehicle: Vehicle, traffic: Traffic | None = None
) -> StateDriver:
    """Make the driver of a name, for all of some tracks.

    Args:
        traffic: what else is on the road; only lanes looks at it.

    Raises:
        ConfigError: the fastest line is to be planned, and CasADi is not installed.
    """
    if kind == "minimum_time":
        return LineDriver([planned_lap(track, vehicle) for track in tracks])
    if kind == "lanes":
        return LaneDriver(tracks, vehicle, traffic)
    return CentreLineDriver(tracks, vehicle)
