"""Workers that offer real experience to a trainer in the same process, on a clock that stands still."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from made_bucket import Clock
from made_models import small_policy
from made_tasks import small_task

from lateapex.env.reward import RewardFunction
from lateapex.models.policy import Policy
from lateapex.storage import MemoryStorage, Storage
from lateapex.training.collect import Budget, LocalCollector
from lateapex.workers.exchange import ExchangeSettings
from lateapex.workers.experience import to_batch
from lateapex.workers.store_collector import StoreCollector
from lateapex.workers.trainer_side import open_exchange
from lateapex.workers.worker_side import Seats, WorkerSide

SETTINGS = ExchangeSettings(run="run", shares=2, ahead=2, max_stale=2, ttl_s=8.0)
CARS = 2
"""Of each share."""


class Driving:
    """A worker: `send` drives with the newest version and offers what came of it."""

    def __init__(self, storage: Storage) -> None:
        side = Seats(storage, "worker").try_take()
        assert side is not None
        self.side: WorkerSide = side
        task = small_task(cars=CARS, first_car=CARS * side.share, max_steps=6, reward=RewardFunction(_PAY, "pay.py"))
        self.collector = LocalCollector(task)
        self.policy = small_policy(task)
        self.version = 1

    def send(self, version: int | None = None, steps: int = 8, **changes: Any) -> bool:
        rollout = self.collector.collect(self.policy, Budget(steps))._replace(**changes)
        return self.side.offer(to_batch(rollout, self.version if version is None else version))


_PAY = """
def reward_function(params):
    return 1.0
"""


class Meeting:
    """A trainer's collector at an exchange in memory, and its workers."""

    def __init__(self, storage: Storage | None = None, saved: Any = None, workers: int = 2, **options: Any) -> None:
        self.storage = storage or MemoryStorage()
        self.clock = Clock()
        self.said: list[str] = []
        self.asleep: list[Callable[[], object]] = []
        """What others do while the trainer waits, one thing a pause."""
        settings = dataclasses.replace(SETTINGS, **options.pop("settings", {}))
        side = open_exchange(self.storage, settings, "trainer", lambda: saved, clock=self.clock, sleep=self.clock.sleep)
        self.task = small_task(cars=CARS)
        self.policy: Policy = small_policy(self.task)
        self.collector = StoreCollector(
            self.storage,
            side,
            self.task,
            CARS * settings.shares,
            tell=self.said.append,
            clock=self.clock,
            sleep=self.sleep,
            **options,
        )
        self.workers = [Driving(self.storage) for _ in range(workers)]

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        if self.asleep:
            self.asleep.pop(0)()

    def collect(self, wanted: Callable[[], bool] = lambda: True) -> Any:
        """Collect; a trainer that would wait for ever fails the test instead."""

        def asked() -> bool:
            assert self.clock.now < 10_000.0, "it waits for ever"
            return wanted()

        return self.collector.collect(self.policy, Budget(8, wanted=asked))
