"""Action spaces: what rewards see, what the car gets, and which actions are refused."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_tasks import continuous_metadata, metadata_of

from lateapex.env.actions import ActionRanges, action_table, actions_of
from lateapex.errors import ConfigError
from lateapex.formats.model_metadata import default_metadata

LISTED = actions_of(metadata_of((-45.0, 0.05), (0.0, 1.0), (15.0, 4.0), (30.5, 6.0)))
RANGES = actions_of(continuous_metadata((-40.0, 20.0), (0.5, 4.5)))


# ------------------------------------------------------------------------------------------------------- a list


def test_rewards_see_what_was_written() -> None:
    commands = LISTED.commands([3, 2, 1, 0], 4)
    assert commands.place.tolist() == [3, 2, 1, 0]
    assert commands.steering_angle.tolist() == [30.5, 15.0, 0.0, -45.0]
    assert commands.speed.tolist() == [6.0, 4.0, 1.0, 0.05]


def test_the_car_gets_at_most_30_degrees_and_0_1_to_4_metres_a_second() -> None:
    commands = LISTED.commands([0, 1, 2, 3], 4)
    assert commands.steering == pytest.approx([-math.pi / 6, 0.0, math.pi / 12, math.pi / 6])
    assert commands.throttle.tolist() == [0.1, 1.0, 4.0, 4.0]


def test_the_default_list_has_five_angles_at_two_speeds() -> None:
    default = actions_of(default_metadata())
    commands = default.commands(range(10), 10)
    assert default.space == gym.spaces.Discrete(10)
    assert sorted(set(zip(commands.steering_angle, commands.speed, strict=True))) == [
        (angle, speed) for angle in (-30, -15, 0, 15, 30) for speed in (0.5, 1.0)
    ]


@pytest.mark.parametrize("actions", [[0, 3], (1, 2), np.array([3, 0], np.uint8), np.array([1, 1], np.int32)])
def test_whole_numbers_of_any_kind_are_taken(actions: Any) -> None:
    commands = LISTED.commands(actions, 2)
    assert commands.place.dtype == np.int64
    assert commands.place.tolist() == list(actions)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0], r"shape \(1,\) .* 2 whole numbers are needed"),
        ([[0, 1]], r"shape \(1, 2\)"),
        (3, r"shape \(\)"),
        ([0.0, 1.0], "type float64"),
        ([True, False], "type bool"),
        (["left", "right"], "type <U5"),
        ([0, 4], "from 0 to 4; 0 to 3 are known"),
        ([-1, 2], "from -1 to 2; 0 to 3 are known"),
    ],
)
def test_what_is_no_place_in_the_list_is_refused(actions: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LISTED.commands(actions, 2)


# ------------------------------------------------------------------------------------------------------- two ranges


def test_minus_1_to_1_stand_for_the_ends_of_the_ranges() -> None:
    # half way between -40 and 20 lies -10, between 0.5 and 4.5 lies 2.5
    commands = RANGES.commands([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [0.5, -0.5]], 4)
    assert commands.steering_angle == pytest.approx([-40, -10, 20, 5])
    assert commands.speed == pytest.approx([0.5, 2.5, 4.5, 1.5])
    assert commands.steering == pytest.approx(np.radians([-30, -10, 20, 5]))
    assert commands.throttle == pytest.approx([0.5, 2.5, 4.0, 1.5])
    assert commands.place.tolist() == [-1] * 4


@given(steering=st.floats(-1e6, 1e6), speed=st.floats(-1e6, 1e6))
def test_what_lies_beyond_counts_as_the_end(steering: float, speed: float) -> None:
    inside = [[min(max(steering, -1.0), 1.0), min(max(speed, -1.0), 1.0)]]
    for one, other in zip(RANGES.commands([[steering, speed]], 1), RANGES.commands(inside, 1), strict=True):
        assert one.tolist() == other.tolist()


def test_the_space_of_two_ranges_is_a_square() -> None:
    assert isinstance(RANGES, ActionRanges)
    assert RANGES.space == gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    assert len(RANGES) == 2
    RANGES.commands(RANGES.space.sample()[None], 1)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([1, 2], r"shape \(2,\); 2 pairs of finite numbers are needed"),
        ([[0.0, 0.0]], r"shape \(1, 2\); 2 pairs"),
        ([[0.0] * 3] * 2, r"shape \(2, 3\); 2 pairs"),
        ([[0.0, math.nan]] * 2, r"shape \(2, 2\); 2 pairs of finite numbers"),
        ([[0.0, math.inf]] * 2, r"shape \(2, 2\); 2 pairs of finite numbers"),
    ],
)
def test_what_are_no_two_numbers_is_refused(actions: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RANGES.commands(actions, 2)


# --------------------------------------------------------------------------------------------------- the nearest


def of(*degrees_and_speeds: tuple[float, float]) -> tuple[Any, Any]:
    degrees, speeds = zip(*degrees_and_speeds, strict=True)
    return np.radians(degrees), np.array(speeds)


def test_the_nearest_of_the_usual_ten_actions_has_the_nearest_angle_and_the_nearest_speed() -> None:
    # angle by angle, 0.5 m/s before 1.0; what is beyond the list counts as its end
    wishes = of((0.0, 1.0), (8.0, 1.0), (7.0, 0.6), (-22.0, 0.9), (-23.0, 0.7), (50.0, 4.0), (-50.0, 0.1))
    assert action_table(default_metadata()).nearest(*wishes).tolist() == [5, 7, 4, 3, 0, 9, 0]


def test_where_no_action_has_both_steering_outweighs_speed() -> None:
    # The fast one is straight: a car that is to turn by 20 degrees at full speed turns.
    table = action_table(metadata_of((0.0, 2.0), (30.0, 1.0), (-30.0, 1.0)))
    assert table.nearest(*of((20.0, 2.0), (5.0, 1.6), (-29.0, 3.0))).tolist() == [1, 0, 2]


def test_a_list_of_one_speed_or_one_angle_is_no_division_by_zero() -> None:
    assert action_table(metadata_of((-10.0, 1.0), (10.0, 1.0))).nearest(*of((9.0, 3.0))).tolist() == [1]
    assert action_table(metadata_of((0.0, 1.0), (0.0, 2.0))).nearest(*of((9.0, 1.9))).tolist() == [1]


@given(st.floats(-30.0, 30.0), st.floats(0.5, 3.0))
def test_the_nearest_of_ranges_commands_what_was_wished(degrees: float, speed: float) -> None:
    ranges = actions_of(continuous_metadata((-30.0, 30.0), (0.5, 3.0)))
    told = ranges.commands(ranges.nearest(*of((degrees, speed))), 1)
    assert told.steering[0] == pytest.approx(np.radians(degrees), abs=1e-6)
    assert told.throttle[0] == pytest.approx(speed, abs=1e-6)


def test_a_wish_beyond_the_ranges_counts_as_their_end() -> None:
    ranges = actions_of(continuous_metadata((-20.0, 10.0), (0.5, 3.0)))
    found = ranges.nearest(*of((30.0, 4.0), (-30.0, 0.1)))
    assert found.tolist() == [[1.0, 1.0], [-1.0, -1.0]]
