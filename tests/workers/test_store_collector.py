"""A collector that takes what workers send in place of driving."""

from __future__ import annotations

import pytest
import torch
from made_batches import made_batch
from made_shares import Meeting

from lateapex.errors import LeaseLostError, StorageError
from lateapex.models.model_file import unpack
from lateapex.storage import MemoryStorage
from lateapex.workers.exchange import ANNOUNCED, BATCHES, TRAINER
from lateapex.workers.leases import Leases
from lateapex.workers.trainer_side import read_ledger


@pytest.fixture
def meet():
    """Makes meetings that are closed at the end."""
    made: list[Meeting] = []

    def make(*arguments, **options) -> Meeting:
        made.append(Meeting(*arguments, **options))
        return made[-1]

    yield make
    for meeting in made:
        meeting.collector.close()


def test_one_batch_of_each_share_makes_a_rollout_of_all_cars(meet):
    meeting = meet()
    one, two = meeting.workers
    meeting.asleep = [one.send, two.send]
    rollout = meeting.collect()
    assert rollout.rewards.shape == (8, 4)
    assert rollout.behind is None
    assert {episode.car for episode in rollout.episodes} == {0, 1, 2, 3}
    assert list(rollout.seconds) == ["exchange"]
    assert meeting.collector.steps == 32
    assert meeting.collector.side.ledger.trained == 2


def test_each_collect_publishes_the_policy_and_the_steps_so_far(meet):
    meeting = meet()
    for count in (1, 2):
        meeting.asleep = [worker.send for worker in meeting.workers]
        with torch.no_grad():
            next(meeting.policy.parameters()).fill_(count)
        meeting.collect()
        found = meeting.workers[0].side.newest_version()
        content = unpack(found.model, "it")
        assert (found.version, content["steps"]) == (count, 32 * (count - 1))
        assert float(next(iter(content["weights"].values())).flatten()[0]) == count
        meeting.collector.snapshot()
        meeting.collector.saved()


def test_the_age_of_each_cars_policy_is_told(meet):
    meeting = meet()
    one, two = meeting.workers
    meeting.asleep = [one.send, two.send]
    meeting.collect()
    meeting.asleep = [lambda: one.send(version=2), lambda: two.send(version=1)]
    assert sorted(meeting.collect().behind) == [0, 0, 1, 1]


def test_what_is_too_old_is_discarded_also_where_it_waited_in_the_trainers_hands(meet):
    meeting = meet()
    one, two = meeting.workers
    meeting.asleep = [lambda: one.send(steps=5), lambda: one.send(version=1), two.send]
    assert len(meeting.collect().rewards) == 5
    for _ in range(3):
        meeting.collector.side.publish(b"")
    meeting.collector.snapshot()
    meeting.collector.saved()
    meeting.asleep = [lambda: one.send(version=5), lambda: two.send(version=5)]
    assert meeting.collect().behind is None
    assert meeting.collector.side.ledger.discarded["stale"] >= 1
    assert meeting.collector.side.ledger.balanced


def test_what_one_sends_has_to_do_where_the_other_is_dead(meet):
    meeting = meet()
    one, two = meeting.workers
    meeting.asleep = [two.send, one.send]
    meeting.collect()
    meeting.collector.snapshot()
    meeting.collector.saved()
    meeting.asleep = [one.send]
    rollout = meeting.collect()
    assert rollout.rewards.shape == (8, 2)
    assert meeting.clock.now >= meeting.collector.side.settings.ttl_s


def test_two_batches_of_one_share_are_as_good_as_one_of_each(meet):
    meeting = meet(workers=1)
    (one,) = meeting.workers
    meeting.asleep = [one.send, one.send]
    assert meeting.collect().rewards.shape == (8, 4)


def test_a_share_that_may_send_no_more_is_not_waited_for(meet):
    meeting = meet(workers=1, settings={"shares": 3})
    (one,) = meeting.workers
    meeting.asleep = [one.send, one.send]
    assert meeting.collect().rewards.shape == (8, 4)
    assert meeting.clock.now < 1.0


def test_each_batch_is_a_rollout_where_that_is_asked_for_or_a_lesson_goes_on(meet):
    meeting = meet(one_each=True)
    meeting.asleep = [worker.send for worker in meeting.workers]
    assert [meeting.collect().rewards.shape for _ in range(2)] == [(8, 2)] * 2
    meeting = meet()
    meeting.asleep = [lambda: meeting.workers[0].send(labels=torch.zeros(8, 2, dtype=torch.int64))]
    assert meeting.collect().labels.shape == (8, 2)


def test_batches_of_other_lengths_wait_for_their_like(meet):
    meeting = meet(settings={"ahead": 3})
    one, two = meeting.workers
    meeting.asleep = [one.send, lambda: two.send(steps=5), two.send, lambda: one.send(steps=5)]
    assert sorted(len(meeting.collect().rewards) for _ in range(2)) == [5, 8]


def test_waiting_ends_when_experience_is_no_longer_wanted_and_tells_how_to_start_workers(meet):
    meeting = meet()
    assert meeting.collect(lambda: meeting.clock.now < 20.0) is None
    assert meeting.said == ["nothing came for 5 s; start workers: lateapex worker --exchange memory"]


def test_a_state_is_asked_for_before_workers_must_wait_for_it_and_lets_them_go_on(meet):
    meeting = meet(settings={"ahead": 3})
    one, two = meeting.workers
    for due in (False, True):
        assert not meeting.collector.due
        meeting.asleep = [one.send, two.send]
        meeting.collect()
        assert meeting.collector.due is due
    meeting.collector.snapshot()
    assert len(meeting.storage.list(ANNOUNCED)) == 4
    meeting.collector.saved()
    assert not meeting.collector.due
    assert meeting.storage.list(ANNOUNCED) == meeting.storage.list(BATCHES) == []


def test_who_resumes_goes_on_with_steps_account_and_starts(meet):
    meeting = meet()
    meeting.asleep = [worker.send for worker in meeting.workers]
    ended = sum(episode.car == 0 for episode in meeting.collect().episodes)
    snapshot = meeting.collector.snapshot()
    meeting.collector.saved()
    meeting.collector.close()
    again = meet(meeting.storage, snapshot["exchange"], workers=0)
    again.collector.restore(snapshot)
    assert again.collector.snapshot() == snapshot
    assert again.collector.steps == 32
    assert again.task.episodes["episode"][0] == ended > 0
    assert again.collector.side.ledger.trained == 2


def test_a_whole_batch_that_is_no_experience_is_discarded_and_told(meet):
    meeting = meet()
    one, two = meeting.workers
    meeting.asleep = [lambda: one.side.offer(made_batch()), one.send, two.send]
    meeting.collect()
    assert meeting.collector.side.ledger.discarded["torn"] == 1
    assert any("holds no experience" in line for line in meeting.said)


def test_losses_are_told(meet):
    meeting = meet()
    one, two = meeting.workers
    one.send()
    meeting.storage.write(meeting.storage.list(BATCHES)[0], b"torn")
    meeting.asleep = [one.send, two.send]
    meeting.collect()
    assert meeting.said == ["1 of the batches is torn; training goes on"]


# --------------------------------------------------------------------------------------------------------------- faults


class Unsteady(MemoryStorage):
    """A storage that is away for a while, by its clock, or slow."""

    def __init__(self) -> None:
        super().__init__()
        self.away = lambda: False

    def read(self, name: str) -> bytes:
        if self.away():
            raise StorageError("the store does not answer")
        return super().read(name)

    def list(self, prefix: str = "") -> list[str]:
        if self.away():
            raise StorageError("the store does not answer")
        return super().list(prefix)


def test_a_store_that_is_away_for_a_minute_is_waited_for(meet):
    meeting = meet(Unsteady())
    for worker in meeting.workers:
        worker.send()
    meeting.storage.away = lambda: meeting.clock.now < 60.0
    assert meeting.collect().rewards.shape == (8, 4)
    assert meeting.clock.now >= 60.0
    assert meeting.said == ["the store does not answer; trying again for 300 s"]


def test_a_store_that_stays_away_ends_training(meet):
    meeting = meet(Unsteady())
    meeting.storage.away = lambda: True
    with pytest.raises(StorageError):
        meeting.collect()
    assert 290.0 < meeting.clock.now <= 300.0


def test_who_is_to_stop_does_not_wait_for_a_store(meet):
    meeting = meet(Unsteady())
    meeting.collector.snapshot()
    meeting.storage.away = lambda: True
    assert meeting.collect(lambda: False) is None
    meeting.collector.check()
    meeting.collector.saved()
    meeting.collector.finish()
    meeting.collector.end()
    assert [line.partition(":")[0] for line in meeting.said] == [
        "the batches of the saved state stay for now",
        "workers were not told to leave",
        "what came last is not accounted for",
    ]
    meeting.storage.away = lambda: False


def test_what_a_store_kept_while_it_was_away_is_settled_with_the_next_state(meet):
    meeting = meet(Unsteady())
    meeting.asleep = [worker.send for worker in meeting.workers]
    meeting.collect()
    meeting.collector.snapshot()
    meeting.storage.away = lambda: True
    meeting.collector.saved()
    meeting.storage.away = lambda: False
    assert len(meeting.storage.list(ANNOUNCED)) == 2
    meeting.collector.snapshot()
    meeting.collector.saved()
    assert meeting.storage.list(ANNOUNCED) == []


def test_a_trainer_that_another_has_replaced_ends_and_saves_nothing(meet):
    meeting = meet()
    lease = meeting.collector.side.lease
    lease.release()
    assert Leases(meeting.storage, "another", 8.0, meeting.clock).try_acquire(TRAINER) is not None
    with pytest.raises(LeaseLostError, match="another trainer has taken over memory"):
        meeting.collector.check()


# ------------------------------------------------------------------------------------------------------------------ end


def test_at_the_end_workers_are_told_and_all_is_accounted_for(meet):
    meeting = meet()
    one, two = meeting.workers
    meeting.asleep = [one.send, two.send]
    meeting.collect()
    one.send()
    meeting.collector.finish()
    one.side.newest_version()
    assert one.side.finished

    def late() -> None:
        two.send()
        for worker in meeting.workers:
            worker.side.leave()

    meeting.asleep = [late]
    ledger = meeting.collector.end()
    assert (ledger.trained, ledger.discarded["unused"], ledger.waiting, ledger.balanced) == (2, 2, 0, True)
    assert meeting.storage.list(BATCHES) == []
    assert read_ledger(meeting.storage).summary() == ledger.summary()


def test_workers_that_are_dead_hold_up_the_end_for_a_moment_only(meet):
    meeting = meet()
    meeting.collector.finish()
    before = meeting.clock.now
    meeting.collector.end()
    assert meeting.clock.now - before < 6.0


def test_what_dead_workers_began_is_accounted_for_now_and_then(meet):
    meeting = meet()
    one, two = meeting.workers
    one.send()
    meeting.storage.delete(meeting.storage.list(ANNOUNCED)[0])
    one.side.leave()
    assert type(one)(meeting.storage).side.generation == 2
    meeting.clock.now += 9.0
    meeting.asleep = [two.send, two.send]
    meeting.collect()
    assert meeting.collector.side.ledger.discarded["lost"] == 1
