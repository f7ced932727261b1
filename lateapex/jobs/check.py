"""What is wrong in the files that a racer is about to train with, found before the run and not in its tenth minute."""

from __future__ import annotations

import fnmatch
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from lateapex.env.reward import python_text
from lateapex.errors import ConfigError, HyperparameterError, LateapexError, MetadataError
from lateapex.formats.hyperparameters import read_hyperparameters
from lateapex.formats.json_text import parse_object
from lateapex.formats.model_metadata import read_metadata
from lateapex.jobs.check_params import check_env, check_yaml
from lateapex.jobs.check_reward import LIMIT, check_reward
from lateapex.jobs.findings import Finding
from lateapex.world.track import load_track

_FOLDERS: Final = ("", "custom_files")
"""Where the files lie: by themselves, and as deepracer-for-cloud keeps them."""
_PATTERNS: Final = (
    "reward_function.py",
    "customer_reward_function.py",
    "model_metadata.json",
    "hyperparameters.json",
    "training_params*.y*ml",
    "eval*_params*.y*ml",
    "run.env",
    "system.env",
    "worker-*.env",
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a check found."""

    folder: str
    files: list[str]
    """All that was checked, as paths that begin with the folder."""
    findings: list[Finding]
    """By file, then by line."""

    @property
    def errors(self) -> int:
        """Findings that a run would fail on, or that change what it does."""
        return sum(finding.severity == "error" for finding in self.findings)


def check(
    folder: str,
    track: str = "kidney",
    *,
    limit: float = LIMIT,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Check a racer's files; the reward function is run on states made up for it.

    Args:
        folder: holds any of reward_function.py, model_metadata.json, hyperparameters.json, parameter YAML and .env
            files, by themselves or in custom_files/.
        track: name or path of the track on which the made states lie.
        limit: seconds after which a call of the reward function is given up.
        clock: gives seconds, to time the calls.

    Raises:
        ConfigError: there is no such folder, or nothing to check in it.
        TrackError: the track is unknown or none.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ConfigError(f"{folder} is no folder; give the one that holds reward_function.py")
    files = [name for name in _PATTERNS for name in _matching(root, name)]
    if not files:
        raise ConfigError(f"{folder} holds none of {', '.join(_PATTERNS[:4])} ...; lateapex init {folder} writes them")
    road = load_track(track)
    findings: list[Finding] = []
    for name in files:
        try:
            data = Path(name).read_bytes()
            text = python_text(data) if name.endswith(".py") else data.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError, SyntaxError) as error:
            findings.append(Finding("error", name, None, f"cannot be read: {error}; a text file in UTF-8 is needed"))
            continue
        if name.endswith(".py"):
            found = check_reward(text, name, road, limit=limit, clock=clock)
        else:
            found = list(_check_data(text, name))
        findings += sorted(found, key=lambda finding: (finding.line or 0, finding.severity))
    return Report(folder=folder, files=files, findings=findings)


def _matching(root: Path, pattern: str) -> Iterator[str]:
    for folder in _FOLDERS:
        place = root / folder
        names = sorted(path.name for path in place.iterdir() if path.is_file()) if place.is_dir() else []
        yield from (str(place / name) for name in fnmatch.filter(names, pattern))


def _check_data(text: str, name: str) -> Iterator[Finding]:
    if name.endswith(".env"):
        yield from check_env(text, name)
    elif not name.endswith(".json"):
        yield from check_yaml(text, name)
    elif name.endswith("model_metadata.json"):
        yield from _doubles(text, name)
        yield from _check_metadata(text, name)
    else:
        yield from _doubles(text, name)
        yield from _check_hyperparameters(text, name)


def _check_metadata(text: str, name: str) -> Iterator[Finding]:
    lines = _json_lines(text)
    try:
        for note in read_metadata(text, name).warnings:
            yield Finding("warning", name, _line_of(note, lines), note)
    except MetadataError as error:
        yield _told(error, name, lines)


def _check_hyperparameters(text: str, name: str) -> Iterator[Finding]:
    lines = _json_lines(text)
    try:
        content = parse_object(text, name, HyperparameterError)
    except HyperparameterError as error:
        yield _told(error, name, lines)
        return
    for key, value in content.items():  # each by itself, so that one mistake does not hide the next
        try:
            read_hyperparameters(json.dumps({key: value}), name)
        except HyperparameterError as error:
            yield Finding("error", name, lines.get(key), _without(name, str(error)))


def _told(error: LateapexError, name: str, lines: dict[str, int]) -> Finding:
    message = _without(name, str(error))
    broken = re.match(r"is not JSON: line (\d+), column (\d+): ", message)
    if broken:
        reason = f"is not JSON: column {broken[2]}: {message[broken.end() :]}"
        return Finding("error", name, int(broken[1]), reason)
    return Finding("error", name, _line_of(message, lines), message)


def _without(name: str, message: str) -> str:
    return message.removeprefix(name).lstrip(": ")


def _line_of(message: str, lines: dict[str, int]) -> int | None:
    """The line of the first place in a JSON file that a message names, such as action_space[2].speed."""
    for word in re.findall(r"\w+(?:\[\d+\])?(?:\.\w+)*", message):
        while word and word not in lines:
            word = word.rpartition(".")[0]
        if word:
            return lines[word]
    return None


def _doubles(text: str, name: str) -> Iterator[Finding]:
    root = _composed(text)
    if isinstance(root, yaml.MappingNode):
        lines: dict[Any, int] = {}
        for key, _ in root.value:
            line = key.start_mark.line + 1
            if key.value in lines:
                message = f"{key.value!r} stands on line {lines[key.value]} already; this one counts"
                yield Finding("warning", name, line, message)
            lines[key.value] = line


def _json_lines(text: str) -> dict[str, int]:
    """The line, from 1, of every place in a JSON file; none if it is broken."""
    lines: dict[str, int] = {}

    def note(node: yaml.Node, path: str) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                place = f"{path}.{key.value}".lstrip(".")
                lines[place] = key.start_mark.line + 1
                note(value, place)
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                lines[f"{path}[{number}]"] = item.start_mark.line + 1
                note(item, f"{path}[{number}]")

    root = _composed(text)
    if root is not None:
        note(root, "")
    return lines


def _composed(text: str) -> yaml.Node | None:
    """JSON with its lines: YAML but for tabs, which stand between words alone."""
    try:
        return yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None
