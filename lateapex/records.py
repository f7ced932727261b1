"""What leaves the training loop: records, and the sinks that take them.

Records are plain data. Sinks know nothing of who made them, and whoever makes them knows nothing of sinks.
A step is a row of `STEP_DTYPE`, not an object: a batch of cars makes tens of thousands of them a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lateapex.registry import Registry

STATUSES = (
    "prepare",
    "in_progress",
    "lap_complete",
    "off_track",
    "crashed",
    "immobilized",
    "reversed",
    "time_up",
    "pause",
    "park",
)
"""Episode status of a step, in the original's words; a row holds the index."""

STEP_DTYPE = np.dtype(
    [
        ("steps", np.int32),  # 1 on the prepare row
        ("x", np.float64),  # m, front point, before the action acts
        ("y", np.float64),  # m
        ("yaw", np.float64),  # rad, -pi..pi, before the action acts
        ("steering_angle", np.float64),  # degrees as in the action table, left positive
        ("speed", np.float64),  # m/s as in the action table
        ("action", np.int32),  # place in the action list; -1 in a continuous action space
        ("reward", np.float64),
        ("done", np.bool_),
        ("all_wheels_on_track", np.bool_),
        ("progress", np.float64),  # percent
        ("closest_waypoint", np.int32),
        ("sim_time", np.float64),  # s, at the end of the step
        ("status", np.int8),  # place in STATUSES
        ("wall_clock", np.float64),  # s since 1970; the only column that two equal runs differ in
    ]
)
"""One step of one car: the pose belongs to the moment before the action, `sim_time` to the end of the step."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What an episode is driven again from, with the settings of its run, and how to know that it is the same."""

    seed: int
    """Of the task."""
    episode: int
    """Which of the car's, from 0."""
    clock: int
    """Steps of the simulator before it."""
    max_steps: int
    """After which it would have been cut off."""
    start: tuple[float, float, float] | None
    """Share of the lap, offset as a share of the width, heading in rad, as asked for; None: the run's starts say."""
    actions: NDArray[Any]
    """`[T]` places in the action list or `[T, 2]` numbers, as the task was given them."""
    digest: str
    """SHA-256 of the car's motion, of how it was judged, and of what else was in its world at the end."""
    seen: str
    """The same of what its sensors gave last; the first 32 digits."""
    paid: str
    """The same of its rewards."""


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """One finished episode of one car."""

    phase: Literal["training", "evaluation"]
    track: str
    track_length: float
    """Length of the closed centre line, m."""
    car: int
    """Which car of the batch drove it."""
    steps: NDArray[Any]
    """Rows of `STEP_DTYPE`, `[T]`, the prepare row included."""
    car_episode: int | None = None
    """Which of the car's episodes it is, from 0: its draws belong to (seed, car, car_episode). None: not known."""
    scene: Mapping[str, float] | None = None
    """What differed in it from the plain world, by the names of `world.variation`; None where nothing varies."""
    recipe: Recipe | None = None
    """None: it cannot be driven again."""

    @property
    def status(self) -> str:
        """How the episode ended, a word of `STATUSES`."""
        return STATUSES[int(self.steps["status"][-1])]

    @property
    def progress(self) -> float:
        """Percent of the lap when the episode ended."""
        return float(self.steps["progress"][-1])

    @property
    def lap_time(self) -> float:
        """Seconds of simulated time from the start of the episode to its end."""
        return float(self.steps["sim_time"][-1] - self.start_time)

    @property
    def start_time(self) -> float:
        """Simulated time at which the prepare row began, s."""
        times = self.steps["sim_time"]
        return float(times[0] - (times[1] - times[0] if len(times) > 1 else 0.0))

    @property
    def reward(self) -> float:
        """Sum of the rewards."""
        return float(self.steps["reward"].sum())


@dataclass(frozen=True, kw_only=True)
class Payment:
    """What the reward paid in an update's finished episodes; means are NaN where there is nothing to take them of."""

    lowest: float
    """Of all steps."""
    highest: float
    still_steps: int
    """Steps, the first second of an episode apart, in which the car hardly moved."""
    still_reward: float
    """Their mean reward."""
    moving_steps: int
    """All others."""
    moving_reward: float
    immobilized: int
    """Episodes that ended since the car stood still."""
    immobilized_reward: float
    """Their mean sum of rewards."""
    others: int
    """Episodes that ended in another way."""
    others_reward: float


@dataclass(frozen=True, kw_only=True)
class UpdateRecord:
    """One collect-then-update cycle."""

    iteration: int
    """Number of updates done, from 1."""
    steps: int
    """Environment steps since the start of the run."""
    episodes: int
    """Episodes finished since the start of the run."""
    mean_progress: float
    """Mean percent of the lap over this cycle's finished episodes; NaN where none finished."""
    mean_reward: float
    """Mean sum of rewards of this cycle's finished episodes; NaN where none finished."""
    laps: int
    """Complete laps among them."""
    finished: int
    """Episodes that ended in this cycle."""
    best_lap: float | None
    """Fastest complete lap of the run so far, s."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """policy_loss, value_loss, entropy, kl, clip_share, learning_rate, gradient_norm, weight_norm ..."""
    actions: tuple[int, ...] = ()
    """How often each action of the list was taken; empty in a continuous action space."""
    payment: Payment | None = None
    """None where no episode finished."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds by phase, none counted twice: simulate (physics and pictures), inference, reward (while other
    threads draw), update, save (since the update before); exchange (publishing, and waiting for workers) in place of
    the first three where others drive. The only part that two equal runs differ in."""


@dataclass(frozen=True, kw_only=True)
class TrackEvaluation:
    """One track's part of an evaluation."""

    track: str
    """Name, and "@reversed" where it is driven the other way."""
    laps_completed: int
    trials: int
    mean_progress: float
    """Percent."""
    best_lap: float | None
    """s"""


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """One evaluation of one version of the model."""

    iteration: int
    steps: int
    laps_completed: int
    trials: int
    mean_progress: float
    """Percent."""
    best_lap: float | None
    """s"""
    is_best: bool
    """Whether this version is the best so far; an equal score counts, so the newer wins."""
    tracks: tuple[TrackEvaluation, ...] = ()
    """The same by track, in the order of the run's."""
    seconds: float = 0.0
    """Wall seconds that it took."""


@dataclass(frozen=True, kw_only=True)
class FindingRecord:
    """Something that goes wrong, at the moment when it was noticed."""

    code: str
    """One word for it, such as "entropy_collapsed"."""
    iteration: int
    steps: int
    found: str
    """What was found, a sentence with its numbers."""
    advice: str
    """What to try next, a sentence."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture from a camera."""

    source: str
    """Sensor or view, such as "FRONT_FACING_CAMERA"."""
    sim_time: float
    """s"""
    pixels: NDArray[np.uint8]
    """`[H, W, C]`"""


Record: TypeAlias = EpisodeRecord | UpdateRecord | EvaluationRecord | FindingRecord | Frame


class Sink(Protocol):
    """Takes records in the order in which they happened; must never hold up a step."""

    def write(self, record: Record) -> None:
        """Take one record; a kind that this sink has no use for is passed over."""
        ...

    def state(self) -> dict[str, int]:
        """Whole numbers that say how far this sink has come; they go into the checkpoint."""
        ...

    def restore(self, state: Mapping[str, int]) -> None:
        """Return to the moment when `state` was taken: forget whatever was written after it."""
        ...

    def close(self) -> None:
        """Write what is still held."""
        ...


SINKS: Registry[type[Sink]] = Registry(
    "sink",
    {
        "console": "lateapex.sinks.console:ConsoleSink",
        "files": "lateapex.sinks.files:RunFolderSink",
        "tensorboard": "lateapex.sinks.tensorboard:TensorBoardSink [tensorboard]",
    },
)
