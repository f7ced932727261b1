"""What a run folder holds beside models and logs: the resolved settings and the files that they name.

A run is whole in itself: its tracks, reward, metadata and hyperparameters are copies, so that resuming and evaluating
need nothing else.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from lateapex.config import Config, read_toml, to_toml
from lateapex.env.reward_base import Reward
from lateapex.errors import LateapexError, RunError, StorageError
from lateapex.formats.hyperparameters import Hyperparameters, read_hyperparameters
from lateapex.formats.model_metadata import ModelMetadata, read_metadata
from lateapex.jobs.job_parameters import training_names
from lateapex.jobs.job_reward import job_reward
from lateapex.jobs.machine import processor_name
from lateapex.jobs.run_tracks import route_files, track_files, track_notes, tracks_from
from lateapex.storage import DiskStorage, Storage, is_far, open_storage
from lateapex.training.checkpoint import CODE
from lateapex.world.track import Track
from lateapex.world.track_list import labels
from lateapex.world.vehicle import Vehicle
from lateapex.world.vehicles import parse_vehicle

SETTINGS: Final = "run.toml"
REWARD: Final = "reward_function.py"
METADATA: Final = "model/model_metadata.json"
HYPERPARAMETERS: Final = "ip/hyperparameters.json"
FIRST_MODEL: Final = "model/0_Step-0.pt"
"""The weights that a run from a trained model begins with."""
NOTES: Final = frozenset({"versions", "machine", "track_name", "tracks", "origin", "car", "assisted"})
"""What run.toml says beside the settings."""

_NEEDED: Final = ("versions", "machine", "track_name")


class Origin(NamedTuple):
    """The trained model that a run begins with."""

    run: str
    """The run folder it comes from."""
    model: str
    """Name of the version."""
    data: bytes
    """Its file."""


class Inputs(NamedTuple):
    """What a run is made from, all of it read and checked."""

    tracks: list[Track]
    reward: str
    """Python text"""
    metadata: ModelMetadata
    hyperparameters: str
    """JSON text"""
    parameters: Mapping[str, str]
    """YAML texts by the names of their files."""
    origin: Origin | None = None
    notes: tuple[str, ...] = ()
    """What a racer may not expect, one line each."""
    vehicle: Vehicle = Vehicle()
    code: Mapping[str, str] = {}
    """Texts of the user's files of networks, transforms and scenes, and of presets that these build on, by name."""
    assisted: tuple[str, ...] = ()
    """What helps beside the reward and the sensors."""


def create_run(url: str | None, stem: str, config: Config, inputs: Inputs) -> Storage:
    """Make a new run folder; on failure nothing of it stays.

    Args:
        url: where, a path or s3://bucket/prefix; a free name under runs/ that begins with `stem` if not given.

    Raises:
        RunError: a run is there already, or a file that it would replace.
        StorageError: it cannot be written.
    """
    storage = open_storage(url or free_name(stem))
    if holds_run(storage.url):
        raise RunError(
            f"{storage.url} already holds a run; go on with it: lateapex train --resume {storage.url}, "
            "or choose another --out"
        )
    files = _files_of(config, inputs)
    for name in files:
        if _holds(storage, name):
            raise RunError(f"{storage.url} already has {name}, which a run would replace; choose another --out")
    begun = not isinstance(storage, DiskStorage) or os.path.lexists(storage.root)
    try:
        for name, data in files.items():
            storage.write(name, data)
    except LateapexError:
        _discard(storage, files, keep=begun)
        raise
    return storage


def drop_run(storage: Storage) -> None:
    """Remove a run that never learned anything, so that its name is free for the next try."""
    tracks = track_files(_read_toml(storage))
    names = (
        SETTINGS,
        REWARD,
        METADATA,
        HYPERPARAMETERS,
        *training_names(len(tracks)),
        *tracks,
        FIRST_MODEL,
        *storage.list(CODE),
    )
    _discard(storage, names, keep=False)


def drop_unfinished(storage: Storage) -> None:
    """Remove what a crash left half-written; only whoever goes on with a run may."""
    if isinstance(storage, DiskStorage):  # far places show what is whole alone
        for path in storage.root.rglob(".writing-*"):
            with contextlib.suppress(OSError):
                path.unlink()


def holds_run(url: str) -> bool:
    """Whether a folder holds a run.

    Raises:
        ConfigError: the URL is no place.
        StorageError: it is far, and does not answer.
    """
    return _holds(open_storage(url), SETTINGS)


def open_run(url: str) -> Storage:
    """Open an existing run folder, by its path or URL.

    Raises:
        RunError: no run is there.
        ConfigError, StorageError: as `holds_run`.
    """
    storage = open_storage(url)
    if _holds(storage, SETTINGS):
        return storage
    if is_far(url):
        raise RunError(f"{url} holds no run: it has no {SETTINGS}; give the place that lateapex train named")
    folder = Path(url)
    names = [path.parent.name for path in folder.parent.glob(f"*/{SETTINGS}")]
    what = "is no run folder: it has no run.toml" if os.path.lexists(folder) else "does not exist"
    guess = _did_you_mean_run(folder, names)
    raise RunError(f"run folder {url} {what}{guess or '; give the folder that lateapex train named'}")


def open_trained(url: str) -> Storage:
    """Open a run folder that was made by training; raises as `open_run`, and for one that was imported."""
    storage = open_run(url)
    if "imported" in read_toml(_text(storage, SETTINGS), f"{url}/{SETTINGS}"):
        reward = f" --reward {url}/{REWARD}" if storage.exists(REWARD) else ""
        raise RunError(
            f"{url} was imported and has no model of ours: weights are not converted; "
            f"train one with its files: lateapex train --model-metadata {url}/{METADATA}{reward}"
        )
    return storage


def read_settings(storage: Storage) -> dict[str, Any]:
    """The resolved settings of a run, without the notes on versions and machine.

    Raises:
        ConfigError: the file is no TOML.
        RunError: it is cut off.
    """
    return {key: value for key, value in _read_toml(storage).items() if key not in NOTES}


def input_files(storage: Storage) -> dict[str, bytes]:
    """Return the files of a run that its parts are made of, by name; see `run_parts`."""
    names = [SETTINGS, REWARD, METADATA, *track_files(_read_toml(storage)), *storage.list(CODE)]
    return {name: storage.read(name) for name in names}


def write_settings(storage: Storage, config: Config) -> None:
    """Replace the settings of a run; its notes stay."""
    notes = {key: value for key, value in _read_toml(storage).items() if key in NOTES}
    storage.write(SETTINGS, to_toml(config, **notes).encode())


def read_tracks(storage: Storage) -> list[Track]:
    """The tracks that a run was trained on, each in the direction in which it was driven.

    Raises:
        RunError: a file is missing or damaged.
    """
    return tracks_from(storage, _read_toml(storage))


def run_vehicle(storage: Storage) -> Vehicle:
    """The car that a run drives; runs of before there were several drive that of version 5.

    Raises:
        ConfigError: what run.toml says of it is no vehicle.
    """
    return parse_vehicle(_read_toml(storage).get("car", {}), f"{storage.url}/{SETTINGS}, car")


def run_assisted(storage: Storage) -> tuple[str, ...]:
    """What helped a run beside its reward and its sensors."""
    return tuple(map(str, _read_toml(storage).get("assisted", ())))


def run_metadata(storage: Storage) -> ModelMetadata:
    """The action list and sensors of a run."""
    return read_metadata(_text(storage, METADATA), f"{storage.url}/{METADATA}")


def run_reward(storage: Storage, *, sandbox: bool | None = None, first_car: int = 0) -> Reward:
    """The reward function of a run, called as the run's settings say; whoever takes it closes it.

    Args:
        sandbox: whether in a process of its own; as the run did if not given.
        first_car: number of the first car that it pays.

    Raises:
        RewardError: it is damaged.
    """
    settings = _read_toml(storage)
    return job_reward(
        _text(storage, REWARD),
        f"{storage.url}/{REWARD}",
        seed=int(settings.get("seed", 0)),
        first_car=first_car,
        sandbox=bool(settings.get("sandbox", False)) if sandbox is None else sandbox,
        call_at_step_1=bool(settings.get("call_at_step_1", False)),
    )


def run_hyperparameters(storage: Storage) -> Hyperparameters:
    """What a run says of itself in the original's words."""
    return read_hyperparameters(_text(storage, HYPERPARAMETERS), f"{storage.url}/{HYPERPARAMETERS}")


def _read_toml(storage: Storage) -> dict[str, Any]:
    values = read_toml(_text(storage, SETTINGS), f"{storage.url}/{SETTINGS}")
    if missing := [name for name in _NEEDED if name not in values]:
        raise RunError(
            f"{storage.url}/{SETTINGS} is not whole: it has no {missing[0]}; bring the file back or start a new run"
        )
    return values


def _text(storage: Storage, name: str) -> str:
    """A text file of a run; what is no UTF-8 shows as such, so that the file's own reader says where it is damaged."""
    return storage.read(name).decode(errors="replace")


def _files_of(config: Config, inputs: Inputs) -> dict[str, bytes]:
    """All files of a new run; the settings, by which it is known, come last."""
    settings = _settings(config, inputs)
    return {
        REWARD: inputs.reward.encode(),
        METADATA: inputs.metadata.text.encode(),
        HYPERPARAMETERS: inputs.hyperparameters.encode(),
        **{name: text.encode() for name, text in inputs.parameters.items()},
        **route_files(inputs.tracks),
        **{CODE + name: text.encode() for name, text in inputs.code.items()},
        **({FIRST_MODEL: inputs.origin.data} if inputs.origin else {}),
        SETTINGS: settings.encode(),
    }


def _did_you_mean_run(folder: Path, names: list[str]) -> str:
    # Of the name alone, since long paths to the same place are always near each other.
    near = get_close_matches(folder.name, names, n=1, cutoff=0.65)
    return f"; did you mean {str(folder.parent / near[0])!r}?" if near else ""


def _settings(config: Config, inputs: Inputs) -> str:
    origin, tracks = inputs.origin, inputs.tracks
    packages = ("lateapex", "numpy", "numba", "torch", "gymnasium")
    return to_toml(
        config,
        track_name=labels(tracks),
        tracks=track_notes(tracks),
        car=asdict(inputs.vehicle),
        assisted=list(inputs.assisted) or None,
        origin={"run": origin.run, "model": origin.model} if origin else None,
        versions={"python": platform.python_version(), **{name: version(name) for name in packages}},
        machine={"processor": processor_name(), "cores": os.cpu_count() or 1, "load": round(os.getloadavg()[0], 2)},
    )


def free_name(stem: str, folder: str = "runs") -> str:
    """Path that is not there yet, under `folder`; its name begins with `stem`."""
    names = (Path(folder) / (stem if number == 1 else f"{stem}-{number}") for number in range(1, 1_000_000))
    return str(next(path for path in names if not path.exists()))


def _holds(storage: Storage, name: str) -> bool:
    try:
        return storage.exists(name)
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def _discard(storage: Storage, names: Iterable[str], *, keep: bool) -> None:
    """Remove files, then those of their folders that are empty, and the run's own unless it is to be kept."""
    if not isinstance(storage, DiskStorage):
        with contextlib.suppress(StorageError):
            for name in names:
                storage.delete(name)
        return
    root = storage.root
    paths = [root / name for name in names]
    with contextlib.suppress(OSError):
        for path in paths:
            path.unlink(missing_ok=True)
    for folder in [*{path.parent for path in paths if path.parent != root}, *([] if keep else [root])]:
        with contextlib.suppress(OSError):  # not empty, or not there
            folder.rmdir()
