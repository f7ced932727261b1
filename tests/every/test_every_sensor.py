"""Whatever is listed as a sensor: its space, its seed, each car of many as alone, and Gymnasium's own checks."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from made_tasks import crowded, random_actions, small_task
from numpy.typing import NDArray

import lateapex.env.sensors
from lateapex.env.racing import RacingEnv, RacingTask, RacingVectorEnv
from lateapex.env.sensors import SENSORS, SensorSettings
from lateapex.env.starts import RandomStarts, StartPoses
from lateapex.formats.model_metadata import ModelMetadata, default_metadata, read_metadata
from lateapex.sim.lidar import Lidar

# Shape and type of what each gives to a network, from the original.
GIVEN: dict[str, tuple[tuple[int, ...], type]] = {
    "observation": ((120, 160, 1), np.uint8),
    "FRONT_FACING_CAMERA": ((120, 160, 1), np.uint8),
    "LEFT_CAMERA": ((120, 160, 1), np.uint8),
    "STEREO_CAMERAS": ((120, 160, 2), np.uint8),
    "LIDAR": ((64,), np.float32),
    "SECTOR_LIDAR": ((8,), np.float32),
    "DISCRETIZED_SECTOR_LIDAR": ((64,), np.float32),
}
CAMERAS = [name for name, (shape, _) in GIVEN.items() if len(shape) == 3]
LIDARS = [name for name, (shape, _) in GIVEN.items() if len(shape) == 1]
SETS = [*([camera] for camera in CAMERAS), *(["LEFT_CAMERA", lidar] for lidar in LIDARS), ["STEREO_CAMERAS", "LIDAR"]]
CARS, STEPS = 4, 30

each_sensor = pytest.mark.parametrize("name", SENSORS.names())
each_set = pytest.mark.parametrize("sensors", SETS, ids="+".join)


def sensing(*sensors: str) -> ModelMetadata:
    content = {**json.loads(default_metadata().text), "sensor": list(sensors)}
    if "observation" in sensors:
        content["version"] = "1"
    return read_metadata(json.dumps(content), "made.json")


def task_with(name: str, cars: int = CARS, track: Any = ("oval", "kidney"), **settings: Any) -> RacingTask:
    """A task in which cars sense by this sensor, with a camera beside a lidar, and where there is something near."""
    metadata = sensing(name) if name in CAMERAS else sensing("FRONT_FACING_CAMERA", name)
    return crowded(small_task(list(track), cars, **{"metadata": metadata, "starts": RandomStarts(), **settings}))


def driven(task: RacingTask, name: str, poses: StartPoses | None = None) -> NDArray[Any]:
    """What cars sense while they drive at random, `[STEPS + 1, N, ...]`."""
    count = task.simulator.count
    task.begin(np.arange(count), poses)
    seen = [task.observations[name].copy()]
    for row in random_actions(3, STEPS, CARS)[:, :count]:
        task.advance(row)
        seen.append(task.observations[name].copy())
    return np.stack(seen)


def test_the_table_lists_the_sensors_of_the_original_and_no_others() -> None:
    assert SENSORS.names() == list(GIVEN)


@each_sensor
def test_a_sensor_gives_what_the_originals_network_gets(name: str) -> None:
    space = SENSORS.get(name)(SensorSettings()).space
    assert (space.shape, space.dtype) == GIVEN[name]


@each_sensor
def test_what_is_sensed_stays_inside_the_space_and_changes(name: str) -> None:
    task = task_with(name)
    seen = driven(task, name)
    space = task.spaces[name]
    assert seen.dtype == space.dtype
    assert all(space.contains(one) for step in seen for one in step)
    assert (seen != seen[0]).any()


@each_sensor
def test_the_same_seed_senses_the_same_and_another_seed_something_else(name: str) -> None:
    runs = [driven(task_with(name, seed=seed), name).tobytes() for seed in (7, 7, 8)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@each_sensor
def test_each_car_of_many_senses_what_it_does_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Noise belongs to a car by its number, which is 0 for one that is alone.
    monkeypatch.setattr(lateapex.env.sensors, "Lidar", partial(Lidar, noise=0.0))
    poses = StartPoses(np.linspace(0.0, 0.8, CARS), np.linspace(-0.3, 0.3, CARS), np.linspace(0.2, -0.2, CARS))
    together = driven(task_with(name), name, poses)
    actions = random_actions(3, STEPS, CARS)
    for car in range(CARS):
        single = task_with(name, 1, [("oval", "kidney")[car % 2]])
        single.begin(np.array([0]), StartPoses(*(values[car : car + 1] for values in poses)))
        for step, row in enumerate(actions, 1):
            single.advance(row[car : car + 1])
            np.testing.assert_array_equal(single.observations[name][0], together[step, car])


@each_set
def test_gymnasium_finds_nothing_wrong_with_an_environment_of_these_sensors(sensors: list[str]) -> None:
    settings = {"track": "oval", "metadata": sensing(*sensors), "height": 16, "width": 24}
    check_env(gym.make(EnvSpec("lateapex/Racing-v0", entry_point=RacingEnv, kwargs=settings)).unwrapped)


@each_set
def test_many_cars_observe_within_their_space_and_at_an_episodes_end_too(sensors: list[str]) -> None:
    env = RacingVectorEnv("oval", 3, metadata=sensing(*sensors), height=16, width=24, threads=1, max_steps=4)
    seen, _ = env.reset(seed=1)
    assert set(seen) == set(sensors)
    for _ in range(4):
        assert env.observation_space.contains(seen)
        seen, _, _, truncated, info = env.step(np.zeros(3, np.int64))
    assert truncated.all()
    for last in info["final_obs"]:
        assert env.single_observation_space.contains(last)
    assert any((last[name] != seen[name][0]).any() for last in info["final_obs"] for name in sensors)
