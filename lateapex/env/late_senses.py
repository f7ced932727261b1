"""Sensors whose values reach the car late: pictures and scans of some steps ago."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateapex.env.privileged import STATE_SENSOR
from lateapex.env.sensors import Look, Senses
from lateapex.sim.delays import Delays


class LateSenses:
    """The latency of all sensors that a model's metadata can name; the privileged state is what is now."""

    def __init__(self, senses: Senses) -> None:
        self._senses = senses
        self._parts: dict[str, list[Delays]] = {}
        self._last: dict[str, NDArray[Any]] = {}
        for name, seen in senses.observations.items():
            if name == STATE_SENSOR or not seen.size:
                continue
            lenses = [seen] if seen.flags.c_contiguous else [seen[..., eye] for eye in range(seen.shape[-1])]
            self._parts[name] = [Delays(lens) for lens in lenses]
            if not senses.draws(name):
                self._last[name] = seen.copy()

    def set_latency(self, cars: NDArray[np.int64], steps: NDArray[np.int64]) -> None:
        """Say how late some cars, `[M]`, sense in the episode that they begin."""
        for part in self._each():
            part.latency[cars] = steps

    def hold_back(self, look: Look) -> None:
        """See `Variations.hold_back`."""
        for name, parts in self._parts.items():
            if (last := self._last.get(name)) is not None:
                # A lidar leaves rows as they are where it repeats itself: there stands what came late before.
                seen, filled = self._senses.observations[name], self._senses.filled(name, look)
                last[filled] = seen[filled]
                seen[look.cars] = last[look.cars]
            for part in parts:
                part.hold_back(look.cars, look.steps)

    def _each(self) -> list[Delays]:
        return [part for parts in self._parts.values() for part in parts]

    def snapshot(self) -> dict[str, Any]:
        """What is held back, as copies."""
        held = {str(place): part.snapshot() for place, part in enumerate(self._each())}
        return {"parts": held, "last": {name: last.copy() for name, last in self._last.items()}}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot of as many cars."""
        for place, part in enumerate(self._each()):
            part.restore(snapshot["parts"][str(place)])
        for name, last in self._last.items():
            last[:] = snapshot["last"][name]
