"""Whether the simulator finds at logged poses what the original logged there.

Closest waypoint, wheels on the track and progress of every row, by the kernels that serve the reward functions in
training. Where they disagree, the reason is looked for: rows of another stretch of road after the car was put back,
or a pose so near to a change that its rounding decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.analysis.fidelity import JUMP, episode_starts
from lateapex.env.rules import unwrapped_progress
from lateapex.sim.replay import locate_poses

if TYPE_CHECKING:
    from lateapex.world.track import Track
    from lateapex.world.vehicle import Vehicle

PROGRESS_TOLERANCE: Final = 0.05
"""Percentage points."""

_NUDGE = 0.01  # m by which a body tilts and a pose moves between two queries
_START = 20  # starts lie at multiples of a twentieth of the track


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of one log: how many of its rows agree, and why the others do not."""

    rows: int
    closest_waypoint: int
    """Rows that agree."""
    all_wheels_on_track: int
    progress_rows: int
    """Rows that are neither the first of their episode nor the first after the car was put back."""
    progress: int
    """Of these, rows that agree within PROGRESS_TOLERANCE."""
    waypoint_near: int
    """Rows whose waypoint disagrees, but is the logged one within a centimetre of the pose."""
    wheels_near: int
    """The same of the wheels."""

    def shares(self) -> dict[str, float]:
        """Share of the rows that agree, by quantity."""
        return {
            "closest_waypoint": self.closest_waypoint / self.rows,
            "all_wheels_on_track": self.all_wheels_on_track / self.rows,
            "progress": self.progress / max(self.progress_rows, 1),
        }


def compare(rows: NDArray[Any], track: Track, vehicle: Vehicle) -> Agreement:
    """Recompute the rows of one log, `[R]` of STEP_TABLE_DTYPE, on the track that it was driven on."""
    poses = np.stack([rows["x"], rows["y"], rows["yaw"]], axis=-1)
    cars = locate_poses([track], 0, poses, vehicle)
    same_waypoint = cars["closest_waypoint"] == rows["closest_waypoint"]
    same_wheels = (cars["wheels_on_road"] == 4) == rows["all_wheels_on_track"]
    near_waypoint, near_wheels = _nearby(rows, poses, track, vehicle)
    counted, same_progress = _progress(rows, cars["along"] / track.length)
    return Agreement(
        rows=len(rows),
        closest_waypoint=int(same_waypoint.sum()),
        all_wheels_on_track=int(same_wheels.sum()),
        progress_rows=int(counted.sum()),
        progress=int((same_progress & counted).sum()),
        waypoint_near=int((~same_waypoint & near_waypoint).sum()),
        wheels_near=int((~same_wheels & near_wheels).sum()),
    )


def _nearby(
    rows: NDArray[Any], poses: NDArray[np.float64], track: Track, vehicle: Vehicle
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether waypoint and wheels are the logged ones at any of eight poses a centimetre off."""
    waypoint = np.zeros(len(rows), np.bool_)
    wheels = np.zeros(len(rows), np.bool_)
    for angle in np.arange(8) * np.pi / 4.0:
        moved = poses + _NUDGE * np.array([np.cos(angle), np.sin(angle), 0.0])
        cars = locate_poses([track], 0, moved, vehicle)
        waypoint |= cars["closest_waypoint"] == rows["closest_waypoint"]
        wheels |= (cars["wheels_on_road"] == 4) == rows["all_wheels_on_track"]
    return waypoint, wheels


def _progress(rows: NDArray[Any], fraction: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows count, and in which the progress is the logged one.

    Progress is unwrapped from row to row by the rules of training, from the start that the first row tells of.
    """
    begun = episode_starts(rows)
    first = begun == np.arange(len(rows))
    back = np.zeros(len(rows), np.bool_)
    back[1:] = np.hypot(np.diff(rows["x"]), np.diff(rows["y"])) > JUMP
    found = np.zeros(len(rows))
    place = np.flatnonzero(first)
    ends = np.append(place[1:], len(rows))
    start = np.round((fraction[place] - rows["progress"][place] / 100.0) * _START) / _START % 1.0
    previous = np.zeros(len(place))
    while len(place):
        now = unwrapped_progress(fraction[place], start, previous)
        found[place] = now
        previous = np.where(now == 100.0, 0.0, now)
        place = place + 1
        on = place < ends
        place, ends, start, previous = place[on], ends[on], start[on], previous[on]
    return ~first & ~back, np.abs(found - rows["progress"]) <= PROGRESS_TOLERANCE
