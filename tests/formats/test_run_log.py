"""logs/training.jsonl: what is written comes back, also from logs of other versions."""

from __future__ import annotations

import json
import math

import pytest
from made_records import evaluation, update

from lateapex.errors import FormatError
from lateapex.formats.run_log import json_line, read_run_log
from lateapex.records import FindingRecord, Payment, TrackEvaluation

PAYMENT = Payment(
    lowest=0.0,
    highest=1.5,
    still_steps=0,
    still_reward=math.nan,
    moving_steps=9,
    moving_reward=0.1,
    immobilized=0,
    immobilized_reward=math.nan,
    others=2,
    others_reward=3.25,
)
PART = TrackEvaluation(track="oval", laps_completed=0, trials=2, mean_progress=12.5, best_lap=None)
RECORDS = [
    update(1, losses={"kl": 0.1 + 0.2, "value_loss": math.nan}, actions=(3, 0, 5), payment=PAYMENT),
    FindingRecord(code="not_finite", iteration=1, steps=1000, found="value_loss is no number", advice="lower lr"),
    evaluation(1, tracks=(PART,), seconds=1.25),
    update(2, mean_progress=math.nan, mean_reward=math.nan, finished=0),
]


def test_every_record_comes_back_as_it_was():
    text = "".join(map(json_line, RECORDS))
    assert [repr(record) for record in read_run_log(text, "log")] == [repr(record) for record in RECORDS]


def test_infinity_comes_back_as_no_number():
    (record,) = read_run_log(json_line(update(1, losses={"kl": math.inf})), "log")
    assert math.isnan(record.losses["kl"])


def test_a_log_from_before_there_were_actions_and_payment_is_read():
    old = json.loads(json_line(RECORDS[0]))
    del old["actions"], old["payment"]
    (record,) = read_run_log(json.dumps(old) + "\n", "log")
    assert (record.actions, record.payment, record.iteration) == ((), None, 1)


def test_what_a_later_version_adds_is_passed_over():
    new = {**json.loads(json_line(RECORDS[1])), "colour": "red"}
    text = json.dumps(new) + "\n" + json.dumps({"kind": "weather", "rain": 1}) + "\n"
    assert list(read_run_log(text, "log")) == [RECORDS[1]]


def test_a_last_line_that_was_being_written_does_not_count():
    assert list(read_run_log(json_line(RECORDS[1]) + '{"kind": "upd', "log")) == [RECORDS[1]]


@pytest.mark.parametrize("line", ["[]", "{", '{"kind": "update"}', '{"kind": "evaluation", "tracks": [1]}'])
def test_a_damaged_line_is_named(line):
    with pytest.raises(FormatError, match="run/log:2"):
        list(read_run_log(json_line(RECORDS[1]) + line + "\n", "run/log"))
