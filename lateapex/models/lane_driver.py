"""A driver that knows the state and drives round what is on the road: boxes, bot cars, other cars.

It keeps to the middle of the lane that it is in. Where something stands or drives in that lane ahead, and the other one
is free for longer, it goes over to the other, and stays there: so what it does follows from what a camera can see, and
nothing has to be remembered. As long as it would touch what is ahead, it is no faster than it can brake from.

Aim, steering and the speed in bends are those of the driver of the centre line, on the lanes of `world.lanes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.models.drivers import Floats, LineTable, follow, paced
from lateapex.sim.bodies import rule_sizes
from lateapex.sim.tables import track_tables
from lateapex.sim.traffic import NOTHING, Traffic, lane_poses, lane_tables
from lateapex.world.bodies import CAR
from lateapex.world.lanes import INNER, OUTER
from lateapex.world.motion import steady_turns
from lateapex.world.track import Track
from lateapex.world.vehicle import Vehicle

_SPACING: Final = 0.05  # m, of the tables along the lanes
_REACH: Final = 1.7  # m ahead, from middle to middle, at which a thing counts
_PASSED: Final = 0.5  # m behind, from which on it no longer does
_GAIN: Final = 0.4  # m by which the other lane has to be free for longer
_TOUCH: Final = 0.5  # m from middle to middle at which the car stands behind a thing
_ASIDE: Final = 0.04  # m, more than touching, at which two pass each other
_BRAKING: Final = 1.5  # m/s2 that it counts on
_SIZES: Final = rule_sizes()
_LANES: Final = (INNER, OUTER)


class LaneDriver:
    """Follows lanes round things; see the module.

    Args:
        tracks: those that the simulator has, in the same order.
        vehicle: all cars.
        traffic: the things of the cars' worlds; None: there are none.
    """

    def __init__(self, tracks: Sequence[Track], vehicle: Vehicle, traffic: Traffic | None = None) -> None:
        self._vehicle = vehicle
        self._turns = steady_turns(vehicle)
        self._traffic = traffic
        self._ccw = np.array([track.is_ccw for track in tracks])
        self._lengths = np.array([track.length for track in tracks])
        self._tables = [LineTable(tracks, lines) for lines in _lines(tracks, vehicle)]

    def commands(self, cars: NDArray[Any]) -> tuple[Floats, Floats]:
        """States `[N]` of STATE_DTYPE -> steering angles, rad, and speeds, m/s, `[N]` each."""
        centre = cars["along"] - self._vehicle.front_point
        lane = np.where((cars["is_left_of_line"] == 1) == self._ccw[cars["track"]], INNER, OUTER)
        lane, most = self._chosen(cars, centre, lane)
        return follow(cars, centre, lambda way: self._at(lane, cars["track"], way), self._vehicle, self._turns, most)

    def _at(self, lane: NDArray[np.int64], track: NDArray[Any], way: Floats) -> Floats:
        inner, outer = (table.at(track, way) for table in self._tables)
        return np.where((lane == INNER)[:, None], inner, outer)

    def _chosen(self, cars: NDArray[Any], centre: Floats, lane: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """The lane that each car is to be in, `[N]`, and the speed, m/s, from which it can brake for what is ahead."""
        if self._traffic is None or not self._traffic.things.shape[1]:
            return lane, np.full(len(cars), np.inf)
        things = self._traffic.things[cars["world"]]
        counts = (things["kind"] != NOTHING) & (things["car"] != np.arange(len(cars))[:, None])
        length = self._lengths[cars["track"], None]
        ahead = (things["along"] - centre[:, None] + _PASSED) % length - _PASSED
        ahead = np.where(counts & (ahead < _REACH), ahead, np.inf)
        left = np.where(things["is_left_of_line"] == 1, 1.0, -1.0) * things["distance_from_center"]
        inside = np.where(self._ccw[cars["track"], None], left, -left) > 0.0
        own = inside == (lane == INNER)[:, None]
        free, other = (np.where(which, ahead, np.inf).min(axis=1, initial=np.inf) for which in (own, ~own))
        chosen = np.where((free < np.inf) & (other > free + _GAIN), -lane, lane)
        return chosen, self._braked(cars, things, ahead, left)

    @staticmethod
    def _braked(cars: NDArray[Any], things: NDArray[Any], ahead: Floats, left: Floats) -> Floats:
        """Speed, m/s, `[N]` from which each car can brake to that of the things that it would touch."""
        own = np.where(cars["is_left_of_line"] == 1, 1.0, -1.0) * cars["distance_from_center"]
        reach = 0.5 * (_SIZES[things["kind"], 1] + _SIZES[CAR, 1]) + _ASIDE
        meets = (ahead > 0.0) & (np.abs(left - own[:, None]) < reach)
        drives = np.where(things["wait"] > 0, 0.0, things["speed"])
        room = np.maximum(ahead - _TOUCH, 0.0)
        speeds = np.where(meets, drives + np.sqrt(2.0 * _BRAKING * room), np.inf)
        return np.asarray(speeds.min(axis=1, initial=np.inf))


def _lines(tracks: Sequence[Track], vehicle: Vehicle) -> list[list[Floats]]:
    """x, y and speed at even steps of centre line, `[n, 3]` for each track: of inner lanes, and of outer ones."""
    lanes, tables = lane_tables(tracks), track_tables(tracks)
    found = []
    for lane in _LANES:
        poses = [lane_poses(lanes, tables, place, _steps(track), lane) for place, track in enumerate(tracks)]
        found.append([_line(track, vehicle, *pose) for track, pose in zip(tracks, poses, strict=True)])
    return found


def _steps(track: Track) -> Floats:
    """Ways along the centre line, m; those of a loop end where it began."""
    return np.linspace(0.0, track.length, max(round(track.length / _SPACING), 8) + 1)


def _line(track: Track, vehicle: Vehicle, x: Floats, y: Floats, yaw: Floats) -> Floats:
    points, turns = np.stack([x, y], axis=1), np.diff(np.unwrap(yaw))
    spaces = np.hypot(*np.diff(points, axis=0).T)
    bends = turns / np.maximum(spaces, 1e-6)
    if track.closed:
        return paced(points[:-1], bends, spaces, True, vehicle)
    return paced(points, np.append(bends, bends[-1]), spaces, False, vehicle)
