"""Start poses: their ranges, their order round the lap, and that a draw belongs to its car and episode alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.env.starts import RandomStarts, RoundRobinStarts

CARS = np.arange(100)


def test_round_robin_starts_walk_round_the_lap_in_twentieths() -> None:
    car = np.zeros(21, np.int64)
    poses = RoundRobinStarts().draw(0, car, np.arange(21))
    assert poses.fraction == pytest.approx([*(np.arange(20) / 20), 0.0])
    assert not poses.offset.any()
    assert not poses.heading.any()


def test_round_robin_starts_spread_the_cars_and_wrap() -> None:
    starts = RoundRobinStarts(advance=0.5, first=0.3, spread=0.25)
    # 0.3 + 0.25 * car + 0.5 * episode: 0.3, 0.3 + 0.25 + 0.5 = 1.05, 0.3 + 0.75 + 1.0 = 2.05
    poses = starts.draw(9, np.array([0, 1, 3]), np.array([0, 1, 2]))
    assert poses.fraction == pytest.approx([0.3, 0.05, 0.05])


def test_an_advance_of_zero_starts_always_at_the_same_place() -> None:
    poses = RoundRobinStarts(advance=0.0, first=0.4).draw(0, CARS, CARS)
    assert set(poses.fraction.tolist()) == {0.4}


def test_random_starts_fill_their_ranges() -> None:
    cars, episodes = (grid.ravel() for grid in np.meshgrid(CARS, np.arange(40)))
    poses = RandomStarts(offset=0.3, heading=0.2).draw(1, cars, episodes)
    for values, low, high in ((poses.fraction, 0.0, 1.0), (poses.offset, -0.3, 0.3), (poses.heading, -0.2, 0.2)):
        assert low <= values.min()
        assert values.max() < high
        # 4000 draws: each tenth of the range holds 400, with a standard deviation of 19
        counts = np.histogram(values, 10, (low, high))[0]
        assert counts.min() > 320
        assert counts.max() < 480


def test_the_default_random_start_lies_within_half_a_lane_and_15_degrees() -> None:
    poses = RandomStarts().draw(3, CARS, CARS)
    assert np.abs(poses.offset).max() <= 0.25
    assert np.abs(poses.heading).max() <= math.radians(15)


def test_fraction_offset_and_heading_are_independent() -> None:
    poses = RandomStarts().draw(5, np.arange(4000), np.zeros(4000, np.int64))
    assert np.abs(np.corrcoef(np.stack(poses)) - np.eye(3)).max() < 0.08  # 5 standard deviations of 1 / sqrt(4000)


@given(seed=st.integers(0, 2**64 - 1), car=st.integers(0, 99), episode=st.integers(0, 2**32 - 1))
def test_a_random_start_depends_on_seed_car_and_episode_alone(seed: int, car: int, episode: int) -> None:
    alone = RandomStarts().draw(seed, np.array([car]), np.array([episode]))
    among = RandomStarts().draw(seed, CARS, np.full(100, episode))
    assert [item[0] for item in alone] == [item[car] for item in among]


def test_seeds_cars_and_episodes_differ() -> None:
    starts, zero, one = RandomStarts(), np.array([0]), np.array([1])
    drawn = [
        starts.draw(*where).fraction[0] for where in ((0, zero, zero), (0, one, zero), (0, zero, one), (1, zero, zero))
    ]
    assert len(set(drawn)) == 4
