"""Any interleaving of workers and trainers, any of them killed at any operation: what must hold, holds."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from made_batches import made_batch
from made_exchange import FAULTS, TTL_S, KilledError, Plan, Trainer, World

from lateapex.errors import LeaseLostError, RunError, StorageError
from lateapex.workers import versions
from lateapex.workers.exchange import ANNOUNCED, BATCHES, batch_name, batch_of, key_name
from lateapex.workers.ledger import BatchId

PLANS = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([*FAULTS, "interrupt", "interrupt"]), st.integers(0, 6)), max_size=2
)
WHICH = st.integers(0, 99)
OURS = (KilledError, StorageError, LeaseLostError, RunError)
SHARES, AHEAD, MAX_STALE = 2, 2, 1


class Exchange(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        # Versions of several files, one after another: what threads do at once is then any order of the same.
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(versions, "PART_BYTES", 3)
        self.patch.setattr(versions, "AT_ONCE", 1)
        self.world = World(shares=SHARES, ahead=AHEAD, max_stale=MAX_STALE)
        self.contents = itertools.count(1)
        self.versions: dict[BatchId, int] = {}
        self.sabotaged: set[BatchId] = set()
        self.repeats = 0
        self.saves: list[set[BatchId]] = []
        self.removed: set[str] = set()
        self.busy: list[object] = []

    # ------------------------------------------------------------------------------------------------- the actors

    @initialize()
    def all_is_well(self):
        self.world.trainer()
        for _ in range(SHARES):
            self.world.worker()

    @rule(plan=PLANS, which=WHICH, at_most=st.integers(2, 9))
    def all_work_for_a_while(self, plan, which, at_most):
        """Who is missing comes; one meets faults."""
        if not self.trainers():
            self.attempt(self.world.trainer)
        while sum(not worker.storage.dead for worker in self.world.workers) < SHARES:
            self.world.worker()
        for n in range(2 * SHARES):
            self.by_worker(n, plan if n == which % 9 else [], self.fetch)
            self.by_worker(n, plan if n == which % 7 else [], self.offer)
        for n, act in enumerate((lambda it: self.world.take(it, at_most), self.world.train, self.save, self.settle)):
            self.by_trainer(which, plan if n == which % 5 else [], act)
        self.by_trainer(which, [], self.publish)

    @rule(plan=PLANS)
    def a_worker_comes(self, plan):
        if sum(not worker.storage.dead for worker in self.world.workers) <= SHARES:
            self.attempt(lambda: self.world.worker(self.planned(plan)))

    @rule(which=WHICH, plan=PLANS)
    def a_worker_offers_a_batch(self, which, plan):
        self.by_worker(which, plan, self.offer)

    @rule(which=WHICH, plan=PLANS)
    def a_worker_asks_for_the_newest_version(self, which, plan):
        self.by_worker(which, plan, self.fetch)

    @rule(plan=PLANS)
    def a_trainer_comes(self, plan):
        awake = [each for each in self.trainers() if not each.stalled]
        before = len(self.world.trainers)
        started = self.attempt(lambda: self.world.trainer(self.planned(plan)))
        if awake and not any(each.storage.dead for each in awake):
            assert started is None, "a second trainer beside one that is alive"
            assert len(self.world.trainers) == before

    @rule(which=WHICH, plan=PLANS, at_most=st.integers(1, 4), stages=st.integers(1, 5), later=st.booleans())
    def a_trainer_goes_through_a_round(self, which, plan, at_most, stages, later):
        """Take, train, save, settle, publish: all of it, or the beginning; it may train on before it settles."""

        def a_round(trainer):
            self.world.take(trainer, at_most)
            for stage in (self.world.train, self.save, self.settle, self.publish)[: stages - 1]:
                if later and stage == self.settle:
                    self.world.take(trainer, at_most)
                    self.world.train(trainer)
                stage(trainer)

        self.by_trainer(which, plan, a_round)

    @rule()
    def a_trainer_stalls_until_another_has_taken_over(self):
        for trainer in self.trainers():
            trainer.stalled = True
        self.attempt(self.world.trainer)

    @precondition(lambda self: self.world.all_saved)
    @rule(which=WHICH)
    def somebody_brings_an_older_state_back(self, which):
        self.world.saved = self.world.all_saved[which % len(self.world.all_saved)]

    @rule(which=WHICH, plan=PLANS, stage=st.sampled_from(["train", "save", "settle", "publish", "sweep"]))
    def a_trainer_does_one_thing(self, which, plan, stage):
        acts = {"train": self.world.train, "save": self.save, "settle": self.settle, "publish": self.publish}
        self.by_trainer(which, plan, acts.get(stage, lambda trainer: trainer.side.sweep()))

    @rule(
        which=WHICH, plan=PLANS, what=st.sampled_from(["worker killed", "worker leaves", "killed", "stalls", "wakes"])
    )
    def somebody_fails(self, which, plan, what):
        def end(process):
            if what == "worker leaves":
                process.side.leave()
            process.storage.dead = True

        if "worker" in what:
            self.by_worker(which, plan, end)
        elif what == "killed":
            self.by_trainer(which, [], end)
        else:
            self.by_trainer(which, [], lambda trainer: setattr(trainer, "stalled", what == "stalls"))

    @rule()
    def time_passes(self):
        self.world.sleep(TTL_S / 4)

    # ------------------------------------------------------------------------------------------------ the store's ills

    @precondition(lambda self: self.world.store.list(BATCHES))
    @rule(which=WHICH, how=st.sampled_from(["torn batch", "lost batch", "torn key", "lost key"]))
    def the_store_spoils_something(self, which, how):
        files = self.world.store.files
        names = self.world.store.list(ANNOUNCED if "key" in how else BATCHES)
        if names:
            name = names[which % len(names)]
            self.sabotaged.add(batch_of(name))
            if "lost" in how:
                del files[name]
                self.removed.add(name)
            else:
                files[name] = files[name][: len(files[name]) // 2]

    @precondition(lambda self: self.world.store.keys)
    @rule(which=WHICH)
    def a_key_comes_again(self, which):
        keys = sorted(self.world.store.keys.items())
        batch, data = keys[which % len(keys)]
        self.repeats += key_name(batch) not in self.world.store.files
        self.sabotaged.add(batch)
        self.world.store.files[key_name(batch)] = data

    # ------------------------------------------------------------------------------------------------------ what holds

    @invariant()
    def no_batch_is_twice_in_a_model_and_every_ledger_balances(self):
        for trainer in [*self.world.trainers]:
            if trainer.side is not None:
                assert len(set(trainer.trained)) == len(trainer.trained)
                assert trainer.side.ledger.balanced
                assert trainer.side.ledger.trained == len(trainer.trained)

    @invariant()
    def no_worker_gets_further_ahead_than_agreed(self):
        waiting = [batch_of(name) for name in self.world.store.list(ANNOUNCED)]
        for producer in {batch[:2] for batch in waiting}:
            own = [batch for batch in waiting if batch[:2] == producer and batch not in self.sabotaged]
            assert len(own) <= AHEAD

    def teardown(self):
        self.patch.undo()
        self.go_on_alone()

    def go_on_alone(self):
        """Kill everybody and go on from the saved state until nothing is left: all must be accounted for."""
        for process in [*self.world.workers, *self.world.trainers]:
            process.storage.dead = True
        trainer = self.world.trainer()
        for _ in range(SHARES):
            # New holders: what the dead ones began and never announced is known to be lost.
            self.world.worker()
        trainer.side.sweep()
        for _ in range(100):
            self.world.take(trainer, 100)
            if not trainer.in_hand:
                break
            self.world.train(trainer)
            self.world.save(trainer)
            self.settle(trainer)
        trainer.side.finish()
        self.world.save(trainer)
        self.settle(trainer)
        trainer.side.sweep()
        self.account(trainer)

    def account(self, trainer: Trainer) -> None:
        store, ledger = self.world.store, trainer.side.ledger
        assert store.list(ANNOUNCED) == store.list(BATCHES) == []
        assert ledger.balanced
        assert ledger.waiting == 0
        assert len(set(trainer.trained)) == len(trainer.trained)
        verdicts = dict(trainer.verdicts)
        assert len(verdicts) == len(trainer.verdicts), "decided twice"
        # Of the last batch of a producer that a store has lost with its key there is no trace.
        gone = {batch for batch in store.keys if {batch_name(batch), key_name(batch)} <= self.removed}
        assert store.keys.keys() - gone <= verdicts.keys(), "a batch was lost and nobody knows"
        assert ledger.produced == len(verdicts) + ledger.discarded["duplicate"]
        forgotten = set().union(*self.saves) - {batch for batch, verdict in verdicts.items() if verdict == "trained"}
        for batch, verdict in verdicts.items():
            if verdict == "lost":
                assert batch in self.sabotaged | forgotten or batch not in store.keys
            if verdict == "torn":
                assert batch in self.sabotaged
            if verdict == "stale":
                assert store.newest - self.versions[batch] > MAX_STALE

    # --------------------------------------------------------------------------------------------------------- the acts

    def offer(self, worker):
        if worker.offered is None:
            worker.offered = dataclasses.replace(
                made_batch(worker.version), extra={"content": np.array(next(self.contents))}
            )
        side = worker.side
        begun = side._pending[0] if side._pending else worker.offered
        self.versions[BatchId(side.share, side.generation, side._made)] = begun.version
        if worker.side.offer(worker.offered):
            worker.offered = None

    def fetch(self, worker):
        found = worker.side.newest_version(after=worker.version)
        if found is not None:
            assert found.version > worker.version
            assert found.model == self.world.store.versions[found.version]
            worker.version = found.version

    def save(self, trainer):
        self.world.save(trainer)
        self.saves.append({batch for batch, _ in trainer.verdicts})

    def settle(self, trainer):
        if trainer.saved is not None:
            trainer.side.settle(trainer.saved)

    def publish(self, trainer):
        before = self.world.store.newest
        model = b"model %d" % next(self.contents)
        version = trainer.side.publish(model)
        assert version > before
        assert self.world.store.versions[version] == model

    # ----------------------------------------------------------------------------------------------------- the plumbing

    def trainers(self):
        return [each for each in self.world.trainers if each.side is not None and not each.storage.dead]

    def by_worker(self, which, plan, act):
        living = [each for each in self.world.workers if each.side is not None and not each.storage.dead]
        if living:
            self.by(living[which % len(living)], plan, act)

    def by_trainer(self, which, plan, act):
        living = self.trainers()
        if living:
            self.by(living[which % len(living)], plan, act)

    def by(self, process, plan, act):
        if process in self.busy:
            return
        self.busy.append(process)
        process.storage.plan, process.storage.count = self.planned(plan), 0
        self.attempt(lambda: act(process))
        process.storage.plan = Plan()
        self.busy.remove(process)

    def attempt(self, act):
        try:
            return act()
        except OURS:
            return None

    def planned(self, plan) -> Plan:
        """Faults, and what somebody else does in between; those are not interrupted in turn."""
        acts = [
            lambda: [self.by_worker(0, [], self.offer) for _ in range(AHEAD)],
            lambda: self.by_worker(1, [], self.offer),
            lambda: self.by_worker(0, [], self.fetch),
            lambda: self.attempt(self.world.trainer),
            lambda: self.by_trainer(0, [], self.settle),
            lambda: self.by_trainer(0, [], self.publish),
            lambda: self.by_trainer(1, [], lambda trainer: self.world.take(trainer, 2)),
        ]
        faults = {at: kind for at, kind, _ in plan if kind != "interrupt"}
        return Plan(faults, {at: acts[other] for at, kind, other in plan if kind == "interrupt"})


Exchange.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestExchange = Exchange.TestCase
