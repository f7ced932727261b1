"""A version of the model for those who drive with it: a quarter as long as the learner's, where that has large layers.

Weights of large layers travel in eight binary digits, each row as multiples of its own step. A worker drives with the
rounded policy and sends the probabilities of that one, so learning knows it for another than its own. What that changes
is small beside what one update does.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from lateapex.errors import FormatError
from lateapex.models.model_file import FORMAT, in_short, pack, unpack
from lateapex.models.policy import Policy, state_of

LARGE: Final = 1_000_000
"""Numbers of a layer that is worth it; all others travel as they are."""
_STEPS: Final = 127  # from zero to the largest weight of a row


def pack_weights(policy: Policy, steps: int) -> bytes:
    """Return what a worker needs of a policy, as bytes.

    Args:
        steps: taken so far, over all cars.
    """
    rounded = _rounded(policy)
    return pack({"format": FORMAT, "weights": state_of(policy, without=rounded), "rounded": rounded, "steps": steps})


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
        policy.load_state_dict(content["weights"] | _restored(content["rounded"]))
        return int(content["steps"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise FormatError(f"{source} does not fit the run's files: {in_short(error)}") from None


@torch.no_grad()
def _rounded(policy: Policy) -> dict[str, tuple[Tensor, Tensor]]:
    """Weights of large layers by name, `[rows, ...]` int8, and the step of each row.

    Those of users' networks are left out: nobody knows what they are for.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for part_name, part in (("actor", policy.actor), ("critic", policy.critic)):
        if part.network.own_weights:
            continue
        for name, layer in part.named_modules():
            if type(layer) in (nn.Linear, nn.Conv2d) and layer.weight.numel() >= LARGE:
                step = layer.weight.abs().amax(tuple(range(1, layer.weight.dim())), keepdim=True) / _STEPS
                if step.isfinite().all():
                    numbers = layer.weight / step.clamp_min(torch.finfo(step.dtype).tiny)
                    found[f"{part_name}.{name}.weight"] = numbers.round_().to(torch.int8).contiguous(), step
    return found


def _restored(rounded: dict[str, Any]) -> dict[str, Tensor]:
    return {name: numbers * step for name, (numbers, step) in rounded.items()}
