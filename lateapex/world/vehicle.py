"""What a car is: sizes, tyres, motors, steering, and where its camera sits.

Numbers come from the simulator's car description and from constants fitted to 1.44 million logged steps of it:
four equally driven wheels without a differential, on friction-limited tyres. SI units. Each number's range is what a
car of this scale can be; it is checked where a vehicle is read from a file (see `vehicles`), not where one is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

from lateapex.errors import ConfigError, did_you_mean

STEP_SECONDS: Final = 1.0 / 15.0
"""Simulated time between two decisions, s: the camera's frame period."""

SUBSTEPS: Final = 8
"""Integration steps per decision; 4 change the position after a second by 2 mm, the tyres ring below that."""


@dataclass(frozen=True, kw_only=True)
class CameraMount:
    """Pose of a camera on a driving car, and its lens."""

    forward: Annotated[float, Field(ge=-2.0, le=2.0)] = 0.1421
    """m ahead of the car's centre"""
    height: Annotated[float, Field(ge=0.01, le=2.0)] = 0.1329
    """m above the ground"""
    pitch: Annotated[float, Field(ge=-1.5, le=1.5)] = 0.2375
    """rad downwards: 15 degrees of mount less the 1.39 degrees by which the standing body leans back"""
    field_of_view: Annotated[float, Field(ge=0.1, le=3.0)] = 1.13
    """rad, horizontal; pixels are square"""


MOUNTS: Final = {
    "standard": CameraMount(),
    "version2": CameraMount(forward=0.2, height=0.164, pitch=0.2618),
}
"""Mounts by name. "version2": that of action-model versions 1 and 2, whose body stands level."""


def camera_mount(name: str) -> CameraMount:
    """Return a mount by its name.

    Raises:
        ConfigError: no mount has that name.
    """
    if name not in MOUNTS:
        raise ConfigError(
            f"no camera mount is called {name!r}{did_you_mean(name, MOUNTS) or '; known: ' + ', '.join(MOUNTS)}"
        )
    return MOUNTS[name]


Length = Annotated[float, Field(ge=0.01, le=2.0)]
"""m"""
Slip = Annotated[float, Field(ge=0.005, le=5.0)]
"""m/s"""
Share = Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True, kw_only=True)
class Vehicle:
    """One kind of car.

    The defaults are the car of action-model version 5.
    """

    name: str = "version5"
    front_axle: Length = 0.0823
    """m from the centre forward to the front axle"""
    rear_axle: Length = 0.0817
    """m from the centre back to the rear axle"""
    half_track: Length = 0.0803
    """m from the middle to a wheel, for the tyre forces"""
    front_wheel_side: Length = 0.0796
    """m from the middle to a front wheel's centre, for the test whether it is on the road"""
    rear_wheel_side: Length = 0.0811
    """m from the middle to a rear wheel's centre"""
    front_point: Annotated[float, Field(ge=-2.0, le=2.0)] = 0.14
    """m from the centre forward to the point that x, y, progress and waypoints mean"""
    speed_gain: Annotated[float, Field(gt=0.0, le=10.0)] = 1.0
    """wheel surface speed per commanded speed"""
    speed_offset: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.07
    """m/s added to it"""
    max_wheel_speed: Annotated[float, Field(gt=0.0, le=50.0)] = 3.57
    """m/s, the wheel joints' limit"""
    friction: Annotated[float, Field(gt=0.0, le=5.0)] = 0.340
    """friction coefficient, each axis by itself"""
    slip_forward: Slip = 0.15
    """m/s of slip at which half of the forward friction is used"""
    slip_sideways: Slip = 0.045
    """m/s, the same sideways, at the front"""
    slip_sideways_rear: Slip = 0.045
    """m/s, the same sideways, at the rear"""
    yaw_inertia: Annotated[float, Field(ge=0.001, le=1.0)] = 0.0154
    """moment of inertia per mass, m2"""
    steering_lag: Annotated[float, Field(ge=0.0, le=5.0)] = 0.0
    """s, time constant of the steering joint; 0: it follows at once"""
    steering_jump: Share = 0.0
    """share of a new command that the joint follows at once"""
    camera: CameraMount = field(default_factory=CameraMount)
