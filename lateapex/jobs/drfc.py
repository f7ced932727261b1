"""Settings of a training run from a racer's folder of deepracer-for-cloud.

The folder holds reward_function.py, model_metadata.json and hyperparameters.json, by themselves or in custom_files/,
and run.env beside them. A race that cannot be trained is refused; a setting that merely has no counterpart is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from lateapex.errors import ConfigError
from lateapex.formats.env_file import read_env
from lateapex.formats.job_yaml import is_true
from lateapex.world.track import REVERSED

_ENVIRONMENT: Final = ("system.env", "run.env")  # the second overrides the first, as in the original
_FILES: Final = {
    "reward": ("DR_LOCAL_S3_REWARD_KEY", "reward_function.py"),
    "model_metadata": ("DR_LOCAL_S3_MODEL_METADATA_KEY", "model_metadata.json"),
    "hyperparameters": ("DR_LOCAL_S3_HYPERPARAMETERS_KEY", "hyperparameters.json"),
}
_RACE: Final = "TIME_TRIAL"
_RACES: Final = ("TIME_TRIAL", "OBJECT_AVOIDANCE", "HEAD_TO_BOT", "HEAD_TO_MODEL", "HEAD_TO_HEAD_RACING", "F1")
_MEANT: Final[Mapping[str, tuple[str, str]]] = {
    "DR_TRAIN_CHANGE_START_POSITION": ("True", "episodes start all round the track"),
    "DR_TRAIN_START_POSITION_OFFSET": ("0.0", "starts are spread by the seed"),
    "DR_TRAIN_MULTI_CONFIG": ("False", "worker-N.env is not read; all cars drive on the track of run.env"),
    "DR_TRAIN_BEST_MODEL_METRIC": ("progress", "progress picks the best model"),
    "DR_ENABLE_DOMAIN_RANDOMIZATION": ("False", "colours and light do not change"),
    "DR_LOCAL_S3_PRETRAINED": ("False", "weights of the original cannot be taken; training starts from nothing"),
}
"""Settings with one value that this version trains with, and what it does for any other."""


class DrfcFolder(NamedTuple):
    """What a folder says."""

    values: dict[str, Any]
    """Nested settings by the names of TrainConfig; only what the folder gives."""
    notes: list[str]
    """Settings of run.env that do not hold here, one line each."""


def read_drfc(folder: str) -> DrfcFolder:
    """Read a folder.

    Raises:
        ConfigError: there is no such folder, none of the files is in it, or its race cannot be trained.
        FormatError: run.env or system.env is damaged.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ConfigError(f"{folder} is no folder; give the one that holds reward_function.py and run.env")
    settings = _environment(root)
    values: dict[str, Any] = dict(_files(root, settings))
    if not values and not settings:
        names = ", ".join(name for _, name in _FILES.values())
        raise ConfigError(f"{folder} holds none of {names}, run.env; lateapex init {folder} writes files to start from")
    _check_race(settings, folder)
    if world := settings.get("DR_WORLD_NAME", "").removesuffix(".npy"):
        values["track"] = world + REVERSED if is_true(settings.get("DR_TRAIN_REVERSE_DIRECTION", "")) else world
    if trials := settings.get("DR_TRAIN_MIN_EVAL_TRIALS"):
        values["trainer"] = {"evaluation_trials": _whole("DR_TRAIN_MIN_EVAL_TRIALS", trials, folder)}
    if is_true(settings.get("DR_TRAIN_ALTERNATE_DRIVING_DIRECTION", "")):
        values["starts"] = {"alternate_direction": True}
    return DrfcFolder(values, list(_notes(settings)))


def _environment(root: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    for name in _ENVIRONMENT:
        if (root / name).is_file():
            text = _text(root / name)
            values |= read_env(text, str(root / name)).values(values)
    return values


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; a text file in UTF-8 is needed") from None


def _files(root: Path, settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name of the setting and path of each file: as run.env calls it, in the folder or in custom_files/."""
    for setting, (key, usual) in _FILES.items():
        name = Path(settings.get(key, "")).name or usual
        places = (root / "custom_files" / name, root / name, root / "custom_files" / usual, root / usual)
        if (path := next((path for path in places if path.is_file()), None)) is not None:
            yield setting, str(path)


def _check_race(settings: Mapping[str, str], folder: str) -> None:
    race = settings.get("DR_RACE_TYPE", _RACE)
    if race == _RACE:
        return
    place = f"{folder}/run.env: DR_RACE_TYPE is {race!r}"
    if race in _RACES:
        raise ConfigError(f"{place}; this version trains {_RACE} alone: write DR_RACE_TYPE={_RACE}")
    raise ConfigError(f"{place}; expected {', '.join(_RACES)}, of which this version trains {_RACE}")


def _notes(settings: Mapping[str, str]) -> Iterator[str]:
    for key, (usual, instead) in _MEANT.items():
        value = settings.get(key, usual)
        if _plain(value) != _plain(usual):
            yield f"{key}={value} does not hold here: {instead}"


def _plain(value: str) -> str:
    """A value such that two that mean the same are equal."""
    try:
        return repr(float(value))
    except ValueError:
        return value.strip().lower()


def _whole(key: str, text: str, folder: str) -> int:
    if not (text.isdecimal() and text.isascii()):
        raise ConfigError(f"{folder}/run.env: {key} is {text!r}; expected a whole number")
    return int(text)
