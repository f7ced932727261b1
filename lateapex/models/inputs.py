"""What happens to observations on their way to the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from lateapex.models.blueprint import Spaces


class Inputs:
    """Chain of transforms."""

    def __init__(self, texts: Sequence[str], spaces: Spaces) -> None:
        self.spaces: Spaces = dict(spaces)
        self.draws = 0

    def frames(self, count: int) -> dict[str, Tensor]:
        """No pictures yet."""
        return {}

    def see(
        self,
        observations: Mapping[str, NDArray[Any]],
        frames: Mapping[str, Tensor],
        fresh: Tensor,
        draws: Tensor | None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What the networks get, and the pictures to remember."""
        return {name: torch.from_numpy(value) for name, value in observations.items()}, {}
