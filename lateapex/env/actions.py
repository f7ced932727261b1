"""What a car can be told to do: the action list of model_metadata.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lateapex.errors import ConfigError
from lateapex.formats.model_metadata import ModelMetadata

MAX_STEERING_DEG: Final = 30.0
MIN_SPEED: Final = 0.1
MAX_SPEED: Final = 4.0


@dataclass(frozen=True, eq=False)
class ActionTable:
    """The actions of a discrete action space, `[A]` each."""

    steering_angle: NDArray[np.float64]
    """Degrees as written in the metadata, left positive; what rewards and logs see."""
    speed: NDArray[np.float64]
    """m/s as written."""
    steering: NDArray[np.float64]
    """rad as the car gets it: within 30 degrees to either side."""
    throttle: NDArray[np.float64]
    """m/s as the car gets it: 0.1 to 4.0."""

    def __len__(self) -> int:
        return len(self.speed)

    def checked(self, actions: ArrayLike, count: int) -> NDArray[np.int64]:
        """Return `actions` as `[count]` places in the table.

        Raises:
            ConfigError: another shape, or a place that is not in the table.
        """
        places = np.asarray(actions)
        if places.shape != (count,) or not np.issubdtype(places.dtype, np.integer):
            raise ConfigError(
                f"actions have shape {places.shape} and type {places.dtype}; {count} whole numbers are needed"
            )
        if count and (places.min() < 0 or places.max() >= len(self)):
            raise ConfigError(f"actions go from {places.min()} to {places.max()}; 0 to {len(self) - 1} are known")
        return places.astype(np.int64)


def action_table(metadata: ModelMetadata) -> ActionTable:
    """Prepare the metadata's actions; out-of-range values are clamped for the car alone, as in the original."""
    degrees = np.array([action.steering_angle for action in metadata.actions], np.float64)
    speed = np.array([action.speed for action in metadata.actions], np.float64)
    return ActionTable(
        steering_angle=degrees,
        speed=speed,
        steering=np.radians(np.clip(degrees, -MAX_STEERING_DEG, MAX_STEERING_DEG)),
        throttle=np.clip(speed, MIN_SPEED, MAX_SPEED),
    )
