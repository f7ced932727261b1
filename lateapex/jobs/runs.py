"""Which runs there are, and how they compare.

What is told of a run comes from its settings and its log alone: a list of many is quick, and needs no network library.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from lateapex.config import read_toml
from lateapex.diagnosis import Diagnosis
from lateapex.errors import ConfigError, FormatError, LateapexError, RunError, StorageError
from lateapex.formats.checkpoints import read_checkpoints
from lateapex.formats.json_text import is_number, parse_object, shown
from lateapex.formats.run_log import Logged, read_run_log
from lateapex.jobs.run_folder import HYPERPARAMETERS, METADATA, REWARD, SETTINGS, open_run
from lateapex.jobs.run_tracks import TRACK, track_files
from lateapex.records import EvaluationRecord, FindingRecord, UpdateRecord
from lateapex.storage import DiskStorage, FileNote, Storage, is_far, open_storage

LOG: Final = "logs/training.jsonl"
NAMES: Final = "model/deepracer_checkpoints.json"  # as in training.checkpoint, whose import takes a second

_MARKS: Final = (TRACK, LOG)  # what a folder without run.toml is known by
_DEPTH: Final = 2  # folders of runs within folders of runs
_PASSED_OVER: Final = ("out", "track_name", "tracks", "machine.load")  # they differ without making a difference


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What a racer asks of a run."""

    run: str
    """Its folder, as one types it."""
    track: str
    network: str
    updates: int
    steps: int
    train_seconds: float
    """Collecting and updating, by the log."""
    laps: int | None
    """Complete laps of the last evaluation while training; None before the first."""
    trials: int | None
    """Starts of that evaluation."""
    best_lap: float | None
    """Fastest lap, of training or its evaluations, s."""
    best_progress: float | None
    """Mean progress of the best evaluation while training, percent."""
    changed: float
    """When it was begun or last trained, s since 1970."""
    size: int
    """Bytes of all its files."""
    assisted: tuple[str, ...] = ()
    """What helped beside the reward and the sensors."""
    imported: bool = False
    """Whether another system trained it, so that there is no model of ours."""


class RunDetails(NamedTuple):
    """One run from near."""

    summary: RunSummary
    seconds: dict[str, float]
    """Wall seconds by phase of training, by the log, evaluation included."""
    findings: list[FindingRecord]
    """What the diagnosis says of its log, in order; also of one written before there was a diagnosis."""
    measures: dict[str, float]
    """Losses and measures of the newest update."""


class DamagedRun(NamedTuple):
    """A folder that is a run but cannot be read as one."""

    run: str
    reason: str


class RunList(NamedTuple):
    """The runs in a folder."""

    runs: list[RunSummary]
    """Newest first."""
    damaged: list[DamagedRun]


class Comparison(NamedTuple):
    """Runs side by side."""

    runs: list[RunSummary]
    differences: dict[str, list[Any]]
    """By setting or file: the value of each run; None where it is not set."""


def list_runs(folder: str) -> RunList:
    """Summarise the runs in a folder, by its path or URL, and in its folders.

    Raises:
        RunError: there is no such folder.
        ConfigError, StorageError: the URL is no place, or it does not answer.
    """
    root = Path(folder)
    if is_far(folder):
        found = _far_runs(open_storage(folder))
    elif root.is_dir():
        found = [str(path) for path in _run_folders(root, _DEPTH)]
    else:
        raise RunError(f"{folder} is no folder; give the one that holds your runs: lateapex runs list --folder runs")
    runs, damaged = [], []
    for url in found:
        try:
            runs.append(summarise(url))
        except LateapexError as error:
            damaged.append(DamagedRun(url, str(error)))
    return RunList(sorted(runs, key=lambda run: run.changed, reverse=True), sorted(damaged))


def summarise(url: str) -> RunSummary:
    """Summarise one run.

    Raises:
        RunError, FormatError, ConfigError: no run is there, or it is damaged.
        StorageError: it cannot be read.
    """
    storage = open_storage(url)
    settings = settings_of(storage)
    if "imported" not in settings:  # of another simulator, which may have kept less
        _check_whole(storage, settings)
    updates, evaluations = _log_entries(storage)
    newest, judged = (updates or [{}])[-1], (evaluations or [{}])[-1]
    laps = [entry["best_lap"] for entry in (*updates, *evaluations) if entry["best_lap"] is not None]
    means = [entry["mean_progress"] for entry in evaluations if entry["mean_progress"] is not None]
    files = notes_of(storage)
    return RunSummary(
        run=url,
        track=str(settings.get("track_name", settings["track"])),
        network=str(settings["network"]),
        updates=newest.get("iteration", 0),
        steps=newest.get("steps", 0),
        train_seconds=sum(entry["seconds"] for entry in updates),
        laps=judged.get("laps_completed"),
        trials=judged.get("trials"),
        best_lap=min(laps, default=None),
        best_progress=max(means, default=None),
        changed=max((note.changed for name, note in files.items() if name in (SETTINGS, LOG)), default=0.0),
        size=sum(note.size for note in files.values()),
        assisted=tuple(map(str, settings.get("assisted", ()))),
        imported="imported" in settings,
    )


def show_run(url: str) -> RunDetails:
    """Tell of one run what its log knows.

    Raises:
        RunError, FormatError, ConfigError, StorageError: as `summarise`.
    """
    storage = open_run(url)
    seconds: dict[str, float] = {}
    diagnosis = Diagnosis()
    findings: list[FindingRecord] = []
    measures: dict[str, float] = {}
    for record in log_of(storage):
        findings += diagnosis.take(record)
        if isinstance(record, UpdateRecord):
            measures = dict(record.losses)
            _add_up(seconds, record.seconds)
        elif isinstance(record, EvaluationRecord):
            _add_up(seconds, {"evaluate": record.seconds})
    return RunDetails(summarise(url), seconds, findings, measures)


def compare_runs(urls: Iterable[str]) -> Comparison:
    """Summarise runs, and find the settings and files in which they differ.

    Raises:
        RunError, FormatError, ConfigError, StorageError: as `summarise`.
    """
    storages = [open_run(url) for url in urls]
    described = [_description(storage) for storage in storages]
    keys = dict.fromkeys(key for description in described for key in description)
    rows = {key: [description.get(key) for description in described] for key in keys if key not in _PASSED_OVER}
    differences = {key: values for key, values in rows.items() if any(value != values[0] for value in values)}
    return Comparison([summarise(storage.url) for storage in storages], differences)


def settings_of(storage: Storage) -> dict[str, Any]:
    """Everything that run.toml says.

    Raises:
        RunError: it is not there.
        FormatError, ConfigError: it is damaged, or no run's.
    """
    if not storage.exists(SETTINGS):
        raise RunError(f"{storage.url} has no {SETTINGS}, by which a run is known; bring it back or delete the folder")
    settings = read_toml(text_of(storage, SETTINGS), f"{storage.url}/{SETTINGS}")
    for key in ("track", "network"):
        if not isinstance(settings.get(key), str):
            raise ConfigError(f"{storage.url}/{SETTINGS} has no {key!r}; bring the file back or delete the folder")
    return settings


def notes_of(storage: Storage) -> dict[str, FileNote]:
    """What is known of all files of a run; on a disk also of links, and of what is being written.

    Raises:
        StorageError: a folder cannot be read.
    """
    if not isinstance(storage, DiskStorage):
        return storage.notes()
    return {
        path.relative_to(storage.root).as_posix(): FileNote(stat.st_size, stat.st_mtime)
        for path, stat in contents(storage.root)
    }


def contents(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file and link below a folder, with its status; links are not followed.

    What vanishes in between, as files do that are being written, does not count.

    Raises:
        StorageError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise StorageError(f"cannot read {error.filename}: {error.strerror}; look at its permissions") from None

    for place, folders, files in os.walk(folder, onerror=refuse):
        links = (name for name in folders if Path(place, name).is_symlink())
        for path in (Path(place, name) for name in (*files, *links)):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.lstat()


def text_of(storage: Storage, name: str) -> str:
    """Return a text file of a run.

    Raises:
        RunError: it is not there.
        FormatError: it is no text.
    """
    try:
        return storage.read(name).decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{storage.url}/{name} is no text in UTF-8 (byte {error.start}); it was damaged") from None


def _far_runs(storage: Storage) -> list[str]:
    """URLs of the runs at a place; what lies within one is a part of it."""
    folders: list[str] = []
    marked = {name[: -len(mark)] for name in storage.list() for mark in (SETTINGS, *_MARKS) if _is_marked(name, mark)}
    for folder in sorted(marked):  # each ends with "/", or is all of the place
        if folder.count("/") <= _DEPTH and not any(folder.startswith(around) for around in folders):
            folders.append(folder)
    return [f"{storage.url}/{folder}".rstrip("/") for folder in folders]


def _is_marked(name: str, mark: str) -> bool:
    return f"/{name}".endswith(f"/{mark}")


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    try:
        is_run = any((folder / name).is_file() for name in (SETTINGS, *_MARKS))
        inner = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and path.is_dir()]
    except OSError:  # not ours to read: no run of ours
        return
    if is_run:
        yield folder
    elif depth:
        for path in inner:
            yield from _run_folders(path, depth - 1)


def _check_whole(storage: Storage, settings: Mapping[str, Any]) -> None:
    """Raise if a file is missing that going on or evaluating needs."""
    models: list[str] = []
    if storage.exists(NAMES):
        entries = read_checkpoints(text_of(storage, NAMES), f"{storage.url}/{NAMES}")
        models = [f"model/{entry.name}" for entry in entries]
    for name in (REWARD, METADATA, HYPERPARAMETERS, *track_files(settings), *models):
        if not storage.exists(name):
            raise RunError(f"{storage.url} has no {name}; bring it back or delete the run")


def _log_entries(storage: Storage) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Updates and evaluations; a last line without an end was being written and does not count."""
    text = text_of(storage, LOG) if storage.exists(LOG) else ""
    updates, evaluations = [], []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        source = f"{storage.url}/{LOG}:{number}"
        entry = parse_object(line, source, FormatError)
        if entry.get("kind") == "update":
            seconds = entry.get("seconds")
            times = list(seconds.values()) if isinstance(seconds, dict) else []
            total = sum(value for value in times if is_number(value))
            updates.append({**_numbers(entry, source, ("iteration", "steps"), ("best_lap",)), "seconds": total})
        elif entry.get("kind") == "evaluation":
            evaluations.append(_numbers(entry, source, ("laps_completed", "trials"), ("best_lap", "mean_progress")))
    return updates, evaluations


def _numbers(entry: Mapping[str, Any], source: str, whole: Iterable[str], other: Iterable[str]) -> dict[str, Any]:
    for key in whole:
        if type(entry.get(key)) is not int:
            raise FormatError(f"{source}: {key} is {shown(entry.get(key))}; expected a whole number")
    for key in other:
        if entry.get(key) is not None and not is_number(entry[key]):
            raise FormatError(f"{source}: {key} is {shown(entry[key])}; expected a number or null")
    return {key: entry.get(key) for key in (*whole, *other)}


def log_of(storage: Storage) -> Iterator[Logged]:
    """Yield the records of a run's log, in order; none where it has no log yet.

    Raises:
        FormatError: it is damaged.
    """
    if storage.exists(LOG):
        yield from read_run_log(text_of(storage, LOG), f"{storage.url}/{LOG}")


def _add_up(totals: dict[str, float], more: Mapping[str, float]) -> None:
    for name, value in more.items():
        totals[name] = totals.get(name, 0.0) + value


def _description(storage: Storage) -> dict[str, Any]:
    """Everything that makes a run what it is, flat: settings and versions by their dotted names, files by digest."""
    described = dict(_flat(settings_of(storage)))
    for name in filter(storage.exists, (REWARD, METADATA)):
        data = storage.read(name)
        described[name] = f"{len(data.splitlines())} lines, {hashlib.sha256(data).hexdigest()[:7]}"
    return described


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
