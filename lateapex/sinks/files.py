"""The run folder: traces, metrics and logs, in the layout that deepracer-utils reads.

    training-simtrace/<n>-iteration.csv   exactly `episodes_per_iteration` episodes each, the last may hold fewer
    metrics/TrainingMetrics.json          one entry for each episode of training and evaluation
    logs/training.log                     the original's lines
    logs/training.jsonl                   one JSON object for each update, evaluation and finding
    logs/scenes.jsonl                     one for each episode of training in which the world varied: how
    logs/episodes.jsonl                   what each episode is driven again from

Records are held in memory and written when an iteration is full, after each update and evaluation, and by `flush`.
An episode belongs to the iteration in which it ends, whichever update paid for it: readers count on equal iterations.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lateapex.errors import RunError
from lateapex.formats.metrics import read_metrics, training_entry, write_metrics
from lateapex.formats.recipes import FILE as RECIPES
from lateapex.formats.recipes import recipe_line
from lateapex.formats.run_log import json_line, scene_line
from lateapex.formats.simtrace import write_log_lines, write_rows
from lateapex.formats.trace import HEADER
from lateapex.formats.training_log import (
    best_model_lines,
    checkpoint_numbers_line,
    episode_line,
    evaluation_lines,
    policy_line,
)
from lateapex.records import EpisodeRecord, EvaluationRecord, FindingRecord, UpdateRecord

if TYPE_CHECKING:
    from lateapex.records import Record
    from lateapex.storage import Storage

_METRICS = "metrics/TrainingMetrics.json"
_TRACES = "training-simtrace/"
_REWRITE_SHARE = 16  # the metrics file is written anew when 1/16 is new: over a run at most 17 times its final size


class RunFolderSink:
    """Writes a run folder, and goes on in one after a crash.

    A StorageError loses nothing: what could not be written is still held, and `flush` writes it once there is room.
    """

    def __init__(self, storage: Storage, episodes_per_iteration: int, head: str = "") -> None:
        """`head` is what logs/training.log begins with, see `training_log.head_lines`."""
        self._storage = storage
        self._per_iteration = episodes_per_iteration
        self._traces = _Traces(storage, episodes_per_iteration)
        self._metrics = _Metrics(storage)
        self._log = _Log(storage, "logs/training.log", head)
        self._updates = _Log(storage, "logs/training.jsonl")
        self._scenes = _Log(storage, "logs/scenes.jsonl")
        self._recipes = _Log(storage, f"logs/{RECIPES}")
        self._episodes = 0  # of training, finished
        self._steps = 0  # in them
        self._judged = 0  # entries of the metrics that came before the newest evaluation's verdict
        self._best: tuple[str | None, float | None] = (None, None)  # checkpoint, mean progress

    def write(self, record: Record) -> None:
        """Take a record.

        Raises:
            StorageError: the record is taken, but it or one before it could not be written.
        """
        if isinstance(record, EpisodeRecord):
            self._take_episode(record)
            if record.phase == "evaluation" or self._episodes % self._per_iteration:
                return
        elif isinstance(record, UpdateRecord):
            self._updates.add(json_line(record))
            self._log.add(policy_line(record.losses))
        elif isinstance(record, EvaluationRecord):
            self._take_evaluation(record)
        elif isinstance(record, FindingRecord):
            self._updates.add(json_line(record))
        else:
            return
        self._traces.flush(full_only=True)
        self._metrics.flush_if_grown()
        self._log.flush()
        self._updates.flush()
        self._scenes.flush()
        self._recipes.flush()

    def flush(self) -> None:
        """Make everything so far durable, the unfinished iteration as a short file.

        Raises:
            StorageError: what was written before stays whole; the call can be repeated.
        """
        self._traces.flush()
        self._metrics.flush()
        self._log.flush()
        self._updates.flush()
        self._scenes.flush()
        self._recipes.flush()

    def state(self) -> dict[str, int]:
        """Flush, and say how far this sink has come."""
        self.flush()
        return {
            "episodes_per_iteration": self._per_iteration,
            "episodes": self._episodes,
            "steps": self._steps,
            "metrics": self._metrics.count,
            "judged": self._judged,
            "log_bytes": self._log.size,
            "update_bytes": self._updates.size,
            "scene_bytes": self._scenes.size,
            "recipe_bytes": self._recipes.size,
        }

    def restore(self, state: Mapping[str, int]) -> None:
        """Bring the files back to the moment of `state`; an empty state is the beginning of a run.

        Raises:
            RunError: files hold less than they did at that moment, or the iterations had another length.
            StorageError: as for `flush`.
        """
        per_iteration = state.get("episodes_per_iteration", self._per_iteration)
        if per_iteration != self._per_iteration:
            raise RunError(
                f"{self._storage.url} was begun with {per_iteration} episodes per iteration, now there are "
                f"{self._per_iteration}; set num_episodes_between_training to {per_iteration} or start a new run"
            )
        self._episodes = state.get("episodes", 0)
        self._steps = state.get("steps", 0)
        self._judged = state.get("judged", 0)
        self._log.cut(state.get("log_bytes", 0))
        self._updates.cut(state.get("update_bytes", 0))
        self._scenes.cut(state.get("scene_bytes", 0))
        self._recipes.cut(state.get("recipe_bytes", 0))
        self._metrics.cut(state.get("metrics", 0))
        self._traces.cut(self._episodes)
        self._best = _last_best(self._updates.text())

    def close(self) -> None:
        """Write what is still held; raises as `flush`."""
        self.flush()

    def _take_episode(self, record: EpisodeRecord) -> None:
        if record.phase == "training":
            number = self._episodes
            self._episodes += 1
            self._steps += len(record.steps)
            self._traces.add(number, write_rows(number, record))
            self._log.add(write_log_lines(number, record))
            if record.scene is not None:
                self._scenes.add(scene_line(number, record))
        self._recipes.add(recipe_line(number if record.phase == "training" else record.car, record))
        # An evaluation repeats the last training episode; one before any counts with the first iteration.
        last = max(self._episodes, 1) - 1
        iteration, place = divmod(last, self._per_iteration)
        self._metrics.add(json.dumps(training_entry(record, episode=last + 1, trial=place + 1)))
        self._log.add(episode_line(record, last + 1, self._steps, iteration))

    def _take_evaluation(self, record: EvaluationRecord) -> None:
        self._updates.add(json_line(record))
        progress = self._metrics.evaluation_progress(since=self._judged)
        mean = record.mean_progress if math.isfinite(record.mean_progress) else None
        self._judged = self._metrics.count
        self._log.add(evaluation_lines(record.trials, progress, mean))
        if record.is_best:
            name = _checkpoint_name(record.iteration, record.steps)
            self._log.add(best_model_lines(name, mean, *self._best))
            self._best = name, mean
        best = -1 if self._best[0] is None else int(self._best[0].partition("_")[0])
        self._log.add(checkpoint_numbers_line(best, record.iteration))


class _Log:
    """A file that only grows; what was added since the last flush is held."""

    def __init__(self, storage: Storage, name: str, head: str = "") -> None:
        self._storage = storage
        self._name = name
        self._head = head
        self._held = [head]
        self.size = 0  # bytes in the storage

    def add(self, text: str) -> None:
        self._held.append(text)

    def flush(self) -> None:
        data = "".join(self._held).encode()
        if not data:
            return
        # The first bytes replace what an older run may have left there.
        (self._storage.append if self.size else self._storage.write)(self._name, data)
        self.size += len(data)
        self._held.clear()

    def cut(self, size: int) -> None:
        self._held.clear()
        self._storage.truncate(self._name, size)
        if not size:
            self._storage.delete(self._name)
            self._held.append(self._head)
        self.size = size

    def text(self) -> str:
        return self._storage.read(self._name).decode() if self.size else ""


class _Traces:
    """CSV files of training; the iterations that are not yet written, or not yet full, are held as text."""

    def __init__(self, storage: Storage, per_iteration: int) -> None:
        self._storage = storage
        self._per_iteration = per_iteration
        self._held: dict[int, list[str]] = {}
        self._clean: set[int] = set()  # held, and the same in the storage
        self._episodes = 0

    def add(self, number: int, rows: str) -> None:
        iteration = number // self._per_iteration
        self._held.setdefault(iteration, []).append(rows)
        self._clean.discard(iteration)
        self._episodes = number + 1

    def flush(self, full_only: bool = False) -> None:
        for iteration in sorted(self._held.keys() - self._clean):
            full = (iteration + 1) * self._per_iteration <= self._episodes
            if full or not full_only:
                self._storage.write(_trace_name(iteration), "".join([HEADER, "\n", *self._held[iteration]]).encode())
                self._clean.add(iteration)
            if full:
                del self._held[iteration]
                self._clean.discard(iteration)

    def cut(self, episodes: int) -> None:
        """Forget all from episode number `episodes` on."""
        self._held.clear()
        self._clean.clear()
        self._episodes = episodes
        current, begun = divmod(episodes, self._per_iteration)
        for name in self._storage.list(_TRACES):
            iteration = name.removeprefix(_TRACES).removesuffix("-iteration.csv")
            if iteration.isdigit() and int(iteration) >= current + (begun > 0):
                self._storage.delete(name)
        if begun:
            self._reread(current, episodes)

    def _reread(self, iteration: int, episodes: int) -> None:
        name = _trace_name(iteration)
        wanted = {str(number) for number in range(iteration * self._per_iteration, episodes)}
        _, *lines = self._storage.read(name).decode().splitlines(keepends=True)
        kept = [line for line in lines if line.partition(",")[0] in wanted]
        found = {line.partition(",")[0] for line in kept}
        if found != wanted:
            raise _incomplete(self._storage, name, f"{len(found)} of the {len(wanted)} episodes")
        self._held[iteration] = kept
        self.flush()


class _Metrics:
    """TrainingMetrics.json, a whole file each time: its entries are held as JSON text."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._entries: list[str] = []
        self._written = 0

    @property
    def count(self) -> int:
        return len(self._entries)

    def add(self, entry: str) -> None:
        self._entries.append(entry)

    def flush_if_grown(self) -> None:
        if self.count - self._written > self._written // _REWRITE_SHARE:
            self.flush()

    def flush(self) -> None:
        if self.count != self._written:
            self._storage.write(_METRICS, write_metrics(self._entries).encode())
            self._written = self.count

    def cut(self, count: int) -> None:
        """Forget all entries but the first `count`."""
        if not count:
            self._storage.delete(_METRICS)
            self._entries, self._written = [], 0
            return
        entries = read_metrics(self._storage.read(_METRICS).decode(), _METRICS)
        if len(entries) < count:
            raise _incomplete(self._storage, _METRICS, f"{len(entries)} of the {count} entries")
        self._entries = [json.dumps(entry) for entry in entries[:count]]
        self._written = len(entries)
        self.flush()

    def evaluation_progress(self, since: int) -> list[int]:
        """Percent of the lap, decimals cut, of the evaluation episodes from entry `since` on."""
        entries = map(json.loads, self._entries[since:])
        return [entry["completion_percentage"] for entry in entries if entry["phase"] == "evaluation"]


def _trace_name(iteration: int) -> str:
    return f"{_TRACES}{iteration}-iteration.csv"


def _checkpoint_name(iteration: int, steps: int) -> str:
    return f"{iteration}_Step-{steps}.pt"


def _last_best(updates: str) -> tuple[str | None, float | None]:
    for line in reversed(updates.splitlines()):
        content = json.loads(line)
        if content["kind"] == "evaluation" and content["is_best"]:
            return _checkpoint_name(content["iteration"], content["steps"]), content["mean_progress"]
    return None, None


def _incomplete(storage: Storage, name: str, found: str) -> RunError:
    return RunError(f"{storage.url}: {name} has {found} it must have; bring the file back or start a new run")
