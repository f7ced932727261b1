"""Advantages: worked by hand, and against the definition written out as a sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lateapex.training.returns import gae


def column(*values: Any) -> NDArray[Any]:
    """The steps of one car, `[T, 1]`."""
    return np.array(values)[:, None]


NO = column(False, False, False)


def advantages(
    rewards: Any, values: Any, following: Any, over: Any, cut: Any, discount: float, lam: float
) -> list[float]:
    found = gae(rewards, values, following, over, cut, discount=discount, lam=lam)
    assert found.dtype == np.float32
    return [float(value) for value in found[:, 0]]


def test_steps_that_go_on_worked_by_hand() -> None:
    # d = r + 0.5 v' - v: 1 + 0.5·4 - 2 = 1, 2 + 0.5·6 - 4 = 1, 3 + 0.5·8 - 6 = 1; each takes half of half of the next
    found = advantages(column(1, 2, 3), column(2, 4, 6), column(4, 6, 8), NO, NO, 0.5, 0.5)
    assert found == [1 + 0.25 * 1.25, 1.25, 1]


def test_behind_a_termination_lies_nothing() -> None:
    # d: 1 + 0.5·4 - 2 = 1, 2 - 4 = -2 whatever comes next, 3 + 0.5·8 - 6 = 1
    found = advantages(column(1, 2, 3), column(2, 4, 6), column(4, 99, 8), column(False, True, False), NO, 0.5, 0.5)
    assert found == [1 + 0.25 * -2, -2, 1]


def test_behind_a_truncation_lies_the_value_of_the_state_that_was_reached() -> None:
    # d: 1 + 0.5·4 - 2 = 1, 2 + 0.5·10 - 4 = 3 and no step of the next episode, 3 + 0.5·8 - 6 = 1
    found = advantages(column(1, 2, 3), column(2, 4, 6), column(4, 10, 8), NO, column(False, True, False), 0.5, 0.5)
    assert found == [1 + 0.25 * 3, 3, 1]


def test_a_step_that_is_both_counts_as_termination() -> None:
    both = column(False, True, False)
    assert advantages(column(1, 2, 3), column(2, 4, 6), column(4, 99, 8), both, both, 0.5, 0.5) == [0.5, -2, 1]


def test_lambda_0_looks_one_step_ahead_and_lambda_1_to_the_end() -> None:
    given_values = (column(1, 1, 1), column(5, 5, 5), column(5, 5, 0), column(False, False, True), NO)
    assert advantages(*given_values, 1.0, 0.0) == [1, 1, -4]
    # the discounted return, 1 + 0.5 + 0.25, less the value
    assert advantages(*given_values, 0.5, 1.0) == [1.75 - 5, 1.5 - 5, 1 - 5]


def test_a_discount_of_0_leaves_the_reward() -> None:
    assert advantages(column(1, 2, 3), column(2, 4, 6), column(4, 6, 8), NO, NO, 0.0, 0.95) == [-1, -2, -3]


def by_definition(
    rewards: NDArray[Any],
    values: NDArray[Any],
    following: NDArray[Any],
    over: NDArray[Any],
    cut: NDArray[Any],
    discount: float,
    lam: float,
) -> NDArray[np.float64]:
    """Sum of (discount · lambda)^l d_(t+l) up to the end of the episode or of the steps, for one car."""
    found = np.zeros(len(rewards))
    for t in range(len(rewards)):
        for k in range(t, len(rewards)):
            delta = rewards[k] + (0.0 if over[k] else discount * following[k]) - values[k]
            found[t] += (discount * lam) ** (k - t) * delta
            if over[k] or cut[k]:
                break
    return found


@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 30),
    cars=st.integers(1, 4),
    discount=st.floats(0, 1),
    lam=st.floats(0, 1),
)
def test_advantages_are_the_sum_of_the_definition(
    seed: int, steps: int, cars: int, discount: float, lam: float
) -> None:
    random = np.random.default_rng(seed)
    numbers = [random.normal(0, 10, (steps, cars)).astype(np.float32) for _ in range(3)]
    ends = [random.random((steps, cars)) < 0.15 for _ in range(2)]
    found = gae(*numbers, *ends, discount=discount, lam=lam)
    assert found.shape == (steps, cars)
    for car in range(cars):
        rewards, values, following = (item[:, car].astype(np.float64) for item in numbers)
        expected = by_definition(rewards, values, following, ends[0][:, car], ends[1][:, car], discount, lam)
        np.testing.assert_allclose(found[:, car], expected, rtol=1e-4, atol=1e-3)


def test_what_is_given_stays_as_it_is() -> None:
    given_values = [column(1.0, 2.0, 3.0) for _ in range(3)] + [NO.copy(), NO.copy()]
    kept = [item.copy() for item in given_values]
    gae(*given_values, discount=0.9, lam=0.9)
    for one, two in zip(given_values, kept, strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(TypeError):
        gae(*given_values, 0.9, 0.9)  # type: ignore[call-arg] # discount and lambda are told apart by name
