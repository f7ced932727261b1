"""Who holds what: one at a time, and another after a death."""

from __future__ import annotations

import threading

import pytest
from made_bucket import Clock

from lateapex.errors import LeaseLostError, StorageError
from lateapex.storage import MemoryStorage
from lateapex.workers.leases import Heartbeat, Leases, read_token

TTL_S = 8.0


def watch(leases: Leases, clock: Clock, seconds: float, each=lambda: None, step: float = 2.0):
    """Ask for the lease again and again; returns it and how long that took."""
    begun = clock.now
    while clock.now - begun <= seconds:
        if (lease := leases.try_acquire("a")) is not None:
            return lease, clock.now - begun
        clock.sleep(step)
        each()
    return None, seconds


def test_a_free_lease_is_had_at_once_and_by_one_only():
    storage = MemoryStorage()
    first = Leases(storage, "first", TTL_S, Clock()).try_acquire("a")
    assert first.token == 1
    assert Leases(storage, "second", TTL_S, Clock()).try_acquire("a") is None


def test_a_holder_that_shows_itself_keeps_its_lease_for_ever():
    storage, clock = MemoryStorage(), Clock()
    lease = Leases(storage, "first", TTL_S, clock).try_acquire("a")
    other = Leases(storage, "second", TTL_S, clock)
    assert watch(other, clock, 100.0, each=lease.renew) == (None, 100.0)
    assert other.holder("a") == "first"


def test_a_silent_holder_is_replaced_after_its_time_to_live_and_then_refused():
    storage, clock = MemoryStorage(), Clock()
    old = Leases(storage, "first", TTL_S, clock).try_acquire("a")
    new, took = watch(Leases(storage, "second", TTL_S, clock), clock, 100.0)
    assert (new.token, took) == (2, TTL_S)
    with pytest.raises(LeaseLostError, match="memory/a went to second"):
        old.renew()
    new.renew()
    old.release()
    new.renew()
    assert read_token(storage, "a") == 2


def test_clocks_that_differ_by_a_day_change_nothing():
    storage, here, there = MemoryStorage(), Clock(), Clock()
    there.now = 86_400.0
    lease = Leases(storage, "first", TTL_S, here).try_acquire("a")
    assert watch(Leases(storage, "second", TTL_S, there), there, 100.0, each=lease.renew)[0] is None
    assert watch(Leases(storage, "second", TTL_S, there), there, 100.0)[1] == TTL_S


def test_a_watcher_that_looked_away_has_seen_nothing():
    storage, clock = MemoryStorage(), Clock()
    Leases(storage, "first", TTL_S, clock).try_acquire("a")
    other = Leases(storage, "second", TTL_S, clock)
    for _ in range(10):
        assert other.try_acquire("a") is None
        clock.sleep(TTL_S)
    assert watch(other, clock, 100.0)[1] == TTL_S


def test_a_released_lease_is_had_at_once():
    storage = MemoryStorage()
    Leases(storage, "first", TTL_S, Clock()).try_acquire("a").release()
    assert Leases(storage, "second", TTL_S, Clock()).try_acquire("a").token == 2


def test_of_two_that_see_the_same_death_one_succeeds():
    storage, clock = MemoryStorage(), Clock()
    Leases(storage, "first", TTL_S, clock).try_acquire("a")
    heirs = [Leases(storage, f"heir {n}", TTL_S, clock) for n in range(2)]
    for _ in range(5):
        held = [heir.try_acquire("a") for heir in heirs]
        clock.sleep(2.0)
    assert [lease is None for lease in held] == [False, True]


def test_a_beat_whose_answer_got_lost_does_not_cost_the_lease():
    storage = MemoryStorage()
    lease = Leases(storage, "first", TTL_S, Clock()).try_acquire("a")
    swap = storage.compare_and_swap

    def lost(*arguments):
        swap(*arguments)
        raise StorageError("no answer")

    storage.compare_and_swap = lost
    with pytest.raises(StorageError):
        lease.renew()
    storage.compare_and_swap = swap
    lease.renew()
    lease.renew()


def test_a_lease_that_goes_away_between_two_looks_of_its_holder_is_lost():
    storage, clock = MemoryStorage(), Clock()
    lease = Leases(storage, "first", TTL_S, clock).try_acquire("a")
    read, heir = storage.read_tagged, Leases(storage, "heir", TTL_S, clock)
    storage.write("a", storage.read("a").replace(b'"beat": 0', b'"beat": 1'))

    def look(name):
        found = read(name)
        storage.read_tagged = read
        for _ in range(5):
            heir.try_acquire(name)
            clock.sleep(2.0)
        return found

    storage.read_tagged = look
    with pytest.raises(LeaseLostError, match="memory/a went to somebody else"):
        lease.renew()


def test_a_strangers_file_is_no_lease():
    storage = MemoryStorage()
    storage.write("a", b"[1]")
    with pytest.raises(StorageError, match="a is no lease"):
        Leases(storage, "first", TTL_S, Clock()).try_acquire("a")


def test_a_heartbeat_outlasts_a_store_that_is_away_and_tells_of_the_loss():
    storage = MemoryStorage()
    lease = Leases(storage, "first", TTL_S, Clock()).try_acquire("a")
    answers, beats = iter([StorageError("away"), None, LeaseLostError("a went to second")]), threading.Semaphore(0)

    def renew():
        answer = next(answers)
        beats.release()
        if answer is not None:
            raise answer

    lease.renew = renew
    with Heartbeat(lease, every_s=0.001) as heart:
        for _ in range(3):
            assert beats.acquire(timeout=60.0)
        heart._thread.join(60.0)
        with pytest.raises(LeaseLostError, match="second"):
            heart.check()
