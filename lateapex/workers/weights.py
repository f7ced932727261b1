"""A version of the model for those who drive with it: an eighth as long as the learner's, where that has large layers.

The critic stays at home: the learner judges what comes back. Only one that remembers must see all steps as they are
driven, and travels.

Weights of large layers travel in eight binary digits, each row as multiples of its own step. A worker drives with the
rounded policy and sends the probabilities of that one, so learning knows it for another than its own. What that changes
is small beside what one update does.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from lateapex.errors import FormatError
from lateapex.models.model_file import FORMAT, in_short, pack, unpack
from lateapex.models.policy import Policy, state_of

LARGE: Final = 1_000_000
"""Numbers of a layer that is worth it; all others travel as they are."""
_STEPS: Final = 127  # from zero to the largest weight of a row
_AT_ONCE: Final = 1 << 20  # weights that are rounded together


def pack_weights(policy: Policy, steps: int) -> bytes:
    """Return what a worker needs of a policy, as bytes.

    Args:
        steps: taken so far, over all cars.
    """
    rounded = _rounded(policy)
    whole = state_of(policy, without=rounded.keys() | _of_critic(policy))
    return pack({"format": FORMAT, "weights": whole, "rounded": rounded, "steps": steps})


def critic_travels(policy: Policy) -> bool:
    """Whether a version has the critic too; where not, who drives with it leaves judging to the learner."""
    return policy.critic.network.memory > 0


def load_weights(policy: Policy, data: bytes, source: str) -> int:
    """Give a policy the weights of `pack_weights`; returns the steps.

    Args:
        data: what a digest was compared of already.
        source: how errors call it.

    Raises:
        FormatError: it is none of this policy's.
    """
    content = unpack(data, source, whole=True)
    try:
        own = policy.state_dict()
        for name, rounded in content["rounded"].items():
            _restore(own[name], rounded)
        there, others = content["weights"], content["rounded"].keys() | _of_critic(policy)
        if there.keys() & others or there.keys() | others != own.keys():
            raise ValueError(f"it has {len(there)} weights beside {len(others)}, of {len(own)}")
        policy.load_state_dict(there, strict=False)
        return int(content["steps"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise FormatError(f"{source} does not fit the run's files: {in_short(error)}") from None


def _of_critic(policy: Policy) -> set[str]:
    """Names of the weights that stay at home."""
    return set() if critic_travels(policy) else {name for name in policy.state_dict() if name.startswith("critic.")}


@torch.no_grad()
def _rounded(policy: Policy) -> dict[str, tuple[Tensor, Tensor]]:
    """Weights of large layers by name, `[rows, ...]` int8, and the step of each row.

    Those of users' networks are left out: nobody knows what they are for.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for part_name, part in (("actor", policy.actor), ("critic", policy.critic)):
        if part.network.own_weights or (part_name == "critic" and not critic_travels(policy)):
            continue
        for name, layer in part.named_modules():
            if type(layer) in (nn.Linear, nn.Conv2d) and layer.weight.numel() >= LARGE:
                numbers, step = _in_steps(layer.weight)
                if step.isfinite().all():
                    found[f"{part_name}.{name}.weight"] = numbers, step
    return found


def _in_steps(weight: Tensor) -> tuple[Tensor, Tensor]:
    """`[rows, ...]` int8 and steps `[rows, 1, ...]`; some rows at a time, so that they stay where the core is quick."""
    numbers = torch.empty(weight.shape, dtype=torch.int8)
    step = torch.empty(len(weight), *[1] * (weight.dim() - 1))
    flat = weight.flatten(1)
    torch.div(torch.maximum(flat.amax(1), -flat.amin(1)), _STEPS, out=step.view(-1))
    some = max(_AT_ONCE // weight[0].numel(), 1)
    quotient = torch.empty(some, *weight.shape[1:])
    for rows in (slice(at, at + some) for at in range(0, len(weight), some)):
        divisor = step[rows].clamp_min(torch.finfo(step.dtype).tiny)
        numbers[rows] = torch.div(weight[rows], divisor, out=quotient[: len(divisor)]).round_()
    return numbers, step


def _restore(weight: Tensor, rounded: tuple[Tensor, Tensor]) -> None:
    """Set a layer's weights to what `_in_steps` made of others."""
    numbers, step = rounded
    if numbers.shape != weight.shape:
        raise ValueError(f"a layer has weights {tuple(numbers.shape)}, not {tuple(weight.shape)}")
    torch.mul(numbers, step, out=weight)
