"""Frames on a pipe: a JSON header and raw bytes of arrays; nothing in them can run.

4 bytes "late" | uint32 length of the header | uint32 length of the raw bytes | header | raw bytes
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAGIC: Final = b"late"
HEAD: Final = struct.Struct("<4sII")
_CHUNK: Final = 1 << 20


def frame(header: Mapping[str, Any], raw: bytes = b"") -> bytes:
    """One frame."""
    text = json.dumps(header).encode()
    return HEAD.pack(MAGIC, len(text), len(raw)) + text + raw


def send(pipe: int, header: Mapping[str, Any], raw: bytes = b"") -> None:
    """Write a frame, however long that takes."""
    left = memoryview(frame(header, raw))
    while left:
        left = left[os.write(pipe, left) :]


def receive(pipe: int) -> tuple[dict[str, Any], bytes] | None:
    """Read a frame, however long that takes; None: the pipe has ended, or brings something else."""
    head = _exactly(pipe, HEAD.size)
    if head is None:
        return None
    magic, text_length, raw_length = HEAD.unpack(head)
    text = _exactly(pipe, text_length)
    raw = _exactly(pipe, raw_length)
    if magic != MAGIC or text is None or raw is None:
        return None
    return json.loads(text), raw


def packed(arrays: Mapping[str, NDArray[Any]]) -> tuple[list[tuple[str, str, list[int]]], bytes]:
    """Names, types and shapes of arrays, and their bytes."""
    solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    kinds = [(name, array.dtype.str, list(array.shape)) for name, array in solid.items()]
    return kinds, b"".join(array.tobytes() for array in solid.values())


def unpacked(kinds: list[Any], raw: bytes) -> dict[str, NDArray[Any]]:
    """The arrays again, each with bytes of its own."""
    arrays, at = {}, 0
    for name, kind, shape in kinds:
        array = np.empty(shape, np.dtype(kind))
        array.reshape(-1).view(np.uint8)[:] = np.frombuffer(raw, np.uint8, array.nbytes, at)
        arrays[name] = array
        at += array.nbytes
    return arrays


def _exactly(pipe: int, length: int) -> bytes | None:
    parts = []
    while length:
        part = os.read(pipe, min(length, _CHUNK))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
