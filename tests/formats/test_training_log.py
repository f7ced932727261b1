"""Lines of the training log, against real logs."""

from __future__ import annotations

import re

import pytest
from made_records import episode

from lateapex.formats.training_log import best_model_lines, episode_line, evaluation_lines, policy_line


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
