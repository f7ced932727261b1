"""What a policy's critic thinks of experience that was driven without it, or with an older one.

Who only drives needs no critic: values are of use to those who learn, and they have the newest. What is sent to drivers
is shorter without it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lateapex.models import stems
from lateapex.models.networks import Stem
from lateapex.models.policy import Actor, Critic, Policy
from lateapex.training.rollout import Cut, Rollout

_ROWS: Final = 1024  # steps that are looked at together


class InOrder(NamedTuple):
    """What a network makes of a rollout's steps."""

    outputs: Tensor
    """`[T, N, ...]`"""
    memories: Tensor
    """`[T, N, M]` before each step"""
    after: Tensor
    """`[N, M]`"""


def with_critic_stem(policy: Policy, rollout: Rollout) -> Rollout:
    """Return a rollout with what the critic keeps of its states, where it was driven without one and left that out."""
    if rollout.unjudged is None or not policy.critic_follows:
        return rollout
    shape = rollout.fresh.shape
    both = policy.critic_stem(stems.flat(rollout.actor_stem))
    cut, last = rollout.unjudged, rollout.last
    return rollout._replace(
        critic_stem={name: value.view(*shape, *value.shape[1:]) for name, value in both.items()},
        last=last._replace(critic_stem=policy.critic_stem(last.actor_stem)),
        unjudged=cut._replace(seen=cut.seen._replace(critic_stem=policy.critic_stem(cut.seen.actor_stem))),
    )


def judged(policy: Policy, rollout: Rollout, bf16: bool = False) -> Rollout:
    """Return a rollout with values: its own, or those of this policy where it was driven without a critic."""
    return rollout if rollout.unjudged is None else judged_anew(policy, rollout, bf16)


@torch.no_grad()
def judged_anew(policy: Policy, rollout: Rollout, bf16: bool = False) -> Rollout:
    """Return the same steps with values and memories of this policy's critic.

    What it remembers begins with what was remembered before the first step. A state in which a time limit cut an
    episode off is in a rollout only where no critic has judged it: else what the older one thought of it stays.

    Args:
        policy: the one that learns.
        rollout: any.
        bf16: compute values of steps as the update will, in bfloat16 where that is allowed.
    """
    critic = policy.critic
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        seen = in_order(critic, rollout.critic_stem, rollout.critic_memory[0], rollout.fresh)
    begun = torch.from_numpy(rollout.terminated[-1] | rollout.truncated[-1])[None]
    last, _ = critic(rollout.last.critic_stem, seen.after, begun)
    values = seen.outputs.numpy()
    following: NDArray[np.float32] = np.concatenate([values[1:], last.numpy()[None]])
    if rollout.unjudged is None:
        following = np.where(rollout.truncated, rollout.next_values, following)
    else:
        following.reshape(-1)[rollout.unjudged.rows] = _worth(critic, rollout.unjudged)
    return rollout._replace(
        values=values,
        next_values=following,
        critic_memory=seen.memories,
        last=rollout.last._replace(values=last),
        unjudged=None,
    )


def in_order(part: Actor | Critic, stem: Stem, memory: Tensor, fresh: Tensor) -> InOrder:
    """Let a network see all steps in their order: one by one where it remembers, many at once where it does not.

    Args:
        part: the network.
        stem: `[T, N, ...]` each.
        memory: `[N, M]` before the first step.
        fresh: `[T, N]` whether an episode begins with the step.
    """
    steps, cars = fresh.shape
    length = 1 if part.network.memory else max(_ROWS // cars, 1)
    outputs, memories = [], []
    for at in range(0, steps, length):
        some = slice(at, at + length)
        memories.append(memory.expand(len(fresh[some]), *memory.shape))
        seen = stems.flat({name: value[some] for name, value in stem.items()})
        output, memory = part(seen, memory, fresh[some])
        outputs.append(output)
    joined = torch.cat(outputs)
    return InOrder(joined.view(steps, cars, *joined.shape[1:]), torch.cat(memories), memory)


def _worth(critic: Critic, cut: Cut) -> NDArray[np.float32]:
    """`[K]` values of the states in which steps were cut off."""
    count = len(cut.rows)
    if not count:
        return np.zeros(0, np.float32)
    # Only a critic that remembers nothing is done without, so it needs no memory here.
    values, _ = critic(cut.seen.critic_stem, torch.zeros(count, 0), torch.zeros(1, count, dtype=torch.bool))
    found: NDArray[np.float32] = values.numpy()
    return found
