"""`lateapex runs` as it is typed: what it prints, asks and refuses."""

from __future__ import annotations

import json
import re
import time

import pytest
from made_runs import copy_run, make_old, size_of
from typer.testing import CliRunner

from lateapex.commands import runs as command
from lateapex.errors import ConfigError, LateapexError, RunError

UPDATE = {"kind": "update", "iteration": 5, "steps": 320, "best_lap": 25.333, "seconds": {"collect": 1.5}}
JUDGED = {"kind": "evaluation", "laps_completed": 1, "trials": 2, "mean_progress": 62.5, "best_lap": None}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with two runs under runs/, to be in."""
    copy_run(tmp_path / "runs" / "kidney-lean-0")
    copy_run(tmp_path / "runs" / "kidney-lean-1", **{"seed = 0": "seed = 1"})
    for number in (0, 1):
        log = tmp_path / "runs" / f"kidney-lean-{number}" / "logs" / "training.jsonl"
        log.write_text("".join(json.dumps(entry) + "\n" for entry in (UPDATE, JUDGED)))
    make_old(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lateapex.commands.runs.time.time", lambda: 1_700_000_000.0 + 3 * 86_400)
    return tmp_path


def typed(words, answer=None):
    result = CliRunner().invoke(command.app, words.split(), input=answer)
    if isinstance(result.exception, LateapexError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def cells(text):
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


@pytest.mark.parametrize("words", ["", "list"])
def test_the_bare_call_lists_and_so_does_list(place, words):
    titles, first, second, hint = cells(typed(words).stdout)
    assert titles == ["run", "track", "network", "steps", "laps", "best lap", "progress", "age", "size"]
    assert {first[0], second[0]} == {"runs/kidney-lean-0", "runs/kidney-lean-1"}
    assert first[1:8] == ["oval", "lean", "320", "1 of 2", "25.33 s", "62%", "3 d"]
    assert re.fullmatch(r"[\d.]+ [kM]B", first[8])
    assert hint == [f"next: lateapex evaluate {first[0]}"]


def test_a_list_is_not_cut_to_a_width(place, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert all(len(line) > 60 for line in typed("").stdout.splitlines()[:3])


@pytest.mark.parametrize("words", ["--json", "list --json"])
def test_json_is_one_line_with_every_run(place, words):
    content = json.loads(typed(words).stdout)
    assert content["damaged"] == []
    (zero,) = (run for run in content["runs"] if run["run"] == "runs/kidney-lean-0")
    assert (zero["steps"], zero["trials"], zero["best_lap"]) == (320, 2, 25.333)
    assert zero["size"] == size_of(place / "runs" / "kidney-lean-0")


def test_a_damaged_run_is_a_line_with_its_reason(place):
    (place / "runs" / "kidney-lean-1" / "run.toml").unlink()
    out = typed("").stdout
    assert "\ndamaged runs/kidney-lean-1: runs/kidney-lean-1 has no run.toml, by which a run is known; " in out
    assert json.loads(typed("--json").stdout)["damaged"][0]["run"] == "runs/kidney-lean-1"


def test_where_nothing_was_trained_yet_it_says_how_to_begin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert typed("").stdout == "no runs in runs    next: lateapex train --track kidney --until-laps\n"
    with pytest.raises(RunError, match="elsewhere is no folder"):
        typed("list --folder elsewhere")


def test_flags_before_a_command_are_not_passed_over(place):
    with pytest.raises(ConfigError, match="flags go behind the command: lateapex runs list"):
        typed("--json list")


def test_runs_stand_side_by_side(place):
    rows = cells(typed("compare runs/kidney-lean-0 runs/kidney-lean-1").stdout)
    assert rows[0] == ["runs/kidney-lean-0", "runs/kidney-lean-1"]
    assert rows[1] == ["seed", "0", "1"]
    named = {row[0]: row[1:] for row in rows[2:]}
    assert list(named) == ["steps", "training", "best progress", "best lap", "laps completed"]
    assert named["laps completed"] == ["1 of 2", "1 of 2"]
    content = json.loads(typed("compare runs/kidney-lean-0 runs/kidney-lean-1 --json").stdout)
    assert content["differences"] == {"seed": [0, 1]}
    assert len(content["runs"]) == 2


def test_runs_of_the_same_settings_are_said_to_be_the_same(place):
    rows = cells(typed("compare runs/kidney-lean-0 runs/kidney-lean-0").stdout)
    assert rows[1] == ["settings", "the same", "the same"]


def test_one_run_cannot_be_compared(place):
    with pytest.raises(ConfigError, match="one run was given; two or more"):
        typed("compare runs/kidney-lean-0")


def test_deleting_asks_and_no_keeps_everything(place):
    result = typed("delete runs/kidney-lean-0", answer="n\n")
    assert result.exit_code == 1
    assert "delete it for good? [y/N]" in result.stderr
    assert result.stdout.endswith("nothing was deleted\n")
    assert (place / "runs" / "kidney-lean-0" / "run.toml").exists()


def test_deleting_says_what_was_freed(place):
    result = typed("delete runs/kidney-lean-0/ runs/kidney-lean-1 runs/kidney-lean-0", answer="y\n")
    assert "delete these 2 runs for good?" in result.stderr
    first, second, total = result.stdout.splitlines()[-3:]
    assert first.startswith("deleted runs/kidney-lean-0, ")
    assert second.startswith("deleted runs/kidney-lean-1, ")
    assert total.startswith("freed ")
    assert list((place / "runs").iterdir()) == []


def test_where_nobody_answers_nothing_is_deleted(place):
    with pytest.raises(ConfigError, match="nobody answered, nothing was deleted; add --yes"):
        typed("delete runs/kidney-lean-0", answer="")
    assert (place / "runs" / "kidney-lean-0").exists()


def test_one_folder_that_is_no_run_keeps_all_the_others(place):
    (place / "photos").mkdir()
    with pytest.raises(RunError, match="photos is no run folder"):
        typed("delete runs/kidney-lean-0 photos --yes")
    assert (place / "runs" / "kidney-lean-0").exists()


def test_a_deletion_for_programs_is_one_line_of_json(place):
    held = size_of(place / "runs" / "kidney-lean-0")
    result = typed("delete runs/kidney-lean-0 --yes --json")
    assert json.loads(result.stdout) == {"deleted": ["runs/kidney-lean-0"], "freed": held}


def test_pruning_says_what_went_and_what_stays(place):
    old = place / "runs" / "kidney-lean-0" / "model" / "1_Step-64.pt"
    old.write_bytes(b"x" * 2500)
    result = typed("prune runs/kidney-lean-0 --keep 1 --force")
    assert "deleted runs/kidney-lean-0/model/1_Step-64.pt\n" in result.stdout
    assert re.fullmatch(r"freed [\d.]+ [kM]B, kept .*5_Step-320\.pt", result.stdout.splitlines()[-1])
    again = json.loads(typed("prune runs/kidney-lean-0 --keep 1 --force --json").stdout)
    assert (again["removed"], again["freed"]) == ([], 0)


def test_sizes_and_ages_are_told_in_units_that_fit():
    assert [command.bytes_text(size) for size in (0, 999, 1000, 17_804_458, 2_500_000_000, 3_000_000_000_000)] == [
        "0 B",
        "999 B",
        "1 kB",
        "17.8 MB",
        "2.5 GB",
        "3,000 GB",
    ]
    ages = (-3.0, 5.0, 119.0, 120.0, 7199.0, 7200.0, 172_799.0, 172_800.0)
    assert [command._age(age) for age in ages] == ["0 s", "5 s", "119 s", "2 min", "120 min", "2 h", "48 h", "2 d"]


@pytest.mark.parametrize("word", ["", "list", "compare", "delete", "prune"])
def test_the_example_of_each_help_runs(place, word, monkeypatch):
    shown = " ".join(typed(f"{word} --help").stdout.split())
    (example,) = re.findall(r"Example: lateapex runs (.*)$", shown)
    monkeypatch.setattr("lateapex.commands.runs.time.time", time.time)
    assert typed(example).exit_code == 0
