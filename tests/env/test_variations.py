"""What varies in a task: each quantity changes what it should and nothing else, and belongs to its car and episode."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from made_tasks import STRAIGHT_ON, at, crowded, drive_on, random_actions, small_task
from numpy.typing import NDArray

from lateapex.env.race_config import RaceConfig
from lateapex.env.racing import RacingTask
from lateapex.env.recorder import EpisodeRecorder
from lateapex.env.scenes import DrawnScenes
from lateapex.env.starts import RandomStarts
from lateapex.formats.model_metadata import read_metadata
from lateapex.world.scene_files import SceneRanges, load_scene, parse_scene
from lateapex.world.variation import CHANNELS, PLACES, QUANTITIES, SURFACES

STEPS = 12
LEFT_BEND = 8
"""Place of 30 degrees and 0.5 m/s in the default action list."""

STRONG = {
    "car.grip": 0.2,
    "car.slip": 3.0,
    "car.yaw_inertia": 3.0,
    "car.steering_lag": 0.3,
    "car.steering_scale": 0.5,
    "car.steering_bias_deg": 5.0,
    "car.speed_scale": 0.5,
    "car.speed_lag": 0.3,
    "car.jolt": 0.2,
    "car.jolt_turn_deg": 40.0,
    "action.latency": 2.0,
    "action.steering_noise_deg": 5.0,
    "action.speed_noise": 0.3,
    "sensor.latency": 2.0,
    "start.offset": 0.3,
    "start.heading_deg": 30.0,
}
MOTION, START, SEEN = "motion", "start", "seen later"
EFFECT = {name: MOTION if name.startswith(("car.", "action.")) else START for name in STRONG} | {"sensor.latency": SEEN}
"""What a quantity changes; of a start and a motion the pictures follow."""

PICTURES = {
    "camera.forward": 0.1,
    "camera.left": 0.1,
    "camera.height": 0.1,
    "camera.pitch_deg": 5.0,
    "camera.yaw_deg": 5.0,
    "camera.roll_deg": 5.0,
    "camera.field_of_view_deg": 10.0,
    **{f"colour.{surface}": 0.7 for surface in SURFACES},
    **{f"colour.{surface}_{channel}": 60.0 for surface in SURFACES for channel in CHANNELS},
    "light.red": 0.5,
    "light.green": 0.5,
    "light.blue": 0.5,
    "picture.grain": 3.0,
    "picture.exposure": 0.5,
    "picture.gamma": 1.5,
    "picture.contrast": 1.5,
    "picture.brightness": 20.0,
    "picture.blur": 1.0,
    "picture.vignette": 0.5,
    "picture.noise": 5.0,
}
OBJECTS = {"object.light": 0.5, "object.tint": 0.5, "object.red": 250.0, "object.green": 250.0, "object.blue": 250.0}
INERT = {"object.red": 1.0}
"""Without objects this changes nothing, but has the pictures drawn as those of cars that see something otherwise."""


def scene(**ranges: Any) -> SceneRanges:
    """A scene of ranges by their names, with `__` for the dot."""
    tables: dict[str, dict[str, Any]] = {}
    for name, value in ranges.items():
        table, _, key = name.replace("__", ".").partition(".")
        tables.setdefault(table, {})[key] = value
    return parse_scene({"name": "made", **tables}, "made")


def driven(of: SceneRanges | DrawnScenes | None, **settings: Any) -> dict[str, NDArray[Any]]:
    """What two cars live through who bend to the left, from the same starts."""
    task = small_task("oval", 2, scene=of, **settings)
    task.begin(np.arange(2))
    found: dict[str, list[NDArray[Any]]] = {"cars": [], "pictures": [], "told": []}
    for step in range(STEPS):
        found["cars"].append(task.simulator.cars.copy())
        found["pictures"].append(task.pictures.copy())
        task.advance([LEFT_BEND if step > 3 else STRAIGHT_ON] * 2)
        found["told"].append(np.stack([task.rows["steering_angle"], task.rows["speed"], task.rows["action"]]))
    return {name: np.stack(each) for name, each in found.items()}


@cache
def usual() -> dict[str, NDArray[Any]]:
    """What they live through where nothing varies; to be read only."""
    return driven(None)


@cache
def inert() -> dict[str, NDArray[Any]]:
    """The same with pictures drawn as those of cars that see something otherwise."""
    return driven(scene(**INERT))


def test_every_quantity_is_tried_here() -> None:
    every = STRONG | PICTURES | OBJECTS
    assert every.keys() == PLACES.keys()
    for item in QUANTITIES:
        assert every[item.name] != item.neutral


@pytest.mark.parametrize("name", STRONG)
def test_a_quantity_changes_what_it_should_and_nothing_else(name: str) -> None:
    plain, other = usual(), driven(scene(**{name: STRONG[name]}))
    np.testing.assert_array_equal(other["told"], plain["told"])
    start, moved = (not np.array_equal(other["cars"][n], plain["cars"][n]) for n in (0, -1))
    assert (start, moved) == {START: (True, True), MOTION: (False, True), SEEN: (False, False)}[EFFECT[name]]
    np.testing.assert_array_equal(other["pictures"][0], plain["pictures"][0]) if not start else None
    assert not np.array_equal(other["pictures"][-1], plain["pictures"][-1])


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_quantity_changes_every_picture_that_shows_it_and_nothing_else(name: str) -> None:
    plain, other = inert(), driven(scene(**INERT, **{name: PICTURES[name]}))
    for part in ("told", "cars"):
        np.testing.assert_array_equal(other[part], plain[part])
    for one, two in zip(other["pictures"], plain["pictures"], strict=True):
        # There the walls hide the sky.
        assert np.array_equal(one, two) == name.startswith("colour.sky")


@pytest.mark.parametrize("name", OBJECTS)
def test_a_quantity_of_objects_changes_what_is_seen_of_them_alone(name: str) -> None:
    seen, boxes = [], RaceConfig(race_type="OBJECT_AVOIDANCE", number_of_obstacles=6)
    tint = {"object.tint": 1.0, "object.green": 3.0} if name in ("object.red", "object.green", "object.blue") else {}
    for of in ({"object.red": 1.0}, {"object.red": 1.0, **tint}, {"object.red": 1.0, **tint, name: OBJECTS[name]}):
        task = small_task("oval", 4, scene=scene(**of), colour=True, race=boxes)
        task.begin(np.arange(4), at([0.05, 0.3, 0.55, 0.8]))
        empty = small_task("oval", 4, scene=scene(**of), colour=True)
        empty.begin(np.arange(4), at([0.05, 0.3, 0.55, 0.8]))
        seen.append((task.pictures.copy(), (task.pictures != empty.pictures).any(axis=-1)))
    (_, _), (plain, behind), (other, here) = seen
    changed = (plain != other).any(axis=-1)
    assert changed.sum() > 20
    assert not (changed & ~(behind | here)).any()


def test_noise_is_new_each_step_and_belongs_to_the_episode_alone() -> None:
    noisy = scene(picture__noise=8.0)
    whole, part = (
        small_task("oval", count, scene=noisy, starts=RandomStarts(), first_car=first, threads=threads)
        for count, first, threads in ((12, 0, 2), (3, 7, 1))
    )
    for task in (whole, part):
        task.begin(np.arange(task.simulator.count))
    plain = small_task("oval", 12, starts=RandomStarts())
    plain.begin(np.arange(12))
    np.testing.assert_array_equal(whole.pictures[7:10], part.pictures)
    first = part.pictures.astype(int)
    for task in (whole, part, plain):
        task.advance([STRAIGHT_ON] * task.simulator.count)
    np.testing.assert_array_equal(whole.pictures[7:10], part.pictures)
    # The first action is swallowed: the cars stand, and of what they see the noise alone is new.
    np.testing.assert_array_equal(whole.simulator.cars["x"], plain.simulator.cars["x"])
    fresh = part.pictures.astype(int) - first
    assert fresh[first > 40].std() == pytest.approx(8.0 * 2.0**0.5, rel=0.1)


def test_a_scene_of_neutral_values_changes_no_bit() -> None:
    plain, other = usual(), driven(DrawnScenes(SceneRanges()))
    for name, values in plain.items():
        np.testing.assert_array_equal(other[name], values)
    assert small_task("oval", 1, scene="none").varied is None


def test_what_is_seen_late_is_what_was_there_before() -> None:
    plain, late = usual()["pictures"], driven(scene(sensor__latency=2))["pictures"]
    for step in range(STEPS):
        np.testing.assert_array_equal(late[step], plain[max(step - 2, 0)])


LIDAR = read_metadata(
    '{"action_space": [{"steering_angle": 0, "speed": 1.0}], "sensor": ["STEREO_CAMERAS", "LIDAR"], "version": "5"}',
    "lidar.json",
)


def test_both_eyes_and_the_lidar_are_late_and_the_state_is_not() -> None:
    tasks = [
        crowded(small_task("oval", 5, metadata=LIDAR, state=True, scene=of))
        for of in (None, scene(sensor__latency={"choice": [0, 2]}))
    ]
    seen: list[list[dict[str, NDArray[Any]]]] = [[], []]
    for task, each in zip(tasks, seen, strict=True):
        task.begin(np.arange(5), at([0.2] * 5))
        for _ in range(STEPS):
            each.append({name: value.copy() for name, value in task.observations.items()})
            task.advance([0] * 5)
    assert tasks[1].varied is not None
    latency = tasks[1].varied.values["sensor.latency"].astype(int).tolist()
    for step, found in enumerate(seen[1]):
        for name, value in found.items():
            for car in range(5):
                then = step if name == "STATE" else max(step - latency[car], 0)
                np.testing.assert_array_equal(value[car], seen[0][then][name][car], err_msg=name)
    assert not np.array_equal(seen[0][-1]["LIDAR"], seen[0][-3]["LIDAR"])
    assert set(latency) == {0, 2}


def test_values_belong_to_seed_car_and_episode_alone() -> None:
    scenes = DrawnScenes(load_scene("sim2real"))
    cars, episodes = np.array([3, 0, 7]), np.array([0, 5, 2])
    whole = scenes.draw(9, cars, episodes)
    for n in range(3):
        assert scenes.draw(9, cars[[n]], episodes[[n]]).tobytes() == whole[[n]].tobytes()
    others = [scenes.draw(8, cars, episodes), scenes.draw(9, cars + 1, episodes), scenes.draw(9, cars, episodes + 1)]
    for other in others:
        assert not np.isin(other["car.grip"], whole["car.grip"]).any()


def test_an_episode_keeps_its_values_and_its_record_tells_them() -> None:
    task = small_task("oval", 3, scene="sim2real", starts=RandomStarts(), seed=4, max_steps=5, first_car=2)
    recorder = EpisodeRecorder(task, "training")
    task.begin(np.arange(3))
    records = []
    for row in random_actions(1, 20, 3):
        task.advance(row)
        records += recorder.take()
        task.begin(np.array([record.car - 2 for record in records[-3:] if task.rows["done"][record.car - 2]], int))
    assert len(records) >= 9
    scenes = DrawnScenes(load_scene("sim2real"))
    for record in records:
        assert record.car_episode is not None
        drawn = scenes.draw(4, np.array([record.car]), np.array([record.car_episode]))[0]
        expected = {item.name: drawn[item.name] for item in QUANTITIES if drawn[item.name] != item.neutral}
        assert record.scene == expected
    assert len({record.scene["car.grip"] for record in records if record.scene}) == len(records)


def test_starts_are_moved_from_where_they_were_drawn_and_given_ones_are_not() -> None:
    ranges = scene(start__offset=0.1, start__heading_deg=10.0)
    for poses in (None, at([0.3, 0.3])):
        plain, moved = (small_task("oval", 2, scene=of, pictures=False) for of in (None, ranges))
        plain.begin(np.arange(2), poses)
        moved.begin(np.arange(2), poses)
        turned = np.degrees(moved.simulator.cars["yaw"] - plain.simulator.cars["yaw"])
        assert turned == pytest.approx([10.0, 10.0] if poses is None else [0.0, 0.0])


@pytest.mark.parametrize("race", [{}, {"metadata": LIDAR}])
def test_a_snapshot_holds_all_that_varies(race: dict[str, Any]) -> None:
    def made() -> RacingTask:
        return small_task("oval", 4, scene="sim2real", starts=RandomStarts(), max_steps=7, **race)

    task, other = made(), made()
    actions = random_actions(3, 24, 4) * (0 if race else 1)
    task.begin(np.arange(4))
    drive_on(task, actions[:12])
    snapshot = task.snapshot()
    other.begin(np.arange(4))
    other.restore(snapshot)
    for one, two in zip(drive_on(task, actions[12:]), drive_on(other, actions[12:]), strict=True):
        for part, same in zip(one[:3], two[:3], strict=True):
            np.testing.assert_array_equal(part, same)
        np.testing.assert_array_equal(one[4], two[4])
    np.testing.assert_array_equal(task.simulator.cars, other.simulator.cars)
