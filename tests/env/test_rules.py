"""When an episode ends and how far a lap has come: scripted scenes worked by hand, on a track of 100 m unless said."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tasks import at, small_task

from lateapex.env.rules import EPISODE_DTYPE, STILL_DISTANCE, begin, judge, unwrapped_progress
from lateapex.records import STATUSES
from lateapex.sim.state import STATE_DTYPE
from lateapex.world.track import load_track

LENGTH = 100.0


def scene(
    along: Iterable[float], *, start: float = 0.0, x: Iterable[float] | None = None, wheels: Iterable[int] | None = None
) -> list[tuple[str, float]]:
    """Status and progress of each step of one car; x in metres, where not given 1 m further each step."""
    cars, episodes = np.zeros(1, STATE_DTYPE), np.zeros(1, EPISODE_DTYPE)
    begin(episodes, np.array([0]), np.array([start]))
    alongs = list(along)
    xs = range(len(alongs)) if x is None else x
    on_road = [4] * len(alongs) if wheels is None else wheels
    found = []
    for cars["along"], cars["x"], cars["wheels_on_road"] in zip(alongs, xs, on_road, strict=True):
        status = judge(episodes, cars, np.array([LENGTH]))
        found.append((STATUSES[int(status[0])], float(episodes["progress"][0])))
    return found


def statuses(*given: Any, **more: Any) -> list[str]:
    return [status for status, _ in scene(*given, **more)]


def progress(*given: Any, **more: Any) -> list[float]:
    return [round(percent, 9) for _, percent in scene(*given, **more)]


# ------------------------------------------------------------------------------------------------------- progress


def test_first_progress_on_reinvent_base_is_the_front_points_lead(shared_data: Path) -> None:
    track = load_track(shared_data / "tracks" / "reinvent_base.npy")
    task = small_task(track, 1)
    task.begin(np.array([0]), at(0.0))
    task.advance([0])
    # the front point is 0.14 m ahead of the centre, the lap 17.709 m long: 0.79 %
    assert task.rows["progress"][0] == pytest.approx(100 * 0.14 / 17.709, abs=1e-3)
    assert task.rows["progress"][0] == pytest.approx(0.79, abs=0.005)


@pytest.mark.parametrize(
    ("start", "along", "expected"),
    [
        (0.0, [0.14, 1, 2.5], [0.14, 1, 2.5]),
        (0.9, [90.14, 99.5, 0.5, 20], [0.14, 9.5, 10.5, 30]),
        # a little behind the start: 99 - 0 = 99, more than half a lap ahead of 0, so 99 - 100
        (0.0, [0.14, 99.5, 99, 0.5], [0.14, -0.5, -1, 0.5]),
        # exactly on the start: 0 becomes 100, which is more than half a lap ahead of 0
        (0.25, [25, 25.5, 25], [0, 0.5, 0]),
        # exactly half a lap is not more than half a lap, neither forwards nor backwards; a little more is
        (0.0, [10, 60, 10], [10, 60, 10]),
        (0.0, [10, 60.5, 61], [10, -39.5, -39]),
        # across the grass to another stretch: less than half a lap counts at once, both ways
        (0.0, [10, 45, 12], [10, 45, 12]),
        # 10 to 75 is 65 ahead, so it counts as 25 behind the start
        (0.0, [10, 75], [10, -25]),
    ],
)
def test_progress_worked_by_hand(start: float, along: list[float], expected: list[float]) -> None:
    assert progress(along, start=start) == expected


@pytest.mark.parametrize("last", [0.0, 0.3, 49.0])
def test_a_lap_ends_at_exactly_100(last: float) -> None:
    along = [0.14, 40, 80, 99.9, last]
    assert scene(along)[-1] == ("lap_complete", 100.0)
    assert statuses(along)[:-1] == ["prepare", "in_progress", "in_progress", "in_progress"]


def test_a_lap_ends_where_it_started_and_not_at_the_start_line() -> None:
    along = [30.14, 70, 99, 1, 29.9, 30.01]
    assert progress(along, start=0.3) == [0.14, 40, 69, 71, 99.9, 100]
    assert statuses(along, start=0.3)[-2:] == ["in_progress", "lap_complete"]


def test_a_cut_back_over_more_than_half_a_lap_counts_as_a_lap() -> None:
    # 60 > 5 + 50, so 105, at most 100: the original has no guard against it
    assert scene([0.14, 45, 60, 5])[-1] == ("lap_complete", 100.0)


def test_progress_after_a_complete_lap_is_compared_with_zero() -> None:
    # After 100 the previous progress is 0: 5 stays 5, and 99 becomes -1.
    assert progress([0.14, 50, 99, 0.5, 5]) == [0.14, 50, 99, 100, 5]
    assert progress([0.14, 50, 99, 0.5, 99]) == [0.14, 50, 99, 100, -1]


def by_the_book(fraction: float, start: float, previous: float) -> float:
    """The rule of the original, a line for each of its sentences."""
    percent = 100 * (fraction - start)
    if percent <= 0:
        percent += 100
    if previous > percent + 50:
        percent += 100
    if percent > previous + 50:
        percent -= 100
    return min(percent, 100.0)


shares = st.floats(0, 1)


@given(fraction=shares, start=shares, previous=st.floats(-100, 100))
def test_unwrapping_follows_the_book(fraction: float, start: float, previous: float) -> None:
    found = unwrapped_progress(np.array([fraction]), np.array([start]), np.array([previous]))
    assert found[0] == by_the_book(fraction, start, previous)
    assert found[0] <= 100


@given(start=shares, strides=st.lists(st.floats(0.1, 45), min_size=1, max_size=30))
def test_progress_of_a_car_that_drives_on_is_the_way_it_came(start: float, strides: list[float]) -> None:
    way = np.minimum(np.cumsum(strides), 100.5)
    way = way[: np.argmax(way > 100) + 1] if (way > 100).any() else way
    found = scene((100 * start + way) % 100, start=start)
    np.testing.assert_allclose([percent for _, percent in found], np.minimum(way, 100), atol=1e-9)
    assert [status for status, _ in found[1:]] == ["lap_complete" if at > 100 else "in_progress" for at in way[1:]]


# ---------------------------------------------------------------------------------------------------- ends of episodes


def test_the_first_step_prepares_and_the_second_drives() -> None:
    assert statuses([0.14, 0.14, 1]) == ["prepare", "in_progress", "in_progress"]


def test_no_rule_ends_an_episode_while_it_is_prepared() -> None:
    assert statuses([0.14, 0.14], wheels=[0, 0]) == ["prepare", "off_track"]


@pytest.mark.parametrize(("wheels", "status"), [(4, "in_progress"), (1, "in_progress"), (0, "off_track")])
def test_a_car_is_off_the_track_with_its_last_wheel(wheels: int, status: str) -> None:
    assert statuses([1, 2, 3], wheels=[4, 4, wheels])[-1] == status


def test_a_car_is_immobilized_at_the_15th_step_in_a_row_without_motion() -> None:
    found = statuses(range(1, 22), x=[5.0] * 21)
    # from the second step on it is compared with the step before
    assert found == ["prepare", *["in_progress"] * 14, *["immobilized"] * 6]


def test_motion_of_0_3_mm_is_standing_still_and_more_is_not() -> None:
    assert STILL_DISTANCE == 0.0003
    assert "immobilized" in statuses(range(1, 17), x=[0.0, 0.0003] * 8)
    assert "immobilized" not in statuses(range(1, 17), x=[0.0, 0.00031] * 8)


def test_one_moving_step_starts_the_count_of_still_steps_anew() -> None:
    x = [0.0] * 15 + [1.0] * 16
    # still at steps 2 to 15, fourteen times; moved at step 16; still at steps 17 to 31
    assert statuses(range(1, 32), x=x) == ["prepare", *["in_progress"] * 29, "immobilized"]


def test_a_car_has_reversed_at_the_15th_step_in_a_row_of_falling_progress() -> None:
    along = [20.0, *(20 - 0.1 * np.arange(20))]
    found = statuses(along)
    # progress falls from the third step on
    assert found == ["prepare", *["in_progress"] * 15, *["reversed"] * 5]


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_step_without_falling_progress_starts_the_count_anew(pause: float) -> None:
    down = -0.1 * np.ones(14)
    along = 20 + np.cumsum([0, *down, pause, *down, -0.1])
    assert statuses(along) == ["prepare", *["in_progress"] * 29, "reversed"]


def test_reversing_over_the_start_line_counts_as_falling() -> None:
    along = [0.14, 0.14, *((0.1 - 0.1 * np.arange(1, 16)) % 100)]
    found = scene(along)
    assert [status for status, _ in found[-2:]] == ["in_progress", "reversed"]
    assert [percent for _, percent in found[-2:]] == pytest.approx([-1.3, -1.4])


STILL, FALLING = [5.0] * 20, (40 - 0.1 * np.arange(20)).tolist()


@pytest.mark.parametrize(
    ("along", "x", "wheels", "status"),
    [
        ([0.14, 40, 80, 99, *[99.9] * 15, 1], None, 0, "lap_complete"),
        ([0.14, 40, 80, 99, *[99.9] * 15, 1], STILL, 4, "lap_complete"),
        (FALLING, STILL, 0, "off_track"),
        (range(1, 21), STILL, 0, "off_track"),
        (FALLING, None, 0, "off_track"),
        (FALLING, STILL, 4, "immobilized"),
        (FALLING, None, 4, "reversed"),
    ],
)
def test_of_several_ends_the_first_of_the_originals_order_is_named(
    along: list[float], x: list[float] | None, wheels: int, status: str
) -> None:
    assert statuses(along, x=x, wheels=[4] * 19 + [wheels])[-1] == status


# ------------------------------------------------------------------------------------------------------- many cars


def test_a_new_episode_forgets_the_one_before_and_leaves_other_cars_alone() -> None:
    episodes = np.zeros(3, EPISODE_DTYPE)
    for name in EPISODE_DTYPE.names or ():
        episodes[name] = 7
    begin(episodes, np.array([2, 0]), np.array([0.25, 0.5]))
    assert episodes["episode"].tolist() == [8, 7, 8]
    assert episodes["start"].tolist() == [0.5, 7, 0.25]
    for name in ("steps", "progress", "previous_progress", "still", "falling"):
        assert episodes[name].tolist() == [0, 7, 0]


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_many_cars_are_judged_as_each_alone(seed: int) -> None:
    random = np.random.default_rng(seed)
    steps, count = 40, 5
    along = np.cumsum(random.normal(0.5, 3.0, (steps, count)), axis=0) % LENGTH
    x = np.cumsum(random.random((steps, count)) < 0.05, axis=0).astype(float)
    wheels = np.where(random.random((steps, count)) < 0.02, 0, 4)
    start = random.random(count)
    cars, episodes = np.zeros(count, STATE_DTYPE), np.zeros(count, EPISODE_DTYPE)
    begin(episodes, np.arange(count), start)
    together = []
    for cars["along"], cars["x"], cars["wheels_on_road"] in zip(along, x, wheels, strict=True):
        words = judge(episodes, cars, np.full(count, LENGTH))
        together.append([(STATUSES[word], float(at)) for word, at in zip(words, episodes["progress"], strict=True)])
    for car in range(count):
        alone = scene(along[:, car], start=start[car], x=x[:, car], wheels=wheels[:, car])
        assert [row[car] for row in together] == alone
