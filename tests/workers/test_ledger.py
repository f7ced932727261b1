"""The account of what became of every batch."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.errors import FormatError
from lateapex.workers.ledger import DUPLICATE, REASONS, TRAINED, BatchId, Ledger

IDS = st.builds(BatchId, st.integers(0, 2), st.integers(1, 2), st.integers(0, 6))


def test_an_account_worked_by_hand():
    ledger = Ledger()
    ledger.notice(BatchId(0, 1, 4))  # so 0 to 4 exist: 5
    ledger.notice(BatchId(1, 1, 0))  # 6
    ledger.decide(BatchId(0, 1, 0), TRAINED)
    ledger.decide(BatchId(0, 1, 3), "stale")
    ledger.decide(BatchId(1, 1, 0), TRAINED)
    ledger.repeat()  # 7
    assert (ledger.produced, ledger.trained, ledger.waiting) == (7, 2, 3)
    assert ledger.discarded == {"stale": 1, "duplicate": 1, "torn": 0, "lost": 0, "unused": 0}
    assert list(ledger.undecided()) == [BatchId(0, 1, 1), BatchId(0, 1, 2), BatchId(0, 1, 4)]
    assert ledger.balanced
    assert ledger.lines() == [
        "produced                    7",
        "trained once                2",
        "discarded, stale            1  made with a version of the model that is too old",
        "discarded, duplicate        1  announced again after it was decided",
        "discarded, torn             0  not what was announced, or not whole",
        "discarded, lost             0  announced or begun, and gone",
        "discarded, unused           0  still waiting when training ended",
        "waiting                     3",
        "balanced",
    ]


@given(st.lists(st.tuples(IDS, st.sampled_from(["notice", "repeat", TRAINED, *sorted(REASONS.keys() - {DUPLICATE})]))))
def test_any_account_balances_and_comes_back_from_a_file(entries):
    ledger, decided, seen = Ledger(), {}, {}
    for batch, what in entries:
        if what == "repeat":
            ledger.repeat()
        elif what == "notice":
            ledger.notice(batch)
        elif batch in decided:
            with pytest.raises(ValueError, match="was decided before"):
                ledger.decide(batch, what)
        else:
            ledger.decide(batch, what)
            decided[batch] = what
        if what != "repeat":
            seen[batch[:2]] = max(seen.get(batch[:2], 0), batch.number + 1)
        ledger = Ledger.from_plain(json.loads(json.dumps(ledger.plain())))
    assert ledger.balanced
    assert ledger.trained == list(decided.values()).count(TRAINED)
    assert ledger.waiting == sum(seen.values()) - len(decided)
    assert all(ledger.decided(batch) for batch in decided)
    assert not any(batch in decided for batch in ledger.undecided())


def test_a_ledger_that_does_not_balance_says_so():
    ledger = Ledger()
    ledger.decide(BatchId(0, 1, 0), TRAINED)
    ledger.trained += 1
    assert not ledger.balanced
    assert ledger.lines()[-1] == "NOT BALANCED"


@pytest.mark.parametrize("verdict", ["eaten", DUPLICATE])
def test_what_is_no_verdict_about_a_batch_is_refused(verdict):
    with pytest.raises(ValueError, match=f"no batch is '{verdict}'"):
        Ledger().decide(BatchId(0, 1, 0), verdict)


@pytest.mark.parametrize("plain", [{}, {"trained": "x"}, {"trained": 1, "discarded": {}, "producers": []}])
def test_what_is_no_ledger_is_told(plain):
    with pytest.raises(FormatError, match="no ledger"):
        Ledger.from_plain(plain)


@given(IDS)
def test_a_batchs_name_names_it(batch):
    assert BatchId.parse(str(batch)) == batch


@pytest.mark.parametrize(
    "text", ["", "1-2-3", "0001-000001-0000000x", "0001-000001", "0001-000001-00000001-1", "²-1-1"]
)
def test_a_strangers_name_names_no_batch(text):
    assert BatchId.parse(text) is None


def test_a_name_that_overflows_its_digits_still_names_the_batch():
    assert BatchId.parse(str(BatchId(99_999, 1, 123_456_789))) == BatchId(99_999, 1, 123_456_789)
