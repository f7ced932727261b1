"""What a privileged critic is told: the car's state, in numbers worked by hand on a straight and in a bend."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_tasks import at, small_task
from numpy.typing import NDArray

from lateapex.env.privileged import FIELDS, STATE_SENSOR, PrivilegedState
from lateapex.env.racing import RacingTask
from lateapex.env.sensors import SensorSettings
from lateapex.env.starts import RandomStarts


def told(task: RacingTask, name: str) -> NDArray[np.float32]:
    values: NDArray[np.float32] = task.observations[STATE_SENSOR][:, FIELDS.index(name)]
    return values


def standing(fraction: float, offset: float = 0.0, heading: float = 0.0, track: str = "oval") -> RacingTask:
    task = small_task(track, 1, pictures=False, state=True)
    task.begin(np.arange(1), at(fraction, offset, heading))
    return task


def test_a_task_without_it_has_no_state() -> None:
    assert STATE_SENSOR not in small_task().observations


def test_beside_the_line_on_a_straight_all_distances_are_those_of_the_place() -> None:
    task = standing(0.02, 0.25, 0.3)
    car = task.simulator.cars[0]
    width = car["track_width"]
    # The front point is not the centre: turned to the left it lies further out.
    out = 0.25 * width + car["distance_from_center"] - abs(0.25 * width)
    assert told(task, "offset")[0] == pytest.approx(2.0 * out / width, abs=1e-5)
    assert told(task, "left")[0] == pytest.approx(width / 2 - out, abs=1e-5)
    assert told(task, "right")[0] == pytest.approx(width / 2 + out, abs=1e-5)
    assert told(task, "heading_sin")[0] == pytest.approx(math.sin(0.3), abs=0.01)
    assert told(task, "heading_cos")[0] == pytest.approx(math.cos(0.3), abs=0.01)
    assert told(task, "curvature_0")[0] == pytest.approx(0.0, abs=0.01)
    assert [told(task, name)[0] for name in ("forward", "sideways", "yaw_rate", "progress", "begins")] == [
        0,
        0,
        0,
        0,
        1,
    ]


def test_curvature_is_told_where_it_will_be() -> None:
    task = standing(0.0)
    line = task.tracks[0]
    bends = {name: told(task, name)[0] for name in FIELDS if name.startswith("curvature_")}
    # The bend begins somewhere; a car that starts 1 m before it sees it at 1 m.
    ways = np.linspace(0.0, 1.0, 200, endpoint=False)
    curved = [told(standing(way), "curvature_0")[0] for way in ways]
    radius = 1.0 / max(curved)
    assert 0.3 < radius < 10.0
    for name, value in bends.items():
        way = (float(name.split("_")[1]) + line.length * 0.0 + task.simulator.cars["along"][0]) / line.length
        assert value == pytest.approx(told(standing(way - 0.14 / line.length), "curvature_0")[0], abs=0.05)


def test_driving_straight_ahead_fast_is_told_as_such() -> None:
    task = standing(0.0)
    for _ in range(5):
        task.advance([5])
    car = task.simulator.cars[0]
    assert told(task, "forward")[0] == pytest.approx(car["u"] / 4.0)
    assert car["u"] > 0.3
    assert told(task, "begins")[0] == 0.0
    assert 0.0 < told(task, "progress")[0] == pytest.approx(task.episodes["progress"][0] / 100.0)


@pytest.mark.parametrize("track", ["kidney", "sprint", "folded"])
def test_every_number_stays_small_whatever_happens(track: str) -> None:
    task = small_task(track, 8, pictures=False, state=True, starts=RandomStarts())
    task.begin(np.arange(8))
    random = np.random.default_rng(0)
    space = PrivilegedState(SensorSettings()).space
    for _ in range(60):
        over = np.logical_or(*task.advance(random.integers(0, 10, 8))[1:])
        task.begin(np.flatnonzero(over))
        seen = task.observations[STATE_SENSOR]
        assert all(space.contains(row) for row in seen)
        assert np.abs(seen).max() < 6.0
