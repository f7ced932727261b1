"""Settings of a training run from a racer's folder of deepracer-for-cloud.

The folder holds reward_function.py, model_metadata.json and hyperparameters.json, by themselves or in custom_files/,
and run.env beside them; with DR_TRAIN_MULTI_CONFIG worker-2.env, worker-3.env ... say what further workers drive. A
race that cannot be trained is refused; a setting that merely has no counterpart is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from lateapex.errors import ConfigError
from lateapex.formats.env_file import read_env
from lateapex.formats.job_yaml import is_true
from lateapex.jobs.race_settings import race_of_env
from lateapex.world.track import REVERSED

_ENVIRONMENT: Final = ("system.env", "run.env")  # the second overrides the first, as in the original
_FILES: Final = {
    "reward": ("DR_LOCAL_S3_REWARD_KEY", "reward_function.py"),
    "model_metadata": ("DR_LOCAL_S3_MODEL_METADATA_KEY", "model_metadata.json"),
    "hyperparameters": ("DR_LOCAL_S3_HYPERPARAMETERS_KEY", "hyperparameters.json"),
}
_MEANT: Final[Mapping[str, tuple[str, str]]] = {
    "DR_LOCAL_S3_PRETRAINED": ("False", "weights of the original cannot be taken; training starts from nothing"),
}
"""Settings with one value that this version trains with, and what it does for any other."""
_RANDOM_LIGHT: Final = "DR_ENABLE_DOMAIN_RANDOMIZATION"
_CHANGE: Final = "DR_TRAIN_CHANGE_START_POSITION"
_ADVANCE: Final = "DR_TRAIN_ROUND_ROBIN_ADVANCE_DIST"
_OFFSET: Final = "DR_TRAIN_START_POSITION_OFFSET"
_ALTERNATE: Final = "DR_TRAIN_ALTERNATE_DRIVING_DIRECTION"
_STARTS: Final[Mapping[str, str]] = {_CHANGE: "True", _ADVANCE: "0.05", _OFFSET: "0.0", _ALTERNATE: "False"}
"""Where episodes start and which way they go, as the template of run.env has it."""
_MULTI: Final = "DR_TRAIN_MULTI_CONFIG"
_WORKERS: Final = "DR_WORKERS"


class DrfcFolder(NamedTuple):
    """What a folder says."""

    values: dict[str, Any]
    """Nested settings by the names of TrainConfig; only what the folder gives."""
    notes: list[str]
    """Settings of run.env and worker-N.env that do not hold here, one line each."""


class _Worker(NamedTuple):
    """What one worker is started with."""

    source: str
    """Path of its file, for messages."""
    settings: dict[str, str]


def read_drfc(folder: str) -> DrfcFolder:
    """Read a folder.

    Raises:
        ConfigError: there is no such folder, none of the files is in it, its race cannot be trained, or a number is
            none.
        FormatError: run.env, system.env or worker-N.env is damaged.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ConfigError(f"{folder} is no folder; give the one that holds reward_function.py and run.env")
    settings = _environment(root)
    values: dict[str, Any] = dict(_files(root, settings))
    if not values and not settings:
        names = ", ".join(name for _, name in _FILES.values())
        raise ConfigError(f"{folder} holds none of {names}, run.env; lateapex init {folder} writes files to start from")
    first = _Worker(f"{folder}/run.env", settings)
    others, missing = _other_workers(root, first)
    if is_true(first.settings.get(_RANDOM_LIGHT, "")):
        values["scene"] = "original"
    if race := _one_race(first, others):
        values["race"] = race
    if tracks := list(dict.fromkeys(track for worker in (first, *others) if (track := _track(worker)))):
        values["track"] = ",".join(tracks)
    if trainer := _trainer(settings, first.source):
        values["trainer"] = trainer
    if starts := _starts(first):
        values["starts"] = starts
    return DrfcFolder(values, [*_notes(settings), *missing, *_worker_notes(first, others)])


def _trainer(settings: Mapping[str, str], source: str) -> dict[str, Any]:
    """How evaluations are driven and judged, where the racer says so."""
    found: dict[str, Any] = {}
    if trials := settings.get("DR_TRAIN_MIN_EVAL_TRIALS"):
        found["evaluation_trials"] = _whole("DR_TRAIN_MIN_EVAL_TRIALS", trials, source)
    if metric := settings.get("DR_TRAIN_BEST_MODEL_METRIC"):
        found["best_model_metric"] = metric.lower()
    return found


def _environment(root: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    for name in _ENVIRONMENT:
        if (root / name).is_file():
            values |= _settings(root / name, values)
    return values


def _settings(path: Path, before: Mapping[str, str]) -> dict[str, str]:
    return read_env(_text(path), str(path)).values(before)


def _other_workers(root: Path, first: _Worker) -> tuple[list[_Worker], list[str]]:
    """The workers beyond the first, as many as there are files in a row; and what is amiss with the files.

    As in the original a worker keeps what its own file leaves out from the worker before it.
    """
    if not is_true(first.settings.get(_MULTI, "")):
        return [], []
    asked = first.settings.get(_WORKERS)
    last = None if asked is None else _whole(_WORKERS, asked, first.source)
    workers, number = [first], 2
    while (path := root / f"worker-{number}.env").is_file() and (last is None or number <= last):
        before = workers[-1].settings
        workers.append(_Worker(str(path), before | _settings(path, before)))
        number += 1
    if path.is_file():
        return workers[1:], [f"{path.name} is not read: {_WORKERS}={asked}"]
    if number <= (last or 2):
        return workers[1:], [f"{_MULTI}=True, but there is no {path.name}; the cars drive what the files before it say"]
    return workers[1:], []


def _track(worker: _Worker) -> str:
    world = worker.settings.get("DR_WORLD_NAME", "").removesuffix(".npy")
    backwards = world and is_true(worker.settings.get("DR_TRAIN_REVERSE_DIRECTION", ""))
    return world + REVERSED if backwards else world


def _starts(worker: _Worker) -> dict[str, Any]:
    """Where episodes start, if the racer asks for other places than the template, whose are all round the lap."""
    settings = {key: worker.settings.get(key, usual) for key, usual in _STARTS.items()}
    starts: dict[str, Any] = {"alternate_direction": True} if is_true(settings[_ALTERNATE]) else {}
    if any(_plain(settings[key]) != _plain(_STARTS[key]) for key in (_CHANGE, _ADVANCE, _OFFSET)):
        advance = _share(_ADVANCE, settings[_ADVANCE], worker.source) if is_true(settings[_CHANGE]) else 0.0
        first = _share(_OFFSET, settings[_OFFSET], worker.source)
        starts |= {"scheme": "round_robin", "first": first, "advance": advance}
    return starts


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; a text file in UTF-8 is needed") from None


def _files(root: Path, settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name of the setting and path of each file: as run.env calls it, in the folder or in custom_files/."""
    for setting, (key, usual) in _FILES.items():
        given = settings.get(key, "")
        name = Path(given).name or usual
        places = (root / given, root / "custom_files" / name, root / name, root / "custom_files" / usual, root / usual)
        if (path := next((path for path in places if path.is_file()), None)) is not None:
            yield setting, str(path)


def _one_race(first: _Worker, others: Iterable[_Worker]) -> dict[str, Any]:
    """The race of all workers."""
    race = race_of_env(first.settings, first.source)
    for worker in others:
        if race_of_env(worker.settings, worker.source) != race:
            raise ConfigError(
                f"{worker.source} asks for another race than {first.source}; all cars of a run drive the same: "
                "make DR_RACE_TYPE and the variables DR_OA_... and DR_H2B_... equal, or leave them out"
            )
    return race


def _notes(settings: Mapping[str, str]) -> Iterator[str]:
    for key, (usual, instead) in _MEANT.items():
        value = settings.get(key, usual)
        if _plain(value) != _plain(usual):
            yield f"{key}={value} does not hold here: {instead}"


def _worker_notes(first: _Worker, others: Iterable[_Worker]) -> Iterator[str]:
    """Where a worker differs from the first in what holds for all cars."""
    told = set(_notes(first.settings))
    for worker in others:
        name = Path(worker.source).name
        yield from (f"{name}: {note}" for note in _notes(worker.settings) if note not in told)
        same = {key: (usual, "all cars start") for key, usual in _STARTS.items()}
        for key, (usual, instead) in {_RANDOM_LIGHT: ("False", "colours and light are"), **same}.items():
            value = worker.settings.get(key, usual)
            if _plain(value) != _plain(first.settings.get(key, usual)):
                yield f"{name}: {key}={value} does not hold here: {instead} as run.env says"


def _plain(value: str) -> str:
    """A value such that two that mean the same are equal."""
    try:
        return repr(float(value))
    except ValueError:
        return value.strip().lower()


def _whole(key: str, text: str, source: str) -> int:
    if not (text.isdecimal() and text.isascii()):
        raise ConfigError(f"{source}: {key} is {text!r}; expected a whole number")
    return int(text)


def _share(key: str, text: str, source: str) -> float:
    """A share of the lap; whole laps do not count, as in the original."""
    try:
        share = float(text) % 1.0
    except ValueError:
        share = math.nan
    if not math.isfinite(share):
        raise ConfigError(f"{source}: {key} is {text!r}; expected a share of the lap, such as 0.05")
    return 0.0 if share == 1.0 else share  # of a negative one that is next to nothing
