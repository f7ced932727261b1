"""Settings that lie in files: a racer's TOML file, or those of a run, whose own copies then stand for what it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from lateapex.config import read_toml
from lateapex.env.reward import read_reward, reward_names
from lateapex.env.user_code import is_reference
from lateapex.errors import ConfigError, LateapexError, did_you_mean
from lateapex.formats.model_metadata import default_metadata
from lateapex.jobs.drfc import read_drfc
from lateapex.jobs.run_folder import (
    METADATA,
    NOTES,
    REWARD,
    SETTINGS,
    open_run,
    open_trained,
    read_settings,
    read_tracks,
)
from lateapex.storage import DiskStorage, Storage, is_far, read_far
from lateapex.training.checkpoint import CODE
from lateapex.world.preset_files import is_path
from lateapex.world.track_list import labels, names_file, split_tracks

_PATHS: Final = ("model_metadata", "hyperparameters", "pretrained", "out")
_PLACES: Final = ("out", "exchange")
"""Where a run is: no setting of another one."""
_IN_FOLDER: Final = (SETTINGS, "train.toml")
_HISTORY: Final = ("pretrained", "pretrained_checkpoint")


def read_config_file(path: str) -> dict[str, Any]:
    """Read nested settings from a TOML file; its paths are relative to it.

    A folder stands for its run.toml or train.toml, and is a racer's folder of deepracer-for-cloud if it has neither.

    run.toml of a run is such a file: its notes do not count, nor does the place of that run, and for reward, actions
    and tracks from files the run's own copies are taken.

    Raises:
        ConfigError: there is no such file, or it is no TOML; a racer's folder holds no files, or a race that cannot be
            trained.
        FormatError: its run.env is damaged.
    """
    if is_far(path):
        storage = open_run(path)
        return _of_run(read_settings(storage), storage)
    if (file := _file_of(path)) is None:
        return read_drfc(path).values
    path = file
    values = read_toml(_config_text(path), path)
    folder = Path(path).parent
    if not NOTES & values.keys():
        return _beside(values, folder)
    settings = _without(values, NOTES)
    return _of_run(settings, DiskStorage(folder)) if (folder / REWARD).is_file() else _without(settings, _PLACES)


def config_notes(path: str) -> list[str]:
    """What does not hold here of the settings at a path, a line each; raises as `read_config_file`."""
    return read_drfc(path).notes if not is_far(path) and _file_of(path) is None else []


def settings_of_run(url: str) -> dict[str, Any]:
    """The settings of a run as those of another one that starts from it.

    Raises:
        RunError, ConfigError: no run is there, or it is damaged.
    """
    storage = open_trained(url)
    return _without(_of_run(read_settings(storage), storage), _HISTORY)


def read_text(path: str, kind: type[LateapexError]) -> str:
    """Read a file that a racer named.

    Raises:
        kind: it is not there, or no text.
    """
    try:
        if is_far(path):
            return read_far(path).decode()
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise kind(f"no file is at {path}; lateapex init DIR writes one to start from") from None
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a zero byte in the path
        raise kind(f"cannot read {path}: {error}; a text file in UTF-8 is needed") from None


def _file_of(path: str) -> str | None:
    """The settings file that a path means; None for a racer's folder."""
    folder = Path(path)
    if not folder.is_dir():
        return path
    return next((str(folder / name) for name in _IN_FOLDER if (folder / name).is_file()), None)


def _config_text(path: str) -> str:
    file = Path(path)
    if not file.exists() and file.parent.is_dir():
        near = did_you_mean(file.name, [other.name for other in file.parent.glob("*.toml")])
        if near:
            raise ConfigError(f"no file is at {path}{near}")
    return read_text(path, ConfigError)


def _beside(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The same settings with the paths as seen from here."""
    moved = dict(values)
    for key in _PATHS:
        if isinstance(path := moved.get(key), str):
            moved[key] = str(folder / path)
    if isinstance(vehicle := moved.get("vehicle"), str) and is_path(vehicle):
        moved["vehicle"] = _unless_home(vehicle, folder)
    if isinstance(scene := moved.get("scene"), str) and is_path(scene) and not is_reference(scene):
        moved["scene"] = _unless_home(scene, folder)
    if isinstance(reward := moved.get("reward"), str) and reward not in reward_names():
        moved["reward"] = str(folder / reward)
    exchange = moved.get("exchange")
    if isinstance(exchange, Mapping) and isinstance(url := exchange.get("url"), str) and "://" not in url:
        moved["exchange"] = {**exchange, "url": str(folder / url)}
    moved |= _references(values, lambda reference: str(folder / reference))
    tracks = moved.get("track")
    if isinstance(tracks, str):
        moved["track"] = ",".join(_track_beside(item, folder) for item in split_tracks(tracks, folder))
    elif isinstance(tracks, list):
        moved["track"] = [_track_beside(item, folder) if isinstance(item, str) else item for item in tracks]
    return moved


def _track_beside(item: str, folder: Path) -> str:
    return _unless_home(item, folder) if names_file(item) else item


def _unless_home(path: str, folder: Path) -> str:
    return path if path.startswith("~") else str(folder / path)


def _of_run(settings: Mapping[str, Any], run: Storage) -> dict[str, Any]:
    """Settings of a run, with its own copies in place of files that may have changed since."""
    own = _without(
        settings, {*_PLACES, "hyperparameters"}
    )  # hyperparameters.json is part of the other settings already
    reward = str(settings.get("reward"))
    if reward not in reward_names() or read_reward(reward)[0].encode() != run.read(REWARD):
        own["reward"] = f"{run.url}/{REWARD}"
    if "model_metadata" in settings or run.read(METADATA) != default_metadata().text.encode():
        own["model_metadata"] = f"{run.url}/{METADATA}"
    own |= _references(settings, lambda reference: f"{run.url}/{CODE}{reference}")
    if settings.get("track") != labels(read_tracks(run)):  # not names alone
        own["track"] = run.url
    return own


def _references(settings: Mapping[str, Any], moved: Callable[[str], str]) -> dict[str, Any]:
    """The settings that name classes in a user's files, with their paths `moved`."""

    def each(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [each(item) for item in value]
        return moved(value) if isinstance(value, str) and is_reference(value) else value

    found = {key: each(settings[key]) for key in ("network", "critic", "transforms", "scene") if key in settings}
    return {key: value for key, value in found.items() if value != settings[key]}


def _without(values: Mapping[str, Any], names: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}
