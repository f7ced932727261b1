"""Episodes driven again: the same bytes from seed and actions alone, from any step, and other ones after a change."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tasks import at, continuous_metadata, random_actions, small_task
from numpy.typing import NDArray

from lateapex.env.race_config import RaceConfig
from lateapex.env.racing import RacingTask
from lateapex.env.recorder import EpisodeRecorder
from lateapex.env.replay import Replay
from lateapex.env.reward_base import Unpaid
from lateapex.env.starts import RandomStarts
from lateapex.errors import ConfigError
from lateapex.formats.model_metadata import read_metadata
from lateapex.records import EpisodeRecord
from lateapex.sim.state import MOTION, STATE_DTYPE, motion

RACES = {
    "time trial": RaceConfig(),
    "resets": RaceConfig(number_of_resets=2, off_track_penalty=0.2),
    "laps on the fly": RaceConfig(is_continuous=True, number_of_resets=2, off_track_penalty=0.0),
    "boxes": RaceConfig(race_type="OBJECT_AVOIDANCE", randomize_obstacle_locations=True),
    "bots": RaceConfig(
        race_type="HEAD_TO_BOT",
        is_lane_change=True,
        lower_lane_change_time=0.5,
        upper_lane_change_time=1.0,
        number_of_resets=1,
        collision_penalty=0.3,
    ),
    "models": RaceConfig(race_type="HEAD_TO_MODEL", cars_per_world=3, number_of_resets=2, off_track_penalty=0.5),
}
SENSORS = json.dumps(
    {
        "action_space": [
            {"steering_angle": angle, "speed": speed} for angle in (-30, -15, 0, 15, 30) for speed in (0.5, 1.0)
        ],
        "sensor": ["STEREO_CAMERAS", "LIDAR"],
        "version": "5",
    }
)
CARS = 6


def made(race: RaceConfig, cars: int = CARS, first_car: int = 0, **changes: Any) -> RacingTask:
    tracks = "kidney" if race.cars > 1 else ["oval", "kidney"]
    chosen = {"starts": RandomStarts(), "seed": 11, "max_steps": 60, "alternate_direction": True, "mirror": True}
    metadata = read_metadata(SENSORS, "made.json")
    return small_task(tracks, cars, race=race, first_car=first_car, **{**chosen, "metadata": metadata, **changes})


def driven(task: RacingTask, steps: int = 200, actions: NDArray[Any] | None = None) -> list[EpisodeRecord]:
    """Drive at random; returns all episodes that ended."""
    chosen = random_actions(3, steps, CARS) if actions is None else actions
    recorder, found = EpisodeRecorder(task, "training"), []
    task.begin(np.arange(CARS))
    for row in chosen:
        task.advance(row)
        ended = recorder.take()
        found += ended
        task.begin(np.array([record.car for record in ended], np.int64))
    return found


def again(race: RaceConfig, records: list[EpisodeRecord], **changes: Any) -> Replay:
    task = made(race, len(records), records[0].car, **changes)
    return Replay(task, [record.recipe for record in records if record.recipe], "training")


def worlds(race: RaceConfig, records: list[EpisodeRecord]) -> list[list[EpisodeRecord]]:
    return [records[place : place + race.cars] for place in range(0, len(records), race.cars)]


def assert_same(found: list[EpisodeRecord], expected: list[EpisodeRecord]) -> None:
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        for row in (one.steps, two.steps):
            row["wall_clock"] = 0.0
        assert one.steps.tobytes() == two.steps.tobytes()
        assert one.recipe is not None
        assert two.recipe is not None
        for name, value in vars(two.recipe).items():
            assert np.array_equal(getattr(one.recipe, name), value), name
        assert dataclasses.replace(one, steps=None, recipe=None) == dataclasses.replace(two, steps=None, recipe=None)


# ------------------------------------------------------------------------------------------- the same once more


@pytest.mark.parametrize("quirks", ["original", "fixed"])
@pytest.mark.parametrize("race", RACES.values(), ids=RACES)
def test_every_episode_of_every_race_comes_out_the_same_alone_in_a_new_task(race: RaceConfig, quirks: str) -> None:
    records = driven(made(race, quirks=quirks))
    assert len(records) >= 2 * CARS
    assert {record.recipe.episode for record in records if record.recipe} >= {0, 1}
    for first in range(0, CARS // 2, race.cars):
        task = made(race, race.cars, first, quirks=quirks)
        for mates in worlds(race, records):
            if mates[0].car == first:
                replay = Replay(task, [mate.recipe for mate in mates if mate.recipe], "training")
                assert_same(replay.run(), mates)


@pytest.mark.parametrize("race", ["time trial", "models"])
def test_what_varies_from_episode_to_episode_is_the_same_again(race: str) -> None:
    chosen = RACES[race]
    records = driven(made(chosen, scene="sim2real"))
    assert len({str(record.scene) for record in records}) == len(records)
    for mates in worlds(chosen, records)[-2:]:
        assert_same(again(chosen, mates, scene="sim2real").run(), mates)
    replay = again(chosen, mates, scene="sim2real")
    states = [motion(replay.task.simulator.cars).tobytes() for _ in replay.walk()]
    assert motion(replay.at(7).simulator.cars).tobytes() == states[7]
    assert motion(replay.at(2).simulator.cars).tobytes() == states[2]


def test_numbers_of_a_continuous_action_space_are_kept_to_the_bit() -> None:
    race, metadata = RACES["time trial"], continuous_metadata((-20.0, 30.0), (0.5, 2.0))
    actions = np.random.default_rng(5).uniform(-1.2, 1.2, (80, CARS, 2))
    records = driven(made(race, metadata=metadata), 80, actions)
    assert len(records) >= 3
    for record in records[:3]:
        assert_same(again(race, [record], metadata=metadata).run(), [record])


def test_an_episode_from_a_given_place_begins_there_again() -> None:
    race = RACES["boxes"]
    task = made(race)
    task.begin(np.arange(CARS), at(np.linspace(0.0, 0.9, CARS), 0.1, 0.2))
    recorder = EpisodeRecorder(task, "evaluation")
    found: list[EpisodeRecord] = []
    while not found:
        task.advance(np.zeros(CARS, np.int64))
        found = recorder.take()
    record = found[0]
    assert record.recipe is not None
    assert record.recipe.start == (np.linspace(0.0, 0.9, CARS)[record.car], 0.1, 0.2)
    replay = Replay(made(race, 1, record.car), [record.recipe])
    assert_same(replay.run(), [record])


def test_an_episode_that_began_before_a_resume_comes_out_the_same() -> None:
    race = RACES["models"]
    actions = random_actions(3, 120, CARS)
    whole = driven(made(race), actions=actions)
    task, found = made(race), []
    recorder = EpisodeRecorder(task, "training")
    task.begin(np.arange(CARS))
    for step, row in enumerate(actions):
        if step == 37:
            kept, held = task.snapshot(), recorder.snapshot()
            task = made(race)
            recorder = EpisodeRecorder(task, "training")
            task.restore(kept)
            recorder.restore(held)
        task.advance(row)
        ended = recorder.take()
        found += ended
        task.begin(np.array([record.car for record in ended], np.int64))
    assert_same(found, whole)


def test_without_a_reward_all_but_the_rewards_is_the_same() -> None:
    race = RACES["time trial"]
    record = driven(made(race))[0]
    (found,) = again(race, [record], reward=Unpaid()).run()
    assert found.recipe is not None
    assert record.recipe is not None
    assert (found.recipe.digest, found.recipe.seen) == (record.recipe.digest, record.recipe.seen)
    assert found.recipe.paid != record.recipe.paid
    assert not found.steps["reward"].any()
    assert record.steps["reward"].any()


# ------------------------------------------------------------------------------------------- what the hash tells


@pytest.mark.parametrize("field", MOTION)
def test_the_last_digit_of_any_part_of_the_motion_is_in_the_hash(field: str) -> None:
    race = RACES["time trial"]
    record = driven(made(race))[3]
    replay = again(race, [record])
    recorder = EpisodeRecorder(replay.task, "training")
    found = []
    for now in replay.walk():
        if now:
            found += recorder.take()
        if now == 5:
            cars = replay.task.simulator.cars
            cars[field] = np.nextafter(cars[field], 9.0)
    (found,) = found or recorder.cut()
    assert found.recipe is not None
    assert record.recipe is not None
    assert found.recipe.digest != record.recipe.digest


@pytest.mark.parametrize(
    "changes",
    [{"seed": 12}, {"clock": 5}, {"episode": 7}, {"start": (0.5, 0.0, 0.0)}, {"max_steps": 3}],
    ids=str,
)
def test_another_recipe_gives_another_hash(changes: dict[str, Any]) -> None:
    race = RACES["time trial"]
    record = driven(made(race))[0]
    assert record.recipe is not None
    other = dataclasses.replace(record, recipe=dataclasses.replace(record.recipe, **changes))
    (found,) = again(race, [other]).run()
    assert found.recipe is not None
    assert found.recipe.digest != record.recipe.digest


def test_where_boxes_stand_is_in_the_hash() -> None:
    race = RACES["boxes"]
    record = driven(made(race))[0]
    replay = again(race, [record])
    traffic = replay.at(0).simulator.traffic
    assert traffic is not None
    recorder, found = EpisodeRecorder(replay.task, "training"), []
    assert record.recipe is not None
    far = int(np.argmax(np.abs(traffic.others["along"][0] - replay.task.simulator.cars["along"][0])))
    traffic.others["yaw"][0, far] += 1e-12
    for action in record.recipe.actions:
        replay.task.advance([action])
        found += recorder.take()
    assert found[0].steps["x"].tobytes() == record.steps["x"].tobytes()
    assert found[0].recipe.digest != record.recipe.digest


def test_motion_is_the_first_eight_fields_of_a_car() -> None:
    cars = np.zeros(3, STATE_DTYPE)
    for place, name in enumerate(MOTION):
        cars[name] = 10.0 * place + np.arange(3)
    assert motion(cars).tolist() == [[10.0 * place + car for place in range(8)] for car in range(3)]
    assert motion(cars[1:2]).tolist() == [motion(cars)[1].tolist()]


# ------------------------------------------------------------------------------------------- any step, and onwards


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_every_step_can_be_returned_to_in_any_order(steps: list[int]) -> None:
    race, replay = RACES["bots"], BOTS
    assert race.has_bots
    for step in steps:
        task = replay.at(min(step, replay.steps))
        assert motion(task.simulator.cars).tobytes() == BOTS_STATES[min(step, replay.steps)]
        task.simulator.place(np.array([0]), 0.0, 0.0, 0.0)  # whatever is done to it


def _longest() -> tuple[Replay, list[bytes]]:
    race = RACES["bots"]
    replay = again(race, [max(driven(made(race)), key=lambda record: len(record.steps))])
    return replay, [motion(replay.task.simulator.cars).tobytes() for _ in replay.walk()]


BOTS, BOTS_STATES = _longest()


def test_from_a_step_another_way_can_be_driven_and_the_first_one_is_there_again() -> None:
    race = RACES["time trial"]
    record = max(driven(made(race)), key=lambda record: len(record.steps))
    assert record.recipe is not None
    replay = again(race, [record])
    actions = record.recipe.actions
    straight = replay.at(8).snapshot()
    replay.task.advance([(actions[8] + 4) % 10])
    assert replay.task.simulator.cars["yaw"][0] != record.steps["yaw"][9]
    task = replay.at(8)
    assert motion(task.simulator.cars).tobytes() == motion(straight["cars"]).tobytes()
    task.advance([actions[8]])
    assert task.simulator.cars["yaw"][0] == record.steps["yaw"][9]


def test_a_car_that_is_put_elsewhere_goes_on_from_there() -> None:
    race = RACES["time trial"]
    record = max(driven(made(race)), key=lambda record: len(record.steps))
    replay = again(race, [record])
    task = replay.at(5)
    task.simulator.cars["u"][0] = 3.0
    before = task.simulator.cars["x"][0], task.simulator.cars["y"][0]
    task.advance([5])
    way = np.hypot(task.simulator.cars["x"][0] - before[0], task.simulator.cars["y"][0] - before[1])
    assert way > 0.1  # 3 m/s for 1/15 s, braking; the record drives 1 m/s at most


def test_an_episode_that_takes_another_course_is_cut_off_at_the_end_of_the_record() -> None:
    race = RACES["time trial"]
    record = driven(made(race))[0]
    assert record.recipe is not None
    short = dataclasses.replace(record.recipe, actions=record.recipe.actions[:4])
    (found,) = again(race, [dataclasses.replace(record, recipe=short)]).run()
    assert found.steps["x"].tobytes() == record.steps["x"][:4].tobytes()
    assert not found.steps["done"].any()


def test_what_does_not_fit_is_refused() -> None:
    race = RACES["models"]
    mates = worlds(race, driven(made(race)))[0]
    recipes = [mate.recipe for mate in mates if mate.recipe]
    with pytest.raises(ConfigError, match="2 recipes of 1 moments for 3 cars"):
        Replay(made(race, 3), recipes[:2])
    with pytest.raises(ConfigError, match="3 recipes of 2 moments for 3 cars"):
        Replay(made(race, 3), [dataclasses.replace(recipes[0], clock=9), *recipes[1:]])
    replay = Replay(made(race, 3), recipes)
    with pytest.raises(ConfigError, match=f"step {replay.steps + 1} of an episode of {replay.steps}"):
        replay.at(replay.steps + 1)
