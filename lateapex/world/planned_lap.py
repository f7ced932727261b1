"""Fastest laps that were planned before: planning takes minutes, so each lap is kept in the user's cache folder.

A lap's file is named by a digest of all that it depends on: track, vehicle, and the text of the planner itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lateapex.errors import RunError, StorageError
from lateapex.storage import DiskStorage, Storage
from lateapex.world.held_lap import drivable
from lateapex.world.official import default_cache
from lateapex.world.raceline import Raceline
from lateapex.world.track import Track
from lateapex.world.vehicle import Vehicle

_GIVEN = ("track", "vehicle")  # fields of a lap that its file need not hold


def planned_lap(track: Track, vehicle: Vehicle, storage: Storage | None = None) -> Raceline:
    """Return the fastest lap that a driver can follow: flying on a loop, from rest on an open track; see `drivable`.

    Args:
        storage: where laps are kept; `lateapex/laps` in the user's cache folder if not given.

    Raises:
        ConfigError: it was never planned, and CasADi is not installed.
    """
    storage = storage or DiskStorage(default_cache().parent / "laps")
    name = f"{lap_digest(track, vehicle)}.npz"
    with contextlib.suppress(RunError, StorageError, OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile):
        return _read(storage.read(name), track, vehicle)
    lap = drivable(track, vehicle, start="flying" if track.closed else "standing")
    with contextlib.suppress(StorageError):  # a cache that cannot be written costs time, not the run
        storage.write(name, _written(lap))
    return lap


def lap_digest(track: Track, vehicle: Vehicle) -> str:
    """64 hexadecimal digits that stand for a track's geometry, a vehicle and the planner."""
    digest = hashlib.sha256(_planner())
    for points in (track.center, track.inner, track.outer):
        digest.update(f"{points.shape}".encode() + points.tobytes())
    digest.update(repr((track.closed, sorted(asdict(vehicle).items()))).encode())
    return digest.hexdigest()


@cache
def _planner() -> bytes:
    """Digest of the modules of this package, among which the planner's are."""
    texts = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in texts)).digest()


def _written(lap: Raceline) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{item.name: getattr(lap, item.name) for item in fields(lap) if item.name not in _GIVEN})
    return buffer.getvalue()


def _read(data: bytes, track: Track, vehicle: Vehicle) -> Raceline:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        values: dict[str, Any] = {name: file[name] if file[name].ndim else file[name].item() for name in file.files}
    return Raceline(track=track, vehicle=vehicle, **values)
