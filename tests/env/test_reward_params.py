"""What a reward function is called with: every parameter, its type, and whose moment it belongs to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from made_tasks import STRAIGHT_ON, at, drive_on, metadata_of, small_task, watched_reward

from lateapex.world.track import load_track

OVAL = load_track("oval")


def params_of_one_step(x: float, y: float, yaw: float, track: Any = OVAL, **settings: Any) -> dict[str, Any]:
    """What the reward is called with when the car stands at a pose on its second step."""
    reward, calls = watched_reward()
    task = small_task(track, 1, reward=reward, **settings)
    task.begin(np.array([0]), at(0.0))
    task.advance([STRAIGHT_ON if "metadata" not in settings else 0])
    task.simulator.place(np.array([0]), x, y, yaw)
    task.advance([STRAIGHT_ON if "metadata" not in settings else 0])
    assert len(calls) == 1
    return calls[0]


KINDS = {
    "all_wheels_on_track": bool,
    "x": float,
    "y": float,
    "heading": float,
    "distance_from_center": float,
    "projection_distance": float,
    "progress": float,
    "steps": float,
    "speed": float,
    "steering_angle": float,
    "track_width": float,
    "track_length": float,
    "waypoints": list,
    "closest_waypoints": list,
    "is_left_of_center": bool,
    "is_reversed": bool,
    "is_offtrack": bool,
    "is_crashed": bool,
    "closest_objects": list,
    "objects_location": list,
    "objects_left_of_center": list,
    "object_in_camera": bool,
    "objects_speed": list,
    "objects_heading": list,
    "objects_distance_from_center": list,
    "objects_distance": list,
    "sim_time": float,
}


def test_every_parameter_is_there_with_its_type_and_no_other() -> None:
    params = params_of_one_step(1.0, 0.2, 0.1)
    assert {name: type(value) for name, value in params.items()} == KINDS
    assert {type(value) for value in params["closest_waypoints"]} == {int}
    assert {(type(point), len(point)) for point in params["waypoints"]} == {(tuple, 2)}
    assert {type(number) for point in params["waypoints"] for number in point} == {float}


def test_parameters_of_a_known_pose_worked_by_hand() -> None:
    # The oval starts at (0, 0) to the east; its first straight is 2.1 m long and 0.8 m wide.
    params = params_of_one_step(1.0, 0.2, 0.1)
    front_x, front_y = 1.0 + 0.14 * math.cos(0.1), 0.2 + 0.14 * math.sin(0.1)
    numbers = {name: value for name, value in params.items() if type(value) is float}
    assert numbers == pytest.approx(
        {
            "x": front_x,
            "y": front_y,
            "heading": 5.72957795,
            "distance_from_center": front_y,
            "projection_distance": front_x,
            "progress": 100 * front_x / OVAL.length,
            "steps": 2.0,
            "speed": 1.0,
            "steering_angle": 0.0,
            "track_width": 0.8,
            "track_length": OVAL.length,
            "sim_time": 1 / 15,
        },
        abs=1e-6,
    )
    assert {name for name, value in params.items() if value is True} == {"all_wheels_on_track", "is_left_of_center"}
    before, after = params["closest_waypoints"]
    assert after == before + 1
    assert params["waypoints"][before][0] <= front_x < params["waypoints"][after][0]
    assert params["waypoints"] == OVAL.waypoints
    assert params["waypoints"][0] == params["waypoints"][-1]


def test_a_time_trial_has_no_objects() -> None:
    params = params_of_one_step(1.0, 0.2, 0.1)
    assert params["closest_objects"] == [0, 0]
    assert [params[name] for name in KINDS if name.startswith("objects_")] == [[]] * 6
    assert not params["object_in_camera"]


@pytest.mark.parametrize(
    ("y", "yaw", "wheels_on_track", "off_track", "left"),
    [
        (0.0, 0.0, True, False, False),  # exactly on the line is not left of it
        (-0.05, 0.0, True, False, False),
        (0.05, math.pi, True, False, True),  # the side is that of the track's direction, not of the car's
        # half a width of 0.4 less the rear wheels' 0.0811 is 0.3189
        (0.318, 0.0, True, False, True),
        (0.320, 0.0, False, False, True),
        # plus the front wheels' 0.0796 is 0.4796, plus the rear wheels' 0.4811
        (-0.4805, 0.0, False, False, False),
        (-0.4820, 0.0, False, True, False),
    ],
)
def test_wheels_and_side(y: float, yaw: float, wheels_on_track: bool, off_track: bool, left: bool) -> None:
    params = params_of_one_step(1.0, y, yaw)
    found = (params["all_wheels_on_track"], params["is_offtrack"], params["is_left_of_center"])
    assert found == (wheels_on_track, off_track, left)


def test_is_reversed_is_the_configured_direction_and_left_is_the_drivers() -> None:
    driven_back = params_of_one_step(-1.0, 0.2, math.pi, OVAL.reverse())
    assert driven_back["is_reversed"]
    assert not driven_back["is_left_of_center"]
    assert driven_back["projection_distance"] == pytest.approx(1.14)
    assert not params_of_one_step(1.0, 0.2, math.pi)["is_reversed"]


def test_speed_and_steering_are_those_of_the_table_even_beyond_what_the_car_does() -> None:
    params = params_of_one_step(1.0, 0.0, 0.0, metadata=metadata_of((45.0, 6.0), (0.0, 1.0)))
    assert (params["steering_angle"], params["speed"]) == (45.0, 6.0)


def test_parameters_belong_to_the_pose_before_the_action_and_to_the_new_action() -> None:
    reward, calls = watched_reward("params['x']")
    task = small_task("oval", 1, reward=reward)
    task.begin(np.array([0]), at(0.0))
    task.advance([0])
    for step, x in enumerate((-1.0, 0.5, 1.5)):
        task.simulator.place(np.array([0]), x, 0.0, 0.0)
        rewards, _, _ = task.advance([2 * step])
        assert rewards.tolist() == [calls[-1]["x"]] == [x + 0.14]
        assert calls[-1]["steering_angle"] == [-30.0, -15.0, 0.0][step]
        assert calls[-1]["sim_time"] == pytest.approx((step + 1) / 15)
        assert task.simulator.cars["front_x"][0] > x + 0.14


def test_the_first_call_sees_step_2_and_a_finished_episode_had_one_call_less_than_steps() -> None:
    reward, calls = watched_reward()
    task = small_task("oval", 1, reward=reward)
    task.begin(np.array([0]), at(0.3, 0.2))
    steps = drive_on(task, [[STRAIGHT_ON]] * 150)
    lengths = [int(rows["steps"][0]) for _, over, _, rows, _ in steps if over[0]]
    assert len(lengths) >= 3
    expected = [float(step) for length in lengths for step in range(2, length + 1)]
    assert [params["steps"] for params in calls][: len(expected)] == expected


def test_the_last_step_of_an_episode_is_paid_too() -> None:
    reward, calls = watched_reward("-7 if params['is_offtrack'] else 1")
    task = small_task("oval", 1, reward=reward)
    task.begin(np.array([0]), at(0.0))
    task.advance([STRAIGHT_ON])
    task.simulator.place(np.array([0]), 0.0, 1.3, 0.0)
    rewards, terminated, _ = task.advance([STRAIGHT_ON])
    assert (rewards[0], bool(terminated[0])) == (-7, True)
    assert not calls[-1]["all_wheels_on_track"]
