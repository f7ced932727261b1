"""A trainer begins at an exchange whose store goes away meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from made_bucket import Clock

from lateapex.errors import StorageError
from lateapex.storage import MemoryStorage
from lateapex.workers.exchange import ExchangeSettings
from lateapex.workers.trainer_side import open_exchange
from lateapex.workers.waiting import outlast

SETTINGS = ExchangeSettings(run="run", shares=2, ahead=2, max_stale=1, ttl_s=8.0)


class Failing(MemoryStorage):
    """Gives no answer to one operation, before or after it was done."""

    def __init__(self, number: int, *, after: bool) -> None:
        super().__init__()
        self.number, self.after, self.done = number, after, 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("read", "read_tagged", "write", "list", "exists", "put_if_absent", "compare_and_swap"):
            return found

        def call(*words: Any) -> Any:
            self.done += 1
            failing = self.done == self.number
            if failing and not self.after:
                raise StorageError("the store does not answer")
            try:
                return found(*words)
            finally:
                if failing:
                    raise StorageError("the store does not answer")

        return call


@pytest.mark.parametrize("after", [False, True], ids=["not done", "done without an answer"])
@pytest.mark.parametrize("number", range(1, 12))
def test_a_trainer_begins_whatever_operation_of_its_beginning_the_store_does_not_answer(
    number: int, after: bool
) -> None:
    storage, clock, said = Failing(number, after=after), Clock(), []
    side = outlast(
        lambda: open_exchange(storage, SETTINGS, "host:1", lambda: None, clock=clock, sleep=clock.sleep),
        100.0,
        said.append,
        clock=clock,
        sleep=clock.sleep,
    )
    assert storage.done >= number, "it did fail"
    assert said == ["the store does not answer; trying again for 100 s"]
    storage.number = 0
    side.lease.renew()
    assert side.ledger.produced == 0
