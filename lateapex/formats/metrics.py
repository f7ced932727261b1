"""How each episode ended: TrainingMetrics.json and the evaluations' metrics files.

Times are whole milliseconds of simulated time, progress whole percent with its decimals cut.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from lateapex.errors import FormatError
from lateapex.formats.json_text import parse_object, shown
from lateapex.records import STATUSES, EpisodeRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Entry: TypeAlias = dict[str, int | str]
"""One episode."""

LABELS = {status: status.replace("_", " ").capitalize() for status in STATUSES} | {"time_up": "Time Up"}
"""Episode status in the words of these files."""


@dataclass(frozen=True)
class Metrics:
    """A whole metrics file."""

    entries: list[Entry]
    """In the order in which the episodes ended."""
    best_model_metric: str | None = None
    """progress, reward or laptime; None where the file does not say: an evaluation's, or one of 2020."""

    @property
    def text(self) -> str:
        """The file, as `write_metrics` writes it."""
        return write_metrics(self.entries, self.best_model_metric)


_REQUIRED = ("completion_percentage", "metric_time", "start_time", "elapsed_time_in_milliseconds", "trial")
_LARGEST = 2**53  # what any reader of JSON takes exactly
_OF_TRAINING = ("episode", "reward_score")
_FAULTS = {"crash": "crashed", "immobilized": "immobilized", "off_track": "off_track", "reversed": "reversed"}


def training_entry(record: EpisodeRecord, episode: int, trial: int) -> Entry:
    """Return an episode's entry in TrainingMetrics.json.

    Args:
        record: of either phase.
        episode: number from 1 over the whole run; an evaluation repeats that of the last training episode.
        trial: number from 1 within the iteration; an evaluation repeats that of the last training episode.
    """
    start, end = _times(record)
    return {
        "reward_score": round(record.reward) if math.isfinite(record.reward) else 0,
        "metric_time": end,
        "start_time": start,
        "elapsed_time_in_milliseconds": end - start,
        "episode": episode,
        "trial": trial,
        "phase": record.phase,
        "completion_percentage": int(record.progress),
        "episode_status": LABELS[record.status],
    }


def evaluation_entry(record: EpisodeRecord, trial: int) -> Entry:
    """Return a lap's entry in an evaluation's metrics file; `trial` counts from 1."""
    start, end = _times(record)
    faults: Entry = {f"{name}_count": _begins(record, status) for name, status in _FAULTS.items()}
    return {
        "completion_percentage": int(record.progress),
        "metric_time": end,
        "start_time": start,
        "elapsed_time_in_milliseconds": end - start,
        "episode_status": LABELS[record.status],
        **faults,
        "reset_count": sum(int(count) for count in faults.values()),
        "trial": trial,
    }


def write_metrics(entries: Iterable[Mapping[str, int | str] | str], best_model_metric: str | None = "progress") -> str:
    """Return a metrics file's text.

    Args:
        entries: in the order in which the episodes ended; one may be its JSON text already, which is worth keeping
            where a file is written again for each iteration.
        best_model_metric: what picks the best model, in a training file; None for an evaluation's, which does not say.
    """
    listed = ", ".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
    more = (
        "" if best_model_metric is None else f', "version": 2.0, "best_model_metric": {json.dumps(best_model_metric)}'
    )
    return f'{{"metrics": [{listed}]{more}}}'


def read_metrics(text: str, source: str) -> list[Entry]:
    """Return the entries of a metrics file of either kind and any year; raises as `read_metrics_file`."""
    return read_metrics_file(text, source).entries


def read_metrics_file(text: str, source: str) -> Metrics:
    """Read a metrics file of training or evaluation, of any year; keys that nobody knows stay in the entries.

    `source` is the file's name, for messages.

    Raises:
        FormatError: not JSON, no list of entries, or an entry without one of the numbers that all kinds have.
    """
    content = parse_object(text, source, FormatError)
    entries, metric = content.get("metrics"), content.get("best_model_metric")
    if not isinstance(entries, list):
        raise FormatError(f"{source}: metrics is {shown(entries)}; expected a list of episodes")
    if metric is not None and not isinstance(metric, str):
        raise FormatError(f"{source}: best_model_metric is {shown(metric)}; expected progress, reward or laptime")
    for place, entry in enumerate(entries):
        _check(entry, f"{source}: metrics[{place}]")
    return Metrics(entries, metric)


def _check(entry: Any, place: str) -> None:
    if not isinstance(entry, dict):
        raise FormatError(f"{place} is {shown(entry)}; expected an object")
    training = {"episode", "reward_score"} & entry.keys()
    for key in (*_REQUIRED, *(_OF_TRAINING if training else ())):
        value = entry.get(key)
        if type(value) is not int or abs(value) > _LARGEST:
            raise FormatError(f"{place}: {key} is {shown(value)}; expected a whole number")
    if not isinstance(entry.get("episode_status"), str):
        raise FormatError(f"{place}: episode_status is {shown(entry.get('episode_status'))}; expected a text")
    if training and entry.get("phase") not in ("training", "evaluation"):
        raise FormatError(f"{place}: phase is {shown(entry.get('phase'))}; expected training or evaluation")


def _times(record: EpisodeRecord) -> tuple[int, int]:
    return round(record.start_time * 1000), round(float(record.steps["sim_time"][-1]) * 1000)


def _begins(record: EpisodeRecord, status: str) -> int:
    """How often the car came into a status; rows that stay in it count once."""
    there = record.steps["status"] == STATUSES.index(status)
    return int(there[0]) + int((there[1:] & ~there[:-1]).sum())
