"""Late pictures: each car sees what was there its latency ago, and at first what it saw first."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lateapex.sim.delays import Delays


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(1, 12), st.integers(0, 12))
def test_each_car_sees_what_was_there_its_latency_ago(latency: list[int], steps: int, stop: int) -> None:
    count = len(latency)
    seen = np.zeros((count, 2, 3), np.uint8)
    delays, everyone = Delays(seen), np.arange(count)
    delays.latency[:] = latency
    for step in range(steps):
        seen[:] = 10 * step + everyone[:, None, None]
        delays.hold_back(everyone, np.full(count, step))
        for car, late in enumerate(latency):
            assert np.all(seen[car] == 10 * max(step - late, 0) + car)
        if step == stop:  # goes on in another with what was held
            other = Delays(seen)
            other.restore(delays.snapshot())
            delays = other


def test_a_car_that_begins_anew_sees_nothing_of_the_episode_before() -> None:
    seen = np.zeros((2, 4), np.float32)
    delays = Delays(seen)
    delays.latency[:] = 2
    for step in range(4):
        seen[:] = step
        delays.hold_back(np.arange(2), np.full(2, step))
    seen[0] = 100.0
    delays.latency[0] = 3
    ages = np.array([0, 4])
    delays.hold_back(np.array([0]), ages)
    assert seen[:, 0].tolist() == [100.0, 1.0]
    for step in range(1, 4):
        seen[:] = [[100.0 + step], [3.0 + step]]
        delays.hold_back(np.arange(2), ages + step)
    assert seen[:, 0].tolist() == [100.0, 4.0]
