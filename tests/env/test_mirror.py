"""The mirrored world: a car in it is the image of a car on the mirrored road, to the last bit of what it sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_tasks import at, metadata_of, small_task, watched_reward
from numpy.typing import NDArray

from lateapex.env.actions import action_table
from lateapex.env.privileged import FIELDS, STATE_SENSOR, PrivilegedState
from lateapex.env.racing import RacingTask
from lateapex.env.sensors import SENSORS, SensorSettings
from lateapex.formats.model_metadata import default_metadata
from lateapex.world.track import load_track

OPPOSITE = [8, 9, 6, 7, 4, 5, 2, 3, 0, 1]
"""Place of the action with the other sign of the angle, in the default list."""


def pair(track: Any = "kidney", **more: Any) -> RacingTask:
    task = small_task(track, 2, mirror=True, state=True, **more)
    task.begin(np.arange(2), at([0.1, 0.1], [0.2, 0.2], [0.1, 0.1]))
    return task


def test_every_other_car_of_each_track_is_mirrored() -> None:
    assert small_task("oval", 5, mirror=True).mirrored.tolist() == [False, True, False, True, False]
    assert small_task(["oval", "kidney"], 5, mirror=True).mirrored.tolist() == [False, False, True, True, False]
    assert small_task("oval", 5).mirrored is None


def test_of_two_cars_at_one_place_one_sees_the_mirror_image_of_what_the_other_sees() -> None:
    task = pair()
    random = np.random.default_rng(0)
    for action in random.integers(0, 10, 20):
        task.advance([action, OPPOSITE[action]])
        plain, mirrored = task.simulator.cars
        assert plain["x"] == mirrored["x"]
        assert plain["steering_command"] == mirrored["steering_command"]
        seen = task.pictures
        np.testing.assert_array_equal(seen[1], seen[0][:, ::-1])
    assert not np.array_equal(seen[1], seen[0])


def test_a_mirrored_car_steers_to_the_other_side_and_rewards_and_records_tell_what_it_did() -> None:
    reward, calls = watched_reward()
    task = pair(reward=reward)
    task.advance([5, 5])
    task.advance([8, 8])  # 30 degrees to the left, at 0.5 m/s
    assert task.rows["steering_angle"].tolist() == [30.0, -30.0]
    assert task.rows["action"].tolist() == [8, 0]
    assert [call["steering_angle"] for call in calls[-2:]] == [30.0, -30.0]
    plain, mirrored = task.simulator.cars
    assert plain["r"] > 0.0 > mirrored["r"]


def test_the_record_of_a_list_without_the_opposite_action_keeps_the_place_that_was_chosen() -> None:
    table = action_table(metadata_of((-10.0, 1.0), (0.0, 1.0), (20.0, 1.0)))
    told = table.mirrored(table.commands([0, 1, 2], 3), np.array([True, True, False]))
    assert told.place.tolist() == [0, 1, 2]
    assert told.steering_angle.tolist() == [10.0, 0.0, 20.0]
    assert not np.signbit(told.steering_angle[1])


def test_the_state_in_the_mirror_is_that_of_a_car_on_the_mirrored_road() -> None:
    track = load_track("kidney")
    flipped = replace(track, **{name: getattr(track, name) * [1.0, -1.0] for name in ("center", "inner", "outer")})
    task, other = pair(pictures=False), small_task(flipped, 1, pictures=False, state=True)
    other.begin(np.arange(1), at(0.1, -0.2, -0.1))
    random = np.random.default_rng(1)
    for action in random.integers(0, 10, 20):
        np.testing.assert_allclose(task.observations[STATE_SENSOR][1], other.observations[STATE_SENSOR][0], atol=1e-4)
        task.advance([OPPOSITE[action], action])
        other.advance([action])
    assert np.abs(task.observations[STATE_SENSOR][0, FIELDS.index("offset")]) > 0.05


def test_a_lidar_that_repeats_a_scan_is_not_turned_back() -> None:
    metadata = replace(default_metadata(), sensors=("FRONT_FACING_CAMERA", "LIDAR"))
    task = small_task("kidney", 2, mirror=True, metadata=metadata)
    task.begin(np.arange(2), at([0.1, 0.1]))
    task.simulator.cars["x"] += [0.0, 0.0]
    for _ in range(7):
        task.advance([5, 5])
        plain, mirrored = task.observations["LIDAR"]
        # Noise is each car's own.
        np.testing.assert_allclose(mirrored, plain[::-1], atol=0.08)


@pytest.mark.parametrize("name", [*SENSORS.names(), STATE_SENSOR])
@given(st.integers(0, 2**32 - 1))
def test_the_mirror_image_of_a_mirror_image_is_the_thing_itself(name: str, seed: int) -> None:
    sensor = PrivilegedState(SensorSettings()) if name == STATE_SENSOR else SENSORS.get(name)(SensorSettings(8, 12))
    random = np.random.default_rng(seed)
    values: NDArray[Any] = random.integers(0, 255, (2, *sensor.space.shape)).astype(sensor.space.dtype)
    once = sensor.mirrored(values)
    assert not np.array_equal(once, values)
    np.testing.assert_array_equal(sensor.mirrored(once), values)


def test_a_snapshot_of_a_mirrored_task_has_the_same_future() -> None:
    task, other = pair(), pair()
    task.advance([5, 5])
    other.restore(task.snapshot())
    for each in (task, other):
        each.advance([2, 7])
    for name, values in task.observations.items():
        np.testing.assert_array_equal(values, other.observations[name])
