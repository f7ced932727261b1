"""Draws what cars see in a scene: the first pictures of 24 episodes on one sheet, in colour."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from lateapex.analysis.contact_sheet import draw_contact_sheet
from lateapex.env.racing import RacingTask
from lateapex.env.scenes import GivenScene
from lateapex.env.starts import StartPoses
from lateapex.errors import ConfigError
from lateapex.storage import DiskStorage
from lateapex.world.track import load_track
from lateapex.world.variation import NEUTRAL, PICTURE_TABLES, QUANTITIES

SAMPLES: Final = 24
_LINES: Final = 4  # of values below each picture
_IN_ONE: Final = 2
_SEEN: Final = frozenset({*PICTURE_TABLES, "start"})


def scene_sheet(scene: GivenScene, track: str, out: Path, seed: int = 0) -> list[dict[str, float]]:
    """Write the sheet: 24 cars evenly round the track, moved as the scene says; below each picture what changed it.

    Returns:
        All values of each that are not as usual, by name.

    Raises:
        ConfigError: `out` is no name of a PNG.
        TrackError: the track is unknown, or a file no track.
    """
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out is {out}; a name that ends in .png is needed, such as {out.with_suffix('.png')}")
    task = RacingTask(load_track(track), SAMPLES, seed=seed, colour=True, scene=scene)
    everyone = np.zeros(SAMPLES)
    task.begin(np.arange(SAMPLES), StartPoses(np.arange(SAMPLES) / SAMPLES, everyone, everyone), moved=True)
    values = [{} if task.varied is None else task.varied.of_episode(car) for car in range(SAMPLES)]
    DiskStorage(out.parent).write(out.name, draw_contact_sheet(task.pictures, [_words(each) for each in values]))
    return values


def _words(values: dict[str, float]) -> list[str]:
    """The values that are farthest from usual, as shares of what is possible, among those that pictures show."""
    away = {
        item.name: abs(values[item.name] - NEUTRAL[place]) / (item.high - item.low)
        for place, item in enumerate(QUANTITIES)
        if item.name in values and item.name.partition(".")[0] in _SEEN
    }
    chosen = sorted(away, key=lambda name: -away[name])[: _LINES * _IN_ONE]
    words = [f"{name.partition('.')[2].removesuffix('_deg')} {values[name]:.3g}" for name in chosen]
    return ["  ".join(words[n : n + _IN_ONE]) for n in range(0, len(words), _IN_ONE)]
