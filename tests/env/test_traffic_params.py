"""What rewards are told of things on the track: scenes worked by hand on the straight of `test_races`."""

import numpy as np
import pytest
from made_tasks import small_task, watched_reward
from test_races import AHEAD, TRACK, L, avoidance, bots, put_car, race_task

from lateapex.env.params import PARAMS
from lateapex.env.race_config import RaceConfig
from lateapex.env.reward import RewardFunction
from lateapex.env.traffic_params import OBJECT_PARAMS
from lateapex.sim.traffic import NOTHING
from lateapex.world.lanes import INNER, OUTER

QUIRKS = ["original", "fixed"]


def told(race, along, quirks="original", aside=0.0, turn=0.0, cars=1):
    """What the reward of the first car is told when that stands so many m along the lap."""
    reward, calls = watched_reward()
    task = race_task(race, quirks=quirks, reward=reward, cars=cars)
    put_car(task, along, aside, turn)
    before = len(calls)
    task.advance(np.full(cars, AHEAD))
    return calls[before]


def test_boxes_as_a_reward_sees_them():
    params = told(avoidance((5.0, INNER), (8.0, OUTER)), 3.0)
    assert params["objects_location"] == [pytest.approx([5.0, 0.225], abs=1e-6), pytest.approx([8.0, -0.225], abs=1e-6)]
    assert params["objects_left_of_center"] == [True, False]
    assert params["objects_distance"] == pytest.approx([5.0, 8.0])
    assert params["objects_distance_from_center"] == pytest.approx([0.225, 0.225])
    assert params["objects_speed"] == [0.0, 0.0]
    assert params["objects_heading"] == [0.0, 0.0]
    assert params["is_crashed"] is False
    assert {type(value) for value in params["objects_left_of_center"]} == {bool}
    assert {type(value) for value in params["closest_objects"]} == {int}


# Boxes at 5, 8 and 11 m; the front point is 0.14 m ahead.
@pytest.mark.parametrize(
    ("along", "expected"),
    [(3.0, [2, 0]), (4.85, [2, 0]), (4.87, [0, 1]), (7.0, [0, 1]), (9.0, [1, 2]), (11.5, [2, 0]), (L - 1.0, [2, 0])],
)
def test_the_closest_objects_are_the_ones_behind_and_ahead_round_the_lap(along, expected):
    race = avoidance((5.0, INNER), (8.0, OUTER), (11.0, INNER))
    assert told(race, along, aside=0.225 if along in (4.87,) else -0.0)["closest_objects"] == expected


def test_a_single_object_is_both():
    assert told(avoidance((5.0, INNER)), 3.0)["closest_objects"] == [0, 0]


@pytest.mark.parametrize(("quirks", "speed", "heading"), [("original", 0.3, np.pi / 2), ("fixed", 0.3, 90.0)])
def test_a_bots_heading_is_in_radians_in_the_original(quirks, speed, heading):
    # A quarter of the half circle of 1.5 m radius beyond the first straight of 12 m leads north.
    params = told(bots((12.0 + 1.5 * np.pi / 2, INNER), bot_car_speed=0.3), 3.0, quirks)
    assert params["objects_speed"] == [speed]
    assert params["objects_heading"] == pytest.approx([heading], rel=0.02)


@pytest.mark.parametrize(("quirks", "expected"), [("original", 0.3), ("fixed", 0.0)])
def test_the_original_tells_a_bots_speed_also_while_it_stands(quirks, expected):
    reward, calls = watched_reward()
    task = race_task(bots((6.0, INNER), bot_car_speed=0.3), quirks=quirks, reward=reward)
    task.simulator.traffic.others["wait"] = 30
    task.advance([AHEAD])
    assert calls[-1]["objects_speed"] == [expected]


@pytest.mark.parametrize(("quirks", "headings"), [("original", [0.0]), ("fixed", [45.0])])
def test_other_cars_are_objects(quirks, headings):
    reward, calls = watched_reward()
    task = race_task(RaceConfig(race_type="HEAD_TO_MODEL"), quirks=quirks, reward=reward, cars=2)
    put_car(task, 3.0, car=0)
    put_car(task, 6.0, 0.1, np.pi / 4, car=1)
    before = len(calls)
    task.advance([AHEAD, AHEAD])
    first, second = calls[before:]
    assert first["objects_location"] == [pytest.approx([6.0, 0.1])]
    assert second["objects_location"] == [pytest.approx([3.0, 0.0])]
    assert first["objects_heading"] == pytest.approx(headings)
    assert first["objects_left_of_center"] == [True]
    assert first["objects_speed"] == [0.0]


# The camera looks 15 degrees down from 0.13 m, half as wide as 0.634 of the depth and half as high as 0.475 of it.
@pytest.mark.parametrize(
    ("along", "aside", "turn", "seen"),
    [
        (3.0, 0.0, 0.0, True),  # 2 m before the box
        (3.0, 0.0, np.pi, False),  # it is behind
        (4.6, -0.3, 0.0, False),  # its nearest corner is 0.325 m to the left at a depth of about 0.01, others at 0.5
        (3.0, 0.0, 0.5, True),  # 0.5 rad of the 0.565 to the side, less where it is to the left
        (3.0, 0.0, -0.7, False),
    ],
)
def test_an_object_is_in_the_camera_where_its_middle_or_a_corner_is_in_view(along, aside, turn, seen):
    assert told(avoidance((5.0, INNER)), along, "fixed", aside, turn)["object_in_camera"] == seen


@pytest.mark.parametrize(
    ("quirks", "along", "seen"),
    [
        ("original", 3.0, False),  # the next is box 0; in its place the car itself is tested, which is never seen
        ("fixed", 3.0, True),
        ("original", 6.0, False),  # the next is box 1 and in view; box 0 is tested, which is behind
        ("fixed", 6.0, True),
    ],
)
def test_the_original_looks_for_the_object_before_the_next(quirks, along, seen):
    assert told(avoidance((5.0, INNER), (8.0, INNER)), along, quirks, -0.1)["object_in_camera"] == seen


def test_the_original_sees_the_next_object_in_the_one_registered_before_it():
    # Listed against the way: the next is object 1, at 5 m; tested is object 0, at 6 m, which is in view as well.
    assert told(avoidance((6.0, INNER), (5.0, INNER)), 3.0)["object_in_camera"]


@pytest.mark.parametrize("quirks", QUIRKS)
def test_parameters_of_single_calls_and_of_batches_agree(quirks):
    text = f"""
NAMES = {sorted((*PARAMS, *OBJECT_PARAMS))}

def total(value):
    if isinstance(value, (list, tuple)):
        return sum(total(item) for item in value)
    return float(value)

def reward_function(params):
    return sum((n + 1) * total(params[name]) for n, name in enumerate(NAMES)) / 1000

def reward_batch(params):
    import numpy as np
    count = len(params["x"])
    return sum((n + 1) * np.asarray(params[name], float).reshape(count, -1).sum(axis=1)
               for n, name in enumerate(NAMES)) / 1000
"""
    race = RaceConfig(race_type="HEAD_TO_BOT", randomize_bot_car_locations=True, is_lane_change=True)
    task = small_task(TRACK, 6, race=race, quirks=quirks, reward=RewardFunction(text, "both.py"), pictures=False)
    task.begin(np.arange(6))
    for step in range(12):  # the first 10 are compared by the reward itself
        _, terminated, truncated = task.advance(np.full(6, step % 10))
        task.begin(np.flatnonzero(terminated | truncated))
    assert task.simulator.traffic is not None
    assert (task.simulator.traffic.things["kind"] != NOTHING).all()


def test_what_a_reward_changes_in_its_objects_is_not_the_next_ones():
    text = """
def reward_function(params):
    params["objects_location"].clear()
    params["closest_objects"][0] = 99
    return 1.0
"""
    task = race_task(avoidance((5.0, INNER)), reward=RewardFunction(text, "greedy.py"))
    before = task.simulator.traffic.things.tobytes()
    task.advance([AHEAD])
    assert task.simulator.traffic.things["x"][0, 1] == pytest.approx(5.0)
    assert len(before) == len(task.simulator.traffic.things.tobytes())
