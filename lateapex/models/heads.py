"""What a policy's last layer says, and how actions come from it.

A head turns features into the parameters of a distribution over actions; sampling takes its randomness from outside,
so that it belongs to a car and a step and not to the order of calls.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

_LOG_STD_RANGE: Final = (-20.0, 3.0)  # as in the original
_LEAST_LOG_PROB: Final = math.log(1e-8)  # as in the original


class CategoricalHead(nn.Module):
    """One of a list of actions; parameters are log-probabilities `[B, A]`, actions int64 `[B]`.

    No probability is below 1e-8, as in the original: a ratio of two of them stays finite.
    """

    def __init__(self, features: int, actions: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, actions)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, F]` -> float32 `[B, A]`."""
        return torch.log_softmax(self.linear(features).float(), dim=1).clamp(min=_LEAST_LOG_PROB)

    @staticmethod
    def sample(parameters: Tensor, draws: Tensor) -> Tensor:
        """Actions that uniform draws `[B, >= 1]` choose."""
        ladder = parameters.exp().double().cumsum(dim=1)
        target = draws[:, :1] * ladder[:, -1:]
        return (ladder <= target).sum(dim=1).clamp(max=parameters.shape[1] - 1)

    @classmethod
    def epsilon_greedy(cls, parameters: Tensor, draws: Tensor, epsilon: float) -> Tensor:
        """The most probable actions, but a share `epsilon` of them drawn from all alike, by draws `[B, >= 2]`."""
        count = parameters.shape[1]
        anything = (draws[:, 1] * count).long().clamp(max=count - 1)
        return torch.where(draws[:, 0] < epsilon, anything, cls.mode(parameters))

    @staticmethod
    def mode(parameters: Tensor) -> Tensor:
        """The most probable action."""
        return parameters.argmax(dim=1)

    @staticmethod
    def log_prob(parameters: Tensor, actions: Tensor) -> Tensor:
        """Log-probability of each action, `[B]`."""
        return parameters.gather(1, actions.unsqueeze(1)).squeeze(1)

    @staticmethod
    def entropy(parameters: Tensor) -> Tensor:
        """Entropy in nats, `[B]`."""
        return -(parameters.exp() * parameters).sum(dim=1)

    @staticmethod
    def distance(parameters: Tensor, others: Tensor) -> Tensor:
        """How far two distributions are apart, `[B]`: the Kullback-Leibler divergence of the second from the first."""
        return (parameters.exp() * (parameters - others)).sum(dim=1)

    @classmethod
    def imitation(cls, parameters: Tensor, labels: Tensor) -> Tensor:
        """Loss of a student whose teacher would take the actions `labels`, `[B]`: cross entropy."""
        return -cls.log_prob(parameters, labels)


class GaussianHead(nn.Module):
    """D independent normal numbers; parameters are means and log deviations `[B, 2 D]`, actions float32 `[B, D]`.

    The means come from the features, the deviations do not, as in the original: they start at 1 and are learned.
    Actions are not clipped here; the car's side does that, and learning sees what was drawn.
    """

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, size)
        self.log_std = nn.Parameter(torch.zeros(size))

    def forward(self, features: Tensor) -> Tensor:
        """`[B, F]` -> float32 `[B, 2 D]`."""
        mean = self.linear(features).float()
        return torch.cat([mean, self.log_std.clamp(*_LOG_STD_RANGE).expand_as(mean)], dim=1)

    @staticmethod
    def sample(parameters: Tensor, draws: Tensor) -> Tensor:
        """Actions from uniform draws `[B, 4]`, by the transform of Box and Muller (1958): two draws for two numbers."""
        mean, log_std = parameters.chunk(2, dim=1)
        radius = (-2.0 * torch.log1p(-draws[:, 0::2])).sqrt()
        angle = 2.0 * math.pi * draws[:, 1::2]
        normal = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=2).flatten(1)
        return mean + log_std.exp() * normal[:, : mean.shape[1]].float()

    @staticmethod
    def mode(parameters: Tensor) -> Tensor:
        """The means."""
        return parameters.chunk(2, dim=1)[0]

    @staticmethod
    def log_prob(parameters: Tensor, actions: Tensor) -> Tensor:
        """Log-density of each action, `[B]`."""
        mean, log_std = parameters.chunk(2, dim=1)
        away = (actions - mean) / log_std.exp()
        return (-0.5 * away**2 - log_std - 0.5 * math.log(2.0 * math.pi)).sum(dim=1)

    @staticmethod
    def entropy(parameters: Tensor) -> Tensor:
        """Entropy in nats, `[B]`."""
        log_std = parameters.chunk(2, dim=1)[1]
        return (log_std + 0.5 * math.log(2.0 * math.pi * math.e)).sum(dim=1)

    @classmethod
    def distance(cls, parameters: Tensor, others: Tensor) -> Tensor:
        """How far two distributions are apart, `[B]`: the squared distance of their modes."""
        return ((cls.mode(parameters) - cls.mode(others)) ** 2).sum(dim=1)

    @classmethod
    def imitation(cls, parameters: Tensor, labels: Tensor) -> Tensor:
        """Loss of a student whose teacher would take the actions `labels`, `[B]`; see `_imitation`."""
        return _imitation(cls.mode(parameters), parameters, labels)


class SquashedHead(nn.Module):
    """D numbers between -1 and 1: the tanh of independent normal numbers, whose deviations come from the features too.

    Parameters are means and log deviations before the tanh, `[B, 2 D]`; actions float32 `[B, D]`. Source: Haarnoja et
    al. 2018, appendix C; the bounds of the deviations are the original's.
    """

    log_std_range: Final = (-20.0, 2.0)
    width: Final = 256
    """Of the dense layer between the features and the parameters, as in the original."""

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, self.width)
        self.linear = nn.Linear(self.width, 2 * size)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, F]` -> float32 `[B, 2 D]`."""
        mean, log_std = self.linear(functional.relu(self.hidden(features))).float().chunk(2, dim=1)
        return torch.cat([mean, log_std.clamp(*self.log_std_range)], dim=1)

    @classmethod
    def sample(cls, parameters: Tensor, draws: Tensor) -> Tensor:
        """Actions from uniform draws `[B, 4]`; see `GaussianHead.sample`."""
        return GaussianHead.sample(parameters, draws).tanh()

    @staticmethod
    def drawn(parameters: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
        """Actions from standard normal numbers `[B, D]`, and their log-densities `[B]`; gradients pass through both."""
        mean, log_std = parameters.chunk(2, dim=1)
        before = mean + log_std.exp() * normal
        density = -0.5 * normal**2 - log_std - 0.5 * math.log(2.0 * math.pi)
        return before.tanh(), (density - _log_slope(before)).sum(dim=1)

    @staticmethod
    def mode(parameters: Tensor) -> Tensor:
        """The tanh of the means."""
        return parameters.chunk(2, dim=1)[0].tanh()

    @classmethod
    def log_prob(cls, parameters: Tensor, actions: Tensor) -> Tensor:
        """Log-density of each action, `[B]`; rounded to -1 or 1 they count as the nearest inside."""
        inside = 1.0 - torch.finfo(torch.float32).eps
        before = actions.clamp(-inside, inside).atanh()
        return GaussianHead.log_prob(parameters, before) - _log_slope(before).sum(dim=1)

    @staticmethod
    def entropy(parameters: Tensor) -> Tensor:
        """Entropy in nats, `[B]`, of the numbers before the tanh: that of the actions has no closed form."""
        return GaussianHead.entropy(parameters)

    @classmethod
    def distance(cls, parameters: Tensor, others: Tensor) -> Tensor:
        """How far two distributions are apart, `[B]`: the squared distance of their modes."""
        return ((cls.mode(parameters) - cls.mode(others)) ** 2).sum(dim=1)

    @classmethod
    def imitation(cls, parameters: Tensor, labels: Tensor) -> Tensor:
        """Loss of a student whose teacher would take the actions `labels`, `[B]`; see `_imitation`."""
        return _imitation(cls.mode(parameters), parameters, labels)


def _imitation(mode: Tensor, parameters: Tensor, labels: Tensor) -> Tensor:
    """Squared errors of the modes, `[B]`, and how unlikely the deviations make these errors.

    So a student explores later as far as it is off its teacher. The second part leaves the modes alone.
    """
    log_std = parameters.chunk(2, dim=1)[1]
    errors = (mode - labels) ** 2
    unlikely = 0.5 * errors.detach() * (-2.0 * log_std).exp() + log_std
    return (errors + unlikely).sum(dim=1)


def _log_slope(before: Tensor) -> Tensor:
    """log(1 - tanh²), without the loss of digits that the form as written has far from 0."""
    return 2.0 * (math.log(2.0) - before - functional.softplus(-2.0 * before))


Head = CategoricalHead | GaussianHead | SquashedHead

HEADS: Final[dict[str, type[Head]]] = {
    "categorical": CategoricalHead,
    "gaussian": GaussianHead,
    "squashed": SquashedHead,
}
