"""Episodes of runs driven again from what their folders say."""

import json
import shutil
from pathlib import Path

import pytest
from small_runs import command, files_of, small_run

from lateapex.errors import ConfigError, RunError
from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.recorded import open_replay
from lateapex.jobs.replay import ReplayConfig, ReplayResult, replay
from lateapex.jobs.train import resume

BITS = {"trainer": {"steps": 192, "evaluation_trials": 3, "evaluation_interval": 2}}
RUNS = {
    "several tracks, mirrored, both ways": {
        "track": "oval,kidney@reversed",
        "cars": 4,
        "mirror": True,
        "scene": "sim2real",
        "starts": {"alternate_direction": True, "scheme": "round_robin"},
    },
    "boxes, state critic, colour": {
        "race": {"race_type": "OBJECT_AVOIDANCE", "number_of_obstacles": 3, "randomize_obstacle_locations": True},
        "critic": "state",
        "colour": True,
    },
    "bots, in a sandbox": {"race": {"race_type": "HEAD_TO_BOT", "is_lane_change": True}, "sandbox": True},
    "three cars a world": {"race": {"race_type": "HEAD_TO_MODEL", "cars_per_world": 3}, "cars": 6, "quirks": "fixed"},
    "sac": {"algorithm": "sac"},
}


def go(run, episode, **changes) -> ReplayResult:
    return replay(ReplayConfig(**{"run": str(run), "episode": episode, "reward": True, **changes}))


def numbers(file: Path, phase="training"):
    lines = map(json.loads, file.read_text().splitlines())
    return [line for line in lines if line["phase"] == phase]


@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_episodes_of_training_and_evaluations_come_out_the_same(settings, tmp_path):
    run = small_run(tmp_path / "run", **{**BITS, **settings})
    noted = numbers(run / "logs" / "episodes.jsonl")
    assert [line["number"] for line in noted] == list(range(len(noted)))
    for number in {0, len(noted) // 2, len(noted) - 1}:
        result = go(run, number)
        assert result.same, result
        assert (result.same_trace, result.same_rewards) == (True, True)
    judged = numbers(run / "logs" / "episodes.jsonl", "evaluation")
    last = judged[-1]
    result = go(run, last["number"], evaluation=str(last["episode"] - 1))
    assert result.same, result
    assert result.same_trace is None
    assert result.digest == last["digest"]


def test_trials_on_other_tracks_with_another_car_come_out_the_same(copied):
    made = evaluate(EvaluateConfig(run=str(copied), trials=2, track="oval,kidney", vehicle="version2", film="none"))
    for number in range(4):
        result = go(copied, number, evaluation=made.folder)
        assert result.same, result
        assert result.track == ["oval", "kidney"][number // 2]
        assert result.steps == len(made.episodes[number].steps)
    assert go(copied, 3, evaluation=made.folder.removeprefix("evaluation-")).same


def test_a_run_that_was_resumed_tells_of_episodes_before_and_after_and_of_those_between(tmp_path):
    whole = small_run(tmp_path / "whole", trainer={"steps": 256})
    half = small_run(tmp_path / "half", trainer={"steps": 128})
    resume(str(half), {"trainer": {"steps": 256}})
    assert (half / "logs/episodes.jsonl").read_bytes() == (whole / "logs/episodes.jsonl").read_bytes()
    for line in numbers(half / "logs" / "episodes.jsonl"):
        assert go(half, line["number"]).same


def test_the_trace_that_is_written_has_the_bytes_of_the_runs_own(copied, tmp_path):
    trace = (copied / "training-simtrace" / "0-iteration.csv").read_text().splitlines()
    assert go(copied, 1, out=str(tmp_path / "again.csv"), reward=False).same
    assert (tmp_path / "again.csv").read_text().splitlines() == trace[:1] + [
        line for line in trace if line.startswith("1,")
    ]


def test_a_film_is_drawn(copied, tmp_path):
    go(copied, 0, out=str(tmp_path / "again.gif"))
    assert (tmp_path / "again.gif").read_bytes()[:3] == b"GIF"


def test_another_reward_is_told_and_nothing_else_differs(copied):
    reward = copied / "reward_function.py"
    reward.write_text("def reward_function(params):\n    return 0.125\n")
    result = go(copied, 0)
    assert (result.same_motion, result.same_senses, result.same_rewards) == (True, True, False)
    assert not result.same
    assert go(copied, 0, reward=False).same


def test_a_changed_run_is_told_with_the_first_difference(copied):
    file = copied / "run.toml"
    assert "front_axle" in file.read_text()
    lines = ["friction = 0.4" if line.startswith("friction =") else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines))
    result = go(copied, 0, reward=False)
    assert (result.same, result.same_motion, result.same_trace) == (False, False, False)
    assert result.difference is not None
    assert result.difference.partition(" at step ")[0] in ("X", "Y", "yaw")


def test_driving_again_changes_nothing_in_the_folder(copied):
    before = files_of(copied)
    go(copied, 0)
    assert files_of(copied) == before


def test_from_any_step_of_a_run_another_way_can_be_driven(copied):
    opened = open_replay(str(copied), 0)
    rows = opened.noted.recipe.actions
    there = [opened.replay.at(step).simulator.cars["x"][0] for step in (5, 6)]
    task = opened.replay.at(5)
    assert task.simulator.cars["x"][0] == there[0]
    task.advance([(int(rows[5]) + 5) % 10])
    assert task.simulator.cars["x"][0] != there[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episode": 900}, r"has no episode 900 of training; there are 0 to \d+"),
        ({"evaluation": "3"}, "has no episode 0 of the evaluation after update 3; there is none"),
        ({"evaluation": "evaluation-20240229120000"}, "has no evaluation 'evaluation-20240229120000'; it has none yet"),
    ],
)
def test_what_is_not_there_is_told(small, changes, message):
    with pytest.raises(RunError, match=message):
        go(small, **{"episode": 0, **changes})


def test_what_others_recorded_is_refused_with_what_can_be_done(small, copied, tmp_path):
    with pytest.raises(RunError, match=r"is a trace, which tells neither seed nor state.*lateapex film .*--track"):
        go(small / "training-simtrace" / "0-iteration.csv", 0)
    (copied / "logs" / "episodes.jsonl").unlink()
    with pytest.raises(RunError, match="recorded before they could be driven again"):
        go(copied, 0)
    with pytest.raises(ConfigError, match=r"--out is x.png; a name that ends in .mp4 or .gif is needed; or .csv"):
        go(small, 0, out="x.png")
    imported = Path(shutil.copytree(small, tmp_path / "imported"))
    text = (imported / "run.toml").read_text()
    (imported / "run.toml").write_text(text + '\n[imported]\nsource = "x"\n')
    with pytest.raises(RunError, match="the original's traces tell neither seed nor state"):
        go(imported, 0)


def test_mates_that_are_missing_are_told(tmp_path):
    run = small_run(tmp_path / "run", race={"race_type": "HEAD_TO_MODEL"})
    file = run / "logs" / "episodes.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if '"number": 1,' not in line))
    with pytest.raises(RunError, match="does not have all 2 cars that raced in episode 0"):
        go(run, 0)


def test_the_command_says_what_is_the_same_and_exits_with_1_if_something_is_not(copied, capsys):
    said = command(capsys, "replay", copied, "--episode", 0, "--json", "--reward")
    assert said.code == 0
    line = json.loads(said.out)
    assert (line["same"], line["same_motion"], line["episode"], line["car"]) == (True, True, 0, 1)
    assert "motion  the same" in said.err
    (copied / "reward_function.py").write_text("def reward_function(params):\n    return 0.125\n")
    said = command(capsys, "replay", copied, "--episode", 0, "--reward")
    assert said.code == 1
    assert "rewards DIFFERENT: it keeps something from episode to episode, or was changed" in said.out
