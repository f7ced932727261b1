"""Drivers that know the state lap every track."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lateapex.errors import ConfigError
from lateapex.models.drivers import CentreLineDriver
from lateapex.models.line_driver import LineDriver
from lateapex.models.timing import RANGES, actions_for, time_laps
from lateapex.sim.physics import Physics
from lateapex.world.raceline import drivable
from lateapex.world.track import load_track, track_names
from lateapex.world.vehicle import Vehicle
from lateapex.world.vehicles import load_vehicle, vehicle_names

CAR = Vehicle()
CARS = {name: load_vehicle(name) for name in vehicle_names()}


@pytest.mark.parametrize("car", CARS)
def test_the_centre_line_driver_laps_every_route_both_ways(car, shared_data):
    tracks = [load_track(path) for path in sorted((shared_data / "tracks").glob("*.npy"))]
    tracks += [load_track(name) for name in track_names()]
    tracks += [track.reverse() for track in tracks]
    physics = Physics(tracks, np.arange(len(tracks)), CARS[car])
    stints = time_laps(CentreLineDriver(tracks, CARS[car]), physics)
    failed = [(track.name, stint.status) for track, stint in zip(tracks, stints, strict=True) if not stint.laps]
    assert len(tracks) >= 100
    assert failed == []


def test_the_line_driver_laps_as_fast_as_its_line():
    lines = [drivable(load_track(name)) for name in ("oval", "kidney")]
    physics = Physics([line.track for line in lines], np.arange(2), CAR)
    for line, stint in zip(lines, time_laps(LineDriver(lines), physics, laps=3), strict=True):
        assert stint.status == "lap_complete"
        assert line.lap_time * 0.98 < min(stint.laps[1:]) < line.lap_time * 1.03


def test_commands_reach_the_car_through_the_continuous_action_space():
    steering, speed = np.array([-0.5, 0.0, 0.5]), np.array([0.1, 2.0, 4.0])
    commands = RANGES.commands(actions_for(steering, speed), 3)
    np.testing.assert_allclose(commands.steering, steering)
    np.testing.assert_allclose(commands.throttle, speed)


def test_lines_of_different_vehicles_are_refused():
    line = drivable(load_track("oval"))
    with pytest.raises(ConfigError, match="2 vehicles in 2 lines"):
        LineDriver([line, replace(line, vehicle=CARS["version4"])])


def test_a_vehicle_for_each_car_is_needed():
    with pytest.raises(ConfigError, match="1 vehicles for 2 cars"):
        Physics([load_track("oval")], [0, 0], [CAR])
