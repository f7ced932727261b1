"""How long learning to lap takes, from random weights and the camera alone.

For each seed: five steering angles at two speeds, AWS's centre-line reward, until the greedy policy completes 20 of
20 evaluation starts (anywhere along the lap, up to a quarter of the width beside the centre line, up to 15 degrees off)
in two evaluations in a row, with an update between. `seconds_to_20_of_20` counts all that training does, its files
included, but neither evaluation nor compilation; `wall_total` counts everything.

    python benchmarks/learn.py --track reinvent_base.npy --network shallow --seeds 10 --json learn.json
"""

from __future__ import annotations

import argparse
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
    made.add_argument("--track", default="kidney", help="name of a track, or path of a route file")
    made.add_argument("--network", default="lean", help="name of a network")
    made.add_argument("--seeds", type=int, default=10, help="seeds 0, 1, ...: how many")
    made.add_argument("--duration", type=float, default=300.0, help="seconds after which a seed has failed")
    options = made.parse_args()
    rows: list[dict[str, Any]] = []
    _train(options, seed=0, steps=1)  # compiles
    quiet = wait_for_idle(timeout=options.timeout)
    for seed in range(options.seeds):
        rows += _one(options, quiet, seed)
        print_table(rows[-2:])
    if options.json:
        write_rows(options.json, rows)
    _summary(rows)


def _one(options: argparse.Namespace, quiet: Quiet, seed: int) -> list[dict[str, Any]]:
    begun = time.perf_counter()
    result = _train(options, seed)
    wall = time.perf_counter() - begun
    found = {"seed": seed, "network": options.network, "track": Path(options.track).stem, "steps": result.steps}
    seconds = result.train_seconds if result.outcome == "goal" else None
    return [row(WHAT, seconds, "s", quiet, **found), row("wall_total", wall, "s", quiet, **found)]


def _train(options: argparse.Namespace, seed: int, steps: int | None = None) -> TrainResult:
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "track": options.track,
            "network": options.network,
            "reward": "centre_line",
            "seed": seed,
            "out": f"{folder}/run",
            "trainer": {"until_laps": True, "steps": steps, "duration": options.duration},
        }
        return train(train_config(settings))


def _summary(rows: list[dict[str, Any]]) -> None:
    times = [item["value"] for item in rows if item["what"] == WHAT]
    reached = sorted(value for value in times if value is not None)
    if reached:
        middle = statistics.median(reached)
        print(f"{len(reached)} of {len(times)} seeds; median {middle:.1f} s, worst {reached[-1]:.1f} s")


if __name__ == "__main__":
    main()
