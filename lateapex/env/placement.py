"""Where obstacles and bot cars stand when an episode begins, as the original spreads them.

All in m along the centre line. Draws belong to (seed, world, episode), one a thing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lateapex.env.race_config import RaceConfig
from lateapex.sim.random import OBSTACLE, uniforms
from lateapex.world.lanes import INNER, OUTER

FROM_END = 1.0
"""m of the lap's end that stay free."""


def places(
    config: RaceConfig, length: float, seed: int, world: int, episode: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return m along the centre line and lane of each thing of one world, `[things]` each.

    Listed places are taken as they are. Else they are evenly spaced from the least distance behind the start line to
    1 m before it, in alternating lanes, the first inner; at random, each in turn, in an order drawn too, moves to
    anywhere between its neighbours that keeps the least distance from both, in any lane.
    """
    if config.object_positions:
        fractions, lanes = zip(*config.object_positions, strict=True)
        return np.array(fractions) * length, np.array(lanes, np.int64)
    count = config.things
    least = min_distance(config, length, episode)
    along = np.linspace(least, length - FROM_END, count)
    lane = np.where(np.arange(count) % 2 == 0, INNER, OUTER)
    randomised = config.randomize_bot_car_locations if config.has_bots else config.randomize_obstacle_locations
    if not randomised or not count:
        return along, lane
    draws = uniforms(seed, world, episode, OBSTACLE, np.arange(count))
    for place in np.argsort(draws[:, 0], kind="stable"):
        low = along[place - 1] + least if place else least
        high = along[place + 1] - least if place + 1 < count else length - FROM_END
        if low < high:
            along[place] = low + draws[place, 1] * (high - low)
    return along, np.where(draws[:, 2] < 0.5, INNER, OUTER)


def min_distance(config: RaceConfig, length: float, episode: int) -> float:
    """The least distance of two things in m in an episode, from 0.

    As a percentage the original multiplies what it had in the episode before by the lap's length in hundreds of
    metres: 2 on a lap of 17.7 m is 0.354 m in the first episode, then 0.063, 0.011 ...
    """
    if config.has_bots:
        return config.min_distance_between_bot_cars
    given = config.min_distance_between_obstacles
    return given if config.min_distance_unit == "metres" else given * (0.01 * length) ** (episode + 1)
