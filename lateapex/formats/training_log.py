"""The lines of a job's log: what the job is, then its steps, episodes, updates, and the choice of the best model.

Texts are the original's, which tools search for. Its two logs (simulator and learner) are one here; the reader takes
either of them, of any generation, and what is not in a log stays empty.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from lateapex.formats.job_yaml import Parameters, first, world_of
from lateapex.formats.model_metadata import Bounds, ModelMetadata
from lateapex.formats.trace import LogTrace, Trace, lines_of

if TYPE_CHECKING:
    from lateapex.records import EpisodeRecord

_PHASES: Final = {"training": "Training", "evaluation": "Testing"}
_LOSSES: Final = ("policy_loss", "kl", "entropy", "learning_rate")
_LIDAR: Final = {"num_sectors": 8, "num_values_per_sector": 8, "clipping_dist": 2.0}  # what a model without lidar has
_HYPERPARAMETERS: Final = "Using the following hyper-parameters"
_LONGEST_BLOCK: Final = 64  # lines of hyperparameters


def head_lines(world: str, metadata: ModelMetadata, hyperparameters: str) -> str:
    """Return how a log begins: track, sensors, actions and hyperparameters, each line with its end.

    Args:
        world: name of the track.
        hyperparameters: text of hyperparameters.json with sorted keys, two blanks before each.
    """
    space = metadata.action_space
    actions: Any
    if isinstance(space, Bounds):
        actions = {name: {"high": side.high, "low": side.low} for name, side in space._asdict().items()}
    else:
        actions = [{**action._asdict(), "index": place} for place, action in enumerate(space)]
    kind = "continuous" if isinstance(space, Bounds) else "discrete"
    return (
        f" * /WORLD_NAME: {world}\n"
        f"Sensor list {list(metadata.sensors)}, network {metadata.neural_network}, "
        f"simapp_version {float(metadata.version)}, training_algorithm {metadata.training_algorithm}, "
        f"action_space_type {kind} lidar_config {_LIDAR}\n"
        f"Action space from file: {actions}\n"
        f"{_HYPERPARAMETERS}\n{hyperparameters}\n"
    )


def episode_line(record: EpisodeRecord, episode: int, steps: int, iteration: int) -> str:
    """Return the line of a finished episode, with its line end.

    Args:
        record: of either phase.
        episode: number from 1; an evaluation repeats that of the last training episode.
        steps: steps of all training episodes so far.
        iteration: from 0.
    """
    return (
        f"{_PHASES[record.phase]}> Name=main_level/agent, Worker=0, Episode={episode}, "
        f"Total reward={round(record.reward, 2)}, Steps={steps}, Training iteration={iteration}\n"
    )


def policy_line(losses: Mapping[str, float]) -> str:
    """Return the line of an update, with its line end, or "" where there are no losses.

    The original writes one for each epoch; losses here are means over all epochs, so one line stands for them.
    """
    if not losses:
        return ""
    surrogate, kl, entropy, rate = (float(losses.get(name, math.nan)) for name in _LOSSES)
    return (
        f"Policy training> Surrogate loss={surrogate}, KL divergence={kl}, Entropy={entropy}, "
        f"training epoch=0, learning_rate={rate}\n"
    )


def evaluation_lines(trials: int, progress: Sequence[float], mean: float | None) -> str:
    """Return what an evaluation found: percent of the lap of each episode, and their mean."""
    return _chosen(
        f"Number of evaluations: {trials} Evaluation episode progress: {list(progress)}",
        f"Evaluation episode progress mean: {mean}",
    )


def best_model_lines(name: str, mean: float | None, old_name: str | None, old_mean: float | None) -> str:
    """Return the change of the best checkpoint, from None the first time; means are percent of the lap."""
    return _chosen(
        f"current progress mean: {mean} >= best progress mean: {old_mean}",
        f'Updating the best checkpoint to "{name}" from "{old_name}".',
    )


def checkpoint_numbers_line(best: int, last: int) -> str:
    """Return the numbers of the best and the last checkpoint; -1: there is none yet."""
    return f"Best checkpoint number: {best}, Last checkpoint number: {last}\n"


def _chosen(*lines: str) -> str:
    return "".join(f"[BestModelSelection] {line}\n" for line in lines)


@dataclass(frozen=True, kw_only=True)
class JobLog:
    """What a log tells of its job."""

    trace: Trace
    """Its SIM_TRACE_LOG lines."""
    parameters: Parameters = field(default_factory=dict)
    """Those of the job's YAML, which it repeats since 2020."""
    world: str = ""
    """Name of the track with its direction."""
    job_type: str = ""
    """TRAINING or EVALUATION."""
    race_type: str = ""
    """TIME_TRIAL, OBJECT_AVOIDANCE ..."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """As in hyperparameters.json."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """As in model_metadata.json, as far as told: action_space, sensor, neural_network, version ..."""
    losses: Sequence[Mapping[str, float]] = ()
    """Means over the epochs of each update: policy_loss, kl, entropy, learning_rate."""


def read_log(file: BinaryIO) -> JobLog:
    """Read a log of the simulator or the learner, whatever else stands in it; nothing in it can be wrong."""
    reader = _LogReader()
    for number, line, whole in lines_of(file):
        reader.take(number, line, whole)
    return reader.log()


_PREFIX: Final = re.compile(r"(?:\[[\w.-]+-\d+\] )+")  # of ROS 2: the process that prints
_SENSORS: Final = re.compile(
    r"Sensor list (\[.*?\]), network (\w+), simapp_version ([\w.]+)"
    r"(?:, training_algorithm (\w+), action_space_type (\w+))?(?: lidar_config (\{.*\}))?"
)
_WORLDS: Final = (" * /WORLD_NAME: ", "World name passed in YAML: ", "WORLD_NAME=")
_KINDS: Final = (" * /JOB_TYPE: ", " * /RACE_TYPE: ")
_POLICY: Final = re.compile(
    r"Policy training> Surrogate loss=(\S+), KL divergence=(\S+), Entropy=(\S+), training epoch=(\d+), "
    r"learning_rate=(\S+)"
)


class _LogReader:
    def __init__(self) -> None:
        self._trace = LogTrace()
        self._parameters: Parameters = {}
        self._told: dict[str, str] = {}
        self._hyperparameters: dict[str, Any] = {}
        self._metadata: dict[str, Any] = {}
        self._block: list[str] | None = None
        self._epochs: list[list[tuple[float, ...]]] = []

    def take(self, number: int, line: str, whole: bool) -> None:
        if "SIM_TRACE_LOG:" in line:
            self._trace.take(number, line, whole)
            return
        text = _PREFIX.sub("", line, count=1) if line.startswith("[") else line
        if self._block is not None:
            self._take_hyperparameters(text)
        elif text.startswith(_HYPERPARAMETERS):
            self._block = []
        elif text.startswith("{'") and "'JOB_TYPE'" in text:
            self._take_parameters(text)
        elif text.startswith("Sensor list "):
            self._take_sensors(text)
        elif "ction space from file: " in text:  # "Action ..." or "Loaded action ..."
            space = _literal(text.partition("ction space from file: ")[2])
            if isinstance(space, (list, dict)):
                self._metadata["action_space"] = space
        elif text.startswith("Policy training> "):
            self._take_losses(text)
        else:
            for place in (*_WORLDS, *_KINDS):
                if text.startswith(place):
                    self._told.setdefault(place, text.removeprefix(place).strip())

    def log(self) -> JobLog:
        told = (self._told.get(place, "") for place in _WORLDS)
        # A launcher cuts long values: what ends in dots is no name.
        world = world_of(self._parameters) or next((name for name in told if name and not name.endswith("...")), "")
        return JobLog(
            trace=self._trace.trace(),
            parameters=self._parameters,
            world=world,
            job_type=first(self._parameters, "JOB_TYPE") or self._told.get(_KINDS[0], ""),
            race_type=first(self._parameters, "RACE_TYPE") or self._told.get(_KINDS[1], ""),
            hyperparameters=self._hyperparameters,
            metadata=self._metadata,
            losses=[_means(epochs) for epochs in self._epochs],
        )

    def _take_hyperparameters(self, text: str) -> None:
        block = self._block or []
        self._block = [*block, text]
        if text.strip() != "}" and len(self._block) < _LONGEST_BLOCK:
            return
        try:
            found = json.loads("\n".join(self._block))
        except ValueError:
            found = None
        if isinstance(found, dict):
            self._hyperparameters = found
        self._block = None

    def _take_parameters(self, text: str) -> None:
        found = _literal(text)
        if isinstance(found, dict):
            for key, value in found.items():
                listed = isinstance(value, list) and all(isinstance(item, str) for item in value)
                self._parameters[str(key)] = value if listed else str(value)

    def _take_sensors(self, text: str) -> None:
        if match := _SENSORS.match(text):
            sensors, network, version, algorithm, kind, lidar = match.groups()
            told = {
                "sensor": _literal(sensors),
                "neural_network": network,
                "version": version,
                "training_algorithm": algorithm,
                "action_space_type": kind,
                "lidar_config": _literal(lidar) if lidar else None,
            }
            self._metadata.update({key: value for key, value in told.items() if value})

    def _take_losses(self, text: str) -> None:
        if match := _POLICY.match(text):
            loss, kl, entropy, epoch, rate = match.groups()
            try:
                values = tuple(map(float, (loss, kl, entropy, rate)))
            except ValueError:
                return
            if epoch == "0" or not self._epochs:
                self._epochs.append([])
            self._epochs[-1].append(values)


def _means(epochs: Sequence[tuple[float, ...]]) -> dict[str, float]:
    return {name: fmean(values) for name, values in zip(_LOSSES, zip(*epochs, strict=True), strict=True)}


def _literal(text: str) -> Any:
    """The value of a Python literal; None where it is none."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
