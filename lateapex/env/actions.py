"""What a car can be told to do: the action space of model_metadata.json.

A racer's values reach rewards and logs as written; the car gets them within what it can do, as in the original.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.errors import ConfigError
from lateapex.formats.model_metadata import Bounds, ModelMetadata

MAX_STEERING_DEG: Final = 30.0
MIN_SPEED: Final = 0.1
MAX_SPEED: Final = 4.0

_STEERING_FIRST: Final = 4.0
"""Times that a share of the range of steering outweighs one of speed: too little speed costs time, too little steering
the lap."""


class Commands(NamedTuple):
    """What N cars are told, `[N]` each."""

    place: NDArray[np.int64]
    """Place in the action list; -1 in a continuous action space."""
    steering_angle: NDArray[np.float64]
    """Degrees, left positive, for rewards and logs."""
    speed: NDArray[np.float64]
    """m/s, for rewards and logs."""
    steering: NDArray[np.float64]
    """rad as the car gets it: within 30 degrees to either side."""
    throttle: NDArray[np.float64]
    """m/s as the car gets it: 0.1 to 4.0."""


@dataclass(frozen=True, eq=False)
class ActionTable:
    """The actions of a discrete action space, `[A]` each."""

    steering_angle: NDArray[np.float64]
    """Degrees as written in the metadata, left positive."""
    speed: NDArray[np.float64]
    """m/s as written."""

    def __len__(self) -> int:
        return len(self.speed)

    @property
    def space(self) -> gym.spaces.Discrete:
        """One car's actions: places in the list."""
        return gym.spaces.Discrete(len(self))

    def checked(self, actions: ArrayLike, count: int) -> NDArray[np.int64]:
        """Return `actions` as `[count]` places in the table.

        Raises:
            ConfigError: another shape, or a place that is not in the table.
        """
        places = np.asarray(actions)
        if places.shape != (count,) or places.dtype.kind not in "iu":
            found = f"actions have shape {places.shape} and type {places.dtype}"
            raise ConfigError(f"{found}; {count} whole numbers are needed")
        if count and (places.min() < 0 or places.max() >= len(self)):
            raise ConfigError(f"actions go from {places.min()} to {places.max()}; 0 to {len(self) - 1} are known")
        return places.astype(np.int64)

    def commands(self, actions: ArrayLike, count: int) -> Commands:
        """Look up `[count]` places in the table; errors as `checked`."""
        places = self.checked(actions, count)
        return Commands(places, *self._told.take(places, axis=1))

    def nearest(self, steering: NDArray[np.float64], speed: NDArray[np.float64]) -> NDArray[np.int64]:
        """Places, `[N]`, of the actions nearest to some commands.

        A wish beyond the list counts as its end. Distances are shares of the list's ranges, of which steering counts
        more; of several as near the first.

        Args:
            steering: `[N]` rad.
            speed: `[N]` m/s.
        """
        away = np.zeros((len(steering), len(self)))
        for wish, told, weight in ((steering, self._told[2], _STEERING_FIRST), (speed, self._told[3], 1.0)):
            low, high = told.min(), told.max()
            if high > low:
                away += (weight * (np.clip(wish, low, high)[:, None] - told) / (high - low)) ** 2
        return np.asarray(away.argmin(axis=1))

    def mirrored(self, commands: Commands, which: NDArray[np.bool_]) -> Commands:
        """The same with steering to the other side for some cars, `[N]`.

        Its place is that of the action of the list that does so; where none does, that of the one which was chosen.
        """
        place = np.where(which, self._opposite[commands.place], commands.place)
        return _turned(commands, which)._replace(place=place)

    @cached_property
    def _opposite(self) -> NDArray[np.int64]:
        """`[A]` place of the action with the same speed and the opposite angle, or the own one where there is none."""
        same = (self.steering_angle[:, None] == -self.steering_angle) & (self.speed[:, None] == self.speed)
        return np.where(same.any(axis=1), same.argmax(axis=1), np.arange(len(self)))

    @cached_property
    def _told(self) -> NDArray[np.float64]:
        """`[4, A]` what a car is told with each action, in the order of Commands."""
        return np.stack(_commands(np.arange(len(self)), self.steering_angle, self.speed)[1:])


@dataclass(frozen=True, eq=False)
class ActionRanges:
    """A continuous action space: two numbers, each from -1 to 1, stand for steering and speed."""

    bounds: Bounds

    def __len__(self) -> int:
        return len(self.bounds)

    @property
    def space(self) -> gym.spaces.Box:
        """One car's actions: steering and speed, -1 for the low and 1 for the high end of their ranges."""
        return gym.spaces.Box(-1.0, 1.0, (len(self),), np.float32)

    def commands(self, actions: ArrayLike, count: int) -> Commands:
        """Scale `[count, 2]` numbers to the ranges; what lies beyond -1..1 counts as the end, as in the original.

        Raises:
            ConfigError: another shape, or not finite.
        """
        values = _pairs(actions, count, "finite numbers")
        shares = 0.5 * (np.clip(values, -1.0, 1.0) + 1.0)
        angle, speed = (side.low + shares[:, n] * (side.high - side.low) for n, side in enumerate(self.bounds))
        return _commands(np.full(count, -1), angle, speed)

    def nearest(self, steering: NDArray[np.float64], speed: NDArray[np.float64]) -> NDArray[np.float32]:
        """Actions, `[N, 2]` from -1 to 1, that come nearest to some commands, rad and m/s, `[N]` each."""
        shares = [
            np.clip((wish - side.low) / (side.high - side.low), 0.0, 1.0)
            for wish, side in zip((np.degrees(steering), speed), self.bounds, strict=True)
        ]
        return (2.0 * np.stack(shares, axis=1) - 1.0).astype(np.float32)

    @staticmethod
    def mirrored(commands: Commands, which: NDArray[np.bool_]) -> Commands:
        """The same with steering to the other side for some cars, `[N]`."""
        return _turned(commands, which)


@dataclass(frozen=True, eq=False)
class ActionNumbers:
    """Steering in degrees and speed in m/s themselves: for cars of models that have different actions."""

    def __len__(self) -> int:
        return 2

    @property
    def space(self) -> gym.spaces.Box:
        """One car's actions, within what a car can do."""
        low, high = np.array([[-MAX_STEERING_DEG, MIN_SPEED], [MAX_STEERING_DEG, MAX_SPEED]], np.float32)
        return gym.spaces.Box(low, high, (2,), np.float32)

    def commands(self, actions: ArrayLike, count: int) -> Commands:
        """Take `[count, 2]` degrees and m/s as they are; the car gets them within what it can do.

        Raises:
            ConfigError: another shape, or not finite.
        """
        values = _pairs(actions, count, "degrees and m/s")
        return _commands(np.full(count, -1), values[:, 0].copy(), values[:, 1].copy())

    def nearest(self, steering: NDArray[np.float64], speed: NDArray[np.float64]) -> NDArray[np.float64]:
        """Actions, `[N, 2]`, that are some commands, rad and m/s, `[N]` each."""
        return np.stack([np.degrees(steering), speed], axis=1)

    @staticmethod
    def mirrored(commands: Commands, which: NDArray[np.bool_]) -> Commands:
        """The same with steering to the other side for some cars, `[N]`."""
        return _turned(commands, which)


Actions: TypeAlias = ActionTable | ActionRanges | ActionNumbers
"""An action space of a task."""


def action_table(metadata: ModelMetadata) -> ActionTable:
    """Prepare the list of a discrete action space."""
    return ActionTable(
        steering_angle=np.array([action.steering_angle for action in metadata.actions], np.float64),
        speed=np.array([action.speed for action in metadata.actions], np.float64),
    )


def actions_of(metadata: ModelMetadata) -> Actions:
    """Prepare the metadata's action space."""
    space = metadata.action_space
    return ActionRanges(space) if isinstance(space, Bounds) else action_table(metadata)


def _turned(commands: Commands, which: NDArray[np.bool_]) -> Commands:
    # 0 - x, since the negative of 0 would show in logs.
    angle, steering = (np.where(which, 0.0 - turn, turn) for turn in (commands.steering_angle, commands.steering))
    return commands._replace(steering_angle=angle, steering=steering)


def _commands(place: NDArray[Any], angle: NDArray[np.float64], speed: NDArray[np.float64]) -> Commands:
    steering = np.radians(np.clip(angle, -MAX_STEERING_DEG, MAX_STEERING_DEG))
    return Commands(place, angle, speed, steering, np.clip(speed, MIN_SPEED, MAX_SPEED))


def _pairs(actions: ArrayLike, count: int, of: str) -> NDArray[np.float64]:
    values = np.asarray(actions, np.float64)
    if values.shape != (count, 2) or not np.isfinite(values).all():
        raise ConfigError(f"actions have shape {values.shape}; {count} pairs of {of} are needed")
    return values
