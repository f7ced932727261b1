"""Where episodes start: drawn at random, one after the other round the lap, or listed."""

from __future__ import annotations

from dataclasses import dataclass
from math import radians
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lateapex.config import Config
from lateapex.env.rules import Quirks
from lateapex.sim.random import START, uniforms


class StartPoses(NamedTuple):
    """Start poses of M cars relative to the centre line, each `[M]`."""

    fraction: NDArray[np.float64]
    """Share of the lap, 0 at the start line."""
    offset: NDArray[np.float64]
    """Share of the track's width, positive to the left."""
    heading: NDArray[np.float64]
    """rad off the centre line's direction, positive to the left."""


BEGUN_DTYPE: Final = np.dtype(
    [
        ("clock", np.int64),  # steps of the simulator before it
        ("fraction", np.float64),  # as StartPoses, before a race moves the car
        ("offset", np.float64),
        ("heading", np.float64),
        ("drawn", np.int64),  # 1: the task's own starts said so; 0: whoever began it
    ]
)
"""How a car's episode began."""


def note_begin(begun: NDArray[Any], cars: NDArray[np.int64], clock: int, poses: StartPoses, *, drawn: bool) -> None:
    """Write down in `[N]` records of BEGUN_DTYPE that episodes of `cars`, `[M]`, begin at `poses`."""
    fresh = np.zeros(len(cars), BEGUN_DTYPE)
    fresh["clock"], fresh["drawn"] = clock, drawn
    for name, values in poses._asdict().items():
        fresh[name] = values
    begun[cars] = fresh


class Starts(Protocol):
    """Says where a car's next episode starts."""

    def draw(self, seed: int, cars: NDArray[np.int64], episodes: NDArray[np.int64]) -> StartPoses:
        """Start poses of some cars' episodes; `cars` and `episodes` count from 0, `[M]` each."""
        ...


@dataclass(frozen=True)
class RandomStarts:
    """Anywhere along the lap, beside the centre line, not quite straight."""

    offset: float = 0.25
    """Largest shift to either side, as a share of the width."""
    heading: float = radians(15.0)
    """Largest turn to either side, rad."""

    def draw(self, seed: int, cars: NDArray[np.int64], episodes: NDArray[np.int64]) -> StartPoses:
        """Draw from the stream that belongs to each car and episode."""
        u = uniforms(seed, cars, episodes, START)
        return StartPoses(u[:, 0], self.offset * (2.0 * u[:, 1] - 1.0), self.heading * (2.0 * u[:, 2] - 1.0))


@dataclass(frozen=True)
class RoundRobinStarts:
    """On the centre line, each episode a fixed share of the lap after the one before, as in the original's training."""

    advance: float = 0.05
    """Share of the lap between two episodes of a car; 0: always the same place."""
    first: float = 0.0
    """Share of the lap where the first car's first episode starts."""
    spread: float = 0.0
    """Share of the lap between two cars' starts."""

    def draw(self, seed: int, cars: NDArray[np.int64], episodes: NDArray[np.int64]) -> StartPoses:
        """Take the next places; the seed plays no part."""
        del seed
        fraction = (self.first + self.spread * cars + self.advance * episodes) % 1.0
        return StartPoses(fraction, np.zeros(len(cars)), np.zeros(len(cars)))


class StartConfig(Config):
    """Where training episodes start, and which way round."""

    scheme: Literal["random", "round_robin"] = "random"
    """random: anywhere along the lap, beside the centre line, not quite straight. round_robin: on the centre line,
    each episode of a car a step further round the lap, as in the original."""
    first: float = Field(default=0.0, ge=0.0, lt=1.0)
    """round_robin: share of the lap where a car's first episode starts; the original's START_POSITION_OFFSET."""
    advance: float = Field(default=0.05, ge=0.0, lt=1.0)
    """round_robin: share of the lap from an episode's start to the next; the original's ROUND_ROBIN_ADVANCE_DIST. 0:
    always the same place, its CHANGE_START_POSITION set to false."""
    alternate_direction: bool = False
    """Each car drives every other episode the other way round; the original's ALTERNATE_DRIVING_DIRECTION."""


def starts_of(config: StartConfig, cars: int, quirks: Quirks) -> Starts:
    """Return the starts that a config describes, for so many cars.

    In the original all workers walk the same places, so that each is played as often as there are workers; with
    "fixed" quirks the cars stand evenly round the lap.
    """
    if config.scheme == "random":
        return RandomStarts()
    return RoundRobinStarts(config.advance, config.first, 1.0 / cars if quirks == "fixed" else 0.0)
