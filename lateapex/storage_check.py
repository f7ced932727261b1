"""Whether a storage keeps its word where several machines write at once; found out by trying."""

from __future__ import annotations

import uuid
from typing import NoReturn

from lateapex.errors import StorageError
from lateapex.storage import Storage


def require_conditional_writes(storage: Storage) -> None:
    """Try conditional writes on a file of its own and remove it again.

    Some stores that speak S3's protocol ignore the conditions and overwrite. On those two trainers would both believe
    to be the only one.

    Raises:
        StorageError: the store ignores a condition, refuses one that holds, or cannot be written at all.
    """
    name = f".probe-{uuid.uuid4().hex}"
    try:
        _try_conditions(storage, name)
    finally:
        storage.delete(name)


def _try_conditions(storage: Storage, name: str) -> None:
    first = storage.put_if_absent(name, b"first")
    if first is None:
        _refuse(storage, "takes a file that is not there for one that is (If-None-Match)")
    if storage.put_if_absent(name, b"second") is not None or storage.read(name) != b"first":
        _refuse(storage, "overwrites a file that it was to write only if absent (If-None-Match)")
    third = storage.compare_and_swap(name, first, b"third")
    if third is None:
        _refuse(storage, "does not replace a file that is unchanged (If-Match)")
    if storage.compare_and_swap(name, first, b"fourth") is not None or storage.read(name) != b"third":
        _refuse(storage, "overwrites a file that was changed in between (If-Match)")
    if storage.read_tagged(name) != (b"third", third):
        _refuse(storage, "tells another tag (ETag) to who reads a file than to who wrote it")


def _refuse(storage: Storage, fault: str) -> NoReturn:
    raise StorageError(
        f"{storage.url} cannot be shared: its store {fault}; use one that honours conditional writes, such as Amazon "
        "S3, SeaweedFS or a folder that all machines mount"
    )
