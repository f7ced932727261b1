"""How far the original's cars end up from each other when they are given the same commands twice.

The original is not repeatable: the length of its steps jitters, and its contacts scatter. Pairs of windows of two
episodes with the same commands show by how much; the difference over the square root of two is the error that a
perfect deterministic model would have on them. The model's own error on the same windows stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lateapex.analysis.fidelity import HISTORY, Start, Windows, all_starts, errors, standing_windows

if TYPE_CHECKING:
    from lateapex.formats.step_table import StepTable
    from lateapex.world.vehicle import Vehicle

Floats = NDArray[np.float64]

STEPS: Final = (5, 8, 10, 15)
"""After how many steps pairs are compared."""
SAME: Final = 8
"""Commands before a rolling window that must be the same too."""
FEWEST: Final = 20
"""Pairs below which nothing is said."""

_RECENT = 3  # steps over which the motion before a rolling window must be alike
_ALIKE = (0.02, np.radians(2.0))  # m and rad by which it may differ


@dataclass(frozen=True, kw_only=True)
class Repeatability:
    """Medians over pairs of windows with the same commands; positions in cm, yaw in degrees."""

    physics: int
    start: Start
    steps: int
    pairs: int
    simulator: tuple[float, float]
    """Error of a perfect model: position, yaw."""
    model: tuple[float, float]
    """Error of ours on the same windows."""


def repeatability(table: StepTable, vehicle: Vehicle, physics: int) -> list[Repeatability]:
    """Compare all pairs that a table has; nothing where it has fewer than FEWEST."""
    found = []
    for start in ("rolling", "standing"):
        for steps in STEPS:
            windows = all_starts(table, HISTORY, steps) if start == "rolling" else _beginnings(table, steps)
            first, second = _pairs(table, windows)
            if len(first) >= FEWEST:
                found.append(_compare(windows, first, second, vehicle, physics, start, steps))
    return found


def _beginnings(table: StepTable, steps: int) -> Windows:
    windows = standing_windows(table)
    return Windows(
        history=0,
        first=windows.first,
        log=windows.log,
        poses=windows.poses[:, : steps + 1],
        steering=windows.steering[:, :steps],
        speed=windows.speed[:, :steps],
    )


def _pairs(table: StepTable, windows: Windows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of two windows each of different episodes; no window is in two pairs."""
    if not len(windows):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    same = SAME if windows.history else 0
    commands = np.stack([windows.steering, windows.speed], axis=-1)[:, windows.history - same :]
    rounded = np.round(commands.reshape(len(windows), -1), 4)
    keyed = np.column_stack([windows.log, rounded])
    _, group = np.unique(keyed, axis=0, return_inverse=True)
    group = group.reshape(-1)
    motion = _recent(windows)
    episode = table.rows["episode"][windows.first]
    order = np.lexsort((motion[:, 0], group))
    first, second = [], []
    place = 0
    while place + 1 < len(order):
        a, b = order[place], order[place + 1]
        if group[a] == group[b] and episode[a] != episode[b] and _alike(motion[a], motion[b]):
            first.append(a)
            second.append(b)
            place += 1
        place += 1
    return np.array(first, np.int64), np.array(second, np.int64)


def _recent(windows: Windows) -> Floats:
    """How each car moved just before its window, `[W, 3]`: forward, left, turn; zeros from rest."""
    if not windows.history:
        return np.zeros((len(windows), 3))
    return _seen_from(windows.poses[:, windows.history - _RECENT], windows.poses[:, windows.history])


def _alike(a: Floats, b: Floats) -> bool:
    apart = np.abs(a - b)
    return bool(np.hypot(apart[0], apart[1]) < _ALIKE[0] and apart[2] < _ALIKE[1])


def _seen_from(poses: Floats, others: Floats) -> Floats:
    """Other poses in the frame of the front point and yaw of some, `[W, 3]` each."""
    dx, dy = (others - poses)[:, :2].T
    c, s = np.cos(poses[:, 2]), np.sin(poses[:, 2])
    turn = (others[:, 2] - poses[:, 2] + np.pi) % (2.0 * np.pi) - np.pi
    return np.stack([c * dx + s * dy, c * dy - s * dx, turn], axis=-1)


def _compare(
    windows: Windows,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    vehicle: Vehicle,
    physics: int,
    start: Any,
    steps: int,
) -> Repeatability:
    at = windows.history
    came_to = _seen_from(windows.poses[:, at], windows.poses[:, at + steps])
    apart = came_to[first] - came_to[second]
    turned = np.abs((apart[:, 2] + np.pi) % (2.0 * np.pi) - np.pi)
    ours = errors(windows.take(np.concatenate([first, second])), vehicle)
    return Repeatability(
        physics=physics,
        start=start,
        steps=steps,
        pairs=len(first),
        simulator=(
            100.0 * float(np.median(np.hypot(apart[:, 0], apart[:, 1]))) / 2.0**0.5,
            float(np.degrees(np.median(turned))) / 2.0**0.5,
        ),
        model=(
            100.0 * float(np.median(ours.position[:, steps - 1])),
            float(np.degrees(np.median(ours.yaw[:, steps - 1]))),
        ),
    )
