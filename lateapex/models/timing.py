"""How long a driver that knows the state takes for its laps, by the rules of the task but without pictures.

Commands go the way of a continuous action space: scaled to -1..1, clipped, 15 a second. A lap's time is told to within
the step in which the line is crossed; the task itself counts whole steps, and the one for which the car is held.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from lateapex.env.actions import MAX_SPEED, MAX_STEERING_DEG, MIN_SPEED, ActionRanges
from lateapex.env.rules import EPISODE_DTYPE, IN_PROGRESS, LAP_COMPLETE, begin, judge
from lateapex.formats.model_metadata import Bounds, Range
from lateapex.records import STATUSES
from lateapex.sim.physics import Physics
from lateapex.world.vehicle import STEP_SECONDS

Floats = NDArray[np.float64]

RANGES: Final = ActionRanges(
    Bounds(Range(-MAX_STEERING_DEG, MAX_STEERING_DEG), Range(MIN_SPEED, MAX_SPEED)),
)
"""The widest continuous action space."""


class StateDriver(Protocol):
    """Says what to do from the state of the cars: a teacher, a baseline, a bot."""

    def commands(self, cars: NDArray[Any]) -> tuple[Floats, Floats]:
        """States `[N]` of STATE_DTYPE -> steering angles, rad, left positive, and speeds, m/s, `[N]` each."""
        ...


@dataclass
class Stint:
    """What one car did."""

    status: str
    """How it ended, a word of `STATUSES`: "lap_complete" if all laps were driven."""
    laps: list[float] = field(default_factory=list)
    """s of each complete lap; the first begins at rest"""
    progress: float = 0.0
    """percent of the last lap"""
    steps: int = 0
    """decisions"""
    wheels_off: int = 0
    """decisions at which a wheel was off the road"""


def actions_for(steering: Floats, speed: Floats) -> Floats:
    """Actions `[N, 2]` of `RANGES` that stand for steering angles, rad, and speeds, m/s, `[N]` each."""
    low, high = np.array([side.low for side in RANGES.bounds]), np.array([side.high for side in RANGES.bounds])
    return np.asarray(2.0 * (np.stack([np.degrees(steering), speed], axis=1) - low) / (high - low) - 1.0)


def time_laps(driver: StateDriver, physics: Physics, laps: int = 1, most_steps: int = 4000) -> list[Stint]:
    """Let a driver do some laps with every car of `physics`, from where they stand.

    Args:
        laps: laps in a row without a reset.
        most_steps: decisions after which a car is stopped ("time_up").

    Returns:
        `[N]` in the order of the cars.
    """
    cars, count = physics.cars, len(physics.cars)
    lengths = np.array([physics.tracks[track].length for track in cars["track"]])
    episodes = np.zeros(count, EPISODE_DTYPE)
    begin(episodes, np.arange(count), np.zeros(count))
    judge(episodes, cars, lengths)  # the step for which a car is held
    stints = [Stint("time_up") for _ in range(count)]
    begun, going = np.zeros(count), np.ones(count, np.bool_)
    for step in range(1, most_steps + 1):
        before = cars["along"].copy()
        chosen = RANGES.commands(actions_for(*driver.commands(cars)), count)
        physics.step(chosen.steering, chosen.throttle)
        status = judge(episodes, cars, lengths)
        crossed = (step - 1 + _share_before(before, cars["along"], lengths)) * STEP_SECONDS
        for car in np.flatnonzero(going):
            stint = stints[car]
            stint.steps, stint.progress = step, float(episodes["progress"][car])
            stint.wheels_off += int(cars["wheels_on_road"][car] < 4)
            if status[car] == LAP_COMPLETE:
                stint.laps.append(float(crossed[car] - begun[car]))
                begun[car] = crossed[car]
            if status[car] not in (IN_PROGRESS, LAP_COMPLETE) or len(stint.laps) == laps:
                stint.status, going[car] = STATUSES[status[car]], False
        if not going.any():
            break
    return stints


def _share_before(before: Floats, after: Floats, lengths: Floats) -> Floats:
    """Share of a step that was over when the front point came to the line, if it did."""
    rest, beyond = lengths - before, np.where(after < 0.5 * lengths, after, after - lengths)
    moved = np.maximum(rest + beyond, 1e-12)
    share: Floats = np.clip(rest / moved, 0.0, 1.0)
    return share
