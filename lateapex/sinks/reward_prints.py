"""`logs/reward_prints.log`: what the reward function printed, in the order of its calls.

The original interleaves it with the lines of its training log; here it has a file of its own, so that the live table
and the training log stay readable. Tools that look for a racer's own lines find them there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lateapex.records import UpdateRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lateapex.records import Record
    from lateapex.storage import Storage

NAME: Final = "logs/reward_prints.log"


class RewardPrintsSink:
    """Writes what was printed after each update; a run whose reward prints nothing has no such file.

    Args:
        take: fetches what was printed since the last time.
    """

    def __init__(self, storage: Storage, take: Callable[[], str]) -> None:
        self._storage = storage
        self._take = take
        self._held = b""
        self._size = 0  # bytes in the storage

    def write(self, record: Record) -> None:
        """Write what came until an update; other records are passed over.

        Raises:
            StorageError: what could not be written is still held.
        """
        if isinstance(record, UpdateRecord):
            self.close()

    def state(self) -> dict[str, int]:
        """Write what is held, and say how far this sink has come."""
        self.close()
        return {"bytes": self._size}

    def restore(self, state: Mapping[str, int]) -> None:
        """Forget what was written after `state`."""
        self._size = state.get("bytes", 0)
        self._storage.truncate(NAME, self._size)
        if not self._size:
            self._storage.delete(NAME)

    def close(self) -> None:
        """Write what is held; raises as `write`."""
        self._held += self._take().encode(errors="replace")
        if self._held:
            (self._storage.append if self._size else self._storage.write)(NAME, self._held)
            self._size += len(self._held)
            self._held = b""
