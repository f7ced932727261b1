"""How sure a counted share is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.analysis.intervals import wilson


def test_the_interval_is_that_of_the_textbook():
    # Newcombe 1998, Two-sided confidence intervals for the single proportion, table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_of_nothing_counted_nothing_is_known():
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500), st.data())
def test_the_share_lies_within_and_the_other_share_mirrors_it(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials)
    assert 0.0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1.0
    other_low, other_high = wilson(trials - successes, trials)
    assert (1.0 - other_high, 1.0 - other_low) == pytest.approx((low, high), abs=1e-9)


@given(st.integers(1, 100), st.integers(2, 20), st.data())
def test_more_trials_make_it_narrower(trials, times, data):
    successes = data.draw(st.integers(0, trials))
    few, many = wilson(successes, trials), wilson(times * successes, times * trials)
    assert many[1] - many[0] < few[1] - few[0]
