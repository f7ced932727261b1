"""deepracer_checkpoints.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateapex.errors import FormatError
from lateapex.formats.checkpoints import (
    CheckpointEntry,
    read_checkpoints,
    read_coach_checkpoint,
    write_checkpoints,
    write_coach_checkpoint,
)

BEST = CheckpointEntry("3_Step-900.pt", 43.5, 12.25)
LAST = CheckpointEntry("4_Step-1200.pt", None, 20.0)


def content(**changes):
    best = {"name": "3_Step-900.pt", "avg_eval_metric": 43.5, "time_stamp": 12.25} | changes
    return json.dumps({"best_checkpoint": best, "last_checkpoint": best})


def test_a_real_file_is_read_and_written_byte_for_byte(shared_data):
    text = (shared_data / "checkpoints" / "console_2021_deepracer_checkpoints.json").read_text()
    best, last = read_checkpoints(text, "c.json")
    assert best == last == CheckpointEntry("1345_Step-0.ckpt", 43.51455830615105, 359.212)
    assert write_checkpoints(best, last) == text


def test_a_model_that_was_never_evaluated_has_no_metric():
    text = write_checkpoints(BEST, LAST)
    assert json.loads(text)["last_checkpoint"]["avg_eval_metric"] is None
    assert read_checkpoints(text, "c.json") == (BEST, LAST)


def test_a_metric_that_is_not_finite_is_written_as_null():
    entry = CheckpointEntry("1_Step-0.pt", float("nan"), 0.0)
    assert read_checkpoints(write_checkpoints(entry, entry), "c.json")[0].avg_eval_metric is None


def test_files_of_2020_call_the_metric_avg_comp_pct():
    old = {"name": "11_Step-38428.ckpt", "avg_comp_pct": 88, "time_stamp": 1599095949}
    text = json.dumps({"best_checkpoint": old, "last_checkpoint": old})
    assert read_checkpoints(text, "c.json")[0] == CheckpointEntry("11_Step-38428.ckpt", 88.0, 1599095949.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "c.json is not JSON: line 1, column 2"),
        ("{}", "c.json: there is no best_checkpoint; expected"),
        ('{"best_checkpoint": "x"}', 'c.json: best_checkpoint is "x"; expected'),
        (content(name=None), "c.json: best_checkpoint.name is null; expected a file's name"),
        (content(name=""), 'c.json: best_checkpoint.name is ""; expected a file\'s name'),
        (content(name="../../x"), 'c.json: best_checkpoint.name is "../../x"; expected a file\'s name'),
        (content(name=".."), 'c.json: best_checkpoint.name is ".."; expected a file\'s name'),
        (content(avg_eval_metric="43"), 'c.json: best_checkpoint.avg_eval_metric is "43"; expected a number or null'),
        (content(time_stamp=None), "c.json: best_checkpoint.time_stamp is null; expected seconds"),
    ],
)
def test_a_fault_is_named_with_its_key(text, message):
    with pytest.raises(FormatError) as caught:
        read_checkpoints(text, "c.json")
    assert str(caught.value).startswith(message)


finite = st.floats(allow_nan=False, allow_infinity=False)
entries = st.builds(CheckpointEntry, st.from_regex(r"\d{1,4}_Step-\d{1,9}\.pt", fullmatch=True), finite, finite)


@given(entries, entries)
def test_what_is_written_reads_back_with_every_digit(best, last):
    assert read_checkpoints(write_checkpoints(best, last), "c.json") == (best, last)


def test_real_files_are_written_again_byte_for_byte(shared_data):
    text = (shared_data / "checkpoints/console_2021_deepracer_checkpoints.json").read_text()
    assert write_checkpoints(*read_checkpoints(text, "c.json")) == text
    for name in ("console_2020.coach_checkpoint", "console_2021.coach_checkpoint"):
        text = (shared_data / "checkpoints" / name).read_text()
        assert write_coach_checkpoint(read_coach_checkpoint(text, name)) == text
        assert text.endswith(".ckpt")


@pytest.mark.parametrize("text", ["", "\n", "../x.ckpt", "a/b.ckpt", "a\\b", ".", "a\x00b", "a\nb"])
def test_a_coach_checkpoint_that_names_no_file_is_refused(text):
    with pytest.raises(FormatError, match="expected a checkpoint's name"):
        read_coach_checkpoint(text, ".coach_checkpoint")


def test_made_entries_are_byte_for_byte_the_golden_file():
    text = (Path(__file__).parents[1] / "golden" / "deepracer_checkpoints.json").read_text()
    entries = CheckpointEntry("3_Step-3000.pt", 71.875, 12.5), CheckpointEntry("4_Step-4000.pt", None, 15.0)
    assert write_checkpoints(*entries) == text
    assert read_checkpoints(text, "c.json") == entries
