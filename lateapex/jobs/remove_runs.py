"""How to be rid of runs, and of the old versions of their models.

Nothing is deleted that is not a run through and through, or that may still be written.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from lateapex.errors import ConfigError, RunError, StorageError
from lateapex.formats.checkpoints import read_checkpoints
from lateapex.jobs.run_folder import METADATA, REWARD, SETTINGS, open_run
from lateapex.jobs.run_tracks import TRACK
from lateapex.jobs.runs import LOG, NAMES, contents, notes_of, settings_of, text_of
from lateapex.storage import Storage, is_far, open_storage

QUIET_SECONDS: Final = 120.0
"""A run in which no file changed for so long is no longer being written."""

_VERSION: Final = re.compile(r"model/(\d+)_Step-(\d+)\.pt")


class Removable(NamedTuple):
    """A run that may be deleted."""

    run: str
    size: int
    """Bytes of all its files."""


class Pruned(NamedTuple):
    """What became of a run's old versions."""

    run: str
    removed: list[str]
    """Names of the versions that were deleted."""
    kept: list[str]
    freed: int
    """Bytes."""


def removable(url: str, *, force: bool = False, now: Callable[[], float] = time.time) -> Removable:
    """Make sure that a folder is a run and nothing else, and is not being written.

    Args:
        force: take it even if it changed a moment ago.

    Raises:
        RunError: it is no run, holds something else, or is being written; with the reason.
        StorageError: it cannot be read.
    """
    if is_far(url):
        return _far_removable(url, force, now)
    folder = Path(url)
    if folder.is_symlink():
        raise RunError(f"{url} is a link to {folder.readlink()}; give the run folder itself")
    storage = open_run(url)
    here = folder.resolve()
    if Path.cwd().is_relative_to(here):
        raise RunError(f"{url} is the folder you are in, or around it; go elsewhere first: cd {here.parent}")
    files = list(contents(folder))
    _check_is_run(storage, [path.relative_to(folder).as_posix() for path, _ in files])
    for path, _ in files:
        if path.is_symlink() and not path.resolve().is_relative_to(here):
            raise RunError(f"{path} is a link out of the run, to {path.resolve()}; remove it first: rm {path}")
    if not force:
        _check_quiet(url, now())
    return Removable(url, sum(stat.st_size for _, stat in files))


def delete_run(run: Removable) -> int:
    """Delete a run; return the bytes freed. run.toml goes last, so that what was cut short can be repeated.

    Raises:
        StorageError: something could not be deleted; the rest of the run may be gone.
    """
    if is_far(run.run):
        place = open_run(run.run)
        for name in sorted(place.list(), key=lambda name: name == SETTINGS):
            place.delete(name)
        return run.size
    folder = Path(run.run)
    try:
        for entry in sorted(folder.iterdir(), key=lambda path: path.name == SETTINGS):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        folder.rmdir()
    except OSError as error:
        raise StorageError(
            f"cannot delete {error.filename or folder}: {error.strerror}; {folder} is partly gone; "
            f"mend that and repeat: lateapex runs delete {folder}"
        ) from None
    return run.size


def prune_run(url: str, keep: int, *, force: bool = False, now: Callable[[], float] = time.time) -> Pruned:
    """Delete the versions of a run's model but the newest `keep`, the best and the last.

    Raises:
        ConfigError: `keep` is below 1.
        RunError: no run or no model is there, the best is not known, or the run is being written.
        FormatError: deepracer_checkpoints.json is damaged.
        StorageError: a version cannot be deleted.
    """
    if keep < 1:
        raise ConfigError(f"keep is {keep}; at least 1 version must stay")
    storage = open_run(url)
    if not storage.exists(NAMES):
        raise RunError(f"{url} has no model yet; train it further: lateapex train --resume {url}")
    held = {f"model/{entry.name}" for entry in read_checkpoints(text_of(storage, NAMES), f"{url}/{NAMES}")}
    versions = sorted((name for name in storage.list("model/") if _VERSION.fullmatch(name)), key=_order)
    if missing := sorted(held - set(versions)):
        raise RunError(f"{url}: {NAMES} names {missing[0]}, which is not there; nothing was deleted: bring it back")
    if not force:
        _check_quiet(url, now())
    removed = [name for name in versions[:-keep] if name not in held]
    sizes = notes_of(storage)
    for name in removed:
        storage.delete(name)
    freed = sum(sizes[name].size for name in removed)
    kept = [name for name in versions if name not in removed]
    return Pruned(url, [Path(name).name for name in removed], [Path(name).name for name in kept], freed)


def _far_removable(url: str, force: bool, now: Callable[[], float]) -> Removable:
    storage = open_run(url)
    notes = storage.notes()
    _check_is_run(storage, notes)
    if not force:
        _check_quiet(url, now())
    return Removable(url, sum(note.size for note in notes.values()))


def _check_is_run(storage: Storage, names: Iterable[str]) -> None:
    if not {REWARD, METADATA, TRACK, LOG} & set(names):
        settings_of(storage)  # of a run that is nearly gone this much is left
    inner = sorted(name for name in names if name.endswith(f"/{SETTINGS}"))
    if inner:
        other = f"{storage.url}/{inner[0].removesuffix(f'/{SETTINGS}')}"
        raise RunError(f"{storage.url} holds another run, {other}; move or delete that first")


def _check_quiet(url: str, now: float) -> None:
    age = now - max((note.changed for note in notes_of(open_storage(url)).values()), default=0.0)
    if abs(age) < QUIET_SECONDS:
        raise RunError(
            f"{url} changed {abs(age):.0f} s ago and may be in training; wait until it has been still for "
            f"{QUIET_SECONDS:.0f} s, or add --force"
        )


def _order(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))
