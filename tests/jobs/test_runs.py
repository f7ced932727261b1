"""Runs are found, told in numbers, compared, and deleted only when that is safe."""

from __future__ import annotations

import json
import os

import pytest
from made_runs import LONG_AGO, STEPS, UPDATES, copy_run, make_old, size_of

from lateapex.errors import ConfigError, LateapexError, RunError, StorageError
from lateapex.jobs.remove_runs import QUIET_SECONDS, delete_run, prune_run, removable
from lateapex.jobs.runs import NAMES, compare_runs, list_runs, summarise
from lateapex.storage import DiskStorage
from lateapex.training import checkpoint


@pytest.fixture
def run(tmp_path):
    return copy_run(tmp_path / "runs" / "a")


def refusal(call, *arguments, kind=RunError, **named):
    with pytest.raises(kind) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def log_of(run, *entries, end="\n"):
    (run / "logs" / "training.jsonl").write_text("\n".join(json.dumps(entry) for entry in entries) + end)


UPDATE = {"kind": "update", "iteration": 7, "steps": 700, "best_lap": 21.5, "seconds": {"collect": 1.5, "update": 2.0}}
JUDGED = {"kind": "evaluation", "laps_completed": 3, "trials": 4, "mean_progress": 80.5, "best_lap": 20.25}


# ------------------------------------------------------------------------------------------------------------ list


def test_a_trained_run_is_told_as_its_trainer_left_it(run):
    told = summarise(str(run))
    assert (told.run, told.track, told.network) == (str(run), "oval", "lean")
    assert (told.updates, told.steps, told.trials, told.changed) == (UPDATES, STEPS, 2, LONG_AGO)
    assert told.size == size_of(run)
    saved = checkpoint.load_state(DiskStorage(run))["progress"]
    assert told.best_progress == saved["best_score"]
    assert 0.0 < told.train_seconds < saved["train_seconds"]


def test_the_pointer_file_is_the_one_that_training_writes():
    assert NAMES == checkpoint.NAMES


def test_laps_are_those_of_the_last_evaluation_and_the_best_lap_is_the_fastest_of_all(run):
    log_of(run, UPDATE, JUDGED, {**UPDATE, "best_lap": 19.75}, {**JUDGED, "laps_completed": 1, "mean_progress": 40.0})
    told = summarise(str(run))
    assert (told.laps, told.trials, told.best_lap, told.best_progress) == (1, 4, 19.75, 80.5)
    assert told.train_seconds == 7.0


def test_a_run_that_never_came_to_an_update_has_no_laps(run):
    (run / "logs" / "training.jsonl").unlink()
    told = summarise(str(run))
    assert (told.steps, told.updates, told.laps, told.best_lap, told.best_progress) == (0, 0, None, None, None)


def test_a_last_line_that_was_being_written_does_not_count(run):
    log_of(run, UPDATE, {**UPDATE, "steps": 900}, end="")
    assert summarise(str(run)).steps == 700


def test_runs_are_listed_newest_first_also_those_in_folders_of_runs(tmp_path):
    ages = {"b": 300.0, "sweep/c": 200.0, "a": 100.0}
    for name, when in ages.items():
        make_old(copy_run(tmp_path / name), LONG_AGO + when)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "reward_function.py").write_text("")
    found = list_runs(str(tmp_path))
    assert [run.run for run in found.runs] == [str(tmp_path / name) for name in ages]
    assert found.damaged == []


def test_a_run_folder_given_itself_is_listed(run):
    assert [told.run for told in list_runs(str(run)).runs] == [str(run)]


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    assert refusal(list_runs, str(tmp_path / "no")).startswith(f"{tmp_path}/no is no folder; ")


DAMAGES = {
    "run.toml is not TOML": lambda run: (run / "run.toml").write_text("track = \n"),
    "run.toml has no 'network'": lambda run: (run / "run.toml").write_text('track = "oval"\n'),
    "run.toml is no text in UTF-8 (byte 0)": lambda run: (run / "run.toml").write_bytes(b"\xff\xfe"),
    "has no run.toml": lambda run: (run / "run.toml").unlink(),
    "has no track.npy": lambda run: (run / "track.npy").unlink(),
    "has no reward_function.py": lambda run: (run / "reward_function.py").unlink(),
    "training.jsonl:1 is not JSON": lambda run: (run / "logs" / "training.jsonl").write_text("{\n"),
    "training.jsonl:1: steps is null": lambda run: log_of(run, {**UPDATE, "steps": None}),
    "training.jsonl:1: steps is true": lambda run: log_of(run, {**UPDATE, "steps": True}),
    'training.jsonl:1: best_lap is "fast"': lambda run: log_of(run, {**UPDATE, "best_lap": "fast"}),
    "training.jsonl:1 holds []": lambda run: log_of(run, []),
    "deepracer_checkpoints.json is not JSON": lambda run: (run / NAMES).write_text("{"),
    "has no model/5_Step-320.pt": lambda run: (run / "model" / "5_Step-320.pt").unlink(),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_a_damaged_run_is_named_with_the_reason_and_the_others_are_listed(reason, run, tmp_path):
    copy_run(tmp_path / "runs" / "whole")
    DAMAGES[reason](run)
    found = list_runs(str(tmp_path / "runs"))
    assert [told.run for told in found.runs] == [str(tmp_path / "runs" / "whole")]
    (damaged,) = found.damaged
    assert damaged.run == str(run)
    assert reason in damaged.reason
    assert len(damaged.reason.splitlines()) == 1


def test_whatever_a_log_line_holds_the_list_is_given(run, tmp_path):
    values = [None, [], {}, "x", -1, 1e308, True, [1], {"a": None}]
    for key in ("kind", "iteration", "steps", "best_lap", "seconds", "laps_completed", "trials", "mean_progress"):
        for value in values:
            log_of(run, {**UPDATE, **JUDGED, "kind": "update", key: value}, {**JUDGED, key: value})
            found = list_runs(str(tmp_path))
            assert len(found.runs) + len(found.damaged) == 1


# --------------------------------------------------------------------------------------------------------- compare


def test_only_settings_that_differ_are_compared(run, tmp_path):
    other = copy_run(tmp_path / "b", **{"seed = 0": "seed = 7", "clip = 0.2": "clip = 0.3"})
    comparison = compare_runs([str(run), str(other)])
    assert comparison.differences == {"seed": [0, 7], "ppo.clip": [0.2, 0.3]}
    assert [told.run for told in comparison.runs] == [str(run), str(other)]


def test_a_setting_that_one_run_lacks_is_none_there(run, tmp_path):
    other = copy_run(tmp_path / "b", **{"[trainer]\n": "[trainer]\nupdates = 3\n"})
    assert compare_runs([str(run), str(other)]).differences == {"trainer.updates": [None, 3]}


def test_a_reward_of_the_same_name_and_other_text_differs(run, tmp_path):
    other = copy_run(tmp_path / "b")
    (other / "reward_function.py").write_text("def reward_function(params):\n    return 1.0\n")
    (row,) = compare_runs([str(run), str(other)]).differences.items()
    assert row[0] == "reward_function.py"
    assert row[1][1].startswith("2 lines, ")


def test_where_a_run_lies_and_how_busy_the_machine_was_is_no_difference(run, tmp_path):
    other = copy_run(tmp_path / "b", **{"load = ": "load = 1", "out = ": "out = "})
    assert compare_runs([str(run), str(other)]).differences == {}


def test_comparing_what_is_no_run_says_so(run, tmp_path):
    assert "is no run folder" in refusal(compare_runs, [str(run), str(tmp_path)])


# ---------------------------------------------------------------------------------------------------------- delete


def test_a_run_is_deleted_whole_and_what_it_held_is_freed(run):
    held = size_of(run)
    assert delete_run(removable(str(run))) == held
    assert not run.exists()
    assert run.parent.is_dir()


def test_a_damaged_run_can_be_deleted(run):
    (run / "run.toml").write_text("track = \n")
    make_old(run)
    delete_run(removable(str(run)))
    assert not run.exists()


def test_what_a_deletion_that_was_cut_short_left_can_be_deleted(run):
    for path in sorted(run.rglob("*"), reverse=True):
        if path.is_file() and path.name != "run.toml":
            path.unlink()
    delete_run(removable(str(run)))
    assert not run.exists()


def test_run_toml_goes_last(run, monkeypatch):
    gone = []
    monkeypatch.setattr("lateapex.jobs.remove_runs.shutil.rmtree", lambda path: gone.append(path.name))
    refusal(delete_run, removable(str(run)), kind=StorageError)  # the folders were not really emptied
    assert {"model", "logs", "ip"} <= set(gone)
    assert not (run / "run.toml").exists()


def test_a_deletion_that_fails_says_where_and_keeps_run_toml(run, monkeypatch):
    def fail(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("lateapex.jobs.remove_runs.shutil.rmtree", fail)
    message = refusal(delete_run, removable(str(run)), kind=StorageError)
    assert message.startswith(f"cannot delete {run}/")
    assert (run / "run.toml").exists()


@pytest.mark.parametrize("what", ["a folder without run.toml", "a file", "nothing"])
def test_what_is_no_run_is_not_deleted(what, tmp_path):
    place = tmp_path / "place"
    if what == "a file":
        place.write_text("precious")
    elif what != "nothing":
        (place / "photos").mkdir(parents=True)
    refusal(removable, str(place))


def test_a_folder_with_a_run_toml_of_something_else_is_not_deleted(tmp_path):
    (tmp_path / "run.toml").write_text('command = "make"\n')
    (tmp_path / "thesis.tex").write_text("precious")
    assert "run.toml has no 'track'" in refusal(removable, str(tmp_path), kind=ConfigError)


def test_a_run_that_holds_another_run_is_not_deleted(run):
    inner = copy_run(run / "inner")
    assert f"holds another run, {inner};" in refusal(removable, str(run))


def test_a_link_to_a_run_is_not_deleted(run, tmp_path):
    (tmp_path / "latest").symlink_to(run)
    assert f"is a link to {run};" in refusal(removable, str(tmp_path / "latest"))


@pytest.mark.parametrize("place", ["videos", "model/old.pt"])
def test_a_run_with_a_link_out_of_it_is_not_deleted(run, tmp_path, place):
    outside = tmp_path / "outside"
    outside.mkdir()
    (run / place).symlink_to(outside)
    assert f"{run}/{place} is a link out of the run, to {outside};" in refusal(removable, str(run))


def test_a_link_within_a_run_goes_with_it(run):
    (run / "newest.pt").symlink_to(run / "model" / "5_Step-320.pt")
    delete_run(removable(str(run), force=True))  # the link is new
    assert not run.exists()


def test_the_folder_one_is_in_is_not_deleted(run, monkeypatch):
    monkeypatch.chdir(run / "model")
    assert "is the folder you are in" in refusal(removable, "..")
    assert "is the folder you are in" in refusal(removable, str(run))


@pytest.mark.parametrize("age", [-5.0, 0.0, QUIET_SECONDS - 1.0])
def test_a_run_that_changed_a_moment_ago_is_only_deleted_by_force(run, age):
    os.utime(run / "logs" / "training.jsonl", (LONG_AGO + 50.0, LONG_AGO + 50.0))
    message = refusal(removable, str(run), now=lambda: LONG_AGO + 50.0 + age)
    assert message.startswith(f"{run} changed {abs(age):.0f} s ago and may be in training; ")
    assert removable(str(run), force=True).size == size_of(run)
    assert removable(str(run), now=lambda: LONG_AGO + 50.0 + QUIET_SECONDS).size == size_of(run)


# ----------------------------------------------------------------------------------------------------------- prune


def with_versions(run, best, last, *others):
    for path in (run / "model").glob("*_Step-*.pt"):
        path.unlink()
    for update in {best, last, *others}:
        (run / "model" / f"{update}_Step-{64 * update}.pt").write_bytes(b"x" * update)
    entries = {
        f"{word}_checkpoint": {"name": f"{update}_Step-{64 * update}.pt", "avg_eval_metric": 1.0, "time_stamp": 0.0}
        for word, update in (("best", best), ("last", last))
    }
    (run / NAMES).write_text(json.dumps(entries))
    make_old(run)


def test_the_newest_versions_the_best_and_the_last_stay(run):
    with_versions(run, 2, 12, 3, 9, 10, 11)
    pruned = prune_run(str(run), 2)
    assert pruned.removed == ["3_Step-192.pt", "9_Step-576.pt", "10_Step-640.pt"]
    assert pruned.kept == ["2_Step-128.pt", "11_Step-704.pt", "12_Step-768.pt"]
    assert pruned.freed == 3 + 9 + 10
    assert sorted(path.name for path in (run / "model").glob("*.pt")) == sorted([*pruned.kept, "training_state.pt"])


def test_a_pruned_run_still_loads_its_best_and_last(run):
    prune_run(str(run), 1)
    best, _ = checkpoint.load_version(DiskStorage(run), "best")
    last, _ = checkpoint.load_version(DiskStorage(run), "last")
    assert {best, last} == {path.name for path in (run / "model").glob("*_Step-*.pt")}


def test_nothing_is_pruned_while_the_best_is_not_known(run):
    with_versions(run, 2, 4, 1, 3)
    (run / "model" / "2_Step-128.pt").unlink()
    assert "names model/2_Step-128.pt, which is not there" in refusal(prune_run, str(run), 1)
    (run / NAMES).write_text("{")
    refusal(prune_run, str(run), 1, kind=LateapexError)
    (run / NAMES).unlink()
    assert "has no model yet" in refusal(prune_run, str(run), 1)
    assert (run / "model" / "1_Step-64.pt").exists()


def test_a_run_in_training_is_only_pruned_by_force(run):
    assert "may be in training" in refusal(prune_run, str(run), 1, now=lambda: LONG_AGO + 1.0)
    assert prune_run(str(run), 1, force=True, now=lambda: LONG_AGO + 1.0).kept


def test_no_version_at_all_cannot_be_kept(run):
    assert "at least 1 version" in refusal(prune_run, str(run), 0, kind=ConfigError)
