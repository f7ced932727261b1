"""What `quirks="fixed"` mends, each beside what the original does; the table of docs/quirks.md in numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_tasks import STRAIGHT_ON, LineFollower, at, metadata_of, small_task, watched_reward

from lateapex.env.rules import EPISODE_DTYPE, Quirks, begin, judge
from lateapex.env.starts import StartConfig, starts_of
from lateapex.errors import ConfigError
from lateapex.records import STATUSES
from lateapex.sim.state import STATE_DTYPE
from lateapex.world.track import load_track, track_from_route

BOTH: tuple[Quirks, Quirks] = ("original", "fixed")
LENGTH = 20.0


def shown(quirks: Quirks, steps: int = 2, **settings: Any) -> list[dict[str, Any]]:
    reward, calls = watched_reward()
    task = small_task("oval", 1, reward=reward, quirks=quirks, **settings)
    task.begin(np.array([0]), at(0.0))
    for _ in range(steps):
        task.advance([0])
    return calls


def scene(along: list[float], quirks: Quirks, start: float = 0.0) -> list[tuple[str, float]]:
    """Status and progress at each of these places, m along a lap of 20 m."""
    cars, episodes = np.zeros(1, STATE_DTYPE), np.zeros(1, EPISODE_DTYPE)
    begin(episodes, np.array([0]), np.array([start]))
    cars["wheels_on_road"] = 4
    found = []
    for x, cars["along"] in enumerate(along):
        cars["x"] = x
        status = judge(episodes, cars, np.array([LENGTH]), quirks)
        found.append((STATUSES[int(status[0])], round(float(episodes["progress"][0]), 9)))
    return found


def test_a_command_beyond_what_the_car_can_do_is_shown_as_written_or_as_done() -> None:
    metadata = metadata_of((45.0, 6.0), (-31.0, 0.05))
    original, fixed = (shown(quirks, metadata=metadata)[-1] for quirks in BOTH)
    assert (original["steering_angle"], original["speed"]) == (45.0, 6.0)
    assert (fixed["steering_angle"], fixed["speed"]) == (30.0, 4.0)


def test_logs_show_a_command_as_written_with_fixed_quirks_too() -> None:
    task = small_task("oval", 1, metadata=metadata_of((45.0, 6.0), (0.0, 1.0)), quirks="fixed")
    task.begin(np.array([0]), at(0.0))
    task.advance([0])
    assert (task.rows["steering_angle"][0], task.rows["speed"][0]) == (45.0, 6.0)


def test_the_first_action_is_swallowed_or_acts_and_is_paid() -> None:
    for quirks, first, status, moves in (("original", 2.0, "prepare", False), ("fixed", 1.0, "in_progress", True)):
        reward, calls = watched_reward()
        task = small_task("oval", 1, reward=reward, quirks=quirks)
        task.begin(np.array([0]), at(0.0))
        rewards = [task.advance([STRAIGHT_ON])[0][0]]
        assert STATUSES[int(task.rows["status"][0])] == status
        assert bool(task.simulator.cars["u"][0] > 0.0) is moves
        rewards.append(task.advance([STRAIGHT_ON])[0][0])
        assert [params["steps"] for params in calls] == [2.0] if quirks == "original" else [1.0, 2.0]
        assert (calls[0]["steps"], rewards) == (first, [float(moves), 1.0])


def test_a_function_that_resets_itself_at_step_1_does_so_with_fixed_quirks_alone() -> None:
    for quirks, resets in (("original", 0), ("fixed", 3)):
        reward, _ = watched_reward("1.0 if params['steps'] == 1 else 0.0")
        task = small_task("oval", 1, reward=reward, quirks=quirks, max_steps=4)
        paid = 0.0
        for _ in range(3):
            task.begin(np.array([0]), at(0.0))
            paid += sum(float(task.advance([STRAIGHT_ON])[0][0]) for _ in range(4))
        assert paid == resets


def test_left_is_where_the_inner_border_is_nearer_or_the_left_of_the_line() -> None:
    # The centre line lies 0.1 m from the left (inner) border and 0.5 m from the right one.
    angle = np.linspace(0.0, 2.0 * np.pi, 361)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    ring[-1] = ring[0]
    track = track_from_route(np.hstack([2.0 * ring, 1.9 * ring, 2.5 * ring]), "uneven")
    for road, right_is_left in ((track, True), (track.reverse(), False)):
        found = {}
        for quirks in BOTH:
            reward, calls = watched_reward()
            task = small_task(road, 1, reward=reward, quirks=quirks)
            task.begin(np.array([0]), at(0.1, offset=-0.1 if right_is_left else 0.1))  # 6 cm towards the outer border
            for _ in range(2):
                task.advance([STRAIGHT_ON])
            found[quirks] = calls[-1]["is_left_of_center"]
        # The inner border is the nearer one, left of the first road and right of the second.
        assert found == {"original": right_is_left, "fixed": not right_is_left}


@pytest.mark.parametrize("name", ["oval", "kidney", "generated:hard:5"])
def test_left_is_the_same_by_either_rule_on_roads_whose_line_is_the_middle(name: str) -> None:
    task = small_task(name, 400, pictures=False)
    draw = np.random.default_rng(2)
    task.begin(np.arange(400), at(draw.random(400), draw.uniform(-0.45, 0.45, 400), draw.uniform(-0.3, 0.3, 400)))
    cars = task.simulator.cars
    clear = cars["distance_from_center"] > 0.02  # nearer to it the corners of the lines decide
    assert clear.sum() > 300
    np.testing.assert_array_equal(cars["is_left_of_line"][clear], cars["is_left_of_center"][clear])


def test_repeated_points_do_not_hide_the_side(shared_data: Path) -> None:
    track = load_track(shared_data / "tracks" / "Bowtie_track.npy")
    points = np.array(track.waypoints)
    place = int(np.flatnonzero(np.all(points[1:] == points[:-1], axis=1))[0])
    before, point = points[place - 1], points[place]
    yaw = math.atan2(*(point - before)[::-1])
    task = small_task(track, 2, pictures=False)
    for side, left in ((0.05, True), (-0.05, False)):
        front = point + side * np.array([-math.sin(yaw), math.cos(yaw)])
        x, y = front - 0.14 * np.array([math.cos(yaw), math.sin(yaw)])
        task.simulator.place(np.arange(2), [x, x], [y, y], yaw)
        assert task.simulator.cars["is_left_of_line"].tolist() == [left, left]


def test_a_cut_back_over_more_than_half_a_lap_is_a_lap_or_nothing() -> None:
    along = [0.14, 0.9, 1.8, 2.7, 3.6, 12.0, 1.0, 1.5]
    assert scene(along, "original")[-2:] == [("lap_complete", 100.0), ("in_progress", 7.5)]
    # 0.14 to 3.6 m were driven, then 0.5 m after the jumps
    assert scene(along, "fixed")[-3:] == [("in_progress", 18.0), ("in_progress", 18.0), ("in_progress", 20.5)]


def test_after_a_jump_a_lap_is_complete_once_as_much_as_a_lap_was_driven() -> None:
    start = [0.14 + 0.9 * n for n in range(4)]  # to 2.84 m
    on = [(9.0 + 0.9 * n) % LENGTH for n in range(20)]  # cuts to 9.0 m, drives another 17.1 m
    found = scene([*start, *on], "fixed")
    assert found[len(start)][1] == found[len(start) - 1][1] == 14.2
    assert found[-1] == ("in_progress", pytest.approx(14.2 + 17.1 / 0.2))
    assert scene([*start, *on, on[-1] + 0.2], "fixed")[-1] == ("lap_complete", 100.0)


@pytest.mark.parametrize("start", [0.0, 0.3, 0.97])
def test_without_a_jump_both_count_progress_alike(start: float) -> None:
    way = [0.14, 0.1, -0.4, 0.3, *np.arange(0.9, 21.0, 0.9)]
    along = [(LENGTH * start + at) % LENGTH for at in way]
    original, fixed = (scene(along, quirks, start) for quirks in BOTH)
    ends = next(n for n, (status, _) in enumerate(original) if status == "lap_complete")
    assert fixed[1 : ends + 1] == original[1 : ends + 1]
    assert [percent for _, percent in fixed[: ends + 1]] == [percent for _, percent in original[: ends + 1]]


def test_a_line_follower_laps_with_fixed_quirks_and_its_progress_is_the_place_on_the_lap() -> None:
    task = small_task("kidney", 3, quirks="fixed", pictures=False)
    follower, ended = LineFollower(task), np.zeros(3, bool)
    task.begin(np.arange(3), at([0.0, 0.3, 0.9]))
    for _ in range(600):
        task.advance(follower.greedy(task.observations, task.fresh))
        share = 0.01 * task.rows["progress"] + task.episodes["start"] - task.simulator.cars["along"] / task.lengths
        ended |= task.rows["done"]
        assert (np.abs(share - np.round(share))[~ended] < 0.02).all()
        if ended.all():
            break
    assert ended.all()


def test_cars_start_at_one_place_or_spread_round_the_lap() -> None:
    cars, none = np.arange(4), np.zeros(4, np.int64)
    config = StartConfig(scheme="round_robin", first=0.1)
    original, fixed = (starts_of(config, 4, quirks).draw(0, cars, none).fraction.tolist() for quirks in BOTH)
    assert original == [0.1] * 4
    assert fixed == pytest.approx([0.1, 0.35, 0.6, 0.85])


def test_other_quirks_are_refused() -> None:
    with pytest.raises(ConfigError, match="quirks is 'none'; 'original' or 'fixed' is needed"):
        small_task("oval", 1, quirks="none")
