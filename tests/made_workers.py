"""Runs that workers drive, in threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from small_runs import small_config

from lateapex.jobs import train as job
from lateapex.jobs.worker import WorkerConfig, WorkerResult, work

SHARES = 2


class Crew:
    """Workers at one exchange."""

    def __init__(self, exchange: Path | str) -> None:
        self.results: list[WorkerResult] = []
        self.errors: list[BaseException] = []
        self.said: list[str] = []
        self.stop = threading.Event()
        self._exchange = str(exchange)
        self._threads: list[threading.Thread] = []

    def hire(self, count: int = 1, patience_s: float = 60.0) -> None:
        config = WorkerConfig(exchange=self._exchange, patience_s=patience_s)
        for _ in range(count):
            thread = threading.Thread(target=self._work, args=(config,))
            self._threads.append(thread)
            thread.start()

    def _work(self, config: WorkerConfig) -> None:
        try:
            self.results.append(work(config, self.said.append, self.stop.is_set))
        except BaseException as error:
            self.errors.append(error)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


@contextmanager
def crew(exchange: Path | str, count: int = SHARES) -> Iterator[Crew]:
    """So many workers; at the end they have left by themselves, and none has failed."""
    workers = Crew(exchange)
    workers.hire(count)
    try:
        yield workers
    except BaseException:
        workers.stop.set()
        raise
    finally:
        workers.join()
    assert workers.errors == []


def shared_config(out: Path | str, place: Path | str, **changes: Any) -> job.TrainConfig:
    """A small run of four cars, shared out to two workers."""
    exchange = {"url": str(place), "shares": SHARES, "ttl_s": 4.0, **changes.pop("exchange", {})}
    trainer = {"duration": 120.0, "steps": 256, "evaluation_interval": 4, **changes.pop("trainer", {})}
    return small_config(out, **{"cars": 4, "track": "oval", "exchange": exchange, "trainer": trainer, **changes})


def shared_run(out: Path | str, place: Path | str, **changes: Any) -> job.TrainResult:
    """Train it with two workers."""
    with crew(place):
        return job.train(shared_config(out, place, **changes))
