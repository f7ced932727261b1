"""Nested data with NumPy arrays in place of tensors, and back: arrays travel between processes without being copied."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Dense(NamedTuple):
    """A tensor as an array."""

    values: NDArray[Any]
    is_bfloat16: bool
    """Whether each int16 of the values holds the bits of a bfloat16, for which NumPy has no type."""


def to_arrays(value: Any) -> Any:
    """Return mappings, tuples and lists with Dense in place of their tensors, whose memory it shares.

    Mappings that are one and the same stay so.
    """
    return _mapped(value, _array, {})


def to_tensors(value: Any) -> Any:
    """Return what `to_arrays` was given. Nobody must write into tensors of arrays that may not be written."""
    return _mapped(value, _tensor, {})


def same_arrays(one: Any, other: Any) -> bool:
    """Whether two mappings of what `to_arrays` makes of tensors have the same bits; ends at the first that differs."""
    return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)


def _same(one: Dense, other: Dense) -> bool:
    ours, others = one.values, other.values
    if one.is_bfloat16 != other.is_bfloat16 or ours.dtype != others.dtype or ours.shape != others.shape:
        return False
    return np.array_equal(_bytes(ours), _bytes(others))


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def _array(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    value = value.detach()
    is_bfloat16 = value.dtype == torch.bfloat16
    return Dense((value.view(torch.int16) if is_bfloat16 else value).numpy(), is_bfloat16)


def _tensor(value: Any) -> Any:
    if not isinstance(value, Dense):
        return value
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writ")
        tensor = torch.from_numpy(value.values)
    return tensor.view(torch.bfloat16) if value.is_bfloat16 else tensor


def _mapped(value: Any, leaf: Callable[[Any], Any], known: dict[int, Any]) -> Any:
    """`leaf` of all that is no mapping, tuple or list; `known` has the results of mappings by their identity."""
    if isinstance(value, Mapping):
        if id(value) not in known:
            known[id(value)] = {name: _mapped(item, leaf, known) for name, item in value.items()}
        return known[id(value)]
    if isinstance(value, list):
        return [_mapped(item, leaf, known) for item in value]
    if isinstance(value, tuple) and not isinstance(value, Dense):
        items = [_mapped(item, leaf, known) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return leaf(value)
