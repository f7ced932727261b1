"""The arrays that hold all cars: one record a car, so that a snapshot is one copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.world.vehicle import Vehicle

STATE_DTYPE: Final = np.dtype(
    [
        ("x", np.float64),  # m, the car's centre
        ("y", np.float64),
        ("yaw", np.float64),  # rad, -pi..pi
        ("u", np.float64),  # m/s forward
        ("v", np.float64),  # m/s to the left
        ("r", np.float64),  # rad/s
        ("steering", np.float64),  # rad, of the joint
        ("steering_command", np.float64),  # rad
        ("front_x", np.float64),  # m, the point that all track quantities belong to
        ("front_y", np.float64),
        ("along", np.float64),  # m, its projection on the centre line
        ("distance_from_center", np.float64),  # m
        ("track_width", np.float64),  # m, at the projection
        ("track", np.int32),  # place in the simulator's list of tracks
        ("world", np.int32),  # cars of one world see each other
        ("waypoint_before", np.int32),
        ("waypoint_after", np.int32),
        ("closest_waypoint", np.int32),
        ("wheels_on_road", np.int32),  # 0-4
        ("is_left_of_center", np.bool_),  # by the distances to the borders, as the original judges
        ("is_left_of_line", np.bool_),  # by the side of the centre line
    ],
    align=True,
)
"""One car."""

MOTION: Final = (STATE_DTYPE.names or ())[:8]
"""The fields that move a car on; all others follow from them and the track."""

VEHICLE_DTYPE: Final = np.dtype(
    [
        (name, np.float64)
        for name in (
            "front_axle",
            "rear_axle",
            "half_track",
            "front_wheel_side",
            "rear_wheel_side",
            "front_point",
            "speed_gain",
            "speed_offset",
            "max_wheel_speed",
            "friction",
            "slip_forward",
            "slip_sideways",
            "slip_sideways_rear",
            "yaw_inertia",
            "steering_lag",
            "steering_jump",
        )
    ]
)
"""What the kernels need to know of one car; as `world.vehicle.Vehicle`."""


def motion(cars: NDArray[Any]) -> NDArray[np.float64]:
    """Return the fields of MOTION as they stand, `[N, 8]`: a view of `[N]` records that lie one after the other."""
    return np.ndarray((len(cars), len(MOTION)), np.float64, cars, strides=(cars.itemsize, np.float64().itemsize))


def vehicle_records(vehicles: Sequence[Vehicle]) -> NDArray[Any]:
    """Pack vehicles as `[N]` records of `VEHICLE_DTYPE`."""
    names = VEHICLE_DTYPE.names or ()
    return np.array([tuple(getattr(car, name) for name in names) for car in vehicles], VEHICLE_DTYPE)
