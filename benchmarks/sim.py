"""How many steps with their pictures the simulator makes in a second.

A frame is one step of one car: action, rules, physics, place on the track, reward, picture; a car whose episode ends
is put at its next start and drawn again within the same step, which is not counted as a frame. Actions are random, so
episodes are short and resets frequent.

    python benchmarks/sim.py --json sim.json
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import Quiet, median_of, parser, print_table, row, wait_for_idle, write_rows

from lateapex.env.racing import RacingTask
from lateapex.env.reward import load_reward

CARS = (1, 16, 64, 256)
THREADS = (1, 2)
ACTIONS = 1024  # rows of random actions, used in turn


def main() -> None:
    """Measure every combination."""
    made = parser("Frames a second of the simulator, resets included.")
    made.add_argument("--track", default="kidney", help="name of a track, or path of a route file")
    made.add_argument("--seconds", type=float, default=1.0, help="length of one run")
    made.add_argument("--runs", type=int, default=7, help="runs of which the median is taken")
    options = made.parse_args()
    quiet = wait_for_idle(timeout=options.timeout)
    cases = itertools.product(CARS, THREADS, ("builtin", "python"))
    rows = [_frames(options, quiet, cars, threads, reward) for cars, threads, reward in cases]
    rows += [_copies(options, quiet, cars) for cars in CARS]
    print_table(rows)
    if options.json:
        write_rows(options.json, rows)


def _frames(options: argparse.Namespace, quiet: Quiet, cars: int, threads: int, reward: str) -> dict[str, Any]:
    batched = reward == "builtin"
    task = RacingTask(options.track, cars, seed=1, threads=threads, reward=load_reward("centre_line", batched=batched))
    task.begin(np.arange(cars))
    seconds = median_of(_stepper(task), runs=options.runs, seconds=options.seconds)
    return row(
        "camera_frames",
        cars / seconds,
        "frames/s",
        quiet,
        cars=cars,
        threads=threads,
        size="160x120",
        colour="grey",
        reward=reward,
        randomisation="none",
        track=task.tracks[0].name,
    )


def _stepper(task: RacingTask) -> Callable[[], None]:
    """One step of all cars, with resets."""
    actions = np.random.default_rng(7).integers(0, len(task.actions), (ACTIONS, task.simulator.count))
    places = itertools.cycle(range(ACTIONS))

    def step() -> None:
        _, terminated, truncated = task.advance(actions[next(places)])
        done = np.flatnonzero(terminated | truncated)
        if len(done):
            task.begin(done)

    return step


def _copies(options: argparse.Namespace, quiet: Quiet, cars: int) -> dict[str, Any]:
    """The floor: copying as many bytes as the pictures have, on one thread."""
    source = np.random.default_rng(3).integers(0, 255, (cars, 120, 160), np.uint8)
    target = np.empty_like(source)
    seconds = median_of(lambda: np.copyto(target, source), runs=options.runs, seconds=0.2 * options.seconds)
    return row("copy_floor", cars / seconds, "frames/s", quiet, cars=cars, threads=1, size="160x120", colour="grey")


if __name__ == "__main__":
    main()
