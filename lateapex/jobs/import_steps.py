"""The steps, metrics and learning curve of an imported model, in the layout of our run folder."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from typing import Any, Final

import numpy as np

from lateapex.errors import FormatError
from lateapex.formats.metrics import Entry, Metrics, evaluation_entry, read_metrics_file, training_entry, write_metrics
from lateapex.formats.run_log import json_line
from lateapex.formats.simtrace import episodes_of
from lateapex.formats.trace import COLUMNS, Trace, read_trace, write_trace
from lateapex.formats.training_log import JobLog
from lateapex.jobs.import_layout import Found, Layout, job_kind
from lateapex.records import EvaluationRecord, UpdateRecord
from lateapex.storage import Storage

_METRICS: Final = "metrics/TrainingMetrics.json"
_EPOCH_BEGINS, _EPOCH_ENDS = 1e9, 1e10  # s; simulated time is less
_EPISODES: Final = 20  # of an iteration, where hyperparameters do not say


@dataclass
class Steps:
    """Everything that happened, as far as it was kept."""

    storage: Storage
    data: Callable[[Found], bytes | None]
    """The bytes of a file, or None if it cannot be taken."""
    pass_over: Callable[[Found, str], None]
    """Notes why a file could not be taken."""
    notes: list[str]
    rows: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Steps of training by iteration, of all workers."""
    metrics: dict[int, Metrics] = field(default_factory=dict)
    """Of training, by worker."""
    lengths: set[float] = field(default_factory=set)
    """Lengths of the track in traces, m."""
    workers: list[int] = field(default_factory=list)
    episodes: int = 0
    """Of training, in traces."""
    evaluations: int = 0
    """Jobs of evaluation with traces."""
    evaluation_metrics: int = 0
    _jobs: set[str] = field(default_factory=set)
    _made: list[Entry] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How much there is of what; what there is none of is left out."""
        found = {
            "iterations": len(self.rows),
            "workers": len(self.workers) if len(self.workers) > 1 else 0,
            "training episodes": self.episodes,
            "training steps": sum(self.rows.values()),
            "evaluations": self.evaluations,
            "evaluation metrics": self.evaluation_metrics,
        }
        return {name: count for name, count in found.items() if count}

    def take_traces(self, layout: Layout) -> None:
        """Copy trace CSVs; of one with broken lines the whole ones are written."""
        traces = layout.of("training trace")
        self.workers = sorted({file.worker for file in traces})
        for file in traces:
            name = f"{self._folder(file.worker)}training-simtrace/{file.iteration}-iteration.csv"
            if (read := self._read_trace(file)) is not None:
                self.storage.write(name, read[1])
                self._count(file.iteration, read[0], file.worker)
        for worker in self.workers:
            self._note_gaps(worker, {file.iteration for file in traces if file.worker == worker})
        for file in layout.of("evaluation trace"):
            if (read := self._read_trace(file)) is not None:
                trace, data = read
                folder = self._evaluation_folder(file.stamp, file.iteration, trace)
                self.storage.write(f"{folder}/evaluation-simtrace/{file.iteration}-iteration.csv", data)
                self._jobs.add(file.job)
                self.evaluations += 1

    def take_logs(self, logs: Sequence[tuple[Found, JobLog]], hyperparameters: Mapping[str, Any]) -> None:
        """Make traces of the logs whose steps no CSV has."""
        told = [(file, log) for file, log in logs if len(log.trace)]
        training = [pair for pair in told if _kind(*pair) == "training"]
        if training and not self.workers:
            self.workers = list(range(len(training)))
            total = hyperparameters.get("num_episodes_between_training", _EPISODES)
            per_worker = max(1, (total if type(total) is int else _EPISODES) // len(training))
            for worker, (file, log) in enumerate(training):
                self._write_training(worker, log.trace, per_worker)
                self.notes.append(f"the steps of training come from {file.name.rpartition('/')[2]}")
        for file, log in told:
            if _kind(file, log) == "evaluation" and not (file.job and file.job in self._jobs):
                folder = self._evaluation_folder(file.stamp, 0, log.trace)
                self.lengths.update(log.trace.rows["track_len"][:1].tolist())
                text = write_trace(log.trace, (*COLUMNS, *log.trace.more))
                self.storage.write(f"{folder}/evaluation-simtrace/0-iteration.csv", text.encode())
                self._write_evaluation_metrics(folder, log.trace)
                self.evaluations += 1
                self.notes.append(f"the steps of {folder} come from {file.name.rpartition('/')[2]}")

    def take_metrics(self, layout: Layout) -> None:
        """Copy metrics files; those of training are made from the steps where there are none."""
        for file in layout.of("training metrics"):
            if file.worker in self.metrics:
                self.pass_over(file, "metrics of another training were taken before them")
            elif (found := self._read_metrics(file)) is not None:
                self.metrics[file.worker] = found
                self.storage.write(_metrics_name(file.worker), found.text.encode())
        for file in layout.of("evaluation metrics"):
            if (found := self._read_metrics(file)) is not None:
                stamp = file.stamp or "19700101000000"
                names = (f"metrics/evaluation/evaluation-{int(stamp) + more}.json" for more in range(10**6))
                self.storage.write(next(name for name in names if not self.storage.exists(name)), found.text.encode())
                self.evaluation_metrics += 1
        if not self.metrics and self._made:
            self.metrics[0] = Metrics(self._made, "progress")
            self.storage.write(_METRICS, self.metrics[0].text.encode())
            self.notes.append("TrainingMetrics.json was made from the steps")

    def _folder(self, worker: int) -> str:
        return f"{worker}/" if len(self.workers) > 1 else ""

    def _evaluation_folder(self, stamp: str, iteration: int, trace: Trace) -> str:
        number = int(stamp or _begin_of(trace))
        while self.storage.exists(f"evaluation-{number}/evaluation-simtrace/{iteration}-iteration.csv"):
            number += 1
        return f"evaluation-{number}"

    def _read_trace(self, file: Found) -> tuple[Trace, bytes] | None:
        """The steps of a CSV, and its bytes: as they were, or the whole lines where some are broken."""
        if (data := self.data(file)) is None:
            return None
        try:
            trace = read_trace(io.BytesIO(data), file.name)
        except FormatError as error:
            self.pass_over(file, str(error))
            return None
        if trace.skipped:
            line, message = trace.faults[0]
            more = f", and {trace.skipped - 1} more lines" if trace.skipped > 1 else ""
            self.notes.append(f"{file.name}: line {line} {message}{more}; skipped")
            data = write_trace(trace).encode()
        self.lengths.update(trace.rows["track_len"][:1].tolist())
        return trace, data

    def _write_training(self, worker: int, trace: Trace, per_worker: int) -> None:
        iterations = trace.rows["episode"] // per_worker
        for iteration in np.unique(iterations).tolist():
            chosen = iterations == iteration
            more = {
                name: [text for text, there in zip(texts, chosen, strict=True) if there]
                for name, texts in trace.more.items()
            }
            part = Trace(rows=trace.rows[chosen], columns=COLUMNS, more=more)
            name = f"{self._folder(worker)}training-simtrace/{iteration}-iteration.csv"
            self.storage.write(name, write_trace(part).encode())
            self._count(iteration, part, worker)

    def _write_evaluation_metrics(self, folder: str, trace: Trace) -> None:
        records = [episode.record("evaluation", "") for episode in episodes_of(trace)]
        entries = [
            evaluation_entry(record, trial) for trial, record in enumerate(records, 1) if _is_finite(record.steps)
        ]
        self.storage.write(f"metrics/evaluation/{folder}.json", write_metrics(entries, None).encode())

    def _count(self, iteration: int, trace: Trace, worker: int) -> None:
        self.rows[iteration] += len(trace)
        episodes = episodes_of(trace)
        self.episodes += len(episodes)
        if worker == self.workers[0]:
            for trial, episode in enumerate(episodes, 1):
                if _is_finite(episode.steps):
                    self._made.append(training_entry(episode.record("training", ""), episode.number + 1, trial))

    def _note_gaps(self, worker: int, iterations: set[int]) -> None:
        missing = sorted(set(range(max(iterations) + 1)) - iterations)
        if missing:
            who = f" of worker {worker}" if len(self.workers) > 1 else ""
            self.notes.append(f"{len(missing)} iterations{who} have no steps, {missing[0]} the first")

    def _read_metrics(self, file: Found) -> Metrics | None:
        if (data := self.data(file)) is None:
            return None
        try:
            return read_metrics_file(data.decode(errors="replace"), file.name)
        except FormatError as error:
            self.pass_over(file, str(error))
            return None


def learning_lines(steps: Steps, losses: Sequence[Mapping[str, float]]) -> str:
    """Return the lines of training.jsonl that the metrics stand for: each iteration and its evaluation."""
    entries = [entry for metrics in steps.metrics.values() for entry in metrics.entries if "phase" in entry]
    trained = _by_iteration(steps, (entry for entry in entries if entry["phase"] == "training"))
    judged = _by_iteration(steps, (entry for entry in entries if entry["phase"] == "evaluation"))
    lines, best_lap, best_mean = [], math.inf, -math.inf
    total_steps = total_episodes = 0
    for iteration in sorted(trained.keys() | judged.keys()):
        episodes, trials = trained.get(iteration, []), judged.get(iteration, [])
        total_episodes += len(episodes)
        total_steps += steps.rows.get(iteration, 0)
        best_lap = min([best_lap, *_lap_times(episodes)])
        update = UpdateRecord(
            iteration=iteration + 1,
            steps=total_steps,
            episodes=total_episodes,
            mean_progress=_mean(episodes, "completion_percentage"),
            mean_reward=_mean(episodes, "reward_score"),
            laps=len(_lap_times(episodes)),
            finished=len(episodes),
            best_lap=best_lap if best_lap < math.inf else None,
            losses=losses[iteration] if iteration < len(losses) else {},
        )
        lines.append(json_line(update))
        if trials:
            mean = _mean(trials, "completion_percentage")
            evaluation = EvaluationRecord(
                iteration=iteration + 1,
                steps=total_steps,
                laps_completed=len(_lap_times(trials)),
                trials=len(trials),
                mean_progress=mean,
                best_lap=min(_lap_times(trials), default=None),
                is_best=mean >= best_mean,
            )
            best_mean = max(mean, best_mean)
            lines.append(json_line(evaluation))
    return "".join(lines)


def _by_iteration(steps: Steps, chosen: Iterable[Entry]) -> dict[int, list[Entry]]:
    """Entries by their iteration: each worker has as many episodes in it as the first one's highest trial says."""
    first = [metrics.entries for _, metrics in sorted(steps.metrics.items())][:1]
    trials = [int(entry["trial"]) for entries in first for entry in entries if entry.get("phase") == "training"]
    found: dict[int, list[Entry]] = defaultdict(list)
    for entry in chosen:
        found[max(int(entry["episode"]) - 1, 0) // max([1, *trials])].append(entry)
    return found


def _lap_times(entries: Iterable[Entry]) -> list[float]:
    laps = (entry for entry in entries if entry["episode_status"] == "Lap complete")
    return [int(entry["elapsed_time_in_milliseconds"]) / 1000 for entry in laps]


def _mean(entries: Sequence[Entry], key: str) -> float:
    return fmean(float(entry[key]) for entry in entries) if entries else math.nan


def _kind(file: Found, log: JobLog) -> str:
    told = {"TRAINING": "training", "EVALUATION": "evaluation"}.get(log.job_type)
    return told or job_kind(file.name) or "training"


def _metrics_name(worker: int) -> str:
    return f"metrics/TrainingMetrics_{worker}.json" if worker else _METRICS


def _begin_of(trace: Trace) -> str:
    """When a trace began, as 14 digits, where it has a clock that knows: the wall's, or that of 2020 and before."""
    for name in ("wall_clock", "tstamp"):
        times = trace.rows[name][:1]
        if len(times) and _EPOCH_BEGINS < times[0] < _EPOCH_ENDS:
            return f"{datetime.fromtimestamp(float(times[0]), UTC):%Y%m%d%H%M%S}"
    return "19700101000000"


def _is_finite(rows: Any) -> bool:
    return bool(np.isfinite(rows["sim_time"]).all() and np.isfinite(rows["progress"]).all())
