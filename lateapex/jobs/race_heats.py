"""Drives the heats of a race: each model alone against the clock, or several in one world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from lateapex.env.race_config import RaceConfig
from lateapex.env.racing import RacingTask
from lateapex.env.reward_base import Unpaid
from lateapex.env.rules import Quirks
from lateapex.env.starts import RoundRobinStarts
from lateapex.formats.model_metadata import default_metadata
from lateapex.jobs.race_entries import Entry
from lateapex.models.drive import drive, patience
from lateapex.models.rivals import Rivals
from lateapex.records import STATUSES, EpisodeRecord
from lateapex.sim.state import vehicle_records
from lateapex.world.track import Track

_FAILED: Final = ("off_track", "crashed", "immobilized", "reversed")


class Terms(NamedTuple):
    """What is the same for all heats of a race."""

    track: Track
    race: RaceConfig
    trials: int
    """Starts, spread evenly round the track."""
    quirks: Quirks
    seed: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Drive:
    """What one car did in one heat."""

    entry: str
    seat: int
    """Place on the grid, from 0: the foremost."""
    number: int
    """Of the episode, in its trace."""
    trace: str
    """Name of the trace within the race's folder."""
    record: EpisodeRecord

    @property
    def resets(self) -> int:
        """How often it was put back, or had to wait."""
        waits = self.record.steps["status"] == STATUSES.index("pause")
        return int(np.count_nonzero(waits[1:] & ~waits[:-1]))

    @property
    def completed(self) -> bool:
        """Whether it drove a whole lap."""
        return self.record.status == "lap_complete"


@dataclass(frozen=True, kw_only=True)
class Heat:
    """One start."""

    start: float
    """Share of the lap where the foremost car starts."""
    drives: list[Drive]
    """In the order of the grid."""

    @property
    def ranking(self) -> list[Drive]:
        """The drives from the winner to the last.

        Whoever drove its lap is before whoever did not, and whoever failed is the last; then the further one is the
        better, and of equals the one that started further back.
        """
        return sorted(self.drives, key=_rank)

    @property
    def winner(self) -> str:
        """Name of the entry that won."""
        return self.ranking[0].entry


def _rank(drive: Drive) -> tuple[int, float, int]:
    order = 0 if drive.completed else 2 if drive.record.status in _FAILED else 1
    return order, -drive.record.progress, -drive.seat


def solo_heats(entry: Entry, terms: Terms) -> list[Heat]:
    """Drive the trials of one entry, alone."""
    task = RacingTask(
        terms.track,
        terms.trials,
        reward=Unpaid(),
        metadata=entry.rival.metadata,
        vehicle=entry.rival.vehicle,
        colour=entry.colour,
        race=terms.race,
        starts=_starts(terms, 1),
        quirks=terms.quirks,
        seed=terms.seed,
        threads=terms.threads,
    )
    task.max_steps = patience(task.lengths)
    records = drive(entry.rival.policy.driver(terms.trials), task, None)
    trace = f"traces/{entry.name}.csv"
    return [
        Heat(start=n / terms.trials, drives=[Drive(entry=entry.name, seat=0, number=n, trace=trace, record=record)])
        for n, record in enumerate(records)
    ]


def grid_orders(count: int) -> list[tuple[int, ...]]:
    """Return who starts where, so that everybody starts once from each place: `count` orders of `count` places."""
    return [tuple((seat + turn) % count for seat in range(count)) for turn in range(count)]


def shared_task(entries: Sequence[Entry], terms: Terms, first: int = 0, heats: int | None = None) -> RacingTask:
    """Make the cars of the heats in which some entries drive in one world, or of some of these.

    Args:
        entries: who drives.
        terms: of the race.
        first: the first heat.
        heats: how many; all if not given.
    """
    each = len(entries)
    count = terms.trials * each if heats is None else heats
    race = terms.race.model_copy(update={"race_type": "HEAD_TO_MODEL", "cars_per_world": each})
    task = RacingTask(
        terms.track,
        count * each,
        reward=Unpaid(),
        metadata=default_metadata(),
        vehicle=entries[0].rival.vehicle,
        pictures=False,
        race=race,
        starts=_starts(terms, each),
        quirks=terms.quirks,
        seed=terms.seed,
        threads=terms.threads,
        first_car=first * each,
        direct=True,
    )
    who = _who(each, terms.trials, first, count)
    records = vehicle_records([entry.rival.vehicle for entry in entries])
    task.simulator.vehicles[:] = records[who]
    task.max_steps = patience(task.lengths)
    return task


def shared_heats(entries: Sequence[Entry], terms: Terms, trace: str) -> list[Heat]:
    """Drive the heats of several entries in one world: from each start once in each order of the grid."""
    each = len(entries)
    task = shared_task(entries, terms)
    who = _who(each, terms.trials, 0, terms.trials * each)
    driver = Rivals(task, [entry.rival for entry in entries], who, terms.threads)
    records = drive(driver, task, None)
    heats = []
    for first in range(0, len(records), each):
        drives = [
            Drive(entry=entries[who[car]].name, seat=car - first, number=car, trace=trace, record=records[car])
            for car in range(first, first + each)
        ]
        heats.append(Heat(start=first // each % terms.trials / terms.trials, drives=drives))
    return heats


def _who(each: int, trials: int, first: int, heats: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Which entry drives each car."""
    orders = [order for order in grid_orders(each) for _ in range(trials)]
    return np.array(orders[first : first + heats], np.int64).ravel()


def _starts(terms: Terms, each: int) -> RoundRobinStarts:
    return RoundRobinStarts(advance=0.0, spread=1.0 / (terms.trials * each))
