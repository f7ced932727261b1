"""Which evaluation is the best, by each of the original's metrics."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from made_records import episode

from lateapex.training.best_model import Metric, is_as_good, metric_of

TRIALS = [episode(90, phase="evaluation", status="lap_complete"), episode(90, phase="evaluation", progress=30.0)]


def test_each_metric_is_the_mean_over_all_trials() -> None:
    assert metric_of("progress", TRIALS, 100.0) == pytest.approx((TRIALS[0].progress + 30.0) / 2)
    assert metric_of("reward", TRIALS, 100.0) == pytest.approx((TRIALS[0].reward + TRIALS[1].reward) / 2)


def test_by_lap_time_a_trial_that_was_no_lap_counts_as_the_slowest() -> None:
    assert metric_of("laptime", TRIALS, 100.0) == pytest.approx((TRIALS[0].lap_time + 100.0) / 2)


@pytest.mark.parametrize("metric", get_args(Metric))
def test_anything_is_as_good_as_nothing_and_equals_win(metric: Metric) -> None:
    assert is_as_good(metric, 3.0, math.nan)
    assert is_as_good(metric, 3.0, 3.0)


@pytest.mark.parametrize(("metric", "better"), [("progress", 4.0), ("reward", 4.0), ("laptime", 2.0)])
def test_more_progress_or_reward_is_better_and_less_time(metric: Metric, better: float) -> None:
    assert is_as_good(metric, better, 3.0)
    assert not is_as_good(metric, 3.0, better)
