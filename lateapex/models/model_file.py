"""Models as files: weights and what they are for, read back without running anything that the file contains."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import torch

from lateapex.errors import ConfigError, FormatError
from lateapex.models.blueprint import Blueprint
from lateapex.models.policy import Policy, state_of

FORMAT: Final = 2
_LONGEST: Final = 160  # characters of a reason


def pack(content: dict[str, Any]) -> bytes:
    """Bytes of tensors, numbers, texts, and lists and dictionaries of these."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def unpack(data: bytes, source: str, *, whole: bool = False) -> dict[str, Any]:
    """Read what `pack` wrote.

    Args:
        source: how errors call it.
        whole: known by a digest, so that no check sums need to be computed.

    Raises:
        FormatError: cut off, damaged, or holding anything but plain data.
    """
    try:
        if not whole:
            _check_sums(data)
        content = torch.load(io.BytesIO(data), weights_only=True)
    except Exception as error:  # a damaged pickle makes torch raise whatever its reader meets
        raise FormatError(
            f"{source} is damaged, or no file of ours: {in_short(error)}; bring it back or start a new run"
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FormatError(f"{source} is no model of ours, or one of another version of lateapex")
    return content


def _check_sums(data: bytes) -> None:
    """Compute what torch itself does not: a flipped bit would be another weight."""
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        if torn := parts.testzip():
            raise zipfile.BadZipFile(f"the check sum of {torn} is wrong")


def write_model(policy: Policy) -> bytes:
    """One version of a model, actor and critic; the same weights are the same bytes."""
    blueprint = policy.blueprint.model_dump()
    return pack({"format": FORMAT, "blueprint": _interned(blueprint), "weights": state_of(policy)})


def read_model(data: bytes, source: str, code: Mapping[str, str] | None = None) -> Policy:
    """Build the policy that a model file describes.

    Args:
        code: texts of the user's files that the model was built with, by name.

    Raises:
        FormatError: see `unpack`; or weights that do not fit the network.
        ConfigError: a network or transform is unknown.
    """
    content = unpack(data, source)
    try:
        blueprint = Blueprint.model_validate(content["blueprint"])
        policy = Policy(blueprint, code=code)
        policy.load_state_dict(content["weights"])
    except ConfigError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise FormatError(f"{source}: the weights do not fit the network: {in_short(error)}") from None
    return policy


def _interned(value: Any) -> Any:
    """The same with equal texts one object: a pickle holds them once or twice, as they are one object or two."""
    if isinstance(value, dict):
        return {sys.intern(key): _interned(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_interned(item) for item in value)
    return sys.intern(value) if isinstance(value, str) else value


def in_short(error: Exception) -> str:
    """What torch has to say, which is many lines as a rule, on one."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
