"""Pairs of windows with the same commands: who is paired, and what half of their difference is."""

from __future__ import annotations

import numpy as np
import pytest
from made_tables import blank, table

from lateapex.analysis.repeatability import FEWEST, repeatability
from lateapex.world.vehicle import Vehicle

EPISODES = 2 * FEWEST


def test_the_error_of_a_perfect_model_is_the_difference_of_a_pair_over_the_root_of_two() -> None:
    # One window of 5 steps after 15 of history fits into 21 rows. Every second car ends 2 cm further left than its
    # twin, and turned by 3 degrees: 1.41 cm and 2.12 degrees.
    parts = [blank(21, episode=episode) for episode in range(EPISODES)]
    for rows in parts[1::2]:
        rows["y"][20], rows["yaw"][20] = 0.02, np.radians(3.0)
    found = [pairs for pairs in repeatability(table(*parts), Vehicle(), 5) if pairs.start == "rolling"]
    assert [(pairs.steps, pairs.pairs) for pairs in found] == [(5, FEWEST)]
    assert found[0].simulator == pytest.approx((1.4142, 2.1213), abs=1e-4)


def test_windows_of_the_same_episode_are_no_pair() -> None:
    assert repeatability(table(blank(400)), Vehicle(), 5) == []


def test_episodes_with_other_commands_are_no_pair() -> None:
    parts = [blank(22, episode=episode) for episode in range(EPISODES)]
    for episode, rows in enumerate(parts):
        rows["speed"] = 1.0 + 0.01 * episode
    assert repeatability(table(*parts), Vehicle(), 5) == []


def test_cars_that_moved_otherwise_before_are_no_pair() -> None:
    parts = [blank(22, episode=episode, apart=0.02 + 0.01 * episode) for episode in range(EPISODES)]
    assert [pairs for pairs in repeatability(table(*parts), Vehicle(), 5) if pairs.start == "rolling"] == []


def test_the_difference_does_not_depend_on_where_and_which_way_the_cars_start() -> None:
    drawn = np.random.default_rng(2)
    parts = []
    for episode in range(EPISODES):
        rows = blank(21, episode=episode)
        turn = drawn.uniform(-np.pi, np.pi)
        x = rows["x"].copy()
        rows["x"], rows["y"], rows["yaw"] = x * np.cos(turn) + 3.0, x * np.sin(turn) - 2.0, turn
        parts.append(rows)
    found = [pairs for pairs in repeatability(table(*parts), Vehicle(), 5) if pairs.start == "rolling"]
    assert found[0].pairs == FEWEST
    assert found[0].simulator == pytest.approx((0.0, 0.0), abs=1e-9)
