"""What a car is: sizes, tyres, motors, steering, and where its camera sits.

Numbers come from the simulator's car description and from constants fitted to 1.44 million logged steps of it:
four equally driven wheels without a differential, on friction-limited tyres. SI units.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lateapex.errors import ConfigError, did_you_mean

STEP_SECONDS: Final = 1.0 / 15.0
"""Simulated time between two decisions, s: the camera's frame period."""


@dataclass(frozen=True, kw_only=True)
class CameraMount:
    """Pose of a camera on a driving car, and its lens."""

    forward: float = 0.1421
    """m ahead of the car's centre"""
    height: float = 0.1329
    """m above the ground"""
    pitch: float = 0.2375
    """rad downwards: 15 degrees of mount less the 1.39 degrees by which the standing body leans back"""
    field_of_view: float = 1.13
    """rad, horizontal; pixels are square"""


@dataclass(frozen=True, kw_only=True)
class Vehicle:
    """One kind of car.

    The defaults are the car of action-model version 5.
    """

    name: str = "version5"
    front_axle: float = 0.0823
    """m from the centre forward to the front axle"""
    rear_axle: float = 0.0817
    """m from the centre back to the rear axle"""
    half_track: float = 0.0803
    """m from the middle to a wheel, for the tyre forces"""
    front_wheel_side: float = 0.0796
    """m from the middle to a front wheel's centre, for the test whether it is on the road"""
    rear_wheel_side: float = 0.0811
    """m from the middle to a rear wheel's centre"""
    front_point: float = 0.14
    """m from the centre forward to the point that x, y, progress and waypoints mean"""
    speed_gain: float = 1.0
    """wheel surface speed per commanded speed"""
    speed_offset: float = 0.07
    """m/s added to it"""
    max_wheel_speed: float = 3.57
    """m/s, the wheel joints' limit"""
    friction: float = 0.340
    """friction coefficient, each axis by itself"""
    slip_forward: float = 0.15
    """m/s of slip at which half of the forward friction is used"""
    slip_sideways: float = 0.045
    """m/s, the same sideways"""
    yaw_inertia: float = 0.0154
    """moment of inertia per mass, m2"""
    steering_lag: float = 0.0
    """s, time constant of the steering joint; 0: it follows at once"""
    steering_jump: float = 0.0
    """share of a new command that the joint follows at once"""
    camera: CameraMount = field(default_factory=CameraMount)


VEHICLES: Final = {"version5": Vehicle()}
"""Presets by name."""


def vehicle(name: str) -> Vehicle:
    """Return a preset.

    Raises:
        ConfigError: no preset has that name.
    """
    if name not in VEHICLES:
        raise ConfigError(
            f"no vehicle is called {name!r}{did_you_mean(name, VEHICLES) or '; known: ' + ', '.join(VEHICLES)}"
        )
    return VEHICLES[name]
