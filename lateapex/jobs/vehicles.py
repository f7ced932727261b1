"""What vehicles can do, and which tracks that suits."""

from __future__ import annotations

from dataclasses import dataclass

from lateapex.analysis.vehicle_figures import VehicleFigures, measure
from lateapex.world.inspection import inspect_track
from lateapex.world.track import load_track, track_names
from lateapex.world.vehicle import Vehicle
from lateapex.world.vehicles import load_vehicle, vehicle_names


@dataclass(frozen=True, kw_only=True)
class Suit:
    """How a track suits a vehicle."""

    track: str
    tightest_radius: float
    """m, of its centre line"""
    fastest: float | None
    """m/s, the highest command at which the vehicle, at full lock, holds a bend of that radius; None: at none"""


def describe(name_or_path: str) -> tuple[Vehicle, VehicleFigures]:
    """Load and measure a vehicle.

    Raises:
        ConfigError: it is unknown, or its file is wrong.
    """
    vehicle = load_vehicle(name_or_path)
    return vehicle, measure(vehicle)


def presets() -> list[tuple[Vehicle, VehicleFigures]]:
    """All presets with their figures."""
    return [describe(name) for name in vehicle_names()]


def suits(figures: VehicleFigures) -> list[Suit]:
    """How each track that comes with the package suits a vehicle, the tightest first."""
    found = []
    for name in track_names():
        radius = inspect_track(load_track(name)).tightest_radius
        found.append(Suit(track=name, tightest_radius=radius, fastest=figures.fastest_through(radius)))
    return sorted(found, key=lambda suit: suit.tightest_radius)
