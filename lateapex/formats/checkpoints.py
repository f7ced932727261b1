"""Which versions of a model are the best and the last: deepracer_checkpoints.json and .coach_checkpoint."""

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


def read_coach_checkpoint(text: str, source: str) -> str:
    """Return the name of the newest checkpoint, such as "19_Step-0.ckpt", that .coach_checkpoint holds.

    Raises:
        FormatError: it is no file's name.
    """
    name = text.strip()
    if not _is_file_name(name):
        raise FormatError(f"{source} holds {shown(name)}; expected a checkpoint's name, such as 19_Step-4592.ckpt")
    return name


def write_coach_checkpoint(name: str) -> str:
    """Return the text of .coach_checkpoint: the name alone, without a line end."""
    return name


def _is_file_name(name: object) -> bool:
    """Whether `name` can be opened inside the model's folder and leads nowhere else."""
    return (
        isinstance(name, str) and name.isprintable() and name[:2] not in ("", ".", "..") and not {"/", "\\"} & set(name)
    )


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
    if not isinstance(name, str) or not _is_file_name(name):
        raise FormatError(f"{source}: {key}.name is {shown(name)}; expected a file's name, such as 19_Step-4592.pt")
    metric = entry.get("avg_eval_metric", entry.get("avg_comp_pct"))
    if metric is not None and not is_number(metric):
        raise FormatError(f"{source}: {key}.avg_eval_metric is {shown(metric)}; expected a number or null")
    if not is_number(time := entry.get("time_stamp", 0.0)):
        raise FormatError(f"{source}: {key}.time_stamp is {shown(time)}; expected seconds")
    return CheckpointEntry(name, None if metric is None else float(metric), float(time))
