"""Recorded episodes driven again, bit for bit: an episode is settings, seed and actions.

The cars of one world are driven together, since each may be in the others' way. Any moment can be returned to, changed,
and driven on from, with other actions than those of the record.

    task = replay.at(120)                       # as it was before the 121st step
    task.simulator.cars["u"][0] = 2.0           # faster
    task.advance([4])                           # another action
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from lateapex.env.racing import RacingTask
from lateapex.env.recorder import EpisodeRecorder
from lateapex.env.starts import StartPoses
from lateapex.errors import ConfigError
from lateapex.records import EpisodeRecord, Recipe
from lateapex.sim.traffic import NOTHING

_BETWEEN: Final = 64  # steps between two moments that are kept


class Replay:
    """Episodes of the cars of one world.

    Args:
        task: those cars alone, by its `first_car`, with the settings of the run; from now on it is the replay's.
        recipes: one for each car, in their order.
        phase: what the records say.

    Raises:
        ConfigError: the recipes are of other cars, or did not begin together.
    """

    def __init__(
        self, task: RacingTask, recipes: Sequence[Recipe], phase: Literal["training", "evaluation"] = "evaluation"
    ) -> None:
        first = recipes[0]
        together = {(recipe.seed, recipe.clock, recipe.max_steps, len(recipe.actions)) for recipe in recipes}
        if len(recipes) != task.simulator.count or len(together) > 1:
            raise ConfigError(
                f"{len(recipes)} recipes of {len(together)} moments for {task.simulator.count} cars; "
                "one for each car of a world is needed, of episodes that began and ended together"
            )
        self.task = task
        self.recipes = list(recipes)
        self.steps = len(first.actions)
        """T, of the record."""
        self._phase: Literal["training", "evaluation"] = phase
        self._actions = np.stack([recipe.actions for recipe in recipes], axis=1)
        self._moments: dict[int, dict[str, Any]] = {}
        task.reseed(first.seed)
        task.max_steps = first.max_steps
        self._begin()

    def _begin(self) -> None:
        task = self.task
        task.simulator.clock = self.recipes[0].clock
        task.episodes["episode"] = [recipe.episode - 1 for recipe in self.recipes]
        starts = [recipe.start for recipe in self.recipes]
        given = [start for start in starts if start is not None]
        poses = StartPoses(*np.array(given, np.float64).T) if len(given) == len(starts) else None
        task.begin(np.arange(task.simulator.count), poses)
        self._moments[0] = task.snapshot()

    def at(self, step: int) -> RacingTask:
        """Return the task as it was after so many steps; whatever is done to it, the next call takes back.

        What a reward function remembers from call to call does not come back.

        Raises:
            ConfigError: the record is shorter.
        """
        if not 0 <= step <= self.steps:
            raise ConfigError(f"step {step} of an episode of {self.steps}; 0 to {self.steps} are there")
        kept = max(moment for moment in self._moments if moment <= step)
        self.task.restore(self._moments[kept])
        for now in range(kept, step):
            self._advance(now)
        return self.task

    def walk(self) -> Iterator[int]:
        """Drive the record through; yields the number of steps taken, 0 to T, while `task` stands there."""
        self.at(0)
        yield 0
        for now in range(self.steps):
            self._advance(now)
            yield now + 1

    def things(self, seat: int) -> NDArray[Any] | None:
        """What else was in the world of a car before each step, `[T, M]` of THING_DTYPE; None: there is no room.

        Its own place in the list is empty.
        """
        traffic = self.task.simulator.traffic
        if traffic is None:
            return None
        found = np.stack([traffic.things[0].copy() for _ in self.walk()])[:-1]
        found["kind"][:, seat] = NOTHING
        return found

    def _advance(self, now: int) -> None:
        self.task.advance(self._actions[now])
        if (now + 1) % _BETWEEN == 0 and now + 1 not in self._moments:
            self._moments[now + 1] = self.task.snapshot()

    def run(self) -> list[EpisodeRecord]:
        """Drive the record through; returns what came of it, one for each car.

        It has the same recipes where all is as it was. Where an episode takes another course, it is cut off at the
        end of the record.
        """
        recorder = EpisodeRecorder(self.task, self._phase)
        found: list[EpisodeRecord] = []
        for now in self.walk():
            if now:
                found += recorder.take()
            if found:
                break
        return found + recorder.cut()
