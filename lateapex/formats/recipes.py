"""Files of what episodes are driven again from: one JSON object a line, actions as base64 of their bytes.

    {"phase": "training", "number": 12, "car": 3, "track": "kidney", "seed": 0, "episode": 4, "clock": 812,
     "max_steps": 100000, "start": null, "type": "|u1", "actions": "AQEF...", "digest": "9f...", "seen": "...",
     "paid": "..."}

Actions take 1 byte a step where there are at most 256 of them, and 8 in a continuous action space, before base64.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.errors import FormatError
from lateapex.formats.json_text import parse_object, shown
from lateapex.records import EpisodeRecord, Recipe

FILE: Final = "episodes.jsonl"
"""What such a file is called."""

_TYPES: Final = ("|u1", "<i4", "<f4", "<f8")
"""In which actions are written."""


class Noted(NamedTuple):
    """One line."""

    phase: Literal["training", "evaluation"]
    number: int
    """Of the episode: as in the trace; while training evaluates, of the trial."""
    car: int
    track: str
    recipe: Recipe


def recipe_line(number: int, record: EpisodeRecord) -> str:
    """Return an episode's line, with its end; "" if it cannot be driven again."""
    if record.recipe is None:
        return ""
    head = {"phase": record.phase, "number": number, "car": record.car, "track": record.track}
    return json.dumps({**head, **plain_recipe(record.recipe)}) + "\n"


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain values."""
    kept = _smallest(recipe.actions)
    values = {name: value for name, value in vars(recipe).items() if name not in ("actions", "digest", "seen", "paid")}
    return {
        **values,
        "type": kept.dtype.str,
        "actions": base64.b64encode(kept.tobytes()).decode(),
        "digest": recipe.digest,
        "seen": recipe.seen,
        "paid": recipe.paid,
    }


def recipe_of(values: Mapping[str, Any], source: str) -> Recipe:
    """Return the recipe of what `plain_recipe` gave; `source` is where that stands, for messages.

    Raises:
        FormatError: something is missing or damaged.
    """
    try:
        return Recipe(
            seed=int(values["seed"]),
            episode=int(values["episode"]),
            clock=int(values["clock"]),
            max_steps=int(values["max_steps"]),
            start=None if values["start"] is None else _start(values["start"]),
            actions=_actions(values),
            digest=str(values["digest"]),
            seen=str(values["seen"]),
            paid=str(values["paid"]),
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise FormatError(f"{source} tells of no whole episode: {error}; found {shown(dict(values))}") from None


def read_recipes(text: str, source: str, wanted: Callable[[Mapping[str, Any]], bool] | None = None) -> Iterator[Noted]:
    """Yield the episodes of a file, in order; a last line without an end was being written and does not count.

    Args:
        text: of the file.
        source: its name, for messages.
        wanted: says of a line's values whether it is to be read; all are if not given.

    Raises:
        FormatError: a line is damaged.
    """
    for place, line in enumerate(text.split("\n")[:-1], 1):
        where = f"{source}:{place}"
        values = parse_object(line, where, FormatError)
        if wanted is not None and not wanted(values):
            continue
        recipe = recipe_of(values, where)
        if values.get("phase") not in ("training", "evaluation") or not isinstance(values.get("number"), int):
            raise FormatError(f"{where} does not say which episode it is; found {shown(values)}")
        yield Noted(values["phase"], values["number"], int(values.get("car", 0)), str(values.get("track", "")), recipe)


def _smallest(actions: NDArray[Any]) -> NDArray[Any]:
    """The same values in as few bytes as hold them exactly."""
    names = ("<f4", "<f8") if actions.dtype.kind == "f" else ("|u1", "<i4")
    with np.errstate(over="ignore", invalid="ignore"):
        small = actions.astype(names[0])
    return small if np.array_equal(small, actions) else actions.astype(names[1])


def _actions(values: Mapping[str, Any]) -> NDArray[Any]:
    if values["type"] not in _TYPES:
        raise ValueError(f"type is {values['type']!r}; one of {', '.join(_TYPES)} is known")
    kept = np.frombuffer(base64.b64decode(values["actions"], validate=True), np.dtype(values["type"]))
    return kept.reshape(-1, 2).astype(np.float64) if kept.dtype.kind == "f" else kept.astype(np.int32)


def _start(values: Any) -> tuple[float, float, float]:
    fraction, offset, heading = (float(value) for value in values)
    return fraction, offset, heading
