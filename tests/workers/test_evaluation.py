"""Evaluations at a workplace are those of this process, and what their reward did comes home."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_models import small_policy
from made_tasks import small_task

from lateapex.env.reward import RewardFunction
from lateapex.env.reward_prints import Prints
from lateapex.errors import RewardError
from lateapex.models.policy import Policy
from lateapex.training.evaluator import Evaluator, LocalEvaluator, random_starts
from lateapex.workers.arrays import same_arrays, to_arrays
from lateapex.workers.crew import LocalWorkplace
from lateapex.workers.evaluation import Evaluation, FarEvaluator
from lateapex.world.track import load_track

PRINTS = """
def reward_function(params):
    print("at", params["steps"])
    return params["progress"]
"""
TRACKS = ["oval", "kidney"]


class Maker:
    """Two cars of evaluations that are cut off after twelve steps."""

    def __init__(self, text: str) -> None:
        self.text = text

    def begin(self) -> None:
        pass

    def __call__(self) -> Evaluation:
        made = local(self.text)
        return Evaluation(made, small_policy(made.task, seed=99))


def reward(text: str = PRINTS) -> RewardFunction:
    return RewardFunction(text, "own.py", prints=Prints())


def local(text: str = PRINTS) -> LocalEvaluator:
    made = LocalEvaluator(small_task(TRACKS, reward=reward(text), seed=3))
    made.task.max_steps = 12
    return made


def far(text: str = PRINTS) -> tuple[FarEvaluator, RewardFunction]:
    """An evaluator at a workplace, and the reward that hears of what was done there."""
    workplace, home = LocalWorkplace([]), reward()
    tracks = [load_track(name) for name in TRACKS]
    return FarEvaluator(workplace.evaluation(Maker(text)), workplace.publish, home, 2, 3, tracks), home


def steps(evaluator: Evaluator, policy: Policy, update: int) -> list[bytes]:
    poses = random_starts(evaluator.seed, np.arange(evaluator.count), update)
    rows = [episode.steps.copy() for episode in evaluator.evaluate(policy, poses, 15 * update, update)]
    for each in rows:
        each["wall_clock"] = 0.0
    return [each.tobytes() for each in rows]


def test_an_evaluation_elsewhere_is_that_of_this_process_with_the_weights_of_now():
    here, there = local(), far()[0]
    policy = small_policy(here.task)
    first = steps(here, policy, 1)
    assert steps(there, policy, 1) == first
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    second = steps(here, policy, 2)
    assert steps(there, policy, 2) == second
    assert steps(there, policy, 1) != first


def test_both_say_the_same_of_themselves():
    here, there = LocalEvaluator(small_task(TRACKS, reward=reward(), seed=3)), far()[0]
    assert (there.count, there.seed, there.max_steps) == (here.count, here.seed, here.max_steps)
    assert [track.name for track in there.tracks] == [track.name for track in here.tracks] == TRACKS


def test_calls_seconds_and_prints_of_each_evaluation_come_home_once():
    here, (there, home) = local(), far()
    policy = small_policy(here.task)
    for update in (1, 2):
        steps(here, policy, update)
        steps(there, policy, update)
        assert home.calls == here.task.reward.calls > 0
    assert home.seconds > 0.0
    assert home.prints is not None
    assert here.task.reward.prints is not None
    assert home.prints.fetch() == here.task.reward.prints.fetch()


def test_a_reward_that_fails_there_fails_here():
    there, _ = far("def reward_function(params):\n    return 1.0 / (params['steps'] != 6)\n")
    with pytest.raises(RewardError, match=r"own\.py:2: ZeroDivisionError"):
        steps(there, small_policy(local().task), 1)


# ------------------------------------------------------------------------------------- what need not be published


def weights(seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "flat": torch.randn(5, generator=generator),
        "pictures": torch.randn(2, 3, 4, 4, generator=generator).to(memory_format=torch.channels_last),
        "half": torch.randn(3, generator=generator).to(torch.bfloat16),
        "count": torch.tensor(7),
    }


def test_weights_are_the_same_whatever_their_order_in_memory():
    other = {name: weight.contiguous().clone() for name, weight in weights().items()}
    assert same_arrays(to_arrays(weights()), to_arrays(other))


@given(st.sampled_from(sorted(weights())), st.data())
def test_weights_are_others_if_one_bit_is(name, data):
    ours, others = to_arrays(weights()), to_arrays({key: weight.clone() for key, weight in weights().items()})
    values = others[name].values
    bits = values.view(f"u{values.itemsize}")
    place = tuple(data.draw(st.integers(0, length - 1)) for length in bits.shape)
    bits[place] ^= np.array(1, bits.dtype) << np.array(data.draw(st.integers(0, 8 * values.itemsize - 1)), bits.dtype)
    assert not same_arrays(ours, others)


@pytest.mark.parametrize(
    "changed",
    [
        {"flat": torch.zeros(5), "half": torch.zeros(3)},
        {"flat": torch.zeros(5)},
        {"flat": torch.zeros(4), "half": torch.zeros(3, dtype=torch.bfloat16)},
        {"flat": torch.zeros(5), "half": torch.zeros(3, dtype=torch.int16)},
        {"flat": torch.zeros(5), "other": torch.zeros(3, dtype=torch.bfloat16)},
    ],
)
def test_weights_of_other_names_shapes_and_kinds_are_others(changed):
    given_ = {"flat": torch.zeros(5), "half": torch.zeros(3, dtype=torch.bfloat16)}
    assert not same_arrays(to_arrays(given_), to_arrays(changed))
