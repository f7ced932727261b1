"""What a run folder holds beside models and logs: the resolved settings and the files that they name.

A run is whole in itself: its track, reward, metadata and hyperparameters are copies, so that resuming and evaluating
need nothing else.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from lateapex.config import Config, read_toml, to_toml
from lateapex.env.reward import RewardFunction
from lateapex.errors import LateapexError, RunError, did_you_mean
from lateapex.formats.hyperparameters import Hyperparameters, read_hyperparameters
from lateapex.formats.model_metadata import ModelMetadata, read_metadata
from lateapex.jobs.job_reward import job_reward
from lateapex.jobs.machine import processor_name
from lateapex.storage import DiskStorage, Storage
from lateapex.world.track import Track, track_from_route

SETTINGS: Final = "run.toml"
REWARD: Final = "reward_function.py"
METADATA: Final = "model/model_metadata.json"
HYPERPARAMETERS: Final = "ip/hyperparameters.json"
TRACK: Final = "track.npy"

_NOTES: Final = ("versions", "machine", "track_name")
_GIVEN: Final = (REWARD, METADATA, HYPERPARAMETERS, TRACK)


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
        RunError: a run is there already, or a file that it would replace.
        StorageError: it cannot be written.
    """
    storage = DiskStorage(url or _free_name(stem))
    if _is_file(storage.root / SETTINGS):
        raise RunError(
            f"{storage.url} already holds a run; go on with it: lateapex train --resume {storage.url}, "
            "or choose another --out"
        )
    for name in _GIVEN:
        if _is_file(storage.root / name):
            raise RunError(f"{storage.url} already has {name}, which a run would replace; choose another --out")
    files = {
        REWARD: inputs.reward.encode(),
        METADATA: inputs.metadata.text.encode(),
        HYPERPARAMETERS: inputs.hyperparameters.encode(),
        TRACK: _route_bytes(inputs.track),
        SETTINGS: _settings(config, inputs.track).encode(),
    }
    begun = os.path.lexists(storage.root)
    try:
        for name, data in files.items():
            storage.write(name, data)
    except LateapexError:
        _discard(storage.root, files, keep=begun)
        raise
    return storage


def drop_run(storage: Storage) -> None:
    """Remove a run that never learned anything, so that its name is free for the next try."""
    _discard(Path(storage.url), (SETTINGS, *_GIVEN), keep=False)


def drop_unfinished(storage: Storage) -> None:
    """Remove what a crash left half-written; only whoever goes on with a run may."""
    for path in Path(storage.url).rglob(".writing-*"):
        with contextlib.suppress(OSError):
            path.unlink()


def open_run(url: str) -> Storage:
    """Open an existing run folder.

    Raises:
        RunError: no run is there.
    """
    folder = Path(url)
    if _is_file(folder / SETTINGS):
        return DiskStorage(url)
    near = [str(path.parent) for path in folder.parent.glob(f"*/{SETTINGS}")]
    what = "is no run folder: it has no run.toml" if os.path.lexists(folder) else "does not exist"
    guess = did_you_mean(str(folder), near)
    raise RunError(f"run folder {url} {what}{guess or '; give the folder that lateapex train named'}")


def read_settings(storage: Storage) -> dict[str, Any]:
    """The resolved settings of a run, without the notes on versions and machine.

    Raises:
        ConfigError: the file is no TOML.
        RunError: it is cut off.
    """
    return {key: value for key, value in _read_toml(storage).items() if key not in _NOTES}


def read_track(storage: Storage) -> Track:
    """The track that a run was trained on.

    Raises:
        RunError: its file is missing or damaged.
    """
    name, data = _read_toml(storage)["track_name"], storage.read(TRACK)
    try:
        route = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a damaged header makes NumPy raise whatever its parser meets
        reason = " ".join(str(error).split())
        raise RunError(f"{storage.url}/{TRACK} is damaged: {reason}; bring the file back or start a new run") from None
    return track_from_route(route, str(name))


def run_metadata(storage: Storage) -> ModelMetadata:
    """The action list and sensors of a run."""
    return read_metadata(_text(storage, METADATA), f"{storage.url}/{METADATA}")


def run_reward(storage: Storage, *, sandbox: bool | None = None) -> RewardFunction:
    """The reward function of a run, called as the run's settings say; whoever takes it closes it.

    Args:
        sandbox: whether in a process of its own; as the run did if not given.

    Raises:
        RewardError: it is damaged.
    """
    settings = _read_toml(storage)
    return job_reward(
        _text(storage, REWARD),
        f"{storage.url}/{REWARD}",
        seed=int(settings.get("seed", 0)),
        sandbox=bool(settings.get("sandbox", False)) if sandbox is None else sandbox,
        call_at_step_1=bool(settings.get("call_at_step_1", False)),
    )


def run_hyperparameters(storage: Storage) -> Hyperparameters:
    """What a run says of itself in the original's words."""
    return read_hyperparameters(_text(storage, HYPERPARAMETERS), f"{storage.url}/{HYPERPARAMETERS}")


def _read_toml(storage: Storage) -> dict[str, Any]:
    values = read_toml(_text(storage, SETTINGS), f"{storage.url}/{SETTINGS}")
    if missing := [name for name in _NOTES if name not in values]:
        raise RunError(
            f"{storage.url}/{SETTINGS} is not whole: it has no {missing[0]}; bring the file back or start a new run"
        )
    return values


def _text(storage: Storage, name: str) -> str:
    """A text file of a run; what is no UTF-8 shows as such, so that the file's own reader says where it is damaged."""
    return storage.read(name).decode(errors="replace")


def _settings(config: Config, track: Track) -> str:
    packages = ("lateapex", "numpy", "numba", "torch", "gymnasium")
    return to_toml(
        config,
        track_name=track.name,
        versions={"python": platform.python_version(), **{name: version(name) for name in packages}},
        machine={"processor": processor_name(), "cores": os.cpu_count() or 1, "load": round(os.getloadavg()[0], 2)},
    )


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


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def _discard(root: Path, names: Iterable[str], *, keep: bool) -> None:
    """Remove files, then those of their folders that are empty, and `root` unless it is to be kept."""
    paths = [root / name for name in names]
    with contextlib.suppress(OSError):
        for path in paths:
            path.unlink(missing_ok=True)
    for folder in [*{path.parent for path in paths if path.parent != root}, *([] if keep else [root])]:
        with contextlib.suppress(OSError):  # not empty, or not there
            folder.rmdir()
