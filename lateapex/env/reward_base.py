"""What a racing task needs of a reward, wherever its file runs: a call a step for all cars, and what that cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lateapex.env.reward_prints import Prints

LIMIT: Final = 1e5
"""Largest absolute reward, as in the original."""


class Step(NamedTuple):
    """What one step asks of a reward."""

    params: Mapping[str, Any]
    """Arrays over the cars, `[N, ...]`, by the racers' names."""
    shared: Mapping[str, Any]
    """What does not differ between cars; `waypoints` holds one list for each car."""
    needed: NDArray[np.bool_]
    """`[N]` cars that are paid; the others get 0 and no call."""
    episode: NDArray[np.int64]
    """`[N]` each car's episode, for messages."""


class Reward(ABC):
    """A loaded reward file."""

    load_seconds: float
    """That the file took to be run once, as it is for each car."""

    def __init__(self, text: str, source: str, *, call_at_step_1: bool, prints: Prints | None) -> None:
        self.text = text
        self.source = source
        self.calls = 0
        """Cars that were paid so far, a step each."""
        self.seconds = 0.0
        """Spent on them, the making of their parameters included."""
        self.prints = prints
        self.running: tuple[int | None, int] = (None, 0)
        """Thread in which the file runs, None between steps, and how many calls and loads have begun."""
        self.call_at_step_1 = call_at_step_1

    @abstractmethod
    def __call__(
        self,
        params: Mapping[str, Any],
        shared: Mapping[str, Any],
        needed: NDArray[np.bool_],
        episode: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Rewards of all cars for one step, `[N]`; arguments as Step's, the cars of a prepare step are not paid.

        Raises:
            RewardError: it raised, or returned something that is no finite number within +-1e5.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of what lies outside this process."""


class Unpaid(Reward):
    """Pays nothing and looks at nothing, for drives whose rewards nobody asks for."""

    def __init__(self) -> None:
        super().__init__("", "no reward", call_at_step_1=False, prints=None)
        self.load_seconds = 0.0

    def __call__(
        self,
        params: Mapping[str, Any],
        shared: Mapping[str, Any],
        needed: NDArray[np.bool_],
        episode: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return zeros, `[N]`."""
        del params, shared, episode
        return np.zeros(len(needed))

    def close(self) -> None:
        """Nothing is held."""
