"""Models as files: weights and what they are for, read back without running anything that the file contains."""

from __future__ import annotations

import io
import sys
import zipfile
from typing import Any, Final

import torch

from lateapex.errors import FormatError
from lateapex.models.policy import Policy, Shape, state_of

_FORMAT: Final = 1
_LONGEST: Final = 160  # characters of a reason


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
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            if torn := parts.testzip():  # torch itself checks no sums: a flipped bit would be another weight
                raise zipfile.BadZipFile(f"the check sum of {torn} is wrong")
        content = torch.load(io.BytesIO(data), weights_only=True)
    except Exception as error:  # a damaged pickle makes torch raise whatever its reader meets
        raise FormatError(
            f"{source} is damaged, or no file of ours: {in_short(error)}; bring it back or start a new run"
        ) from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise FormatError(f"{source} is no model of ours, or one of another version of lateapex")
    return content


def write_model(policy: Policy, network: str, critic: str) -> bytes:
    """One version of a model, actor and critic; the same weights are the same bytes."""
    return pack(
        {
            "format": _FORMAT,
            # Interned, since a pickle holds equal texts once or twice, as they are one object or two.
            "network": sys.intern(network),
            "critic": sys.intern(critic),
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
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise FormatError(f"{source}: the weights do not fit the network: {in_short(error)}") from None
    return policy


def in_short(error: Exception) -> str:
    """What torch has to say, which is many lines as a rule, on one."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
