"""Sensors of a model's own for some cars of a task, whatever the task itself draws.

Models that race each other in one world may each have another camera, lidar or mount. A task has one set of sensors; so
each model looks through a simulator of its own, which is where the task's is and never moves by itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lateapex.env.racing import RacingTask
from lateapex.env.sensors import Look, Observation, Senses, SensorSettings
from lateapex.formats.model_metadata import ModelMetadata
from lateapex.sim.simulator import Simulator
from lateapex.world.vehicle import Vehicle


class Eyes:
    """What some cars of a task sense.

    Args:
        task: where the cars are.
        cars: `[M]` which of them.
        metadata: which sensors they have.
        vehicle: where their cameras sit.
        colour: whether pictures are in colour.
        threads: that draw; 0: one for each core.
    """

    def __init__(
        self,
        task: RacingTask,
        cars: NDArray[np.int64],
        metadata: ModelMetadata,
        *,
        vehicle: Vehicle,
        colour: bool = False,
        threads: int = 0,
    ) -> None:
        self._task, self._cars = task, cars
        settings = SensorSettings(colour=colour, lidar=metadata.lidar)
        self._senses = Senses(metadata.sensors, settings, task.simulator.count)
        traffic = task.simulator.traffic
        self._simulator = Simulator(
            task.tracks,
            task.simulator.cars["track"],
            world=task.simulator.cars["world"],
            things=0 if traffic is None else traffic.others.shape[1],
            vehicle=vehicle,
            colour=colour,
            eyes=self._senses.eyes,
            threads=threads,
        )

    def look(self) -> Observation:
        """What each of them senses now, `[M, ...]` by sensor; to be called once before each step of the task."""
        task, simulator = self._task, self._simulator
        simulator.restore(task.simulator.snapshot())
        episodes, steps, progress = (task.episodes[name] for name in ("episode", "steps", "progress"))
        self._senses.look(Look(simulator, self._cars, task.seed, episodes, steps, progress, int(task.numbers[0])))
        return {name: seen[self._cars] for name, seen in self._senses.observations.items()}
