"""The fastest lap: cases worked by hand, symmetries, and what must hold on any track."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from lateapex.errors import ConfigError
from lateapex.world.motion import FULL_LOCK, accelerations, steady_turns, wheel_speeds
from lateapex.world.raceline import MARGIN, SLIP, clearance, raceline
from lateapex.world.track import Track, load_track
from lateapex.world.vehicle import Vehicle

CAR = Vehicle()


def ring(radius: float, width: float) -> Track:
    angles = np.arange(120) / 120 * math.tau
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Track("ring", radius * unit, (radius - width / 2) * unit, (radius + width / 2) * unit, closed=True)


def mirrored(track: Track) -> Track:
    flip = np.array([1.0, -1.0])
    return replace(track, center=track.center * flip, inner=track.inner * flip, outer=track.outer * flip)


@pytest.fixture(scope="module")
def oval():
    return raceline(load_track("oval"))


def test_on_a_ring_the_car_keeps_a_nearly_steady_speed_between_the_settled_one_and_what_grip_allows():
    # A road hardly wider than the car: no line but the circle. The settled turn is the one that a fixed command leads
    # to; with some slip there are faster ones, up to all grip along and across at once.
    line = raceline(ring(2.0, 0.24), slip=math.radians(8), calm=0.1)
    settled = float(steady_turns(CAR).fastest(np.array([1 / 2.0]))[0])
    most = math.sqrt(math.sqrt(2.0) * CAR.friction * 9.81 * 2.0)
    assert settled < line.speed.min() <= line.speed.max() < most
    assert np.ptp(line.speed) < 0.1 * settled
    assert line.lap_time == pytest.approx(line.way[-1] / line.speed.mean(), rel=0.005)


def test_a_straight_from_rest_takes_the_time_of_full_throttle(shared_data):
    track = load_track(shared_data / "tracks" / "Straight_track.npy")
    line = raceline(track, start="standing")
    gone, speed, seconds = 0.0, 0.0, 0.0
    while gone < track.length - CAR.front_point:
        speed += 1e-4 * float(accelerations(speed, 0.0, 0.0, 1.0, 0.0, wheel_speeds(CAR)[1], CAR)[0])
        gone, seconds = gone + 1e-4 * speed, seconds + 1e-4
    assert line.lap_time == pytest.approx(seconds, abs=0.005)


def test_a_flying_lap_ends_as_it_began(oval):
    for values in (oval.x, oval.y, oval.u, oval.v, oval.r):
        assert values[-1] == values[0]
    assert oval.yaw[-1] - oval.yaw[0] == pytest.approx(math.tau)
    assert oval.time[-1] == oval.lap_time


@pytest.mark.long
@pytest.mark.parametrize("limit", ["all", "one"])
def test_wheels_and_commands_stay_within_their_limits(limit):
    line = raceline(load_track("kidney"), limit=limit)
    assert line.method == "optimal"
    assert clearance(line).min() > -MARGIN / 2
    assert np.abs(line.steering).max() <= FULL_LOCK + 1e-6
    assert line.throttle.min() >= 0.1 - 1e-6
    assert line.throttle.max() <= 3.5 + 1e-6
    assert np.abs(np.arctan2(line.v, line.u)).max() <= SLIP + 1e-4


@pytest.mark.long
def test_one_wheel_on_the_road_is_faster_than_all(oval):
    assert raceline(load_track("oval"), limit="one").lap_time < oval.lap_time


def test_the_search_never_ends_worse_than_it_began(oval):
    assert oval.lap_time < oval.careful_time


@pytest.mark.long
def test_a_standing_start_costs_time_and_begins_at_rest(oval):
    line = raceline(load_track("oval"), start="standing")
    assert oval.lap_time < line.lap_time < oval.lap_time + 1.5
    assert line.speed[0] == 0.0
    assert (line.x[0], line.y[0]) == pytest.approx(load_track("oval").pose_at(0.0)[:2])


@pytest.mark.long
def test_the_mirrored_track_has_the_mirrored_time_and_line():
    track = load_track("kidney")
    straight, other = (raceline(each, slip=math.radians(8), calm=0.01) for each in (track, mirrored(track)))
    assert other.lap_time == pytest.approx(straight.lap_time, rel=0.005)
    places = np.stack([straight.x, -straight.y], axis=1)
    gaps = np.hypot(other.x[:, None] - places[:, 0], other.y[:, None] - places[:, 1]).min(axis=1)
    assert gaps.max() < 0.1


@pytest.mark.long
def test_driven_the_other_way_a_symmetric_track_takes_as_long(oval):
    assert raceline(load_track("oval@reversed")).lap_time == pytest.approx(oval.lap_time, rel=0.03)


@pytest.mark.long
def test_a_lagging_joint_makes_no_lap_faster(oval):
    line = raceline(load_track("oval"), replace(CAR, steering_lag=0.42, steering_jump=0.09))
    assert line.method == "optimal"
    assert line.lap_time > oval.lap_time * 0.99
    assert np.abs(line.joint - line.steering).max() > 0.02


@pytest.mark.long
def test_same_question_same_answer(oval):
    np.testing.assert_array_equal(raceline(load_track("oval")).x, oval.x)


@pytest.mark.long
def test_a_failing_optimiser_is_named(monkeypatch):
    from lateapex.world import raceline as module

    failing = module.solve_lap

    def fails(*words, **settings):
        return failing(*words, **{**settings, "iterations": 1})

    monkeypatch.setattr(module, "solve_lap", fails)
    line = raceline(load_track("oval"))
    assert line.method == "careful"
    assert line.lap_time == pytest.approx(line.careful_time)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"slip": 0.0}, "slip is 0 degrees"),
        ({"margin": 1.0}, "margin is 1 m"),
        ({"calm": -1.0}, "calm is -1"),
        ({"start": "rolling"}, "start is 'rolling'"),
        ({"limit": "two"}, "limit is 'two'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        raceline(load_track("oval"), **settings)


def test_an_open_track_has_no_flying_lap(shared_data):
    with pytest.raises(ConfigError, match="two ends"):
        raceline(load_track(shared_data / "tracks" / "Straight_track.npy"))


def test_without_the_optimiser_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "casadi", None)
    with pytest.raises(ConfigError, match=r"pip install 'lateapex\[line\]'"):
        raceline(load_track("oval"))
