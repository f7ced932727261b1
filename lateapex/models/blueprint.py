"""What a policy is built from: sensors, actions, networks; a model's file holds it beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from lateapex.config import Config

Spaces: TypeAlias = Mapping[str, tuple[int, ...]]
"""Shape of what each sensor gives for one car: `(H, W, C)` of a picture, `(R,)` of a lidar."""

HeadName: TypeAlias = Literal["categorical", "gaussian", "squashed"]


class Blueprint(Config):
    """What a policy is built from."""

    sensors: dict[str, tuple[Annotated[int, Field(ge=1)], ...]] = Field(min_length=1)
    """Name of each sensor and the shape of what it gives, before any transform."""
    actions: int = Field(ge=1)
    """Length of the action list, or numbers of a continuous action."""
    head: HeadName = "categorical"
    """How actions are drawn: one of a list; normal numbers; normal numbers squeezed between -1 and 1 by tanh."""
    network: str = "lean"
    critic: str = "lean"
    transforms: tuple[str, ...] = ()
    """What happens to pictures on their way to the networks, as texts that `parse_transform` reads."""
    critic_sensors: dict[str, tuple[Annotated[int, Field(ge=1)], ...]] = Field(default_factory=dict)
    """What the critic alone sees, and so is needed in training only."""
    assisted: tuple[str, ...] = ()
    """What helped beside the reward and the sensors."""

    @property
    def colour(self) -> bool:
        """Whether cameras give red, green and blue."""
        return any(len(shape) == 3 and shape[2] == 3 for shape in self.sensors.values())

    @property
    def continuous(self) -> bool:
        """Whether an action is numbers, not a place in a list."""
        return self.head != "categorical"
