"""A worker: drives a share of a run's cars for the trainer at an exchange, with the newest version of its model.

Everything that it needs comes from there. It ends when training does, and may be killed at any moment: another worker
drives its share then.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeVar

from pydantic import Field

from lateapex.config import Config
from lateapex.errors import LeaseLostError, RunError, StorageError
from lateapex.jobs.exchange_job import RUN_FILES, STORE_PATIENCE_S, one_share, owner, with_keys
from lateapex.jobs.run_folder import run_reward
from lateapex.jobs.run_parts import RunParts
from lateapex.models.policy import Policy
from lateapex.storage import MemoryStorage, Storage, open_storage
from lateapex.training.collect import Budget, LocalCollector
from lateapex.workers.batch_format import Batch
from lateapex.workers.exchange import read_settings
from lateapex.workers.experience import to_batch
from lateapex.workers.leases import Heartbeat
from lateapex.workers.versions import ModelVersion, read_pointer
from lateapex.workers.waiting import UnwantedError, outlast
from lateapex.workers.weights import critic_travels, load_weights
from lateapex.workers.worker_side import Seats, WorkerSide

T = TypeVar("T")

_PAUSE_S: Final = 0.02
"""Before the first look whether there is something to do again; then longer and longer."""
_LONGEST_PAUSE_S: Final = 1.0


class WorkerConfig(Config):
    """Settings of a worker."""

    exchange: str
    """Where the trainer is met, as that one was told."""
    patience_s: float = Field(default=600.0, gt=0.0)
    """How long to wait for a trainer, a share, the store, or for leave to go on, s."""
    threads: int = Field(default=1, ge=1)
    """Threads that draw pictures and compute networks; a worker for each core is quicker than one with many threads."""


@dataclass(frozen=True, kw_only=True)
class WorkerResult:
    """What a worker did."""

    exchange: str
    ended: Literal["finished", "stopped"]
    """By the end of training, or as it was told."""
    shares: tuple[int, ...]
    """Those it drove, in order."""
    batches: int
    """Announced to the trainer."""
    steps: int
    seconds: float


def work(
    config: WorkerConfig,
    tell: Callable[[str], None],
    stopping: Callable[[], bool] = lambda: False,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> WorkerResult:
    """Drive until training ends.

    Args:
        tell: gets a line on each share, and on what goes another way than planned.
        stopping: asked between two batches.
        clock, sleep: this machine's time, s, and how to let it pass.

    Raises:
        RunError: there was nothing to do for longer than patience allows.
        StorageError: the store did not answer for so long.
        LateapexError: the run's files are damaged, or its reward fails.
    """
    return _Worker(config, tell, stopping, clock, sleep).run()


class _Worker:
    def __init__(
        self,
        config: WorkerConfig,
        tell: Callable[[str], None],
        stopping: Callable[[], bool],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._config, self._tell, self._stopping, self._clock, self._sleep = config, tell, stopping, clock, sleep
        self._place = open_storage(config.exchange, STORE_PATIENCE_S)
        self._seats: Seats | None = None
        self._longest_pause = _LONGEST_PAUSE_S
        self._shares: list[int] = []
        self._batches = self._steps = 0
        self._progress()

    def run(self) -> WorkerResult:
        begun = self._clock()
        ended: Literal["finished", "stopped"] | None = None
        while ended is None:
            side = self._seat()
            if side is None:
                break
            try:
                ended = self._work_on(side)
            except LeaseLostError as error:
                self._tell(f"{error}; looking for another share")
        return WorkerResult(
            exchange=self._place.url,
            ended=ended or ("stopped" if self._stopping() else "finished"),
            shares=tuple(self._shares),
            batches=self._batches,
            steps=self._steps,
            seconds=self._clock() - begun,
        )

    def _seat(self) -> WorkerSide | None:
        """Wait for a share; None where training has ended, or the worker is to stop."""
        self._progress()
        while not self._stopping():
            found = self._patiently(self._look)
            if found is None or found.finished:
                break
            if found.side is not None:
                return found.side
            if found.shares:
                self._wait(f"all {found.shares} shares of {self._place.url} have a worker")
            else:
                self._wait(f"{self._place.url} has no trainer: start one with lateapex train --exchange")
        return None

    def _look(self) -> _Look:
        """Look whether training has ended, and for a free share."""
        settings = read_settings(self._place)
        finished = read_pointer(self._place).finished
        if finished or settings is None:
            return _Look(finished, 0, None)
        # What is watched for must be looked at more often than twice in its time to live.
        self._longest_pause = min(_LONGEST_PAUSE_S, settings.ttl_s / 4)
        if self._seats is None:
            self._place = with_keys(self._place)
            self._seats = Seats(self._place, owner(), clock=self._clock, sleep=self._sleep)
        return _Look(False, settings.shares, self._seats.try_take())

    def _work_on(self, side: WorkerSide) -> Literal["finished", "stopped"]:
        """Drive a share until training ends, or the worker is to stop."""
        with ExitStack() as around:
            around.callback(self._leave, side)
            heart = around.enter_context(Heartbeat(side.lease, side.settings.ttl_s / 4))
            driver: _Driver | None = None
            batch: Batch | None = None
            self._progress()
            while not self._stopping():
                heart.check()
                after = driver.version if driver else 0
                found = self._patiently(lambda after=after: (side.newest_version(after),))  # type: ignore[misc] # bound
                if side.finished:
                    return "finished"
                if found is None:
                    break
                if found[0] is not None:
                    if (driver := driver or self._driver(side, around)) is None:
                        break
                    driver.adopt(found[0])
                if driver is None:
                    self._wait("the trainer has published no model")
                    continue
                batch = batch or driver.drive()
                if self._offer(side, batch):
                    batch = None
                else:
                    self._wait(f"the trainer at {self._place.url} takes no more")
        return "stopped"

    def _offer(self, side: WorkerSide, batch: Batch) -> bool:
        if not self._patiently(lambda: side.offer(batch)):
            return False
        self._batches += 1
        self._steps += batch.reward.size
        self._progress()
        return True

    def _run_files(self) -> MemoryStorage:
        copies = MemoryStorage()
        for name in self._place.list(RUN_FILES):
            copies.write(name.removeprefix(RUN_FILES), self._place.read(name))
        return copies

    def _driver(self, side: WorkerSide, around: ExitStack) -> _Driver | None:
        """The cars of a share; None where the worker is to stop before it has found out about them."""
        if (copies := self._patiently(self._run_files)) is None:
            return None
        driver = _Driver(copies, side, self._config.threads)
        around.callback(driver.close)
        cars = driver.cars
        self._shares.append(side.share)
        self._tell(
            f"share {side.share + 1} of {side.settings.shares}: {cars.count} cars from number {cars.first} on, "
            f"as its worker number {side.generation}"
        )
        return driver

    def _leave(self, side: WorkerSide) -> None:
        try:
            side.leave()
        except StorageError as error:
            self._tell(f"the share stays taken for {side.settings.ttl_s:g} s: {error}")

    def _progress(self) -> None:
        self._since, self._pause = self._clock(), _PAUSE_S

    def _wait(self, why: str) -> None:
        """Wait for others to do something.

        Raises:
            RunError: they have done nothing for too long.
        """
        if self._clock() - self._since >= self._config.patience_s:
            raise RunError(f"{why}, for {self._config.patience_s:g} s; this worker ends")
        self._sleep(self._pause)
        self._pause = min(1.5 * self._pause, self._longest_pause)

    def _patiently(self, do: Callable[[], T]) -> T | None:
        """Do it again and again while the store does not answer; None where the worker is to stop.

        Raises:
            StorageError: it does not answer for too long.
        """
        patience_s, clock, sleep = self._config.patience_s, self._clock, self._sleep
        try:
            return outlast(do, patience_s, self._tell, look_up=self._look_up, clock=clock, sleep=sleep)
        except UnwantedError:
            return None

    def _look_up(self) -> None:
        if self._stopping():
            raise UnwantedError


class _Look(NamedTuple):
    """What a worker without a share finds."""

    finished: bool
    shares: int
    """0 while there is no exchange."""
    side: WorkerSide | None


class _Driver:
    """The cars of a share, and the policy that drives them.

    Args:
        copies: the run's files.
        threads: for pictures and networks.
    """

    def __init__(self, copies: Storage, side: WorkerSide, threads: int) -> None:
        parts = RunParts(copies)
        parts.config = config = parts.config.model_copy(update={"threads": threads})
        parts.begin(threads)
        self.cars = one_share(config, side.share)
        self.version = 0
        self._reward = run_reward(copies, first_car=self.cars.first)
        task = parts.task(self._reward, self.cars, share_seed(config.seed, side.share, side.generation))
        self._policy: Policy = parts.policy(task)
        self._policy.judges = critic_travels(self._policy)
        self._collector: LocalCollector = parts.collector(task, config.cars)
        trainer = config.trainer
        self._budget = Budget(trainer.rollout_steps, trainer.rollout_episodes, trainer.rollout_whole)

    def adopt(self, found: ModelVersion) -> None:
        """Drive with another version from now on.

        Raises:
            FormatError: it is none of this run's.
        """
        source = f"version {found.version} of the model"
        self._collector.steps = load_weights(self._policy, found.model, source)
        self.version = found.version

    def drive(self) -> Batch:
        """Take the steps of one batch."""
        return to_batch(self._collector.collect(self._policy, self._budget), self.version)

    def close(self) -> None:
        """End the reward's process, if it has one."""
        self._reward.close()


def share_seed(seed: int, share: int, generation: int) -> int:
    """Return the seed of a share's cars: another one for each worker that drives it.

    One that begins again with the numbers of the one before would make the same experience twice.
    """
    text = f"{seed} {share} {generation}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
