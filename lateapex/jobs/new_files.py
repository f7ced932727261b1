"""Files that a command writes for a racer to go on with: all of them or none, and never over another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lateapex.errors import RunError, StorageError
from lateapex.storage import DiskStorage


def write_new(folder: Path, files: Mapping[str, str], otherwise: str) -> list[Path]:
    """Write texts by their names within a folder; return their paths.

    Args:
        folder: made if it is not there.
        files: what to write.
        otherwise: what to do, for the message, where one of them is there already.

    Raises:
        RunError: one is; nothing is written then.
        StorageError: the folder cannot be written; nothing of it stays.
    """
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise RunError(f"{folder} already has {there[0]}; {otherwise}, or move that file away")
    storage = DiskStorage(folder)
    written: list[Path] = []
    try:
        for name, text in files.items():
            storage.write(name, text.encode())
            written.append(folder / name)
    except StorageError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written
