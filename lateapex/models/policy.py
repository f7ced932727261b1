"""A policy and its critic: which action to take, and what a state is worth.

No weights are shared between the two, as in the original. Inference runs in blocks of a fixed number of cars, since
the sums of a matrix product depend on the size of its batch: a car gets the same action whatever cars are beside it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lateapex.models.heads import CategoricalHead, GaussianHead, Head
from lateapex.models.networks import NETWORKS, NetworkModule
from lateapex.sim.random import WEIGHTS, words

BLOCK: Final = 32
"""Cars of one inference batch."""


class Shape(NamedTuple):
    """What a policy is built for."""

    height: int
    width: int
    channels: int
    actions: int
    """Length of the action list, or numbers of a continuous action."""
    continuous: bool = False


class Actor(nn.Module):
    """Network and head of a policy."""

    def __init__(self, network: str, shape: Shape) -> None:
        super().__init__()
        self.network: NetworkModule = NETWORKS.get(network)(shape.height, shape.width, shape.channels)
        kind: type[Head] = GaussianHead if shape.continuous else CategoricalHead
        self.head: Head = kind(self.network.features, shape.actions)

    def forward(self, stemmed: Tensor) -> Tensor:
        """Stemmed pictures `[B, ...]` -> parameters of the distribution over actions, float32, see `heads`."""
        parameters: Tensor = self.head(self.network(stemmed))
        return parameters


class Critic(nn.Module):
    """Network and head of a state-value function."""

    def __init__(self, network: str, shape: Shape) -> None:
        super().__init__()
        self.network: NetworkModule = NETWORKS.get(network)(shape.height, shape.width, shape.channels)
        self.head = nn.Linear(self.network.features, 1)

    def forward(self, stemmed: Tensor) -> Tensor:
        """Stemmed pictures `[B, ...]` -> values, float32 `[B]`."""
        values: Tensor = self.head(self.network(stemmed)).float().squeeze(1)
        return values


class Decision(NamedTuple):
    """What a policy decided for `N` cars, and on what grounds."""

    actions: Tensor
    """`[N]` places in the action list, or `[N, D]` numbers as they were drawn"""
    log_probs: Tensor
    """`[N]` of the actions taken"""
    actor_stem: Tensor
    """`[N, ...]`"""
    critic_stem: Tensor
    values: Tensor
    """`[N]`"""


class Policy(nn.Module):
    """Actor and critic of one model.

    Args:
        network: name of the actor's network.
        critic: name of the critic's network, which never goes onto the car.
        shape: pictures and number of actions.
        seed: of the first weights.
    """

    def __init__(self, network: str, critic: str, shape: Shape, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.actor = Actor(network, shape)
        self.critic = Critic(critic, shape)
        self._same_stem = type(self.actor.network) is type(self.critic.network)
        _initialise(self, seed)

    @torch.no_grad()
    def decide(
        self,
        pictures: NDArray[np.uint8],
        draws: NDArray[np.float64],
        bf16: bool = False,
        epsilon: float | None = None,
    ) -> Decision:
        """Choose an action for each car, and now and then one that is not thought the best.

        Args:
            pictures: `[N, H, W]`, or `[N, H, W, C]`.
            draws: `[N, 4]` uniform in 0..1; all the randomness there is.
            bf16: compute as the update will, in bfloat16 where that is allowed.
            epsilon: share of actions drawn from all alike, the others being the most probable; discrete actions only.
                None: actions are drawn by their probability.
        """
        count = len(pictures)
        parts = [self._decide_block(block, bf16) for block in _blocks(pictures)]
        parameters, actor_stem, critic_stem, values = (torch.cat(part)[:count] for part in zip(*parts, strict=True))
        head, uniform = self.actor.head, torch.from_numpy(draws)
        if epsilon is not None and isinstance(head, CategoricalHead):
            actions = head.epsilon_greedy(parameters, uniform, epsilon)
        else:
            actions = head.sample(parameters, uniform)
        return Decision(actions, head.log_prob(parameters, actions), actor_stem, critic_stem, values)

    def _decide_block(self, block: Tensor, bf16: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        actor_stem = self.actor.network.stem(block)
        critic_stem = actor_stem if self._same_stem else self.critic.network.stem(block)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            parameters = self.actor(actor_stem)
            values = self.critic(critic_stem)
        return parameters, actor_stem, critic_stem, values

    @torch.no_grad()
    def values(self, pictures: NDArray[np.uint8]) -> Tensor:
        """What each state is worth, `[N]`."""
        count = len(pictures)
        return torch.cat([self.critic(self.critic.network.stem(block)) for block in _blocks(pictures)])[:count]

    @torch.no_grad()
    def greedy(self, pictures: NDArray[np.uint8]) -> NDArray[Any]:
        """The most probable action of each car, `[N]` or `[N, D]`, in full precision."""
        count = len(pictures)
        parameters = [self.actor(self.actor.network.stem(block)) for block in _blocks(pictures)]
        actions: NDArray[Any] = self.actor.head.mode(torch.cat(parameters)[:count]).numpy()
        return actions


def _blocks(pictures: NDArray[np.uint8]) -> list[Tensor]:
    """Pictures as tensors `[BLOCK, H, W, C]`; the last is filled up with black."""
    count = len(pictures)
    whole = torch.from_numpy(pictures if pictures.ndim == 4 else pictures[..., None])
    blocks = [whole[at : at + BLOCK] for at in range(0, count, BLOCK)]
    if count % BLOCK:
        filler = torch.zeros(BLOCK - count % BLOCK, *whole.shape[1:], dtype=torch.uint8)
        blocks[-1] = torch.cat([blocks[-1], filler])
    return blocks


def _initialise(policy: nn.Module, seed: int) -> None:
    """Glorot-uniform weights, zero biases; heads of values and means have normalised columns, as in the original."""
    number = words(seed, 0, 0, WEIGHTS)[0]
    generator = torch.Generator().manual_seed(int(number[0] << np.uint64(31) | number[1]))
    for module in policy.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in policy.modules():
        if isinstance(module, Critic):
            _normalise_columns(module.head.weight, 1.0, generator)
        elif isinstance(module, GaussianHead):
            _normalise_columns(module.linear.weight, 0.01, generator)


def _normalise_columns(weight: Tensor, norm: float, generator: torch.Generator) -> None:
    """Random weights `[out, in]` whose norm is the same for each output."""
    with torch.no_grad():
        random = torch.randn(weight.shape, generator=generator)
        weight.copy_(norm * random / random.norm(dim=1, keepdim=True))


def state_of(module: nn.Module) -> dict[str, Any]:
    """Weights by name, as contiguous copies that share no memory with the module."""
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in module.state_dict().items()
    }
