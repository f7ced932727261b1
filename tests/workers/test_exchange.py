"""A trainer and its workers over one storage."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_batches import made_batch
from made_bucket import Bucket, Clock, made_storage

from lateapex.errors import ConfigError, FormatError, LeaseLostError, RunError, StorageError
from lateapex.storage import DiskStorage, MemoryStorage, open_storage
from lateapex.workers import versions
from lateapex.workers.exchange import ANNOUNCED, BATCHES, MODELS, SETTINGS, ExchangeSettings, read_settings
from lateapex.workers.keys import KeyedStorage
from lateapex.workers.ledger import BatchId
from lateapex.workers.trainer_side import TrainerSide, open_exchange, read_ledger
from lateapex.workers.versions import KEPT, read_pointer, read_version
from lateapex.workers.worker_side import Seats, WorkerSide

SETTINGS_OF_RUN = ExchangeSettings(run="run", shares=2, ahead=2, max_stale=1, ttl_s=8.0)


@pytest.fixture(
    params=[
        *("disk", "memory", "made bucket", "two places"),
        *(pytest.param(name, marks=pytest.mark.servers) for name in ("real bucket", "real database", "real both")),
    ]
)
def storage(request, tmp_path):
    match request.param:
        case "disk":
            return DiskStorage(tmp_path / "exchange")
        case "memory":
            return MemoryStorage()
        case "made bucket":
            return made_storage(Bucket())
        case "two places":
            return KeyedStorage(DiskStorage(tmp_path / "exchange"), MemoryStorage())
        case "real both":
            return KeyedStorage(*(open_storage(request.getfixturevalue(name)) for name in ("bucket_url", "redis_url")))
    return open_storage(request.getfixturevalue({"real bucket": "bucket_url"}.get(request.param, "redis_url")))


def trainer_of(storage, saved=None, clock=None, **changes) -> TrainerSide:
    clock = clock or Clock()
    settings = dataclasses.replace(SETTINGS_OF_RUN, **changes)
    return open_exchange(storage, settings, "host:1", lambda: saved, clock=clock, sleep=clock.sleep)


def worker_of(storage) -> WorkerSide:
    side = Seats(storage, "host:2").try_take()
    assert side is not None
    return side


def test_experience_goes_one_way_and_models_the_other(storage):
    trainer, worker = trainer_of(storage), worker_of(storage)
    assert worker.newest_version() is None
    assert trainer.publish(b"weights") == 1
    assert worker.newest_version() == (1, b"weights")
    assert worker.newest_version(after=1) is None
    batch = made_batch(version=1)
    assert worker.offer(batch)
    (taken,) = trainer.take(8)
    assert taken.id == BatchId(0, 1, 0)
    assert (taken.batch.reward == batch.reward).all()
    assert trainer.take(8) == []
    trainer.trained(taken.id)
    assert storage.list(ANNOUNCED) != []
    trainer.settle(trainer.snapshot())
    assert storage.list(ANNOUNCED) == storage.list(BATCHES) == []
    assert read_ledger(storage).lines() == trainer.ledger.lines()
    assert (trainer.ledger.trained, trainer.ledger.waiting) == (1, 0)


def test_a_worker_that_is_too_far_ahead_is_told_to_wait_until_a_state_was_saved(storage):
    trainer, worker, other = trainer_of(storage), worker_of(storage), worker_of(storage)
    assert [worker.offer(made_batch(seed=n)) for n in range(3)] == [True, True, False]
    assert other.offer(made_batch(seed=9))
    for taken in trainer.take(8):
        trainer.trained(taken.id)
    assert not worker.offer(made_batch(seed=2))
    trainer.settle(trainer.snapshot())
    assert worker.offer(made_batch(seed=2))


def test_older_versions_come_first_then_all_shares_in_turn():
    storage = MemoryStorage()
    trainer, one, two = trainer_of(storage), worker_of(storage), worker_of(storage)
    one.offer(made_batch(version=1))
    one.offer(made_batch(version=0))
    two.offer(made_batch(version=1))
    two.offer(made_batch(version=1))
    order = [trainer.take(1)[0].id for _ in range(4)]
    assert order == [BatchId(0, 1, 1), BatchId(0, 1, 0), BatchId(1, 1, 0), BatchId(1, 1, 1)]


def test_batches_of_old_models_are_discarded_and_counted():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch(version=1))
    worker.offer(made_batch(version=2))
    for n in range(3):
        trainer.publish(b"%d" % n)
    assert [taken.batch.version for taken in trainer.take(8)] == [2]
    assert trainer.ledger.discarded["stale"] == 1


def test_a_batch_that_is_kept_stays_as_a_file_and_is_trained_once():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage, keep=True), worker_of(storage)
    worker.offer(made_batch())
    trainer.trained(trainer.take(1)[0].id)
    trainer.settle(trainer.snapshot())
    trainer.sweep()
    assert storage.list(ANNOUNCED) == []
    assert storage.list(BATCHES) == ["batches/0000-000001-00000000.npz"]
    assert trainer.take(8) == []


def test_a_batch_is_accounted_for_only_by_who_took_it():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch())
    with pytest.raises(ValueError, match="was not taken"):
        trainer.trained(BatchId(0, 1, 0))
    (taken,) = trainer.take(1)
    trainer.discard(taken.id, "stale")
    with pytest.raises(ValueError, match="was not taken"):
        trainer.trained(taken.id)


# ------------------------------------------------------------------------------------------------------------- trainers


def test_a_second_trainer_beside_one_that_lives_refuses_to_start(storage):
    clock = Clock()
    trainer = trainer_of(storage, clock=clock)
    sleep = clock.sleep

    def alive(seconds: float) -> None:
        sleep(seconds)
        trainer.lease.renew()

    clock.sleep = alive
    with pytest.raises(
        RunError, match=r"has a trainer already \(host:1\); stop it first, or choose another --exchange"
    ):
        trainer_of(storage, clock=clock)
    trainer.publish(b"still the one")


def test_a_trainer_that_was_thought_dead_cannot_publish_finish_or_settle(storage):
    old, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch())
    old.trained(old.take(1)[0].id)
    new = trainer_of(storage)
    for late in (lambda: old.publish(b"late"), old.finish, lambda: old.settle(old.snapshot()), old.lease.renew):
        with pytest.raises(LeaseLostError):
            late()
    assert len(new.take(8)) == 1
    assert new.publish(b"new") == 1


def test_a_trainer_that_resumes_takes_again_only_what_its_state_does_not_hold():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch(seed=1))
    worker.offer(made_batch(seed=2))
    trainer.trained(trainer.take(1)[0].id)
    saved = trainer.snapshot()
    trainer.trained(trainer.take(1)[0].id)
    resumed = trainer_of(storage, saved)
    assert [taken.id.number for taken in resumed.take(8)] == [1]
    assert resumed.ledger.discarded["duplicate"] == 0
    resumed.settle(saved)
    assert len(storage.list(ANNOUNCED)) == 1


def test_only_what_the_saved_state_holds_is_deleted():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch(seed=1))
    worker.offer(made_batch(seed=2))
    trainer.trained(trainer.take(1)[0].id)
    saved = trainer.snapshot()
    trainer.trained(trainer.take(1)[0].id)
    trainer.settle(saved)
    trainer.sweep()
    assert storage.list(ANNOUNCED) == ["announced/0000-000001-00000001.json"]
    assert storage.list(BATCHES) == ["batches/0000-000001-00000001.npz"]


def test_what_a_lost_state_had_accounted_for_is_counted_as_lost():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    saved = trainer.snapshot()
    worker.offer(made_batch())
    trainer.trained(trainer.take(1)[0].id)
    trainer.settle(trainer.snapshot())
    resumed = trainer_of(storage, saved)
    assert resumed.take(8) == []
    assert (resumed.ledger.discarded["lost"], resumed.ledger.trained, resumed.ledger.balanced) == (1, 0, True)


def test_a_run_that_went_on_somewhere_is_not_begun_again_there():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch())
    trainer.trained(trainer.take(1)[0].id)
    trainer.settle(trainer.snapshot())
    trainer.leave()
    with pytest.raises(RunError, match="memory holds a run that went on there; resume that run"):
        trainer_of(storage)
    with pytest.raises(RunError, match=r"memory is the exchange of another run \(run\); choose an empty place"):
        trainer_of(storage, run="another")
    with pytest.raises(ConfigError, match="memory was begun with shares = 2, not 3; keep it"):
        trainer_of(storage, shares=3)
    with pytest.raises(RunError, match="the saved state is of run another, memory of run"):
        trainer_of(storage, {**trainer.snapshot(), "run": "another"})


def test_a_store_that_ignores_conditions_is_refused():
    storage = MemoryStorage()
    storage.put_if_absent = lambda name, data: storage.write(name, data) or "tag"
    with pytest.raises(StorageError, match="memory cannot be shared"):
        trainer_of(storage)


@pytest.mark.parametrize("change", [{"shares": 0}, {"ahead": 0}, {"max_stale": -1}, {"ttl_s": 0.0}])
def test_settings_that_cannot_be_are_told(change):
    (name,) = change
    with pytest.raises(ConfigError, match=rf"exchange\.{name} is"):
        dataclasses.replace(SETTINGS_OF_RUN, **change)


def test_settings_of_another_release_are_told():
    storage = MemoryStorage()
    storage.write(SETTINGS, b'{"format": 1}')
    with pytest.raises(FormatError, match=r"memory/exchange\.json is of another release"):
        read_settings(storage)


# ------------------------------------------------------------------------------------------------------------- versions


def test_only_the_newest_versions_stay_and_a_slow_reader_gets_a_newer_one(storage):
    trainer = trainer_of(storage)
    trainer.publish(b"first")
    slow = read_pointer(storage)
    for n in range(KEPT):
        trainer.publish(b"%d" % n)
    trainer.settle(trainer.snapshot())
    assert len(storage.list(MODELS)) == KEPT
    assert read_version(storage, slow) == (KEPT + 1, b"%d" % (KEPT - 1))


def test_a_version_that_the_store_changed_or_lost_is_told_not_used():
    storage = MemoryStorage()
    trainer_of(storage).publish(b"weights")
    pointer = read_pointer(storage)
    (part,) = pointer.parts
    storage.write(part.name, b"weight")
    with pytest.raises(StorageError, match="is not what was written"):
        read_version(storage, pointer)
    storage.delete(part.name)
    with pytest.raises(StorageError, match="has lost models/00000001"):
        read_version(storage, pointer)


def test_a_large_version_lies_in_several_files_which_come_and_go_together(storage, monkeypatch):
    monkeypatch.setattr(versions, "PART_BYTES", 4)
    trainer, worker = trainer_of(storage), worker_of(storage)
    for n in range(KEPT + 1):
        trainer.publish(b"%010d" % n)
        assert worker.newest_version(after=n) == (n + 1, b"%010d" % n)
    pointer = read_pointer(storage)
    assert [storage.read(part.name) for part in pointer.parts] == [b"0000", b"0000", b"04"]
    trainer.settle(trainer.snapshot())
    assert len(storage.list(MODELS)) == 3 * KEPT
    storage.delete(pointer.parts[1].name)
    with pytest.raises(StorageError, match=f"has lost {pointer.parts[1].name}"):
        read_version(storage, pointer)


def test_a_resumed_trainer_publishes_above_what_was_published_before():
    storage = MemoryStorage()
    trainer = trainer_of(storage)
    trainer.publish(b"1")
    trainer.publish(b"2")
    resumed = trainer_of(storage, trainer.snapshot())
    assert resumed.publish(b"from an older state") == 3


def test_workers_learn_that_training_has_ended_and_that_it_goes_on():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch())
    trainer.publish(b"1")
    trainer.finish()
    assert worker.newest_version(after=1) is None
    assert worker.finished
    assert (trainer.ledger.discarded["unused"], trainer.ledger.waiting) == (1, 0)
    trainer_of(storage, trainer.snapshot())
    worker.newest_version()
    assert not worker.finished


# -------------------------------------------------------------------------------------------------------------- workers


def test_a_worker_waits_for_a_trainer_and_for_a_free_share():
    storage, clock = MemoryStorage(), Clock()
    seats = Seats(storage, "host:2", clock=clock, sleep=clock.sleep)
    with pytest.raises(RunError, match="memory has no trainer: start one with lateapex train --exchange after 5 s"):
        seats.take(5.0)
    trainer_of(storage)
    assert [worker_of(storage).share for _ in range(2)] == [0, 1]
    with pytest.raises(RunError, match="no share left for this worker: all 2 are taken after 5 s"):
        seats.take(5.0)
    taken = seats.take(20.0)
    assert (taken.share, taken.generation) == (0, 2)


def test_a_worker_that_leaves_makes_its_share_free_at_once():
    storage = MemoryStorage()
    trainer_of(storage)
    worker_of(storage).leave()
    assert worker_of(storage).generation == 2


def test_an_offer_that_failed_goes_on_where_it_stood_and_is_trained_once(storage):
    trainer, worker = trainer_of(storage), worker_of(storage)
    batch, put = made_batch(), storage.put_if_absent

    def lost(name, data):
        put(name, data)
        raise StorageError("no answer")

    for broken in (lost, lost, put):
        worker._storage.put_if_absent = broken
        if broken is put:
            assert worker.offer(batch)
        else:
            with pytest.raises(StorageError):
                worker.offer(batch)
    assert worker.offer(made_batch(seed=1))
    assert [taken.id.number for taken in trainer.take(8)] == [0, 1]
    assert trainer.ledger.produced == 2


def test_another_batch_offered_after_one_that_failed_takes_nothing_from_it():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    put = storage.put_if_absent

    def away(name, data):
        put(name, data)
        raise StorageError("no answer")

    storage.put_if_absent = away
    with pytest.raises(StorageError):
        worker.offer(made_batch(seed=1))
    storage.put_if_absent = put
    assert worker.offer(made_batch(seed=2))
    taken = [each.batch.reward for each in trainer.take(8)]
    assert [reward.tolist() for reward in taken] == [made_batch(seed=n).reward.tolist() for n in (1, 2)]


def test_what_a_dead_worker_began_and_never_announced_is_counted_when_its_share_has_gone_on():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch())
    storage.delete("announced/0000-000001-00000000.json")
    trainer.sweep()
    assert trainer.ledger.produced == 0
    worker.leave()
    worker_of(storage)
    trainer.sweep()
    assert (trainer.ledger.produced, trainer.ledger.discarded["lost"]) == (1, 1)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("batches/0000-000001-00000000.npz", b"torn", "torn"),
        ("batches/0000-000001-00000000.npz", None, "lost"),
        ("announced/0000-000001-00000000.json", b"{", "torn"),
        ("announced/0000-000001-00000000.json", b"{}", "torn"),
        ("announced/0000-000001-00000000.json", None, "lost"),
    ],
)
def test_what_the_store_spoils_is_discarded_with_its_reason_and_the_rest_goes_on(name, data, reason):
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch(seed=1))
    worker.offer(made_batch(seed=2))
    storage.write(name, data) if data is not None else storage.delete(name)
    assert [taken.id.number for taken in trainer.take(8)] == [1]
    assert trainer.ledger.discarded[reason] == 1
    assert trainer.ledger.balanced


def test_a_list_that_was_made_while_keys_came_costs_no_batch():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch(seed=1))
    worker.offer(made_batch(seed=2))
    whole = storage.list
    storage.list = lambda prefix="": whole(prefix)[1:]
    assert [taken.id.number for taken in trainer.take(8)] == [1]
    storage.list = whole
    assert [taken.id.number for taken in trainer.take(8)] == [0]
    assert trainer.ledger.discarded["lost"] == 0


def test_a_key_that_comes_again_is_a_duplicate_and_a_strangers_file_is_left_alone():
    storage = MemoryStorage()
    trainer, worker = trainer_of(storage), worker_of(storage)
    worker.offer(made_batch())
    (key,) = storage.list(ANNOUNCED)
    data = storage.read(key)
    trainer.trained(trainer.take(8)[0].id)
    trainer.settle(trainer.snapshot())
    storage.write(key, data)
    storage.write("announced/notes.txt", b"")
    assert trainer.take(8) == []
    trainer.settle(trainer.snapshot())
    assert (trainer.ledger.produced, trainer.ledger.discarded["duplicate"], trainer.ledger.balanced) == (2, 1, True)
    assert storage.list(ANNOUNCED) == ["announced/notes.txt"]


# --------------------------------------------------------------------------------------- processes over a real bucket

WORK = """
import sys, time
sys.path.insert(0, sys.argv[2])
from made_batches import made_batch
from lateapex.storage import open_storage
from lateapex.workers.worker_side import Seats
side = Seats(open_storage(sys.argv[1]), "worker").take(60.0)
version = 0
while not side.finished:
    found = side.newest_version(after=version)
    version = found.version if found else version
    side.lease.renew()
    if not version or not side.offer(made_batch(version, steps=16, cars=8)):
        time.sleep(0.01)
side.leave()
"""


@pytest.mark.servers
def test_workers_that_are_killed_one_after_the_other_leave_a_balanced_account(bucket_url):
    trainer = open_exchange(
        open_storage(bucket_url), ExchangeSettings(run="run", shares=2, ttl_s=2.0), "trainer", lambda: None
    )
    trainer.publish(b"1")
    command = [sys.executable, "-c", WORK, bucket_url, str(Path(__file__).parents[1])]
    workers = [subprocess.Popen(command) for _ in range(2)]
    killed = 0
    while trainer.ledger.trained < 60:
        for taken in trainer.take(8):
            trainer.trained(taken.id)
            trainer.publish(b"%d" % trainer.ledger.trained)
        trainer.lease.renew()
        trainer.settle(trainer.snapshot())
        if trainer.ledger.trained > 15 * (killed + 1):
            victim = killed % 2
            workers[victim].send_signal(signal.SIGKILL)
            workers[victim].wait()
            workers[victim] = subprocess.Popen(command)
            killed += 1
    trainer.finish()
    assert [worker.wait(60.0) for worker in workers] == [0, 0]
    trainer.settle(trainer.snapshot())
    assert killed >= 2
    assert trainer.ledger.balanced
    assert trainer.ledger.trained >= 60
    assert trainer.ledger.discarded["torn"] == trainer.ledger.discarded["duplicate"] == 0
