"""What learns: whatever makes a policy better from experience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lateapex.training.collect import Rollout


class Algorithm(Protocol):
    """Improves a policy in place."""

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Learn from a rollout of the policy; returns the means of losses and measures."""
        ...

    def state(self) -> dict[str, Any]:
        """All that the next update depends on beside the policy's weights, for a checkpoint."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a saved state."""
        ...
