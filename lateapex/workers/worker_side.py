"""The worker's side of an exchange: take a share, fetch models, offer batches."""

from __future__ import annotations

import time
from collections.abc import Callable

from lateapex.errors import RunError
from lateapex.storage import Storage
from lateapex.workers.batch_format import Batch, Packed, pack
from lateapex.workers.exchange import (
    ANNOUNCED,
    Announcement,
    ExchangeSettings,
    batch_name,
    key_name,
    pack_announcement,
    read_settings,
    share_name,
)
from lateapex.workers.leases import Lease, Leases
from lateapex.workers.ledger import BatchId
from lateapex.workers.versions import ModelVersion, read_pointer, read_version


class WorkerSide:
    """One share of an exchange, held by this process.

    Seeds belong to share and generation: a generation that begins again with those of the one before makes the same
    experience twice.
    """

    def __init__(self, storage: Storage, settings: ExchangeSettings, share: int, lease: Lease) -> None:
        self.settings, self.share, self.lease = settings, share, lease
        self.finished = False
        """Whether training had ended when the newest version was last asked for."""
        self._storage = storage
        self._made = 0
        self._pending: tuple[Batch, Packed] | None = None

    @property
    def generation(self) -> int:
        """Counts the holders of this share, from 1."""
        return self.lease.token

    def newest_version(self, after: int = 0) -> ModelVersion | None:
        """Return the newest version of the model if it is newer than `after`."""
        pointer = read_pointer(self._storage)
        self.finished = pointer.finished
        return read_version(self._storage, pointer) if pointer.version > after else None

    def offer(self, batch: Batch) -> bool:
        """Give a batch to the trainer; False where so many of this share wait that it is not taken now.

        Raises:
            StorageError: the store does not answer. Offered again, the batch goes on where it stood.
        """
        if self._pending is not None:
            again = self._pending[0] is batch
            self._announce(*self._pending)
            if again:
                return True
        waiting = self._storage.list(f"{ANNOUNCED}{self.share:04d}-")
        if len(waiting) >= self.settings.ahead:
            return False
        self._pending = (batch, pack(batch))
        self._announce(*self._pending)
        return True

    def _announce(self, batch: Batch, packed: Packed) -> None:
        """Write the batch, then its key; what an earlier attempt has written already stays."""
        name = BatchId(self.share, self.generation, self._made)
        self._storage.put_if_absent(batch_name(name), packed.data)
        announcement = Announcement(name, batch.version, packed.digest)
        self._storage.put_if_absent(key_name(name), pack_announcement(announcement))
        self._pending = None
        self._made += 1

    def leave(self) -> None:
        """Let another worker have the share at once."""
        self.lease.release()


class Seats:
    """Finds shares to work on.

    Args:
        storage: the exchange.
        owner: how this worker is called in messages.
        clock, sleep: this machine's time, s, and how to let it pass.
    """

    def __init__(
        self,
        storage: Storage,
        owner: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._storage, self._owner, self._clock, self._sleep = storage, owner, clock, sleep
        self._settings: ExchangeSettings | None = None
        self._leases: Leases | None = None

    def try_take(self) -> WorkerSide | None:
        """Take the first share that is free or whose worker has died; None if there is none yet."""
        settings = self._settings = self._settings or read_settings(self._storage)
        if settings is None:
            return None
        self._leases = self._leases or Leases(self._storage, self._owner, settings.ttl_s, self._clock)
        for share in range(settings.shares):
            lease = self._leases.try_acquire(share_name(share))
            if lease is not None:
                return WorkerSide(self._storage, settings, share, lease)
        return None

    def take(self, patience_s: float) -> WorkerSide:
        """Wait for a share.

        Raises:
            RunError: none came free in that time.
        """
        end = self._clock() + patience_s
        while (side := self.try_take()) is None:
            if self._clock() >= end:
                raise RunError(f"{self._storage.url} has {self._lack()} after {patience_s:g} s")
            self._sleep(self._settings.ttl_s / 4 if self._settings else 1.0)
        return side

    def _lack(self) -> str:
        if self._settings is None:
            return "no trainer: start one with lateapex train --exchange"
        return f"no share left for this worker: all {self._settings.shares} are taken"
