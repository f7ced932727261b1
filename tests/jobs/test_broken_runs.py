"""Small runs that are broken on purpose are named for what is wrong with them, and a healthy one for nothing."""

from __future__ import annotations

import json
import shutil

import pytest
from small_runs import command, files_of, small_config, timeless
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lateapex.jobs import train as job
from lateapex.jobs.runs import show_run

ACTIONS = [(-30, 1.0), (0, 1.0), (30, 1.0), (0, 0.1)]
SHORT = {"steps": 8 * 64 * 6, "rollout_steps": 64, "evaluation_interval": 100, "save_seconds": 1e9}


def train(folder, reward=None, actions=None, **changes):
    settings = {"cars": 8, "trainer": SHORT, **changes}
    if reward is not None:
        (folder / "reward.py").write_text(f"def reward_function(params):\n    return {reward}\n")
        settings["reward"] = str(folder / "reward.py")
    if actions is not None:
        space = [{"steering_angle": angle, "speed": speed} for angle, speed in actions]
        metadata = {"action_space": space, "sensor": ["FRONT_FACING_CAMERA"], "version": "5"}
        (folder / "model_metadata.json").write_text(json.dumps(metadata))
        settings["model_metadata"] = str(folder / "model_metadata.json")
    return job.train(small_config(folder / "run", **settings))


def codes(result):
    return {finding.code for finding in result.findings}


def test_a_healthy_run_has_no_finding(tmp_path):
    assert codes(train(tmp_path)) == set()


@pytest.fixture(scope="module")
def too_fast(tmp_path_factory):
    """What became of a run that learns too fast."""
    return train(tmp_path_factory.mktemp("fast"), ppo={"learning_rate": 1.0})


def test_a_learning_rate_of_one(too_fast):
    assert {"kl_large", "entropy_collapsed"} <= codes(too_fast)


def test_no_entropy_bonus_and_a_huge_learning_rate(tmp_path):
    result = train(tmp_path, ppo={"learning_rate": 0.05, "entropy_weight": 0.0})
    assert {"kl_large", "entropy_collapsed"} <= codes(result)


def test_a_reward_for_standing_still(tmp_path):
    result = train(tmp_path, '1.0 if params["speed"] <= 0.1 else 0.0', ACTIONS)
    assert "reward_for_standing" in codes(result)


def test_a_constant_reward(tmp_path):
    assert codes(train(tmp_path, "1.0")) == {"reward_constant"}


@pytest.mark.long
def test_a_discount_of_nothing(tmp_path):
    trainer = {**SHORT, "steps": 8 * 32 * 60, "rollout_steps": 32}
    assert "not_learning" in codes(train(tmp_path, ppo={"discount": 0.0, "epochs": 2}, trainer=trainer))


def test_findings_are_in_the_log_shown_by_runs_and_part_of_the_json_lines(tmp_path, capsys):
    (tmp_path / "lr.toml").write_text("[ppo]\nlearning_rate = 1.0\n[trainer]\nrollout_steps = 64\n")
    run = tmp_path / "run"
    flags = ("--config", tmp_path / "lr.toml", "--cars", 2, "--steps", 128, "--out", run, "--json")
    said = command(capsys, "train", *flags)
    (finding,) = json.loads(said.out)["findings"]
    assert finding["code"] == "kl_large"
    assert f"  diagnosis: {finding['found']}; {finding['advice']}  [kl_large]" in said.err
    logged = map(json.loads, (run / "logs/training.jsonl").read_text().splitlines())
    assert [line for line in logged if line["kind"] == "finding"] == [{"kind": "finding", **finding}]
    shown = command(capsys, "runs", "show", run)
    assert f"update 1, kl_large: {finding['found']}\n    try: {finding['advice']}\n" in shown.out
    details = json.loads(command(capsys, "runs", "show", run, "--json").out)
    assert details["findings"] == [finding]
    assert {"simulate", "inference", "reward", "update", "save", "evaluate"} == details["seconds"].keys()
    assert details["steps_per_second"]["update"] == pytest.approx(128 / details["seconds"]["update"], rel=0.05)


def test_a_run_in_two_parts_tells_the_same_and_no_point_of_its_event_file_is_there_twice(tmp_path):
    broken = {"ppo": {"learning_rate": 1.0}, "tensorboard": True}
    job.train(small_config(tmp_path / "whole", **broken))
    job.train(small_config(tmp_path / "parts", **broken, trainer={"steps": 64}))
    result = job.resume(str(tmp_path / "parts"), {"trainer": {"steps": 128}})
    assert {finding.iteration for finding in result.findings} == {1}
    logs = [timeless(files_of(tmp_path / name))["logs/training.jsonl"] for name in ("whole", "parts")]
    whole, parts = ([line for line in log if line["kind"] != "evaluation"] for log in logs)
    assert whole == parts
    events = EventAccumulator(str(tmp_path / "parts" / "tensorboard"))
    events.Reload()
    assert [point.step for point in events.Scalars("learning/kl")] == [32, 64, 96, 128]


def test_a_log_from_before_there_was_a_diagnosis_is_judged_all_the_same(tmp_path, too_fast):
    shutil.copytree(too_fast.url, tmp_path / "run")
    log = tmp_path / "run/logs/training.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(line for line in lines if '"kind": "finding"' not in line))
    assert "kl_large" in {finding.code for finding in show_run(str(tmp_path / "run")).findings}
