"""The lap as an optimal-control problem over the arc length of a guide, solved by CasADi and IPOPT.

The only user of CasADi. What is minimised: the time over all stations, and a very little of the squared change of the
controls from one interval to the next, without which a control that does nothing for a while is not determined. What
holds: the motion of `motion.accelerations` between stations, by Radau collocation of order 3 (stiff tyres would ring
under an explicit or a symmetric scheme); the wheels on the road; steering and wheel speed within their ranges; the
car's slip angle within what was asked for.

State at a station: offset from the guide (m) and heading off it (rad), u, v (m/s), r (rad/s), and the angle of the
steering joint (rad) for a vehicle whose joint lags. Controls of an interval: commanded steering (rad) and wheel surface
speed (m/s).

Symbols: `S` stations, `I` intervals (`S` on a loop, else `S - 1`), `X` 5 or 6 states.

Source of the scheme: Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.5 (Radau IIA).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from lateapex.errors import ConfigError
from lateapex.world.guide import Guide
from lateapex.world.motion import FULL_LOCK, accelerations, wheel_speeds
from lateapex.world.vehicle import Vehicle

if TYPE_CHECKING:
    from types import ModuleType

Floats = NDArray[np.float64]
Limit = Literal["all", "one"]

OFFSET, HEADING, U, V, R, JOINT = range(6)

SMOOTH: Final = 0.01
"""m/s of slip over which the tyres' kink at no slip is rounded; a fifth of what halves a tyre's grip."""

_LEAST_SPEED = 0.15  # m/s forward; arc length is no clock for a standing car
_NEAREST_CENTRE = 0.9  # share of the way from the guide to its centre of curvature that a car may use
_MOST = np.array([np.inf, 1.3, 6.0, 3.0, 9.0, FULL_LOCK])  # of each state, generous
# Inner nodes of two-stage Radau IIA on an interval of length 1.
_NODE: Final = 1.0 / 3.0
_INNER, _OUTER = (5.0 / 12.0, -1.0 / 12.0), (0.75, 0.25)
_SOLVED = ("Solve_Succeeded", "Solved_To_Acceptable_Level")


@dataclass(frozen=True, eq=False)
class Lanes:
    """How far the wheels may go, as offsets from the guide at each station, m, left positive; `[S]` each."""

    front_left: Floats
    front_right: Floats
    rear_left: Floats
    rear_right: Floats


@dataclass(frozen=True, eq=False)
class Plan:
    """States and controls along a guide: a guess, or a solution."""

    states: Floats
    """[S, X]"""
    controls: Floats
    """[I, 2] steering, rad, and wheel surface speed, m/s"""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the optimiser says."""

    plan: Plan
    seconds: Floats
    """[I] s that each interval takes"""
    solved: bool
    words: str
    """The optimiser's own word for how it ended."""
    iterations: int


def casadi() -> ModuleType:
    """Return the optimiser's package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import casadi as package
    except ImportError:
        raise ConfigError("the minimum-time line needs CasADi: pip install 'lateapex[line]'") from None
    return package


def smoothest_offsets(guide: Guide, least: Floats, most: Floats) -> Floats:
    """Offsets from a guide, `[S]` m, of the line with the least sum of squared curvature.

    Args:
        least, most: `[S]` m, bounds of each offset.

    Raises:
        ConfigError: CasADi is not installed.
    """
    ca = casadi()
    count = len(guide.points)
    middle = np.arange(count) if guide.closed else np.arange(1, count - 1)
    before, here, after = ([int(i) % count for i in middle + shift] for shift in (-1, 0, 1))
    offsets = ca.MX.sym("offsets", count)
    bends = 0
    for axis in (0, 1):
        place = guide.points[:, axis] + offsets * guide.normals[:, axis]
        bends += ca.sumsqr(place[before] - 2 * place[here] + place[after])
    problem = {"x": offsets, "f": bends / guide.spacing**3}
    found = solver(ca, problem, {"tol": 1e-4, "max_iter": 100})(x0=0, lbx=least, ubx=most)
    return np.asarray(found["x"]).ravel()


def solve_lap(
    guide: Guide,
    lanes: Lanes,
    vehicle: Vehicle,
    guess: Plan,
    *,
    limit: Limit,
    slip: float,
    calm: float,
    last: float | None = None,
    held: bool = False,
    near: bool = False,
    iterations: int = 800,
) -> Answer:
    """Find the plan that takes the least time.

    Args:
        guess: where the search starts.
        limit: "all" wheels within the lanes, or "one" at least.
        slip: rad, the largest angle between where the car points and where it goes.
        calm: s m, weight of the squared changes of the controls, as shares of full lock and of 3 m/s.
        last: m, length of the last interval of an open guide; as the others if not given.
        held: the first state is that of the guess; a loop's never is.
        near: the guess is nearly the solution.
        iterations: after which the search is given up.

    Raises:
        ConfigError: CasADi is not installed.
    """
    ca = casadi()
    count, size = guess.states.shape
    spaces = np.full(len(guess.controls), guide.spacing)
    spaces[-1] = spaces[-1] if last is None else last
    states = ca.MX.sym("states", size, count)
    inner = ca.MX.sym("inner", size, len(spaces))
    controls = ca.MX.sym("controls", 2, len(spaces))
    defects, seconds = _motion(ca, guide, vehicle, states, inner, controls, spaces)
    outside, least, most = _outside(ca, guide, lanes, vehicle, states, limit)
    slide = math.tan(min(slip, math.radians(89.0)))
    slides = ca.vertcat(states[V, :] - slide * states[U, :], -states[V, :] - slide * states[U, :])
    problem = {
        "x": ca.vertcat(ca.vec(states), ca.vec(inner), ca.vec(controls)),
        "f": ca.sum2(seconds) + calm * _unrest(ca, guide, controls),
        "g": ca.vertcat(defects, ca.vec(outside), ca.vec(slides)),
    }
    none, free = np.zeros(defects.numel()), np.full(slides.numel(), -np.inf)
    bounds = _bounds(guide, vehicle, guess, held)
    search = solver(ca, problem, {"tol": 1e-5, "max_iter": iterations, "mu_init": 1e-4 if near else 1e-2})
    found = search(
        x0=_flat(guess.states, _between(guess), guess.controls),
        lbx=bounds[0],
        ubx=bounds[1],
        lbg=np.concatenate([none, least, free]),
        ubg=np.concatenate([none, most, np.zeros_like(free)]),
    )
    values = np.asarray(found["x"]).ravel()
    taken = np.asarray(ca.Function("seconds", [problem["x"]], [seconds])(values)).ravel()
    plan = Plan(values[: count * size].reshape(count, size), values[-2 * len(spaces) :].reshape(-1, 2))
    words = str(search.stats()["return_status"])
    return Answer(plan, taken, words in _SOLVED, words, int(search.stats()["iter_count"]))


def solver(ca: ModuleType, problem: dict[str, Any], settings: dict[str, Any], expand: bool = True) -> Any:
    """Return IPOPT for a problem, silent."""
    options = {f"ipopt.{name}": value for name, value in {"print_level": 0, "sb": "yes", **settings}.items()}
    # Expanded into scalar operations the derivatives are several times faster than as calls of one function.
    return ca.nlpsol("lap", "ipopt", problem, {"print_time": False, "expand": expand, **options})


def _motion(
    ca: ModuleType, guide: Guide, vehicle: Vehicle, states: Any, inner: Any, controls: Any, spaces: Floats
) -> tuple[Any, Any]:
    """What the motion leaves unexplained, which is to be 0, and the time of each interval, `[1, I]`."""
    rates = _rates(ca, vehicle, states.shape[0]).map(len(spaces))
    before = guide.curvatures[: len(spaces)]
    after = np.roll(guide.curvatures, -1)[: len(spaces)]
    ends = ca.horzcat(states[:, 1:], states[:, 0]) if guide.closed else states[:, 1:]
    starts = _jumped(ca, guide, vehicle, states, controls)
    inner_rates, inner_pace = rates(inner, controls, (before + _NODE * (after - before))[None])
    end_rates, end_pace = rates(ends, controls, after[None])
    steps = ca.repmat(ca.DM(spaces[None]), states.shape[0], 1)
    defects = ca.vertcat(
        inner - starts - steps * (_INNER[0] * inner_rates + _INNER[1] * end_rates),
        ends - starts - steps * (_OUTER[0] * inner_rates + _OUTER[1] * end_rates),
    )
    return ca.vec(defects), ca.DM(spaces[None]) * (_OUTER[0] * inner_pace + _OUTER[1] * end_pace)


def _jumped(ca: ModuleType, guide: Guide, vehicle: Vehicle, states: Any, controls: Any) -> Any:
    """States at the beginning of the intervals, once the steering joint has followed a part of the new command."""
    starts = states if guide.closed else states[:, :-1]
    if starts.shape[0] <= JOINT or vehicle.steering_jump == 0.0:
        return starts
    commands = controls[0, :]
    before = ca.horzcat(commands[-1] if guide.closed else 0, commands[:-1])
    return ca.vertcat(starts[:JOINT, :], starts[JOINT, :] + vehicle.steering_jump * (commands - before))


def _rates(ca: ModuleType, vehicle: Vehicle, size: int) -> Any:
    """Function of state, controls and curvature: change of the state per metre of guide, and seconds per metre."""
    state, control, curvature = ca.SX.sym("state", size), ca.SX.sym("control", 2), ca.SX.sym("curvature")
    offset, heading, u, v, r = (state[i] for i in range(5))
    angle = state[JOINT] if size > JOINT else control[0]
    du, dv, dr = accelerations(u, v, r, ca.cos(angle), ca.sin(angle), control[1], vehicle, SMOOTH)
    # dt/ds of the station that the car is beside.
    pace = (1 - offset * curvature) / (u * ca.cos(heading) - v * ca.sin(heading))
    changes = [u * ca.sin(heading) + v * ca.cos(heading), r - curvature / pace, du, dv, dr]
    if size > JOINT:
        changes.append((control[0] - angle) / vehicle.steering_lag)
    return ca.Function("rates", [state, control, curvature], [ca.vertcat(*changes) * pace, pace])


def _outside(
    ca: ModuleType, guide: Guide, lanes: Lanes, vehicle: Vehicle, states: Any, limit: Limit
) -> tuple[Any, Floats, Floats]:
    """Offsets of the wheels, or of the pairs of one side, with their least and most."""
    sin, cos = ca.sin(states[HEADING, :]), ca.cos(states[HEADING, :])
    wheels = {}
    for axle, ahead, side in (
        ("front", vehicle.front_axle, vehicle.front_wheel_side),
        ("rear", -vehicle.rear_axle, vehicle.rear_wheel_side),
    ):
        # The guide bends away from the tangent of the station that the centre is beside.
        centre = states[OFFSET, :] + ahead * sin - (0.5 * ahead**2 * guide.curvatures)[None]
        wheels[axle] = (centre + side * cos, centre - side * cos)
    count = len(guide.points)
    if limit == "all":
        rows = ca.vertcat(wheels["front"][0], wheels["front"][1], wheels["rear"][0], wheels["rear"][1])
        free = np.full(count, np.inf)
        least = np.stack([-free, lanes.front_right, -free, lanes.rear_right])
        most = np.stack([lanes.front_left, free, lanes.rear_left, free])
        return rows, least.T.ravel(), most.T.ravel()
    # If the mean of the two wheels on the far side is within the border, so is one of them.
    left, right = ((wheels["front"][side] + wheels["rear"][side]) / 2 for side in (0, 1))
    free = np.full(count, np.inf)
    least = np.stack([np.maximum(lanes.front_right, lanes.rear_right), -free])
    most = np.stack([free, np.minimum(lanes.front_left, lanes.rear_left)])
    return ca.vertcat(left, right), least.T.ravel(), most.T.ravel()


def _unrest(ca: ModuleType, guide: Guide, controls: Any) -> Any:
    """Weighted squares of the controls' changes."""
    before = ca.horzcat(controls[:, -1], controls[:, :-1]) if guide.closed else controls[:, :-1]
    changes = (controls if guide.closed else controls[:, 1:]) - before
    return 1.0 / guide.spacing * (ca.sumsqr(changes[0, :]) / FULL_LOCK**2 + ca.sumsqr(changes[1, :]) / 9)


def _bounds(guide: Guide, vehicle: Vehicle, guess: Plan, held: bool) -> tuple[Floats, Floats]:
    """Least and most of every variable."""
    size = guess.states.shape[1]
    most = np.tile(_MOST[:size], (len(guide.points), 1))
    least = -most
    least[:, U] = _LEAST_SPEED
    centre = _NEAREST_CENTRE / np.maximum(np.abs(guide.curvatures), 1e-6)
    most[guide.curvatures > 0, OFFSET] = centre[guide.curvatures > 0]
    least[guide.curvatures < 0, OFFSET] = -centre[guide.curvatures < 0]
    inner = slice(0, len(guess.controls))
    within = least[inner].copy(), most[inner].copy()
    if held:
        least[0] = most[0] = guess.states[0]
    slow, fast = wheel_speeds(vehicle)
    ranges = np.tile([[-FULL_LOCK, slow], [FULL_LOCK, fast]], (len(guess.controls), 1, 1))
    return _flat(least, within[0], ranges[:, 0]), _flat(most, within[1], ranges[:, 1])


def _between(guess: Plan) -> Floats:
    """States at the inner nodes of the intervals, on the straight way from station to station."""
    after = np.roll(guess.states, -1, axis=0)[: len(guess.controls)]
    before = guess.states[: len(guess.controls)]
    return np.asarray(before + _NODE * (after - before))


def _flat(*parts: Floats) -> Floats:
    return np.concatenate([part.ravel() for part in parts])
