"""What varies from episode to episode of a task: drawn when a car begins, and put into its world.

Each car and episode has a draw of its own, so that cars which are shared out, resumed or driven again vary alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateapex.env.actions import Commands
from lateapex.env.late_senses import LateSenses
from lateapex.env.scenes import Scenes
from lateapex.env.sensors import Look, Senses
from lateapex.env.starts import StartPoses
from lateapex.sim.actuators import Actuators
from lateapex.sim.random import PICTURE_NOISE, words
from lateapex.sim.simulator import Simulator
from lateapex.world.variation import QUANTITIES, neutral


class Variations:
    """The values of all cars' episodes, and what they do to a task.

    Args:
        scenes: where values come from.
        simulator: the cars.
        first_car: number of the first car.
        senses: what the cars sense, which latency holds back.
    """

    def __init__(self, scenes: Scenes, simulator: Simulator, first_car: int, senses: Senses) -> None:
        self.scenes = scenes
        self.values = neutral(simulator.count)
        """`[N]` of VARIATION_DTYPE: those of each car's episode."""
        self._keys = np.zeros(simulator.count, np.uint64)
        self.actuators = Actuators(simulator, first_car)
        self._late = LateSenses(senses)
        self._simulator, self._first_car = simulator, first_car

    def begin(self, cars: NDArray[np.int64], seed: int, episodes: NDArray[np.int64]) -> None:
        """Draw the values of the episodes that some cars begin, `[M]`."""
        self.values[cars] = self.scenes.draw(seed, self._first_car + cars, episodes)
        drawn = words(seed, self._first_car + cars, episodes, PICTURE_NOISE)
        self._keys[cars] = drawn[:, 0] << np.uint64(32) | drawn[:, 1]
        self.actuators.begin(cars)
        self._apply(cars)

    def _apply(self, cars: NDArray[np.int64]) -> None:
        """Put the values of some cars where they work."""
        values = self.values[cars]
        self.actuators.vary(cars, values)
        self._late.set_latency(cars, values["sensor.latency"].astype(np.int64))
        self._simulator.vary_pictures(cars, values, self._keys[cars])

    def moved(self, cars: NDArray[np.int64], poses: StartPoses) -> StartPoses:
        """Start poses `[M]` of some cars, moved by what their episodes ask for."""
        values = self.values[cars]
        return StartPoses(
            poses.fraction,
            poses.offset + values["start.offset"],
            poses.heading + np.radians(values["start.heading_deg"]),
        )

    def step(self, commands: Commands, held: NDArray[np.bool_], seed: int, episodes: NDArray[Any]) -> None:
        """Drive all cars for a step by what reaches them of the commands; `[N]` each, see `Actuators.step`."""
        owners = {"episodes": episodes["episode"], "steps": episodes["steps"]}
        self.actuators.step(commands.steering, commands.throttle, held, seed=seed, **owners)

    def set_ages(self, steps: NDArray[Any]) -> None:
        """Say how old all cars' episodes are, `[N]` steps, before they look around."""
        self._simulator.ages[:] = steps

    def hold_back(self, look: Look) -> None:
        """Let the cars that looked around have what they sense by their latency, in place of what there is now."""
        self._late.hold_back(look)

    def of_episode(self, car: int) -> dict[str, float]:
        """All values of a car's episode that are not neutral, by name."""
        values = self.values[car]
        return {item.name: float(values[item.name]) for item in QUANTITIES if values[item.name] != item.neutral}

    def snapshot(self) -> dict[str, Any]:
        """Everything that varies and is under way, as copies."""
        drawn = {"variation": self.values.copy(), "noise_keys": self._keys.copy()}
        return {**drawn, "actuators": self.actuators.snapshot(), "held": self._late.snapshot()}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot of as many cars."""
        self.values[:] = snapshot["variation"]
        self._keys[:] = snapshot["noise_keys"]
        self._apply(np.arange(len(self.values)))
        self.actuators.restore(snapshot["actuators"])
        self._late.restore(snapshot["held"])
