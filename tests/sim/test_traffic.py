import numpy as np
import pytest
from made_traffic import BOX, busy_simulator, put, stand

from lateapex.errors import ConfigError
from lateapex.sim.bodies import real_sizes, rule_sizes
from lateapex.sim.simulator import Simulator
from lateapex.sim.traffic import NOTHING, LaneChanges
from lateapex.world.bodies import BODIES, CAR, body_place
from lateapex.world.lanes import INNER, OUTER, lanes_of
from lateapex.world.track import load_track

OVAL = load_track("oval")


def bot(**settings):
    """One bot at 0.3 m/s that starts in the inner lane at 1 m."""
    simulator, traffic = busy_simulator(**settings)
    traffic.others["kind"], traffic.others["speed"] = CAR, 0.3
    put(simulator, 1.0)
    return simulator, traffic, traffic.others[0, 0]


@pytest.mark.parametrize("name", ["oval", "kidney", "folded"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_lane_passes_through_the_middles_of_centre_line_and_border(name, place):
    track = load_track(name)
    lanes = lanes_of(track)
    border = track.inner if place == 0 else track.outer
    middles = 0.5 * (track.center + border)
    fresh = np.append(True, np.diff(track.along) > 1e-6)
    assert lanes.stops[:-1] == pytest.approx(track.along[fresh])
    assert lanes.powers[:, place, :, 3] == pytest.approx(middles[fresh])
    assert lanes.stops[-1] == pytest.approx(track.length)


def test_a_lane_closes_without_a_kink():
    lanes = lanes_of(OVAL)
    way = lanes.stops[-1] - lanes.stops[-2]
    for place in (0, 1):
        a, b, c, d = lanes.powers[-1, place].T
        assert ((a * way + b) * way + c) * way + d == pytest.approx(lanes.powers[0, place, :, 3])
        assert (3 * a * way + 2 * b) * way + c == pytest.approx(lanes.powers[0, place, :, 2])


def test_an_open_track_has_lanes_from_end_to_end():
    straight = np.column_stack([np.linspace(0.0, 3.0, 7), np.zeros(7)])
    aside = np.array([0.0, 0.4])
    track = type(OVAL)("line", straight, straight + aside, straight - aside, False)
    lanes = lanes_of(track)
    assert lanes.stops == pytest.approx(np.linspace(0.0, 3.0, 7))
    assert lanes.powers[:, 0, 1] == pytest.approx(np.tile([0.0, 0.0, 0.0, 0.2], (6, 1)))
    assert lanes.powers[:, 1, 0, 2:] == pytest.approx(np.column_stack([np.ones(6), straight[:-1, 0]]))


def test_the_bend_of_a_lane_is_continuous():
    lanes = lanes_of(OVAL)
    way = np.diff(lanes.stops)[:, None, None]
    bend_at_the_end = 6.0 * lanes.powers[..., 0] * way + 2.0 * lanes.powers[..., 1]
    assert bend_at_the_end == pytest.approx(2.0 * np.roll(lanes.powers[..., 1], -1, axis=0), abs=1e-9)


def test_a_repeated_waypoint_leaves_no_gap_in_the_lanes():
    doubled = np.array([0, 1, 1, *range(2, len(OVAL.center))])
    track = type(OVAL)("doubled", OVAL.center[doubled], OVAL.inner[doubled], OVAL.outer[doubled], True)
    assert lanes_of(track).powers == pytest.approx(lanes_of(OVAL).powers)


def test_a_box_stands_a_quarter_of_the_width_beside_the_centre_line_and_along_the_lane():
    simulator, traffic = busy_simulator(things=2)
    put(simulator, [[1.0, 1.0]], [[INNER, OUTER]])
    inner, outer = traffic.others[0]
    x, y, yaw = OVAL.pose_at(1.0 / OVAL.length)
    quarter = OVAL.width / 4
    assert (inner["x"], inner["y"]) == pytest.approx((x - quarter * np.sin(yaw), y + quarter * np.cos(yaw)), abs=2e-3)
    assert (outer["x"], outer["y"]) == pytest.approx((x + quarter * np.sin(yaw), y - quarter * np.cos(yaw)), abs=2e-3)
    assert (inner["yaw"], outer["yaw"]) == pytest.approx((yaw, yaw), abs=0.02)
    assert inner["distance_from_center"] == pytest.approx(quarter, abs=2e-3)
    assert inner["along"] == pytest.approx(1.0, abs=2e-3)
    assert OVAL.is_ccw
    assert inner["is_left_of_line"]
    assert not outer["is_left_of_line"]


def test_the_inner_lane_is_on_the_right_of_clockwise_driving():
    _, traffic = busy_simulator(track=OVAL.reverse())
    assert not traffic.others[0, 0]["is_left_of_line"]


def test_a_bot_at_30_cm_a_second_drives_2_cm_a_step_along_the_centre_line():
    simulator, _, it = bot()
    before = it.copy()
    stand(simulator)
    assert it["along"] - before["along"] == pytest.approx(0.02, abs=1e-4)
    assert np.hypot(it["x"] - before["x"], it["y"] - before["y"]) == pytest.approx(0.02, abs=1e-4)
    stand(simulator, 149)
    assert it["along"] == pytest.approx(4.0, abs=5e-3)
    assert it["distance_from_center"] == pytest.approx(OVAL.width / 4, abs=5e-3)


def test_a_bot_that_waits_goes_on_from_where_it_stood():
    simulator, _, it = bot()
    stand(simulator, 10)
    it["wait"] = 30
    stood = it["along"].copy()
    stand(simulator, 30)
    assert it["along"] == stood
    stand(simulator)
    assert it["along"] - stood == pytest.approx(0.02, abs=1e-4)


def test_a_bot_drives_over_the_start_line():
    simulator, _, it = bot()
    put(simulator, OVAL.length - 0.03)
    stand(simulator, 5)
    assert it["along"] == pytest.approx(0.07, abs=5e-3)


def test_a_bot_changes_lanes_after_3_to_5_seconds_within_the_distance():
    simulator, traffic, it = bot()
    traffic.changes = LaneChanges(3.0, 5.0, 0.6)
    put(simulator, 1.0)
    begin, end = float(it["change_begin"]), float(it["change_end"])
    assert 3.0 <= begin <= 5.0
    assert end - begin == pytest.approx(0.6 / 0.3)
    stand(simulator, int(begin * 15))
    assert it["is_left_of_line"]
    assert it["distance_from_center"] == pytest.approx(OVAL.width / 4, abs=5e-3)
    stand(simulator, round((begin + 1.0) * 15) - int(begin * 15))
    assert it["distance_from_center"] < 0.03  # halfway
    stand(simulator, 16)
    assert it["lane"] == OUTER
    assert not it["is_left_of_line"]
    assert it["distance_from_center"] == pytest.approx(OVAL.width / 4, abs=5e-3)
    assert 3.0 <= it["change_begin"] - end <= 5.0


def test_a_bot_looks_where_it_drives_while_it_changes_lanes():
    simulator, traffic, it = bot()
    traffic.changes = LaneChanges(0.5, 0.5, 0.6)
    put(simulator, 1.0)
    for _ in range(45):
        before = it.copy()
        stand(simulator)
        way = np.arctan2(it["y"] - before["y"], it["x"] - before["x"])
        middle = 0.5 * (before["yaw"] + it["yaw"])
        assert abs((way - middle + np.pi) % (2 * np.pi) - np.pi) < 0.02  # half of what it turns in a step


def test_a_bot_that_waits_in_a_change_of_lanes_does_not_slide_aside():
    simulator, traffic, it = bot()
    traffic.changes = LaneChanges(0.5, 0.5, 0.6)
    put(simulator, 1.0)
    stand(simulator, 20)
    it["wait"], before = 40, it.copy()
    stand(simulator, 40)
    assert (it["x"], it["y"]) == (before["x"], before["y"])


def test_when_bots_change_lanes_depends_on_seed_world_episode_and_bot_alone():
    def times(seed=0, episode=0, worlds=3):
        simulator, traffic = busy_simulator(worlds, 2)
        traffic.others["kind"], traffic.others["speed"] = CAR, 0.3
        traffic.changes, traffic.seed = LaneChanges(3.0, 5.0, 0.6), seed
        put(simulator, [[1.0, 3.0]], episode=episode)
        return traffic.others["change_begin"].copy()

    found = times()
    assert len(np.unique(found)) == found.size
    assert np.array_equal(times(), found)
    assert np.array_equal(times(worlds=2), found[:2])
    assert not np.isin(times(seed=1), found).any()
    assert not np.isin(times(episode=1), found).any()


def test_a_snapshot_brings_the_bots_back_bit_for_bit():
    simulator, traffic, _ = bot(worlds=2, things=3)
    traffic.changes = LaneChanges(0.2, 0.6, 0.3)
    put(simulator, [[1.0, 3.0, 5.0]])
    stand(simulator, 10)
    snapshot = simulator.snapshot()
    stand(simulator, 50)
    later = simulator.snapshot()
    simulator.restore(snapshot)
    stand(simulator, 50)
    assert simulator.snapshot()["things"].tobytes() == later["things"].tobytes()
    with pytest.raises(ConfigError, match="snapshot of"):
        busy_simulator(2, 2)[0].restore(snapshot)


def test_a_car_alone_in_an_empty_world_has_no_traffic():
    assert Simulator([OVAL], [0, 0], pictures=False).traffic is None


def test_cars_of_one_world_are_things_to_each_other():
    simulator = Simulator([OVAL], [0, 0, 0, 0], world=[1, 0, 1, 1], pictures=False)
    traffic = simulator.traffic
    assert traffic is not None
    assert traffic.things["car"].tolist() == [[1, -1, -1], [0, 2, 3]]
    assert (traffic.things["kind"] == NOTHING).tolist() == [[False, True, True], [False] * 3]
    simulator.place_on_line(np.arange(4), [0.1, 0.2, 0.3, 0.4], 0.0, 0.0)
    simulator.step(np.zeros(4), np.full(4, 2.0), np.zeros(4, np.bool_))
    assert (traffic.things["x"][1] == simulator.cars["x"][[0, 2, 3]]).all()
    assert traffic.things["along"][1] + 0.14 == pytest.approx(simulator.cars["along"][[0, 2, 3]], abs=5e-3)


def test_rectangles_tell_lidars_and_rules_where_things_stand():
    _, traffic = busy_simulator(things=1)
    rectangles, cars = traffic.rectangles(rule_sizes())
    it = traffic.others[0, 0]
    assert rectangles[0, 1].tolist() == [it["x"], it["y"], it["yaw"], 0.5, 0.4]
    assert cars.tolist() == [[0, -1]]
    traffic.others["kind"] = NOTHING
    rectangles, cars = traffic.rectangles(rule_sizes())
    assert np.isnan(rectangles[0, 1]).all()
    assert cars.tolist() == [[0, -2]]


def test_lidars_are_told_of_the_things_in_their_sizes():
    simulator, traffic = busy_simulator(things=1)
    rectangles, cars = simulator.bodies()
    assert rectangles[0, 1, 3:].tolist() == pytest.approx([0.4, 0.3])
    assert rectangles[0, 1, :2].tolist() == [traffic.others["x"][0, 0], traffic.others["y"][0, 0]]
    assert cars.tolist() == [[0, -1]]


def test_sizes_are_those_of_the_original():
    assert rule_sizes()[BOX].tolist() == [0.5, 0.4]
    assert rule_sizes()[CAR].tolist() == [0.32352, 0.1961]
    assert real_sizes()[BOX] == pytest.approx([0.4, 0.3])
    assert real_sizes()[body_place("deepracer_box_obstacle")] == pytest.approx([0.36, 0.265])
    assert real_sizes()[CAR] == pytest.approx([0.328, 0.188])
    assert len({body.name for body in BODIES}) == len(BODIES)


def test_an_unknown_obstacle_is_told_with_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'box_obstacle'"):
        body_place("box_obstacel")
