"""Who touches whom, and whose fault it is.

As in the original only the corners of the one are looked for in the rectangle of the other: a corner of a box in the
side of a car is no crash. A box is always the car's fault, another car only that of the one behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lateapex.sim.bodies import rule_sizes
from lateapex.sim.kernel import kernel
from lateapex.sim.traffic import NOTHING
from lateapex.world.bodies import CAR

_SIZES = rule_sizes()


def contacts(
    cars: NDArray[Any],
    things: NDArray[Any],
    lengths: NDArray[np.float64],
    *,
    apart: NDArray[np.bool_],
    bots: bool,
    bot_wait: int,
    fixed: bool,
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Find out which cars crashed; bots that ran into a car begin to wait.

    Args:
        cars: `[N]` of the simulator.
        things: `[W, M]` of its traffic; `wait` of bots is changed.
        lengths: `[N]` length of each car's track, m.
        apart: `[N]` cars that touch nothing now, such as those that wait for a penalty.
        bots: whether things that are no cars of the simulator drive.
        bot_wait: steps for which a bot waits that ran into a car.
        fixed: rectangles that overlap touch, and who is behind is told across the start line too.

    Returns:
        `[N]` whether it is guilty of a contact, and with which thing of its world; -1: with none.
    """
    crashed, met = np.zeros(len(cars), np.bool_), np.full(len(cars), -1)
    _meet_all(cars, things, lengths, apart, bots, bot_wait, fixed, _SIZES, crashed, met)
    return crashed, met


@kernel
def _meet_all(cars, things, lengths, apart, bots, bot_wait, fixed, sizes, crashed, met):  # type: ignore[no-untyped-def] # numba: see contacts; [kinds, 2] m
    for n in range(cars.size):
        car = cars[n]
        if apart[n]:
            continue
        for place in range(things.shape[1]):
            thing = things[car.world, place]
            if thing.kind == NOTHING or thing.car == n or (thing.car >= 0 and apart[thing.car]):
                continue
            length, width = sizes[thing.kind]
            into = _corner_inside(car.x, car.y, car.yaw, sizes[CAR], thing.x, thing.y, thing.yaw, length, width)
            back = _corner_inside(
                thing.x, thing.y, thing.yaw, sizes[thing.kind], car.x, car.y, car.yaw, sizes[CAR, 0], sizes[CAR, 1]
            )
            if fixed and not (into or back):
                into = _crossed(car, thing, sizes)
            is_bot = bots and thing.car < 0
            if not (into or back):
                continue
            if not is_bot and thing.car < 0:
                guilty = True
            else:
                other = thing.along if is_bot else cars[thing.car].along
                guilty = _behind(car.along, other, lengths[n], fixed)
            if is_bot and not guilty and thing.wait == 0:
                thing.wait = bot_wait
            if guilty and (into or fixed) and met[n] < 0:
                crashed[n], met[n] = True, place


@kernel
def _behind(own, other, length, fixed):  # type: ignore[no-untyped-def] # numba: m, m, m, bool
    """Whether the own car is the one behind; the original compares places on the lap, start line or not."""
    ahead = other - own
    if fixed:
        ahead -= length * np.round(ahead / length)
    return ahead > 0.0


@kernel
def _corner_inside(x, y, yaw, size, other_x, other_y, other_yaw, length, width):  # type: ignore[no-untyped-def] # numba: m, m, rad, [2] m, ... -> bool
    """Whether a corner of the first rectangle lies in the second."""
    c, s = np.cos(other_yaw), np.sin(other_yaw)
    dx, dy = x - other_x, y - other_y
    ahead, aside = c * dx + s * dy, c * dy - s * dx
    ct, st = np.cos(yaw - other_yaw), np.sin(yaw - other_yaw)
    for forward in (0.5, -0.5):
        for left in (0.5, -0.5):
            a = ahead + forward * size[0] * ct - left * size[1] * st
            b = aside + forward * size[0] * st + left * size[1] * ct
            if abs(a) <= 0.5 * length and abs(b) <= 0.5 * width:
                return True
    return False


@kernel
def _crossed(car, thing, sizes):  # type: ignore[no-untyped-def] # numba: STATE_DTYPE, THING_DTYPE, [kinds, 2] -> bool
    """Whether two rectangles overlap though neither has a corner in the other: no side of either parts them."""
    dx, dy = thing.x - car.x, thing.y - car.y
    turn = thing.yaw - car.yaw
    c, s = abs(np.cos(turn)), abs(np.sin(turn))
    length, width = sizes[CAR]
    other_length, other_width = sizes[thing.kind]
    cy, sy = np.cos(car.yaw), np.sin(car.yaw)
    if abs(cy * dx + sy * dy) > 0.5 * (length + c * other_length + s * other_width):
        return False
    if abs(cy * dy - sy * dx) > 0.5 * (width + s * other_length + c * other_width):
        return False
    cy, sy = np.cos(thing.yaw), np.sin(thing.yaw)
    if abs(cy * dx + sy * dy) > 0.5 * (other_length + c * length + s * width):
        return False
    return abs(cy * dy - sy * dx) <= 0.5 * (other_width + s * length + c * width)
