"""How far the simulator's cars end up from those of logs when both are given the same commands.

Windows of logs are driven again open loop, by the kernel that drives in training: 15 steps of warm-up that find the
velocities, then up to 30 steps without feedback; or 30 steps from a standing start. What is compared is the front
point and the yaw. The ideal kinematic bicycle, driven over the same windows, gives the scale.

Symbols: `W` windows, `T` steps of a window, `F` of them without feedback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.replay import replay
from lateapex.world.vehicle import STEP_SECONDS, Vehicle

if TYPE_CHECKING:
    from lateapex.formats.step_table import StepTable

Floats = NDArray[np.float64]
Start = Literal["rolling", "standing"]

HISTORY: Final = 15
"""Steps of warm-up before a rolling start."""
HORIZON: Final = 30
"""Steps without feedback."""
STRIDE: Final = 7
"""Steps from one rolling window to the next."""
MOST: Final = 120
"""Windows of one log and start; of more, evenly spaced ones are taken, so that no log outweighs the others."""
JUMP: Final = 0.5
"""m; no car drives this far in a step: it was put back on the road."""
STEPS: Final = (1, 5, 15, 30)
"""After how many steps errors are told."""
WHEELBASE: Final = 0.164
"""m, of the kinematic bicycle: the distance of the axles in the car's description"""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """W windows of logs, with the same number of steps each."""

    history: int
    """Steps of them that are warm-up."""
    first: NDArray[np.int64]
    """`[W]` row of the table at which each begins."""
    log: NDArray[np.int64]
    """`[W]` place of its log in `StepTable.logs`."""
    poses: Floats
    """`[W, T + 1, 3]` x, y of the front point in m, yaw in rad."""
    steering: Floats
    """`[W, T]` rad"""
    speed: Floats
    """`[W, T]` m/s"""

    def __len__(self) -> int:
        return len(self.first)

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Windows:
        """Some of the windows, by their places."""
        return Windows(history=self.history, **{name: getattr(self, name)[which] for name in _ARRAYS})


_ARRAYS: Final = ("first", "log", "poses", "steering", "speed")


@dataclass(frozen=True, kw_only=True)
class Errors:
    """How far off the front point and the yaw are after each step without feedback."""

    position: Floats
    """`[W, F]` m"""
    yaw: Floats
    """`[W, F]` rad, 0 to pi"""


class Row(NamedTuple):
    """One figure of a score."""

    what: str
    """position_error_cm_median, position_error_cm_p90, yaw_error_deg_median or yaw_error_deg_p90"""
    physics: int
    start: Start
    steps: int
    value: float
    windows: int


def rolling_windows(table: StepTable) -> Windows:
    """Windows of HISTORY + HORIZON steps, every STRIDE steps of an episode, at most MOST a log.

    None holds a row that is not in progress, a missing step or a jump of more than JUMP.
    """
    rows = table.rows
    steps = HISTORY + HORIZON
    since = np.arange(len(rows)) - episode_starts(rows)
    return _windows(table, np.flatnonzero((since % STRIDE == 0) & _unbroken(rows, steps)), HISTORY, steps)


def standing_windows(table: StepTable) -> Windows:
    """The first HORIZON driven steps of each episode that begins at its first step; otherwise as rolling ones."""
    rows = table.rows
    begun = episode_starts(rows)
    since = np.arange(len(rows)) - begun
    from_rest = rows["step"][begun] == 1
    # The car is held in the first row of an episode that has a status prepare, and driven in that of older ones.
    first_driven = since == rows["held"][begun]
    return _windows(table, np.flatnonzero(from_rest & first_driven & _unbroken(rows, HORIZON)), 0, HORIZON)


def all_starts(table: StepTable, history: int, steps: int) -> Windows:
    """Windows that begin at every row where one fits."""
    return _windows(table, np.flatnonzero(_unbroken(table.rows, history + steps)), history, history + steps, most=None)


def errors(windows: Windows, vehicle: Vehicle) -> Errors:
    """Drive windows with a vehicle."""
    return apart(windows, replay(vehicle, windows.poses, windows.steering, windows.speed, windows.history))


def bicycle_errors(windows: Windows) -> Errors:
    """Drive windows with the ideal kinematic bicycle: no slip, no lag, at once at the commanded speed.

    Its rear axle rolls where it points; the arc of each step is exact.
    """
    behind = Vehicle().front_point + Vehicle().rear_axle
    x, y, yaw = windows.poses[:, windows.history].T
    x, y = x - behind * np.cos(yaw), y - behind * np.sin(yaw)
    reached = []
    for step in range(windows.history, windows.steering.shape[1]):
        way = windows.speed[:, step] * STEP_SECONDS
        turn = way * np.tan(windows.steering[:, step]) / WHEELBASE
        chord = way * np.sinc(turn / (2.0 * np.pi))
        x, y = x + chord * np.cos(yaw + turn / 2.0), y + chord * np.sin(yaw + turn / 2.0)
        yaw = yaw + turn
        reached.append(np.stack([x + behind * np.cos(yaw), y + behind * np.sin(yaw), yaw], axis=-1))
    return apart(windows, np.stack(reached, axis=1))


def apart(windows: Windows, reached: Floats) -> Errors:
    """Compare poses after each step without feedback, `[W, F, 3]`, with the logged ones."""
    logged = windows.poses[:, windows.history + 1 :]
    position = np.hypot(reached[..., 0] - logged[..., 0], reached[..., 1] - logged[..., 1])
    turned = reached[..., 2] - logged[..., 2]
    return Errors(position=position, yaw=np.abs((turned + np.pi) % (2.0 * np.pi) - np.pi))


def figures(found: Errors, physics: int, start: Start) -> list[Row]:
    """Median and 90th percentile of errors after each of STEPS; none where there are no windows."""
    count = len(found.position)
    rows = []
    for steps in STEPS if count else ():
        for what, values in (
            ("position_error_cm", 100.0 * found.position[:, steps - 1]),
            ("yaw_error_deg", np.degrees(found.yaw[:, steps - 1])),
        ):
            for name, percent in (("median", 50), ("p90", 90)):
                value = round(float(np.percentile(values, percent)), 4)
                rows.append(Row(f"{what}_{name}", physics, start, steps, value, count))
    return rows


def joined(parts: list[Windows]) -> Windows:
    """Windows of several tables as one batch; `first` and `log` keep meaning the places in their own table."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    return Windows(history=parts[0].history, **arrays)


def episode_starts(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Row at which the episode of each row begins."""
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = (rows["log"][1:] != rows["log"][:-1]) | (rows["episode"][1:] != rows["episode"][:-1])
    return np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))


def _unbroken(rows: NDArray[Any], steps: int) -> NDArray[np.bool_]:
    """Whether so many steps in progress follow from each row, without a gap or a jump."""
    good = np.zeros(len(rows), np.bool_)
    if len(rows) <= steps:
        return good
    broken = np.diff(rows["step"]) != 1
    broken |= (np.diff(rows["log"]) != 0) | (np.diff(rows["episode"]) != 0)
    broken |= np.hypot(np.diff(rows["x"]), np.diff(rows["y"])) > JUMP
    broken |= ~(rows["driving"][1:] & rows["driving"][:-1])
    before = np.concatenate([[0], np.cumsum(broken)])
    good[: len(rows) - steps] = before[steps:] == before[: len(rows) - steps]
    return good


def _windows(table: StepTable, first: NDArray[np.int64], history: int, steps: int, most: int | None = MOST) -> Windows:
    """Cut windows out of a table, of each log at most so many."""
    rows = table.rows
    if most is not None:
        of_log = [first[rows["log"][first] == log] for log in range(len(table.logs))]
        first = np.concatenate([np.zeros(0, np.int64), *(_evenly(places, most) for places in of_log)])
    which = first[:, None] + np.arange(steps + 1)
    return Windows(
        history=history,
        first=first,
        log=rows["log"][first],
        poses=np.stack([rows[name][which] for name in ("x", "y", "yaw")], axis=-1),
        steering=rows["steering"][which[:, :-1]],
        speed=rows["speed"][which[:, :-1]],
    )


def _evenly(places: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).round().astype(np.int64)]
