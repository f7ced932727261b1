"""The lap with the least time for a driver whose commands are held for a decision: what the simulator can really do.

The minimum-time line changes its commands at every station; a driver does so 15 times a second. Here the lap is
planned anew, from that line as the guess, in the simulator's own steps: multiple shooting over a whole number of
decisions, each the same substeps of `sim.dynamics`, and the lap ends exactly as it began. First the length of a
decision is free and as short as it can be; that tells how many decisions of 1/15 s a lap needs, and with so many it
is solved again.

The road is described beside the guess: in the frame of each of its decisions a border is a parabola of the way along.

Symbols: `N` decisions, `X` 5 or 6 states: x, y (m), yaw (rad), u, v (m/s), r (rad/s), and the joint (rad) if it lags.
"""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.world.guide import room
from lateapex.world.lap_problem import SMOOTH, Limit, casadi, solver
from lateapex.world.motion import FULL_LOCK, accelerations, speed_command, wheel_speeds
from lateapex.world.raceline import SLIP, Raceline, Start, clearance, raceline
from lateapex.world.track import Track
from lateapex.world.vehicle import STEP_SECONDS, SUBSTEPS, Vehicle

Floats = NDArray[np.float64]

_CALM = 2e-4  # s, weight of the squared changes of the commands from decision to decision
_MARGIN = 0.02  # m that a wheel keeps from the border
_LEAST_SPEED = 0.15  # m/s forward
# m along that a plan may be ahead of its guess or behind, solution by solution: while the time of a decision is free,
# and then; the less, the better a parabola tells of a border with corners
_FREE_REACHES = (0.3, 0.1)
_HELD_REACHES = (0.1, 0.05, 0.03)
_LONGER = (0.0, 0.005, 0.01, 0.02)  # shares by which the lap is made longer until a whole number of decisions will do
_ITERATIONS = 300  # of one solution


class _Plan(NamedTuple):
    states: Floats  # [N, X] as each decision begins
    controls: Floats  # [N, 2] steering, rad, and wheel surface speed, m/s
    turns: float  # rad that a lap adds to the yaw
    seconds: float  # of a decision


def drivable(
    track: Track, vehicle: Vehicle | None = None, *, start: Start = "flying", limit: Limit = "all"
) -> Raceline:
    """Find the fastest lap that a driver with 15 decisions a second can follow.

    A flying lap's `method` is "held". Where that fails, and from a standing start, it is "optimal" or "careful": a
    smoother and slower line, with little slip and no hasty commands.
    """
    if start == "flying":
        line = raceline(track, vehicle, limit=limit)
        planned = held_lap(line) if line.method == "optimal" else None
        if planned is not None:
            return planned
    return raceline(track, vehicle, start=start, limit=limit, slip=math.radians(8.0), margin=0.02, calm=0.01)


def held_lap(line: Raceline, slip: float = SLIP, margin: float = _MARGIN) -> Raceline | None:
    """Plan a flying lap near a line with commands that are held for a decision, or None if the optimiser fails.

    Args:
        line: a flying lap.
        slip: rad, the largest angle between where the car points and where it goes.
        margin: m that the wheels keep from the border when a decision begins.

    Returns:
        A lap with one station a decision; at each the road holds the wheels that `line.limit` asks for.
    """
    plan = _sampled(line, math.ceil(1.01 * line.lap_time / STEP_SECONDS))
    work, least = 0, line.lap_time
    for reach in _FREE_REACHES:
        found, done = _solve(line, plan, slip, margin, free=True, reach=reach)
        work += done
        if found is None:
            break
        plan, least = found, len(found.states) * found.seconds
    for count in dict.fromkeys(math.ceil((1.0 + longer) * least / STEP_SECONDS) for longer in _LONGER):
        guess = _stretched(plan, count)
        for reach in _HELD_REACHES:
            found, done = _solve(line, guess, slip, margin, reach=reach)
            work += done
            if found is None:
                break
            guess, lap = found, _told(line, found, line.iterations + work)
            if clearance(lap).min() >= 0.0:
                return lap
    return None


def _sampled(line: Raceline, count: int) -> _Plan:
    times = np.linspace(0.0, line.lap_time, count, endpoint=False)
    columns = [line.x, line.y, line.yaw, line.u, line.v, line.r]
    columns += [line.joint] if line.vehicle.steering_lag > 0.0 else []
    states = np.stack([np.interp(times, line.time, column) for column in columns], axis=1)
    wheel = line.vehicle.speed_gain * line.throttle + line.vehicle.speed_offset
    controls = np.stack([np.interp(times, line.time, column) for column in (line.steering, wheel)], axis=1)
    return _Plan(states, controls, float(line.yaw[-1] - line.yaw[0]), line.lap_time / count)


def _stretched(plan: _Plan, count: int) -> _Plan:
    """Return the same lap in another number of decisions of the usual length."""
    old = np.arange(len(plan.states) + 1)
    new = np.linspace(0.0, len(plan.states), count, endpoint=False)
    last = plan.states[:1] + np.eye(plan.states.shape[1])[2] * plan.turns
    states, controls = np.concatenate([plan.states, last]), np.concatenate([plan.controls, plan.controls[:1]])
    moved = np.stack([np.interp(new, old, column) for column in states.T], axis=1)
    told = np.stack([np.interp(new, old, column) for column in controls.T], axis=1)
    return _Plan(moved, told, plan.turns, STEP_SECONDS)


def _solve(
    line: Raceline, guess: _Plan, slip: float, margin: float, *, reach: float, free: bool = False
) -> tuple[_Plan | None, int]:
    """Solve near a guess; the optimiser's iterations besides. With `free` the decisions are as short as can be."""
    ca, vehicle = casadi(), line.vehicle
    count, size = guess.states.shape
    states, controls = ca.MX.sym("states", size, count), ca.MX.sym("controls", 2, count)
    seconds = ca.MX.sym("seconds")
    before = ca.horzcat(controls[:, -1], controls[:, :-1])
    lap = np.zeros((size, 1))
    lap[2] = guess.turns
    after = ca.horzcat(states[:, 1:], states[:, 0] + lap)
    decide = _decision(ca, vehicle, size).map(count)
    defects = after - decide(states, controls, before[0, :], ca.repmat(seconds, 1, count))
    frames = _frames(line, guess, margin, reach)
    beside = _beside(ca, line, size, reach).map(count)(states, ca.DM(frames.T))
    slide = math.tan(slip)
    slides = ca.vertcat(states[4, :] - slide * states[3, :], -states[4, :] - slide * states[3, :])
    change = (controls - before) / np.array([[FULL_LOCK], [3.0]])
    problem = {
        "x": ca.vertcat(ca.vec(states), ca.vec(controls), seconds),
        "f": count * seconds + _CALM * ca.sumsqr(change),
        "g": ca.vertcat(ca.vec(defects), ca.vec(beside), ca.vec(slides)),
    }
    least, most = _bounds(guess, vehicle, free)
    lower = np.concatenate([np.zeros(defects.numel()), np.full(beside.numel() + slides.numel(), -np.inf)])
    search = solver(ca, problem, {"tol": 1e-5, "max_iter": _ITERATIONS, "mu_init": 1e-3}, expand=False)
    start = np.concatenate([guess.states.ravel(), guess.controls.ravel(), [guess.seconds]])
    found = search(x0=start, lbx=least, ubx=most, lbg=lower, ubg=np.zeros(len(lower)))
    stats = search.stats()
    if not stats["success"]:
        return None, int(stats["iter_count"])
    values = np.asarray(found["x"]).ravel()
    plan = _Plan(
        values[: count * size].reshape(count, size),
        values[count * size : -1].reshape(count, 2),
        guess.turns,
        values[-1],
    )
    return plan, int(stats["iter_count"])


def _decision(ca: ModuleType, vehicle: Vehicle, size: int) -> Any:
    """Function of state, control, the steering told before and seconds: the state after a decision."""
    state, control, told, seconds = ca.SX.sym("state", size), ca.SX.sym("control", 2), ca.SX.sym("told"), ca.SX.sym("t")
    dt = seconds / SUBSTEPS
    x, y, yaw, u, v, r = (state[i] for i in range(6))
    angle, follow = control[0], 0.0
    if size > 6:
        angle = state[6] + vehicle.steering_jump * (control[0] - told)
        follow = ca.fmin(dt / vehicle.steering_lag, 1.0)
    for _ in range(SUBSTEPS):
        angle = angle + (control[0] - angle) * follow
        du, dv, dr = accelerations(u, v, r, ca.cos(angle), ca.sin(angle), control[1], vehicle, SMOOTH)
        u1, v1, r1 = u + du * dt, v + dv * dt, r + dr * dt
        forward, left, turn = 0.5 * (u + u1), 0.5 * (v + v1), 0.5 * (r + r1)
        middle = yaw + 0.5 * turn * dt
        x, y = (
            x + (forward * ca.cos(middle) - left * ca.sin(middle)) * dt,
            y + (forward * ca.sin(middle) + left * ca.cos(middle)) * dt,
        )
        yaw, u, v, r = yaw + turn * dt, u1, v1, r1
    later = [x, y, yaw, u, v, r] + ([angle] if size > 6 else [])
    return ca.Function("decision", [state, control, told, seconds], [ca.vertcat(*later)])


def _frames(line: Raceline, guess: _Plan, margin: float, reach: float) -> Floats:
    """Frames of the guess, `[N, 15]`: x, y, course, and parabolas of the right and left border, front axle and rear."""
    states = guess.states
    course = states[:, 2] + np.arctan2(states[:, 4], states[:, 3])
    ways = np.stack([np.cos(course), np.sin(course)], axis=1)
    parts = [states[:, :2], course[:, None]]
    for ahead in (line.vehicle.front_axle, -line.vehicle.rear_axle):
        sides = [room(line.track, states[:, :2] + (ahead + shift) * ways, course) for shift in (-reach, 0.0, reach)]
        for side, inward in ((0, margin), (1, -margin)):
            low, mid, high = (each[side] + inward for each in sides)
            parts += [
                mid[:, None],
                (high - low)[:, None] / (2 * reach),
                (high + low - 2 * mid)[:, None] / (2 * reach**2),
            ]
    return np.concatenate(parts, axis=1)


def _beside(ca: ModuleType, line: Raceline, size: int, reach: float) -> Any:
    """Function of state and frame: how far what must stay on the road is off it, and the way beyond the reach."""
    car, state, frame = line.vehicle, ca.SX.sym("state", size), ca.SX.sym("frame", 15)
    cos, sin = ca.cos(frame[2]), ca.sin(frame[2])
    dx, dy, psi = state[0] - frame[0], state[1] - frame[1], state[2] - frame[2]
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    inside, outside = {}, {}
    for axle, ahead, half in ((0, car.front_axle, car.front_wheel_side), (1, -car.rear_axle, car.rear_wheel_side)):
        for side in (-1, 1):
            way = along + ahead * ca.cos(psi) - side * half * ca.sin(psi) - ahead
            off = across + ahead * ca.sin(psi) + side * half * ca.cos(psi)
            right, left = (
                frame[at] + frame[at + 1] * way + frame[at + 2] * way**2 for at in (3 + 6 * axle, 6 + 6 * axle)
            )
            outside[axle, side] = off - left if side > 0 else right - off
            inside[axle, side] = right - off if side > 0 else off - left
    rows = list(outside.values()) if line.limit == "all" else [(inside[0, s] + inside[1, s]) / 2 for s in (-1, 1)]
    return ca.Function("beside", [state, frame], [ca.vertcat(*rows, along - reach, -reach - along)])


def _bounds(guess: _Plan, vehicle: Vehicle, free: bool) -> tuple[Floats, Floats]:
    count, size = guess.states.shape
    slow, fast = wheel_speeds(vehicle)
    most = np.tile([np.inf, np.inf, np.inf, 6.0, 3.0, 9.0, FULL_LOCK][:size], (count, 1))
    least = -most
    least[:, 3] = _LEAST_SPEED
    return (
        np.concatenate(
            [least.ravel(), np.tile([-FULL_LOCK, slow], count), [0.9 * STEP_SECONDS if free else STEP_SECONDS]]
        ),
        np.concatenate(
            [most.ravel(), np.tile([FULL_LOCK, fast], count), [1.2 * STEP_SECONDS if free else STEP_SECONDS]]
        ),
    )


def _told(line: Raceline, plan: _Plan, iterations: int) -> Raceline:
    count, size = plan.states.shape
    states = np.concatenate([plan.states, plan.states[:1] + np.eye(size)[2] * plan.turns])
    controls = np.concatenate([plan.controls, plan.controls[:1]])
    return replace(
        line,
        method="held",
        lap_time=count * STEP_SECONDS,
        iterations=iterations,
        way=np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(states[:, :2], axis=0).T))]),
        time=np.arange(count + 1) * STEP_SECONDS,
        x=states[:, 0],
        y=states[:, 1],
        yaw=states[:, 2],
        u=states[:, 3],
        v=states[:, 4],
        r=states[:, 5],
        joint=states[:, 6] if size > 6 else controls[:, 0],
        steering=controls[:, 0],
        throttle=speed_command(controls[:, 1], line.vehicle),
    )
