"""How fast the computed lap is, how near a driver comes to it, and what public racers did on the same tracks.

Laps are flying ones of the version-5 car. "computed" keeps all wheels on the road; "legal" asks for one wheel, as the
rules do; "drivable" is the lap planned with held commands, "driven" the best and "slowest" the worst of its three
flying laps in the simulator; "off" counts the decisions of those with a wheel off the road.

    python benchmarks/line.py --tracks DIR --records CSV --json line.json
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

from harness import look, parser, row, write_rows
from rich.console import Console
from rich.table import Table

from lateapex.models.line_driver import LineDriver
from lateapex.models.timing import time_laps
from lateapex.sim.physics import Physics
from lateapex.world.held_lap import drivable
from lateapex.world.raceline import Raceline, raceline
from lateapex.world.track import Track, load_track
from lateapex.world.vehicle import Vehicle

LAPS = 4  # the first begins at rest and does not count


def main() -> None:
    """Measure every track that has both a record and a route."""
    made = parser("Computed, driven and public lap times.")
    made.add_argument("--tracks", type=Path, required=True, help="folder of routes, NAME.npy each")
    made.add_argument("--records", type=Path, required=True, help="best_laps.csv: track, race_type, racers, best_lap_s")
    made.add_argument("--only", nargs="*", help="names of tracks; all if not given")
    options = made.parse_args()
    quiet = look(0.3)
    rows: list[dict[str, Any]] = []
    table = Table(
        "track",
        "computed",
        "legal",
        "drivable",
        "driven",
        "slowest",
        "driven/computed",
        "off",
        "record",
        "computed/record",
        "cpu s",
    )
    for track, record in _pairs(options):
        found = _measure(track, record)
        table.add_row(*_cells(track, found))
        rows += [
            row(name, value, "steps" if name == "wheels_off" else "s", quiet, track=track.name)
            for name, value in found.items()
            if value is not None
        ]
        print(*_cells(track, found), sep=" | ", flush=True)
        if options.json:
            write_rows(options.json, rows)
    Console(width=140).print(table)


def _pairs(options: argparse.Namespace) -> list[tuple[Track, float]]:
    """Tracks with their best time-trial laps, s."""
    with options.records.open(encoding="utf-8") as file:
        best = {
            entry["track"]: float(entry["best_lap_s"])
            for entry in csv.DictReader(file)
            if entry["race_type"] == "TIME_TRIAL"
        }
    routes = {path.stem: path for path in sorted(options.tracks.glob("*.npy"))}
    # Records of the 2024 championship do not say which way round it went.
    names = [name for name in routes if name in best and (not options.only or name in options.only)]
    return [(load_track(routes[name]), best[name]) for name in names]


def _measure(track: Track, record: float) -> dict[str, float | None]:
    begun = time.process_time()
    computed = raceline(track)
    cpu = time.process_time() - begun
    legal, line = raceline(track, limit="one"), drivable(track)
    for lap in (computed, legal, line):
        if lap.method != ("held" if lap is line else "optimal"):
            print(f"{track.name}: {lap.method}, limit {lap.limit}", flush=True)
    return {
        "computed_lap": computed.lap_time,
        "legal_lap": legal.lap_time,
        "drivable_lap": line.lap_time,
        **_driven(line),
        "record_lap": record,
        "cpu": cpu,
    }


def _driven(line: Raceline) -> dict[str, float | None]:
    """Best and worst flying lap of the driver, s, None if none was complete; decisions with a wheel off the road."""
    driver = LineDriver([line])
    first, stint = (time_laps(driver, Physics([line.track], [0], Vehicle()), laps)[0] for laps in (1, LAPS))
    flying = stint.laps[1:]
    return {
        "driven_lap": min(flying, default=None),
        "slowest_lap": max(flying, default=None),
        "wheels_off": float(stint.wheels_off - first.wheels_off),
    }


def _cells(track: Track, found: dict[str, float | None]) -> list[str]:
    def ratio(over: str, under: str) -> str:
        a, b = found[over], found[under]
        return "-" if a is None or b is None else f"{a / b:.3f}"

    times = [
        "-" if found[name] is None else f"{found[name]:.2f}"
        for name in ("computed_lap", "legal_lap", "drivable_lap", "driven_lap", "slowest_lap")
    ]
    return [
        track.name,
        *times,
        ratio("driven_lap", "computed_lap"),
        f"{found['wheels_off']:.0f}",
        f"{found['record_lap']:.2f}",
        ratio("computed_lap", "record_lap"),
        f"{found['cpu']:.1f}",
    ]


if __name__ == "__main__":
    main()
