"""Whether the simulator finds at logged poses what the original logged there.

Closest waypoint, wheels on the track and progress of every row, by the kernels that serve the reward functions in
training. Where they disagree, the reason is looked for: rows of another stretch of road after the car was put back,
or a pose so near to a change that its rounding decides.
"""

from __future__ import annotations

from collections.abc import Iterator
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
_ROUNDING = 5e-5  # m by which a logged pose is off at most; logs have four decimals
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
    progress_near: int
    """Rows whose progress disagrees, but is the logged one at a pose that rounds to the same: in a bend two places of
    the centre line can be equally near."""

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
    counted, progress = _progress(rows, cars["along"] / track.length)
    apart = counted & (np.abs(progress - rows["progress"]) > PROGRESS_TOLERANCE)
    near_progress = _progress_nearby(rows[apart], progress[apart], cars["along"][apart], poses[apart], track, vehicle)
    return Agreement(
        rows=len(rows),
        closest_waypoint=int(same_waypoint.sum()),
        all_wheels_on_track=int(same_wheels.sum()),
        progress_rows=int(counted.sum()),
        progress=int((counted & ~apart).sum()),
        waypoint_near=int((~same_waypoint & near_waypoint).sum()),
        wheels_near=int((~same_wheels & near_wheels).sum()),
        progress_near=int(near_progress.sum()),
    )


def _nearby(
    rows: NDArray[Any], poses: NDArray[np.float64], track: Track, vehicle: Vehicle
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether waypoint and wheels are the logged ones at any of eight poses a centimetre off."""
    waypoint = np.zeros(len(rows), np.bool_)
    wheels = np.zeros(len(rows), np.bool_)
    for moved in _around(poses, _NUDGE):
        cars = locate_poses([track], 0, moved, vehicle)
        waypoint |= cars["closest_waypoint"] == rows["closest_waypoint"]
        wheels |= (cars["wheels_on_road"] == 4) == rows["all_wheels_on_track"]
    return waypoint, wheels


def _progress_nearby(
    rows: NDArray[Any],
    progress: NDArray[np.float64],
    along: NDArray[np.float64],
    poses: NDArray[np.float64],
    track: Track,
    vehicle: Vehicle,
) -> NDArray[np.bool_]:
    """Whether the progress is the logged one at any of eight poses that round to the same."""
    near = np.zeros(len(rows), np.bool_)
    for moved in _around(poses, _ROUNDING):
        further = locate_poses([track], 0, moved, vehicle)["along"] - along
        wrapped = (further + track.length / 2.0) % track.length - track.length / 2.0
        near |= np.abs(progress + 100.0 * wrapped / track.length - rows["progress"]) <= PROGRESS_TOLERANCE
    return near


def _around(poses: NDArray[np.float64], radius: float) -> Iterator[NDArray[np.float64]]:
    """The poses moved by a radius in eight directions, one after the other."""
    for angle in np.arange(8) * np.pi / 4.0:
        yield poses + radius * np.array([np.cos(angle), np.sin(angle), 0.0])


def _progress(rows: NDArray[Any], fraction: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which rows count, and the progress of all.

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
    return ~first & ~back, found
