"""The trainer's side of an exchange: publish models, take batches, account for each of them once.

The order that makes this safe: `take` and `trained`, then `snapshot` into the trainer's saved state, then `settle` with
that very snapshot. Before `settle` nothing that the snapshot accounts for is deleted; after it nothing else is needed.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from lateapex.errors import FormatError, LeaseLostError, RunError
from lateapex.storage import Storage, Tagged
from lateapex.storage_check import require_conditional_writes
from lateapex.workers.batch_format import Batch, unpack
from lateapex.workers.exchange import (
    ANNOUNCED,
    BATCHES,
    LEDGER,
    TRAINER,
    Announcement,
    ExchangeSettings,
    agree,
    batch_name,
    batch_of,
    key_name,
    share_name,
    unpack_announcement,
    unpack_json,
)
from lateapex.workers.leases import Lease, Leases, read_token
from lateapex.workers.ledger import TRAINED, BatchId, Ledger
from lateapex.workers.versions import Publisher

Snapshot = Mapping[str, Any]


class Taken(NamedTuple):
    """A batch in the trainer's hands."""

    id: BatchId
    batch: Batch


class TrainerSide:
    """An exchange, held by this process. Made by `open_exchange`."""

    def __init__(
        self, storage: Storage, settings: ExchangeSettings, lease: Lease, ledger: Ledger, publisher: Publisher
    ) -> None:
        self.settings, self.lease, self.ledger = settings, lease, ledger
        self._storage, self._publisher = storage, publisher
        self._waiting: dict[BatchId, Announcement] = {}
        self._in_hand: set[BatchId] = set()
        # Accounted for, and not deleted yet.
        self._over: set[BatchId] = set()

    @property
    def version(self) -> int:
        """The newest that is published; 0: none yet."""
        return self._publisher.version

    def publish(self, model: bytes) -> int:
        """Make `model` the newest version; returns its number, one more than that of the newest so far.

        A resumed trainer goes on above what was published before, also where its own state is older.

        Raises:
            LeaseLostError: another trainer has taken over.
        """
        return self._publisher.publish(model)

    def take(self, at_most: int) -> list[Taken]:
        """Return batches that wait: those of older versions first, then all shares in turn.

        Those that cannot be trained on are discarded on the way, with their reason in the ledger.
        """
        self._look()
        taken: list[Taken] = []
        for found in sorted(self._waiting.values(), key=lambda found: (found.version, found.batch[::-1])):
            if len(taken) == at_most:
                break
            if self.version - found.version > self.settings.max_stale:
                self._decide(found.batch, "stale")
            elif (batch := self._fetch(found)) is not None:
                del self._waiting[found.batch]
                self._in_hand.add(found.batch)
                taken.append(Taken(found.batch, batch))
        return taken

    def trained(self, batch: BatchId) -> None:
        """Write down that a taken batch went into the model.

        Raises:
            ValueError: it is not in the trainer's hands.
        """
        self._part_with(batch, TRAINED)

    def discard(self, batch: BatchId, reason: str) -> None:
        """Write down why a taken batch did not.

        Raises:
            ValueError: it is not in the trainer's hands, or there is no such reason.
        """
        self._part_with(batch, reason)

    def unsettled(self) -> Counter[int]:
        """How many batches of each share are accounted for and not deleted: its worker may make so many fewer."""
        return Counter(batch.share for batch in self._over)

    def snapshot(self) -> dict[str, Any]:
        """The account as numbers, texts, lists and dicts: part of the state that the trainer goes on from."""
        return {"run": self.settings.run, "ledger": self.ledger.plain(), "over": sorted(map(str, self._over))}

    def settle(self, snapshot: Snapshot) -> None:
        """Delete what a snapshot accounts for, once the state that it is part of has been saved; old versions, too.

        Raises:
            LeaseLostError: another trainer has taken over; nothing is deleted.
        """
        _move_ledger(self._storage, self.lease.token, lambda _: snapshot["ledger"])
        for batch in _ids(snapshot["over"]):
            self._storage.delete(key_name(batch))
            if not self.settings.keep:
                self._storage.delete(batch_name(batch))
            self._over.discard(batch)
        self._publisher.tidy()

    def sweep(self) -> None:
        """Account for what dead workers began and never announced; remove what came back after it was deleted."""
        for batch in self._unannounced():
            if batch.generation < read_token(self._storage, share_name(batch.share)):
                self._decide(batch, "lost")

    def finish(self) -> None:
        """End training: workers are told to leave, and what still waits is discarded.

        Raises:
            LeaseLostError: another trainer has taken over.
        """
        self._publisher.finish()
        self.sweep()
        for batch in [*self._waiting, *self._in_hand, *self._unannounced()]:
            self._in_hand.discard(batch)
            self._decide(batch, "unused")

    def _unannounced(self) -> list[BatchId]:
        """Batches without a key about which nothing is decided; those about which something is are deleted."""
        # In this order: a batch whose key comes between the two looks is then not taken for one without.
        names = self._storage.list(BATCHES)
        self._look()
        known = self._waiting.keys() | self._in_hand | self._over
        found = [batch for batch in map(batch_of, names) if batch is not None and batch not in known]
        if not self.settings.keep:
            for batch in filter(self.ledger.decided, found):
                self._storage.delete(batch_name(batch))
        return [batch for batch in found if not self.ledger.decided(batch)]

    def check(self) -> None:
        """Return if no other trainer has taken over.

        Raises:
            LeaseLostError: one has.
        """
        if read_token(self._storage, TRAINER) != self.lease.token:
            raise LeaseLostError(f"another trainer has taken over {self._storage.url}; this one ends")

    def leave(self) -> None:
        """Let the next trainer begin at once."""
        self.lease.release()

    def _look(self) -> None:
        """Notice new announcements, repeated ones, and losses."""
        announced = [batch for batch in map(batch_of, self._storage.list(ANNOUNCED)) if batch is not None]
        known = self._waiting.keys() | self._in_hand | self._over
        for batch in announced:
            if batch in known:
                continue
            if self.ledger.decided(batch):
                self.ledger.repeat()
                self._over.add(batch)
                continue
            try:
                self._waiting[batch] = unpack_announcement(self._storage.read(key_name(batch)), batch)
                self.ledger.notice(batch)
            except FormatError:
                self._decide(batch, "torn")
            except RunError:
                # It was there a moment ago; its number tells of it when the next one comes.
                continue
        for batch in list(self.ledger.undecided()):
            # A list is no snapshot: what came while it was made may lack in it.
            here = batch in self._waiting or batch in self._in_hand
            if not here and not self._storage.exists(key_name(batch)):
                self._decide(batch, "lost")

    def _fetch(self, found: Announcement) -> Batch | None:
        name = batch_name(found.batch)
        try:
            batch = unpack(self._storage.read(name), f"{self._storage.url}/{name}", found.digest)
            if batch.version == found.version:
                return batch
            reason = "torn"
        except RunError:
            reason = "lost"
        except FormatError:
            reason = "torn"
        self._decide(found.batch, reason)
        return None

    def _part_with(self, batch: BatchId, verdict: str) -> None:
        if batch not in self._in_hand:
            raise ValueError(f"batch {batch} was not taken, or is decided")
        self._decide(batch, verdict)
        self._in_hand.remove(batch)

    def _decide(self, batch: BatchId, verdict: str) -> None:
        self.ledger.decide(batch, verdict)
        self._waiting.pop(batch, None)
        self._over.add(batch)


def open_exchange(
    storage: Storage,
    settings: ExchangeSettings,
    owner: str,
    saved: Callable[[], Snapshot | None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> TrainerSide:
    """Become the trainer of an exchange.

    Args:
        storage: where it is.
        settings: what the run wants.
        owner: how this process is called in messages.
        saved: returns the snapshot of the saved state that the run goes on from; None for a run that begins. It is
            called when no other trainer is at work any more.
        clock, sleep: this machine's time, s, and how to let it pass.

    Raises:
        RunError: it has another trainer, or belongs to another run, or this run went on there and must be resumed.
        ConfigError: it was begun with other settings.
        StorageError: the store does not honour conditional writes.
    """
    require_conditional_writes(storage)
    agree(storage, settings)
    lease = _become_trainer(storage, owner, settings.ttl_s, clock, sleep)
    try:
        return _take_over(storage, settings, lease, saved)
    except BaseException:
        lease.release()
        raise


def read_ledger(storage: Storage) -> Ledger:
    """Return the account of an exchange as of the last time it was settled."""
    found = _tagged_ledger(storage)
    return Ledger.from_plain(unpack_json(found.data, LEDGER)["ledger"]) if found else Ledger()


def _become_trainer(
    storage: Storage, owner: str, ttl_s: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Lease:
    leases = Leases(storage, owner, ttl_s, clock)
    for _ in range(_LOOKS):
        if (lease := leases.try_acquire(TRAINER)) is not None:
            return lease
        sleep(ttl_s / 4)
    raise RunError(
        f"{storage.url} has a trainer already ({leases.holder(TRAINER)}); stop it first, or choose another --exchange"
    )


_LOOKS: Final = 7
"""So many looks, a quarter of the time to live apart, are enough to know that a trainer is dead."""


def _take_over(
    storage: Storage, settings: ExchangeSettings, lease: Lease, saved: Callable[[], Snapshot | None]
) -> TrainerSide:
    publisher = Publisher(storage, lease.token)
    settled = Ledger.from_plain(_move_ledger(storage, lease.token, lambda plain: plain))
    snapshot = saved()
    if snapshot is None and settled.produced:
        raise RunError(f"{storage.url} holds a run that went on there; resume that run, or choose an empty place")
    if snapshot is not None and snapshot["run"] != settings.run:
        whose = snapshot["run"]
        raise RunError(f"the saved state is of run {whose}, {storage.url} of {settings.run}; choose an empty place")
    ledger = Ledger.from_plain(snapshot["ledger"]) if snapshot is not None else Ledger()
    # What a later state than this one had accounted for is gone: it shall count as lost.
    ledger.learn_of(settled)
    side = TrainerSide(storage, settings, lease, ledger, publisher)
    if snapshot is not None:
        side._over |= set(_ids(snapshot["over"]))
    return side


def _move_ledger(
    storage: Storage, token: int, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Replace the settled ledger, unless a later trainer has been there; returns the new one."""
    while True:
        found = _tagged_ledger(storage)
        before: Mapping[str, Any] = {"token": 0, "ledger": Ledger().plain()}
        if found is not None:
            before = unpack_json(found.data, LEDGER)
        if before["token"] > token:
            raise LeaseLostError(f"another trainer has taken over {storage.url}; this one ends")
        after = change(before["ledger"])
        data = json.dumps({"token": token, "ledger": after}).encode()
        if found is None:
            tag = storage.put_if_absent(LEDGER, data)
        else:
            tag = storage.compare_and_swap(LEDGER, found.tag, data)
        if tag is not None:
            return after


def _tagged_ledger(storage: Storage) -> Tagged | None:
    try:
        return storage.read_tagged(LEDGER)
    except RunError:
        return None


def _ids(texts: list[str]) -> list[BatchId]:
    return [batch for batch in map(BatchId.parse, texts) if batch is not None]
