"""Which versions of a model are the best and the last: deepracer_checkpoints.json."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lateapex.errors import FormatError
from lateapex.formats.json_text import is_number, parse_object, shown

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class CheckpointEntry:
    """One version of the model."""

    name: str
    """File beside deepracer_checkpoints.json, such as "19_Step-4592.pt"."""
    avg_eval_metric: float | None
    """Mean of the metric that picks the best, percent of the lap as a rule; None before its first evaluation."""
    time_stamp: float
    """Simulated seconds."""


def write_checkpoints(best: CheckpointEntry, last: CheckpointEntry) -> str:
    """Return the file's text; a metric that is not finite is written as null."""
    return json.dumps({"best_checkpoint": _content(best), "last_checkpoint": _content(last)}, allow_nan=False)


def read_checkpoints(text: str, source: str) -> tuple[CheckpointEntry, CheckpointEntry]:
    """Return the best and the last checkpoint; files of 2020 call the metric avg_comp_pct.

    `source` is the file's name, for messages.

    Raises:
        FormatError: not JSON, or an entry or its name is missing or no file's name.
    """
    content = parse_object(text, source, FormatError)
    return _entry(content, "best_checkpoint", source), _entry(content, "last_checkpoint", source)


def _content(entry: CheckpointEntry) -> dict[str, str | float | None]:
    metric = entry.avg_eval_metric
    known = metric is not None and math.isfinite(metric)
    return {"name": entry.name, "avg_eval_metric": metric if known else None, "time_stamp": entry.time_stamp}


def _entry(content: Mapping[str, Any], key: str, source: str) -> CheckpointEntry:
    entry = content.get(key)
    if not isinstance(entry, dict):
        found = f"{key} is {shown(entry)}" if key in content else f"there is no {key}"
        raise FormatError(f'{source}: {found}; expected {{"name": ..., "avg_eval_metric": ..., "time_stamp": ...}}')
    name = entry.get("name")
    # A name is opened inside the model's folder: one that leads out of it is refused.
    if not isinstance(name, str) or not name or {"/", "\\"} & set(name) or name.startswith(".."):
        raise FormatError(f"{source}: {key}.name is {shown(name)}; expected a file's name, such as 19_Step-4592.pt")
    metric = entry.get("avg_eval_metric", entry.get("avg_comp_pct"))
    if metric is not None and not is_number(metric):
        raise FormatError(f"{source}: {key}.avg_eval_metric is {shown(metric)}; expected a number or null")
    if not is_number(time := entry.get("time_stamp", 0.0)):
        raise FormatError(f"{source}: {key}.time_stamp is {shown(time)}; expected seconds")
    return CheckpointEntry(name, None if metric is None else float(metric), float(time))
