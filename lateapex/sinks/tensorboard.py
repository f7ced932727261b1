"""Event files for TensorBoard: losses, progress, laps and speed against environment steps.

    tensorboard --logdir runs

The one file, `tensorboard/events.out.tfevents.0.lateapex`, is a log of the run folder like the others: it grows after
each update and evaluation, and a resumed run cuts it back to its saved state, so that no point is there twice.
"""

from __future__ import annotations

import io
import math
import time
from typing import TYPE_CHECKING, Final

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from lateapex.records import EpisodeRecord, EvaluationRecord, UpdateRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lateapex.records import Record
    from lateapex.storage import Storage

NAME: Final = "tensorboard/events.out.tfevents.0.lateapex"

_VERSION: Final = "brain.Event:2"  # the first event of every file; readers look for it


class TensorBoardSink:
    """Writes what an update or an evaluation measured, one event each.

    Args:
        clock: gives seconds since 1970, of which TensorBoard makes its relative and wall times.
    """

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock
        self._held = io.BytesIO()
        self._writer = RecordWriter(self._held)
        self._size = 0  # bytes in the storage
        self._steps = 0  # at the newest update
        self._laps: list[float] = []  # since then, s

    def write(self, record: Record) -> None:
        """Take one record; an episode counts with the update that follows it.

        Raises:
            StorageError: what could not be written is still held.
        """
        if isinstance(record, EpisodeRecord):
            if record.phase == "training" and record.status == "lap_complete":
                self._laps.append(record.lap_time)
        elif isinstance(record, UpdateRecord):
            self._add(record.steps, {**dict(_of_update(record, record.steps - self._steps)), **_of_laps(self._laps)})
            self._steps = record.steps
            self._laps.clear()
        elif isinstance(record, EvaluationRecord):
            self._add(record.steps, dict(_of_evaluation(record)))

    def state(self) -> dict[str, int]:
        """Write what is held, and say how far this sink has come."""
        self.close()
        return {"bytes": self._size, "steps": self._steps}

    def restore(self, state: Mapping[str, int]) -> None:
        """Forget what was written after `state`."""
        self._size = state.get("bytes", 0)
        self._steps = state.get("steps", 0)
        self._laps.clear()
        self._drop_held()
        self._storage.truncate(NAME, self._size)
        if not self._size:
            self._storage.delete(NAME)

    def close(self) -> None:
        """Write what is held; raises as `write`."""
        if data := self._held.getvalue():
            (self._storage.append if self._size else self._storage.write)(NAME, data)
            self._size += len(data)
            self._drop_held()

    def _add(self, steps: int, values: Mapping[str, float]) -> None:
        now = self._clock()
        if not self._size and not self._held.tell():
            self._writer.write(Event(wall_time=now, file_version=_VERSION).SerializeToString())
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._writer.write(Event(wall_time=now, step=steps, summary=summary).SerializeToString())
        self.close()

    def _drop_held(self) -> None:
        self._held.seek(0)
        self._held.truncate()


def _of_update(record: UpdateRecord, steps: int) -> Iterator[tuple[str, float]]:
    """Tags and values of an update over so many environment steps."""
    for name, value in record.losses.items():
        yield f"learning/{name}", value
    if record.finished:
        yield "training/mean_progress", record.mean_progress
        yield "training/mean_reward", record.mean_reward
        yield "training/lap_share", record.laps / record.finished
    if record.best_lap is not None:
        yield "training/best_lap", record.best_lap
    phases = {**record.seconds, "all": math.fsum(record.seconds.values())}
    for phase, seconds in phases.items():
        yield f"seconds/{phase}", seconds
        if seconds > 0.0:
            yield f"steps_per_second/{phase}", steps / seconds


def _of_laps(laps: list[float]) -> dict[str, float]:
    return {"training/fastest_lap": min(laps), "training/mean_lap": math.fsum(laps) / len(laps)} if laps else {}


def _of_evaluation(record: EvaluationRecord) -> Iterator[tuple[str, float]]:
    whole = ("", record.laps_completed, record.trials, record.mean_progress, record.best_lap)
    parts = [
        (f"/{part.track}", part.laps_completed, part.trials, part.mean_progress, part.best_lap)
        for part in record.tracks
    ]
    for where, laps, trials, progress, best_lap in [whole, *parts]:
        yield f"evaluation{where}/mean_progress", progress
        yield f"evaluation{where}/lap_share", laps / trials
        if best_lap is not None:
            yield f"evaluation{where}/best_lap", best_lap
    yield "seconds/evaluate", record.seconds
