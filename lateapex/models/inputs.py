"""What happens to observations on their way to the networks: a chain of transforms for each camera.

It is a function of what is handed in: pictures that a transform looks back at are handed out, and in again at the next
step. Where there is no transform, observations pass as they are, without a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from lateapex.errors import ConfigError
from lateapex.models.blueprint import Spaces
from lateapex.models.picture_transforms import PictureShape
from lateapex.models.transforms import Transform, parse_transform


class Stage(NamedTuple):
    """One transform in the chain of one camera."""

    text: str
    transform: Transform
    before: PictureShape
    """Of a picture that comes in."""
    after: PictureShape
    """Of what goes out."""
    number: slice
    """Its own among the draws of a car."""
    memory: str
    """Key of the pictures that it looks back at; "" if it looks at none."""


class Inputs:
    """Transforms of a model's observations.

    Args:
        texts: transforms in their order, see `parse_transform`; all cameras get them, a lidar none.
        spaces: of the sensors.
        code: texts of the users' files that transforms name, by name.

    Raises:
        ConfigError: a text stands for no transform, or it cannot take the pictures that come to it.
    """

    def __init__(self, texts: Sequence[str], spaces: Spaces, code: Mapping[str, str] | None = None) -> None:
        transforms = [(text, parse_transform(text, code)) for text in texts]
        self.chains: dict[str, list[Stage]] = {}
        """The stages of each camera."""
        self.draws = 0
        """Uniform numbers that a car's observations take while training."""
        self.history = 1 + sum(transform.history - 1 for _, transform in transforms)
        """Pictures of each camera that one input depends on."""
        after: dict[str, tuple[int, ...]] = {}
        for name, shape in spaces.items():
            after[name] = shape
            if len(shape) == 3:
                self.chains[name] = stages = self._chain(name, (shape[0], shape[1], shape[2]), transforms)
                after[name] = stages[-1].after if stages else shape
        self.spaces: Spaces = after
        """What comes out, by sensor."""

    def _chain(self, sensor: str, shape: PictureShape, transforms: Sequence[tuple[str, Transform]]) -> list[Stage]:
        stages: list[Stage] = []
        for place, (text, transform) in enumerate(transforms):
            number = slice(self.draws, self.draws + transform.draws)
            memory = f"{sensor}/{place}" if transform.history > 1 else ""
            stage = Stage(text, transform, shape, transform.shape(shape), number, memory)
            _try_out(stage, last=place == len(transforms) - 1)
            stages.append(stage)
            shape, self.draws = stage.after, number.stop
        return stages

    def frames(self, count: int) -> dict[str, Tensor]:
        """What is remembered of `count` cars before their first pictures, `[N, K - 1, H, W, C]` for each stage."""
        stages = [stage for stages in self.chains.values() for stage in stages if stage.memory]
        return {
            stage.memory: torch.zeros(count, stage.transform.history - 1, *stage.before, dtype=torch.uint8)
            for stage in stages
        }

    def see(
        self,
        observations: Mapping[str, NDArray[Any]],
        frames: Mapping[str, Tensor],
        fresh: Tensor,
        draws: Tensor | None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What the networks get, and what is to be remembered.

        Args:
            observations: by sensor; pictures uint8 `[N, H, W, C]`, anything else `[N, ...]`.
            frames: what was remembered, see `frames`.
            fresh: bool `[N]` cars whose episode begins: earlier pictures are then copies of this one.
            draws: `[N, draws]` uniform in 0..1 while training; None in evaluation.
        """
        seen: dict[str, Tensor] = {}
        kept: dict[str, Tensor] = {}
        for name in self.spaces:
            seen[name] = torch.from_numpy(observations[name])
            for pictures in self.steps(name, seen[name], frames, fresh, draws, kept):
                seen[name] = pictures
        return seen, kept

    def steps(
        self,
        sensor: str,
        pictures: Tensor,
        frames: Mapping[str, Tensor],
        fresh: Tensor,
        draws: Tensor | None,
        kept: MutableMapping[str, Tensor],
    ) -> Iterator[Tensor]:
        """What one sensor's pictures are after each stage.

        Args:
            kept: what is to be remembered is put here; the others are as in `see`.
        """
        for stage in self.chains.get(sensor, ()):
            if stage.memory:
                older, now = frames[stage.memory], pictures[:, None]
                pictures = torch.cat([torch.where(fresh[:, None, None, None, None], now, older), now], dim=1)
                kept[stage.memory] = pictures[:, 1:]
            # A transform without draws of its own is told no difference between training and evaluation.
            own = draws[:, stage.number] if draws is not None and stage.transform.draws else None
            pictures = stage.transform(pictures, own)
            yield pictures


def _try_out(stage: Stage, *, last: bool) -> None:
    """Make something of a black picture, as in evaluation and as while training.

    Raises:
        ConfigError: it is not what the stage's transform says.
    """
    transform = stage.transform
    frames = (transform.history,) if transform.history > 1 else ()
    black = torch.zeros(1, *frames, *stage.before, dtype=torch.uint8)
    for draws in (None, torch.zeros(1, transform.draws, dtype=torch.float64)) if transform.draws else (None,):
        made = transform(black, draws)
        if tuple(made.shape[1:]) != stage.after:
            raise ConfigError(
                f"{stage.text}: shape() says that {list(stage.before)} becomes {list(stage.after)}, "
                f"but it becomes {list(made.shape[1:])}; make the two agree"
            )
        if made.dtype not in (torch.uint8, torch.float32):
            raise ConfigError(f"{stage.text} gives {made.dtype}; torch.uint8 is needed, or torch.float32 from the last")
        if made.dtype == torch.float32 and not last:
            raise ConfigError(f"{stage.text} gives numbers, not bytes, which no transform takes; put it last")
