"""What a reward function is told: the parameters of AWS DeepRacer, by the names that racers know.

All of them belong to the moment before the action acts, together with the values of that action. They are kept as
arrays over the cars and made one by one, when somebody asks: a reward that needs three of them pays for three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lateapex.env.actions import MAX_SPEED, MAX_STEERING_DEG, MIN_SPEED, Commands
from lateapex.env.traffic_params import OBJECT_PARAMS, Objects


class Moment(NamedTuple):
    """N cars before an action acts."""

    cars: NDArray[Any]
    """`[N]` of the simulator's state, a copy: the cars drive on while the reward is computed."""
    steps: NDArray[np.int64]
    progress: NDArray[np.float64]
    """`[N]` percent."""
    commands: Commands
    """The action."""
    lengths: NDArray[np.float64]
    """`[N]` length of each car's track, m."""
    is_reversed: NDArray[np.bool_]
    time: float
    """Simulated time, s."""
    fixed: bool
    """Mend what `docs/quirks.md` lists."""
    crashed: NDArray[np.bool_] | None = None
    """`[N]` None: nobody."""
    objects: Objects | None = None
    """What else is in the cars' worlds; None: nothing."""


def _left(moment: Moment) -> NDArray[np.bool_]:
    return np.array(moment.cars["is_left_of_line" if moment.fixed else "is_left_of_center"])


def _speed(moment: Moment) -> NDArray[np.float64]:
    speed = moment.commands.speed
    return np.clip(speed, MIN_SPEED, MAX_SPEED) if moment.fixed else speed.copy()


def _steering_angle(moment: Moment) -> NDArray[np.float64]:
    angle = moment.commands.steering_angle
    return np.clip(angle, -MAX_STEERING_DEG, MAX_STEERING_DEG) if moment.fixed else angle.copy()


def _closest_waypoints(moment: Moment) -> NDArray[np.int32]:
    return np.stack([moment.cars["waypoint_before"], moment.cars["waypoint_after"]], axis=1)


def _is_crashed(moment: Moment) -> NDArray[np.bool_]:
    return np.zeros(len(moment.cars), np.bool_) if moment.crashed is None else moment.crashed.copy()


def _closest_objects(moment: Moment) -> NDArray[np.int64]:
    if moment.objects is None:
        return np.zeros((len(moment.cars), 2), np.int64)
    return moment.objects.closest(moment.cars["along"], moment.lengths)


def _object_in_camera(moment: Moment) -> NDArray[np.bool_]:
    if moment.objects is None:
        return np.zeros(len(moment.cars), np.bool_)
    return moment.objects.in_camera(moment.cars, _closest_objects(moment)[:, 1])


PARAMS: Final[Mapping[str, Callable[[Moment], NDArray[Any]]]] = {
    "all_wheels_on_track": lambda moment: moment.cars["wheels_on_road"] == 4,
    "x": lambda moment: moment.cars["front_x"].copy(),
    "y": lambda moment: moment.cars["front_y"].copy(),
    "heading": lambda moment: np.degrees(moment.cars["yaw"]),
    "distance_from_center": lambda moment: moment.cars["distance_from_center"].copy(),
    "projection_distance": lambda moment: moment.cars["along"].copy(),
    "progress": lambda moment: moment.progress.copy(),
    "steps": lambda moment: moment.steps.astype(np.float64),
    "speed": _speed,
    "steering_angle": _steering_angle,
    "track_width": lambda moment: moment.cars["track_width"].copy(),
    "track_length": lambda moment: moment.lengths.copy(),
    "closest_waypoints": _closest_waypoints,
    "is_left_of_center": _left,
    "is_reversed": lambda moment: moment.is_reversed.copy(),
    "is_offtrack": lambda moment: moment.cars["wheels_on_road"] == 0,
    "is_crashed": _is_crashed,
    "closest_objects": _closest_objects,
    "object_in_camera": _object_in_camera,
    "sim_time": lambda moment: np.full(len(moment.cars), moment.time),
}
"""How each parameter is made, `[N]` or `[N, 2]`; the lists of objects are in `traffic_params`."""


class Params(Mapping[str, NDArray[Any]]):
    """The parameters of one moment; each look-up makes an array of its own, which its taker may change."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name in PARAMS:
            return PARAMS[name](self._moment)
        if self._moment.objects is None:
            raise KeyError(name)
        return OBJECT_PARAMS[name](self._moment.objects)

    def __iter__(self) -> Iterator[str]:
        return iter(PARAMS) if self._moment.objects is None else iter((*PARAMS, *OBJECT_PARAMS))

    def __len__(self) -> int:
        return len(tuple(iter(self)))
