"""Distributions over actions: sampling by given draws, probabilities and entropies against torch's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, Normal

from lateapex.models.heads import CategoricalHead, GaussianHead
from lateapex.sim.random import ACTION, uniforms


def log(*chances: float) -> torch.Tensor:
    return torch.tensor([chances]).log()


def draws(*first: float) -> torch.Tensor:
    """Rows of four draws that begin with these."""
    return torch.tensor([[value, 0.3, 0.7, 0.9] for value in first], dtype=torch.float64)


# ------------------------------------------------------------------------------------------------------- a list


def test_a_draw_chooses_the_action_in_whose_share_it_falls() -> None:
    # shares: 0 to 0.25, 0.25 to 0.75, 0.75 to 1
    parameters = log(0.25, 0.5, 0.25).expand(6, 3)
    chosen = CategoricalHead.sample(parameters, draws(0.0, 0.24, 0.26, 0.74, 0.76, 1 - 2**-32))
    assert chosen.tolist() == [0, 0, 1, 1, 2, 2]
    assert chosen.dtype == torch.int64


def test_epsilon_greedy_takes_the_best_action_unless_the_first_draw_falls_below_epsilon_then_the_seconds() -> None:
    # The second draws, 0.0, 0.34, 0.99, fall into the first, second and third of three equal shares.
    parameters = log(0.2, 0.3, 0.5).expand(6, 3)
    uniform = torch.tensor([[first, second] for first in (0.24, 0.25) for second in (0.0, 0.34, 0.99)]).double()
    chosen = CategoricalHead.epsilon_greedy(parameters, uniform, 0.25)
    assert chosen.tolist() == [0, 1, 2, 2, 2, 2]
    assert chosen.dtype == torch.int64


@pytest.mark.parametrize(("chances", "action"), [((0.0, 1.0, 0.0), 1), ((1.0, 0.0, 0.0), 0), ((0.0, 0.0, 1.0), 2)])
def test_an_action_without_probability_is_never_chosen(chances: tuple[float, ...], action: int) -> None:
    chosen = CategoricalHead.sample(log(*chances).expand(3, 3), draws(0.0, 0.5, 1 - 2**-32))
    assert chosen.tolist() == [action] * 3


@given(weights=st.lists(st.floats(-8, 8), min_size=2, max_size=12))
def test_evenly_spread_draws_choose_each_action_as_often_as_its_probability_says(weights: list[float]) -> None:
    parameters = torch.log_softmax(torch.tensor([weights]), dim=1)
    even = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    chosen = CategoricalHead.sample(parameters.expand(1000, -1), even.unsqueeze(1))
    counts = np.bincount(chosen.numpy(), minlength=len(weights))
    np.testing.assert_allclose(counts, 1000 * parameters[0].exp().double().numpy(), atol=1.001)


def test_only_the_first_draw_counts() -> None:
    parameters = log(0.25, 0.5, 0.25).expand(2, 3)
    rows = torch.tensor([[0.5, 0.0, 0.0, 0.0], [0.5, 0.9, 0.9, 0.9]], dtype=torch.float64)
    assert CategoricalHead.sample(parameters, rows).tolist() == [1, 1]


def test_the_mode_is_the_most_probable_action_and_of_equals_the_first() -> None:
    assert CategoricalHead.mode(torch.cat([log(0.2, 0.5, 0.3), log(0.4, 0.2, 0.4)])).tolist() == [1, 0]


def test_probability_and_entropy_of_a_list_are_torchs() -> None:
    parameters = torch.log_softmax(torch.randn(5, 7, generator=torch.Generator().manual_seed(1)), dim=1)
    actions = torch.tensor([0, 6, 3, 3, 1])
    theirs: Any = Categorical(logits=parameters)
    torch.testing.assert_close(CategoricalHead.log_prob(parameters, actions), theirs.log_prob(actions))
    torch.testing.assert_close(CategoricalHead.entropy(parameters), theirs.entropy())
    assert CategoricalHead.entropy(log(*[0.125] * 8)).item() == pytest.approx(math.log(8))


def test_a_list_is_told_by_log_probabilities() -> None:
    parameters = CategoricalHead(6, 4)(torch.randn(3, 6, dtype=torch.bfloat16).float())
    assert (parameters.shape, parameters.dtype) == ((3, 4), torch.float32)
    torch.testing.assert_close(parameters.exp().sum(dim=1), torch.ones(3))


def test_no_action_is_less_probable_than_1e_8() -> None:
    head = CategoricalHead(1, 3)
    with torch.no_grad():
        head.linear.weight[:] = torch.tensor([[100.0], [0.0], [-100.0]])
        head.linear.bias.zero_()
    found = head(torch.tensor([[1.0]]))
    torch.testing.assert_close(found.exp(), torch.tensor([[1.0, 1e-8, 1e-8]]))


# ------------------------------------------------------------------------------------------------------- numbers

ONE_DEVIATION = 1 - math.exp(-0.5)  # a draw whose radius, sqrt(-2 ln(1 - u)), is 1


@pytest.mark.parametrize(("turn", "normal"), [(0.0, (1, 0)), (0.25, (0, 1)), (0.5, (-1, 0)), (0.75, (0, -1))])
def test_normal_numbers_worked_by_hand(turn: float, normal: tuple[int, int]) -> None:
    parameters = torch.tensor([[0.5, -2.0, math.log(3.0), math.log(0.25)]])
    chosen = GaussianHead.sample(parameters, torch.tensor([[ONE_DEVIATION, turn, 0.6, 0.6]], dtype=torch.float64))
    assert chosen.dtype == torch.float32
    assert chosen[0].tolist() == pytest.approx([0.5 + 3 * normal[0], -2 + 0.25 * normal[1]], abs=1e-6)


def test_drawn_numbers_have_the_mean_and_deviation_that_the_head_says() -> None:
    count = 20_000
    parameters = torch.tensor([[0.5, -2.0, math.log(3.0), math.log(0.25)]]).expand(count, -1)
    chosen = (
        GaussianHead.sample(parameters, torch.from_numpy(uniforms(1, np.arange(count), 0, ACTION))).double().numpy()
    )
    normal = (chosen - [0.5, -2.0]) / [3.0, 0.25]
    # a mean has a standard deviation of 1 / sqrt(20000) = 0.007, a deviation one of 0.005
    assert np.abs(normal.mean(axis=0)).max() < 0.03
    assert np.abs(normal.std(axis=0) - 1).max() < 0.02
    assert np.abs(np.corrcoef(normal.T) - np.eye(2)).max() < 0.03
    # 4.55 % of a normal distribution lie beyond two deviations, with 0.15 % of deviation here
    assert (np.abs(normal) > 2).mean() == pytest.approx(0.0455, abs=0.005)


def test_the_least_and_greatest_draws_give_finite_numbers() -> None:
    ends = torch.tensor([[0.0] * 4, [1 - 2**-32] * 4], dtype=torch.float64)
    assert torch.isfinite(GaussianHead.sample(torch.zeros(2, 4), ends)).all()


def test_density_and_entropy_of_numbers_are_torchs() -> None:
    generator = torch.Generator().manual_seed(2)
    parameters, actions = torch.randn(5, 6, generator=generator), torch.randn(5, 3, generator=generator)
    theirs: Any = Normal(parameters[:, :3], parameters[:, 3:].exp())
    torch.testing.assert_close(GaussianHead.log_prob(parameters, actions), theirs.log_prob(actions).sum(dim=1))
    torch.testing.assert_close(GaussianHead.entropy(parameters), theirs.entropy().sum(dim=1))
    assert torch.equal(GaussianHead.mode(parameters), parameters[:, :3])


def test_deviations_start_at_1_whatever_is_seen_and_stay_in_their_range() -> None:
    head = GaussianHead(6, 2)
    features = torch.randn(3, 6)
    assert head(features).shape == (3, 4)
    assert head(features)[:, 2:].tolist() == [[0.0, 0.0]] * 3
    with torch.no_grad():
        head.log_std.copy_(torch.tensor([-30.0, 9.0]))
    assert head(features)[0, 2:].tolist() == [-20.0, 3.0]
