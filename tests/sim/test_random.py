"""Counter-based random numbers: the generator's published answers, its range, and that order does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.sim.random import ACTION, SHUFFLE, START, WEIGHTS, uniforms, words

MOST = 0xFFFFFFFF

# Counter, key (low, high), answer: the known-answer file of the Random123 library, philox4x32 with 10 rounds.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((MOST, MOST, MOST, MOST), (MOST, MOST), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]

below_2_32 = st.integers(0, MOST)
seeds = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_words_are_those_of_philox4x32_10(
    counter: tuple[int, int, int, int], key: tuple[int, int], answer: tuple[int, int, int, int]
) -> None:
    car, episode, purpose, index = counter
    assert tuple(words(key[0] | key[1] << 32, car, episode, purpose, index)[0].tolist()) == answer


@given(seeds, below_2_32, below_2_32, below_2_32)
def test_uniforms_lie_in_0_to_1_and_are_the_words_scaled(seed: int, car: int, episode: int, index: int) -> None:
    drawn = uniforms(seed, car, episode, ACTION, index)
    assert drawn.shape == (1, 4)
    assert ((drawn >= 0.0) & (drawn < 1.0)).all()
    assert (drawn * 2.0**32 == words(seed, car, episode, ACTION, index)).all()


def test_the_largest_word_stays_below_1() -> None:
    assert np.float64(MOST) * 2.0**-32 < 1.0


@given(seeds, st.lists(st.tuples(below_2_32, below_2_32, below_2_32), min_size=1, max_size=20), st.randoms())
def test_order_and_company_of_a_question_do_not_change_its_answer(
    seed: int, asked: list[tuple[int, int, int]], shuffler: object
) -> None:
    cars, episodes, indices = np.array(asked, np.uint64).T
    together = words(seed, cars, episodes, START, indices)
    order = list(range(len(asked)))
    shuffler.shuffle(order)  # type: ignore[attr-defined]  # hypothesis hands over a random.Random
    for n in order:
        car, episode, index = asked[n]
        assert (words(seed, car, episode, START, index)[0] == together[n]).all()


def test_numbers_and_arrays_broadcast_against_each_other() -> None:
    drawn = words(7, np.arange(5), 3, START)
    assert drawn.shape == (5, 4)
    assert (drawn[2] == words(7, 2, 3, START, 0)[0]).all()


def test_seeds_cars_episodes_purposes_and_indices_all_differ() -> None:
    drawn = [words(seed, 0, 0, START) for seed in (0, 1, 2**32)]
    drawn += [words(0, 1, 0, START), words(0, 0, 1, START), words(0, 0, 0, START, 1)]
    drawn += [words(0, 0, 0, purpose) for purpose in (ACTION, SHUFFLE, WEIGHTS)]
    assert len({tuple(row[0]) for row in drawn}) == len(drawn)


def test_many_uniforms_have_the_mean_and_spread_of_a_uniform_distribution() -> None:
    drawn = uniforms(1, np.arange(5000), 0, ACTION)
    # Standard errors with 5000 draws: 0.0041 of the mean, 0.0011 of the variance, 0.014 of a correlation.
    assert np.abs(drawn.mean(axis=0) - 0.5).max() < 0.02
    assert np.abs(drawn.var(axis=0) - 1.0 / 12.0).max() < 0.006
    assert np.abs(np.corrcoef(drawn.T) - np.eye(4)).max() < 0.07
