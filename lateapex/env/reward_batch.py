"""The parameters of all cars at once, as `reward_batch(params)` gets them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, Final

import numpy as np

from lateapex.env.reward_base import Step

OBJECTS: Final = (
    "objects_location",
    "objects_left_of_center",
    "objects_speed",
    "objects_heading",
    "objects_distance",
    "objects_distance_from_center",
)
"""Parameters that are a list of the objects on the track, empty where there are none."""


class BatchParams(MutableMapping[str, Any]):
    """One step's own copy of the parameters, each made when it is asked for."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._values: dict[str, Any] = dict.fromkeys((*step.params, *step.shared, *OBJECTS), BatchParams)

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        if value is BatchParams:  # stands for what was not made yet
            value = self._values[name] = self._made(name)
        return value

    def _made(self, name: str) -> Any:
        params, shared, needed, _ = self._step
        if name in params:
            return params[name]
        if name in shared:
            return [item.copy() for item in shared[name]]
        return np.zeros((len(needed), 0, 2) if name == "objects_location" else (len(needed), 0))

    def __setitem__(self, name: str, value: Any) -> None:
        self._values[name] = value

    def __delitem__(self, name: str) -> None:
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self))
