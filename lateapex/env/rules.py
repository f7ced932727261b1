"""When an episode ends, and how far a lap has come.

The rules of a time trial with one life: lap complete, off track, immobilised, reversed. They judge the pose before
the action of a step acts, so what happens on the way is seen one step later, as in the original.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.records import STATUSES

PREPARE: Final = STATUSES.index("prepare")
IN_PROGRESS: Final = STATUSES.index("in_progress")
LAP_COMPLETE: Final = STATUSES.index("lap_complete")
OFF_TRACK: Final = STATUSES.index("off_track")
IMMOBILIZED: Final = STATUSES.index("immobilized")
REVERSED: Final = STATUSES.index("reversed")

STILL_DISTANCE: Final = 0.0003
"""m a step; a car that moves no more stands still."""
PATIENCE: Final = 15
"""Steps in a row of standing still, or of falling progress, that end an episode."""

EPISODE_DTYPE: Final = np.dtype(
    [
        ("episode", np.int64),  # of this car, from 0
        ("steps", np.int64),  # 0 before the prepare step
        ("start", np.float64),  # share of the lap
        ("progress", np.float64),  # percent, at the pose of the last step
        ("previous_progress", np.float64),  # percent, what unwrapping compares with
        ("x", np.float64),  # m, centre at the last step
        ("y", np.float64),
        ("still", np.int64),  # steps in a row without motion
        ("falling", np.int64),  # steps in a row with falling progress
    ]
)
"""What the rules remember of each car's episode."""


def unwrapped_progress(
    fraction: NDArray[np.float64], start: NDArray[np.float64], previous: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Percent of a lap since the start, `[N]`.

    Args:
        fraction: share of the centre line at the projection of the front point.
        start: the same at which the episode started.
        previous: progress one step ago; 0 at the start of an episode and after a complete lap.

    Returns:
        At most 100; slightly negative behind the start. Only jumps of more than half a lap are unwrapped, so a
        cut across the field to another stretch counts at once.
    """
    progress = 100.0 * (fraction - start)
    progress = np.where(progress <= 0.0, progress + 100.0, progress)
    progress = np.where(previous > progress + 50.0, progress + 100.0, progress)
    progress = np.where(progress > previous + 50.0, progress - 100.0, progress)
    return np.minimum(progress, 100.0)


def judge(episodes: NDArray[Any], cars: NDArray[Any], lengths: NDArray[np.float64]) -> NDArray[np.int8]:
    """Advance every episode by a step and say how it stands.

    Args:
        episodes: `[N]` of EPISODE_DTYPE, updated in place.
        cars: `[N]` of the simulator's state, at the pose before the action.
        lengths: `[N]` length of each car's track, m.

    Returns:
        `[N]` place in STATUSES; all but prepare and in_progress end the episode.
    """
    episodes["steps"] += 1
    running = episodes["steps"] > 1
    before = episodes["progress"].copy()
    progress = unwrapped_progress(cars["along"] / lengths, episodes["start"], episodes["previous_progress"])
    episodes["progress"] = progress
    episodes["previous_progress"] = np.where(progress == 100.0, 0.0, progress)
    moved = np.hypot(cars["x"] - episodes["x"], cars["y"] - episodes["y"])
    episodes["x"], episodes["y"] = cars["x"], cars["y"]
    episodes["still"] = np.where(running & (moved <= STILL_DISTANCE), episodes["still"] + 1, 0)
    episodes["falling"] = np.where(running & (progress < before), episodes["falling"] + 1, 0)
    status = np.where(episodes["falling"] >= PATIENCE, REVERSED, IN_PROGRESS)
    status = np.where(episodes["still"] >= PATIENCE, IMMOBILIZED, status)
    status = np.where(cars["wheels_on_road"] == 0, OFF_TRACK, status)
    status = np.where(progress >= 100.0, LAP_COMPLETE, status)
    return np.where(running, status, PREPARE).astype(np.int8)


def begin(episodes: NDArray[Any], which: NDArray[np.int64], start: NDArray[np.float64]) -> None:
    """Start new episodes of the cars `which`, `[M]`, at these shares of the lap; the cars stand there already."""
    fresh = np.zeros(len(which), EPISODE_DTYPE)
    fresh["episode"] = episodes["episode"][which] + 1
    fresh["start"] = start
    episodes[which] = fresh
