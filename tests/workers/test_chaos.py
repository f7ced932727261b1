"""Everything at once: workers and trainer are killed again and again, and their store is gone for a while."""

from __future__ import annotations

import os

import pytest
from made_chaos import URL, Chaos, go_through
from made_servers import sign_in

from lateapex.storage import open_storage
from lateapex.workers.batch_format import unpack
from lateapex.workers.exchange import ANNOUNCED, BATCHES

SECONDS = float(os.environ.get("CHAOS_SECONDS", "180"))
STEPS_OF_BATCH = 64 * 8


@pytest.mark.servers
def test_training_goes_on_through_kills_and_an_outage_and_accounts_for_every_batch(tmp_path, monkeypatch):
    chaos = Chaos(tmp_path)
    try:
        chaos.begin()
        go_through(chaos, SECONDS, 10.0, (SECONDS / 3 - 5.0, SECONDS * 2 / 3 + 5.0), SECONDS / 3 + 15.0)
        result = chaos.end(60.0)
        sign_in(monkeypatch, chaos.store.end_point)
        place = open_storage(URL)
        names = place.list(BATCHES)
        whole = unpack(place.read(names[-1]), names[-1])
        waiting = place.list(ANNOUNCED)
    finally:
        chaos.close()
        print("\n" + "\n".join(chaos.log))
    ledger = result["ledger"]
    print(
        {name: result[name] for name in ("outcome", "updates", "steps", "best_progress", "best_lap")}, ledger, sep="\n"
    )
    assert (chaos.trainers_killed, chaos.workers_killed) == (2, int(SECONDS / 10.0) - 1)
    # What the ledger says, counted in two other ways: by the files that were kept, and by the steps in the model.
    assert ledger["balanced"]
    assert ledger["waiting"] == 0
    assert waiting == []
    assert ledger["produced"] == ledger["trained"] + sum(ledger["discarded"].values())
    assert len(names) == ledger["produced"] - ledger["discarded"]["duplicate"]
    assert result["steps"] == ledger["trained"] * STEPS_OF_BATCH
    assert whole.reward.size == STEPS_OF_BATCH
    # It has learned all the same: every trial of its best evaluation was a lap.
    assert result["best_progress"] == 100.0
    assert result["best_lap"] is not None
