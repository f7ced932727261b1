"""What learns: whatever makes a policy better from experience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lateapex.storage import Storage
from lateapex.training.rollout import Rollout


class Algorithm(Protocol):
    """Improves a policy in place."""

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Learn from a rollout of the policy; returns the means of losses and measures."""
        ...

    def state(self, storage: Storage) -> dict[str, Any]:
        """All that the next update depends on beside the policy's weights, for a checkpoint.

        What is too much for one file may go into others, which the state then names.
        """
        ...

    def restore(self, state: Mapping[str, Any], storage: Storage) -> None:
        """Return to a saved state."""
        ...

    def tidy(self, storage: Storage) -> None:
        """Delete files that the newest state, which is on disk now, does not name."""
        ...
