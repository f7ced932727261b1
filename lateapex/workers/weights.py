"""A version of the model for those who drive with it: a seventh as long as its actor, where that has large layers.

Weights of large layers travel in four binary digits, groups of 32 as multiples of the group's step. A worker drives
with the rounded policy and sends the probabilities of that one, so learning knows it for another than its own. What
that changes is little beside what one update does.

The critic stays at home: the learner judges what comes back. Only one that remembers must see all steps as they are
driven, and travels.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lateapex.errors import FormatError
from lateapex.models.model_file import FORMAT, in_short, pack, unpack
from lateapex.models.policy import Policy, state_of

LARGE: Final = 1_000_000
"""Numbers of a layer that is worth it; all others travel as they are."""
_GROUP: Final = 32  # weights of a row that have one step
_HALF: Final = _GROUP // 2
_STEPS: Final = 7  # from zero to the largest weight of a group
_ZERO: Final = 8  # what stands for a weight of nothing
_AT_ONCE: Final = 1 << 21  # weights that are rounded together


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
    """Weights of large layers by name, as `_in_steps` tells them.

    Those of users' networks are left out: nobody knows what they are for.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for part_name, part in (("actor", policy.actor), ("critic", policy.critic)):
        if part.network.own_weights or (part_name == "critic" and not critic_travels(policy)):
            continue
        for name, layer in part.named_modules():
            if type(layer) in (nn.Linear, nn.Conv2d) and layer.weight.numel() >= LARGE:
                levels, step = _in_steps(layer.weight)
                if step.isfinite().all():
                    found[f"{part_name}.{name}.weight"] = levels, step
    return found


def _in_steps(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Levels of some weights `[rows, ...]`, two in a byte, uint8 `[rows, 16, C]`, and steps, bfloat16 `[rows, C]`.

    A row's weights are put as 32 rows of C, with zeros at the end where they are no multiple of 32: those below each
    other have one step, and those of the first 16 rows are in the lower halves of the bytes.
    """
    grouped = _grouped(weight)
    rows, _, columns = grouped.shape
    levels = torch.empty(rows, _HALF, columns, dtype=torch.uint8)
    steps = torch.empty(rows, columns, dtype=torch.bfloat16)
    some = _rows_at_once(grouped)
    quotient = torch.empty(some, _GROUP, columns)
    for at in range(0, rows, some):
        part, these = grouped[at : at + some], slice(at, at + some)
        steps[these] = torch.abs(part, out=quotient[: len(part)]).amax(1) / _STEPS
        divisor = steps[these].float().clamp_min(torch.finfo(torch.float32).tiny)[:, None]
        level = (
            torch.div(part, divisor, out=quotient[: len(part)]).round_().to(torch.int8).add_(_ZERO).view(torch.uint8)
        )
        torch.add(level[:, :_HALF], level[:, _HALF:], alpha=16, out=levels[these])
    return levels, steps


def _restore(weight: Tensor, rounded: tuple[Tensor, Tensor]) -> None:
    """Set a layer's weights to what `_in_steps` made of others."""
    levels, steps = rounded
    grouped = _grouped(weight)
    rows, _, columns = grouped.shape
    if levels.shape != (rows, _HALF, columns) or steps.shape != (rows, columns):
        raise ValueError(f"a layer has {tuple(levels.shape)} levels, not {(rows, _HALF, columns)}")
    for at in range(0, rows, _rows_at_once(grouped)):
        these = slice(at, at + _rows_at_once(grouped))
        part = grouped[these]
        part[:, :_HALF] = levels[these] & 15
        part[:, _HALF:] = levels[these] >> 4
        part.sub_(_ZERO).mul_(steps[these].float()[:, None])
    if grouped.data_ptr() != weight.data_ptr():
        weight.copy_(grouped.flatten(1)[:, : weight[0].numel()].view(weight.shape))


def _rows_at_once(grouped: Tensor) -> int:
    """So many that they stay where the core is quick."""
    return max(_AT_ONCE // grouped[0].numel(), 1)


def _grouped(weight: Tensor) -> Tensor:
    """`[rows, 32, C]`: the weights themselves, or a copy where zeros had to be added."""
    flat = weight.flatten(1)
    missing = -flat.shape[1] % _GROUP
    return (functional.pad(flat, (0, missing)) if missing else flat).view(len(flat), _GROUP, -1)
