"""The line and the speeds with the least lap time: what a car could do on a track, and no driver can beat.

A minimum-time problem is solved on the simulator's own model of the car (`motion`, `lap_problem`): first coarsely from
the careful lap of the smoothest line, then finely in the frame of the line that was found. Where the optimiser fails
the careful lap stands in, and `Raceline.method` says so.

    line = raceline(load_track("kidney"))
    line.lap_time, line.x, line.y, line.speed
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from lateapex.errors import ConfigError
from lateapex.world.guide import Guide, distance_to_border, guide_through, on_road, room
from lateapex.world.lap_guess import Lap, careful_lap, smoothest_guide
from lateapex.world.lap_problem import HEADING, JOINT, OFFSET, Lanes, Limit, Plan, R, U, V, casadi, solve_lap
from lateapex.world.motion import accelerations, speed_command, wheel_speeds
from lateapex.world.track import Track
from lateapex.world.vehicle import Vehicle

Floats = NDArray[np.float64]
Start = Literal["flying", "standing"]
Method = Literal["optimal", "careful", "held"]

SLIP: Final = math.radians(20.0)
"""rad; of the steps in public logs of version-5 cars 99 in 100 slip less than 22 degrees"""
MARGIN: Final = 0.01
"""m that a wheel keeps from the border"""

CALM: Final = 1e-3
"""s m, weight of hasty commands"""

_COARSE, _FINE = 0.2, 0.1  # m from station to station
_RETRIES = (1.0, 0.8, 0.65)  # times both of them
_LAUNCH = 0.08  # m, at least, that a car starts straight ahead
_LAUNCH_STEP = 1e-3  # s
_NEAR = 1.5  # m; the station at which the launch ends lies no further from the start
_SHORTEST = 0.3  # share of the spacing; a shorter last interval is joined to the one before


@dataclass(frozen=True, eq=False)
class Raceline:
    """A lap, at `S` stations along it; a flying lap ends with its first station again.

    Positions are those of the car's centre.
    """

    track: Track
    vehicle: Vehicle
    start: Start
    """ "flying": the lap before was the same; "standing": from rest on the start line, as an episode begins."""
    limit: Limit
    """Which wheels stay on the road: "all", or "one" at least, as the rules ask."""
    method: Method
    """ "careful": the optimiser failed; a lap of the smoothest line stands in, slower than need be. "held": each
    command is held for a decision, from one station to the next."""
    lap_time: float
    """s; from rest until the front point is at the line again, without the step for which the car is held"""
    careful_time: float
    """s that the careful lap takes, with which the search began"""
    iterations: int
    """of the optimiser, all told"""
    way: Floats
    """[S] m driven since the lap began"""
    time: Floats
    """[S] s since the lap began"""
    x: Floats
    """[S] m"""
    y: Floats
    """[S] m"""
    yaw: Floats
    """[S] rad, unwrapped: where the car points"""
    u: Floats
    """[S] m/s forward"""
    v: Floats
    """[S] m/s to the left"""
    r: Floats
    """[S] rad/s"""
    joint: Floats
    """[S] rad, angle of the steering joint at this station"""
    steering: Floats
    """[S] rad, commanded from this station to the next, left positive"""
    throttle: Floats
    """[S] m/s, commanded speed from this station to the next"""

    @property
    def speed(self) -> Floats:
        """[S] m/s over ground."""
        return np.hypot(self.u, self.v)

    @property
    def heading(self) -> Floats:
        """[S] rad, unwrapped: where the car goes."""
        heading: Floats = self.yaw + np.arctan2(self.v, self.u)
        return heading


def raceline(
    track: Track,
    vehicle: Vehicle | None = None,
    *,
    start: Start = "flying",
    limit: Limit = "all",
    slip: float = SLIP,
    margin: float = MARGIN,
    calm: float = CALM,
) -> Raceline:
    """Find the fastest lap of a track.

    Args:
        vehicle: the car; that of version 5 if not given.
        start: "flying" or "standing"; an open track knows no flying lap.
        limit: "all" wheels stay on the road (`all_wheels_on_track`), or "one" at least, which is what the rules ask.
        slip: rad, the largest angle between where the car points and where it goes.
        margin: m that the wheels keep from the border.
        calm: weight of the squared changes of the commands, see `CALM`; more of it is slower and smoother.

    Raises:
        ConfigError: CasADi is not installed; an argument lies outside its range; a flying lap of an open track.
    """
    _check(track, start, limit, slip, margin, calm)
    casadi()
    search = _Search(track, vehicle or Vehicle(), start, limit, slip, margin, calm)
    return next(filter(None, map(search.fastest, _RETRIES)), None) or search.careful()


def wheels(line: Raceline) -> Floats:
    """Where the wheel centres are, `[S, 4, 2]` m: front left, front right, rear left, rear right."""
    car = line.vehicle
    ahead = np.array([car.front_axle, car.front_axle, -car.rear_axle, -car.rear_axle])
    aside = np.array([car.front_wheel_side, -car.front_wheel_side, car.rear_wheel_side, -car.rear_wheel_side])
    cos, sin = np.cos(line.yaw)[:, None], np.sin(line.yaw)[:, None]
    return np.stack([line.x[:, None] + ahead * cos - aside * sin, line.y[:, None] + ahead * sin + aside * cos], axis=2)


def clearance(line: Raceline) -> Floats:
    """How far inside the road the wheel is that the limit is about, m, `[S]`; negative off the road.

    Of limit "all" the wheel nearest to leaving the road, of limit "one" the last that would.
    """
    places = wheels(line)
    flat = places.reshape(-1, 2)
    signed = np.where(on_road(line.track, flat), 1.0, -1.0) * distance_to_border(line.track, flat)
    each = signed.reshape(len(places), 4)
    return np.asarray(each.min(axis=1) if line.limit == "all" else each.max(axis=1))


@dataclass
class _Search:
    """What one call of `raceline` is about, and how much it has done."""

    track: Track
    vehicle: Vehicle
    start: Start
    limit: Limit
    slip: float
    margin: float
    calm: float
    iterations: int = 0

    def fastest(self, scale: float) -> Raceline | None:
        """Search with the usual spacings times `scale`; None if the optimiser fails."""
        coarse = self._careful(_COARSE * scale)
        if not self.track.closed:
            return self._standing(self._careful(_FINE * scale))
        first = self._solve(coarse, coarse)
        if first is None:
            return None
        near = _laid_anew(first, _FINE * scale)
        lap = self._solve(near, near, near=True) or self._solve(near, careful_lap(near.guide, self.vehicle))
        if lap is None:
            return None
        if self.start == "standing":
            return self._standing(lap)
        return self._told("optimal", lap, 0.0, coarse.time)

    def careful(self) -> Raceline:
        """Return the careful lap."""
        lap = self._careful(_FINE)
        if self.start == "flying":
            return self._told("careful", lap, 0.0, lap.time)
        launch = _launch(self.track, self.vehicle, lap)
        slow = careful_lap(launch.guide, self.vehicle, launch.speed, launch.last)
        return self._told("careful", slow, launch.seconds, launch.seconds + slow.time, launch)

    def _careful(self, spacing: float) -> Lap:
        return careful_lap(smoothest_guide(self.track, self.vehicle, spacing, self.margin), self.vehicle)

    def _standing(self, lap: Lap) -> Raceline | None:
        """Search for the lap from rest that is like a flying one wherever that is possible."""
        launch = _launch(self.track, self.vehicle, lap)
        slow = careful_lap(launch.guide, self.vehicle, launch.speed, launch.last)
        guess = slow._replace(plan=launch.begun(slow.plan))
        found = self._solve(slow, guess, launch=launch)
        if found is None:
            return None
        return self._told("optimal", found, launch.seconds, launch.seconds + slow.time, launch)

    def _solve(self, lap: Lap, guess: Lap, near: bool = False, launch: _Launch | None = None) -> Lap | None:
        answer = solve_lap(
            lap.guide,
            _lanes(self.track, lap.guide, self.vehicle, self.margin),
            self.vehicle,
            guess.plan,
            limit=self.limit,
            slip=self.slip,
            calm=self.calm,
            last=launch.last if launch else None,
            held=launch is not None,
            near=near,
        )
        self.iterations += answer.iterations
        return Lap(lap.guide, answer.plan, answer.seconds) if answer.solved else None

    def _told(self, method: Method, lap: Lap, before: float, careful: float, launch: _Launch | None = None) -> Raceline:
        """Make the result of a lap; `before` is the time in s that was over at its first station."""
        states, controls = lap.plan.states, lap.plan.controls
        points, yaw = lap.guide.at_offsets(states[:, OFFSET]), lap.guide.headings + states[:, HEADING]
        if lap.guide.closed:
            points, states = np.concatenate([points, points[:1]]), np.concatenate([states, states[:1]])
            yaw = np.append(yaw, yaw[0] + math.tau * round((yaw[-1] - yaw[0]) / math.tau))
        controls = np.concatenate([controls, controls[:1] if lap.guide.closed else controls[-1:]])
        time = before + np.concatenate([[0.0], np.cumsum(lap.seconds)])
        if launch is not None:
            points, yaw = np.concatenate([[launch.origin], points]), np.append(launch.yaw, yaw)
            states = np.concatenate([np.zeros_like(states[:1]), states])
            controls = np.concatenate([[[0.0, wheel_speeds(self.vehicle)[1]]], controls])
            time = np.append(0.0, time)
        return Raceline(
            track=self.track,
            vehicle=self.vehicle,
            start=self.start,
            limit=self.limit,
            method=method,
            lap_time=float(time[-1]),
            careful_time=careful,
            iterations=self.iterations,
            way=np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))]),
            time=time,
            x=points[:, 0],
            y=points[:, 1],
            yaw=yaw,
            u=states[:, U],
            v=states[:, V],
            r=states[:, R],
            joint=states[:, JOINT] if states.shape[1] > JOINT else controls[:, 0],
            steering=controls[:, 0],
            throttle=speed_command(controls[:, 1], self.vehicle),
        )


def _check(track: Track, start: Start, limit: Limit, slip: float, margin: float, calm: float) -> None:
    if start == "flying" and not track.closed:
        raise ConfigError(f"{track.name} has two ends, so that no flying lap exists; start 'standing' is needed")
    for name, word, known in (("start", start, ("flying", "standing")), ("limit", limit, ("all", "one"))):
        if word not in known:
            raise ConfigError(f"{name} is {word!r}; {known[0]!r} or {known[1]!r} is needed")
    if not 0.0 < slip <= math.pi / 2:
        raise ConfigError(f"slip is {math.degrees(slip):g} degrees; more than 0 and at most 90 is needed, usual is 20")
    if not 0.0 <= margin <= 0.2:
        raise ConfigError(f"margin is {margin:g} m; 0 to 0.2 is needed, usual is {MARGIN:g}")
    if not 0.0 <= calm <= 1.0:
        raise ConfigError(f"calm is {calm:g}; 0 to 1 is needed, usual is {CALM:g}")


def _lanes(track: Track, guide: Guide, vehicle: Vehicle, margin: float) -> Lanes:
    front = room(track, *guide.shifted(vehicle.front_axle))
    rear = room(track, *guide.shifted(-vehicle.rear_axle))
    return Lanes(front[1] - margin, front[0] + margin, rear[1] - margin, rear[0] + margin)


def _laid_anew(lap: Lap, spacing: float) -> Lap:
    """Make the line of a lap the guide, and its plan one along that."""
    states, old = lap.plan.states, lap.guide
    points = old.at_offsets(states[:, OFFSET])
    guide = guide_through(points, True, spacing)
    ways = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(np.concatenate([points, points[:1]]), axis=0).T))])
    stations = np.linspace(0.0, ways[-1], len(guide.points), endpoint=False)

    def moved(values: Floats) -> Floats:
        return np.asarray(np.interp(stations, ways, np.append(values, values[0])))

    columns = [moved(column) for column in states.T]
    columns[OFFSET] = np.zeros(len(stations))
    yaw = old.headings + states[:, HEADING]
    turns = math.tau * round((yaw[-1] - yaw[0]) / math.tau)
    heading = np.interp(stations, ways, np.append(yaw, yaw[0] + turns)) - guide.headings
    columns[HEADING] = heading - math.tau * np.round(heading / math.tau)
    which = np.minimum(np.searchsorted(ways, stations, side="right") - 1, len(lap.plan.controls) - 1)
    seconds = guide.spacing / np.hypot(columns[U], columns[V])
    return Lap(guide, Plan(np.stack(columns, axis=1), lap.plan.controls[which]), seconds)


@dataclass(frozen=True, eq=False)
class _Launch:
    """How a standing start joins a guide, and the part of the guide that is left to plan."""

    guide: Guide
    last: float  # m, length of the last interval
    origin: Floats  # [2] m, centre of the standing car
    yaw: float  # rad
    seconds: float  # s until the first station
    speed: float  # m/s at the first station
    first: Floats  # offset and heading at the first station

    def begun(self, plan: Plan) -> Plan:
        """Return a plan that begins as the launch ends."""
        states = plan.states.copy()
        states[0] = 0.0
        states[0, [OFFSET, HEADING, U]] = *self.first, self.speed
        return replace(plan, states=states)


def _launch(track: Track, vehicle: Vehicle, lap: Lap) -> _Launch:
    """Drive straight ahead from the start line to the first station beyond `_LAUNCH`, and cut the guide there."""
    x, y, yaw = track.pose_at(0.0)
    guide = lap.guide
    along, aside = np.cos(guide.headings - yaw), np.sin(guide.headings - yaw)
    gap = guide.points - (x, y)
    # In the frame of the start: the way ahead until the normal of each station is met.
    ahead, left = (
        gap[:, 0] * math.cos(yaw) + gap[:, 1] * math.sin(yaw),
        gap[:, 1] * math.cos(yaw) - gap[:, 0] * math.sin(yaw),
    )
    ways = np.where(np.hypot(*gap.T) < _NEAR, ahead + left * aside / np.where(along > 0.5, along, np.nan), np.nan)
    ways[~(ways >= _LAUNCH)] = np.inf
    first = int(ways.argmin())
    way = float(ways[first])
    met = np.array([x + way * math.cos(yaw), y + way * math.sin(yaw)])
    offset = float((met - guide.points[first]) @ guide.normals[first])
    heading = yaw - float(guide.headings[first])
    heading -= math.tau * round(heading / math.tau)
    total = guide.spacing * (len(guide.points) - (0 if guide.closed else 1))
    left_over = total - (0.0 if guide.closed else first * guide.spacing) - vehicle.front_point
    if guide.closed:
        left_over -= way * math.cos(heading)
    cut, last = _cut(guide, first, left_over)
    seconds, speed = _straight_ahead(vehicle, way)
    return _Launch(cut, last, np.array([x, y]), yaw, seconds, speed, np.array([offset, heading]))


def _cut(guide: Guide, first: int, way: float) -> tuple[Guide, float]:
    """Take `way` m of a guide from a station on; return the open guide and the length of its last interval."""
    whole = int(way / guide.spacing)
    last = way - whole * guide.spacing
    if last < _SHORTEST * guide.spacing:
        whole, last = whole - 1, last + guide.spacing
    count = len(guide.points)
    places = np.append(np.arange(whole + 1.0), whole + last / guide.spacing) + first
    columns = np.column_stack([guide.points, guide.headings, guide.curvatures])
    if guide.closed:
        turn = math.tau * round((guide.headings[-1] - guide.headings[0]) / math.tau)
        columns = np.concatenate([columns] * 3)
        columns[:, 2] += np.repeat([0.0, turn, 2.0 * turn], count)
    around = np.arange(len(columns))
    x, y, headings, curvatures = (np.interp(places, around, column) for column in columns.T)
    return Guide(np.stack([x, y], axis=1), headings, curvatures, guide.spacing, False), last


def _straight_ahead(vehicle: Vehicle, way: float) -> tuple[float, float]:
    """Seconds that the first `way` m from rest take at full throttle, and the speed, m/s, after them."""
    gone, speed, seconds, wheel = 0.0, 0.0, 0.0, wheel_speeds(vehicle)[1]
    while True:
        gain = float(accelerations(speed, 0.0, 0.0, 1.0, 0.0, wheel, vehicle)[0]) * _LAUNCH_STEP
        step = (speed + 0.5 * gain) * _LAUNCH_STEP
        if gone + step >= way:
            part = (way - gone) / step
            return seconds + part * _LAUNCH_STEP, speed + part * gain
        gone, speed, seconds = gone + step, speed + gain, seconds + _LAUNCH_STEP
