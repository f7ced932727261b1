"""logs/training.jsonl of a run: one JSON object a line for each update, evaluation and finding."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from lateapex.errors import FormatError
from lateapex.formats.json_text import parse_object, shown
from lateapex.records import EpisodeRecord, EvaluationRecord, FindingRecord, Payment, TrackEvaluation, UpdateRecord

Logged: TypeAlias = UpdateRecord | EvaluationRecord | FindingRecord

_KINDS: Final[dict[str, type[Logged]]] = {
    "update": UpdateRecord,
    "evaluation": EvaluationRecord,
    "finding": FindingRecord,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_MEANS: Final = ("mean_progress", "mean_reward")  # null stands for NaN; elsewhere for None


def json_line(record: Logged) -> str:
    """Return a record's line, with its end; what is not finite becomes null."""
    values = {field.name: _plain(getattr(record, field.name)) for field in fields(record)}
    return json.dumps({"kind": _NAMES[type(record)], **values}, allow_nan=False) + "\n"


def scene_line(episode: int, record: EpisodeRecord) -> str:
    """Return a line on how the world differed in an episode, with its end; `episode` is its number in the traces."""
    about = {"episode": episode, "track": record.track, "car": record.car, "car_episode": record.car_episode}
    return json.dumps({**about, "scene": record.scene}, allow_nan=False) + "\n"


def read_run_log(text: str, source: str) -> Iterator[Logged]:
    """Yield the records of a log, in order; a last line without an end was being written and does not count.

    Lines of other kinds are passed over, and so are names that a record does not have: a later version may know more.

    Raises:
        FormatError: a line is damaged; `source` is the log's name, for the message.
    """
    for number, line in enumerate(text.split("\n")[:-1], 1):
        entry = parse_object(line, f"{source}:{number}", FormatError)
        if (kind := _KINDS.get(str(entry.get("kind")))) is not None:
            yield _record(kind, entry, f"{source}:{number}")


def _record(kind: type[Logged], entry: Mapping[str, Any], source: str) -> Logged:
    known = {field.name for field in fields(kind)} & entry.keys()
    values = {name: entry[name] for name in known}
    try:
        for name in known.intersection(_MEANS):
            values[name] = _number(values[name])
        if kind is UpdateRecord:
            values["losses"] = {name: _number(value) for name, value in entry["losses"].items()}
            values["actions"] = tuple(entry.get("actions", ()))
            payment = entry.get("payment")
            values["payment"] = payment and Payment(**{name: _number(value) for name, value in payment.items()})
        elif kind is EvaluationRecord:
            parts = ({**part, "mean_progress": _number(part["mean_progress"])} for part in entry.get("tracks", ()))
            values["tracks"] = tuple(TrackEvaluation(**part) for part in parts)
        return kind(**values)
    except (AttributeError, KeyError, TypeError) as error:
        raise FormatError(f"{source} is no whole record: {error}; found {shown(entry)}") from None


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no NaN
    return value
