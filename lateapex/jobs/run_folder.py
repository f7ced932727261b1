"""What a run folder holds beside models and logs: the resolved settings and the files that they name.

A run is whole in itself: its track, reward, metadata and hyperparameters are copies, so that resuming and evaluating
need nothing else.
"""

from __future__ import annotations

import io
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from lateapex.config import Config, read_toml, to_toml
from lateapex.errors import LateapexError, RunError, did_you_mean
from lateapex.formats.model_metadata import ModelMetadata, read_metadata
from lateapex.storage import DiskStorage, Storage
from lateapex.world.track import Track, track_from_route

SETTINGS: Final = "run.toml"
REWARD: Final = "reward_function.py"
METADATA: Final = "model/model_metadata.json"
HYPERPARAMETERS: Final = "ip/hyperparameters.json"
TRACK: Final = "track.npy"

_NOTES: Final = ("versions", "machine", "track_name")


class Inputs(NamedTuple):
    """What a run is made from, all of it read and checked."""

    track: Track
    reward: str
    """Python text"""
    metadata: ModelMetadata
    hyperparameters: str
    """JSON text"""


def create_run(url: str | None, stem: str, config: Config, inputs: Inputs) -> Storage:
    """Make a new run folder; on failure nothing of it stays.

    Args:
        url: where; a free name under runs/ that begins with `stem` if not given.

    Raises:
        RunError: a run is there already.
        StorageError: it cannot be written.
    """
    storage = DiskStorage(url or _free_name(stem))
    if storage.exists(SETTINGS):
        raise RunError(
            f"{storage.url} already holds a run; go on with it: lateapex train --resume {storage.url}, "
            "or choose another --out"
        )
    files = {
        REWARD: inputs.reward.encode(),
        METADATA: inputs.metadata.text.encode(),
        HYPERPARAMETERS: inputs.hyperparameters.encode(),
        TRACK: _route_bytes(inputs.track),
        SETTINGS: _settings(config, inputs.track).encode(),
    }
    begun = storage.root.exists()
    try:
        for name, data in files.items():
            storage.write(name, data)
    except LateapexError:
        for name in files:
            storage.delete(name)
        _remove_empty(storage.root, keep=begun)
        raise
    return storage


def open_run(url: str) -> Storage:
    """Open an existing run folder.

    Raises:
        RunError: no run is there.
    """
    storage = DiskStorage(url)
    if storage.exists(SETTINGS):
        return storage
    folder = Path(url)
    near = [str(path.parent) for path in folder.parent.glob(f"*/{SETTINGS}")] if folder.parent.is_dir() else []
    what = "is no run folder: it has no run.toml" if folder.exists() else "does not exist"
    guess = did_you_mean(str(folder), near)
    raise RunError(f"run folder {url} {what}{guess or '; give the folder that lateapex train named'}")


def read_settings(storage: Storage) -> dict[str, Any]:
    """The resolved settings of a run, without the notes on versions and machine."""
    values = read_toml(storage.read(SETTINGS).decode(), f"{storage.url}/{SETTINGS}")
    return {key: value for key, value in values.items() if key not in _NOTES}


def read_track(storage: Storage) -> Track:
    """The track that a run was trained on."""
    name = read_toml(storage.read(SETTINGS).decode(), SETTINGS).get("track_name", "track")
    return track_from_route(np.load(io.BytesIO(storage.read(TRACK)), allow_pickle=False), str(name))


def run_metadata(storage: Storage) -> ModelMetadata:
    """The action list and sensors of a run."""
    return read_metadata(storage.read(METADATA).decode(), f"{storage.url}/{METADATA}")


def _settings(config: Config, track: Track) -> str:
    packages = ("lateapex", "numpy", "numba", "torch", "gymnasium")
    return to_toml(
        config,
        track_name=track.name,
        versions={"python": platform.python_version(), **{name: version(name) for name in packages}},
        machine={"processor": _processor(), "cores": os.cpu_count() or 1, "load": round(os.getloadavg()[0], 2)},
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _route_bytes(track: Track) -> bytes:
    route = np.concatenate([track.center, track.inner, track.outer], axis=1)
    if track.closed:
        route = np.concatenate([route, route[:1]])
    buffer = io.BytesIO()
    np.save(buffer, route)
    return buffer.getvalue()


def _free_name(stem: str) -> str:
    names = (Path("runs") / (stem if number == 1 else f"{stem}-{number}") for number in range(1, 1_000_000))
    return str(next(path for path in names if not path.exists()))


def _remove_empty(root: Path, *, keep: bool) -> None:
    folders = sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True)
    for folder in folders if keep else [*folders, root]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
