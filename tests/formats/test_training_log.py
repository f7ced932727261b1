"""Lines of the training log, against real logs."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import episode

from lateapex.formats.model_metadata import Action, default_metadata, read_metadata
from lateapex.formats.training_log import (
    best_model_lines,
    checkpoint_numbers_line,
    episode_line,
    evaluation_lines,
    head_lines,
    policy_line,
    read_log,
)

GOLDEN = Path(__file__).parents[1] / "golden"
HYPERPARAMETERS = '{\n  "batch_size": 64,\n  "lr": 0.0003\n}'


def log(text):
    return read_log(io.BytesIO(text.encode()))


def logs(shared_data):
    for path in sorted((shared_data / "logs").rglob("*.log")):
        yield path.name, path.read_bytes()
    for path in sorted((shared_data / "logs").rglob("*.tar.gz")):
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                if member.name.endswith(".log"):
                    yield member.name, archive.extractfile(member).read()


@pytest.fixture(scope="module")
def real_lines(shared_data):
    folder = shared_data / "logs" / "console-2021-export" / "logs" / "training"
    return "".join(path.read_text(errors="replace") for path in sorted(folder.iterdir())).splitlines()


def test_a_training_episode_is_byte_for_byte_a_real_line(real_lines):
    made = episode()
    made.steps["reward"] = [0.0, 2000.0, 553.2249]
    line = episode_line(made, episode=2, steps=460, iteration=0)
    assert line.endswith("Episode=2, Total reward=2553.22, Steps=460, Training iteration=0\n")
    assert line.rstrip("\n") in real_lines


def test_an_evaluation_episode_is_byte_for_byte_a_real_line(real_lines):
    made = episode(phase="evaluation")
    made.steps["reward"] = [0.0, 100.0, 11.14]
    assert episode_line(made, episode=30, steps=4592, iteration=0).rstrip("\n") in real_lines


def test_an_update_is_byte_for_byte_a_real_line(real_lines):
    losses = {
        "policy_loss": 0.002701762830838561,
        "value_loss": 3.0,
        "kl": 7.049567329886486e-07,
        "entropy": 0.061491236090660095,
        "learning_rate": 1e-06,
    }
    assert policy_line(losses).rstrip("\n") in real_lines


def test_a_loss_that_is_missing_is_nan_and_no_losses_are_no_line():
    assert policy_line({"kl": 0.5}) == (
        "Policy training> Surrogate loss=nan, KL divergence=0.5, Entropy=nan, training epoch=0, learning_rate=nan\n"
    )
    assert policy_line({}) == ""


def test_the_choice_of_the_best_model_is_byte_for_byte_real_lines(real_lines):
    progress = [100, 4.758914551450788, 100, 4.866997885997282, 7.9468790933071904]
    mean = sum(progress) / 5
    name = "1345_Step-0.ckpt"
    made = evaluation_lines(5, progress, mean) + best_model_lines(name, mean, name, None)
    begin = real_lines.index(made.splitlines()[0])
    assert made.splitlines() == real_lines[begin : begin + 4]


def test_the_first_best_model_comes_from_none(real_lines):
    made = evaluation_lines(0, [], None) + best_model_lines("1345_Step-0.ckpt", None, None, None)
    assert all(line in real_lines for line in made.splitlines())
    assert re.search('from "None"', made)


def test_the_numbers_of_the_checkpoints_are_byte_for_byte_a_real_line(real_lines):
    assert checkpoint_numbers_line(1345, 1345).rstrip("\n") in real_lines
    assert checkpoint_numbers_line(-1, 3) == "Best checkpoint number: -1, Last checkpoint number: 3\n"


def test_the_head_of_a_log_is_byte_for_byte_the_golden_file():
    assert head_lines("reinvent_base", default_metadata(), HYPERPARAMETERS) == (GOLDEN / "head.log").read_text()


def test_the_lines_of_a_head_are_byte_for_byte_those_of_a_real_log(shared_data, real_lines):
    text = (shared_data / "logs/console-2021-export/model_metadata.json").read_text()
    hyperparameters = (shared_data / "logs/console-2021-export/ip/hyperparameters.json").read_text()
    world, sensors, actions, *block = head_lines("x", read_metadata(text, "m"), hyperparameters).splitlines()
    assert sensors in real_lines
    assert block[0] in real_lines
    assert real_lines[real_lines.index(block[0]) :][: len(block)] == block
    # The original repeats numbers as the racer wrote them, 3 or 3.0; ours are all of the second kind.
    told = next(line for line in real_lines if line.startswith("Action space from file: "))
    assert log(told).metadata["action_space"] == log(actions).metadata["action_space"]
    assert world.replace(" x", " AmericasGenerated...") in real_lines


def test_a_head_reads_back_as_the_model_that_it_was_made_of():
    told = log((GOLDEN / "head.log").read_text())
    assert (told.world, told.hyperparameters) == ("reinvent_base", {"batch_size": 64, "lr": 0.0003})
    assert [Action(entry["steering_angle"], entry["speed"]) for entry in told.metadata["action_space"]] == list(
        default_metadata().actions
    )


def test_every_real_log_tells_its_hyperparameters_and_all_since_2020_a_model_that_is_one(shared_data):
    worlds = set()
    for name, data in logs(shared_data):
        told = read_log(io.BytesIO(data))
        assert {"batch_size", "lr", "discount_factor"} <= told.hyperparameters.keys(), name
        if name != "deepracer-eval-sim-sample.log":
            described = read_metadata(json.dumps(told.metadata), name)
            assert described.training_algorithm == told.metadata["training_algorithm"]
        if len(told.trace):
            assert told.world, name
            worlds.add(told.world)
    assert worlds == {
        "AmericasGeneratedInclStart",
        "Spain_track",
        "reinvent_base",
        "2022_reinvent_champ",
        "2022_september_pro",
        "reInvent2019_wide_cw",
    }


def test_losses_of_a_real_learner_are_means_over_the_epochs_of_each_update(shared_data):
    path = next((shared_data / "logs/console-2022/logs/training").glob("*sagemaker.log"))
    told = read_log(io.BytesIO(path.read_bytes()))
    lines = [line for line in path.read_text().splitlines() if line.startswith("Policy training>")]
    entropies = [float(re.search(r"Entropy=(.*?),", line)[1]) for line in lines]
    assert (len(told.losses), len(lines)) == (28, 28 * 3)
    assert told.losses[1]["entropy"] == pytest.approx(sum(entropies[3:6]) / 3)
    assert told.losses[0]["learning_rate"] == 0.0003


def test_lines_behind_the_names_of_ros_processes_are_read():
    prefix = "[download_params_and_roslaunch_agent_node-1] [agent-9] "
    text = "".join(prefix + line + "\n" for line in (GOLDEN / "head.log").read_text().splitlines())
    assert log(text).hyperparameters == {"batch_size": 64, "lr": 0.0003}
    assert len(log(text).metadata["action_space"]) == 10


def test_a_world_that_was_cut_is_none_and_the_yaml_of_the_job_comes_first():
    assert log(" * /WORLD_NAME: AmericasGenerated...\n").world == ""
    assert log(" * /WORLD_NAME: A...\nWorld name passed in YAML: Spain_track\n").world == "Spain_track"
    assert log(" * /WORLD_NAME: B\n{'JOB_TYPE': 'TRAINING', 'WORLD_NAME': u'C'}\n").world == "C"


def test_blocks_that_are_damaged_are_passed_over():
    head = "Using the following hyper-parameters\n"
    for text in (
        head + "{\n" + "x\n" * 100,
        head + '{\n"a": }\n}\n',
        head,
        "{'JOB_TYPE': \n",
        "Action space from file: [{\n",
        "Sensor list [, network x\n",
        "Policy training> Surrogate loss=x, KL divergence=1, Entropy=1, training epoch=0, learning_rate=1\n",
        "{'JOB_TYPE': " + "[" * 100_000 + "\n",
    ):
        told = log(text + "SIM_TRACE_LOG:0\n")
        assert (told.parameters, told.hyperparameters, list(told.losses)) == ({}, {}, [])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_log(data):
    read_log(io.BytesIO(data))


@pytest.mark.parametrize(
    ("regex", "values"),
    [
        (r"^Training>.*Total reward=(.*?),", ["2553.22"]),
        (r"^Policy training>.*Surrogate loss=(.*?),", ["-0.0109"]),
        (r"^Policy training>.*Entropy=(.*?),", ["2.25"]),
        (r"^Testing>.*Total reward=(.*?),", ["1.25"]),
    ],
)
def test_the_metric_regexes_of_a_training_job_find_their_numbers(regex, values):
    made = episode()
    made.steps["reward"] = [0.0, 2000.0, 553.2249]
    text = (
        head_lines("oval", default_metadata(), HYPERPARAMETERS)
        + episode_line(made, episode=2, steps=460, iteration=0)
        + episode_line(episode(length=2, phase="evaluation"), episode=2, steps=460, iteration=0)
        + policy_line({"policy_loss": -0.0109, "kl": 1e-6, "entropy": 2.25, "learning_rate": 3e-4})
    )
    assert re.findall(regex, text, re.MULTILINE) == values
