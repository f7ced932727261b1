"""Processes that meet at one exchange: killed at any operation of the storage, interrupted by others at any of them."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from lateapex.errors import LeaseLostError, RunError, StorageError
from lateapex.storage import MemoryStorage
from lateapex.workers.exchange import ANNOUNCED, LEDGER, POINTER, ExchangeSettings, batch_of, unpack_json
from lateapex.workers.ledger import BatchId
from lateapex.workers.trainer_side import TrainerSide, open_exchange
from lateapex.workers.worker_side import Seats, WorkerSide

TTL_S = 8.0
FAULTS = ("killed before", "killed after", "error before", "error after")


class KilledError(BaseException):
    """The process is no more; as after kill -9, nothing that it would clean up is cleaned up."""


class Observed(MemoryStorage):
    """Sees all that is ever announced and published; that versions never go back or change, nor do trainers."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[BatchId, bytes] = {}
        self.versions: dict[int, bytes] = {}
        self.newest = 0
        self.tokens = {POINTER: 0, LEDGER: 0}

    def write(self, name: str, data: bytes) -> None:
        if name == POINTER:
            pointer = unpack_json(data, name)
            assert pointer["version"] >= self.newest, "the pointer went back"
            self.newest = pointer["version"]
            if self.newest:
                model = b"".join(self.files[part] for part, _ in pointer["parts"])
                assert self.versions.setdefault(self.newest, model) == model, "a version changed"
        if name in self.tokens:
            token = unpack_json(data, name)["token"]
            assert token >= self.tokens[name], "a trainer wrote that others have replaced"
            self.tokens[name] = token
        if name.startswith(ANNOUNCED):
            self.keys.setdefault(batch_of(name), bytes(data))
        super().write(name, data)


@dataclass
class Plan:
    """What befalls a process: by the number of the operation, counted from 0."""

    faults: dict[int, str] = field(default_factory=dict)
    interrupts: dict[int, Callable[[], None]] = field(default_factory=dict)


class Process:
    """A storage as one process sees it."""

    def __init__(self, inner: Observed) -> None:
        self.inner, self.plan, self.count, self.dead = inner, Plan(), 0, False
        self.url = inner.url

    def __getattr__(self, name: str) -> Callable[..., object]:
        return functools.partial(self._do, getattr(self.inner, name))

    def list(self, prefix: str = "") -> list[str]:
        """Looks twice, as at two folders or pages: others may act in between, so this was never all true at once."""
        even = [name for name in self._do(self.inner.list, prefix) if zlib.crc32(name.encode()) % 2 == 0]
        odd = [name for name in self._do(self.inner.list, prefix) if zlib.crc32(name.encode()) % 2 == 1]
        return sorted(even + odd)

    def _do(self, operation, *arguments):
        if self.dead:
            raise KilledError
        interrupt = self.plan.interrupts.pop(self.count, None)
        fault = self.plan.faults.pop(self.count, "")
        self.count += 1
        if interrupt is not None:
            interrupt()
        if fault.endswith("before"):
            self._fail(fault)
        answer = operation(*arguments)
        if fault.endswith("after"):
            self._fail(fault)
        return answer

    def _fail(self, fault: str) -> None:
        self.dead = fault.startswith("killed")
        raise KilledError if self.dead else StorageError("the store does not answer")


@dataclass(eq=False)
class Worker:
    storage: Process
    seats: Seats
    side: WorkerSide | None = None
    version: int = 0
    offered: object = None


@dataclass(eq=False)
class Trainer:
    storage: Process
    side: TrainerSide | None = None
    stalled: bool = False
    verdicts: list[tuple[BatchId, str]] = field(default_factory=list)
    trained: list[int] = field(default_factory=list)
    """The rewards' first value of every batch in the model: each batch has its own."""
    in_hand: list = field(default_factory=list)
    saved: dict | None = None


class World:
    """An exchange, its processes, and the one saved state of the run."""

    def __init__(self, **settings: object) -> None:
        self.settings = ExchangeSettings(run="run", ttl_s=TTL_S, **settings)
        self.store = Observed()
        self.now = self.beaten = 0.0
        self.workers: list[Worker] = []
        self.trainers: list[Trainer] = []
        self.saved: tuple[list, list, dict] | None = None
        self.all_saved: list[tuple[list, list, dict]] = []

    def sleep(self, seconds: float) -> None:
        """Let time pass; who is alive and not stalled shows it in time, though not after every look of others."""
        self.now += seconds
        if self.now - self.beaten < TTL_S / 2:
            return
        self.beaten = self.now
        for process in [*self.workers, *self.trainers]:
            if process.side is not None and not process.storage.dead and not getattr(process, "stalled", False):
                self.beat(process)

    def beat(self, process: Worker | Trainer) -> None:
        plan, process.storage.plan = process.storage.plan, Plan()
        try:
            process.side.lease.renew()
        except LeaseLostError:
            process.storage.dead = True
        process.storage.plan = plan

    def worker(self, plan: Plan | None = None) -> Worker:
        """A process that looks for a share."""
        storage = Process(self.store)
        storage.plan = plan or Plan()
        worker = Worker(storage, Seats(storage, "worker", clock=lambda: self.now, sleep=self.sleep))
        self.workers.append(worker)
        try:
            worker.side = worker.seats.take(2 * TTL_S)
        except (RunError, StorageError):
            storage.dead = True
        return worker

    def trainer(self, plan: Plan | None = None) -> Trainer:
        """A process that wants to train, from the saved state where there is one.

        Raises:
            RunError: as `open_exchange`.
        """
        trainer = Trainer(Process(self.store))
        trainer.storage.plan = plan or Plan()

        def load():
            if self.saved is None:
                return None
            trainer.trained, trainer.verdicts = list(self.saved[0]), list(self.saved[1])
            return self.saved[2]

        trainer.side = open_exchange(
            trainer.storage, self.settings, "trainer", load, clock=lambda: self.now, sleep=self.sleep
        )
        decide = trainer.side.ledger.decide

        def noted(batch: BatchId, verdict: str) -> None:
            decide(batch, verdict)
            trainer.verdicts.append((batch, verdict))

        trainer.side.ledger.decide = noted
        self.trainers.append(trainer)
        return trainer

    def take(self, trainer: Trainer, at_most: int) -> None:
        trainer.in_hand += trainer.side.take(at_most)

    def train(self, trainer: Trainer) -> None:
        for taken in trainer.in_hand:
            trainer.side.trained(taken.id)
            trainer.trained.append(int(taken.batch.extra["content"]))
        trainer.in_hand.clear()

    def save(self, trainer: Trainer) -> None:
        trainer.saved = trainer.side.snapshot()
        self.saved = list(trainer.trained), list(trainer.verdicts), trainer.saved
        self.all_saved.append(self.saved)
