"""Cars that move without being drawn: for drivers that know the state, and for looking one decision ahead.

The same motion and the same places on the track as in `simulator`; no scenes, no camera, no threads, and each car may
be another vehicle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.errors import ConfigError
from lateapex.sim.dynamics import drive, wheel_speed
from lateapex.sim.geometry import locate
from lateapex.sim.kernel import kernel
from lateapex.sim.state import STATE_DTYPE, vehicle_records
from lateapex.sim.tables import track_tables
from lateapex.world.track import Track
from lateapex.world.vehicle import STEP_SECONDS, Vehicle


class Physics:
    """N cars on K tracks, at the start line until they are driven.

    Args:
        tracks: the tracks, K of them.
        track_of_car: `[N]` which track each car drives on.
        vehicles: N of them, or one for all.

    Raises:
        ConfigError: a car is on no track, or the numbers of cars and vehicles differ.
    """

    def __init__(self, tracks: Sequence[Track], track_of_car: ArrayLike, vehicles: Vehicle | Sequence[Vehicle]) -> None:
        places = np.asarray(track_of_car, np.int64)
        each = [vehicles] * len(places) if isinstance(vehicles, Vehicle) else list(vehicles)
        if len(each) != len(places) or not len(places) or places.min() < 0 or places.max() >= len(tracks):
            raise ConfigError(
                f"{len(each)} vehicles for {len(places)} cars on {len(tracks)} tracks; a vehicle for each car and, "
                "for each, the place of a track in the list are needed"
            )
        self.tracks = list(tracks)
        self.cars = np.zeros(len(places), STATE_DTYPE)
        """[N] of STATE_DTYPE."""
        self.cars["track"] = places
        self.cars["world"] = np.arange(len(places))
        self._vehicles = vehicle_records(each)
        self._tables = track_tables(self.tracks)
        starts = np.array([track.pose_at(0.0) for track in self.tracks])[places]
        self.cars["x"], self.cars["y"], self.cars["yaw"] = starts.T
        locate_all(self.cars, self._vehicles, self._tables)

    def step(self, steering: ArrayLike, speed: ArrayLike) -> None:
        """Drive all cars for one decision: `[N]` commanded angles, rad, and speeds, m/s."""
        steering, speed = (np.ascontiguousarray(values, np.float64) for values in (steering, speed))
        if steering.shape != self.cars.shape or speed.shape != self.cars.shape:
            raise ConfigError(f"commands have shapes {steering.shape} and {speed.shape}; {self.cars.shape} is needed")
        _drive_all(self.cars, self._vehicles, steering, speed, STEP_SECONDS)
        locate_all(self.cars, self._vehicles, self._tables)


def after_decision(cars: NDArray[Any], vehicle: Vehicle, steering: ArrayLike, speed: ArrayLike) -> NDArray[Any]:
    """States of some cars one decision later; only pose, velocities and joint are looked at and changed.

    Args:
        cars: `[N]` of STATE_DTYPE, left as they are.
        steering, speed: `[N]` commands, rad and m/s, within no limits but the wheels'.
    """
    later = np.array(cars)
    commands = (np.array(np.broadcast_to(values, later.shape), np.float64) for values in (steering, speed))
    _drive_all(later, vehicle_records([vehicle] * len(later)), *commands, STEP_SECONDS)
    return later


@kernel
def _drive_all(cars, vehicles, steering, speed, seconds):  # type: ignore[no-untyped-def] # numba: [N] records, [N] floats
    for n in range(cars.size):
        drive(cars[n], vehicles[n], steering[n], wheel_speed(speed[n], vehicles[n]), seconds)


@kernel
def locate_all(cars, vehicles, tables):  # type: ignore[no-untyped-def] # numba: [N] records, TrackTables
    """Find out for cars that were put somewhere where on their tracks they are."""
    for n in range(cars.size):
        locate(cars[n], vehicles[n], tables)
