"""Snapshots of shares of a run's cars as one of all cars, in the form of `LocalCollector.snapshot`, and back.

So a run goes on with another number of workers than it was saved with, or with none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

State = Mapping[str, Any]

_SPECIAL: Final = ("cars", "clock", "things")
"""All else of a task's snapshot are arrays with a row for each car, or mappings of such."""


def joined_states(parts: Sequence[State], steps: int | None = None) -> dict[str, Any]:
    """Return the snapshot of all cars, from those of shares in the order of the cars' numbers.

    Args:
        steps: taken so far over all cars, where shares need not be equally far; whoever goes on from there begins new
            episodes then.

    Raises:
        ValueError: the shares are not equally far, or hold what was unknown when this was written.
    """
    if steps is None and len(clocks := {(part["task"]["clock"], part["steps"]) for part in parts}) > 1:
        raise ValueError(f"shares are not equally far: {sorted(clocks)}")
    anew = steps is not None or any(part.get("anew") for part in parts)
    return {
        "task": _joined_tasks([part["task"] for part in parts]),
        "recorder": _joined([part["recorder"] for part in parts]),
        "steps": parts[0]["steps"] if steps is None else steps,
        "memory": _joined_memories([part["memory"] for part in parts]),
        **({"anew": True} if anew else {}),
    }


def split_state(whole: State, counts: Sequence[int]) -> list[dict[str, Any]]:
    """Return the snapshots of shares of so many cars each, from that of all cars.

    Raises:
        ValueError: it is of another number of cars.
    """
    found = len(whole["task"]["cars"])
    if found != sum(counts):
        raise ValueError(f"a snapshot of {found} cars, not {sum(counts)}")
    ends = list(accumulate(counts))
    spans = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    anew = {"anew": True} if whole.get("anew") else {}
    return [
        {
            "task": _task_of(whole["task"], span),
            "recorder": _cut(whole["recorder"], span),
            "steps": whole["steps"],
            "memory": _memory_of(whole["memory"], span),
            **anew,
        }
        for span in spans
    ]


def _joined_tasks(tasks: Sequence[State]) -> dict[str, Any]:
    for task in tasks:
        _refuse_others(task)
    joined: dict[str, Any] = {name: _joined([task[name] for task in tasks]) for name in _per_car(tasks[0])}
    joined["clock"] = max(task["clock"] for task in tasks)
    joined["cars"] = np.concatenate([task["cars"] for task in tasks])
    counts, worlds = ([len(task["cars"]) for task in tasks], [_worlds(task) for task in tasks])
    joined["cars"]["world"] += _before(worlds, counts)
    if "things" in tasks[0]:
        things = np.concatenate([task["things"] for task in tasks])
        _shift_cars(things, _before(counts, worlds)[:, None])
        joined["things"] = things
    return joined


def _task_of(task: State, span: slice) -> dict[str, Any]:
    _refuse_others(task)
    part: dict[str, Any] = {name: _cut(task[name], span) for name in _per_car(task)}
    part["clock"] = task["clock"]
    part["cars"] = task["cars"][span].copy()
    first = int(part["cars"]["world"][0])
    part["cars"]["world"] -= first
    if "things" in task:
        things = task["things"][first : first + _worlds(part)].copy()
        _shift_cars(things, np.int64(-span.start))
        part["things"] = things
    return part


def _per_car(task: State) -> list[str]:
    return [name for name in task if name not in _SPECIAL]


def _refuse_others(task: State) -> None:
    """See that what is taken for rows of cars has as many as there are cars."""
    for name in _per_car(task):
        if not _has_rows(task[name], len(task["cars"])):
            raise ValueError(f"a snapshot holds {name}, which cannot be shared out")


def _has_rows(value: Any, count: int) -> bool:
    if isinstance(value, Mapping):
        return all(_has_rows(item, count) for item in value.values())
    return isinstance(value, np.ndarray) and value.shape[:1] == (count,)


def _worlds(task: State) -> int:
    return int(task["cars"]["world"].max()) + 1


def _before(sizes: Sequence[int], times: Sequence[int]) -> NDArray[np.int64]:
    """For each share `times` times: the sum of the sizes of those before it."""
    return np.repeat(np.cumsum([0, *sizes[:-1]]), times)


def _shift_cars(things: NDArray[Any], by: Any) -> None:
    """Number the cars among things `[W, M]` anew; other things have no number."""
    cars = things["car"]
    things["car"] = np.where(cars >= 0, cars + by, cars)


def _joined(parts: Sequence[Any]) -> Any:
    """Arrays `[N, ...]`, or `[N, L, ...]` where shares differ in L, or mappings of them: those of all cars."""
    if isinstance(parts[0], Mapping):
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    most = max(part.shape[1] for part in parts)
    return np.concatenate([_lengthened(part, most) for part in parts])


def _cut(whole: Any, span: slice) -> Any:
    """What `_joined` gives, of some cars alone."""
    if isinstance(whole, Mapping):
        return {name: _cut(item, span) for name, item in whole.items()}
    return whole[span].copy()


def _lengthened(values: NDArray[Any], length: int) -> NDArray[Any]:
    missing = length - values.shape[1]
    if not missing:
        return values
    return np.concatenate([values, np.zeros((len(values), missing, *values.shape[2:]), values.dtype)], axis=1)


def _joined_memories(memories: Sequence[State | None]) -> dict[str, Any] | None:
    known = [memory for memory in memories if memory is not None]
    if len(known) < len(memories):
        return None
    return {
        "frames": {name: torch.cat([memory["frames"][name] for memory in known]) for name in known[0]["frames"]},
        "actor": torch.cat([memory["actor"] for memory in known]),
        "critic": torch.cat([memory["critic"] for memory in known]),
    }


def _memory_of(memory: State | None, span: slice) -> dict[str, Any] | None:
    if memory is None:
        return None
    frames: Mapping[str, Tensor] = memory["frames"]
    return {
        "frames": {name: frame[span] for name, frame in frames.items()},
        "actor": memory["actor"][span],
        "critic": memory["critic"][span],
    }
