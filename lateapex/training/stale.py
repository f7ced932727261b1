"""What a rollout is worth to a policy that has learned on since another version of it drove.

What the policy in hand thinks of the same states and actions is computed anew; the quotient of its probability of an
action and that of the version that took it says how much the step counts. Both bounds of that quotient are 1 here: a
step may count less, never more. Without a difference between the two policies all of it is what `returns.gae` gives.

Source: Espeholt et al. 2018, IMPALA, section 4.1, with lambda as in its remark 2, also in the advantage.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lateapex.models.policy import Policy
from lateapex.training.judge import in_order, judged_anew
from lateapex.training.rollout import Rollout

_FARTHEST: Final = 20.0  # logarithm of the greatest quotient that is told apart


class VTrace(NamedTuple):
    """What steps of another policy say, `[T, N]` each."""

    advantages: NDArray[np.float32]
    """Of the action taken, before it is weighted."""
    returns: NDArray[np.float32]
    """What the critic is to learn."""
    weights: NDArray[np.float32]
    """How much each step counts for the actor, 0..max_rho."""


class Corrected(NamedTuple):
    """A rollout as the policy in hand sees it."""

    rollout: Rollout
    """With its log-probabilities, values and memories in place of the older version's."""
    seen: VTrace
    measures: dict[str, float]
    """versions_behind, mean_weight"""


def vtrace(
    rewards: ArrayLike,
    values: ArrayLike,
    next_values: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    log_ratios: ArrayLike,
    *,
    discount: float,
    lam: float,
    max_rho: float = 1.0,
    max_c: float = 1.0,
) -> VTrace:
    """Advantages and returns under one policy, of steps that another one took.

    Args:
        rewards, values, next_values, terminated, truncated, discount, lam: as for `returns.gae`; values are those of
            the policy that learns.
        log_ratios: `[T, N]`, log-probability of each action under the policy that learns, less that under the one that
            took it.
        max_rho: bound of the quotients that weigh steps: what the values converge to depends on it.
        max_c: bound of those that carry later steps back: how fast they converge depends on it; at most `max_rho`.
    """
    reward, value, following = (np.asarray(item, np.float32) for item in (rewards, values, next_values))
    over, cut = np.asarray(terminated, np.bool_), np.asarray(truncated, np.bool_)
    ratio = np.exp(np.minimum(np.asarray(log_ratios, np.float32), np.float32(_FARTHEST)))
    rho = np.minimum(ratio, np.float32(max_rho))
    c = np.minimum(ratio, np.float32(max_c))
    delta = reward + np.float32(discount) * np.where(over, np.float32(0.0), following) - value
    decay = np.where(over | cut, np.float32(0.0), np.float32(discount * lam))
    advantages: NDArray[np.float32] = np.empty(delta.shape, np.float32)
    gained: NDArray[np.float32] = np.empty(delta.shape, np.float32)
    carried = np.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        advantages[t] = delta[t] + decay[t] * carried
        carried = rho[t] * delta[t] + c[t] * decay[t] * carried
        gained[t] = carried
    return VTrace(advantages, value + gained, rho)


def corrected(policy: Policy, rollout: Rollout, *, discount: float, lam: float, bf16: bool = False) -> Corrected:
    """See a rollout of older versions with the eyes of the policy that learns.

    Args:
        policy: the one that learns.
        rollout: its `behind` says by how much each car's policy was older.
        discount: gamma.
        lam: lambda.
        bf16: compute as the update will, in bfloat16 where that is allowed.
    """
    anew = seen_anew(policy, rollout, bf16)
    log_ratios = (anew.log_probs - rollout.log_probs).numpy()
    worth = anew.values, anew.next_values, anew.terminated, anew.truncated
    found = vtrace(anew.rewards, *worth, log_ratios, discount=discount, lam=lam)
    behind = 0.0 if rollout.behind is None else float(rollout.behind.mean())
    return Corrected(anew, found, {"versions_behind": behind, "mean_weight": float(found.weights.mean())})


@torch.no_grad()
def seen_anew(policy: Policy, rollout: Rollout, bf16: bool = False) -> Rollout:
    """The same steps with log-probabilities, values and memories of this policy; see `judge.judged_anew`."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        actor = in_order(policy.actor, rollout.actor_stem, rollout.actor_memory[0], rollout.fresh)
    flat = actor.outputs.flatten(0, 1), rollout.actions.flatten(0, 1)
    return judged_anew(policy, rollout, bf16)._replace(
        log_probs=policy.actor.head.log_prob(*flat).view(rollout.log_probs.shape),
        actor_memory=actor.memories,
    )
