"""How long learning to lap takes, from random weights and the camera alone.

For each seed: five steering angles at two speeds, AWS's centre-line reward, until the greedy policy completes 20 of
20 evaluation starts (anywhere along the lap, up to a quarter of the width beside the centre line, up to 15 degrees off)
in two evaluations in a row, with an update between. `seconds_to_20_of_20` counts all that training does, its files
included, but neither evaluation nor compilation; `wall_total` counts everything.

    python benchmarks/learn.py --track reinvent_base.npy --network shallow --seeds 10 --json learn.json
    python benchmarks/learn.py --tracks oval,kidney,routes/ --seeds 5

With `--ranges` the angle and the speed are any numbers from -30 to 30 degrees and from 0.5 to 1.0 m/s.

With `--assist`, what each switch of docs/assists.md is worth, on the same seeds as without any ("none"):

    python benchmarks/learn.py --assist teacher,state,mirror,smoothing --seeds 5

Several at once are joined by "+": `teacher+mirror`. The best model of each seed then drives 20 laps, from rest, from
starts spread round the track: how often a second it changes its steering, and how long a lap takes.

With `--tracks`, each track by itself: steps, seconds, seconds of the fastest lap, median and worst over the seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported

from harness import Quiet, parser, print_table, row, wait_for_idle, write_rows

from lateapex.jobs.evaluate import EvaluateConfig, evaluate
from lateapex.jobs.train import TrainResult, train, train_config
from lateapex.jobs.train_config import merge

WHAT = "seconds_to_20_of_20"
NONE = "none"
ASSISTS: dict[str, dict[str, Any]] = {
    "teacher": {"teacher": {"kind": "centre_line"}},
    "minimum_time": {"teacher": {"kind": "minimum_time"}},
    "state": {"critic": "state"},
    "mirror": {"mirror": True},
    "smoothing": {"ppo": {"smoothing": 0.1}},
}
"""Settings of each switch."""
TRIALS = 20
RANGES = {
    "action_space": {"steering_angle": {"low": -30.0, "high": 30.0}, "speed": {"low": 0.5, "high": 1.0}},
    "action_space_type": "continuous",
    "sensor": ["FRONT_FACING_CAMERA"],
    "version": "5",
}


def main() -> None:
    """Train once for each seed."""
    made = parser("Seconds of training until 20 of 20 starts are laps, twice in a row.")
    where = made.add_mutually_exclusive_group()
    where.add_argument("--track", default="kidney", help="name of a track, or path of a route file")
    where.add_argument(
        "--tracks", type=_tracks, help="several of these, with commas between, or folders of route files"
    )
    made.add_argument("--network", default="lean", help="name of a network")
    made.add_argument("--algorithm", default="clipped_ppo", choices=["clipped_ppo", "sac"], help="what learns")
    made.add_argument("--ranges", action="store_true", help="continuous actions, not ten of them")
    made.add_argument("--seeds", type=int, default=10, help="seeds 0, 1, ...: how many")
    made.add_argument("--duration", type=float, default=300.0, help="seconds after which a seed has failed")
    made.add_argument(
        "--assist", type=_assists, default=[NONE], help=f"switches, with commas between: {', '.join(ASSISTS)}"
    )
    options = made.parse_args()
    tracks = options.tracks or [options.track]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        _train(options, tracks[0], NONE, 0, f"{folder}/run", steps=1)  # compiles
    quiet = wait_for_idle(timeout=options.timeout)
    for track in tracks:
        for seed in range(options.seeds):
            for assist in options.assist:
                found = _one(options, quiet, track, assist, seed)
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


def _assists(text: str) -> list[str]:
    """Combinations of switches, the one without any first."""
    names = text.split(",")
    if unknown := {word for name in names for word in name.split("+")} - {NONE, *ASSISTS}:
        raise argparse.ArgumentTypeError(f"{min(unknown)!r} is no switch; known: {', '.join(ASSISTS)}")
    return list(dict.fromkeys([NONE, *names]))


def _one(options: argparse.Namespace, quiet: Quiet, track: str, assist: str, seed: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        result = _train(options, track, assist, seed, f"{folder}/run")
        wall = time.perf_counter() - begun
        driven = _driven(f"{folder}/run") if len(options.assist) > 1 else {}
    found = {"seed": seed, "network": options.network, "track": Path(track).stem}
    found |= {"algorithm": options.algorithm, "actions": "ranges" if options.ranges else "list"}
    found["assisted"] = ", ".join(result.assisted) or NONE
    reached = result.outcome == "goal"
    return [
        *(row(what, value, unit, quiet, **found) for what, (value, unit) in driven.items()),
        row(WHAT, result.train_seconds if reached else None, "s", quiet, **found, steps=result.steps),
        row("best_lap", result.best_lap, "s", quiet, **found),
        row("wall_total", wall, "s", quiet, **found),
    ]


def _train(
    options: argparse.Namespace, track: str, assist: str, seed: int, out: str, steps: int | None = None
) -> TrainResult:
    settings: dict[str, Any] = {
        "track": track,
        "network": options.network,
        "algorithm": options.algorithm,
        "reward": "centre_line",
        "seed": seed,
        "out": out,
        "trainer": {"until_laps": True, "steps": steps, "duration": options.duration},
    }
    for switch in assist.split("+"):
        settings = merge(settings, ASSISTS.get(switch, {}))
    if options.ranges:
        metadata = Path(f"{out}.json")
        metadata.write_text(json.dumps(RANGES), encoding="utf-8")
        settings["model_metadata"] = str(metadata)
    return train(train_config(settings))


def _driven(run: str) -> dict[str, tuple[float | None, str]]:
    """How the best model of a run drives: changes of the steering a second, and the mean time of its laps."""
    result = evaluate(EvaluateConfig(run=run, trials=TRIALS, film="none"))
    changes = sum(
        int((episode.steps["steering_angle"][1:] != episode.steps["steering_angle"][:-1]).sum())
        for episode in result.episodes
    )
    seconds = sum(episode.lap_time for episode in result.episodes)
    laps = result.lap_times
    mean = sum(laps) / len(laps) if laps else None
    return {"steering_changes": (changes / seconds, "1/s"), "mean_lap": (mean, "s")}


def _summary(rows: list[dict[str, Any]]) -> None:
    """Print a line for each track, and for each way to be assisted."""
    head = ["track", "assisted", "seeds that got there", "steps, median", "worst", "seconds, median", "worst"]
    head += ["fastest lap, s", "mean lap, s", "steering changes a second"]
    lines = [head, ["---", "---", *["--:"] * (len(head) - 2)]]
    for track, assisted in dict.fromkeys((item["track"], item["assisted"]) for item in rows):
        some = [item for item in rows if (item["track"], item["assisted"]) == (track, assisted)]
        runs = [item for item in some if item["what"] == WHAT]
        reached = [item for item in runs if item["value"] is not None]
        lines.append(
            [
                track,
                assisted,
                f"{len(reached)} of {len(runs)}",
                *_median_and_worst([item["steps"] if item["value"] is not None else None for item in runs], ",.0f"),
                *_median_and_worst([item["value"] for item in runs], ",.1f"),
                _of(min, some, "best_lap"),
                _of(statistics.median, some, "mean_lap"),
                _of(statistics.median, some, "steering_changes"),
            ]
        )
    for line in lines:
        print("| " + " | ".join(line) + " |")


def _of(choose: Callable[[list[float]], float], rows: list[dict[str, Any]], what: str) -> str:
    """One of the seeds' figures, as text."""
    values = [item["value"] for item in rows if item["what"] == what and item["value"] is not None]
    return f"{choose(values):.2f}" if values else "-"


def _median_and_worst(values: list[float | None], form: str) -> list[str]:
    """As texts; a seed that did not get there counts as slower than all others."""
    known = [math.inf if value is None else value for value in values]
    return [
        "not reached" if math.isinf(value) else format(value, form) for value in (statistics.median(known), max(known))
    ]


if __name__ == "__main__":
    main()
