"""What the shipped rewards pay, worked by hand: borders, zigzag, obstacles and bots that the tracks do not have yet."""

from __future__ import annotations

from typing import Any

import pytest

from lateapex.env.reward import load_reward

PARAMS: dict[str, Any] = {
    "all_wheels_on_track": True,
    "is_crashed": False,
    "is_left_of_center": True,
    "x": 1.0,
    "y": 2.0,
    "distance_from_center": 0.0,
    "track_width": 1.0,
    "track_length": 20.0,
    "projection_distance": 19.5,
    "speed": 2.0,
    "steering_angle": 0.0,
    "closest_objects": [0, 0],
    "objects_location": [],
    "objects_left_of_center": [],
    "objects_distance": [],
    "objects_speed": [],
}


def pay(name: str, **changes: Any) -> float:
    scope: dict[str, Any] = {}
    exec(load_reward(name).text, scope)
    return float(scope["reward_function"]({**PARAMS, **changes}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1.0),
        ({"distance_from_center": 0.44}, 1.0),
        ({"distance_from_center": 0.46}, 1e-3),
        ({"all_wheels_on_track": False}, 1e-3),
    ],
)
def test_two_borders_pays_for_five_centimetres_of_room(changes: dict[str, Any], expected: float) -> None:
    assert pay("two_borders", **changes) == expected


@pytest.mark.parametrize(
    ("aside", "angle", "expected"),
    [(0.0, 0, 1.0), (0.1, 15, 1.0), (0.1, -15.1, 0.8), (0.2, 30, 0.4), (0.4, 0, 0.1), (0.6, 20, 8e-4)],
)
def test_no_zigzag_takes_a_fifth_beyond_15_degrees(aside: float, angle: float, expected: float) -> None:
    assert pay("no_zigzag", distance_from_center=aside, steering_angle=angle) == pytest.approx(expected)


def obstacle(distance: float, *, left: bool = True) -> dict[str, Any]:
    """Two objects; the one ahead is the second."""
    return {
        "closest_objects": [0, 1],
        "objects_location": [[9.0, 9.0], [1.0, 2.0 + distance]],
        "objects_left_of_center": [True, left],
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 5.0),
        (obstacle(0.9), 5.0),
        (obstacle(0.7), 3.0),
        (obstacle(0.4), 1.8),
        (obstacle(0.2), 1.004),
        (obstacle(0.2, left=False), 5.0),
        ({**obstacle(0.9), "all_wheels_on_track": False}, 4.001),
    ],
)
def test_avoid_obstacles_pays_less_the_nearer_one_stands_in_the_own_lane(
    changes: dict[str, Any], expected: float
) -> None:
    assert pay("avoid_obstacles", **changes) == pytest.approx(expected)


def bot(gap: float, speed: float, *, left: bool = True) -> dict[str, Any]:
    return {
        "closest_objects": [0, 0],
        "objects_location": [[0.0, 0.0]],
        "objects_left_of_center": [left],
        "objects_distance": [(19.5 + gap) % 20.0],  # beyond the line where the lap begins
        "objects_speed": [speed],
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 2.0),
        (bot(1.9, 1.0), 2.0),  # 1.5 m of free way at 1 m/s: 1.5 s
        (bot(1.15, 1.0), 1.0),  # 0.75 s
        (bot(0.3, 1.0), 1e-3),
        (bot(0.3, 2.0), 2.0),  # never reached
        (bot(0.3, 1.0, left=False), 2.0),
        ({"distance_from_center": 0.25}, 1.5),
        ({"is_crashed": True}, 1e-3),
    ],
)
def test_head_to_bot_pays_in_proportion_to_the_time_until_the_bot_is_reached(
    changes: dict[str, Any], expected: float
) -> None:
    assert pay("head_to_bot", **changes) == pytest.approx(expected)
