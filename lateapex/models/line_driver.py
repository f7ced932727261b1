"""The driver of the fastest line: its commands, corrected by how far the car is off it.

Corrections are those of a linear-quadratic regulator for decisions that are held for 1/15 s: there is a station a
decision, around each the motion of one decision is linearised, and Riccati's recursion runs backwards along the lap.
What the line asks for and held commands cannot do is known beforehand, as a constant push, and is part of the
recursion. Of a planned lap (`held_lap`) nothing is left to push. A car that is late is not hurried: the station is
the last that it has passed, so that it is early for that one, and being slower can always be had.

A line at the limit of grip is no place for straight lines: past the peak of the front tyres' grip the joint hardly
matters until, a little further, it matters all at once. So of each correction some shares are driven ahead for a
decision, and the one whose outcome costs least is taken.

Symbols: `M` stations, `D` deviations: along, across (m), heading (rad), u, v (m/s), r (rad/s), and the joint (rad) if
it lags.

Source: Anderson and Moore, Optimal Control: Linear Quadratic Methods, chapters 2 and 9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.errors import ConfigError
from lateapex.models.drivers import aim_distance, pursue, steer_to
from lateapex.sim.physics import after_decision
from lateapex.sim.state import STATE_DTYPE
from lateapex.world.guide import guide_through
from lateapex.world.lap_guess import CAUTION
from lateapex.world.motion import FASTEST, FULL_LOCK, SLOWEST, speed_command, steady_turns
from lateapex.world.raceline import Raceline
from lateapex.world.vehicle import STEP_SECONDS, Vehicle

Floats = NDArray[np.float64]

_TOLERATED = np.array([0.10, 0.04, 0.10, 0.30, 0.20, 0.50, 0.20])  # deviations that weigh as much as one another
_SPENT = np.array([0.30, 1.0])  # rad and m/s, corrections that weigh as much
_NUDGE = np.array([0.01, 0.01, 0.02, 0.05, 0.05, 0.10, 0.02])  # to either side, for the derivatives
_PUSH = ((0.03, 0.03), (0.0, 0.3))  # rad and m/s, up and down: often there is no more speed to be had, only less
_AHEAD = 12  # decisions
_SWEEPS = 12
_SHARES = np.array([1.0, 0.5, 0.25, 0.0])  # of a correction, that are driven ahead
_BELIEVED = np.array([0.25, 0.25, 0.6, 0.8, 0.5, 1.5, 0.4])  # deviations beyond which the derivatives say nothing
_CLOSE = np.array([0.20, 0.03, 0.06, 0.20, 0.15, 0.40, 0.10])  # deviations from which the line is surely held
_LOST = (0.3, 0.6)  # m across and rad: not even on the way to the line
_TRIAL = 30  # decisions that a car which is not close is driven ahead, to see whether it comes to the line
_JOINING = 1.5  # times the usual distance of the aim: a nearer point of a line aside asks for too tight a bend
_ROUNDS = 2  # of the recursion round a loop before its gains count
_LATE = 0.15  # decisions that a car may be late for a station that counts as passed
_CELL = 0.1  # m along the centre line
_SEARCH = 15  # cells to either side
_REACH = 0.8  # m along the centre line, to either side, that the search for the nearest station covers


class LineDriver:
    """Follows one line a track, each made for the same vehicle.

    Args:
        lines: those of the simulator's tracks, in the same order. A flying lap is driven again and again; from the end
            of a standing one on its last command stays.

    Raises:
        ConfigError: the lines are of different vehicles.
    """

    def __init__(self, lines: Sequence[Raceline]) -> None:
        vehicles = {line.vehicle for line in lines}
        if len(vehicles) != 1:
            raise ConfigError(f"{len(vehicles)} vehicles in {len(lines)} lines; lines of one vehicle are needed")
        laps = [_Stations.of(line) for line in lines]
        self._vehicle = lines[0].vehicle
        self._turns = steady_turns(self._vehicle)
        self._deviations = _deviations_of(self._vehicle)
        self._count = np.array([lap.count for lap in laps])
        self._loop = np.array([lap.loop for lap in laps])
        self._lengths = np.array([line.track.length for line in lines])
        self._rows = _stacked([lap.rows for lap in laps])
        ahead = [_horizon(lap, lines[0].vehicle) for lap in laps]
        self._ahead = _Horizon(*(_stacked(parts) for parts in zip(*ahead, strict=True)))
        windows = [_windows(line, lap) for line, lap in zip(lines, laps, strict=True)]
        self._cells = np.array([len(window) for window in windows])
        self._windows = _stacked(windows)

    def commands(self, cars: NDArray[Any]) -> tuple[Floats, Floats]:
        """States `[N]` of STATE_DTYPE -> steering angles, rad, and speeds, m/s, `[N]` each."""
        at = self._passed(cars, self._near(cars))
        steering, speed, off = self._following(cars, at)
        far = np.flatnonzero(np.any(np.abs(off) > _CLOSE[: self._deviations], axis=1))
        lost = far[~self._would_hold(cars[far], at[far])]
        steering[lost], speed[lost] = self._joining(cars[lost], at[lost])
        return steering, speed

    def _following(self, cars: NDArray[Any], at: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """Commands that follow the line from some stations, and the deviations from those, `[N, D]`."""
        track = cars["track"]
        rows = self._rows[track, at]
        off = _deviations(rows, cars)[:, : self._deviations]
        believed = np.clip(off, -_BELIEVED[: self._deviations], _BELIEVED[: self._deviations])
        ahead = _Horizon(*(part[track, at] for part in self._ahead))
        slope = np.einsum("nij,nj->ni", ahead.slope[:, :, :-1], believed) + ahead.slope[:, :, -1]
        change = _least_cost(ahead.hessian, slope, ahead.least, ahead.most)[:, :2]
        commands = rows[:, [_STEERING, _THROTTLE]] + _SHARES[:, None, None] * change
        commands = np.clip(commands, (-FULL_LOCK, SLOWEST), (FULL_LOCK, FASTEST))
        costs = [self._cost(cars, self._rows[track, at + 1], ahead.to_go, told) for told in commands]
        chosen = commands[np.argmin(costs, axis=0), np.arange(len(cars))]
        return chosen[:, 0], chosen[:, 1], off

    def _cost(self, cars: NDArray[Any], rows: Floats, to_go: Floats, commands: Floats) -> Floats:
        """What the deviations from some rows cost from there on, `[N]`, to which commands, `[N, 2]`, lead the cars."""
        later = after_decision(cars, self._vehicle, *commands.T)
        off = _deviations(rows, later)[:, : self._deviations]
        off = np.concatenate([off, np.ones((len(cars), 1))], axis=1)
        return np.asarray(np.einsum("ni,nij,nj->n", off, to_go, off))

    def _would_hold(self, cars: NDArray[Any], at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether cars that follow the line from now on come close to it without leaving it far, by driving ahead."""
        holds, off = np.ones(len(cars), np.bool_), np.zeros((len(cars), self._deviations))
        for _ in range(_TRIAL if len(cars) else 0):
            steering, speed, off = self._following(cars, at)
            holds &= (np.abs(off[:, 1]) < _LOST[0]) & (np.abs(off[:, 2]) < _LOST[1])
            if not holds.any():
                break
            cars = after_decision(cars, self._vehicle, steering, speed)
            at = self._passed(cars, at[:, None] + np.arange(3))
        return np.asarray(holds & np.all(np.abs(off) < 2.0 * _CLOSE[: self._deviations], axis=1))

    def _joining(self, cars: NDArray[Any], at: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Commands of cars too far off the line, or too slow, to follow it: aim at a point of it ahead."""
        track, pace = cars["track"], np.hypot(cars["u"], cars["v"])
        count, rows = self._count[track], self._rows[track, at]
        ahead = _JOINING * aim_distance(pace) / (np.maximum(rows[:, _U], 0.5) * STEP_SECONDS)
        target = at + ahead.astype(np.int64)
        target = np.where(self._loop[track], target % count, np.minimum(target, count - 1))
        aim = self._rows[track, target]
        angle, speed = pursue(aim[:, _X], aim[:, _Y], cars, self._turns)
        speed = np.minimum(speed_command(CAUTION * speed, self._vehicle), rows[:, _THROTTLE])
        return steer_to(angle, cars, self._vehicle), np.clip(speed, SLOWEST, FASTEST)

    def _passed(self, cars: NDArray[Any], stations: NDArray[np.int64]) -> NDArray[np.int64]:
        """Last of some stations, `[N, K]`, that each car has passed, or nearly."""
        track = cars["track"]
        count, loop = self._count[track], self._loop[track]
        stations = np.where(loop[:, None], stations % count[:, None], np.clip(stations, 0, count[:, None] - 1))
        places = self._rows[track[:, None], stations, :2]
        away = (places[..., 0] - cars["x"][:, None]) ** 2 + (places[..., 1] - cars["y"][:, None]) ** 2
        at = stations[np.arange(len(cars)), away.argmin(axis=1)]
        rows = self._rows[track, at]
        late = _deviations(rows, cars)[:, 0] < -_LATE * np.hypot(rows[:, _U], rows[:, _V]) * STEP_SECONDS
        before = np.where(loop, (at - 1) % count, np.maximum(at - 1, 0))
        return np.asarray(np.where(late, before, at))

    def _near(self, cars: NDArray[Any]) -> NDArray[np.int64]:
        """Stations near the place of each car's front point on the centre line, `[N, K]`."""
        track = cars["track"]
        cell = (cars["along"] / self._lengths[track] * self._cells[track]).astype(np.int64)
        first, last = self._windows[track, np.minimum(cell, self._cells[track] - 1)].T
        return np.asarray(np.minimum(first[:, None] + np.arange(int((last - first).max()) + 1), last[:, None]))


_X, _Y, _YAW, _COURSE, _U, _V, _R, _JOINT, _STEERING, _THROTTLE, _TOLD = range(11)


@dataclass(frozen=True, eq=False)
class _Stations:
    """A lap with one station a decision."""

    rows: Floats
    """[M + 1, 11] x, y, yaw and course (rad, unwrapped), u, v, r, joint, the means of the commands over the next
    decision, and the steering command before it; the last row is that after the last station, a loop's first with its
    turns added"""
    loop: bool

    @property
    def count(self) -> int:
        return len(self.rows) - 1

    @classmethod
    def of(cls, line: Raceline) -> _Stations:
        # A lap of a planned one is a whole number of decisions already; another is made one, by a little more time.
        count = max(math.ceil(line.lap_time / STEP_SECONDS - 1e-6), 2)
        times = np.linspace(0.0, line.lap_time, count + 1)
        course = np.unwrap(np.where(line.speed > 1e-6, line.heading, line.yaw))
        values = (line.x, line.y, line.yaw, course, line.u, line.v, line.r, line.joint)
        loop = line.start == "flying"
        columns = [np.interp(times, line.time, value) for value in values]
        columns += [_mean_ahead(line, command, times, loop) for command in (line.steering, line.throttle)]
        told = columns[8]
        columns.append(np.append(told[-2] if loop else told[0], told[:-1]))
        return cls(np.stack(columns, axis=1), loop)

    def after(self, stations: NDArray[np.int64]) -> NDArray[np.int64]:
        """Stations that a decision leads to from others."""
        later = stations + 1
        return np.asarray(later % self.count if self.loop else np.minimum(later, self.count - 1))


def _mean_ahead(line: Raceline, command: Floats, times: Floats, loop: bool) -> Floats:
    """Mean of a command over the decision that begins at each time."""
    sums = np.concatenate([[0.0], np.cumsum(command[:-1] * np.diff(line.time))])
    laps, rest = np.divmod(times + STEP_SECONDS, line.lap_time)
    if loop:
        later = np.interp(rest, line.time, sums) + laps * sums[-1]
    else:
        beyond = np.maximum(times + STEP_SECONDS - line.lap_time, 0.0)
        later = np.interp(times + STEP_SECONDS, line.time, sums) + beyond * command[-1]
    return np.asarray((later - np.interp(times, line.time, sums)) / STEP_SECONDS)


def _stacked(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays of different lengths as one; the last row of a shorter one repeats."""
    most = max(map(len, parts))
    return np.stack([np.concatenate([part, np.repeat(part[-1:], most - len(part), axis=0)]) for part in parts])


def _deviations(rows: Floats, cars: NDArray[Any]) -> Floats:
    """How far cars are off some rows, `[N, 7]`."""
    dx, dy = cars["x"] - rows[:, _X], cars["y"] - rows[:, _Y]
    cos, sin = np.cos(rows[:, _COURSE]), np.sin(rows[:, _COURSE])
    turned = cars["yaw"] - rows[:, _YAW]
    turned -= math.tau * np.round(turned / math.tau)
    rest = [cars[name] - rows[:, place] for name, place in (("u", _U), ("v", _V), ("r", _R), ("steering", _JOINT))]
    return np.stack([dx * cos + dy * sin, dy * cos - dx * sin, turned, *rest], axis=1)


def _deviations_of(vehicle: Vehicle) -> int:
    return 7 if vehicle.steering_lag > 0.0 else 6


class _Horizon(NamedTuple):
    """The next decisions from each station as one quadratic problem in the corrections `z` (first decision first).

    Least 1/2 z'Hz + (F d + f)'z for deviations d now, z within its bounds; `C` is twice the decisions ahead.
    """

    hessian: Floats  # [M, C, C]
    slope: Floats  # [M, C, D + 1] the last column belongs to the push
    least: Floats  # [M, C]
    most: Floats  # [M, C]
    to_go: Floats  # [M, D + 1, D + 1] what deviations one decision later cost from there on


def _horizon(lap: _Stations, vehicle: Vehicle) -> _Horizon:
    size = _deviations_of(vehicle)
    motion, influence = _linearised(lap, vehicle, size)
    weights = np.diag(np.append(1.0 / _TOLERATED[:size] ** 2, 0.0))
    effort = np.diag(1.0 / _SPENT**2)
    ends = _costs_to_go(lap, motion, influence, weights, effort)
    here = np.arange(lap.count)
    free = np.tile(np.eye(size + 1), (lap.count, 1, 1))  # deviations per deviation now
    forced = np.zeros((lap.count, size + 1, 2 * _AHEAD))  # deviations per correction
    hessian = np.tile(np.kron(np.eye(_AHEAD), effort), (lap.count, 1, 1))
    slope = np.zeros((lap.count, 2 * _AHEAD, size + 1))
    bounds = []
    for k in range(_AHEAD):
        bounds.append(_bounds(lap.rows[here], vehicle))
        free, forced = motion[here] @ free, motion[here] @ forced
        forced[:, :, 2 * k : 2 * k + 2] += influence[here]
        here = lap.after(here)
        cost = ends[here] if k == _AHEAD - 1 else weights
        hessian += forced.transpose(0, 2, 1) @ cost @ forced
        slope += forced.transpose(0, 2, 1) @ cost @ free
    least, most = (np.concatenate(side, axis=1) for side in zip(*bounds, strict=True))
    parts = (hessian, slope, least, most, ends[lap.after(np.arange(lap.count))])
    return _Horizon(*(np.concatenate([part, part[:1] if lap.loop else part[-1:]]) for part in parts))


def _bounds(rows: Floats, vehicle: Vehicle) -> tuple[Floats, Floats]:
    """Least and most correction of steering and speed, `[M, 2]` each."""
    fastest = min(FASTEST, float(speed_command(np.array(vehicle.max_wheel_speed), vehicle)))
    commands = rows[:, [_STEERING, _THROTTLE]]
    return np.array([-FULL_LOCK, SLOWEST]) - commands, np.array([FULL_LOCK, fastest]) - commands


def _costs_to_go(lap: _Stations, motion: Floats, influence: Floats, weights: Floats, effort: Floats) -> Floats:
    """What deviations at each station cost from there on if corrections had no bounds, `[M, D + 1, D + 1]`."""
    costs = np.tile(weights, (lap.count, 1, 1))
    for here in list(range(lap.count - 1, -1, -1)) * (_ROUNDS if lap.loop else 1):
        a, b, later = (
            motion[here],
            influence[here],
            costs[(here + 1) % lap.count if lap.loop else min(here + 1, lap.count - 1)],
        )
        reach = b.T @ later
        costs[here] = weights + a.T @ later @ (a - b @ np.linalg.solve(effort + reach @ b, reach @ a))
        # The cost of the push alone is no one's to choose, and would grow with every lap.
        costs[here, -1, -1] = 0.0
    return costs


def _least_cost(hessian: Floats, slope: Floats, least: Floats, most: Floats) -> Floats:
    """Corrections `[N, C]` within their bounds: coordinate by coordinate, until sweeps change nothing that matters."""
    found = np.clip(np.zeros_like(slope), least, most)
    pull = slope + np.einsum("nij,nj->ni", hessian, found)
    for _ in range(_SWEEPS):
        for i in range(slope.shape[1]):
            wanted = np.clip(found[:, i] - pull[:, i] / hessian[:, i, i], least[:, i], most[:, i])
            pull += hessian[:, :, i] * (wanted - found[:, i])[:, None]
            found[:, i] = wanted
    return found


def _linearised(lap: _Stations, vehicle: Vehicle, size: int) -> tuple[Floats, Floats]:
    """Deviations one decision later per deviation (the push last), `[M, D + 1, D + 1]`; per command, `[.., 2]`."""
    stations = np.arange(lap.count)
    target = lap.after(stations)

    def later(deviation: int | None = None, command: int | None = None, nudge: float = 0.0) -> Floats:
        rows = lap.rows[:-1].copy()
        if command is not None:
            rows[:, _STEERING + command] += nudge
        cars = _cars_at(rows, deviation, nudge)
        cars = after_decision(cars, vehicle, rows[:, _STEERING], rows[:, _THROTTLE])
        return _deviations(lap.rows[target], cars)[:, :size]

    def slope(nudge: float, back: float, **which: int) -> Floats:
        return np.asarray((later(**which, nudge=nudge) - later(**which, nudge=-back)) / (nudge + back))

    motion, influence = np.zeros((lap.count, size + 1, size + 1)), np.zeros((lap.count, size + 1, 2))
    for i in range(size):
        motion[:, :size, i] = slope(float(_NUDGE[i]), float(_NUDGE[i]), deviation=i)
    motion[:, :size, size], motion[:, size, size] = later(), 1.0
    for i in range(2):
        influence[:, :size, i] = slope(*_PUSH[i], command=i)
    return motion, influence


def _cars_at(rows: Floats, deviation: int | None, nudge: float) -> NDArray[Any]:
    """Cars on the line, or off it by one deviation."""
    cars = np.zeros(len(rows), STATE_DTYPE)
    cos, sin = np.cos(rows[:, _COURSE]), np.sin(rows[:, _COURSE])
    along, across = (nudge if deviation == i else 0.0 for i in (0, 1))
    cars["x"] = rows[:, _X] + along * cos - across * sin
    cars["y"] = rows[:, _Y] + along * sin + across * cos
    for i, (name, place) in enumerate((("yaw", _YAW), ("u", _U), ("v", _V), ("r", _R), ("steering", _JOINT)), start=2):
        cars[name] = rows[:, place] + (nudge if deviation == i else 0.0)
    # What the joint was told before plays a part in the next jump.
    cars["steering_command"] = rows[:, _TOLD]
    return cars


def _windows(line: Raceline, lap: _Stations) -> NDArray[np.int64]:
    """First and last station to look at, `[cells, 2]`, by the place of a car's front point along the centre line.

    Stations of a loop go on beyond its ends.
    """
    track, rows = line.track, lap.rows[:-1]
    guide = guide_through(track.center, track.closed, _CELL)
    ways = np.linspace(0.0, track.length, len(guide.points), endpoint=not track.closed)
    front = rows[:, :2] + line.vehicle.front_point * np.stack([np.cos(rows[:, _YAW]), np.sin(rows[:, _YAW])], axis=1)
    along = ways[_followed(front, guide.points, track.closed)]
    if track.closed:
        along = np.asarray(np.unwrap(along, period=track.length), np.float64)
    along = np.maximum.accumulate(along)
    cells = math.ceil(track.length / _CELL)
    middles = (np.arange(cells) + 0.5) * (track.length / cells)
    if lap.loop:
        shift = np.arange(-2, 3)[:, None]
        along = (along + shift * track.length).ravel()
        first, last = (np.searchsorted(along, middles + side) - 2 * lap.count for side in (-_REACH, _REACH))
    else:
        first, last = (np.searchsorted(along, middles + side) for side in (-_REACH, _REACH))
    return np.stack([first, np.maximum(last, first)], axis=1)


def _followed(points: Floats, guide: Floats, closed: bool) -> NDArray[np.int64]:
    """Row of the guide beside each of some points along it, each looked for near that of the point before."""
    reach = np.arange(-_SEARCH, _SEARCH + 1)
    found = [int(np.square(guide - points[0]).sum(axis=1).argmin())]
    for point in points[1:]:
        near = found[-1] + reach
        near = near % len(guide) if closed else np.clip(near, 0, len(guide) - 1)
        found.append(int(near[np.square(guide[near] - point).sum(axis=1).argmin()]))
    return np.array(found)
