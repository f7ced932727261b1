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
from lateapex.storage import Storage
from lateapex.workers.exchange import MODELS, POINTER, unpack_json

T = TypeVar("T")

KEPT: Final = 4
"""Versions that stay, so that who has just read the pointer finds what it names."""
PART_BYTES: Final = 2_000_000
"""Of a version in one file, at most."""
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
        found = _all([functools.partial(_read, storage, part) for part in pointer.parts])
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


class Publisher:
    """The trainer's hand on the versions. To be made is to claim: the pointer refuses all trainers before this one.

    Args:
        storage: the exchange.
        token: of the trainer's lease.

    Raises:
        LeaseLostError: a later trainer was here; so do all its methods.
    """

    def __init__(self, storage: Storage, token: int) -> None:
        self._storage, self._token = storage, token
        self._found = _found(storage)
        self._move(lambda found: found._replace(token=token, finished=False))

    @property
    def version(self) -> int:
        """The newest that is published; 0: none yet."""
        return self._found.pointer.version

    def publish(self, model: bytes) -> int:
        """Make `model` the newest version; returns its number, one more than that of the newest so far."""
        pieces = _pieces(model)

        def write(version: int, number: int) -> Part:
            # The name tells trainers, and a trainer's attempts, apart: none overwrites what a late pointer may name.
            digest = _digest(pieces[number])
            part = Part(f"{MODELS}{version:08d}-{self._token:06d}-{number:02d}-{digest[:16]}.pt", digest)
            self._storage.write(part.name, pieces[number])
            return part

        def next_one(found: Pointer) -> Pointer:
            version = found.version + 1
            written = _all([functools.partial(write, version, number) for number in range(len(pieces))])
            return Pointer(version, self._token, tuple(written))

        self._move(next_one)
        return self.version

    def finish(self) -> None:
        """Tell the workers that training has ended."""
        self._move(lambda found: found._replace(finished=True))

    def tidy(self) -> None:
        """Delete the versions that are too old for anybody to read."""
        too_old = self.version - KEPT
        for name in self._storage.list(MODELS):
            if _version_of(name) <= too_old:
                self._storage.delete(name)

    def _move(self, change: Callable[[Pointer], Pointer]) -> None:
        while True:
            before = self._found
            if before.pointer.token > self._token:
                raise LeaseLostError(f"another trainer has taken over {self._storage.url}; this one ends")
            after = change(before.pointer)
            data = json.dumps(after._asdict()).encode()
            if before.tag is None:
                tag = self._storage.put_if_absent(POINTER, data)
            else:
                tag = self._storage.compare_and_swap(POINTER, before.tag, data)
            if tag is not None:
                self._found = _Found(after, tag)
                return
            self._found = _found(self._storage)


class _Found(NamedTuple):
    """The pointer as it was seen last."""

    pointer: Pointer
    tag: str | None
    """None: there was none."""


def _found(storage: Storage) -> _Found:
    try:
        tagged = storage.read_tagged(POINTER)
    except RunError:
        return _Found(Pointer(), None)
    return _Found(_unpack(tagged.data), tagged.tag)


def _version_of(name: str) -> int:
    return int(name.removeprefix(MODELS).partition("-")[0])


def _all(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Do some things at once, and return what came of them, in order; raises what the first of them did."""
    if 1 in (AT_ONCE, len(tasks)):
        return [task() for task in tasks]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda task: task(), tasks))


def _unpack(data: bytes) -> Pointer:
    content = unpack_json(data, POINTER)
    try:
        return Pointer(**{**content, "parts": tuple(Part(*map(str, part)) for part in content["parts"])})
    except (KeyError, TypeError):
        raise FormatError(f"{POINTER} is of another release: run one release of lateapex everywhere") from None


def _pieces(model: bytes) -> list[bytes]:
    """Equally long ones, since who waits for all of them waits for the longest."""
    size = -(-len(model) // -(-len(model) // PART_BYTES)) if model else 1
    return [model[at : at + size] for at in range(0, len(model), size)]


def _digest(model: bytes) -> str:
    return hashlib.sha256(model).hexdigest()
