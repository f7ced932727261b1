"""Versions of the model at an exchange: never changed, and a pointer to the newest that never goes back.

A version is written before the pointer names it, under a name that no other trainer uses; so a reader gets whole
versions only. The pointer carries its writer's token: it refuses a trainer whose lease went to another.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar

from lateapex.errors import FormatError, LeaseLostError, RunError, StorageError
from lateapex.storage import Storage, Tagged
from lateapex.workers.exchange import MODELS, POINTER, unpack_json

T = TypeVar("T")

KEPT: Final = 4
"""Versions that stay, so that who has just read the pointer finds what it names."""
PART_BYTES: Final = 4_000_000
"""Of a version in one file."""
AT_ONCE: Final = 4
"""Files that are written or read at the same time."""


class ModelVersion(NamedTuple):
    """One version of the model."""

    version: int
    """From 1."""
    model: bytes


class Part(NamedTuple):
    """One file of a version."""

    name: str
    digest: str


class Pointer(NamedTuple):
    """Names the newest version."""

    version: int = 0
    """0: none yet."""
    token: int = 0
    """Of the trainer that wrote this."""
    parts: tuple[Part, ...] = ()
    """What it consists of, in order."""
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
        tasks = [functools.partial(_read, storage, part) for part in pointer.parts]
        found = _all(tasks, at_once=AT_ONCE > 1 < len(tasks))
        lost = [part.name for part, data in zip(pointer.parts, found, strict=True) if data is None]
        if not lost:
            return ModelVersion(pointer.version, b"".join(data for data in found if data is not None))
        # So many versions came since that this one is gone.
        newer = read_pointer(storage)
        if newer.version <= pointer.version:
            raise StorageError(f"{storage.url} has lost {lost[0]}; start the trainer again")
        pointer = newer


def _read(storage: Storage, part: Part) -> bytes | None:
    """What a file of a version holds; None where it is gone."""
    try:
        data = storage.read(part.name)
    except RunError:
        return None
    if _digest(data) != part.digest:
        raise StorageError(f"{storage.url}/{part.name} is not what was written; start the trainer again")
    return data


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
    pieces = [model[at : at + PART_BYTES] for at in range(0, len(model), PART_BYTES)]

    def write(version: int, number: int) -> Part:
        # The name tells trainers, and a trainer's attempts, apart: none overwrites what a late pointer may name.
        digest = _digest(pieces[number])
        part = Part(f"{MODELS}{version:08d}-{token:06d}-{number:02d}-{digest[:16]}.pt", digest)
        storage.write(part.name, pieces[number])
        return part

    def next_one(found: Pointer) -> Pointer:
        version, parts = found.version + 1, range(len(pieces))
        tasks: list[Callable[[], Part | None]] = [functools.partial(write, version, number) for number in parts]
        tasks.append(functools.partial(_tidy, storage, found.version))
        written = _all(tasks, at_once=AT_ONCE > 1 < len(pieces))
        return Pointer(version, token, tuple(part for part in written if part is not None))

    return _move(storage, token, next_one).version


def _tidy(storage: Storage, version: int) -> None:
    """Make room for the version after this one."""
    for name in storage.list(MODELS):
        if _version_of(name) <= version - KEPT + 1:
            storage.delete(name)


def _version_of(name: str) -> int:
    return int(name.removeprefix(MODELS).partition("-")[0])


def _all(tasks: Sequence[Callable[[], T]], *, at_once: bool) -> list[T]:
    """Do some things in turn or at once, and return what came of them, in order; raises what the first of them did."""
    if not at_once:
        return [task() for task in tasks]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda task: task(), tasks))


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
        return Pointer(**{**content, "parts": tuple(Part(*map(str, part)) for part in content["parts"])})
    except (KeyError, TypeError):
        raise FormatError(f"{POINTER} is of another release: run one release of lateapex everywhere") from None


def _digest(model: bytes) -> str:
    return hashlib.sha256(model).hexdigest()
