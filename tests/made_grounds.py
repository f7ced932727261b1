"""Grounds that are painted once for all tests of a process: the same roads are driven on in most of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from lateapex.sim.ground import Ground
from lateapex.world.scene import Scene
from lateapex.world.track import Track

KEPT = 12
"""Grounds of each kind; most have 3 MB, a coloured one of a large track 100 MB."""
PAINTERS = (("simulator", "paint_grounds"), ("simulator", "paint_codes"), ("spectator", "paint_grounds"))


class Road:
    """Tracks and scenes, equal where all is that a painter looks at."""

    def __init__(self, tracks: Sequence[Track], scenes: Sequence[Scene]) -> None:
        self.tracks, self.scenes = tracks, scenes
        self.key = tuple(
            (track.center.tobytes(), track.inner.tobytes(), track.outer.tobytes(), track.closed, track.lines, scene)
            for track, scene in zip(tracks, scenes, strict=True)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Road) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def paint_once() -> None:
    """Let simulators and spectators that are made from now on share their grounds; kernels only read them."""
    for module, name in PAINTERS:
        found = sys.modules.get(f"lateapex.sim.{module}")
        if found is not None and not hasattr(getattr(found, name), "paints"):
            setattr(found, name, _remembering(getattr(found, name)))


def _remembering(painter: Callable[..., Ground]) -> Any:
    @lru_cache(KEPT)
    def painted(road: Road, **how: bool) -> Ground:
        return painter(road.tracks, road.scenes, **how)

    def paint(tracks: Sequence[Track], scenes: Sequence[Scene], **how: bool) -> Ground:
        return painted(Road(tracks, scenes), **how)

    paint.paints = painter  # type: ignore[attr-defined] # marks it
    return paint
