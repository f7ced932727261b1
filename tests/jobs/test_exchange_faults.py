"""Whatever fails between a trainer and its workers: training goes on or resumes, and every batch is accounted for."""

from __future__ import annotations

import itertools
import math
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from made_bucket import Clock
from made_workers import Crew, crew, shared_config, shared_run

from lateapex.errors import LeaseLostError, RunError, StorageError
from lateapex.jobs import train as job
from lateapex.jobs.exchange_job import RUN_FILES
from lateapex.jobs.worker import WorkerConfig, work
from lateapex.storage import DiskStorage, MemoryStorage
from lateapex.workers.exchange import ANNOUNCED, BATCHES, POINTER, TRAINER
from lateapex.workers.leases import Heartbeat
from lateapex.workers.store_collector import StoreCollector
from lateapex.workers.trainer_side import TrainerSide

STEPS_OF_BATCH = 32


class Line:
    """A storage as one process reaches it: slow, cut, or tearing what goes through."""

    def __init__(self, folder: Path) -> None:
        self._inner = DiskStorage(folder)
        self.url = self._inner.url
        self.slow_s = 0.0
        self.cut = threading.Event()
        self.torn = 0
        """Batches still to be torn."""

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._inner, name)

        def call(*words: Any) -> Any:
            time.sleep(self.slow_s)
            if self.cut.is_set():
                raise StorageError("the network is cut")
            if name == "put_if_absent" and words[0].startswith(BATCHES) and self.torn:
                self.torn -= 1
                words = (words[0], words[1][:-100])
            return operation(*words)

        return call


def through(monkeypatch: pytest.MonkeyPatch, module: str, lines: list[Line]) -> None:
    """Let a module reach its places through these lines, one after the other."""
    left = iter(lines)
    monkeypatch.setattr(f"lateapex.jobs.{module}.open_storage", lambda url, patience_s: next(left))


def assert_accounted_for(result: job.TrainResult) -> None:
    """Each batch once: in the model, or discarded for a reason."""
    assert result.ledger is not None
    assert result.ledger.balanced
    assert result.ledger.waiting == 0
    assert result.ledger.trained * STEPS_OF_BATCH == result.steps


# ------------------------------------------------------------------------------------------------ the trainer is killed


class KilledError(BaseException):
    """The process is no more, as far as the code under test can tell."""


def kill_at(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, number: int, *, after: bool) -> None:
    """Let the process die at a call of a method; its lease stays as it was, as after kill -9."""
    operation, calls = getattr(kind, name), itertools.count()

    def deadly(self: Any, *words: Any) -> Any:
        fatal = next(calls) == number
        if fatal and not after:
            raise KilledError
        answer = operation(self, *words)
        if fatal:
            raise KilledError
        return answer

    monkeypatch.setattr(kind, name, deadly)
    monkeypatch.setattr(TrainerSide, "leave", lambda self: None)


def train_until_killed(config: job.TrainConfig, kind: type, name: str, number: int, *, after: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, kind, name, number, after=after)
        with pytest.raises(KilledError):
            job.train(config)


@pytest.mark.chaos
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", ["publish", "trained", "snapshot", "settle"])
def test_a_trainer_that_is_killed_goes_on_and_trains_no_batch_twice(tmp_path, place, after):
    config = shared_config(tmp_path / "run", tmp_path / "exchange", exchange={"ttl_s": 1.0}, trainer={"steps": 512})
    with crew(tmp_path / "exchange"):
        train_until_killed(config, TrainerSide, place, 3, after=after)
        result = job.resume(str(tmp_path / "run"))
    assert result.outcome == "steps"
    assert_accounted_for(result)


@pytest.mark.chaos
def test_a_trainer_that_is_killed_while_it_collects_goes_on(tmp_path):
    config = shared_config(tmp_path / "run", tmp_path / "exchange", exchange={"ttl_s": 1.0}, trainer={"steps": 512})
    with crew(tmp_path / "exchange"):
        train_until_killed(config, StoreCollector, "_take", 9, after=True)
        result = job.resume(str(tmp_path / "run"))
    assert_accounted_for(result)


@pytest.mark.chaos
def test_a_trainer_that_goes_on_waits_for_a_store_that_is_away(tmp_path, monkeypatch):
    config = shared_config(tmp_path / "run", tmp_path / "exchange", exchange={"ttl_s": 1.0}, trainer={"steps": 512})
    with crew(tmp_path / "exchange"):
        train_until_killed(config, TrainerSide, "settle", 2, after=True)
        line = Line(tmp_path / "exchange")
        line.cut.set()
        monkeypatch.setattr("lateapex.jobs.exchange_job.open_storage", lambda url, patience_s: line)
        back = threading.Timer(1.0, line.cut.clear)
        back.start()
        result = job.resume(str(tmp_path / "run"))
        back.join()
    assert_accounted_for(result)


def test_a_trainer_that_begins_tells_at_once_that_the_store_does_not_answer(tmp_path, monkeypatch):
    line = Line(tmp_path / "exchange")
    line.cut.set()
    through(monkeypatch, "exchange_job", [line])
    with pytest.raises(StorageError, match="the network is cut"):
        job.train(shared_config(tmp_path / "run", tmp_path / "exchange"))


def test_a_trainer_whose_place_went_to_another_ends_and_leaves_the_run_alone(tmp_path, monkeypatch):
    config = shared_config(tmp_path / "run", tmp_path / "exchange", trainer={"steps": 10_000})
    run, seen = DiskStorage(tmp_path / "run"), []

    def noticed(kind: type) -> None:
        check = kind.check

        def checked(self: Any) -> None:
            try:
                check(self)
            except LeaseLostError:
                seen.append({name: run.read(name) for name in run.list()})
                raise

        monkeypatch.setattr(kind, "check", checked)

    noticed(TrainerSide)
    noticed(Heartbeat)
    with crew(tmp_path / "exchange", 1) as workers:

        def observe(trainer, storage, _):
            def steal() -> None:
                while trainer.progress.updates < 2:
                    time.sleep(0.01)
                place = DiskStorage(tmp_path / "exchange")
                stolen = None
                while stolen is None:  # between two beats of its holder
                    found = place.read_tagged(TRAINER)
                    another = found.data.replace(b'"token": 1', b'"token": 2').replace(b'"nonce": "', b'"nonce": "x')
                    stolen = place.compare_and_swap(TRAINER, found.tag, another)

            threading.Thread(target=steal).start()
            return {}

        with pytest.raises(LeaseLostError, match=r"went to|has taken over"):
            job.train(config, observe)
        workers.stop.set()
    assert {name: run.read(name) for name in run.list()} == seen[0]


# -------------------------------------------------------------------------------------------- the store and the network


@pytest.mark.chaos
def test_a_store_that_is_slow_makes_training_slow(tmp_path, monkeypatch):
    lines = [Line(tmp_path / "exchange") for _ in range(3)]
    for line in lines:
        line.slow_s = 0.03
    through(monkeypatch, "exchange_job", lines[:1])
    through(monkeypatch, "worker", lines[1:])
    with crew(tmp_path / "exchange"):
        result = job.train(shared_config(tmp_path / "run", tmp_path / "exchange"))
    assert result.outcome == "steps"
    assert_accounted_for(result)


@pytest.mark.chaos
def test_a_worker_that_was_cut_off_comes_back_to_another_share_and_loses_nothing_silently(tmp_path, monkeypatch):
    lines = [Line(tmp_path / "exchange") for _ in range(2)]
    through(monkeypatch, "worker", lines)
    config = shared_config(
        tmp_path / "run", tmp_path / "exchange", exchange={"ttl_s": 1.0, "shares": 1}, trainer={"steps": 100_000}
    )
    with crew(tmp_path / "exchange", 1) as workers:

        def observe(trainer, storage, _):
            def befall() -> None:
                while trainer.progress.updates < 2:
                    time.sleep(0.01)
                lines[0].cut.set()
                workers.hire()
                while len([line for line in workers.said if line.startswith("share 1 of 1")]) < 2:
                    time.sleep(0.01)
                lines[0].cut.clear()
                while not any("looking for another share" in line for line in workers.said):
                    time.sleep(0.01)
                trainer.stopping = True

            threading.Thread(target=befall).start()
            return {}

        result = job.train(config, observe)
    assert any("the network is cut; trying again" in line for line in workers.said)
    assert result.outcome == "stopped"
    assert result.ledger.balanced


def test_uploads_that_are_torn_are_counted_and_training_goes_on(tmp_path, monkeypatch):
    lines = [Line(tmp_path / "exchange") for _ in range(2)]
    lines[0].torn = 3
    through(monkeypatch, "worker", lines)
    with crew(tmp_path / "exchange"):
        said: list[str] = []
        result = job.train(shared_config(tmp_path / "run", tmp_path / "exchange"), tell=said.append)
    assert result.ledger.discarded["torn"] == 3
    assert any("torn; training goes on" in line for line in said)
    assert_accounted_for(result)


def test_keys_that_come_twice_are_counted_and_trained_once(tmp_path):
    place, config = DiskStorage(tmp_path / "exchange"), shared_config(tmp_path / "run", tmp_path / "exchange")
    with crew(tmp_path / "exchange"):

        def observe(trainer, storage, _):
            settle, kept = trainer.collector.side.settle, {}

            def again(snapshot: Any) -> None:
                kept.update({name: place.read(name) for name in place.list(ANNOUNCED)})
                settle(snapshot)
                for name in snapshot["over"][:1] if trainer.progress.updates == 2 else ():
                    place.write(f"{ANNOUNCED}{name}.json", kept[f"{ANNOUNCED}{name}.json"])

            trainer.collector.side.settle = again
            return {}

        result = job.train(config, observe)
    assert result.ledger.discarded["duplicate"] == 1
    assert_accounted_for(result)


@pytest.mark.chaos
def test_clocks_that_disagree_by_days_change_nothing(tmp_path):
    late = Crew(tmp_path / "exchange")
    config = WorkerConfig(exchange=str(tmp_path / "exchange"), patience_s=60.0)
    threads = [
        threading.Thread(target=work, args=(config, late.said.append), kwargs={"clock": lambda by=by: time.time() + by})
        for by in (-1e6, 1e6)
    ]
    for thread in threads:
        thread.start()
    result = job.train(shared_config(tmp_path / "run", tmp_path / "exchange", exchange={"ttl_s": 1.0}))
    for thread in threads:
        thread.join()
    assert sorted(line[:12] for line in late.said) == ["share 1 of 2", "share 2 of 2"]
    assert_accounted_for(result)


@pytest.mark.chaos
def test_a_full_disk_ends_training_with_what_was_saved_and_it_goes_on_when_there_is_room(tmp_path, tiny_disk):
    place = tiny_disk("3m")
    exchange = {"keep": True, "patience_s": 1.0, "ttl_s": 1.0}
    config = shared_config(
        tmp_path / "run", place / "exchange", exchange=exchange, trainer={"steps": 100_000, "duration": 3600.0}
    )
    over = threading.Event()
    threads: list[threading.Thread] = []

    def observe(trainer, storage, _):
        def fill() -> None:
            while trainer.progress.updates < 2:
                time.sleep(0.01)
            with (place / "ballast").open("wb", buffering=0) as ballast:
                while not over.is_set():  # what is deleted makes room again
                    try:
                        ballast.write(bytes(4096))
                    except OSError:
                        time.sleep(0.001)

        threads.append(threading.Thread(target=fill))
        threads[0].start()
        return {}

    with crew(place / "exchange", 2):
        try:
            with pytest.raises(StorageError, match="No space left on device"):
                job.train(config, observe)
        finally:
            over.set()
        threads[0].join()
        tiny_disk("200m")
        result = job.resume(str(tmp_path / "run"), {"trainer": {"steps": 64 * STEPS_OF_BATCH}})
    assert result.ledger.trained >= 64
    assert_accounted_for(result)


# -------------------------------------------------------------------------------------------------- a worker's patience


class Away(MemoryStorage):
    """Does not answer for a while, by a clock."""

    def __init__(self, clock: Clock, until: float) -> None:
        super().__init__()
        self._clock, self._until = clock, until

    def read(self, name: str) -> bytes:
        if self._clock.now < self._until:
            raise StorageError("the store does not answer")
        return super().read(name)


@pytest.mark.parametrize(
    ("until", "error", "message"),
    [
        (
            60.0,
            RunError,
            "memory has no trainer: start one with lateapex train --exchange, for 100 s; this worker ends",
        ),
        (1e9, StorageError, "the store does not answer"),
    ],
    ids=["for a minute", "for ever"],
)
def test_a_worker_waits_for_a_store_that_is_away(monkeypatch, until, error, message):
    clock, said = Clock(), []
    monkeypatch.setattr("lateapex.jobs.worker.open_storage", lambda url, patience_s: Away(clock, until))
    config = WorkerConfig(exchange="anywhere", patience_s=100.0)
    with pytest.raises(error, match=message):
        work(config, said.append, clock=clock, sleep=clock.sleep)
    assert clock.now >= 100.0
    assert said == ["the store does not answer; trying again for 100 s"]


def test_a_worker_stops_as_asked_while_it_waits(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("lateapex.jobs.worker.open_storage", lambda url, patience_s: Away(clock, 1e9))
    result = work(WorkerConfig(exchange="anywhere"), [].append, lambda: clock.now > 5.0, clock=clock, sleep=clock.sleep)
    assert (result.ended, result.batches) == ("stopped", 0)


class AwayForRunFiles(DiskStorage):
    """Does not answer when it is asked for a run's files the first times."""

    def __init__(self, root: Path, times: float) -> None:
        super().__init__(root)
        self.asked, self._times = 0, times

    def read(self, name: str) -> bytes:
        if name.startswith(RUN_FILES):
            self.asked += 1
            if self.asked <= self._times:
                raise StorageError("the store does not answer")
        return super().read(name)


def test_a_worker_waits_for_the_files_of_its_run(tmp_path, monkeypatch):
    place = tmp_path / "exchange"
    monkeypatch.setattr("lateapex.jobs.worker.open_storage", lambda url, patience_s: AwayForRunFiles(place, 2))
    with crew(place) as workers:
        result = job.train(shared_config(tmp_path / "run", place))
    assert_accounted_for(result)
    assert result.ledger.trained
    assert sum("the store does not answer; trying again" in line for line in workers.said) == len(workers.results)


def test_a_worker_stops_as_asked_while_it_waits_for_the_files_of_its_run(tmp_path, monkeypatch):
    place = tmp_path / "exchange"
    shared_run(tmp_path / "run", place)
    (place / POINTER).write_bytes((place / POINTER).read_bytes().replace(b"true", b"false"))
    away = AwayForRunFiles(place, math.inf)
    monkeypatch.setattr("lateapex.jobs.worker.open_storage", lambda url, patience_s: away)
    result = work(WorkerConfig(exchange="it"), [].append, lambda: away.asked > 2)
    assert (result.ended, result.batches, away.asked) == ("stopped", 0, 3)


def test_training_that_has_ended_is_no_reason_to_wait(monkeypatch):
    place = MemoryStorage()
    place.write(POINTER, b'{"version": 3, "token": 1, "parts": [], "finished": true}')
    monkeypatch.setattr("lateapex.jobs.worker.open_storage", lambda url, patience_s: place)
    clock = Clock()
    assert work(WorkerConfig(exchange="x"), print, clock=clock, sleep=clock.sleep).ended == "finished"
    assert clock.now == 0.0
