"""Which evaluation is the best, in the original's words: by progress, reward or lap time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from lateapex.records import EpisodeRecord

Metric: TypeAlias = Literal["progress", "reward", "laptime"]


def metric_of(metric: Metric, episodes: Sequence[EpisodeRecord], slowest: float) -> float:
    """Mean over the trials of an evaluation: percent of the lap, sum of rewards, or seconds of the lap.

    Args:
        slowest: s, which a trial counts that was no whole lap.
    """
    if metric == "progress":
        values = [episode.progress for episode in episodes]
    elif metric == "reward":
        values = [episode.reward for episode in episodes]
    else:
        values = [episode.lap_time if episode.status == "lap_complete" else slowest for episode in episodes]
    return float(np.mean(values))


def is_as_good(metric: Metric, value: float, best: float) -> bool:
    """Whether a value is no worse than the best so far; NaN: there is none."""
    return math.isnan(best) or (value <= best if metric == "laptime" else value >= best)
