"""Every reward parameter that follows from the pose, against shapely: another library, another way, the same values.

Random poses on roads that come with the package, generated ones and the official ones (most of which repeat a point),
in both directions; written after the definitions of the original, not after our code.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import shapely  # type: ignore[import-untyped]  # ships no types
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tasks import CALLS, STRAIGHT_ON, at, small_task
from numpy.typing import NDArray

from lateapex.env.params import PARAMS
from lateapex.env.racing import RacingTask
from lateapex.env.reward import RewardFunction
from lateapex.world.track import Track, load_track, track_names

CARS, STEPS = 48, 4
WHEELS = ((0.0823, 0.0796), (0.0823, -0.0796), (-0.0817, 0.0811), (-0.0817, -0.0811))
OURS = (*track_names(), "generated:easy:3", "generated:medium:42", "generated:hard:7")

KEEPING = """
from made_tasks import CALLS

def reward_batch(params):
    CALLS[{}].append(dict(params))
    return params["progress"]
"""


class Watched(NamedTuple):
    task: RacingTask
    seen: list[dict[str, Any]]
    """What the reward was called with, a step each."""


@cache
def watched(name: str, backwards: bool) -> Watched:
    track = load_track(name)
    CALLS.append([])
    reward = RewardFunction(KEEPING.format(len(CALLS) - 1), "keeping.py")
    chosen = track.reverse() if backwards else track
    return Watched(small_task(chosen, CARS, reward=reward, pictures=False), CALLS[-1])


def poses(track: Track, draw: np.random.Generator) -> NDArray[np.float64]:
    """`[3, CARS]` x, y, yaw: most on the road or near it, some anywhere."""
    x, y, yaw = np.array([track.pose_at(share) for share in draw.random(CARS)]).T
    aside = draw.normal(0.0, 0.5 * track.width, CARS)
    x, y = x - aside * np.sin(yaw), y + aside * np.cos(yaw)
    x0, y0, x1, y1 = track.bounds
    anywhere = draw.random(CARS) < 0.1
    x, y = np.where(anywhere, draw.uniform(x0, x1, CARS), x), np.where(anywhere, draw.uniform(y0, y1, CARS), y)
    return np.stack([x, y, draw.uniform(-np.pi, np.pi, CARS)])


def by_shapely(track: Track, x: Any, y: Any, yaw: Any) -> dict[str, Any]:
    """The parameters at poses of the car's centre, by the original's definitions."""
    line = shapely.LineString(track.waypoints)
    inner, outer = (
        shapely.LineString([*ring, ring[0]] if track.closed else ring) for ring in (track.inner, track.outer)
    )
    ring = (
        shapely.Polygon(track.outer, [track.inner])
        if track.closed
        else shapely.Polygon([*track.outer, *track.inner[::-1]])
    )
    front_x, front_y = x + 0.14 * np.cos(yaw), y + 0.14 * np.sin(yaw)
    front = shapely.points(front_x, front_y)
    fraction = shapely.line_locate_point(line, front, normalized=True)
    middle = shapely.line_interpolate_point(line, fraction, normalized=True)
    at_inner, at_outer = (
        shapely.line_interpolate_point(border, shapely.line_locate_point(border, middle)) for border in (inner, outer)
    )
    stops = [*shapely.line_locate_point(line, shapely.points(track.waypoints[:-1]), normalized=True), 1.0]
    after = [bisect_right(stops, share) for share in fraction]
    count = len(track.waypoints)
    on_road = sum(
        shapely.contains_xy(ring, x + a * np.cos(yaw) - s * np.sin(yaw), y + a * np.sin(yaw) + s * np.cos(yaw)).astype(
            int
        )
        for a, s in WHEELS
    )
    ccw = shapely.LinearRing(track.center).is_ccw if track.closed else not track.reversed
    return {
        "x": front_x,
        "y": front_y,
        "heading": np.degrees(yaw),
        "fraction": fraction,
        "track_length": np.full(len(x), line.length),
        "projection_distance": fraction * line.length,
        "distance_from_center": shapely.distance(front, middle),
        "track_width": shapely.distance(at_inner, at_outer),
        "closest_waypoints": np.array([[(n - 1) % count, n % count] for n in after]),
        "is_left_of_center": (shapely.distance(front, at_inner) < shapely.distance(front, at_outer)) ^ (not ccw),
        "all_wheels_on_track": on_road == 4,
        "is_offtrack": on_road == 0,
    }


def book_progress(fraction: Any, start: Any, previous: Any) -> tuple[Any, Any]:
    """Progress, and what the next step compares with."""
    percent = 100.0 * (fraction - start)
    percent = np.where(percent <= 0, percent + 100.0, percent)
    percent = np.where(previous > percent + 50.0, percent + 100.0, percent)
    percent = np.where(percent > previous + 50.0, percent - 100.0, percent)
    percent = np.minimum(percent, 100.0)
    return percent, np.where(percent == 100.0, 0.0, percent)


def assert_as_by_shapely(name: str, backwards: bool, seed: int) -> None:
    task, seen = watched(name, backwards)
    track, draw = task.tracks[0], np.random.default_rng(seed)
    seen.clear()
    starts = draw.random(CARS)
    task.begin(np.arange(CARS), at(starts))
    cars = task.simulator.cars
    places = [np.stack([cars["x"], cars["y"], cars["yaw"]]), *(poses(track, draw) for _ in range(STEPS))]
    previous = np.zeros(CARS)
    for step, (x, y, yaw) in enumerate(places, 1):
        task.simulator.place(np.arange(CARS), x, y, yaw)
        task.advance([STRAIGHT_ON] * CARS)
        expected = by_shapely(track, x, y, yaw)
        progress, previous = book_progress(expected.pop("fraction"), starts, previous)
        if step == 1:
            assert not seen  # the prepare step
            continue
        found = seen[step - 2]
        ahead = found["projection_distance"] - expected["projection_distance"]
        assert found["distance_from_center"] == pytest.approx(expected["distance_from_center"], abs=1e-9)
        same = np.abs(ahead) < 1e-9  # of two stretches equally near but for rounding either is right
        assert same.mean() > 0.95
        for key, values in {**expected, "progress": progress}.items():
            if values.dtype.kind == "f":
                np.testing.assert_allclose(found[key][same], values[same], rtol=1e-9, atol=1e-9, err_msg=key)
            elif key != "is_left_of_center":
                np.testing.assert_array_equal(found[key][same], values[same], err_msg=key)
        # At the very middle of the borders the side is rounding's.
        clear = same & (expected["distance_from_center"] > 1e-6)
        unequal = found["is_left_of_center"][clear] != expected["is_left_of_center"][clear]
        assert not unequal.any()
        assert found["steps"].tolist() == [step] * CARS
        assert found["is_reversed"].tolist() == [backwards] * CARS
        assert not found["is_crashed"].any()
        assert not found["object_in_camera"].any()
        assert found["waypoints"] == [track.waypoints] * CARS
        assert set(found["speed"].tolist()) == {1.0}
        assert set(found["steering_angle"].tolist()) == {0.0}
        np.testing.assert_array_equal(task.rows["progress"], found["progress"])
        previous = np.where(found["progress"] == 100.0, 0.0, found["progress"])


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(OURS), st.booleans(), st.integers(0, 2**32 - 1))
def test_parameters_on_our_roads_are_those_that_shapely_finds(name: str, backwards: bool, seed: int) -> None:
    assert_as_by_shapely(name, backwards, seed)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_parameters_on_official_roads_are_those_that_shapely_finds(shared_data: Path, data: st.DataObject) -> None:
    routes = sorted(str(path) for path in (shared_data / "tracks").glob("*.npy"))
    name = data.draw(st.sampled_from(routes))
    assert_as_by_shapely(name, data.draw(st.booleans()), data.draw(st.integers(0, 2**32 - 1)))


@pytest.mark.parametrize("name", ["Straight_track", "Monaco", "Bowtie_track", "2022_march_open"])
@pytest.mark.parametrize("backwards", [False, True])
def test_parameters_on_roads_with_ends_repeated_points_and_either_turn(
    name: str, backwards: bool, shared_data: Path
) -> None:
    assert_as_by_shapely(str(shared_data / "tracks" / f"{name}.npy"), backwards, 11)


def test_no_parameter_of_the_table_was_left_out() -> None:
    task, seen = watched("oval", False)
    task.begin(np.arange(CARS))
    seen.clear()
    for _ in range(2):
        task.advance([STRAIGHT_ON] * CARS)
    everything = {*PARAMS, "waypoints", "closest_objects", *(key for key in seen[0] if key.startswith("objects_"))}
    assert set(seen[0]) == everything
    assert len(everything) == 27
