"""Several policies that drive the cars of one task, each through its own sensors and with its own actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.env.actions import actions_of
from lateapex.env.eyes import Eyes
from lateapex.env.racing import RacingTask
from lateapex.formats.model_metadata import ModelMetadata
from lateapex.models.policy import Observations, Policy
from lateapex.world.vehicle import Vehicle


class Rival(NamedTuple):
    """One of them."""

    policy: Policy
    metadata: ModelMetadata
    vehicle: Vehicle


class Rivals:
    """A driver of all cars of a task that takes commands as numbers.

    Args:
        task: made with `direct`.
        rivals: the policies.
        who: `[N]` which of them drives each car.
        threads: that draw; 0: one for each core.
    """

    def __init__(self, task: RacingTask, rivals: Sequence[Rival], who: NDArray[np.int64], threads: int = 0) -> None:
        self._parts = []
        for place, rival in enumerate(rivals):
            cars = np.flatnonzero(who == place)
            look = {"vehicle": rival.vehicle, "colour": rival.policy.blueprint.colour, "threads": threads}
            eyes = Eyes(task, cars, rival.metadata, **look)  # type: ignore[arg-type] # as Eyes has them
            self._parts.append((cars, eyes, rival.policy.driver(len(cars)), actions_of(rival.metadata)))

    def greedy(self, observations: Observations, fresh: NDArray[np.bool_]) -> NDArray[Any]:
        """Degrees and m/s for each car, `[N, 2]`; what the task itself senses plays no part."""
        del observations
        told = np.zeros((len(fresh), 2))
        for cars, eyes, driver, actions in self._parts:
            chosen = actions.commands(driver.greedy(eyes.look(), fresh[cars]), len(cars))
            told[cars] = np.stack([chosen.steering_angle, chosen.speed], axis=1)
        return told
