"""Drives a race again from its folder, with its own copies of the models, and says whether all came out the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lateapex.jobs.race import drive_line, drive_race, trace_files
from lateapex.jobs.race_folder import reopen
from lateapex.storage import open_storage


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of driving one entry's drives again."""

    entry: str
    drives: int
    same: int
    """Drives with the same time and the same hash."""
    trace: bool
    """Whether the lines of its traces are the same, the wall clock apart."""
    difference: str | None
    """The first drive that differs."""


def verify_race(folder: str) -> list[Verdict]:
    """Drive all heats of a race's folder again.

    Returns:
        One verdict for each entry, in the order of the table.

    Raises:
        RunError: no race is there, or something of it is missing, or was changed.
    """
    storage = open_storage(folder)
    config, track, entries, found = reopen(storage)
    matches = drive_race(config, entries, track)
    now = [drive_line(drive) for match in matches for heat in match.heats for drive in heat.drives]
    was = [drive for match in found["matches"] for heat in match["heats"] for drive in heat["drives"]]
    lines = {name: data for name, data in trace_files(matches).items() if name.endswith(".csv")}
    same_lines = {name: _timeless(storage.read(name)) == _timeless(data) for name, data in lines.items()}
    return [_verdict(row["name"], was, now, same_lines) for row in found["standings"]]


def _verdict(name: str, was: list[dict[str, Any]], now: list[dict[str, Any]], same_lines: dict[str, bool]) -> Verdict:
    pairs = [(old, new) for old, new in zip(was, now, strict=False) if old["entry"] == name]
    wrong = [(old, new) for old, new in pairs if old != new]
    difference = None
    if wrong:
        old, new = wrong[0]
        key = next(key for key in old if old[key] != new.get(key))
        difference = f"episode {old['episode']} of {old['trace']}: {key} is {new.get(key)}, was {old[key]}"
    traces = {old["trace"] for old, _ in pairs}
    return Verdict(
        entry=name,
        drives=len(pairs),
        same=len(pairs) - len(wrong),
        trace=all(same_lines.get(trace, False) for trace in traces),
        difference=difference,
    )


def _timeless(trace: bytes) -> list[bytes]:
    """The lines without their last column, the wall clock."""
    return [line.rpartition(b",")[0] for line in trace.splitlines()]
