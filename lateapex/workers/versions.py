"""Versions of the model at an exchange: never changed, and a pointer to the newest that never goes back.

A version is written before the pointer names it, under a name that no other trainer uses; so a reader gets whole
versions only. The pointer carries its writer's token: it refuses a trainer whose lease went to another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Final, NamedTuple

from lateapex.errors import FormatError, LeaseLostError, RunError, StorageError
from lateapex.storage import Storage, Tagged
from lateapex.workers.exchange import MODELS, POINTER, unpack_json

KEPT: Final = 4
"""Versions that stay, so that who has just read the pointer finds what it names."""


class ModelVersion(NamedTuple):
    """One version of the model."""

    version: int
    """From 1."""
    model: bytes


class Pointer(NamedTuple):
    """Names the newest version."""

    version: int = 0
    """0: none yet."""
    token: int = 0
    """Of the trainer that wrote this."""
    name: str = ""
    digest: str = ""
    finished: bool = False
    """Whether training has ended: workers leave."""


def read_pointer(storage: Storage) -> Pointer:
    """Return the pointer; where there is none, one to no version."""
    try:
        return _unpack(storage.read(POINTER))
    except RunError:
        return Pointer()


def read_version(storage: Storage, pointer: Pointer) -> ModelVersion:
    """Return the newest version, or a newer one than the pointer names.

    Raises:
        StorageError: the store has not kept what was written.
    """
    while True:
        try:
            model = storage.read(pointer.name)
        except RunError:
            # So many versions came since that this one is gone.
            newer = read_pointer(storage)
            if newer.version <= pointer.version:
                raise StorageError(f"{storage.url} has lost {pointer.name}; start the trainer again") from None
            pointer = newer
            continue
        if _digest(model) != pointer.digest:
            raise StorageError(f"{storage.url}/{pointer.name} is not what was written; start the trainer again")
        return ModelVersion(pointer.version, model)


def claim(storage: Storage, token: int) -> Pointer:
    """Let the pointer refuse all trainers before this one, and say that training goes on.

    Raises:
        LeaseLostError: a later trainer was here.
    """
    return _move(storage, token, lambda found: found._replace(token=token, finished=False))


def publish(storage: Storage, token: int, model: bytes) -> int:
    """Make `model` the newest version; returns its number, one more than that of the newest so far.

    Raises:
        LeaseLostError: another trainer has taken over; nothing is changed.
    """

    def next_one(found: Pointer) -> Pointer:
        # The name tells trainers, and a trainer's attempts, apart: none overwrites what a late pointer may name.
        version, digest = found.version + 1, _digest(model)
        name = f"{MODELS}{version:08d}-{token:06d}-{digest[:16]}.pt"
        storage.write(name, model)
        return Pointer(version, token, name, digest)

    version = _move(storage, token, next_one).version
    for old in storage.list(MODELS):
        if int(old.removeprefix(MODELS).partition("-")[0]) <= version - KEPT:
            storage.delete(old)
    return version


def finish(storage: Storage, token: int) -> None:
    """Tell the workers that training has ended.

    Raises:
        LeaseLostError: another trainer has taken over.
    """
    _move(storage, token, lambda found: found._replace(finished=True))


def _move(storage: Storage, token: int, change: Callable[[Pointer], Pointer]) -> Pointer:
    while True:
        found = _tagged(storage)
        before = _unpack(found.data) if found else Pointer()
        if before.token > token:
            raise LeaseLostError(f"another trainer has taken over {storage.url}; this one ends")
        after = change(before)
        data = json.dumps(after._asdict()).encode()
        if found is None:
            tag = storage.put_if_absent(POINTER, data)
        else:
            tag = storage.compare_and_swap(POINTER, found.tag, data)
        if tag is not None:
            return after


def _tagged(storage: Storage) -> Tagged | None:
    try:
        return storage.read_tagged(POINTER)
    except RunError:
        return None


def _unpack(data: bytes) -> Pointer:
    content = unpack_json(data, POINTER)
    try:
        return Pointer(**content)
    except TypeError:
        raise FormatError(f"{POINTER} is of another release: run one release of lateapex everywhere") from None


def _digest(model: bytes) -> str:
    return hashlib.sha256(model).hexdigest()
