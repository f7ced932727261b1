"""The entries of a race: trained models, each from its run folder, and copies of them in the race's own folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from lateapex.errors import ConfigError
from lateapex.formats.checkpoints import read_checkpoints, write_checkpoints
from lateapex.jobs.run_folder import HYPERPARAMETERS, input_files, open_trained
from lateapex.jobs.run_parts import RunParts, check_actions
from lateapex.models.rivals import Rival
from lateapex.storage import Storage
from lateapex.training.checkpoint import NAMES, load_version

FOLDER: Final = "entries"
"""Where a race's folder has the copies."""

_SHORT: Final = 32  # digits


class Entry(NamedTuple):
    """One model that races."""

    name: str
    storage: Storage
    """Its run folder."""
    model: str
    """Name of the version that drives."""
    digest: str
    """Beginning of the SHA-256 of the model's file."""
    rival: Rival
    colour: bool


def load_entries(runs: Sequence[str], checkpoint: Literal["best", "last"]) -> list[Entry]:
    """Load the models of some runs; each is called as its folder, or as NAME of NAME=FOLDER says.

    Raises:
        RunError: no run, or no model yet, is there.
        ConfigError: two have the same name, or a model does not fit its metadata.
    """
    named = [_named(run) for run in runs]
    names = [name for name, _ in named]
    for place, name in enumerate(names):
        if name in names[:place]:
            other = named[names.index(name)][1]
            run = named[place][1]
            raise ConfigError(f"{other} and {run} are both called {name!r}; give one another name: {name}-b={run}")
    return [_load(name, run, checkpoint) for name, run in named]


def _named(run: str) -> tuple[str, str]:
    name, equals, folder = run.partition("=")
    if not equals or Path(run).exists():
        name, folder = Path(run).resolve().name, run
    if not name or name.startswith(".") or not all(letter.isalnum() or letter in "-_. " for letter in name):
        raise ConfigError(f"an entry is called {name!r}; letters, digits, '-', '_' and '.' are needed: my-car={folder}")
    return name, folder


def _load(name: str, run: str, checkpoint: Literal["best", "last"]) -> Entry:
    storage = open_trained(run)
    parts = RunParts(storage)
    model, policy = load_version(storage, checkpoint)
    check_actions(run, policy, parts.metadata)
    digest = hashlib.sha256(storage.read(f"model/{model}")).hexdigest()[:_SHORT]
    return Entry(name, storage, model, digest, Rival(policy, parts.metadata, parts.vehicle), policy.blueprint.colour)


def copy_entry(entry: Entry, storage: Storage) -> None:
    """Copy what it takes to drive an entry again into a race's folder, as a run folder of its own."""
    source, place = entry.storage, f"{FOLDER}/{entry.name}"
    for name, data in input_files(source).items():
        storage.write(f"{place}/{name}", data)
    if source.exists(HYPERPARAMETERS):
        storage.write(f"{place}/{HYPERPARAMETERS}", source.read(HYPERPARAMETERS))
    storage.write(f"{place}/model/{entry.model}", source.read(f"model/{entry.model}"))
    both = read_checkpoints(source.read(NAMES).decode(errors="replace"), f"{source.url}/{NAMES}")
    driven = next(kept for kept in both if kept.name == entry.model)
    storage.write(f"{place}/{NAMES}", write_checkpoints(driven, driven).encode())
