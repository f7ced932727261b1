"""A policy and its critic: which action to take, and what a state is worth.

No weights are shared between the two, as in the original. Inference runs in blocks of a fixed number of cars, since
the sums of a matrix product depend on the size of its batch: a car gets the same action whatever cars are beside it.

What a model remembers of a car from step to step is a `Memory`. It is handed in and out, never kept here.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lateapex.models.blueprint import Blueprint
from lateapex.models.heads import HEADS, CategoricalHead, Head
from lateapex.models.inputs import Inputs
from lateapex.models.networks import NetworkModule, Stem
from lateapex.models.stems import joined, of_both
from lateapex.models.user_network import build_network
from lateapex.sim.random import WEIGHTS, words

BLOCK: Final = 32
"""Cars of one inference batch."""

Observations = Mapping[str, NDArray[Any]]
"""By sensor: pictures uint8 `[N, H, W, C]`, lidar float32 `[N, R]`."""


class Memory(NamedTuple):
    """What a model knows of each car from the steps before."""

    frames: dict[str, Tensor]
    """Earlier pictures that transforms look at, `[N, ...]` each"""
    actor: Tensor
    """`[N, M]` recurrent state"""
    critic: Tensor
    """`[N, M]`"""

    def of(self, cars: NDArray[np.int64]) -> Memory:
        """That of some cars."""
        frames = {name: value[cars] for name, value in self.frames.items()}
        return Memory(frames, self.actor[cars], self.critic[cars])


class _Part(nn.Module):
    """A network and what stands on it."""

    def __init__(self, network: NetworkModule) -> None:
        super().__init__()
        self.network = network

    def features(self, stemmed: Stem, memory: Tensor, fresh: Tensor) -> tuple[Tensor, Tensor]:
        """Features of a sequence of steps, and the state after it.

        Args:
            stemmed: `[L * B, ...]` each, step by step.
            memory: `[B, M]` before the first step.
            fresh: `[L, B]` whether an episode begins with the step, and memory with it.
        """
        found: Tensor = self.network(stemmed)
        if not self.network.memory:
            return found, memory
        steps = []
        for t, features in enumerate(found.view(*fresh.shape, -1)):
            output, memory = self.network.recur(features, memory.masked_fill(fresh[t, :, None], 0.0))
            steps.append(output)
        return torch.cat(steps), memory


class Actor(_Part):
    """Network and head of a policy."""

    def __init__(self, network: NetworkModule, blueprint: Blueprint) -> None:
        super().__init__(network)
        self.head: Head = HEADS[blueprint.head](self.network.features, blueprint.actions)

    def forward(self, stemmed: Stem, memory: Tensor, fresh: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters of the distribution over actions, float32 `[L * B, ...]`, see `heads`; arguments: `features`."""
        features, memory = self.features(stemmed, memory, fresh)
        return self.head(features), memory


class Critic(_Part):
    """Network and head of a state-value function."""

    def __init__(self, network: NetworkModule) -> None:
        super().__init__(network)
        self.head = nn.Linear(self.network.features, 1)

    def forward(self, stemmed: Stem, memory: Tensor, fresh: Tensor) -> tuple[Tensor, Tensor]:
        """Values, float32 `[L * B]`; arguments: `features`."""
        features, memory = self.features(stemmed, memory, fresh)
        return self.head(features).float().squeeze(1), memory


class Decision(NamedTuple):
    """What a policy decided for `N` cars, and on what grounds."""

    actions: Tensor
    """`[N]` places in the action list, or `[N, D]` numbers as they were drawn"""
    log_probs: Tensor
    """`[N]` of the actions taken"""
    actor_stem: Stem
    """`[N, ...]` each"""
    critic_stem: Stem
    """The same object where both keep the same"""
    values: Tensor
    """`[N]`"""
    memory: Memory
    """For the next step."""


class Seen(NamedTuple):
    """States of `N` cars that nothing was decided in."""

    actor_stem: Stem
    """`[N, ...]` each"""
    critic_stem: Stem
    values: Tensor
    """`[N]`"""


class _Judged(NamedTuple):
    """What both networks make of some observations."""

    parameters: Tensor
    values: Tensor
    actor_stem: Stem
    critic_stem: Stem
    memory: Memory


class Policy(nn.Module):
    """Actor and critic of one model.

    Args:
        blueprint: what to build.
        seed: of the first weights.
        code: texts of the user's files that the blueprint names, by name.

    Raises:
        ConfigError: a network or transform is unknown, or does not fit.
    """

    judges: bool = True
    """Whether `decide` and `peek` ask the critic. Where not, their values are zeros, and the critic's stem is the
    actor's wherever `critic_stem` can make it of that one."""

    def __init__(self, blueprint: Blueprint, seed: int = 0, code: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.inputs = Inputs(blueprint.transforms, blueprint.sensors, code)
        spaces, files = self.inputs.spaces, code or {}
        with seeded(seed) as generator:
            self.actor = Actor(build_network(blueprint.network, spaces, files), blueprint)
            critic_spaces = {**spaces, **blueprint.critic_sensors}
            self.critic = Critic(build_network(blueprint.critic, critic_spaces, files))
        more = bool(blueprint.critic_sensors)
        self._same_stem = type(self.actor.network) is type(self.critic.network) and not more
        self.critic_follows = self.actor.network.keeps_all and not more and not self._same_stem
        """Whether the critic's stem is another than the actor's, and that one is enough to make it of."""
        for part in (self.actor, self.critic):
            glorot(part, generator)
        _normalise_columns(self.critic.head.weight, 1.0, generator)
        if blueprint.continuous:
            _normalise_columns(self.actor.head.linear.weight, 0.01, generator)

    def memory(self, count: int) -> Memory:
        """What is known of `count` cars before their first step: nothing."""
        states = (torch.zeros(count, part.network.memory) for part in (self.actor, self.critic))
        return Memory(self.inputs.frames(count), *states)

    def critic_stem(self, actor_stem: Stem) -> Stem:
        """Make of what the actor keeps, `[B, ...]` each, what the critic does; only where `critic_follows`."""
        return self.critic.network.stem(self.actor.network.seen(actor_stem))

    @torch.no_grad()
    def decide(
        self,
        observations: Observations,
        memory: Memory,
        fresh: NDArray[np.bool_],
        draws: NDArray[np.float64],
        *,
        input_draws: NDArray[np.float64] | None = None,
        bf16: bool = False,
        epsilon: float | None = None,
    ) -> Decision:
        """Choose an action for each car, and now and then one that is not thought the best.

        Args:
            observations: what the cars see; see `Observations`.
            memory: what is known of them; see `memory`.
            fresh: `[N]` whose episode begins now.
            draws: `[N, 4]` uniform in 0..1; all the randomness of actions.
            input_draws: `[N, inputs.draws]`, that of transforms; None: those that need any leave pictures whole.
            bf16: compute as the update will, in bfloat16 where that is allowed.
            epsilon: share of actions drawn from all alike, the others being the most probable; discrete actions only.
                None: actions are drawn by their probability.
        """
        blocks = _blocks(observations, memory, fresh, input_draws)
        judged = _joined([self._judge(*block, bf16) for block in blocks], len(fresh))
        head, uniform = self.actor.head, torch.from_numpy(draws)
        if epsilon is not None and isinstance(head, CategoricalHead):
            actions = head.epsilon_greedy(judged.parameters, uniform, epsilon)
        else:
            actions = head.sample(judged.parameters, uniform)
        log_probs = head.log_prob(judged.parameters, actions)
        return Decision(actions, log_probs, judged.actor_stem, judged.critic_stem, judged.values, judged.memory)

    @torch.no_grad()
    def peek(self, observations: Observations, memory: Memory, fresh: NDArray[np.bool_]) -> Seen:
        """What a decision would rest on, in full precision, and no decision."""
        blocks = _blocks(observations, memory, fresh, None)
        judged = _joined([self._judge(*block, False) for block in blocks], len(fresh))
        return Seen(judged.actor_stem, judged.critic_stem, judged.values)

    @torch.no_grad()
    def greedy(
        self, observations: Observations, memory: Memory, fresh: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], Memory]:
        """The most probable action of each car, `[N]` or `[N, D]`, in full precision, and the memory after it."""
        parts: list[Tensor] = []
        memories: list[Memory] = []
        for seen, known, begun, _ in _blocks(observations, memory, fresh, None):
            inputs, frames = self.inputs.see(seen, known.frames, begun[0], None)
            parameters, state = self.actor(self.actor.network.stem(inputs), known.actor, begun)
            parts.append(self.actor.head.mode(parameters))
            memories.append(Memory(frames, state, known.critic))
        count = len(fresh)
        actions: NDArray[Any] = torch.cat(parts)[:count].numpy()
        return actions, _joined_memory(memories, count)

    def driver(self, count: int) -> PolicyDriver:
        """A driver of `count` cars."""
        return PolicyDriver(self, count)

    def _judge(
        self, observations: Observations, memory: Memory, fresh: Tensor, input_draws: Tensor | None, bf16: bool
    ) -> _Judged:
        own = {name: observations[name] for name in self.blueprint.sensors}
        seen, frames = self.inputs.see(own, memory.frames, fresh[0], input_draws)
        actor_stem = self.actor.network.stem(seen)
        if self._same_stem or (self.critic_follows and not self.judges):
            critic_stem = actor_stem
        else:
            more = {name: torch.from_numpy(observations[name]) for name in self.blueprint.critic_sensors}
            critic_stem = self.critic.network.stem({**seen, **more})
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            parameters, actor = self.actor(actor_stem, memory.actor, fresh)
            if self.judges:
                values, critic = self.critic(critic_stem, memory.critic, fresh)
            else:
                values, critic = torch.zeros(len(parameters)), memory.critic
        return _Judged(parameters, values, actor_stem, critic_stem, Memory(frames, actor, critic))


class PolicyDriver:
    """Drives cars greedily, and remembers for them."""

    def __init__(self, policy: Policy, count: int) -> None:
        self._policy = policy
        self._memory = policy.memory(count)

    def greedy(self, observations: Observations, fresh: NDArray[np.bool_]) -> NDArray[Any]:
        """The most probable action of each car; see `Policy.greedy`."""
        actions, self._memory = self._policy.greedy(observations, self._memory, fresh)
        return actions


_Block = tuple[Observations, Memory, Tensor, Tensor | None]


def _blocks(
    observations: Observations, memory: Memory, fresh: NDArray[np.bool_], input_draws: NDArray[np.float64] | None
) -> Iterator[_Block]:
    """All of it in parts of BLOCK cars, `fresh` as `[1, BLOCK]`; the last is filled up with zeros."""
    for at in range(0, len(fresh), BLOCK):
        part = slice(at, at + BLOCK)
        yield (
            {name: _filled(value[part]) for name, value in observations.items()},
            Memory(
                {name: _filled_tensor(value[part]) for name, value in memory.frames.items()},
                _filled_tensor(memory.actor[part]),
                _filled_tensor(memory.critic[part]),
            ),
            torch.from_numpy(_filled(fresh[part]))[None],
            None if input_draws is None else torch.from_numpy(_filled(input_draws[part])),
        )


def _filled(values: NDArray[Any]) -> NDArray[Any]:
    missing = BLOCK - len(values)
    return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)]) if missing else values


def _filled_tensor(values: Tensor) -> Tensor:
    missing = BLOCK - len(values)
    return torch.cat([values, values.new_zeros(missing, *values.shape[1:])]) if missing else values


def _joined(parts: list[_Judged], count: int) -> _Judged:
    def cut(stems: Sequence[Stem]) -> Stem:
        return _first(stems, count)

    return _Judged(
        torch.cat([part.parameters for part in parts])[:count],
        torch.cat([part.values for part in parts])[:count],
        *of_both([part.actor_stem for part in parts], [part.critic_stem for part in parts], cut),
        _joined_memory([part.memory for part in parts], count),
    )


def _first(stems: Sequence[Stem], count: int) -> Stem:
    return {name: value[:count] for name, value in joined(stems).items()}


def _joined_memory(parts: list[Memory], count: int) -> Memory:
    return Memory(
        _first([part.frames for part in parts], count),
        torch.cat([part.actor for part in parts])[:count],
        torch.cat([part.critic for part in parts])[:count],
    )


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """A generator of first weights; torch's own, from which some modules draw theirs, is that of the seed meanwhile."""
    number = words(seed, 0, 0, WEIGHTS)[0]
    generator = torch.Generator().manual_seed(int(number[0] << np.uint64(31) | number[1]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed())
        yield generator


def glorot(module: nn.Module, generator: torch.Generator) -> None:
    """Glorot-uniform weights, zero biases, in all convolutions and dense layers but those of networks of users."""
    if isinstance(module, NetworkModule) and module.own_weights:
        return
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight, generator=generator)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    for child in module.children():
        glorot(child, generator)


def _normalise_columns(weight: Tensor, norm: float, generator: torch.Generator) -> None:
    """Random weights `[out, in]` whose norm is the same for each output."""
    with torch.no_grad():
        random = torch.randn(weight.shape, generator=generator)
        weight.copy_(norm * random / random.norm(dim=1, keepdim=True))


def state_of(module: nn.Module, *, without: Container[str] = ()) -> dict[str, Any]:
    """Weights by name, as contiguous copies that share no memory with the module.

    Args:
        without: names that are left out.
    """
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in module.state_dict().items()
        if name not in without
    }
