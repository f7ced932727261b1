"""Models as files: weights and what they are for, read back without running anything that the file contains."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any, Final

import torch

from lateapex.errors import FormatError
from lateapex.models.policy import Policy, Shape, state_of

_FORMAT: Final = 1


def pack(content: dict[str, Any]) -> bytes:
    """Bytes of tensors, numbers, texts, and lists and dictionaries of these."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def unpack(data: bytes, source: str) -> dict[str, Any]:
    """Read what `pack` wrote.

    Raises:
        FormatError: cut off, damaged, or holding anything but plain data.
    """
    try:
        content = torch.load(io.BytesIO(data), weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"{source} is damaged or no model of ours: {reason}") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise FormatError(f"{source} is no model of ours, or one of another version of lateapex")
    return content


def write_model(policy: Policy, network: str, critic: str) -> bytes:
    """One version of a model, actor and critic."""
    return pack(
        {
            "format": _FORMAT,
            "network": network,
            "critic": critic,
            "shape": list(policy.shape),
            "weights": state_of(policy),
        }
    )


def read_model(data: bytes, source: str) -> Policy:
    """Build the policy that a model file describes.

    Raises:
        FormatError: see `unpack`; or weights that do not fit the network.
    """
    content = unpack(data, source)
    try:
        policy = Policy(content["network"], content["critic"], Shape(*content["shape"]))
        policy.load_state_dict(content["weights"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise FormatError(f"{source}: the weights do not fit the network: {str(error).splitlines()[0]}") from None
    return policy
