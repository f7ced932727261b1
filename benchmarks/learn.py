"""How long learning to lap takes, from random weights and the camera alone.

For each seed: five steering angles at two speeds, AWS's centre-line reward, until the greedy policy completes 20 of
20 evaluation starts (anywhere along the lap, up to a quarter of the width beside the centre line, up to 15 degrees off)
in two evaluations in a row, with an update between. `seconds_to_20_of_20` counts all that training does, its files
included, but neither evaluation nor compilation; `wall_total` counts everything.

    python benchmarks/learn.py --track reinvent_base.npy --network shallow --seeds 10 --json learn.json
    python benchmarks/learn.py --tracks oval,kidney,routes/ --seeds 5

With `--tracks`, each track by itself: steps, seconds, seconds of the fastest lap, median and worst over the seeds.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported

from harness import Quiet, parser, print_table, row, wait_for_idle, write_rows

from lateapex.jobs.train import TrainResult, train, train_config

WHAT = "seconds_to_20_of_20"


def main() -> None:
    """Train once for each seed."""
    made = parser("Seconds of training until 20 of 20 starts are laps, twice in a row.")
    where = made.add_mutually_exclusive_group()
    where.add_argument("--track", default="kidney", help="name of a track, or path of a route file")
    where.add_argument(
        "--tracks", type=_tracks, help="several of these, with commas between, or folders of route files"
    )
    made.add_argument("--network", default="lean", help="name of a network")
    made.add_argument("--seeds", type=int, default=10, help="seeds 0, 1, ...: how many")
    made.add_argument("--duration", type=float, default=300.0, help="seconds after which a seed has failed")
    options = made.parse_args()
    tracks = options.tracks or [options.track]
    rows: list[dict[str, Any]] = []
    _train(options, tracks[0], seed=0, steps=1)  # compiles
    quiet = wait_for_idle(timeout=options.timeout)
    for track in tracks:
        for seed in range(options.seeds):
            found = _one(options, quiet, track, seed)
            rows += found
            print_table(found)
    if options.json:
        write_rows(options.json, rows)
    _summary(rows)


def _tracks(text: str) -> list[str]:
    """Names and paths, in the order given; a folder stands for its route files."""
    found: list[str] = []
    for name in text.split(","):
        folder = Path(name)
        found += [str(path) for path in sorted(folder.glob("*.npy"))] if name and folder.is_dir() else [name]
    if not found:
        raise argparse.ArgumentTypeError(f"no route file (.npy) is in {text}")
    return found


def _one(options: argparse.Namespace, quiet: Quiet, track: str, seed: int) -> list[dict[str, Any]]:
    begun = time.perf_counter()
    result = _train(options, track, seed)
    wall = time.perf_counter() - begun
    found = {"seed": seed, "network": options.network, "track": Path(track).stem}
    reached = result.outcome == "goal"
    return [
        row(WHAT, result.train_seconds if reached else None, "s", quiet, **found, steps=result.steps),
        row("best_lap", result.best_lap, "s", quiet, **found),
        row("wall_total", wall, "s", quiet, **found),
    ]


def _train(options: argparse.Namespace, track: str, seed: int, steps: int | None = None) -> TrainResult:
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "track": track,
            "network": options.network,
            "reward": "centre_line",
            "seed": seed,
            "out": f"{folder}/run",
            "trainer": {"until_laps": True, "steps": steps, "duration": options.duration},
        }
        return train(train_config(settings))


def _summary(rows: list[dict[str, Any]]) -> None:
    """Print a line for each track."""
    head = ["track", "seeds that got there", "steps, median", "worst", "seconds, median", "worst", "fastest lap, s"]
    lines = [head, ["---", *["--:"] * (len(head) - 1)]]
    for track in dict.fromkeys(item["track"] for item in rows):
        runs = [item for item in rows if item["track"] == track and item["what"] == WHAT]
        laps = [item["value"] for item in rows if item["track"] == track and item["what"] == "best_lap"]
        reached = [item for item in runs if item["value"] is not None]
        seconds = [item["value"] for item in runs]
        steps = [item["steps"] if item["value"] is not None else None for item in runs]
        driven = [lap for lap in laps if lap is not None]
        lines.append(
            [
                track,
                f"{len(reached)} of {len(runs)}",
                *_median_and_worst(steps, ",.0f"),
                *_median_and_worst(seconds, ",.1f"),
                f"{min(driven):.2f}" if driven else "none",
            ]
        )
    for line in lines:
        print("| " + " | ".join(line) + " |")


def _median_and_worst(values: list[float | None], form: str) -> list[str]:
    """As texts; a seed that did not get there counts as slower than all others."""
    known = [math.inf if value is None else value for value in values]
    return [
        "not reached" if math.isinf(value) else format(value, form) for value in (statistics.median(known), max(known))
    ]


if __name__ == "__main__":
    main()
