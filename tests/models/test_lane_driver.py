"""The driver that goes round what is on the road: clean laps among boxes and bots, and what it does case by case."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_traffic import busy_simulator, put

from lateapex.env.race_config import RaceConfig
from lateapex.env.racing import RacingTask
from lateapex.env.starts import RoundRobinStarts
from lateapex.formats.model_metadata import read_metadata
from lateapex.models.drive import drive, patience
from lateapex.models.lane_driver import LaneDriver
from lateapex.models.timing import time_laps
from lateapex.sim.physics import Physics
from lateapex.world.lanes import INNER, OUTER
from lateapex.world.track import load_track, track_names
from lateapex.world.vehicle import Vehicle
from lateapex.world.vehicles import load_vehicle

RANGES = {
    "action_space": {"steering_angle": {"low": -30.0, "high": 30.0}, "speed": {"low": 0.1, "high": 1.0}},
    "action_space_type": "continuous",
    "sensor": ["FRONT_FACING_CAMERA"],
    "version": "5",
}
BOXES = RaceConfig(race_type="OBJECT_AVOIDANCE", randomize_obstacle_locations=True)
BOTS = RaceConfig(race_type="HEAD_TO_BOT", randomize_bot_car_locations=True)


class ByState:
    """Lets a driver that knows the state take the place of a model."""

    def __init__(self, task):
        self.task = task
        self.driver = LaneDriver(task.tracks, task.simulator.vehicle, task.simulator.traffic)

    def greedy(self, observations, fresh):
        del observations, fresh
        return self.task.actions.nearest(*self.driver.commands(self.task.simulator.cars))


def clean_laps(track, race, metadata=None, count=50, seed=3):
    task = RacingTask(track, count, race=race, pictures=False, metadata=metadata, seed=seed)
    task.max_steps = patience(task.lengths)
    cars = np.arange(count)
    poses = RoundRobinStarts(spread=1.0 / count).draw(0, cars, np.zeros_like(cars))
    return [episode.status for episode in drive(ByState(task), task, poses)].count("lap_complete")


@pytest.mark.parametrize("race", [BOXES, BOTS], ids=lambda race: race.race_type)
@pytest.mark.parametrize("actions", ["list", "ranges"])
def test_it_laps_among_boxes_and_among_bots_without_a_touch(race, actions, shared_data):
    metadata = None if actions == "list" else read_metadata(json.dumps(RANGES), "ranges")
    assert clean_laps(str(shared_data / "tracks" / "reInvent2019_track.npy"), race, metadata) >= 48


@pytest.mark.parametrize(("name", "least"), [("oval", 49), ("kidney", 49), ("folded", 49), ("hairpin", 40)])
def test_it_does_so_on_tracks_of_our_own(name, least):
    assert clean_laps(name, BOXES) >= least


def test_alone_it_laps_every_shipped_track_both_ways_in_the_lane_that_is_nearer():
    tracks = [load_track(name) for name in track_names()]
    tracks += [track.reverse() for track in tracks]
    car = load_vehicle("version5")
    stints = time_laps(LaneDriver(tracks, car), Physics(tracks, np.arange(len(tracks)), car))
    failed = [(track.name, stint.status) for track, stint in zip(tracks, stints, strict=True) if not stint.laps]
    assert failed == []


# ------------------------------------------------------------------------------------------------ case by case


def commands(aside, things, lanes, speed=0.0, kind=None):
    """What it does on the first straight of oval, `aside` m left of the centre, things m ahead in some lanes.

    Returns:
        Steering angle, rad, and speed, m/s.
    """
    simulator, traffic = busy_simulator(things=len(things))
    track = simulator.tracks[0]
    if kind is not None:
        traffic.others["kind"] = kind
    one = np.zeros(1, np.int64)
    along = 0.05 * track.length
    simulator.place_on_line(one, np.array([along / track.length]), np.array([aside / track.width]), np.zeros(1))
    simulator.cars["u"] = speed
    put(simulator, along + np.array(things), np.array(lanes))
    driver = LaneDriver(simulator.tracks, Vehicle(), traffic)
    steering, fast = driver.commands(simulator.cars)
    return float(steering[0]), float(fast[0])


LEFT = INNER if load_track("oval").is_ccw else OUTER
RIGHT = -LEFT


def test_it_goes_over_to_the_other_lane_where_its_own_is_blocked_and_stays_where_it_is_not():
    assert commands(0.15, [1.2], [LEFT])[0] < -0.1
    assert commands(-0.15, [1.2], [RIGHT])[0] > 0.1
    assert commands(-0.15, [1.2], [LEFT])[0] < 0.05
    assert commands(0.15, [1.2], [RIGHT])[0] > -0.05


def test_what_is_far_or_behind_does_not_count():
    alone = commands(0.15, [8.0], [LEFT])
    assert commands(0.15, [2.5], [LEFT]) == alone
    assert commands(0.15, [-1.0], [LEFT]) == alone


def test_of_two_blocked_lanes_it_takes_the_one_that_is_free_for_longer():
    assert commands(0.15, [0.8, 1.6], [LEFT, RIGHT])[0] < -0.1
    assert commands(0.15, [1.6, 0.8], [LEFT, RIGHT])[0] > -0.05


def test_it_brakes_for_what_it_would_touch_and_not_for_what_it_passes():
    assert commands(0.15, [0.6, 0.6], [LEFT, RIGHT], speed=1.0)[1] < 0.8
    near, far = (commands(0.15, [way], [LEFT], speed=1.0)[1] for way in (0.6, 1.4))
    assert near < far
    assert commands(-0.2, [0.6], [LEFT], speed=1.0)[1] >= far


def test_the_mirrored_road_is_driven_the_mirrored_way():
    left, right = commands(0.15, [1.0], [LEFT]), commands(-0.15, [1.0], [RIGHT])
    assert left[0] == pytest.approx(-right[0], abs=0.02)
    assert left[1] == pytest.approx(right[1], abs=0.02)
