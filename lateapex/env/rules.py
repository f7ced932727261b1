"""When an episode ends, and how far a lap has come.

The rules of an episode with one life: lap complete, crashed, off track, immobilised, reversed. What a race adds is
in `races`, who crashed in `contacts`. They judge the pose before
the action of a step acts, so what happens on the way is seen one step later, as in the original. `docs/quirks.md` says
where they are odd, and what they do with `quirks="fixed"`.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lateapex.env.actions import Commands
from lateapex.records import STATUSES
from lateapex.sim.kernel import kernel

Quirks: TypeAlias = Literal["original", "fixed"]
"""Whether the oddities of the original that a racer can meet are kept or mended; `docs/quirks.md` lists them."""

PREPARE: Final = STATUSES.index("prepare")
IN_PROGRESS: Final = STATUSES.index("in_progress")
LAP_COMPLETE: Final = STATUSES.index("lap_complete")
CRASHED: Final = STATUSES.index("crashed")
OFF_TRACK: Final = STATUSES.index("off_track")
IMMOBILIZED: Final = STATUSES.index("immobilized")
REVERSED: Final = STATUSES.index("reversed")
PAUSE: Final = STATUSES.index("pause")

STILL_DISTANCE: Final = 0.0003
"""m a step; a car that moves no more stands still."""
PATIENCE: Final = 15
"""Steps in a row of standing still, or of falling progress, that end an episode."""
JUMP: Final = 1.0
"""m along the centre line in one step, beyond which a car has not driven but came to another stretch; the fastest car
drives 0.24. Counts with `quirks="fixed"` alone."""
_NONE: Final = np.zeros(0, np.bool_)

EPISODE_DTYPE: Final = np.dtype(
    [
        ("episode", np.int64),  # of this car, from 0
        ("steps", np.int64),  # 0 before the prepare step
        ("start", np.float64),  # share of the lap
        ("origin", np.float64),  # share of the lap that progress is measured from: the start, moved by what was cut
        ("progress", np.float64),  # percent, at the pose of the last step
        ("previous_progress", np.float64),  # percent, what unwrapping compares with
        ("x", np.float64),  # m, centre at the last step
        ("y", np.float64),
        ("still", np.int64),  # steps in a row without motion
        ("falling", np.int64),  # steps in a row with falling progress
    ]
)
"""What the rules remember of each car's episode."""


@kernel
def _unwrapped(fraction, start, previous):  # type: ignore[no-untyped-def] # numba: floats -> percent; see unwrapped_progress
    progress = 100.0 * (fraction - start)
    if progress <= 0.0:
        progress += 100.0
    if previous > progress + 50.0:
        progress += 100.0
    if progress > previous + 50.0:
        progress -= 100.0
    return min(progress, 100.0)


@kernel
def _continuous(episode, fraction, length):  # type: ignore[no-untyped-def] # numba: EPISODE_DTYPE, share, m -> percent
    """Progress of the way that was driven: a jump to another stretch moves the origin in place of the car."""
    progress = 100.0 * (fraction - episode.origin)
    previous = episode.previous_progress
    progress += 100.0 * np.round((previous - progress) / 100.0)
    if abs(progress - previous) * length > 100.0 * JUMP:
        episode.origin += (progress - previous) / 100.0
        progress = previous
    return min(progress, 100.0)


@kernel
def _judge(episode, car, length, fixed, crashed):  # type: ignore[no-untyped-def] # numba: records, m, bools -> place in STATUSES
    episode.steps += 1
    before = episode.progress
    fraction = car.along / length
    if fixed:
        progress = _continuous(episode, fraction, length)
        episode.previous_progress = progress
    else:
        progress = _unwrapped(fraction, episode.start, episode.previous_progress)
        episode.previous_progress = 0.0 if progress == 100.0 else progress
    moved = np.hypot(car.x - episode.x, car.y - episode.y)
    driven = episode.steps > 1
    episode.progress = progress
    episode.x = car.x
    episode.y = car.y
    episode.still = episode.still + 1 if driven and moved <= STILL_DISTANCE else 0
    episode.falling = episode.falling + 1 if driven and progress < before else 0
    if not driven and not fixed:
        return PREPARE
    if progress >= 100.0:
        return LAP_COMPLETE
    if crashed:
        return CRASHED
    if car.wheels_on_road == 0:
        return OFF_TRACK
    if episode.still >= PATIENCE:
        return IMMOBILIZED
    return REVERSED if episode.falling >= PATIENCE else IN_PROGRESS


@kernel
def _judge_all(episodes, cars, lengths, fixed, crashed, status):  # type: ignore[no-untyped-def] # numba: see judge; int8[N]
    for n in range(cars.size):
        status[n] = _judge(episodes[n], cars[n], lengths[n], fixed, crashed.size > 0 and crashed[n])


@kernel
def _unwrap_all(fraction, start, previous, progress):  # type: ignore[no-untyped-def] # numba: [N] each; the last is filled
    for n in range(fraction.size):
        progress[n] = _unwrapped(fraction[n], start[n], previous[n])


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
    progress = np.empty(len(fraction))
    _unwrap_all(fraction, start, previous, progress)
    return progress


def judge(
    episodes: NDArray[Any],
    cars: NDArray[Any],
    lengths: NDArray[np.float64],
    quirks: Quirks = "original",
    crashed: NDArray[np.bool_] = _NONE,
) -> NDArray[np.int8]:
    """Advance every episode by a step and say how it stands.

    Args:
        episodes: `[N]` of EPISODE_DTYPE, updated in place.
        cars: `[N]` of the simulator's state, at the pose before the action.
        lengths: `[N]` length of each car's track, m.
        quirks: "fixed": there is no prepare step, and a jump to another stretch is no progress.
        crashed: `[N]` cars that crashed; none if not given.

    Returns:
        `[N]` place in STATUSES; all but prepare and in_progress end the episode.
    """
    status = np.empty(len(cars), np.int8)
    _judge_all(episodes, cars, lengths, quirks == "fixed", crashed, status)
    return status


@kernel
def _note_all(rows, episodes, cars, commands, status, sim_time, wall_clock):  # type: ignore[no-untyped-def] # numba: see note
    for n in range(cars.size):
        row, car, episode = rows[n], cars[n], episodes[n]
        row.steps = episode.steps
        row.x = car.front_x
        row.y = car.front_y
        row.yaw = car.yaw
        row.steering_angle = commands.steering_angle[n]
        row.speed = commands.speed[n]
        row.action = commands.place[n]
        row.all_wheels_on_track = car.wheels_on_road == 4
        row.progress = episode.progress
        row.closest_waypoint = car.closest_waypoint
        row.sim_time = sim_time
        row.status = status[n]
        row.wall_clock = wall_clock


def note(
    rows: NDArray[Any],
    episodes: NDArray[Any],
    cars: NDArray[Any],
    commands: Commands,
    status: NDArray[np.int8],
    *,
    sim_time: float,
    wall_clock: float,
) -> None:
    """Fill in the `[N]` rows (STEP_DTYPE) of the step that was just judged, all but reward and done.

    Args:
        sim_time: s, at the end of the step.
        wall_clock: s since 1970.
    """
    _note_all(rows, episodes, cars, commands, status, sim_time, wall_clock)


def begin(episodes: NDArray[Any], which: NDArray[np.int64], start: NDArray[np.float64]) -> None:
    """Start new episodes of the cars `which`, `[M]`, at these shares of the lap; the cars stand there already."""
    fresh = np.zeros(len(which), EPISODE_DTYPE)
    fresh["episode"] = episodes["episode"][which] + 1
    fresh["start"] = fresh["origin"] = start
    episodes[which] = fresh
