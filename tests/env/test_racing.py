"""The racing task: course of an episode, Gymnasium's contracts, and that cars depend on nothing but themselves."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tasks import (
    STRAIGHT_ON,
    LineFollower,
    at,
    continuous_metadata,
    drive_on,
    metadata_of,
    random_actions,
    small_task,
    watched_reward,
)
from numpy.typing import NDArray

from lateapex.env.racing import RacingEnv, RacingTask, RacingVectorEnv
from lateapex.env.reward import RewardFunction
from lateapex.env.starts import RandomStarts, RoundRobinStarts, StartPoses
from lateapex.errors import ConfigError, RewardError
from lateapex.records import STATUSES
from lateapex.world.track import load_track
from lateapex.world.vehicle import Vehicle

OVAL = load_track("oval")
SMALL: dict[str, Any] = {"height": 16, "width": 24, "threads": 1}
PARKED = Vehicle(max_wheel_speed=0.0)


def one_car(x: Any = 0.0, **more: Any) -> RacingTask:
    task = small_task("oval", 1, **more)
    task.begin(np.array([0]), at(x))
    return task


def teleport(task: RacingTask, fraction: float, offset: float = 0.0) -> None:
    x, y, yaw = OVAL.pose_at(fraction)
    task.simulator.place(np.array([0]), x - offset * math.sin(yaw), y + offset * math.cos(yaw), yaw)


def status(task: RacingTask, car: Any = 0) -> str:
    return STATUSES[int(task.rows["status"][car])]


def without_clock(rows: NDArray[Any]) -> bytes:
    rows = rows.copy()
    rows["wall_clock"] = 0
    return rows.tobytes()


def history(results: list[Any]) -> list[tuple[bytes, ...]]:
    """What happened, as bytes, the time on the wall left out."""
    return [
        (reward.tobytes(), over.tobytes(), cut.tobytes(), without_clock(rows), pictures.tobytes())
        for reward, over, cut, rows, pictures in results
    ]


# ------------------------------------------------------------------------------------------------- course of an episode


def test_the_first_action_is_swallowed() -> None:
    reward, calls = watched_reward()
    task = one_car(reward=reward)
    seen = task.pictures.copy()
    rewards, terminated, truncated = task.advance([STRAIGHT_ON])
    assert (rewards[0], bool(terminated[0]), bool(truncated[0])) == (0.0, False, False)
    assert calls == []
    first = task.rows.copy()
    assert (status(task), first["steps"][0], first["action"][0], first["speed"][0]) == ("prepare", 1, STRAIGHT_ON, 1.0)
    np.testing.assert_array_equal(task.pictures, seen)
    task.advance([STRAIGHT_ON])
    for name in ("x", "y", "yaw", "progress"):
        assert task.rows[name] == first[name]
    assert (status(task), task.rows["steps"][0], len(calls)) == ("in_progress", 2, 1)
    assert task.simulator.cars["u"][0] > 0


def test_a_start_off_the_track_is_prepared_first_too() -> None:
    reward, calls = watched_reward()
    task = small_task("oval", 1, reward=reward)
    task.begin(np.array([0]), at(0.0, offset=1.5))
    assert not task.advance([STRAIGHT_ON])[1][0]
    assert (status(task), len(calls)) == ("prepare", 0)
    assert task.advance([STRAIGHT_ON])[1][0]
    assert (status(task), len(calls)) == ("off_track", 1)


def test_leaving_the_track_is_seen_one_step_after_it_happened() -> None:
    task = one_car()
    for _ in range(2):
        task.advance([STRAIGHT_ON])
    # off by a hair more than half the width of 0.8 and the rear wheels' 0.0811, rolling back onto the road at once
    teleport(task, 0.0, offset=0.4812)
    task.simulator.cars["v"][0] = -1.0
    _, terminated, _ = task.advance([STRAIGHT_ON])
    assert terminated[0]
    assert status(task) == "off_track"
    assert task.simulator.cars["wheels_on_road"][0] > 0
    assert not task.rows["all_wheels_on_track"][0]


def test_a_step_that_leaves_the_track_does_not_end_the_episode_yet() -> None:
    task = one_car()
    task.advance([STRAIGHT_ON])
    teleport(task, 0.0, offset=0.4810)
    task.simulator.cars["v"][0] = 1.0
    assert not task.advance([STRAIGHT_ON])[1][0]
    assert task.simulator.cars["wheels_on_road"][0] == 0
    assert task.advance([STRAIGHT_ON])[1][0]


def test_a_lap_is_complete_at_exactly_100_percent_one_step_after_the_start_line() -> None:
    task = one_car(0.25)
    progress = []
    for fraction in (0.25, 0.6, 0.95, 0.2, 0.24):
        teleport(task, fraction)
        assert not task.advance([STRAIGHT_ON])[1][0]
        progress.append(task.rows["progress"][0])
    lead = 100 * 0.14 / OVAL.length
    assert progress == pytest.approx([lead, 35 + lead, 70 + lead, 95 + lead, 99 + lead], abs=0.02)
    teleport(task, 0.25)
    _, terminated, truncated = task.advance([STRAIGHT_ON])
    assert (bool(terminated[0]), bool(truncated[0])) == (True, False)
    assert (status(task), task.rows["progress"][0], bool(task.rows["done"][0])) == ("lap_complete", 100.0, True)


def test_a_car_without_motor_is_immobilized_at_step_16() -> None:
    task = one_car(vehicle=PARKED)
    statuses: list[str] = []
    while not statuses or statuses[-1] in ("prepare", "in_progress"):
        task.advance([STRAIGHT_ON])
        statuses.append(status(task))
    assert statuses == ["prepare", *["in_progress"] * 14, "immobilized"]


def test_a_car_that_drives_the_wrong_way_has_reversed_at_step_17() -> None:
    task = small_task("oval", 1)
    task.begin(np.array([0]), at(0.0, heading=math.pi))
    statuses: list[str] = []
    while not statuses or statuses[-1] in ("prepare", "in_progress"):
        task.advance([STRAIGHT_ON])
        statuses.append(status(task))
    # it stands at steps 1 and 2, so progress falls from step 3 on
    assert statuses == ["prepare", *["in_progress"] * 15, "reversed"]
    assert task.rows["progress"][0] < -100 * 0.14 / OVAL.length


def test_an_episode_is_cut_off_at_max_steps_and_that_is_no_end_by_a_rule() -> None:
    task = one_car(max_steps=5)
    results = drive_on(task, [[STRAIGHT_ON]] * 10)
    assert [bool(cut[0]) for _, _, cut, _, _ in results] == [False, False, False, False, True] * 2
    assert not any(over[0] for _, over, _, _, _ in results)
    assert [bool(rows["done"][0]) for _, _, _, rows, _ in results] == [False, False, False, False, True] * 2
    assert [int(rows["steps"][0]) for _, _, _, rows, _ in results] == [1, 2, 3, 4, 5] * 2


def test_a_rule_counts_before_the_cut() -> None:
    task = one_car(max_steps=2)
    task.advance([STRAIGHT_ON])
    teleport(task, 0.0, offset=1.0)
    _, terminated, truncated = task.advance([STRAIGHT_ON])
    assert (bool(terminated[0]), bool(truncated[0])) == (True, False)


def test_rows_hold_the_pose_before_the_action_and_the_time_after_it() -> None:
    task = one_car(metadata=metadata_of((-40.0, 5.0), (12.0, 1.5)))
    for step in range(1, 6):
        before = task.simulator.cars.copy()
        task.advance([step % 2])
        row = task.rows[0]
        assert (row["x"], row["y"], row["yaw"]) == (before["front_x"], before["front_y"], before["yaw"])
        assert row["closest_waypoint"] == before["closest_waypoint"]
        assert row["sim_time"] == pytest.approx(step / 15)
        assert (row["steering_angle"], row["speed"]) == [(-40.0, 5.0), (12.0, 1.5)][step % 2]


def test_a_line_follower_completes_a_lap_from_anywhere() -> None:
    task = small_task(["oval", "kidney"], 4, starts=RoundRobinStarts(spread=0.3))
    follower, finished = LineFollower(task), set()
    task.begin(np.arange(4))
    for _ in range(500):
        task.advance(follower.greedy(task.observations, task.fresh))
        done = np.flatnonzero(task.rows["done"])
        assert {status(task, car) for car in done} <= {"lap_complete"}
        finished |= {*done.tolist()}
        task.begin(done)
    assert finished == {0, 1, 2, 3}


# ------------------------------------------------------------------------------------------ starts


def test_a_start_pose_is_relative_to_the_centre_line_and_left_positive() -> None:
    task = small_task("oval", 3)
    task.begin(np.arange(3), at([0.0, 0.5, 0.25], [0.25, 0.25, -0.5], [0.1, 0.0, 0.0]))
    cars = task.simulator.cars
    # a quarter of the width of 0.8 to the left: y = 0.2 on the straight eastwards, 2.6 - 0.2 on the one westwards
    assert (cars["x"][0], cars["y"][0], cars["yaw"][0]) == pytest.approx((0.0, 0.2, 0.1))
    assert (cars["x"][1], cars["y"][1]) == pytest.approx((0.0, 2.4), abs=0.01)
    assert abs(cars["yaw"][1]) == pytest.approx(math.pi)
    x, y, yaw = OVAL.pose_at(0.25)
    assert (cars["x"][2], cars["y"][2]) == pytest.approx((x + 0.4 * math.sin(yaw), y - 0.4 * math.cos(yaw)), abs=1e-3)
    assert not any(cars[name].any() for name in ("u", "v", "r"))


def test_successive_episodes_start_where_the_starts_say() -> None:
    task = small_task("oval", 2, starts=RoundRobinStarts(advance=0.25, spread=0.1), max_steps=2)
    task.begin(np.arange(2))
    drive_on(task, [[STRAIGHT_ON] * 2] * 6)
    assert task.episodes["episode"].tolist() == [3, 3]
    assert task.episodes["start"] == pytest.approx([0.75, 0.85])


def test_beginning_some_cars_leaves_the_others_as_they_are() -> None:
    task = small_task("oval", 3, starts=RandomStarts())
    task.begin(np.arange(3))
    for _ in range(5):
        task.advance([STRAIGHT_ON] * 3)
    before = task.snapshot()
    task.begin(np.array([1]))
    after = task.snapshot()
    for name in ("cars", "episodes", "observations"):
        parts = [kept[name][task.sensor] if name == "observations" else kept[name] for kept in (before, after)]
        for car, same in ((0, True), (1, False), (2, True)):
            assert (parts[0][car].tolist() == parts[1][car].tolist()) is same
    task.begin(np.array([], np.int64))
    assert task.snapshot()["episodes"].tobytes() == after["episodes"].tobytes()


# ------------------------------------------------------------------------------------- the same whatever is beside it


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    runs = []
    for seed in (7, 7, 8):
        task = small_task("oval", 3, starts=RandomStarts(), seed=seed)
        task.begin(np.arange(3))
        runs.append(history(drive_on(task, random_actions(1, 120, 3))))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_each_car_of_a_batch_drives_as_it_does_alone() -> None:
    poses = at([0.0, 0.3, 0.55, 0.8, 0.9], [0.0, 0.2, -0.2, 0.1, 0.0], [0.0, 0.1, 0.2, -0.2, 0.0])
    tracks = [["oval", "kidney"][car % 2] for car in range(5)]
    actions = random_actions(3, 90, 5)
    batch = small_task(["oval", "kidney"], 5)
    batch.begin(np.arange(5), poses)
    together = [(*batch.advance(row), batch.rows.copy(), batch.pictures.copy()) for row in actions]
    for car in range(5):
        single = small_task(tracks[car], 1)
        single.begin(np.array([0]), StartPoses(*(values[car : car + 1] for values in poses)))
        alone = [(*single.advance(row[car : car + 1]), single.rows.copy(), single.pictures.copy()) for row in actions]
        assert history([[item[car : car + 1] for item in step] for step in together]) == history(alone)


def test_threads_change_nothing() -> None:
    runs = []
    for threads in (1, 2, 3):
        task = small_task(["oval", "kidney"], 19, threads=threads, starts=RandomStarts())
        task.begin(np.arange(19))
        runs.append(history(drive_on(task, random_actions(5, 40, 19))))
    assert runs[0] == runs[1] == runs[2]


def test_without_pictures_everything_else_is_the_same() -> None:
    runs = []
    for pictures in (True, False):
        task = small_task(["oval", "kidney"], 5, starts=RandomStarts(), pictures=pictures)
        task.begin(np.arange(5))
        runs.append([step[:4] for step in history(drive_on(task, random_actions(2, 60, 5)))])
    assert task.pictures.size == 0
    assert runs[0] == runs[1]
    with pytest.raises(ConfigError, match="pictures is False; an environment shows pictures"):
        RacingEnv(pictures=False)


def test_the_reward_is_computed_in_the_main_thread_while_another_draws() -> None:
    import made_tasks

    task = small_task("oval", 64, threads=2, height=120, width=160)
    task.begin(np.arange(64))
    drawn: list[int] = []
    task.pictures[:] = 7  # a grey that the sky in the corner never has: not drawn yet

    def looking(params: Any) -> Any:
        for _ in range(1_000_000):
            drawn.append(int((task.pictures[:, 0, 0] != 7).sum()))
            if drawn[-1]:
                break
        return np.zeros(64)

    made_tasks.CALLS.append([looking])
    place = len(made_tasks.CALLS) - 1
    text = f"from made_tasks import CALLS\ndef reward_batch(params):\n    return CALLS[{place}][0](params)\n"
    task.reward = RewardFunction(text, "looking.py")
    for _ in range(2):
        task.advance([STRAIGHT_ON] * 64)
    assert drawn[-1] > 0


def test_a_failing_reward_ends_the_step_with_any_number_of_threads() -> None:
    for threads in (1, 2):
        task = small_task("oval", 10, threads=threads, reward=watched_reward("1 / 0")[0])
        task.begin(np.arange(10))
        task.advance([STRAIGHT_ON] * 10)
        with pytest.raises(RewardError, match="ZeroDivisionError"):
            task.advance([STRAIGHT_ON] * 10)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), before=st.integers(0, 50))
def test_equal_snapshots_have_equal_futures(seed: int, before: int) -> None:
    task, other = (small_task(["oval", "kidney"], 3, starts=RandomStarts(), seed=4) for _ in range(2))
    task.begin(np.arange(3))
    actions = random_actions(seed, before + 40, 3)
    drive_on(task, actions[:before])
    snapshot = task.snapshot()
    future = history(drive_on(task, actions[before:]))
    other.restore(snapshot)
    assert history(drive_on(other, actions[before:])) == future
    task.restore(snapshot)
    assert history(drive_on(task, actions[before:])) == future


# ------------------------------------------------------------------------------------------ one car, Gymnasium


def made(**settings: Any) -> RacingEnv:
    """A RacingEnv as gymnasium.make makes it, so that it knows its own specification."""
    spec = EnvSpec("lateapex/Racing-v0", entry_point=RacingEnv, kwargs={"track": "oval", **SMALL, **settings})
    env = gym.make(spec).unwrapped
    assert isinstance(env, RacingEnv)
    return env


RANGES = continuous_metadata((-30.0, 30.0), (0.5, 2.0))


@pytest.mark.parametrize("more", [{}, {"render_mode": "rgb_array"}, {"metadata": RANGES}])
def test_gymnasiums_own_check_finds_nothing(more: dict[str, Any]) -> None:
    check_env(made(**more))


def test_one_car_is_played_through_gymnasiums_wrappers() -> None:
    env: Any = gym.make(EnvSpec("lateapex/Racing-v0", entry_point=RacingEnv, kwargs=SMALL, max_episode_steps=9))
    observation, info = env.reset(seed=3)
    assert env.observation_space.contains(observation)
    assert info == {"progress": 0.0, "episode_status": "prepare"}
    steps = [env.step(env.action_space.sample()) for _ in range(9)]
    assert [step[3] for step in steps] == [False] * 8 + [True]
    assert [step[4]["episode_status"] for step in steps] == ["prepare"] + ["in_progress"] * 8
    env.close()


def test_a_start_may_be_given() -> None:
    env = RacingEnv(**SMALL)
    env.reset(options={"start": 0.5, "offset": -0.25, "heading": 0.2})
    car = env.task.simulator.cars[0]
    assert (car["x"], car["y"]) == pytest.approx((0.0, 2.8), abs=0.01)
    assert car["yaw"] == pytest.approx(0.2 - math.pi)
    env.reset(options={"start": 0.0})
    assert (car["x"], car["y"], car["yaw"]) == pytest.approx((0, 0, 0))


def test_a_seed_starts_the_count_of_episodes_anew() -> None:
    env = RacingEnv(**SMALL)
    first = [env.reset(seed=5)[0], env.reset()[0], env.reset()[0]]
    again = [env.reset(seed=5)[0], env.reset()[0], env.reset()[0]]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one[env.task.sensor], other[env.task.sensor])
    assert not np.array_equal(first[0][env.task.sensor], first[1][env.task.sensor])


def test_no_picture_is_rendered_unless_asked_for() -> None:
    assert RacingEnv(**SMALL).render() is None


def test_what_an_observation_held_stays_when_the_car_drives_on() -> None:
    env = RacingVectorEnv("oval", 2, **SMALL)
    first, _ = env.reset(seed=1)
    kept = first["FRONT_FACING_CAMERA"].copy()
    for _ in range(5):
        _, _, _, _, info = env.step(np.full(2, STRAIGHT_ON))
        held = {name: values.copy() for name, values in info.items()}
    np.testing.assert_array_equal(first["FRONT_FACING_CAMERA"], kept)
    env.step(np.full(2, STRAIGHT_ON))
    np.testing.assert_array_equal(info["progress"], held["progress"])


# ------------------------------------------------------------------------------------------ many, Gymnasium


def test_the_vector_environment_keeps_gymnasiums_contract() -> None:
    env = RacingVectorEnv(["oval", "kidney"], 3, **SMALL)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert (env.num_envs, env.single_action_space, env.action_space.shape) == (3, gym.spaces.Discrete(10), (3,))
    observation, info = env.reset(seed=2)
    for _ in range(60):
        assert env.observation_space.contains(observation)
        assert observation["FRONT_FACING_CAMERA"].shape == (3, 16, 24, 1)
        assert env.single_observation_space.contains({name: seen[0] for name, seen in observation.items()})
        assert {values.shape for name, values in info.items() if name != "final_info"} == {(3,)}
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert [(item.shape, item.dtype.kind) for item in (reward, terminated, truncated)] == [
            ((3,), "f"),
            *[((3,), "b")] * 2,
        ]
    env.close()


def test_two_ranges_are_driven_by_two_numbers_a_car() -> None:
    reward, calls = watched_reward()
    env: Any = RacingVectorEnv("oval", 2, reward=reward, metadata=RANGES, **SMALL)
    env.reset(seed=0)
    assert env.action_space.shape == (2, 2)
    for _ in range(2):
        env.step(np.array([[0.5, -1.0], [-2.0, 1.0]], np.float32))
    assert [(params["steering_angle"], params["speed"]) for params in calls] == [(15.0, 0.5), (-30.0, 2.0)]
    assert env.task.rows["steering_angle"].tolist() == [15.0, -30.0]
    assert env.task.rows["action"].tolist() == [-1, -1]
    slow, fast = env.task.simulator.cars["u"]
    assert 0 < slow < fast


def assert_same_info(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The same keys, and the same values for all cars that a key tells of."""
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        if name.startswith("_"):
            np.testing.assert_array_equal(values, theirs[name])
        elif name == "final_info":
            assert_same_info(values, theirs[name])
        else:
            for car in np.flatnonzero(ours["_" + name]):
                np.testing.assert_equal(values[car], theirs[name][car])


@pytest.mark.parametrize("max_steps", [7, 100_000])
def test_many_cars_do_as_gymnasiums_vector_of_single_cars(max_steps: int) -> None:
    given = {**SMALL, "starts": RoundRobinStarts(advance=0.37), "max_steps": max_steps}
    ours: Any = RacingVectorEnv("oval", 3, **given)
    theirs = SyncVectorEnv([lambda: RacingEnv("oval", **given)] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    ended = 0
    for steps in (120, 20):  # the second reset comes in the middle of episodes
        (one, info), (other, their_info) = ours.reset(seed=9), theirs.reset(seed=9)
        np.testing.assert_equal(one, other)
        assert_same_info(info, their_info)
        for actions in random_actions(11, steps, 3):
            *mine, info = ours.step(actions)
            *reference, their_info = theirs.step(actions)
            np.testing.assert_equal(mine, reference)
            assert_same_info(info, their_info)
            ended += int((mine[2] | mine[3]).sum())
    assert ended >= 3
    theirs.close()


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: RacingTask("oval", 0), "0 cars on 1 tracks; at least one of each is needed"),
        (lambda: RacingTask([], 2), "2 cars on 0 tracks; at least one of each is needed"),
        (
            lambda: RacingTask("oval", seed=-1, **SMALL),
            r"the seed is -1; a whole number from 0 to 2\*\*64 - 1 is needed",
        ),
        (
            lambda: RacingVectorEnv("oval", 1, **SMALL).reset(seed=2**64),
            r"the seed is 18446744073709551616; a whole number",
        ),
        (lambda: RacingVectorEnv("oval", 2, **SMALL).reset(seed=[1, 2]), "a list of seeds was given; one whole number"),
        (lambda: RacingEnv(render_mode="human", **SMALL), "render_mode is 'human'; None or 'rgb_array' is offered"),
        (lambda: RacingEnv(**SMALL).step(np.int64(10)), "actions go from 10 to 10; 0 to 9 are known"),
        (lambda: RacingEnv(**SMALL).step(2.7), "type float64; 1 whole numbers are needed"),  # type: ignore[arg-type] # on purpose
        (lambda: RacingVectorEnv("oval", 2, **SMALL).step(np.array([1])), r"shape \(1,\)"),
    ],
)
def test_wrong_use_is_refused(attempt: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        attempt()


def test_in_colour_observations_have_three_channels_whose_luminance_is_the_grey_picture() -> None:
    grey, coloured = (RacingVectorEnv("oval", 2, height=24, width=32, colour=flag, threads=1) for flag in (False, True))
    (seen,), (colours,) = (env.reset(seed=3)[0].values() for env in (grey, coloured))
    assert seen.shape == (2, 24, 32, 1)
    assert colours.shape == (2, 24, 32, 3)
    assert coloured.observation_space.contains({coloured.task.sensor: colours})
    assert np.abs(colours @ [0.2989, 0.5870, 0.1140] - seen[..., 0]).max() < 2.0
    assert np.ptp(colours.astype(np.int64), axis=-1).max() > 50


def test_the_rendered_picture_is_in_colour_and_its_luminance_is_the_observation() -> None:
    env = RacingEnv("oval", render_mode="rgb_array", height=24, width=32)
    observation, _ = env.reset(seed=1)
    picture = env.render()
    assert picture.shape == (24, 32, 3)
    assert np.ptp(picture.astype(np.int64), axis=-1).max() > 50
    assert np.abs(picture @ [0.2989, 0.5870, 0.1140] - observation[env.task.sensor][..., 0]).max() < 2.0
