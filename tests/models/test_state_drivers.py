"""Drivers that know the state lap every track."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lateapex.errors import ConfigError
from lateapex.models.drivers import CentreLineDriver
from lateapex.models.line_driver import LineDriver
from lateapex.models.timing import RANGES, actions_for, time_laps
from lateapex.sim.physics import Physics, after_decision
from lateapex.sim.state import STATE_DTYPE
from lateapex.world.held_lap import drivable, held_lap
from lateapex.world.raceline import clearance, raceline
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


@pytest.fixture(scope="module")
def computed():
    return raceline(load_track("oval"))


@pytest.fixture(scope="module")
def planned(computed):
    return held_lap(computed)


@pytest.mark.long
def test_every_lap_of_the_line_driver_but_that_from_rest_is_within_3_percent_of_the_computed_lap(computed, planned):
    driver = LineDriver([planned])
    first, stint = (time_laps(driver, Physics([planned.track], [0], CAR), laps)[0] for laps in (1, 4))
    assert stint.status == "lap_complete"
    assert max(stint.laps[1:]) < 1.03 * computed.lap_time
    assert stint.wheels_off == first.wheels_off
    assert stint.laps[0] < 1.4 * computed.lap_time, "it crawls to its line"


@pytest.mark.long
def test_the_simulator_goes_from_each_decision_of_a_planned_lap_to_the_next(planned):
    cars = np.zeros(len(planned.x), STATE_DTYPE)
    for name in ("x", "y", "yaw", "u", "v", "r"):
        cars[name] = getattr(planned, name)
    later = after_decision(cars, CAR, planned.steering, planned.throttle)
    assert planned.method == "held"
    np.testing.assert_allclose(later["x"][:-1], planned.x[1:], atol=0.01)
    np.testing.assert_allclose(later["y"][:-1], planned.y[1:], atol=0.01)
    np.testing.assert_allclose(later["u"][:-1], planned.u[1:], atol=0.05)


@pytest.mark.long
def test_where_no_lap_can_be_planned_a_smoother_line_stands_in(monkeypatch, computed):
    calm = replace(computed, lap_time=computed.lap_time + 1.0)
    monkeypatch.setattr("lateapex.world.held_lap.held_lap", lambda line: None)
    monkeypatch.setattr("lateapex.world.held_lap.raceline", lambda *_, **how: computed if "slip" not in how else calm)
    line = drivable(computed.track)
    assert line is calm


@pytest.mark.long
def test_a_planned_lap_keeps_all_wheels_on_the_road_whenever_the_car_is_judged(planned):
    assert clearance(planned).min() > 0.0


def test_commands_reach_the_car_through_the_continuous_action_space():
    steering, speed = np.array([-0.5, 0.0, 0.5]), np.array([0.1, 2.0, 4.0])
    commands = RANGES.commands(actions_for(steering, speed), 3)
    np.testing.assert_allclose(commands.steering, steering)
    np.testing.assert_allclose(commands.throttle, speed)


@pytest.mark.long
def test_lines_of_different_vehicles_are_refused(planned):
    with pytest.raises(ConfigError, match="2 vehicles in 2 lines"):
        LineDriver([planned, replace(planned, vehicle=CARS["version4"])])


def test_a_vehicle_for_each_car_is_needed():
    with pytest.raises(ConfigError, match="1 vehicles for 2 cars"):
        Physics([load_track("oval")], [0, 0], [CAR])
