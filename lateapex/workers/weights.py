"""A version of the model for those who drive with it: its largest weights are half as long as the learner's.

Where networks compute in bfloat16, they round the weights of their layers to that before they use them: rounded before
they travel, the same is decided, to the last bit. Elsewhere they travel in float16, eleven binary digits. What a worker
sends are the probabilities of the policy that it drove with, so learning knows that one for another than its own.
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


def pack_weights(policy: Policy, steps: int, *, bf16: bool) -> bytes:
    """Return what a worker needs of a policy, as bytes.

    Args:
        steps: taken so far, over all cars.
        bf16: whether workers compute in bfloat16 too.
    """
    rounded = _rounded(policy, torch.bfloat16 if bf16 else torch.float16)
    weights = {**state_of(policy, without=rounded), **rounded}
    return pack({"format": FORMAT, "weights": weights, "steps": steps})


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
        policy.load_state_dict(content["weights"])
        return int(content["steps"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise FormatError(f"{source} does not fit the run's files: {in_short(error)}") from None


@torch.no_grad()
def _rounded(policy: Policy, kind: torch.dtype) -> dict[str, Tensor]:
    """Weights of large layers, by name; but for those of users' networks, of which nobody knows what they are for."""
    found: dict[str, Tensor] = {}
    for part_name, part in (("actor", policy.actor), ("critic", policy.critic)):
        if part.network.own_weights:
            continue
        for name, layer in part.named_modules():
            # Those that autocast has round their weights.
            if type(layer) in (nn.Linear, nn.Conv2d) and layer.weight.numel() >= LARGE:
                short = layer.weight.to(kind, memory_format=torch.contiguous_format)
                if short.isfinite().all():
                    found[f"{part_name}.{name}.weight"] = short
    return found
